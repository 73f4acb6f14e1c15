"""The ground of a town as a raster: what it is, what is painted on it, and where it is raised by a kerb."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
import torch
from jaxtyping import Bool, Float, Int, UInt8
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.relief import Relief
from worldloom.synth.sheet import Ring, Sheet

DRIVEABLE, OTHER_FLAT, SIDEWALK, TERRAIN = (
    OCC3D_CLASSES.index(name) for name in ("driveable_surface", "other_flat", "sidewalk", "terrain")
)
PAINTS = ("none", "white", "yellow", "kerb", "bike", "dirt")  # colours of the paint layer
KERB = 0.14  # metres that sidewalks and lots lie above carriageways


@dataclass(frozen=True)
class Ground:
    """What lies where, and how high."""

    sheet: Sheet  # of labels and raised
    paint_sheet: Sheet  # twice as fine
    labels: UInt8[Tensor, "i j"]  # Occ3D ids: driveable_surface, other_flat, sidewalk or terrain
    raised: Bool[Tensor, "i j"]  # lies KERB above the relief
    paint: UInt8[Tensor, "p q"]  # numbers in PAINTS
    cover: UInt8[Tensor, "p q"]  # how much of the cell is painted, 255 is all
    relief: Relief

    def label_at(self, xy: Float[Tensor, "*n 2"]) -> Int[Tensor, "*n"]:
        """Occ3D id of the ground at each point; beyond the raster that of its edge."""
        return self.labels[self.sheet.index(xy)].long()

    def smooth_label_at(self, xy: Float[Tensor, "n 2"]) -> Int[Tensor, " n"]:
        """As `label_at`, with the corners of the cells rounded off: what most of the nearest four cells are."""
        at, weight = self._nearest(self.sheet, xy)
        label = self.labels[at].long()
        agreement = torch.stack([(weight * (label == label[i])).sum(0) for i in range(4)])
        return label.gather(0, agreement.argmax(0, keepdim=True))[0]

    def paint_shares_at(self, xy: Float[Tensor, "n 2"]) -> Float[Tensor, "n k"]:
        """How densely each of PAINTS covers each point, smooth between cells; the first column stays 0."""
        at, weight = self._nearest(self.paint_sheet, xy)
        dense = weight * self.cover[at].float() / 255
        shares = torch.zeros(len(PAINTS), len(xy)).scatter_add_(0, self.paint[at].long(), dense)
        shares[0] = 0
        return shares.mT

    @staticmethod
    def _nearest(
        sheet: Sheet, xy: Float[Tensor, "n 2"]
    ) -> tuple[tuple[Int[Tensor, "4 n"], Int[Tensor, "4 n"]], Float[Tensor, "4 n"]]:
        """The four cells whose centres surround each point, and their bilinear weights."""
        local = (xy.double() - torch.tensor(sheet.origin, dtype=torch.float64)) / sheet.cell - 0.5
        low = torch.floor(local)
        f, g = (local - low).float().unbind(-1)
        i, j = low.long().unbind(-1)
        rows = torch.stack([i, i + 1, i, i + 1]).clamp(0, sheet.shape[0] - 1)
        columns = torch.stack([j, j, j + 1, j + 1]).clamp(0, sheet.shape[1] - 1)
        return (rows, columns), torch.stack([(1 - f) * (1 - g), f * (1 - g), (1 - f) * g, f * g])

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
        labels.view(-1)[inside] = patch.label
        raised.view(-1)[inside] = patch.raised
    paint = torch.zeros(fine.shape, dtype=torch.uint8)
    cover = torch.zeros(fine.shape, dtype=torch.uint8)
    for one in painted:
        _paint(one, fine, paint, cover)
    return Ground(sheet, fine, labels, raised, paint, cover, relief)


def _paint(area: PaintedArea, sheet: Sheet, paint: UInt8[Tensor, "p q"], cover: UInt8[Tensor, "p q"]) -> None:
    finer = Sheet(sheet.origin, sheet.cell / 3, (3 * sheet.shape[0], 3 * sheet.shape[1]))
    inside = finer.covered(area.outlines)
    cells = inside // finer.shape[1] // 3 * sheet.shape[1] + inside % finer.shape[1] // 3  # up to nine times each
    count = torch.zeros(cover.numel(), dtype=torch.uint8).index_add_(
        0, cells, torch.ones_like(cells, dtype=torch.uint8)
    )
    share = (count[cells].int() * 255 // 9).to(torch.uint8)
    before = cover.view(-1)[cells]
    # Where two colours share a cell, the newer one has it if it covers as much.
    newer = torch.tensor(PAINTS.index(area.paint), dtype=torch.uint8)
    paint.view(-1)[cells] = torch.where(share >= before, newer, paint.view(-1)[cells])
    cover.view(-1)[cells] = torch.maximum(share, before)


def rings_of(area: BaseGeometry) -> list[Ring]:
    """Outlines of an area's polygons, counter-clockwise, with their holes clockwise."""
    parts = shapely.get_parts(shapely.get_parts(shapely.orient_polygons(area)))
    rings = shapely.get_rings(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return [shapely.get_coordinates(ring)[:-1] for ring in rings]
