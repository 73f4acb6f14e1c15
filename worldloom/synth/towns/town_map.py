"""A town's map in nuScenes' words: drivable area, joined lanes, crossings, walkways, stop lines, car parks."""

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.geometry.io.nuscenes_map import MapLine, MapPolygon
from worldloom.synth.towns.lane_paint import stop_line_of
from worldloom.synth.towns.roads import Edge
from worldloom.synth.towns.street_shapes import beside, line_length, polygons_of
from worldloom.synth.towns.town import Town

Points = Float64[np.ndarray, "_ 2"]
_LANE_TYPES = {"drive": "CAR", "bike": "BIKE"}


def town_map(
    town: Town, origin: tuple[float, float] = (0.0, 0.0)
) -> tuple[tuple[MapPolygon, ...], tuple[MapLine, ...]]:
    """The map's polygons and lines, in metres from `origin`; nuScenes wants one from which all is positive."""
    o = np.array(origin)
    roads, shapes = town.roads, town.shapes
    polygons = [
        *_areas("drivable_area", town.low, o),
        *_areas("walkway", shapes.sidewalk, o),
        *_areas("carpark_area", town.lots.car_parks, o),
    ]
    for edge in roads.edges:
        outline = _edge_outline(edge)
        if outline is not None:
            polygons.append(MapPolygon("road_segment", edge.id, outline - o, fields={"is_intersection": False}))
    for junction in roads.junctions:
        if len(junction.outline) > 2:
            fields = {"is_intersection": True}
            polygons.append(MapPolygon("road_segment", junction.id, junction.outline - o, fields=fields))
    for crossing, area in zip(roads.crossings, shapes.crossings, strict=True):
        polygons += [MapPolygon("ped_crossing", crossing.id, _outline(part) - o) for part in polygons_of(area)[:1]]
    return tuple(polygons + _lanes(town, o) + _stop_lines(town, o)), _dividers(town, o)


def _areas(layer: str, area: BaseGeometry, origin: np.ndarray) -> list[MapPolygon]:
    return [
        MapPolygon(
            layer,
            f"{layer}_{i}",
            _outline(part) - origin,
            tuple(shapely.get_coordinates(hole)[:-1] - origin for hole in part.interiors),
        )
        for i, part in enumerate(polygons_of(area))
    ]


def _outline(polygon: shapely.Polygon) -> Points:
    return shapely.get_coordinates(polygon.exterior)[:-1]


def _edge_outline(edge: Edge) -> Points | None:
    """What vehicles use of one direction of a street."""
    used = [lane for lane in edge.lanes if lane.use in ("drive", "bike", "park")]
    if not used:
        return None
    right = beside(used[0].centre, -used[0].width / 2)
    return np.concatenate([right, beside(used[-1].centre, used[-1].width / 2)[::-1]])


def _lanes(town: Town, origin: np.ndarray) -> list[MapPolygon]:
    """Lanes and, across the junctions, lane connectors; each names those that follow it."""
    roads = town.roads
    ways = [c for c in roads.connections if len(c.via) > 1 and line_length(c.via) > 0.1]
    lanes = []
    for edge in roads.edges:
        for lane in edge.lanes:
            if lane.use not in _LANE_TYPES:
                continue
            followers = tuple(_way_name(c.from_lane, c.to_lane) for c in ways if c.from_lane == lane.id)
            outline = _band(lane.centre, lane.width)
            fields = {"lane_type": _LANE_TYPES[lane.use]}
            lanes.append(MapPolygon("lane", lane.id, outline - origin, (), lane.centre - origin, followers, fields))
    for c in ways:
        width = min(roads.lanes[c.from_lane].width, roads.lanes[c.to_lane].width)
        name = _way_name(c.from_lane, c.to_lane)
        via = _distinct(c.via)
        lanes.append(MapPolygon("lane_connector", name, _band(via, width) - origin, (), via - origin, (c.to_lane,)))
    return lanes


def _way_name(from_lane: str, to_lane: str) -> str:
    return f"{from_lane}>{to_lane}"


def _band(centre: Points, width: float) -> Points:
    return np.concatenate([beside(centre, -width / 2), beside(centre, width / 2)[::-1]])


def _distinct(line: Points) -> Points:
    """Without points that repeat the one before."""
    step = np.hypot(*np.diff(line, axis=0).T)
    return line[np.concatenate([[True], step > 1e-6])]


def _stop_lines(town: Town, origin: np.ndarray) -> list[MapPolygon]:
    """The metre before each line at which drivers wait."""
    roads = town.roads
    lights = {j.id for j in roads.junctions if j.control == "traffic_light"}
    ends = {lane.id: edge.to_junction for edge in roads.edges for lane in edge.lanes}
    waits: dict[str, str] = {}
    for c in roads.connections:
        if c.stops or c.yields:
            kind = "TRAFFIC_LIGHT" if ends[c.from_lane] in lights else "STOP_SIGN" if c.stops else "YIELD"
            if waits.get(c.from_lane) in (None, "YIELD"):
                waits[c.from_lane] = kind
    result = []
    for name in sorted(waits):
        left, right = stop_line_of(roads.lanes[name])
        along = np.array([-(right - left)[1], (right - left)[0]]) / np.hypot(*(right - left))
        outline = np.stack([left - along, right - along, right, left])
        result.append(MapPolygon("stop_line", name, outline - origin, fields={"stop_line_type": waits[name]}))
    return result


def _dividers(town: Town, origin: np.ndarray) -> tuple[MapLine, ...]:
    lines = []
    for edge in town.roads.edges:
        for right, left in zip(edge.lanes, edge.lanes[1:], strict=False):
            if right.use in _LANE_TYPES and left.use in _LANE_TYPES:
                points = beside(right.centre, right.width / 2)
                lines.append(MapLine("lane_divider", left.id, points - origin, {"lane_divider_segments": []}))
        last = edge.lanes[-1]
        if edge.opposite is not None and edge.id[0] == "e" and last.use in ("drive", "median"):
            points = beside(last.centre, last.width / 2)
            lines.append(MapLine("road_divider", edge.id, points - origin, {"road_segment_token": None}))
    return tuple(lines)
