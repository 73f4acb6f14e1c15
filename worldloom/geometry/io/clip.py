"""Our own file for an occupancy clip: one compressed `.npz`."""

from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.io.pose_check import check_rigid
from worldloom.geometry.occupancy import Occupancy, VoxelGrid

CLIP_VERSION = 1
MAX_BYTES = 1 << 30  # unpacked: some 1,500 Occ3D frames
_KEYS = {
    "clip_version": "int64",
    "labels": "uint8 t x y z",
    "observed": "uint8 b",  # bit i of byte j (low bit first) is voxel 8 j + i of the flattened mask
    "world_from_ego": "float32|float64 t 4 4",
    "dt": "float64",
    "classes": "str c",
    "origin": "float64 3",
    "voxel_size": "float64",
    "tokens?": "str t",
}


def save_clip(path: str | Path, occupancy: Occupancy, tokens: list[str] | None = None) -> None:
    """Write a clip (t, x, y, z), optionally with a name for each frame. The same clip gives the same bytes.

    Raises:
        ValueError: if the clip has further leading axes, or the tokens are not one for each frame.
    """
    if tokens is not None and len(tokens) != len(occupancy):
        raise ValueError(f"expected {len(occupancy)} tokens, one for each frame, got {len(tokens)}")
    arrays = clip_arrays(occupancy)
    if tokens is not None:
        arrays["tokens"] = np.array(tokens, dtype=np.str_)
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def clip_arrays(occupancy: Occupancy) -> dict[str, np.ndarray | np.generic]:
    """The arrays of a clip's file; a file with more beside them is read by `load_clip` all the same.

    Raises:
        ValueError: if the clip has further leading axes.
    """
    if occupancy.labels.ndim != 4:
        raise ValueError(f"a clip file holds labels t x y z, got {tuple(occupancy.labels.shape)}")
    return {
        "clip_version": np.int64(CLIP_VERSION),
        "labels": occupancy.labels.cpu().numpy(),
        "observed": np.packbits(occupancy.observed.cpu().numpy(), bitorder="little"),
        "world_from_ego": occupancy.world_from_ego.cpu().numpy(),
        "dt": np.float64(occupancy.dt),
        "classes": np.array(occupancy.classes, dtype=np.str_),
        "origin": np.array(occupancy.grid.origin, np.float64),
        "voxel_size": np.float64(occupancy.grid.voxel_size),
    }


def load_clip(path: str | Path) -> Occupancy:
    """Read what `save_clip` wrote; poses keep their precision.

    Raises:
        InputError: not such a file, damaged, a class id without a class, poses that are not rigid, dt or voxel size
            that are not positive.
    """
    return load_clip_with_tokens(path)[0]


def load_clip_with_tokens(path: str | Path) -> tuple[Occupancy, list[str] | None]:
    """As `load_clip`, with the names of the frames where the file has them."""
    path = Path(path)
    arrays = load_npz(path, _KEYS, MAX_BYTES)
    if arrays["clip_version"] != CLIP_VERSION:
        raise InputError(f"{path}: expected clip version {CLIP_VERSION}, got {arrays['clip_version']}")
    labels, packed, classes = arrays["labels"], arrays["observed"], arrays["classes"]
    if 0 in labels.shape:
        raise InputError(f"{path}: expected at least one frame and voxel, got labels {labels.shape}")
    if len(packed) != -(-labels.size // 8):
        raise InputError(f"{path}: expected {-(-labels.size // 8)} bytes of packed 'observed', got {len(packed)}")
    if labels.max() >= len(classes):
        raise InputError(f"{path}: expected class ids below {len(classes)} (number of classes), got {labels.max()}")
    dt, voxel_size, origin = arrays["dt"].item(), arrays["voxel_size"].item(), arrays["origin"]
    if not (0 < dt < np.inf and 0 < voxel_size < np.inf and np.isfinite(origin).all()):
        raise InputError(
            f"{path}: expected positive dt and voxel_size, got {dt}, {voxel_size}, origin {origin.tolist()}"
        )
    check_rigid(arrays["world_from_ego"], f"{path}: world_from_ego")
    observed = np.unpackbits(packed, count=labels.size, bitorder="little").reshape(labels.shape).view(np.bool_)
    x, y, z = labels.shape[1:]
    occupancy = Occupancy(
        labels=torch.from_numpy(labels),
        observed=torch.from_numpy(observed),
        world_from_ego=torch.from_numpy(arrays["world_from_ego"]),
        grid=VoxelGrid(tuple(origin.tolist()), voxel_size, (x, y, z)),
        classes=tuple(classes.tolist()),
        dt=dt,
    )
    return occupancy, arrays["tokens"].tolist() if "tokens" in arrays else None
