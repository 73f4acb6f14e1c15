"""What is painted on roads: lane lines, crossings, stop lines, arrows, parking bays, coloured bike lanes."""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.synth.towns.ground import PaintedArea, Ring, rings_of
from worldloom.synth.towns.roads import Edge, Lane, RoadMap
from worldloom.synth.towns.street_shapes import beside, lane_area, line_length, stations

Points = Float64[np.ndarray, "_ 2"]

STOP_DEPTH = 1.0  # metres of lane before its end that drivers who wait leave free
_LINE = 0.16  # metres wide
_ARROWS = {  # outlines about (0, 0), pointing along +x, counter-clockwise
    "s": ((-2.0, -0.09), (0.6, -0.09), (0.6, -0.35), (2.0, 0.0), (0.6, 0.35), (0.6, 0.09), (-2.0, 0.09)),
    "l": ((-2.0, -0.09), (0.25, -0.09), (0.25, 0.5), (0.5, 0.5), (0.16, 1.25), (-0.2, 0.5), (0.05, 0.5), (0.05, 0.09),
          (-2.0, 0.09)),
}  # fmt: skip
_ARROWS["r"] = tuple((x, -y) for x, y in reversed(_ARROWS["l"]))


@dataclass(frozen=True)
class PaintStyle:
    """How a town paints its streets."""

    centre: str  # colour of lines between directions
    bike: bool  # bike lanes are coloured
    striped: bool  # crossings are zebras; else two lines
    bays: bool  # kerbside parking has marks
    edges: bool  # edge lines along avenues


def make_paint_style(seed: int) -> PaintStyle:
    """A town's habits."""
    rng = np.random.default_rng((seed, 0x9A117))
    draw = rng.uniform(size=5)
    return PaintStyle(
        "yellow" if draw[0] < 0.5 else "white",
        bool(draw[1] < 0.6),
        bool(draw[2] < 0.8),
        bool(draw[3] < 0.7),
        bool(draw[4] < 0.5),
    )


def paint_lanes(roads: RoadMap, low: BaseGeometry, style: PaintStyle) -> list[PaintedArea]:
    """Everything painted on a town's roads, and the stones of the kerbs around `low`, the area of carriageways."""
    outlines: dict[str, list[Ring]] = defaultdict(list)
    for edge in roads.edges:
        for lane in edge.lanes:
            if lane.use == "bike" and style.bike:
                outlines["bike"] += rings_of(shapely.orient_polygons(lane_area(lane)))
        _lane_lines(edge, style, outlines)
    _stop_lines(roads, outlines)
    _arrows(roads, outlines)
    for crossing in roads.crossings:
        outlines["white"] += _zebra(crossing.centre, crossing.width, style.striped)
    kerb = low.boundary.buffer(0.25, quad_segs=2).difference(low)
    order = ("bike", "white", "yellow")
    return [
        PaintedArea("kerb", tuple(rings_of(kerb))),
        *(PaintedArea(paint, tuple(outlines[paint])) for paint in order),
    ]


def stop_line_of(lane: Lane) -> Points:
    """The two ends of the line at which drivers on this lane wait, from its left to its right."""
    (middle,), (direction,) = stations(lane.centre, np.array([max(line_length(lane.centre) - STOP_DEPTH, 0.0)]))
    left = np.array([-direction[1], direction[0]])
    return np.stack([middle + left * lane.width / 2, middle - left * lane.width / 2])


def bays_along(lane: Lane, length: float = 5.8) -> Float64[np.ndarray, " b"]:
    """Middles of the parking bays of a kerbside lane, in metres from its start; clear of the junctions."""
    usable = line_length(lane.centre) - 14.0
    count = max(0, int(usable / length))
    return 7.0 + (usable - count * length) / 2 + length * (np.arange(count) + 0.5)


def bars(line: Points, starts: np.ndarray, length: float, width: float, offset: float = 0.0) -> list[Ring]:
    """Rectangles along a line, each begun `starts` metres along it, `offset` to its left."""
    ends = np.minimum(starts + length, line_length(line))
    moved = beside(line, offset) if offset else line
    a, along = stations(moved, starts)
    b, _ = stations(moved, ends)
    left = np.stack([-along[:, 1], along[:, 0]], -1) * width / 2
    return list(np.stack([a - left, b - left, b + left, a + left], 1))


def _ribbon(line: Points, width: float, start: float = 0.0, end: float = 0.0) -> list[Ring]:
    """A solid line, cut by `start` and `end` metres."""
    length = line_length(line)
    if length < start + end + 1:
        return []
    at = np.linspace(start, length - end, max(2, int((length - start - end) / 2.5) + 1))
    points, _ = stations(line, at)
    return [np.concatenate([beside(points, -width / 2), beside(points, width / 2)[::-1]])]


def _dashes(line: Points, on: float, period: float, width: float, solid_end: float = 0.0) -> list[Ring]:
    length = line_length(line)
    starts = np.arange(1.0, max(length - solid_end - on, 1.0), period)
    rings = bars(line, starts, on, width) if len(starts) else []
    return rings + (_ribbon(line, width, max(0.0, length - solid_end)) if solid_end else [])


def _lane_lines(edge: Edge, style: PaintStyle, outlines: dict[str, list[Ring]]) -> None:
    for right, left in zip(edge.lanes, edge.lanes[1:], strict=False):
        between = beside(right.centre, right.width / 2)
        uses = (right.use, left.use)
        if uses == ("drive", "drive"):
            outlines["white"] += _dashes(between, 3.0, 9.0, _LINE, solid_end=min(16.0, line_length(between) / 3))
        elif uses == ("bike", "drive"):
            outlines["white"] += _ribbon(between, 0.2, 0.5, 0.5)
        elif "park" in uses and style.bays:
            lane = right if right.use == "park" else left
            inner = 1.0 if right.use == "park" else -1.0
            for at in bays_along(lane):
                # A T at each end of the bay, on the side of the traffic.
                tips = np.array([at - 2.9, at + 2.9])
                outlines["white"] += bars(lane.centre, tips - 0.06, 0.14, 0.9, inner * (lane.width / 2 - 0.45))
                outlines["white"] += bars(lane.centre, tips - 0.4, 0.8, 0.14, inner * (lane.width / 2 - 0.07))
        elif edge.rank == 3 and style.edges and uses[0] in ("walk", "verge") and uses[1] == "drive":
            outlines["white"] += _ribbon(beside(between, 0.35), _LINE, 0.5, 0.5)
    last = edge.lanes[-1]
    if last.use != "drive" or edge.opposite is None or edge.id[0] != "e" or edge.rank == 4:
        return
    axis = beside(last.centre, last.width / 2)
    if edge.rank == 3:
        for offset in (-0.15, 0.15):
            outlines[style.centre] += _ribbon(beside(axis, offset), _LINE, 0.5, 0.5)
    elif edge.rank == 2:
        outlines[style.centre] += _dashes(axis, 2.0, 6.0, _LINE)


def _stop_lines(roads: RoadMap, outlines: dict[str, list[Ring]]) -> None:
    stops = {c.from_lane for c in roads.connections if c.stops}
    gives_way = {c.from_lane for c in roads.connections if c.yields} - stops
    for name in sorted(stops | gives_way):
        lane = roads.lanes[name]
        if lane.use != "drive" or line_length(lane.centre) < 8:
            continue
        line = stop_line_of(lane)
        if name in stops:
            outlines["white"] += bars(line, np.zeros(1), lane.width, 0.45)
        else:
            outlines["white"] += bars(line, np.arange(0.25, lane.width - 0.5, 0.9), 0.5, 0.4)


def _arrows(roads: RoadMap, outlines: dict[str, list[Ring]]) -> None:
    turns: dict[str, set[str]] = defaultdict(set)
    for connection in roads.connections:
        turns[connection.from_lane].add(connection.turn.lower())
    for edge in roads.edges:
        driven = [lane for lane in edge.lanes if lane.use == "drive"]
        if len(driven) < 2 or line_length(driven[0].centre) < 35 or edge.rank == 4:
            continue
        for lane in driven:
            length = line_length(lane.centre)
            (at,), (along,) = stations(lane.centre, np.array([length - 11.0]))
            rotation = np.array([[along[0], along[1]], [-along[1], along[0]]])
            for turn in sorted(turns[lane.id] & set(_ARROWS)):
                outlines["white"].append(at + np.array(_ARROWS[turn]) @ rotation)


def _zebra(centre: Points, width: float, striped: bool) -> list[Ring]:
    length = line_length(centre)
    if not striped:
        return [ring for side in (-1, 1) for ring in _ribbon(beside(centre, side * (width / 2 - 0.15)), 0.3)]
    count = max(1, math.floor((length - 0.4) / 1.0))
    starts = (length - count) / 2 + 0.25 + np.arange(count)
    return bars(centre, starts, 0.5, width - 0.4)
