"""Training of panorama distance, read from top to bottom."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.ops.training import Schedule, train
from worldloom.recon.depth_metrics import DepthScore, score_depth
from worldloom.recon.panorama_depth import PanoramaDepth
from worldloom.recon.panorama_network import PLACES, PanoramaAnswer, PanoramaDepthConfig, PanoramaNetwork
from worldloom.recon.training.examples import Examples, draw_examples
from worldloom.synth.panoramas.panorama_files import FLOOR, OBJECT, SKY, load_panoramas

_INDOORS = PLACES.index("indoors")
_MUCH_TOO_FAR = 1.0  # log distance: beyond, relative errors would drown all others


@dataclass(frozen=True)
class DepthTraining:
    """How long and on what batches to train, and how the parts of the loss weigh."""

    schedule: Schedule
    batch: int = 4
    floor_weight: float = 0.5  # the floor is most of the picture and the least of the difficulty
    object_weight: float = 2.5  # 25 made everything an object
    window_weight: float = 0.2  # of distances behind windows, which are a convention
    gradient: float = 0.5  # of the multi-scale gradient loss
    labels: float = 0.3  # of floor and sky, each
    place: float = 0.05


def train_depth(
    files: Sequence[tuple[Path, int]],
    checked: Sequence[tuple[Path, int]],
    folder: Path,
    config: PanoramaDepthConfig,
    training: DepthTraining,
    tell: Callable[[str], None] = lambda line: None,
    start: PanoramaNetwork | None = None,
) -> PanoramaNetwork:
    """Train on panoramas; see `ops.training.train` for stopping and going on.

    Args:
        files, checked: of `panoramas_of`, to learn from and to validate with.
        start: weights to begin a new run with, of a network of any `height`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(training.schedule.seed)
        model = PanoramaNetwork(config)
    if start is not None:
        model.load_state_dict(start.state_dict())
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(1 << 60, (1,), generator=dice)))
        examples = draw_examples(files, training.batch, config.height, draw)
        with torch.autocast("cpu", torch.bfloat16):
            answer = model(examples.rgb)
        return depth_loss(answer, examples, training)

    def check(average: PanoramaNetwork, step: int) -> Mapping[str, float]:
        return validate_depth(average, checked)

    return train(model, training.schedule, folder, loss_of, check, tell)


def depth_loss(answer: PanoramaAnswer, examples: Examples, training: DepthTraining) -> tuple[Tensor, dict[str, float]]:
    """Errors and multi-scale gradients of log distance, cross-entropy of floor, sky and place; weighted by solid angle.

    The sky's head learns what would be sky: indoors, where another head forbids it, it is asked only a little.
    """
    sky, indoors = examples.part == SKY, examples.place == _INDOORS
    rows = examples.part.shape[-2]
    elevation = math.pi * (0.5 - (torch.arange(rows) + 0.5) / rows)
    area = elevation.cos()[:, None].expand_as(sky[0])
    weight = torch.ones_like(examples.log_distance)
    weight[examples.part == FLOOR] = training.floor_weight
    weight[examples.part == OBJECT] = training.object_weight
    weight[sky] = 0.0
    weight[sky & indoors[:, None, None]] = training.window_weight
    weight = weight * area

    error = answer.log_distance - examples.log_distance
    # Half log, half relative: a post that is taken for the far wall behind it is the worst of errors.
    relative = error.clamp(max=_MUCH_TOO_FAR).expm1().abs()
    distance = (weight * (0.5 * error.abs() + 0.5 * relative)).sum() / weight.sum().clamp(min=1e-6)
    gradient = multiscale_gradient(error, weight)
    floor = _cross_entropy(answer.floor, examples.part == FLOOR, area * (elevation < 0)[:, None])
    asked = torch.where(indoors, 0.2, 1.0)[:, None, None] * area
    sky_loss = _cross_entropy(answer.sky, sky & ~indoors[:, None, None], asked)
    place = F.cross_entropy(answer.place, examples.place)
    loss = distance + training.gradient * gradient + training.labels * (floor + sky_loss) + training.place * place
    parts = {"distance": distance, "gradient": gradient, "floor": floor, "sky": sky_loss, "place": place}
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def multiscale_gradient(
    error: Float[Tensor, "b h w"], weight: Float[Tensor, "b h w"], scales: int = 4
) -> Float[Tensor, ""]:
    """Mean |difference of errors| between neighbours 1, 2, 4 … pixels apart, of those that both count.

    It is 0 where the shape is right and only its scale is wrong. Li and Snavely 2018, MegaDepth, Eq. 4; columns wrap.
    """
    total, steps = error.new_zeros(()), 0
    for k in range(scales):
        gap = 1 << k
        for axis in (-1, -2):
            one, two = (x.roll(-gap, axis) for x in (error, weight))
            both = (weight * two).sqrt()
            if axis == -2:
                both = both * (torch.arange(error.shape[-2]) < error.shape[-2] - gap)[:, None]
            total = total + (both * (one - error).abs()).sum() / both.sum().clamp(min=1e-6)
            steps += 1
    return total / steps


def _cross_entropy(logit: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logit, truth.float(), reduction="none")
    weight = weight.expand_as(each)
    return (weight * each).sum() / weight.sum().clamp(min=1e-6)


def validate_depth(model: PanoramaNetwork, files: Sequence[tuple[Path, int]]) -> dict[str, float]:
    """Figures of `DepthScore` on panoramas as they are, at their own resolution."""
    depth = PanoramaDepth(model)
    score = DepthScore()
    for file, i in files:
        truth = load_panoramas(file, i)[0]
        score = score + score_depth(depth.predict(truth.rgb.float() / 255, camera_height=1.0), truth)
    return {f"val_{name}": value for name, value in score.figures().items()}
