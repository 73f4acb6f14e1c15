"""Curtains, blinds and rugs."""

import math
import random

from worldloom.synth.rooms.finishes import Taste, linen, number
from worldloom.synth.rooms.furnishings.soft import bent_sheet
from worldloom.synth.shapes import Number, box, cylinder, joined, prism, slab, tube
from worldloom.synth.textures import rug as rug_pattern
from worldloom.synth.textures import srgb, textured
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]


def curtains(dice: random.Random, taste: Taste, width: Number, low: Number, high: Number, cloth: Material) -> Group:
    """A pair of curtains drawn aside from a window of `width`, on a rod; the wall is x = 0."""
    spread = width / 2 + dice.uniform(0.12, 0.25)
    things = [
        Thing(
            "curtain rod",
            "curtain",
            (
                tube([(0.1, -spread - 0.06, high + 0.02), (0.1, spread + 0.06, high + 0.02)], 0.013, taste.metal),
                joined(
                    [
                        tube([(0, s * spread, high + 0.02), (0.1, s * spread, high + 0.02)], 0.01, taste.metal)
                        for s in (-1, 1)
                    ]
                ),
            ),
        )
    ]
    for s in (-1, 1):
        drawn = dice.uniform(0.16, 0.32) if dice.random() < 0.8 else 0.85 * spread
        folds = max(4, round(drawn / 0.055))
        steps = folds * 8
        depth = dice.uniform(0.025, 0.04)
        # Outwards to inwards, so that the sheet's front looks into the room.
        line = [
            (0.1 + depth * math.sin(2 * math.pi * folds * k / steps), s * (spread - drawn * k / steps))
            for k in range(steps + 1)
        ]
        things.append(Thing("curtain", "curtain", (bent_sheet(line, low, high, 0.006, cloth),)))
    return tuple(things)


def blind(dice: random.Random, taste: Taste, width: Number, low: Number, high: Number) -> Thing:
    """Slats or a roller, part of the way down; the wall is x = 0."""
    down = low + (high - low) * dice.uniform(0.35, 0.85)
    head = slab((0.02, -width / 2, high - 0.05), (0.07, width / 2, high), taste.white)
    if dice.random() < 0.5:
        return Thing(
            "blind",
            "curtain",
            (
                head,
                slab((0.04, -width / 2 + 0.01, down), (0.044, width / 2 - 0.01, high - 0.05), linen(dice)),
                tube([(0.042, -width / 2, down), (0.042, width / 2, down)], 0.009, taste.white),
            ),
        )
    n = max(2, int((high - 0.05 - down) / 0.04))
    slats = []
    for k in range(n):
        z = high - 0.06 - 0.04 * k
        slats.append(
            prism(
                [
                    (0.025, -width / 2 + 0.01),
                    (0.06, -width / 2 + 0.01),
                    (0.06, width / 2 - 0.01),
                    (0.025, width / 2 - 0.01),
                ],
                z - 0.002,
                z,
                taste.white,
            )
        )
    cords = [cylinder(0.0015, high - down, (0.042, s * 0.35 * width, down), taste.white, 5) for s in (-1, 1)]
    return Thing("blind", "curtain", (head, joined(slats), joined(cords)))


def rug(dice: random.Random, taste: Taste, size: tuple[Number, Number]) -> Thing:
    """A rug, with its pile's edge and sometimes fringes."""
    inks = dice.choice(
        (
            ("#e6d9c0", "#a8452f", "#27424f"),
            ("#e2d8c8", "#3c5f78", "#8c3b2e"),
            ("#eadfca", "#7c4a3a", "#2f4d48"),
            ("#d9d4cb", "#8d8a86", "#3a3d40"),
            ("#c8b48c", "#4f6b52", "#8a4b32"),
            ("#2f3a48", "#c9a45a", "#d9d2c2"),
            ("#7d2f2a", "#e0c9a0", "#1f2f45"),
        )
    )
    ground, figure, accent = (srgb(text) for text in inks)
    pattern = rug_pattern(size, ground, figure, accent, number(dice), dice.randrange(4))
    wool = textured("rug", pattern, (*size, 0.01), 1.0, axis=2)
    x, y, t = size[0] / 2, size[1] / 2, dice.uniform(0.008, 0.02)
    parts: list[Part]
    if dice.random() < 0.2:
        r = min(x, y)
        parts = [cylinder(r, t, (0, 0, 0), wool, 40)]
    else:
        parts = [slab((-x, -y, 0), (x, y, t), wool)]
        if dice.random() < 0.4:
            fringe = Material("fringe", ground, None, 1.0)
            parts.append(
                joined(
                    [
                        box((0.06, 0.006, 0.003), (s * (x + 0.03), -y + 0.02 * k + 0.01, 0.0015), fringe)
                        for s in (-1, 1)
                        for k in range(int(2 * y / 0.02))
                    ]
                )
            )
    return Thing("rug", "rug", tuple(parts))
