"""A visitor stands on the floor, stops at walls, slides along them, and flies round matter."""

import math

import numpy as np
import pytest
import torch

from worldloom.apps.walk.passage import HEAD, Air, Footing, towards
from worldloom.geometry import VoxelGrid
from worldloom.recon.mesh import SceneVoxels
from worldloom.scenegen.walkable import CELL, Walkable


@pytest.fixture
def footing() -> Footing:
    """A room of 4 m x 4 m around (5, 1), the floor at -1.6 m, the eye at 1.6 m over it; a pillar ahead of the start."""
    half = 30
    free = np.zeros((2 * half, 2 * half), bool)
    free[10:50, 10:50] = True
    free[38:42, 28:32] = False
    return Footing(Walkable(free, -1.6), (5.0, 1.0, 0.0), 1.6)


def test_a_way_that_is_free_is_gone_to_its_end_at_the_height_of_the_eye(footing: Footing) -> None:
    assert footing.walked((5.0, 1.0, 0.0), (5.5, 1.5, 0.7)) == pytest.approx((5.5, 1.5, 0.0))


def test_a_wall_stops_and_is_slid_along(footing: Footing) -> None:
    x, y, _ = footing.walked((5.0, 1.0, 0.0), (8.0, 2.5, 0.0))
    assert 6.9 < x < 7.0 + CELL  # the wall ahead is 2 m from the start
    assert y == pytest.approx(2.5, abs=CELL)


def test_nobody_walks_through_a_pillar_in_one_long_step(footing: Footing) -> None:
    x, y, _ = footing.walked((5.0, 1.0, 0.0), (6.5, 1.0, 0.0))
    assert x < 5.9
    assert y == pytest.approx(1.0)


def test_who_stands_nowhere_is_put_on_the_nearest_ground(footing: Footing) -> None:
    x, y, z = footing.walked((20.0, 1.0, 3.0), (21.0, 1.0, 3.0))
    assert footing.at(x, y)
    assert x > 6.8
    assert z == pytest.approx(0.0)


@pytest.fixture
def air() -> Air:
    """A wall of one voxel of 0.1 m across x, from 1.0 to 1.1."""
    occupied = torch.zeros(40, 20, 20, dtype=torch.bool)
    occupied[20] = True
    grid = VoxelGrid((-1.0, -1.0, -1.0), 0.1, (40, 20, 20))
    return Air.around(SceneVoxels(occupied, ~occupied, torch.zeros(40, 20, 20), grid))


def test_matter_stops_a_flight_before_it_is_touched(air: Air) -> None:
    x, y, z = air.flown((0.0, 0.0, 0.0), (2.5, 0.3, 0.2))
    assert 1.0 - HEAD - 0.15 < x < 1.0 - HEAD + 0.06
    assert (y, z) == pytest.approx((0.3, 0.2), abs=0.05)


def test_out_of_matter_the_way_is_open(air: Air) -> None:
    assert air.flown((1.05, 0.0, 0.0), (0.0, 0.0, 0.0)) == pytest.approx((0.0, 0.0, 0.0))


def test_beyond_the_grid_and_without_matter_all_is_free(air: Air) -> None:
    assert air.free((50.0, 0.0, 0.0)) == math.inf
    nothing = torch.zeros(4, 4, 4, dtype=torch.bool)
    empty = Air.around(SceneVoxels(nothing, ~nothing, torch.zeros(4, 4, 4), VoxelGrid((0.0, 0.0, 0.0), 0.1, (4, 4, 4))))
    assert empty.flown((0.0, 0.0, 0.0), (0.3, 0.3, 0.3)) == pytest.approx((0.3, 0.3, 0.3))


def test_a_target_is_at_arms_length() -> None:
    assert towards((1.0, 0.0, 0.0), (1.0, 8.0, 6.0), 0.5) == pytest.approx((1.0, 0.4, 0.3))
