"""What is solid, what is free and what nobody has seen, on a grid of voxels."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.occupancy import Occupancy, VoxelGrid
from worldloom.recon.mesh.depth_views import DepthViews
from worldloom.recon.mesh.tsdf import SIDE, TsdfVolume, add_view, surface_points

MAX_CELLS = 1 << 24  # of the grid
CLASSES = ("occupied", "free")
FREE_FROM = 0.5  # voxels before the nearest surface: half of it is on this side


@dataclass(frozen=True)
class SceneVoxels:
    """A scene on a grid in the world frame; what is neither occupied nor free is unknown."""

    occupied: Bool[Tensor, "x y z"]
    free: Bool[Tensor, "x y z"]
    signed: Float[Tensor, "x y z"]  # truncated distance in voxels, positive before surfaces; 0 where unknown
    grid: VoxelGrid

    def to_occupancy(self) -> Occupancy:
        """One frame of occupancy in the world frame with the classes "occupied" and "free"; unknown is not observed."""
        return Occupancy(
            labels=torch.where(self.occupied, 0, 1).to(torch.uint8)[None],
            observed=(self.occupied | self.free)[None],
            world_from_ego=torch.eye(4)[None],
            grid=self.grid,
            classes=CLASSES,
            dt=1.0,
        )


def voxels_from_views(views: DepthViews, voxel_size: float) -> SceneVoxels:
    """Voxels that hold a surface are occupied; those that a view looks through are free; the others are unknown.

    A voxel that holds both is occupied. What lies behind a surface is unknown, however close to it.

    Args:
        voxel_size: metres, or more where the grid would have more than `MAX_CELLS` cells.
    """
    points = [surface_points(views, i) for i in range(len(views))]
    seen = torch.cat([*points, views.cameras.world_from_cam[:, :3, 3]])
    low, high = seen.amin(0), seen.amax(0)
    volume = _room_for(low, high, voxel_size, floor_height(views))
    for i in range(len(views)):
        add_view(volume, views, i)
    signed = dense(volume, volume.distance)
    known = dense(volume, volume.weight) > 0
    occupied = torch.zeros(signed.shape, dtype=torch.bool)
    for some in points:
        place = ((some - volume.origin) / volume.voxel_size).floor().long()
        occupied[tuple(place.T)] = True
    free = known & ~occupied & (signed > FREE_FROM)
    x, y, z = volume.origin.tolist()
    grid = VoxelGrid((x, y, z), volume.voxel_size, (signed.shape[0], signed.shape[1], signed.shape[2]))
    return SceneVoxels(occupied, free, signed, grid)


def floor_height(views: DepthViews) -> float | None:
    """Where most of what looks up and lies below the eyes is, to a centimetre; None if nothing does."""
    heights = []
    for i in range(len(views)):
        normal = torch.nn.functional.normalize(views.plane[i].permute(1, 2, 0)[views.valid[i]], dim=-1)
        points = surface_points(views, i)[normal[:, 2] < -0.9]  # planes point away from the eye
        heights.append(points[points[:, 2] < views.cameras.world_from_cam[i, 2, 3], 2])
    height = torch.cat(heights)
    if not len(height):
        return None
    values, counts = (height * 100).round().unique(return_counts=True)
    return values[counts.argmax()].item() / 100


def _room_for(
    low: Float[Tensor, " 3"], high: Float[Tensor, " 3"], voxel_size: float, floor: float | None
) -> TsdfVolume:
    """An empty volume whose blocks fill the box, with one voxel to spare on each side. A floor is in the middle of its
    voxels: on the border of two, some of its points would raise it by a whole voxel."""
    extent = (high - low).tolist()
    while math.prod(side / voxel_size + 3 + SIDE for side in extent) > MAX_CELLS:
        voxel_size *= 1.1
    offset = torch.zeros(3) if floor is None else torch.tensor([0, 0, floor - 0.5 * voxel_size])
    first = ((low - offset) / voxel_size - 1).floor()
    last = ((high - offset) / voxel_size + 1).ceil()
    blocks = ((last - first) / SIDE).ceil().int().tolist()
    return full_volume(first * voxel_size + offset, voxel_size, (blocks[0], blocks[1], blocks[2]))


def full_volume(origin: Float[Tensor, " 3"], voxel_size: float, blocks: tuple[int, int, int]) -> TsdfVolume:
    """An empty volume with a block at every place."""
    num = math.prod(blocks)
    places = torch.cartesian_prod(*(torch.arange(n) for n in blocks)).view(num, 3)
    table = torch.arange(num, dtype=torch.int32).view(blocks)
    return TsdfVolume(origin, voxel_size, table, places, torch.zeros(num, SIDE**3), torch.zeros(num, SIDE**3))


def dense(volume: TsdfVolume, values: Float[Tensor, "b v"]) -> Float[Tensor, "x y z"]:
    """Values of the voxels of a volume that has a block at every place, as one array."""
    x, y, z = volume.table.shape
    return values.view(x, y, z, SIDE, SIDE, SIDE).permute(0, 3, 1, 4, 2, 5).reshape(x * SIDE, y * SIDE, z * SIDE)


def blocked(values: Float[Tensor, "x y z"]) -> Float[Tensor, "b v"]:
    """The inverse of `dense`; the sides are multiples of a block's."""
    x, y, z = (n // SIDE for n in values.shape)
    return values.view(x, SIDE, y, SIDE, z, SIDE).permute(0, 2, 4, 1, 3, 5).reshape(x * y * z, SIDE**3)
