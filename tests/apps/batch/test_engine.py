"""The engine with scenarios that cost nothing: what fails, what is tried again, and that no number of workers shows."""

import errno
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.apps.batch.cheap import Cheap, contents, make, tasks
from worldloom.apps.batch.backends import Outcome
from worldloom.apps.batch.backends.local import LocalBackend
from worldloom.apps.batch.engine import OutOfRoom, Tally, missing
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.progress import Progress
from worldloom.apps.batch.shard import SUCCESS, Task, all_shards, finished, shard_folder
from worldloom.apps.batch.store import LocalStore
from worldloom.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "batch")


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """Eight scenarios, made one after the other in this process."""
    make(LocalStore(tmp_path / "whole"), tasks(8), num_workers=0)
    return contents(tmp_path / "whole")


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_any_number_of_workers_makes_the_same_bytes(store: LocalStore, whole: dict, num_workers: int) -> None:
    tally = make(store, tasks(8), num_workers)
    assert (tally.made, tally.there, tally.failed) == (8, 0, 0)
    assert contents(store.root) == whole
    assert len(whole) == 8 * 3
    assert not (store.root / ".staging").exists()


def test_success_names_every_file_with_its_size_and_hash(store: LocalStore) -> None:
    make(store, tasks(1), 0)
    (task,) = tasks(1)
    folder = store.root / shard_folder(task.shard)
    success = json.loads((folder / SUCCESS).read_text())
    assert success["code"] == "cheap"
    assert set(success["files"]) == {"number.txt", "digits.txt"} == {p.name for p in folder.iterdir()} - {SUCCESS}
    assert success["files"]["number.txt"]["bytes"] == 2
    # sha256("0\n"), by sha256sum
    assert success["files"]["number.txt"]["sha256"].startswith("9a271f2a916b0b6e")


def test_what_is_there_is_not_made_again(store: LocalStore, whole: dict) -> None:
    first = make(store, tasks(8), 0, limit=3)
    assert (first.made, first.there) == (3, 0)
    times = {path: path.stat().st_mtime_ns for path in store.root.glob("shards/*/*/*")}
    second = make(store, tasks(8), 0)
    assert (second.made, second.there) == (5, 3)
    assert times.items() <= {path: path.stat().st_mtime_ns for path in store.root.glob("shards/*/*/*")}.items()
    third = make(store, tasks(8), 0)
    assert (third.made, third.there, third.nothing_to_do) == (0, 8, True)
    assert contents(store.root) == whole


def break_success(folder: Path) -> None:
    (folder / SUCCESS).unlink()


def cut_success(folder: Path) -> None:
    (folder / SUCCESS).write_bytes((folder / SUCCESS).read_bytes()[:40])


def cut_file(folder: Path) -> None:
    (folder / "digits.txt").write_text("")


def lose_file(folder: Path) -> None:
    (folder / "number.txt").unlink()


def swap_success(folder: Path) -> None:
    (folder / SUCCESS).write_text((folder / SUCCESS).read_text().replace(folder.name, "0" * 32))


def null_success(folder: Path) -> None:
    (folder / SUCCESS).write_text("null")


@pytest.mark.parametrize("damage", [break_success, cut_success, cut_file, lose_file, swap_success, null_success])
def test_a_damaged_shard_is_made_again(store: LocalStore, whole: dict, damage) -> None:
    make(store, tasks(8), 0)
    damage(store.root / shard_folder(tasks(8)[4].shard))
    assert [task.title for task in missing(Ledger(store), tasks(8))] == ["scenario 4"]
    tally = make(store, tasks(8), 0)
    assert (tally.made, tally.there) == (1, 7)
    assert contents(store.root) == whole


@pytest.mark.parametrize("num_workers", [0, 2])
def test_poison_is_tried_three_times_and_quarantined_with_its_tracebacks(store: LocalStore, num_workers: int) -> None:
    tally = make(store, tasks(6, n2={"do": "raise"}), num_workers)
    assert (tally.made, tally.quarantined, tally.retried) == (5, 1, 2)
    (name,) = Ledger(store).given_up()
    assert name == tasks(6)[2].shard
    record = json.loads((store.root / f"quarantine/{name}.json").read_text())
    assert record["title"] == "scenario 2"
    assert record["spec"]["number"] == 2
    assert [failure["cause"] for failure in record["failures"]] == ["error"] * 3
    assert "this scenario is poison" in record["failures"][0]["message"]
    assert "_misbehave" in record["failures"][2]["traceback"]
    assert len(all_shards(store)) == 5


def test_quarantine_is_left_alone_until_it_is_pardoned(store: LocalStore, tmp_path: Path, whole: dict) -> None:
    poison = {"do": "raise", "once": ""}
    make(store, tasks(8, n2=poison), 0, retries=0)
    again = make(store, tasks(8, n2=poison), 0)
    assert (again.made, again.in_quarantine, again.failed, again.nothing_to_do) == (0, 1, 1, True)
    mended = make(store, tasks(8), 0, pardon=True)
    assert (mended.made, mended.there, mended.failed) == (1, 7, 0)
    assert Ledger(store).given_up() == []
    assert contents(store.root) == whole


def test_a_scenario_that_kills_its_worker_takes_nobody_with_it(store: LocalStore) -> None:
    tally = make(store, tasks(8, n1={"do": "die"}), 2)
    assert (tally.made, tally.quarantined, tally.retried) == (7, 1, 2)
    record = Ledger(store).reasons(tasks(8)[1].shard)
    assert record is not None
    assert [failure["message"] for failure in record["failures"]] == ["its process ended by SIGKILL"] * 3


def test_a_worker_that_dies_once_leaves_no_trace(store: LocalStore, tmp_path: Path, whole: dict) -> None:
    marker = str(tmp_path / "died")
    tally = make(store, tasks(8, n5={"do": "die", "once": marker}), 2)
    assert (tally.made, tally.failed, tally.retried) == (8, 0, 1)
    make(store, tasks(8), 0)  # staging of the dead worker is cleared by the next driver
    assert contents(store.root) == whole
    assert not list((store.root / ".staging").glob("*"))


def test_a_scenario_that_hangs_is_stopped(store: LocalStore, tmp_path: Path, whole: dict) -> None:
    tally = make(store, tasks(8, n0={"do": "hang", "once": str(tmp_path / "hung")}), 1, timeout=1.0)
    assert (tally.made, tally.retried) == (8, 1)
    assert contents(store.root) == whole


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_full_disk_stops_the_run_and_blames_no_scenario(store: LocalStore, whole: dict, num_workers: int) -> None:
    with pytest.raises(OutOfRoom, match="No space left"):
        make(store, tasks(8, n3={"do": "fill"}), num_workers)
    assert Ledger(store).given_up() == []
    tally = make(store, tasks(8), num_workers)
    assert tally.made + tally.there == 8
    assert tally.failed == 0
    assert contents(store.root) == whole


@pytest.mark.parametrize("step", ["scratch", "publish", "write"])
def test_a_disk_that_fills_at_any_step_is_no_fault_of_a_scenario(
    store: LocalStore, whole: dict, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real, calls = getattr(LocalStore, step), []

    def full(self: LocalStore, *arguments: object) -> object:
        calls.append(step)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", "somewhere")
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, step, full)
        with pytest.raises(OutOfRoom):
            make(store, tasks(8), 0)
    assert make(store, tasks(8), 0).failed == 0
    assert contents(store.root) == whole


def test_no_more_than_twice_the_workers_are_in_flight(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    most, now = [0], [0]
    submit, wait = LocalBackend.submit, LocalBackend.wait

    def counted_submit(self: LocalBackend, task: Task) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        submit(self, task)

    def counted_wait(self: LocalBackend, seconds: float) -> list[Outcome]:
        outcomes = wait(self, seconds)
        now[0] -= len(outcomes)
        return outcomes

    monkeypatch.setattr(LocalBackend, "submit", counted_submit)
    monkeypatch.setattr(LocalBackend, "wait", counted_wait)
    assert make(store, tasks(20), 2).made == 20
    assert most == [4]


def test_a_worker_that_never_begins_is_not_started_for_ever(store: LocalStore) -> None:
    with pytest.raises(ChildProcessError, match="ended before they began"):
        make(store, tasks(3), 1, kind=DiesAtOpen())


class DiesAtOpen(Cheap):
    """A kind whose worker cannot start, as where a library is broken."""

    def open(self) -> None:
        raise SystemExit(7)


@pytest.mark.parametrize(("retries", "limit"), [(-1, None), (0, 0), (0, -5)])
def test_numbers_that_cannot_be(store: LocalStore, retries: int, limit: int | None) -> None:
    with pytest.raises(InputError, match=f"got {retries} and {limit}"):
        make(store, tasks(1), 0, retries=retries, limit=limit)


def test_the_time_left_is_that_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred scenarios, ten of them there, a limit of five, two of those made, one a second: 3 s left."""
    monkeypatch.setattr(Progress, "per_hour", lambda self: 3600.0)
    tally = Tally(made=2, there=10)
    assert Progress(Console(), 100, 5)._rate_words(tally) == "3600/h, 3 s left"
    assert Progress(Console(), 100)._rate_words(tally) == "3600/h, 1 min 28 s left"


def test_the_journal_says_what_a_scenario_took(store: LocalStore) -> None:
    make(store, tasks(1), 0, kind=Cheap(pause=0.2))
    (entry,) = Ledger(store).entries()
    seconds = entry["seconds"]
    assert {"check", "publish", "whole", "cpu"} <= set(seconds)
    assert seconds["cpu"] + 0.1 < seconds["whole"]  # who sleeps needs no processor
    assert seconds["check"] + seconds["publish"] < seconds["whole"]


def test_the_journal_survives_a_line_that_was_cut(store: LocalStore) -> None:
    make(store, tasks(2), 0)
    journal = store.root / "journal.jsonl"
    journal.write_text(journal.read_text()[:-20])
    make(store, tasks(4), 0)
    shards = [entry["shard"] for entry in Ledger(store).entries()]
    expected = [task.shard for task in tasks(4)]
    assert shards == [expected[0], *expected[2:]]


def test_a_finished_shard_of_another_worker_is_kept(store: LocalStore) -> None:
    make(store, tasks(1), 0)
    (task,) = tasks(1)
    before = finished(store, task.shard)
    built = store.scratch()
    (built / "number.txt").write_text("another")
    store.publish(built, shard_folder(task.shard))  # a late one replaces all of it, so it is not whole any more
    assert before is not None
    assert finished(store, task.shard) is None
