"""Rays through voxels: closed forms, and brute force by small steps."""

import math

import pytest
import torch

from worldloom.geometry import FREE, VoxelGrid
from worldloom.render.occupancy_rays import cast_occupancy

GRID = VoxelGrid((-2.0, -3.0, -1.0), 0.5, (12, 10, 6))
WALL = 15


def empty() -> torch.Tensor:
    return torch.full(GRID.shape, FREE, dtype=torch.uint8)


def cast(labels, origins, directions, **more):
    return cast_occupancy(labels, GRID, torch.tensor(origins), torch.tensor(directions), **more)


def test_a_wall_is_met_at_its_face() -> None:
    labels = empty()
    labels[8] = WALL  # x from 2.0 to 2.5
    distance, label = cast(labels, [[-1.3, 0.1, 0.2]] * 2, [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    assert distance.tolist() == pytest.approx([3.3, 3.3])  # directions need no unit length
    assert label.tolist() == [WALL, WALL]
    slanted, _ = cast(labels, [[-1.3, 0.1, 0.2]], [[1.0, 0.5, 0.0]])
    assert slanted.item() == pytest.approx(3.3 * math.hypot(1, 0.5))
    back, label = cast(labels, [[3.9, 0.1, 0.2]], [[-1.0, 0.0, 0.0]])
    assert back.item() == pytest.approx(1.4)


def test_what_is_not_met_is_infinitely_far() -> None:
    labels = empty()
    labels[8] = WALL
    distance, label = cast(
        labels,
        [[-1.3, 0.1, 0.2], [-1.3, 0.1, 0.2], [0.0, 9.0, 0.0], [-9.0, 0.1, 9.0]],
        [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
    )
    assert distance.isinf().all()
    assert (label == FREE).all()
    near, _ = cast(labels, [[-1.3, 0.1, 0.2]], [[1.0, 0.0, 0.0]], max_range=3.2)
    assert near.isinf().all()
    just, _ = cast(labels, [[-1.3, 0.1, 0.2]], [[1.0, 0.0, 0.0]], max_range=3.4)
    assert just.item() == pytest.approx(3.3)


def test_rays_enter_from_outside_and_may_begin_inside_something() -> None:
    labels = empty()
    labels[0, 3, 2] = WALL  # x from -2.0 to -1.5, y from -1.5 to -1.0, z from 0.0 to 0.5
    outside, _ = cast(labels, [[-7.0, -1.2, 0.3]], [[1.0, 0.0, 0.0]])
    assert outside.item() == pytest.approx(5.0)
    inside, label = cast(labels, [[-1.8, -1.2, 0.3]], [[0.3, 0.2, 1.0]])
    assert inside.item() == 0.0
    assert label.item() == WALL


def test_every_direction_agrees_with_small_steps() -> None:
    dice = torch.Generator().manual_seed(0)
    labels = empty()
    labels[torch.rand(GRID.shape, generator=dice) < 0.12] = WALL
    low, size = torch.tensor(GRID.origin), 0.5 * torch.tensor(GRID.shape)
    origins = low + torch.rand(600, 3, generator=dice) * size * 1.2 - 0.1 * size
    directions = torch.nn.functional.normalize(torch.randn(600, 3, generator=dice), dim=1)
    distance, label = cast_occupancy(labels, GRID, origins, directions, 9.0)
    along = torch.arange(0, 9.0, 0.002)
    cells = (((origins[:, None] + along[:, None] * directions[:, None]) - low) / 0.5).floor().long()
    inside = ((cells >= 0) & (cells < torch.tensor(GRID.shape))).all(-1)
    x, y, z = cells.clamp(min=0).minimum(torch.tensor(GRID.shape) - 1).unbind(-1)
    solid = inside & (labels[x, y, z] != FREE)
    first = torch.where(solid.any(1), along[solid.to(torch.uint8).argmax(1)], math.inf)
    # Small steps jump over the corners of cells: where both meet something it is at the same place.
    both = first.isfinite() & distance.isfinite()
    assert int(both.sum()) > 200
    assert int((first.isfinite() & ~distance.isfinite()).sum()) == 0
    assert int((distance.isfinite() & ~first.isfinite()).sum()) <= 6
    close = (first - distance)[both].abs() < 0.003
    assert float(close.float().mean()) > 0.98
    assert ((label == WALL) == distance.isfinite()).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="grid's shape"):
        cast_occupancy(empty()[:4], GRID, torch.zeros(1, 3), torch.ones(1, 3))
    with pytest.raises(ValueError, match="length"):
        cast(empty(), [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]])
