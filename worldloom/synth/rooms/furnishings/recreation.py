"""Pianos and machines to train on."""

import math
import random

import numpy as np

from worldloom.synth.rooms.finishes import Taste, bright, iron, painted
from worldloom.synth.rooms.furnishings.soft import boxes, cushion
from worldloom.synth.shapes import Number, box, cylinder, ellipsoid, joined, moved, prism, slab, tube, turned
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Thing

Group = tuple[Thing, ...]


def piano(dice: random.Random, taste: Taste) -> Thing:
    """An upright piano; its keys look to +x."""
    case = dice.choice(
        (
            painted(srgb("#0e0e10"), dice, "piano lacquer", 0.06),
            taste.wood,
            painted(srgb("#f1eee7"), dice, "piano lacquer", 0.08),
        )
    )
    w, h = 1.5, dice.uniform(1.1, 1.3)
    parts = [
        slab((-0.3, -w / 2, 0.08), (0.04, w / 2, h), case),
        slab((-0.32, -w / 2 - 0.02, h), (0.07, w / 2 + 0.02, h + 0.03), case),
    ]
    parts += [
        slab((0.04, -w / 2, 0.6), (0.33, w / 2, 0.66), case),
        *(slab((-0.3, s * w / 2 - 0.03, 0), (0.33, s * w / 2 + 0.03, 0.72), case) for s in (-1, 1)),
    ]
    keys = [
        slab(
            (0.13, -0.62 + 1.24 * k / 52 + 0.0008, 0.66),
            (0.3, -0.62 + 1.24 * (k + 1) / 52 - 0.0008, 0.685),
            taste.white,
        )
        for k in range(52)
    ]
    black = [
        slab(
            (0.13, -0.62 + 1.24 * (k + 1) / 52 - 0.006, 0.685),
            (0.23, -0.62 + 1.24 * (k + 1) / 52 + 0.006, 0.697),
            taste.dark,
        )
        for k in range(51)
        if k % 7 not in (1, 4)
    ]
    stand = moved(box((0.012, 0.6, 0.26), (0, 0, 0.13), case), turned(pitch=-0.2), (0.09, 0, 0.8))
    pedals = [box((0.1, 0.03, 0.012), (0.08, 0.1 * k, 0.06), taste.metal) for k in (-1, 0, 1)]
    return Thing("piano", "cabinet", (joined([*parts, stand]), joined(keys), joined(black), joined(pedals)))


def grand_piano(dice: random.Random, taste: Taste) -> Thing:
    """A grand piano with its lid up; the player sits at +x."""
    case = painted(srgb("#0c0c0e"), dice, "piano lacquer", 0.05)
    w = 1.5
    outline = [
        (0.3, w / 2),
        (-0.6, w / 2),
        (-1.15, 0.45),
        (-1.35, 0.1),
        (-1.3, -0.35),
        (-0.95, -0.5),
        (-0.5, -w / 2),
        (0.3, -w / 2),
    ]
    body = prism(outline, 0.62, 0.95, case)
    lid = moved(prism([(x, y + w / 2) for x, y in outline], 0, 0.025, case), turned(roll=0.55), (0, -w / 2, 0.96))
    keys = slab((0.3, -0.62, 0.7), (0.46, 0.62, 0.72), taste.white)
    keys_dark = [
        slab((0.3, -0.6 + 0.0345 * k, 0.72), (0.4, -0.6 + 0.0345 * k + 0.012, 0.732), taste.dark)
        for k in range(35)
        if k % 7 not in (2, 6)
    ]
    bed = [
        slab((0.3, -w / 2, 0.62), (0.5, w / 2, 0.7), case),
        *(slab((0.3, s * w / 2 - 0.06, 0.7), (0.5, s * w / 2 + 0.06, 0.78), case) for s in (-0.95, 0.95)),
    ]
    legs = [cylinder(0.05, 0.62, at, case, 12, top=0.075) for at in ((0.2, 0.6, 0), (0.2, -0.6, 0), (-1.0, 0.0, 0))]
    prop = tube([(-0.3, w / 2 - 0.08, 0.95), (-0.3, w / 2 - 0.35, 1.55)], 0.012, taste.dark)
    return Thing("grand piano", "cabinet", (body, lid, keys, joined(keys_dark), joined(bed), joined(legs, True), prop))


def treadmill(dice: random.Random, taste: Taste) -> Thing:
    """A treadmill; the runner looks to -x."""
    deck = [
        slab((-0.85, -0.38, 0), (0.85, -0.26, 0.2), taste.dark),
        slab((-0.85, 0.26, 0), (0.85, 0.38, 0.2), taste.dark),
    ]
    belt = slab((-0.8, -0.26, 0.08), (0.84, 0.26, 0.17), Material("belt", (0.02, 0.02, 0.022), None, 0.7))
    posts = [tube([(-0.72, s * 0.36, 0.15), (-0.9, s * 0.36, 1.2)], 0.035, taste.metal) for s in (-1, 1)]
    posts += [tube([(-0.86, s * 0.36, 0.95), (-0.3, s * 0.36, 0.9)], 0.025, taste.dark) for s in (-1, 1)]
    head = moved(box((0.1, 0.78, 0.35), (0, 0, 0), taste.dark), turned(pitch=-0.5), (-0.92, 0, 1.3))
    return Thing(
        "treadmill",
        "appliance",
        (joined(deck), belt, joined(posts, True), head, box((0.4, 0.7, 0.16), (-0.72, 0, 0.15), bright(dice))),
    )


def exercise_bike(dice: random.Random, taste: Taste) -> Thing:
    """A bicycle that goes nowhere."""
    colour, steel = bright(dice), taste.metal
    wheel = [
        (0.42 * 1 + 0.24 * math.cos(2 * math.pi * k / 28), 0, 0.34 + 0.24 * math.sin(2 * math.pi * k / 28))
        for k in range(29)
    ]
    frame = [
        tube([(-0.35, 0, 0.08), (0.0, 0, 0.4), (0.42, 0, 0.34)], 0.035, colour),
        tube([(0.0, 0, 0.4), (-0.2, 0, 0.98)], 0.028, colour),
        tube([(0.25, 0, 0.4), (0.42, 0, 1.08)], 0.028, colour),
    ]
    feet = [tube([(x, -0.28, 0.035), (x, 0.28, 0.035)], 0.035, taste.dark) for x in (-0.4, 0.5)]
    feet += [
        tube([(0.42, 0, 0.34), (0.5, 0, 0.05)], 0.03, colour),
        tube([(-0.35, 0, 0.08), (-0.4, 0, 0.04)], 0.03, colour),
    ]
    bars = [
        tube([(0.42, 0, 1.08), (0.5, s * 0.1, 1.12), (0.36, s * 0.22, 1.16), (0.22, s * 0.22, 1.14)], 0.014, taste.dark)
        for s in (-1, 1)
    ]
    cranks = [tube([(0.02, s * 0.05, 0.4), (0.02 + s * 0.16, s * 0.1, 0.4 + s * 0.06)], 0.014, steel) for s in (-1, 1)]
    cranks += [box((0.1, 0.08, 0.025), (0.02 + s * 0.16, s * 0.14, 0.4 + s * 0.06), taste.dark) for s in (-1, 1)]
    return Thing(
        "exercise bike",
        "appliance",
        (
            joined(frame, True),
            joined(feet, True),
            tube(wheel, 0.03, taste.dark),
            tube([(0.42, -0.04, 0.34), (0.42, 0.04, 0.34)], 0.2, steel, 24),
            cushion((0.27, 0.2, 0.08), (-0.21, 0, 1.0), taste.dark, 0.6),
            joined(bars, True),
            joined(cranks, True),
        ),
    )


def dumbbells(dice: random.Random, taste: Taste) -> Group:
    """A rack of dumbbells."""
    steel = iron(dice)
    w = 1.5
    frame = [box((0.4, 0.06, 0.05), (0, s * w / 2, 0.025), steel) for s in (-1, 1)] + [
        tube([(0.15, s * w / 2, 0.05), (-0.15, s * w / 2, 0.9)], 0.03, steel, 4) for s in (-1, 1)
    ]
    shelves = [slab((x - 0.12, -w / 2, z - 0.03), (x + 0.12, w / 2, z), steel) for x, z in ((0.06, 0.4), (-0.1, 0.8))]
    things = [Thing("rack", "shelf", (joined(frame), joined(shelves)))]
    weights = []
    for x, z in ((0.06, 0.4), (-0.1, 0.8)):
        for k in range(7):
            r = 0.035 + 0.005 * k
            y = -w / 2 + 0.13 + 0.2 * k
            weights += [tube([(x - 0.1, y, z + r), (x + 0.1, y, z + r)], 0.014, taste.metal, 8)]
            weights += [tube([(x + s * 0.07, y, z + r), (x + s * 0.12, y, z + r)], r, taste.dark, 12) for s in (-1, 1)]
    things.append(
        Thing(
            "dumbbells",
            "clutter",
            (
                joined([m for m in weights if m.material is taste.dark], True),
                joined([m for m in weights if m.material is taste.metal], True),
            ),
        )
    )
    return tuple(things)


def mat(dice: random.Random, taste: Taste, size: tuple[Number, Number] = (1.2, 2.0), thick: Number = 0.03) -> Thing:
    """A gymnastics mat, or a stack where it is thick."""
    return Thing(
        "mat",
        "rug" if thick < 0.05 else "clutter",
        (cushion((*size, thick), (0, 0, thick / 2), bright(dice, 0.7), 0.08),),
    )


def vaulting_box(dice: random.Random, taste: Taste) -> Thing:
    """The padded box that is vaulted over."""
    rings = [
        cushion((0.75 - 0.05 * k, 1.5 - 0.05 * k, 0.22), (0, 0, 0.12 + 0.23 * k), taste.wood, 0.1) for k in range(4)
    ]
    return Thing("vaulting box", "clutter", (joined(rings), cushion((0.6, 1.36, 0.16), (0, 0, 1.03), taste.cloth, 0.3)))


def wall_bars(dice: random.Random, taste: Taste) -> Thing:
    """Bars to climb, to hang at the wall from z = 0."""
    w, h = 1.0, 2.6
    posts = [slab((0, s * w / 2 - 0.02, 0.0), (0.1, s * w / 2 + 0.02, h), taste.wood) for s in (-1, 1)]
    rungs = [
        tube([(0.07, -w / 2, 0.15 + 0.165 * k), (0.07, w / 2, 0.15 + 0.165 * k)], 0.018, taste.wood, 8)
        for k in range(15)
    ]
    return Thing("wall bars", "fence", (joined(posts), joined(rungs, True)))


def hoop(dice: random.Random, taste: Taste) -> Thing:
    """A basketball board with its ring; z = 0 is the ring, the wall x = 0."""
    ring = [(1.05 + 0.23 * math.cos(2 * math.pi * k / 24), 0.23 * math.sin(2 * math.pi * k / 24), 0) for k in range(25)]
    frame = [tube([(0, s * 0.6, z), (0.76, s * 0.3, 0.3)], 0.03, taste.dark, 6) for s in (-1, 1) for z in (-0.1, 0.9)]
    red = painted(srgb("#c8412c"), dice, "paint", 0.4)
    lines = [box((0.004, 0.6, 0.04), (0.812, 0, z), red) for z in (0.16, 0.6)] + [
        box((0.004, 0.04, 0.44), (0.812, s * 0.28, 0.38), red) for s in (-1, 1)
    ]
    net = [
        tube(
            [
                (1.05 + 0.23 * math.cos(a), 0.23 * math.sin(a), -0.01),
                (1.05 + 0.13 * math.cos(a + 0.4), 0.13 * math.sin(a + 0.4), -0.4),
            ],
            0.005,
            taste.white,
            4,
        )
        for k in range(16)
        for a in [2 * math.pi * k / 16]
    ]
    return Thing(
        "basketball hoop",
        "sign",
        (
            slab((0.77, -0.9, -0.1), (0.81, 0.9, 0.95), taste.white),
            tube(ring, 0.012, red),
            tube([(0.8, 0, 0), (0.83, 0, 0)], 0.06, red),
            joined(frame),
            joined(lines),
            joined(net, True),
        ),
    )


def gym_ball(dice: random.Random, taste: Taste) -> Thing:
    """A large ball, or a small one."""
    r = dice.choice((0.12, 0.12, 0.32, 0.38))
    return Thing("ball", "clutter", (ellipsoid((r, r, r), (0, 0, r), bright(dice, 0.4), 28, 16),))


def lockers(dice: random.Random, taste: Taste, count: int) -> Thing:
    """A row of steel lockers."""
    steel, h, w = iron(dice), 1.85, 0.38
    y0 = -count * w / 2
    body = slab((-0.25, y0, 0.08), (0.23, y0 + count * w, h), steel)
    doors = [
        slab((0.23, y0 + k * w + 0.006, 0.1), (0.245, y0 + (k + 1) * w - 0.006, h - 0.02), steel) for k in range(count)
    ]
    vents = np.array([[0.245, y0 + k * w + 0.1, h - 0.2 - 0.03 * j] for k in range(count) for j in range(4)])
    slots = boxes(vents, vents + np.array([0.004, w - 0.2, 0.01]), taste.dark)
    return Thing(
        "lockers",
        "cabinet",
        (body, joined(doors), slots, slab((-0.22, y0, 0), (0.2, y0 + count * w, 0.08), taste.dark)),
    )
