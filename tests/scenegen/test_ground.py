"""Walkable ground in places whose ground is known."""

import math

import numpy as np
import pytest
import torch

from tests.scenegen.rooms import box_distance, furnished, panorama_of, sphere_room
from worldloom.geometry import Agent
from worldloom.geometry.equirect import directions
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.ground import find_ground

AGENT = Agent()


def ground_of(panorama, agent=AGENT, max_voxels=200_000, spare=0.0):
    return find_ground(panorama, FreeSpace(panorama, max_voxels), agent, spare)


def at(ground, x, y):
    i, j = ground.cells(torch.tensor([[x, y, 0.0]]))[0]
    inside = 0 <= i < ground.walkable.shape[0] and 0 <= j < ground.walkable.shape[1]
    return bool(inside and ground.walkable[i, j])


def ramp(slope, height=256):
    """Flat ground 1.6 m below out to x = 2 m, then a rise; a ceiling of 6 m radius."""
    rays = directions(height).double()
    flat = torch.where(rays[..., 2] < 0, -1.6 / rays[..., 2].clamp(max=-1e-9), math.inf)
    # z = -1.6 + slope (x - 2): d (dz - slope dx) = -1.6 - 2 slope
    falling = rays[..., 2] - slope * rays[..., 0]
    rising = torch.where(falling < 0, (-1.6 - 2 * slope) / falling.clamp(max=-1e-9), math.inf)
    far = rays[..., 0] * torch.where(flat.isfinite(), flat, 1e3) > 2
    ground = torch.where(far | ~flat.isfinite(), rising, flat)
    return panorama_of(torch.minimum(ground, torch.tensor(6.0, dtype=torch.float64)).float())


def test_an_empty_room_is_walkable_to_a_radius_from_its_walls():
    ground = ground_of(furnished(height=192))
    inner = (8 - 2 * AGENT.radius) ** 2
    assert ground.area == pytest.approx(inner, rel=0.13)
    assert ground.area < inner
    assert ground.height[ground.walkable] == pytest.approx(-1.6, abs=0.02)
    cells = np.argwhere(ground.walkable)
    points = ground.points(cells)
    assert points[:, 0].min() >= -3 + AGENT.radius
    assert points[:, 0].max() <= 5 - AGENT.radius
    assert points[:, 1].abs().max() <= 4 - AGENT.radius
    assert ground.start is not None
    assert ground.points(np.array([ground.start]))[0, :2].norm() < ground.cell


def test_spare_room_is_kept_as_well():
    narrow, wide = (ground_of(furnished(height=192), spare=spare) for spare in (0.3, 0.0))
    assert narrow.area == pytest.approx((8 - 2 * 0.55) ** 2, rel=0.13)
    assert (wide.walkable | ~narrow.walkable).all()


def test_a_table_blocks_what_is_under_it_on_it_and_behind_it():
    table = ((1.0, -0.5, -0.9), (2.0, 0.5, -0.8))
    ground = ground_of(furnished(table, height=192))
    assert not at(ground, 1.5, 0.0)  # under it, or on it: 0.8 m is no step
    assert not at(ground, 2.5, 0.0)  # in its shadow on the ground
    assert not at(ground, 0.9, 0.0)  # closer to it than a radius
    assert at(ground, 0.6, 0.0)
    assert at(ground, 1.5, 1.5)


def test_a_low_bar_is_stepped_over_and_a_higher_one_is_not():
    for top, walkable in ((-1.45, True), (-1.3, False)):
        across = ((1.0, -4.0, -1.6), (1.6, 4.0, top))
        ground = ground_of(furnished(across, height=256))
        assert at(ground, 0.5, 0.0)
        assert at(ground, 3.0, 0.0) is walkable
        assert at(ground, 1.3, 0.0) is walkable


def test_a_beam_at_head_height_blocks_the_body_and_one_above_does_not():
    for bottom, walkable in ((-0.2, False), (0.3, True)):
        beam = ((1.0, -4.0, bottom), (1.4, 4.0, bottom + 0.2))
        ground = ground_of(furnished(beam, height=256))
        assert at(ground, 0.5, 0.0)
        assert at(ground, 1.2, 0.0) is walkable


@pytest.mark.parametrize(("degrees", "walkable"), [(20, True), (30, True), (42, False)])
def test_slopes(degrees, walkable):
    ground = ground_of(ramp(math.tan(math.radians(degrees))), Agent(height=1.2))
    assert at(ground, 1.0, 0.0)
    assert at(ground, 2.9, 0.0) is walkable
    if walkable:
        i, j = ground.cells(torch.tensor([[2.9, 0.0, 0.0]]))[0]
        x = ground.points(np.array([[i, j]]))[0, 0].item()
        expected = -1.6 + math.tan(math.radians(degrees)) * (x - 2)
        assert ground.height[i, j] == pytest.approx(expected, abs=0.05)


def test_a_gap_narrower_than_the_body_parts_the_ground():
    for half, walkable in ((0.2, False), (0.5, True)):
        walls = [((1.5, half, -1.6), (1.9, 4.0, 1.2)), ((1.5, -4.0, -1.6), (1.9, -half, 1.2))]
        ground = ground_of(furnished(*walls, height=256))
        assert at(ground, 0.5, 0.0)
        assert at(ground, 2.6, 0.0) is walkable


def test_a_wide_agent_has_less_ground():
    areas = [ground_of(furnished(), Agent(radius=radius)).area for radius in (0.15, 0.3, 0.6)]
    assert areas == sorted(areas, reverse=True)
    assert areas[2] == pytest.approx((8 - 1.2) ** 2, rel=0.15)


def test_no_ground_where_there_is_only_air_or_a_wall():
    everywhere = torch.ones(96, 192, dtype=torch.bool)
    for panorama in (panorama_of(sphere_room(5), everywhere), panorama_of(sphere_room(0.2))):
        ground = ground_of(panorama)
        assert ground.start is None
        assert ground.area == 0
        assert np.isinf(ground.metres_on_foot()).all()


def test_ground_too_far_below_or_above_the_eye_is_not_the_start():
    # The panorama hangs under a shelf; only the shelf's top, above the eye, would be near.
    pit = panorama_of(box_distance((-0.6, -0.6, -8.0), (0.6, 0.6, 3.0)))
    assert ground_of(pit).start is None


def test_metres_on_foot_go_round_a_wall():
    wall = ((1.5, -1.0, -1.6), (1.7, 4.0, 1.2))
    ground = ground_of(furnished(wall, height=192))
    metres = ground.metres_on_foot()
    assert ground.start is not None
    assert metres[ground.start] == 0
    i, j = ground.cells(torch.tensor([[0.8, -2.0, 0.0]]))[0]
    assert metres[i, j] == pytest.approx(math.hypot(0.8, 2.0), rel=0.1)  # steps to eight neighbours are up to 8 % long
    assert np.isinf(metres[~ground.walkable]).all()
    assert np.isfinite(metres[ground.walkable]).all()


def test_room_falls_to_nothing_at_the_border_and_outside():
    ground = ground_of(furnished())
    points = torch.tensor([[1.0, 0.0, 0.0], [4.6, 0.0, 0.0], [4.95, 0.0, 0.0], [50.0, 0.0, 0.0]])
    middle, near, border, outside = ground.room_at(points).tolist()
    assert middle == pytest.approx(4.0, abs=0.3)
    assert near == pytest.approx(0.4, abs=0.15)
    assert border < 0.1
    assert outside == 0
