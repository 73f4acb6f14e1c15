"""Excavators, wheel loaders, rollers and dumpers, x forward, on z = 0."""

import math
from dataclasses import dataclass

import numpy as np

from worldloom.synth.road_users.coachwork import (
    CHASSIS,
    CHROME,
    GLASS,
    HEADLAMP,
    STEEL,
    TAIL_LAMP,
    TRIM,
    TYRE,
    axle_wheels,
    bar,
    chamfered,
    end_quad,
    loft,
    mirrored,
    paint,
    pane,
    side_quad,
)
from worldloom.synth.shapes import Number, Triple, box, cylinder, lathe, moved, slab, tube, turned
from worldloom.synth.world import Colour, Material, Part

YELLOW: Colour = (0.75, 0.45, 0.02)
ORANGE: Colour = (0.75, 0.22, 0.02)
BEACON = Material("beacon", (0.9, 0.4, 0.02), roughness=0.2, emission=(0.5, 0.2, 0.0))
EARTH = Material("earth", (0.22, 0.15, 0.09), roughness=1.0)


@dataclass(frozen=True)
class Machine:
    """What a building site drives; `work` tells how its tool is held, 0 low to 1 high."""

    style: str  # "excavator", "loader", "roller" or "dumper"
    colour: Colour
    work: Number = 0.5


MACHINES = (
    Machine("excavator", YELLOW, 0.3),
    Machine("loader", YELLOW, 0.1),
    Machine("roller", YELLOW),
    Machine("dumper", YELLOW),
    Machine("excavator", ORANGE, 0.75),
    Machine("loader", ORANGE, 0.8),
    Machine("roller", ORANGE),
    Machine("dumper", ORANGE),
)


def machine(kind: Machine) -> list[Part]:
    """A construction vehicle."""
    makers = {"excavator": _excavator, "loader": _loader, "roller": _roller, "dumper": _dumper}
    return makers[kind.style](kind)


def _operator_cab(low: Triple, high: Triple, skin: Material) -> list[Part]:
    """A cab that is mostly window, with a beacon on its roof."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    sill = z0 + 0.35 * (z1 - z0)
    left, right = side_quad(x1, x0, y1, sill, z1 - 0.1), side_quad(x1, x0, y0, sill, z1 - 0.1)
    front = end_quad(x1, y0, y1, z0 + 0.12, z1 - 0.08, front=True)
    rear = end_quad(x0, y0, y1, sill, z1 - 0.1, front=False)
    return [
        chamfered(low, high, 0.04, skin),
        *(pane(side, u, (0.05, 0.95), GLASS) for side in (left, right) for u in ((0.06, 0.48), (0.54, 0.94))),
        pane(front, (0.07, 0.93), (0.05, 0.95), GLASS),
        pane(rear, (0.1, 0.9), (0.1, 0.9), GLASS),
        cylinder(0.07, 0.14, (x0 + 0.25, 0.5 * (y0 + y1), z1), BEACON, 8),
    ]


def _excavator(kind: Machine) -> list[Part]:
    """Tracks, a house with its cab, and boom, arm and bucket reaching ahead."""
    skin = paint(kind.colour)
    shift = -1.5  # the house stands behind the middle of the box, which the boom leads
    tracks = []
    for side in (1, -1):
        y0, y1 = sorted((side * 0.8, side * 1.4))
        outline = _stadium(1.85, 0.45)
        tracks.append(loft(_track_rings(outline, shift, y0, y1), TYRE))
        tracks += [
            moved(
                lathe([(0, 0), (0.3, 0), (0.3, 0.62), (0, 0.62)], STEEL, 10, False),
                turned(roll=math.pi / 2),
                (shift + x, y1 + 0.01, 0.45),
            )
            for x in (-1.4, 1.4)
        ]
    z = 1.05
    lift = kind.work
    foot = np.array([shift + 1.1, 0, z + 0.5])
    knee = foot + np.array([1.55 + 0.1 * lift, 0, 1.0 + 0.65 * lift])
    tip = knee + np.array([1.75 - 0.2 * lift, 0, -0.25 - 0.1 * lift])
    wrist = tip + np.array([0.35 - 0.9 * lift, 0, -1.55 + 0.45 * lift])

    def beside(point: np.ndarray, dx: Number, dz: Number) -> Triple:
        return float(point[0]) + dx, 0.0, float(point[2]) + dz

    boom = [beside(point, 0, 0) for point in (foot, knee, tip, wrist)]
    return [
        *tracks,
        slab((shift - 0.9, -0.8, 0.35), (shift + 0.9, 0.8, 0.75), CHASSIS),
        cylinder(0.6, 0.35, (shift, 0, 0.72), STEEL, 14),
        chamfered((shift - 1.75, -1.25, z), (shift + 1.1, 1.25, z + 0.32), 0.05, skin),
        chamfered((shift - 1.8, -1.25, z + 0.3), (shift - 0.35, 1.25, z + 1.05), 0.1, skin),
        chamfered((shift - 1.95, -1.2, z + 0.05), (shift - 1.6, 1.2, z + 1.0), 0.12, CHASSIS),
        chamfered((shift - 0.3, -1.22, z + 0.3), (shift + 1.0, -0.45, z + 0.85), 0.06, skin),
        *_operator_cab((shift - 0.35, 0.3, z + 0.3), (shift + 1.15, 1.24, z + 1.95), skin),
        cylinder(0.05, 0.35, (shift - 1.2, -0.7, z + 1.05), STEEL, 8),
        bar(boom[0], boom[1], (0.36, 0.5), skin),
        bar(boom[1], boom[2], (0.34, 0.42), skin),
        bar(boom[2], boom[3], (0.28, 0.34), skin),
        tube([beside(foot, 0.25, -0.25), beside(0.45 * foot + 0.55 * knee, 0.2, -0.05)], 0.07, CHROME, 6),
        tube([beside(knee, 0.1, 0.32), beside(tip, 0.05, 0.28)], 0.06, CHROME, 6),
        *_bucket(wrist, 0.62, 1.1, 0.55 - 0.5 * lift),
    ]


def _stadium(half: Number, r: Number) -> list[tuple[float, float]]:
    right = [
        (half - r + r * math.cos(a), r + r * math.sin(a)) for a in np.linspace(-math.pi / 2, math.pi / 2, 7).tolist()
    ]
    return [*right, *((-x, 2 * r - z) for x, z in right)]


def _track_rings(outline: list[tuple[float, float]], shift: Number, y0: Number, y1: Number) -> list[np.ndarray]:
    """Rings along +y; seen along +y, counter-clockwise runs from z to x, so the outline is turned about."""
    return [np.array([(shift + x, y, z) for x, z in outline[::-1]]) for y in (y0, y1)]


def _bucket(wrist: np.ndarray, size: Number, width: Number, curl: Number) -> list[Part]:
    """A bucket that hangs below the wrist, open towards the machine."""
    outline = [
        (0.05, 0.1),
        (0.45, -0.1),
        (0.6, -0.55),
        (0.4, -1.0),
        (-0.15, -1.15),
        (-0.1, -1.02),
        (0.3, -0.88),
        (0.45, -0.52),
        (0.3, -0.16),
        (-0.15, -0.05),
    ]
    c, s = math.cos(curl), math.sin(curl)
    x0, _, z0 = wrist
    points = [(x0 + size * (c * x - s * z), z0 + size * (s * x + c * z)) for x, z in outline]
    rings = [np.array([(x, y, z) for x, z in points]) for y in (-width / 2, width / 2)]
    plates = [
        np.array([(x, y + d, z) for x, z in [*points[:5], (x0, z0)]])
        for y, d in ((-width / 2, 0.0), (width / 2, -0.03))
        for d in (d, d + 0.03)
    ]
    return [loft(rings, STEEL), loft(plates[:2], STEEL), loft(plates[2:], STEEL)]


def _loader(kind: Machine) -> list[Part]:
    """A wheel loader: engine behind, cab in the middle, arms and a wide shovel in front."""
    skin = paint(kind.colour)
    r, lift = 0.72, kind.work
    hub = np.array([2.55 - 0.25 * lift, 0, 0.6 + 1.9 * lift])
    shovel = [
        (-0.35, 0.5),
        (-0.25, 0.62),
        (0.1, 0.62),
        (-0.25, 0.3),
        (-0.28, -0.25),
        (0.62, -0.46),
        (0.62, -0.52),
        (-0.35, -0.42),
        (-0.45, 0.0),
    ]
    points = [(hub[0] + x, hub[2] + z) for x, z in shovel]
    rings = [np.array([(x, y, z) for x, z in points]) for y in (-1.38, 1.38)]
    sides = [
        np.array(
            [
                (hub[0] + x, y, hub[2] + z)
                for x, z in ((-0.35, -0.42), (-0.45, 0.0), (-0.35, 0.5), (0.1, 0.62), (0.62, -0.5))
            ]
        )
        for y in (-1.4, -1.34, 1.34, 1.4)
    ]
    return [
        *axle_wheels([1.05, -1.75], 1.25, r, 0.52, paint(kind.colour)),
        chamfered((-3.1, -0.85, 0.85), (-0.9, 0.85, 1.95), 0.12, skin),
        chamfered((-3.25, -0.95, 0.7), (-2.75, 0.95, 1.4), 0.1, CHASSIS),
        slab((-1.0, -0.45, 0.6), (1.5, 0.45, 1.15), CHASSIS),
        *mirrored(
            [
                slab((-2.5, 0.78, 1.46), (-1.0, 1.25, 1.52), skin),
                slab((0.35, 0.78, 1.48), (1.6, 1.25, 1.54), skin),
                box((0.05, 0.25, 0.18), (1.5, 1.0, 1.75), HEADLAMP),
            ]
        ),
        *_operator_cab((-1.05, -0.72, 1.15), (0.45, 0.72, 3.1), skin),
        cylinder(0.06, 0.7, (-2.2, 0.35, 1.9), STEEL, 8),
        *(box((0.04, 0.2, 0.14), (-3.12, s * 0.7, 1.6), TAIL_LAMP) for s in (-1, 1)),
        *mirrored([bar((0.9, 0.5, 1.75), (float(hub[0]) - 0.35, 0.5, float(hub[2])), (0.2, 0.42), skin)]),
        tube([(0.9, 0, 1.3), (float(hub[0]) - 0.8, 0, 0.5 * float(hub[2]) + 0.85)], 0.08, CHROME, 6),
        slab((0.6, -0.6, 1.1), (1.2, 0.6, 1.95), skin),
        loft(rings, STEEL),
        loft(sides[:2], STEEL),
        loft(sides[2:], STEEL),
    ]


def _roller(kind: Machine) -> list[Part]:
    """A road roller with a steel drum before and behind, and a canopy on posts."""
    skin = paint(kind.colour)
    drums = [
        moved(
            lathe(
                [(0, 0), (0.5, 0), (0.6, 0.06), (0.62, 0.08), (0.62, 1.6), (0.6, 1.62), (0.5, 1.68), (0, 1.68)],
                STEEL,
                24,
            ),
            turned(roll=math.pi / 2),
            (x, 0.84, 0.62),
        )
        for x in (-1.55, 1.55)
    ]
    return [
        *drums,
        chamfered((0.35, -0.75, 0.6), (2.25, 0.75, 1.42), 0.15, skin),
        chamfered((-2.25, -0.75, 0.75), (-0.3, 0.75, 1.35), 0.12, skin),
        slab((-0.6, -0.6, 0.45), (0.6, 0.6, 0.95), CHASSIS),
        *mirrored([slab((x - 0.85, 0.86, 0.5), (x + 0.85, 0.94, 0.85), skin) for x in (-1.55, 1.55)]),
        box((0.5, 0.5, 0.12), (-0.75, 0, 1.45), TRIM),
        box((0.12, 0.5, 0.55), (-1.05, 0, 1.7), TRIM),
        tube([(-0.1, 0, 1.3), (-0.2, 0, 1.75)], 0.03, TRIM, 5),
        moved(lathe([(0.17, -0.02), (0.21, 0), (0.17, 0.02)], TRIM, 12), turned(pitch=-0.4), (-0.22, 0, 1.78)),
        *(tube([(x, y, 1.2), (x, y, 2.75)], 0.035, CHASSIS, 5) for x in (-1.45, 0.3) for y in (-0.66, 0.66)),
        chamfered((-1.7, -0.8, 2.7), (0.55, 0.8, 2.8), 0.03, skin),
        cylinder(0.07, 0.15, (-0.5, 0, 2.8), BEACON, 8),
        *(box((0.05, 0.16, 0.12), (2.26, s * 0.5, 1.15), HEADLAMP) for s in (-1, 1)),
        *(box((0.05, 0.14, 0.12), (-2.26, s * 0.5, 1.15), TAIL_LAMP) for s in (-1, 1)),
    ]


def _dumper(kind: Machine) -> list[Part]:
    """An articulated dump truck: cab in front, a skip with earth behind, six big wheels."""
    skin = paint(kind.colour)
    r = 0.8
    skip = [
        np.array([(x, y, z1), (x, -y, z1), (x, -0.62 * y, z0), (x, 0.62 * y, z0)])
        for x, y, z0, z1 in (
            (-4.1, 1.25, 2.0, 2.45),
            (-3.4, 1.35, 1.45, 2.5),
            (-0.6, 1.4, 1.3, 2.6),
            (-0.25, 1.4, 1.45, 2.75),
        )
    ]
    heap = [
        np.array([(x, y, z0), (x, 0.5 * y, z1), (x, -0.5 * y, z1), (x, -y, z0)])
        for x, y, z0, z1 in (
            (-3.9, 1.0, 2.35, 2.46),
            (-2.6, 1.2, 2.45, 2.95),
            (-1.5, 1.25, 2.5, 3.1),
            (-0.4, 1.2, 2.6, 2.75),
        )
    ]
    return [
        *axle_wheels([2.45, -1.35, -2.95], 1.42, r, 0.58, paint(kind.colour)),
        slab((-3.6, -0.5, 0.75), (0.6, 0.5, 1.3), CHASSIS),
        slab((0.2, -0.6, 0.7), (3.4, 0.6, 1.3), CHASSIS),
        chamfered((2.05, -0.95, 1.25), (4.05, 0.95, 1.95), 0.16, skin),
        chamfered((3.85, -1.2, 0.75), (4.2, 1.2, 1.25), 0.08, CHASSIS),
        pane(end_quad(4.05, -0.8, 0.8, 1.3, 1.85, front=True), (0.2, 0.8), (0.1, 0.9), TRIM),
        *(
            pane(end_quad(4.2, -1.2, 1.2, 0.8, 1.2, front=True), u, (0.2, 0.8), HEADLAMP)
            for u in ((0.05, 0.2), (0.8, 0.95))
        ),
        *mirrored([slab((1.6, 0.85, 1.68), (3.4, 1.42, 1.75), skin), slab((3.4, 0.85, 1.3), (3.48, 1.42, 1.75), skin)]),
        *_operator_cab((0.55, -0.85, 1.3), (2.1, 0.85, 3.05), skin),
        loft(skip, skin),
        loft(heap, EARTH),
        tube([(0.1, -1.0, 1.3), (0.1, -1.0, 2.6)], 0.08, STEEL, 8),
        *(box((0.04, 0.2, 0.16), (-3.62, s * 0.4, 1.0), TAIL_LAMP) for s in (-1, 1)),
    ]
