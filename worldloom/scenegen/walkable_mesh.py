"""Walkable cells become a navmesh: tiles of nearly flat ground with simple outlines, cut into convex polygons."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from worldloom.geometry import Agent, NavMesh
from worldloom.scenegen.ground import Ground

MAX_TILE = 64  # cells, a power of two
MIN_TILE = 4
FLAT = 0.5  # of a step, that ground may depart from the plane of its tile

_EPSILON = 1e-9


def navmesh_from_ground(ground: Ground, agent: Agent) -> NavMesh:
    """The walkable cells of a ground as a navmesh in the panorama's frame; of no polygons where nothing is walkable.

    The ground is cut into square tiles until each is flat to `FLAT` steps. The outlines of tiles lose every bend that
    cuts off less than a cell's area; neighbours keep their common edges. Triangles (constrained Delaunay) are joined
    to convex polygons within each tile.
    """
    import shapely

    label = _tiles(ground, FLAT * agent.step)
    edges = _borders(label)
    if not len(edges):
        return NavMesh(torch.zeros(0, 3), (), agent)
    lines: Any = shapely.linestrings(edges)
    faces = [face for face in shapely.polygonize(lines).geoms if _label_at(label, face) > 0]
    simple = shapely.coverage_simplify(faces, 1.0)
    numbers: dict[tuple[float, float], int] = {}
    polygons: list[tuple[int, ...]] = []
    for face in simple:
        triangles = []
        for triangle in shapely.constrained_delaunay_triangles(face).geoms:
            corners = shapely.get_coordinates(shapely.orient_polygons(triangle))[:3]
            triangles.append(tuple(numbers.setdefault((x, y), len(numbers)) for x, y in corners.tolist()))
        polygons += _convex(triangles, np.array(list(numbers)))
    corners = np.array(list(numbers))
    flat = np.array(ground.origin) + corners * ground.cell
    points = np.concatenate([flat, _corner_heights(ground)[tuple(corners.astype(np.int64).T)][:, None]], axis=1)
    return NavMesh(torch.from_numpy(points).float(), tuple(polygons), agent)


def _tiles(ground: Ground, tolerance: float) -> Int[np.ndarray, "x y"]:
    """For each cell the number of its tile; 0 where not walkable."""
    label = np.zeros(ground.walkable.shape, np.int64)
    rows, columns = len(label), len(label[0])
    todo = [(i, j, MAX_TILE) for i in range(0, rows, MAX_TILE) for j in range(0, columns, MAX_TILE)]
    number = 0
    while todo:
        i, j, size = todo.pop()
        part = (slice(i, i + size), slice(j, j + size))
        there = ground.walkable[part]
        if not there.any():
            continue
        if size > MIN_TILE and not _is_flat(ground.height[part], there, ground.cell, tolerance):
            half = size // 2
            todo += [(i + a, j + b, half) for a in (0, half) for b in (0, half)]
            continue
        number += 1
        label[part][there] = number
    return label


def _is_flat(height: np.ndarray, there: np.ndarray, cell: float, tolerance: float) -> bool:
    cells = np.argwhere(there)
    plane = np.concatenate([cells * cell, np.ones((len(cells), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(plane, height[there].astype(np.float64), rcond=None)
    return bool(np.abs(plane @ solution - height[there]).max() <= tolerance)


def _borders(label: Int[np.ndarray, "x y"]) -> Float[np.ndarray, "n 2 2"]:
    """The sides, one cell long, between cells of different labels, in cells from the grid's corner."""
    padded = np.pad(label, 1)
    i, j = np.nonzero(padded[1:] != padded[:-1])  # between cells i - 1 and i
    across = np.stack([np.stack([i, j - 1], -1), np.stack([i, j], -1)], axis=1)
    i, j = np.nonzero(padded[:, 1:] != padded[:, :-1])
    along = np.stack([np.stack([i - 1, j], -1), np.stack([i, j], -1)], axis=1)
    return np.concatenate([across, along]).astype(np.float64)


def _label_at(label: Int[np.ndarray, "x y"], face) -> int:
    """The label inside a face: that of the cell beside the middle of its first side."""
    a, b = np.array(face.exterior.coords[:2])
    along = b - a
    inward = np.array([-along[1], along[0]]) * (1 if face.exterior.is_ccw else -1)
    i, j = np.floor((a + b) / 2 + inward / 4).astype(int)
    return int(label[i, j])


def _corner_heights(ground: Ground) -> Float[np.ndarray, "x1 y1"]:
    """At each corner of cells, the mean height of the walkable ones around it."""
    z = np.pad(np.where(ground.walkable, ground.height, 0.0), 1)
    n = np.pad(ground.walkable, 1).astype(np.float64)
    total, count = (v[1:, 1:] + v[1:, :-1] + v[:-1, 1:] + v[:-1, :-1] for v in (z, n))
    return total / np.maximum(count, 1)


def _convex(triangles: list[tuple[int, ...]], places: Float[np.ndarray, "n 2"]) -> list[tuple[int, ...]]:
    """Counter-clockwise triangles of one face, joined across their longest common edges while they stay convex."""
    polygons = dict(enumerate(triangles))
    owner = {edge: k for k, polygon in polygons.items() for edge in _sides(polygon)}
    shared = [edge for edge in owner if edge[::-1] in owner and edge[0] < edge[1]]
    for a, b in sorted(shared, key=lambda e: -float(np.hypot(*(places[e[0]] - places[e[1]])))):
        one, two = owner[a, b], owner[b, a]
        joined = _joined(polygons[one], polygons[two], a, b)
        if one == two or joined is None or not _is_convex(places[list(joined)]):
            continue
        for edge in _sides(polygons.pop(two)):
            owner[edge] = one
        polygons[one] = joined
    return list(polygons.values())


def _joined(one: tuple[int, ...], two: tuple[int, ...], a: int, b: int) -> tuple[int, ...] | None:
    """The polygon around both, where (a, b) is an edge of the first and (b, a) of the second and no other is shared."""
    i, j = one.index(b), two.index(a)
    around = one[i:] + one[:i]  # from b to a
    beyond = two[j:] + two[:j]  # from a to b
    joined = around[:-1] + beyond[:-1]
    return joined if len(set(joined)) == len(joined) else None


def _is_convex(corners: Float[np.ndarray, "n 2"]) -> bool:
    edges = np.roll(corners, -1, axis=0) - corners
    after = np.roll(edges, -1, axis=0)
    return bool((edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]).min() >= -_EPSILON)


def _sides(polygon: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
