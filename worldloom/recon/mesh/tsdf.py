"""Truncated signed distance on sparse blocks of voxels, averaged over depth views (Curless and Levoy 1996)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from worldloom.geometry.equirect import rays
from worldloom.geometry.rigid import apply, invert
from worldloom.recon.mesh.depth_views import DepthViews

SIDE = 4  # voxels along the edge of a block
TRUNCATION = 4.0  # voxels; what lies farther behind a surface is not known, farther before it is free
BEHIND = 2.0  # truncations along the ray, where it is slanted, that count as behind a surface
FREE_WEIGHT = 1e-6  # of a view that sees nothing before something far away
MAX_BLOCKS = 500_000  # 32 million voxels, 260 MB
MAX_CELLS = 1 << 26  # of the table that finds a block by its place, 270 MB
_AT_ONCE = 1 << 11  # blocks, so that their voxels stay in the cache


@dataclass(frozen=True)
class TsdfVolume:
    """Signed distance at voxel centres of the blocks near surfaces: positive before a surface, negative behind it.

    Voxel (0, 0, 0) of block (0, 0, 0) has its centre at origin + 0.5 voxel_size, as in a `VoxelGrid`.
    """

    origin: Float[Tensor, " 3"]
    voxel_size: float
    table: Int32[Tensor, "x y z"]  # number of the block at each place, -1 where there is none
    places: Int[Tensor, "b 3"]  # of each block, in blocks
    distance: Float[Tensor, "b v"]  # voxels, at most TRUNCATION in size; (x, y, z) in a block, z fastest
    weight: Float[Tensor, "b v"]  # how many views saw the voxel; 0: none


def fuse(views: DepthViews, voxel_size: float) -> TsdfVolume:
    """Signed distance of what the views see.

    Each view gives a voxel its distance from the plane of the surface in its pixel, if it is before that surface or
    not farther than `TRUNCATION` voxels behind it, both as seen along the ray and across the plane. Open pixels say
    "free". A view's word counts with the cosine at which it sees the surface over the squared depth, for it is about as
    exact as that.

    Args:
        voxel_size: metres; made coarser step by step where the surfaces would need more than `MAX_BLOCKS` blocks.
    """
    while True:
        keys = torch.unique(torch.cat([_block_keys(views, i, voxel_size) for i in range(len(views))]))
        places = _place(keys) if len(keys) else torch.zeros(1, 3, dtype=torch.int64)
        shape = (places.amax(0) - places.amin(0) + 1).tolist()
        if len(places) <= MAX_BLOCKS and math.prod(shape) <= MAX_CELLS:
            break
        voxel_size *= 1.25
    low = places.amin(0)
    places = places - low
    table = torch.full(shape, -1, dtype=torch.int32)
    table[tuple(places.T)] = torch.arange(len(places), dtype=torch.int32)
    volume = TsdfVolume(
        origin=low * (SIDE * voxel_size),
        voxel_size=voxel_size,
        table=table,
        places=places,
        distance=torch.zeros(len(places), SIDE**3),
        weight=torch.zeros(len(places), SIDE**3),
    )
    for i in range(len(views)):
        add_view(volume, views, i)
    return volume


def surface_points(views: DepthViews, i: int) -> Float[Tensor, "n 3"]:
    """World points of the valid pixels of one view."""
    camera = views.cameras[i]
    local = (rays(camera) * views.depth[i][..., None])[views.valid[i]]
    return apply(camera.world_from_cam, local)


_SPAN = 1 << 20  # blocks along each axis, half of them below 0


def _block_keys(views: DepthViews, i: int, voxel_size: float) -> Int[Tensor, " b"]:
    """A number for each block that comes within the truncation of a surface, across it; they sort as their places."""
    points = surface_points(views, i)
    normals = torch.nn.functional.normalize(views.plane[i].permute(1, 2, 0)[views.valid[i]], dim=-1)
    reach = TRUNCATION * voxel_size * normals
    layers = []
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        place = (points + share * reach).div(SIDE * voxel_size).floor().long()
        x, y, z = (place + _SPAN // 2).clamp(0, _SPAN - 1).unbind(-1)
        layers.append(torch.unique((x * _SPAN + y) * _SPAN + z))
    return torch.unique(torch.cat(layers))


def _place(keys: Int[Tensor, " b"]) -> Int[Tensor, "b 3"]:
    return torch.stack([keys // _SPAN**2, keys // _SPAN % _SPAN, keys % _SPAN], -1) - _SPAN // 2


def add_view(volume: TsdfVolume, views: DepthViews, i: int) -> None:
    camera, size = views.cameras[i], volume.voxel_size
    height, width = camera.size
    cam_from_world = invert(camera.world_from_cam)
    centres = apply(cam_from_world, volume.origin + (volume.places + 0.5) * (SIDE * size))
    visible = _in_frustum(centres, camera.K, camera.size, SIDE * size * math.sqrt(3) / 2).nonzero()[:, 0]
    offsets = torch.cartesian_prod(*[torch.arange(SIDE)] * 3) - (SIDE - 1) / 2
    offsets = offsets * size @ cam_from_world[:3, :3].T
    fx, fy, cx, cy = (camera.K[r, c].item() for r, c in ((0, 0), (1, 1), (0, 2), (1, 2)))

    pixels = _pixel_table(views, i, size)
    for some in visible.split(_AT_ONCE):
        x, y, z = (centres[some, None] + offsets).unbind(-1)
        inverse = 1 / z.clamp(min=1e-6)
        column, row = (x * inverse).mul_(fx).add_(cx).floor_(), (y * inverse).mul_(fy).add_(cy).floor_()
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = torch.where(inside, row.mul_(width).add_(column), height * width).long()
        a, b, c, offset, deepest, weight = pixels[pixel].unbind(-1)
        signed = offset - (a * x + b * y + c * z)
        weight = weight * ((z < deepest) & (signed > -TRUNCATION))
        total = volume.weight[some] + weight
        mean = volume.distance[some]
        mean += (signed.clamp_(max=TRUNCATION) - mean) * (weight / total.clamp(min=1e-12))
        volume.distance[some] = mean
        volume.weight[some] = total


def _pixel_table(views: DepthViews, i: int, size: float) -> Float[Tensor, "p 6"]:
    """What one view says of the ray through each pixel, and in a last row what it says outside of it: nothing.

    Unit normal over the voxel size in the camera's frame, distance of the plane in voxels, z from which on nothing is
    known, and weight.
    """
    camera, valid, opened = views.cameras[i], views.valid[i], views.open[i]
    plane = torch.einsum("ji,jhw->ihw", camera.world_from_cam[:3, :3], views.plane[i])
    length = plane.norm(dim=0).clamp(min=1e-9)
    ray_length = rays(camera).norm(dim=-1)
    cosine = 1 / (views.depth[i] * length * ray_length)  # since plane . ray = 1 / depth
    weight = (cosine / views.depth[i].square()).clamp(min=FREE_WEIGHT)
    columns = [
        *torch.where(valid, plane / (length * size), 0),
        torch.where(valid, 1 / (length * size), TRUNCATION),
        torch.where(valid, views.depth[i] + BEHIND * TRUNCATION * size / ray_length, views.max_depth),
        torch.where(valid, weight, opened * FREE_WEIGHT),
    ]
    table = torch.stack(columns, -1).flatten(0, 1)
    return torch.cat([table, table.new_zeros(1, 6)])


def _in_frustum(centres: Float[Tensor, "b 3"], K: Float[Tensor, "3 3"], size: tuple[int, int], radius: float) -> Tensor:
    """Balls of a radius that may touch what a camera sees."""
    height, width = size
    x, y, z = centres.unbind(-1)
    near = z > -radius
    for position, focal, centre, side in ((x, K[0, 0], K[0, 2], width), (y, K[1, 1], K[1, 2], height)):
        for edge, sign in (((0 - centre) / focal, -1), ((side - centre) / focal, 1)):
            # Distance beyond the plane through the eye and this edge of the picture.
            near &= sign * (position - edge * z) / (1 + edge**2).sqrt() < radius
    return near
