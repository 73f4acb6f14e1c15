"""Views as a camera file lists them, before and after they are checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.io.atomic import safe_join
from worldloom.geometry.posed_images import Distortion, PosedImages

MAX_SIDE = 1 << 16  # pixels

View = tuple[Any, Float[Tensor, "4 4"], Float[Tensor, "3 3"], Float[Tensor, " 5"], tuple[float, float]]
"""name, world_from_cam, K, distortion (k1, k2, p1, p2, k3) in float64, (height, width)."""


def posed_from_views(source: Path, folder: Path, views: Sequence[View]) -> PosedImages:
    """The posed images of views that a reader has found, each checked. Names are paths inside `folder`.

    Raises:
        InputError: for no views, names that are not unique paths inside the folder, views of different sizes, poses
            that are not rigid, or cameras that see nothing.
    """
    if not views:
        raise InputError(f"{source}: expected at least one posed image, got none")
    poses, intrinsics, coefficients = [], [], []
    size = views[0][4]
    seen = set()
    for i, (name, world_from_cam, K, distortion, view_size) in enumerate(views):
        where = f"{source}: image {i}"
        if not isinstance(name, str):
            raise InputError(f"{where}: expected a file name, got {name!r}")
        safe_join(folder, name)
        if name in seen:
            raise InputError(f"{where}: expected every image once, got {name!r} again")
        seen.add(name)
        if view_size != size:
            raise InputError(f"{where}: expected all images to be (height, width) = {size}, got {view_size}")
        if not all(side == int(side) and 1 <= side <= MAX_SIDE for side in size):
            raise InputError(f"{where}: expected a size of 1 to {MAX_SIDE} pixels a side, got {size}")
        if not (K[0, 0] > 0 and K[1, 1] > 0 and K[1, 0] == 0 and K[2].tolist() == [0, 0, 1]):
            raise InputError(f"{where}: expected K with positive focal lengths and last row 0 0 1, got {K.tolist()}")
        poses.append(_rigid(world_from_cam, where))
        intrinsics.append(K)
        coefficients.append(distortion)
    camera = Camera(torch.stack(poses).float(), torch.stack(intrinsics).float(), (int(size[0]), int(size[1])))
    distortion = Distortion(torch.stack(coefficients).float()) if torch.stack(coefficients).any() else None
    return PosedImages(camera, tuple(name for name, *_ in views), distortion)


def _rigid(world_from_cam: Float[Tensor, "4 4"], where: str) -> Float[Tensor, "4 4"]:
    """The matrix, with rotations that were written with few digits made orthonormal again."""
    rotation = world_from_cam[:3, :3]
    error = (rotation @ rotation.mT - torch.eye(3, dtype=torch.float64)).abs().max().item()
    if error > 1e-3 or torch.linalg.det(rotation) < 0 or world_from_cam[3].tolist() != [0, 0, 0, 1]:
        raise InputError(
            f"{where}: expected a rigid 4x4 pose (rotation and translation), got {world_from_cam.tolist()}"
        )
    if error < 1e-6:
        return world_from_cam
    u, _, v = torch.linalg.svd(rotation)
    world_from_cam = world_from_cam.clone()
    world_from_cam[:3, :3] = u @ v  # the nearest rotation
    return world_from_cam


def numbers(value: object, shape: tuple[int, ...], where: str) -> Float[Tensor, "..."]:
    """Nested lists out of a JSON file as a finite float64 tensor of the given shape.

    Raises:
        InputError: for anything else.
    """
    words = " x ".join(map(str, shape)) or "one"
    if not _nested(value, shape):
        raise InputError(f"{where}: expected {words} numbers, got {str(value)[:80]}")
    try:
        tensor = torch.tensor(value, dtype=torch.float64)
    except OverflowError as error:  # a whole number of more than 308 digits
        raise InputError(f"{where}: expected {words} finite numbers, got {str(value)[:80]}") from error
    if not tensor.isfinite().all():
        raise InputError(f"{where}: expected {words} finite numbers, got {str(value)[:80]}")
    return tensor


def _nested(value: object, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, list) and len(value) == shape[0] and all(_nested(v, shape[1:]) for v in value)
