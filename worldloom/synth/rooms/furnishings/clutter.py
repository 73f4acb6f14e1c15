"""Small things that stand about: books, vessels, boxes, bags, shoes, toys, screens and papers."""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import hash01, noise
from worldloom.synth.rooms.finishes import Taste, bright, ceramic, number, painted, stone
from worldloom.synth.rooms.furnishings.soft import boxes, cushion, leaning, vessel
from worldloom.synth.shapes import Number, box, cylinder, ellipsoid, joined, lathe, moved, slab, tube, turned
from worldloom.synth.textures import face_uv, mottled, paint_over, srgb, textured
from worldloom.synth.world import Colour, Material, Part, Pattern, Thing

_COVERS = (
    *("#7d2f2a", "#2f4a63", "#3f5a3c", "#d8cfbd", "#1f2326", "#b98a3c", "#8c6a9c", "#c65a3a", "#e9e4d8", "#5c6b73"),
    *("#a9b7a0", "#40302a", "#d6a7a0", "#2a6d75"),
)


def book_row(dice: random.Random, length: Number, depth: Number, height: Number) -> Part:
    """Books side by side along y, spines towards +x, on z = 0 and centred on y; some lean away, some lie."""
    edges, tops, deeps = [0.0], [], []
    while edges[-1] < length - 0.012:
        edges.append(min(length, edges[-1] + dice.uniform(0.012, 0.05)))
        tops.append(height * dice.uniform(0.68, 0.97))
        deeps.append(depth * dice.uniform(0.65, 0.95))
    y = np.array(edges) - length / 2
    n = len(tops)
    lows = np.stack([np.full(n, -depth / 2), y[:-1] + 0.0005, np.zeros(n)], -1)
    highs = np.stack([-depth / 2 + np.array(deeps), y[1:] - 0.0005, np.array(tops)], -1)
    return boxes(lows, highs, _book_covers(dice, y, height))


def _book_covers(dice: random.Random, y: Float[np.ndarray, " k"], height: Number) -> Material:
    seed = number(dice)
    palette = torch.tensor([srgb(dice.choice(_COVERS)) for _ in range(24)])
    edges = torch.from_numpy(y.astype(np.float32))

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        i = torch.bucketize(p[:, 1].contiguous(), edges.to(p))
        colour = palette.to(p)[i.remainder(len(palette))] * (0.75 + 0.5 * hash01(i[:, None], seed))[:, None]
        level = p[:, 2] / height
        band = ((level - 0.12 - 0.1 * hash01(i[:, None], seed + 1)).abs() < 0.012) | ((level - 0.62).abs() < 0.01)
        line = (p[:, 2] / 0.012).floor().long()
        title = (level > 0.25) & (level < 0.55) & (hash01(torch.stack([i, line], -1), seed + 2) > 0.5)
        foil = torch.where(hash01(i[:, None], seed + 3) > 0.5, 0.75, 0.06)[:, None] * p.new_tensor([1.0, 0.9, 0.65])
        colour = torch.where(((band | title) & (normals[:, 0] > 0.5))[:, None], foil, colour)
        page = normals[:, 2] > 0.5
        return paint_over(colour, page, (0.75, 0.7, 0.6)) * (0.85 + 0.3 * noise(p * 60, seed + 4))[:, None].clamp(
            0, 1.05
        )

    return textured("books", pattern, (0.2, float(y[-1] - y[0]), 2 * height), roughness=0.6)


def book_stack(dice: random.Random, taste: Taste) -> Thing:
    """A few books that lie on each other."""
    parts, z = [], 0.0
    for _ in range(dice.randint(1, 5)):
        t, w = dice.uniform(0.012, 0.045), dice.uniform(0.15, 0.24)
        cover = painted(srgb(dice.choice(_COVERS)), dice, "book", 0.5)
        pages = (0.75, 0.7, 0.6)
        yaw = dice.uniform(-0.3, 0.3)
        parts.append(
            box((w * 0.72 - 0.008, w - 0.008, t - 0.006), (0, 0, z + t / 2), Material("paper", pages, None, 0.9), yaw)
        )
        lids = [box((w * 0.72, w, 0.003), (0, 0, h), cover, yaw) for h in (z + 0.0015, z + t - 0.0015)]
        spine = moved(box((0.003, w, t), (-w * 0.36, 0, z + t / 2), cover), turned(yaw), (0, 0, 0))
        parts.append(joined([*lids, spine]))
        z += t
    return Thing("books", "clutter", tuple(parts))


def bottle(dice: random.Random, taste: Taste) -> Thing:
    """A bottle, jar or flask."""
    r, h = dice.uniform(0.025, 0.045), dice.uniform(0.16, 0.32)
    glass = painted(
        srgb(dice.choice(("#1f3a26", "#3a2412", "#d9e6e4", "#7a1f2a", "#f0ead8", "#2f5a80"))), dice, "glass", 0.05
    )
    body = lathe([(0, 0), (r, 0), (r, 0.6 * h), (0.4 * r, 0.78 * h), (0.35 * r, h), (0, h)], glass, 16)
    label = cylinder(r + 0.0012, 0.2 * h, (0, 0, 0.2 * h), bright(dice), 16)
    return Thing("bottle", "clutter", (body, label))


def vase(dice: random.Random, taste: Taste) -> Thing:
    """A vase, alone or with twigs."""
    h, r = dice.uniform(0.15, 0.4), dice.uniform(0.04, 0.1)
    bulge = [dice.uniform(0.5, 1.0), 1.0, dice.uniform(0.35, 0.8), dice.uniform(0.4, 0.9)]
    profile = [
        (0.6 * r, 0.0),
        (r * bulge[0], 0.2 * h),
        (r * bulge[1], 0.45 * h),
        (r * bulge[2], 0.8 * h),
        (r * bulge[3], h),
    ]
    parts = [vessel(profile, 0.006, ceramic(dice) if dice.random() < 0.7 else taste.metal)]
    if dice.random() < 0.5:
        twigs, buds = [], []
        for _ in range(dice.randint(3, 9)):
            a, lean, tall = dice.uniform(0, 6.3), dice.uniform(0.1, 0.5), dice.uniform(0.15, 0.45)
            tip = (tall * lean * math.cos(a), tall * lean * math.sin(a), h + tall)
            twigs.append(tube([(0, 0, 0.4 * h), (0.3 * tip[0], 0.3 * tip[1], h), tip], 0.003, taste.wood, 5))
            b = dice.uniform(0.012, 0.04)
            buds.append(ellipsoid((b, b, b * 1.2), tip, taste.accent, 8, 5))
        colour = bright(dice, 0.8)
        parts += [joined(twigs, True), joined([Part(p.vertices, p.faces, colour, True) for p in buds], True)]
    return Thing("vase", "clutter", tuple(parts))


def bowl(dice: random.Random, taste: Taste) -> Thing:
    """A bowl, often with fruit."""
    r, h = dice.uniform(0.09, 0.17), dice.uniform(0.05, 0.1)
    parts = [
        vessel([(0.4 * r, 0), (0.8 * r, 0.5 * h), (r, h)], 0.006, ceramic(dice) if dice.random() < 0.6 else taste.wood)
    ]
    if dice.random() < 0.7:
        fruit = bright(dice, 0.5)
        size = 0.3 * r
        spots = [(0, 0, 0.9 * h + size)] + [
            (0.45 * r * math.cos(k * 1.26), 0.45 * r * math.sin(k * 1.26), 0.55 * h + size * 0.8) for k in range(5)
        ]
        parts.append(joined([ellipsoid((size, size, size), s, fruit, 10, 6) for s in spots], True))
    return Thing("bowl", "clutter", tuple(parts))


def cup(dice: random.Random, taste: Taste) -> Thing:
    """A cup or mug with its handle."""
    r, h, china = dice.uniform(0.035, 0.045), dice.uniform(0.06, 0.1), ceramic(dice)
    handle = [(0, r + 0.025 * math.sin(math.pi * k / 6) - 0.004, h * (0.25 + 0.55 * k / 6)) for k in range(7)]
    return Thing(
        "cup",
        "clutter",
        (vessel([(0.8 * r, 0), (r, 0.3 * h), (r, h)], 0.004, china, 16), tube(handle, 0.005, china, 6)),
    )


def plate(dice: random.Random, taste: Taste) -> Thing:
    """A dinner plate."""
    r = dice.uniform(0.1, 0.135)
    return Thing(
        "plate",
        "clutter",
        (lathe([(0, 0), (0.6 * r, 0), (r, 0.018), (r, 0.022), (0.6 * r, 0.006), (0, 0.006)], ceramic(dice), 24),),
    )


def carton(dice: random.Random, taste: Taste, size: Number | None = None) -> Thing:
    """A cardboard box, closed or open, or a stack of two."""
    s = size or dice.uniform(0.22, 0.5)
    x, y, h = s * dice.uniform(0.6, 1), s, s * dice.uniform(0.5, 0.9)
    card = textured(
        "cardboard",
        mottled(srgb(dice.choice(("#b08a5e", "#a67f52", "#c9b08a", "#d9d4c8"))), number(dice), 0.15),
        roughness=0.9,
    )
    tape = painted(srgb("#c9b48c"), dice, "tape", 0.3)
    if dice.random() < 0.6:
        parts = [
            slab((-x / 2, -y / 2, 0), (x / 2, y / 2, h), card),
            slab((-0.025, -y / 2 - 0.001, h - 0.06), (0.025, y / 2 + 0.001, h + 0.001), tape),
        ]
        return Thing("box", "clutter", tuple(parts))
    t = 0.005
    walls = [slab((-x / 2, -y / 2, 0), (x / 2, y / 2, t), card)]
    walls += [box((t, y, h), (q * (x / 2 - t / 2), 0, h / 2), card) for q in (-1, 1)]
    walls += [box((x - 2 * t, t, h), (0, q * (y / 2 - t / 2), h / 2), card) for q in (-1, 1)]
    walls += [
        moved(box((t, y, 0.4 * x), (0, 0, 0.2 * x), card), turned(pitch=q * 0.9), (q * x / 2, 0, h)) for q in (-1, 1)
    ]
    filling = cushion((x - 4 * t, y - 4 * t, 0.5 * h), (0, 0, 0.3 * h), taste.second_cloth, 0.3)
    return Thing("box", "clutter", (joined(walls), filling))


def basket(dice: random.Random, taste: Taste) -> Thing:
    """A woven basket or bin."""
    r, h = dice.uniform(0.14, 0.26), dice.uniform(0.25, 0.5)
    straw = textured(
        "straw",
        _wicker(srgb(dice.choice(("#b58e5c", "#8c6a42", "#d9c7a0", "#4a4a48"))), number(dice)),
        (0.5, 0.5, 0.5),
        0.9,
    )
    parts = [vessel([(0.8 * r, 0), (r, 0.6 * h), (0.95 * r, h)], 0.015, straw, 24)]
    if dice.random() < 0.5:
        parts.append(cushion((1.5 * r, 1.5 * r, 0.5 * h), (0, 0, 0.75 * h), taste.second_cloth, 0.6))
    return Thing("basket", "clutter", tuple(parts))


def _wicker(colour: Colour, seed: int) -> Pattern:
    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        a = torch.atan2(p[:, 1], p[:, 0]) * 14
        row = (p[:, 2] / 0.02).floor()
        strand = torch.sin(a + math.pi * row).abs() * torch.sin(math.pi * p[:, 2] / 0.02).abs()
        return (p.new_tensor(colour) * (0.45 + 0.6 * strand + 0.4 * (noise(p * 40, seed) - 0.5))[:, None]).clamp(0, 1)

    return pattern


def bag(dice: random.Random, taste: Taste) -> Thing:
    """A bag or rucksack on the floor."""
    w, h = dice.uniform(0.28, 0.42), dice.uniform(0.28, 0.45)
    skin = dice.choice((taste.accent, taste.second_cloth, taste.dark))
    parts = [
        cushion((0.2, w, h), (0, 0, h / 2), skin, 0.35),
        cushion((0.08, 0.7 * w, 0.45 * h), (0.1, 0, 0.3 * h), skin, 0.3),
    ]
    strap = tube(
        [(0, 0.25 * w * math.cos(math.pi * k / 8), h - 0.02 + 0.14 * math.sin(math.pi * k / 8)) for k in range(9)],
        0.01,
        taste.dark,
        6,
    )
    return Thing("bag", "clutter", (joined(parts, True), strap))


def shoes(dice: random.Random, taste: Taste) -> Thing:
    """A pair of shoes, side by side or kicked off."""
    upper, sole = dice.choice((taste.accent, taste.dark, bright(dice, 0.6))), dice.choice((taste.white, taste.metal))
    soles, uppers = [], []
    for s in (-1, 1):
        turn, at = turned(dice.uniform(-0.25, 0.25)), (dice.uniform(-0.05, 0.05), s * 0.075, 0)
        low = cushion((0.28, 0.1, 0.03), (0, 0, 0.015), sole, 0.4, sides=16, rings=6)
        toe = cushion((0.27, 0.092, 0.09), (0, 0, 0.05), upper, 0.7, sides=16, rings=8)
        heel = cushion((0.12, 0.08, 0.12), (-0.07, 0, 0.08), upper, 0.5, sides=16, rings=8)
        soles.append(moved(low, turn, at))
        uppers += [moved(toe, turn, at), moved(heel, turn, at)]
    return Thing("shoes", "clutter", (joined(uppers, True), joined(soles, True)))


def toy(dice: random.Random, taste: Taste) -> Thing:
    """A ball, building blocks, a bear or a cart."""
    kind = dice.randrange(4)
    if kind == 0:
        r = dice.uniform(0.08, 0.16)
        return Thing("ball", "clutter", (ellipsoid((r, r, r), (0, 0, r), bright(dice), 20, 12),))
    if kind == 1:
        blocks = []
        for k in range(dice.randint(3, 7)):
            s = dice.uniform(0.05, 0.08)
            a, d = 2.4 * k, 0.1 * math.sqrt(k)
            blocks.append(box((s, s, s), (d * math.cos(a), d * math.sin(a), s / 2), bright(dice), dice.uniform(0, 1.5)))
        return Thing("building blocks", "clutter", tuple(blocks))
    if kind == 2:
        fur, s = dice.choice((taste.accent, taste.second_cloth)), dice.uniform(0.8, 1.5)
        limbs = [
            ((0.08, 0.1, 0.11), (0, 0, 0.11)),
            ((0.08, 0.085, 0.08), (0.02, 0, 0.27)),
            ((0.04, 0.05, 0.035), (0.09, 0, 0.255)),
        ]
        limbs += [((0.03, 0.035, 0.035), (0, q * 0.075, 0.34)) for q in (-1, 1)] + [
            ((0.08, 0.04, 0.04), (0.1, q * 0.07, 0.042)) for q in (-1, 1)
        ]
        limbs += [((0.05, 0.035, 0.07), (0.05, q * 0.1, 0.15)) for q in (-1, 1)]
        half = [tuple(v * s for v in a) for a, _ in limbs]
        at = [tuple(v * s for v in b) for _, b in limbs]
        return Thing(
            "bear",
            "clutter",
            (
                joined(
                    [
                        ellipsoid((h[0], h[1], h[2]), (c[0], c[1], c[2]), fur, 12, 8)
                        for h, c in zip(half, at, strict=True)
                    ],
                    True,
                ),
            ),
        )
    body, wheel = bright(dice), taste.dark
    parts = [
        slab((-0.14, -0.07, 0.05), (0.14, 0.07, 0.11), body),
        slab((-0.1, -0.06, 0.11), (0.03, 0.06, 0.17), bright(dice)),
    ]
    wheels = [
        tube([(x, q * 0.07, 0.045), (x, q * 0.1, 0.045)], 0.045, wheel, 14) for x in (-0.09, 0.09) for q in (-1, 1)
    ]
    return Thing("toy car", "clutter", (*parts, joined(wheels)))


def laptop(dice: random.Random, taste: Taste) -> Thing:
    """An open laptop; who uses it sits at +x."""
    lid = leaning(slab((-0.125, -0.165, 0.018), (-0.117, 0.165, 0.235), taste.metal), -0.25, (-0.12, 0, 0.018))
    glass = leaning(
        slab((-0.1172, -0.155, 0.03), (-0.1155, 0.155, 0.225), screen_picture(dice, 0.3, 0.2)), -0.25, (-0.12, 0, 0.018)
    )
    keys = slab((-0.09, -0.145, 0.018), (0.02, 0.145, 0.0195), taste.dark)
    return Thing(
        "laptop", "screen", (slab((-0.12, -0.165, 0.004), (0.11, 0.165, 0.018), taste.metal), lid, glass, keys)
    )


def monitor(dice: random.Random, taste: Taste) -> Thing:
    """A monitor on its foot, looking to +x."""
    w, h = dice.uniform(0.45, 0.75), dice.uniform(0.28, 0.36)
    low = 0.12
    return Thing(
        "monitor",
        "screen",
        (
            slab((-0.02, -w / 2, low), (0.01, w / 2, low + h), taste.dark),
            slab(
                (0.0101, -w / 2 + 0.01, low + 0.012), (0.012, w / 2 - 0.01, low + h - 0.01), screen_picture(dice, w, h)
            ),
            joined(
                [
                    slab((-0.045, -0.03, 0.01), (-0.02, 0.03, low + 0.6 * h), taste.dark),
                    slab((-0.12, -0.12, 0), (0.1, 0.12, 0.012), taste.dark),
                ]
            ),
        ),
    )


def keyboard(dice: random.Random, taste: Taste) -> Thing:
    """Keyboard and mouse in front of a monitor."""
    case = dice.choice((taste.dark, taste.white))
    keys = [
        slab(
            (-0.055 + 0.022 * r, -0.2 + 0.0275 * k, 0.014), (-0.036 + 0.022 * r, -0.176 + 0.0275 * k, 0.02), taste.dark
        )
        for r in range(5)
        for k in range(15)
    ]
    return Thing(
        "keyboard",
        "clutter",
        (
            slab((-0.065, -0.21, 0), (0.065, 0.22, 0.014), case),
            joined(keys),
            cushion((0.1, 0.06, 0.035), (0, 0.3, 0.0175), case, 0.6),
        ),
    )


def screen_picture(dice: random.Random, width: Number, height: Number) -> Material:
    """What a screen shows: windows and text, a film, or nothing."""
    seed, style = number(dice), dice.random()
    if style < 0.3:
        return Material("screen", (0.01, 0.01, 0.012), None, 0.08)
    one, two = (
        srgb(dice.choice(("#1d2b3a", "#23282d", "#eceae4", "#2f4a63"))),
        srgb(dice.choice(("#6fb0d9", "#e8a55a", "#8fd18a", "#c9cfd6"))),
    )

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        uv = face_uv(p, normals)
        if style > 0.65:
            q = torch.cat([uv * 6 / width, torch.zeros_like(uv[:, :1])], -1)
            share = noise(q, seed, 3)[:, None]
            return (p.new_tensor(one) * (1 - share) + p.new_tensor(two) * share).clamp(0, 1)
        line = (uv[:, 1] / 0.014).floor()
        word = hash01(torch.stack([(uv[:, 0] / 0.02).floor(), line], -1).long(), seed)
        short = hash01(line.long()[:, None], seed + 1)
        text = (word > 0.4) & (torch.remainder(uv[:, 1] / 0.014, 1) < 0.45) & (uv[:, 0] / width < short - 0.3)
        return paint_over(p.new_tensor(one).expand(len(p), 3), text, two)

    bright_colour = tuple(0.5 * (a + b) for a, b in zip(one, two, strict=True))
    glow = dice.uniform(0.2, 0.7)
    r, g, b = (glow * c for c in bright_colour)
    return textured("screen", pattern, (0.1, width, height), 0.08, emission=(r, g, b), axis=0)


def papers(dice: random.Random, taste: Taste) -> Thing:
    """Sheets of paper, a little askew."""
    paper = Material("paper", (0.8, 0.79, 0.76), None, 0.9)
    sheets = [
        box(
            (0.297, 0.21, 0.0012),
            (dice.uniform(-0.03, 0.03), dice.uniform(-0.03, 0.03), 0.0008 + 0.0013 * k),
            paper,
            dice.uniform(-0.2, 0.2),
        )
        for k in range(dice.randint(1, 5))
    ]
    return Thing("papers", "clutter", (joined(sheets),))


def candle(dice: random.Random, taste: Taste) -> Thing:
    """Candles of several heights on a tray."""
    wax = painted(srgb(dice.choice(("#efe8d6", "#a8452f", "#2f4a45", "#d9a0a0"))), dice, "wax", 0.5)
    sticks = [
        cylinder(0.025, dice.uniform(0.06, 0.18), (0.035 * math.cos(2.1 * k), 0.035 * math.sin(2.1 * k), 0.01), wax, 14)
        for k in range(3)
    ]
    return Thing("candles", "clutter", (cylinder(0.085, 0.01, (0, 0, 0), taste.metal, 24), joined(sticks, True)))


def sculpture(dice: random.Random, taste: Taste) -> Thing:
    """A small figure: stacked stones, a ring, a head or a twisted column."""
    matter = stone(dice) if dice.random() < 0.5 else taste.metal
    kind, s = dice.randrange(4), dice.uniform(0.7, 1.3)
    if kind == 0:
        z, parts = 0.0, []
        for k in range(4):
            r, h = 0.07 * s * (1 - 0.18 * k) * dice.uniform(0.8, 1.1), 0.045 * s * dice.uniform(0.8, 1.2)
            parts.append(ellipsoid((r, 0.85 * r, h), (dice.uniform(-0.01, 0.01), 0, z + h), matter, 16, 8))
            z += 1.85 * h
    elif kind == 1:
        ring = [
            (0, 0.1 * s * math.cos(2 * math.pi * k / 24), 0.15 * s + 0.1 * s * math.sin(2 * math.pi * k / 24))
            for k in range(25)
        ]
        parts = [tube(ring, 0.022 * s, matter, 10), box((0.08, 0.12, 0.04), (0, 0, 0.02), matter)]
    elif kind == 2:
        parts = [
            ellipsoid((0.075 * s, 0.06 * s, 0.095 * s), (0, 0, 0.25 * s), matter, 20, 12),
            cylinder(0.035 * s, 0.14 * s, (-0.01, 0, 0.06 * s), matter),
            cushion((0.13 * s, 0.22 * s, 0.08 * s), (0, 0, 0.04 * s), matter, 0.5),
            ellipsoid((0.015 * s, 0.011 * s, 0.02 * s), (0.074 * s, 0, 0.24 * s), matter, 10, 6),
        ]
    else:
        parts = [
            box((0.09 * s, 0.09 * s, 0.045 * s), (0, 0, 0.0225 * s + 0.045 * s * k), matter, 0.22 * k) for k in range(9)
        ]
    return Thing("sculpture", "clutter", (joined(parts, kind != 3),))


Maker = Callable[[random.Random, Taste], Thing]
FOR_TABLES: tuple[Maker, ...] = (book_stack, vase, bowl, cup, candle, papers, laptop, bottle, plate)
FOR_SHELVES: tuple[Maker, ...] = (vase, bowl, sculpture, book_stack, candle, bottle)
FOR_FLOORS: tuple[Maker, ...] = (carton, basket, bag, shoes, toy, toy)
