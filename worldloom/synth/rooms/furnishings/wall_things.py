"""What hangs on walls: pictures, mirrors, clocks, screens, boards, radiators. The wall is x = 0."""

import math
import random

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import hash01, noise, warp
from worldloom.synth.rooms.finishes import Taste, number, painted
from worldloom.synth.rooms.furnishings.clutter import screen_picture
from worldloom.synth.shapes import Number, box, joined, lathe, moved, slab, tube, turned
from worldloom.synth.textures import blend, lift, paint_over, srgb, textured
from worldloom.synth.world import Colour, Material, Pattern, Thing

_INKS = (
    ("#f3d9b1", "#e8955f", "#8d6a73", "#2f3a4a"),
    ("#d9e6e4", "#7fa8b5", "#9bb3a3", "#24443f"),
    ("#f2e3d0", "#c9828a", "#b4846c", "#41303c"),
    ("#f4efe2", "#d8a23a", "#b5402f", "#1f3f66"),
    ("#efece6", "#b9b3a8", "#5c5852", "#1c1b1a"),
    ("#e9d7e6", "#9a6fa8", "#3f7f8c", "#1f2a44"),
)


def picture(dice: random.Random, taste: Taste, size: tuple[Number, Number] | None = None) -> Thing:
    """A framed picture of size (width, height) about the origin: a landscape, blocks, a swirl, a portrait or print."""
    w, h = size or (dice.uniform(0.25, 1.3), dice.uniform(0.25, 1.0))
    rim, mat = dice.uniform(0.012, 0.06), dice.choice((0.0, 0.0, dice.uniform(0.03, 0.1)))
    frame = dice.choice((taste.wood, taste.dark, taste.white, taste.metal))
    bars = [
        slab((0, s * w / 2 - rim / 2, -h / 2 - rim / 2), (0.028, s * w / 2 + rim / 2, h / 2 + rim / 2), frame)
        for s in (-1, 1)
    ]
    bars += [
        slab((0, -w / 2 + rim / 2, s * h / 2 - rim / 2), (0.028, w / 2 - rim / 2, s * h / 2 + rim / 2), frame)
        for s in (-1, 1)
    ]
    inks = tuple(srgb(text) for text in dice.choice(_INKS))
    art = textured(
        "picture",
        _art(inks, (w, h), mat, number(dice), dice.randrange(5)),
        (0.02, w, h),
        dice.choice((0.15, 0.7)),
        axis=0,
    )
    return Thing("picture", "picture", (joined(bars), slab((0, -w / 2, -h / 2), (0.014, w / 2, h / 2), art)))


def _art(inks: tuple[Colour, ...], size: tuple[Number, Number], mat: Number, seed: int, style: int) -> Pattern:
    paper, first, second, dark = inks

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = p[:, 1] / size[0], p[:, 2] / size[1]
        uv = torch.stack([u, v], -1)
        base = p.new_tensor(paper).expand(len(p), 3)
        if style == 0:
            base = blend(paper, first, 0.6 - v)
            disc = ((u - 0.16) * size[0]) ** 2 + ((v - 0.17) * size[1]) ** 2 < (0.1 * size[1]) ** 2
            base = paint_over(base, disc, paper)
            for k in range(4):
                line = torch.stack([u * (4 + k) + 9 * k, torch.full_like(u, float(k)), torch.zeros_like(u)], -1)
                ridge = 0.1 - 0.14 * k + 0.25 * (noise(line, seed, 3) - 0.5)
                tone = blend(second, dark, torch.full_like(u, k / 3))
                base = torch.where((v < ridge)[:, None], tone, base)
        elif style == 1:
            cuts = [hash01(torch.tensor([[k]]), seed).item() - 0.5 for k in range(8)]
            column = sum((u > c).long() for c in cuts[:3]) + torch.zeros_like(u).long()
            row = sum((v > c).long() for c in cuts[3:6]) + torch.zeros_like(u).long()
            pick = (hash01(torch.stack([column, row], -1), seed + 1) * 5).long()
            table = p.new_tensor([paper, first, second, dark, paper])
            base = table[pick]
            near = torch.stack(
                [(u - c).abs() * size[0] for c in cuts[:3]] + [(v - c).abs() * size[1] for c in cuts[3:6]]
            )
            base = paint_over(base, near.amin(0) < 0.006, dark)
        elif style == 2:
            q = warp(lift(uv * 3), seed, 0.9)
            field = noise(q, seed + 1, 3)
            base = blend(paper, first, 3 * field - 1)
            base = paint_over(base, torch.remainder(field * 6, 1) < 0.25, second)
            base = paint_over(base, torch.remainder(field * 6, 1) > 0.93, dark)
        elif style == 3:
            base = blend(first, second, v + 0.5)
            s = u * size[0] / size[1]
            base = paint_over(base, (s / 0.34) ** 2 + ((v + 0.5) / 0.38) ** 2 < 1, dark)
            base = paint_over(base, (s / 0.14) ** 2 + ((v - 0.08) / 0.19) ** 2 < 1, paper)
            base = paint_over(base, ((s / 0.16) ** 2 + ((v - 0.14) / 0.19) ** 2 < 1) & (v > 0.14 + 0.25 * s), dark)
            base = base * (0.85 + 0.3 * noise(lift(uv * 22), seed, 3))[:, None]
        else:
            base = base * 0.9
            row = ((v + 0.5) * 14).floor()
            dash = (hash01(torch.stack([((u + 0.5) * 22).floor(), row], -1).long(), seed) > 0.35) & (row < 5)
            base = paint_over(base, dash & (torch.remainder((v + 0.5) * 14, 1) < 0.4) & (u.abs() < 0.4), dark)
            base = paint_over(base, (v > 0.0) & (u.abs() < 0.42) & (v < 0.44), first)
            base = paint_over(base, (v > 0.05) & ((u * 1.3) ** 2 + (v - 0.2) ** 2 < 0.03), second)
        edge = torch.minimum(size[0] / 2 - p[:, 1].abs(), size[1] / 2 - p[:, 2].abs())
        base = paint_over(base, edge < mat, (0.8, 0.79, 0.76))
        return (base * (0.9 + 0.2 * noise(p * 120, seed + 3))[:, None]).clamp(0, 0.95)

    return pattern


def gallery_wall(dice: random.Random, taste: Taste) -> tuple[Thing, ...]:
    """Several small pictures in rows."""
    columns, rows, s = dice.choice((2, 3, 4)), dice.choice((1, 2, 2)), dice.uniform(0.22, 0.36)
    things = []
    for i in range(columns):
        for j in range(rows):
            at = ((i - (columns - 1) / 2) * (s + 0.14), (j - (rows - 1) / 2) * (s + 0.18))
            thing = picture(dice, taste, (s * dice.uniform(0.75, 1), s * dice.uniform(0.8, 1.15)))
            shift = thing.world_from_thing.clone()
            shift[1, 3], shift[2, 3] = at
            things.append(Thing("picture", "picture", thing.parts, shift))
    return tuple(things)


def mirror(dice: random.Random, taste: Taste, size: tuple[Number, Number] | None = None) -> Thing:
    """A mirror about the origin, with a frame or round."""
    glass = Material("mirror", (0.85, 0.86, 0.86), None, 0.02, 1.0)
    w, h = size or (dice.uniform(0.5, 0.9), dice.uniform(0.8, 1.6))
    if dice.random() < 0.3:
        r = min(w, h) / 2
        disc = moved(
            lathe([(0, 0), (r, 0), (r, 0.008), (0, 0.008)], glass, 40, smooth=False),
            turned(pitch=math.pi / 2),
            (0.004, 0, 0),
        )
        ring = tube(
            [(0.01, r * math.cos(2 * math.pi * k / 40), r * math.sin(2 * math.pi * k / 40)) for k in range(41)],
            0.012,
            taste.metal,
        )
        return Thing("mirror", "picture", (disc, ring))
    frame, rim = dice.choice((taste.wood, taste.metal, taste.dark, taste.frame)), dice.choice((0.012, 0.03, 0.06))
    bars = [
        slab((0, s * w / 2 - rim / 2, -h / 2 - rim / 2), (0.026, s * w / 2 + rim / 2, h / 2 + rim / 2), frame)
        for s in (-1, 1)
    ]
    bars += [
        slab((0, -w / 2 + rim / 2, s * h / 2 - rim / 2), (0.026, w / 2 - rim / 2, s * h / 2 + rim / 2), frame)
        for s in (-1, 1)
    ]
    return Thing("mirror", "picture", (joined(bars), slab((0, -w / 2, -h / 2), (0.012, w / 2, h / 2), glass)))


def clock(dice: random.Random, taste: Taste) -> Thing:
    """A round clock."""
    r = dice.uniform(0.12, 0.22)
    face = moved(
        lathe([(0, 0), (r, 0), (r, 0.03), (0, 0.03)], taste.white, 32, smooth=False),
        turned(pitch=math.pi / 2),
        (0, 0, 0),
    )
    ring = tube(
        [(0.03, r * math.cos(2 * math.pi * k / 32), r * math.sin(2 * math.pi * k / 32)) for k in range(33)],
        0.01,
        taste.dark,
    )
    marks = [
        moved(
            box((0.004, 0.012, 0.2 * r), (0.032, 0, 0.85 * r), taste.dark), turned(roll=2 * math.pi * k / 12), (0, 0, 0)
        )
        for k in range(12)
    ]
    hands = [
        moved(
            box((0.004, 0.014, long * r), (0.033, 0, long * r / 2), taste.dark),
            turned(roll=dice.uniform(0, 6.28)),
            (0, 0, 0),
        )
        for long in (0.5, 0.75)
    ]
    return Thing("clock", "picture", (face, ring, joined([*marks, *hands])))


def television(dice: random.Random, taste: Taste, w: Number | None = None) -> Thing:
    """A flat screen about the origin."""
    w = w or dice.uniform(0.9, 1.5)
    h = w * 9 / 16
    return Thing(
        "television",
        "screen",
        (
            slab((0, -w / 2, -h / 2), (0.045, w / 2, h / 2), taste.dark),
            slab(
                (0.0451, -w / 2 + 0.012, -h / 2 + 0.015),
                (0.047, w / 2 - 0.012, h / 2 - 0.012),
                screen_picture(dice, w, h),
            ),
        ),
    )


def board(dice: random.Random, taste: Taste, size: tuple[Number, Number], green: bool = False) -> Thing:
    """A whiteboard or blackboard with writing."""
    w, h = size
    seed = number(dice)
    ground, chalk = (srgb("#2a4038"), srgb("#cfd6cf")) if green else (srgb("#eef0ef"), srgb("#23408a"))

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        row = (p[:, 2] / 0.11).floor()
        wave = 0.025 * torch.sin(p[:, 1] * 70 + 5 * hash01(row.long()[:, None], seed)) * noise(p * 9, seed)
        stroke = (torch.remainder(p[:, 2], 0.11) - 0.05 - wave).abs() < 0.006
        written = hash01(torch.stack([(p[:, 1] / 0.16).floor(), row], -1).long(), seed + 1) < 0.5
        base = p.new_tensor(ground) * (0.85 + 0.3 * noise(p * 2.2, seed + 2, 3))[:, None]
        return paint_over(base.clamp(0, 0.95), stroke & written & (p[:, 2] > -0.3 * h), chalk)

    face = textured("board", pattern, (0.02, w, h), 0.2 if not green else 0.8, axis=0)
    rim = [
        slab((0, s * w / 2 - 0.02, -h / 2 - 0.02), (0.03, s * w / 2 + 0.02, h / 2 + 0.02), taste.metal) for s in (-1, 1)
    ]
    rim += [
        slab((0, -w / 2 + 0.02, s * h / 2 - 0.02), (0.03, w / 2 - 0.02, s * h / 2 + 0.02), taste.metal) for s in (-1, 1)
    ]
    return Thing(
        "board",
        "picture",
        (
            joined(rim),
            slab((0, -w / 2, -h / 2), (0.018, w / 2, h / 2), face),
            slab((0.03, -w / 2, -h / 2 - 0.02), (0.09, w / 2, -h / 2 - 0.005), taste.metal),
        ),
    )


def radiator(dice: random.Random, taste: Taste, width: Number | None = None) -> Thing:
    """A ribbed or flat radiator that stands 10 cm above the floor at the wall."""
    w, h = width or dice.uniform(0.6, 1.4), dice.uniform(0.4, 0.62)
    enamel = taste.white
    if dice.random() < 0.5:
        n = round(w / 0.06)
        ribs = [
            slab((0.03, -w / 2 + w * k / n + 0.008, 0.1), (0.12, -w / 2 + w * (k + 1) / n - 0.008, 0.1 + h), enamel)
            for k in range(n)
        ]
        bars = [slab((0.05, -w / 2, z), (0.1, w / 2, z + 0.04), enamel) for z in (0.14, 0.05 + h)]
        return Thing("radiator", "appliance", (joined(ribs), joined(bars)))
    grooves = [
        slab((0.1, -w / 2 + w * k / 12 + 0.02, 0.13), (0.108, -w / 2 + w * (k + 1) / 12 - 0.02, 0.07 + h), enamel)
        for k in range(12)
    ]
    return Thing(
        "radiator",
        "appliance",
        (
            slab((0.03, -w / 2, 0.1), (0.1, w / 2, 0.1 + h), enamel),
            joined(grooves),
            tube([(0.06, w / 2, 0.15), (0.06, w / 2 + 0.07, 0.15), (0.06, w / 2 + 0.07, 0.0)], 0.01, taste.metal),
        ),
    )


def switch(dice: random.Random, taste: Taste) -> Thing:
    """A light switch or socket."""
    n = dice.choice((1, 1, 2))
    plate = slab((0, -0.042 * n, -0.042), (0.01, 0.042 * n, 0.042), taste.white)
    keys = [
        slab(
            (0.01, -0.042 * n + 0.084 * k + 0.012, -0.03),
            (0.016, -0.042 * n + 0.084 * (k + 1) - 0.012, 0.03),
            taste.white,
        )
        for k in range(n)
    ]
    return Thing("switch", "appliance", (plate, joined(keys)))


def notice_board(dice: random.Random, taste: Taste) -> Thing:
    """Cork with notes."""
    w, h = dice.uniform(0.6, 1.2), dice.uniform(0.5, 0.8)
    cork = painted(srgb("#b08a5a"), dice, "cork", 0.95)
    notes = []
    for _ in range(dice.randint(4, 12)):
        s = dice.uniform(0.05, 0.12)
        y, z = dice.uniform(-w / 2 + s, w / 2 - s), dice.uniform(-h / 2 + s, h / 2 - s)
        colour = srgb(dice.choice(("#f3f0e6", "#f1e08a", "#f2b8c0", "#b8dcf0", "#c8e6b0")))
        notes.append(
            moved(
                box((0.002 + 0.001 * dice.random(), s, 1.3 * s), (0.0135, 0, 0), Material("note", colour, None, 0.9)),
                turned(roll=dice.uniform(-0.15, 0.15)),
                (0, y, z),
            )
        )
    rim = [
        slab((0, s * w / 2 - 0.012, -h / 2 - 0.012), (0.022, s * w / 2 + 0.012, h / 2 + 0.012), taste.wood)
        for s in (-1, 1)
    ]
    rim += [
        slab((0, -w / 2 + 0.012, s * h / 2 - 0.012), (0.022, w / 2 - 0.012, s * h / 2 + 0.012), taste.wood)
        for s in (-1, 1)
    ]
    return Thing(
        "notice board", "picture", (slab((0, -w / 2, -h / 2), (0.012, w / 2, h / 2), cork), joined(rim), *notes)
    )
