"""`worldloom batch verify`: every file against its hash, every shard against the manifest."""

import hashlib
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from worldloom.apps.batch.driving.kind import DrivingKind
from worldloom.apps.batch.folder import Batch, open_batch
from worldloom.apps.batch.shard import SUCCESS, Kind, Task, all_shards, shard_folder, success_of
from worldloom.apps.batch.store import Store, open_store
from worldloom.errors import InputError

_SHOWN = 20


@dataclass
class Findings:
    """What is right and what is not."""

    whole: int = 0
    missing: int = 0
    quarantined: int = 0
    remade: int = 0  # made again, with the same bytes
    faults: list[str] = field(default_factory=list)  # one line each
    files: int = 0
    bytes: int = 0

    @property
    def complete(self) -> bool:
        """All scenarios are there, and nothing is wrong."""
        return not (self.faults or self.missing or self.quarantined)


def verify_batch(address: str, remake: int = 0) -> int:
    """Say what is there; returns the exit code: 1 if anything is missing, wrong or in quarantine.

    Raises:
        InputError: no batch there, or fewer than no shards to make again.
    """
    if remake < 0:
        raise InputError(f"expected --remake of 0 or more, got {remake}")
    batch, console = open_batch(open_store(address)), Console(stderr=True)
    found = inspect(batch)
    if remake:
        batch.check_makers()
        make_again(batch, DrivingKind(batch.cache()), remake, found)
    for fault in found.faults[:_SHOWN]:
        console.print(f"  {fault}", highlight=False, markup=False, soft_wrap=True)
    if len(found.faults) > _SHOWN:
        console.print(f"  and {len(found.faults) - _SHOWN} more", highlight=False)
    counts = {
        "whole": found.whole,
        "made again with the same bytes": found.remade,
        "missing": found.missing,
        "in quarantine": found.quarantined,
        "faults": len(found.faults),
    }
    words = "; ".join(f"{count} {word}" for word, count in counts.items() if count or word in ("whole", "faults"))
    console.print(f"{words}; {found.files} files of {found.bytes / 1e6:.1f} MB", highlight=False, soft_wrap=True)
    return 0 if found.complete else 1


def inspect(batch: Batch) -> Findings:
    """Read every byte of a batch."""
    found, expected = Findings(), Counter[str]()
    given_up = set(batch.ledger.given_up())
    for task in batch.tasks():
        expected[task.shard] += 1
        fault = _fault_of(batch.store, task, found)
        if fault is None:
            found.whole += 1
        elif fault:
            found.faults.append(f"{task.shard} ({task.title}): {fault}")
        elif task.shard in given_up:
            found.quarantined += 1
        else:
            found.missing += 1
    for shard in all_shards(batch.store):
        if shard not in expected:
            found.faults.append(f"{shard}: a shard that is not of this manifest, code and weights")
    for shard in sorted(given_up - set(expected)):
        found.faults.append(f"quarantine/{shard}.json: of a scenario that is not in the manifest")
    return found


def make_again(batch: Batch, kind: Kind, count: int, found: Findings, seed: int = 0) -> None:
    """Make some of the whole shards anew and compare."""
    whole = [task.shard for task in batch.tasks() if success_of(batch.store, task.shard) is not None]
    chosen = frozenset(random.Random(seed).sample(whole, min(count, len(whole))))
    kind.open()
    for task in batch.tasks():
        if task.shard not in chosen:
            continue
        # Not in the store's scratch, which a driver that begins meanwhile would clear.
        with tempfile.TemporaryDirectory(prefix="worldloom-batch-") as folder:
            try:
                kind.make(task.spec, Path(folder))
                fault = _difference(batch.store, task, Path(folder))
            except InputError as error:
                fault = f"not possible: {error}"
        if fault:
            found.faults.append(f"{task.shard} ({task.title}): made again, {fault}")
        else:
            found.remade += 1


def _fault_of(store: Store, task: Task, found: Findings) -> str | None:
    """None: whole. Empty: not there. Else what is wrong with it."""
    name = shard_folder(task.shard)
    sizes = store.sizes(name)
    if not sizes:
        return ""
    success = success_of(store, task.shard)
    if success is None:
        return f"no {SUCCESS} that can be read; resume makes it again" if SUCCESS in sizes else ""
    for key, value in task.facts.items():
        if success.get(key) != value:
            return f"expected {key} {value}, got {success.get(key)}"
    if strangers := sorted(set(sizes) - {SUCCESS, *success["files"]}):
        return f"a file that does not belong there: {strangers[0]}"
    for file, facts in success["files"].items():
        content = store.read(f"{name}/{file}")
        if content is None:
            return f"{file} is not there"
        if len(content) != facts["bytes"] or hashlib.sha256(content).hexdigest() != facts["sha256"]:
            return f"{file} is not as it was written"
        found.files += 1
        found.bytes += len(content)
    return None


def _difference(store: Store, task: Task, folder: Path) -> str | None:
    success = success_of(store, task.shard) or {"files": {}}
    now = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    before = {name: facts["sha256"] for name, facts in success["files"].items()}
    differing = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    return f"{differing[0]} came out otherwise" if differing else None
