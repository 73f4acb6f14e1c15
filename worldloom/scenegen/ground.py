"""Ground that an agent can walk on, out of what a panorama shows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from torch import Tensor

from worldloom.geometry import Agent, Panorama, sample_panorama
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.surface import quads

MAX_LEVELS = 4  # floors above one another in one column
START_WITHIN = 1.5  # metres from under the panorama to the ground where paths begin

# Below the lowest free voxel of a column, how far its ground is looked for: metres, or voxels where these are more.
_DESCENT, _DESCENT_VOXELS = 0.6, 4
_HALVINGS = 8


@dataclass(frozen=True)
class Ground:
    """Columns of a grid in the panorama's frame: how high their ground is, and where an agent's middle may be."""

    origin: tuple[float, float]  # minimum corner, metres
    cell: float  # metres
    height: Float[np.ndarray, "x y"]  # of the ground that can be reached on foot; NaN elsewhere
    room: Float[np.ndarray, "x y"]  # metres from the middle of each cell to where an agent cannot stand, 0 there
    walkable: Bool[np.ndarray, "x y"]  # the agent's whole body has room, in one piece with the start
    start: tuple[int, int] | None  # the walkable cell nearest to the panorama; None where there is none

    def points(self, cells: np.ndarray) -> Float[Tensor, "n 3"]:
        """Middle of the ground in cells (n, 2)."""
        x, y = (self.origin[k] + (cells[:, k] + 0.5) * self.cell for k in (0, 1))
        return torch.from_numpy(np.stack([x, y, self.height[tuple(cells.T)]], axis=-1).astype(np.float32))

    def cells(self, points: Float[Tensor, "n 3"]) -> np.ndarray:
        """Cells (n, 2) below points; they may lie outside the grid."""
        flat = points[:, :2].numpy().astype(np.float64)
        return np.floor((flat - self.origin) / self.cell).astype(np.int64)

    def room_at(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """`room` below points, interpolated between cells; 0 outside the grid."""
        flat = (points[:, :2].double().numpy() - self.origin) / self.cell - 0.5
        room = ndimage.map_coordinates(self.room, flat.T, order=1, mode="constant")
        return torch.from_numpy(room).float()

    def metres_on_foot(self) -> Float[np.ndarray, "x y"]:
        """From the start to each walkable cell, by steps to the eight cells around; inf where none leads there."""
        metres = np.full(self.walkable.shape, np.inf)
        if self.start is None:
            return metres
        number = np.cumsum(self.walkable).reshape(self.walkable.shape) - 1
        links = []
        for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = (slice(None, -i or None), slice(max(0, -j), -j if j > 0 else None))
            b = (slice(i, None), slice(max(0, j), j if j < 0 else None))
            both = self.walkable[a] & self.walkable[b]
            rise = self.height[a][both] - self.height[b][both]
            links.append((number[a][both], number[b][both], np.hypot(math.hypot(i, j) * self.cell, rise)))
        rows, columns, lengths = (np.concatenate(part) for part in zip(*links, strict=True))
        graph = sparse.coo_matrix((lengths, (rows, columns)), shape=(int(self.walkable.sum()),) * 2).tocsr()
        metres[self.walkable] = csgraph.dijkstra(graph, directed=False, indices=int(number[self.start]))
        return metres

    @property
    def area(self) -> float:
        """Square metres of walkable ground."""
        return float(self.walkable.sum()) * self.cell**2


def find_ground(panorama: Panorama, space: FreeSpace, agent: Agent, spare: float = 0.0) -> Ground:
    """Where the agent can walk from under the panorama, which must be upright.

    The ground of a column is where it comes out of the surface into free space, if the surface goes on around that
    place (`Quads.torn`) and the body above it, but for its lowest `step`, is free. Columns of ground next to each
    other belong together if they differ by a step at most. Of those that belong together with the start, the steep are
    left out: the least-squares plane of a pace of ground rises by more than `slope`. What is left is narrowed
    by the radius, from walls and from drops alike.

    Args:
        spare: metres that the body keeps away from all else, beyond its radius.
    """
    grid = space.grid
    cell = grid.voxel_size
    levels = _levels(panorama, space, agent)
    label = _joined(levels, agent.step)
    origin = (grid.origin[0], grid.origin[1])
    nowhere = np.zeros(grid.shape[:2], np.float32)
    empty = Ground(origin, cell, np.full_like(nowhere, np.nan), nowhere, nowhere > 0, None)
    for piece in _near_start(levels, label, origin, cell):
        height = np.where(label == piece, levels, np.inf).min(-1)
        height = np.where(np.isfinite(height), height, np.nan).astype(np.float32)
        kept = np.isfinite(height) & (_steepness(height, agent, cell) <= math.tan(agent.slope))
        cells: Any = ndimage.distance_transform_edt(np.pad(kept, 1))
        room = (np.maximum(cells[1:-1, 1:-1] - 0.5, 0) * cell).astype(np.float32)
        standing = room >= agent.radius + spare
        start = _nearest_cell(standing, origin, cell)
        if start is None:
            continue
        labelled: Any = ndimage.label(standing)
        pieces = labelled[0]
        return Ground(origin, cell, np.where(kept, height, np.nan), room, pieces == pieces[start], start)
    return empty


def _levels(panorama: Panorama, space: FreeSpace, agent: Agent) -> Float[np.ndarray, "x y k"]:
    """Heights of ground with room for a body over it, from below upwards in each column; NaN where there are fewer."""
    free, size = space.free, space.grid.voxel_size
    below = np.zeros_like(free)
    below[..., 1:] = free[..., :-1]
    opening = free & ~below
    columns = np.argwhere(opening)
    nth = (np.cumsum(opening, axis=-1) - 1)[tuple(columns.T)]
    columns = columns[nth < MAX_LEVELS]
    nth = nth[nth < MAX_LEVELS]
    levels = np.full((*free.shape[:2], MAX_LEVELS), np.nan)
    if not len(columns):
        return levels
    place = torch.from_numpy(np.array(space.grid.origin) + (columns + 0.5) * size)
    height, found = _descend(panorama, place, max(_DESCENT, _DESCENT_VOXELS * size))
    roomy = np.ones(len(height), bool)
    body = np.linspace(agent.step, agent.height, math.ceil((agent.height - agent.step) / size) + 1)
    at = place.float()
    for above in body.tolist():
        at[:, 2] = torch.from_numpy(height + above).float()
        roomy &= space.is_free(at).numpy()
    i, j, _ = columns.T
    good = found & roomy
    levels[i[good], j[good], nth[good]] = height[good]
    return levels


def _descend(panorama: Panorama, points: Float[Tensor, "n 3"], reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Height of the surface at most `reach` metres under free points, and whether there is one that is not torn."""
    distance = torch.where(panorama.sky, 1e4, panorama.distance)[None]

    def outside(z: Tensor) -> Tensor:
        """Above the surface, interpolated between pixels."""
        at = torch.cat([points[:, :2], z[:, None]], dim=-1).float()
        return at.norm(dim=-1) < sample_panorama(distance, at[:, None])[0, :, 0]

    high = points[:, 2].clone()
    low = high.clone()
    step = reach / 12
    falling = torch.ones(len(points), dtype=torch.bool)
    for _ in range(12):
        low = torch.where(falling, low - step, low)
        above = outside(low)
        high = torch.where(falling & above, low, high)
        falling &= above
    met = ~falling
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = outside(middle)
        high, low = torch.where(above, middle, high), torch.where(above, low, middle)
    at = torch.cat([points[:, :2], high[:, None]], dim=-1).float()
    whole = _whole(panorama)
    met &= sample_panorama(whole[None], at[:, None], "nearest")[0, :, 0]
    return high.numpy(), met.numpy()


def _whole(panorama: Panorama) -> Bool[Tensor, "h w"]:
    """Pixels around which the surface goes on on all sides."""
    shape = quads(panorama)
    fine = shape.solid & ~shape.torn
    below = torch.cat([fine, torch.ones_like(fine[:1])])
    above = torch.cat([torch.ones_like(fine[:1]), fine])
    both = below & above
    return both & both.roll(1, dims=1)


def _joined(levels: Float[np.ndarray, "x y k"], step: float) -> np.ndarray:
    """Number of the piece that each level belongs to; 0 where there is none."""
    there = np.isfinite(levels)
    number = np.where(there, np.cumsum(there).reshape(there.shape), 0)
    links = []
    for axis in (0, 1):
        ahead = tuple(slice(1, None) if k == axis else slice(None) for k in (0, 1))
        behind = tuple(slice(None, -1) if k == axis else slice(None) for k in (0, 1))
        for k in range(levels.shape[2]):
            for m in range(levels.shape[2]):
                with np.errstate(invalid="ignore"):
                    close = np.abs(levels[ahead][..., k] - levels[behind][..., m]) <= step
                links.append(np.stack([number[ahead][..., k][close], number[behind][..., m][close]]))
    pairs = np.concatenate(links, axis=1)
    n = int(there.sum()) + 1
    graph = sparse.coo_matrix((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(n, n))
    _, label = csgraph.connected_components(graph, directed=False)
    return np.where(there, label[number] + 1, 0)


def _near_start(levels: np.ndarray, label: np.ndarray, origin: tuple[float, float], cell: float) -> list[int]:
    """Pieces of ground within `START_WITHIN` of the panorama's foot and below its eye, the largest first."""
    i, j, _ = np.nonzero(label)
    x, y = origin[0] + (i + 0.5) * cell, origin[1] + (j + 0.5) * cell
    near = (np.hypot(x, y) <= START_WITHIN) & (levels[label > 0] < 0)
    pieces, counts = np.unique(label[label > 0][near], return_counts=True)
    sizes = np.bincount(label.ravel())
    order = np.argsort(-sizes[pieces], kind="stable")
    return [int(pieces[k]) for k in order if counts[k] > 0]


def _steepness(height: Float[np.ndarray, "x y"], agent: Agent, cell: float) -> Float[np.ndarray, "x y"]:
    """Rise over run of the least-squares plane through the ground within a pace, two radii to each side."""
    reach = max(1, round(2 * agent.radius / cell))
    there = np.isfinite(height)
    z = np.where(there, height, 0.0).astype(np.float64)
    x = np.arange(height.shape[0])[:, None] * cell
    y = np.arange(height.shape[1])[None] * cell

    def total(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(there * values, 2 * reach + 1, mode="constant")

    n = np.maximum(total(np.ones_like(z)), 1e-9)
    mx, my, mz = total(x + 0 * z) / n, total(y + 0 * z) / n, total(z) / n
    xx, yy, xy = total(x * x + 0 * z) / n - mx**2, total(y * y + 0 * z) / n - my**2, total(x * y) / n - mx * my
    xz, yz = total(x * z) / n - mx * mz, total(y * z) / n - my * mz
    determinant = xx * yy - xy**2
    # Too few cells around, or all in one line: no plane. Such slivers are narrower than any agent.
    good = determinant > 1e-3 * cell**4
    safe = np.where(good, determinant, 1.0)
    gx, gy = (yy * xz - xy * yz) / safe, (xx * yz - xy * xz) / safe
    return np.where(good, np.hypot(gx, gy), np.inf)


def _nearest_cell(
    standing: Bool[np.ndarray, "x y"], origin: tuple[float, float], cell: float
) -> tuple[int, int] | None:
    cells = np.argwhere(standing)
    if not len(cells):
        return None
    apart = np.hypot(*(np.array(origin)[:, None] + (cells.T + 0.5) * cell))
    best = int(apart.argmin())
    return (int(cells[best, 0]), int(cells[best, 1])) if apart[best] <= START_WITHIN else None
