"""Gaussians as PLY, in the layout of the 3D Gaussian Splatting release.

One vertex per Gaussian, little-endian float32: x y z, nx ny nz (zero), f_dc_0..2, f_rest_0..3 (k - 1) - 1, opacity,
scale_0..2, rot_0..3. Opacities are logits, scales logarithms, rotations (w, x, y, z); f_rest holds all coefficients of
red, then green, then blue. Coordinates are those of our world (right-handed, z up), untouched.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.gaussian_check import check_gaussians

MAX_HEADER = 1 << 16  # bytes
ROWS = 1 << 14  # Gaussians handled at a time: 4 MB of SH degree 3, which a cache can hold
OPACITY_MARGIN = 2.0**-24  # logits of 0 and 1 are infinite; this is half a step of float32 below 1

_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}
_CORE = {
    "means": ["x", "y", "z"],
    "dc": [f"f_dc_{i}" for i in range(3)],
    "opacities": ["opacity"],
    "scales": [f"scale_{i}" for i in range(3)],
    "quats": [f"rot_{i}" for i in range(4)],
}


def load_ply(path: str | Path, drop_invalid: bool = False) -> Gaussians:
    """Read a splat PLY of SH degree 0 to 3; properties may come in any order, unknown ones are passed over.

    Quaternions are normalised.

    Args:
        path: binary PLY, little- or big-endian.
        drop_invalid: leave out Gaussians with NaN, infinite or zero-sized values instead of raising.
    Raises:
        InputError: not such a file, fewer bytes than its header announces (found before anything is allocated), or
            values that cannot be drawn.
    """
    path = Path(path)
    with _open(path) as file:
        layout = _read_header(path, file)
        k = 1 + layout.rest // 3
        gaussians = Gaussians(*(torch.empty(layout.count, *shape) for shape in ((3,), (4,), (3,), (), (k, 3))))
        for start in range(0, layout.count, ROWS):
            rows = slice(start, min(start + ROWS, layout.count))
            data = np.fromfile(file, layout.dtype, rows.stop - rows.start)
            if len(data) != rows.stop - rows.start:
                raise InputError(f"{path}: expected {layout.count} Gaussians, got {start + len(data)}")
            columns = {name: _columns(data, names) for name, names in _CORE.items()}
            gaussians.means[rows] = columns["means"]
            gaussians.quats[rows] = torch.nn.functional.normalize(columns["quats"], dim=1)
            gaussians.scales[rows] = columns["scales"].exp()
            gaussians.opacities[rows] = columns["opacities"][:, 0].sigmoid()
            gaussians.sh[rows, 0] = columns["dc"]
            if layout.rest:
                rest = _columns(data, [f"f_rest_{i}" for i in range(layout.rest)])
                gaussians.sh[rows, 1:] = rest.unflatten(1, (3, k - 1)).transpose(1, 2)
    return check_gaussians(gaussians, str(path), drop_invalid)


def save_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Write a splat PLY. Opacities of 0 and 1 move inwards by 6e-8, where their logits are finite.

    Raises:
        InputError: values that cannot be drawn, such as NaN.
    """
    gaussians = check_gaussians(gaussians.to("cpu"), f"saving {path}")
    rest = 3 * (gaussians.sh.shape[1] - 1)
    names = [*_CORE["means"], "nx", "ny", "nz", *_CORE["dc"], *(f"f_rest_{i}" for i in range(rest))]
    names += [*_CORE["opacities"], *_CORE["scales"], *_CORE["quats"]]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    lines += [*(f"property float {name}" for name in names), "end_header", ""]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(lines).encode())
        for start in range(0, len(gaussians), ROWS):
            part = gaussians[start : start + ROWS]
            sh = part.sh.float()
            opacities = part.opacities.double().clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
            row = torch.zeros(len(part), len(names))
            row[:, :3] = part.means
            row[:, 6:9] = sh[:, 0]
            row[:, 9 : 9 + rest] = sh[:, 1:].transpose(1, 2).flatten(1)
            row[:, 9 + rest] = opacities.logit()
            row[:, 10 + rest : 13 + rest] = part.scales.log()
            row[:, 13 + rest :] = part.quats
            file.write(row.numpy().astype("<f4", copy=False).tobytes())


@dataclass(frozen=True)
class _Layout:
    count: int
    dtype: np.dtype
    rest: int  # number of f_rest columns


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a PLY file, got {error.strerror}") from error


def _read_header(path: Path, file: IO[bytes]) -> _Layout:
    """Parse the header, check it against the size of the file, and leave `file` at the first vertex."""
    head = file.read(MAX_HEADER)
    end = re.search(rb"^end_header\r?\n", head, re.MULTILINE)
    if not re.match(rb"ply\r?\n", head) or not end:
        raise InputError(f"{path}: expected a PLY file with a header of at most {MAX_HEADER} bytes, got neither")
    order, elements = "", {}
    for line in head[: end.start()].decode("latin-1").splitlines()[1:]:
        words = line.split()
        match words:
            case ["format", kind, *_]:
                order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(kind, "")
                if not order:
                    raise InputError(f"{path}: expected a binary PLY, got format {kind!r}")
            case ["element", name, count] if count.isdecimal() and name not in elements:
                elements[name] = (int(count), [])
            case ["property", kind, name] if kind in _TYPES and elements:
                elements[list(elements)[-1]][1].append((name, order + _TYPES[kind]))
            case ["property", "list", *_] if elements:
                elements[list(elements)[-1]][1].append(("", None))
            case ["comment" | "obj_info", *_] | []:
                pass
            case _:
                raise InputError(f"{path}: expected a PLY header, got the line {line[:80]!r}")
    offset = end.end()
    for name, (count, properties) in elements.items():
        if any(kind is None for _, kind in properties):
            raise InputError(f"{path}: expected splats, got a mesh or list data in element {name!r}")
        names = [n for n, _ in properties]
        if len(set(names)) != len(names) or not names:
            raise InputError(f"{path}: expected different properties in element {name!r}, got {names[:8]}")
        dtype = np.dtype(properties)
        if name == "vertex":
            return _vertex_layout(path, file, offset, count, dtype)
        offset += count * dtype.itemsize
    raise InputError(f"{path}: expected an element 'vertex', got {list(elements)}")


def _vertex_layout(path: Path, file: IO[bytes], offset: int, count: int, dtype: np.dtype) -> _Layout:
    names = set(dtype.names or ())
    if "packed_position" in names:
        raise InputError(f"{path}: expected a PLY of the 3D Gaussian Splatting layout, got PlayCanvas' compressed PLY")
    if missing := [name for group in _CORE.values() for name in group if name not in names]:
        raise InputError(f"{path}: expected splats, got a PLY without the properties {', '.join(missing[:6])}")
    rest = sum(re.fullmatch(r"f_rest_\d+", name) is not None for name in names)
    if rest not in (0, 9, 24, 45) or any(f"f_rest_{i}" not in names for i in range(rest)):
        raise InputError(f"{path}: expected 0, 9, 24 or 45 properties f_rest_0 …, got {rest}")
    file.seek(0, 2)
    got = file.tell() - offset
    if count * dtype.itemsize > got:
        raise InputError(f"{path}: expected {count} Gaussians of {dtype.itemsize} bytes, got {got} bytes of data")
    file.seek(offset)
    return _Layout(count, dtype, rest)


def _columns(data: np.ndarray, names: list[str]) -> Tensor:
    """Some properties of each vertex as float32 (n, len(names))."""
    fields = {str(name): field for name, field in (data.dtype.fields or {}).items()}
    offsets = [fields[name][1] for name in names]
    if all(fields[name][0] == np.dtype("<f4") for name in names) and np.dtype("<f4").isnative:
        neighbours = offsets == list(range(offsets[0], offsets[0] + 4 * len(names), 4))
        if neighbours and data.dtype.itemsize % 4 == 0 and offsets[0] % 4 == 0:
            # The common case: a strided view, which torch copies once.
            table = torch.from_numpy(data.view("<f4").reshape(len(data), -1))
            return table[:, offsets[0] // 4 : offsets[0] // 4 + len(names)]
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.stack([data[name] for name in names], axis=1).astype(np.float32))
