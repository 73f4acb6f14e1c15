"""Work on a thread of its own, always for the newest request."""

import threading
from collections.abc import Callable

from worldloom.apps.walk import background


class Newest:
    """Calls `work` after each request; of requests that come while it works, one call more is made."""

    def __init__(self, work: Callable[["Newest"], None]) -> None:
        self._work = work
        self._asked = threading.Event()
        self.stopped = False
        background.start(self._run, stop=self.stop)

    def request(self) -> None:
        self._asked.set()

    def stop(self) -> None:
        """Ends after the call that is under way."""
        self.stopped = True
        self._asked.set()

    def requested_within(self, seconds: float) -> bool:
        """Wait for the next request at most so long; it is not taken away."""
        return self._asked.wait(seconds)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self.stopped:
                return
            self._asked.clear()
            self._work(self)
