"""Fitted kitchens: base units with a worktop, sink, hob and oven; wall units, hood and refrigerator."""

import random

from worldloom.synth.rooms.finishes import Taste, chrome, lacquer, painted, stone
from worldloom.synth.rooms.furnishings.clutter import bottle, bowl, cup, plate
from worldloom.synth.rooms.furnishings.soft import vessel
from worldloom.synth.rooms.furnishings.storage import cabinet
from worldloom.synth.shapes import Number, box, cylinder, joined, placed, slab, tube
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]
_HIGH, _DEEP = 0.9, 0.6


def kitchen_run(dice: random.Random, taste: Taste, width: Number, tall: bool) -> Group:
    """A run of units along a wall with sink, hob and oven; with wall units where `tall`."""
    front = dice.choice((lacquer(dice), taste.wood, taste.white, lacquer(dice)))
    top = dice.choice((taste.wood, stone(dice), stone(dice), taste.white))
    steel = chrome(dice)
    things: list[Thing] = []
    units = max(2, round(width / 0.6))
    each = width / units
    sink = dice.randrange(units)
    hob = (sink + dice.choice((1, 2))) % units if units > 1 else -1
    x0, x1 = -_DEEP / 2, _DEEP / 2
    for k in range(units):
        y = -width / 2 + (k + 0.5) * each
        if k == hob:
            things += [placed(thing, (0, y, 0)) for thing in _oven(dice, taste, each, steel)]
            continue
        rows = (1.0,) if k == sink or dice.random() < 0.5 else (1.2, 1.0, 0.6)
        unit = cabinet(dice, taste, (_DEEP - 0.03, each - 0.002, _HIGH - 0.04), "base unit", 1, rows, front)
        things.append(placed(unit, (-0.015, y, 0)))
    hole = (-width / 2 + sink * each + 0.06, -width / 2 + (sink + 1) * each - 0.06)
    slabs = [
        slab((x0, -width / 2, _HIGH - 0.035), (x1 + 0.02, hole[0], _HIGH), top),
        slab((x0, hole[1], _HIGH - 0.035), (x1 + 0.02, width / 2, _HIGH), top),
        slab((x0, hole[0], _HIGH - 0.035), (x0 + 0.1, hole[1], _HIGH), top),
        slab((x1 - 0.08, hole[0], _HIGH - 0.035), (x1 + 0.02, hole[1], _HIGH), top),
    ]
    things.append(
        Thing(
            "worktop",
            "cabinet",
            (
                joined([s for s in slabs if _thick(s)]),
                slab((x0, -width / 2, _HIGH), (x0 + 0.012, width / 2, _HIGH + 0.5 * dice.random() + 0.03), top),
            ),
        )
    )
    things.append(_sink((x0 + 0.1, x1 - 0.08), hole, steel))
    for _ in range(dice.randint(3, 8)):
        y = dice.uniform(-width / 2 + 0.15, width / 2 - 0.15)
        near_sink = hole[0] - 0.15 < y < hole[1] + 0.15
        near_hob = hob >= 0 and abs(y + width / 2 - (hob + 0.5) * each) < each / 2 + 0.12
        if not near_sink and not near_hob:
            make = dice.choice((bottle, bottle, bowl, cup, plate, _kettle, _jar, _toaster, _board))
            thing = placed(make(dice, taste), (x0 + dice.uniform(0.16, 0.24), y, _HIGH + 0.0005))
            if all(
                abs(float(thing.world_from_thing[1, 3] - t.world_from_thing[1, 3])) > 0.3
                for t in things
                if t.name in _SMALL
            ):
                things.append(thing)
    if tall:
        things += _wall_units(dice, taste, width, hob, each, front, steel)
    return tuple(things)


_SMALL = ("bottle", "bowl", "cup", "plate", "kettle", "jar", "toaster", "board")


def _thick(part: Part) -> bool:
    return float((part.vertices.amax(0) - part.vertices.amin(0)).min()) > 0.004


def _sink(across: tuple[Number, Number], along: tuple[Number, Number], steel: Material) -> Thing:
    (x0, x1), (y0, y1), low, t = across, along, _HIGH - 0.2, 0.012
    basin = [
        slab((x0, y0, low), (x1, y1, low + t), steel),
        slab((x0, y0, low), (x0 + t, y1, _HIGH + 0.004), steel),
        slab((x1 - t, y0, low), (x1, y1, _HIGH + 0.004), steel),
        slab((x0 + t, y0, low), (x1 - t, y0 + t, _HIGH + 0.004), steel),
        slab((x0 + t, y1 - t, low), (x1 - t, y1, _HIGH + 0.004), steel),
    ]
    y = (y0 + y1) / 2
    tap = tube(
        [
            (x0 - 0.04, y, _HIGH),
            (x0 - 0.04, y, _HIGH + 0.24),
            (x0, y, _HIGH + 0.3),
            (x0 + 0.08, y, _HIGH + 0.29),
            (x0 + 0.11, y, _HIGH + 0.22),
        ],
        0.012,
        steel,
    )
    return Thing(
        "sink",
        "plumbing",
        (joined(basin), tap, tube([(x0 - 0.04, y, _HIGH + 0.06), (x0 - 0.01, y + 0.08, _HIGH + 0.1)], 0.007, steel)),
    )


def _oven(dice: random.Random, taste: Taste, width: Number, steel: Material) -> Group:
    """Oven with a hob above; the worktop is cut by nothing, the hob lies on it."""
    black = Material("glass", (0.012, 0.012, 0.014), None, 0.05)
    x, y = _DEEP / 2 - 0.02, width / 2 - 0.002
    body = [
        slab((-x, -y, 0.05), (x, y, _HIGH - 0.036), steel),
        slab((-x + 0.02, -y + 0.02, 0), (x - 0.06, y - 0.02, 0.05), taste.dark),
    ]
    face = [slab((x, -y + 0.015, 0.17), (x + 0.012, y - 0.015, 0.68), black)]
    knobs = [
        tube([(x, -y + 2 * y * (k + 1) / 6, 0.77), (x + 0.03, -y + 2 * y * (k + 1) / 6, 0.77)], 0.02, taste.dark, 12)
        for k in range(5)
    ]
    handle = tube(
        [
            (x + 0.01, -y + 0.06, 0.66),
            (x + 0.05, -y + 0.06, 0.66),
            (x + 0.05, y - 0.06, 0.66),
            (x + 0.01, y - 0.06, 0.66),
        ],
        0.009,
        steel,
    )
    plate_ = slab((-x + 0.06, -y + 0.02, _HIGH), (x - 0.02, y - 0.02, _HIGH + 0.006), black)
    rings = [
        cylinder(
            0.075 if (i + j) % 2 else 0.095, 0.004, (-0.1 + 0.24 * i, -0.13 + 0.26 * j, _HIGH + 0.006), taste.dark, 20
        )
        for i in range(2)
        for j in range(2)
    ]
    things = [
        Thing("oven", "appliance", (joined(body), *face, joined(knobs, True), handle)),
        Thing("hob", "appliance", (plate_, joined(rings))),
    ]
    if dice.random() < 0.6:
        things.append(
            placed(_pot(dice, taste), (-0.1 + 0.24 * dice.randrange(2), -0.13 + 0.26 * dice.randrange(2), _HIGH + 0.01))
        )
    return tuple(things)


def _pot(dice: random.Random, taste: Taste) -> Thing:
    r, h = dice.uniform(0.08, 0.11), dice.uniform(0.07, 0.16)
    metal = dice.choice((chrome(dice), taste.dark, painted(srgb("#a8322c"), dice, "enamel", 0.2)))
    ears = [
        tube(
            [
                (0, s * r, 0.75 * h),
                (0.02, s * (r + 0.04), 0.78 * h),
                (-0.02, s * (r + 0.04), 0.78 * h),
                (0, s * r, 0.75 * h),
            ],
            0.007,
            taste.dark,
            6,
        )
        for s in (-1, 1)
    ]
    return Thing("pot", "clutter", (vessel([(r, 0), (r, h)], 0.004, metal), joined(ears, True)))


def _wall_units(
    dice: random.Random, taste: Taste, width: Number, hob: int, each: Number, front: Material, steel: Material
) -> list[Thing]:
    low, high, deep = 1.42, 1.42 + dice.uniform(0.5, 0.8), 0.34
    things = []
    for k in range(max(2, round(width / 0.6))):
        y = -width / 2 + (k + 0.5) * each
        x = -_DEEP / 2 + deep / 2
        if k == hob:
            hood = [
                slab((-_DEEP / 2, -each / 2 + 0.02, 1.55), (-_DEEP / 2 + 0.48, each / 2 - 0.02, 1.61), steel),
                slab((-_DEEP / 2, -0.14, 1.61), (-_DEEP / 2 + 0.28, 0.14, high), steel),
            ]
            things.append(placed(Thing("hood", "appliance", (joined(hood),)), (0, y, 0)))
        elif dice.random() < 0.85:
            unit = [slab((-deep / 2, -each / 2 + 0.001, low), (deep / 2 - 0.02, each / 2 - 0.001, high), front)]
            door = slab(
                (deep / 2 - 0.02, -each / 2 + 0.004, low + 0.003), (deep / 2, each / 2 - 0.004, high - 0.003), front
            )
            grip = box((0.025, 0.012, 0.12), (deep / 2 + 0.0125, each / 2 - 0.05, low + 0.1), taste.metal)
            things.append(placed(Thing("wall unit", "cabinet", (joined(unit), door, grip)), (x, y, 0)))
        else:
            board = [
                slab((-deep / 2, -each / 2, z), (deep / 2 - 0.05, each / 2, z + 0.022), taste.wood)
                for z in (low + 0.1, low + 0.42)
            ]
            things.append(placed(Thing("wall shelf", "shelf", (joined(board),)), (x, y, 0)))
            things.append(placed(bowl(dice, taste), (x, y - 0.05, low + 0.122)))
            things.append(placed(bottle(dice, taste), (x, y + 0.18, low + 0.122)))
    return things


def refrigerator(dice: random.Random, taste: Taste) -> Thing:
    """A refrigerator, alone or with a freezer below."""
    w, h, d = dice.uniform(0.56, 0.75), dice.uniform(1.4, 2.0), 0.62
    skin = dice.choice((taste.white, chrome(dice), lacquer(dice), painted(srgb("#8fb5ad"), dice, "enamel", 0.2)))
    cut = dice.uniform(0.32, 0.7) * h
    parts = [
        slab((-d / 2, -w / 2, 0.04), (d / 2 - 0.05, w / 2, h), skin),
        slab((-d / 2 + 0.03, -w / 2 + 0.03, 0), (d / 2 - 0.1, w / 2 - 0.03, 0.04), taste.dark),
    ]
    doors = [
        slab((d / 2 - 0.045, -w / 2, 0.05), (d / 2, w / 2, cut - 0.004), skin),
        slab((d / 2 - 0.045, -w / 2, cut + 0.004), (d / 2, w / 2, h), skin),
    ]
    grips = [
        tube(
            [
                (d / 2, w / 2 - 0.06, z0),
                (d / 2 + 0.04, w / 2 - 0.06, z0 + 0.02),
                (d / 2 + 0.04, w / 2 - 0.06, z1 - 0.02),
                (d / 2, w / 2 - 0.06, z1),
            ],
            0.01,
            taste.metal,
        )
        for z0, z1 in ((cut - 0.35, cut - 0.06), (cut + 0.06, cut + 0.35))
    ]
    return Thing("refrigerator", "appliance", (*parts, joined(doors), joined(grips, True)))


def island(dice: random.Random, taste: Taste) -> Group:
    """A block of units in the middle of a kitchen, with a worktop that juts out."""
    w = dice.uniform(1.1, 1.7)
    unit = cabinet(dice, taste, (0.6, w, _HIGH - 0.03), "island", finish=lacquer(dice))
    top = slab(
        (-0.58, -w / 2 - 0.06, _HIGH - 0.025),
        (0.34, w / 2 + 0.06, _HIGH + 0.01),
        dice.choice((taste.wood, stone(dice))),
    )
    things = [unit, Thing("worktop", "cabinet", (top,))]
    if dice.random() < 0.7:
        things.append(placed(bowl(dice, taste), (-0.1, dice.uniform(-0.3, 0.3), _HIGH + 0.0105)))
    return tuple(things)


def _kettle(dice: random.Random, taste: Taste) -> Thing:
    skin = dice.choice((chrome(dice), taste.dark, taste.white))
    body = cylinder(0.085, 0.19, (0, 0, 0.015), skin, 20, top=0.06)
    handle = tube([(0, 0.06, 0.19), (0, 0.13, 0.17), (0, 0.13, 0.07), (0, 0.08, 0.04)], 0.011, taste.dark)
    return Thing(
        "kettle",
        "appliance",
        (
            cylinder(0.095, 0.015, (0, 0, 0), taste.dark, 20),
            body,
            handle,
            cylinder(0.05, 0.02, (0, 0, 0.205), taste.dark, 16),
        ),
    )


def _jar(dice: random.Random, taste: Taste) -> Thing:
    r = dice.uniform(0.045, 0.06)
    spoons = [
        tube([(0, 0, 0.05), (0.03 * s, 0.025 * (s * s - 1), 0.28 + 0.02 * s)], 0.006, taste.wood, 6) for s in (-1, 0, 1)
    ]
    return Thing(
        "jar",
        "clutter",
        (
            vessel([(r, 0), (1.05 * r, 0.15)], 0.005, painted(srgb("#d9d2c2"), dice, "stoneware", 0.3)),
            joined(spoons, True),
        ),
    )


def _toaster(dice: random.Random, taste: Taste) -> Thing:
    if dice.random() < 0.5:
        black = Material("glass", (0.012, 0.012, 0.014), None, 0.06)
        skin = dice.choice((taste.white, taste.dark, chrome(dice)))
        return Thing(
            "toaster",
            "appliance",
            (slab((-0.12, -0.24, 0), (0.16, 0.24, 0.28), skin), slab((0.16, -0.22, 0.03), (0.168, 0.1, 0.25), black)),
        )
    return Thing(
        "toaster",
        "appliance",
        (
            slab((-0.08, -0.14, 0.01), (0.08, 0.14, 0.19), dice.choice((chrome(dice), lacquer(dice)))),
            slab((-0.07, -0.13, 0), (0.07, 0.13, 0.01), taste.dark),
        ),
    )


def _board(dice: random.Random, taste: Taste) -> Thing:
    return Thing("board", "clutter", (box((0.24, 0.36, 0.02), (0.05, 0, 0.01), taste.wood),))
