"""Radiance HDR (.hdr, .pic): shared-exponent pixels, run-length coded.

Ward, "Real Pixels", Graphics Gems II, 1991. A pixel is four bytes (r, g, b, e) and means mantissa * 2^(e - 136).
Mantissas are rounded when written and taken as they stand when read, as most readers do; Radiance adds half a step.
"""

import re

import numpy as np
from jaxtyping import Float32, UInt8

from worldloom.errors import InputError

MAGIC = (b"#?RADIANCE", b"#?RGBE")


def decode(data: bytes, source: str, max_pixels: int) -> Float32[np.ndarray, "h w 3"]:
    """Linear RGB of a file's bytes, divided by its EXPOSURE lines. `source` names the file in errors.

    Raises:
        InputError: for another format, an XYZ colour space, a turned image, more than `max_pixels`, or damaged data.
    """
    header, blank, rest = data.partition(b"\n\n")
    lines = header.split(b"\n")
    if not lines[0].startswith(MAGIC) or not blank:
        raise InputError(f"{source}: expected a Radiance HDR header, got {data[:16]!r}")
    resolution, _, pixels = rest.partition(b"\n")
    size = re.fullmatch(rb"-Y (\d{1,7}) \+X (\d{1,7})", resolution)
    if size is None:
        raise InputError(
            f"{source}: expected the Radiance resolution line '-Y height +X width', got {resolution[:40]!r}"
        )
    height, width = int(size[1]), int(size[2])
    if not 0 < height * width <= max_pixels:
        raise InputError(f"{source}: expected 1 to {max_pixels} pixels, got {width}x{height}")
    exposure = 1.0
    for line in lines[1:]:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            raise InputError(f"{source}: expected FORMAT=32-bit_rle_rgbe, got {value[:40]!r}")
        if key == b"EXPOSURE":
            try:
                exposure *= float(value)
            except ValueError:
                exposure = 0.0
            if not 0 < exposure < float("inf"):
                raise InputError(f"{source}: expected a positive EXPOSURE, got {value[:40]!r}")
    try:
        rgbe = _decode_rows(pixels, height, width)
    except (IndexError, ValueError) as error:
        raise InputError(
            f"{source}: expected {height} rows of {width} Radiance pixels, got damaged data ({error})"
        ) from error
    scale = np.ldexp(np.float32(1), rgbe[..., 3:].astype(np.int32) - 136)
    return np.where(rgbe[..., 3:] > 0, rgbe[..., :3] * scale, 0).astype(np.float32) / np.float32(exposure)


def _decode_rows(data: bytes, height: int, width: int) -> UInt8[np.ndarray, "h w 4"]:
    """Rows in the run-length form of 1991 (channels apart) or the older one (whole pixels); a file may mix them."""
    rows = []
    at = 0
    for i in range(height):
        if 8 <= width < 32768 and data[at : at + 4] == bytes((2, 2, width >> 8, width & 255)):
            row, at = _decode_channels(data, at + 4, width)
        else:
            row, at = _decode_pixels(data, at, width)
        if len(row) != 4 * width:
            raise ValueError(f"row {i} has {len(row)} of {4 * width} bytes")
        rows.append(row)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, 4)


def _decode_channels(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    row = bytearray(4 * width)
    for channel in range(4):
        values = bytearray()
        while len(values) < width:
            count = data[at]
            if count > 128:
                values += data[at + 1 : at + 2] * (count - 128)
                at += 2
            elif count:
                values += data[at + 1 : at + 1 + count]
                at += 1 + count
            else:
                raise ValueError("a run of length 0")
        row[channel::4] = values  # ValueError where the runs overshoot
    return bytes(row), at


def _decode_pixels(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    row = bytearray()
    shift = 0
    while len(row) < 4 * width:
        pixel = data[at : at + 4]
        if len(pixel) < 4:
            raise ValueError("the file ends early")
        at += 4
        if pixel[:3] == b"\1\1\1" and row:
            if (pixel[3] << shift) > width:
                raise ValueError("a run longer than its row")
            row += row[-4:] * (pixel[3] << shift)  # runs longer than 255 follow as higher digits
            shift += 8
        else:
            row += pixel
            shift = 0
    return bytes(row), at


def encode(rgb: Float32[np.ndarray, "h w 3"]) -> bytes:
    """A file's bytes of linear RGB >= 0, run-length coded; within 1/255 of a pixel's largest channel."""
    height, width = rgb.shape[:2]
    largest = rgb.max(-1)
    _, exponent = np.frexp(largest)
    exponent = np.clip(exponent, -127, 127)
    # The clip costs the top half step of a binary order at most half a step more than rounding does.
    mantissa = np.rint(np.ldexp(rgb, (8 - exponent)[..., None])).clip(0, 255)
    rgbe = np.concatenate([mantissa, (exponent + 128)[..., None]], axis=-1).astype(np.uint8)
    rgbe[largest <= 0] = 0
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)
    if not 8 <= width < 32768:
        return header + rgbe.tobytes()
    start = bytes((2, 2, width >> 8, width & 255))
    rows = [start + b"".join(_runs(row[:, channel]) for channel in range(4)) for row in rgbe]
    return header + b"".join(rows)


def _runs(values: UInt8[np.ndarray, " w"]) -> bytes:
    """Runs of at least 4 equal bytes as (128 + length, byte), everything between as (length, bytes...)."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] ^ 1))
    lengths = np.diff(starts, append=len(values))
    raw = values.tobytes()
    out = bytearray()
    literal = 0  # where the bytes not yet written begin
    for start, length in [*((int(s), int(n)) for s, n in zip(starts, lengths, strict=True) if n >= 4), (len(raw), 0)]:
        for at in range(literal, start, 128):
            piece = raw[at : min(at + 128, start)]
            out += bytes((len(piece),)) + piece
        for left in range(length, 0, -127):
            out += bytes((128 + min(left, 127), raw[start]))
        literal = start + length
    return bytes(out)
