"""Scenarios that cost nothing: real files of real workers, with what can go wrong on request.

`python -m tests.apps.batch.cheap OUT COUNT WORKERS [BACKEND]` makes, or goes on with, a batch of them.
"""

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from worldloom.apps.batch.backends import Backend
from worldloom.apps.batch.backends.inline import InlineBackend
from worldloom.apps.batch.backends.local import LocalBackend
from worldloom.apps.batch.engine import RETRIES, Tally, drive
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.progress import Progress
from worldloom.apps.batch.shard import Task
from worldloom.apps.batch.store import LocalStore, Store, driving_alone, open_store


@dataclass(frozen=True)
class Cheap:
    """Two files that follow from the number; `do` names a fault, `once` a file that lets it happen only once."""

    pause: float = 0.0

    def open(self) -> None:
        pass

    def make(self, spec: dict[str, Any], folder: Path) -> dict[str, float]:
        (folder / "number.txt").write_text(f"{spec['number']}\n")
        time.sleep(self.pause)
        marker = spec.get("once")
        if not (marker and Path(marker).exists()):
            if marker:
                Path(marker).touch()
            _misbehave(spec.get("do"), folder)
        digits = hashlib.sha256(str(spec["number"]).encode()).hexdigest() * 1000
        (folder / "digits.txt").write_text(digits)
        return {"model": self.pause}

    def check(self, spec: dict[str, Any], folder: Path) -> None:
        if not (folder / "digits.txt").read_text().startswith(hashlib.sha256(str(spec["number"]).encode()).hexdigest()):
            raise ValueError(f"expected the digits of {spec['number']}")


def _misbehave(what: str | None, folder: Path) -> None:
    if what == "raise":
        raise ArithmeticError("this scenario is poison")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(600)
    if what == "fill":
        os.symlink("/dev/full", folder / "digits.txt")  # whoever writes there meets a disk without room


def tasks(count: int, **faults: dict[str, Any]) -> list[Task]:
    """Numbered tasks; `n3={"do": "raise"}` gives the third a fault."""
    made = []
    for i in range(count):
        spec = {"number": i, **faults.get(f"n{i}", {})}
        name = hashlib.sha256(f"cheap {i}".encode()).hexdigest()[:32]
        made.append(Task(name, spec, f"scenario {i}", {"code": "cheap"}))
    return made


def make(
    store: Store,
    wanted: list[Task],
    num_workers: int = 2,
    kind: Cheap = Cheap(),
    backend: Backend | None = None,
    retries: int = RETRIES,
    limit: int | None = None,
    pardon: bool = False,
    timeout: float | None = None,
) -> Tally:
    """Run the engine on a store, as the command does."""
    if backend is None:
        backend = LocalBackend(store.address, kind, num_workers, timeout) if num_workers else InlineBackend(store, kind)
    ledger, progress = Ledger(store), Progress(Console(stderr=True), len(wanted))
    with driving_alone(store), ledger.journal() as journal, progress.shown():
        return drive(ledger, wanted, backend, journal, progress, retries=retries, limit=limit, pardon=pardon)


def contents(folder: Path) -> dict[str, bytes]:
    """All that a batch is: every file but the journal and the locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if path.name != "journal.jsonl" and not path.name.startswith(".")
    }


if __name__ == "__main__":
    out, count, workers = sys.argv[1:4]
    tally = make(open_store(out), tasks(int(count)), int(workers), Cheap(pause=0.05))
    print(f"{tally.made} made, {tally.there} there")
    assert isinstance(open_store(out), LocalStore)
