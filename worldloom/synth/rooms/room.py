"""Rooms: flats, single rooms, corridors, attics, lofts with stairs, and halls, furnished and lit."""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from shapely import Point, Polygon
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import compose
from worldloom.synth.rooms.arrangements import dress_windows, light_room
from worldloom.synth.rooms.finishes import Taste, draw_taste
from worldloom.synth.rooms.floor_plan import KINDS, FloorPlan, Room, draw_plan, kind_of
from worldloom.synth.rooms.floor_space import Floor
from worldloom.synth.rooms.halls import (
    furnish_factory,
    furnish_gym,
    furnish_lecture,
    furnish_library,
    furnish_loft,
    furnish_museum,
    upstairs,
)
from worldloom.synth.rooms.homes import (
    furnish_bathroom,
    furnish_bedroom,
    furnish_corridor,
    furnish_dining,
    furnish_kitchen,
    furnish_living,
    furnish_office,
    furnish_stairwell,
    furnish_studio,
)
from worldloom.synth.rooms.openings import fill_openings
from worldloom.synth.rooms.outlook import look_out
from worldloom.synth.rooms.shell import raise_shell
from worldloom.synth.shapes import turned
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Thing, World

AIR = 0.36  # metres of air around every stand
_FURNISH: dict[str, Callable[[Floor, Room, Taste, random.Random], None]] = {
    "living": furnish_living,
    "dining": furnish_dining,
    "bedroom": furnish_bedroom,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "office": furnish_office,
    "studio": furnish_studio,
    "corridor": furnish_corridor,
    "stairwell": furnish_stairwell,
    "loft": furnish_loft,
    "gym": furnish_gym,
    "museum": furnish_museum,
    "factory": furnish_factory,
    "lecture": furnish_lecture,
    "library": furnish_library,
}


def make_room(seed: int, kind: str | None = None) -> World:
    """A furnished interior with windows to a small world outside.

    Args:
        kind: one of `floor_plan.KINDS`; by default the seed decides, and twenty seeds in a row show every kind.
    Raises:
        InputError: for a negative seed or an unknown kind.
    """
    plan, world_from_plan = room_plan(seed, kind)
    dice = random.Random(f"room {seed}")
    taste = draw_taste(dice)
    floor = Floor(plan)
    floor.things += raise_shell(plan, dice)
    floor.things += fill_openings(plan, taste, dice)
    dress_windows(floor, plan, taste, dice)
    for room in plan.rooms:
        own = taste if dice.random() < 0.5 else draw_taste(dice)
        _FURNISH[room.use](floor, room, own, dice)
        if room.use == "stairwell" and room.gallery is not None:
            upstairs(floor, room, own, dice)
        light_room(floor, room, own, dice)
    outside = look_out(plan, dice)
    stands = _stands(floor, dice)
    things = [_turn(thing, world_from_plan) for thing in (*floor.things, *outside)]
    stands = stands @ world_from_plan[:3, :3].T + world_from_plan[:3, 3]
    return World("room", seed, tuple(things), _sky(dice), stands, exposure=3.0)


def room_plan(seed: int, kind: str | None = None) -> tuple[FloorPlan, Float[Tensor, "4 4"]]:
    """The floor plan of a seed's room, and where it lies in the world.

    Raises:
        InputError: for a negative seed or an unknown kind.
    """
    if seed < 0:
        raise InputError(f"a room's seed must be at least 0, got {seed}")
    if kind is not None and kind not in KINDS:
        raise InputError(f"a room's kind must be one of {', '.join(sorted(set(KINDS)))}, got {kind!r}")
    dice = random.Random(f"plan {seed}")
    plan = draw_plan(kind or kind_of(seed), dice)
    main = max(plan.rooms, key=lambda room: room.area)
    x0, y0, x1, y1 = main.bounds
    turn = turned(dice.choice((dice.uniform(-math.pi, math.pi), dice.choice((0.0, math.pi / 2)))))
    middle = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, 0.0])
    return plan, compose(turn, -turn @ middle)


def _turn(thing: Thing, world_from_plan: Float[Tensor, "4 4"]) -> Thing:
    return Thing(thing.name, thing.semantic, thing.parts, world_from_plan @ thing.world_from_thing, thing.semantic_at)


def _sky(dice: random.Random) -> Sky:
    """Sun between low and high, or clouds."""
    azimuth, elevation = dice.uniform(-math.pi, math.pi), math.radians(dice.uniform(12, 60))
    towards = (
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    )
    if dice.random() < 0.3:
        grey = dice.uniform(0.5, 0.9)
        return Sky(towards, (0.0, 0.0, 0.0), (0.9 * grey, 0.95 * grey, grey), (grey, grey, grey))
    return Sky(towards)


def rooms_at(seed: int, points: Float[Tensor, "n 3"]) -> tuple[str | None, ...]:
    """What the rooms of `make_room(seed)` are for in which points are, such as bedroom; None between and outside.

    Args:
        points: metres, in the world's frame.
    """
    plan, world_from_plan = room_plan(seed)
    inside = (points - world_from_plan[:3, 3]) @ world_from_plan[:3, :3]
    outlines = [(room.use, Polygon(room.outline)) for room in plan.rooms]
    return tuple(
        next((use for use, outline in outlines if outline.covers(Point(x, y))), None) for x, y, _ in inside.tolist()
    )


def _stands(floor: Floor, dice: random.Random) -> Float[Tensor, "s 3"]:
    """Eyes of people, the best first: much air, far views and open doors; then some in every room."""
    air = floor.clearance()
    corners, boxes = _corners(floor.things)
    rooms = sorted(range(len(floor.plan.rooms)), key=lambda i: -floor.plan.rooms[i].area)
    best, more = [], []
    for i in rooms:
        room = floor.plan.rooms[i]
        chosen: list[np.ndarray] = []
        inside = (floor.room_at == i) & (air > AIR + 0.06)
        cells = np.argwhere(inside)
        if len(cells) == 0:
            continue
        x0, y0, x1, y1 = room.bounds
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        at = floor.low + (cells + 0.5) * floor.cell
        score = np.minimum(air[inside], 0.9) - 0.25 * np.linalg.norm((at - middle) / [x1 - x0, y1 - y0], axis=1)
        wanted = 1 + min(4, int(room.area / 9))
        for _ in range(30):
            if len(chosen) >= wanted or score.max() == -np.inf:
                break
            k = int(score.argmax())
            eye = np.array([*at[k], dice.uniform(1.35, 1.72)])
            near = np.linalg.norm(at - at[k], axis=1)
            if _distance_to(eye, corners, boxes) > AIR:
                chosen.append(eye)
                score = np.where(near < 0.5, -np.inf, score + 0.1 * np.minimum(near, 3.0))
            else:
                score = np.where(near < 0.12, -np.inf, score)
        best += chosen[:1]
        more += chosen[1:]
    eyes = [*best, *more, *_upper_stands(floor, corners, boxes)]
    if not eyes:
        raise AssertionError(f"no place to stand in {floor.plan}")
    return torch.from_numpy(np.array(eyes)).float()


def _upper_stands(
    floor: Floor, corners: Float[np.ndarray, "m 3 3"], boxes: Float[np.ndarray, "m 2 3"]
) -> list[np.ndarray]:
    """A stand on each gallery, near its railing."""
    eyes = []
    for room in floor.plan.rooms:
        if room.gallery is not None:
            x0, y0, _, y1 = room.bounds
            for share in (0.5, 0.35, 0.65, 0.2, 0.8):
                eye = np.array([x0 + room.gallery.edge - 0.55, y0 + share * (y1 - y0), room.gallery.level + 1.5])
                if _distance_to(eye, corners, boxes) > AIR:
                    eyes.append(eye)
                    break
    return eyes


def _corners(things: Sequence[Thing]) -> tuple[Float[np.ndarray, "m 3 3"], Float[np.ndarray, "m 2 3"]]:
    """All triangles in the plan's frame, and their bounding boxes."""
    triangles = []
    for thing in things:
        m = thing.world_from_thing.numpy()
        for part in thing.parts:
            points = part.vertices.numpy() @ m[:3, :3].T + m[:3, 3]
            triangles.append(points[part.faces.numpy()])
    corners = np.concatenate(triangles)
    return corners, np.stack([corners.min(1), corners.max(1)], 1)


def _distance_to(
    point: Float[np.ndarray, " 3"], corners: Float[np.ndarray, "m 3 3"], boxes: Float[np.ndarray, "m 2 3"]
) -> float:
    """Distance from a point to the nearest triangle; at least AIR + 0.1 is told as infinite.

    Ericson 2004, "Real-Time Collision Detection", 5.1.5: the foot of the perpendicular, else the nearest edge.
    """
    near = ((boxes[:, 0] < point + AIR + 0.1) & (boxes[:, 1] > point - AIR - 0.1)).all(1)
    if not near.any():
        return math.inf
    a, b, c = (corners[near, k].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    off = ((point - a) * normal).sum(1)
    foot = point - off[:, None] * normal
    inside = np.ones(len(a), dtype=bool)
    nearest = np.full(len(a), np.inf)
    for p, q in ((a, b), (b, c), (c, a)):
        inside &= (np.cross(q - p, foot - p) * normal).sum(1) >= 0
        edge = q - p
        t = np.clip(((point - p) * edge).sum(1) / np.maximum((edge**2).sum(1), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(p + t[:, None] * edge - point, axis=1))
    return float(np.where(inside, np.abs(off), nearest).min())
