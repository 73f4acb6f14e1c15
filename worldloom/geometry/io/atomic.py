"""Files that are whole or absent, and names that stay in their folder."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from worldloom.errors import InputError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(\.[^.]*)?")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary sibling to write to; it takes the name `path` when the block ends, and is removed when it raises.

    The sibling keeps the suffix, because many writers choose their format by it. Readers see the old file or the
    whole new one, never a part.

    Raises:
        InputError: if the folder of `path` does not exist, or `path` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"cannot write {path}: expected a file name, got a folder")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: str | Path) -> None:
    """Remove what a killed process left of its `atomic_path` files, in the folder and below."""
    for path in Path(folder).rglob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink()


def safe_join(folder: str | Path, name: str) -> Path:
    """`folder / name` for a name that stands in a file someone else wrote.

    Raises:
        InputError: if the name is empty or absolute, holds `..` (by / or by \\), or leads out of the folder by a link.
    """
    folder = Path(folder)
    parts = PureWindowsPath(name)  # splits at both kinds of slash, and sees drives
    if not name or "\0" in name or name.startswith(("/", "\\")) or parts.drive or ".." in parts.parts:
        raise InputError(f"expected a relative path inside {folder}, got {name!r}")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"expected a path inside {folder}, got {name!r}, which leads to {path.resolve()}")
    return path
