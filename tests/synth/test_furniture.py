"""Furniture stands on the floor, has the size it should, and is made of sound triangles."""

import random
from collections.abc import Callable

import pytest
import torch

from worldloom.synth.rooms.arrangements import dining_group, lay_on, media_group, seating_group, work_place
from worldloom.synth.rooms.finishes import Taste, draw_taste, iron
from worldloom.synth.rooms.floor_space import extent
from worldloom.synth.rooms.furnishings import (
    beds,
    clutter,
    exhibits,
    kitchen,
    lights,
    potted,
    recreation,
    sanitary,
    seating,
    storage,
    tables,
    textiles,
    wall_things,
)
from worldloom.synth.rooms.furnishings.soft import bent_sheet, boxes, cushion, vessel
from worldloom.synth.world import Material, Part, Thing

GREY = Material("grey", (0.5, 0.5, 0.5))
Maker = Callable[[random.Random, Taste], Thing | tuple[Thing, ...]]

# maker, least and greatest height of its top
STANDING: dict[str, tuple[Maker, float, float]] = {
    "sofa": (seating.sofa, 0.6, 1.15),
    "armchair": (seating.armchair, 0.5, 1.2),
    "chair": (seating.chair, 0.7, 1.1),
    "office chair": (seating.office_chair, 0.8, 1.3),
    "stool": (seating.stool, 0.38, 0.75),
    "bench": (seating.bench, 0.4, 0.5),
    "desk": (tables.desk, 0.7, 0.76),
    "coffee table": (tables.coffee_table, 0.28, 0.5),
    "bedside table": (tables.bedside, 0.35, 0.65),
    "table": (lambda d, t: tables.table(d, t, (0.8, 1.6)), 0.73, 0.76),
    "bookcase": (storage.bookcase, 0.6, 2.7),
    "sideboard": (storage.sideboard, 0.45, 0.9),
    "chest of drawers": (storage.dresser, 0.6, 1.5),
    "wardrobe": (lambda d, t: storage.wardrobe(d, t, 2.5), 1.85, 2.46),
    "rack": (lambda d, t: storage.rack(d, t, iron(d), (0.6, 1.8, 2.0)), 1.9, 2.6),
    "bed": (beds.bed, 0.5, 1.3),
    "cot": (beds.cot, 0.8, 0.9),
    "kitchen": (lambda d, t: kitchen.kitchen_run(d, t, 2.4, True), 1.9, 2.4),
    "refrigerator": (kitchen.refrigerator, 1.35, 2.05),
    "island": (kitchen.island, 0.85, 1.1),
    "bath": (sanitary.bath, 0.5, 1.0),
    "toilet": (sanitary.toilet, 0.75, 1.15),
    "wash place": (sanitary.wash_place, 1.8, 2.2),
    "shower": (sanitary.shower, 1.95, 2.2),
    "washing machine": (sanitary.washing_machine, 0.8, 0.9),
    "floor lamp": (lambda d, t: lights.floor_lamp(d, t, 2.0), 1.3, 2.05),
    "table lamp": (lambda d, t: lights.table_lamp(d, t, 2.0), 0.3, 0.6),
    "plant": (potted.potted_plant, 0.35, 2.4),
    "rug": (lambda d, t: textiles.rug(d, t, (1.5, 2.0)), 0.0, 0.03),
    "piano": (recreation.piano, 1.0, 1.4),
    "grand piano": (recreation.grand_piano, 1.2, 2.2),
    "treadmill": (recreation.treadmill, 1.2, 1.6),
    "exercise bike": (recreation.exercise_bike, 1.0, 1.3),
    "dumbbells": (recreation.dumbbells, 0.8, 1.1),
    "lockers": (lambda d, t: recreation.lockers(d, t, 4), 1.8, 1.9),
    "plinth": (exhibits.plinth, 0.65, 2.8),
    "statue": (exhibits.statue, 1.6, 3.2),
    "skeleton": (exhibits.skeleton, 1.5, 2.8),
    "show case": (exhibits.show_case, 0.8, 1.5),
    "machine": (exhibits.machine, 1.5, 2.5),
    "pallet": (exhibits.pallet, 0.13, 1.3),
    "ladder": (exhibits.ladder, 1.1, 2.1),
    **{make.__name__: (make, 0.0005, 1.0) for make in {**dict.fromkeys((*clutter.FOR_TABLES, *clutter.FOR_FLOORS))}},
}


def group(made: Thing | tuple[Thing, ...]) -> tuple[Thing, ...]:
    return made if isinstance(made, tuple) else (made,)


def check_mesh(part: Part) -> None:
    assert part.vertices.isfinite().all()
    assert part.faces.min() >= 0
    assert part.faces.max() < len(part.vertices)
    a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
    assert (torch.linalg.cross(b - a, c - a).norm(dim=1) > 1e-12).all()


@pytest.mark.parametrize("name", STANDING)
def test_stands_on_the_floor_with_its_height(name: str) -> None:
    make, least, most = STANDING[name]
    for seed in range(2):
        dice = random.Random(f"{name} {seed}")
        things = group(make(dice, draw_taste(dice)))
        (_, _, low), (_, _, high) = extent(things)
        assert -0.006 < low < 0.006, (name, seed, low)
        assert least <= high <= most, (name, seed, high)
        for thing in things:
            for part in thing.parts:
                check_mesh(part)


@pytest.mark.parametrize("make", [wall_things.picture, wall_things.mirror, wall_things.clock, wall_things.television])
def test_hangs_in_front_of_its_wall(make: Maker) -> None:
    for seed in range(5):
        dice = random.Random(seed)
        (x0, _, _), (x1, _, _) = extent(group(make(dice, draw_taste(dice))))
        assert x0 >= -1e-6
        assert x1 < 0.1


def test_same_dice_same_vertices() -> None:
    def bed() -> torch.Tensor:
        dice = random.Random(4)
        return torch.cat([p.vertices for t in beds.bed(dice, draw_taste(dice)) for p in t.parts])

    assert torch.equal(bed(), bed())


def test_lamps_shine_only_when_on() -> None:
    dice = random.Random(2)
    for power, shines in ((0.0, False), (3.0, True)):
        lamp = lights.pendant(dice, draw_taste(dice), 0.7, power)
        assert any(max(p.material.emission) > 0 for p in lamp.parts) == shines
        assert extent((lamp,))[0][2] == pytest.approx(-0.7, abs=0.02)


def test_things_on_a_table_stay_on_it_and_apart() -> None:
    for seed in range(4):
        dice = random.Random(seed)
        taste = draw_taste(dice)
        table = tables.table(dice, taste, (0.8, 1.6))
        (x0, y0, _), (x1, y1, top) = extent((table,))
        laid = lay_on(dice, taste, table, clutter.FOR_TABLES, 6)
        boxes_ = [extent((thing,)) for thing in laid]
        for (a0, b0, c0), (a1, b1, _) in boxes_:
            assert x0 < a0 < a1 < x1
            assert y0 < b0 < b1 < y1
            assert c0 == pytest.approx(top, abs=0.006)


@pytest.mark.parametrize("make", [seating_group, dining_group])
def test_groups_have_a_seat_and_a_table(make: Callable[..., tuple[Thing, ...]]) -> None:
    dice = random.Random(5)
    semantics = {thing.semantic for thing in make(dice, draw_taste(dice), 2)}
    assert "table" in semantics
    assert semantics & {"sofa", "chair"}


def test_work_places_and_media_stand_on_the_floor() -> None:
    dice = random.Random(5)
    for make in (work_place, media_group):
        assert extent(make(dice, draw_taste(dice)))[0][2] == pytest.approx(0, abs=0.006)


def volume(part: Part) -> float:
    a, b, c = (part.vertices.double()[part.faces[:, k].long()] for k in range(3))
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_soft_shapes_face_outwards() -> None:
    import numpy as np

    assert volume(cushion((2, 3, 4), (5, 0, 0), GREY, 1.0, sides=96, rings=48)) == pytest.approx(3.14159 * 4, rel=0.01)
    assert volume(cushion((2, 3, 4), (0, 5, 0), GREY, 0.1)) == pytest.approx(24, rel=0.05)
    line = [(0.1 * k, 0.0) for k in range(11)]
    assert volume(bent_sheet(line, 0.5, 2.5, 0.01, GREY)) == pytest.approx(0.02, rel=1e-3)
    assert volume(boxes(np.zeros((2, 3)), np.array([[1.0, 1, 1], [1, 2, 3]]), GREY)) == pytest.approx(7)
    ring = 3.14159 * (0.1**2 - 0.09**2) * 0.19 + 3.14159 * 0.1**2 * 0.01
    assert volume(vessel([(0.1, 0), (0.1, 0.2)], 0.01, GREY, 256)) == pytest.approx(ring, rel=0.06)
