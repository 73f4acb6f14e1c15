"""Walkable ground as polygons that know their neighbours, and the shortest way over it."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.mesh import Mesh

PORTAL_STEP = 1.0  # metres


@dataclass(frozen=True)
class Agent:
    """The body that walks: an upright cylinder, and what it can climb. Metres and radians."""

    radius: float = 0.25
    height: float = 1.75
    step: float = 0.2  # the highest step up or down
    slope: float = math.radians(35)

    def __post_init__(self) -> None:
        if not (
            0.05 <= self.radius <= 2
            and 2 * self.radius <= self.height <= 5
            and 0 < self.step < self.height
            and 0 < self.slope < math.pi / 2
        ):
            raise InputError(
                "expected an agent of 0.05 to 2 m radius, a height from twice that to 5 m, a step above 0 and below "
                f"its height and a slope between 0 and 90 degrees, got {self.radius:g} m, {self.height:g} m, "
                f"{self.step:g} m and {math.degrees(self.slope):g} degrees"
            )


@dataclass(frozen=True)
class NavMesh:
    """Convex polygons where the middle of an agent may be: its whole body has room. Metres, z up."""

    vertices: Float[Tensor, "n 3"]
    polygons: tuple[tuple[int, ...], ...]  # rows of `vertices`, counter-clockwise from above
    agent: Agent = field(default_factory=Agent)

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3 or not self.vertices.isfinite().all():
            raise InputError(f"a navmesh needs finite vertices n 3, got {tuple(self.vertices.shape)}")
        for k, polygon in enumerate(self.polygons):
            if len(set(polygon)) != len(polygon) or len(polygon) < 3:
                raise InputError(f"polygon {k}: expected three or more vertices, each once, got {list(polygon)[:8]}")
            if not 0 <= min(polygon) <= max(polygon) < len(self.vertices):
                raise InputError(f"polygon {k}: expected numbers of {len(self.vertices)} vertices, got {polygon[:8]}")
            flat = self._flat[list(polygon)]
            edges = np.roll(flat, -1, axis=0) - flat
            turns = _cross(edges, np.roll(edges, -1, axis=0))
            # Vertices may lie on a straight edge, where a neighbour's corner meets it.
            if turns.min() < -1e-5 * (edges**2).sum(-1).max() or turns.sum() <= 0:
                raise InputError(f"polygon {k}: expected a convex polygon counter-clockwise from above, got another")
        edges = [edge for polygon in self.polygons for edge in _edges(polygon)]
        if len(set(edges)) != len(edges):
            raise InputError("expected every edge of a navmesh between two polygons at most, got one of more")

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each edge of each polygon, from its i-th vertex to the next, the polygon beyond it; -1 for none."""
        owner = {edge: k for k, polygon in enumerate(self.polygons) for edge in _edges(polygon)}
        return tuple(tuple(owner.get((b, a), -1) for a, b in _edges(polygon)) for polygon in self.polygons)

    @property
    def area(self) -> float:
        """Square metres, seen from above."""
        total = 0.0
        for polygon in self.polygons:
            flat = self._flat[list(polygon)]
            total += 0.5 * float(_cross(flat, np.roll(flat, -1, axis=0)).sum())
        return total

    def mesh(self) -> Mesh:
        """The polygons as triangles, for `save_glb`: game engines and three-pathfinding take them so."""
        faces = [(p[0], b, c) for p in self.polygons for b, c in pairwise(p[1:])]
        return Mesh(self.vertices, torch.tensor(faces, dtype=torch.int64).reshape(-1, 3))

    def locate(self, points: Float[Tensor, "n 3"]) -> Int64[Tensor, " n"]:
        """The polygon over or under each point, the nearest in height if there are several; -1 where there is none."""
        found = np.full(len(points), -1)
        least = np.full(len(points), np.inf)
        flat, z = points[:, :2].double().numpy(), points[:, 2].double().numpy()
        for k, polygon in enumerate(self.polygons):
            corners = self._flat[list(polygon)]
            if not ((flat >= corners.min(0) - 1e-6) & (flat <= corners.max(0) + 1e-6)).all(-1).any():
                continue
            edges = np.roll(corners, -1, axis=0) - corners
            inside = (_cross(edges, flat[:, None] - corners) >= -1e-6 * np.hypot(*edges.T)).all(-1)
            gap = np.abs(z - float(self.vertices[list(polygon), 2].mean()))
            better = inside & (gap < least)
            found[better], least[better] = k, gap[better]
        return torch.from_numpy(found)

    def shortest_path(self, start: Float[Tensor, "3"], goal: Float[Tensor, "3"]) -> Float[Tensor, "k 3"] | None:
        """The shortest way on the mesh as a polyline with a point at each edge it crosses; None if there is none.

        The polygons to cross are those of the shortest way over points `PORTAL_STEP` apart on shared edges (Dijkstra
        1959); within them the way is pulled taut by the funnel algorithm (Lee and Preparata 1984), and bends that a
        straight line over other polygons avoids are taken out. So it may exceed the shortest of all ways a little where
        two ways round an obstacle are nearly as long. Heights of start and goal are those of the mesh.

        Raises:
            InputError: if start or goal is not over the mesh.
        """
        first, last = self.locate(torch.stack([start, goal])).tolist()
        if min(first, last) < 0:
            end, point = ("start", start) if first < 0 else ("goal", goal)
            x, y, z = point.tolist()
            raise InputError(f"expected the {end} of a path over the navmesh, got ({x:g}, {y:g}, {z:g})")
        ends = [self._on(polygon, point) for polygon, point in ((first, start), (last, goal))]
        if first == last:
            return torch.from_numpy(np.stack(ends)).float()
        portals = self._corridor(ends[0], ends[1], first, last)
        if portals is None:
            return None
        corners = self.vertices.double().numpy()
        left = np.stack([*(corners[b] for _, b in portals), ends[1]])
        right = np.stack([*(corners[a] for a, _ in portals), ends[1]])
        return torch.from_numpy(self._shortened(_taut(ends[0], left, right))).float()

    @cached_property
    def _flat(self) -> Float[np.ndarray, "n 2"]:
        return self.vertices[:, :2].double().numpy()

    def _on(self, polygon: int, point: Tensor) -> Float[np.ndarray, "3"]:
        """The point at the height of the least-squares plane of a polygon's vertices."""
        corners = self.vertices[list(self.polygons[polygon])].double().numpy()
        middle = corners.mean(0)
        slope, *_ = np.linalg.lstsq(corners[:, :2] - middle[:2], corners[:, 2] - middle[2], rcond=None)
        x, y = point[:2].tolist()
        return np.array([x, y, middle[2] + slope @ (np.array([x, y]) - middle[:2])])

    def _shortened(self, way: np.ndarray) -> Float[np.ndarray, "k 3"]:
        """The way without those bends that a straight walk avoids."""
        bends = [0, *_bends(way), len(way) - 1]
        polygons = self.locate(torch.from_numpy(way[bends]).float()).tolist()
        kept, i = [way[:1]], 0
        while i < len(bends) - 1:
            j, best = i + 1, way[bends[i] + 1 : bends[i + 1] + 1]
            for k in range(i + 2, len(bends)):
                straight = self._straight(way[bends[i]], way[bends[k]], polygons[i], polygons[k])
                if straight is None:
                    break
                j, best = k, straight
            kept.append(best)
            i = j
        return np.concatenate(kept)

    def _straight(self, start: np.ndarray, goal: np.ndarray, polygon: int, last: int) -> np.ndarray | None:
        """Where a straight walk from one polygon to another crosses edges, and the goal; None if it leaves the mesh."""
        step = (goal - start)[:2]
        points = []
        for _ in self.polygons:
            if polygon == last:
                return np.stack([*points, goal])
            corners = self._flat[list(self.polygons[polygon])]
            edges = np.roll(corners, -1, axis=0) - corners
            outwards = _cross(edges, step)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(outwards < 0, _cross(edges, corners - start[:2]) / outwards, np.inf)
            if not share.min() < 1:
                return None
            # Edges in one line are left at once; the walk crosses that of them whose middle is nearest.
            there = start[:2] + share.min() * step
            aside = np.linalg.norm(corners + edges / 2 - there, axis=-1) / np.linalg.norm(edges, axis=-1)
            k = int(np.where(share <= share.min() + 1e-6, aside, np.inf).argmin())
            a, b = _edges(self.polygons[polygon])[k]
            left, right = self.vertices[b].double().numpy(), self.vertices[a].double().numpy()
            points.append(_crossing(start, goal, left, right))
            polygon = self.neighbours[polygon][k]
            if polygon < 0:
                return None
        return None

    def _corridor(self, start: np.ndarray, goal: np.ndarray, first: int, last: int) -> list[tuple[int, int]] | None:
        """Shared edges to cross, in order; each as its vertices in the polygon that is left, so (right, left)."""
        import scipy.sparse
        from scipy.sparse import csgraph

        corners = self.vertices.double().numpy()
        places, edges = [], []  # of the nodes of the graph
        around: dict[int, list[int]] = defaultdict(list)  # polygon -> nodes on its edges
        for k, polygon in enumerate(self.polygons):
            for (a, b), beyond in zip(_edges(polygon), self.neighbours[k], strict=True):
                if beyond > k:
                    count = math.ceil(float(np.linalg.norm(corners[b] - corners[a])) / PORTAL_STEP)
                    nodes = range(len(places), len(places) + count)
                    shares = (np.arange(count)[:, None] + 0.5) / count
                    places += list(corners[a] + shares * (corners[b] - corners[a]))
                    edges += [(a, b)] * count
                    around[k] += nodes
                    around[beyond] += nodes
        places = np.array([*places, start, goal])
        around[first].append(len(places) - 2)
        around[last].append(len(places) - 1)
        links = [(a, b, k) for k, nodes in around.items() for a in nodes for b in nodes if a < b]
        if not links:
            return None
        rows, columns, _ = np.array(links).T
        lengths = np.maximum(np.linalg.norm(places[rows] - places[columns], axis=-1), 1e-9)
        graph = scipy.sparse.coo_matrix((lengths, (rows, columns)), shape=(len(places),) * 2).tocsr()
        cost, before = csgraph.dijkstra(graph, directed=False, indices=len(places) - 2, return_predecessors=True)
        if not np.isfinite(cost[-1]):
            return None
        way = [len(places) - 1]
        while before[way[-1]] >= 0:
            way.append(int(before[way[-1]]))
        portals, polygon = [], first
        for node in way[-2:0:-1]:
            a, b = edges[node]
            if (a, b) not in _edges(self.polygons[polygon]):
                a, b = b, a
            portals.append((a, b))
            polygon = self.neighbours[polygon][_edges(self.polygons[polygon]).index((a, b))]
        return portals


def _edges(polygon: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(polygon, polygon[1:] + polygon[:1], strict=True))


def _cross(a: np.ndarray, b: np.ndarray) -> Any:
    """z of the cross product; a number of two vectors, an array of two arrays of them."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _taut(start: np.ndarray, left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "k 3"]:
    """The taut string from `start` through portals, the last of which is a point, with a point on each portal."""
    corners = [(0, start)]  # (portals passed, corner)
    apex, at = start, 0
    while at < len(left):
        # The widest view from the apex, narrowed portal by portal; the first that it misses bends the string.
        l_at = r_at = at
        for i in range(at, len(left)):
            towards_left, towards_right = left[l_at] - apex, right[r_at] - apex
            if _cross(towards_right, left[i] - apex) < 0:  # all of the portal lies right of the view
                corners.append((r_at + 1, right[r_at]))
                apex, at = right[r_at], r_at + 1
                break
            if _cross(towards_left, right[i] - apex) > 0:  # left of it
                corners.append((l_at + 1, left[l_at]))
                apex, at = left[l_at], l_at + 1
                break
            if i == at or _cross(towards_left, left[i] - apex) <= 0:
                l_at = i
            if i == at or _cross(towards_right, right[i] - apex) >= 0:
                r_at = i
        else:
            corners.append((len(left), left[-1]))
            at = len(left)
    points = [start]
    for (passed, a), (next_passed, b) in pairwise(corners):
        for i in range(passed, next_passed):
            points.append(_crossing(a, b, left[i], right[i]))
    kept = [points[0]]
    for point in points[1:]:
        if np.linalg.norm(point - kept[-1]) > 1e-6:
            kept.append(point)
    if len(kept) == 1:
        kept.append(points[-1])
    return np.stack(kept)


def _bends(way: np.ndarray) -> list[int]:
    """Numbers of the inner points at which a way turns by more than a thousandth."""
    steps = np.diff(way[:, :2], axis=0)
    steps /= np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 1e-12)
    return [int(i) + 1 for i in np.flatnonzero(np.abs(_cross(steps[:-1], steps[1:])) > 1e-3)]


def _crossing(a: np.ndarray, b: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where the line from a to b, seen from above, crosses the portal; on the portal."""
    along, across = (b - a)[:2], (right - left)[:2]
    turn = _cross(along, across)
    if abs(turn) < 1e-12:
        nearest = left if np.linalg.norm(left - a) < np.linalg.norm(right - a) else right
        return b if not across.any() else nearest
    share = _cross(along, (a - left)[:2]) / _cross(along, across)
    return left + np.clip(share, 0, 1) * (right - left)
