"""What a panorama shows to be free. Behind a surface nothing is known, and unknown is not free."""

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Panorama, VoxelGrid, compose, directions, invert, rotz, sample_panorama
from worldloom.geometry.rigid import yaw_from_rotmat

REACH = 12.0  # metres from the panorama that paths go at most: farther, one of 512 rows covers 7 cm and more
RISE = 4.0  # metres above the panorama, likewise
MAX_VOXELS = 3_000_000
MIN_VOXEL = 0.05  # metres
SMALL_BALL = 0.15  # metres; where not even this fits through, voxels need not reach

_ROWS = 512  # of the distances from which voxels are carved
_EXACT_ROWS = 256  # of those from which clearance is measured
_FAR = 1e4  # metres; what is in the direction of the sky
_GROWTH = 1.5  # from one width of cone to the next
_STEPS = 16  # along a line of sight
_SLACK = 0.03  # of the distance, by which a line of sight may lie behind the surface it ends on


def upright(panorama: Panorama) -> Panorama:
    """The same panorama with its z axis along the world's: one that was taken at a tilt is turned, its heading stays.

    Raises:
        InputError: for a batch, or distances that are not finite and positive where there is no sky.
    """
    if panorama.rgb.ndim != 3:
        raise InputError(f"expected one panorama, got a batch {tuple(panorama.rgb.shape[:-3])}")
    solid = panorama.distance[~panorama.sky]
    wrong = ~(solid.isfinite() & (solid > 0))
    if wrong.any():
        raise InputError(
            f"expected finite distances above 0 where there is no sky, got {int(wrong.sum())} others of {len(solid)}, "
            f"the first {solid[wrong][0].item():g}"
        )
    world_from_pano = panorama.world_from_pano
    if not world_from_pano.isfinite().all():
        raise InputError("expected a finite pose of the panorama, got NaN or infinity")
    if 1 - world_from_pano[2, 2] < 1e-6:
        return panorama
    world_from_level = compose(rotz(yaw_from_rotmat(world_from_pano[:3, :3])), world_from_pano[:3, 3])
    pano_from_level = invert(world_from_pano) @ world_from_level
    rays = directions(panorama.rgb.shape[-2]) @ pano_from_level[:3, :3].mT
    return replace(
        panorama,
        rgb=sample_panorama(panorama.rgb, rays),
        distance=sample_panorama(panorama.distance[None], rays, "nearest")[0],
        sky=sample_panorama(panorama.sky[None], rays, "nearest")[0],
        world_from_pano=world_from_level,
    )


class FreeSpace:
    """All points nearer to an upright panorama than the surface in their direction, within `REACH`.

    The sphere of directions is known at its pixels only: something thinner than a pixel that no pixel hit is not seen.
    All points are in the panorama's frame.
    """

    def __init__(self, panorama: Panorama, max_voxels: int = MAX_VOXELS) -> None:
        distance = torch.where(panorama.sky, _FAR, panorama.distance).clamp(max=_FAR)
        self._carving = _nearest_of_blocks(distance, _ROWS)
        self._distance = _nearest_of_blocks(distance, _EXACT_ROWS)
        self._rays = directions(self._distance.shape[0]).reshape(-1, 3)
        self.grid = _grid(self._carving, max_voxels)
        self.free: Bool[np.ndarray, "x y z"] = _carve(self._carving.numpy(), self.grid)

    @cached_property
    def room(self) -> Float[np.ndarray, "x y z"]:
        """Metres that every point within a voxel is at least away from all that is not free; 0 where not free.

        What lies outside the grid is not free.
        """
        padded = np.pad(self.free, 1)
        apart: Any = ndimage.distance_transform_edt(padded)
        apart = apart[1:-1, 1:-1, 1:-1]
        return (np.maximum(apart - math.sqrt(3), 0) * self.grid.voxel_size).astype(np.float32)

    def is_free(self, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Whether each point is nearer than the nearest surface of the pixel in its direction."""
        return points.norm(dim=-1) < sample_panorama(self._carving[None], points[:, None], "nearest")[0, :, 0]

    def room_at(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """`room` of the voxels that hold the points; 0 outside the grid."""
        origin = points.new_tensor(self.grid.origin)
        index = ((points - origin) / self.grid.voxel_size).floor().long().numpy()
        inside = ((index >= 0) & (index < self.grid.shape)).all(-1)
        room = np.zeros(len(index), np.float32)
        room[inside] = self.room[tuple(index[inside].T)]
        return torch.from_numpy(room)

    def clearance(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Metres from each point to what is not free: surfaces, and what they hide. Negative behind a surface.

        Behind a surface at distance d in direction u all of {t u: t >= d} is unknown. A point p is |p - d u| from it
        if p . u <= d, else sqrt(|p|^2 - (p . u)^2); the clearance is the least over all directions.
        """
        clear = torch.empty(len(points))
        everywhere = torch.arange(len(self._rays))
        for start in range(0, len(points), 32):
            clear[start : start + 32] = self._apart(points[start : start + 32].float(), everywhere).amin(-1)
        behind = self.behind(points)
        return torch.where(behind > 0, -behind, clear.clamp(min=0))

    def behind(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Metres that each point lies behind the surface in its direction; negative where it is free."""
        return points.norm(dim=-1) - self._shown(points)

    def has_room(self, points: Float[Tensor, "n 3"], radius: float) -> Bool[Tensor, " n"]:
        """Whether a ball around each point is free."""
        fits = self.room_at(points) >= radius
        open_points = ~fits & (points.norm(dim=-1) < self._shown(points))
        for i in open_points.nonzero()[:, 0].tolist():
            point = points[i].float()
            away = max(point.norm().item(), 1e-6)
            # Only rays in the cone that holds the ball can enter it.
            half_angle = math.asin(min(1.0, radius / away)) + math.pi / self._distance.shape[0]
            chord = 2 * math.sin(min(half_angle, math.pi) / 2) if radius < away else 2.0
            near = self._ray_tree.query_ball_point(point.numpy() / away, chord)
            fits[i] = self._apart(point[None], torch.tensor(near, dtype=torch.int64)).min() >= radius
        return fits

    @cached_property
    def _ray_tree(self) -> KDTree:
        return KDTree(self._rays.numpy())

    def _apart(self, points: Float[Tensor, "n 3"], rays: Tensor) -> Float[Tensor, "n r"]:
        """Metres from points to what is not free along some of the rays."""
        # Half a diagonal of the pixel around each direction.
        half = math.pi / self._distance.shape[0] * math.sqrt(0.5)
        along = points @ self._rays[rays].T
        nearest = torch.maximum(along, self._distance.reshape(-1)[rays])
        squared = (points * points).sum(-1, keepdim=True)
        apart = (squared + nearest * (nearest - 2 * along)).clamp(min=0).sqrt_()
        return apart - half * nearest.clamp(max=REACH)

    def sees(self, eyes: Float[Tensor, "n 3"], targets: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Whether the line from each eye to its target is free, up to the surface that the target may lie on."""
        free = torch.ones(len(eyes), dtype=torch.bool)
        for step in range(1, _STEPS):
            points = torch.lerp(eyes[free], targets[free], step / _STEPS)
            free[free.clone()] = points.norm(dim=-1) < self._shown(points) * (1 + _SLACK)
        return free

    def _shown(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Distance of the surface in the direction of each point."""
        return sample_panorama(self._distance[None], points[:, None], "nearest")[0, :, 0]


def _grid(distance: Float[Tensor, "h w"], max_voxels: int) -> VoxelGrid:
    """A grid about all that a small ball can reach from the panorama, as fine as `max_voxels` allows.

    A first, coarse grid holds all that is free within reach; light that falls through a window makes it large.
    """
    points = directions(distance.shape[0]) * distance.clamp(max=REACH)[..., None]
    low = torch.maximum(points.amin((0, 1)), points.new_tensor([-REACH, -REACH, -RISE]))
    high = torch.minimum(points.amax((0, 1)), points.new_tensor([REACH, REACH, RISE]))
    coarse = _fitted(low.tolist(), high.tolist(), max_voxels // 10)
    free = _carve(distance.numpy(), coarse)
    apart: Any = ndimage.distance_transform_edt(np.pad(free, 1))
    labelled: Any = ndimage.label(apart[1:-1, 1:-1, 1:-1] * coarse.voxel_size >= SMALL_BALL)
    pieces = labelled[0]
    centre = tuple(int(-o / coarse.voxel_size) for o in coarse.origin)
    if pieces[centre] == 0:
        return _fitted(low.tolist(), high.tolist(), max_voxels)
    index = np.argwhere(pieces == pieces[centre])
    margin = SMALL_BALL + coarse.voxel_size
    first = np.maximum(np.array(coarse.origin) + index.min(0) * coarse.voxel_size - margin, low.numpy())
    last = np.minimum(np.array(coarse.origin) + (index.max(0) + 1) * coarse.voxel_size + margin, high.numpy())
    return _fitted(first.tolist(), last.tolist(), max_voxels)


def _fitted(low: list[float], high: list[float], max_voxels: int) -> VoxelGrid:
    """The finest grid about a box of which the panorama is the centre of a voxel."""
    extent = [max(b - a, MIN_VOXEL) for a, b in zip(low, high, strict=True)]
    size = max(MIN_VOXEL, (math.prod(extent) / max_voxels) ** (1 / 3))
    first = [min(math.floor(a / size), 0) for a in low]
    x, y, z = (max(math.ceil(b / size), 0) - i + 1 for i, b in zip(first, high, strict=True))
    return VoxelGrid(((first[0] - 0.5) * size, (first[1] - 0.5) * size, (first[2] - 0.5) * size), size, (x, y, z))


def _carve(distance: Float[np.ndarray, "h w"], grid: VoxelGrid) -> Bool[np.ndarray, "x y z"]:
    """Voxels of which every point is free: nothing in the cone that holds them is nearer than their far side."""
    height = distance.shape[0]
    pixel = math.pi / height
    x, y, z = (
        (o + (np.arange(n, dtype=np.float32) + 0.5) * grid.voxel_size)
        for o, n in zip(grid.origin, grid.shape, strict=True)
    )
    level_range = np.hypot(x[:, None], y)
    column = (height * (1 - np.arctan2(y, x[:, None]) / math.pi)).astype(np.int64) % (2 * height)
    radius = math.sqrt(0.75) * grid.voxel_size  # of the ball that holds a voxel
    widths = [pixel * _GROWTH**k for k in range(1 + math.ceil(math.log(math.pi / 2 / pixel, _GROWTH)))]
    nearest = np.stack([_nearest_in_cone(distance, width) for width in widths])
    free = np.empty(grid.shape, bool)
    for k, height_above in enumerate(z.tolist()):
        away = np.hypot(level_range, height_above)
        cone = np.arcsin(np.minimum(radius / np.maximum(away, radius), 1)) + pixel / 2
        which = np.ceil(np.log(np.maximum(cone / pixel, 1)) / math.log(_GROWTH)).astype(np.int64)
        row = (height * (0.5 - np.arctan2(height_above, level_range) / math.pi)).astype(np.int64)
        row = np.clip(row, 0, height - 1)
        free[..., k] = nearest[np.minimum(which, len(widths) - 1), row, column] > away + radius
    return free


def _nearest_in_cone(distance: Float[np.ndarray, "h w"], half_angle: float) -> Float[np.ndarray, "h w"]:
    """The least distance in the cone around each pixel's direction, or in a little more than the cone.

    A cone of half-angle a about elevation e spans the elevations e +- a and the azimuths +- asin(sin a / cos e).
    """
    height = distance.shape[0]
    pixel = math.pi / height
    rows = math.ceil(half_angle / pixel)
    least = ndimage.minimum_filter1d(distance, 2 * rows + 1, axis=0, mode="nearest")
    for i in range(height):
        cosine = math.cos(math.pi * (0.5 - (i + 0.5) / height))
        if math.sin(min(half_angle, math.pi / 2)) >= cosine:
            least[i] = least[i].min()
            continue
        columns = math.ceil(math.asin(math.sin(half_angle) / cosine) / pixel)
        least[i] = ndimage.minimum_filter1d(least[i], min(2 * columns + 1, 2 * height - 1), mode="wrap")
    return least


def _nearest_of_blocks(distance: Float[Tensor, "h w"], max_rows: int) -> Float[Tensor, "h2 w2"]:
    """At most `max_rows` rows, each pixel the nearest of its block: free space only ever gets smaller."""
    factor = math.ceil(distance.shape[0] / max_rows)
    height = math.ceil(distance.shape[0] / factor)
    # Sizes that are not a multiple of the factor: blocks of uneven size that cover every pixel.
    return -torch.nn.functional.adaptive_max_pool2d(-distance[None], (height, 2 * height))[0]
