"""Road works: cones and barriers around what is dug up in a closed lane, machines and workers.

A lane in which work is done is closed to traffic from junction to junction: who drives there changes lanes before.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.synth.outdoors.street_furniture.yards import make_mound
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, nuscenes_category, road_user_extent
from worldloom.synth.towns.ground import TERRAIN, PaintedArea, Patch
from worldloom.synth.towns.placements import Placement, Spot, pair
from worldloom.synth.towns.roads import Edge, RoadMap
from worldloom.synth.towns.street_shapes import beside, line_length, right_kerb, stations

_SHORTEST = 20.0  # metres of works; a taper, fences at both ends, and a little between them
_APPROACH = 24.0  # metres of street before and after in which no work is done
_TAPER = 11.0
_MOUTH = 3.0  # metres beside a driveway that stay free
_EDGE = 0.4  # metres from the neighbouring lane to the middle of the cones


@dataclass(frozen=True)
class WorkZones:
    """All road works of a town."""

    spots: tuple[Spot, ...]  # cones, barriers, machines, workers
    heaps: tuple[Placement, ...]
    patches: tuple[Patch, ...]
    paint: tuple[PaintedArea, ...]
    closed_lanes: tuple[str, ...]  # ids of those that nobody drives on
    area: BaseGeometry  # of the works themselves


def make_work_zones(roads: RoadMap, carriageway: BaseGeometry, driveways: BaseGeometry, seed: int) -> WorkZones:
    """Closed lanes on the right of one in four streets with two lanes, and closed parking in one in eight others.

    Everything lies on the carriageway, and clear of driveways; streets without room for that have no works.
    """
    rng = np.random.default_rng((seed, 0x3047))
    drafts = []
    used: set[str] = set()
    for which, one_in in ((_is_wide, 4), (_has_parking, 8)):
        edges = [edge for edge in roads.edges if which(edge)]
        wanted = len(drafts) + math.ceil(len(edges) / one_in)
        for i in rng.permutation(len(edges)).tolist():
            if len(drafts) == wanted:
                break
            draft = None if edges[i].id[1:] in used else _work_zone(edges[i], carriageway, driveways, rng)
            if draft is not None:
                used.add(edges[i].id[1:])
                drafts.append(draft)
    return WorkZones(
        tuple(spot for draft in drafts for spot in draft.spots),
        tuple(heap for draft in drafts for heap in draft.heaps),
        tuple(Patch(hole, TERRAIN, False) for draft in drafts for hole in draft.holes),
        (PaintedArea("dirt", tuple(_ring(hole) for draft in drafts for hole in draft.holes)),),
        tuple(lane for draft in drafts for lane in draft.closed_lanes),
        shapely.union_all([draft.area for draft in drafts]),
    )


@dataclass
class _Draft:
    area: BaseGeometry
    ground: BaseGeometry  # where things may stand
    closed_lanes: list[str]
    spots: list[Spot] = field(default_factory=list)
    heaps: list[Placement] = field(default_factory=list)
    holes: list[shapely.Polygon] = field(default_factory=list)
    taken: list[BaseGeometry] = field(default_factory=list)

    def put(self, kind: str, variant: int, xy: np.ndarray, yaw: float) -> bool:
        """Set a road user where it touches no other and stands on the carriageway."""
        length, width, _ = road_user_extent(kind, variant)
        u = np.array([math.cos(yaw), math.sin(yaw)]) * length / 2
        v = np.array([-math.sin(yaw), math.cos(yaw)]) * width / 2
        outline = shapely.Polygon([xy - u - v, xy + u - v, xy + u + v, xy - u + v])
        beyond = outline.difference(self.ground).area
        if beyond > 0.05 * outline.area or shapely.intersects(outline, self.taken).any():
            return False
        self.taken.append(outline)
        self.spots.append(Spot(kind, variant, pair(xy), float(yaw)))
        return True


@dataclass(frozen=True)
class _Strip:
    """The closed part of a carriageway: metres along the line to its left, and metres to the right of it."""

    line: Float64[np.ndarray, "_ 2"]
    width: float

    def point(self, along: float, right: float) -> tuple[np.ndarray, float]:
        """A point and the direction of traffic there."""
        (at,), (d,) = stations(self.line, np.array([along]))
        return at + right * np.array([d[1], -d[0]]), math.atan2(d[1], d[0])

    def area(self, start: float, end: float, near: float, far: float) -> shapely.Polygon:
        at = np.linspace(start, end, max(2, round((end - start) / 3)))
        points, d = stations(self.line, at)
        right = np.stack([d[:, 1], -d[:, 0]], -1)
        return shapely.Polygon(np.concatenate([points + far * right, (points + near * right)[::-1]]))


def _is_wide(edge: Edge) -> bool:
    driven = [lane for lane in edge.lanes if lane.use == "drive"]
    return len(driven) > 1 and edge.rank < 4 and line_length(driven[0].centre) > 2 * _APPROACH + 26


def _has_parking(edge: Edge) -> bool:
    uses = [lane.use for lane in edge.lanes]
    return "park" in uses[:2] and line_length(edge.lanes[0].centre) > 2 * _APPROACH + _SHORTEST


def _work_zone(
    edge: Edge, carriageway: BaseGeometry, driveways: BaseGeometry, rng: np.random.Generator
) -> _Draft | None:
    found = right_kerb(edge)
    first = found[1].index if found else 0
    driven = [lane for lane in edge.lanes if lane.use == "drive"]
    last = driven[0] if len(driven) > 1 else next(lane for lane in edge.lanes if lane.use == "park")
    closed = [lane for lane in edge.lanes if first <= lane.index <= last.index]
    strip = _Strip(beside(last.centre, last.width / 2), sum(lane.width for lane in closed))
    room = line_length(strip.line) - 2 * _APPROACH
    if room < _SHORTEST:  # the kerb of a bend is shorter than the middle of its lane
        return None
    for _ in range(12):
        length = float(min(room, rng.uniform(26, 60)))
        start = _APPROACH + float(rng.uniform(0, room - length))
        end = start + length
        area = strip.area(start - 1, end + 1, -0.1, strip.width)
        if not shapely.dwithin(area, driveways, _MOUTH):
            break
    else:
        return None
    ids = [lane.id for lane in closed if lane.use in ("drive", "bike")]
    draft = _Draft(area, area.buffer(2.0).intersection(carriageway), ids)
    _fence_off(draft, strip, start, end, rng)
    _dig(draft, strip, start + _TAPER + 3, end - 5, rng)
    return draft


def _fence_off(draft: _Draft, strip: _Strip, start: float, end: float, rng: np.random.Generator) -> None:
    """A row of cones that narrows the road, a barrier across the lane, and cones or barriers along the traffic."""
    widths = [road_user_extent("barrier", variant)[1] for variant in range(NUM_VARIANTS["barrier"])]
    room = strip.width - _EDGE - 0.25
    cone = int(rng.integers(NUM_VARIANTS["traffic_cone"]))
    board = int(rng.choice([variant for variant, width in enumerate(widths) if width <= room]))
    wall = int(rng.integers(NUM_VARIANTS["barrier"]))
    kerb = strip.width - 0.4
    for share in np.linspace(0, 1, 6):
        xy, yaw = strip.point(start + share * _TAPER, kerb + share * (_EDGE - kerb))
        draft.put("traffic_cone", cone, xy, yaw)
    across = widths[board] + 0.15
    count = int((room + 0.15) / across)
    for k in range(count):
        right = strip.width - room / 2 + (k - (count - 1) / 2) * across
        xy, yaw = strip.point(start + _TAPER + 1.5, right)
        draft.put("barrier", board, xy, yaw + math.pi)
    along, step = start + _TAPER + 3.5, widths[wall] + 0.3
    solid = rng.uniform() < 0.7
    while along < end - 5:
        xy, yaw = strip.point(along, _EDGE)
        if solid:
            draft.put("barrier", wall, xy, yaw + math.pi / 2)
        else:
            draft.put("traffic_cone", cone, xy, yaw)
        along += step if solid else 3.0
    for share in np.linspace(0, 1, 4):
        xy, yaw = strip.point(end - 4 + 4 * share, _EDGE + share * (kerb - _EDGE))
        draft.put("traffic_cone", cone, xy, yaw)


def _dig(draft: _Draft, strip: _Strip, start: float, end: float, rng: np.random.Generator) -> None:
    """A hole, a heap, a machine or two, and workers."""
    low, high = _EDGE + 0.7, strip.width - 0.2
    middle = (low + high) / 2
    hole = float(rng.uniform(4, 7))
    hole_start = end - hole - 0.5
    draft.holes.append(strip.area(hole_start, hole_start + hole, low + 0.2, high - 0.1))
    machines = [
        variant
        for variant in range(NUM_VARIANTS["construction_vehicle"])
        if road_user_extent("construction_vehicle", variant)[1] <= high - low + 0.5
    ]
    at = start + 0.5
    while machines and at < hole_start - 5:
        variant = int(rng.choice(machines))
        long, wide, _ = road_user_extent("construction_vehicle", variant)
        if at + long > hole_start - 1.5:
            break
        xy, yaw = strip.point(at + long / 2, max(middle, _EDGE + 0.35 + wide / 2))
        draft.put("construction_vehicle", variant, xy, yaw + rng.normal(0, 0.03))
        at += long + float(rng.uniform(1.0, 6.0))
    if at + 2.4 < hole_start:
        radius = min(1.2, (strip.width - _EDGE - 0.3) / 2)
        xy, yaw = strip.point(hole_start - 1.4, min(middle + 0.2, strip.width - radius - 0.05))
        draft.taken.append(shapely.Point(xy).buffer(radius - 0.2))
        draft.heaps.append(Placement(make_mound(int(rng.integers(4)), radius, radius / 1.5, True), pair(xy), yaw))
    workers = [
        variant
        for variant in range(NUM_VARIANTS["pedestrian"])
        if nuscenes_category("pedestrian", variant).endswith("construction_worker")
    ]
    wanted = len(draft.spots) + int(rng.integers(2, 6))
    for _ in range(24):
        if len(draft.spots) == wanted:
            break
        xy, yaw = strip.point(float(rng.uniform(start, end)), float(rng.uniform(low, high)))
        draft.put("pedestrian", int(rng.choice(workers)), xy, yaw + rng.uniform(0, 2 * math.pi))


def _ring(polygon: shapely.Polygon) -> Float64[np.ndarray, "_ 2"]:
    return shapely.get_coordinates(shapely.orient_polygons(polygon))[:-1]
