"""Arrays in JSON: type, shape, and zlib-compressed bytes in base64."""

import base64
import binascii
import math
import zlib
from typing import Any

import numpy as np

from worldloom.errors import InputError
from worldloom.occupancy.simulation.sensors import Array

DTYPES = ("uint8", "float32")
MAX_BYTES = 256 << 20  # of an array that is unpacked


def array_to_json(array: Array) -> dict[str, Any]:
    """An array of one of DTYPES, little-endian."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    data = base64.b64encode(zlib.compress(little.tobytes(), 1)).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def array_from_json(value: Any) -> Array:
    """What `array_to_json` made; the size is checked before anything is unpacked.

    Raises:
        InputError: something else, or damaged.
    """
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"} or value["dtype"] not in DTYPES:
        raise InputError(f"expected an array with dtype of {', '.join(DTYPES)}, shape and data, got {str(value)[:60]}")
    shape, data = value["shape"], value["data"]
    if not isinstance(shape, list) or not all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in shape):
        raise InputError(f"expected a shape of whole numbers, got {str(shape)[:60]}")
    dtype = np.dtype(value["dtype"]).newbyteorder("<")
    size = math.prod(shape) * dtype.itemsize
    if len(shape) > 8 or size > MAX_BYTES:
        raise InputError(f"expected an array of at most {MAX_BYTES} bytes and 8 axes, got {shape} of {value['dtype']}")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(data, validate=True), size + 1)
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise InputError(f"expected compressed bytes in base64, got {str(data)[:40]!r} ({error})") from None
    if len(raw) != size or not unpacker.eof:
        raise InputError(f"expected {size} bytes for an array {shape}, got {'more' if len(raw) > size else len(raw)}")
    return np.frombuffer(raw, dtype).reshape(shape).astype(value["dtype"])
