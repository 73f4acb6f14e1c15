"""A folder that grows: calls of one request add to it, and keep what is there."""

import json
import os
from pathlib import Path
from typing import Any

from worldloom.errors import InputError
from worldloom.geometry.io.json_file import load_json, save_json

REQUEST_FILE = ".request.json"


def open_collection(out: Path, request: dict[str, Any]) -> None:
    """Make the folder, or find that it was made for the same request.

    Args:
        request: all that decides what each file holds; which files are wanted is no part of it.
    Raises:
        InputError: the folder cannot be written, or another request made it.
    """
    asked = json.loads(json.dumps(request))  # as it will be read back
    for folder in (*reversed(out.absolute().parents), out.absolute()):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output {out} cannot be written: {folder} is not a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output {out} cannot be written: {error.strerror}") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"output {out} cannot be written: no write permission")
    path = out / REQUEST_FILE
    if path.exists():
        made = load_json(path, dict)
        if made != asked:
            told = (f"{key} {made.get(key)}, not {asked.get(key)}" for key in {**made, **asked}
                    if made.get(key) != asked.get(key))  # fmt: skip
            raise InputError(f"{out} had another request ({'; '.join(told)}); choose another --out")
        return
    save_json(path, asked)
