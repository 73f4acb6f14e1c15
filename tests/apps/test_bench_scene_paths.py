"""The judge of paths: a hall whose clearances and views are known, and what it must not let pass."""

import math

import pytest
import torch

from worldloom.apps.bench.scene import paths as bench
from worldloom.geometry import Camera, intrinsics
from worldloom.scenegen import ScenePath, plan_paths
from worldloom.scenegen.motion import Motion
from worldloom.synth.cast import Caster
from worldloom.synth.shapes import box
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5))
SIZE = (36, 64)


def block(low, high):
    size = tuple(b - a for a, b in zip(low, high, strict=True))
    middle = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    return Thing("block", "clutter", (box(size, middle, GREY),))


def hall(*blocks):
    """A floor and four walls about (0, 0, 1.6), 8 x 6 m inside, under the open sky."""
    walls = [
        ((-5, -4, -0.2), (5, 4, 0.0)),
        ((4, -4, 0), (5, 4, 3)),
        ((-5, -4, 0), (-4, 4, 3)),
        ((-4, 3, 0), (4, 4, 3)),
        ((-4, -4, 0), (4, -3, 3)),
    ]
    things = tuple(block(low, high) for low, high in [*walls, *blocks])
    return Caster(World("room", 0, things, Sky((0.0, 0.0, 1.0)), torch.tensor([[0.0, 0.0, 1.6]])))


def along(*points):
    """A path through points, the gaze along +x."""
    places = torch.tensor(points, dtype=torch.float32)
    n = len(places)
    motion = Motion(places, torch.zeros(n), torch.zeros(n), torch.arange(n).float())
    cameras = Camera(motion.poses, intrinsics(math.pi / 2, SIZE).expand(n, 3, 3).clone(), SIZE)
    return ScenePath("made", "user", cameras, motion.times, motion.length, math.nan, motion=motion)


@pytest.fixture(scope="module")
def planned():
    caster = hall(((1.5, 0.5, 0.0), (2.3, 1.3, 1.0)))
    options = {"max_voxels": 60_000, "num_views": 6, "budget": 48, "size": SIZE}
    return caster, plan_paths(bench.true_panorama(caster, 128), **options)


def test_the_panorama_has_the_halls_distances():
    panorama = bench.true_panorama(hall(), 64)
    assert panorama.distance[31:33, 63:65].mean().item() == pytest.approx(4.0, abs=0.01)  # ahead
    assert panorama.distance[31:33, 31:33].mean().item() == pytest.approx(3.0, abs=0.01)  # left
    assert panorama.distance[-1].mean().item() == pytest.approx(1.6, abs=0.01)
    assert panorama.sky[0].all()


def test_no_planned_path_touches_the_mesh(planned):
    caster, plan = planned
    for path in (*plan.paths, *plan.spare):
        assert not bench.crosses(caster, path), path.name
        assert bench.least_clearance(caster, path) >= plan.place.agent.radius, path.name
        assert not path.walks or not bench.touched(caster, plan, path), path.name
    assert any(path.walks for path in (*plan.paths, *plan.spare))


def test_a_path_through_the_block_is_caught_between_its_points(planned):
    caster, _ = planned
    assert bench.crosses(caster, along((0.007, 0.9, 0.5), (3.5, 0.9, 0.5)))
    assert not bench.crosses(caster, along((0.0, 0.9, 1.2), (3.5, 0.9, 1.2)))
    assert not bench.crosses(caster, along((0.0, 0.0, 1.2), (0.0, 0.0, 1.2)))


def test_clearance_is_that_of_the_nearest_surface_on_the_way(planned):
    caster, _ = planned
    assert bench.least_clearance(caster, along((0.0, 0.0, 1.6))) == pytest.approx(1.6, abs=0.01)
    # The closest place, 0.4 m over the block's top, is halfway.
    way = along((1.0, 0.9, 1.4), (3.0, 0.9, 1.4))
    assert bench.least_clearance(caster, way) == pytest.approx(0.4, abs=0.01)


def test_a_walkers_body_counts(planned):
    caster, plan = planned
    beside = ((1.9, 0.4, plan.place.eye), (1.9, 0.35, plan.place.eye))  # the block is lower than the eye
    assert bench.least_clearance(caster, along(*beside)) > 0.4
    assert bench.touched(caster, plan, along(*beside)) == {"clutter"}
    aside = [(x, y - 0.2, z) for x, y, z in beside]  # 0.3 m from it
    assert bench.touched(caster, plan, along(*aside)) == set()


def test_views_of_the_mesh():
    caster = hall(((1.5, -1.0, 0.0), (1.7, 1.0, 3.0)))  # a screen across the view ahead
    panorama = bench.true_panorama(caster, 64)
    patches = bench.surface_patches(caster, panorama)
    inside = (patches.points[:, 0].abs() < 4.001) & (patches.points[:, 1].abs() < 3.001)
    x, y, z = patches.points.unbind(-1)
    wall = inside & (x > 3.99) & (patches.normals[:, 0] < -0.9) & (z > 0.1) & (z < 2.9)
    # Even density: the wall ahead is 6 x 2.8 m.
    assert patches.areas[wall].sum().item() == pytest.approx(16.8, rel=0.05)
    path = along((0.0, 0.0, 1.6), (0.0, 0.0, 1.6))
    counts = bench.count_true_views(caster, patches, [path])
    behind = wall & (y.abs() < 2.5)  # the screen's shadow on the wall is |y| < 2.67
    assert not counts[behind].any()
    front = inside & (patches.normals[:, 0] < -0.9) & ((x - 1.5).abs() < 0.01) & (y.abs() < 0.9)
    front &= (z > 1.0) & (z < 2.2)  # 36 x 64 pixels over 90 degrees: 29 degrees up and down
    assert front.any()
    assert (counts[front] == 2).all()
    assert not counts[inside & (x < -0.1)].any()  # not in the picture


def test_ratios_and_collisions_of_a_world(monkeypatch):
    monkeypatch.setattr(bench, "_NUM_PATCHES", 20_000)
    monkeypatch.setattr(bench, "make_world", lambda kind, seed: hall(((1.5, 0.5, 0.0), (2.3, 1.3, 1.0))).world)
    truth = bench.measured("room", 0, 96)
    assert truth.collisions == ()
    assert set(truth.contacts) == {frozenset()}
    assert truth.num_checked > 10
    assert 0.25 <= truth.clearance < 1
    assert truth.seen > truth.regular_seen > 20
    assert truth.hidden_seen > truth.regular_hidden_seen
