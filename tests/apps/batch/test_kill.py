"""Killed at a random moment, a batch goes on to the same tree: nothing lost, nothing doubled, nobody left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.apps.batch.cheap import contents, make, tasks
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.shard import all_shards
from worldloom.apps.batch.store import LocalStore, driving_alone
from worldloom.errors import InputError

ROOT = Path(__file__).parents[3]
COUNT, KILLS = 120, 20


def start(out: Path, stdout: int = subprocess.DEVNULL) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.apps.batch.cheap", str(out), str(COUNT), "2"],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def children(pid: int) -> list[int]:
    """Processes whose parent it is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def workers_of(pid: int) -> list[int]:
    """Those of its children that do the work; Python's resource tracker is one, too."""
    return [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def lives(pid: int) -> bool:
    """Whether a process is at work; one that nobody has reaped yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_shards(process: subprocess.Popen, out: Path, count: int) -> None:
    while process.poll() is None and len(all_shards(LocalStore(out))) < count:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    make(LocalStore(folder), tasks(COUNT), num_workers=0)
    return contents(folder)


def kill(process: subprocess.Popen, victim: int) -> None:
    """And wait until nobody of the batch is left, if the victim is the driver."""
    workers = workers_of(process.pid)
    with suppress(ProcessLookupError):  # a worker that another kill has taken along
        os.kill(victim, signal.SIGKILL)
    if victim != process.pid:
        return
    process.wait()
    deadline = time.monotonic() + 60
    while any(map(lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(lives, workers))


@pytest.mark.slow
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """One batch, whose driver and workers are killed by turns at random moments until it is made."""
    dice, out = random.Random(0), tmp_path / "batch"
    process, found = start(out), []
    for number in range(KILLS):
        if process.poll() is not None:
            process = start(out)
        goal = len(all_shards(LocalStore(out))) + dice.randrange(3)
        wait_for_shards(process, out, goal)
        time.sleep(dice.random() * 0.05)  # in the midst of a shard, or of its publishing
        found.append(len(all_shards(LocalStore(out))))
        kill(process, process.pid if number % 4 == 3 else dice.choice([*workers_of(process.pid), process.pid]))
    process.wait()
    assert 0 < found[4] < found[-1] < COUNT  # the kills were in the middle
    tally = make(LocalStore(out), tasks(COUNT), 2)
    assert tally.made + tally.there == COUNT
    assert (tally.failed, tally.made > 0) == (0, True)
    assert contents(out) == whole
    made = [entry["shard"] for entry in Ledger(LocalStore(out)).entries() if "cause" not in entry and entry["seconds"]]
    assert len(made) == len(set(made))


@pytest.mark.slow
def test_a_driver_outlives_its_workers(tmp_path: Path, whole: dict[str, bytes]) -> None:
    dice = random.Random(0)
    process = start(tmp_path, subprocess.PIPE)
    for count in (4, 40, 90):
        wait_for_shards(process, tmp_path, count)
        workers = workers_of(process.pid)
        if workers:
            os.kill(dice.choice(workers), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said == f"{COUNT} made, 0 there\n"
    assert contents(tmp_path) == whole


def test_two_drivers_do_not_meet(tmp_path: Path) -> None:
    with driving_alone(LocalStore(tmp_path)), pytest.raises(InputError, match="being run by another command"):
        make(LocalStore(tmp_path), tasks(1), 0)
    assert make(LocalStore(tmp_path), tasks(1), 0).made == 1
