"""Cameras told in another convention than they are read in: found by asking the photos."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.camera import Camera
from worldloom.geometry.rigid import invert
from worldloom.recon.photos import Photos
from worldloom.recon.plane_sweep import agreement

MARGIN = 0.1  # by which photos must agree better with another reading: correct ones lead by 0.2 and more
FEW = 12  # photos, side by side, are enough to tell


@dataclass(frozen=True)
class Reading:
    """A way to read the poses of a file, and how well photos agree with it."""

    name: str  # in words, "" for as they are told
    cameras: Camera
    agreement: float


def best_reading(photos: Photos) -> Reading:
    """The poses as told, unless the photos agree clearly better with them read in one of the usual wrong ways.

    Tried are camera axes of OpenGL for those of OpenCV (y and z turned) and camera-from-world for world-from-camera,
    alone and together. The measure is `agreement` of a few neighbouring photos.
    """
    readings = [
        Reading(name, replace(photos.cameras, world_from_cam=poses), _agreement(photos, poses))
        for name, poses in _poses_by_reading(photos.cameras.world_from_cam).items()
    ]
    told, *others = readings
    best = max(others, key=lambda reading: _or_zero(reading.agreement))
    return best if _or_zero(best.agreement) > _or_zero(told.agreement) + MARGIN else told


def _poses_by_reading(world_from_cam: Float[Tensor, "v 4 4"]) -> dict[str, Float[Tensor, "v 4 4"]]:
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    inverse = invert(world_from_cam)
    return {
        "": world_from_cam,
        "the axes are OpenGL's (y up, looking along -z)": world_from_cam @ flip,
        "the matrices are camera-from-world": inverse,
        "the matrices are camera-from-world with OpenGL's axes": invert(flip @ world_from_cam),
    }


def _agreement(photos: Photos, world_from_cam: Float[Tensor, "v 4 4"]) -> float:
    some = photos[list(range(min(FEW, len(photos))))]
    return agreement(replace(some, cameras=replace(some.cameras, world_from_cam=world_from_cam[: len(some)])))


def _or_zero(value: float) -> float:
    return value if value == value else 0.0  # NaN: no two photos would see the same
