"""Gaussians as `.splat`: 32 bytes each, no header, no view-dependent colour.

float32 x y z, float32 scales (linear), uint8 red green blue opacity, uint8 quaternion (w, x, y, z) as 128 q + 128.
Coordinates are those of our world (right-handed, z up), untouched.
"""

from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.gaussians import SH_C0, Gaussians, sh_from_rgb
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.gaussian_check import check_gaussians

_ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])


def load_dot_splat(path: str | Path, drop_invalid: bool = False) -> Gaussians:
    """Read a `.splat`: Gaussians of SH degree 0; quaternions are normalised.

    Raises:
        InputError: no such file, a size that is no multiple of 32 bytes, or values that cannot be drawn (unless
            `drop_invalid`, which leaves those Gaussians out).
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size % _ROW.itemsize:
            raise InputError(f"{path}: expected rows of {_ROW.itemsize} bytes, got {size} bytes")
        rows = np.fromfile(path, _ROW)
    except OSError as error:
        raise InputError(f"{path}: expected a .splat file, got {error.strerror}") from error
    rgba = torch.from_numpy(rows["rgba"].astype(np.float32)) / 255
    quats = torch.from_numpy(rows["quats"].astype(np.float32)) - 128
    gaussians = Gaussians(
        means=torch.from_numpy(rows["means"].astype(np.float32)),
        quats=torch.nn.functional.normalize(quats, dim=1),
        scales=torch.from_numpy(rows["scales"].astype(np.float32)),
        opacities=rgba[:, 3].contiguous(),
        sh=sh_from_rgb(rgba[:, :3]),
    )
    return check_gaussians(gaussians, str(path), drop_invalid)


def save_dot_splat(path: str | Path, gaussians: Gaussians) -> None:
    """Write a `.splat`. Only the constant part of the colour is kept, clamped to 0..1, all colours in 8 bits.

    Raises:
        InputError: values that cannot be drawn, such as NaN.
    """
    gaussians = check_gaussians(gaussians.to("cpu"), f"saving {path}")
    rows = np.empty(len(gaussians), _ROW)
    rgb = (0.5 + SH_C0 * gaussians.sh[:, 0]).clamp(0, 1)
    rgba = torch.cat([rgb, gaussians.opacities[:, None]], dim=1)
    quats = torch.nn.functional.normalize(gaussians.quats, dim=1)
    rows["means"] = gaussians.means.numpy()
    rows["scales"] = gaussians.scales.numpy()
    rows["rgba"] = (rgba * 255).round().numpy()
    rows["quats"] = (quats * 128 + 128).round().clamp(0, 255).numpy()
    with atomic_path(path) as temporary:
        rows.tofile(temporary)
