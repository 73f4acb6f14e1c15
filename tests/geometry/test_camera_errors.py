"""Errors of cameras are those that were put in, in any world."""

import math

import pytest
import torch

from worldloom.geometry.camera_errors import align_cameras, pair_errors, pose_auc
from worldloom.geometry.rigid import compose, rotz

DICE = torch.Generator().manual_seed(0)


def turns(n: int) -> torch.Tensor:
    q, _ = torch.linalg.qr(torch.randn(n, 3, 3, generator=DICE, dtype=torch.float64))
    return q * torch.linalg.det(q).sign()[:, None, None]


CAMERAS = compose(turns(5), torch.randn(5, 3, generator=DICE, dtype=torch.float64))
WORLD = compose(turns(1)[0], torch.tensor([3.0, -2.0, 7.0], dtype=torch.float64))


def elsewhere(scale: float = 2.5) -> torch.Tensor:
    """The same cameras in another world and unit."""
    poses = WORLD @ CAMERAS
    return compose(poses[:, :3, :3], scale * poses[:, :3, 3])


def test_other_worlds_and_units_are_no_error() -> None:
    assert pair_errors(elsewhere(), CAMERAS).shape == (10,)
    assert pair_errors(elsewhere(), CAMERAS).max() < 1e-4


@pytest.mark.parametrize("degrees", [2.0, 20.0])
def test_a_turned_camera_has_its_turn(degrees: float) -> None:
    turned = CAMERAS.clone()
    turned[4, :3, :3] = turned[4, :3, :3] @ rotz(torch.tensor(math.radians(degrees)).double())
    errors = pair_errors(turned, CAMERAS)
    assert (errors < 1e-4).sum() == 6
    torch.testing.assert_close(errors[errors > 1e-4], torch.full((4,), degrees).double(), atol=1e-4, rtol=0)


def test_a_camera_on_the_wrong_side_is_wrong_in_direction() -> None:
    eye = torch.eye(3).double().expand(2, 3, 3)
    one = compose(eye, torch.tensor([[0.0, 0, 0], [1, 0, 0]]).double())
    other = compose(eye, torch.tensor([[0.0, 0, 0], [-1, 0, 0]]).double())
    assert pair_errors(one, other).item() == pytest.approx(180)


def test_the_area_is_exact_and_what_is_missing_counts() -> None:
    assert pose_auc(torch.zeros(4), 5.0) == 1
    assert pose_auc(torch.tensor([1.0, 4.0, 9.0, torch.inf]), 5.0) == pytest.approx((4 + 1) / 20)
    lost = CAMERAS.clone()
    lost[0] = torch.nan
    assert pair_errors(lost, CAMERAS).isinf().sum() == 4


def test_cameras_are_brought_to_true_ones() -> None:
    torch.testing.assert_close(align_cameras(elsewhere(), CAMERAS).poses(elsewhere()), CAMERAS)
    row = CAMERAS.clone()
    row[:, :3, 3] = torch.arange(5.0)[:, None].double() * torch.tensor([1.0, 0, 0]).double()
    moved = WORLD @ row
    torch.testing.assert_close(align_cameras(moved, row).poses(moved), row)  # a row leaves no turn open


def test_one_place_tells_no_scale() -> None:
    with pytest.raises(ValueError, match="at least two"):
        align_cameras(CAMERAS[:1], CAMERAS[:1])
    still = CAMERAS.clone()
    still[:, :3, 3] = 1
    with pytest.raises(ValueError, match="different places"):
        align_cameras(still, CAMERAS)
