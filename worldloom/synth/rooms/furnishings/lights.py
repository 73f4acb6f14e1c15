"""Lamps: what hangs, stands and is set into ceilings. Their shades and tubes shine."""

import math
import random
from dataclasses import replace

from worldloom.synth.rooms.finishes import Taste, lit, painted, warm_light
from worldloom.synth.rooms.furnishings.soft import vessel
from worldloom.synth.shapes import Number, box, cylinder, ellipsoid, joined, lathe, slab, tube
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Thing


def pendant(dice: random.Random, taste: Taste, drop: Number, power: Number) -> Thing:
    """A lamp on a cable; the ceiling is z = 0, and it ends at z = -drop."""
    style, glow = dice.randrange(5), warm_light(dice, power)
    r = dice.uniform(0.12, 0.3)
    cable = [
        tube([(0, 0, 0), (0, 0, -drop + 0.3)], 0.004, taste.dark, 6),
        cylinder(0.05, 0.03, (0, 0, -0.03), taste.metal, 16),
    ]
    low = -drop
    if style == 0:
        parts = (
            [
                ellipsoid((r, r, r), (0, 0, low + r), glow, 24, 14),
                tube([(0, 0, low + 2 * r - 0.01), (0, 0, low + 0.31)], 0.004, taste.dark, 6),
            ]
            if 2 * r < 0.3
            else [ellipsoid((r, r, 0.17), (0, 0, low + 0.17), glow, 24, 14)]
        )
    elif style == 1:
        shade = lathe(
            [
                (r, low),
                (0.35 * r, low + 0.26),
                (0.3 * r, low + 0.3),
                (0.33 * r, low + 0.3),
                (0.38 * r, low + 0.262),
                (r + 0.004, low),
                (r, low),
            ],
            dice.choice((taste.metal, taste.dark, taste.white)),
            28,
        )
        parts = [
            shade,
            ellipsoid((0.045, 0.045, 0.06), (0, 0, low + 0.14), warm_light(dice, 3 * power), 12, 8),
            cylinder(0.03, 0.06, (0, 0, low + 0.24), taste.dark, 10),
        ]
    elif style == 2:
        parts = [
            lathe([(r, low), (r, low + 0.22), (0.985 * r, low + 0.22), (0.985 * r, low), (r, low)], glow, 28),
            cylinder(0.006, 0.3, (0, 0, low), taste.metal, 6),
        ]
        parts += [
            box((2 * r - 0.01, 0.006, 0.004), (0, 0, low + 0.2), taste.metal),
            box((0.006, 2 * r - 0.01, 0.004), (0, 0, low + 0.2), taste.metal),
        ]
    elif style == 3:
        arms, bulbs = [], []
        n = dice.choice((3, 5, 6))
        for k in range(n):
            c, s = math.cos(2 * math.pi * k / n), math.sin(2 * math.pi * k / n)
            arms.append(
                tube(
                    [(0, 0, low + 0.24), (0.6 * r * c, 0.6 * r * s, low + 0.16), (1.3 * r * c, 1.3 * r * s, low + 0.1)],
                    0.008,
                    taste.metal,
                )
            )
            bulbs.append(ellipsoid((0.05, 0.05, 0.055), (1.3 * r * c, 1.3 * r * s, low + 0.055), glow, 12, 8))
        parts = [joined(arms, True), joined(bulbs, True), cylinder(0.02, 0.3 - 0.2, (0, 0, low + 0.2), taste.metal, 10)]
    else:
        w = dice.uniform(0.5, 0.7)
        parts = [
            box((0.05, 2 * w, 0.05), (0, 0, low + 0.045), taste.metal),
            box((0.04, 2 * w - 0.04, 0.012), (0, 0, low + 0.014), glow),
        ]
        parts += [tube([(0, s * 0.8 * w, low + 0.07), (0, 0, low + 0.31)], 0.002, taste.dark, 5) for s in (-1, 1)]
    return Thing("lamp", "lamp", (joined(cable, True), *parts))


def ceiling_panel(dice: random.Random, taste: Taste, size: tuple[Number, Number], power: Number) -> Thing:
    """A flat lamp under the ceiling (z = 0)."""
    x, y = size[0] / 2, size[1] / 2
    glow = lit((1.0, 0.97, 0.92) if dice.random() < 0.6 else (1.0, 0.88, 0.7), power)
    rim = [slab((-x - 0.02, s * y - 0.02, -0.03), (x + 0.02, s * y + 0.02, 0), taste.white) for s in (-1, 1)]
    rim += [slab((s * x - 0.02, -y, -0.03), (s * x + 0.02, y, 0), taste.white) for s in (-1, 1)]
    return Thing("ceiling lamp", "lamp", (joined(rim), slab((-x, -y, -0.02), (x, y, 0), glow)))


def ceiling_bowl(dice: random.Random, taste: Taste, power: Number) -> Thing:
    """A round lamp at the ceiling (z = 0)."""
    r = dice.uniform(0.14, 0.25)
    return Thing(
        "ceiling lamp",
        "lamp",
        (
            lathe([(0, -0.1), (0.7 * r, -0.085), (r, -0.03), (r, 0.0), (0, 0)], warm_light(dice, power), 28),
            cylinder(1.04 * r, 0.02, (0, 0, -0.021), taste.metal, 28),
        ),
    )


def high_bay(dice: random.Random, steel: Material, power: Number, drop: Number) -> Thing:
    """A hall's lamp: a bell on a chain."""
    bell = lathe(
        [
            (0.24, -drop),
            (0.2, -drop + 0.18),
            (0.07, -drop + 0.3),
            (0.075, -drop + 0.305),
            (0.21, -drop + 0.185),
            (0.25, -drop),
            (0.24, -drop),
        ],
        steel,
        24,
    )
    return Thing(
        "hall lamp",
        "lamp",
        (
            bell,
            cylinder(0.19, 0.01, (0, 0, -drop + 0.1), lit((1.0, 0.94, 0.85), power), 24),
            tube([(0, 0, -drop + 0.1), (0, 0, 0)], 0.012, steel, 6),
        ),
    )


def floor_lamp(dice: random.Random, taste: Taste, power: Number) -> Thing:
    """A standing lamp: shade on a pole, an arc, or a tripod."""
    style, h = dice.randrange(3), dice.uniform(1.4, 1.75)
    glow, r = warm_light(dice, power), dice.uniform(0.16, 0.25)
    shade = lathe([(r, h - 0.3), (0.75 * r, h), (0.74 * r, h), (0.99 * r, h - 0.3), (r, h - 0.3)], glow, 28)
    if style == 0:
        return Thing(
            "floor lamp",
            "lamp",
            (
                cylinder(0.14, 0.025, (0, 0, 0), taste.metal, 24),
                cylinder(0.012, h - 0.1, (0, 0, 0.025), taste.metal, 10),
                shade,
            ),
        )
    if style == 1:
        legs = [
            tube([(0.28 * math.cos(2.1 * k), 0.28 * math.sin(2.1 * k), 0), (0, 0, h - 0.25)], 0.014, taste.wood)
            for k in range(3)
        ]
        return Thing(
            "floor lamp",
            "lamp",
            (
                joined(legs, True),
                shade,
                ellipsoid((0.04, 0.04, 0.06), (0, 0, h - 0.17), warm_light(dice, 2 * power), 10, 6),
            ),
        )
    arc = [
        (0.0 + 0.75 * (1 - math.cos(math.pi * k / 20)), 0, 0.03 + (h + 0.2) * math.sin(math.pi * k / 20))
        for k in range(14)
    ]
    tip = arc[-1]
    bell = vessel([(0.03, 0), (0.12, 0.06), (0.16, 0.14)], 0.004, taste.metal, 24)
    v = bell.vertices.clone()
    v[:, 2] = tip[2] - v[:, 2]
    v[:, 0] += tip[0]
    flipped = bell.faces[:, [0, 2, 1]]
    return Thing(
        "floor lamp",
        "lamp",
        (
            cylinder(0.17, 0.04, (0, 0, 0), taste.dark, 24),
            tube(arc, 0.012, taste.metal),
            replace(bell, vertices=v, faces=flipped),
            ellipsoid((0.06, 0.06, 0.04), (tip[0], 0, tip[2] - 0.1), warm_light(dice, 2 * power), 12, 8),
        ),
    )


def table_lamp(dice: random.Random, taste: Taste, power: Number) -> Thing:
    """A small lamp with a shade."""
    h, r = dice.uniform(0.32, 0.55), dice.uniform(0.09, 0.15)
    foot = lathe(
        [
            (0, 0),
            (0.6 * r, 0),
            (0.6 * r, 0.015),
            (0.025, 0.05),
            (0.6 * r * dice.random() + 0.02, 0.25 * h),
            (0.015, 0.6 * h),
            (0, 0.6 * h),
        ],
        dice.choice((taste.metal, taste.wood, painted(srgb("#3f5f77"), dice, "ceramic", 0.15))),
        20,
    )
    return Thing(
        "table lamp",
        "lamp",
        (
            foot,
            lathe(
                [(r, 0.58 * h), (0.7 * r, h), (0.69 * r, h), (0.99 * r, 0.58 * h), (r, 0.58 * h)],
                warm_light(dice, power),
                24,
            ),
        ),
    )


def desk_lamp(dice: random.Random, taste: Taste, power: Number) -> Thing:
    """A jointed lamp."""
    metal = dice.choice((taste.metal, taste.dark, taste.white))
    arm = tube([(0, 0, 0.02), (-0.12, 0, 0.26), (0.08, 0, 0.46)], 0.008, metal)
    head = lathe([(0.075, 0.36), (0.03, 0.46), (0.0, 0.47)], metal, 18)
    v = head.vertices.clone()
    v[:, 0] += 0.09
    return Thing(
        "desk lamp",
        "lamp",
        (
            cylinder(0.08, 0.02, (0, 0, 0), metal, 20),
            arm,
            replace(head, vertices=v),
            ellipsoid((0.03, 0.03, 0.03), (0.09, 0, 0.39), warm_light(dice, 2 * power), 10, 6),
        ),
    )
