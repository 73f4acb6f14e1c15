"""Plants in pots."""

import math
import random

import numpy as np
import torch

from worldloom.synth.rooms.finishes import Taste, ceramic, leafage
from worldloom.synth.rooms.furnishings.soft import vessel
from worldloom.synth.shapes import Number, cylinder, joined, tube
from worldloom.synth.world import Material, Part, Thing


def potted_plant(dice: random.Random, taste: Taste, height: Number | None = None) -> Thing:
    """A pot with blades, a bush, a palm or a small tree."""
    h = height or dice.uniform(0.5, 1.8)
    style = dice.choice(("blades", "fern", "bush", "tree", "palm") if h > 0.5 else ("blades", "fern", "bush"))
    r, tall = min(0.2, 0.09 + 0.07 * h), min(0.4, 0.1 + 0.18 * h)
    pot = vessel([(0.72 * r, 0), (0.95 * r, 0.85 * tall), (r, tall)], 0.012, ceramic(dice))
    soil = cylinder(0.9 * r, 0.01, (0, 0, 0.85 * tall), Material("soil", (0.05, 0.035, 0.025), None, 1.0), 20)
    green = leafage(dice)
    stems: list[Part] = []
    foot = np.array([0.0, 0.0, 0.85 * tall])
    rest = h - tall
    if style in ("blades", "fern"):
        n = dice.randint(9, 22)
        leaves = [
            _blade(
                dice,
                foot,
                rest * dice.uniform(0.6, 1.05),
                0.025 + 0.03 * rest,
                dice.uniform(0.1, 0.9 if style == "fern" else 0.4),
                green,
            )
            for _ in range(n)
        ]
    elif style == "palm":
        trunk = np.array([dice.uniform(-0.05, 0.05), dice.uniform(-0.05, 0.05), 0.85 * tall + 0.5 * rest])
        stems.append(tube([tuple(foot), tuple(trunk)], [0.02, 0.014], taste.wood))
        leaves = [
            _blade(dice, trunk, 0.55 * rest, 0.045, dice.uniform(0.4, 1.3), green) for _ in range(dice.randint(12, 20))
        ]
    else:
        leaves, twigs = [], dice.randint(7, 13)
        start = foot if style == "bush" else foot + np.array([0, 0, 0.45 * rest])
        if style == "tree":
            stems.append(tube([tuple(foot), tuple(start)], [0.016, 0.012], taste.wood))
        long = rest if style == "bush" else 0.55 * rest
        for _ in range(twigs):
            a, lean = dice.uniform(0, 6.28), dice.uniform(0.1, 0.75)
            tip = start + long * dice.uniform(0.65, 1.0) * np.array(
                [lean * math.cos(a), lean * math.sin(a), math.sqrt(1 - lean**2)]
            )
            middle = (start + tip) / 2 + np.array([0, 0, 0.06 * long])
            stems.append(tube([tuple(start), tuple(middle), tuple(tip)], [0.007, 0.005, 0.003], taste.wood, 5))
            for k in range(9):
                t = 0.3 + 0.7 * k / 8
                base = (1 - t) * start + t * tip + np.array([0, 0, 0.06 * long * 4 * t * (1 - t)])
                leaves.append(
                    _blade(
                        dice,
                        base,
                        dice.uniform(0.08, 0.16),
                        dice.uniform(0.03, 0.055),
                        dice.uniform(0.5, 1.5),
                        green,
                        3,
                    )
                )
    parts = [pot, soil, joined(leaves, True)]
    if stems:
        parts.append(joined([Part(s.vertices, s.faces, taste.wood, True) for s in stems], True))
    return Thing("plant", "bush", tuple(parts))


def _blade(
    dice: random.Random,
    base: np.ndarray,
    length: Number,
    width: Number,
    droop: Number,
    material: Material,
    steps: int = 6,
) -> Part:
    """One leaf: a pointed strip, folded along its middle, that bends over by `droop` radians."""
    turn = dice.uniform(0, 2 * math.pi)
    out, side = np.array([math.cos(turn), math.sin(turn), 0]), np.array([-math.sin(turn), math.cos(turn), 0])
    rows, at, angle = [], np.array(base, dtype=float), dice.uniform(0.02, 0.35) + 0.3 * droop
    for k in range(steps + 1):
        t = k / steps
        half = 0.5 * width * math.sin(math.pi * (0.12 + 0.88 * t)) ** 0.8 if k < steps else 0.0005
        lift = np.array([0, 0, 0.25 * half])
        rows += [at - half * side + lift, at, at + half * side + lift]
        angle += droop / steps
        at = at + length / steps * (math.sin(angle) * out + np.array([0, 0, math.cos(angle)]))
    k = np.arange(steps)[:, None] * 3
    faces = np.concatenate([k + f for f in ([0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4])])
    vertices = torch.from_numpy(np.array(rows, dtype=np.float32))
    return Part(vertices, torch.from_numpy(faces.astype(np.int32)), material, True)
