"""Cars, trucks, people and what else stands on a road: a few solids each, x forward, on the ground z = 0."""

import math
import random
from collections.abc import Callable

from worldloom.synth.first.solids import Box, Ellipsoid, Frustum, Material, Number, Shape, Solid, Thing, Triple, put

_PLAIN = Material((0.5, 0.5, 0.5))


def _at(
    shape: Shape, x: Number, y: Number, z: Number, yaw: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0
) -> Solid:
    return put(shape, (x, y, z), _PLAIN, yaw, pitch, roll)


def _wheels(axles: tuple[float, ...], track: float, radius: float) -> list[Solid]:
    return [
        _at(Frustum(radius, radius, 0.24), x, side * track / 2, radius, roll=math.pi / 2)
        for x in axles
        for side in (-1, 1)
    ]


def car(dice: random.Random) -> Thing:
    """Bonnet, cabin and boot over four wheels; some are tall estates."""
    length, height = dice.uniform(4.1, 4.8), dice.choice((1.48, 1.55, 1.75))
    estate = height > 1.6
    cabin = 0.62 if estate else 0.5
    return Thing(
        "car",
        (
            _at(Box((length, 1.82, 0.62)), 0, 0, 0.61),
            _at(
                Box((cabin * length, 1.62, height - 0.9)), (-0.17 if estate else -0.07) * length, 0, (height + 0.9) / 2
            ),
            *_wheels((0.31 * length, -0.31 * length), 1.6, 0.33),
        ),
    )


def bus(dice: random.Random) -> Thing:
    length = dice.uniform(10.8, 12.0)
    return Thing(
        "bus",
        (
            _at(Box((length, 2.55, 2.75)), 0, 0, 1.73),
            _at(Box((2.4, 1.6, 0.3)), -1.5, 0, 3.2),
            *_wheels((0.3 * length, -0.26 * length), 2.3, 0.48),
        ),
    )


def truck(dice: random.Random) -> Thing:
    """A cab, a gap, a box body on wheels."""
    body = dice.uniform(4.6, 5.6)
    length = body + 2.4
    return Thing(
        "truck",
        (
            _at(Box((1.9, 2.4, 2.3)), length / 2 - 0.95, 0, 1.6),
            _at(Box((body, 2.5, 2.5)), body / 2 - length / 2, 0, 2.2),
            _at(Box((length - 0.4, 0.9, 0.3)), 0, 0, 0.75),
            *_wheels((length / 2 - 1.1, 1.3 - length / 2, 2.4 - length / 2), 2.2, 0.48),
        ),
    )


def trailer(dice: random.Random) -> Thing:
    """A drawbar, a low bed with wheels at the rear, and a load that does not fill it."""
    load = dice.uniform(3.4, 4.2)
    return Thing(
        "trailer",
        (
            _at(Box((5.6, 2.4, 0.35)), -0.8, 0, 0.95),
            _at(Box((1.7, 0.3, 0.2)), 2.75, 0, 0.8),
            _at(Box((load, 2.2, 1.5)), -1.3, 0, 1.85),
            *_wheels((-1.6, -2.6), 2.2, 0.42),
        ),
    )


def construction_vehicle(dice: random.Random) -> Thing:
    """An excavator: two tracks, a house with its cab, a boom that rises and an arm that comes down to the bucket."""
    del dice
    return Thing(
        "construction_vehicle",
        (
            *(_at(Box((3.6, 0.6, 0.8)), -0.9, side * 1.05, 0.42) for side in (-1, 1)),
            _at(Box((2.9, 2.5, 0.9)), -1.1, 0, 1.35),
            _at(Box((1.4, 1.1, 1.3)), -0.5, 0.7, 2.4),
            _at(Box((1.1, 2.4, 0.6)), -2.0, 0, 2.05),
            _at(Box((3.4, 0.5, 0.55)), 1.0, -0.2, 2.9, pitch=-0.6),
            _at(Box((2.6, 0.4, 0.45)), 2.7, -0.2, 2.55, pitch=1.15),
            _at(Box((0.7, 1.1, 0.8)), 2.85, -0.2, 0.9),
        ),
    )


def _rider(x: float, seat: float, lean: float) -> list[Solid]:
    return [
        _at(Ellipsoid((0.2, 0.25, 0.36)), x + 0.1, 0, seat + 0.32, pitch=lean),
        _at(Ellipsoid((0.13, 0.13, 0.15)), x + 0.1 + 0.62 * math.sin(lean), 0, seat + 0.82),
        *(_at(Box((0.5, 0.14, 0.18)), x + 0.22, side * 0.17, seat - 0.12, pitch=0.5) for side in (-1, 1)),
    ]


def motorcycle(dice: random.Random) -> Thing:
    del dice
    wheels = [_at(Frustum(0.32, 0.32, 0.16), x, 0, 0.32, roll=math.pi / 2) for x in (-0.72, 0.72)]
    frame = [
        _at(Box((1.2, 0.32, 0.42)), 0, 0, 0.66),
        _at(Box((0.1, 0.72, 0.08)), 0.5, 0, 1.05),
        _at(Box((0.12, 0.14, 0.6)), 0.6, 0, 0.8, pitch=-0.4),
    ]
    return Thing("motorcycle", (*wheels, *frame, *_rider(-0.2, 0.92, 0.35)))


def bicycle(dice: random.Random) -> Thing:
    del dice
    wheels = [_at(Frustum(0.34, 0.34, 0.06), x, 0, 0.34, roll=math.pi / 2) for x in (-0.52, 0.52)]
    frame = [
        _at(Box((0.9, 0.06, 0.1)), 0, 0, 0.72, pitch=-0.1),
        _at(Box((0.1, 0.55, 0.06)), 0.45, 0, 1.02),
        _at(Box((0.06, 0.06, 0.6)), -0.15, 0, 0.65),
    ]
    return Thing("bicycle", (*wheels, *frame, *_rider(-0.15, 0.98, 0.45)))


def pedestrian(dice: random.Random) -> Thing:
    height = dice.uniform(1.6, 1.85)
    hip, stride = 0.48 * height, dice.uniform(0.1, 0.2)
    return Thing(
        "pedestrian",
        (
            *(_at(Frustum(0.07, 0.1, hip), side * stride, side * 0.11, hip / 2, pitch=-side * 0.3) for side in (-1, 1)),
            _at(Ellipsoid((0.16, 0.24, 0.2 * height)), 0, 0, hip + 0.17 * height),
            _at(Ellipsoid((0.11, 0.1, 0.13)), 0, 0, height - 0.13),
        ),
    )


def traffic_cone(dice: random.Random) -> Thing:
    del dice
    return Thing("traffic_cone", (_at(Box((0.42, 0.42, 0.06)), 0, 0, 0.03), _at(Frustum(0.19, 0.04, 0.78), 0, 0, 0.42)))


def barrier(dice: random.Random) -> Thing:
    """A water-filled barrier, 2 m long, wider at its foot."""
    del dice
    return Thing("barrier", (_at(Box((2.0, 0.5, 0.35)), 0, 0, 0.18), _at(Box((1.96, 0.26, 0.7)), 0, 0, 0.62)))


MAKERS: dict[str, Callable[[random.Random], Thing]] = {
    "car": car,
    "bus": bus,
    "truck": truck,
    "trailer": trailer,
    "construction_vehicle": construction_vehicle,
    "motorcycle": motorcycle,
    "bicycle": bicycle,
    "pedestrian": pedestrian,
    "traffic_cone": traffic_cone,
    "barrier": barrier,
}


def footprint(thing: Thing) -> tuple[Triple, Triple]:
    """Centre and (length, width, height) of the box around a thing that stands on z = 0."""
    corners = [solid.bounds() for solid in thing.solids]
    low = [min(c[0][axis].item() for c in corners) for axis in range(3)]
    high = [max(c[1][axis].item() for c in corners) for axis in range(3)]
    low[2] = 0.0
    middle = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    size = tuple(b - a for a, b in zip(low, high, strict=True))
    return (middle[0], middle[1], middle[2]), (size[0], size[1], size[2])
