"""Things to sit on: sofas, armchairs, chairs, stools and benches."""

import math
import random
from dataclasses import replace

from worldloom.synth.rooms.finishes import Taste, cloth_finish
from worldloom.synth.rooms.furnishings.soft import cushion, leaning
from worldloom.synth.shapes import Number, box, cylinder, joined, slab, tube, turned
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]


def sofa(dice: random.Random, taste: Taste, seats: int | None = None, cloth: Material | None = None) -> Group:
    """A sofa of one to four seats, with or without arms, skirt, chaise and loose cushions."""
    cloth = cloth or taste.cloth
    n = seats or dice.choice((2, 2, 3, 3, 4))
    seat, deep, high = dice.uniform(0.56, 0.7), dice.uniform(0.82, 1.0), dice.uniform(0.36, 0.45)
    arm, arm_high = dice.uniform(0.1, 0.26), high + dice.uniform(0.12, 0.26)
    back_high, back_thick = high + dice.uniform(0.32, 0.5), dice.uniform(0.14, 0.22)
    leg = dice.uniform(0.05, 0.16)
    soft = dice.uniform(0.14, 0.32)
    inner = n * seat
    wide = inner + 2 * arm
    x0, x1 = -deep / 2, deep / 2
    base_high = high - 0.13
    body: list[Part] = [
        cushion((deep - 0.04, inner + 0.04, base_high - leg), (0, 0, (base_high + leg) / 2), cloth, 0.12),
        leaning(
            cushion(
                (back_thick, wide - 0.02, back_high - leg),
                (x0 + back_thick / 2, 0, (back_high + leg) / 2),
                cloth,
                soft * 0.6,
            ),
            -dice.uniform(0.02, 0.14),
            (x0 + back_thick, 0, leg),
        ),
    ]
    for side in (-1, 1):
        y = side * (inner / 2 + arm / 2)
        body.append(cushion((deep, arm, arm_high - leg), (0, y, (arm_high + leg) / 2), cloth, soft * 0.7))
    chaise = dice.choice((-1, 1)) if n >= 3 and dice.random() < 0.3 else 0
    for k in range(n):
        y = -inner / 2 + (k + 0.5) * seat
        long = deep - back_thick - 0.02
        body.append(
            cushion((long, seat - 0.008, 0.16), (x0 + back_thick + long / 2 + 0.02, y, high - 0.06), cloth, soft)
        )
        pillow = cushion(
            (0.17, seat - 0.02, back_high - high - 0.02),
            (x0 + back_thick + 0.1, y, (back_high + high) / 2 + 0.02),
            cloth,
            soft + 0.15,
        )
        body.append(leaning(pillow, -0.16, (x0 + back_thick + 0.1, y, high)))
    if chaise:
        y = chaise * (inner / 2 - seat / 2)
        body.append(cushion((0.62, seat, base_high - leg), (x1 + 0.27, y, (base_high + leg) / 2), cloth, 0.12))
        body.append(cushion((0.66, seat - 0.008, 0.16), (x1 + 0.27, y, high - 0.06), cloth, soft))
    feet = [
        cylinder(0.022, leg + 0.04, (x, y, 0), taste.wood, 10, top=0.03)
        for x in (x0 + 0.08, x1 - 0.08)
        for y in (-wide / 2 + 0.08, wide / 2 - 0.08)
    ]
    if chaise:
        feet += [
            cylinder(0.022, leg + 0.04, (x1 + 0.5, chaise * (inner / 2 - seat * s), 0), taste.wood, 10, top=0.03)
            for s in (0.15, 0.85)
        ]
    things = [Thing("sofa", "sofa", (joined(body, smooth=True), joined(feet, smooth=True)))]
    for k in range(dice.choice((0, 1, 2, 3, 4)) if n > 1 else dice.choice((0, 1))):
        size = dice.uniform(0.36, 0.48)
        y = dice.choice((-1, 1)) * (inner / 2 - size / 2 - 0.02 - 0.1 * k)
        tilt = turned(0, -dice.uniform(0.25, 0.45), dice.uniform(-0.15, 0.15))
        part = cushion(
            (0.15, size, size),
            (x0 + back_thick + 0.3, y, high + size / 2 + 0.0),
            dice.choice((taste.accent, taste.second_cloth)),
            0.5,
            tilt,
        )
        if all(abs(y - other) > 0.3 for other in [float(t.parts[0].vertices[:, 1].mean()) for t in things[1:]]):
            things.append(Thing("cushion", "sofa", (part,)))
    if dice.random() < 0.25:
        blanket = cushion(
            (deep * 0.72, 0.45, 0.05), (0.1, dice.uniform(-0.3, 0.3) * inner, high + 0.035), taste.accent, 0.12
        )
        things.append(Thing("blanket", "clutter", (blanket,)))
    return tuple(things)


def armchair(dice: random.Random, taste: Taste) -> Group:
    """An easy chair: a small sofa, a shell on a frame, or a tub."""
    style = dice.randrange(3)
    cloth = dice.choice((taste.cloth, taste.second_cloth, taste.accent))
    if style == 0:
        return tuple(replace(t, name="armchair" if t.name == "sofa" else t.name) for t in sofa(dice, taste, 1, cloth))
    wide, deep, high = dice.uniform(0.62, 0.76), dice.uniform(0.66, 0.8), dice.uniform(0.38, 0.44)
    if style == 1:
        back = leaning(
            cushion((0.12, wide - 0.1, 0.68), (-deep / 2 + 0.1, 0, high + 0.26), cloth, 0.3),
            -0.3,
            (-deep / 2 + 0.1, 0, high),
        )
        seat = cushion((deep - 0.08, wide - 0.08, 0.14), (0.02, 0, high - 0.03), cloth, 0.25)
        bars = []
        for side in (-1, 1):
            y = side * wide / 2
            bars += [
                tube([(deep / 2 - 0.02, y, 0), (deep / 2 - 0.05, y, high + 0.2)], 0.02, taste.wood),
                tube([(-deep / 2 - 0.08, y, 0), (-deep / 2 + 0.02, y, high + 0.22)], 0.02, taste.wood),
                box((deep + 0.02, 0.06, 0.03), (0, y, high + 0.21), taste.wood),
                tube([(deep / 2 - 0.04, y, high - 0.1), (-deep / 2 + 0.0, y, high - 0.1)], 0.016, taste.wood),
            ]
        bars += [
            tube([(x, -wide / 2, high - 0.1), (x, wide / 2, high - 0.1)], 0.016, taste.wood)
            for x in (-deep / 2 + 0.02, deep / 2 - 0.05)
        ]
        return (Thing("armchair", "chair", (joined([back, seat], True), joined(bars, True))),)
    parts = [
        cushion((deep - 0.1, wide - 0.16, 0.18), (0.03, 0, high - 0.05), cloth, 0.3),
        cushion((deep, wide, high - 0.2), (0, 0, (high + 0.08) / 2), cloth, 0.3),
    ]
    for k in range(9):
        a = math.pi * (0.5 + k / 8)
        x, y = math.cos(a) * deep * 0.42, math.sin(a) * wide * 0.44
        tall = 0.26 + 0.16 * math.sin(math.pi * k / 8)
        parts.append(cushion((0.16, 0.3, tall + 0.2), (x, y, high + tall / 2 - 0.1), cloth, 0.35, turned(a)))
    feet = [cylinder(0.016, 0.2, (x, y, 0), taste.metal, 8) for x in (-0.22, 0.22) for y in (-0.22, 0.22)]
    return (Thing("armchair", "chair", (joined(parts, True), joined(feet, True))),)


def chair(dice: random.Random, taste: Taste, style: int | None = None) -> Thing:
    """A chair for tables: slatted, upholstered, shell on wires, spindles, or bent metal."""
    style = dice.randrange(5) if style is None else style
    w, d, h, top = 0.43, 0.42, 0.455, dice.uniform(0.8, 0.98)
    timber, cloth = taste.wood, taste.second_cloth
    parts: list[Part] = []
    x0, x1 = -d / 2, d / 2
    if style in (0, 1, 3):
        legs = [
            tube(
                [(x1 - 0.03, s * (w / 2 - 0.03), 0), (x1 - 0.035, s * (w / 2 - 0.035), h - 0.02)],
                [0.015, 0.019],
                timber,
            )
            for s in (-1, 1)
        ]
        legs += [
            tube(
                [
                    (x0 - 0.03, s * (w / 2 - 0.03), 0),
                    (x0 + 0.02, s * (w / 2 - 0.035), h),
                    (x0 - 0.05, s * (w / 2 - 0.04), top),
                ],
                [0.015, 0.02, 0.014],
                timber,
            )
            for s in (-1, 1)
        ]
        legs += [
            tube([(x1 - 0.03, s * (w / 2 - 0.03), 0.22), (x0 - 0.01, s * (w / 2 - 0.03), 0.22)], 0.011, timber)
            for s in (-1, 1)
        ]
        parts.append(joined(legs, True))
        if style == 0:
            parts.append(cushion((d + 0.02, w, 0.03), (0, 0, h), timber, 0.15))
            parts += [
                leaning(cushion((0.018, w - 0.07, 0.06), (x0 + 0.0, 0, z), timber, 0.2), -0.12, (x0, 0, h))
                for z in (h + 0.18, h + 0.28, top - 0.04)
            ]
        elif style == 1:
            parts.append(cushion((d + 0.02, w, 0.07), (0, 0, h), cloth, 0.25))
            parts.append(
                leaning(
                    cushion((0.05, w - 0.06, top - h - 0.1), (x0 + 0.005, 0, (top + h) / 2 + 0.04), cloth, 0.25),
                    -0.12,
                    (x0, 0, h),
                )
            )
        else:
            parts.append(cushion((d + 0.02, w, 0.035), (0, 0, h), timber, 0.3))
            parts += [
                tube([(x0 + 0.03, y, h), (x0 - 0.05, y * 1.1, top - 0.02)], 0.007, timber, 6)
                for y in (-0.14, -0.07, 0.0, 0.07, 0.14)
            ]
            parts.append(tube([(x0 - 0.05, y, top - 0.02) for y in (-w / 2 + 0.02, 0, w / 2 - 0.02)], 0.02, timber))
    elif style == 2:
        shell = taste.white if dice.random() < 0.5 else cloth
        parts.append(cushion((d, w, 0.05), (0, 0, h - 0.01), shell, 0.45))
        parts.append(
            leaning(
                cushion((0.035, w - 0.02, top - h + 0.02), (x0 + 0.03, 0, (top + h) / 2), shell, 0.5),
                -0.2,
                (x0 + 0.03, 0, h),
            )
        )
        parts.append(
            joined(
                [
                    tube([(sx * 0.22, sy * 0.22, 0), (sx * 0.12, sy * 0.13, h - 0.02)], 0.011, taste.metal, 6)
                    for sx in (-1, 1)
                    for sy in (-1, 1)
                ],
                True,
            )
        )
    else:
        bars = [tube([(x1, s * w / 2, 0), (x1 - 0.02, s * (w / 2 - 0.02), h)], 0.012, taste.metal) for s in (-1, 1)]
        bars += [
            tube(
                [(x0 - 0.06, s * w / 2, 0), (x0 + 0.02, s * (w / 2 - 0.02), h), (x0 - 0.04, s * (w / 2 - 0.03), top)],
                0.012,
                taste.metal,
            )
            for s in (-1, 1)
        ]
        parts += [joined(bars, True), cushion((d, w - 0.02, 0.02), (0, 0, h), timber, 0.12)]
        parts.append(
            leaning(cushion((0.016, w - 0.03, 0.17), (x0 + 0.01, 0, top - 0.1), timber, 0.15), -0.12, (x0, 0, h))
        )
    return Thing("chair", "chair", tuple(parts))


def office_chair(dice: random.Random, taste: Taste) -> Thing:
    """A swivel chair on castors."""
    cloth = dice.choice((taste.dark, taste.second_cloth, cloth_finish(dice)))
    h = dice.uniform(0.44, 0.52)
    star = []
    for k in range(5):
        a = 2 * math.pi * k / 5 + 0.3
        x, y = 0.29 * math.cos(a), 0.29 * math.sin(a)
        star += [
            tube([(0, 0, 0.11), (x, y, 0.075)], [0.028, 0.016], taste.dark),
            cylinder(0.028, 0.05, (x, y, 0), taste.dark, 8),
        ]
    parts = [
        joined([*star, cylinder(0.028, h - 0.12, (0, 0, 0.1), taste.metal)], True),
        cushion((0.48, 0.49, 0.08), (0.02, 0, h), cloth, 0.3),
        leaning(
            cushion((0.06, 0.46, dice.uniform(0.45, 0.62)), (-0.21, 0, h + 0.36), cloth, 0.3), -0.14, (-0.21, 0, h)
        ),
        tube([(-0.1, 0, h - 0.05), (-0.26, 0, h - 0.03), (-0.25, 0, h + 0.25)], 0.02, taste.dark),
    ]
    if dice.random() < 0.6:
        for s in (-1, 1):
            parts.append(
                joined(
                    [
                        tube(
                            [(0, s * 0.22, h - 0.03), (-0.02, s * 0.28, h + 0.02), (-0.02, s * 0.28, h + 0.2)],
                            0.014,
                            taste.dark,
                        ),
                        cushion((0.24, 0.07, 0.03), (0.02, s * 0.28, h + 0.21), taste.dark, 0.3),
                    ],
                    True,
                )
            )
    return Thing("office chair", "chair", tuple(parts))


def stool(dice: random.Random, taste: Taste, high: Number | None = None) -> Thing:
    """A stool with three or four legs, low or for a bar, or a pouffe."""
    h = high or dice.choice((0.45, 0.45, 0.66))
    if high is None and dice.random() < 0.3:
        r = dice.uniform(0.2, 0.32)
        return Thing(
            "pouffe", "chair", (cushion((2 * r, 2 * r, 0.42), (0, 0, 0.21), taste.accent, dice.uniform(0.4, 0.7)),)
        )
    count, r = dice.choice((3, 4, 4)), dice.uniform(0.15, 0.19)
    legs = []
    for k in range(count):
        a = 2 * math.pi * (k + 0.5) / count
        c, s = math.cos(a), math.sin(a)
        legs.append(
            tube(
                [(1.15 * r * c, 1.15 * r * s, 0), (0.8 * r * c, 0.8 * r * s, h - 0.02)],
                0.013,
                taste.metal if h > 0.6 else taste.wood,
            )
        )
    ring = [
        (1.02 * r * math.cos(2 * math.pi * k / 16), 1.02 * r * math.sin(2 * math.pi * k / 16), 0.4 * h)
        for k in range(17)
    ]
    seat = (
        cylinder(r, 0.035, (0, 0, h - 0.035), taste.wood, 20)
        if dice.random() < 0.6
        else cushion((2 * r, 2 * r, 0.06), (0, 0, h - 0.03), taste.second_cloth, 0.4)
    )
    return Thing("stool", "chair", (joined([*legs, tube(ring, 0.007, taste.metal, 6)], True), seat))


def bench(dice: random.Random, taste: Taste, length: Number | None = None) -> Thing:
    """A bench of slats on legs, or a padded block as museums have them."""
    long = length or dice.uniform(1.1, 1.9)
    if dice.random() < 0.4:
        return Thing(
            "bench",
            "chair",
            (
                cushion((0.5, long, 0.12), (0, 0, 0.39), taste.cloth, 0.15),
                slab((-0.2, -long / 2 + 0.1, 0), (0.2, long / 2 - 0.1, 0.34), taste.wood),
            ),
        )
    slats = [box((0.09, long, 0.03), (x, 0, 0.44), taste.wood) for x in (-0.15, -0.05, 0.05, 0.15)]
    legs = [box((0.36, 0.05, 0.425), (0, s * (long / 2 - 0.15), 0.2125), taste.metal) for s in (-1, 1)]
    return Thing("bench", "chair", (joined(slats), joined(legs)))


def theatre_seat(taste: Taste, dark: Material) -> Thing:
    """A tip-up seat of a lecture hall, folded up."""
    return Thing(
        "seat",
        "chair",
        (
            leaning(cushion((0.06, 0.46, 0.5), (-0.2, 0, 0.62), taste.cloth, 0.2), -0.15, (-0.2, 0, 0.4)),
            leaning(cushion((0.07, 0.44, 0.42), (-0.1, 0, 0.56), taste.cloth, 0.2), -0.1, (-0.1, 0, 0.4)),
            joined([slab((-0.22, s * 0.25 - 0.02, 0), (-0.1, s * 0.25 + 0.02, 0.6), dark) for s in (-1, 1)]),
        ),
    )
