"""Things that belong together: set tables, seats about a rug, a desk in use, what windows and ceilings carry."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import torch

from worldloom.geometry import compose
from worldloom.synth.rooms.finishes import Taste, linen
from worldloom.synth.rooms.floor_plan import FloorPlan, Room
from worldloom.synth.rooms.floor_space import Floor, Group, extent
from worldloom.synth.rooms.furnishings import clutter, lights, seating, storage, tables, textiles, wall_things
from worldloom.synth.rooms.furnishings.clutter import Maker
from worldloom.synth.rooms.furnishings.potted import potted_plant
from worldloom.synth.rooms.shell import edge_of, yaw_of
from worldloom.synth.shapes import Number, placed, slab, turned
from worldloom.synth.world import Thing


def top_of(thing: Thing) -> float:
    """Height of a thing's highest face."""
    return extent((thing,))[1][2]


def lay_on(
    dice: random.Random, taste: Taste, table: Thing, makers: Sequence[Maker], count: int, spread: Number = 0.9
) -> list[Thing]:
    """Up to `count` small things on a table, that neither meet nor jut out; a round top has less room."""
    (x0, y0, _), (x1, y1, top) = extent((table,))
    round_ = len(table.parts[0].vertices) > 90
    laid: list[tuple[Number, Number, Number]] = []
    things = []
    for _ in range(count):
        thing = dice.choice(makers)(dice, taste)
        (a0, b0, _), (a1, b1, _) = extent((thing,))
        reach = math.hypot(max(a1, -a0), max(b1, -b0))
        for _ in range(4):
            cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
            half_x, half_y = (x1 - x0) / 2 * spread - reach, (y1 - y0) / 2 * spread - reach
            if min(half_x, half_y) <= 0:
                break
            px, py = dice.uniform(-half_x, half_x), dice.uniform(-half_y, half_y)
            if round_ and math.hypot(px / max(half_x, 0.01), py / max(half_y, 0.01)) > 1:
                continue
            x, y = cx + px, cy + py
            if all(math.hypot(x - u, y - v) > reach + r for u, v, r in laid):
                laid.append((x, y, reach))
                things.append(placed(thing, (x, y, top + 0.0005), dice.uniform(-0.6, 0.6)))
                break
    return things


def seating_group(dice: random.Random, taste: Taste, seats: int, rug: bool = True) -> Group:
    """A sofa with its back to the wall, a table in front of it, a rug under both, sometimes an armchair."""
    couch = seating.sofa(dice, taste, seats)
    (_x0, y0, _), (x1, y1, _) = extent(couch)
    things = list(couch)
    table = tables.coffee_table(dice, taste)
    (a0, _, _), (_a1, _, _) = extent((table,))
    front = x1 + dice.uniform(0.3, 0.42)
    if any(p.vertices[:, 0].max() > 0.6 for t in couch for p in t.parts):  # a chaise
        front = x1 + 0.12
    at = front - a0
    things.append(placed(table, (at, 0, 0)))
    things += [
        placed(thing, (at, 0, 0)) for thing in lay_on(dice, taste, table, clutter.FOR_TABLES, dice.randint(1, 5))
    ]
    if rug:
        long = max(1.6, min(2.8, 0.95 * (y1 - y0)))
        carpet = textiles.rug(dice, taste, (dice.uniform(1.4, 2.0), long))
        things.append(placed(carpet, (front + 0.25, 0, 0)))
    return tuple(things)


def dining_group(dice: random.Random, taste: Taste, seats: int, laid: bool = True) -> Group:
    """A table with chairs round it, a bowl or dishes on it."""
    style = dice.randrange(5)
    things: list[Thing] = []
    if seats <= 4 and dice.random() < 0.4:
        radius = 0.42 + 0.06 * seats
        table = tables.round_table(dice, taste, radius)
        spots = [(2 * math.pi * (k + 0.5) / seats, radius + 0.08) for k in range(seats)]
        chairs = [((r * math.cos(a), r * math.sin(a)), a + math.pi) for a, r in spots]
    else:
        side = max(1, seats // 2)
        size = (dice.uniform(0.8, 0.95), 0.3 + 0.6 * side)
        table = tables.table(dice, taste, size, name="dining table")
        chairs = []
        for k in range(side):
            y = (k - (side - 1) / 2) * 0.62
            for s in (-1, 1):
                chairs.append(((s * (size[0] / 2 + dice.uniform(0.02, 0.14)), y), 0.0 if s < 0 else math.pi))
    things.append(table)
    first = seating.chair(dice, taste, style)
    for at, yaw in chairs:
        things.append(placed(first, (*at, 0), yaw + dice.uniform(-0.12, 0.12)))
    if laid:
        makers = dice.choice(
            (
                (clutter.bowl, clutter.candle, clutter.vase),
                (clutter.plate, clutter.cup, clutter.bottle),
                clutter.FOR_TABLES,
            )
        )
        things += lay_on(dice, taste, table, makers, dice.randint(1, 6))
    return tuple(things)


def work_place(dice: random.Random, taste: Taste, width: Number | None = None, chair: bool = True) -> Group:
    """A desk with its back to the wall, computer, lamp and papers on it, and a chair in front."""
    desk = tables.desk(dice, taste, width)
    top = top_of(desk)
    (x0, y0, _), (x1, y1, _) = extent((desk,))
    things = [desk]
    if dice.random() < 0.75:
        screens = 2 if y1 - y0 > 1.4 and dice.random() < 0.4 else 1
        for k in range(screens):
            y = (k - (screens - 1) / 2) * 0.62
            things.append(placed(clutter.monitor(dice, taste), (x0 + 0.17, y, top), -0.25 * (k - (screens - 1) / 2)))
        things.append(placed(clutter.keyboard(dice, taste), (x1 - 0.2, 0, top)))
        things.append(placed(clutter.cup(dice, taste), (x0 + 0.4, y0 + 0.13, top), dice.uniform(0, 6)))
    else:
        things.append(placed(clutter.laptop(dice, taste), (0.05, 0, top)))
        things.append(placed(clutter.book_stack(dice, taste), (x0 + 0.17, y0 + 0.2, top), dice.uniform(-0.3, 0.3)))
    if dice.random() < 0.5 and y1 - y0 > 1.2:
        things.append(placed(lights.desk_lamp(dice, taste, dice.choice((0.0, 4.0))), (x0 + 0.14, y1 - 0.14, top), -0.5))
    if dice.random() < 0.5 and y1 - y0 > 1.3:
        things.append(placed(clutter.papers(dice, taste), (x1 - 0.2, y1 - 0.2, top + 0.0002)))
    if chair:
        seat = seating.office_chair(dice, taste) if dice.random() < 0.8 else seating.chair(dice, taste)
        things.append(
            placed(seat, (x1 + dice.uniform(0.16, 0.3), dice.uniform(-0.1, 0.1), 0), math.pi + dice.uniform(-0.5, 0.5))
        )
    return tuple(things)


def media_group(dice: random.Random, taste: Taste) -> Group:
    """A low cabinet with a television or with things on it."""
    low = storage.sideboard(dice, taste)
    top = top_of(low)
    (_, y0, _), (_, y1, _) = extent((low,))
    things = [low]
    if dice.random() < 0.65 and top < 0.75:
        w = min(y1 - y0 - 0.1, dice.uniform(0.9, 1.4))
        things.append(placed(wall_things.television(dice, taste, w), (-0.05, 0, top + w * 9 / 32 + 0.05)))
        foot = Thing("television stand", "screen", (slab((-0.1, -0.2 * w, 0), (0.1, 0.2 * w, 0.06), taste.dark),))
        things.append(placed(foot, (-0.03, 0, top)))
    else:
        things += lay_on(
            dice,
            taste,
            low,
            (clutter.vase, clutter.bowl, clutter.sculpture, clutter.book_stack, clutter.candle, _lamp),
            dice.randint(2, 5),
        )
    return tuple(things)


def _lamp(dice: random.Random, taste: Taste) -> Thing:
    return lights.table_lamp(dice, taste, dice.choice((0.0, 2.5)))


def lamp_or_plant(dice: random.Random, taste: Taste) -> Thing:
    """What fills corners."""
    if dice.random() < 0.45:
        return lights.floor_lamp(dice, taste, dice.choice((0.0, 2.0, 4.0)))
    return potted_plant(dice, taste)


def dress_windows(floor: Floor, plan: FloorPlan, taste: Taste, dice: random.Random) -> None:
    """Curtains, blinds and radiators, alike within a room."""
    for i, room in enumerate(plan.rooms):
        cloth = linen(dice)
        home = room.use in ("living", "bedroom", "studio", "dining", "loft", "library")
        style = dice.random()
        for opening in plan.openings:
            if opening.kind != "window" or opening.rooms[0] != i or (room.height > 3.9 and room.gallery is None):
                continue
            found = edge_of(room, opening, plan.wall)
            assert found is not None
            edge, u = found
            yaw, wide = yaw_of(edge) + math.pi / 2, opening.width
            if opening.bottom > 0.62 and dice.random() < 0.7:
                heater = (wall_things.radiator(dice, taste, max(0.5, min(1.6, 0.9 * wide))),)
                fits = top_of(heater[0]) < opening.bottom - 0.05
                if fits and floor.place(heater, edge.point(u), yaw, snug=True):
                    floor.shut.append((edge, u - wide / 2, u + wide / 2, 0.0, opening.bottom))
            if home and style < 0.6:
                top = min(opening.top + dice.uniform(0.06, 0.2), room.headroom(edge.point(u)[1]) - 0.06)
                low = 0.02 if style < 0.35 or opening.bottom < 0.3 else opening.bottom - 0.18
                pair = textiles.curtains(dice, taste, wide, low, top, cloth)
                half = extent(pair)[1][1]
                clear = u - half > 0.02 and u + half < edge.length - 0.02 and not _crowded(floor, edge, u, half)
                if clear and floor.place(pair, edge.point(u), yaw, share=True, snug=True):
                    floor.shut.append((edge, u - half, u + half, low, top))
            elif style > (0.82 if home else 0.5):
                slats = (textiles.blind(dice, taste, wide - 0.02, opening.bottom, opening.top),)
                shift = compose(turned(yaw), torch.tensor([*edge.point(u, -plan.wall / 2 + 0.005), 0.0]))
                floor.things += [replace(t, world_from_thing=shift @ t.world_from_thing) for t in slats]


def _crowded(floor: Floor, edge: object, u: Number, half: Number) -> bool:
    """Whether other doors or windows are where a curtain would hang."""
    return any(e == edge and a < u + half and u - half < b and not (a < u < b) for e, a, b, _, _ in floor.shut)


def light_room(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Lamps at the ceiling: one where there is most air, rows where a room is large or for work."""
    x0, y0, x1, y1 = room.bounds
    number = floor.plan.rooms.index(room)
    panes = (o for o in floor.plan.openings if o.kind == "window" and number in o.rooms)
    glass = sum(pane.width * (pane.top - pane.bottom) for pane in panes)
    # Nobody sits in the dark: lamps are off only by day, in rooms with an eighth of their floor in windows.
    off = dice.random() > 0.7 and (glass > room.area / 8 or room.knee is not None)
    power = 0.0 if off else dice.uniform(1.5, 4.5)
    work = room.use in ("office", "lecture", "library", "corridor", "kitchen", "stairwell") and dice.random() < 0.7
    high = room.height > 3.9 and room.gallery is None
    if room.use in ("factory", "gym") or (high and dice.random() < 0.5):
        drop = dice.uniform(0.4, 0.35 * room.height)
        lamp = lights.high_bay(dice, taste.metal, 2.5 * power, drop)
        spots = _grid((x0, y0, x1, y1), dice.uniform(3.0, 5.0))
    elif work or high:
        size = dice.choice(((0.6, 0.6), (0.25, 1.2), (0.3, 1.5)))
        lamp = lights.ceiling_panel(dice, taste, size, power)
        spots = _grid((x0, y0, x1, y1), dice.uniform(1.8, 2.8))
    else:
        head = room.height
        drop = min(dice.uniform(0.35, 0.9), head - 2.02)
        if drop < 0.31 or room.use == "bathroom" or dice.random() < 0.25:
            lamp = lights.ceiling_bowl(dice, taste, power)
        else:
            lamp = lights.pendant(dice, taste, drop, power)
        spots = [((x0 + x1) / 2, room.ridge if room.knee is not None else (y0 + y1) / 2)]
        if room.area > 30:
            spots = _grid((x0, y0, x1, y1), 3.6)
    low = room.gallery.edge if room.gallery is not None else -math.inf
    beams = [t for t in floor.things if t.name == "beams"]
    for x, y in spots:
        cell = floor.cell_of((x, y))
        if not floor.room_at[cell] >= 0 or plan_room(floor, cell) is not room or x < low + 0.5:
            continue
        z = room.headroom(y)
        if room.knee is not None:
            z -= 0.22 if abs(y - room.ridge) < 0.1 else 0.1
        elif beams:
            z = min([z, *(_underside(b, x, y) for b in beams)])
        if room.gallery is not None and y > y1 - room.gallery.width - 0.3 and x < room.gallery.foot:
            continue
        floor.things.append(placed(lamp, (x, y, z)))
    if room.gallery is not None:
        low_lamp = lights.ceiling_bowl(dice, taste, power)
        floor.things.append(placed(low_lamp, (room.gallery.edge / 2, (y0 + y1) / 2, room.gallery.level - 0.24)))


def _underside(beam: Thing, x: Number, y: Number) -> float:
    """The height at which a lamp at (x, y) is fixed, below a beam that crosses there."""
    v = beam.parts[0].vertices.view(-1, 24, 3)
    low, high = v.amin(1), v.amax(1)
    reach = 0.35
    near = (low[:, 0] < x + reach) & (x - reach < high[:, 0]) & (low[:, 1] < y + reach) & (y - reach < high[:, 1])
    return float(low[near, 2].min()) if near.any() else math.inf


def plan_room(floor: Floor, cell: tuple[int, int]) -> Room:
    """The room that a cell of the floor is in."""
    return floor.plan.rooms[int(floor.room_at[cell])]


def _grid(rect: tuple[Number, Number, Number, Number], spacing: Number) -> list[tuple[Number, Number]]:
    x0, y0, x1, y1 = rect
    nx, ny = max(1, round((x1 - x0) / spacing)), max(1, round((y1 - y0) / spacing))
    return [(x0 + (x1 - x0) * (i + 0.5) / nx, y0 + (y1 - y0) * (j + 0.5) / ny) for i in range(nx) for j in range(ny)]
