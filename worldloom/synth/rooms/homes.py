"""How rooms that people live and work in are furnished."""

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
from worldloom.synth.rooms.finishes import Taste, iron
from worldloom.synth.rooms.floor_plan import Room
from worldloom.synth.rooms.floor_space import Floor, extent
from worldloom.synth.rooms.furnishings import (
    beds,
    clutter,
    kitchen,
    lights,
    recreation,
    sanitary,
    seating,
    storage,
    tables,
    textiles,
    wall_things,
)
from worldloom.synth.rooms.furnishings.potted import potted_plant
from worldloom.synth.shapes import placed


def furnish_living(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Sofa group, television, armchairs, shelves, perhaps a piano and a dining table."""
    for seats in (dice.choice((3, 3, 4)), 2, 2):
        if floor.along_wall(room, seating_group(dice, taste, seats), dice, gap=0.04):
            break
    else:
        floor.along_wall(room, seating.sofa(dice, taste, 2), dice, gap=0.04, front=0.5)
    floor.along_wall(room, media_group(dice, taste), dice, front=0.6)
    if room.area > 17:
        seats = dice.choice((2, 4, 4, 6))
        floor.anywhere(room, dining_group(dice, taste, seats), dice, tries=25)
    if dice.random() < 0.2:
        instrument = (recreation.piano(dice, taste), placed(seating.stool(dice, taste, 0.48), (0.75, 0, 0)))
        floor.along_wall(room, instrument, dice)
    for _ in range(dice.randint(0, 2)):
        chair = seating.armchair(dice, taste)
        floor.anywhere(room, chair, dice, yaw=dice.uniform(-math.pi, math.pi), middle=0.8, tries=8)
    shelves(floor, room, taste, dice, dice.randint(1, 3))
    for _ in range(dice.randint(1, 4)):
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=dice.random() < 0.6)
    decorate(floor, room, taste, dice, dice.randint(2, 6))
    scatter(floor, room, taste, dice, dice.randint(0, 4))


def furnish_dining(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """A large table, a sideboard, pictures."""
    group = dining_group(dice, taste, dice.choice((4, 6, 6, 8)))
    if not floor.anywhere(room, group, dice, tries=10, middle=0.2):
        floor.anywhere(room, dining_group(dice, taste, 4), dice, tries=30)
    floor.along_wall(room, media_group(dice, taste), dice)
    shelves(floor, room, taste, dice, 1)
    floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=dice.random() < 0.6)
    decorate(floor, room, taste, dice, dice.randint(1, 4))


def furnish_bedroom(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Bed with tables and lamps beside it, wardrobe, chest, desk or chair; children's rooms have toys."""
    child = dice.random() < 0.25
    for width in (0.9, 0.9) if child else (dice.choice((1.4, 1.6, 1.8)), 1.4, 0.9):
        bed = beds.bed(dice, taste, width)
        things = list(bed)
        left, right = extent(bed)[0][1], extent(bed)[1][1]
        back = extent(bed)[0][0]
        for side in (-1, 1) if width > 1.2 else (dice.choice((-1, 1)),):
            stand = tables.bedside(dice, taste)
            (a0, b0, _), (_, b1, top) = extent((stand,))
            y = left - b1 - 0.05 if side < 0 else right - b0 + 0.05
            things.append(placed(stand, (back - a0 + 0.02, y, 0)))
            if dice.random() < 0.7:
                lamp = lights.table_lamp(dice, taste, dice.choice((0.0, 2.5)))
                things.append(placed(lamp, (back - a0 - 0.02, y, top)))
            else:
                things.append(placed(clutter.book_stack(dice, taste), (back - a0 + 0.02, y, top)))
        if dice.random() < 0.5:
            things.append(placed(textiles.rug(dice, taste, (1.5, width + 1.3)), (0.35, 0, 0)))
        if floor.along_wall(room, tuple(things), dice, tries=20) or floor.along_wall(room, bed, dice, tries=15):
            break
    if child and dice.random() < 0.4:
        floor.along_wall(room, beds.cot(dice, taste), dice, yaw=math.pi / 2)
    floor.along_wall(room, (storage.wardrobe(dice, taste, 2.6),), dice, front=0.6)
    chest = storage.dresser(dice, taste)
    floor.along_wall(
        room,
        (chest, *lay_on(dice, taste, chest, (clutter.vase, clutter.book_stack, clutter.candle), 3)),
        dice,
        front=0.5,
    )
    if dice.random() < 0.45:
        floor.along_wall(room, work_place(dice, taste, 1.1), dice)
    else:
        floor.along_wall(room, seating.armchair(dice, taste), dice, gap=0.1, corner=True)
    shelves(floor, room, taste, dice, dice.randint(0, 1))
    if dice.random() < 0.5:
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=dice.random() < 0.6)
    decorate(floor, room, taste, dice, dice.randint(1, 4))
    scatter(floor, room, taste, dice, dice.randint(3, 7) if child else dice.randint(0, 3), toys=child)


def furnish_kitchen(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """One or two runs of units, a refrigerator, a table or an island."""
    longest = max(edge.length for edge in room.edges)
    for share, tall in ((dice.uniform(0.6, 0.95), True), (0.7, False), (0.5, True), (0.5, False), (0.35, False)):
        run = kitchen.kitchen_run(dice, taste, max(1.2, share * longest), tall)
        if floor.along_wall(room, run, dice, gap=0.0, front=0.7, tries=30):
            break
    if room.area > 9 and dice.random() < 0.7:
        floor.along_wall(
            room, kitchen.kitchen_run(dice, taste, dice.uniform(1.2, 2.4), False), dice, gap=0.0, front=0.7
        )
    floor.along_wall(room, (kitchen.refrigerator(dice, taste),), dice, front=0.7, corner=True, tries=25)
    if room.area > 16 and dice.random() < 0.6:
        block = list(kitchen.island(dice, taste))
        for y in (-0.4, 0.3):
            block.append(placed(seating.stool(dice, taste, 0.66), (-0.72, y, 0)))
        floor.anywhere(room, tuple(block), dice, middle=0.5, tries=20)
    seats = dice.choice((2, 4, 4)) if room.area > 8 else 2
    if not floor.anywhere(room, dining_group(dice, taste, seats), dice, tries=20):
        floor.along_wall(room, dining_group(dice, taste, 2), dice, gap=0.3)
    if dice.random() < 0.4:
        floor.along_wall(room, (potted_plant(dice, taste),), dice, gap=0.06, corner=True)
    decorate(floor, room, taste, dice, dice.randint(1, 3))
    scatter(floor, room, taste, dice, dice.randint(0, 2))


def furnish_bathroom(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Basin, toilet, bath or shower, towels, washing machine."""
    if dice.random() < 0.6:
        if not floor.along_wall(room, (sanitary.bath(dice, taste),), dice, gap=0.0, front=0.45, corner=True):
            floor.along_wall(room, (sanitary.shower(dice, taste),), dice, gap=0.0, corner=True)
    else:
        floor.along_wall(room, (sanitary.shower(dice, taste),), dice, gap=0.0, corner=True, tries=25)
    floor.along_wall(room, sanitary.wash_place(dice, taste), dice, gap=0.0, front=0.5, tries=25)
    if dice.random() < 0.9:
        floor.along_wall(room, (sanitary.toilet(dice, taste),), dice, gap=0.0, front=0.45, tries=25)
    if dice.random() < 0.5:
        floor.along_wall(room, (sanitary.washing_machine(dice, taste),), dice, front=0.5, corner=True)
    floor.hang(room, (sanitary.towel_rail(dice, taste),), dice, 0.7)
    if dice.random() < 0.5:
        floor.along_wall(room, (storage.cabinet(dice, taste, (0.32, 0.4, dice.uniform(0.9, 1.8))),), dice, corner=True)
    if dice.random() < 0.6:
        floor.anywhere(room, (textiles.rug(dice, taste, (0.5, 0.8)),), dice, middle=0.5)
    floor.along_wall(room, (clutter.basket(dice, taste),), dice, gap=0.03, corner=True)
    if dice.random() < 0.4:
        floor.along_wall(room, (potted_plant(dice, taste, dice.uniform(0.4, 0.9)),), dice, gap=0.05, corner=True)
    decorate(floor, room, taste, dice, 1)


def furnish_office(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Desks along walls and in islands, cabinets, a board, a meeting table in large rooms."""
    many = room.area > 18
    if many and dice.random() < 0.75:
        for _ in range(dice.randint(1, 4)):
            width = dice.uniform(1.3, 1.6)
            one, two = work_place(dice, taste, width), work_place(dice, taste, width)
            x = -extent((one[0],))[0][0]
            pair = [*(placed(t, (x, 0, 0)) for t in one), *(placed(t, (-x - 0.01, 0, 0), math.pi) for t in two)]
            floor.anywhere(room, tuple(pair), dice, tries=20)
    for _ in range(dice.randint(2, 4) if many else dice.randint(1, 2)):
        floor.along_wall(room, work_place(dice, taste), dice, tries=12)
    if many and dice.random() < 0.6:
        floor.anywhere(room, dining_group(dice, taste, dice.choice((4, 6, 8))), dice, tries=20)
    steel = iron(dice)
    for _ in range(dice.randint(1, 3)):
        size = (0.42, dice.choice((0.8, 1.0, 1.2)), dice.choice((0.75, 1.2, 1.95)))
        floor.along_wall(
            room, (storage.cabinet(dice, taste, size, finish=steel if dice.random() < 0.3 else None),), dice, front=0.5
        )
    shelves(floor, room, taste, dice, dice.randint(1, 2))
    if dice.random() < 0.7:
        size = (dice.uniform(1.2, 2.2), 1.1)
        floor.hang(room, (wall_things.board(dice, taste, size),), dice, 1.55)
    if dice.random() < 0.4:
        floor.hang(room, (wall_things.notice_board(dice, taste),), dice, 1.5)
    for _ in range(dice.randint(1, 3)):
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=dice.random() < 0.6)
    decorate(floor, room, taste, dice, dice.randint(1, 3))
    scatter(floor, room, taste, dice, dice.randint(0, 3))


def furnish_studio(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """One room for everything: bed, kitchen, sofa, desk."""
    floor.along_wall(
        room, kitchen.kitchen_run(dice, taste, dice.uniform(1.8, 2.8), True), dice, gap=0.0, front=0.7, tries=20
    )
    floor.along_wall(room, (kitchen.refrigerator(dice, taste),), dice, front=0.6, corner=True)
    floor.along_wall(room, beds.bed(dice, taste, dice.choice((1.0, 1.4, 1.6))), dice, tries=20)
    floor.along_wall(room, seating_group(dice, taste, 2), dice, gap=0.04)
    floor.anywhere(room, dining_group(dice, taste, 2), dice, tries=15)
    floor.along_wall(room, work_place(dice, taste, 1.2), dice)
    floor.along_wall(room, (storage.wardrobe(dice, taste, 2.4),), dice, front=0.5)
    shelves(floor, room, taste, dice, 2)
    if dice.random() < 0.25:
        floor.anywhere(room, (recreation.exercise_bike(dice, taste),), dice)
    for _ in range(2):
        floor.along_wall(room, (lamp_or_plant(dice, taste),), dice, gap=0.06, corner=dice.random() < 0.6)
    decorate(floor, room, taste, dice, dice.randint(2, 5))
    scatter(floor, room, taste, dice, dice.randint(1, 5))


def furnish_corridor(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """Coats, shoes, a chest, a runner, pictures."""
    x0, y0, x1, y1 = room.bounds
    along_x = x1 - x0 > y1 - y0
    if dice.random() < 0.6:
        long, wide = 0.7 * max(x1 - x0, y1 - y0), 0.45 * min(x1 - x0, y1 - y0)
        runner = textiles.rug(dice, taste, (long, wide) if along_x else (wide, long))
        floor.place((runner,), ((x0 + x1) / 2, (y0 + y1) / 2), 0.0)
    for _ in range(dice.randint(0, 2)):
        low = storage.cabinet(
            dice, taste, (dice.uniform(0.22, 0.34), dice.uniform(0.6, 1.1), dice.uniform(0.5, 1.1)), "shoe cabinet"
        )
        floor.along_wall(
            room, (low, *lay_on(dice, taste, low, (clutter.vase, clutter.bowl, clutter.book_stack), 2)), dice
        )
    if dice.random() < 0.6:
        floor.hang(room, storage.coat_rack(dice, taste), dice, 1.7)
    if dice.random() < 0.5:
        floor.along_wall(room, (seating.bench(dice, taste, 1.1),), dice)
    if dice.random() < 0.3:
        floor.along_wall(room, (recreation.lockers(dice, taste, dice.randint(3, 6)),), dice, gap=0.0)
    floor.hang(room, (wall_things.mirror(dice, taste),), dice, 1.35)
    for _ in range(dice.randint(0, 2)):
        floor.along_wall(room, (potted_plant(dice, taste),), dice, gap=0.05, corner=True)
    decorate(floor, room, taste, dice, dice.randint(2, 7))
    scatter(floor, room, taste, dice, dice.randint(1, 4))


def furnish_stairwell(floor: Floor, room: Room, taste: Taste, dice: random.Random) -> None:
    """A bench, letter boxes, a bicycle's place, plants."""
    floor.along_wall(room, (recreation.lockers(dice, taste, 3),), dice, gap=0.0)
    floor.along_wall(room, (seating.bench(dice, taste, 1.2),), dice)
    for _ in range(2):
        floor.along_wall(room, (potted_plant(dice, taste),), dice, gap=0.05, corner=True)
    decorate(floor, room, taste, dice, dice.randint(1, 4))
    scatter(floor, room, taste, dice, dice.randint(1, 3))


def shelves(floor: Floor, room: Room, taste: Taste, dice: random.Random, count: int) -> None:
    """Bookcases, and lower ones where there are windows or slopes."""
    for _ in range(count):
        high = dice.uniform(1.5, min(2.3, room.height - 0.1)) if dice.random() < 0.6 else dice.uniform(0.75, 1.2)
        if not floor.along_wall(room, storage.bookcase(dice, taste, height=high), dice, front=0.5):
            floor.along_wall(room, storage.bookcase(dice, taste, width=0.6, height=0.8), dice, front=0.4)


def decorate(floor: Floor, room: Room, taste: Taste, dice: random.Random, count: int) -> None:
    """Pictures, mirrors, clocks, wall shelves and switches."""
    for _ in range(count):
        pick = dice.random()
        if pick < 0.5:
            floor.hang(room, (wall_things.picture(dice, taste),), dice, dice.uniform(1.45, 1.7))
        elif pick < 0.65:
            floor.hang(room, wall_things.gallery_wall(dice, taste), dice, 1.6)
        elif pick < 0.75:
            floor.hang(room, (wall_things.mirror(dice, taste),), dice, 1.4)
        elif pick < 0.85:
            floor.hang(room, (wall_things.clock(dice, taste),), dice, dice.uniform(1.8, 2.05))
        else:
            floor.hang(room, storage.wall_shelf(dice, taste), dice, dice.uniform(1.3, 1.7))
    for height in (1.08, 0.3, 0.3):
        floor.hang(room, (wall_things.switch(dice, taste),), dice, height, tries=4, margin=0.02)


def scatter(floor: Floor, room: Room, taste: Taste, dice: random.Random, count: int, toys: bool = False) -> None:
    """Small things on the floor, mostly along walls."""
    for _ in range(count):
        make = clutter.toy if toys and dice.random() < 0.7 else dice.choice(clutter.FOR_FLOORS)
        thing = make(dice, taste)
        if dice.random() < 0.7:
            floor.along_wall(room, (thing,), dice, gap=dice.uniform(0.03, 0.15), tries=6)
        else:
            floor.anywhere(room, (thing,), dice, tries=6, yaw=dice.uniform(-3, 3))
