"""The roads of a town as areas: carriageways, sidewalks, verges, medians, islands, crossings."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.synth.towns.roads import Edge, Lane, RoadMap

Points = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class StreetShapes:
    """Areas of the plane that do not overlap, except that crossings lie on the carriageway."""

    carriageway: BaseGeometry  # everything vehicles drive or park on
    sidewalk: BaseGeometry
    verge: BaseGeometry  # strips for plants between sidewalk and carriageway
    median: BaseGeometry
    islands: BaseGeometry  # middles of roundabouts
    crossings: tuple[BaseGeometry, ...]  # one for each of the map's crossings

    @cached_property
    def whole(self) -> BaseGeometry:
        """All that belongs to the streets; what is left are blocks."""
        parts = [self.carriageway, self.sidewalk, self.verge, self.median, self.islands]
        return _closed(shapely.union_all(parts), 0.3)

    @cached_property
    def clear_of(self) -> BaseGeometry:
        """Crossings and what lies within 2 m of them: no driveway ends there."""
        return shapely.union_all(self.crossings).buffer(2.0)


def make_street_shapes(roads: RoadMap) -> StreetShapes:
    """The areas that a road map's lanes, junctions and crossings cover."""
    by_use: dict[str, list[BaseGeometry]] = {}
    for edge in roads.edges:
        for lane in edge.lanes:
            by_use.setdefault("drive" if lane.use in ("bike", "park") else lane.use, []).append(lane_area(lane))
    crossings = tuple(shapely.LineString(c.centre).buffer(c.width / 2, cap_style="flat") for c in roads.crossings)
    junctions = shapely.union_all([shapely.make_valid(shapely.Polygon(j.outline)) for j in roads.junctions])
    corners = shapely.union_all([shapely.make_valid(shapely.Polygon(a)) for a in roads.walking_areas if len(a) > 2])
    ways = shapely.MultiLineString([c.via for c in roads.connections if len(c.via) > 1])
    # Vehicles need their ways; between these is carriageway too, but what bulges out behind a sidewalk is not.
    driven = _closed(shapely.union_all([ways.buffer(2.6), *crossings]), 5.0)
    kept = corners.difference(ways.buffer(1.8))
    inside = junctions.intersection(driven).difference(kept)
    sidewalk = _tidy(shapely.union_all([*by_use.get("walk", []), kept, junctions.difference(inside)]))
    verge = _tidy(shapely.union_all(by_use.get("verge", []))).difference(sidewalk)
    median = _tidy(shapely.union_all(by_use.get("median", []))).difference(sidewalk)
    islands = shapely.union_all([shapely.Polygon(outline) for outline in roads.islands]).difference(sidewalk)
    raised = shapely.union_all([sidewalk, verge, median, islands])
    carriageway = _tidy(shapely.union_all([*by_use.get("drive", []), inside]).difference(raised))
    return StreetShapes(carriageway, sidewalk, verge, median, islands, crossings)


def lane_area(lane: Lane) -> BaseGeometry:
    """The lane as an area, a hand's breadth wider so that neighbours meet."""
    return shapely.LineString(lane.centre).buffer(lane.width / 2 + 0.02, cap_style="flat", join_style="mitre")


def beside(line: Points, offset: float) -> Points:
    """The line moved to its left (right where negative); its points move along the bisectors of its bends."""
    along = np.diff(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    left = np.stack([-along[:, 1], along[:, 0]], -1)
    both = np.concatenate([left[:1], left[:-1] + left[1:], left[-1:]])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    own = np.concatenate([left[:1], left])
    stretch = 1 / np.clip((both * own).sum(-1), 0.5, 1)
    return line + offset * (both * stretch[:, None])


def stations(line: Points, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (m, 2) and unit directions (m, 2) of a line, `at` metres from its start."""
    step = np.diff(line, axis=0)
    length = np.linalg.norm(step, axis=1)
    ends = np.concatenate([[0.0], np.cumsum(length)])
    i = np.clip(np.searchsorted(ends, at, side="right") - 1, 0, len(step) - 1)
    direction = step[i] / np.maximum(length[i], 1e-9)[:, None]
    return line[i] + (at - ends[i])[:, None] * direction, direction


def line_length(line: Points) -> float:
    """Metres along a line."""
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def right_kerb(edge: Edge) -> tuple[Lane, Lane] | None:
    """The outermost raised strip and the lane beside it, where a carriageway meets a sidewalk or verge."""
    for outer, inner in zip(edge.lanes, edge.lanes[1:], strict=False):
        if outer.use in ("walk", "verge") and inner.use in ("drive", "bike", "park"):
            return outer, inner
    return None


def polygons_of(area: BaseGeometry) -> list[shapely.Polygon]:
    """The polygons of an area, without lines and points that operations may leave."""
    if isinstance(area, shapely.Polygon):
        return [] if area.is_empty else [area]
    if not isinstance(area, shapely.MultiPolygon | shapely.GeometryCollection):
        return []
    return [polygon for part in area.geoms for polygon in polygons_of(part)]


def _closed(area: BaseGeometry, reach: float) -> BaseGeometry:
    """The area with gaps narrower than twice `reach` filled."""
    wide = shapely.buffer(area, reach, join_style="mitre")
    return shapely.buffer(wide, -reach, join_style="mitre")


def _tidy(area: BaseGeometry) -> BaseGeometry:
    """The area without cracks and slivers narrower than 0.2 m."""
    with np.errstate(divide="ignore", invalid="ignore"):  # mitres of parallel edges, which GEOS then leaves out
        for distance in (0.1, -0.2, 0.1):
            area = shapely.buffer(area, distance, join_style="mitre")
    return area
