"""`.npz` files that are checked before they are unpacked, and written with the same bytes every time."""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from worldloom.errors import InputError

MAX_BYTES = 4 << 30  # all members of one file, unpacked
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold


def npz_keys(path: Path) -> set[str]:
    """Names of the arrays in the file, from its table of contents alone."""
    with _open(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def load_npz(path: Path, expected: Mapping[str, str], max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The `expected` arrays of the file, each checked for dtype and shape before a byte of it is decompressed.

    An expectation reads "uint8 200 200 16" or "float32|float64 t 4 4": dtypes, then one word per axis. A letter stands
    for any size, the same for all arrays. "str" is any unicode dtype. A key that ends in "?" may be absent. Other
    arrays of the file are not touched. Nothing is unpickled.

    Raises:
        InputError: not a zip, truncated or damaged, a key is missing, dtype or shape differ, or the arrays would take
            more than `max_bytes`.
    """
    arrays, letters, total = {}, {}, 0
    with _open(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        for key, spec in expected.items():
            name, optional = key.removesuffix("?"), key.endswith("?")
            if name not in members:
                if optional:
                    continue
                raise InputError(f"{path}: expected an array {name!r}, got {_listing(members)}")
            try:
                with archive.open(members[name]) as member:
                    dtype, shape, fortran = _read_header(path, name, member)
                    _check(path, name, spec, dtype, shape, letters)
                    size = math.prod(shape) * dtype.itemsize
                    total += size
                    if total > max_bytes:
                        raise InputError(
                            f"{path}: expected at most {max_bytes} bytes unpacked, got {total} at {name!r}"
                        )
                    data = bytearray(member.read(size)) if size else bytearray()
                    if len(data) != size:
                        raise InputError(f"{path}: expected {size} bytes in {name!r} {shape} {dtype}, got {len(data)}")
            # RuntimeError and NotImplementedError: an encrypted member, or a compression that zipfile does not know.
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
                raise InputError(f"{path}: expected a whole array {name!r}, got damaged data ({error})") from error
            arrays[name] = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return arrays


def save_npz(file: Path | IO[bytes], arrays: Mapping[str, np.ndarray | np.generic]) -> None:
    """Write a compressed `.npz` whose bytes depend on the arrays alone: fixed dates, fixed order, fixed flags."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=FIRST_DAY)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            archive.writestr(entry, buffer.getbuffer(), compresslevel=6)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{path}: expected an .npz file, got {_one_line(error)}") from error


def _read_header(
    path: Path, name: str, member: IO[bytes] | zipfile.ZipExtFile
) -> tuple[np.dtype, tuple[int, ...], bool]:
    """dtype, shape and order of an array, from the few bytes before its data."""
    try:
        version = np.lib.format.read_magic(member)
        # Later versions announce headers of up to 4 GB, which are inflated before numpy looks at them. They exist for
        # structured arrays with very many fields.
        if version != (1, 0):
            raise ValueError(f"version {version[0]}.{version[1]} of the format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    except ValueError as error:
        raise InputError(f"{path}: expected {name!r} to be a .npy array, got {_one_line(error)}") from error
    if dtype.hasobject:
        raise InputError(
            f"{path}: expected plain numbers in {name!r}, got Python objects (pickled data is never loaded)"
        )
    if any(n < 0 for n in shape):
        raise InputError(f"{path}: expected a shape in {name!r}, got {shape}")
    return dtype, shape, fortran


def _check(path: Path, name: str, spec: str, dtype: np.dtype, shape: tuple[int, ...], letters: dict[str, int]) -> None:
    dtypes, *axes = spec.split()
    kind = "str" if dtype.kind == "U" else dtype.name
    fits = kind in dtypes.split("|") and dtype.isnative and len(shape) == len(axes)
    if fits:
        for size, axis in zip(shape, axes, strict=True):
            fits &= size == (int(axis) if axis.isdigit() else letters.setdefault(axis, size))
    if not fits:
        known = "".join(f", {a} = {letters[a]}" for a in axes if a in letters)
        raise InputError(
            f"{path}: expected {name!r} to be {spec}{known}, got {kind} {' '.join(map(str, shape))}".rstrip()
        )


def _listing(members: Mapping[str, str]) -> str:
    names = sorted(members)
    return ", ".join(map(repr, names[:8])) + (" …" if len(names) > 8 else "") if names else "none"


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:200]
