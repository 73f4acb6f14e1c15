"""One scenario's folder in a batch: built aside, read back, moved to its place, and only then declared whole.

    build in a scratch folder -> read back -> publish -> write _SUCCESS.json with sizes and hashes, last of all

A shard is there if its _SUCCESS.json is, and its files have the sizes that it names. Two workers that make the same
shard make the same bytes, so that it does no harm which of them is last.
"""

import errno
import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from worldloom.apps.batch.store import Store
from worldloom.errors import InputError

SUCCESS = "_SUCCESS.json"
SHARDS = "shards"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@runtime_checkable
class Kind(Protocol):
    """What scenarios are made of. It travels to the workers, so it can be pickled."""

    def open(self) -> None:
        """Called once in each worker, before the first scenario."""
        ...

    def make(self, spec: dict[str, Any], folder: Path) -> dict[str, float]:
        """Write a scenario's files, and nothing that depends on when or where; returns seconds by part."""
        ...

    def check(self, spec: dict[str, Any], folder: Path) -> None:
        """Read the files back.

        Raises:
            InputError: something is missing or damaged.
        """
        ...


@dataclass(frozen=True)
class Task:
    """A scenario for a worker."""

    shard: str  # its name: hex digits of all that decides its content
    spec: dict[str, Any]  # plain JSON, for the kind
    title: str  # for people
    facts: dict[str, Any] = field(default_factory=dict)  # for _SUCCESS.json
    attempt: int = 1


class NoRoom(OSError):
    """The disk is full, or may not be written: no fault of the scenario, so nothing is tried again."""


def shard_folder(shard: str) -> str:
    """Its name in the store: 4,096 folders, so that a million shards are 244 in each."""
    return f"{SHARDS}/{shard[:3]}/{shard}"


def make_shard(task: Task, kind: Kind, store: Store) -> dict[str, float]:
    """Make a shard that is not there yet; returns seconds by part, empty if it was there.

    Raises:
        NoRoom: the place of the store is full.
        Exception: whatever the scenario raises.
    """
    name = shard_folder(task.shard)
    if finished(store, task.shard) is not None:
        return {}
    folder: Path | None = None
    start, cpu = time.perf_counter(), time.process_time()
    try:
        folder = store.scratch()
        seconds = kind.make(task.spec, folder)
        made = time.perf_counter()
        kind.check(task.spec, folder)
        success = {"shard": task.shard, **task.facts, "files": _listing(folder)}
        checked = time.perf_counter()
        store.publish(folder, name)
        store.write(f"{name}/{SUCCESS}", (json.dumps(success, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoom(error.errno, error.strerror, error.filename) from error
        raise
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    end = time.perf_counter()
    return {
        **seconds,
        "check": checked - made,
        "publish": end - checked,
        "whole": end - start,
        "cpu": time.process_time() - cpu,
    }


def finished(store: Store, shard: str) -> dict[str, Any] | None:
    """The shard's _SUCCESS.json, where all files that it names are there in their sizes; else None."""
    success = success_of(store, shard)
    if success is None:
        return None
    sizes = store.sizes(shard_folder(shard))
    whole = all(sizes.get(name) == facts["bytes"] for name, facts in success["files"].items())
    return success if whole else None


def success_of(store: Store, shard: str) -> dict[str, Any] | None:
    """The content of _SUCCESS.json; None where there is none, or it is damaged."""
    text = store.read(f"{shard_folder(shard)}/{SUCCESS}")
    try:
        success = json.loads(text or b"")
    except ValueError:
        return None
    fits = isinstance(success, dict) and success.get("shard") == shard and isinstance(success.get("files"), dict)
    return success if fits and all(_named(facts) for facts in success["files"].values()) else None


def all_shards(store: Store) -> list[str]:
    """Names of all shard folders, whole or not."""
    return [shard for part in store.folders(SHARDS) for shard in store.folders(f"{SHARDS}/{part}")]


def _named(facts: object) -> bool:
    return isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)


def _listing(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(folder.iterdir())
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"expected a scenario to write files, got {len(files)} entries")
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in files
    }
