"""This process itself: for a debugger, and for stores that live in its memory."""

from collections import deque

from worldloom.apps.batch.backends import Outcome, attempt
from worldloom.apps.batch.shard import Kind, Task
from worldloom.apps.batch.store import Store


class InlineBackend:
    """Does a task when somebody waits."""

    slots = 2

    def __init__(self, store: Store, kind: Kind) -> None:
        self._store, self._kind = store, kind
        self._tasks: deque[Task] = deque()
        kind.open()

    def submit(self, task: Task) -> None:
        """See `Backend`."""
        self._tasks.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Backend`."""
        return [attempt(self._tasks.popleft(), self._kind, self._store, "inline")] if self._tasks else []

    def close(self) -> None:
        """See `Backend`."""
        self._tasks.clear()
