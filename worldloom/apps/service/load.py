"""Many clients at once: how long each step takes, and whether any fails."""

import threading
import time
from dataclasses import dataclass

import numpy as np

from worldloom.apps.service.client import Client


@dataclass(frozen=True)
class LoadResult:
    """What the clients met."""

    seconds: tuple[float, ...]  # that each step took
    wall: float  # seconds from the first step to the last
    errors: int

    @property
    def p95_ms(self) -> float:
        """95 of 100 steps took less."""
        return 1000 * float(np.quantile(self.seconds, 0.95)) if self.seconds else float("nan")

    @property
    def rate(self) -> float:
        """Steps a second."""
        return len(self.seconds) / self.wall if self.wall > 0 else 0.0


def load_test(
    url: str, token: str, clients: int = 8, steps: int = 20, observation: tuple[str, ...] = ("numbers",)
) -> LoadResult:
    """Each client drives a session of its own, one step after another; all begin together."""
    gate = threading.Barrier(clients)
    taken: list[list[float]] = [[] for _ in range(clients)]
    spans: list[tuple[float, float]] = []
    errors = [0] * clients

    def drive(number: int) -> None:
        with Client(url, token) as client:
            try:
                starts = client.starts()
                session = client.start_session(starts[number % len(starts)], number, observation).session
            except Exception:  # whatever it is, it is counted
                errors[number] += 1
                gate.abort()
                return
            try:
                gate.wait()
            except threading.BrokenBarrierError:  # another could not start: that one is counted
                client.close_session(session)
                return
            began = time.perf_counter()
            for step in range(steps):
                then = time.perf_counter()
                try:
                    client.step_chunk(session, actions=[(0.5 if step % 8 < 4 else -0.5, 0.0)])
                except Exception:
                    errors[number] += 1
                taken[number].append(time.perf_counter() - then)
            spans.append((began, time.perf_counter()))
            client.close_session(session)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0
    return LoadResult(tuple(second for row in taken for second in row), wall, sum(errors))
