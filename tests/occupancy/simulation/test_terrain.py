"""What a map means for a car, on maps made by hand."""

from dataclasses import replace

import torch

from worldloom.geometry import FREE, VoxelGrid
from worldloom.occupancy.simulation.terrain import Terrain
from worldloom.occupancy.static_map import StaticMap

ROAD, SIDEWALK, WALL, TREE = 11, 13, 15, 16


def a_map() -> StaticMap:
    """Road over all 40 x 40 columns in the lowest layer, sidewalk one layer higher where y > 4 m."""
    grid = VoxelGrid((-8.0, -8.0, -1.0), 0.4, (40, 40, 12))
    labels = torch.full(grid.shape, FREE, dtype=torch.uint8)
    labels[:, :30, 0] = ROAD
    labels[:, 30:, 1] = SIDEWALK
    known = torch.ones(grid.shape, dtype=torch.bool)
    nowhere = torch.zeros(grid.shape[:2], dtype=torch.bool)
    return StaticMap(labels, known, known, nowhere, grid, torch.eye(4, dtype=torch.float64))


def pose(x: float, y: float, quarter: int = 0) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    for _ in range(quarter):
        turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
        matrix[:3, :3] = turn @ matrix[:3, :3]
    matrix[:2, 3] = torch.tensor([x, y])
    return matrix


def under(static: StaticMap, *poses: torch.Tensor):
    return Terrain.of(static).under(torch.stack(poses))


def test_road_and_sidewalk() -> None:
    # The ego is 1.73 m wide, and its nose 3.44 m ahead of its axle.
    blocked, astray, known = under(a_map(), pose(0, 0), pose(0, 3.0), pose(0, 3.3), pose(0, 0.4, 1), pose(0, 0.8, 1))
    assert blocked.tolist() == [False] * 5
    assert astray.tolist() == [False, False, True, False, True]
    assert known == 1.0


def test_what_stands_is_in_the_way_only_at_the_height_of_a_car() -> None:
    static = a_map()
    static.labels[22:26, 18:22, 1:4] = WALL  # ahead, from 0.8 m to 2.4 m
    static.labels[22:26, 8:12, 8:11] = TREE  # a crown high above the road at y = -4
    static.labels[4, 18:22, 1:4] = WALL  # behind
    blocked, astray, _ = under(static, pose(-2, 0), pose(-4, 0), pose(-2, -4))
    assert blocked.tolist() == [True, False, False]
    assert not astray.any()


def test_a_single_voxel_is_noise() -> None:
    static = a_map()
    static.labels[22, 20, 2] = WALL
    blocked, _, _ = under(static, pose(-1, 0))
    assert not blocked.any()


def test_what_nobody_knows_is_not_held_against_the_ego() -> None:
    static = a_map()
    unknown = static.known.clone()
    unknown[20:] = False  # x > 0
    half = replace(static, known=unknown)
    blocked, astray, known = under(half, pose(-1.5, 3.3))
    assert not blocked.any()
    assert astray.all()  # the rear corner is on the sidewalk, which is known
    assert known == 0.5
    _, astray, known = under(half, pose(2.0, 3.3))
    assert not astray.any()
    assert known == 0.0
    _, _, outside = under(half, pose(50.0, 0.0))
    assert outside == 0.0


def test_ground_that_rises_is_no_obstacle() -> None:
    static = a_map()
    static.labels[:, :30, 0] = FREE
    for i in range(40):
        static.labels[i, :30, min(8, i // 5)] = ROAD  # a slope of 8 in 40
    static.labels[30, 5:25, 8] = WALL  # 0.8 m above the road there
    blocked, astray, _ = under(static, pose(-3, 0), pose(1.5, 0))
    assert blocked.tolist() == [False, True]
    assert not astray.any()
