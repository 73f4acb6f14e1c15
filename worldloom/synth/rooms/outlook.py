"""What is seen from a room's windows: ground, trees and the houses opposite."""

import math
import random

import torch

from worldloom.synth.outdoors.buildings import BUILDING_STYLES, make_building
from worldloom.synth.outdoors.plants import TREE_KINDS, make_bush, make_tree
from worldloom.synth.rooms.finishes import number
from worldloom.synth.rooms.floor_plan import FloorPlan
from worldloom.synth.shapes import Number, height_field, placed
from worldloom.synth.textures import meadow, srgb, textured, tiles
from worldloom.synth.world import Thing

_FAR = 90.0  # half the side of the ground


def look_out(plan: FloorPlan, dice: random.Random) -> list[Thing]:
    """Ground below the windows, and on each side that has any, a garden, a street's far side, or nothing but lawn."""
    xs = [x for room in plan.rooms for x in (room.bounds[0], room.bounds[2])]
    ys = [y for room in plan.rooms for y in (room.bounds[1], room.bounds[3])]
    low, high = (min(xs), min(ys)), (max(xs), max(ys))
    middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    things = [_ground(middle, -plan.level - 0.03, dice)]
    for axis in (0, 1):
        for sign in (-1, 1):
            if any(o.kind == "window" and o.axis != axis and _outer(plan, o.at, axis, sign) for o in plan.openings):
                reach = (high[axis] - low[axis]) / 2
                spread = (high[1 - axis] - low[1 - axis]) / 2
                things += _side(middle, axis, sign, reach, spread, -plan.level - 0.03, dice)
    return things


def _outer(plan: FloorPlan, at: tuple[Number, Number], axis: int, sign: int) -> bool:
    """Whether a wall at `at` looks towards that side: no room's middle lies beyond it."""
    return all(
        sign * ((r.bounds[axis] + r.bounds[axis + 2]) / 2 - at[axis]) < 0
        for r in plan.rooms
        if r.bounds[1 - axis] - 0.1 < at[1 - axis] < r.bounds[3 - axis] + 0.1
    )


def _ground(middle: tuple[Number, Number], z: Number, dice: random.Random) -> Thing:
    line = torch.linspace(-_FAR, _FAR, 13)
    if dice.random() < 0.6:
        pairs = (("#8fa85a", "#55753a"), ("#a3a866", "#6f7a45"), ("#7f9a55", "#8a7a52"))
        one, two = dice.choice(pairs)
        looks = textured("grass", meadow(srgb(one), srgb(two), number(dice)), (40, 40, 0.1), 1.0, axis=2)
        semantic = "grass"
    else:
        one, two = dice.choice((("#a8a39a", "#8f8a82"), ("#b5a48e", "#9a8a76"), ("#77777a", "#66666a")))
        pattern = tiles(srgb(one), srgb(two), number(dice), (0.4, 0.4), srgb("#6f6b64"), 0.01, bond=0.5, rough=0.3)
        looks = textured("paving", pattern, (20, 20, 0.1), 0.9, axis=2)
        semantic = "sidewalk"
    part = height_field(line, line, torch.zeros(13, 13), looks, smooth=False)
    return placed(Thing("ground", semantic, (part,)), (*middle, z))


def _side(
    middle: tuple[Number, Number], axis: int, sign: int, reach: Number, spread: Number, z: Number, dice: random.Random
) -> list[Thing]:
    """Trees and buildings on one side of the house."""

    def at(away: Number, across: Number) -> tuple[Number, Number, Number]:
        offset = (sign * (reach + away), across)
        return (middle[0] + offset[axis], middle[1] + offset[1 - axis], z)

    facing = math.atan2(-sign * axis, -sign * (1 - axis))
    things, style = [], dice.random()
    if style < 0.75:
        away, across = dice.uniform(12, 28), -spread - dice.uniform(5, 15)
        while across < spread + 8:
            width = dice.uniform(8, 16)
            looks = dice.choice(BUILDING_STYLES)
            near = abs(across + width / 2) < 9
            house = make_building(
                number(dice), width, dice.uniform(8, 12), dice.randint(1, 5), looks, "full" if near else "coarse"
            )
            x, y, ground = at(away + 6, across + width / 2)
            things.append(placed(house, (x, y, ground), facing))
            across += width + dice.choice((0.2, 3.0, 7.0))
    for k in range(dice.randint(2, 5)):
        away = dice.uniform(4, 11) if style < 0.75 else dice.uniform(5, 30)
        kind = dice.choice(TREE_KINDS)
        tall = dice.uniform(4, 11)
        tree = make_tree(number(dice), kind, tall, "full" if k < 1 and dice.random() < 0.4 else "coarse")
        things.append(placed(tree, at(away + 0.2 * tall, dice.uniform(-spread - 6, spread + 6)), dice.uniform(0, 6)))
    for _ in range(dice.randint(0, 3)):
        bush = make_bush(number(dice), dice.uniform(0.8, 1.8), dice.uniform(0.6, 1.4), "coarse")
        things.append(placed(bush, at(dice.uniform(2, 6), dice.uniform(-spread, spread))))
    return things
