"""Where a body can walk in a scene of splats: there is floor under it, nothing in its way, and a way from the start."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Gaussians, rotmat_from_quat

CELL = 0.1  # metres
REACH = 15.0  # metres from the start
RADIUS = 0.25  # metres of a body
BAND = (0.25, 1.7)  # metres above the floor where something is in the way of a body
_FLOOR = 0.2  # metres by which a floor may be uneven
_SOLID = 0.3  # opacity of what stops a body
_SPREAD = 1.5  # standard deviations to which a splat is solid
_MOST = 12  # samples along an axis of a splat; what is larger is sampled more thinly


@dataclass(frozen=True, eq=False)
class Walkable:
    """Cells CELL metres wide, the start in the middle of the middle one; x ahead, y to the left, as in the scene."""

    free: Bool[np.ndarray, "x y"]
    floor: float  # height in the scene, metres

    def at(self, x: float, y: float) -> bool:
        """Whether a body can stand there."""
        i, j = self.cell(x, y)
        return 0 <= i < len(self.free) and 0 <= j < len(self.free) and bool(self.free[i, j])

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The cell of a place; it may lie outside."""
        half = len(self.free) / 2
        return math.floor(x / CELL + half), math.floor(y / CELL + half)

    def place(self, i: int, j: int) -> tuple[float, float]:
        """The middle of a cell."""
        half = len(self.free) / 2
        return (i + 0.5 - half) * CELL, (j + 0.5 - half) * CELL

    def walked(self, x: float, y: float, yaw: float, length: float) -> tuple[float, float, bool]:
        """Where one gets who walks straight on, and whether something was in the way; lengths below 0 are backwards."""
        steps = max(1, math.ceil(abs(length) / (CELL / 2)))
        for _ in range(steps):
            x2, y2 = x + length / steps * math.cos(yaw), y + length / steps * math.sin(yaw)
            if not self.at(x2, y2):
                return x, y, True
            x, y = x2, y2
        return x, y, False

    def sight(self, x: float, y: float, yaws: Float[np.ndarray, " n"], most: float = 5.0) -> Float[np.ndarray, " n"]:
        """Metres that one could walk in each direction, at most `most`."""
        lengths = np.arange(1, round(most / (CELL / 2)) + 1) * CELL / 2
        half = len(self.free) / 2
        i = np.floor((x + np.cos(yaws)[:, None] * lengths) / CELL + half).astype(np.int64)
        j = np.floor((y + np.sin(yaws)[:, None] * lengths) / CELL + half).astype(np.int64)
        n = len(self.free)
        inside = (i >= 0) & (i < n) & (j >= 0) & (j < n)
        open_ = inside & self.free[i.clip(0, n - 1), j.clip(0, n - 1)]
        blocked = ~open_
        first = np.where(blocked.any(1), blocked.argmax(1), len(lengths))
        return first * CELL / 2

    def distances(self, x: float, y: float) -> Float[np.ndarray, "x y"]:
        """Metres to walk from every cell to a place, over edges and corners of cells; inf where there is no way."""
        shape = (len(self.free), len(self.free))
        index = np.full(shape, -1)
        cells = np.argwhere(self.free)
        index[self.free] = np.arange(len(cells))
        rows, columns, lengths = [], [], []
        for di, dj in ((1, 0), (0, 1), (1, 1), (1, -1)):
            i, j = cells[:, 0] + di, cells[:, 1] + dj
            inside = (i < shape[0]) & (j >= 0) & (j < shape[1])
            to = np.where(inside, index[i.clip(max=shape[0] - 1), j.clip(0, shape[1] - 1)], -1)
            there = to >= 0
            rows.append(np.flatnonzero(there))
            columns.append(to[there])
            lengths.append(np.full(int(there.sum()), CELL * math.hypot(di, dj)))
        out = np.full(self.free.shape, np.inf)
        start = self.cell(x, y)
        if not self.at(x, y):
            return out
        graph = coo_array(
            (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))), shape=(len(cells), len(cells))
        )
        out[self.free] = dijkstra(graph.tocsr(), directed=False, indices=int(index[start]))
        return out


def walkable(gaussians: Gaussians, start: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Walkable:
    """The cells that a body can reach from below `start`, an eye in the scene.

    What nobody saw is not free: a cell without a floor is none. The floor is level, at the height that it has below the
    start.

    Raises:
        InputError: there is no floor below the start, or no room to stand on it.
    """
    solid = gaussians.opacities > _SOLID
    points = _surface(gaussians, solid) - torch.tensor(start)
    near = points[:, :2].norm(dim=1)
    below = points[(near < 1.0) & (points[:, 2] < -0.3), 2]
    if not len(below):
        raise InputError("expected a floor below the start, got no splat within a metre of it")
    height = float(below.median())
    points = points[near < REACH]
    count = 2 * round(REACH / CELL)
    cells = ((points[:, :2] / CELL) + count / 2).floor().long()
    inside = ((cells >= 0) & (cells < count)).all(1)
    above = points[:, 2] - height
    floor, blocked = (
        _marked(cells[inside & where], count) for where in (above.abs() < _FLOOR, (above > BAND[0]) & (above < BAND[1]))
    )
    # A body needs floor under its middle, and no thing within its radius.
    ways = ndimage.distance_transform_edt(~blocked, sampling=CELL) if blocked.any() else np.full(floor.shape, np.inf)
    free = np.asarray(ndimage.binary_closing(floor, iterations=1), bool) & (np.asarray(ways) > RADIUS)
    parts = np.empty(free.shape, np.int32)
    ndimage.label(free, output=parts)
    middle = np.argwhere(free)
    if not len(middle):
        raise InputError("expected room for a body in the scene, got none")
    nearest = middle[np.abs(middle - count / 2 + 0.5).sum(1).argmin()]
    if np.hypot(*(nearest - count / 2 + 0.5)) * CELL > 1.5:
        raise InputError("expected room for a body within 1.5 m of the start, got none")
    return Walkable(parts == parts[tuple(nearest)], start[2] + height)


def _surface(gaussians: Gaussians, solid: Bool[Tensor, " n"]) -> Float[Tensor, "m 3"]:
    """Points on splats, close enough to leave no cell out."""
    means, scales = gaussians.means[solid], gaussians.scales[solid]
    order = scales.argsort(1, descending=True)[:, :2]
    axes = rotmat_from_quat(gaussians.quats[solid]).mT  # rows are the splat's axes in the world
    sides = axes.gather(1, order[..., None].expand(-1, -1, 3)) * scales.gather(1, order)[..., None] * _SPREAD
    need = (2 * sides.norm(dim=2).amax(1) / CELL).ceil().clamp(1, _MOST).long()
    parts = []
    for count in need.unique().tolist():
        chosen = need == count
        at = (torch.arange(count) + 0.5) / count * 2 - 1
        grid = torch.cartesian_prod(at, at) if count > 1 else torch.zeros(1, 2)
        inside = grid[grid.norm(dim=1) <= 1]
        offsets = torch.einsum("s a, n a d -> n s d", inside, sides[chosen])
        parts.append((means[chosen, None] + offsets).flatten(0, 1))
    return torch.cat(parts) if parts else torch.zeros(0, 3)


def _marked(cells: Tensor, count: int) -> Bool[np.ndarray, "x y"]:
    mask = torch.zeros(count, count, dtype=torch.bool)
    mask[cells[:, 0], cells[:, 1]] = True
    return mask.numpy()
