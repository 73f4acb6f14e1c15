"""When a map is filled in, and where: square pieces ahead of the ego, each once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.occupancy import VoxelGrid
from worldloom.geometry.rigid import apply, invert
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.static_tokenizer import NUM_LAYERS, ORIGIN_Z

BLOCK = 8  # columns of a piece, the stride of the network's coarsest scale
CONTEXT = 4  # blocks that the network reads around what it is believed
LEAST = 20  # blocks of a window's side at least, as many as in training
_MARGIN = 2.0  # metres by which the ego may depart from what was expected before anything is missing

Rectangle = tuple[int, int, int, int]  # first and one past the last block along x, then along y


@dataclass(frozen=True, eq=False)
class Told:
    """Which blocks of a map's lattice the network has been asked about; block (0, 0) begins at the map's own origin."""

    mask: Bool[Tensor, "i j"] = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.bool))
    first: tuple[int, int] = (0, 0)  # the block of the mask's corner

    def missing(self, needed: Bool[Tensor, "i j"], first: tuple[int, int]) -> Bool[Tensor, "i j"]:
        """Needed blocks that were not asked for; the mask begins at the block `first`."""
        out = needed.clone()
        shift = [mine - theirs for mine, theirs in zip(self.first, first, strict=True)]
        (i, i2), (j, j2) = (_overlap(by, n, m) for by, n, m in zip(shift, self.mask.shape, needed.shape, strict=True))
        out[i2, j2] &= ~self.mask[i, j]
        return out

    def within(self, part: Rectangle) -> "Told":
        """What is told in a rectangle of blocks, and no more."""
        i0, i1, j0, j1 = part
        everywhere = torch.ones(max(0, i1 - i0), max(0, j1 - j0), dtype=torch.bool)
        return Told(~self.missing(everywhere, (i0, j0)), (i0, j0))

    def with_rectangle(self, part: Rectangle) -> "Told":
        """With all blocks of a rectangle."""
        i0, i1, j0, j1 = part
        i, j = self.first
        ends = (i + self.mask.shape[0], j + self.mask.shape[1])
        # An empty mask has no place yet.
        first = (min(i, i0), min(j, j0)) if self.mask.numel() else (i0, j0)
        size = (max(ends[0], i1) - first[0], max(ends[1], j1) - first[1]) if self.mask.numel() else (i1 - i0, j1 - j0)
        mask = torch.zeros(size, dtype=torch.bool)
        if self.mask.numel():
            mask[i - first[0] : ends[0] - first[0], j - first[1] : ends[1] - first[1]] = self.mask
        mask[i0 - first[0] : i1 - first[0], j0 - first[1] : j1 - first[1]] = True
        return Told(mask, first)


def _overlap(shift: int, mine: int, theirs: int) -> tuple[slice, slice]:
    """The common part of two ranges, as a part of each; mine begins `shift` after theirs."""
    low, high = max(0, shift), min(theirs, shift + mine)
    high = max(low, high)
    return slice(low - shift, high - shift), slice(low, high)


@runtime_checkable
class Filler(Protocol):
    """Whoever knows what is where nobody has looked: `WorldModel`."""

    def filled_in(
        self, static: StaticMap, window: VoxelGrid, way: Float[Tensor, "t 2"], believed: VoxelGrid | None = None
    ) -> StaticMap:
        """See `WorldModel`."""
        ...


def fill_in(
    model: Filler,
    static: StaticMap,
    told: Told,
    expected: Float[Tensor, "t 4 4"],
    reach: float,
    onward: Float[Tensor, "p 4 4"],
) -> tuple[StaticMap, Told]:
    """The map, with all filled in that the ego may look at from its present pose.

    If something is missing there, everything within reach of all expected poses is filled in at once, so that the next
    steps find it done.

    Args:
        expected: world_from_ego of the present and of the frames to come.
        reach: metres ahead, behind and to the sides of the ego.
        onward: where the ego goes after that. What is filled in reaches beyond the expected way, and a network that is
            told of this draws a road there.
    """
    grid_from_ego = invert(static.world_from_grid) @ expected.double()
    if not bool(told.missing(*_seen_blocks(static, grid_from_ego[:2], reach + _MARGIN)).any()):
        return static, told
    needed, first = _seen_blocks(static, grid_from_ego, reach + 2 * _MARGIN)
    size = static.grid.voxel_size
    floor = round((float(grid_from_ego[0, 2, 3]) + ORIGIN_Z - static.grid.origin[2]) / size)
    bottom = static.grid.origin[2] + floor * size
    way = torch.cat([grid_from_ego, invert(static.world_from_grid) @ onward.double()])[:, :2, 3]
    corner = _corner(static)
    for i0, i1, j0, j1 in rectangles(told.missing(needed, first)):
        part = (i0 + first[0], i1 + first[0], j0 + first[1], j1 + first[1])
        believed = _grid_of(part, corner, bottom, size)
        static = model.filled_in(static, _grid_of(_with_context(part), corner, bottom, size), way, believed)
        told = told.with_rectangle(part)
    return static, told


def forget(static: StaticMap, told: Told, grid_from_ego: Float[Tensor, "4 4"], keep: float) -> tuple[StaticMap, Told]:
    """The map without what is more than `keep` metres away, if it reaches half as far again; else as it is.

    A drive that never ends would need ever more memory. Whoever comes back finds the network asked anew.
    """
    here, size = grid_from_ego[:2, 3].double(), static.grid.voxel_size
    begins = torch.tensor(static.grid.origin[:2], dtype=torch.float64)
    ends = begins + size * torch.tensor(static.grid.shape[:2], dtype=torch.float64)
    if float(torch.maximum(here - begins, ends - here).max()) <= 1.5 * keep:
        return static, told
    static = static.within(here - keep, here + keep)
    # Blocks that are wholly in what is left.
    corner, block = _corner(static), BLOCK * size
    rectangle: list[int] = []
    for axis in (0, 1):
        first = (static.grid.origin[axis] - corner[axis]) / block
        rectangle += [math.ceil(first - 1e-6), math.floor(first + static.grid.shape[axis] / BLOCK + 1e-6)]
    i0, i1, j0, j1 = rectangle
    return static, told.within((i0, i1, j0, j1))


def rectangles(mask: Bool[Tensor, "i j"]) -> list[Rectangle]:
    """Rectangles around all that is True; a bounding box that is mostly empty is cut in two where that saves most."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return []
    box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    best, cut = 0.8 * _cost([box]), None
    for axis in (0, 1):
        for at in range(box[2 * axis] + 1, box[2 * axis + 1]):
            halves = [_bounds(mask, box, axis, at, side) for side in (0, 1)]
            cost = _cost([half for half in halves if half is not None])
            if cost < best:
                best, cut = cost, (axis, at)
    if cut is None:
        return [box]
    found = []
    for side in (0, 1):
        part = torch.zeros_like(mask)
        where = [slice(None), slice(None)]
        where[cut[0]] = slice(cut[1], None) if side else slice(0, cut[1])
        part[tuple(where)] = mask[tuple(where)]
        found += rectangles(part)
    return found


def _bounds(mask: Tensor, box: Rectangle, axis: int, at: int, side: int) -> Rectangle | None:
    """The bounding box of one side of a cut."""
    i0, i1, j0, j1 = box
    if axis == 0:
        i0, i1 = (at, i1) if side else (i0, at)
    else:
        j0, j1 = (at, j1) if side else (j0, at)
    part = mask[i0:i1, j0:j1]
    rows, columns = part.any(1).nonzero()[:, 0], part.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return i0 + int(rows[0]), i0 + int(rows[-1]) + 1, j0 + int(columns[0]), j0 + int(columns[-1]) + 1


def _cost(parts: Sequence[Rectangle]) -> int:
    """Blocks that the network reads."""
    total = 0
    for part in parts:
        i0, i1, j0, j1 = _with_context(part)
        total += (i1 - i0) * (j1 - j0)
    return total


def _with_context(part: Rectangle) -> Rectangle:
    """What the network reads for a part."""
    out = []
    for first, end in (part[:2], part[2:]):
        more = max(2 * CONTEXT, LEAST - (end - first))
        out += [first - more // 2, end + more - more // 2]
    return out[0], out[1], out[2], out[3]


def _corner(static: StaticMap) -> tuple[float, float]:
    """Where block (0, 0) begins: a place of the lattice near the frame's origin, whatever the map has grown to."""
    size = static.grid.voxel_size
    x, y = (origin - round(origin / size) * size for origin in static.grid.origin[:2])
    return x, y


def _grid_of(part: Rectangle, corner: tuple[float, float], bottom: float, size: float) -> VoxelGrid:
    i0, i1, j0, j1 = part
    origin = (corner[0] + i0 * BLOCK * size, corner[1] + j0 * BLOCK * size, bottom)
    return VoxelGrid(origin, size, ((i1 - i0) * BLOCK, (j1 - j0) * BLOCK, NUM_LAYERS))


def _seen_blocks(
    static: StaticMap, grid_from_ego: Float[Tensor, "t 4 4"], reach: float
) -> tuple[Bool[Tensor, "i j"], tuple[int, int]]:
    """Blocks whose middles are within reach of any of the poses, in the axes of each; and the first block."""
    block = BLOCK * static.grid.voxel_size
    corner = torch.tensor(_corner(static), dtype=torch.float64)
    middles = grid_from_ego[:, :2, 3]
    low = ((middles.amin(0) - 1.5 * reach - corner) / block).floor().long()
    high = ((middles.amax(0) + 1.5 * reach - corner) / block).ceil().long()
    i, j = torch.meshgrid(
        torch.arange(int(low[0]), int(high[0])), torch.arange(int(low[1]), int(high[1])), indexing="ij"
    )
    places = (torch.stack([i, j], -1).double() + 0.5) * block + corner
    flat = torch.nn.functional.pad(places.flatten(0, 1), (0, 1))
    seen = apply(invert(grid_from_ego), flat.expand(len(grid_from_ego), -1, -1))[..., :2].abs().amax(-1) <= reach
    return seen.any(0).reshape(i.shape), (int(low[0]), int(low[1]))
