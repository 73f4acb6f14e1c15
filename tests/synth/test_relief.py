"""Gently sloped ground: heights, slopes, and frames that stand on it."""

import math

import pytest
import torch

from worldloom.synth.relief import Relief, make_relief


@pytest.fixture
def ramp() -> Relief:
    """One wave along x that climbs 4 % at the origin."""
    return Relief(torch.tensor([2.0]).double(), torch.tensor([[0.02, 0.0]]).double(), torch.zeros(1).double())


def test_height_and_gradient_of_one_wave(ramp: Relief):
    xy = torch.tensor([[0.0, 5.0], [50.0, -3.0]], dtype=torch.float64)
    assert ramp.height(xy).tolist() == pytest.approx([0.0, 2 * math.sin(1.0)])
    assert ramp.gradient(xy)[0].tolist() == pytest.approx([0.04, 0.0])
    assert ramp.gradient(xy)[1].tolist() == pytest.approx([0.04 * math.cos(1.0), 0.0])


@pytest.mark.parametrize("seed", range(12))
def test_no_place_is_steeper_than_it_says(seed: int):
    relief = make_relief(seed)
    xy = 2000 * torch.rand(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1000
    assert relief.max_slope <= 0.05
    assert float(relief.gradient(xy).norm(dim=-1).max()) <= relief.max_slope
    step = 1e-4
    for axis in range(2):
        there = xy.clone()
        there[:, axis] += step
        slope = (relief.height(there) - relief.height(xy)) / step
        assert torch.allclose(slope, relief.gradient(xy)[:, axis], atol=1e-6)


def test_frame_uphill_points_up(ramp: Relief):
    """Facing +x at the origin, the nose is 4 % up, and left is level."""
    frame = ramp.world_from_ground(torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 0.5)[0]
    x, y, z = frame[:3, :3].T
    assert (x[2] / x[0]).item() == pytest.approx(0.04)
    assert y.tolist() == pytest.approx([0, 1, 0])
    assert z[0] < 0 < z[2]
    assert frame[:3, 3].tolist() == pytest.approx([0, 0, 0.5])


def test_frames_are_rotations_with_exact_yaw():
    relief = make_relief(3)
    g = torch.Generator().manual_seed(1)
    xy = 400 * torch.rand(50, 2, dtype=torch.float64, generator=g)
    yaw = 6 * torch.rand(50, dtype=torch.float64, generator=g) - 3
    frames = relief.world_from_ground(xy, yaw)
    rotation = frames[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3), atol=1e-12)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0]), yaw, atol=1e-12)
    # Both horizontal axes are tangents of the surface: a small step along them stays on it.
    for axis in range(2):
        step = 1e-4 * rotation[:, :, axis]
        rise = relief.height(xy + step[:, :2]) - relief.height(xy)
        assert torch.allclose(rise, step[:, 2], atol=1e-9)


def test_same_seed_same_hills_and_others_differ():
    xy = torch.tensor([[10.0, 20.0]])
    assert make_relief(5).height(xy) == make_relief(5).height(xy)
    assert make_relief(5).height(xy) != make_relief(6).height(xy)
