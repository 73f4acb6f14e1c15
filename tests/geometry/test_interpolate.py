"""Poses between poses: exact at knots, constant velocity between them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worldloom.geometry import (
    Camera,
    EgoPath,
    compose,
    interpolate_poses,
    intrinsics,
    invert,
    path_from_steps,
    resample_cameras,
    resample_path,
    rotmat_from_quat,
    rotz,
    yaw_from_rotmat,
)

seeds = st.integers(0, 2**32)


def random_poses(seed: int, num: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    quats = torch.randn(num, 4, generator=generator, dtype=torch.float64)
    return compose(rotmat_from_quat(quats), torch.randn(num, 3, generator=generator, dtype=torch.float64))


def angle(rotation: Tensor) -> Tensor:
    """Of rotation matrices; by the sine too, because the cosine is blind near 0."""
    skew = rotation - rotation.mT
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1).norm(dim=-1) / 2
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)


@given(seeds)
def test_knots_return_bit_for_bit(seed: int) -> None:
    poses = random_poses(seed, 5).float()
    knots = torch.tensor([0.0, 0.3, 1.0, 1.7, 4.0])
    assert torch.equal(interpolate_poses(poses, knots, knots), poses)


@given(seeds, st.floats(0, 1))
def test_angle_and_way_grow_linearly(seed: int, fraction: float) -> None:
    poses = random_poses(seed, 2)
    knots = torch.tensor([10.0, 12.0], dtype=torch.float64)
    between = interpolate_poses(poses, knots, knots[:1] + 2 * fraction)[0]
    whole = angle(invert(poses[0])[:3, :3] @ poses[1, :3, :3])
    part = angle(invert(poses[0])[:3, :3] @ between[:3, :3])
    rest = angle(invert(between)[:3, :3] @ poses[1, :3, :3])
    assert part.item() == pytest.approx(fraction * whole.item(), abs=1e-6)
    assert (part + rest).item() == pytest.approx(whole.item(), abs=1e-6)  # on the shortest way
    assert torch.allclose(between[:3, 3], (1 - fraction) * poses[0, :3, 3] + fraction * poses[1, :3, 3])


def test_small_angles_keep_their_digits() -> None:
    yaw = torch.tensor([0.0, 1e-5], dtype=torch.float64)
    between = interpolate_poses(compose(rotz(yaw), torch.zeros(2, 3, dtype=torch.float64)), yaw, yaw[1:] / 4)
    assert yaw_from_rotmat(between[0, :3, :3]).item() == pytest.approx(2.5e-6, rel=1e-6)


def test_half_turn_is_a_rotation_by_half() -> None:
    poses = compose(rotz(torch.tensor([0.0, math.pi])), torch.zeros(2, 3))
    middle = interpolate_poses(poses, torch.tensor([0.0, 1.0]), torch.tensor([0.5]))[0, :3, :3]
    assert abs(yaw_from_rotmat(middle).item()) == pytest.approx(math.pi / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("knots", "times"),
    [([0.0, 0.0, 1.0], [0.5]), ([1.0, 0.5, 2.0], [0.7]), ([0.0, 1.0, 2.0], [2.1]), ([0.0, 1.0, 2.0], [float("nan")])],
)
def test_refuses(knots: list[float], times: list[float]) -> None:
    with pytest.raises(ValueError, match=r"knots|times"):
        interpolate_poses(torch.eye(4).expand(3, 4, 4), torch.tensor(knots), torch.tensor(times))


def test_cameras_zoom_linearly() -> None:
    K = torch.stack([intrinsics(1.0, (10, 20)), intrinsics(0.5, (10, 20))])
    path = Camera(random_poses(0, 2).float(), K, (10, 20))
    there = resample_cameras(path, torch.tensor([0.0, 2.0]), torch.tensor([0.5, 2.0]))
    assert torch.allclose(there.K[0], 0.75 * K[0] + 0.25 * K[1])
    assert torch.equal(there.K[1], K[1])


def test_path_resampled_finer_and_back() -> None:
    drive = path_from_steps(torch.eye(4), torch.tensor([[2.0, 0.0, 0.1], [2.0, 0.1, -0.2], [1.0, 0.0, 0.3]]), 0.5)
    fine = resample_path(drive, 0.1)
    assert len(fine) == 16
    assert torch.allclose(fine.world_from_ego[::5], drive.world_from_ego, atol=1e-6)
    assert torch.allclose(resample_path(fine, 0.5).world_from_ego, drive.world_from_ego, atol=1e-6)
    assert len(resample_path(drive, 0.4)) == 4  # 0, 0.4, 0.8, 1.2 of 1.5 seconds


def test_batched_path() -> None:
    poses = torch.stack([random_poses(1, 4), random_poses(2, 4)]).float()
    both = resample_path(EgoPath(poses, 0.5), 0.2)
    assert torch.equal(both[1].world_from_ego, resample_path(EgoPath(poses[1], 0.5), 0.2).world_from_ego)
