"""What a batch writes down beside its shards: who was given up and why, and when and how fast the others were made."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TextIO

from worldloom.apps.batch.shard import Task
from worldloom.apps.batch.store import LocalStore, Store

QUARANTINE, JOURNAL = "quarantine", "journal.jsonl"


class Journal:
    """Lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def note(self, **entry: Any) -> None:
        """Write a line, with the time."""
        self._file.write(json.dumps({"at": round(time.time(), 3), **entry}) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Ledger:
    """The books of the batch in a store."""

    store: Store

    def given_up(self) -> list[str]:
        """Shards in quarantine."""
        return sorted(name.removesuffix(".json") for name in self.store.sizes(QUARANTINE) if name.endswith(".json"))

    def reasons(self, shard: str) -> dict[str, Any] | None:
        """Why a scenario was given up; None if it was not."""
        text = self.store.read(f"{QUARANTINE}/{shard}.json")
        return None if text is None else json.loads(text)

    def give_up(self, task: Task, failures: list[dict[str, str]]) -> None:
        """Put a scenario into quarantine."""
        content = {"shard": task.shard, "title": task.title, "spec": task.spec, "failures": failures}
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        self.store.write(f"{QUARANTINE}/{task.shard}.json", text.encode())

    def pardon(self, shard: str) -> None:
        """Take a scenario out of quarantine."""
        self.store.remove(f"{QUARANTINE}/{shard}.json")

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """To note down what happens; in an object store each run has a file of its own."""
        if isinstance(self.store, LocalStore):
            self.store.root.mkdir(parents=True, exist_ok=True)
            with (self.store.root / JOURNAL).open("a", encoding="utf-8") as file:
                file.write("\n")  # after a line that a kill cut off
                yield Journal(file)
            return
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            try:
                yield Journal(file)
            finally:
                file.seek(0)
                self.store.write(f"journal-{time.time_ns()}.jsonl", file.read().encode())

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was noted down, without lines that a kill cut off."""
        for name in sorted(self.store.sizes("")):
            if name.startswith("journal") and name.endswith(".jsonl"):
                for line in (self.store.read(name) or b"").splitlines():
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(entry, dict):
                        yield entry


def next_attempt(task: Task) -> Task:
    """The same once more."""
    return replace(task, attempt=task.attempt + 1)
