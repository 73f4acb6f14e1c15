"""Epipolar geometry: exact views meet it, a miss is counted in pixels, and COLMAP counts the same."""

import math

import numpy as np
import pytest
import torch

from worldloom.geometry import Camera, apply, intrinsics, look_at
from worldloom.geometry.epipolar import fundamental_matrix, sampson_error

SIZE = (48, 64)


def two_cameras() -> tuple[Camera, Camera]:
    eyes = torch.tensor([[0.0, 0.0, 1.6], [0.7, -0.4, 1.4]], dtype=torch.float64)
    poses = look_at(eyes, eyes.new_tensor([[5.0, 0.3, 1.0], [5.0, -0.5, 1.5]]))
    K = torch.stack([intrinsics(math.radians(70), SIZE), intrinsics(math.radians(50), SIZE)])
    cameras = Camera(poses, K.double(), SIZE)
    return cameras[0], cameras[1]


def pixels(camera: Camera, points: torch.Tensor) -> torch.Tensor:
    uvz = apply(camera.cam_from_world, points) @ camera.K.mT
    return uvz[:, :2] / uvz[:, 2:]


def seen_twice() -> tuple[Camera, Camera, torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    points = torch.tensor([5.0, 0.0, 1.2]) + torch.randn(40, 3, generator=dice).double()
    first, second = two_cameras()
    return first, second, pixels(first, points), pixels(second, points)


def test_projections_of_the_same_points_have_no_error() -> None:
    first, second, x, x_there = seen_twice()
    assert float(sampson_error(fundamental_matrix(first, second), x, x_there).max()) < 1e-9


def test_a_pixel_across_the_line_is_shared_by_both_views() -> None:
    """A step to the side: lines are rows. One pixel off is half a pixel off in each view, 1 / sqrt(2) together."""
    K = intrinsics(math.radians(90), SIZE)
    aside = torch.eye(4)
    aside[0, 3] = 0.5
    F = fundamental_matrix(Camera(torch.eye(4), K, SIZE), Camera(aside, K, SIZE))
    x = torch.tensor([[20.0, 10.0], [20.0, 10.0]])
    x_there = torch.tensor([[14.0, 11.0], [7.0, 10.0]])
    torch.testing.assert_close(sampson_error(F, x, x_there), torch.tensor([1 / math.sqrt(2), 0.0]).double())


def test_it_is_colmaps_error() -> None:
    pycolmap = pytest.importorskip("pycolmap")
    first, second, x, x_there = seen_twice()
    F = fundamental_matrix(first, second)
    x_there = x_there + torch.randn(x_there.shape, generator=torch.Generator().manual_seed(1))
    theirs = pycolmap.compute_squared_sampson_error(x.numpy(), x_there.numpy(), F.numpy())
    np.testing.assert_allclose(sampson_error(F, x, x_there).square().numpy(), theirs, rtol=1e-9)


def test_cameras_in_one_place_tell_nothing() -> None:
    first, _, x, x_there = seen_twice()
    assert bool(sampson_error(fundamental_matrix(first, first), x, x_there).isnan().all())
