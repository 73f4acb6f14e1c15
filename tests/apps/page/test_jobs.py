"""The queue: one after another, each stoppable, none lost and none shared."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from worldloom.apps.page.jobs import MOST_OF_ONE, Job, Jobs
from worldloom.errors import InputError


def write(folder: Path, request: Mapping[str, Any]) -> None:
    (folder / "made").write_text(str(request["words"]))


def sleep(folder: Path, request: Mapping[str, Any]) -> None:
    (folder / "begun").write_text(str(os.getpid()))
    time.sleep(600)


def refuse(folder: Path, request: Mapping[str, Any]) -> None:
    raise InputError(f"{folder}/in.png: expected a picture, got words")


def fail(folder: Path, request: Mapping[str, Any]) -> None:
    raise KeyError("a fault")


def die(folder: Path, request: Mapping[str, Any]) -> None:
    os._exit(9)


@pytest.fixture
def ended() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def jobs(ended: list[tuple[str, str]]) -> Iterator[Jobs]:
    queue = Jobs(lambda job, state: ended.append((job.folder.name, state)))
    yield queue
    queue.close()


def until(what: Any, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_jobs_end_as_they_should_and_the_queue_goes_on(
    jobs: Jobs, ended: list[tuple[str, str]], tmp_path: Path
) -> None:
    asked = {"words": "hello"}
    mine: list[Job] = []
    for i, work in enumerate((refuse, fail, die, write)):
        until(lambda: not mine or mine[-1].over)
        mine.append(jobs.submit("me", folder(tmp_path, f"job{i}"), work, asked))
    until(lambda: mine[-1].over)
    assert [job.state for job in mine] == ["failed", "failed", "failed", "done"]
    assert "expected a picture" in mine[0].message
    assert "KeyError" in mine[1].message
    assert "exit code 9" in mine[2].message
    assert (tmp_path / "job3" / "made").read_text() == "hello"
    assert ended == [(f"job{i}", job.state) for i, job in enumerate(mine)]


def test_a_job_is_cancelled_at_work_and_in_the_queue_by_many_at_once(
    jobs: Jobs, ended: list[tuple[str, str]], tmp_path: Path
) -> None:
    first = jobs.submit("me", folder(tmp_path, "first"), sleep, {})
    second = jobs.submit("you", folder(tmp_path, "second"), sleep, {})
    third = jobs.submit("you", folder(tmp_path, "third"), write, {"words": "on"})
    assert jobs.before(third) == 2
    until((tmp_path / "first" / "begun").exists)
    pid = int((tmp_path / "first" / "begun").read_text())
    threads = [threading.Thread(target=jobs.cancel, args=(job,)) for job in (first, second) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: third.over)
    assert (first.state, second.state, third.state) == ("cancelled", "cancelled", "done")
    assert sorted(ended) == [("first", "cancelled"), ("second", "cancelled"), ("third", "done")], "each ends once"
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_jobs_are_found_by_their_own_visitor_alone(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.submit("me", folder(tmp_path, "mine"), sleep, {})
    assert jobs.find("me", job.name) is job
    assert jobs.find("you", job.name) is None
    assert jobs.unfinished("you") == []
    assert jobs.unfinished("me") == [job]


def test_nobody_fills_the_queue(jobs: Jobs, tmp_path: Path) -> None:
    for i in range(MOST_OF_ONE):
        jobs.submit("me", folder(tmp_path, str(i)), sleep, {})
    with pytest.raises(InputError, match=f"at most {MOST_OF_ONE} jobs at once"):
        jobs.submit("me", folder(tmp_path, "more"), sleep, {})
    jobs.submit("you", folder(tmp_path, "yours"), sleep, {})
