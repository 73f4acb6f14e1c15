"""Our meshes, points and cameras as other libraries have them, and back: trimesh, Open3D, PyTorch3D.

The world is the same everywhere (metres, z up); only cameras differ. Each library is imported where it is used.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.geometry.camera import Camera
from worldloom.geometry.mesh import Mesh
from worldloom.geometry.rigid import compose, invert


def trimesh_from_mesh(mesh: Mesh) -> Any:
    """A `trimesh.Trimesh`; colours get 8 bits."""
    import trimesh

    colours = None if mesh.colours is None else (255 * mesh.colours.cpu().clamp(0, 1)).round().byte().numpy()
    vertices, faces = mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy()
    return trimesh.Trimesh(vertices, faces, vertex_colors=colours, process=False)


def mesh_from_trimesh(other: Any) -> Mesh:
    """A `trimesh.Trimesh` as our mesh; colours if it has them at its vertices."""
    colours = None
    if other.visual.kind == "vertex":
        colours = torch.tensor(np.asarray(other.visual.vertex_colors)[:, :3]).float() / 255
    return _mesh(other.vertices, other.faces, colours)


def open3d_from_mesh(mesh: Mesh) -> Any:
    """An `open3d.geometry.TriangleMesh`.

    Raises:
        MissingExtra: Open3D is not installed.
    """
    open3d = _open3d()
    faces = open3d.utility.Vector3iVector(mesh.faces.cpu().int().numpy())
    other = open3d.geometry.TriangleMesh(open3d.utility.Vector3dVector(_doubles(mesh.vertices)), faces)
    if mesh.colours is not None:
        other.vertex_colors = open3d.utility.Vector3dVector(_doubles(mesh.colours))
    return other


def mesh_from_open3d(other: Any) -> Mesh:
    """An `open3d.geometry.TriangleMesh` as our mesh."""
    colours = torch.tensor(np.asarray(other.vertex_colors)).float() if other.has_vertex_colors() else None
    return _mesh(other.vertices, other.triangles, colours)


def open3d_from_points(points: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"] | None = None) -> Any:
    """An `open3d.geometry.PointCloud` of points and their colours in [0, 1].

    Raises:
        MissingExtra: Open3D is not installed.
    """
    open3d = _open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(_doubles(points)))
    if rgb is not None:
        cloud.colors = open3d.utility.Vector3dVector(_doubles(rgb))
    return cloud


def points_from_open3d(cloud: Any) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"] | None]:
    """Points of an `open3d.geometry.PointCloud`, and their colours in [0, 1] if it has them."""
    rgb = torch.tensor(np.asarray(cloud.colors)).float() if cloud.has_colors() else None
    return torch.tensor(np.asarray(cloud.points)).float(), rgb


def open3d_from_camera(camera: Camera) -> Any:
    """An `open3d.camera.PinholeCameraParameters`, whose pixels have their centres at whole numbers.

    Raises:
        MissingExtra: Open3D is not installed.
        InputError: a batch of cameras, or skew.
    """
    open3d = _open3d()
    if camera.batch or camera.K[0, 1] != 0:
        raise InputError(f"expected one camera without skew for Open3D, got batch {camera.batch}")
    height, width = camera.size
    (fx, _, cx), (_, fy, cy), _ = camera.K.double().tolist()
    other = open3d.camera.PinholeCameraParameters()
    other.intrinsic = open3d.camera.PinholeCameraIntrinsic(width, height, fx, fy, cx - 0.5, cy - 0.5)
    other.extrinsic = invert(camera.world_from_cam.double()).cpu().numpy()
    return other


def camera_from_open3d(other: Any) -> Camera:
    """An `open3d.camera.PinholeCameraParameters` as our camera."""
    K = torch.tensor(np.asarray(other.intrinsic.intrinsic_matrix)).float()
    K[:2, 2] += 0.5
    world_from_cam = invert(torch.tensor(np.asarray(other.extrinsic))).float()
    return Camera(world_from_cam, K, (other.intrinsic.height, other.intrinsic.width))


def pytorch3d_from_camera(camera: Camera) -> dict[str, Tensor]:
    """Arguments for `pytorch3d.renderer.PerspectiveCameras(**arguments)`, of a batch (v,) of cameras.

    There a camera's x is to the left and its y up, points are rows (p R + T), and the picture's shorter side reaches
    from -1 to 1 (its NDC), with x to the left and y up as well. `image_size` is (height, width).

    Raises:
        InputError: another batch, or skew.
    """
    if len(camera.batch) != 1 or bool((camera.K[:, 0, 1] != 0).any()):
        raise InputError(f"expected a batch (v,) of cameras without skew for PyTorch3D, got batch {camera.batch}")
    cam_from_world = invert(camera.world_from_cam)
    flip = torch.tensor([-1.0, -1.0, 1.0]).to(cam_from_world)
    size = torch.tensor(camera.size).to(camera.K)
    half = size.min() / 2
    return {
        "R": (flip[:, None] * cam_from_world[:, :3, :3]).mT.contiguous(),
        "T": flip * cam_from_world[:, :3, 3],
        "focal_length": torch.stack([camera.K[:, 0, 0], camera.K[:, 1, 1]], -1) / half,
        "principal_point": (size.flip(0) / 2 - camera.K[:, :2, 2]) / half,
        "image_size": size.expand(len(camera.K), 2),
    }


def camera_from_pytorch3d(
    R: Float[Tensor, "v 3 3"],
    T: Float[Tensor, "v 3"],
    focal_length: Float[Tensor, "v 2"],
    principal_point: Float[Tensor, "v 2"],
    image_size: Float[Tensor, "v 2"],
) -> Camera:
    """The inverse of `pytorch3d_from_camera`.

    Raises:
        InputError: pictures of different sizes.
    """
    if bool((image_size != image_size[0]).any()):
        raise InputError(f"expected pictures of one size, got {image_size.tolist()}")
    height, width = (int(side) for side in image_size[0])
    flip = torch.tensor([-1.0, -1.0, 1.0]).to(R)
    world_from_cam = invert(compose(flip[:, None] * R.mT, flip * T))
    half = min(height, width) / 2
    K = torch.zeros_like(R)
    K[:, 0, 0], K[:, 1, 1] = (half * focal_length).unbind(-1)
    K[:, :2, 2] = torch.tensor([width / 2, height / 2]).to(R) - half * principal_point
    K[:, 2, 2] = 1
    return Camera(world_from_cam, K, (height, width))


def _open3d() -> Any:
    return require("open3d", "open3d", "handing over to Open3D")


def _mesh(vertices: Any, faces: Any, colours: Tensor | None) -> Mesh:
    return Mesh(torch.tensor(np.asarray(vertices)).float(), torch.tensor(np.asarray(faces)).long(), colours)


def _doubles(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
