"""Ego paths to choose from: smooth pedals, and a line beside the route that a car's steering follows."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.traffic.ego import MAX_CURVATURE
from worldloom.synth.traffic.sumo import STEP

SPACING = 0.5  # metres between the points of a line


@dataclass(frozen=True)
class Limits:
    """What a passenger bears (the comfort term of the driving scores, with some room left)."""

    braking: float = 3.9  # m/s²
    acceleration: float = 2.3  # m/s²
    sideways: float = 3.2  # m/s²
    sideways_jerk: float = 5.0  # m/s³
    jerk: float = 3.8  # m/s³ along the path
    onset: float = 8.0  # m/s³ of braking: safety first; plans that brake faster than `jerk` cost more
    yaw_acceleration: float = 1.5  # rad/s²


class Start(NamedTuple):
    """How the ego drives at the moment from which paths begin; its rear axle is the origin of their frame."""

    speed: float
    acceleration: float = 0.0
    curvature: float = 0.0


class Flights(NamedTuple):
    """K candidates at each of s steps of STEP seconds."""

    actions: Float[Tensor, "k s 2"]  # acceleration and curvature, each held for a step
    poses: Float[Tensor, "k s 3"]  # x, y, yaw at the end of each step
    speed: Float[Tensor, "k s"]
    station: Float[Tensor, "k s"]  # metres along the line
    aside: Float[Tensor, "k s"]  # metres to the left of it


@dataclass(frozen=True)
class Line:
    """A line to follow in the ego's present frame, points SPACING apart; straight on beyond its ends."""

    points: Float[Tensor, "p 2"]

    def at(self, station: Float[Tensor, "*k"]) -> tuple[Float[Tensor, "*k 2"], Float[Tensor, "*k 2"]]:
        """Place and unit direction at distances along."""
        i = (station / SPACING).floor().long().clamp(0, len(self.points) - 2)
        first, second = self.points[i], self.points[i + 1]
        along = torch.nn.functional.normalize(second - first, dim=-1)
        return first + (station - i * SPACING)[..., None] * along, along

    def nearest(self, place: Float[Tensor, " 2"]) -> float:
        """The station next to a place."""
        i = int((self.points - place).norm(dim=-1).argmin())
        point, along = self.at(torch.tensor(i * SPACING, dtype=self.points.dtype))
        return i * SPACING + float((place - point) @ along)


def line_through(points: Float[Tensor, "p 2"]) -> Line:
    """The line through points, newly spaced.

    Raises:
        ValueError: fewer than two different points.
    """
    points = points.double()
    lengths = torch.cat([torch.zeros(1, dtype=torch.float64), points.diff(dim=0).norm(dim=-1).cumsum(0)])
    if len(points) < 2 or not float(lengths[-1]) > 0:
        raise ValueError(f"a line needs two different points, got {len(points)}")
    even = torch.arange(max(2, int(lengths[-1] / SPACING) + 1), dtype=torch.float64) * SPACING
    i = torch.searchsorted(lengths, even, right=True).clamp(1, len(points) - 1) - 1
    share = (even - lengths[i]) / (lengths[i + 1] - lengths[i]).clamp(min=1e-9)
    return Line((points[i] + share[:, None] * (points[i + 1] - points[i])).float())


def fly(line: Line, start: Start, knots: Float[Tensor, "k m 2"], steps: int, limits: Limits = Limits()) -> Flights:
    """Drive the kinematic bicycle along the line, once for each row of knots.

    Knots are spread evenly over the time, the first at its beginning: the acceleration (m/s²), and how far to the left
    of the line to steer (metres). Steering is pure pursuit (Coulter 1992), k = 2 y / d² of a point ahead. All that
    comes out is within the limits, but what the start itself exceeds is only brought back at their rates.
    """
    k, m, _ = knots.shape
    at = (torch.arange(steps) + 0.5) / steps * (m - 1)
    i = at.floor().long().clamp(max=m - 2)
    wished = knots[:, i] + (at - i)[:, None] * (knots[:, i + 1] - knots[:, i])
    x, y, yaw = torch.zeros(3, k)
    speed = torch.full((k,), max(0.0, start.speed))
    a, bend = torch.full((k,), start.acceleration), torch.full((k,), start.curvature)
    station = torch.full((k,), line.nearest(torch.zeros(2)))
    rows = []
    for step in range(steps):
        change = (wished[:, step, 0].clamp(-limits.braking, limits.acceleration) - a) / STEP
        a = a + STEP * change.clamp(-limits.onset, limits.jerk)
        bend = _steered(line, station, wished[:, step, 1], x, y, yaw, speed, bend, limits)
        x, y, yaw, speed = _moved(x, y, yaw, speed, a, bend)
        place = torch.stack([x, y], -1)
        point, along = line.at(station)
        station = station + ((place - point) * along).sum(-1)
        point, along = line.at(station)
        off = place - point
        aside = along[:, 0] * off[:, 1] - along[:, 1] * off[:, 0]
        rows.append(torch.stack([a, bend, x, y, yaw, speed, station, aside], -1))
    table = torch.stack(rows, 1)
    return Flights(table[..., :2], table[..., 2:5], table[..., 5], table[..., 6], table[..., 7])


def _steered(
    line: Line, station: Tensor, aside: Tensor, x: Tensor, y: Tensor, yaw: Tensor, speed: Tensor, before: Tensor,
    limits: Limits,
) -> Float[Tensor, " k"]:  # fmt: skip
    """The next curvature."""
    point, along = line.at(station + (0.9 * speed).clamp(min=3.5))
    goal_x, goal_y = point[:, 0] - aside * along[:, 1] - x, point[:, 1] + aside * along[:, 0] - y
    left = goal_y * yaw.cos() - goal_x * yaw.sin()
    wished = 2 * left / (goal_x**2 + goal_y**2).clamp(min=1.0)
    most = (limits.sideways / speed.square().clamp(min=1e-3)).clamp(max=MAX_CURVATURE)
    wished = torch.maximum(torch.minimum(wished, most), -most)
    rate = STEP * torch.minimum(
        limits.yaw_acceleration / speed.clamp(min=2.0), limits.sideways_jerk / speed.square().clamp(min=4.0)
    )
    return before + torch.maximum(torch.minimum(wished - before, rate), -rate)


def _moved(
    x: Tensor, y: Tensor, yaw: Tensor, speed: Tensor, a: Tensor, bend: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`drive_on` for many egos: an arc, driven until it ends or the car stands."""
    moving = torch.where(speed + a * STEP >= 0, STEP, -speed / torch.where(a < 0, a, -1.0))
    way = speed * moving + a * moving**2 / 2
    turned = bend * way
    chord, direction = way * torch.sinc(turned / (2 * torch.pi)), yaw + turned / 2
    return (
        x + chord * direction.cos(),
        y + chord * direction.sin(),
        yaw + turned,
        (speed + a * moving).clamp(min=0.0),
    )
