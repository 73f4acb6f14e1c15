"""Many worlds on many processes: the same bytes for any number of workers, and nothing lost when one is killed."""

import errno
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from worldloom.errors import InputError, MissingExtra
from worldloom.geometry.io.atomic import remove_temporaries


@dataclass(frozen=True)
class Job:
    """One piece of work: `make(folder, tell, **arguments)`, a function of a module, which writes `done` last.

    It may call `tell` with the share that is done, from 0 to 1, and what it does now.
    """

    name: str
    make: Callable[..., None]
    done: str  # path in the folder; where it exists, the job is finished
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    job: Job
    share: float  # 1 only when it is finished
    doing: str


def generate(jobs: Sequence[Job], folder: Path, num_workers: int = 1) -> Iterator[Progress]:
    """Do the jobs that are not done yet, in worker processes; yield whatever they tell, and each at its end.

    Every worker computes with one thread, so that sums are taken in one order whatever the number of workers. When the
    caller stops early, or anything fails, all workers are stopped; a later call goes on with what is missing.

    Raises:
        InputError: fewer than one worker, or bad input found by a job.
        ChildProcessError: a worker died, by the hand of the system (out of memory) or of a user.
        RuntimeError: a fault in a job, with its traceback.
    """
    if num_workers < 1:
        raise InputError(f"expected num_workers >= 1, got {num_workers}")
    remove_temporaries(folder)  # of a run that was killed
    waiting = [job for job in jobs if not (folder / job.done).exists()]
    crew: list[_Worker] = []
    try:
        waiting.reverse()
        for _ in range(min(num_workers, len(waiting))):
            crew.append(_Worker(folder))
        for worker in crew:
            worker.give(waiting.pop())
        while busy := {worker.pipe: worker for worker in crew if worker.job is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # pyright: ignore[reportArgumentType]
                progress = worker.hear()
                if worker.job is None and waiting:
                    worker.give(waiting.pop())
                yield progress
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A process that does one job at a time."""

    def __init__(self, folder: Path) -> None:
        # A new interpreter: threads of torch do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.job: Job | None = None
        self._folder = folder
        # The worker's temporary files are here: it is killed in the end, and cannot remove them itself.
        self._scratch = tempfile.TemporaryDirectory(prefix="worldloom_", ignore_cleanup_errors=True)
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, folder, self._scratch.name), daemon=False
        )
        # A worker hears neither Ctrl-C nor SIGTERM, not even while it starts: the parent decides, and stops it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # now the pipe ends when the process does

    def give(self, job: Job) -> None:
        self.job = job
        try:
            self.pipe.send(job)
        except BrokenPipeError:
            raise self._death() from None

    def hear(self) -> Progress:
        """What the job tells next; its error is raised."""
        job = self.job
        assert job is not None
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            raise self._death() from None
        if isinstance(answer, tuple):
            share, doing = answer
            return Progress(job, min(share, 0.999), doing)
        if isinstance(answer, OSError) and answer.errno == errno.ENOSPC and not answer.filename:
            answer.filename = str(self._folder)  # writing to an open file does not tell which one
        if answer is not None:
            raise answer
        self.job = None
        return Progress(job, 1.0, "")

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()
        self._scratch.cleanup()

    def _death(self) -> ChildProcessError:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        name = self.job.name if self.job else "no job"
        return ChildProcessError(f"the worker process for {name} ended {how}; what was finished is kept")


def _work(pipe: Connection, folder: Path, scratch: str) -> None:
    import torch

    tempfile.tempdir = scratch
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A worker whose parent was killed would otherwise go on writing into a folder that a new run has taken over.
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    torch.set_num_threads(1)
    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            job.make(folder, lambda share, doing: pipe.send((float(share), doing)), **job.arguments)
        except (InputError, MissingExtra, OSError) as error:
            pipe.send(error)
        except Exception:
            pipe.send(RuntimeError(f"{job.name} failed:\n{traceback.format_exc()}"))
        else:
            pipe.send(None)
