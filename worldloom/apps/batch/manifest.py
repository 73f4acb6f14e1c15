"""`manifest.jsonl`: one scenario a line, in canonical JSON. It is read as a stream: a million lines need no memory."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worldloom.apps.batch.spec import MAX_LINE, ScenarioSpec, spec_from_line
from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path

MAX_SCENARIOS = 10_000_000


@dataclass(frozen=True)
class ManifestFacts:
    """What a whole manifest says, after each of its lines was read."""

    count: int
    sha256: str  # of the canonical lines
    models: frozenset[str]


def save_manifest(path: str | Path, specs: Iterable[ScenarioSpec]) -> int:
    """Write the specs; returns how many. Equal specs give equal bytes.

    Raises:
        InputError: the folder does not exist.
    """
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for spec in specs:
            file.write(f"{spec.line()}\n")
            count += 1
    return count


def read_manifest(path: str | Path) -> Iterator[ScenarioSpec]:
    """The specs of a manifest, line by line; empty lines are passed over.

    Raises:
        InputError: no such file, or a line that is no spec: its number is named.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a manifest, got {error.strerror}") from error
    with file:
        number = 0
        # With a bound on each line, a file without line ends is not read into memory.
        while line := _line(file, path, number + 1):
            number += 1
            if number > MAX_SCENARIOS:
                raise InputError(f"{path}: expected at most {MAX_SCENARIOS} lines, got more")
            if line.strip():
                yield spec_from_line(_text(line, path, number), f"{path}, line {number}")


def check_manifest(path: str | Path) -> ManifestFacts:
    """Read all of a manifest.

    Raises:
        InputError: a line that is no spec, the same scenario twice, or no scenario at all.
    """
    whole, models = hashlib.sha256(), set()
    seen: dict[bytes, int] = {}  # 16 bytes each, not a spec: ten million need a gigabyte
    for number, spec in enumerate(read_manifest(path), start=1):
        whole.update(f"{spec.line()}\n".encode())
        models.add(spec.drawing.model)
        first = seen.setdefault(bytes.fromhex(spec.key), number)
        if first != number:
            raise InputError(f"{path}: expected each scenario once, got number {first} again as number {number}")
    if not seen:
        raise InputError(f"{path}: expected at least one scenario, got none")
    return ManifestFacts(len(seen), whole.hexdigest(), frozenset(models))


def _line(file: BinaryIO, path: Path, number: int) -> bytes:
    line = file.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise InputError(f"{path}, line {number}: expected a line of at most {MAX_LINE} bytes, got more")
    return line


def _text(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8").rstrip(os.linesep)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number}: expected UTF-8, got {error.reason}") from error
