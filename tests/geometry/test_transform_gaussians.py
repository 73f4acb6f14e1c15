"""Gaussians keep their look when they are moved."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import Gaussians, apply, compose, invert, rotmat_from_quat, sh_rotation, transform_gaussians
from worldloom.geometry.harmonics import sh_basis

quaternions = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: sum(c * c for c in q) > 0.01)


def rotation(quat: list[float]) -> torch.Tensor:
    return rotmat_from_quat(torch.tensor(quat, dtype=torch.float64))


def made_up(n: int = 20, k: int = 16) -> Gaussians:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    quats = torch.nn.functional.normalize(normal(n, 4), dim=1)
    return Gaussians(normal(n, 3), quats, normal(n, 3).exp(), normal(n).sigmoid(), normal(n, k, 3))


def covariance(gaussians: Gaussians) -> torch.Tensor:
    half = rotmat_from_quat(gaussians.quats) * gaussians.scales[:, None, :]
    return half @ half.mT


@given(quaternions, st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_colour_turns_with_the_object(quat: list[float], degree: int):
    turn, k = rotation(quat), (degree + 1) ** 2
    direction = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    coefficients = torch.randn(k, dtype=torch.float64)
    seen_turned = sh_basis(direction @ turn.mT, k) @ (sh_rotation(turn, degree) @ coefficients)
    torch.testing.assert_close(seen_turned, sh_basis(direction, k) @ coefficients, atol=1e-12, rtol=0)


@given(quaternions, quaternions)
@settings(max_examples=20, deadline=None)
def test_harmonics_represent_the_rotation_group(first: list[float], second: list[float]):
    a, b = rotation(first), rotation(second)
    torch.testing.assert_close(sh_rotation(a @ b, 3), sh_rotation(a, 3) @ sh_rotation(b, 3), atol=1e-12, rtol=0)
    torch.testing.assert_close(sh_rotation(a.mT, 3), sh_rotation(a, 3).mT, atol=1e-12, rtol=0)


def test_half_turn_about_x_is_the_known_list_of_signs():
    signs = sh_rotation(torch.diag(torch.tensor([1.0, -1.0, -1.0])), 3)
    assert torch.equal(signs, torch.diag(signs.diag()))
    assert (signs.diag() < 0).nonzero().flatten().tolist() == [1, 2, 4, 7, 9, 11, 12, 14]


@given(quaternions, st.lists(st.floats(-5, 5), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_means_and_covariances_move_rigidly_and_come_back(quat: list[float], translation: list[float]):
    b_from_a = compose(rotation(quat), torch.tensor(translation, dtype=torch.float64))
    gaussians = made_up()
    moved = transform_gaussians(gaussians, b_from_a)
    torch.testing.assert_close(moved.means, apply(b_from_a, gaussians.means))
    turn = b_from_a[:3, :3]
    torch.testing.assert_close(covariance(moved), turn @ covariance(gaussians) @ turn.mT)
    back = transform_gaussians(moved, invert(b_from_a))
    torch.testing.assert_close(back.means, gaussians.means)
    torch.testing.assert_close(back.sh, gaussians.sh, atol=1e-10, rtol=0)
    assert torch.equal(back.scales, gaussians.scales)


def test_mirrors_and_scales_are_refused():
    for matrix in (torch.diag(torch.tensor([1.0, -1, 1, 1])), torch.diag(torch.tensor([2.0, 2, 2, 1]))):
        with pytest.raises(ValueError, match="rigid"):
            transform_gaussians(made_up(), matrix)
