"""Training of the feature net: frames are packed and unpacked; then the directions are found in which truth varies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import OCC3D_CLASSES, Occupancy
from worldloom.occupancy.class_planes import asked_voxels, reconstruction_loss, shown_labels
from worldloom.occupancy.data.clips import Clip
from worldloom.occupancy.feature_net import FeatureNet, FeatureNetConfig
from worldloom.occupancy.metrics import SemanticScore, score_forecast
from worldloom.occupancy.metrics.frechet import fit_projection
from worldloom.occupancy.training.class_weights import class_weights
from worldloom.ops.training import Schedule, train

_COUNTED = 40  # clips
_DESCRIBED = 2000  # frames of training truth that the directions are found from


@dataclass(frozen=True)
class FeatureTraining:
    """All that decides the training."""

    schedule: Schedule
    batch: int = 4
    columns: int = 128  # along both sides of a crop
    loss_voxels: int = 1 << 17  # at most, drawn at random


def train_features(
    clips: Sequence[Clip],
    checked: Sequence[Clip],
    folder: Path,
    config: FeatureNetConfig,
    training: FeatureTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> FeatureNet:
    """Train on frames of clips; see `ops.training.train` for the folder, and for stopping and going on."""
    if not clips or not checked:
        raise InputError(f"expected clips to train on and to check with, got {len(clips)}, {len(checked)}")
    torch.manual_seed(training.schedule.seed)
    model = FeatureNet(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    weights = class_weights(_label_counts(clips))

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(2**62, (1,), generator=dice)))
        labels, observed = draw_frames(clips, training, draw)
        with torch.autocast("cpu", torch.bfloat16):
            planes = model.reconstruct(model.codes(labels))
        voxels = asked_voxels(observed, True, training.loss_voxels, dice)
        scores = model.planes.scores(planes, voxels)
        return reconstruction_loss(scores, labels.flatten()[voxels], torch.zeros(()), weights)

    def check(average: FeatureNet, step: int) -> Mapping[str, float]:
        return validate_features(average, checked)

    model = train(model, training.schedule, folder, loss_of, check, tell)
    model.project(fit_projection(_described(model, clips), config.features))
    return model


def draw_frames(
    clips: Sequence[Clip], training: FeatureTraining, dice: Random
) -> tuple[UInt8[Tensor, "b x y z"], Bool[Tensor, "b x y z"]]:
    """A batch of crops of random frames, left and right exchanged in half of the cases."""
    crops = []
    for _ in range(training.batch):
        clip = dice.choice(clips)
        first = dice.randrange(len(clip))
        frame = clip.load(first, first + 1)
        if frame.classes != OCC3D_CLASSES:
            raise InputError(f"expected clips with the {len(OCC3D_CLASSES)} classes of Occ3D, got {len(frame.classes)}")
        nx, ny = (min(n, training.columns) for n in frame.grid.shape[:2])
        x, y = (dice.randrange(n - k + 1) for n, k in zip(frame.grid.shape, (nx, ny), strict=False))
        crop = [part[0, x : x + nx, y : y + ny] for part in (shown_labels(frame), frame.observed)]
        crops.append([part.flip(1) for part in crop] if dice.random() < 0.5 else crop)
    labels, observed = (torch.stack(parts) for parts in zip(*crops, strict=True))
    return labels, observed


@torch.no_grad()
def validate_features(model: FeatureNet, clips: Sequence[Clip]) -> dict[str, float]:
    """mIoU in percent of the middle frame of each clip, packed and unpacked, where somebody looked."""
    score: SemanticScore | None = None
    for clip in clips:
        frame = clip.load(len(clip) // 2, len(clip) // 2 + 1)
        back = model.planes.unfold(model.reconstruct(model.codes(shown_labels(frame))))
        guess = Occupancy(back, frame.observed, frame.world_from_ego, frame.grid, frame.classes, frame.dt)
        one = score_forecast(guess, frame).pooled()
        score = one if score is None else score + one
    assert score is not None
    return {"val_miou": 100 * score.miou().item()}


def _described(model: FeatureNet, clips: Sequence[Clip]) -> Tensor:
    """Descriptions of frames that are spread over all clips."""
    stride = max(1, sum(map(len, clips)) // _DESCRIBED)
    return torch.cat([model.describe(shown_labels(clip.load()[::stride])) for clip in clips])


def _label_counts(clips: Sequence[Clip]) -> Tensor:
    """Observed voxels of each class in some frames."""
    counts = torch.ones(len(OCC3D_CLASSES))
    for clip in clips[:: max(1, len(clips) // _COUNTED)]:
        frame = clip.load(len(clip) // 2, len(clip) // 2 + 1)
        counts += torch.bincount(frame.labels[frame.observed].long(), minlength=len(counts))
    return counts
