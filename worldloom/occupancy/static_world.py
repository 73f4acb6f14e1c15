"""What does not move, in one volume fixed to the world: labels, and in which frames each voxel was observed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import FREE, MOVERS, OCC3D_CLASSES, Occupancy, VoxelGrid, among
from worldloom.geometry.rigid import apply, invert
from worldloom.geometry.warp_occupancy import warp_observed

MAX_FRAMES = 63  # bits of `seen`


@dataclass(frozen=True)
class StaticClip:
    """The static world of a clip in one grid; movers and what nobody looked at are free."""

    labels: UInt8[Tensor, "x y z"]
    seen: Int64[Tensor, "x y z"]  # bit i: frame i of the clip observed this voxel, and no road user was in it
    grid: VoxelGrid
    world_from_grid: Float[Tensor, "4 4"]
    num_frames: int

    def observed(self, first: int = 0, last: int | None = None) -> Bool[Tensor, "x y z"]:
        """Voxels that any of the frames first … last - 1 observed."""
        last = self.num_frames if last is None else last
        return (self.seen >> first) & ((1 << (last - first)) - 1) != 0


def fuse_clip(clip: Occupancy, world_from_grid: Float[Tensor, "4 4"], grid: VoxelGrid) -> StaticClip:
    """Bring all frames of a clip into one grid. Where they differ the later frame is right.

    Args:
        clip: labels t x y z with t <= MAX_FRAMES, classes of Occ3D.
        grid: as large as is wanted; what lies outside is left out.
    Raises:
        ValueError: a clip of more frames, or of other classes.
    """
    if clip.labels.ndim != 4 or not 1 <= len(clip) <= MAX_FRAMES:
        raise ValueError(f"expected a clip of 1 to {MAX_FRAMES} frames, got labels {tuple(clip.labels.shape)}")
    if clip.classes != OCC3D_CLASSES:
        raise ValueError(f"expected the {len(OCC3D_CLASSES)} classes of Occ3D, got {clip.classes}")
    labels = clip.labels.new_full(grid.shape, FREE)
    seen = torch.zeros(grid.shape, dtype=torch.int64)
    grid_from_ego = invert(world_from_grid.double()) @ clip.world_from_ego.double()
    for i, place, now, static in static_frames(clip, grid_from_ego, grid):
        labels[place] = torch.where(static, now, labels[place])
        seen[place] |= static.long() << i
    return StaticClip(labels, seen, grid, world_from_grid, len(clip))


def static_frames(
    clip: Occupancy, grid_from_ego: Float[Tensor, "t 4 4"], grid: VoxelGrid
) -> Iterator[tuple[int, tuple[slice, slice, slice], UInt8[Tensor, "i j k"], Bool[Tensor, "i j k"]]]:
    """Each frame that meets a grid: its number, the part of the grid that it meets, and its labels there.

    The last is True where the frame looked and saw no road user.
    """
    for i in range(len(clip)):
        part, place = cut_to(grid, *box_around(clip.grid, grid_from_ego[i : i + 1]))
        if part is not None:
            now, looked = warp_observed(clip.labels[i], clip.observed[i], grid_from_ego[i], clip.grid, part)
            yield i, place, now, looked & ~among(now, MOVERS)


def box_around(
    grid: VoxelGrid, anchor_from_frames: Float[Tensor, "t 4 4"]
) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Lowest and highest corner of the box, in the anchor frame, around the grid at all of the frames."""
    low = torch.tensor(grid.origin, dtype=torch.float64)
    high = low + grid.voxel_size * torch.tensor(grid.shape, dtype=torch.float64)
    corners = torch.tensor(list(itertools.product(*zip(low.tolist(), high.tolist(), strict=True))), dtype=torch.float64)
    placed = apply(anchor_from_frames, corners.expand(len(anchor_from_frames), -1, -1)).flatten(0, 1)
    return placed.amin(dim=0), placed.amax(dim=0)


def lattice_grid(like: VoxelGrid, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> VoxelGrid:
    """The smallest grid of whole voxels of `like`'s lattice around a box."""
    origin, size = torch.tensor(like.origin, dtype=torch.float64), like.voxel_size
    # A face within a thousandth of a voxel of the lattice is on it, so that no empty layer is added.
    first = ((low - origin) / size + 1e-3).floor()
    last = ((high - origin) / size - 1e-3).ceil()
    x, y, z = (last - first).long().tolist()
    corner_x, corner_y, corner_z = (origin + first * size).tolist()
    return VoxelGrid((corner_x, corner_y, corner_z), size, (x, y, z))


def cut_to(
    grid: VoxelGrid, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]
) -> tuple[VoxelGrid | None, tuple[slice, slice, slice]]:
    """The part of a grid within a box, and where it is in the grid; None where they do not meet."""
    origin, size = torch.tensor(grid.origin, dtype=torch.float64), grid.voxel_size
    shape = torch.tensor(grid.shape)
    first = ((low - origin) / size).floor().long().clamp(min=0)
    last = torch.minimum(((high - origin) / size).ceil().long(), shape)
    if not bool((first < last).all()):
        return None, (slice(0), slice(0), slice(0))
    x, y, z = (origin + first * size).tolist()
    i, j, k = (last - first).tolist()
    place = tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    return VoxelGrid((x, y, z), size, (i, j, k)), (place[0], place[1], place[2])
