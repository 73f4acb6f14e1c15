"""What stands along the streets: trees, lamps, signals, signs, bollards, bins, benches, shelters."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.synth.outdoors.street_furniture.boxes import make_bin, make_cabinet, make_hydrant, make_letter_box
from worldloom.synth.outdoors.street_furniture.pavement import (
    make_advertising_column,
    make_bench,
    make_bus_shelter,
    make_planter,
)
from worldloom.synth.outdoors.street_furniture.posts import make_bollard, make_lamp, make_signal
from worldloom.synth.outdoors.street_furniture.signs import make_sign
from worldloom.synth.towns.placements import Placement
from worldloom.synth.towns.planting import Flora, a_bush, tree
from worldloom.synth.towns.roads import Edge, RoadMap
from worldloom.synth.towns.street_shapes import StreetShapes, beside, line_length, right_kerb, stations
from worldloom.synth.world import Thing

Points = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class _Side:
    """The raised strip along the right of an edge, measured from its kerb."""

    kerb: Points  # the line between carriageway and strip, in the direction of traffic
    width: float  # of sidewalk and verge together
    verge: float  # width of the verge at the kerb; 0 if there is none

    def place(self, at: float, inward: float) -> tuple[np.ndarray, float]:
        """A point `inward` metres from the kerb, and the yaw of a thing there that looks at the road."""
        (point,), (along,) = stations(self.kerb, np.array([at]))
        right = np.array([along[1], -along[0]])
        return point + inward * right, math.atan2(-right[1], -right[0])


@dataclass(frozen=True)
class _Looks:
    """What a town's street furniture has in common."""

    make: int  # seed of what all streets share
    height: float  # of lamps
    reach: float  # of lamps, over the road
    apart: float  # of lamps, along the road


def furnish_streets(
    roads: RoadMap, shapes: StreetShapes, keep_clear: BaseGeometry, flora: Flora, seed: int
) -> list[Placement]:
    """Furniture for every street; nothing stands in `keep_clear` (driveways, work zones) or on a crossing."""
    blocked = shapely.union_all([keep_clear.buffer(0.8), shapes.clear_of, shapes.carriageway])
    shapely.prepare(blocked)
    placed: list[Placement] = []
    signals = {j.id for j in roads.junctions if j.control == "traffic_light"}
    stops = {c.from_lane for c in roads.connections if c.stops}
    gives_way = {c.from_lane for c in roads.connections if c.yields}
    looks = _looks_of(seed)
    for edge in roads.edges:
        rng = np.random.default_rng((seed, 0xF0121, int(edge.id[1:]), ord(edge.id[0])))
        side = _side_of(edge)
        if side is None or line_length(side.kerb) < 6:
            continue
        row = _Row(side, blocked)
        _at_the_end(edge, row, looks, signals, stops, gives_way)
        if line_length(side.kerb) > 24:
            _along(edge, row, looks, flora, rng)
        placed += row.placements
    placed += _on_islands(roads, flora, seed)
    placed += _on_medians(roads, shapes, flora, seed)
    return placed


class _Row:
    """Things set along one side; two of them keep their distance."""

    def __init__(self, side: _Side, blocked: BaseGeometry) -> None:
        self.side, self.blocked = side, blocked
        self.length = line_length(side.kerb)
        self.placements: list[Placement] = []
        self._taken: list[tuple[float, float]] = []  # stations and half lengths

    def put(self, thing: Thing, at: float, inward: float, half: float, turn: float = 0.0) -> bool:
        """Set a thing, unless something is there already or nothing may be."""
        if any(abs(at - other) < half + reach for other, reach in self._taken) or not 1.0 < at < self.length - 0.3:
            return False
        point, yaw = self.side.place(at, inward)
        if shapely.dwithin(self.blocked, shapely.Point(point), 0.3):
            return False
        self._taken.append((at, half))
        self.placements.append(Placement(thing, (float(point[0]), float(point[1])), yaw + turn))
        return True


def _side_of(edge: Edge) -> _Side | None:
    found = right_kerb(edge)
    if found is None:
        return None
    outer, inner = found
    raised = [lane for lane in edge.lanes if lane.index <= outer.index]
    kerb = beside(inner.centre, -inner.width / 2)
    return _Side(kerb, sum(lane.width for lane in raised), outer.width if outer.use == "verge" else 0.0)


def _looks_of(seed: int) -> _Looks:
    rng = np.random.default_rng((seed, 0x1A39))
    height, reach = float(rng.choice([5.0, 6.5, 8.0])), float(rng.choice([0.8, 1.6]))
    return _Looks(seed % 8, height, reach, float(rng.uniform(22, 32)))


def _at_the_end(edge: Edge, row: _Row, looks: _Looks, signals: set[str], stops: set[str], gives_way: set[str]) -> None:
    """What drivers see where the street meets a junction; signs look back along the street."""
    names = {lane.id for lane in edge.lanes}
    back = math.pi / 2  # from looking at the road, on its right, to looking back along it
    num_lanes = sum(lane.use == "drive" for lane in edge.lanes)
    if not num_lanes:
        return
    if edge.to_junction in signals:
        row.put(make_signal(0, 0.0 if num_lanes < 2 else 5.5), row.length - 1.2, 0.6, 0.4, back)
    elif names & stops:
        row.put(make_sign(looks.make, "stop"), row.length - 1.5, 0.5, 0.3, back)
    elif names & gives_way and edge.rank != 4:
        row.put(make_sign(looks.make, "yield"), row.length - 1.5, 0.5, 0.3, back)
    row.put(make_sign(int(edge.id[1:]) % 16, "name"), row.length - 3.2, 0.4, 0.3)
    for at in (row.length - 4.5, row.length - 6.0, 1.5, 3.0):
        row.put(make_bollard(looks.make, edge.rank == 1), at, 0.35, 0.4)


def _along(edge: Edge, row: _Row, looks: _Looks, flora: Flora, rng: np.random.Generator) -> None:
    side, make = row.side, looks.make
    for at in np.arange(rng.uniform(6, 14), row.length - 5, looks.apart):
        row.put(make_lamp(make, looks.height, looks.reach), float(at), 0.55, 0.6)
    if edge.rank == 3 and rng.uniform() < 0.4 and side.width > 3.0:
        at = row.length - rng.uniform(18, 24)
        row.put(make_bus_shelter(make), at, side.verge + 0.9 if side.verge else 1.0, 3.0)
        row.put(make_sign(make, "parking"), at + 3.8, 0.45, 0.3, math.pi / 2)
    if side.verge or side.width > 2.2:
        spacing = float(rng.choice([6.0, 7.5, 9.0]))
        kept = flora.leafy * (rng.uniform(0.6, 1.0) if side.verge else rng.uniform(0.2, 0.9))
        tall = float(rng.integers(8, 14))  # crowns begin at 2.5 to 4.5 m, on the carriageway's side above cars
        for at in np.arange(rng.uniform(4, 9), row.length - 6, spacing):
            if rng.uniform() < kept:
                thing = tree(int(rng.integers(3)), flora.street, tall + float(rng.integers(-1, 2)), flora.autumn)
                row.put(thing, float(at), side.verge / 2 if side.verge else 0.75, 0.9, float(rng.uniform(0, 6.28)))
    kinds = (
        (make_sign(int(edge.id[1:]) % 4, "speed"), 0.45, 0.3, math.pi / 2),
        (make_sign(make, "parking"), 0.45, 0.3, math.pi / 2),
        (make_bin(make), 0.5, 0.4, 0.0),
        (make_hydrant(make), 0.5, 0.3, 0.0),
        (make_bench(make), side.width - 0.7, 1.0, 0.0),
        (make_letter_box(make), 0.6, 0.4, 0.0),
        (make_cabinet(make), side.width - 0.4, 0.7, 0.0),
        (make_planter(make, 1.1, "coarse"), 0.7, 1.0, 0.0),
        (make_advertising_column(make), 0.9, 0.8, 0.0),
        (make_sign(make, "crossing"), 0.4, 0.3, math.pi / 2),
    )
    weights = np.array([2.0, 3.0, 4.0, 2.0, 2.0, 1.0, 2.0, 2.0, 0.4 if side.width > 3 else 0.0, 1.0])
    for _ in range(rng.poisson(row.length / 14)):
        thing, inward, half, turn = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        row.put(thing, float(rng.uniform(6, row.length - 6)), inward, half, turn)
    if side.verge and rng.uniform() < 0.6:
        for at in rng.uniform(4, row.length - 4, rng.poisson(flora.leafy * row.length / 5)):
            row.put(a_bush(rng, side.verge / 2), float(at), side.verge / 2, 0.9)
    if rng.uniform() < 0.15:
        for at in np.arange(8, row.length - 8, 1.6):
            row.put(make_bollard(make, False), float(at), 0.35, 0.25)


def _on_islands(roads: RoadMap, flora: Flora, seed: int) -> list[Placement]:
    """A few trees and bushes in the middle of each roundabout, and signs that look at who enters."""
    rng = np.random.default_rng((seed, 0x151A))
    placements = []
    for outline in roads.islands:
        centre = (outline.max(0) + outline.min(0)) / 2
        radius = float(np.hypot(*(outline - centre).T).min())
        for k in range(3):
            angle = 2 * math.pi * k / 3 + rng.uniform(0, 1)
            xy = centre + 0.3 * radius * np.array([math.cos(angle), math.sin(angle)])
            thing = tree(k, flora.street, float(rng.integers(5, 10)), flora.autumn)
            placements.append(Placement(thing, (float(xy[0]), float(xy[1])), float(rng.uniform(0, 6.28))))
        for k in range(10):
            angle = 2 * math.pi * k / 10
            xy = centre + 0.62 * radius * np.array([math.cos(angle), math.sin(angle)])
            placements.append(Placement(a_bush(rng), (float(xy[0]), float(xy[1])), angle))
        for k in range(4):
            angle = 2 * math.pi * k / 4 + 0.4
            xy = centre + (radius - 0.9) * np.array([math.cos(angle), math.sin(angle)])
            placements.append(Placement(make_sign(seed % 8, "roundabout"), (float(xy[0]), float(xy[1])), angle))
    return placements


def _on_medians(roads: RoadMap, shapes: StreetShapes, flora: Flora, seed: int) -> list[Placement]:
    """Trees, bushes or lamps on medians that are wide enough."""
    placements = []
    for edge in roads.edges:
        lane = edge.lanes[-1]
        if lane.use != "median" or edge.id[0] != "e":
            continue
        rng = np.random.default_rng((seed, 0x3ED1A, int(edge.id[1:])))
        axis, length = beside(lane.centre, lane.width / 2), line_length(lane.centre)
        kind = rng.uniform()
        if length < 20 or kind < 0.3:
            continue
        at = np.arange(4.0, length - 4, 10.0 if kind < 0.65 else 2.0)
        for xy in stations(axis, at)[0]:
            if not shapes.median.contains(shapely.Point(xy).buffer(0.4)):
                continue
            thing = tree(int(rng.integers(3)), flora.street, 7.0, flora.autumn) if kind < 0.65 else a_bush(rng)
            placements.append(Placement(thing, (float(xy[0]), float(xy[1])), float(rng.uniform(0, 6.28))))
    return placements
