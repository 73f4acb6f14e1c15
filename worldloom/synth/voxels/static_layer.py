"""What stands in a town, as world-anchored clouds of labelled points, tile by tile."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.ops.voxel_rays import mark_points
from worldloom.synth.occ3d_labels import labels_on
from worldloom.synth.soup import Soup
from worldloom.synth.voxels.surface_points import surface_points
from worldloom.synth.voxels.voxel_priority import RANK_OF_LABEL

# Points lie at most this far apart. A voxel of 0.4 m, however turned, then holds a point of every surface that cuts
# through its inner half: surfaces stay closed when the grid is tilted against them.
SPACING = 0.16
TILE = 16.0  # metres

Tile = tuple[int, int]


@dataclass(frozen=True)
class Cloud:
    """Labelled points of the world. A voxel belongs to the point of the highest rank in it."""

    points: Float[Tensor, "n 3"]  # metres
    ranks: UInt8[Tensor, " n"]  # RANK_OF_LABEL of what they belong to
    hit: Bool[Tensor, " n"]  # whether a laser beam ended here

    def __len__(self) -> int:
        return len(self.points)

    def mark(
        self, ranks: UInt8[Tensor, "x y z"], hit: UInt8[Tensor, "x y z"], voxel_from_world: Float[Tensor, "4 4"]
    ) -> None:
        """Put the points into a frame's grid: the highest rank of each voxel, and 1 where a beam ended."""
        mark_points(ranks, self.points, self.ranks, voxel_from_world[:3], flagged=(hit, self.hit))


class StaticLayer:
    """Clouds by tile, made when a frame first comes near and then kept."""

    def __init__(self, make: Callable[[Tile], Cloud]) -> None:
        """`make` gives the cloud of tile (i, j), which covers TILE * [i, i + 1) x [j, j + 1)."""
        self._make = make
        self._tiles: dict[Tile, Cloud] = {}

    def mark(
        self, ranks: UInt8[Tensor, "x y z"], hit: UInt8[Tensor, "x y z"], voxel_from_world: Float[Tensor, "4 4"]
    ) -> None:
        """Put what stands near into a frame's grid, as `Cloud.mark` does."""
        for tile in tiles_in_reach(ranks.shape, voxel_from_world):
            if tile not in self._tiles:
                self._tiles[tile] = self._make(tile)
            if len(self._tiles[tile]):
                self._tiles[tile].mark(ranks, hit, voxel_from_world)


def tiles_in_reach(shape: Sequence[int], voxel_from_world: Float[Tensor, "4 4"]) -> list[Tile]:
    """The tiles that may meet the grid, seen from above."""
    corners = torch.tensor([[x, y, z, 1.0] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])])
    world = (torch.linalg.inv(voxel_from_world.double()) @ corners.double().T)[:2]
    low, high = (world.amin(1) / TILE).floor().long().tolist(), (world.amax(1) / TILE).floor().long().tolist()
    to_grid = voxel_from_world[:2, :2].double()
    # Half a tile, and a few voxels by which tilt moves the top of a column against its foot.
    limits = (to_grid.abs().sum(1) * TILE / 2 + torch.tensor(shape[:2]) / 2 + 4).tolist()
    middle = world.mean(1)
    tiles = []
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            away = to_grid @ (torch.tensor([(i + 0.5) * TILE, (j + 0.5) * TILE], dtype=torch.float64) - middle)
            if all(abs(a) <= limit for a, limit in zip(away.tolist(), limits, strict=True)):
                tiles.append((i, j))
    return tiles


def clouds_by_tile(cloud: Cloud, cell: float) -> dict[Tile, Cloud]:
    """A cloud cut into tiles, thinned to one point of each rank and kind in a world-anchored cube of size `cell`."""
    where = np.floor(cloud.points.numpy() / cell).astype(np.int64)
    where -= where.min(0, initial=0)
    span = where.max(0, initial=0) + 1
    key = (where[:, 0] * span[1] + where[:, 1]) * span[2] + where[:, 2]
    _, first = np.unique((key * 32 + cloud.ranks.numpy()) * 2 + cloud.hit.numpy(), return_index=True)
    tile = np.floor(cloud.points.numpy()[first, :2] / TILE).astype(np.int64)
    order = np.lexsort((tile[:, 1], tile[:, 0]))
    tile, kept = tile[order], torch.from_numpy(first[order])
    starts = np.flatnonzero(np.any(np.diff(tile, axis=0, prepend=tile[:1] - 1), axis=1)) if len(tile) else []
    pieces = zip(starts, [*starts[1:], len(tile)], strict=True) if len(tile) else []
    result = {}
    for start, stop in pieces:
        at = kept[start:stop]
        result[(int(tile[start, 0]), int(tile[start, 1]))] = Cloud(
            cloud.points[at].float(), cloud.ranks[at], cloud.hit[at]
        )
    return result


def joined_clouds(clouds: Iterable[Cloud]) -> Cloud:
    """All points of several clouds."""
    kept = [cloud for cloud in clouds if len(cloud)] or [
        Cloud(torch.zeros(0, 3), torch.zeros(0, dtype=torch.uint8), torch.zeros(0, dtype=torch.bool))
    ]
    return Cloud(
        torch.cat([cloud.points for cloud in kept]),
        torch.cat([cloud.ranks for cloud in kept]),
        torch.cat([cloud.hit for cloud in kept]),
    )


class SoupTiles:
    """Points all over the surfaces of a soup, tile by tile."""

    def __init__(self, soup: Soup, spacing: float = SPACING) -> None:
        self._soup, self._spacing = soup, spacing
        corners = soup.vertices[soup.faces.long()][..., :2]
        self._low, self._high = corners.amin(1), corners.amax(1)

    def __call__(self, tile: Tile) -> Cloud:
        """The points of one tile."""
        low = torch.tensor(tile, dtype=torch.float64) * TILE
        mine = ((self._high >= low) & (self._low <= low + TILE)).all(1).nonzero()[:, 0]
        points, face = surface_points(self._soup.vertices, self._soup.faces[mine], self._spacing)
        inside = ((points[:, :2] >= low) & (points[:, :2] < low + TILE)).all(1)
        points, face = points[inside], mine[face[inside]]
        ranks = RANK_OF_LABEL[labels_on(self._soup, face, points).long()]
        return Cloud(points.float(), ranks, torch.zeros(len(points), dtype=torch.bool))
