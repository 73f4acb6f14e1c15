"""Depth of many photos merged into one set of Gaussians: the start of refinement, and a baseline by itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.camera import Camera, look_at
from worldloom.geometry.equirect import rays
from worldloom.geometry.gaussians import Gaussians, sh_from_rgb
from worldloom.geometry.rigid import apply, invert, quat_from_rotmat
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photos import Photos, scaled
from worldloom.render import render

CELL = 1.5  # edge of the voxel that merges points, in widths of a pixel there
SURE = 0.15  # confidence from which on a depth makes points
OPACITY, OPACITY_UNSURE, OPACITY_SHELL = 0.8, 0.4, 0.6
SPREAD = 0.6  # standard deviation of a splat in mean distances to its neighbours
THICKNESS = 0.3  # of a splat, along its normal
NEIGHBOURS = 4
FREE = 0.05  # relative depth by which a photo must look past a point to say that nothing is there
LARGEST = 3.0  # standard deviation in voxels: what has no neighbour does not cover the picture
HOLE = 0.5  # alpha below which a pixel shows nothing yet
SHELL_FACTOR = 10.0  # radius of the far shell in distances of the farthest surface
SHELL_SPLATS = 20_000  # on the whole sphere


@dataclass(frozen=True)
class Points:
    """Oriented, coloured points with the width of the pixel each comes from."""

    xyz: Float[Tensor, "n 3"]
    normal: Float[Tensor, "n 3"]  # unit, towards the camera
    rgb: Float[Tensor, "n 3"]
    size: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.xyz)

    def __getitem__(self, index: Bool[Tensor, " n"]) -> "Points":
        return Points(*(getattr(self, f.name)[index] for f in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence["Points"]) -> "Points":
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def splats_from_depth(photos: Photos, swept: PhotoDepth, shell: bool = True) -> Gaussians:
    """Gaussians of degree 0 that show what the depths say.

    Confident points are merged by voxels as wide as the pixels that see them, so near things stay finer than far ones.
    Where a photo then still shows nothing, its unsure depth fills in, one photo after the other; where there is none, a
    far shell does.
    """
    small = _at(photos, swept.cameras)
    sure = (swept.confidence > SURE) & ~swept.far & small.valid
    points = _points(small, swept, sure)
    merged = merge_points(points[~_in_free_space(points, swept, sure)])
    gaussians = gaussians_from_points(merged, OPACITY)
    # Photo by photo, so that what one fills no other fills again.
    for i in range(len(small)):
        hole = _holes(gaussians, small.cameras[i]) & ~swept.far[i] & small.valid[i]
        if int(hole.sum()) > hole.numel() // 1000:
            mask = torch.zeros_like(sure)
            mask[i] = hole
            points = _points(small, swept, mask)
            fill = merge_points(points[~_in_free_space(points, swept, sure)])
            gaussians = Gaussians.cat([gaussians, gaussians_from_points(fill, OPACITY_UNSURE)])
    return with_shell(gaussians, small) if shell else gaussians


def _in_free_space(points: "Points", swept: PhotoDepth, sure: Bool[Tensor, "v h w"]) -> Bool[Tensor, " n"]:
    """Points through which at least two photos, and more than see a surface there, surely look at something behind."""
    through, there = torch.zeros(len(points)), torch.zeros(len(points))
    height, width = swept.cameras.size
    for i in range(len(swept)):
        camera = swept.cameras[i]
        local = apply(invert(camera.world_from_cam), points.xyz)
        pixel, z = local @ camera.K.mT, local[:, 2]
        u, v = (pixel[:, axis] / z.clamp(min=1e-9) for axis in (0, 1))
        inside = (z > 1e-9) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        at = (v.long().clamp(0, height - 1), u.long().clamp(0, width - 1))
        ratio = swept.depth[i][at] / z.clamp(min=1e-9)
        known = inside & sure[i][at]
        through += known & (ratio > 1 + FREE)
        there += known & ((ratio - 1).abs() <= FREE)
    return (through >= 2) & (through > there)


def splats_from_points(xyz: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"]) -> Gaussians:
    """Round Gaussians at sparse points, such as those of structure from motion."""
    distance = _neighbour_distance(xyz).clamp(min=1e-6)
    # Half of what three neighbours span: sparse points leave gaps, and larger splats would hide each other.
    scales = (0.5 * distance)[:, None].expand(-1, 3).clamp(max=float(distance.quantile(0.95)))
    quats = F.pad(torch.ones(len(xyz), 1), (0, 3))
    return Gaussians(xyz, quats, scales.contiguous(), torch.full((len(xyz),), 0.3), sh_from_rgb(rgb))


def merge_points(points: Points) -> Points:
    """One point for each voxel: the weighted mean. A voxel's edge is `CELL` pixel widths, rounded to a power of two."""
    if not len(points):
        return points
    level = (CELL * points.size).log2().round().clamp(-100, 100)
    finest, coarsest = int(level.min()), int(level.max())
    parts: list[Points] = []
    for one in range(finest, coarsest + 1):
        here = points[level == one]
        if not len(here):
            continue
        if parts:
            # Where a photo has seen it from nearby, the coarse view says no more.
            taken = torch.cat([_voxel_keys(part.xyz, 2.0**one) for part in parts])
            here = here[~torch.isin(_voxel_keys(here.xyz, 2.0**one), taken)]
        if len(here):
            parts.append(_mean_points(here, _voxel_keys(here.xyz, 2.0**one)))
    return Points.cat(parts)


def _voxel_keys(xyz: Float[Tensor, "n 3"], edge: float) -> Int[Tensor, " n"]:
    """A number for the voxel of each point; points 2 million voxels away share one."""
    x, y, z = (xyz / edge).floor().clamp(-(1 << 20), (1 << 20) - 1).long().unbind(-1)
    return ((x << 21) + y << 21) + z


def _mean_points(points: Points, keys: Int[Tensor, " n"]) -> Points:
    """One point for each key."""
    _, at = torch.unique(keys, return_inverse=True)
    num = int(at.max()) + 1
    total = torch.zeros(num).index_add_(0, at, points.weight)

    def mean(values: Tensor) -> Tensor:
        weight = points.weight.view(-1, *[1] * (values.ndim - 1))
        return torch.zeros(num, *values.shape[1:]).index_add_(0, at, values * weight) / total.view(
            -1, *[1] * (values.ndim - 1)
        )

    normal = F.normalize(mean(points.normal), dim=-1)
    return Points(mean(points.xyz), normal, mean(points.rgb), mean(points.size), total)


def gaussians_from_points(points: Points, opacity: float) -> Gaussians:
    """Discs along the surface, as wide as the way to their neighbours."""
    if not len(points):
        return Gaussians(points.xyz, torch.zeros(0, 4), points.xyz, torch.zeros(0), torch.zeros(0, 1, 3))
    largest = LARGEST * CELL * points.size
    width = torch.minimum(SPREAD * _neighbour_distance(points.xyz), largest).clamp(min=1e-7)
    scales = torch.stack([width, width, THICKNESS * width], -1)
    # Any two directions across the normal will do for a round disc.
    frame = look_at(torch.zeros_like(points.normal), points.normal)[:, :3, :3]
    opacities = torch.full((len(points),), opacity)
    return Gaussians(points.xyz, quat_from_rotmat(frame), scales, opacities, sh_from_rgb(points.rgb))


def with_shell(gaussians: Gaussians, photos: Photos) -> Gaussians:
    """Also a far sphere of splats in the directions where some photo shows nothing nearer, in the photos' colours."""
    eyes = photos.cameras.world_from_cam[:, :3, 3]
    centre = eyes.mean(0)
    spread = float((eyes - centre).norm(dim=-1).max())
    far = float((gaussians.means - centre).norm(dim=-1).quantile(0.99)) if len(gaussians) else 10 * spread
    radius = SHELL_FACTOR * max(far, spread, 1e-6)
    directions = _fibonacci(SHELL_SPLATS)
    points = centre + radius * directions
    colour, shown = torch.zeros_like(points), torch.zeros(len(points))
    for i in range(len(photos)):
        camera = photos.cameras[i]
        height, width = camera.size
        opened = 1 - render(gaussians, camera).alpha if len(gaussians) else torch.ones(camera.size)
        local = apply(invert(camera.world_from_cam), points)
        pixel = local @ camera.K.mT
        u, v = (pixel[:, axis] / pixel[:, 2].clamp(min=1e-9) for axis in (0, 1))
        inside = (pixel[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        at = (v.long().clamp(0, height - 1), u.long().clamp(0, width - 1))
        weight = opened[at] * inside * photos.valid[i][at]
        colour += weight[:, None] * photos.rgb[i][:, at[0], at[1]].T
        shown += weight
    keep = shown > HOLE
    angle = math.sqrt(4 * math.pi / SHELL_SPLATS)
    disc = Points(
        points[keep],
        -directions[keep],
        colour[keep] / shown[keep, None],
        torch.full((int(keep.sum()),), radius * angle),
        shown[keep],
    )
    shell = gaussians_from_points(disc, OPACITY_SHELL)
    scales = torch.tensor([SPREAD, SPREAD, 0.1 * SPREAD]).expand(len(shell), 3) * radius * angle
    return Gaussians.cat([gaussians, replace(shell, scales=scales)])


def _fibonacci(num: int) -> Float[Tensor, "n 3"]:
    i = torch.arange(num, dtype=torch.float64) + 0.5
    z, azimuth = 1 - 2 * i / num, math.pi * (1 + math.sqrt(5)) * i
    r = (1 - z * z).sqrt()
    return torch.stack([r * azimuth.cos(), r * azimuth.sin(), z], -1).float()


def _at(photos: Photos, cameras: Camera) -> Photos:
    """The photos at the size of cameras that were scaled from theirs."""
    small = photos.resized(max(cameras.size))
    assert small.cameras.size == cameras.size
    return small


def _holes(gaussians: Gaussians, camera: Camera) -> Bool[Tensor, "h w"]:
    if not len(gaussians):
        return torch.ones(camera.size, dtype=torch.bool)
    return render(gaussians, camera).alpha < HOLE


def _points(photos: Photos, swept: PhotoDepth, mask: Bool[Tensor, "v h w"]) -> Points:
    """The points of masked pixels; each weighs with its confidence over its pixel's area: near views tell more."""
    parts = []
    for i in mask.flatten(1).any(1).nonzero()[:, 0].tolist():
        camera, chosen = photos.cameras[i], mask[i]
        local = rays(camera) * swept.depth[i][..., None]
        normal = normals_from_depth(swept.depth[i], camera)
        size = swept.depth[i] / camera.K[0, 0]
        weight = (swept.confidence[i] + 0.01) / size.square()
        parts.append(
            Points(
                apply(camera.world_from_cam, local[chosen]),
                normal.permute(1, 2, 0)[chosen] @ camera.world_from_cam[:3, :3].mT,
                photos.rgb[i].permute(1, 2, 0)[chosen],
                size[chosen],
                weight[chosen],
            )
        )
    if not parts:
        return Points(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0), torch.zeros(0))
    return Points.cat(parts)


def normals_from_depth(depth: Float[Tensor, "h w"], camera: Camera) -> Float[Tensor, "3 h w"]:
    """Unit normals of a depth image in the camera's frame, towards the camera.

    Inverse depth of a plane is linear in the pixel: with q = a x + b y + c over the ray (x, y, 1), the normal is
    (a, b, c). Slopes are those of the flatter side, so that no normal belongs to a jump.
    """
    q = 1 / depth.clamp(min=1e-9)
    slopes = []
    for axis in (1, 0):
        step = q.diff(dim=axis)
        first, last = step.narrow(axis, 0, 1), step.narrow(axis, step.shape[axis] - 1, 1)
        before, after = torch.cat([first, step], axis), torch.cat([step, last], axis)
        slopes.append(torch.where(before.abs() < after.abs(), before, after))
    a, b = slopes[0] * camera.K[0, 0], slopes[1] * camera.K[1, 1]
    x, y, _ = rays(camera).unbind(-1)
    c = q - a * x - b * y
    return -F.normalize(torch.stack([a, b, c]), dim=0)


def _neighbour_distance(xyz: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Mean distance to the nearest few others."""
    if len(xyz) < 2:
        return torch.ones(len(xyz))
    places = xyz.double().numpy()
    near: np.ndarray = KDTree(places).query(places, k=min(NEIGHBOURS, len(xyz) - 1) + 1)[0]
    return torch.from_numpy(near[:, 1:].mean(1)).float()


def at_size(depth: Float[Tensor, "v h w"], cameras: Camera, size: tuple[int, int]) -> tuple[Tensor, Camera]:
    """Depth images at another size, each pixel that of the nearest."""
    return F.interpolate(depth[:, None], size, mode="nearest-exact")[:, 0], scaled(cameras, size)
