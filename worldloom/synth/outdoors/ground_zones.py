"""Ground that is many things: zones of the plane, each with its material and lift, laid over a relief without gaps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
import torch
from shapely.geometry.base import BaseGeometry

from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.world import Material, Part, Thing

Height = Callable[[np.ndarray], np.ndarray]  # (n, 2) -> (n,)


@dataclass(frozen=True)
class Zone:
    """What covers an area of the plane. Where zones overlap, the one named first holds."""

    name: str
    semantic: str
    area: BaseGeometry
    material: Material
    lift: float | int = 0.0  # above the relief; steps up to it are walled by `kerbs`


def grid_lines(fine: float | int, step: float | int, far: float | int, growth: float | int = 1.3) -> np.ndarray:
    """Lines from -far to far: `step` apart within `fine` of the middle, then ever wider."""
    lines, at, wide = np.arange(0, fine + 1e-6, step).tolist(), fine, step
    while at < far:
        wide *= growth
        at = min(at + wide, far)
        lines.append(at)
    positive = np.array(lines)
    return np.concatenate([-positive[:0:-1], positive])


@dataclass(frozen=True)
class Terrain:
    """Heights on grid lines; between them, the two triangles of each cell, as the mesh has it."""

    lines: np.ndarray
    heights: np.ndarray  # (x, y)

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """Height of the mesh at (n, 2)."""
        last = len(self.lines) - 2
        i = np.clip(np.searchsorted(self.lines, at[:, 0], side="right") - 1, 0, last)
        j = np.clip(np.searchsorted(self.lines, at[:, 1], side="right") - 1, 0, last)
        u = (at[:, 0] - self.lines[i]) / (self.lines[i + 1] - self.lines[i])
        v = (at[:, 1] - self.lines[j]) / (self.lines[j + 1] - self.lines[j])
        a, b = self.heights[i, j], self.heights[i + 1, j]
        c, d = self.heights[i + 1, j + 1], self.heights[i, j + 1]
        # The diagonal runs from (0, 0) to (1, 1).
        return np.where(u >= v, a + u * (b - a) + v * (c - b), a + v * (d - a) + u * (c - d))


def sampled(height: Height, lines: np.ndarray) -> Terrain:
    """A relief as its mesh over grid lines will have it."""
    x, y = np.meshgrid(lines, lines, indexing="ij")
    return Terrain(lines, height(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape))


def zoned_ground(zones: Sequence[Zone], lines: np.ndarray, height: Height) -> list[Thing]:
    """A thing for each zone, cut along the grid `lines` of x and y, so that it bends with the relief.

    Neighbours are cut by the same lines and share their boundaries, so no ray falls through. The last zone takes what
    the others leave of the square. Where `height` is a `Terrain` of the same lines, the mesh is exactly as high.
    """
    x, y = (a.ravel() for a in np.meshgrid(lines[:-1], lines[:-1], indexing="ij"))
    x1, y1 = (a.ravel() for a in np.meshgrid(lines[1:], lines[1:], indexing="ij"))
    # The triangles of a `Terrain`: pieces of them are as flat as it is.
    halves = [np.stack([x, y, x1, y, x1, y1], 1), np.stack([x, y, x1, y1, x, y1], 1)]
    cells = np.asarray(shapely.polygons(np.concatenate(halves).reshape(-1, 3, 2)))
    things = []
    taken = shapely.Polygon()
    for zone in zones:
        if zone is zones[-1]:
            area = shapely.difference(shapely.box(lines[0], lines[0], lines[-1], lines[-1]), taken)
        else:
            area = shapely.difference(zone.area, taken)
            taken = shapely.union(taken, zone.area)
        if area.is_empty:
            continue
        shapely.prepare(area)
        hit = cells[shapely.intersects(area, cells)]
        pieces = shapely.get_parts(shapely.intersection(hit, area))
        pieces = pieces[(shapely.get_dimensions(pieces) == 2) & (shapely.area(pieces) > 1e-7)]
        if not len(pieces):
            continue
        triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(pieces))
        corners = shapely.get_coordinates(triangles).reshape(-1, 4, 2)[:, :3]
        things.append(Thing(zone.name, zone.semantic, (_draped(corners, height, zone),)))
    return things


def kerbs(
    area: BaseGeometry, height: Height, low: float | int, high: float | int, material: Material, name: str = "kerb"
) -> Thing:
    """Upright faces along the boundary of an area that lies `low` above the relief, beside ground at `high`."""
    assembly = Assembly()
    outline = shapely.segmentize(shapely.orient_polygons(area), 1.0)
    for polygon in shapely.get_parts(outline):
        for ring in shapely.get_rings(polygon):
            at = shapely.get_coordinates(ring)
            # Inside an oriented polygon lies on the left of its rings: the wall looks to the left.
            z = height(at)
            foot = np.concatenate([at, (z + min(low, high) - 0.04)[:, None]], 1)
            top = np.concatenate([at, (z + max(low, high))[:, None]], 1)
            walls = np.stack([foot[:-1], top[:-1], top[1:], foot[1:]], 1)
            assembly.quads(material, walls if high > low else walls[:, ::-1])
    return Thing(name, "sidewalk", assembly.parts())


def _draped(corners: np.ndarray, height: Height, zone: Zone) -> Part:
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    double_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    corners = np.where(double_area[:, None, None] < 0, corners[:, ::-1], corners)[np.abs(double_area) > 1e-8]
    flat, which = np.unique(np.round(corners.reshape(-1, 2), 5), axis=0, return_inverse=True)
    vertices = np.concatenate([flat, (height(flat) + zone.lift)[:, None]], 1)
    faces = which.reshape(-1, 3)
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    return Part(
        torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)), zone.material, True
    )
