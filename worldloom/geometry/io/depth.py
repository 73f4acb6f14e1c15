"""Depth images of one picture each: `.npz` with named arrays, or a plain `.npy`."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, npz_keys, save_npz

SUFFIXES = (".npz", ".npy")
MAX_BYTES = 1 << 29  # of one image, unpacked
_TRUTH = {"distance", "normal", "albedo", "roughness", "metallic", "instance", "semantic", "sky"}  # of synthetic views
KEYS = {"depth", "disparity", "valid"} | _TRUTH


def load_depth(path: str | Path) -> Float[Tensor, "h w"]:
    """z in the camera frame, in the file's own unit; NaN where it says nothing.

    An `.npz` holds `depth` or `disparity` (1 / depth), h w, float16 to float64, and maybe `valid` or `sky`, bool. A
    `.npy` holds depth alone. Values that are not finite or not above 0 say nothing.

    Raises:
        InputError: another kind of file, keys that are not known, another shape or dtype, or no pixel that says
            anything.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES or not path.is_file():
        raise InputError(f"{path}: expected a depth image, .npz or .npy")
    if path.suffix == ".npy":
        depth = _load_npy(path)
    else:
        keys = npz_keys(path)
        if unknown := sorted(keys - KEYS):
            raise InputError(f"{path}: expected depth or disparity, and maybe valid, got an unknown key {unknown[0]!r}")
        floats = "float16|float32|float64 h w"
        layout = {"depth?": floats, "disparity?": floats, "valid?": "bool h w", "sky?": "bool h w"}
        found = load_npz(path, layout, MAX_BYTES)
        if not {"depth", "disparity"} & set(found):
            raise InputError(
                f"{path}: expected an array 'depth' or 'disparity', got {', '.join(sorted(keys)) or 'none'}"
            )
        with np.errstate(divide="ignore", over="ignore"):
            depth = found["depth"].astype(np.float64) if "depth" in found else 1 / found["disparity"].astype(np.float64)
        depth = np.where(found.get("valid", True) & ~np.asarray(found.get("sky", False)), depth, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)
    if not np.isfinite(depth).any():
        raise InputError(f"{path}: expected depths above 0, got none")
    return torch.from_numpy(depth)


def save_depth(path: str | Path, depth: Float[Tensor, "h w"], **others: Tensor) -> None:
    """Write an `.npz` with `depth`, float32, and whatever else is given."""
    arrays = {"depth": depth.float().numpy(), **{name: value.numpy() for name, value in others.items()}}
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def _load_npy(path: Path) -> np.ndarray:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    try:
        # Mapped, so that a header that lies about the size allocates nothing.
        depth = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: expected a .npy array, got {' '.join(str(error).split())[:200]}") from error
    if depth.ndim != 2 or depth.dtype.kind != "f" or not depth.size:
        raise InputError(f"{path}: expected depth of shape (h, w), floats, got {depth.dtype} {depth.shape}")
    return np.array(depth, dtype=np.float64)
