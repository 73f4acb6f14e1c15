"""A Ray cluster, or one on this machine. Ray places the tasks; retries, quarantine and order stay the engine's."""

import os
import socket
import time
from typing import Any

from worldloom.apps.batch.backends import Failure, Outcome, attempt
from worldloom.apps.batch.shard import Kind, Task
from worldloom.apps.batch.store import Store, hold_as_worker, open_store
from worldloom.errors import InputError, require

IN_HAND = 2  # tasks for each worker


class RayBackend:
    """See `Backend`. Each task takes one CPU; a batch's store must be reachable from every node."""

    def __init__(
        self,
        address: str,
        kind: Kind,
        num_workers: int | None = None,
        timeout: float | None = None,
        scratch: str | None = None,
        cluster: str | None = None,
    ) -> None:
        """`cluster` is Ray's address ("auto" finds one); a new one on this machine if not given.

        Raises:
            MissingExtra: Ray is not installed.
            InputError: a batch in this process's memory, or a cluster that does not answer.
        """
        if address.startswith("memory://"):
            raise InputError("memory:// lives in one process; expected a store that every worker reaches")
        ray: Any = require("ray", "distributed", "running batches on Ray")
        self._ray, self._timeout = ray, timeout
        quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's wish for the future, and a warning
        try:
            if cluster is None:
                ray.init(num_cpus=num_workers or len(os.sched_getaffinity(0)), **quiet)
            else:
                ray.init(address=cluster, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError) as error:
            raise InputError(
                f"expected a Ray cluster at {cluster!r}, got {' '.join(str(error).split())[:200]}"
            ) from error
        self.slots = IN_HAND * (num_workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
        self._do = ray.remote(num_cpus=1, max_retries=0)(_do)
        self._kind = ray.put(kind)
        self._place = (address, scratch)
        self._running: dict[Any, tuple[Task, float]] = {}  # and when it was handed over

    def submit(self, task: Task) -> None:
        """See `Backend`."""
        self._running[self._do.remote(task, self._kind, *self._place)] = (task, time.monotonic())

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Backend`."""
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        outcomes = [self._ended(ref) for ref in ready]
        return outcomes + self._late()

    def close(self) -> None:
        """See `Backend`."""
        self._running.clear()
        self._ray.shutdown()

    def _ended(self, ref: Any) -> Outcome:
        task, _ = self._running.pop(ref)
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except errors.TaskCancelledError:
            return Outcome(task, Failure("timeout", f"took longer than {self._timeout:g} s"))
        except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError) as error:
            return Outcome(task, Failure("death", " ".join(str(error).split())[:300]))

    def _late(self) -> list[Outcome]:
        """Tasks that take too long are stopped; the time in Ray's queue counts, which is one other task's at most."""
        if self._timeout is None:
            return []
        now, outcomes = time.monotonic(), []
        for ref, (task, begun) in list(self._running.items()):
            if now - begun > IN_HAND * self._timeout:
                self._ray.cancel(ref, force=True)
                self._running.pop(ref)
                outcomes.append(Outcome(task, Failure("timeout", f"took longer than {self._timeout:g} s")))
        return outcomes


_opened: dict[str, Store] = {}  # of this worker process, which does many tasks


def _do(task: Task, kind: Kind, address: str, scratch: str | None) -> Outcome:
    if address not in _opened:
        _opened[address] = open_store(address, scratch)
        hold_as_worker(_opened[address])  # until this process ends
        kind.open()
    return attempt(task, kind, _opened[address], f"{socket.gethostname()} process {os.getpid()}")
