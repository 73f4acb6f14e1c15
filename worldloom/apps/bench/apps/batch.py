"""Batches of scenarios: how many in an hour, what the engine costs, and what kills lose."""

import hashlib
import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from worldloom.apps.batch.command import RunOptions, run_batch, usual_workers
from worldloom.apps.batch.folder import open_batch
from worldloom.apps.batch.ledger import JOURNAL
from worldloom.apps.batch.plan import write_plan
from worldloom.apps.batch.shard import all_shards
from worldloom.apps.batch.store import LocalStore
from worldloom.apps.batch.sweep import sweep_from_json
from worldloom.apps.bench.result import Row

_OWN = ("source", "load", "model", "scores", "files", "picture")  # parts of a scenario's own work
_KILLS = 20
_SMALL = {"past": 1, "horizon": 1, "model": "copy-warp", "score": False, "moments": {"every": 2}}


def batch_rows(quick: bool) -> list[Row]:
    """Throughput and overhead of the learned model's scenarios, and twenty kills of small ones."""
    return [*_speed_rows(quick), _kill_row(quick)]


def _speed_rows(quick: bool) -> list[Row]:
    workers = usual_workers()
    values: dict[str, Any] = {"moments": {"every": 8}, "path": ["straight"] if quick else ["straight", "left", "log"]}
    if not quick:
        values |= {"speed": [4, 8], "seeds": "0:2"}
    with tempfile.TemporaryDirectory() as name:
        manifest, out = Path(name) / "manifest.jsonl", Path(name) / "batch"
        count = _plan(values, manifest)
        run_batch(manifest, str(out), RunOptions(num_workers=workers))
        entries = [entry for entry in open_batch(LocalStore(out)).ledger.entries() if "seconds" in entry]
        size = sum(path.stat().st_size for path in (out / "shards").rglob("*") if path.is_file())
    spent = {part: sum(entry["seconds"].get(part, 0.0) for entry in entries) for part in _OWN}
    per_hour, beyond = steady_rate(entries)
    model = spent["model"]
    about = f"{count} scenarios of 3 s (6 frames) from 4 past frames, weights small, {workers} worker processes"
    shares = {part: 100 * spent[part] / model for part in ("source", "scores", "files", "picture")}
    # The first scenario of each worker loads the weights: of many it is one of thousands.
    later = [entry for entry in entries if entry["seconds"].get("load", 0.0) < 0.1] or entries
    return [
        Row(
            "batch_scenarios_per_hour", per_hour, "1/h", "",
            {"the model alone": 3600 * workers * len(entries) / model}, f"{about}; from the first result on",
        ),
        Row(
            "batch_overhead", 100 * beyond / model, "%", "<= 5", shares,
            f"reading back, hashing, renaming, pipes and waiting, over the model's own time; {about}. The baselines "
            "are a scenario's other work over the same",
        ),
        Row(
            "batch_core_seconds", statistics.fmean(entry["seconds"]["cpu"] for entry in later), "s", "",
            {}, f"processor time of a scenario with scores, voxels and picture, weights loaded; {about}",
        ),
        Row("batch_scenario_size", size / len(entries) / 1000, "kB", "", {}, f"five files; {about}"),
    ]  # fmt: skip


def steady_rate(entries: Iterable[dict[str, Any]]) -> tuple[float, float]:
    """Scenarios in an hour, and the seconds that were no scenario's own work, from each worker's first result on.

    Args:
        entries: of the journal: when the driver heard of each shard, who made it, and its seconds by part.
    """
    by_worker: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        by_worker[entry["worker"]].append(entry)
    seconds = beyond = 0.0
    count = 0
    for mine in by_worker.values():
        for before, after in itertools.pairwise(mine):
            took = after["at"] - before["at"]
            seconds += took
            beyond += took - sum(after["seconds"].get(part, 0.0) for part in _OWN)
            count += 1
    per_hour = 3600 * count * len(by_worker) / seconds if seconds > 0 else float("nan")
    # Each worker's first scenario is not among the steps; the others stand for it.
    return per_hour, beyond * (count + len(by_worker)) / count if count else float("nan")


def _kill_row(quick: bool) -> Row:
    """Kill a driver or one of its workers at a random moment, resume, and compare with a batch that nobody killed."""
    kills, dice = 2 if quick else _KILLS, random.Random(0)
    wrong = found_before = 0
    with tempfile.TemporaryDirectory() as name:
        manifest = Path(name) / "manifest.jsonl"
        count = _plan(_SMALL, manifest)
        _command("run", str(manifest), "--out", f"{name}/whole", "--num-workers", "1")
        whole = tree(Path(name) / "whole")
        for number in range(kills):
            out = Path(name) / f"killed-{number}"
            found_before += _kill(manifest, out, count, dice, kill_driver=number % 2 == 0)
            # A driver that dies before its batch has a header leaves nothing to resume: the same command runs again.
            verb = ["resume", str(out)] if (out / "batch.json").exists() else ["run", str(manifest), "--out", str(out)]
            code = _command(*verb, "--num-workers", "2")
            wrong += code not in (0, 3) or tree(out) != whole
    note = (
        f"{kills} SIGKILLs at random moments, of the driver and of a worker by turns, {count} scenarios each, "
        f"{found_before} shards there at the kill in all; then resume: batches that differ in any byte"
    )
    return Row("kill_resume_lost", wrong, "", "<= 0", {}, note)


def _kill(manifest: Path, out: Path, count: int, dice: random.Random, kill_driver: bool) -> int:
    """Returns how many shards were there."""
    driver = subprocess.Popen(
        [*_python(), "run", str(manifest), "--out", str(out), "--num-workers", "2"], stderr=subprocess.DEVNULL
    )
    goal, store = dice.randrange(count), LocalStore(out)
    while driver.poll() is None and len(all_shards(store)) < goal:
        time.sleep(0.01)
    time.sleep(dice.random() * 0.5)
    there = len(all_shards(store))
    workers = _workers_of(driver.pid)
    if kill_driver or not workers:
        driver.kill()
    else:
        os.kill(dice.choice(workers), signal.SIGKILL)
    driver.wait()
    return there


def _workers_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in path.with_name("cmdline").read_bytes():
                found.append(int(path.parent.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


def tree(folder: Path) -> dict[str, str]:
    """Every file of a batch by its hash, the journal and what is hidden left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != JOURNAL and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _plan(values: dict[str, Any], manifest: Path) -> int:
    return write_plan(
        sweep_from_json({"sources": {"clip": "sample:street"}, **values}, "benchmark"), manifest
    ).scenarios


def _command(*arguments: str) -> int:
    return subprocess.run([*_python(), *arguments], stderr=subprocess.DEVNULL, check=False).returncode


def _python() -> list[str]:
    return [sys.executable, "-m", "worldloom.apps.cli", "batch"]
