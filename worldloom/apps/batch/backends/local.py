"""Worker processes of this machine. Each has one task in work and one in hand, so that it never waits."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from worldloom.apps.batch.backends import Failure, Outcome, attempt
from worldloom.apps.batch.shard import Kind, Task
from worldloom.apps.batch.store import hold_as_worker, open_store

IN_HAND = 2  # tasks of a worker: one in work, one waiting
_MOST_BARREN = 3  # workers that die one after another before they begin anything


@dataclass
class _Worker:
    pipe: Connection
    process: BaseProcess
    tasks: deque[Task] = field(default_factory=deque)
    begun: float | None = None  # when the first of them was begun; None: not yet


class LocalBackend:
    """See `Backend`. A worker that dies is replaced; what it had not begun is given back."""

    def __init__(
        self, address: str, kind: Kind, num_workers: int, timeout: float | None = None, scratch: str | None = None
    ) -> None:
        self.slots = IN_HAND * num_workers
        self._address, self._kind, self._scratch = address, kind, scratch
        self._timeout, self._count, self._barren = timeout, num_workers, 0
        self._workers: list[_Worker] = []

    def submit(self, task: Task) -> None:
        """See `Backend`."""
        # One worker for each task at first: nobody starts processes for three scenarios that need two.
        idle = min(self._workers, key=lambda worker: len(worker.tasks), default=None)
        if (idle is None or idle.tasks) and len(self._workers) < self._count:
            idle = self._start()
        assert idle is not None
        assert len(idle.tasks) < IN_HAND
        idle.tasks.append(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead, as `wait` will find
            idle.pipe.send(task)

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Backend`."""
        outcomes: list[Outcome] = []
        pipes = {worker.pipe: worker for worker in self._workers if worker.tasks}
        for pipe in wait(list(pipes), seconds):
            outcomes += self._hear(pipes[pipe])  # pyright: ignore[reportArgumentType]
        now = time.monotonic()
        for worker in list(self._workers):
            if self._timeout is not None and worker.begun is not None and now - worker.begun > self._timeout:
                message = f"took longer than {self._timeout:g} s"
                outcomes += self._bury(worker, Failure("timeout", message))
        return outcomes

    def close(self) -> None:
        """See `Backend`."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _hear(self, worker: _Worker) -> list[Outcome]:
        try:
            said = worker.pipe.recv()
        except (EOFError, ConnectionResetError, OSError):
            worker.process.join()
            code = worker.process.exitcode or 0
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            return self._bury(worker, Failure("death", f"its process ended {how}"))
        if isinstance(said, Outcome):
            worker.tasks.popleft()
            worker.begun = None
            return [said]
        worker.begun, self._barren = time.monotonic(), 0
        return []

    def _bury(self, worker: _Worker, failure: Failure) -> list[Outcome]:
        """A worker is gone: the task in work has failed, the other is given back."""
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        tasks, name = list(worker.tasks), f"process {worker.process.pid}"
        if worker.begun is not None:
            failed, tasks = [Outcome(tasks[0], failure, {}, name)], tasks[1:]
        else:
            failed = []
            self._barren += 1
            if self._barren >= _MOST_BARREN:
                raise ChildProcessError(f"{_MOST_BARREN} worker processes ended before they began: {failure.message}")
        return failed + [Outcome(task, Failure("returned", failure.message), {}, name) for task in tasks]

    def _start(self) -> _Worker:
        # A new interpreter: threads of torch do not survive a fork.
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._address, self._kind, self._scratch), daemon=False)
        # Workers hear no Ctrl-C: the parent decides, and stops them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # now the pipe ends when the process does
        worker = _Worker(pipe, process)
        self._workers.append(worker)
        return worker


def _work(pipe: Connection, address: str, kind: Kind, scratch: str | None) -> None:
    """What a worker does until its parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A worker whose parent was killed must not write into a batch that another driver has taken over.
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    store = open_store(address, scratch)
    lock = hold_as_worker(store)
    kind.open()
    name = f"process {os.getpid()}"
    while True:
        try:
            task: Task = pipe.recv()
            pipe.send("begun")
            pipe.send(attempt(task, kind, store, name))
        except (EOFError, OSError):
            break
    if lock is not None:
        os.close(lock)
