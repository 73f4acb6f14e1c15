"""The loop that drives a batch: tasks out, outcomes in, retries, quarantine, and an end that can be taken up again."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worldloom.apps.batch.backends import Backend, Failure, Outcome
from worldloom.apps.batch.ledger import Journal, Ledger, next_attempt
from worldloom.apps.batch.progress import Progress
from worldloom.apps.batch.shard import Task, finished
from worldloom.errors import InputError

RETRIES = 2  # after the first attempt
_TICK = 0.5  # seconds


@dataclass
class Tally:
    """How a run went."""

    made: int = 0
    there: int = 0  # finished before
    quarantined: int = 0  # given up now
    in_quarantine: int = 0  # given up before, and left alone
    retried: int = 0  # attempts that failed and were made again

    @property
    def done(self) -> int:
        """Scenarios that need nothing more."""
        return self.made + self.there + self.quarantined + self.in_quarantine

    @property
    def nothing_to_do(self) -> bool:
        """No scenario was missing."""
        return self.made + self.quarantined == 0

    @property
    def failed(self) -> int:
        """Scenarios that are given up, now or before."""
        return self.quarantined + self.in_quarantine


class OutOfRoom(OSError):
    """The place of the batch is full; all that was finished is kept."""


def drive(
    ledger: Ledger,
    tasks: Iterable[Task],
    backend: Backend,
    journal: Journal,
    progress: Progress,
    *,
    limit: int | None = None,
    retries: int = RETRIES,
    pardon: bool = False,
) -> Tally:
    """Make what is missing of a batch; nobody else may be at work in its store.

    Args:
        tasks: all of the batch's; they are looked at one by one, so that a million take no memory.
        limit: scenarios to make at most, those that are there not counted.
        retries: further attempts for a scenario that fails; then it is quarantined with its tracebacks.
        pardon: try scenarios again that are in quarantine.
    Raises:
        OutOfRoom: the disk is full.
        InputError: fewer than no retries, or a limit below one.
    """
    if retries < 0 or (limit is not None and limit < 1):
        raise InputError(f"expected retries >= 0 and a limit >= 1, got {retries} and {limit}")
    tally = Tally()
    todo = _missing(ledger, tasks, tally, limit, pardon)
    again: deque[Task] = deque()
    failures: dict[str, list[dict[str, str]]] = {}
    in_flight = 0
    ledger.store.clear_scratch()  # of a driver that was killed
    try:
        while True:
            while in_flight < backend.slots and (task := again.popleft() if again else next(todo, None)) is not None:
                backend.submit(task)
                in_flight += 1
            if not in_flight:
                return tally
            for outcome in backend.wait(_TICK):
                in_flight -= 1
                _settle(ledger, outcome, journal, tally, again, failures, retries)
                progress.tell(outcome)
            progress.update(tally, in_flight)
    finally:
        backend.close()
        ledger.store.clear_scratch()  # of workers that were stopped


def _settle(
    ledger: Ledger,
    outcome: Outcome,
    journal: Journal,
    tally: Tally,
    again: deque[Task],
    failures: dict[str, list[dict[str, str]]],
    retries: int,
) -> None:
    task, failure = outcome.task, outcome.failure
    if failure is None:
        tally.made += 1
        failures.pop(task.shard, None)
        journal.note(shard=task.shard, seconds=_rounded(outcome.seconds), worker=outcome.worker, attempt=task.attempt)
        return
    if failure.cause == "room":
        raise OutOfRoom(failure.message)
    if failure.cause == "returned":
        again.append(task)
        return
    journal.note(
        shard=task.shard, cause=failure.cause, message=failure.message, worker=outcome.worker, attempt=task.attempt
    )
    known = failures.setdefault(task.shard, [])
    known.append(_record(failure))
    if task.attempt <= retries:
        tally.retried += 1
        again.append(next_attempt(task))
    else:
        tally.quarantined += 1
        ledger.give_up(task, failures.pop(task.shard))


def missing(ledger: Ledger, tasks: Iterable[Task], pardon: bool = False) -> Iterator[Task]:
    """Tasks whose shards are not there, those in quarantine left out unless they are pardoned; changes nothing."""
    given_up = frozenset() if pardon else frozenset(ledger.given_up())
    return (task for task in tasks if task.shard not in given_up and finished(ledger.store, task.shard) is None)


def _missing(ledger: Ledger, tasks: Iterable[Task], tally: Tally, limit: int | None, pardon: bool) -> Iterator[Task]:
    given_up = frozenset(ledger.given_up())
    given = 0
    for task in tasks:
        if given == limit:
            return
        if finished(ledger.store, task.shard) is not None:
            tally.there += 1
        elif task.shard in given_up and not pardon:
            tally.in_quarantine += 1
        else:
            if task.shard in given_up:
                ledger.pardon(task.shard)
            given += 1
            yield task


def _record(failure: Failure) -> dict[str, str]:
    return {"cause": failure.cause, "message": failure.message, "traceback": failure.trace}


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in seconds.items()}
