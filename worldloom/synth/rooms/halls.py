"""How large halls are furnished: gyms, museums, workshops, lecture rooms, libraries, lofts."""

import math
import random

from worldloom.synth.rooms.arrangements import (
    dining_group,
    lamp_or_plant,
    lay_on,
    media_group,
    seating_group,
    work_place,
)
from worldloom.synth.rooms.finishes import Taste, iron, painted, stone
from worldloom.synth.rooms.floor_plan import Room
from worldloom.synth.rooms.floor_space import Floor, Group, extent
from worldloom.synth.rooms.furnishings import (
    clutter,
    exhibits,
    kitchen,
    recreation,
    seating,
    storage,
    tables,
    textiles,
    wall_things,
)
from worldloom.synth.rooms.furnishings.potted import potted_plant
from worldloom.synth.rooms.homes import decorate, scatter, shelves
from worldloom.synth.shapes import Number, joined, placed, slab
from worldloom.synth.textures import srgb
from worldloom.synth.world import Thing


def furnish_gym(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Wall bars, hoops, benches, mats, balls, and machines in one corner."""
    for _ in range(dice.randint(1, 2)):
        floor.hang(room, (recreation.hoop(dice, taste),), dice, 3.05)
    for _ in range(dice.randint(3, 9)):
        floor.hang(room, (recreation.wall_bars(dice, taste),), dice, 0.0)
    for _ in range(dice.randint(2, 6)):
        floor.along_wall(room, (seating.bench(dice, taste, dice.uniform(2, 3.5)),), dice, gap=0.05)
    for _ in range(dice.randint(1, 4)):
        floor.anywhere(room, (recreation.mat(dice, taste, thick=dice.choice((0.03, 0.03, 0.35))),), dice)
    if dice.random() < 0.7:
        floor.anywhere(room, (recreation.vaulting_box(dice, taste),), dice, middle=0.8)
    for _ in range(dice.randint(1, 4)):
        make = dice.choice((recreation.treadmill, recreation.exercise_bike))
        for _ in range(dice.randint(1, 3)):
            floor.along_wall(room, (make(dice, taste),), dice, gap=0.2, corner=True)
    floor.along_wall(room, recreation.dumbbells(dice, taste), dice)
    floor.along_wall(room, (recreation.lockers(dice, taste, dice.randint(3, 8)),), dice, gap=0.0)
    for _ in range(dice.randint(2, 7)):
        floor.anywhere(room, (recreation.gym_ball(dice, taste),), dice)
    decorate(floor, room, taste, dice, 2)
    scatter(floor, room, taste, dice, 4)


def furnish_museum(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Plinths, statues, show cases, large pictures, benches, columns, perhaps a skeleton."""
    columns(floor, room, taste, dice, 0.4)
    if room.area > 90 and dice.random() < 0.5:
        floor.anywhere(room, exhibits.skeleton(dice, taste), dice, middle=0.4, tries=20)
    for _ in range(round(room.area / 16)):
        make = dice.choice((exhibits.plinth, exhibits.plinth, exhibits.statue, exhibits.show_case))
        if dice.random() < 0.5:
            floor.along_wall(room, make(dice, taste), dice, gap=0.35)
        else:
            floor.anywhere(room, make(dice, taste), dice, tries=8)
    for _ in range(round(room.area / 40)):
        floor.anywhere(room, (seating.bench(dice, taste),), dice, front=0.5, middle=0.7)
    for _ in range(dice.randint(0, 2)):
        floor.along_wall(room, (exhibits.rope_barrier(dice, taste, dice.uniform(1.5, 3)),), dice, gap=0.8)
    for _ in range(round(room.area / 8)):
        size = (dice.uniform(0.6, 3.0), dice.uniform(0.6, min(2.2, room.height - 1.9)))
        floor.hang(room, (wall_things.picture(dice, taste, size),), dice, 0.95 + size[1] / 2, margin=0.25)


def furnish_factory(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Columns, machines, benches, racks, pallets, pipes."""
    steel = iron(dice, dice.choice((0.0, 0.4, 0.55)))
    columns(floor, room, taste, dice, 0.85)
    for edge in room.edges:
        if dice.random() < 0.5:
            high = room.height - dice.uniform(0.5, 1.2)
            thing = exhibits.pipes(dice, edge.length - 0.4, steel)
            floor.fix(edge, 0.2, high, thing)
    for _ in range(round(room.area / 30)):
        floor.anywhere(room, (exhibits.machine(dice, taste),), dice, front=0.6, tries=8)
    for _ in range(round(room.area / 25)):
        floor.anywhere(room, exhibits.pallet(dice, taste), dice, tries=6, yaw=dice.uniform(-0.4, 0.4))
    for _ in range(round(room.area / 30)):
        size = (dice.uniform(0.5, 0.8), dice.uniform(1.5, 2.6), dice.uniform(1.8, min(3.4, room.height - 1)))
        floor.along_wall(room, storage.rack(dice, taste, steel, size), dice, gap=0.1)
    for _ in range(dice.randint(1, 4)):
        bench = tables.workbench(dice, taste, steel)
        floor.along_wall(
            room,
            (bench, *lay_on(dice, taste, bench, (clutter.carton, clutter.bottle, clutter.papers), 4)),
            dice,
            front=0.5,
        )
    for _ in range(dice.randint(0, 2)):
        floor.anywhere(room, (exhibits.ladder(dice, taste),), dice)
    scatter(floor, room, taste, dice, dice.randint(3, 8))
    decorate(floor, room, taste, dice, 2)


def furnish_lecture(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Boards and a desk in front, rows of seats or desks that rise towards the back."""
    x0, y0, x1, y1 = room.bounds
    front = next(edge for edge in room.edges if edge.along[1] > 0.5 and abs(edge.start[0] - x1) < 1e-6)
    width = min(5.0, 0.6 * (y1 - y0))
    floor.fix(
        front, (y1 - y0) / 2, 1.75, wall_things.board(dice, taste, (width, 1.4), dice.random() < 0.6), centred=True
    )
    floor.shut.append((front, (y1 - y0 - width) / 2, (y1 - y0 + width) / 2, 0.9, 2.6))
    if dice.random() < 0.6 and room.height > 4.4:
        screen = wall_things.television(dice, taste, 3.2)
        floor.fix(front, (y1 - y0) / 2, 3.5, screen, centred=True)
    floor.place((exhibits.lectern(dice, taste),), (x1 - 1.5, (y0 + y1) / 2 + 1.8), 0.0)
    desk = tables.table(dice, taste, (0.8, 2.2))
    floor.place(
        (desk, *lay_on(dice, taste, desk, (clutter.laptop, clutter.papers, clutter.bottle), 3)),
        (x1 - 2.2, (y0 + y1) / 2 - 0.6),
        0.0,
    )
    if dice.random() < 0.3:
        floor.place((recreation.grand_piano(dice, taste),), (x1 - 1.9, y0 + 1.4), 0.3)
    tiered, aisle = dice.random() < 0.6, 1.05
    rows = int((x1 - x0 - 5.2) / 1.0)
    rise = dice.uniform(0.12, 0.24) if tiered else 0.0
    seat = seating.theatre_seat(taste, taste.dark)
    for k in range(rows):
        x = x1 - 4.4 - k
        z = rise * k
        half = (y1 - y0) / 2 - aisle
        things: list[Thing] = []
        if z > 0:
            things.append(Thing("tier", "stairs", (slab((-0.5, -half - 0.25, 0), (0.5, half + 0.25, z), taste.wood),)))
        bench = [
            slab((0.2, -half, z + 0.7), (0.55 - 0.07, half, z + 0.73), taste.wood),
            slab((0.42, -half, z + 0.1), (0.44, half, z + 0.7), taste.wood),
        ]
        feet = [
            slab((0.3, y - 0.02, z), (0.44, y + 0.02, z + 0.7), taste.dark) for y in (-half + 0.05, 0.0, half - 0.05)
        ]
        things.append(Thing("writing shelf", "table", (joined(bench), joined(feet))))
        n = int(2 * half / 0.56)
        for j in range(n):
            if dice.random() < 0.97:
                things.append(placed(seat, (-0.1, -half + 2 * half * (j + 0.5) / n, z)))
        floor.place(tuple(things), (x, (y0 + y1) / 2), 0.0, share=True)
    columns(floor, room, taste, dice, 0.1)
    for _ in range(3):
        floor.along_wall(room, (potted_plant(dice, taste),), dice, gap=0.05, corner=True)
    decorate(floor, room, taste, dice, dice.randint(1, 4))


def furnish_library(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Rows of bookcases back to back, reading tables, easy chairs."""
    x0, y0, x1, y1 = room.bounds
    high = min(dice.uniform(1.6, 2.3), room.height - 0.3)
    start = x0 + (x1 - x0) * dice.uniform(0.3, 0.45)
    x = x0 + 1.6
    while x < start + 2:
        length = min(2.0, (y1 - y0) / 2 - 1.2)
        for s in (-1, 1):
            case = storage.bookcase(dice, taste, length, high)
            back = extent(case)[0][0]
            pair = [placed(t, (-back + 0.01, 0, 0)) for t in case]
            other = storage.bookcase(dice, taste, length, high)
            pair += [placed(t, (extent(other)[0][0] - 0.01, 0, 0), math.pi) for t in other]
            floor.place(tuple(pair), (x, (y0 + y1) / 2 + s * (length / 2 + 0.7)), 0.0)
        x += dice.uniform(1.6, 2.0)
    shelves(floor, room, taste, dice, 3)
    for _ in range(round(room.area / 25)):
        floor.anywhere(room, dining_group(dice, taste, dice.choice((4, 6, 8))), dice, tries=10)
    for _ in range(dice.randint(1, 3)):
        floor.anywhere(room, seating.armchair(dice, taste), dice, yaw=dice.uniform(-3, 3))
    floor.along_wall(room, seating_group(dice, taste, 2), dice, gap=0.05)
    floor.along_wall(room, work_place(dice, taste, 1.6), dice)
    columns(floor, room, taste, dice, 0.4)
    for _ in range(3):
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=True)
    decorate(floor, room, taste, dice, 4)


def furnish_loft(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """A living room under and beside a gallery; the gallery itself has shelves and seats."""
    floor.along_wall(room, kitchen.kitchen_run(dice, taste, dice.uniform(1.8, 2.6), False), dice, gap=0.0, front=0.7)
    floor.along_wall(room, seating_group(dice, taste, 3), dice, gap=0.04, tries=20)
    floor.along_wall(room, media_group(dice, taste), dice)
    floor.anywhere(room, dining_group(dice, taste, 4), dice, tries=20)
    shelves(floor, room, taste, dice, 2)
    upstairs(floor, room, taste, dice)
    for _ in range(3):
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=True)
    decorate(floor, room, taste, dice, 6)
    scatter(floor, room, taste, dice, 3)


def upstairs(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Furniture of a gallery, along its closed walls."""
    stairs = room.gallery
    assert stairs is not None
    x0, y0, _, y1 = room.bounds
    y = y0 + 0.3
    z = stairs.level + 0.001
    while y < y1 - 2.0:
        group: Group = dice.choice(
            (
                storage.bookcase(dice, taste, dice.uniform(0.6, 1.2), dice.uniform(0.9, 1.9)),
                seating.armchair(dice, taste),
                (tables.bedside(dice, taste),),
                (potted_plant(dice, taste, 1.0),),
                work_place(dice, taste, 1.1),
            )
        )
        (a0, b0, _), (_, b1, _) = extent(group)
        floor.things += [placed(t, (x0 - a0 + 0.03, y - b0, z)) for t in group]
        y += b1 - b0 + dice.uniform(0.1, 0.5)
    if stairs.edge > 2.4:
        rug = textiles.rug(dice, taste, (0.9, 1.4))
        floor.things.append(placed(rug, (x0 + stairs.edge - 0.75, y0 + 1.3, z)))


def columns(floor: Floor, room: Room, taste: Taste, dice: random.Random, chance: Number) -> None:
    """Rows of columns."""
    if dice.random() > chance:
        return
    x0, y0, x1, y1 = room.bounds
    round_ = dice.random() < 0.6
    matter = dice.choice((taste.white, stone(dice), iron(dice), painted(srgb("#b9b4aa"), dice, "concrete")))
    thing = exhibits.column(dice, matter, room.height, round_)
    nx, ny = max(2, round((x1 - x0) / dice.uniform(4, 6))), max(2, round((y1 - y0) / dice.uniform(4, 6)))
    for i in range(1, nx):
        for j in range(1, ny):
            floor.place((thing,), (x0 + (x1 - x0) * i / nx, y0 + (y1 - y0) * j / ny), 0.0)
