"""OpenEXR images through the OpenEXR package."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32

from worldloom.errors import InputError, require

MAGIC = b"\x76\x2f\x31\x01"
_STDERR = threading.Lock()  # two threads that swap it in turn would leave it swapped


def read(path: Path, max_pixels: int) -> Float32[np.ndarray, "h w 3"]:
    """R, G, B (or Y three times) of a flat, single-part image. The header is checked before pixels are read.

    The channels may carry one common layer name ("ViewLayer.Combined.R").

    Raises:
        InputError: for deep or multi-part files, subsampled or ambiguous channels, a data window unlike the display
            window, more than `max_pixels`, or damaged data.
    """
    exr = _openexr()
    try:
        header = _header(exr, path)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected an OpenEXR image, got a damaged header ({_line(error)})") from error
    if header.get("type", exr.scanlineimage) not in (exr.scanlineimage, exr.tiledimage):
        raise InputError(f"{path}: expected a flat OpenEXR image, got {header['type']}")
    low, high = header["dataWindow"]
    if any((a != b).any() for a, b in zip(header["dataWindow"], header["displayWindow"], strict=True)):
        display = [w.tolist() for w in header["displayWindow"]]
        raise InputError(
            f"{path}: expected the data window to be the display window {display}, got {[low.tolist(), high.tolist()]}"
        )
    width, height = (int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))
    if min(width, height) < 1 or width * height > max_pixels:
        raise InputError(f"{path}: expected 1 to {max_pixels} pixels, got {width}x{height}")
    names = _rgb_names({c.name: c for c in header["channels"]}, path)
    try:
        # Not OpenEXR.File, which reports damaged pixels on stdout and then returns a file without parts.
        with _quiet():
            with_pixels = exr.InputFile(str(path))
            kinds = {name: str(c.type) for name, c in with_pixels.header()["channels"].items()}
            planes = [np.frombuffer(with_pixels.channel(n), _dtype(kinds[n])).reshape(height, width) for n in names]
            with_pixels.close()
    except (RuntimeError, OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected {height}x{width} OpenEXR pixels, got damaged data ({_line(error)})"
        ) from error
    return np.stack([plane.astype(np.float32) for plane in planes], axis=-1)


def _header(exr: ModuleType, path: Path) -> dict[str, Any]:
    with _quiet(), exr.File(str(path), header_only=True) as file:
        if len(file.parts) != 1:
            raise InputError(f"{path}: expected one part in the OpenEXR file, got {len(file.parts)}")
        return dict(file.header())  # closing the file empties its own


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that OpenEXR's C code writes to stderr about damage which it also raises."""
    with _STDERR:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(nowhere)
            os.close(kept)


def _rgb_names(channels: dict[str, Any], path: Path) -> tuple[str, ...]:
    layers = sorted({name[:-1] for name in channels})
    found = [layer for layer in layers if all(layer + c in channels for c in "RGB")]
    if "" in found or len(found) == 1:
        names = tuple(found[0] + c for c in "RGB")
    elif not found and "Y" in channels:
        names = ("Y", "Y", "Y")
    else:
        raise InputError(f"{path}: expected OpenEXR channels R, G, B or Y, got {sorted(channels)[:12]}")
    if any(channels[n].xSampling != 1 or channels[n].ySampling != 1 for n in names) or {"RY", "BY"} & set(channels):
        raise InputError(
            f"{path}: expected OpenEXR channels at full resolution, got subsampled {sorted(channels)[:12]}"
        )
    return names


def _dtype(kind: str) -> type[np.generic]:
    """InputFile hands out bytes; the header's word for the pixel type says what they are."""
    return {"HALF": np.float16, "FLOAT": np.float32, "UINT": np.uint32}[kind.split()[0]]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def write(path: Path, rgb: Float32[np.ndarray, "h w 3"]) -> None:
    """32-bit float channels R, G, B, ZIP-compressed (lossless)."""
    exr = _openexr()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {name: np.ascontiguousarray(rgb[..., i]) for i, name in enumerate("RGB")}).write(str(path))


def _openexr() -> ModuleType:
    return require("OpenEXR", "all", "reading and writing .exr images")
