"""What stands beside the street: facades with bays, a park, street trees, lamps and street furniture."""

import math
import random

from jaxtyping import Float
from torch import Tensor

from worldloom.synth.first.road import CROSS_HALF, KERB, SIDEWALK_END, Road
from worldloom.synth.first.solids import Box, Ellipsoid, Frustum, Material, Number, Shape, Solid, Thing, put

_PLAIN = Material((0.5, 0.5, 0.5))
Placed = tuple[str, Thing, Float[Tensor, "4 4"]]


def lots(road: Road, dice: random.Random) -> list[Placed]:
    """Everything that never moves, as (class, thing, world_from_thing)."""
    placed: list[Placed] = []
    for side in (-1, 1):
        placed += _row_of_houses(road, dice, side)
        placed += _kerbside(road, dice, side)
    placed += _park(road, dice)
    placed += _cross_corners(road, dice)
    return placed


def _at(shape: Shape, x: Number, y: Number, z: Number) -> Solid:
    return put(shape, (x, y, z), _PLAIN)


def _row_of_houses(road: Road, dice: random.Random, side: int) -> list[Placed]:
    """Houses of different widths and setbacks; driveways and the cross street keep gaps, the park has none."""
    placed: list[Placed] = []
    s = -62.0
    while s < 195:
        width = dice.choice((8, 10, 12, 14))
        setback = SIDEWALK_END + dice.choice((0.4, 0.4, 1.2, 2.6, 4.5))
        middle = s + width / 2
        crossing = abs(middle - road.crossing) < width / 2 + CROSS_HALF + 4
        driveway = any(abs(middle - at) < width / 2 + 2.4 and where == side for at, where in road.driveways)
        park = side == road.park and middle > road.crossing - 30
        if not (crossing or driveway or park):
            placed += _house(road, dice, s, width, side, setback)
        s += (2.0 if driveway else width) + dice.choice((0.0, 0.0, 1.6))
    return placed


def _house(road: Road, dice: random.Random, s: float, width: Number, side: int, setback: float) -> list[Placed]:
    """A front in bays of two metres: piers, sills, recessed windows, lintels; some have oriels or balconies."""
    bays = round(width / 2)
    placed: list[Placed] = []
    door, style = dice.randrange(bays), dice.choice(("flat", "oriel", "balcony"))
    height = dice.choice((4.0, 6.2, 6.2))  # a shop, or more storeys than the grid is high
    bay = width / bays
    for i in range(bays):
        # In the bay's own frame x runs along the street and y towards the middle of the road.
        solids = [_at(Box((0.7, 0.8, height)), -bay / 2 + 0.35, -0.4, height / 2)]
        solids += [_at(Box((bay, 0.5, height)), 0, y, height / 2) for y in (-1.05, -8.75)]
        solids.append(_at(Box((bay, 9.0, 0.4)), 0, -4.5, height - 0.2))
        for floor in (0.0, 3.2)[: 1 if height < 5 else 2]:
            if not (i == door and floor == 0.0):
                solids.append(_at(Box((bay, 0.8, 1.0)), 0, -0.4, floor + 0.5))
            solids.append(_at(Box((bay, 0.8, 0.7)), 0, -0.4, floor + 2.85))
        if style == "oriel" and i % 3 == 1 and height > 5:
            solids.append(_at(Box((bay, 0.9, 2.4)), 0, 0.4, 4.4))
        if style == "balcony" and i % 2 == 0 and height > 5:
            solids += [_at(Box((bay, 1.2, 0.25)), 0, 0.6, 3.2), _at(Box((bay, 0.12, 0.9)), 0, 1.15, 3.75)]
        if i == door and setback > SIDEWALK_END + 1:
            solids += [
                _at(Box((bay + 0.4, 1.4, 0.25)), 0, 0.7, 2.75),
                *(_at(Frustum(0.12, 0.12, 2.7), k * bay / 2, 1.2, 1.35) for k in (-1, 1)),
            ]
        pose = road.pose_at(s + (i + 0.5) * bay, side * setback, turn=math.pi if side > 0 else 0.0)
        placed.append(("manmade", Thing("house", tuple(solids)), pose))
    for k in (0, 1):  # walls that run back from the street
        flank = Thing("house", (_at(Box((0.5, 9.0, height)), 0, -4.5, height / 2),))
        placed.append(
            (
                "manmade",
                flank,
                road.pose_at(s + k * (width - 0.5) + 0.25, side * setback, turn=math.pi if side > 0 else 0.0),
            )
        )
    if setback > SIDEWALK_END + 2:
        for i in range(bays):
            if i != door:
                hedge = Thing("hedge", (_at(Box((bay * 0.96, 0.7, 1.1)), 0, 0, 0.55),))
                placed.append(("vegetation", hedge, road.pose_at(s + (i + 0.5) * bay, side * (SIDEWALK_END + 0.5))))
    return placed


def _tree(dice: random.Random, height: float) -> Thing:
    """A trunk and a crown of a few overlapping lobes."""
    radius = 0.32 * height
    lobes = [
        _at(
            Ellipsoid((r := radius * dice.uniform(0.55, 0.8), r, r * 0.85)),
            0.5 * radius * math.cos(k * 2.1),
            0.5 * radius * math.sin(k * 2.1),
            height * dice.uniform(0.62, 0.8),
        )
        for k in range(4)
    ]
    return Thing("tree", (_at(Frustum(0.2, 0.13, 0.65 * height), 0, 0, 0.325 * height), *lobes))


def _kerbside(road: Road, dice: random.Random, side: int) -> list[Placed]:
    """Along the kerb: trees, lamps, traffic lights, bins, a bus shelter."""
    placed: list[Placed] = []
    lamp = Thing("lamp", (_at(Frustum(0.1, 0.07, 5.6), 0, 0, 2.8), _at(Box((0.2, 1.6, 0.16)), 0, -side * 0.8, 5.2)))
    signal = Thing("signal", (_at(Frustum(0.09, 0.09, 3.4), 0, 0, 1.7), _at(Box((0.35, 0.35, 1.0)), 0, 0, 3.2)))
    bin_ = Thing("bin", (_at(Frustum(0.26, 0.3, 1.0), 0, 0, 0.5),))
    bench = Thing("bench", (_at(Box((1.8, 0.5, 0.12)), 0, 0, 0.45), _at(Box((1.8, 0.1, 0.5)), 0, side * 0.25, 0.7)))
    s, number = -60.0, 0
    while s < 190:
        s, number = s + dice.uniform(8.0, 10.5), number + 1
        clear = abs(s - road.crossing) > CROSS_HALF + 5 and abs(s - road.crosswalk) > 4
        if not clear or any(abs(s - at) < 3.2 and where == side for at, where in road.driveways):
            continue
        placed.append(("vegetation", _tree(dice, dice.uniform(4.6, 6.2)), road.pose_at(s, side * (KERB + 0.9))))
        if number % 3 == 0:
            placed.append(("manmade", lamp, road.pose_at(s + 4, side * (KERB + 0.5))))
        if number % 4 == 1:
            placed.append(("others", bin_, road.pose_at(s + 2.2, side * (KERB + 0.8))))
        if number % 4 == 2:
            placed.append(("others", bench, road.pose_at(s - 2.4, side * (SIDEWALK_END - 0.3))))
    placed.append(("manmade", signal, road.pose_at(road.crosswalk - side * 1.0, side * (KERB + 0.4))))
    if side > 0:
        shelter = Thing(
            "shelter",
            (
                _at(Box((4.2, 0.15, 2.4)), 0, 0.7, 1.2),
                _at(Box((4.4, 1.6, 0.2)), 0, 0, 2.5),
                _at(Box((0.15, 1.4, 2.4)), 2.1, 0, 1.2),
            ),
        )
        placed.append(("manmade", shelter, road.pose_at(33.0, KERB + 2.2)))
    return placed


def _park(road: Road, dice: random.Random) -> list[Placed]:
    """Trees, bushes and benches on the grass of the park's side."""
    placed: list[Placed] = []
    for i in range(34):
        s, d = road.crossing - 26 + 5.1 * i % 90 + dice.uniform(-1.5, 1.5), SIDEWALK_END + dice.uniform(2.5, 26)
        if abs(s - road.crossing) > CROSS_HALF + 5:
            thing = (
                _tree(dice, dice.uniform(4.5, 7.0))
                if i % 3
                else Thing("bush", (_at(Ellipsoid((dice.uniform(0.7, 1.4), 1.0, 0.8)), 0, 0, 0.6),))
            )
            placed.append(("vegetation", thing, road.pose_at(s, road.park * d)))
    for i in range(12):
        wall = Thing("wall", (_at(Box((2.0, 0.35, 0.9)), 0, 0, 0.45),))
        placed.append(("manmade", wall, road.pose_at(road.crossing - 30 + 1.98 * i, road.park * (SIDEWALK_END + 0.3))))
    return placed


def _cross_corners(road: Road, dice: random.Random) -> list[Placed]:
    """Houses along the cross street, seen when one looks into it."""
    placed: list[Placed] = []
    for along in (-1, 1):
        for k in range(4):
            v = -road.park * (20 + 9.0 * k)
            front = Thing(
                "house",
                (_at(Box((8.4, 0.9, 6.4)), 0, -0.45, 3.2), _at(Box((1.4, 1.0, 2.6)), dice.uniform(-2, 2), 0.4, 1.3)),
            )
            pose = road.pose_at(road.crossing + along * (CROSS_HALF + 3.8), v, turn=math.pi / 2 * along)
            placed.append(("manmade", front, pose))
    return placed
