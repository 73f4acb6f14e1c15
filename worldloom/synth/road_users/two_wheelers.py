"""Bicycles, motorcycles and scooters, with and without riders, x forward, wheels on z = 0."""

import math
import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from worldloom.synth.road_users.coachwork import (
    CHROME,
    GLASS,
    HEADLAMP,
    PLATE,
    STEEL,
    TAIL_LAMP,
    TRIM,
    TYRE,
    by_material,
    chamfered,
    loft,
    paint,
    part_of,
)
from worldloom.synth.road_users.figure import Build, Pose, cloth, figure
from worldloom.synth.road_users.people import TOPS, someone
from worldloom.synth.shapes import Number, box, ellipsoid, lathe, moved, tube, turned
from worldloom.synth.world import Colour, Material, Part

CRANK = 0.17
METRES_PER_TURN = 4.6  # of the cranks
WHEEL = 0.34


@dataclass(frozen=True)
class Cycle:
    """A bicycle, its frame's colour, and who rides it."""

    colour: Colour
    rider: Build | None
    step_through: bool = False  # a low frame and an upright seat
    basket: bool = False


def hoop(x: Number, radius: Number, thickness: Number, material: Material, sides: int = 20) -> Part:
    """A tyre: a ring about the y axis that stands on the ground."""
    angle = 2 * math.pi * np.arange(sides) / sides
    turn = 2 * math.pi * np.arange(5) / 5
    centre = radius - thickness
    rings = centre + thickness * np.cos(turn)[None]
    vertices = np.stack(
        [
            x + rings * np.cos(angle)[:, None],
            np.broadcast_to(thickness * np.sin(turn), (sides, 5)),
            radius + rings * np.sin(angle)[:, None],
        ],
        -1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(sides), np.arange(5), indexing="ij")
    a, b = i * 5 + j, i * 5 + (j + 1) % 5
    c, d = (i + 1) % sides * 5 + j, (i + 1) % sides * 5 + (j + 1) % 5
    # The hoop runs from x to z; at x, its section runs from x to y, counter-clockwise about z.
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return part_of(vertices, faces, material, smooth=True)


def _spokes(x: Number, radius: Number, material: Material, count: int) -> list[Part]:
    parts = []
    for i in range(count):
        angle = math.pi * i / count
        dx, dz = 0.92 * radius * math.cos(angle), 0.92 * radius * math.sin(angle)
        parts.append(tube([(x - dx, 0, radius - dz), (x + dx, 0, radius + dz)], 0.005, material, 3))
    parts.append(tube([(x, -0.05, radius), (x, 0.05, radius)], 0.03, material, 6))
    return parts


BOTTOM, SADDLE = (-0.1, 0.0, 0.29), (-0.27, 0.0, 0.93)


def bicycle(cycle: Cycle, phase: Number) -> list[Part]:
    """A bicycle; its rider's feet follow the cranks, which turn once as the phase goes from 0 to 1."""
    angle = -2 * math.pi * float(phase)  # forward pedalling turns like the wheels: from z towards x
    pedals = [
        (BOTTOM[0] + s * CRANK * math.cos(angle), side * 0.13, BOTTOM[2] + s * CRANK * math.sin(angle))
        for s, side in ((1, 1), (-1, -1))
    ]
    parts = [*_frame(cycle.colour, cycle.step_through, cycle.basket)]
    for x, y, z in pedals:
        parts.append(tube([(BOTTOM[0], 0.6 * y, BOTTOM[2]), (x, 0.6 * y, z)], 0.012, STEEL, 4))
        parts.append(box((0.09, 0.09, 0.025), (x, y, z), TRIM))
    if cycle.rider:
        ankle = cycle.rider.ankle
        ankles = [(x - 0.09, y, z + ankle + 0.015) for x, y, z in pedals]
        x, z = _grips(cycle.step_through)
        pose = Pose(
            hips=(SADDLE[0] + 0.02, 0, SADDLE[2] + 0.075),
            lean=0.25 if cycle.step_through else 0.62,
            ankles=(ankles[0], ankles[1]),
            toes=(0.12, 0.12),
            hands=((x - 0.05, 0.26, z + 0.035), (x - 0.05, -0.26, z + 0.035)),
            elbows_out=0.5,
        )
        parts += figure(cycle.rider, pose)
    return parts


def _grips(step_through: bool) -> tuple[float, float]:
    """x and height of the handlebar; one sits upright on a low frame."""
    return (0.124, 1.12) if step_through else (0.3, 1.04)


@cache
def _frame(colour: Colour, step_through: bool, basket: bool) -> tuple[Part, ...]:
    """All of a bicycle that does not turn with the cranks."""
    frame = paint(colour)
    rear, front = -0.53, 0.53
    head, fork = (0.31, 0, 0.92), (0.355, 0, 0.72)
    bar = _grips(step_through)
    seat_top = (BOTTOM[0] + 0.72 * (SADDLE[0] - BOTTOM[0]), 0, BOTTOM[2] + 0.72 * (SADDLE[2] - BOTTOM[2]))
    top_tube = [fork, (0.05, 0, 0.5), (-0.13, 0, 0.45)] if step_through else [(0.32, 0, 0.88), seat_top]
    parts = [
        *(hoop(x, WHEEL, 0.022, TYRE) for x in (rear, front)),
        *(spoke for x in (rear, front) for spoke in _spokes(x, WHEEL, STEEL, 5)),
        tube(top_tube, 0.019, frame, 6),
        tube([fork, BOTTOM], 0.021, frame, 6),
        tube([BOTTOM, seat_top], 0.018, frame, 6),
        tube([seat_top, (SADDLE[0], 0, SADDLE[2])], 0.014, CHROME, 5),
        tube([head, fork], 0.022, frame, 6),
        *(tube([fork, (0.38, s, 0.66), (front, s, WHEEL)], 0.014, frame, 5) for s in (-0.05, 0.05)),
        *(tube([(BOTTOM[0], s, BOTTOM[2]), (rear, s, WHEEL)], 0.011, frame, 4) for s in (-0.05, 0.05)),
        *(tube([(seat_top[0], s, seat_top[2]), (rear, s, WHEEL)], 0.01, frame, 4) for s in (-0.05, 0.05)),
        tube([head, (head[0], 0, bar[1])], 0.016, CHROME, 5),
        tube(
            [
                (bar[0] - 0.08, 0.29, bar[1]),
                (bar[0] + 0.04, 0.22, bar[1] + 0.02),
                (bar[0] + 0.05, 0, bar[1]),
                (bar[0] + 0.04, -0.22, bar[1] + 0.02),
                (bar[0] - 0.08, -0.29, bar[1]),
            ],
            0.015,
            TRIM,
            5,
        ),
        ellipsoid((0.13, 0.07, 0.04), SADDLE, TRIM, 8, 4),
        moved(
            lathe([(0, -0.01), (0.1, -0.01), (0.1, 0.01), (0, 0.01)], STEEL, 12, False),
            turned(roll=math.pi / 2),
            (BOTTOM[0], -0.06, BOTTOM[2]),
        ),
        box((0.03, 0.05, 0.05), (-0.36, 0, 0.78), TAIL_LAMP),
        ellipsoid((0.04, 0.035, 0.035), (0.4, 0, 0.93), HEADLAMP, 6, 4),
    ]
    if basket:
        parts.append(chamfered((0.38, -0.16, 0.82), (0.64, 0.16, 1.04), 0.03, STEEL))
    return by_material(parts)


@dataclass(frozen=True)
class MotorBike:
    """A motorcycle or scooter and who rides it."""

    style: str  # "street", "tourer" or "scooter"
    colour: Colour
    rider: Build | None


def motorcycle(bike: MotorBike) -> list[Part]:
    """A motorcycle with its rider, feet on the pegs."""
    return _scooter(bike) if bike.style == "scooter" else _street_bike(bike)


def _fat_wheel(x: Number, radius: Number, width: Number) -> list[Part]:
    r, w = float(radius), float(width)
    tyre = lathe(
        [
            (0.6 * r, -0.4 * w),
            (0.85 * r, -w / 2),
            (0.97 * r, -0.3 * w),
            (r, 0),
            (0.97 * r, 0.3 * w),
            (0.85 * r, w / 2),
            (0.6 * r, 0.4 * w),
        ],
        TYRE,
        16,
    )
    disc = lathe([(0, -0.3 * w), (0.61 * r, -0.3 * w), (0.61 * r, 0.3 * w), (0, 0.3 * w)], STEEL, 16, False)
    return [moved(p, turned(roll=math.pi / 2), (x, 0, r)) for p in (tyre, disc)]


def _street_bike(bike: MotorBike) -> list[Part]:
    skin = paint(bike.colour)
    r, rear, front = 0.31, -0.7, 0.72
    touring = bike.style == "tourer"

    def ring(x: float, half: float, low: float, high: float) -> np.ndarray:
        m = 0.5 * (low + high)
        return np.array(
            [
                (x, half, m),
                (x, 0.7 * half, high),
                (x, -0.7 * half, high),
                (x, -half, m),
                (x, -0.7 * half, low),
                (x, 0.7 * half, low),
            ]
        )

    parts = [
        *_fat_wheel(rear, r, 0.17),
        *_fat_wheel(front, r, 0.12),
        loft(
            [
                ring(-0.08, 0.1, 0.72, 0.88),
                ring(0.12, 0.15, 0.7, 0.98),
                ring(0.34, 0.16, 0.7, 1.0),
                ring(0.5, 0.09, 0.76, 0.92),
            ],
            skin,
            True,
        ),
        loft([ring(-1.0, 0.05, 0.84, 0.9), ring(-0.72, 0.1, 0.76, 0.88), ring(-0.1, 0.12, 0.66, 0.78)], skin, True),
        loft(
            [ring(-0.82, 0.1, 0.86, 0.92), ring(-0.4, 0.14, 0.8, 0.86), ring(-0.06, 0.11, 0.76, 0.88)],
            cloth((0.03, 0.03, 0.03)),
            True,
        ),
        chamfered((-0.28, -0.2, 0.24), (0.34, 0.2, 0.68), 0.08, TRIM),
        *(chamfered((-0.02, s * 0.2 - 0.03, 0.32), (0.2, s * 0.2 + 0.03, 0.54), 0.025, STEEL) for s in (-1, 1)),
        tube([(0.3, -0.15, 0.35), (-0.1, -0.19, 0.28), (-0.85, -0.2, 0.42)], [0.03, 0.035, 0.06], CHROME, 8),
        *(tube([(0.42, s * 0.1, 1.0), (front, s * 0.1, r)], 0.028, CHROME, 6) for s in (-1, 1)),
        *(tube([(-0.2, s * 0.11, 0.42), (rear, s * 0.11, r)], 0.028, TRIM, 5) for s in (-1, 1)),
        moved(chamfered((-0.2, -0.08, 0), (0.2, 0.08, 0.04), 0.015, skin), turned(), (front, 0, 2 * r + 0.01)),
        tube(
            [(0.22, 0.37, 1.03), (0.36, 0.22, 1.08), (0.4, 0, 1.04), (0.36, -0.22, 1.08), (0.22, -0.37, 1.03)],
            0.017,
            TRIM,
            6,
        ),
        ellipsoid((0.09, 0.1, 0.1), (0.58, 0, 0.92), HEADLAMP, 10, 6),
        box((0.04, 0.14, 0.05), (-1.0, 0, 0.86), TAIL_LAMP),
        box((0.02, 0.18, 0.14), (-0.99, 0, 0.68), PLATE),
        *(ellipsoid((0.02, 0.06, 0.045), (0.34, s * 0.32, 1.2), TRIM, 8, 4) for s in (-1, 1)),
        *(tube([(0.34, s * 0.26, 1.05), (0.34, s * 0.32, 1.2)], 0.01, TRIM, 4) for s in (-1, 1)),
        moved(chamfered((-0.16, -0.07, 0), (0.2, 0.07, 0.03), 0.01, TRIM), turned(), (rear, 0, 2 * r + 0.02)),
    ]
    if touring:
        parts += [
            loft([ring(0.36, 0.24, 0.6, 1.02), ring(0.6, 0.2, 0.66, 1.0), ring(0.78, 0.08, 0.72, 0.9)], skin, True),
            moved(box((0.02, 0.34, 0.34), (0, 0, 0.15), GLASS), turned(pitch=-0.6), (0.6, 0, 1.0)),
            *(chamfered((-0.98, s * 0.25 - 0.1, 0.48), (-0.5, s * 0.25 + 0.1, 0.8), 0.05, skin) for s in (-1, 1)),
            chamfered((-1.06, -0.2, 0.92), (-0.72, 0.2, 1.2), 0.06, skin),
        ]
    if bike.rider:
        ankle = bike.rider.ankle
        pose = Pose(
            hips=(-0.28, 0, 0.94),
            lean=0.25 if touring else 0.4,
            ankles=((-0.1, 0.2, 0.32 + ankle), (-0.1, -0.2, 0.32 + ankle)),
            toes=(0.05, 0.05),
            hands=((0.24, 0.31, 1.06), (0.24, -0.31, 1.06)),
            knees_out=0.25,
            elbows_out=0.5,
        )
        parts += figure(bike.rider, pose)
    return parts


def _scooter(bike: MotorBike) -> list[Part]:
    skin = paint(bike.colour)
    r, rear, front = 0.24, -0.6, 0.64

    def ring(x: float, half: float, low: float, high: float) -> np.ndarray:
        return np.array(
            [
                (x, half, low),
                (x, half, 0.4 * low + 0.6 * high),
                (x, 0.6 * half, high),
                (x, -0.6 * half, high),
                (x, -half, 0.4 * low + 0.6 * high),
                (x, -half, low),
            ]
        )

    parts = [
        *_fat_wheel(rear, r, 0.13),
        *_fat_wheel(front, r, 0.12),
        loft(
            [
                ring(-0.92, 0.08, 0.56, 0.72),
                ring(-0.62, 0.19, 0.42, 0.74),
                ring(-0.2, 0.2, 0.3, 0.74),
                ring(-0.1, 0.14, 0.3, 0.7),
            ],
            skin,
        ),
        loft(
            [ring(-0.88, 0.1, 0.74, 0.8), ring(-0.3, 0.17, 0.73, 0.84), ring(-0.06, 0.1, 0.7, 0.78)],
            cloth((0.03, 0.03, 0.03)),
            True,
        ),
        chamfered((-0.2, -0.19, 0.24), (0.36, 0.19, 0.34), 0.03, TRIM),
        moved(chamfered((-0.05, -0.21, 0.0), (0.07, 0.21, 0.72), 0.05, skin), turned(pitch=-0.22), (0.4, 0, 0.28)),
        loft([ring(0.42, 0.09, 0.44, 0.52), ring(0.64, 0.1, 0.46, 0.56), ring(0.84, 0.06, 0.4, 0.48)], skin),
        *(tube([(0.46, s * 0.085, 0.6), (front, s * 0.085, r)], 0.022, STEEL, 5) for s in (-1, 1)),
        tube([(0.16, 0.35, 1.02), (0.26, 0.16, 1.05), (0.26, -0.16, 1.05), (0.16, -0.35, 1.02)], 0.018, TRIM, 6),
        chamfered((0.16, -0.15, 0.92), (0.36, 0.15, 1.08), 0.05, skin),
        ellipsoid((0.05, 0.08, 0.06), (0.37, 0, 1.0), HEADLAMP, 8, 5),
        box((0.03, 0.16, 0.05), (-0.93, 0, 0.66), TAIL_LAMP),
        box((0.02, 0.18, 0.14), (-0.9, 0, 0.5), PLATE),
        *(ellipsoid((0.015, 0.05, 0.045), (0.24, s * 0.3, 1.2), TRIM, 8, 4) for s in (-1, 1)),
        *(tube([(0.22, s * 0.25, 1.04), (0.24, s * 0.3, 1.2)], 0.009, TRIM, 4) for s in (-1, 1)),
        tube([(-0.3, -0.16, 0.3), (-0.8, -0.17, 0.34)], 0.05, STEEL, 7),
    ]
    if bike.rider:
        ankle = bike.rider.ankle
        parts += figure(
            bike.rider,
            Pose(
                hips=(-0.36, 0, 0.9),
                lean=0.12,
                ankles=((0.12, 0.13, 0.345 + ankle), (0.12, -0.13, 0.345 + ankle)),
                toes=(0.0, 0.0),
                hands=((0.16, 0.29, 1.05), (0.16, -0.29, 1.05)),
                knees_out=0.2,
                elbows_out=0.4,
            ),
        )
        parts.append(chamfered((-0.98, -0.2, 0.8), (-0.62, 0.2, 1.16), 0.05, paint(bike.colour)))
    return parts


def _riders() -> tuple[tuple[Cycle, ...], tuple[MotorBike, ...]]:
    dice = random.Random("riders")
    paints: tuple[Colour, ...] = (
        (0.5, 0.05, 0.05),
        (0.05, 0.15, 0.45),
        (0.03, 0.03, 0.03),
        (0.1, 0.35, 0.25),
        (0.7, 0.7, 0.68),
        (0.7, 0.4, 0.05),
    )
    cycles = []
    for i in range(8):
        rider = replace(
            someone(dice, dice.uniform(1.66, 1.82)),
            garment="shorts" if i % 3 == 1 else "trousers",
            head="helmet" if i % 2 else "hair",
            helmet=TOPS[i],
        )
        cycles.append(Cycle(paints[i % 6], rider, step_through=i % 3 == 2, basket=i % 4 == 2))
    cycles += [Cycle(paints[i], None, step_through=i % 2 == 1, basket=i == 1) for i in range(4)]
    bikes = []
    for i in range(8):
        rider = replace(
            someone(dice, dice.uniform(1.68, 1.8)),
            garment="trousers",
            girth=1.12,
            head="helmet",
            helmet=TOPS[(3 * i) % 10],
        )
        bikes.append(MotorBike(("street", "scooter", "tourer", "scooter")[i % 4], paints[(5 * i) % 6], rider))
    bikes += [
        MotorBike(style, paints[i + 1], None) for i, style in enumerate(("street", "scooter", "tourer", "scooter"))
    ]
    return tuple(cycles), tuple(bikes)


CYCLES, MOTOR_BIKES = _riders()
