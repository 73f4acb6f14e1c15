"""Training of the network that draws detail, read from top to bottom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.ops.training import Schedule, train
from worldloom.scenegen.completion.detail_network import FACTOR, DetailConfig, DetailNetwork, enlarged
from worldloom.scenegen.training.pictures import draw_panorama
from worldloom.synth.panoramas.panorama_files import load_panoramas

Perceptual = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Float[Tensor, "b h w"]]


@dataclass(frozen=True)
class DetailTraining:
    """How long and on what batches to train, and how the parts of the loss weigh."""

    schedule: Schedule
    batch: int = 2
    noise: float = 0.02  # deviation upon small pictures: those that are made up are never exact
    outlines: float = 1.0  # differences of neighbours, beside values
    perceptual: float = 0.05
    window: int = 128  # pixels to a side that the perceptual distance looks at, of each panorama


def train_detail(
    files: Sequence[tuple[Path, int]],
    checked: Sequence[tuple[Path, int]],
    folder: Path,
    config: DetailConfig,
    training: DetailTraining,
    perceptual: Perceptual | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> DetailNetwork:
    """Train on panoramas; see `ops.training.train` for stopping and going on.

    Args:
        files, checked: of `panoramas_of`, to learn from and to validate with.
        perceptual: how different pictures look at each place, for a part of the loss; without it they come out softer.
    """
    with torch.random.fork_rng():
        torch.manual_seed(training.schedule.seed)
        model = DetailNetwork(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(1 << 60, (1,), generator=dice)))
        rgb = torch.stack([draw_panorama(files, draw)[1] for _ in range(training.batch)])
        small = F.avg_pool2d(rgb, FACTOR)
        small = (small + draw.random() * training.noise * torch.randn(small.shape, generator=dice)).clamp(0, 1)
        with torch.autocast("cpu", torch.bfloat16):
            made = model(small)
        value = (made - rgb).abs().mean()
        outlines = (made - rgb).diff(dim=-1).abs().mean() + (made - rgb).diff(dim=-2).abs().mean()
        loss = value + training.outlines * outlines
        parts = {"value": float(value.detach()), "outlines": float(outlines.detach())}
        if perceptual is not None:
            top = draw.randrange(rgb.shape[-2] - training.window + 1)
            left = draw.randrange(rgb.shape[-1] - training.window + 1)
            window = (..., slice(top, top + training.window), slice(left, left + training.window))
            with torch.autocast("cpu", torch.bfloat16):
                apart = perceptual(made[window], rgb[window]).mean()
            loss = loss + training.perceptual * apart
            parts["perceptual"] = float(apart.detach())
        return loss, parts

    def check(average: DetailNetwork, step: int) -> Mapping[str, float]:
        return validate_detail(average, checked)

    return train(model, training.schedule, folder, loss_of, check, tell)


@torch.no_grad()
def validate_detail(model: DetailNetwork, files: Sequence[tuple[Path, int]]) -> dict[str, float]:
    """PSNR in dB of panoramas that were made small and drawn again, by the network and by interpolation alone."""
    errors, plain = [], []
    for file, i in files:
        rgb = load_panoramas(file, i)[0].rgb[None].float() / 255
        small = F.avg_pool2d(rgb, FACTOR)
        with torch.autocast("cpu", torch.bfloat16):
            made = model(small)
        errors.append((made.clamp(0, 1) - rgb).square().mean())
        plain.append((enlarged(small).clamp(0, 1) - rgb).square().mean())
    psnr, floor = (float(-10 * torch.stack(each).log10().mean()) for each in (errors, plain))
    return {"val_psnr": psnr, "val_psnr_interpolated": floor}
