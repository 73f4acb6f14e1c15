"""What stands in halls: plinths with sculptures, show cases, machines, pallets, desks of readers."""

import itertools
import math
import random

import torch

from worldloom.synth.rooms.finishes import Taste, bright, iron, painted, stone, timber_finish
from worldloom.synth.rooms.furnishings.clutter import carton, sculpture, vase
from worldloom.synth.rooms.furnishings.soft import cushion
from worldloom.synth.shapes import Number, box, cylinder, ellipsoid, joined, lathe, moved, placed, slab, tube, turned
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]


def plinth(dice: random.Random, taste: Taste) -> Group:
    """A plinth with a figure, an urn or a model on it."""
    w, h = dice.uniform(0.4, 0.8), dice.uniform(0.6, 1.15)
    block = dice.choice((taste.white, stone(dice), taste.wood))
    base = Thing(
        "plinth",
        "column",
        (
            slab((-w / 2, -w / 2, 0), (w / 2, w / 2, h), block),
            slab((-w / 2 - 0.03, -w / 2 - 0.03, 0), (w / 2 + 0.03, w / 2 + 0.03, 0.08), block),
        ),
    )
    top = _grown(dice.choice((sculpture, sculpture, vase))(dice, taste), dice.uniform(1.6, 2.4))
    return (base, placed(top, (0, 0, h)))


def _grown(thing: Thing, factor: Number) -> Thing:
    parts = tuple(Part(p.vertices * factor, p.faces, p.material, p.smooth) for p in thing.parts)
    return Thing(thing.name, thing.semantic, parts)


def statue(dice: random.Random, taste: Taste) -> Group:
    """A standing figure in stone or bronze, on a low base."""
    matter = dice.choice((stone(dice, ("marble",)), stone(dice), painted(srgb("#4a5a4f"), dice, "bronze", 0.35)))
    s = dice.uniform(0.95, 1.25)
    lean, raise_ = dice.uniform(-0.05, 0.05), dice.uniform(-0.2, 2.4)
    body = [
        ellipsoid((0.1, 0.085, 0.13), (0.02, 0, 1.66), matter, 18, 12),
        cylinder(0.05, 0.14, (0, 0, 1.46), matter, 12),
        cushion((0.22, 0.4, 0.5), (0, 0, 1.24), matter, 0.6),
        cushion((0.21, 0.32, 0.3), (0, lean, 0.95), matter, 0.7),
    ]
    for side in (-1, 1):
        body.append(
            tube(
                [(0, side * 0.09, 0.95), (0.04 * side, side * 0.1, 0.5), (-0.02 * side, side * 0.11, 0.04)],
                [0.1, 0.065, 0.045],
                matter,
                12,
            )
        )
        body.append(cushion((0.25, 0.09, 0.08), (0.04, side * 0.11, 0.04), matter, 0.5))
        a = raise_ if side > 0 else -0.1
        elbow = (0.05, side * (0.26 + 0.06 * math.sin(a)), 1.4 - 0.28 * math.cos(a))
        hand = (0.22, side * 0.24, elbow[2] + (0.2 if a > 1.2 else -0.2))
        body.append(tube([(0, side * 0.2, 1.4), elbow, hand], [0.06, 0.047, 0.035], matter, 10))
    if dice.random() < 0.5:
        body.append(lathe([(0.3, 0.03), (0.24, 0.5), (0.17, 0.95), (0.12, 1.0)], matter, 24))
    figure = _grown(Thing("statue", "column", (joined(body, True),)), s)
    high = dice.uniform(0.12, 0.6)
    base = Thing(
        "plinth",
        "column",
        (
            cylinder(0.45, high, (0, 0, 0), stone(dice), 32)
            if dice.random() < 0.5
            else box((0.8, 0.8, high), (0, 0, high / 2), stone(dice)),
        ),
    )
    return (base, placed(figure, (0, 0, high)))


def skeleton(dice: random.Random, taste: Taste) -> Group:
    """A great beast's bones on a stage: spine, ribs, skull and limbs."""
    bone = painted(srgb("#cdbb98"), dice, "bone", 0.7)
    spine = [
        (-2.4 + 0.16 * k, 0, 1.5 + 0.5 * math.sin(0.1 * k) - (0.035 * max(0, 9 - k) ** 1.3 * 0.6)) for k in range(31)
    ]
    parts = [tube(spine, [0.02 + 0.05 * min(1, k / 10) for k in range(31)], bone)]
    for k in range(11, 22):
        x, _, z = spine[k]
        for s in (-1, 1):
            rib = [
                (x, s * 0.42 * math.sin(math.pi * t / 7), z - 0.42 + 0.42 * math.cos(math.pi * t / 7)) for t in range(7)
            ]
            parts.append(tube(rib, 0.018, bone, 6))
    hx, _, hz = spine[-1]
    parts += [
        cushion((0.6, 0.28, 0.3), (hx + 0.28, 0, hz + 0.05), bone, 0.6),
        cushion((0.55, 0.22, 0.08), (hx + 0.3, 0, hz - 0.18), bone, 0.4),
    ]
    for x, z in ((spine[12][0], spine[12][2]), (spine[21][0], spine[21][2])):
        for s in (-1, 1):
            parts.append(
                tube(
                    [
                        (x, s * 0.2, z - 0.1),
                        (x + 0.25, s * 0.32, 0.95),
                        (x - 0.05, s * 0.34, 0.55),
                        (x + 0.12, s * 0.34, 0.27),
                    ],
                    [0.06, 0.05, 0.04, 0.05],
                    bone,
                )
            )
    stage = slab((-2.7, -0.8, 0), (3.3, 0.8, 0.25), taste.wood)
    return (Thing("skeleton", "column", (joined(parts, True),)), Thing("stage", "floor", (stage,)))


def rope_barrier(dice: random.Random, taste: Taste, length: Number) -> Thing:
    """Posts with a rope."""
    n = max(2, round(length / 1.3) + 1)
    ys = [-length / 2 + length * k / (n - 1) for k in range(n)]
    posts = [cylinder(0.13, 0.02, (0, y, 0), taste.metal, 20) for y in ys] + [
        cylinder(0.02, 0.93, (0, y, 0.02), taste.metal, 10) for y in ys
    ]
    ropes = []
    for a, b in itertools.pairwise(ys):
        ropes.append(
            tube(
                [(0, a + (b - a) * k / 8, 0.9 - 0.22 * math.sin(math.pi * k / 8)) for k in range(9)],
                0.016,
                taste.accent,
                6,
            )
        )
    return Thing("rope barrier", "fence", (joined(posts, True), joined(ropes, True)))


def show_case(dice: random.Random, taste: Taste) -> Group:
    """A case with a low front, open to the eye, with finds on felt."""
    w, d, h = dice.uniform(1.0, 1.8), 0.6, 0.88
    box_ = [
        slab((-d / 2, -w / 2, 0.1), (d / 2, w / 2, h - 0.1), taste.wood),
        slab((-d / 2 + 0.04, -w / 2 + 0.04, 0), (d / 2 - 0.04, w / 2 - 0.04, 0.1), taste.dark),
    ]
    rim = [
        slab((s * d / 2 - 0.03, -w / 2, h - 0.1), (s * d / 2, w / 2, h), taste.wood)
        if s > 0
        else slab((-d / 2, -w / 2, h - 0.1), (-d / 2 + 0.03, w / 2, h), taste.wood)
        for s in (-1, 1)
    ]
    rim += [
        slab(
            (-d / 2 + 0.03, s * w / 2 - (0.03 if s > 0 else 0), h - 0.1),
            (d / 2 - 0.03, s * w / 2 + (0.03 if s < 0 else 0), h),
            taste.wood,
        )
        for s in (-1, 1)
    ]
    felt = slab((-d / 2 + 0.03, -w / 2 + 0.03, h - 0.1), (d / 2 - 0.03, w / 2 - 0.03, h - 0.09), taste.accent)
    things = [Thing("show case", "cabinet", (joined([*box_, *rim]), felt))]
    n = max(2, int(w / 0.4))
    for k in range(n):
        things.append(
            placed(
                _grown(sculpture(dice, taste), 0.6), (dice.uniform(-0.05, 0.05), -w / 2 + w * (k + 0.5) / n, h - 0.09)
            )
        )
    return tuple(things)


def column(dice: random.Random, material: Material, height: Number, round_: bool) -> Thing:
    """A column with base and capital."""
    r = dice.uniform(0.14, 0.3)
    if round_:
        profile = [
            (0, 0),
            (1.35 * r, 0),
            (1.35 * r, 0.12),
            (r, 0.2),
            (0.9 * r, height - 0.35),
            (1.3 * r, height - 0.12),
            (1.3 * r, height),
            (0, height),
        ]
        return Thing("column", "column", (lathe(profile, material, 28),))
    return Thing(
        "column",
        "column",
        (
            box((1.6 * r, 1.6 * r, height), (0, 0, height / 2), material),
            box((2.0 * r, 2.0 * r, 0.15), (0, 0, 0.075), material),
        ),
    )


def machine(dice: random.Random, taste: Taste) -> Thing:
    """A machine tool: a bed, a column, housings, a spindle, a panel and pipes."""
    paint, steel = (
        dice.choice((bright(dice), iron(dice), painted(srgb("#5f7f6a"), dice, "machine paint", 0.4))),
        taste.metal,
    )
    w, d = dice.uniform(1.4, 2.6), dice.uniform(0.8, 1.2)
    parts = [
        slab((-d / 2, -w / 2, 0), (d / 2, w / 2, 0.12), taste.dark),
        slab((-d / 2 + 0.06, -w / 2 + 0.05, 0.12), (d / 2 - 0.1, w / 2 - 0.05, 0.8), paint),
    ]
    at = dice.choice((-1, 1)) * w * 0.27
    tall = dice.uniform(1.6, 2.1)
    parts += [
        slab((-d / 2 + 0.06, at - 0.3, 0.8), (0.05, at + 0.3, tall), paint),
        slab((0.05, at - 0.2, tall - 0.6), (d / 2 - 0.1, at + 0.2, tall - 0.1), paint),
    ]
    steel_parts = [
        cylinder(0.07, 0.35, (d / 4, at, tall - 0.95), steel),
        cylinder(0.03, 0.15, (d / 4, at, tall - 1.08), steel),
        slab((-d / 4, -w / 2 + 0.1, 0.8), (d / 2 - 0.12, w / 2 - 0.1, 0.88), steel),
    ]
    steel_parts += [tube([(-d / 4, -at - 0.2, 1.05), (-d / 4, -at + 0.35, 1.05)], 0.16, steel, 24)]
    wheel = [
        (d / 2, -at + 0.14 * math.cos(2 * math.pi * k / 20), 0.55 + 0.14 * math.sin(2 * math.pi * k / 20))
        for k in range(21)
    ]
    steel_parts += [
        tube(wheel, 0.014, steel),
        tube([(d / 2 - 0.1, -at, 0.55), (d / 2 + 0.02, -at, 0.55)], 0.025, steel),
    ]
    panel = moved(
        box((0.08, 0.35, 0.5), (0, 0, 0), taste.dark),
        turned(yaw=0.4 if at < 0 else -0.4),
        (d / 2 - 0.1, at * 1.5, 1.35),
    )
    pipe = tube(
        [(-d / 2 + 0.1, -at, 0.8), (-d / 2 + 0.1, -at, 1.6), (-d / 2 + 0.1, at, tall + 0.15), (-d / 2 + 0.1, at, tall)],
        0.04,
        taste.dark,
    )
    return Thing("machine", "appliance", (joined(parts[1:]), parts[0], joined(steel_parts, True), panel, pipe))


def pallet(dice: random.Random, taste: Taste) -> Group:
    """A pallet with boxes, sacks or barrels."""
    timber = timber_finish(dice)
    boards = [box((0.8, 0.14, 0.022), (0, -0.52 + 0.26 * k, 0.133), timber) for k in range(5)] + [
        box((0.1, 1.2, 0.122), (x, 0, 0.061), timber) for x in (-0.35, 0, 0.35)
    ]
    things = [Thing("pallet", "clutter", (joined(boards),))]
    style = dice.randrange(4)
    if style == 0:
        for i in range(2):
            for j in range(3):
                for k in range(dice.randint(1, 3)):
                    s = 0.36
                    card = carton(dice, taste, s)
                    v = torch.cat([p.vertices for p in card.parts])
                    fit = min(0.38 / float(v[:, 0].max() * 2), 1.0)
                    if float(v[:, 2].max()) < 0.36 and k < 3:
                        things.append(
                            placed(
                                _squared(card.parts[0].material, fit),
                                (-0.2 + 0.4 * i, -0.4 + 0.4 * j, 0.145 + 0.32 * k),
                            )
                        )
    elif style == 1:
        drum = bright(dice)
        for i in (-1, 1):
            for j in (-1, 1):
                barrel = [
                    (0, 0),
                    (0.19, 0),
                    (0.19, 0.27),
                    (0.2, 0.28),
                    (0.19, 0.29),
                    (0.19, 0.56),
                    (0.2, 0.57),
                    (0.19, 0.58),
                    (0.19, 0.85),
                    (0, 0.85),
                ]
                things.append(placed(Thing("barrel", "clutter", (lathe(barrel, drum, 24),)), (0.2 * i, 0.3 * j, 0.145)))
    elif style == 2:
        for k in range(dice.randint(2, 6)):
            sacks = [
                cushion((0.72, 0.54, 0.16), (0, s * 0.29, 0.145 + 0.14 * k + 0.08), taste.second_cloth, 0.45)
                for s in (-1, 1)
            ]
            things.append(Thing("sacks", "clutter", (joined(sacks, True),)))
    return tuple(things)


def _squared(card: Material, fit: Number) -> Thing:
    return Thing("box", "clutter", (box((0.38 * fit, 0.38, 0.315), (0, 0, 0.1575), card),))


def pipes(dice: random.Random, length: Number, steel: Material) -> Thing:
    """Pipes and ducts that run along x at the wall (y = 0, room at y > 0); z = 0 is their height."""
    runs = []
    for k in range(dice.randint(1, 4)):
        r = dice.uniform(0.03, 0.12)
        runs.append(
            tube([(0, 0.15, -0.26 * k), (length / 2, 0.15, -0.26 * k), (length, 0.15, -0.26 * k)], r, steel, 14)
        )
        for j in range(int(length / 2.4)):
            runs.append(slab((1.2 + 2.4 * j, 0, -0.26 * k - 0.02), (1.24 + 2.4 * j, 0.15, -0.26 * k + 0.02), steel))
    return Thing("pipes", "pole", (joined(runs, True),))


def ladder(dice: random.Random, taste: Taste) -> Thing:
    """A step ladder."""
    h = dice.uniform(1.2, 2.0)
    bars = [tube([(0.0, s * 0.22, h), (0.45, s * 0.27, 0.01)], 0.02, taste.metal, 4) for s in (-1, 1)]
    bars += [tube([(0.0, s * 0.22, h), (-0.4, s * 0.27, 0.01)], 0.015, taste.metal, 4) for s in (-1, 1)]
    n = round(h / 0.27)
    bars += [box((0.1, 0.44, 0.025), (0.45 * k / n, 0, h * (1 - k / n)), taste.metal) for k in range(n)]
    return Thing("ladder", "clutter", (joined(bars),))


def lectern(dice: random.Random, taste: Taste) -> Thing:
    """A speaker's desk; the speaker stands at -x."""
    top = moved(box((0.5, 0.65, 0.03), (0, 0, 0), taste.wood), turned(pitch=-0.3), (0, 0, 1.1))
    return Thing("lectern", "table", (slab((-0.15, -0.28, 0), (0.17, 0.28, 1.06), taste.wood), top))
