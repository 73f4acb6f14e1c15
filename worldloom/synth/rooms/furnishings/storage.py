"""Shelves and cabinets, and what stands in them."""

import itertools
import random

import torch

from worldloom.synth.rooms.finishes import Taste, lacquer
from worldloom.synth.rooms.furnishings.clutter import FOR_SHELVES, book_row, carton
from worldloom.synth.rooms.furnishings.soft import cushion
from worldloom.synth.shapes import Number, box, cylinder, joined, moved, placed, slab
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]


def bookcase(dice: random.Random, taste: Taste, width: Number | None = None, height: Number | None = None) -> Group:
    """Shelves from the floor, filled with books and things."""
    w, h = width or dice.uniform(0.6, 2.0), height or dice.uniform(0.8, 2.25)
    d, t = dice.uniform(0.24, 0.36), dice.uniform(0.018, 0.03)
    frame = dice.choice((taste.wood, taste.frame, taste.frame))
    columns = max(1, round(w / dice.uniform(0.55, 0.95)))
    rows = max(2, round(h / dice.uniform(0.3, 0.42)))
    x0, x1 = -d / 2, d / 2
    boards = [slab((x0, -w / 2 + t, z - t), (x1, w / 2 - t, z), frame) for z in _levels(h, rows, t)]
    sides = [slab((x0, y - t / 2, 0), (x1, y + t / 2, h), frame) for y in _posts(w, columns, t)]
    parts = [joined(boards), joined(sides)]
    if dice.random() < 0.7:
        parts.append(slab((x0, -w / 2 + t, 0.03), (x0 + 0.006, w / 2 - t, h - t), frame))
    things: list[Thing] = [Thing("bookcase", "shelf", tuple(parts))]
    levels, posts = _levels(h, rows, t), _posts(w, columns, t)
    for low, high in itertools.pairwise(levels):
        for a, b in itertools.pairwise(posts):
            things += _fill(dice, taste, (a + t / 2 + 0.004, b - t / 2 - 0.004), low, high - t - low, d)
    return tuple(things)


def _levels(h: Number, rows: int, t: Number) -> list[Number]:
    """Upper faces of the boards; the lowest is a plinth, the last the top."""
    return [0.06 + (h - 0.06) * k / rows for k in range(rows + 1)]


def _posts(w: Number, columns: int, t: Number) -> list[Number]:
    return [-w / 2 + t / 2 + (w - t) * k / columns for k in range(columns + 1)]


def _fill(
    dice: random.Random, taste: Taste, across: tuple[Number, Number], low: Number, clear: Number, depth: Number
) -> list[Thing]:
    """Books, things or air on one board; books are a thing of their own."""
    y, end = across
    things: list[Thing] = []
    while end - y > 0.12 and clear > 0.12:
        pick = dice.random()
        if pick < 0.55:
            long = min(end - y, dice.uniform(0.15, 0.7))
            row = book_row(dice, long, depth - 0.03, clear - 0.015)
            things.append(placed(Thing("books", "clutter", (row,)), (0.0, y + long / 2, low)))
            y += long + 0.01
        elif pick < 0.85:
            thing = dice.choice(FOR_SHELVES)(dice, taste)
            v = torch.cat([p.vertices for p in thing.parts])
            size, middle = v.amax(0) - v.amin(0), (v.amax(0) + v.amin(0)) / 2
            if float(size[2]) < clear - 0.01 and float(size[1]) < end - y - 0.02 and float(size[0]) < depth + 0.02:
                at = (-float(middle[0]), y + float(size[1]) / 2 + 0.01 - float(middle[1]), low)
                things.append(placed(thing, at))
                y += float(size[1]) + 0.03
            else:
                y += 0.08
        else:
            y += dice.uniform(0.05, 0.3)
    return things


def wall_shelf(dice: random.Random, taste: Taste) -> Group:
    """A board on brackets with books and things, to hang; z = 0 is the board's upper face, x = 0 the wall."""
    w, d = dice.uniform(0.6, 1.4), dice.uniform(0.18, 0.26)
    board = slab((0, -w / 2, -0.025), (d, w / 2, 0), taste.wood)
    irons = [slab((0, y, -0.13), (0.012, y + 0.02, -0.025), taste.metal) for y in (-0.35 * w, 0.35 * w)]
    irons += [slab((0, y, -0.037), (0.8 * d, y + 0.02, -0.025), taste.metal) for y in (-0.35 * w, 0.35 * w)]
    things = [Thing("wall shelf", "shelf", (board, joined(irons)))]
    things += [placed(t, (d / 2, 0, 0)) for t in _fill(dice, taste, (-w / 2 + 0.02, w / 2 - 0.02), 0.0, 0.28, d)]
    return tuple(things)


def cabinet(
    dice: random.Random,
    taste: Taste,
    size: tuple[Number, Number, Number],
    name: str = "cabinet",
    columns: int | None = None,
    rows: tuple[Number, ...] | None = None,
    finish: Material | None = None,
) -> Thing:
    """A cabinet of size (x, y, z) with doors or drawers; `rows` are the heights of its fronts, from below."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    body = finish or dice.choice((taste.frame, taste.wood, taste.white))
    front = body if dice.random() < 0.6 else dice.choice((taste.wood, lacquer(dice)))
    foot = dice.choice((0.03, 0.06, 0.14, 0.18)) if h < 1.3 else 0.05
    n = columns or max(1, round(size[1] / dice.uniform(0.42, 0.6)))
    rows = rows or ((1.0,) if h > 1.0 or dice.random() < 0.5 else (1.0,) * dice.choice((2, 3, 4)))
    thick, gap = 0.02, 0.004
    parts: list[Part] = [
        slab((-x, -y, foot), (x - thick, y, h - 0.02), body),
        slab((-x, -y - 0.008, h - 0.02), (x + 0.004, y + 0.008, h), body),
    ]
    if foot < 0.1:
        parts.append(slab((-x + 0.02, -y + 0.03, 0), (x - 0.06, y - 0.03, foot), taste.dark))
    else:
        parts.append(
            joined(
                [
                    cylinder(0.016, foot, (sx * (x - 0.06), sy * (y - 0.06), 0), taste.metal, 10)
                    for sx in (-1, 1)
                    for sy in (-1, 1)
                ],
                True,
            )
        )
    knobs, panels, fields = [], [], []
    grip, framed = dice.randrange(3), dice.random() < 0.4
    total, z = sum(rows), foot
    for k in range(len(rows)):
        z1 = z + (h - 0.02 - foot) * rows[k] / total
        for c in range(n):
            a, b = -y + 2 * y * c / n + gap, -y + 2 * y * (c + 1) / n - gap
            low, high = z + gap, z1 - gap
            panels.append(slab((x - thick, a, low), (x, b, high), front))
            if framed and high - low > 0.25:
                for (p0, q0), (p1, q1) in (
                    ((a, low), (a + 0.06, high)),
                    ((b - 0.06, low), (b, high)),
                    ((a + 0.06, low), (b - 0.06, low + 0.06)),
                    ((a + 0.06, high - 0.06), (b - 0.06, high)),
                ):
                    fields.append(slab((x, p0, q0), (x + 0.008, p1, q1), front))
            tall = high - low > (b - a)
            at_y = (b - 0.045 if c % 2 == 0 else a + 0.045) if tall else (a + b) / 2
            at_z = (high - 0.1 if h < 1.2 else min(1.1, (low + high) / 2)) if tall else (low + high) / 2
            if grip == 0:
                knobs.append(cushion((0.034, 0.03, 0.03), (x + 0.02, at_y, at_z), taste.metal, 0.9, sides=10, rings=6))
            elif grip == 1:
                size_y, size_z = (0.012, 0.16) if tall else (0.16, 0.012)
                knobs.append(box((0.028, size_y, size_z), (x + 0.014, at_y, at_z), taste.metal))
        z = z1
    parts += [joined(panels)]
    if fields:
        parts.append(joined(fields))
    if knobs:
        parts.append(joined(knobs, grip == 0))
    return Thing(name, "cabinet", tuple(parts))


def sideboard(dice: random.Random, taste: Taste) -> Thing:
    """A low cabinet for living and dining rooms."""
    return cabinet(
        dice, taste, (dice.uniform(0.36, 0.48), dice.uniform(1.1, 2.0), dice.uniform(0.5, 0.85)), "sideboard"
    )


def dresser(dice: random.Random, taste: Taste) -> Thing:
    """A chest of drawers."""
    n = dice.choice((3, 4, 5))
    return cabinet(
        dice,
        taste,
        (0.46, dice.uniform(0.7, 1.2), 0.25 * n + 0.1),
        "chest of drawers",
        dice.choice((1, 1, 2)),
        (1.0,) * n,
    )


def wardrobe(dice: random.Random, taste: Taste, ceiling: Number) -> Thing:
    """A tall cabinet for clothes."""
    high = min(dice.uniform(1.9, 2.4), ceiling - 0.05)
    rows = (1.0,) if dice.random() < 0.6 else (0.5, 1.5)
    return cabinet(
        dice, taste, (0.6, dice.choice((2, 2, 3, 4)) * dice.uniform(0.45, 0.55), high), "wardrobe", rows=rows
    )


def rack(
    dice: random.Random, taste: Taste, steel: Material, size: tuple[Number, Number, Number], load: Number = 0.7
) -> Group:
    """Steel shelves with boxes."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    rows = max(2, round(h / 0.55))
    levels = [0.12 + (h - 0.2) * k / (rows - 1) for k in range(rows)]
    posts = [box((0.04, 0.04, h), (sx * (x - 0.02), sy * (y - 0.02), h / 2), steel) for sx in (-1, 1) for sy in (-1, 1)]
    boards = [slab((-x + 0.04, -y + 0.04, z - 0.035), (x - 0.04, y - 0.04, z), steel) for z in levels]
    things = [Thing("rack", "shelf", (joined(posts), joined(boards)))]
    for z, above in zip(levels, [*levels[1:], h + 0.4], strict=True):
        at = -y + 0.06
        while at < y - 0.3:
            s = dice.uniform(0.22, min(0.45, 2 * x - 0.1))
            if dice.random() < load and 0.9 * s < above - z - 0.05 and at + s < y - 0.05:
                things.append(
                    placed(carton(dice, taste, s * 0.9) if dice.random() < 0.8 else _crate(dice, s), (0, at + s / 2, z))
                )
            at += s + dice.uniform(0.02, 0.15)
    return tuple(things)


def _crate(dice: random.Random, s: Number) -> Thing:
    """A plastic crate."""
    shell = lacquer(dice)
    d, w, h = 0.35 * s, 0.45 * s, 0.5 * s
    parts = [slab((-d, -w, 0), (d, w, 0.01), shell)]
    parts += [slab((q * d - 0.006, -w, 0), (q * d + 0.006, w, h), shell) for q in (-1, 1)]
    parts += [slab((-d, q * w - 0.006, 0), (d, q * w + 0.006, h), shell) for q in (-1, 1)]
    return Thing("crate", "clutter", (joined(parts),))


def coat_rack(dice: random.Random, taste: Taste) -> Group:
    """A board with hooks, coats and bags, to hang; z = 0 is the height of the hooks."""
    w = dice.uniform(0.6, 1.2)
    things = [
        Thing(
            "coat rack",
            "shelf",
            (
                slab((0, -w / 2, -0.05), (0.022, w / 2, 0.07), taste.wood),
                joined(
                    [
                        cushion((0.09, 0.02, 0.02), (0.055, y, 0.0), taste.metal, 0.6, sides=10, rings=6)
                        for y in _hooks(w)
                    ],
                    True,
                ),
            ),
        )
    ]
    for y in _hooks(w):
        if dice.random() < 0.65:
            cloth, long = (
                dice.choice((taste.cloth, taste.accent, taste.second_cloth, taste.dark)),
                dice.uniform(0.5, 1.05),
            )
            coat = [cushion((0.16, 0.2, long), (0.11, y, -long / 2 - 0.02), cloth, 0.45)]
            coat += [
                moved(
                    cushion((0.09, 0.09, 0.6 * long), (0, 0, 0), cloth, 0.5),
                    torch.eye(3),
                    (0.12, y + q * 0.09, -0.4 * long),
                )
                for q in (-1, 1)
            ]
            things.append(Thing("coat", "clutter", (joined(coat, True),)))
    return tuple(things)


def _hooks(w: Number) -> list[Number]:
    n = max(2, round(w / 0.24))
    return [-w / 2 + w * (k + 0.5) / n for k in range(n)]
