"""What a map means for a car: where the road is known to be, where it is known not to be, and what is in the way."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, GROUND, STANDING, among
from worldloom.geometry.rigid import apply
from worldloom.occupancy.static_map import StaticMap
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT

BAND = (0.3, 1.8)  # metres above the ground in which something is in the way of a car
TOUCHED = 0.05  # share of the footprint above which a contact counts: single voxels are noise
_SPACING = 0.2  # metres between points of the footprint


@dataclass(frozen=True, eq=False)
class Terrain:
    """Columns of a map, in the map's own frame."""

    known: Bool[Tensor, "x y"]  # ground, or something that stands, is known there
    road: Bool[Tensor, "x y"]
    blocked: Bool[Tensor, "x y"]
    origin: tuple[float, float]
    size: float

    @staticmethod
    def of(static: StaticMap) -> "Terrain":
        """The columns of a map."""
        labels, known, grid = static.labels, static.known, static.grid
        ground, stands = among(labels, GROUND) & known, among(labels, STANDING) & known
        layers = torch.arange(1, grid.shape[2] + 1)
        top = (ground * layers).amax(2)  # layers up to the top of the ground; 0: none
        if bool((top > 0).any()):
            # Where no ground is known it is as high as where it is known nearest.
            nearest = ndimage.distance_transform_edt((top == 0).numpy(), return_distances=False, return_indices=True)
            i, j = torch.from_numpy(np.asarray(nearest, np.int64))
            top = top[i, j]
        middle = (layers - 0.5 - top[..., None]) * grid.voxel_size
        low, high = BAND[0] - grid.voxel_size / 2, BAND[1] + grid.voxel_size / 2
        return Terrain(
            (ground | stands).any(2),
            ((labels == DRIVEABLE) & known).any(2),
            (stands & (middle > low) & (middle < high)).any(2),
            (grid.origin[0], grid.origin[1]),
            grid.voxel_size,
        )

    def under(self, grid_from_ego: Float[Tensor, "s 4 4"]) -> tuple[Bool[Tensor, " s"], Bool[Tensor, " s"], float]:
        """For poses of the ego: whether it stands on something, whether a corner is off the road, and what is known.

        What nobody knows is neither; the last is the share of corners in known columns.
        """
        inside, i, j = self._cells(apply(grid_from_ego, _LATTICE.expand(len(grid_from_ego), -1, -1)))
        blocked = (self.blocked[i, j] & inside).float().mean(1) > TOUCHED
        inside, i, j = self._cells(apply(grid_from_ego, _CORNERS.expand(len(grid_from_ego), -1, -1)))
        known = self.known[i, j] & inside
        return blocked, (known & ~self.road[i, j]).any(1), float(known.float().mean())

    def _cells(self, points: Float[Tensor, "s n 3"]) -> tuple[Bool[Tensor, "s n"], Tensor, Tensor]:
        """Whether points are in the map, and their columns, those of others clamped."""
        cells = ((points[..., :2] - torch.tensor(self.origin, dtype=points.dtype)) / self.size).floor().long()
        most = torch.tensor(self.road.shape) - 1
        inside = ((cells >= 0) & (cells <= most)).all(-1)
        i, j = torch.minimum(cells.clamp(min=0), most).unbind(-1)
        return inside, i, j


def _footprint() -> Float[Tensor, "n 3"]:
    length, width = EGO_EXTENT[:2]
    nx, ny = round(length / _SPACING), round(width / _SPACING)
    x = EGO_CENTRE + length * ((torch.arange(nx, dtype=torch.float64) + 0.5) / nx - 0.5)
    y = width * ((torch.arange(ny, dtype=torch.float64) + 0.5) / ny - 0.5)
    return torch.nn.functional.pad(torch.cartesian_prod(x, y), (0, 1))


_LATTICE = _footprint()
_CORNERS = torch.tensor(
    [[EGO_CENTRE + a * EGO_EXTENT[0] / 2, b * EGO_EXTENT[1] / 2, 0.0] for a in (1, -1) for b in (1, -1)],
    dtype=torch.float64,
)
