"""Rigid transforms are a group, and quaternions and matrices say the same."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worldloom.geometry import apply, compose, invert, quat_from_rotmat, rotmat_from_quat, rotz, yaw_from_rotmat

components = st.floats(-1, 1, allow_subnormal=False)
quats = (
    st.tuples(components, components, components, components)
    .filter(lambda q: math.hypot(*q) > 0.1)
    .map(lambda q: torch.tensor(q, dtype=torch.float64))
)
translations = st.tuples(*[st.floats(-100, 100)] * 3).map(lambda t: torch.tensor(t, dtype=torch.float64))


@st.composite
def transforms(draw: st.DrawFn) -> Tensor:
    return compose(rotmat_from_quat(draw(quats)), draw(translations))


def near(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> bool:
    return bool(torch.allclose(a, b, rtol=0, atol=tolerance))


@given(transforms(), transforms(), transforms())
def test_group_axioms(a: Tensor, b: Tensor, c: Tensor) -> None:
    eye = torch.eye(4, dtype=torch.float64)
    assert near((a @ b) @ c, a @ (b @ c))
    assert near(a @ invert(a), eye)
    assert near(invert(a) @ a, eye)
    assert near(invert(a @ b), invert(b) @ invert(a))
    assert torch.equal(invert(eye), eye)
    assert near(invert(a), torch.linalg.inv(a), 1e-7)


@given(transforms(), transforms(), translations)
def test_apply_is_an_action(a: Tensor, b: Tensor, point: Tensor) -> None:
    points = point[None]
    assert near(apply(a @ b, points), apply(a, apply(b, points)))
    assert near(apply(a, points)[0], a[:3, :3] @ point + a[:3, 3])
    assert near((apply(a, points) - apply(a, points + 1)).norm(), torch.tensor(math.sqrt(3), dtype=torch.float64))


@given(quats)
def test_rotations_are_proper(quat: Tensor) -> None:
    rotation = rotmat_from_quat(quat)
    assert near(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64))
    assert near(torch.linalg.det(rotation), torch.ones((), dtype=torch.float64))


@given(quats)
def test_quaternion_round_trip(quat: Tensor) -> None:
    unit = quat / quat.norm()
    back = quat_from_rotmat(rotmat_from_quat(quat))
    assert near((back * unit).sum().abs(), torch.ones((), dtype=torch.float64))
    assert back[0] >= 0
    assert near(rotmat_from_quat(back), rotmat_from_quat(quat))


@given(st.tuples(components, components, components).filter(lambda a: math.hypot(*a) > 0.1), st.floats(-1e-6, 1e-6))
def test_half_turns_keep_their_axis(axis: tuple[float, float, float], off: float) -> None:
    """At and around 180 degrees the trace says nothing about the axis."""
    unit = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    quat = torch.cat([torch.tensor([math.sin(off)], dtype=torch.float64), math.cos(off) * unit])
    assert near(rotmat_from_quat(quat_from_rotmat(rotmat_from_quat(quat))), rotmat_from_quat(quat), 1e-12)


def test_hamilton_convention_by_hand() -> None:
    half = math.sqrt(0.5)
    about_z = rotmat_from_quat(torch.tensor([half, 0.0, 0.0, half]))
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert near(about_z, expected, 1e-6)  # x turns to y
    about_x = rotmat_from_quat(torch.tensor([half, half, 0.0, 0.0]))
    assert near(about_x @ torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]), 1e-6)


@given(quats, quats)
def test_product_of_quaternions_is_product_of_rotations(p: Tensor, q: Tensor) -> None:
    w, v, a, u = p[0], p[1:], q[0], q[1:]
    product = torch.cat([(w * a - v @ u)[None], w * u + a * v + torch.linalg.cross(v, u)])
    assert near(rotmat_from_quat(product), rotmat_from_quat(p) @ rotmat_from_quat(q))


@given(st.floats(-3.14, 3.14))
def test_yaw_round_trip(yaw: float) -> None:
    angle = torch.tensor(yaw, dtype=torch.float64)
    assert near(yaw_from_rotmat(rotz(angle)), angle, 1e-12)
    assert near(
        rotz(angle), rotmat_from_quat(torch.stack([(angle / 2).cos(), angle * 0, angle * 0, (angle / 2).sin()]))
    )


def test_left_is_positive() -> None:
    assert near(rotz(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), 1e-6)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_batches(batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    quat = torch.randn(*batch, 4, generator=generator, dtype=torch.float64)
    transform = compose(rotmat_from_quat(quat), torch.randn(*batch, 3, generator=generator, dtype=torch.float64))
    points = torch.randn(*batch, 5, 3, generator=generator, dtype=torch.float64)
    assert apply(invert(transform), apply(transform, points)).shape == points.shape
    assert near(apply(invert(transform), apply(transform, points)), points)
    assert quat_from_rotmat(transform[..., :3, :3]).shape == (*batch, 4)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    quat = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotmat_from_quat, quat)
    assert torch.autograd.gradcheck(lambda q: quat_from_rotmat(rotmat_from_quat(q)), quat)
