"""A floor plan as a building: floors, walls with their openings, ceilings and roofs, skirting boards and beams."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

from worldloom.synth.rooms.finishes import (
    ceiling_finish,
    floor_finish,
    painted,
    timber_finish,
    wall_finish,
    wall_tiles,
)
from worldloom.synth.rooms.floor_plan import Edge, FloorPlan, Opening, Room, inset
from worldloom.synth.shapes import Number, box, joined, moved, prism, slab, turned
from worldloom.synth.textures import court, planks, srgb, textured
from worldloom.synth.world import Material, Part, Thing

Hole = tuple[Number, Number, Number, Number]  # x0, x1, z0, z1 in the frame of a panel


def raise_shell(plan: FloorPlan, dice: random.Random) -> list[Thing]:
    """All that is built of a plan's rooms, but for what fills its openings."""
    trim = painted(srgb(dice.choice(("#f1eee7", "#f4f3f0", "#e9e4da"))), dice, "trim", 0.4)
    shared_floor = floor_finish(dice, "living") if dice.random() < 0.6 else None
    things = []
    for i, room in enumerate(plan.rooms):
        holes = [o for o in plan.openings if i in o.rooms and o.kind != "blind door"]
        dry = room.use in ("living", "bedroom", "office", "dining", "corridor", "studio")
        finish = shared_floor if shared_floor is not None and dry else floor_finish(dice, room.use)
        things.append(_floor(room, plan, finish, dice))
        things += _walls(room, plan, holes, dice)
        things += _overhead(room, plan, dice)
        doors = [o for o in plan.openings if i in o.rooms and o.bottom < 0.05]
        if room.use not in ("bathroom", "factory") and dice.random() < 0.85:
            wood_trim = timber_finish(dice) if dice.random() < 0.3 else trim
            things.append(_skirting(room, plan, doors, wood_trim, dice))
        if room.height > 2.55 and room.knee is None and dice.random() < 0.3:
            things.append(_cornice(room, trim, dice))
    return things


def edge_of(room: Room, opening: Opening, wall: Number) -> tuple[Edge, Number] | None:
    """The edge that an opening is in, and how far along; None where it belongs to another room."""
    for edge in room.edges:
        u, depth = edge.local(opening.at)
        if abs(depth + wall / 2) < 0.02 and 0 < u < edge.length and (abs(edge.along[0]) > 0.5) == (opening.axis == 0):
            return edge, u
    return None


def yaw_of(edge: Edge) -> float:
    """The direction of an edge, counter-clockwise from +x."""
    return math.atan2(edge.along[1], edge.along[0])


def panel(
    width: Number, height: Number, depth: tuple[Number, Number], holes: Sequence[Hole], material: Material
) -> Part:
    """A wall over 0 < x < width, 0 < z < height, from depth[0] to depth[1] along y, with rectangular holes."""
    cuts = sorted({0.0, width, *(min(width, max(0.0, x)) for hole in holes for x in hole[:2])})
    parts = []
    for x0, x1 in pairwise(cuts):
        if x1 - x0 < 1e-4:
            continue
        middle, z = (x0 + x1) / 2, 0.0
        through = sorted((max(0.0, h[2]), min(height, h[3])) for h in holes if h[0] < middle < h[1])
        for z0, z1 in (*through, (height, height)):
            if z0 - z > 1e-4:
                parts.append(slab((x0, depth[0], z), (x1, depth[1], z0), material))
            z = max(z, z1)
    return joined(parts)


def against(part: Part, edge: Edge, u: Number = 0.0, z: Number = 0.0) -> Part:
    """A part built with x along the wall and y into the room, set u metres along an edge."""
    x, y = edge.point(u)
    return moved(part, turned(yaw_of(edge)), (x, y, z))


def _floor(room: Room, plan: FloorPlan, finish: Material, dice: random.Random) -> Thing:
    if room.use == "gym":
        x0, y0, x1, y1 = room.bounds
        light, dark = srgb("#d9b27c"), srgb("#b88a55")
        lines = [srgb(dice.choice(("#f1eee7", "#b5312a", "#2a5fa0", "#27282a"))) for _ in range(2)]
        pattern = court(planks(light, dark, dice.randrange(1 << 20), 2.2, 0.07, 0.002), (x1 - x0, y1 - y0), lines)
        finish = textured("sports floor", pattern, (x1 - x0, y1 - y0, 0.1), roughness=0.15, axis=2)
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        outline = [(x - middle[0], y - middle[1]) for x, y in inset(room.outline, -plan.wall / 2)]
        thing = Thing("floor", "floor", (prism(outline, -0.25, 0, finish),))
        thing.world_from_thing[:2, 3] = thing.world_from_thing.new_tensor(middle)
        return thing
    return Thing("floor", "floor", (prism(inset(room.outline, -plan.wall / 2), -0.25, 0, finish),))


def _walls(room: Room, plan: FloorPlan, openings: Sequence[Opening], dice: random.Random) -> list[Thing]:
    usual = wall_finish(dice, room.use)
    bold = wall_finish(dice, room.use, bold=True)
    accent = dice.randrange(len(room.edges)) if dice.random() < 0.45 and room.use != "bathroom" else -1
    dado = _dado(room, dice)
    things, t = [], plan.wall / 2
    for k, edge in enumerate(room.edges):
        finish = bold if k == accent else usual
        sloped = room.knee is not None and abs(edge.along[0]) > 0.5
        height = room.knee if sloped and room.knee is not None else room.height
        holes = [
            (u - o.width / 2 + t, u + o.width / 2 + t, o.bottom if o.bottom > 0.05 else -1, o.top)
            for o in openings
            for found in [edge_of(room, o, plan.wall)]
            if found is not None and found[0] == edge
            for u in [found[1]]
        ]
        # A little longer than the edge, so that corners are closed; at inner corners it would stick out.
        before, after = room.edges[k - 1], room.edges[(k + 1) % len(room.edges)]
        low = t if _turns_left(before, edge) else 0.0
        high = t if _turns_left(edge, after) else 0.0
        ends = [(-1.0, t - low, -1.0, 99.0), (edge.length + t + high, edge.length + 3 * t, -1.0, 99.0)]
        part = panel(edge.length + 2 * t, height, (-t, 0.0), [*holes, *ends], finish)
        parts = [against(part, edge, -t)]
        if dado is not None and not sloped:
            top, lining, rail = dado
            inner = [(h[0] - t, h[1] - t, h[2], h[3]) for h in holes]
            blind = [
                (u - o.width / 2 - 0.06, u + o.width / 2 + 0.06, -1.0, o.top)
                for o in plan.openings
                if o.kind == "blind door"
                for found in [edge_of(room, o, plan.wall)]
                if found is not None and found[0] == edge
                for u in [found[1]]
            ]
            parts.append(against(panel(edge.length, top, (0.0, 0.009), [*inner, *blind], lining), edge))
            if rail is not None:
                bar = panel(
                    edge.length,
                    0.05,
                    (0.0, 0.024),
                    [(a, b, -1, 1) for a, b, c, d in [*inner, *blind] if c < top < d],
                    rail,
                )
                parts.append(against(bar, edge, 0.0, top - 0.025))
        things.append(Thing("wall", "wall", tuple(parts)))
    return things


def _turns_left(edge: Edge, following: Edge) -> bool:
    (ax, ay), (bx, by) = edge.along, following.along
    return ax * by - ay * bx > 0


def _dado(room: Room, dice: random.Random) -> tuple[Number, Material, Material | None] | None:
    """Height and lining of the lower part of the walls, and the rail above it; None for most rooms."""
    if room.use == "bathroom" or room.knee is not None:
        return None
    if room.use == "kitchen" and dice.random() < 0.4:
        return dice.uniform(1.2, 1.6), wall_tiles(dice), None
    chance = {"corridor": 0.45, "stairwell": 0.4, "gym": 0.8, "lecture": 0.4, "living": 0.15, "dining": 0.3}
    if dice.random() > chance.get(room.use, 0.07):
        return None
    lining = wall_finish(dice, "living", bold=True)
    rail = painted(srgb("#efece5"), dice, "rail", 0.4) if dice.random() < 0.7 else None
    return (dice.uniform(1.6, 2.1) if room.use == "gym" else dice.uniform(0.8, 1.3)), lining, rail


def _overhead(room: Room, plan: FloorPlan, dice: random.Random) -> list[Thing]:
    finish = ceiling_finish(dice, "attic" if room.knee is not None else room.use)
    if room.knee is not None:
        return _roof(room, plan, finish, dice)
    t = plan.wall / 2
    things = [Thing("ceiling", "ceiling", (prism(inset(room.outline, -t), room.height, room.height + 0.2, finish),))]
    grand = room.use in ("factory", "gym", "museum", "library", "loft")
    if dice.random() < (0.75 if grand else 0.14) and len(room.outline) == 4:
        things.append(_beams(room, dice, grand))
    return things


def _beams(room: Room, dice: random.Random, grand: bool) -> Thing:
    """Timber or steel beams across the shorter way."""
    x0, y0, x1, y1 = room.bounds
    along_y = (y1 - y0) < (x1 - x0)
    timber = (
        timber_finish(dice, 1 if along_y else 0) if dice.random() < 0.6 else painted(srgb("#4a4e50"), dice, "steel")
    )
    deep, wide = (dice.uniform(0.25, 0.5), dice.uniform(0.16, 0.3)) if grand else (0.18, 0.14)
    span = (x1 - x0) if along_y else (y1 - y0)
    count = max(2, round(span / dice.uniform(0.9, 3.0 if grand else 1.4)))
    parts = []
    for k in range(count):
        at = (x0 if along_y else y0) + span * (k + 0.5) / count
        z0, z1 = room.height - deep, room.height
        if along_y:
            parts.append(slab((at - wide / 2, y0, z0), (at + wide / 2, y1, z1), timber))
        else:
            parts.append(slab((x0, at - wide / 2, z0), (x1, at + wide / 2, z1), timber))
    return Thing("beams", "ceiling", (joined(parts),))


def _roof(room: Room, plan: FloorPlan, finish: Material, dice: random.Random) -> list[Thing]:
    """Two slopes that meet in the ridge, with rafters and windows."""
    assert room.knee is not None
    things, t = [], plan.wall / 2
    lining = painted(srgb("#ece7dc"), dice, "window lining", 0.4)
    timber = timber_finish(dice, 2)
    rafters = dice.random() < 0.6
    for edge in room.edges:
        if abs(edge.along[0]) < 0.5:
            continue
        run, rise = abs(room.ridge - edge.start[1]), room.height - room.knee
        length, roll = math.hypot(run, rise), -math.atan2(run, rise)
        count = dice.choice((0, 1, 1, 2, 3)) if edge.length > 2.4 else dice.choice((0, 1))
        wide, tall = dice.uniform(0.6, 1.1), min(dice.uniform(0.8, 1.4), 0.6 * length)
        low = dice.uniform(0.15, max(0.2, 0.7 * (length - tall)))
        holes = [
            (u - wide / 2, u + wide / 2, low, low + tall)
            for k in range(count)
            for u in [edge.length * (k + 0.5) / count]
        ]
        shifted = [(a + t, b + t, c + 0.06, d + 0.06) for a, b, c, d in holes]
        parts = [
            moved(panel(edge.length + 2 * t, length + 0.2, (-0.16, 0.0), shifted, finish), turned(), (-t, 0, -0.06))
        ]
        bars = []
        for x0, x1, z0, z1 in holes:
            for a, b in (
                ((x0, z0), (x0 + 0.05, z1)),
                ((x1 - 0.05, z0), (x1, z1)),
                ((x0, z0), (x1, z0 + 0.05)),
                ((x0, z1 - 0.05), (x1, z1)),
            ):
                bars.append(slab((a[0], -0.2, a[1]), (b[0], 0.012, b[1]), lining))
        if rafters:
            spacing = dice.uniform(0.8, 1.3)
            for k in range(1, int(edge.length / spacing)):
                if all(abs(k * spacing - (h[0] + h[1]) / 2) > wide / 2 + 0.08 for h in holes):
                    bars_timber = slab(
                        (k * spacing - 0.05, 0.0, 0.0), (k * spacing + 0.05, 0.12, length - 0.06), timber
                    )
                    parts.append(bars_timber)
        frame = turned(yaw_of(edge)) @ turned(roll=roll)
        x, y = edge.start
        things.append(Thing("roof slope", "ceiling", tuple(moved(p, frame, (x, y, room.knee)) for p in parts)))
        if bars:
            things.append(Thing("skylight", "window", (moved(joined(bars), frame, (x, y, room.knee)),)))
    x0, _, x1, _ = room.bounds
    beam = box((x1 - x0, 0.14, 0.2), ((x0 + x1) / 2, room.ridge, room.height - 0.12), timber)
    return [*things, Thing("ridge beam", "ceiling", (beam,))]


def _skirting(room: Room, plan: FloorPlan, doors: Sequence[Opening], trim: Material, dice: random.Random) -> Thing:
    tall, deep = dice.uniform(0.05, 0.16), 0.016
    parts = []
    for edge in room.edges:
        gaps = [
            (u - o.width / 2 - 0.06, u + o.width / 2 + 0.06, -1.0, 1.0)
            for o in doors
            for found in [edge_of(room, o, plan.wall)]
            if found is not None and found[0] == edge
            for u in [found[1]]
        ]
        if edge.length > 0.3:
            parts.append(against(panel(edge.length, tall, (0.0, deep), gaps, trim), edge))
    return Thing("skirting board", "wall", (joined(parts),))


def _cornice(room: Room, trim: Material, dice: random.Random) -> Thing:
    size = dice.uniform(0.05, 0.14)
    parts = []
    for edge in room.edges:
        for deep, low, high in (
            (size, 0.0, 0.35 * size),
            (0.6 * size, 0.35 * size, 0.7 * size),
            (0.3 * size, 0.7 * size, size),
        ):
            strip = slab((0, 0, room.height - high), (edge.length, deep, room.height - low), trim)
            parts.append(against(strip, edge))
    return Thing("cornice", "ceiling", (joined(parts),))
