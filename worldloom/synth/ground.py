"""The ground of a town as a raster: what it is, what is painted on it, and where it is raised by a kerb."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt8
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.relief import Relief

Ring = Float64[np.ndarray, "p 2"]

DRIVEABLE, OTHER_FLAT, SIDEWALK, TERRAIN = (
    OCC3D_CLASSES.index(name) for name in ("driveable_surface", "other_flat", "sidewalk", "terrain")
)
PAINTS = ("none", "white", "yellow", "kerb", "bike", "dirt", "slab")  # colours of the paint layer
KERB = 0.14  # metres that sidewalks and lots lie above carriageways


@dataclass(frozen=True)
class Sheet:
    """A raster over the world's x-y plane. Cell (i, j) covers origin + cell * [i, i + 1) x [j, j + 1)."""

    origin: tuple[float, float]
    cell: float
    shape: tuple[int, int]

    def index(self, xy: Float[Tensor, "*n 2"]) -> tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]]:
        """Cells of points; points outside get the nearest cell."""
        ij = torch.floor((xy.double() - torch.tensor(self.origin, dtype=torch.float64)) / self.cell).long()
        return ij[..., 0].clamp(0, self.shape[0] - 1), ij[..., 1].clamp(0, self.shape[1] - 1)

    def covered(self, rings: Iterable[Ring]) -> Bool[Tensor, "i j"]:
        """Cells whose centre lies inside: where the rings wind about it, counter-clockwise +1, clockwise -1, not 0.

        Rings may overlap; the holes of a polygon are clockwise rings.
        """
        winding = np.zeros((self.shape[0], self.shape[1] + 1), np.int16)
        starts, ends = [], []
        for ring in rings:
            local = (ring - np.array(self.origin)) / self.cell - 0.5  # centres of cells at whole numbers
            starts.append(local)
            ends.append(np.roll(local, -1, axis=0))
        if not starts:
            return torch.zeros(self.shape, dtype=torch.bool)
        a, b = np.concatenate(starts), np.concatenate(ends)
        first, last = np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0])
        low = np.clip(np.ceil(first), 0, self.shape[0]).astype(np.int64)
        count = np.clip(np.ceil(last), 0, self.shape[0]).astype(np.int64) - low
        edge = np.repeat(np.arange(len(a)), count)
        i = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + low[edge]
        share = (i - a[edge, 0]) / (b[edge, 0] - a[edge, 0])
        j = np.ceil(a[edge, 1] + share * (b[edge, 1] - a[edge, 1]))
        # Going towards +x, a counter-clockwise ring has its inside on the left, at larger y.
        sign = np.where(b[edge, 0] > a[edge, 0], 1, -1).astype(np.int16)
        np.add.at(winding, (i, np.clip(j, 0, self.shape[1]).astype(np.int64)), sign)
        np.cumsum(winding, axis=1, out=winding)
        return torch.from_numpy(winding[:, :-1] != 0)


@dataclass(frozen=True)
class Ground:
    """What lies where, and how high."""

    sheet: Sheet  # of labels and raised
    paint_sheet: Sheet  # twice as fine
    labels: UInt8[Tensor, "i j"]  # Occ3D ids: driveable_surface, other_flat, sidewalk or terrain
    raised: Bool[Tensor, "i j"]  # lies KERB above the relief
    paint: UInt8[Tensor, "p q"]  # numbers in PAINTS
    relief: Relief

    def label_at(self, xy: Float[Tensor, "*n 2"]) -> Int[Tensor, "*n"]:
        """Occ3D id of the ground at each point; beyond the raster that of its edge."""
        return self.labels[self.sheet.index(xy)].long()

    def paint_at(self, xy: Float[Tensor, "*n 2"]) -> Int[Tensor, "*n"]:
        """Number in PAINTS at each point."""
        return self.paint[self.paint_sheet.index(xy)].long()

    def height(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
        """Height of the ground, kerbs included."""
        return self.relief.height(xy) + KERB * self.raised[self.sheet.index(xy)].to(xy.dtype)


@dataclass(frozen=True)
class Patch:
    """An area of one kind; later patches lie over earlier ones."""

    area: BaseGeometry
    label: int
    raised: bool


@dataclass(frozen=True)
class PaintedArea:
    """Outlines (counter-clockwise) in one colour; later ones lie over earlier ones."""

    paint: str  # one of PAINTS
    outlines: tuple[Ring, ...]


def make_ground(
    bounds: tuple[float, float, float, float],
    patches: Iterable[Patch],
    painted: Iterable[PaintedArea],
    relief: Relief,
    cell: float = 0.2,
) -> Ground:
    """The raster of a town: raised terrain, except where patches say otherwise."""
    x0, y0 = (np.floor(bounds[k] / cell) * cell for k in (0, 1))
    shape = (round((bounds[2] - x0) / cell) + 1, round((bounds[3] - y0) / cell) + 1)
    sheet = Sheet((float(x0), float(y0)), cell, shape)
    fine = Sheet(sheet.origin, cell / 2, (2 * shape[0], 2 * shape[1]))
    labels = torch.full(shape, TERRAIN, dtype=torch.uint8)
    raised = torch.ones(shape, dtype=torch.bool)
    for patch in patches:
        inside = sheet.covered(rings_of(patch.area))
        labels[inside] = patch.label
        raised[inside] = patch.raised
    paint = torch.zeros(fine.shape, dtype=torch.uint8)
    for one in painted:
        paint[fine.covered(one.outlines)] = PAINTS.index(one.paint)
    return Ground(sheet, fine, labels, raised, paint, relief)


def rings_of(area: BaseGeometry) -> list[Ring]:
    """Outlines of an area's polygons, counter-clockwise, with their holes clockwise."""
    parts = shapely.get_parts(shapely.get_parts(shapely.orient_polygons(area)))
    rings = shapely.get_rings(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return [shapely.get_coordinates(ring)[:-1] for ring in rings]
