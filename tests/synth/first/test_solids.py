"""Closed forms: where rays meet boxes, ellipsoids and frustums, and which way the surface looks there."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry.equirect import directions
from worldloom.synth.first.cast import World
from worldloom.synth.first.solids import Box, Ellipsoid, Frustum, Material, Shape, Thing, move, put, turned

PLAIN = Material((0.5, 0.5, 0.5))
SHAPES = [
    Box((1.0, 2.0, 3.0)),
    Ellipsoid((0.5, 1.0, 1.5)),
    Frustum(0.8, 0.3, 1.2),
    Frustum(0.2, 0.9, 1.2),
    Frustum(0.5, 0.5, 2.0),
]


def first_hit(shape: Shape, origin: tuple, towards: tuple, **pose: float) -> tuple[float, list[float]]:
    world = World((Thing("one", (put(shape, (0.0, 0.0, 0.0), PLAIN, **pose),)),))
    o = torch.tensor([origin], dtype=torch.float64)
    d = torch.nn.functional.normalize(torch.tensor([towards], dtype=torch.float64), dim=-1)
    hits = world.cast(o, d)
    return hits.distance.item(), [round(c, 6) for c in world.normals(o, d, hits)[0].tolist()]


@pytest.mark.parametrize(
    ("shape", "origin", "towards", "distance", "normal"),
    [
        (Box((1.0, 2.0, 3.0)), (-4, 0.9, 0), (1, 0, 0), 3.5, [-1, 0, 0]),
        (Box((1.0, 2.0, 3.0)), (0.2, 5, 1.4), (0, -1, 0), 4.0, [0, 1, 0]),
        (Box((1.0, 2.0, 3.0)), (0, 0, 0), (0, 0, 1), 1.5, [0, 0, -1]),  # from inside, the far face, turned to us
        (Ellipsoid((0.5, 1.0, 1.5)), (0, 0, 9), (0, 0, -1), 7.5, [0, 0, 1]),
        (Ellipsoid((2.0, 2.0, 2.0)), (-5, 1, 0), (1, 0, 0), 5 - math.sqrt(3), [-0.866025, 0.5, 0]),
        (Frustum(0.5, 0.5, 2.0), (-3, 0.3, 0.9), (1, 0, 0), 2.6, [-0.8, 0.6, 0]),
        (Frustum(1.0, 0.0, 1.0), (-3, 0, 0), (1, 0, 0), 2.5, [-0.707107, 0, 0.707107]),  # a cone, half-way up
        (Frustum(1.0, 0.0, 1.0), (0.25, 0, 3), (0, 0, -1), 2.75, [0.707107, 0, 0.707107]),
        (Frustum(1.0, 0.5, 1.0), (0.2, 0.1, 3), (0, 0, -1), 2.5, [0, 0, 1]),  # the lid
        (Frustum(0.5, 1.0, 1.0), (0.9, 0, 3), (0, 0, -1), 2.5, [0, 0, 1]),
        (
            Frustum(0.5, 1.0, 1.0),
            (0.75, 0, -3),
            (0, 0, 1),
            3.0,
            [0.894427, 0, -0.447214],
        ),  # widens upwards, seen from below
    ],
)
def test_first_hit_by_hand(shape: Shape, origin: tuple, towards: tuple, distance: float, normal: list[float]) -> None:
    got, facing = first_hit(shape, origin, towards)
    assert got == pytest.approx(distance, abs=1e-9)
    assert facing == pytest.approx(normal, abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "origin", "towards"),
    [
        (Box((1.0, 2.0, 3.0)), (-4, 1.01, 0), (1, 0, 0)),
        (Box((1.0, 2.0, 3.0)), (-4, 0, 0), (-1, 0, 0)),  # behind us
        (Ellipsoid((0.5, 1.0, 1.5)), (-4, 0, 1.51), (1, 0, 0)),
        (Frustum(1.0, 0.0, 1.0), (-3, 0.6, 0), (1, 0, 0)),
        (Frustum(1.0, 0.0, 1.0), (-3, 0, 0.7), (1, 0, 0)),  # the mirrored cone above the tip does not exist
        (Frustum(1.0, 0.5, 1.0), (0.99, 0, 5), (0.1, 0, -0.02)),
    ],
)
def test_misses(shape: Shape, origin: tuple, towards: tuple) -> None:
    assert first_hit(shape, origin, towards) == (math.inf, [0, 0, 0])


def test_turns_go_the_right_way() -> None:
    """yaw turns to the left, positive pitch lowers the x axis, positive roll lowers the -y side … by the right hand."""
    x, y = torch.eye(3)[:2]
    torch.testing.assert_close(turned(yaw=math.pi / 2) @ x, y)
    assert (turned(pitch=0.3) @ x)[2] == pytest.approx(-math.sin(0.3))
    assert (turned(roll=0.3) @ y)[2] == pytest.approx(math.sin(0.3))
    distance, _ = first_hit(Box((4.0, 0.2, 0.2)), (0, 5, 0), (0, -1, 0), yaw=math.pi / 2)
    assert distance == pytest.approx(3.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), which=st.integers(0, len(SHAPES) - 1))
def test_hits_lie_on_the_surface_and_nothing_lies_before_them(seed: int, which: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    yaw, pitch, roll = (torch.rand(3, generator=generator) * 6).tolist()
    thing = Thing("one", (put(SHAPES[which], (0.3, -0.2, 0.1), PLAIN, yaw, pitch, roll),))
    world, solid = World((thing,)), thing.solids[0]
    o = 4 * torch.nn.functional.normalize(torch.randn(200, 3, generator=generator, dtype=torch.float64), dim=-1)
    d = torch.nn.functional.normalize(0.8 * torch.randn(200, 3, generator=generator, dtype=torch.float64) - o, dim=-1)
    hits = world.cast(o, d)
    normals = world.normals(o, d, hits)
    steps = torch.linspace(0, 8, 400, dtype=torch.float64)
    along = o[:, None] + steps[:, None] * d[:, None]
    inside = solid.contains(along.flatten(0, 1)).unflatten(0, (200, 400))
    first = torch.where(inside.any(1), steps[inside.byte().argmax(1)], torch.inf)
    assert (hits.found | ~inside.any(1)).all()
    # The first step inside comes at most one step after the hit, unless the ray only grazes the solid.
    grazes = hits.found & ~inside.any(1)
    assert (hits.distance[~grazes] <= first[~grazes] + 1e-6).all()
    at = hits.found & ~grazes
    assert (first[at] - hits.distance[at] <= steps[1] * 1.01 + 8 * ((normals[at] * d[at]).sum(-1).abs() < 0.2)).all()
    before, after = (o + (hits.distance * (1 + e))[:, None] * d for e in (-1e-6, 1e-6))
    assert not solid.contains(before[hits.found]).any()
    assert solid.contains(after[at]).float().mean() > 0.98  # float32 poses blur the very edge
    assert (normals[hits.found].norm(dim=-1) - 1).abs().max() < 1e-5 if hits.found.any() else True
    assert ((normals * d).sum(-1)[hits.found] <= 0).all()


def test_nearest_thing_wins_whatever_the_order() -> None:
    things = [
        Thing(n, (put(Ellipsoid((0.5, 0.5, 0.5)), (x, 0.0, 0.0), PLAIN),)) for n, x in (("far", 6.0), ("near", 2.0))
    ]
    o, d = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])
    for order in (things, things[::-1]):
        world = World(tuple(order))
        hits = world.cast(o, d)
        assert hits.distance.item() == pytest.approx(1.5)
        assert order[int(hits.instance)].name == "near"
        assert world.blocked(o, d, torch.tensor([1.6])).item()
        assert not world.blocked(o, d, torch.tensor([1.4])).item()
        assert not world.cast(o, d, limit=1.4).found.any()


def test_moving_a_thing_moves_its_hits() -> None:
    thing = Thing("pole", (put(Frustum(0.1, 0.1, 2.0), (1.0, 0.0, 1.0), PLAIN),))
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = turned(yaw=math.pi / 2), torch.tensor([0.0, 3.0, 0.0])
    hits = World((move(thing, pose),)).cast(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert hits.distance.item() == pytest.approx(3.9)  # x = 1 of the thing is y = 4 of the world


def test_panorama_of_a_sphere_and_a_floor_to_half_a_pixel() -> None:
    """A sphere at azimuth +30 degrees covers exactly the pixels whose centre is within its angle."""
    height = 64
    rays = directions(height).flatten(0, 1)
    centre = (4 * math.cos(math.pi / 6), 4 * math.sin(math.pi / 6), 0.0)
    world = World(
        (
            Thing("ball", (put(Ellipsoid((1.0, 1.0, 1.0)), centre, PLAIN),)),
            Thing("floor", (put(Box((50.0, 50.0, 1.0)), (0, 0, -2.1), PLAIN),)),
        )
    )
    hits = world.cast(torch.zeros_like(rays), rays)
    angle = torch.acos((rays @ torch.tensor(centre) / 4).clamp(-1, 1))
    clear = (angle - math.asin(1 / 4)).abs() > 1e-4
    assert torch.equal((hits.instance == 0)[clear], (angle < math.asin(1 / 4))[clear])
    below = (hits.instance == 1).unflatten(0, (height, -1))
    row = torch.arange(height)[:, None].expand_as(below)[below]
    expected = 1.6 / torch.sin(math.pi * (row + 0.5) / height - math.pi / 2)
    torch.testing.assert_close(hits.distance.unflatten(0, (height, -1))[below], expected, rtol=1e-5, atol=1e-5)
