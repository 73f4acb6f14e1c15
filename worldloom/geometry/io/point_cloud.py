"""Coloured points as PLY, as mesh and point-cloud programs read it."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.io.atomic import atomic_path

_ROW = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])


def save_points(path: str | Path, xyz: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"]) -> None:
    """Write points and their colours, [0, 1], as a binary little-endian .ply."""
    rows = np.empty(len(xyz), _ROW)
    colours = (rgb.clamp(0, 1) * 255).round().byte().numpy()
    for i, (place, colour) in enumerate(zip("xyz", ("red", "green", "blue"), strict=True)):
        rows[place], rows[colour] = xyz[:, i].numpy(), colours[:, i]
    words = {"<f4": "float", "|u1": "uchar"}
    properties = "".join(f"property {words[kind[1]]} {kind[0]}\n" for kind in _ROW.descr)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    with atomic_path(path) as temporary:
        temporary.write_bytes(head.encode() + rows.tobytes())
