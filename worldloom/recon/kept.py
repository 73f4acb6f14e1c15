"""Results of a long job's steps, kept in files from which the same job goes on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from worldloom.errors import InputError
from worldloom.geometry.io.json_file import load_json, save_json

ASKED = ".asked.json"

T = TypeVar("T")


def kept(path: Path | None, make: Callable[[], T], save: Callable[[Path, T], None], load: Callable[[Path], T]) -> T:
    """What `make` makes; or what an earlier call kept in the file, which `save` writes whole or not at all.

    A new result, too, is read back, so that a job which went on ends as one that never stopped.
    """
    if path is None:
        return make()
    if not path.exists():
        save(path, make())
    return load(path)


def claim(folder: Path, request: Mapping[str, object]) -> None:
    """Keep results in `folder` for this request, as JSON, and for no other.

    Raises:
        InputError: the folder keeps those of another request.
    """
    path = folder / ASKED
    asked = json.loads(json.dumps(request))  # as it will be read back
    if path.exists():
        if load_json(path, dict) != asked:
            raise InputError(f"{folder} holds the steps of another reconstruction; choose another folder")
        return
    save_json(path, asked)
