"""Work on many processes: the same files for any number of workers, after any interruption."""

import errno
import hashlib
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from worldloom.errors import InputError
from worldloom.geometry.io import atomic_path
from worldloom.synth.generate import Job, generate


def square(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    tell(0.5, "multiply")
    with atomic_path(folder / f"{number}.txt") as temporary:
        temporary.write_text(f"{number**2}\n")


def die_once(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    """As a machine that runs out of memory half-way through a file, the first time."""
    if not (folder.parent / "died").exists():
        (folder.parent / "died").touch()
        (folder / f".{number}.0badc0de.txt").write_text("half a fi")
        os.kill(os.getpid(), signal.SIGKILL)
    square(folder, tell, number)


def die_untidily(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    """As one that is killed while SUMO runs in a temporary folder."""
    (Path(tempfile.mkdtemp(prefix="worldloom_sumo_")) / "net.xml").write_text("a network")
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(folder / f"{number}.txt"))


def fill_disk_of_an_open_file(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def stumble(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    raise ZeroDivisionError(f"{folder} {number}")


def refuse(folder: Path, tell: Callable[[float, str], None], number: int) -> None:
    raise InputError(f"expected an even number, got {number} in {folder}")


def jobs(make=square) -> list[Job]:
    return [Job(f"square {i}", make if i == 2 else square, f"{i}.txt", {"number": i}) for i in range(6)]


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_killed_workers_leave_no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, folder = tmp_path / "scratch", tmp_path / "run"
    scratch.mkdir()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        list(generate(jobs(die_untidily), folder, 2))
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("num_workers", [1, 2, 9])
def test_any_number_of_workers_makes_the_same_files(tmp_path: Path, num_workers: int) -> None:
    told: dict[str, list[tuple[float, str]]] = {}
    for now in generate(jobs(), tmp_path, num_workers):
        told.setdefault(now.job.name, []).append((now.share, now.doing))
    assert told == {f"square {i}": [(0.5, "multiply"), (1.0, "")] for i in range(6)}
    assert [int((tmp_path / f"{i}.txt").read_text()) for i in range(6)] == [0, 1, 4, 9, 16, 25]
    assert not list(generate(jobs(), tmp_path, num_workers))  # nothing is done twice


def test_a_killed_worker_is_told_and_the_rest_is_made_later(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    list(generate(jobs(), whole, 2))
    with pytest.raises(ChildProcessError, match=r"square 2 ended by signal SIGKILL; what was finished is kept"):
        list(generate(jobs(die_once), broken, 2))
    assert (broken / ".2.0badc0de.txt").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in broken.glob("*.txt") if not path.name.startswith(".")}
    list(generate(jobs(die_once), broken, 1))
    assert digest(broken) == digest(whole)
    assert all((broken / name).stat().st_mtime_ns == time for name, time in kept.items())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (fill_disk, OSError, "No space left on device"),
        (stumble, RuntimeError, "ZeroDivisionError"),
        (refuse, InputError, "expected an even number, got 2"),
    ],
)
def test_what_a_job_says_is_heard(tmp_path: Path, make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(generate(jobs(make), tmp_path, 1))
    list(generate(jobs(), tmp_path, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.txt" for i in range(6)]


def test_stopping_early_leaves_no_process(tmp_path: Path) -> None:
    import multiprocessing

    for _ in generate(jobs(), tmp_path, 2):
        break
    assert not multiprocessing.active_children()


def test_workers_hear_no_ctrl_c_even_while_they_start(tmp_path: Path) -> None:
    import multiprocessing

    steps = generate(jobs(), tmp_path, 2)
    for now in steps:
        for process in multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGINT)
            ignored = Path(f"/proc/{process.pid}/status").read_text()
            blocked = int(next(line for line in ignored.splitlines() if line.startswith("SigBlk")).split()[1], 16)
            assert blocked & 1 << (signal.SIGINT - 1), now
    assert len(list(tmp_path.iterdir())) == 6


def test_no_workers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_workers >= 1, got 0"):
        list(generate(jobs(), tmp_path, 0))


def test_a_full_disk_is_named_where_only_its_file_knows(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as error:
        list(generate(jobs(fill_disk_of_an_open_file), tmp_path, 1))
    assert error.value.filename == str(tmp_path)
