"""An output folder that is there whole or not at all, and a run that can be interrupted and resumed."""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from worldloom import __version__
from worldloom.apps.termination import Terminated
from worldloom.errors import InputError

REPORT = "report.json"
MADE_BY = "worldloom"
_STAGES = ".stages.json"
BOOKKEEPING = (".request.json", _STAGES, ".lock")  # of a run that is not finished


@dataclass
class Run:
    """A run in progress. Files are written to `folder`; when all is done it becomes the output folder by one rename."""

    folder: Path
    request: dict
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)  # of each finished stage
    warnings: list[str] = field(default_factory=list)
    already_finished: bool = False

    @contextmanager
    def stage(self, name: str, quiet: bool = False) -> Iterator[bool]:
        """`with run.stage("distance") as todo:`; todo is False where an interrupted run had finished this stage.

        What a finished stage hands to the next one must lie in `folder`. A quiet stage shows its own progress.
        """
        if name in self.seconds:
            self.console.print(f"  {name:<12} kept from the interrupted run", highlight=False)
            yield False
            return
        start = time.perf_counter()
        self._note_stages(running=name)
        with nullcontext() if quiet else self.console.status(f"  {name} …"):
            yield True
        self.seconds[name] = round(time.perf_counter() - start, 3)
        self._note_stages()
        self.console.print(f"  {name:<12} {self.seconds[name]:6.1f} s", highlight=False)

    def warn(self, message: str) -> None:
        """Tell the user now and keep it for the report."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.console.print(f"  note: {message}", highlight=False, soft_wrap=True)

    def _note_stages(self, running: str | None = None) -> None:
        told = {"seconds": self.seconds, "warnings": self.warnings, "running": running}
        _write_json(self.folder / _STAGES, told)

    def report(self, results: dict) -> None:
        """Write report.json: the request, what came out, how long it took, and every file with its size."""
        files = {
            path.relative_to(self.folder).as_posix(): path.stat().st_size
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
        head = {"made_by": MADE_BY, "version": __version__, "request": self.request}
        tail = {"seconds": self.seconds, "warnings": self.warnings, "files": files}
        _write_json(self.folder / REPORT, {**head, **results, **tail})


@dataclass(frozen=True)
class RunProgress:
    """How far a run is, seen from outside."""

    folder: Path  # where it works
    seconds: dict[str, float]  # of each finished stage
    running: str | None  # the stage under way

    @classmethod
    def of(cls, out: Path) -> "RunProgress":
        """Of the run that is to become `out`; before its first stage, nothing is finished and nothing runs."""
        work = _work_folder(Path(os.path.abspath(out)))
        try:
            told = json.loads((work / _STAGES).read_text())
            return cls(work, dict(told["seconds"]), told.get("running"))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(work, {}, None)


@contextmanager
def open_run(out: Path, request: dict, *, force: bool = False, resume: bool = False) -> Iterator[Run]:
    """Build `out` in a hidden folder beside it and rename it when the body ends well.

    Bad input leaves nothing behind. An interrupted run keeps its finished stages for `resume`.

    Args:
        request: what makes this run this run (inputs by hash, options); a resumed run must ask for the same.
        force: replace `out`, if it is a result of ours.
        resume: go on where an interrupted run with the same request stopped; a finished one is left as it is.

    Raises:
        InputError: `out` exists, cannot be written, is in use by another run, or a resumed run asks for something else.
    """
    out = Path(os.path.abspath(out))
    request = json.loads(json.dumps(request))  # as it will be read back
    console = Console(stderr=True)
    if _is_there(out):
        if resume and _request_of(out) is not None:
            if _request_of(out) != request:
                raise InputError(
                    f"{out} holds the finished result of another request; choose another --out or pass --force"
                )
            console.print(f"{out} is already finished", highlight=False, soft_wrap=True)
            yield Run(out, request, console, already_finished=True)
            return
        _check_replaceable(out, force)
    work = _work_folder(out)
    made_parents = _make_parents(out)
    finished = False
    try:
        with _locked(work):
            run = Run(work, request, console)
            _open_work(run, resume)
            try:
                yield run
                if not (work / REPORT).is_file():
                    raise AssertionError("a run ends with run.report(...)")
            except InputError:
                shutil.rmtree(work)
                raise
            except BaseException as stop:
                how = {KeyboardInterrupt: "interrupted", Terminated: "terminated"}.get(type(stop), "stopped by a fault")
                if isinstance(stop, OSError) and stop.errno == errno.ENOSPC:
                    file = Path(stop.filename or work)
                    if file.is_relative_to(work):
                        stop.filename = str(out)  # which the user knows, unlike the hidden folder
                if run.seconds:
                    console.print(f"{how}; finished stages are kept, go on with --resume", highlight=False)
                else:
                    shutil.rmtree(work, ignore_errors=True)
                    console.print(f"{how}; nothing was kept", highlight=False)
                raise
            _publish(work, out, force)
            finished = True
    finally:
        if not finished:
            _remove_empty(made_parents)


def _work_folder(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def _is_there(out: Path) -> bool:
    """Also True for a link that leads nowhere."""
    try:
        out.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # a name too long, a folder that may not be entered
        raise InputError(f"output {out} cannot be written: {error.strerror}") from error
    return True


def _check_replaceable(out: Path, force: bool) -> None:
    if not out.is_dir() or out.is_symlink():
        raise InputError(f"output must be a folder that does not exist yet, got a file: {out}")
    if any(out.iterdir()) and _request_of(out) is None:
        raise InputError(
            f"output {out} exists and is not a worldloom result (no {REPORT} of ours), so --force will not delete it; "
            "choose another --out"
        )
    if not force:
        raise InputError(f"output {out} exists; pass --force to replace it or choose another --out")
    if foreign := _added_files(out):
        raise InputError(f"output {out} holds {foreign[0]}, which is not of the result; move it away before --force")


def _request_of(out: Path) -> dict | None:
    try:
        report = json.loads((out / REPORT).read_text())
    except (OSError, ValueError):
        return None
    return report.get("request", {}) if isinstance(report, dict) and report.get("made_by") == MADE_BY else None


def _added_files(out: Path) -> list[str]:
    """What somebody put into a result of ours, relative to it."""
    if _request_of(out) is None:
        return []
    listed = {REPORT, *BOOKKEEPING, *json.loads((out / REPORT).read_text()).get("files", {})}
    found = (path.relative_to(out).as_posix() for path in sorted(out.rglob("*")) if not path.is_dir())
    return [name for name in found if name not in listed]


def _make_parents(out: Path) -> list[Path]:
    missing = [folder for folder in reversed(out.parents) if not folder.exists()]
    for folder in reversed(out.parents):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output {out} cannot be written: {folder} is not a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise InputError(f"output {out} cannot be written: {error.strerror}") from error
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(f"output {out} cannot be written: no write permission in {out.parent}")
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """From the innermost outwards; `folders` lists the outermost first. Those that hold something stay."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    try:
        work.mkdir(exist_ok=True)
        lock = os.open(work / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"output {work.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A run that ended in between has taken its folder, lock and all, to the output's name.
        if not os.path.samestat(os.fstat(lock), os.stat(work / ".lock")):
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError) as error:
        raise InputError(f"another run is writing {work}; wait for it or choose another --out") from error
    else:
        yield
    finally:
        os.close(lock)


def _open_work(run: Run, resume: bool) -> None:
    asked = run.folder / ".request.json"
    if resume and asked.is_file():
        if json.loads(asked.read_text()) != run.request:
            # Raised before the clean-up of open_run: the interrupted work is still good for its own request.
            raise InputError(f"the interrupted run in {run.folder} had another request; start anew without --resume")
        stages = run.folder / _STAGES
        if stages.is_file():
            kept = json.loads(stages.read_text())
            run.seconds.update(kept["seconds"])
            run.warnings.extend(kept["warnings"])
        return
    # A disk that was full, or a kill, at the very first file leaves only that one, unfinished.
    found = [path for path in run.folder.iterdir() if path.name not in (".lock", f"{asked.name}.new")]
    if found and not asked.is_file():
        raise InputError(f"{run.folder} is not the work of an interrupted run; move it away or choose another --out")
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _write_json(asked, run.request)


def _publish(work: Path, out: Path, force: bool) -> None:
    old = out.with_name(f".{out.name}.old")
    if _is_there(out):
        try:
            _check_replaceable(out, force)  # again: somebody may have made it while the run was under way
        except InputError as error:
            raise InputError(f"{error}. The run is kept in {work}; move {out} away and finish with --resume") from error
        if old.exists():  # a run that was killed while it removed what it had replaced
            shutil.rmtree(old)
        os.replace(out, old)
    os.replace(work, out)
    # Only now: as long as `work` has its name, its lock keeps other runs away.
    for name in BOOKKEEPING:
        (out / name).unlink(missing_ok=True)
    if old.exists():
        shutil.rmtree(old)


def _write_json(path: Path, content: dict) -> None:
    partial = path.with_name(f"{path.name}.new")
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(partial, path)
