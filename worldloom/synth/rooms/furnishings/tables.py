"""Tables, desks and what people keep on them."""

import math
import random

from worldloom.synth.rooms.finishes import Taste, stone
from worldloom.synth.rooms.furnishings.soft import cushion
from worldloom.synth.shapes import Number, box, cylinder, joined, lathe, prism, slab, tube
from worldloom.synth.world import Material, Part, Thing


def table(
    dice: random.Random, taste: Taste, size: tuple[Number, Number], height: Number = 0.74, name: str = "table"
) -> Thing:
    """A table of size (x, y): four legs, trestles, a pedestal or a box frame; its top is its highest face."""
    top = dice.choice((taste.wood, taste.wood, taste.frame, taste.white, stone(dice, ("marble",))))
    frame = dice.choice((taste.wood, taste.metal, taste.frame))
    thick = dice.uniform(0.018, 0.045)
    x, y = size[0] / 2, size[1] / 2
    under = height - thick
    style = dice.randrange(4)
    legs: list[Part] = []
    if style == 0:
        r = dice.uniform(0.018, 0.035)
        lean = dice.uniform(0.0, 0.06)
        for sx in (-1, 1):
            for sy in (-1, 1):
                a, b = sx * (x - 0.07), sy * (y - 0.07)
                legs.append(tube([(a + sx * lean, b + sy * lean, 0), (a, b, under)], [0.65 * r, r], frame))
        legs += [box((2 * x - 0.16, 0.02, 0.07), (0, s * (y - 0.07), under - 0.035), frame) for s in (-1, 1)]
        legs += [box((0.02, 2 * y - 0.16, 0.07), (s * (x - 0.07), 0, under - 0.035), frame) for s in (-1, 1)]
    elif style == 1:
        for s in (-1, 1):
            b = s * (y - 0.16)
            legs += [
                box((2 * x - 0.1, 0.05, 0.04), (0, b, 0.02), frame),
                box((2 * x - 0.1, 0.05, 0.04), (0, b, under - 0.02), frame),
            ]
            legs += [
                tube([(q * (x - 0.12), b, 0.03), (-q * (x - 0.12), b, under - 0.03)], 0.02, frame, 4) for q in (-1, 1)
            ]
        legs.append(box((0.04, 2 * y - 0.32, 0.04), (0, 0, 0.45 * under), frame))
    elif style == 2:
        for sx in (-1, 1):
            for sy in (-1, 1):
                legs.append(box((0.055, 0.055, under), (sx * (x - 0.03), sy * (y - 0.03), under / 2), frame))
    else:
        posts = [0.0] if y < 0.65 else [-0.55 * y, 0.55 * y]
        for b in posts:
            legs += [
                cylinder(0.045, under, (0, b, 0), frame),
                box((0.75 * size[0], 0.5 if len(posts) == 1 else 0.08, 0.03), (0, b, 0.015), frame),
            ]
            legs.append(box((0.6 * size[0], 0.3, 0.025), (0, b, under - 0.0125), frame))
    plate = (
        box((2 * x, 2 * y, thick), (0, 0, height - thick / 2), top)
        if dice.random() < 0.6
        else prism(_rounded(x, y, dice.uniform(0.03, 0.2)), under, height, top)
    )
    return Thing(name, "table", (plate, joined(legs)))


def round_table(dice: random.Random, taste: Taste, radius: Number, height: Number = 0.74, name: str = "table") -> Thing:
    """A round table on one foot or three legs."""
    top, frame = (
        dice.choice((taste.wood, taste.frame, taste.white, stone(dice, ("marble",)))),
        dice.choice((taste.wood, taste.metal)),
    )
    plate = cylinder(radius, 0.028, (0, 0, height - 0.028), top, 36)
    if dice.random() < 0.5:
        foot = min(0.7 * radius, 0.35)
        leg = lathe(
            [
                (0, 0),
                (foot, 0),
                (foot, 0.015),
                (0.05, 0.06),
                (0.035, 0.5 * height),
                (0.05, height - 0.05),
                (0.14, height - 0.028),
                (0, height - 0.028),
            ],
            frame,
            20,
        )
    else:
        legs = []
        for k in range(dice.choice((3, 4))):
            a = 2 * math.pi * k / 3 + 0.4
            c, s = math.cos(a) * radius, math.sin(a) * radius
            legs.append(tube([(0.85 * c, 0.85 * s, 0), (0.55 * c, 0.55 * s, height - 0.028)], [0.012, 0.02], frame))
        leg = joined(legs, True)
    return Thing(name, "table", (plate, leg))


def coffee_table(dice: random.Random, taste: Taste) -> Thing:
    """A low table in front of a sofa."""
    if dice.random() < 0.35:
        return round_table(dice, taste, dice.uniform(0.32, 0.5), dice.uniform(0.36, 0.46), "coffee table")
    if dice.random() < 0.25:
        x, y, h = dice.uniform(0.25, 0.4), dice.uniform(0.45, 0.65), dice.uniform(0.3, 0.4)
        shell = [slab((-x, -y, h - 0.04), (x, y, h), taste.wood), slab((-x, -y, 0.03), (x, y, 0.06), taste.wood)]
        shell += [
            slab((-x, s * y - (0.03 if s > 0 else 0), 0.0), (x, s * y + (0.03 if s < 0 else 0), h - 0.04), taste.wood)
            for s in (-1, 1)
        ]
        return Thing("coffee table", "table", (joined(shell),))
    return table(
        dice, taste, (dice.uniform(0.5, 0.75), dice.uniform(0.9, 1.35)), dice.uniform(0.34, 0.46), "coffee table"
    )


def desk(dice: random.Random, taste: Taste, width: Number | None = None) -> Thing:
    """A desk with its open side, where one sits, at +x; drawers on one side."""
    y, x, h = (width or dice.uniform(1.1, 1.7)) / 2, dice.uniform(0.3, 0.4), 0.73
    top = dice.choice((taste.wood, taste.white, taste.frame))
    parts: list[Part] = [box((2 * x, 2 * y, 0.026), (0, 0, h - 0.013), top)]
    side = dice.choice((-1, 0, 1))
    frame: list[Part] = []
    for s in (-1, 1):
        if s == side:
            b0, b1 = sorted((s * y, s * (y - 0.4)))
            parts.append(slab((-x + 0.04, b0, 0.04), (x - 0.03, b1, h - 0.026), taste.frame))
            fronts = [
                slab((x - 0.03, b0 + 0.01, z0), (x - 0.012, b1 - 0.01, z1), taste.frame)
                for z0, z1 in ((0.06, 0.3), (0.31, 0.5), (0.51, h - 0.035))
            ]
            grips = [box((0.02, 0.12, 0.012), (x - 0.004, (b0 + b1) / 2, z), taste.metal) for z in (0.26, 0.47, 0.665)]
            parts += [joined(fronts), joined(grips)]
            frame.append(slab((-x + 0.06, b0 + 0.02, 0), (x - 0.06, b1 - 0.02, 0.04), taste.dark))
        else:
            frame += [
                box((0.04, 0.04, h - 0.026), (q * (x - 0.03), s * (y - 0.03), (h - 0.026) / 2), taste.metal)
                for q in (-1, 1)
            ]
    frame.append(box((0.02, 2 * y - 0.1, 0.25), (-x + 0.04, 0, h - 0.16), taste.frame))
    return Thing("desk", "table", (*parts, joined(frame)))


def bedside(dice: random.Random, taste: Taste) -> Thing:
    """A small cabinet beside a bed."""
    w, h = dice.uniform(0.36, 0.5), dice.uniform(0.4, 0.58)
    if dice.random() < 0.25:
        return round_table(dice, taste, w / 2, h, "bedside table")
    body = [slab((-0.2, -w / 2, 0.1), (0.18, w / 2, h), taste.frame)]
    legs = [
        cylinder(0.014, 0.1, (sx * 0.15, sy * (w / 2 - 0.04), 0), taste.wood, 8) for sx in (-1, 1) for sy in (-1, 1)
    ]
    fronts, knobs = [], []
    for z0, z1 in ((0.12, (h + 0.1) / 2 - 0.006), ((h + 0.1) / 2 + 0.006, h - 0.02)):
        fronts.append(slab((0.18, -w / 2 + 0.012, z0), (0.197, w / 2 - 0.012, z1), taste.frame))
        knobs.append(cushion((0.03, 0.03, 0.03), (0.21, 0, (z0 + z1) / 2), taste.metal, 1.0, sides=10, rings=6))
    return Thing("bedside table", "cabinet", (joined(body), joined(fronts), joined(knobs, True), joined(legs, True)))


def workbench(dice: random.Random, taste: Taste, steel: Material) -> Thing:
    """A heavy bench with a shelf beneath."""
    y, x, h = dice.uniform(0.8, 1.3), 0.38, 0.88
    legs = [
        box((0.08, 0.08, h - 0.06), (sx * (x - 0.05), sy * (y - 0.06), (h - 0.06) / 2), steel)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    shelf = box((2 * x - 0.1, 2 * y - 0.12, 0.03), (0, 0, 0.25), taste.wood)
    return Thing("workbench", "table", (box((2 * x, 2 * y, 0.06), (0, 0, h - 0.03), taste.wood), shelf, joined(legs)))


def _rounded(x: Number, y: Number, r: Number) -> list[tuple[Number, Number]]:
    r = min(r, x, y)
    corners = ((x - r, y - r, 0), (-x + r, y - r, 1), (-x + r, -y + r, 2), (x - r, -y + r, 3))
    return [
        (cx + r * math.cos(a), cy + r * math.sin(a))
        for cx, cy, k in corners
        for a in [math.pi / 2 * (k + s / 5) for s in range(6)]
    ]
