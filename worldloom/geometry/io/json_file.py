"""JSON files: read with the shape of their outermost value checked, and written whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path

T = TypeVar("T", dict, list)  # bare: beartype cannot check type[dict[str, Any]]
MAX_BYTES = 2 << 30  # the largest table of nuScenes trainval, sample_data, has 1.3 GB


def load_json(path: Path, kind: type[T]) -> T:
    """The file's outermost value, an object (`dict`) or an array (`list`).

    Raises:
        InputError: no such file, not JSON, larger than 2 GiB, or another kind of value.
    """
    words = {dict: "an object", list: "an array"}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: expected JSON of at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected {words[kind]} as JSON, got {error}") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: expected {words[kind]} as JSON, got {type(value).__name__}")
    return value


def save_json(path: str | Path, content: Mapping[str, object]) -> None:
    """Write the object whole or not at all.

    Raises:
        ValueError: it holds NaN or infinity, which JSON does not know.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
