"""Windows of driving clips, as both baselines learn from them."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.io.npz import load_npz
from worldloom.geometry.occupancy import OCC3D_CLASSES, Occupancy
from worldloom.occupancy.class_planes import shown_labels

MOTION_UNITS = (5.0, 1.0, 0.2)  # metres ahead, metres aside and radians in half a second that count as 1


class LabelCrop(NamedTuple):
    """One example for a tokenizer."""

    labels: UInt8[Tensor, "t x y z"]  # free where nobody looked
    observed: Bool[Tensor, "t x y z"]


def long_enough(files: Sequence[Path], frames: int) -> list[Path]:
    """Of clips in files, those of at least so many frames."""
    kept = [path for path in files if load_npz(path, {"world_from_ego": "float32|float64 t 4 4"}, 1 << 30)
            ["world_from_ego"].shape[0] >= frames]  # fmt: skip
    if not kept:
        raise InputError(f"expected clips of at least {frames} frames, got none among {len(files)} files")
    return kept


def draw_crop(files: Sequence[Path], frames: int, columns: int, dice: Random) -> LabelCrop:
    """Some frames and columns of some clip, left and right exchanged in half of the cases."""
    clip = load_clip(dice.choice(files))
    if clip.classes != OCC3D_CLASSES:
        raise InputError(f"expected clips with the {len(OCC3D_CLASSES)} classes of Occ3D, got {len(clip.classes)}")
    start = dice.randrange(len(clip) - frames + 1)
    return _crop(clip[start : start + frames], columns, dice)


def _crop(clip: Occupancy, columns: int, dice: Random) -> LabelCrop:
    nx, ny, _ = clip.grid.shape
    if columns > min(nx, ny):
        raise InputError(f"expected crops of at most {min(nx, ny)} columns, got {columns}")
    x, y = dice.randrange(nx - columns + 1), dice.randrange(ny - columns + 1)
    parts = (part[:, x : x + columns, y : y + columns] for part in (shown_labels(clip), clip.observed))
    flip = dice.random() < 0.5
    return LabelCrop(*((part.flip(2) if flip else part).contiguous() for part in parts))


def mirrored(clip: Occupancy) -> Occupancy:
    """The clip with left and right exchanged, poses too."""
    sign = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=clip.world_from_ego.dtype)
    poses = sign[:, None] * clip.world_from_ego * sign
    return Occupancy(clip.labels.flip(2), clip.observed.flip(2), poses, clip.grid, clip.classes, clip.dt)


def motions(world_from_ego: Float[Tensor, "t 4 4"], dt: float) -> Float[Tensor, "t 3"]:
    """The motion that leads to each pose from the one before, in MOTION_UNITS; none to the first."""
    steps = EgoPath(world_from_ego.double(), dt).steps().float() / torch.tensor(MOTION_UNITS)
    return torch.cat([steps.new_zeros(1, 3), steps])


def commands(steps: Float[Tensor, "*b t 3"], ahead: int = 6) -> Float[Tensor, "*b t 2"]:
    """Whether the ego will be two metres to the right or left after `ahead` frames: what stands in for a path where a
    data set has only manoeuvres (as nuScenes is commonly prepared: VAD, Jiang et al. 2023)."""
    steps = steps * torch.tensor(MOTION_UNITS)
    aside = []
    for t in range(steps.shape[-2]):
        y, yaw = torch.zeros(steps.shape[:-2]), torch.zeros(steps.shape[:-2])
        for dx, dy, dyaw in (step.unbind(-1) for step in steps[..., t + 1 : t + 1 + ahead, :].unbind(-2)):
            y = y + dx * yaw.sin() + dy * yaw.cos()
            yaw = yaw + dyaw
        aside.append(y)
    at = torch.stack(aside, -1)
    return torch.stack([(at <= -2).float(), (at >= 2).float()], -1)
