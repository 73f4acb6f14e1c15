"""Training of the prior of the static tokenizer's codes: what a cell's digits are, given those of cells around."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig, PlanePrior, coarse_context, phase_of
from worldloom.occupancy.codec.static import digits_of
from worldloom.occupancy.static_tokenizer import STRIDES, StaticTokenizer, symbols_of
from worldloom.occupancy.training.static_examples import StaticScene, load_static_scene, random_crop
from worldloom.ops.training import Schedule, train


@dataclass(frozen=True)
class PriorTraining:
    """All that decides the training."""

    schedule: Schedule
    crops: int = 4  # in a step
    columns: int = 160


class CodedCrop(NamedTuple):
    """Digits of a crop on both planes, and the cells that have any."""

    coarse: Int64[Tensor, "b c h w"]
    fine: Int64[Tensor, "b d h2 w2"]
    coarse_mask: Bool[Tensor, "b h w"]
    fine_mask: Bool[Tensor, "b h2 w2"]


def train_prior(
    static: StaticTokenizer,
    scenes: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: CodePriorConfig,
    training: PriorTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> CodePrior:
    """Train on what `static` makes of files of `save_static_scene`; see `train` for the folder, and for going on.

    The loss is in bits a cell. Validation adds what the digits cost under their own frequencies: the order-0 entropy
    of the same cells, which a prior has to beat.
    """
    if not scenes or not validation:
        raise InputError(f"expected static scenes to train on and to check with, got {len(scenes)}, {len(validation)}")
    if (config.coarse, config.fine) != (static.config.coarse, static.config.fine):
        raise InputError(
            f"expected a prior for codes of {static.config.coarse} and {static.config.fine} levels, "
            f"got one for {config.coarse} and {config.fine}"
        )
    torch.manual_seed(training.schedule.seed)
    model = CodePrior(config)
    worlds, checked = ([load_static_scene(path) for path in paths] for paths in (scenes, validation))
    draw = Random(7)
    held = [coded_crop(static, [scene], draw, training.columns) for scene in checked]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(2**62, (1,), generator=dice)))
        crop = coded_crop(static, [draw.choice(worlds) for _ in range(training.crops)], draw, training.columns)
        coarse, fine = prior_bits(model, crop, draw.randrange(4))
        return coarse + fine, {"coarse_bits": float(coarse.detach()), "fine_bits": float(fine.detach())}

    def check(average: CodePrior, step: int) -> Mapping[str, float]:
        return validate_prior(average, held)

    return train(model, training.schedule, folder, loss_of, check, tell)


@torch.no_grad()
def coded_crop(static: StaticTokenizer, worlds: Sequence[StaticScene], draw: Random, columns: int) -> CodedCrop:
    """Digits of one crop of each world, as a stream has them."""
    crops = [random_crop(world, draw, columns) for world in worlds]
    labels, observed = (torch.stack([crop[i] for crop in crops]) for i in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        codes = static.encode(symbols_of(labels, observed))
    assert codes.coarse is not None
    assert codes.fine is not None
    config, looked = static.config, observed.any(3)[:, None].float()
    fine_mask, coarse_mask = (F.max_pool2d(looked, stride)[:, 0] > 0 for stride in STRIDES)
    digits = (
        torch.stack([torch.from_numpy(digits_of(one, levels)) for one in plane])
        for plane, levels in ((codes.coarse, config.coarse), (codes.fine, config.fine))
    )
    coarse, fine = (
        plane * mask[:, None] for plane, mask in zip(digits, (coarse_mask, fine_mask), strict=True)
    )  # a cell without codes holds zeros
    return CodedCrop(coarse, fine, coarse_mask, fine_mask)


def prior_bits(model: CodePrior, crop: CodedCrop, phase: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Bits of a coarse and of a fine cell of one pass, on average."""
    nothing = torch.zeros(len(crop.coarse), 0, *crop.coarse.shape[2:])
    context = coarse_context(crop.coarse, crop.coarse_mask, model.config.coarse)
    coarse = _plane_bits(model.coarse, crop.coarse, crop.coarse_mask, nothing, phase)
    return coarse, _plane_bits(model.fine, crop.fine, crop.fine_mask, context, phase)


def _plane_bits(
    plane: PlanePrior,
    digits: Int64[Tensor, "b c h w"],
    mask: Bool[Tensor, "b h w"],
    context: Float[Tensor, "b d h w"],
    phase: int,
) -> Float[Tensor, ""]:
    phases = phase_of(*mask.shape[1:])
    known, asked = mask & (phases < phase), mask & (phases == phase)
    features = plane.features(digits, known, mask, context)
    total = features.new_zeros(())
    for channel in range(len(plane.levels)):
        logits = plane.logits(features, channel, digits).permute(0, 2, 3, 1)[asked]
        total = total + F.cross_entropy(logits, digits[:, channel][asked], reduction="sum")
    return total / asked.sum().clamp(min=1) / torch.log(torch.tensor(2.0))


@torch.no_grad()
def validate_prior(model: CodePrior, crops: Sequence[CodedCrop]) -> dict[str, float]:
    """Bits a cell over all four passes, and under the frequencies of each channel in all crops."""
    figures = {}
    for number, name in enumerate(("coarse", "fine")):
        bits, cells = 0.0, 0
        for crop in crops:
            mask = (crop.coarse_mask, crop.fine_mask)[number]
            phases = phase_of(*mask.shape[1:])
            for phase in range(4):
                count = int((mask & (phases == phase)).sum())
                bits += float(prior_bits(model, crop, phase)[number]) * count
                cells += count
        figures[f"{name}_bits"] = bits / max(cells, 1)
        digits = torch.cat([crop[number].movedim(1, -1)[crop[2 + number]] for crop in crops])
        entropy = 0.0
        for channel in digits.T:
            share = torch.bincount(channel).double() / max(len(channel), 1)
            entropy -= float((share[share > 0] * share[share > 0].log2()).sum())
        figures[f"{name}_order0_bits"] = entropy
    return figures
