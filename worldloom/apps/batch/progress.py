"""How far a batch is, how fast it goes, and when it ends: a bar for people, a line now and then for logs."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import progress as bars
from rich.console import Console

from worldloom.apps.batch.backends import Outcome

if TYPE_CHECKING:
    from worldloom.apps.batch.engine import Tally

_EVERY = 10.0  # seconds between lines of a log
_WINDOW = 200  # scenarios over whose time the rate is taken


class Progress:
    """Told of every outcome; shows a bar on a terminal, lines elsewhere."""

    def __init__(self, console: Console, total: int, limit: int | None = None) -> None:
        """`limit` is how many of the total this run makes at most."""
        self._console, self._total, self._limit = console, total, limit
        self._ends: deque[float] = deque(maxlen=_WINDOW)
        self._said = self._start = time.monotonic()
        self._bar: bars.Progress | None = None
        self._task: bars.TaskID | None = None

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        """For as long as the run goes."""
        if not self._console.is_terminal:
            yield self
            return
        columns = (
            bars.TextColumn("  scenarios"),
            bars.BarColumn(),
            bars.TextColumn("{task.percentage:>3.0f} %"),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
        )
        with bars.Progress(*columns, console=self._console) as bar:
            self._bar, self._task = bar, bar.add_task("", total=self._total, rate="")
            yield self

    def tell(self, outcome: Outcome) -> None:
        """A task has ended; why it failed is said at once."""
        failure = outcome.failure
        if failure is None:
            self._ends.append(time.monotonic())
        elif failure.cause != "returned":
            words = f"  {outcome.task.title}, attempt {outcome.task.attempt}: {failure.message}"
            self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    def update(self, tally: "Tally", in_flight: int) -> None:
        """Show how far it is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=tally.done, rate=self._rate_words(tally))
            return
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            words = f"  {tally.done} of {self._total}, {self._rate_words(tally)}, {in_flight} in work"
            self._console.print(words, highlight=False)

    def per_hour(self) -> float:
        """Scenarios in an hour, by the last ones; 0 before two have ended."""
        if len(self._ends) < 2:
            return 0.0
        # From the first of them to now, so that a standstill shows.
        return 3600 * (len(self._ends) - 1) / max(1e-9, time.monotonic() - self._ends[0])

    def _rate_words(self, tally: "Tally") -> str:
        rate = self.per_hour()
        if not rate:
            return "no rate yet"
        left = self._total - tally.done
        if self._limit is not None:
            left = min(left, self._limit - tally.made - tally.quarantined)
        trouble = f", {tally.failed} failed" if tally.failed else ""
        return f"{rate:.0f}/h, {duration(3600 * left / rate)} left{trouble}"


def duration(seconds: float) -> str:
    """In the two largest units."""
    total = round(seconds)
    days, hours, minutes = total // 86400, total // 3600 % 24, total // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {total % 60} s" if minutes else f"{total} s"
