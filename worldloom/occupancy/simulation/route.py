"""Where to go, and how far a good driver would have come."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.occupancy.planning.candidates import Line, line_through
from worldloom.synth.traffic.ego import Ego
from worldloom.synth.traffic.way import Way, way_of

_BACK, _ON = 5.0, 15.0  # metres in which the ego is sought, behind and ahead of where it was last


@dataclass(frozen=True, eq=False)
class Route:
    """A line through the world, and the metres of it that a good driver makes."""

    way: Way
    expected: tuple[float, ...]  # metres made after each DT, the first after one step

    def expected_after(self, frames: int) -> float:
        """Metres that a good driver makes in so many steps; past the end, at the last speed."""
        if frames <= 0 or not self.expected:
            return 0.0
        known = min(frames, len(self.expected))
        last = self.expected[-1] - (self.expected[-2] if len(self.expected) > 1 else 0.0)
        return self.expected[known - 1] + (frames - known) * last

    def locate(self, ego: Ego, before: float) -> tuple[float, float]:
        """(metres along, metres to the left of it), sought near where the ego was `before`."""
        return self.way.locate(ego.x, ego.y, after=max(0.0, before - _BACK), before=before + _ON)

    def ahead(self, ego: Ego, along: float, length: float = 80.0) -> Line:
        """The route in the ego's present frame, from a little behind it on."""
        stations = np.arange(max(0.0, along - _BACK), along + length, 2.0)
        points = torch.tensor([self.way.at(float(s))[:2] for s in stations], dtype=torch.float64)
        return line_through(into(ego, points))


def route_through(points: Float[Tensor, "n 2"], onward: float = 300.0) -> Route:
    """The route that a drive took, DT between its points, straight on at its end."""
    xy = points.double().numpy()
    steps = np.hypot(*np.diff(xy, axis=0).T)
    moved = np.flatnonzero(steps > 0.05)
    last = xy[moved[-1] + 1] - xy[moved[-1]] if len(moved) else np.array([1.0, 0.0])
    end = xy[-1] + onward * last / np.hypot(*last)
    return Route(way_of(np.concatenate([xy, end[None]])), tuple(np.cumsum(steps).tolist()))


def into(ego: Ego, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
    """Places of the world in the ego's frame."""
    yaw = torch.tensor(ego.yaw, dtype=xy.dtype)
    x, y = xy[..., 0] - ego.x, xy[..., 1] - ego.y
    return torch.stack([yaw.cos() * x + yaw.sin() * y, yaw.cos() * y - yaw.sin() * x], -1)
