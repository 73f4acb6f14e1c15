"""Training of the static tokenizer: packing, completion and generation by turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, STATIC
from worldloom.occupancy.metrics import SemanticScore
from worldloom.occupancy.static_tokenizer import (
    StaticCodes,
    StaticLogits,
    StaticTokenizer,
    StaticTokenizerConfig,
    static_loss,
    symbols_of,
)
from worldloom.occupancy.training.class_weights import class_weights
from worldloom.occupancy.training.static_examples import StaticCrop, StaticScene, load_static_scene, random_crop
from worldloom.ops.training import Schedule, train

KNOWN_WEIGHT = 0.1  # of voxels that the memory holds already


@dataclass(frozen=True)
class StaticTraining:
    """All that decides the training."""

    schedule: Schedule
    crops: int = 2  # of each kind in a step
    columns: int = 160
    class_weights: bool = True


def train_static(
    scenes: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: StaticTokenizerConfig,
    training: StaticTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> StaticTokenizer:
    """Train on files of `save_static_scene`; see `train` for the folder, and for stopping and going on."""
    if not scenes or not validation:
        raise InputError(f"expected static scenes to train on and to check with, got {len(scenes)}, {len(validation)}")
    torch.manual_seed(training.schedule.seed)
    model = StaticTokenizer(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    worlds = [load_static_scene(path) for path in scenes]
    weights = class_weights(_label_counts(worlds)) if training.class_weights else torch.ones(len(STATIC))
    checked = [load_static_scene(path) for path in validation]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(2**62, (1,), generator=dice)))
        figures: dict[str, float] = {}
        total = torch.zeros(())
        pack = [random_crop(draw.choice(worlds), draw, training.columns) for _ in range(training.crops)]
        for name, batch in (("pack", pack), ("complete" if step % 3 else "generate", None)):
            batch = batch or [random_crop(draw.choice(worlds), draw, training.columns) for _ in range(training.crops)]
            loss, parts = _loss(model, StaticCrop(*map(torch.stack, zip(*batch, strict=True))), name, weights, draw)
            figures |= {f"{name}_{part}": value for part, value in parts.items()}
            total = total + loss
        return total, figures

    def check(average: StaticTokenizer, step: int) -> Mapping[str, float]:
        return validate_static(average, checked, training.columns)

    return train(model, training.schedule, folder, loss_of, check, tell)


def _label_counts(worlds: Sequence[StaticScene]) -> Tensor:
    """Observed voxels of each of STATIC."""
    counts = torch.ones(len(OCC3D_CLASSES))
    for world in worlds:
        counts += torch.bincount(torch.from_numpy(world.labels).long(), minlength=len(OCC3D_CLASSES))
    return counts[list(STATIC)]


def _loss(
    model: StaticTokenizer, crop: StaticCrop, kind: str, weights: Tensor, draw: Random
) -> tuple[Tensor, dict[str, float]]:
    with torch.autocast("cpu", torch.bfloat16):
        logits = _answer(model, crop, kind, draw)
    weight = torch.ones(crop.labels.shape)
    if kind != "pack":
        weight = torch.where(crop.known, KNOWN_WEIGHT, weight)
    return static_loss(logits, crop.labels, crop.observed, weight, weights)


def _answer(model: StaticTokenizer, crop: StaticCrop, kind: str, draw: Random) -> StaticLogits:
    full = symbols_of(crop.labels, crop.observed)
    if kind == "complete":
        return model.decode(StaticCodes(), model.remember(symbols_of(crop.labels, crop.known), crop.path))
    if kind == "generate":
        memory = model.remember(symbols_of(crop.labels, crop.known), crop.path)
        return model.decode(StaticCodes(model.encode(full).coarse), memory)
    channels = len(model.config.coarse)
    keep = torch.tensor([channels if draw.random() < 0.6 else draw.randrange(2, channels) for _ in full])
    codes = model.encode(full, keep)
    return model.decode(codes if draw.random() < 0.5 else StaticCodes(codes.coarse))


@torch.no_grad()
def validate_static(model: StaticTokenizer, scenes: Sequence[StaticScene], columns: int) -> dict[str, float]:
    """mIoU and IoU in percent on fixed crops: packed coarsely, packed finely, completed where nothing was known."""
    draw = Random(7)
    crops = [random_crop(scene, draw, columns) for scene in scenes for _ in range(2)]
    figures = {}
    for kind in ("coarse", "fine", "complete"):
        confusion = torch.zeros(1, len(OCC3D_CLASSES), len(OCC3D_CLASSES), dtype=torch.int64)
        for crop in crops:
            batch = StaticCrop(*(part[None] for part in crop))
            full = symbols_of(batch.labels, batch.observed)
            with torch.autocast("cpu", torch.bfloat16):
                if kind == "complete":
                    logits = _answer(model, batch, kind, draw)
                else:
                    codes = model.encode(full)
                    logits = model.decode(codes if kind == "fine" else StaticCodes(codes.coarse))
            asked = batch.observed & ~batch.known if kind == "complete" else batch.observed
            pair = batch.labels[asked].long() * len(OCC3D_CLASSES) + logits.labels()[asked].long()
            confusion[0] += torch.bincount(pair, minlength=len(OCC3D_CLASSES) ** 2).reshape(confusion.shape[1:])
        score = SemanticScore(confusion, OCC3D_CLASSES, 0.5, "observed", len(crops))
        figures[f"{kind}_miou"] = 100 * score.miou(classes=STATIC).item()
        figures[f"{kind}_iou"] = 100 * score.group_iou(range(FREE)).item()
    return figures
