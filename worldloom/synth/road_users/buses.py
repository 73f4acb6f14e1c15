"""Buses of one and two floors, straight and with a joint, x forward, wheels on z = 0."""

from dataclasses import dataclass

import numpy as np

from worldloom.synth.road_users.coachwork import (
    CHASSIS,
    GLASS,
    HEADLAMP,
    PLATE,
    TAIL_LAMP,
    TRIM,
    axle_wheels,
    chamfered,
    end_quad,
    loft,
    mirrored,
    paint,
    pane,
    shell,
    side_quad,
)
from worldloom.synth.shapes import slab, tube
from worldloom.synth.world import Colour, Material, Part


@dataclass(frozen=True)
class Bus:
    """A bus; a second floor or a second, bending half make it other buses."""

    length: float
    height: float
    colour: Colour
    stripe: Colour
    articulated: bool = False
    decks: int = 1
    axle_back: float = 3.3  # rear overhang


BUSES = (
    Bus(12.0, 3.1, (0.65, 0.06, 0.05), (0.7, 0.7, 0.68)),
    Bus(10.8, 3.05, (0.7, 0.7, 0.66), (0.05, 0.25, 0.5)),
    Bus(11.5, 3.6, (0.08, 0.1, 0.14), (0.5, 0.4, 0.1)),
    Bus(18.0, 3.15, (0.7, 0.7, 0.66), (0.1, 0.4, 0.15), articulated=True),
    Bus(11.2, 4.35, (0.1, 0.4, 0.25), (0.7, 0.7, 0.68), decks=2),
    Bus(7.4, 2.85, (0.7, 0.55, 0.1), (0.1, 0.1, 0.1), axle_back=1.9),
)


def bus(kind: Bus) -> list[Part]:
    """A bus with doors on its right."""
    length, half, r = kind.length, 1.26, 0.48
    skin, stripe = paint(kind.colour), paint(kind.stripe)
    nose, tail = length / 2, -length / 2
    front_axle, rear_axle = nose - min(2.7, 0.24 * length), tail + kind.axle_back
    axles = [front_axle, rear_axle]
    joint = nose - 0.58 * length
    if kind.articulated:
        axles = [front_axle, joint + 1.9, rear_axle]
    pieces = [(tail, nose)] if not kind.articulated else [(tail, joint - 0.55), (joint + 0.55, nose)]
    parts = [slab((min(axles) - 0.6, -0.7, 0.3), (max(axles) + 0.6, 0.7, 0.55), CHASSIS)]
    for low, high in pieces:
        rounding = [
            x for end, s in ((high, -1), (low, 1)) if end in (nose, tail) for x in (end + s * 0.06, end + s * 0.25)
        ]
        parts.append(
            shell(
                (low, high),
                lambda x: half * (1 - 0.07 * max(0.0, 1 - min(nose - x, x - tail) / 0.25)),
                lambda x: 0.3,
                lambda x: kind.height - 0.12 - 0.1 * max(0.0, 1 - min(nose - x, x - tail) / 0.25),
                skin,
                rounding,
                axles,
                (r + 0.07, r),
                tumble=0.93,
            )
        )
    if kind.articulated:
        parts += _bellows(joint, half, kind.height - 0.2)
    parts += axle_wheels(axles, half - 0.02, r, 0.3)
    deck = (kind.height - 0.12) / kind.decks if kind.decks > 1 else kind.height - 0.12
    for floor in range(kind.decks):
        sill, lintel = (
            floor * deck + (1.25 if floor == 0 else 0.75),
            (floor + 1) * deck - (0.38 if floor == 0 else 0.45),
        )
        if kind.height > 3.5 and kind.decks == 1:
            sill += 0.45
        for low, high in pieces:
            parts += _windows(low, high, half, sill, lintel)
        parts += [
            pane(
                end_quad(
                    nose, -0.9 * half, 0.9 * half, sill - (0.35 if floor == 0 else 0.1), lintel + 0.12, front=True
                ),
                (0, 1),
                (0, 1),
                GLASS,
            ),
            pane(end_quad(tail, -0.85 * half, 0.85 * half, sill + 0.1, lintel, front=False), (0, 1), (0, 1), GLASS),
        ]
    parts += _bus_ends(kind, half, nose, tail, deck)
    parts += _bus_doors(pieces, half, front_axle, nose, deck)
    for low, high in pieces:
        parts += mirrored([pane(side_quad(high - 0.5, low + 0.4, half, 1.0, 1.15), (0, 1), (0, 1), stripe)])
        middle = 0.5 * (low + high)
        parts.append(
            chamfered((middle - 1.1, -0.75, kind.height - 0.14), (middle + 1.1, 0.75, kind.height), 0.05, skin)
        )
    return parts


def _windows(low: float, high: float, half: float, sill: float, lintel: float) -> list[Part]:
    """A row of panes between pillars on either side."""
    span = (high - 0.55) - (low + 0.35)
    count = max(2, round(span / 1.45))
    row = []
    for i in range(count):
        front = high - 0.55 - span * i / count
        row.append(
            pane(
                side_quad(front - 0.05, front - span / count + 0.05, 0.985 * half, sill, lintel),
                (0, 1),
                (0, 1),
                GLASS,
                0.03,
            )
        )
    return mirrored(row)


def _bellows(joint: float, half: float, top: float) -> list[Part]:
    """The folded skin between two halves, and the turntable below it."""
    rubber = Material("bellows", (0.04, 0.04, 0.045), roughness=0.95)
    rings = []
    for i in range(9):
        x, inset = joint - 0.6 + 0.15 * i, 0.03 + 0.07 * (i % 2)
        y = half - inset
        rings.append(np.array([(x, y, 0.45), (x, y, top - inset), (x, -y, top - inset), (x, -y, 0.45)]))
    return [loft(rings, rubber)]


def _bus_ends(kind: Bus, half: float, nose: float, tail: float, deck: float) -> list[Part]:
    sign = Material("destination board", (0.02, 0.02, 0.02), roughness=0.3)
    text = Material("destination text", (0.9, 0.5, 0.05), emission=(0.6, 0.3, 0.02))
    front = end_quad(nose, -0.88 * half, 0.88 * half, 0.4, 0.9, front=True)
    rear = end_quad(tail, -0.88 * half, 0.88 * half, 0.4, 1.4, front=False)
    board = end_quad(nose, -0.75 * half, 0.75 * half, deck - 0.24, deck - 0.02, front=True)
    arm = [
        tube([(nose - 0.1, 0.9 * half, deck - 0.25), (nose + 0.28, half + 0.1, deck - 0.3)], 0.025, TRIM, 5),
        chamfered((nose + 0.2, half + 0.0, deck - 0.75), (nose + 0.3, half + 0.2, deck - 0.3), 0.03, TRIM),
    ]
    return [
        pane(front, (0.0, 0.18), (0.25, 0.75), HEADLAMP),
        pane(front, (0.82, 1.0), (0.25, 0.75), HEADLAMP),
        pane(front, (0.4, 0.6), (0.1, 0.4), PLATE),
        pane(front, (0.22, 0.78), (0.55, 0.9), TRIM),
        pane(board, (0, 1), (0, 1), sign, 0.04),
        pane(board, (0.2, 0.8), (0.25, 0.75), text, 0.05),
        pane(rear, (0.0, 0.1), (0.25, 0.95), TAIL_LAMP),
        pane(rear, (0.9, 1.0), (0.25, 0.95), TAIL_LAMP),
        pane(rear, (0.42, 0.58), (0.1, 0.25), PLATE),
        pane(rear, (0.2, 0.8), (0.4, 0.85), TRIM),
        *mirrored(arm),
    ]


def _bus_doors(
    pieces: list[tuple[float, float]], half: float, front_axle: float, nose: float, deck: float
) -> list[Part]:
    top = min(2.5, deck - 0.3)
    places = [nose - 0.95]
    places += [0.5 * (low + high) - 0.2 for low, high in pieces]
    parts = []
    for x in places:
        if abs(x - front_axle) < 1.2 and x != places[0]:
            continue
        leaf = side_quad(x + 0.6, x - 0.6, -half, 0.36, top)
        parts.append(pane(leaf, (0, 1), (0, 1), TRIM, 0.035))
        parts += [pane(leaf, u, (0.06, 0.95), GLASS, 0.045) for u in ((0.06, 0.47), (0.53, 0.94))]
    return parts
