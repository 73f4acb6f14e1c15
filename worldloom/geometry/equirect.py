"""The geometry of 360° panoramas: pixels and directions, sampling, cube maps and tangent views.

Equirectangular images are 1:2. The centre column looks along +x, the top row along +z, azimuth grows to the left, and
the pixel in row i, column j has its centre at (u, v) = (j + 0.5, i + 0.5).
"""

import math
from dataclasses import replace
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor

from worldloom.geometry.camera import Camera, intrinsics, look_at
from worldloom.geometry.rigid import compose

Mode = Literal["bilinear", "nearest"]


def direction_from_pixel(
    u: Float[Tensor, "*batch"], v: Float[Tensor, "*batch"], height: int
) -> Float[Tensor, "*batch 3"]:
    """Unit direction of the point (u, v) of a panorama of `height` rows.

    azimuth a = pi (1 - 2 u / w), elevation e = pi / 2 - pi v / h, direction = (cos e cos a, cos e sin a, sin e).
    """
    azimuth = math.pi * (1 - u / height)
    elevation = math.pi * (0.5 - v / height)
    return torch.stack([elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], dim=-1)


def pixel_from_direction(
    directions: Float[Tensor, "*batch 3"], height: int
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(u, v) of directions of any length, u in [0, 2 * height), v in [0, height]."""
    x, y, z = directions.unbind(-1)
    width = 2 * height
    u = width * (0.5 - torch.atan2(y, x) / (2 * math.pi))
    v = height * (0.5 - torch.atan2(z, torch.hypot(x, y)) / math.pi)
    return torch.where(u >= width, u - width, u), v


def directions(height: int) -> Float[Tensor, "h w 3"]:
    """Unit direction through the centre of every pixel, w = 2 h."""
    if height < 1:
        raise ValueError(f"panorama height must be at least 1, got {height}")
    v, u = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(2 * height, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    return direction_from_pixel(u, v, height).float()


def solid_angles(height: int) -> Float[Tensor, "h w"]:
    """Solid angle of every pixel in steradians; they sum to 4 pi.

    A pixel between elevations e0 > e1 covers 2 pi / w (sin e0 - sin e1).
    """
    if height < 1:
        raise ValueError(f"panorama height must be at least 1, got {height}")
    edges = math.pi * (0.5 - torch.arange(height + 1, dtype=torch.float64) / height)
    row = (math.pi / height) * (edges[:-1].sin() - edges[1:].sin())
    return row[:, None].expand(height, 2 * height).float()


def sample_panorama(
    image: Shaped[Tensor, "*batch c h w"], directions: Float[Tensor, "h2 w2 3"], mode: Mode = "bilinear"
) -> Shaped[Tensor, "*batch c h2 w2"]:
    """Values of a panorama in given directions (of any length).

    Columns wrap around, and the row beyond a pole is the same row half a turn away, so nothing is special at the seam
    or at the poles. There is no low-pass filter: shrink the panorama first if the directions lie far apart.

    Args:
        mode: "bilinear" for floating images; "nearest" for any dtype (labels, sky masks).
    """
    height, width = image.shape[-2:]
    if width != 2 * height:
        raise ValueError(f"panorama must be 1:2 (height:width), got {height}x{width}")
    u, v = pixel_from_direction(directions, height)
    if mode == "nearest":
        rows, columns = v.long().clamp(max=height - 1), u.long().clamp(max=width - 1)
        return image[..., rows, columns]
    if not image.is_floating_point():
        raise ValueError(f"bilinear sampling needs a floating image, got {image.dtype}; use mode='nearest'")
    # One more row and column on each side, taken from where the sphere continues.
    top, bottom = image[..., :1, :].roll(height, dims=-1), image[..., -1:, :].roll(height, dims=-1)
    padded = torch.cat([top, image, bottom], dim=-2)
    padded = torch.cat([padded[..., -1:], padded, padded[..., :1]], dim=-1)
    return _bilinear(padded, u + 1, v + 1)


def _bilinear(
    image: Float[Tensor, "*batch c h w"], u: Float[Tensor, "h2 w2"], v: Float[Tensor, "h2 w2"]
) -> Float[Tensor, "*batch c h2 w2"]:
    """Values at the points (u, v) of an image; one grid serves every channel of every batch entry."""
    height, width = image.shape[-2:]
    grid = torch.stack([2 * u / width - 1, 2 * v / height - 1], dim=-1).to(image.dtype)
    flat = image.reshape(1, -1, height, width)
    values = torch.nn.functional.grid_sample(flat, grid[None], "bilinear", "border", align_corners=False)
    return values.reshape(*image.shape[:-2], *u.shape)


def rays(camera: Camera) -> Float[Tensor, "*batch h w 3"]:
    """Camera-frame ray through the centre of every pixel, scaled so that z = 1: point = depth * ray."""
    height, width = camera.size
    K = camera.K
    v, u = torch.meshgrid(
        torch.arange(height, dtype=K.dtype, device=K.device) + 0.5,
        torch.arange(width, dtype=K.dtype, device=K.device) + 0.5,
        indexing="ij",
    )
    fx, fy, skew, cx, cy = (K[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2)))
    y = (v - cy) / fy
    x = (u - cx - skew * y) / fx
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def distance_from_depth(depth: Float[Tensor, "*batch h w"], camera: Camera) -> Float[Tensor, "*batch h w"]:
    """Length along the ray of a depth image (z in the camera frame)."""
    return depth * rays(camera).norm(dim=-1)


def depth_from_distance(distance: Float[Tensor, "*batch h w"], camera: Camera) -> Float[Tensor, "*batch h w"]:
    """z in the camera frame of an image of lengths along the ray."""
    return distance / rays(camera).norm(dim=-1)


def tangent_views(
    panorama: Shaped[Tensor, "*batch c h w"], cameras: Camera, mode: Mode = "bilinear"
) -> Shaped[Tensor, "*batch v c h2 w2"]:
    """Perspective views of a panorama by cameras with batch (v,).

    Only the rotation of `cameras.world_from_cam` counts, read as pano_from_cam: the panorama is seen from its centre.
    """
    if len(cameras.batch) != 1:
        raise ValueError(f"tangent views need cameras with batch (v,), got {cameras.batch}")
    pano_rays = rays(cameras) @ cameras.world_from_cam[:, None, :3, :3].mT
    stacked = sample_panorama(panorama, rearrange(pano_rays, "v h w xyz -> (v h) w xyz"), mode)
    return rearrange(stacked, "... c (v h) w -> ... v c h w", v=len(cameras))


def tangent_cameras(num: int = 20, fov: float = math.radians(75), size: tuple[int, int] = (256, 256)) -> Camera:
    """`num` upright cameras spread evenly over the sphere, in the frame of the panorama; batch (num,).

    12 are the vertices and 20 the face centres of an icosahedron with vertices at the poles; any other number is a
    Fibonacci lattice.

    Args:
        fov: horizontal field of view, radians. Square views cover the sphere from 72 degrees on with 12, 74 with 20.
        size: (height, width)
    """
    if num < 1:
        raise ValueError(f"need at least 1 camera, got {num}")
    forward = {12: _icosahedron_vertices, 20: _icosahedron_faces}.get(num, lambda: _fibonacci(num))().float()
    pano_from_cam = look_at(torch.zeros_like(forward), forward)
    return Camera(pano_from_cam, intrinsics(fov, size).expand(num, 3, 3).clone(), size)


def _icosahedron_vertices() -> Float[Tensor, "12 3"]:
    """Unit vertices: the poles, and two rings of five at elevations ± atan(1/2), a tenth of a turn apart."""
    ring = 2 * math.pi / 5 * torch.arange(5, dtype=torch.float64)
    z = torch.full((5,), 1 / math.sqrt(5), dtype=torch.float64)
    radius = 2 / math.sqrt(5)
    upper = torch.stack([radius * ring.cos(), radius * ring.sin(), z], dim=-1)
    lower = torch.stack([radius * (ring + math.pi / 5).cos(), radius * (ring + math.pi / 5).sin(), -z], dim=-1)
    pole = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    return torch.cat([pole, upper, lower, -pole])


def _icosahedron_faces() -> Float[Tensor, "20 3"]:
    """Unit centres of the faces: all triples of vertices that are mutual neighbours (63.4 degrees apart)."""
    vertices = _icosahedron_vertices()
    near = (vertices @ vertices.T - 1 / math.sqrt(5)).abs() < 1e-6
    i, j, k = torch.combinations(torch.arange(12), 3).unbind(-1)
    faces = near[i, j] & near[j, k] & near[i, k]
    return torch.nn.functional.normalize(vertices[i[faces]] + vertices[j[faces]] + vertices[k[faces]], dim=-1)


def _fibonacci(num: int) -> Float[Tensor, "n 3"]:
    """Points of equal area in z, each turned by the golden angle against the one before."""
    i = torch.arange(num, dtype=torch.float64)
    z = 1 - (2 * i + 1) / num
    azimuth = math.pi * (3 - math.sqrt(5)) * i
    radius = (1 - z**2).sqrt()
    return torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), z], dim=-1)


def cubemap_cameras(size: int) -> Camera:
    """The six 90° cameras of a cube map, batch (6,): front +x, left +y, back -x, right -y, up +z, down -z.

    The side faces are upright. Up and down are the front camera tilted by a quarter turn: the bottom row of "up" meets
    the top row of "front", and the top row of "down" its bottom row.
    """
    # rows of each block: right, down, forward in panorama axes
    axes = [
        [[0, -1, 0], [0, 0, -1], [1, 0, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 1, 0], [0, 0, -1], [-1, 0, 0]],
        [[-1, 0, 0], [0, 0, -1], [0, -1, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
    ]
    pano_from_cam = torch.tensor(axes, dtype=torch.float32).mT
    K = intrinsics(math.pi / 2, (size, size)).expand(6, 3, 3).clone()
    return Camera(compose(pano_from_cam, torch.zeros(6, 3)), K, (size, size))


def cubemap_from_panorama(
    panorama: Shaped[Tensor, "*batch c h w"], size: int, mode: Mode = "bilinear"
) -> Shaped[Tensor, "*batch 6 c size size"]:
    """Six faces of a panorama, in the order and orientation of `cubemap_cameras`."""
    return tangent_views(panorama, cubemap_cameras(size), mode)


def panorama_from_cubemap(faces: Float[Tensor, "*batch 6 c s s"], height: int) -> Float[Tensor, "*batch c h w"]:
    """Panorama of `height` rows from six faces; bilinear, and continuous across the edges of the cube."""
    size = faces.shape[-1]
    pano_directions = directions(height).to(faces.device)
    # A border of one texel from the neighbouring faces, so that no edge shows in the interpolation.
    wide = cubemap_cameras(size + 2)
    narrow_focal = wide.K.new_tensor([[size / 2, 0, 1 + size / 2], [0, size / 2, 1 + size / 2], [0, 0, 1]])
    border = rays(replace(wide, K=narrow_focal.expand(6, 3, 3))) @ wide.world_from_cam[:, None, :3, :3].mT
    border = rearrange(border.to(faces.device), "f h w xyz -> (f h) w xyz")
    padded = rearrange(_sample_faces(faces, border, margin=0), "... c (f h) w -> ... f c h w", f=6).clone()
    padded[..., 1:-1, 1:-1] = faces
    return _sample_faces(padded, pano_directions, margin=1)


def _sample_faces(
    faces: Float[Tensor, "*batch 6 c s s"], directions: Float[Tensor, "h2 w2 3"], margin: int
) -> Float[Tensor, "*batch c h2 w2"]:
    """Values of faces with `margin` texels of border around the 90° square; points do not leave their own face."""
    full = faces.shape[-1]
    size = full - 2 * margin
    cam_from_pano = cubemap_cameras(size).world_from_cam[:, :3, :3].mT.to(directions)
    face = (directions @ cam_from_pano[:, 2].mT).argmax(-1)  # forward axis closest to the direction
    local = (cam_from_pano[face] @ directions[..., None])[..., 0]
    uv = margin + size / 2 * (1 + local[..., :2] / local[..., 2:])
    uv = uv.clamp(0.5, full - 0.5)
    tall = rearrange(faces, "... f c h w -> ... c (f h) w")
    return _bilinear(tall, uv[..., 0], uv[..., 1] + face * full)
