"""The pinhole camera: axes, pixels and where it looks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldloom.geometry import Camera, apply, intrinsics, look_at


def project(camera: Camera, point: list[float]) -> list[float]:
    in_cam = apply(camera.cam_from_world, torch.tensor([point]))[0]
    u, v, w = (camera.K @ in_cam).tolist()
    return [u / w, v / w]


def test_a_point_lands_where_the_hand_says() -> None:
    """At (2, 0, 1), looking along +x: 1 m left of the axis and 0.5 m up at 4 m depth, focal length 100."""
    eye = torch.tensor([2.0, 0.0, 1.0])
    camera = Camera(
        look_at(eye, eye + torch.tensor([1.0, 0.0, 0.0])), intrinsics(2 * math.atan(1.6), (240, 320)), (240, 320)
    )
    assert project(camera, [6.0, 1.0, 1.5]) == pytest.approx([160 - 25, 120 - 12.5], abs=1e-3)


def test_field_of_view_reaches_the_image_edges() -> None:
    K = intrinsics(math.radians(90), (100, 200))
    assert torch.allclose(K, torch.tensor([[100.0, 0.0, 100.0], [0.0, 100.0, 50.0], [0.0, 0.0, 1.0]]), atol=1e-5)


points = st.tuples(*[st.floats(-10, 10, width=32)] * 3)


@given(points, points)
def test_look_at(eye: tuple[float, ...], target: tuple[float, ...]) -> None:
    start, end = torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    if (end - start).norm() < 0.1:
        return
    pose = look_at(start, end)
    rotation = pose[:3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert torch.linalg.det(rotation).item() == pytest.approx(1)
    assert torch.allclose(rotation[:, 2], (end - start) / (end - start).norm())
    assert torch.equal(pose[:3, 3], start)
    assert abs(rotation[2, 0]) < 1e-9  # the horizon is level
    assert rotation[2, 1] <= 1e-9  # image down is world down


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_look_along_up(up: tuple[float, float, float], sign: int) -> None:
    rotation = look_at(torch.zeros(3), sign * torch.tensor(up), up)[:3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(rotation).item() == pytest.approx(1)


def test_index_takes_the_leading_axis() -> None:
    camera = Camera(torch.eye(4).expand(5, 4, 4), torch.eye(3).expand(5, 3, 3), (4, 6))
    assert len(camera) == 5
    assert camera[1].batch == ()
    assert camera[1:4].batch == (3,)
    assert camera[torch.tensor([0, 4])].batch == (2,)


def test_refuses_an_empty_image() -> None:
    with pytest.raises(ValueError, match="size"):
        Camera(torch.eye(4), torch.eye(3), (0, 3))
