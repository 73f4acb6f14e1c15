"""Handing meshes, points and cameras over to other libraries, and back."""

import sys

import numpy as np
import pytest
import torch

from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera, Mesh, compose, rotmat_from_quat
from worldloom.geometry.interop import (
    camera_from_open3d,
    camera_from_pytorch3d,
    mesh_from_open3d,
    mesh_from_trimesh,
    open3d_from_camera,
    open3d_from_mesh,
    open3d_from_points,
    points_from_open3d,
    pytorch3d_from_camera,
    trimesh_from_mesh,
)

OPEN3D = "the extra 'open3d', or the system's libusb-1.0-0 that it loads, is not installed"

CORNER = Mesh(
    torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]),
    torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0.2, 1]]),
)


def cameras(num: int = 3) -> Camera:
    generator = torch.Generator().manual_seed(0)
    quats = torch.nn.functional.normalize(torch.randn(num, 4, generator=generator), dim=1)
    K = torch.tensor([[500.0, 0, 310], [0, 520, 250], [0, 0, 1]]).repeat(num, 1, 1)
    return Camera(compose(rotmat_from_quat(quats), torch.randn(num, 3, generator=generator)), K, (480, 640))


def pixels(camera: Camera, points: torch.Tensor) -> torch.Tensor:
    """(u, v) by our own convention."""
    local = points @ camera.cam_from_world[:3, :3].T + camera.cam_from_world[:3, 3]
    uvz = local @ camera.K.T
    return uvz[:, :2] / uvz[:, 2:]


def before(camera: Camera) -> torch.Tensor:
    """World points that a camera sees."""
    local = torch.tensor([[0.1, 0.2, 2.0], [-0.5, 0.3, 3.0], [0.4, -0.6, 1.5]])
    return local @ camera.world_from_cam[:3, :3].T + camera.world_from_cam[:3, 3]


def test_trimesh_and_back() -> None:
    other = trimesh_from_mesh(CORNER)
    assert other.volume == pytest.approx(1.0)
    assert other.is_watertight
    back = mesh_from_trimesh(other)
    assert torch.equal(back.vertices, CORNER.vertices)
    assert torch.equal(back.faces, CORNER.faces)
    torch.testing.assert_close(back.colours, CORNER.colours)
    assert mesh_from_trimesh(trimesh_from_mesh(Mesh(CORNER.vertices, CORNER.faces))).colours is None


def test_open3d_and_back() -> None:
    pytest.importorskip("open3d", reason=OPEN3D, exc_type=ImportError)
    other = open3d_from_mesh(CORNER)
    assert other.get_volume() == pytest.approx(1.0)
    back = mesh_from_open3d(other)
    assert torch.equal(back.vertices, CORNER.vertices)
    assert torch.equal(back.faces, CORNER.faces)
    torch.testing.assert_close(back.colours, CORNER.colours)
    points, rgb = points_from_open3d(open3d_from_points(CORNER.vertices, CORNER.colours))
    assert torch.equal(points, CORNER.vertices)
    torch.testing.assert_close(rgb, CORNER.colours)
    assert points_from_open3d(open3d_from_points(CORNER.vertices))[1] is None


def test_open3d_unprojects_a_pixel_to_where_it_is() -> None:
    """A pixel in column j shows what our camera sees through (j + 0.5)."""
    open3d = pytest.importorskip("open3d", reason=OPEN3D, exc_type=ImportError)
    camera = cameras()[0]
    other = open3d_from_camera(camera)
    depth = np.zeros(camera.size, np.float32)
    depth[100, 200] = 2.0
    cloud = open3d.geometry.PointCloud.create_from_depth_image(
        open3d.geometry.Image(depth), other.intrinsic, other.extrinsic, depth_scale=1.0
    )
    (point,) = points_from_open3d(cloud)[0]
    torch.testing.assert_close(pixels(camera, point[None]), torch.tensor([[200.5, 100.5]]), atol=1e-3, rtol=0)
    back = camera_from_open3d(other)
    torch.testing.assert_close(back.world_from_cam, camera.world_from_cam, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(back.K, camera.K)
    assert back.size == camera.size


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (500, 500)])
def test_pytorch3d_s_formulas_give_our_pixels(size: tuple[int, int]) -> None:
    """Its projection written out: row vectors; x left, y up; NDC over the shorter side; screen x to the right."""
    batch = Camera(cameras().world_from_cam, cameras().K, size)
    arguments = pytorch3d_from_camera(batch)
    assert set(arguments) == {"R", "T", "focal_length", "principal_point", "image_size"}
    for i in range(3):
        points = before(batch[i])
        x, y, z = (points @ arguments["R"][i] + arguments["T"][i]).unbind(-1)
        assert (z > 0).all()
        ndc_x = arguments["focal_length"][i, 0] * x / z + arguments["principal_point"][i, 0]
        ndc_y = arguments["focal_length"][i, 1] * y / z + arguments["principal_point"][i, 1]
        height, width = arguments["image_size"][i].tolist()
        assert (height, width) == size
        screen = torch.stack([width / 2 - ndc_x * min(size) / 2, height / 2 - ndc_y * min(size) / 2], -1)
        torch.testing.assert_close(screen, pixels(batch[i], points), atol=1e-2, rtol=1e-5)
    assert torch.linalg.det(arguments["R"]).sub(1).abs().max() < 1e-5


def test_pytorch3d_and_back() -> None:
    back = camera_from_pytorch3d(**pytorch3d_from_camera(cameras()))
    torch.testing.assert_close(back.world_from_cam, cameras().world_from_cam, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(back.K, cameras().K, atol=1e-3, rtol=1e-5)
    assert back.size == cameras().size


def test_pytorch3d_itself() -> None:
    renderer = pytest.importorskip("pytorch3d.renderer", reason="PyTorch3D has no wheel for this Python")
    other = renderer.PerspectiveCameras(**pytorch3d_from_camera(cameras()))
    points = torch.stack([before(cameras()[i]) for i in range(3)])
    screen = other.transform_points_screen(points)[..., :2]
    for i in range(3):
        torch.testing.assert_close(screen[i], pixels(cameras()[i], points[i]), atol=1e-2, rtol=1e-4)


def test_what_cannot_be_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    skewed = cameras()
    skewed.K[:, 0, 1] = 1
    for bad in (cameras()[0], skewed):
        with pytest.raises(InputError, match="without skew for PyTorch3D"):
            pytorch3d_from_camera(bad)
    arguments = pytorch3d_from_camera(cameras())
    sizes = torch.tensor([[480.0, 640], [480, 640], [10, 10]])
    with pytest.raises(InputError, match="one size"):
        camera_from_pytorch3d(**{**arguments, "image_size": sizes})
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingExtra, match=r"pip install 'worldloom\[open3d\]'"):
        open3d_from_mesh(CORNER)
