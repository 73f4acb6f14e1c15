"""Who does the work: processes of this machine, a Ray cluster, or Slurm."""

import traceback
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from worldloom.apps.batch.shard import Kind, NoRoom, Task, make_shard
from worldloom.apps.batch.store import Store

NAMES = ("local", "ray", "slurm", "inline")

# error: the scenario raised; death: its process ended; timeout: it took too long; room: the disk is full, which no
# attempt mends; returned: it was never begun, through no fault of its own.
Cause = Literal["error", "death", "timeout", "room", "returned"]


@dataclass(frozen=True)
class Failure:
    """Why a task did not end well."""

    cause: Cause
    message: str  # one line
    trace: str = ""


@dataclass(frozen=True)
class Outcome:
    """A task that has ended."""

    task: Task
    failure: Failure | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by part; empty where the shard was there already
    worker: str = ""


@runtime_checkable
class Backend(Protocol):
    """Takes tasks and tells how they ended. Not more than `slots` are in its hands at any time."""

    slots: int

    def submit(self, task: Task) -> None:
        """Take a task."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """Tasks that have ended; none where none did within the time."""
        ...

    def close(self) -> None:
        """Stop everything at once; tasks in hand are lost, which does no harm."""
        ...


def attempt(task: Task, kind: Kind, store: Store, worker: str = "") -> Outcome:
    """Do a task here and now; whatever it raises becomes a failure."""
    try:
        return Outcome(task, None, make_shard(task, kind, store), worker)
    except NoRoom as error:
        return Outcome(task, Failure("room", f"{error.strerror}: {error.filename}"), {}, worker)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return Outcome(task, Failure("error", message, traceback.format_exc(limit=-30)), {}, worker)
