"""Poses of the plane against rigid motions of space."""

import math

import torch

from worldloom.geometry.plane import chained, seen_from
from worldloom.geometry.rigid import compose, invert, rotz, yaw_from_rotmat


def lifted(poses: torch.Tensor) -> torch.Tensor:
    return compose(rotz(poses[..., 2]), torch.nn.functional.pad(poses[..., :2], (0, 1)))


def test_they_are_rigid_motions() -> None:
    dice = torch.Generator().manual_seed(0)
    frames, poses = torch.randn(2, 7, 3, generator=dice, dtype=torch.float64) * torch.tensor([9.0, 9.0, 2.0])
    local = seen_from(poses, frames)
    want = invert(lifted(frames)) @ lifted(poses)
    assert torch.allclose(lifted(local), want, atol=1e-9)
    assert torch.allclose(local[:, 2], yaw_from_rotmat(want[:, :3, :3]), atol=1e-9)
    assert torch.allclose(lifted(chained(frames, local)), lifted(poses), atol=1e-9)


def test_turns_are_the_short_ones() -> None:
    turn = seen_from(torch.tensor([0.0, 0, -math.pi + 0.1]), torch.tensor([0.0, 0, math.pi - 0.1]))[2]
    assert abs(float(turn) - 0.2) < 1e-6
