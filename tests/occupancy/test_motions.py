"""Ways as motions in their users' own frames, and what is expected of who has been seen to move."""

import math

import pytest
import torch

from tests.occupancy.scenes_in_the_plane import walking
from worldloom.occupancy.motions import expected_motions, motions_from_poses, poses_from_motions

CAR, PEDESTRIAN = 4, 7


def test_motions_and_poses_are_inverse() -> None:
    dice = torch.Generator().manual_seed(3)
    origin = torch.randn(5, 1, 3, generator=dice)
    poses = origin + torch.randn(5, 6, 3, generator=dice) * torch.tensor([5, 5, 0.8])
    again = poses_from_motions(motions_from_poses(poses, origin, 1), origin)
    assert torch.allclose(again, poses, atol=1e-4)


def test_a_motion_is_the_mean_velocity_in_the_users_own_frame() -> None:
    origin = torch.tensor([[3.0, 1.0, math.pi / 2]])
    poses = torch.tensor([[3.0, 6.0, math.pi / 2], [3.0, 11.0, math.pi / 2 + 0.25]])  # 10 m/s along its own x
    assert torch.allclose(motions_from_poses(poses, origin, 1), torch.tensor([[2.0, 0, 0], [2.0, 0, 0.5]]), atol=1e-5)


def test_turns_take_the_short_way() -> None:
    origin = torch.tensor([[0.0, 0, math.pi - 0.05]])
    turn = motions_from_poses(torch.tensor([[0.0, 0, -math.pi + 0.05]]), origin, 1)[0, 2]
    assert turn == pytest.approx(0.2, abs=1e-5)  # a tenth of a radian in units of half a one


def test_everybody_is_expected_to_go_on_as_before() -> None:
    mean, spread = expected_motions(walking(2.5))
    assert torch.allclose(mean[0, :, 0], torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0, 0, 0]]), atol=1e-6)
    assert torch.allclose(spread[0, 0, 0], torch.tensor([0.1, 0.1, 0.1]))
    assert torch.allclose(spread[0, 1, 0], torch.tensor([0.25, 0.25, 0.35]))


def test_of_a_pedestrian_five_poses_tell_more_than_the_last_two() -> None:
    """The last pose errs by 0.2 m: a car may have braked, a pedestrian has not."""
    batch = walking(1.2)
    history = batch.history.clone()
    history[0, 1, :-1, 1] += 0.2  # all are relative to the last
    batch = batch._replace(history=history)
    speeds = []
    for label in (CAR, PEDESTRIAN):
        mean, _ = expected_motions(batch._replace(labels=torch.full_like(batch.labels, label)))
        speeds.append(5.0 * float(mean[0, 1, 0, 0]))
    last_two = 1.2 - 0.2 / 0.5
    assert abs(speeds[1] - 1.2) < 0.2
    assert abs(speeds[0] - last_two) < 0.2


def test_who_is_seen_once_may_go_as_fast_as_its_kind() -> None:
    batch = walking(2.5)
    for label, metres_per_second in ((CAR, 5.0), (PEDESTRIAN, 1.25)):
        mean, spread = expected_motions(batch._replace(labels=torch.full_like(batch.labels, label)))
        assert float(mean[0, 2].abs().max()) == 0
        assert float(spread[0, 2, 0, 0]) == pytest.approx(metres_per_second / 5)


def test_what_is_not_present_tells_nothing() -> None:
    batch = walking(2.5)
    history = batch.history.clone()
    history[0, 2, :-1] = 77.0
    for mine, theirs in zip(expected_motions(batch), expected_motions(batch._replace(history=history)), strict=True):
        assert torch.equal(mine, theirs)
