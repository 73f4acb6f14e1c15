"""Rooms can be walked through, seen from, and differ."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage

from worldloom.errors import InputError
from worldloom.geometry import invert
from worldloom.synth.rooms.floor_plan import KINDS, Edge, Room, draw_plan, inset, kind_of
from worldloom.synth.rooms.room import make_room, room_plan
from worldloom.synth.world import SEMANTICS, World

pytest.importorskip("embreex")
SEEDS = (4, 14, 18)


@cache
def world(seed: int) -> World:
    return make_room(seed)


@cache
def caster(seed: int):
    from worldloom.synth.cast import Caster

    return Caster(world(seed))


def ball(n: int) -> torch.Tensor:
    """Directions spread evenly over the sphere."""
    k = torch.arange(n, dtype=torch.float64) + 0.5
    z, a = 1 - 2 * k / n, math.pi * (1 + 5**0.5) * k
    r = (1 - z**2).sqrt()
    return torch.stack([r * a.cos(), r * a.sin(), z], -1)


def test_edges_have_the_room_on_their_left() -> None:
    edge = Edge((1.0, 2.0), (1.0, 5.0))
    assert edge.point(1.0, 0.5) == (0.5, 3.0)
    assert edge.local((0.5, 3.0)) == pytest.approx((1.0, 0.5))
    ring = ((0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, 3.0), (0.0, 3.0))
    room = Room("living", ring, 2.5)
    assert room.area == pytest.approx(4 * 2 + 2 * 1)
    smaller = Room("living", inset(ring, 0.1), 2.5)
    assert smaller.outline[3] == pytest.approx((1.9, 1.9))
    assert smaller.area == pytest.approx(room.area - 0.1 * 14 + 4 * 0.01)


def test_headroom_under_a_roof() -> None:
    room = Room("living", ((0.0, 0.0), (5.0, 0.0), (5.0, 4.0), (0.0, 4.0)), 3.0, knee=1.0, ridge=2.0)
    assert [room.headroom(y) for y in (0.0, 1.0, 2.0, 4.0)] == pytest.approx([1, 2, 3, 1])


def test_twenty_seeds_show_every_kind() -> None:
    assert sorted(kind_of(seed) for seed in range(40, 60)) == sorted(KINDS)


@pytest.mark.parametrize("seed", range(6))
def test_plans_join_all_rooms(seed: int) -> None:
    import random

    for kind in sorted(set(KINDS)):
        plan = draw_plan(kind, random.Random(seed))
        joined = {0}
        for _ in plan.rooms:
            for door in plan.openings:
                if door.kind in ("door", "doorway") and (door.kind == "doorway" or door.angle > 75):
                    a, b = door.rooms
                    joined |= {a, b} if a in joined or b in joined else set()
        assert joined == set(range(len(plan.rooms))), kind
        assert min(room.height for room in plan.rooms) >= 2.3
        assert max(room.height for room in plan.rooms) <= 8


@pytest.mark.parametrize("seed", SEEDS)
def test_stands_have_air(seed: int) -> None:
    stands = world(seed).stands
    assert len(stands) >= 1
    rays = ball(400)
    cast = caster(seed)
    for stand in stands:
        origins = stand.double().expand_as(rays).contiguous()
        assert not cast.blocked(origins, rays, 0.35).any()
        assert cast.cast(origins, rays).found.float().mean() > 0.6  # inside something


@pytest.mark.parametrize("seed", SEEDS)
def test_every_room_is_reached_on_foot(seed: int) -> None:
    """Flood the floor from the first stand with a body of 0.3 m, by rays at four heights."""
    plan, world_from_plan = room_plan(seed)
    cast, cell = caster(seed), 0.1
    bounds = np.array([room.bounds for room in plan.rooms])
    low, high = bounds[:, :2].min(0), bounds[:, 2:].max(0)
    shape = np.ceil((high - low) / cell).astype(int)
    x, y = (low[k] + (np.arange(shape[k]) + 0.5) * cell for k in range(2))
    ground = torch.from_numpy(np.stack([*np.meshgrid(x, y, indexing="ij"), np.zeros(shape)], -1).reshape(-1, 3))
    blocked = torch.zeros(len(ground), dtype=torch.bool)
    turn, shift = world_from_plan[:3, :3].double(), world_from_plan[:3, 3].double()
    for height in (0.12, 0.5, 1.0, 1.6):
        points = (ground + torch.tensor([0, 0, height])) @ turn.T + shift
        for k in range(8):
            way = torch.tensor([math.cos(k * math.pi / 4), math.sin(k * math.pi / 4), 0.0]).double() @ turn.T
            blocked |= cast.blocked(points, way.expand_as(points).contiguous(), 0.3)
    labels = np.zeros(shape, dtype=np.int32)
    ndimage.label(~blocked.numpy().reshape(shape), np.ones((3, 3)), output=labels)
    plan_from_world = invert(world_from_plan)

    def label_at(stand: torch.Tensor) -> int:
        p = (plan_from_world[:3, :3] @ stand + plan_from_world[:3, 3]).numpy()[:2]
        i, j = ((p - low) / cell).astype(int)
        return int(labels[i, j])

    start = label_at(world(seed).stands[0])
    assert start > 0
    for room in plan.rooms:
        x0, y0, x1, y1 = room.bounds
        i0, j0, i1, j1 = (int(v) for v in (np.array([x0, y0, x1, y1]) - np.tile(low, 2)) / cell)
        assert (labels[i0:i1, j0:j1] == start).any(), room.use


@pytest.mark.parametrize("seed", SEEDS)
def test_things_stay_above_the_floor_and_inside_the_walls(seed: int) -> None:
    plan, world_from_plan = room_plan(seed)
    plan_from_world = invert(world_from_plan)
    bounds = np.array([room.bounds for room in plan.rooms])
    low, high = bounds[:, :2].min(0) - 0.03, bounds[:, 2:].max(0) + 0.03
    top = max(room.height for room in plan.rooms)
    inside = {"bed", "sofa", "chair", "table", "cabinet", "shelf", "appliance", "plumbing", "screen", "clutter"}
    for thing in world(seed).things:
        m = plan_from_world @ thing.world_from_thing
        for part in thing.parts:
            assert part.vertices.isfinite().all()
            a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
            area = torch.linalg.cross(b - a, c - a).norm(dim=1)
            assert (area > 1e-12).all(), thing.name
            if thing.semantic in inside:
                points = (part.vertices @ m[:3, :3].T + m[:3, 3]).numpy()
                assert points[:, 2].min() > -0.02, thing.name
                assert points[:, 2].max() < top, thing.name
                assert (points[:, :2] > low).all(), thing.name
                assert (points[:, :2] < high).all(), thing.name


def test_the_sky_is_seen_through_some_window() -> None:
    rays = ball(6000)
    seen = 0
    for seed in SEEDS:
        cast = caster(seed)
        hits = [cast.cast(s.double().expand_as(rays).contiguous(), rays) for s in world(seed).stands]
        seen += any(not bool(h.found.all()) for h in hits)
    assert seen >= len(SEEDS) - 1


def test_worlds_are_rich() -> None:
    names = {thing.name for seed in SEEDS for thing in world(seed).things}
    semantics = {thing.semantic for seed in SEEDS for thing in world(seed).things}
    assert len(names) > 40
    assert {"floor", "wall", "ceiling", "door", "window", "sofa", "bed", "table", "lamp"} <= semantics
    assert semantics <= set(SEMANTICS)
    for seed in SEEDS:
        count = sum(len(part.faces) for thing in world(seed).things for part in thing.parts)
        assert 15_000 < count < 300_000


@pytest.mark.parametrize(("seed", "kind"), [(-1, None), (0, "castle")])
def test_bad_wishes(seed: int, kind: str | None) -> None:
    with pytest.raises(InputError):
        make_room(seed, kind)
