"""Slurm, through submitit: a job takes many scenarios, so that its start is paid once.

With --cluster local the same jobs are processes of this machine, with debug they run in this one.
"""

import os
import socket
import time
from collections import deque
from pathlib import Path
from typing import Any

from worldloom.apps.batch.backends import Failure, Outcome, attempt
from worldloom.apps.batch.shard import Kind, Task, finished
from worldloom.apps.batch.store import LocalStore, open_store
from worldloom.errors import InputError, require

CLUSTERS = ("slurm", "local", "debug")
JOBS = ".slurm"  # submitit's files, in the batch or in the working folder
_MARGIN = 5  # minutes that a job is given beyond its scenarios
_USUAL = 60.0  # seconds for a scenario, where no timeout is given


class SlurmBackend:
    """See `Backend`. Twice as many jobs as workers are with Slurm at any time; a worker is a job that runs.

    A job that dies has failed at the first scenario that it had not finished; those after it are given back.
    """

    def __init__(
        self,
        address: str,
        kind: Kind,
        num_workers: int,
        chunk: int = 200,
        timeout: float | None = None,
        scratch: str | None = None,
        cluster: str | None = None,
        parameters: tuple[str, ...] = (),
    ) -> None:
        """`parameters` are submitit's, NAME=VALUE.

        Raises:
            MissingExtra: submitit is not installed.
            InputError: an unknown cluster, or parameters that submitit does not take.
        """
        submitit: Any = require("submitit", "distributed", "running batches on Slurm")
        if cluster not in (None, *CLUSTERS):
            raise InputError(f"expected --cluster {', '.join(CLUSTERS)} for Slurm, got {cluster!r}")
        if address.startswith("memory://") and cluster != "debug":
            raise InputError("memory:// lives in one process; expected a store that every worker reaches")
        self.slots = 2 * num_workers * chunk
        self._store = open_store(address, scratch)
        self._place, self._kind = (address, scratch), kind
        self._chunk, self._most = chunk, 2 * num_workers
        home = self._store.root if isinstance(self._store, LocalStore) else Path.cwd()
        minutes = _MARGIN + round(chunk * (timeout or _USUAL) / 60)
        try:
            self._executor = submitit.AutoExecutor(folder=home / JOBS, cluster=cluster or "slurm")
            self._executor.update_parameters(
                name="worldloom", timeout_min=minutes, **{"cpus_per_task": 1, "mem_gb": 4, **_pairs(parameters)}
            )
        except (RuntimeError, NameError, ValueError, TypeError, AssertionError) as error:
            raise InputError(
                f"expected Slurm and parameters of submitit, got {' '.join(str(error).split())}"
            ) from error
        self._waiting: deque[Task] = deque()
        self._jobs: dict[Any, list[Task]] = {}

    def submit(self, task: Task) -> None:
        """See `Backend`; a job is made of a chunk of tasks, or of what there is when somebody waits."""
        self._waiting.append(task)
        if len(self._waiting) >= self._chunk:
            self._send()

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Backend`."""
        self._send()
        deadline = time.monotonic() + seconds
        while True:
            done = [job for job in self._jobs if job.done()]
            if done or time.monotonic() >= deadline:
                return [outcome for job in done for outcome in self._ended(job)]
            time.sleep(min(0.2, seconds))

    def close(self) -> None:
        """See `Backend`: jobs are cancelled."""
        for job in self._jobs:
            job.cancel(check=False)
        self._jobs.clear()
        self._waiting.clear()

    def _send(self) -> None:
        while self._waiting and len(self._jobs) < self._most:
            tasks = [self._waiting.popleft() for _ in range(min(self._chunk, len(self._waiting)))]
            self._jobs[self._executor.submit(_do_all, tasks, self._kind, *self._place)] = tasks

    def _ended(self, job: Any) -> list[Outcome]:
        tasks = self._jobs.pop(job)
        try:
            return job.results()[0]
        except Exception as error:  # submitit has one of its own for each way to die
            return self._died(tasks, f"job {job.job_id}: {' '.join(str(error).split())[-300:]}")

    def _died(self, tasks: list[Task], message: str) -> list[Outcome]:
        outcomes, blamed = [], False
        for task in tasks:
            if finished(self._store, task.shard) is not None:
                outcomes.append(Outcome(task))
            elif not blamed:
                outcomes.append(Outcome(task, Failure("death", message)))
                blamed = True
            else:
                outcomes.append(Outcome(task, Failure("returned", message)))
        return outcomes


def _do_all(tasks: list[Task], kind: Kind, address: str, scratch: str | None) -> list[Outcome]:
    """What a job does; it stops where the disk is full."""
    store, worker = open_store(address, scratch), f"{socket.gethostname()} process {os.getpid()}"
    kind.open()
    outcomes: list[Outcome] = []
    for i, task in enumerate(tasks):
        outcomes.append(attempt(task, kind, store, worker))
        failure = outcomes[-1].failure
        if failure is not None and failure.cause == "room":
            return outcomes + [Outcome(rest, Failure("returned", failure.message)) for rest in tasks[i + 1 :]]
    return outcomes


def _pairs(parameters: tuple[str, ...]) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    for one in parameters:
        name, equals, value = one.partition("=")
        if not (name.isidentifier() and equals and value):
            raise InputError(f"expected NAME=VALUE for --slurm, got {one[:60]!r}")
        found[name] = int(value) if value.isdigit() else value
    return found
