"""What fills the openings of walls: doors with frames and leaves, windows with bars and sills, stairs to a gallery."""

import math
import random

from worldloom.synth.rooms.finishes import Taste, painted, timber_finish
from worldloom.synth.rooms.floor_plan import FloorPlan, Gallery, Opening, Room
from worldloom.synth.rooms.shell import against, edge_of
from worldloom.synth.shapes import Number, box, cylinder, joined, moved, slab, tube, turned
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Part, Thing

_LEAF = 0.04  # thickness of a door


def fill_openings(plan: FloorPlan, taste: Taste, dice: random.Random) -> list[Thing]:
    """Doors and windows of a plan, alike in style throughout."""
    casing = taste.white if dice.random() < 0.65 else timber_finish(dice, 2)
    leaf = casing if dice.random() < 0.6 else timber_finish(dice, 2)
    frame = painted(
        srgb(dice.choice(("#f2f1ee", "#f2f1ee", "#3a3d40", "#7a5a3c", "#4d5f57"))), dice, "window frame", 0.35
    )
    style = dice.randrange(4)
    bars = (dice.choice((1, 2, 2, 3)), dice.choice((1, 1, 2, 2, 3)))
    things = []
    for opening in plan.openings:
        if opening.kind == "window":
            things.append(window(plan, opening, frame, bars, dice))
        else:
            things += door(plan, opening, casing, leaf, taste.metal, style)
    for room in plan.rooms:
        if room.gallery is not None:
            things += gallery(room, room.gallery, taste, dice)
    return things


def door(
    plan: FloorPlan, opening: Opening, casing: Material, leaf: Material, metal: Material, style: int
) -> list[Thing]:
    """Casing, and a leaf that hangs at its angle; blind doors stand in front of their wall."""
    room = plan.rooms[opening.rooms[0]]
    found = edge_of(room, opening, plan.wall)
    assert found is not None
    edge, u = found
    w, h, t = opening.width, opening.top, plan.wall
    if opening.kind == "blind door":
        face = 0.02
        parts = [
            slab((-w / 2 - 0.07, 0, 0), (-w / 2, face + 0.015, h + 0.07), casing),
            slab((w / 2, 0, 0), (w / 2 + 0.07, face + 0.015, h + 0.07), casing),
            slab((-w / 2, 0, h), (w / 2, face + 0.015, h + 0.07), casing),
        ]
        frame = Thing("door frame", "door", tuple(against(p, edge, u) for p in [joined(parts)]))
        halves = 1 if w < 1.3 else 2
        board = []
        for k in range(halves):
            wide = w / halves
            for part in _leaf(wide - 0.006, h - 0.012, leaf, metal, style, one_side=True):
                # The leaf's front, at y = 0, is flush with the wall's surface plus `face`.
                turned_part = moved(part, turned(), (-wide / 2 + 0.003, face, 0.008))
                if k == 0 and halves == 2:
                    turned_part = moved(turned_part, turned(), (-w / 4, 0, 0))
                elif k == 1:
                    turned_part = moved(turned_part, turned(), (w / 4, 0, 0))
                board.append(against(turned_part, edge, u))
        return [frame, Thing("door", "door", tuple(board))]
    out = 0.014
    parts = [
        slab((-w / 2, -t - out, 0), (-w / 2 + 0.022, out, h), casing),
        slab((w / 2 - 0.022, -t - out, 0), (w / 2, out, h), casing),
        slab((-w / 2, -t - out, h - 0.022), (w / 2, out, h), casing),
        slab((-w / 2, -t, -0.01), (w / 2, 0, 0.006), casing),
    ]
    for y in ((0.0, out), (-t - out, -t)):
        parts += [
            slab((-w / 2 - 0.065, y[0], 0), (-w / 2, y[1], h + 0.065), casing),
            slab((w / 2, y[0], 0), (w / 2 + 0.065, y[1], h + 0.065), casing),
            slab((-w / 2, y[0], h), (w / 2, y[1], h + 0.065), casing),
        ]
    things = [Thing("door frame", "door", (against(joined(parts), edge, u),))]
    if opening.kind == "door":
        (px, py), yaw, side = leaf_frame(opening, plan.wall)
        wide = w - 0.05
        board = [
            moved(moved(p, turned(), (0, _LEAF if side > 0 else 0, 0)), turned(yaw), (px, py, 0.008))
            for p in _leaf(wide, h - 0.035, leaf, metal, style)
        ]
        things.append(Thing("door", "door", tuple(board)))
    return things


def leaf_frame(opening: Opening, wall: Number) -> tuple[tuple[Number, Number], float, int]:
    """The hinge, the direction in which the leaf points from it, and on which side (+-1) of that line its body is."""
    a, n = ((1, 0), (0, 1)) if opening.axis == 0 else ((0, 1), (1, 0))
    end, side = opening.hinge * (opening.width / 2 - 0.025), opening.swing * wall / 2
    pivot = (opening.at[0] + end * a[0] + side * n[0], opening.at[1] + end * a[1] + side * n[1])
    angle = math.radians(opening.angle)
    c, s = -opening.hinge * math.cos(angle), opening.swing * math.sin(angle)
    yaw = math.atan2(c * a[1] + s * n[1], c * a[0] + s * n[0])
    body = opening.swing * opening.hinge * (1 if opening.axis == 0 else -1)
    return pivot, yaw, body


def _leaf(w: Number, h: Number, material: Material, metal: Material, style: int, one_side: bool = False) -> list[Part]:
    """A leaf over 0 < x < w with its body in -thickness < y < 0, hinged at x = 0, with mouldings and handles."""
    t = _LEAF if not one_side else 0.02
    parts = [slab((0, -t, 0), (w, 0, h), material)]
    fields = {
        0: [],
        1: [(0.12, 0.95), (1.08, h - 0.14)],
        2: [(0.12, 0.6), (0.72, 1.25), (1.37, h - 0.14)],
        3: [(0.12 + k * (h - 0.2) / 5, 0.04 + (k + 1) * (h - 0.2) / 5) for k in range(5)],
    }[style]
    columns = [(0.11, w - 0.11)] if style in (2, 3) or w < 0.6 else [(0.11, w / 2 - 0.04), (w / 2 + 0.04, w - 0.11)]
    for z0, z1 in fields:
        for x0, x1 in columns:
            for y0, y1 in ((0.0, 0.007), (-t - 0.007, -t)):
                if one_side and y0 < 0:
                    continue
                for a, b in (
                    ((x0, z0), (x0 + 0.025, z1)),
                    ((x1 - 0.025, z0), (x1, z1)),
                    ((x0 + 0.025, z0), (x1 - 0.025, z0 + 0.025)),
                    ((x0 + 0.025, z1 - 0.025), (x1 - 0.025, z1)),
                ):
                    parts.append(slab((a[0], y0, a[1]), (b[0], y1, b[1]), material))
                if style != 3:
                    parts.append(
                        slab((x0 + 0.05, y0, z0 + 0.05), (x1 - 0.05, y1 * 0.8 if y0 == 0 else y1, z1 - 0.05), material)
                    )
    grips = []
    for sign, y in ((1, 0.0), (-1, -t)):
        if one_side and sign < 0:
            continue
        grips += [
            slab((w - 0.085, min(y, y + sign * 0.008), 0.93), (w - 0.045, max(y, y + sign * 0.008), 1.13), metal),
            tube(
                [(w - 0.065, y, 1.05), (w - 0.065, y + sign * 0.05, 1.05), (w - 0.18, y + sign * 0.055, 1.05)],
                0.009,
                metal,
            ),
        ]
    return [joined(parts), joined(grips)]


def window(plan: FloorPlan, opening: Opening, frame: Material, bars: tuple[int, int], dice: random.Random) -> Thing:
    """A frame deep in its wall, with bars and a sill; air instead of glass."""
    room = plan.rooms[opening.rooms[0]]
    found = edge_of(room, opening, plan.wall)
    assert found is not None
    edge, u = found
    w, z0, z1, t = opening.width, opening.bottom, opening.top, plan.wall
    deep, rim = t / 2 + 0.12, 0.05
    parts = []

    def bar(low: tuple[Number, Number], high: tuple[Number, Number], y0: Number, y1: Number) -> None:
        parts.append(slab((low[0], y0, low[1]), (high[0], y1, high[1]), frame))

    a, b = -w / 2, w / 2
    bar((a - 0.02, z0 - 0.02), (a + 0.012, z1 + 0.02), -deep, -t / 2 + 0.001)  # the lining of the outer wall
    bar((b - 0.012, z0 - 0.02), (b + 0.02, z1 + 0.02), -deep, -t / 2 + 0.001)
    bar((a + 0.012, z1 - 0.012), (b - 0.012, z1 + 0.02), -deep, -t / 2 + 0.001)
    bar((a + 0.012, z0 - 0.02), (b - 0.012, z0 + 0.012), -deep, -t / 2 + 0.001)
    y0, y1 = -t / 2 - 0.06, -t / 2
    bar((a, z0), (a + rim, z1), y0, y1)
    bar((b - rim, z0), (b, z1), y0, y1)
    bar((a + rim, z0), (b - rim, z0 + rim), y0, y1)
    bar((a + rim, z1 - rim), (b - rim, z1), y0, y1)
    hall = z1 - z0 > 1.9 and w > 1.7
    columns = max(1, min(bars[0], round(w / 0.5))) if not hall else max(3, round(w / 0.6))
    rows = bars[1] if not hall else max(3, round((z1 - z0) / 0.7))
    slim = 0.03 if columns > 2 or rows > 2 else 0.06
    for k in range(1, columns):
        x = a + w * k / columns
        bar((x - slim / 2, z0 + rim), (x + slim / 2, z1 - rim), y0 + 0.01, y1 - 0.01)
    levels = [0.72] if rows == 2 else [k / rows for k in range(1, rows)]
    for share in levels:
        z = z0 + (z1 - z0) * share
        bar((a + rim, z - slim / 2), (b - rim, z + slim / 2), y0 + 0.008, y1 - 0.008)
    if z0 > 0.3:
        bar((a - 0.04, z0 - 0.035), (b + 0.04, z0), 0.0, dice.uniform(0.03, 0.16))
        bar((a, z0 - 0.035), (b, z0 + 0.004), -t / 2, 0.0)
    return Thing("window", "window", (against(joined(parts), edge, u),))


def gallery(room: Room, stairs: Gallery, taste: Taste, dice: random.Random) -> list[Thing]:
    """The upper floor over x < edge, its railing and posts, and a flight of steps along the wall at high y."""
    x0, y0, _, y1 = room.bounds
    rise, e = stairs.level / stairs.steps, stairs.edge
    inner = y1 - stairs.width  # the open side of the flight
    floor = slab((x0, y0, stairs.level - 0.22), (e, y1, stairs.level), taste.wood)
    under = slab((x0, y0, stairs.level - 0.24), (e - 0.02, y1, stairs.level - 0.221), taste.white)
    closed = dice.random() < 0.4
    steps = []
    for k in range(stairs.steps - 1):
        top, x = stairs.level - (k + 1) * rise, e + k * stairs.going
        low = 0.0 if closed else top - 0.05
        steps.append(slab((x, inner, low), (x + stairs.going + (0.0 if closed else 0.02), y1 - 0.001, top), taste.wood))
    things = [
        Thing("gallery", "floor", (floor,)),
        Thing("gallery ceiling", "ceiling", (under,)),
    ]
    parts = [joined(steps)]
    if not closed:
        ends = [(e, 0.0, stairs.level - 0.16), (stairs.foot - stairs.going, 0.0, -0.02)]
        for y in (inner + 0.04, y1 - 0.08):
            parts.append(tube([(ends[0][0], y, ends[0][2]), (ends[1][0], y, rise * 0.4)], 0.045, taste.dark, 4))
    things.append(Thing("stairs", "stairs", tuple(parts)))
    rail = []
    for k in range(stairs.steps - 1):
        top, x = stairs.level - (k + 1) * rise, e + (k + 0.5) * stairs.going
        rail.append(tube([(x, inner + 0.03, top), (x, inner + 0.03, top + 0.9)], 0.008, taste.metal, 6))
    foot_x, foot_z = e + (stairs.steps - 1.5) * stairs.going, rise
    rail.append(
        tube([(e + 0.05, inner + 0.03, stairs.level + 0.85), (foot_x, inner + 0.03, foot_z + 0.9)], 0.022, taste.metal)
    )
    count = max(2, round((inner - y0) / 0.12))
    for k in range(count + 1):
        y = y0 + 0.03 + (inner - y0 - 0.05) * k / count
        rail.append(tube([(e - 0.04, y, stairs.level), (e - 0.04, y, stairs.level + 1.0)], 0.008, taste.metal, 6))
    rail.append(
        tube([(e - 0.04, y0 + 0.001, stairs.level + 1.0), (e - 0.04, inner, stairs.level + 1.0)], 0.022, taste.metal)
    )
    things.append(Thing("railing", "stairs", (joined(rail, smooth=True),)))
    for y in (y0 + 0.25, inner - 0.1):
        post = (
            cylinder(0.07, stairs.level - 0.24, (e - 0.15, y, 0), taste.metal)
            if dice.random() < 0.5
            else box((0.14, 0.14, stairs.level - 0.24), (e - 0.15, y, (stairs.level - 0.24) / 2), taste.wood)
        )
        things.append(Thing("post", "column", (post,)))
    return things
