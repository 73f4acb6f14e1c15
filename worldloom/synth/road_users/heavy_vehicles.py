"""Trucks and semi-trailers, x forward, wheels on z = 0."""

from dataclasses import dataclass

import numpy as np

from worldloom.synth.road_users.coachwork import (
    CHASSIS,
    CHROME,
    GLASS,
    HEADLAMP,
    INDICATOR,
    PLATE,
    STEEL,
    TAIL_LAMP,
    TRIM,
    axle_wheels,
    bar,
    chamfered,
    end_quad,
    loft,
    mirrored,
    paint,
    pane,
    part_of,
    reflector,
    shell,
    side_quad,
)
from worldloom.synth.shapes import box, cylinder, lathe, moved, slab, tube, turned
from worldloom.synth.world import Colour, Material, Part

TARPAULINS: tuple[Colour, ...] = (
    (0.06, 0.15, 0.4),
    (0.7, 0.7, 0.68),
    (0.45, 0.06, 0.05),
    (0.08, 0.3, 0.16),
    (0.75, 0.45, 0.05),
)
RED_STRIP = reflector("red strip", (0.6, 0.03, 0.03), 0.4)
WHITE_STRIP = reflector("white strip", (0.8, 0.8, 0.78), 0.4)
MARKER = reflector("amber", (0.8, 0.4, 0.03), 0.3)


@dataclass(frozen=True)
class Truck:
    """A cab and what it carries; `load` is "box", "flatbed", "tanker", "tipper", "refuse" or "tractor"."""

    length: float
    load: str
    colour: Colour
    cargo: Colour
    cab_height: float = 2.9
    height: float = 3.4
    width: float = 2.5


TRUCKS = (
    Truck(7.2, "box", (0.7, 0.7, 0.68), TARPAULINS[0], 2.6, 3.3, 2.4),
    Truck(8.6, "box", TARPAULINS[2], (0.72, 0.72, 0.7), 2.95, 3.75),
    Truck(6.0, "box", (0.7, 0.7, 0.68), (0.72, 0.72, 0.7), 2.3, 2.95, 2.15),
    Truck(7.4, "flatbed", TARPAULINS[4], (0.35, 0.25, 0.15), 2.6, 2.7, 2.4),
    Truck(6.2, "flatbed", (0.06, 0.15, 0.35), (0.3, 0.3, 0.3), 2.35, 2.4, 2.2),
    Truck(8.4, "tanker", (0.7, 0.7, 0.68), (0.6, 0.62, 0.64), 2.9, 3.2),
    Truck(8.0, "tipper", (0.75, 0.4, 0.03), (0.3, 0.3, 0.31), 2.95, 3.1),
    Truck(7.6, "tipper", (0.08, 0.3, 0.16), (0.45, 0.06, 0.05), 2.85, 2.95),
    Truck(9.2, "refuse", (0.75, 0.4, 0.03), (0.7, 0.7, 0.68), 2.8, 3.4),
    Truck(6.1, "tractor", TARPAULINS[2], CHASSIS.colour, 3.55, 3.55),
    Truck(6.1, "tractor", (0.7, 0.7, 0.68), CHASSIS.colour, 3.55, 3.55),
)
TRACTORS = (9, 10)
CAB = 2.05  # length of a cab


def truck(kind: Truck) -> list[Part]:
    """A truck with its cab over the engine."""
    r = 0.5 if kind.width > 2.3 else 0.42
    half, nose, tail = kind.width / 2, kind.length / 2, -kind.length / 2
    back = nose - CAB
    front_axle = nose - 1.38
    two = kind.length > 7.9 or kind.load in ("tipper", "tanker")
    rear = (
        [tail + 2.45, tail + 1.2]
        if two and kind.load != "tractor"
        else [tail + (1.05 if kind.load == "tractor" else 1.6)]
    )
    parts = [
        *mirrored([slab((tail + 0.08, 0.32, 0.72), (back + 0.6, 0.44, 0.98), CHASSIS)]),
        slab((min(rear) - 0.1, -0.9 * half, r - 0.08), (min(rear) + 0.1, 0.9 * half, r + 0.08), CHASSIS),
        slab((front_axle - 0.1, -0.9 * half, r - 0.08), (front_axle + 0.1, 0.9 * half, r + 0.08), CHASSIS),
        *axle_wheels([front_axle], half - 0.03, r, 0.3),
        *axle_wheels(rear, half - 0.03, r, 0.56),
        *_cab(kind, half, nose, front_axle, r),
        *mirrored(
            [chamfered((front_axle - r - 1.25, half - 0.62, 0.5), (front_axle - r - 0.2, half - 0.1, 1.0), 0.06, STEEL)]
        ),
        *_tail_beam(tail, half),
    ]
    if kind.load != "tractor":
        guard = [
            slab((rear[0] + r + 0.15, half - 0.07, z), (front_axle - r - 1.35, half - 0.02, z + 0.12), STEEL)
            for z in (0.5, 0.78)
        ]
        if front_axle - r - 1.35 - (rear[0] + r + 0.15) > 0.3:
            parts += mirrored(guard)
    low, high, deck = tail + 0.05, back - 0.08, 1.05
    match kind.load:
        case "box":
            parts += box_body(low, high, half, deck, kind.height, paint(kind.cargo))
        case "flatbed":
            parts += _flatbed(low, high, half, deck, kind)
        case "tanker":
            parts += tank(
                low, high, 0.46 * kind.width, 0.5 * (deck + kind.height), 0.5 * (kind.height - deck), kind.cargo
            )
        case "tipper":
            parts += _tipper(low, high, half, deck, kind)
        case "refuse":
            parts += _refuse(low, high, half, deck, kind)
        case _:
            parts += _fifth_wheel(rear[0], r, half)
    return parts


def _cab(kind: Truck, half: float, nose: float, axle: float, r: float) -> list[Part]:
    skin = paint(kind.colour)
    top, back = kind.cab_height, nose - CAB
    waist = 0.45 + 0.52 * (top - 0.45)
    high_roof = kind.load == "tractor"
    shoulder = top - (0.75 if high_roof else 0.1)
    body = shell(
        (back, nose),
        lambda x: half * (0.97 - 0.05 * max(0.0, 1 - (nose - x) / 0.18)),
        lambda x: 0.45,
        lambda x: shoulder - 0.08 * max(0.0, 1 - (nose - x) / 0.3),
        skin,
        [nose - 0.06, nose - 0.18, nose - 0.3],
        [axle],
        (r + 0.08, r),
        tumble=0.94,
    )
    windscreen = end_quad(nose, -0.86 * half, 0.86 * half, waist - 0.1, min(shoulder, waist + 0.95), front=True)
    face = end_quad(nose, -0.88 * half, 0.88 * half, 0.5, waist - 0.15, front=True)
    parts = [
        body,
        pane(windscreen, (0, 1), (0, 0.9), GLASS, 0.02),
        pane(face, (0.2, 0.8), (0.35, 0.8), TRIM, 0.02),
        pane(face, (0.42, 0.58), (0.85, 0.95), CHROME, 0.02),
        pane(face, (-0.03, 0.16), (0.05, 0.28), HEADLAMP, 0.02),
        pane(face, (0.84, 1.03), (0.05, 0.28), HEADLAMP, 0.02),
        pane(face, (0.4, 0.6), (0.04, 0.2), PLATE, 0.025),
        *mirrored(
            [
                pane(
                    side_quad(nose - 0.28, nose - 1.2, 0.965 * half, waist, min(shoulder - 0.1, waist + 0.8)),
                    (0, 1),
                    (0, 1),
                    GLASS,
                    0.02,
                ),
                chamfered((nose - 0.02, half - 0.02, waist + 0.15), (nose + 0.1, half + 0.2, waist + 0.8), 0.03, TRIM),
                tube(
                    [(nose - 0.2, half - 0.05, waist + 0.85), (nose + 0.04, half + 0.08, waist + 0.75)], 0.02, TRIM, 4
                ),
                slab((nose - 0.3, half - 0.08, 0.5), (nose - 0.75, half + 0.0, 0.56), STEEL),
                box((0.16, 0.02, 0.04), (nose - 1.15, 0.975 * half, waist - 0.12), TRIM),
                box((0.02, 0.02, 0.06), (nose - 0.25, 0.955 * half, 1.1), INDICATOR),
            ]
        ),
    ]
    if high_roof:
        rings = [
            np.array(
                [
                    (x, y * half, shoulder - 0.05),
                    (x, y * half, z),
                    (x, 0.8 * y * half, z + 0.06),
                    (x, -0.8 * y * half, z + 0.06),
                    (x, -y * half, z),
                    (x, -y * half, shoulder - 0.05),
                ]
            )
            for x, y, z in (
                (back, 0.92, top - 0.06),
                (nose - 1.3, 0.92, top - 0.06),
                (nose - 0.35, 0.86, shoulder + 0.12),
            )
        ]
        parts += [
            loft(rings, skin),
            *mirrored([slab((back - 0.55, half - 0.12, 1.1), (back, half - 0.08, top - 0.25), skin)]),
        ]
    return parts


def box_body(low: float, high: float, half: float, deck: float, top: float, skin: Material) -> list[Part]:
    """A closed load space with doors behind, edged with reflecting tape."""
    rear = end_quad(low, -half, half, deck, top, front=False)
    left = side_quad(high, low, half, deck, top)
    return [
        chamfered((low, -half, deck), (high, half, top), 0.03, skin),
        pane(rear, (0.03, 0.03 + 0.46), (0.03, 0.97), skin, 0.02),
        pane(rear, (0.51, 0.97), (0.03, 0.97), skin, 0.02),
        *(pane(rear, (u, u + 0.012), (0.05, 0.95), STEEL, 0.04) for u in (0.2, 0.35, 0.64, 0.79)),
        pane(rear, (0.02, 0.98), (0.0, 0.02), RED_STRIP, 0.03),
        *mirrored(
            [
                pane(left, (0.01, 0.99), (0.0, 0.03), WHITE_STRIP, 0.015),
                *(pane(left, (u, u + 0.006), (0.04, 0.97), STEEL, 0.015) for u in (0.02, 0.26, 0.5, 0.74, 0.975)),
            ]
        ),
    ]


def tank(low: float, high: float, half: float, z: float, upright: float, colour: Colour) -> list[Part]:
    """An oval tank along the vehicle on saddles, with a walkway and manholes on top."""
    metal = Material("tank", colour, roughness=0.25, metallic=0.7)
    angle = 2 * np.pi * np.arange(20) / 20
    rings = [
        np.stack([np.full(20, x), share * half * np.cos(angle), z + 0.95 * share * upright * np.sin(angle)], -1)
        for x, share in (
            (low, 0.55),
            (low + 0.12, 0.85),
            (low + 0.3, 1.0),
            (high - 0.3, 1.0),
            (high - 0.12, 0.85),
            (high, 0.55),
        )
    ]
    span = high - low
    return [
        loft(rings, metal, smooth=True),
        *(
            slab(
                (low + s * span - 0.15, -0.75 * half, z - upright - 0.05),
                (low + s * span + 0.15, 0.75 * half, z - 0.6 * upright),
                CHASSIS,
            )
            for s in (0.15, 0.5, 0.85)
        ),
        slab((low + 0.4, -0.2, z + 0.9 * upright), (high - 0.4, 0.2, z + 0.97 * upright), STEEL),
        *(cylinder(0.25, 0.2, (low + s * span, 0, z + 0.8 * upright), STEEL, 10) for s in (0.25, 0.5, 0.75)),
        *mirrored([slab((low + 0.3, half - 0.06, z - 0.04), (high - 0.3, half + 0.005, z + 0.04), WHITE_STRIP)]),
        slab((low + 0.25, -half + 0.1, z - upright - 0.05), (high - 0.25, half - 0.1, z - upright + 0.05), CHASSIS),
    ]


def _flatbed(low: float, high: float, half: float, deck: float, kind: Truck) -> list[Part]:
    wood = Material("boards", (0.35, 0.24, 0.13), roughness=0.9)
    cargo = Material("cargo", kind.cargo, roughness=0.9)
    skin, top = paint(kind.colour), kind.height
    loads = [
        slab(
            (low + 0.5 + i * 1.25, -0.75 * half, deck + 0.1),
            (low + 1.5 + i * 1.25, 0.7 * half, top - 0.25 * (i % 2)),
            cargo,
        )
        for i in range(int((high - low - 1.0) / 1.25))
    ]
    return [
        slab((low, -half, deck - 0.08), (high, half, deck + 0.06), wood),
        *mirrored([slab((low, half - 0.05, deck), (high, half, deck + 0.42), skin)]),
        slab((low, -half, deck), (low + 0.05, half, deck + 0.42), skin),
        slab((high - 0.08, -half, deck), (high, half, deck + 1.2), skin),
        *loads,
    ]


def _tipper(low: float, high: float, half: float, deck: float, kind: Truck) -> list[Part]:
    """An open skip with ribs, a canopy over the cab, and a heap of gravel in it."""
    skin, gravel = paint(kind.cargo), Material("gravel", (0.3, 0.27, 0.23), roughness=0.95)
    top, wall = kind.height - 0.12, 0.07
    z0 = deck + 0.05
    parts = [
        slab((low, -half, z0), (high, half, z0 + 0.1), skin),
        slab((high - wall, -half, z0), (high, half, kind.height), skin),
        slab((low, -half, z0), (low + wall, half, top - 0.15), skin),
        slab((high - 0.02, -half, kind.height - 0.06), (high + 0.7, half, kind.height), skin),
        *mirrored(
            [
                slab((low, half - 0.06 - wall, z0), (high, half - 0.06, top), skin),
                slab((low, half - 0.12, top - 0.1), (high, half, top), skin),
                *(
                    slab(
                        (low + s * (high - low) - 0.05, half - 0.1, z0),
                        (low + s * (high - low) + 0.05, half, top),
                        skin,
                    )
                    for s in (0.03, 0.26, 0.5, 0.74, 0.97)
                ),
            ]
        ),
    ]
    heap = [
        np.array([(x, y * half, z0 + 0.1), (x, 0.6 * y * half, z), (x, -0.6 * y * half, z), (x, -y * half, z0 + 0.1)])
        for x, y, z in (
            (low + 0.1, 0.8, top - 0.45),
            (0.5 * (low + high) - 0.4, 0.86, top + 0.05),
            (0.5 * (low + high) + 0.5, 0.86, top),
            (high - 0.1, 0.8, top - 0.4),
        )
    ]
    return [*parts, loft(heap, gravel)]


def _refuse(low: float, high: float, half: float, deck: float, kind: Truck) -> list[Part]:
    """A pressing body that swells towards its hopper."""
    skin = paint(kind.cargo)
    top = kind.height
    body = chamfered((low + 1.6, -half, deck - 0.1), (high, half, top - 0.1), 0.15, skin)
    hopper = [
        np.array([(x, half, z0), (x, half, z1), (x, -half, z1), (x, -half, z0)])
        for x, z0, z1 in (
            (low, 0.95, 1.9),
            (low + 0.25, 0.7, 2.6),
            (low + 0.9, 0.75, top),
            (low + 1.65, deck, top - 0.05),
        )
    ]
    stripes = [pane(side_quad(high - 0.3, low + 2.0, half, 1.3, 1.55), (0, 1), (0, 1), MARKER)]
    return [
        body,
        loft(hopper, paint(kind.colour)),
        *mirrored(stripes),
        pane(end_quad(low, -0.9 * half, 0.9 * half, 1.0, 1.8, front=False), (0, 1), (0, 1), TRIM),
    ]


def _fifth_wheel(axle: float, r: float, half: float) -> list[Part]:
    """The plate that a semi-trailer rests on, mudguards and lines."""
    plate = lathe([(0, 0), (0.45, 0), (0.45, 0.08), (0, 0.08)], STEEL, 14, False)
    guards = [
        bar(
            (axle - r - 0.1, half - 0.32, 2 * r + 0.02), (axle + r + 0.1, half - 0.32, 2 * r + 0.02), (0.58, 0.04), TRIM
        )
    ]
    return [
        moved(plate, turned(), (axle + 0.3, 0, 0.95)),
        slab((axle - 0.1, -0.5, 0.85), (axle + 0.75, 0.5, 0.95), CHASSIS),
        *mirrored(guards),
        slab((axle + 1.0, -0.4, 0.95), (axle + 1.6, 0.4, 1.05), STEEL),
    ]


def _tail_beam(tail: float, half: float) -> list[Part]:
    rear = end_quad(tail + 0.02, -half + 0.05, half - 0.05, 0.5, 0.72, front=False)
    return [
        slab((tail + 0.02, -half + 0.05, 0.5), (tail + 0.12, half - 0.05, 0.72), CHASSIS),
        pane(rear, (0.02, 0.18), (0.15, 0.85), TAIL_LAMP),
        pane(rear, (0.82, 0.98), (0.15, 0.85), TAIL_LAMP),
        pane(rear, (0.42, 0.58), (0.2, 0.8), PLATE),
    ]


@dataclass(frozen=True)
class Trailer:
    """A semi-trailer; `load` is "box", "tanker", "container" or "flatbed"."""

    length: float
    load: str
    colour: Colour
    height: float = 3.95
    width: float = 2.55


TRAILERS = (
    Trailer(13.4, "box", TARPAULINS[0]),
    Trailer(12.4, "box", TARPAULINS[1], 3.9),
    Trailer(12.6, "container", (0.45, 0.12, 0.06), 3.95, 2.5),
    Trailer(11.6, "tanker", (0.62, 0.64, 0.66), 3.6),
    Trailer(12.2, "flatbed", (0.35, 0.36, 0.38), 2.9),
)
KINGPIN = 1.25  # metres behind the trailer's front end
FIFTH_WHEEL = 1.35  # metres ahead of a tractor's rear end


def trailer(kind: Trailer) -> list[Part]:
    """A semi-trailer on three axles, its front held up by a tractor, or left to its landing gear."""
    half, nose, tail, r, deck = kind.width / 2, kind.length / 2, -kind.length / 2, 0.5, 1.2
    axles = [tail + 1.6, tail + 2.85, tail + 4.1]
    parts = [
        *mirrored(
            [
                slab((tail + 0.1, 0.42, deck - 0.35), (nose - 2.9, 0.54, deck), CHASSIS),
                slab((nose - 3.0, 0.42, deck - 0.16), (nose - 0.1, 0.54, deck), CHASSIS),
            ]
        ),
        *axle_wheels(axles, half - 0.03, r, 0.42),
        *(slab((x - 0.09, -half + 0.3, r - 0.09), (x + 0.09, half - 0.3, r + 0.09), CHASSIS) for x in axles),
        *mirrored(
            [
                slab((nose - 3.2, 0.62, 0.3), (nose - 3.05, 0.76, deck), STEEL),
                slab((nose - 3.3, 0.55, 0.26), (nose - 2.95, 0.83, 0.3), STEEL),
                *(slab((tail + 5.0, half - 0.08, z), (nose - 3.7, half - 0.03, z + 0.13), STEEL) for z in (0.5, 0.8)),
                bar(
                    (axles[0] - 0.6, half - 0.22, 2 * r + 0.06),
                    (axles[2] + 0.6, half - 0.22, 2 * r + 0.06),
                    (0.42, 0.03),
                    TRIM,
                ),
                *(
                    slab((tail + 5.1 + i * 2.1, half - 0.09, 1.0), (tail + 5.2 + i * 2.1, half - 0.02, 1.06), MARKER)
                    for i in range(3)
                ),
            ]
        ),
        *_tail_beam(tail, half),
    ]
    match kind.load:
        case "box":
            parts += box_body(tail, nose, half, deck, kind.height, paint(kind.colour))
        case "container":
            parts += [
                slab((tail, -half, deck - 0.06), (nose, half, deck + 0.08), CHASSIS),
                *_container(tail + 0.15, nose - 0.15, half, deck + 0.1, kind),
            ]
        case "tanker":
            parts += tank(
                tail + 0.05, nose, half, 0.5 * (deck + kind.height) + 0.05, 0.5 * (kind.height - deck), kind.colour
            )
        case _:
            parts += _beams(tail, nose, half, deck, kind)
    return parts


def _container(low: float, high: float, half: float, deck: float, kind: Trailer) -> list[Part]:
    """A container with corrugated sides."""
    skin = paint(kind.colour, 0.6)
    count = 2 * round((high - low - 0.3) / 0.5)
    inner = [high - 0.15 - (high - low - 0.3) * i / count for i in range(count + 1)]
    outline = [
        (high, half - 0.02),
        *((x, half - (0.05 if i // 2 % 2 else 0.0)) for i, x in enumerate(inner)),
        (low, half - 0.02),
    ]
    skins = [chamfered((low, -half + 0.06, deck), (high, half - 0.06, kind.height), 0.02, skin)]
    # One sheet: two triangles for each fold, front to rear.
    sheet = np.array([(x, y, z) for x, y in outline for z in (deck + 0.12, kind.height - 0.1)])
    fold = 2 * np.arange(len(outline) - 1)[:, None]
    faces = np.concatenate([fold + np.array([0, 2, 3]), fold + np.array([0, 3, 1])])
    rails = [slab((low, half - 0.08, z), (high, half, z + 0.12), skin) for z in (deck, kind.height - 0.12)]
    rear = end_quad(low, -half, half, deck, kind.height, front=False)
    return [
        *skins,
        *mirrored([part_of(sheet, faces, skin), *rails]),
        *(pane(rear, (u, u + 0.012), (0.04, 0.96), STEEL, 0.04) for u in (0.15, 0.35, 0.64, 0.84)),
    ]


def _beams(tail: float, nose: float, half: float, deck: float, kind: Trailer) -> list[Part]:
    """A bare deck with stacked pipes between stakes."""
    wood = Material("boards", (0.35, 0.24, 0.13), roughness=0.9)
    pipe = Material("concrete pipe", (0.5, 0.49, 0.46), roughness=0.9)
    r = (kind.height - deck - 0.05) / 3.75
    parts = [
        slab((tail, -half, deck - 0.05), (nose, half, deck + 0.05), wood),
        slab((nose - 0.1, -half, deck), (nose, half, deck + 1.3), STEEL),
    ]
    rows = [(-2 * r, 1), (0, 1), (2 * r, 1), (-r, 2), (r, 2)]
    for y, level in rows:
        z = deck + 0.05 + r + (level - 1) * 1.75 * r
        parts.append(tube([(tail + 0.8, y, z), (nose - 0.9, y, z)], r, pipe, 12))
    stakes = [
        slab((x - 0.06, half - 0.08, deck), (x + 0.06, half, deck + 1.2), STEEL)
        for x in np.linspace(tail + 1.2, nose - 1.2, 4).tolist()
    ]
    return [*parts, *mirrored(stakes)]
