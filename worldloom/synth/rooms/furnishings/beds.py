"""Beds with their bedding."""

import random

import torch

from worldloom.synth.rooms.finishes import Taste, linen
from worldloom.synth.rooms.furnishings.soft import cushion, leaning
from worldloom.synth.shapes import Number, box, cylinder, joined, slab, turned
from worldloom.synth.world import Part, Thing

Group = tuple[Thing, ...]


def bed(dice: random.Random, taste: Taste, width: Number | None = None) -> Group:
    """A bed with its head at the wall (-x): slatted, boxed or upholstered, made or just left."""
    w, long = width or dice.choice((0.9, 1.0, 1.4, 1.6, 1.8)), 2.02
    high, foot = dice.uniform(0.28, 0.42), dice.uniform(0.05, 0.2)
    x0, x1 = -long / 2, long / 2
    frame = dice.choice((taste.wood, taste.frame, taste.cloth))
    parts: list[Part] = [slab((x0, -w / 2 - 0.04, foot), (x1 + 0.03, w / 2 + 0.04, high - 0.04), frame)]
    style, head = dice.randrange(4), dice.uniform(0.75, 1.2)
    if style == 0:
        parts.append(slab((x0 - 0.05, -w / 2 - 0.06, 0.1), (x0, w / 2 + 0.06, head), frame))
    elif style == 1:
        n = max(1, round(w / 0.5))
        for k in range(n):
            y = -w / 2 + w * (k + 0.5) / n
            parts.append(
                cushion((0.1, w / n - 0.006, head - high + 0.1), (x0 - 0.05, y, (head + high) / 2), taste.cloth, 0.25)
            )
        parts.append(slab((x0 - 0.07, -w / 2 - 0.02, 0), (x0 - 0.03, w / 2 + 0.02, head - 0.05), taste.dark))
    elif style == 2:
        bars = [cylinder(0.025, head, (x0 - 0.03, s * w / 2, 0), taste.metal) for s in (-1, 1)]
        bars += [
            cylinder(0.01, head - high - 0.05, (x0 - 0.03, -w / 2 + w * k / 9, high), taste.metal, 8)
            for k in range(1, 9)
        ]
        bars.append(box((0.03, w, 0.03), (x0 - 0.03, 0, head - 0.05), taste.metal))
        bars.append(box((0.03, w, 0.03), (x0 - 0.03, 0, high), taste.metal))
        parts.append(joined(bars, True))
    feet = [
        cylinder(0.028, foot, (x, s * (w / 2 - 0.05), 0), taste.wood, 10) for x in (x0 + 0.1, x1 - 0.1) for s in (-1, 1)
    ]
    parts.append(joined(feet, True))
    sheet, cover = linen(dice), linen(dice)
    mattress = cushion((long - 0.02, w - 0.02, 0.2), (0, 0, high + 0.06), sheet, 0.12)
    things = [Thing("bed", "bed", (*parts, mattress))]
    top = high + 0.16
    pillows = linen(dice) if dice.random() < 0.5 else sheet
    for k in range(2 if w > 1.2 else 1):
        y = (k - 0.5) * w / 2 if w > 1.2 else 0.0
        pad = cushion(
            (0.42, min(0.72, w * 0.46 if w > 1.2 else w * 0.75), 0.16),
            (x0 + 0.28, y, top + 0.06),
            pillows,
            0.55,
            turned(dice.uniform(-0.08, 0.08)),
        )
        things.append(Thing("pillow", "bed", (leaning(pad, -dice.uniform(0.0, 0.35), (x0 + 0.4, y, top)),)))
    made = dice.random()
    start = x0 + (0.62 if made < 0.7 else dice.uniform(0.8, 1.1))
    quilt = cushion((x1 + 0.02 - start, w + 0.06, 0.1), ((start + x1 + 0.02) / 2, 0, top + 0.03), cover, 0.16)
    quilt = _rumpled(dice, quilt, 0.012 if made < 0.7 else 0.03)
    flaps = [
        cushion(
            (x1 - start - 0.04, 0.05, top - high + 0.18),
            ((start + x1) / 2, s * (w / 2 + 0.035), (top + high) / 2 - 0.02),
            cover,
            0.2,
        )
        for s in (-1, 1)
    ]
    fold = cushion((0.26, w + 0.07, 0.07), (start + 0.1, 0, top + 0.085), sheet, 0.4)
    things.append(Thing("quilt", "bed", (joined([quilt, *flaps], True), fold)))
    if dice.random() < 0.4:
        things.append(
            Thing("blanket", "bed", (cushion((0.5, w + 0.1, 0.03), (x1 - 0.45, 0, top + 0.085), taste.accent, 0.14),))
        )
    return tuple(things)


def _rumpled(dice: random.Random, part: Part, amount: Number) -> Part:
    """The part with folds on its upper side."""
    v = part.vertices.clone()
    a, b, c = (dice.uniform(3, 9) for _ in range(3))
    wave = torch.sin(a * v[:, 0] + 2 * torch.sin(b * v[:, 1])) * torch.cos(c * v[:, 1] + v[:, 0])
    v[:, 2] += amount * wave * (v[:, 2] > v[:, 2].mean())
    return Part(v, part.faces, part.material, part.smooth)


def cot(dice: random.Random, taste: Taste) -> Group:
    """A child's bed with bars."""
    long, w, high = 1.25, 0.65, 0.85
    bars = [
        box((0.04, 0.04, high), (sx * long / 2, sy * w / 2, high / 2), taste.frame) for sx in (-1, 1) for sy in (-1, 1)
    ]
    bars += [box((long, 0.03, 0.04), (0, s * w / 2, z), taste.frame) for s in (-1, 1) for z in (0.22, high - 0.02)]
    bars += [box((0.03, w, 0.04), (s * long / 2, 0, z), taste.frame) for s in (-1, 1) for z in (0.22, high - 0.02)]
    bars += [
        box((0.016, 0.016, high - 0.24), (-long / 2 + long * k / 12, s * w / 2, (high + 0.22) / 2), taste.frame)
        for k in range(1, 12)
        for s in (-1, 1)
    ]
    bars += [
        box((0.016, 0.016, high - 0.24), (s * long / 2, -w / 2 + w * k / 6, (high + 0.22) / 2), taste.frame)
        for k in range(1, 6)
        for s in (-1, 1)
    ]
    soft = [
        cushion((long - 0.06, w - 0.05, 0.12), (0, 0, 0.3), linen(dice), 0.15),
        cushion((0.7, w - 0.06, 0.06), (0.2, 0, 0.38), linen(dice), 0.3),
    ]
    return (Thing("cot", "bed", (joined(bars), *soft)),)
