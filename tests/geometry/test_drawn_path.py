"""A path through points passes through them, begins straight ahead, and ends where it ends."""

import math

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import yaw_from_rotmat
from worldloom.geometry.drawn_path import MAX_POINTS, path_through


def test_a_point_straight_ahead_is_a_straight_line_at_constant_speed() -> None:
    path = path_through([(20.0, 0.0)], speed=4.0, num_steps=6, dt=0.5)
    assert len(path) == 7
    torch.testing.assert_close(path.world_from_ego[0], torch.eye(4))
    torch.testing.assert_close(path.world_from_ego[:, 0, 3], 2.0 * torch.arange(7.0), atol=1e-2, rtol=0)
    assert path.world_from_ego[:, 1, 3].abs().max() < 1e-3


def test_it_leaves_ahead_passes_the_points_and_looks_along_the_way() -> None:
    points = [(10.0, 0.0), (18.0, 6.0), (20.0, 16.0)]
    poses = path_through(points, speed=1.0, num_steps=400, dt=0.1).world_from_ego
    for x, y in points:
        assert (poses[:, :2, 3] - torch.tensor([x, y])).norm(dim=1).min() < 0.08
    yaw = yaw_from_rotmat(poses[:, :3, :3])
    assert abs(yaw[0].item()) < 0.01
    assert math.radians(60) < yaw[-1].item() < math.radians(120), "it ends leftwards"
    moved = poses[1:101, :2, 3] - poses[:100, :2, 3]
    along = torch.atan2(moved[:, 1], moved[:, 0])
    assert (along - yaw[:100]).abs().max() < 0.05
    assert (moved.norm(dim=1) - 0.1).abs().max() < 2e-3


def test_it_stands_where_it_ends() -> None:
    poses = path_through([(3.0, 0.0)], speed=2.0, num_steps=6, dt=1.0).world_from_ego
    torch.testing.assert_close(poses[-1], poses[-2])
    assert poses[-1, 0, 3].item() == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize(
    ("points", "speed", "words"),
    [
        ([], 5.0, "1 to 64 points"),
        ([(1.0, 0.0)] * (MAX_POINTS + 1), 5.0, "1 to 64 points"),
        ([(math.nan, 0.0)], 5.0, "points within 1000 m"),
        ([(5000.0, 0.0)], 5.0, "points within 1000 m"),
        ([(0.1, 0.1)], 5.0, "or more from the start"),
        ([(9.0, 0.0)], 0.0, "a speed above 0"),
        ([(9.0, 0.0)], math.inf, "a speed above 0"),
    ],
)
def test_what_is_no_path_is_refused(points: list[tuple[float, float]], speed: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        path_through(points, speed, 4, 0.5)
