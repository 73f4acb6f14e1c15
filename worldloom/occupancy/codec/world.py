"""The volume in which a stream holds the static world: how frames make it, and how frames are made of it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, STATIC, Occupancy, VoxelGrid
from worldloom.geometry.rigid import invert
from worldloom.occupancy.codec.entropy import Coder, plain
from worldloom.occupancy.static_tokenizer import window_grid
from worldloom.occupancy.static_world import box_around, static_frames

CELL = 8  # columns of a coarse code
MAX_COLUMNS = 1 << 20  # 400 m by 400 m
_REACH = 1 << 14  # cells of a corner from the anchor
_MAX_SIDE = 1 << 12


@dataclass(frozen=True)
class World:
    """Labels by the vote of all frames, in the frame of the ego at the middle of the clip."""

    labels: UInt8[Tensor, "x y z"]
    observed: Bool[Tensor, "x y z"]  # by any frame, and without a road user in it
    grid: VoxelGrid


@dataclass(frozen=True)
class Place:
    """Where the volume is: its first cell in the anchor's frame, and its cells."""

    corner: tuple[int, int]
    cells: tuple[int, int]

    def grid(self, like: VoxelGrid) -> VoxelGrid:
        size = CELL * like.voxel_size
        columns = (CELL * self.cells[0], CELL * self.cells[1])
        return window_grid(like, columns, (self.corner[0] * size, self.corner[1] * size))


def anchor_of(world_from_ego: Float[Tensor, "t 4 4"]) -> Float[Tensor, "4 4"]:
    """The frame in which the world is fixed: the middle of the clip, so that hills leave the layers least."""
    return world_from_ego[len(world_from_ego) // 2]


def code_place(coder: Coder, place: Place | None) -> Place:
    """Raises InputError where the stream's volume is larger than MAX_COLUMNS."""
    corner = [plain(coder, None if place is None else place.corner[i] + _REACH, 2 * _REACH) - _REACH for i in range(2)]
    cells = [1 + plain(coder, None if place is None else place.cells[i] - 1, _MAX_SIDE) for i in range(2)]
    check_columns(cells[0] * CELL, cells[1] * CELL)
    return Place((corner[0], corner[1]), (cells[0], cells[1]))


def check_columns(x: int, y: int) -> None:
    """Raises InputError where a volume would not fit the memory that we grant."""
    if x * y > MAX_COLUMNS or max(x, y) > CELL * _MAX_SIDE:
        raise InputError(f"expected a clip whose world has at most {MAX_COLUMNS} columns of voxels, got {x} by {y}")


def vote_world(clip: Occupancy) -> tuple[World, Place]:
    """Fuse the frames of a clip; the volume is as large as what they observed.

    A voxel is occupied where most frames that looked say so, and of the class that most of them say. The frames'
    lattices lie differently on each surface: votes give its mean place, where the last word of one frame would not.
    """
    anchor = anchor_of(clip.world_from_ego.double())
    anchor_from_ego = invert(anchor) @ clip.world_from_ego.double()
    size = CELL * clip.grid.voxel_size
    low, high = box_around(clip.grid, anchor_from_ego)
    first, last = (low[:2] / size).floor().long(), (high[:2] / size).ceil().long()
    cells = (last - first).tolist()
    check_columns(cells[0] * CELL, cells[1] * CELL)
    place = Place((int(first[0]), int(first[1])), (cells[0], cells[1]))
    grid = place.grid(clip.grid)
    static_number = torch.full((256,), len(STATIC), dtype=torch.int64)
    static_number[list(STATIC)] = torch.arange(len(STATIC))
    votes = torch.zeros((*grid.shape, len(STATIC) + 1), dtype=torch.uint8)
    for _, where, now, looked in static_frames(clip, anchor_from_ego, grid):
        x, y, z = looked.nonzero().T
        number = static_number[now[x, y, z].int()]
        votes[where][x, y, z, number] += 1
    free, solid = votes[..., -1], votes[..., :-1]
    total = solid.sum(-1, dtype=torch.uint8)
    occupied = (total >= free) & (total > 0)
    labels = torch.tensor(STATIC, dtype=torch.uint8)[solid.argmax(-1)]
    labels = torch.where(occupied, labels, FREE)
    return _trimmed(World(labels, (total > 0) | (free > 0), grid), place, clip.grid)


def _trimmed(world: World, place: Place, like: VoxelGrid) -> tuple[World, Place]:
    """Without the cells at the borders in which nothing was observed."""
    cells = world.observed.any(2).unflatten(0, (-1, CELL)).unflatten(2, (-1, CELL)).any(3).any(1)
    if not bool(cells.any()):
        cells = torch.zeros_like(cells)
        cells[0, 0] = True
    rows, columns = (cells.any(1 - axis).nonzero()[:, 0] for axis in range(2))
    first, last = (int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1)
    cut = (slice(first[0] * CELL, last[0] * CELL), slice(first[1] * CELL, last[1] * CELL))
    place = Place((place.corner[0] + first[0], place.corner[1] + first[1]), (last[0] - first[0], last[1] - first[1]))
    return World(world.labels[cut].contiguous(), world.observed[cut].contiguous(), place.grid(like)), place


@dataclass(frozen=True)
class Field:
    """A static world that can be looked at between its voxels' middles."""

    occupied: Float[Tensor, "x y z"]  # above 0 where occupied, the more the surer
    known: Bool[Tensor, "x y z"]  # whether the stream says anything here
    seen: Bool[Tensor, "x y z"]  # whether it says that somebody looked
    labels: UInt8[Tensor, "x y z"]  # the class of each voxel if it is occupied
    grid: VoxelGrid


def field_of(world: World) -> Field:
    """The field of a world that is known exactly; a free voxel has the class of an occupied neighbour, if any."""
    labels = world.labels.clone()
    for _ in range(2):
        for axis in range(3):
            for shift in (1, -1):
                beside = torch.roll(labels, shift, axis)
                labels = torch.where(labels == FREE, beside, labels)
    return Field(torch.where(world.labels != FREE, 1.0, -1.0), world.observed, world.observed, labels, world.grid)


def look(
    field: Field, anchor_from_ego: Float[Tensor, "4 4"], grid: VoxelGrid
) -> tuple[UInt8[Tensor, "x y z"], Bool[Tensor, "x y z"]]:
    """The field as a frame sees it: labels, and where somebody looked.

    The labels of two lattices that are turned against each other do not fit; the surface between occupied and free
    does. So `occupied` is interpolated linearly between the eight voxels around each middle, as far as they are known,
    and the class is that of the voxel in which the middle lies.
    """
    sides = torch.tensor(field.grid.shape, dtype=torch.float64)
    origin = torch.tensor(field.grid.origin, dtype=torch.float64)
    low, high = box_around(grid, anchor_from_ego[None])
    first = ((low - origin) / field.grid.voxel_size - 1).floor().clamp(min=0).long()
    last = torch.minimum(((high - origin) / field.grid.voxel_size + 1).ceil(), sides).long()
    if not bool((first < last).all()):
        return torch.full(grid.shape, FREE, dtype=torch.uint8), torch.zeros(grid.shape, dtype=torch.bool)
    cut = tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    labels = field.labels[cut]
    source = (field.occupied[cut].float() * field.known[cut])[None, None]
    first_middle = torch.tensor(grid.origin, dtype=torch.float64) + 0.5 * grid.voxel_size
    rotation, place = anchor_from_ego[:3, :3].double(), anchor_from_ego[:3, 3].double()
    start = (rotation @ first_middle + place - origin) / field.grid.voxel_size - first
    steps = rotation * (grid.voxel_size / field.grid.voxel_size)
    x, y, z = (torch.arange(n, dtype=torch.float64) for n in grid.shape)
    at = []
    for axis in range(3):
        across = (steps[axis, 0] * x + start[axis])[:, None] + steps[axis, 1] * y
        at.append(across[..., None].float() + (steps[axis, 2] * z).float())
    shape = labels.shape
    normal = torch.stack([2 * at[axis] / shape[axis] - 1 for axis in (2, 1, 0)], -1)[None]
    sampled = F.grid_sample(source, normal, align_corners=False)[0, 0]
    inside = torch.ones(grid.shape, dtype=torch.bool)
    index = torch.zeros(grid.shape, dtype=torch.int64)
    for axis in range(3):
        inside &= (at[axis] >= 0) & (at[axis] < shape[axis])
        index = index * shape[axis] + at[axis].clamp(0, shape[axis] - 1).long()
    now = labels.reshape(-1)[index]
    seen = inside & field.seen[cut].reshape(-1)[index]
    return torch.where(inside & (sampled > 0), now, FREE), seen


def cells_of(observed: Bool[Tensor, "x y z"], stride: int) -> Bool[np.ndarray, "h w"]:
    """Cells of `stride` columns in which anything was observed."""
    return observed.any(2).unflatten(0, (-1, stride)).unflatten(2, (-1, stride)).any(3).any(1).numpy()
