"""Jobs of visitors: one after another, each in a process that can be stopped at any moment."""

import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from worldloom.errors import InputError, MissingExtra

Work = Callable[[Path, Mapping[str, Any]], None]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
MOST_WAITING = 32  # jobs of all visitors
MOST_OF_ONE = 3  # unfinished jobs of one visitor
LONGEST = 3600.0  # seconds that a job may take
_PRELOADED = "worldloom.apps.page.work"
_POLL = 0.2  # seconds


@dataclass(eq=False)
class Job:
    """A piece of work that was asked for."""

    visitor: str  # the cookie
    folder: Path  # where it works
    work: Work
    request: Mapping[str, Any]
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: State = "waiting"
    message: str = ""  # one line, where it failed
    began: float = 0.0  # time.monotonic()
    ended: float = 0.0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def seconds(self) -> float:
        """At work, so far or in all."""
        return (self.ended or time.monotonic()) - self.began if self.began else 0.0


class Jobs:
    """The queue. `finish` is called once for each job that is over, before its state says so."""

    def __init__(self, finish: Callable[[Job, State], None]) -> None:
        self._finish = finish
        self._jobs: list[Job] = []
        self._change = threading.Condition()
        self._closed = False
        # A fresh process that has the libraries loaded, to be forked for each job: threads of torch survive no fork,
        # and so this one has none.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_PRELOADED])
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, visitor: str, folder: Path, work: Work, request: Mapping[str, Any]) -> Job:
        """Put a job at the end of the queue. `work` is a function of a module, called with `folder` and `request`.

        Raises:
            InputError: the queue is full, or the visitor has too many jobs in it.
        """
        with self._change:
            waiting = [job for job in self._jobs if not job.over]
            if sum(job.visitor == visitor for job in waiting) >= MOST_OF_ONE:
                raise InputError(f"expected at most {MOST_OF_ONE} jobs at once; wait for one or cancel it")
            if len(waiting) >= MOST_WAITING:
                raise InputError(f"expected at most {MOST_WAITING} jobs in the queue; try again later")
            self._jobs = [*waiting, *[job for job in self._jobs if job.over][-MOST_WAITING:]]
            job = Job(visitor, folder, work, request)
            self._jobs.append(job)
            self._jobs.sort(key=lambda one: one.over)  # unfinished ones first, in their order
            self._change.notify_all()
        return job

    def find(self, visitor: str, name: str) -> Job | None:
        """A visitor's own job."""
        with self._change:
            return next((job for job in self._jobs if job.name == name and job.visitor == visitor), None)

    def unfinished(self, visitor: str) -> list[Job]:
        """Of a visitor, in the queue's order."""
        with self._change:
            return [job for job in self._jobs if job.visitor == visitor and not job.over]

    def before(self, job: Job) -> int:
        """How many jobs come first."""
        with self._change:
            waiting = [one for one in self._jobs if not one.over]
            return waiting.index(job) if job in waiting else 0

    def busy(self) -> set[str]:
        """Names of the folders that unfinished jobs work in."""
        with self._change:
            return {part for job in self._jobs if not job.over for part in job.folder.parts}

    def cancel(self, job: Job) -> None:
        """Stop it, at once if it is at work; may be called again, and at any time."""
        job.stopping.set()
        with self._change:
            waiting = job.state == "waiting"
            if waiting:
                self._end(job, "cancelled")

    def close(self) -> None:
        """Stop all."""
        with self._change:
            self._closed = True
            for job in self._jobs:
                job.stopping.set()
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._closed and not any(job.state == "waiting" for job in self._jobs):
                    self._change.wait()
                if self._closed:
                    return
                job = next(job for job in self._jobs if job.state == "waiting")
                job.state, job.began = "running", time.monotonic()
            try:
                state, job.message = self._attend(job)
            except Exception:  # no process could be started, for one
                traceback.print_exc()
                state, job.message = "failed", "expected to start the job, but this machine refused; try again later"
            with self._change:
                self._end(job, state)

    def _attend(self, job: Job) -> tuple[State, str]:
        pipe, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(theirs, job.work, job.folder, dict(job.request)))
        process.start()
        theirs.close()
        said: tuple[State, str] | None = None
        try:
            while said is None:
                if job.stopping.is_set():
                    return "cancelled", ""
                if time.monotonic() - job.began > LONGEST:
                    return "failed", f"expected a job of at most {LONGEST / 60:g} minutes, and it was stopped there"
                if pipe.poll(_POLL):
                    try:
                        said = pipe.recv()
                    except (EOFError, OSError):
                        process.join()
                        return "failed", f"the job's process ended early (exit code {process.exitcode}): out of memory?"
        finally:
            process.kill()
            process.join()
            pipe.close()
        return said

    def _end(self, job: Job, state: State) -> None:
        with suppress(OSError):
            self._finish(job, state)
        job.ended, job.state = time.monotonic(), state


def _work(pipe: Connection, work: Work, folder: Path, request: dict[str, Any]) -> None:
    """What the process of a job does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server stops it
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    with open(os.devnull, "w") as nowhere:  # progress is read from the run's folder
        stderr, sys.stderr = sys.stderr, nowhere
        try:
            work(folder, request)
            said = ("done", "")
        except (InputError, MissingExtra) as error:
            said = ("failed", str(error))
        except OSError as error:
            said = ("failed", f"{error.strerror or error}")
        except MemoryError:
            said = ("failed", "the job needs more memory than this machine has")
        except Exception as error:
            traceback.print_exc(file=stderr)
            said = ("failed", f"a fault of ours, {type(error).__name__}; the server's log has the details")
        finally:
            sys.stderr = stderr
    pipe.send(said)
