"""A line to follow: where one is along it and beside it, and where it leads."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

Line = Float64[np.ndarray, "_ 2"]
_SPACING = 0.5  # metres between the points of a way


@dataclass(frozen=True)
class Way:
    """A line to follow, with points _SPACING apart."""

    points: Line

    @cached_property
    def lengths(self) -> Float64[np.ndarray, " p"]:
        """Metres from the beginning to each point."""
        return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.points, axis=0).T))])

    def locate(self, x: float, y: float, after: float = 0.0, before: float = math.inf) -> tuple[float, float]:
        """(metres along, metres to the left) of a point, sought between two distances along the way.

        Beyond its end the way goes straight on.
        """
        first = int(np.searchsorted(self.lengths, after, side="right")) - 1
        first = min(max(0, first), len(self.points) - 2)
        last = min(len(self.points), int(np.searchsorted(self.lengths, before)) + 1)
        return project(self.points[first : max(last, first + 2)], x, y, self.lengths[first])

    def at(self, along: float) -> tuple[float, float, float]:
        """(x, y, heading) at a distance along; straight on beyond the end."""
        i = int(np.clip(np.searchsorted(self.lengths, along, side="right") - 1, 0, len(self.points) - 2))
        (x0, y0), (x1, y1) = self.points[i], self.points[i + 1]
        share = (along - self.lengths[i]) / (self.lengths[i + 1] - self.lengths[i])
        return float(x0 + share * (x1 - x0)), float(y0 + share * (y1 - y0)), math.atan2(y1 - y0, x1 - x0)

    def shifted(self, aside: Float64[np.ndarray, " p"]) -> "Way":
        """The way moved to the left by so many metres at each of its points."""
        step = np.gradient(self.points, axis=0)
        left = np.stack([-step[:, 1], step[:, 0]], -1) / np.hypot(*step.T)[:, None]
        return way_of(self.points + aside[:, None] * left)


def way_of(points: Line) -> Way:
    """A way through points, with even spacing."""
    points = distinct(points)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    even = np.linspace(0, lengths[-1], max(2, math.ceil(lengths[-1] / _SPACING) + 1))
    return Way(np.stack([np.interp(even, lengths, points[:, k]) for k in (0, 1)], -1))


def distinct(line: Line) -> Line:
    """Without points that repeat the one before."""
    return line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-6])] if len(line) > 1 else line


def project(line: Line, x: float, y: float, start: float) -> tuple[float, float]:
    """(metres along, metres to the left) of a point; the ends are drawn out straight."""
    side = np.diff(line, axis=0)
    lengths = np.hypot(*side.T)
    offset = np.array([x, y]) - line[:-1]
    share = (offset * side).sum(-1) / lengths**2
    low, high = np.zeros(len(side)), np.ones(len(side))
    low[0], high[-1] = -np.inf, np.inf
    share = np.clip(share, low, high)
    apart = np.hypot(*(offset - share[:, None] * side).T)
    i = int(apart.argmin())
    cross = side[i, 0] * offset[i, 1] - side[i, 1] * offset[i, 0]
    return float(start + lengths[:i].sum() + share[i] * lengths[i]), float(math.copysign(apart[i], cross))
