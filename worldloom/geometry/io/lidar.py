"""nuScenes' LiDAR files: `.pcd.bin` sweeps (float32 rows x, y, z, intensity, ring) and their `.bin` labels (uint8)."""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path

_ROW = 5 * 4  # bytes
_MOST_POINTS = 1 << 24  # a sweep has 35 thousand; what is far larger is no sweep

# Occ3D's classes 0 .. 16 as indices of nuScenes-lidarseg's 32 categories. An Occ3D class that joins
# several of them takes the most usual one: pedestrian -> adult, bus -> rigid.
LIDARSEG_OF_OCC3D = (29, 9, 14, 16, 17, 18, 21, 2, 12, 22, 23, 24, 25, 26, 27, 28, 30)


def load_lidar(path: str | Path) -> Float[Tensor, "n 5"]:
    """A sweep in the LiDAR's frame (x right, y ahead, z up): x, y, z in metres, intensity in [0, 255], ring.

    Raises:
        InputError: if the file is missing, is not whole rows of five float32, is far too large, or holds a number that
            is not finite, an intensity outside [0, 255] or a ring that is not a whole number in [0, 255].
    """
    path = Path(path)
    size = _size(path)
    if size % _ROW or size > _MOST_POINTS * _ROW:
        raise InputError(
            f"{path}: expected rows of {_ROW} bytes (x, y, z, intensity, ring as float32), at most {_MOST_POINTS}, "
            f"got {size} bytes"
        )
    points = np.fromfile(path, dtype="<f4").reshape(-1, 5).astype(np.float32)
    if not np.isfinite(points).all():
        raise InputError(f"{path}: expected finite numbers, got NaN or infinity in row {_first(~np.isfinite(points))}")
    if (bad := (points[:, 3] < 0) | (points[:, 3] > 255)).any():
        raise InputError(f"{path}: expected intensities in [0, 255], got {points[bad][0, 3]:g} in row {_first(bad)}")
    if (bad := (points[:, 4] < 0) | (points[:, 4] > 255) | (points[:, 4] % 1 != 0)).any():
        raise InputError(f"{path}: expected rings as whole numbers, got {points[bad][0, 4]:g} in row {_first(bad)}")
    return torch.from_numpy(points)


def save_lidar(path: str | Path, points: Float[Tensor, "n 5"]) -> None:
    """Write a sweep as nuScenes does.

    Raises:
        InputError: if a number is not finite, or the folder does not exist.
    """
    if not bool(torch.isfinite(points).all()):
        raise InputError("expected finite points to save, got NaN or infinity")
    with atomic_path(path) as temporary:
        points.detach().cpu().numpy().astype("<f4").tofile(temporary)


def load_lidar_labels(path: str | Path, num_points: int) -> UInt8[Tensor, " n"]:
    """The class of each point of a sweep; which classes the file does not say.

    Raises:
        InputError: if the file is missing or has not one byte for each of `num_points`.
    """
    path = Path(path)
    if (size := _size(path)) != num_points:
        raise InputError(f"{path}: expected one byte for each of {num_points} points, got {size} bytes")
    return torch.from_numpy(np.fromfile(path, dtype=np.uint8))


def save_lidar_labels(path: str | Path, labels: UInt8[Tensor, " n"]) -> None:
    """Write one byte for each point.

    Raises:
        InputError: if the folder does not exist.
    """
    with atomic_path(path) as temporary:
        labels.detach().cpu().numpy().tofile(temporary)


def lidarseg_from_occ3d(labels: UInt8[Tensor, " n"]) -> UInt8[Tensor, " n"]:
    """Occ3D classes as indices of nuScenes-lidarseg's categories.

    Raises:
        InputError: if a label is above 16: a point belongs to something.
    """
    if len(labels) and int(labels.max()) >= len(LIDARSEG_OF_OCC3D):
        raise InputError(f"expected Occ3D classes 0..{len(LIDARSEG_OF_OCC3D) - 1} of points, got {int(labels.max())}")
    return torch.tensor(LIDARSEG_OF_OCC3D, dtype=torch.uint8)[labels.long()]


def _size(path: Path) -> int:
    if not path.is_file():
        raise InputError(f"{path}: expected a LiDAR file, got no such file")
    return os.path.getsize(path)


def _first(bad: np.ndarray) -> int:
    return int(np.argwhere(bad)[0, 0])
