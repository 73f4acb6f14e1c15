"""Who moves where on the street: the ego's drive and everyone else's, in road coordinates."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import compose, rotz
from worldloom.synth.first.road import KERB, LANES, PARKING, Road
from worldloom.synth.first.road_users import MAKERS, Thing

_TICK = 0.02  # seconds between the states that speeds are summed over


@dataclass(frozen=True)
class Drive:
    """A motion in road coordinates (s, d). On the `cross` street s counts from the crossing to the left."""

    s: float  # at time 0
    d: float
    speeds: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # (time, ds/dt), linear between
    across: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # (time, dd/dt), linear between
    shift: tuple[float, float, float] | None = None  # (s, s, d): a lane change between two s, towards d
    turn: float = 0.0  # heading from the road's while it stands still
    cross: bool = False

    def states(
        self, times: Float[Tensor, " t"]
    ) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"], Float[Tensor, " t"]]:
        """(s, d, heading from the road's) at the given times."""
        count = math.ceil(times[-1].item() / _TICK) + 2
        ticks = _TICK * torch.arange(count, dtype=torch.float64)
        s, d = self.s + _summed(self.speeds, ticks), self.d + _summed(self.across, ticks)
        if self.shift is not None:
            begin, end, target = self.shift
            f = ((s - begin) / (end - begin)).clamp(0, 1)
            d = d + (target - self.d) * (f - torch.sin(2 * math.pi * f) / (2 * math.pi))
        ds, dd = s.diff(append=2 * s[-1:] - s[-2:-1]), d.diff(append=2 * d[-1:] - d[-2:-1])
        heading = torch.where(torch.hypot(ds, dd) > 0.05 * _TICK, torch.atan2(dd, ds), self.turn)
        at = (times.double() / _TICK).round().long()
        return s[at].float(), d[at].float(), heading[at].float()


def _summed(knots: tuple[tuple[float, float], ...], ticks: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Way covered at each tick by a speed that is linear between knots and constant beyond them."""
    times, speeds = torch.tensor(knots, dtype=torch.float64).T.contiguous()
    i = torch.searchsorted(times, ticks, right=True).clamp(1, max(1, len(times) - 1))
    if len(times) == 1:
        speed = speeds.expand_as(ticks)
    else:
        f = ((ticks - times[i - 1]) / (times[i] - times[i - 1])).clamp(0, 1)
        speed = speeds[i - 1] * (1 - f) + speeds[i] * f
    way = ((speed[1:] + speed[:-1]) / 2 * _TICK).cumsum(0)
    return torch.cat([way.new_zeros(1), way])


def poses(road: Road, drive: Drive, times: Float[Tensor, " t"], z: float) -> Float[Tensor, "t 4 4"]:
    """world_from_x of someone on a drive, z metres above the ground."""
    s, d, turn = drive.states(times)
    if not drive.cross:
        return road.pose(s, d, z, turn)
    side_street = road.pose_at(road.crossing, 0.0, turn=math.pi / 2)
    return side_street @ compose(rotz(turn), torch.stack([s, d, torch.full_like(s, z)], -1))


Add = Callable[[str, Drive], None]


def ego_drive(dice: random.Random) -> Drive:
    """Right lane, over to the left lane before the work zone, faster, then down to walking pace before the crossing."""
    cruise = dice.uniform(7.8, 8.4)
    speeds = (
        (0.0, cruise),
        (2.0, cruise - 1.2),
        (4.0, cruise - 0.6),
        (5.5, cruise + 0.6),
        (7.0, cruise),
        (10.5, 3.2),
        (14.0, 6.0),
    )
    return Drive(0.0, LANES[0], speeds, shift=(10.0, 37.0, LANES[1]))


def traffic(road: Road, dice: random.Random) -> list[tuple[str, Thing, Drive]]:
    """All other road users and the work zone, as (class, thing, drive)."""
    out: list[tuple[str, Thing, Drive]] = []

    def add(name: str, drive: Drive) -> None:
        out.append((name, MAKERS[name](dice), drive))

    def steady(speed: float) -> tuple[tuple[float, float], ...]:
        return ((0.0, speed),)

    near = dice.uniform(-1.5, 1.5)
    add("car", Drive(47.0 + near, LANES[1], ((0.0, 8.6), (4.0, 9.2))))
    add("motorcycle", Drive(22.0 + near, LANES[1] - 0.3, ((0.0, 8.2), (3.0, 7.4), (8.0, 6.6), (11.0, 3.0))))
    add("bicycle", Drive(13.5 + near, LANES[0] - 1.25, steady(3.6)))
    for s, lane, name, speed in (
        (62.0, 2, "car", -8.0),
        (88.0, 2, "car", -7.6),
        (131.0, 2, "truck", -7.4),
        (140.6, 2, "trailer", -7.4),
        (103.0, 3, "bus", -6.2),
        (43.0, 3, "motorcycle", -8.8),
        (24.0, 3, "car", -8.4),
        (-6.0, 2, "car", -8.2),
        (-30.0, 1, "car", 7.0),
    ):
        add(name, Drive(s + near, LANES[lane], steady(speed), turn=0.0 if speed > 0 else math.pi))
    add("bicycle", Drive(66.0 + near, LANES[3] + 1.25, steady(-4.3)))
    for s, name in ((-15.5, "car"), (15.5, "car"), (24.0, "truck")):  # they wait at the mouths of the cross street
        add(name, Drive(s, math.copysign(2.6, s), turn=0.0 if s < 0 else math.pi, cross=True))
    add("bicycle", Drive(30.0, 0.6, steady(-2.6), cross=True))
    _crossing_people(road, dice, add)
    _strollers(dice, add)
    _parked(road, dice, add)
    _work_zone(dice, add)
    return out


def _crossing_people(road: Road, dice: random.Random, add: Add) -> None:
    for i, (side, start, offset) in enumerate(((-1, 3.4, 0.4), (-1, 4.4, -0.6), (1, 2.0, 0.9), (1, 5.0, -0.2))):
        speed = -side * dice.uniform(1.25, 1.5)
        walk = ((0.0, 0.0), (start, 0.0), (start + 0.5, speed))
        add(
            "pedestrian",
            Drive(road.crosswalk + offset + 0.15 * i, side * (KERB + 0.45), across=walk, turn=-side * math.pi / 2),
        )


def _strollers(dice: random.Random, add: Add) -> None:
    for side in (-1, 1):
        s = -34.0
        while s < 74:
            s += dice.uniform(7, 15)
            direction = dice.choice((-1, 1))
            d = side * (11.3 + 0.4 * direction + dice.uniform(-0.1, 0.1))
            for k in range(dice.choice((1, 1, 2))):
                add("pedestrian", Drive(s - 0.9 * k, d + 0.1 * k, ((0.0, direction * 1.3),), turn=0.0))


def _parked(road: Road, dice: random.Random, add: Add) -> None:
    for side in (-1, 1):
        s = -45.0
        while s < road.crosswalk - 12:
            name = dice.choices(("car", "truck", "trailer", "motorcycle"), (10, 1, 1, 1))[0]
            thing_length = {"car": 5.6, "truck": 9.5, "trailer": 8.5, "motorcycle": 3.0}[name]
            s += thing_length / 2
            free = all(abs(s - at) > thing_length / 2 + 3 or where != side for at, where in road.driveways)
            if free and dice.random() < 0.72 and not (side < 0 and 42 < s < 75):
                add(name, Drive(s, side * (PARKING + 0.05), turn=0.0 if side < 0 else math.pi))
            s += thing_length / 2 + dice.choice((0.3, 0.6, 4.0))
    for k in range(4):
        add("bicycle", Drive(6.0 + 1.1 * k, -(KERB + 0.62), turn=0.6))


def _work_zone(dice: random.Random, add: Add) -> None:
    """The right lane is closed: a taper of cones, barriers along the lane line, an excavator and a worker inside."""
    for i in range(6):
        add("traffic_cone", Drive(44.0 + 1.9 * i, LANES[0] - 1.5 + 0.55 * i))
    for i in range(5):
        add("barrier", Drive(56.5 + 2.3 * i, LANES[0] + 1.45))
    for i in range(3):
        add("traffic_cone", Drive(69.5 + 1.8 * i, LANES[0] + 1.2 - 0.9 * i))
    add("barrier", Drive(55.2, LANES[0] + 0.1, turn=math.pi / 2))
    add("construction_vehicle", Drive(61.0 + dice.uniform(-1, 1), LANES[0] - 0.35, turn=0.25))
    add("pedestrian", Drive(66.5, LANES[0] - 0.2, turn=2.0))
