"""Ways along lanes: which lane a place is on, and the line that a driver follows from there across the junctions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldloom.synth.towns.roads import Connection, Lane, RoadMap
from worldloom.synth.traffic.way import Line, Way, distinct, project, way_of

_Candidate = tuple[Lane, Connection | None, Line]  # a line that leads to or along a lane


@dataclass(frozen=True)
class Place:
    """Where somebody is on the lanes: on a lane of a street, or on the way across a junction to it."""

    lane: Lane
    connection: Connection | None  # on the way across a junction to `lane`
    along: float  # metres from the beginning of the lane, or of the way across
    aside: float  # metres to the left of its middle


class LanePaths:
    """The lanes of a town on which cars drive, closed ones excepted, and how they follow each other."""

    def __init__(self, roads: RoadMap, closed: frozenset[str] = frozenset()) -> None:
        self._lanes = {
            name: lane for name, lane in roads.lanes.items() if lane.use == "drive" and lane.id not in closed
        }
        across = [replace(c, via=distinct(c.via)) for c in roads.connections]
        self._across = [c for c in across if c.from_lane in self._lanes and c.to_lane in self._lanes]
        self._onward: dict[str, list[Connection]] = {}
        for connection in self._across:
            self._onward.setdefault(connection.from_lane, []).append(connection)
        self._edges = {edge.id: [lane for lane in edge.lanes if lane.id in self._lanes] for edge in roads.edges}
        shut = {lane.id: lane for lane in roads.lanes.values() if lane.use == "drive" and lane.id in closed}
        self._shut: list[_Candidate] = [(lane, None, lane.centre) for lane in shut.values()]
        self._shut += [(roads.lanes[c.to_lane], None, c.via) for c in across if {c.from_lane, c.to_lane} & shut.keys()]

    def onward(self, lane: Lane) -> list[Connection]:
        """The ways on from the end of a lane."""
        return self._onward.get(lane.id, [])

    def beside(self, lane: Lane, left: bool) -> Lane | None:
        """The next lane in the same direction, if there is one."""
        lanes = self._edges[lane.edge]
        i = lanes.index(lane) + (1 if left else -1)
        if not 0 <= i < len(lanes) or abs(lanes[i].index - lane.index) != 1:
            return None
        return lanes[i]

    def place(self, x: float, y: float, yaw: float) -> Place | None:
        """The lane on which a vehicle of this heading is; None if it is on none.

        On a closed lane, whose ends one can drive on as far as the works, it is the open one beside it.
        """
        lines: list[_Candidate] = [(lane, None, lane.centre) for lane in self._lanes.values()]
        found = _nearest([*lines, *((self._lanes[c.to_lane], c, c.via) for c in self._across)], x, y, yaw)
        shut = _nearest(self._shut, x, y, yaw) if found is None else None
        if shut is None or not self._edges[shut.lane.edge]:
            return found
        lane = min(self._edges[shut.lane.edge], key=lambda other: abs(other.index - shut.lane.index))
        return Place(lane, None, *project(lane.centre, x, y, 0.0))

    def way(self, place: Place, length: float, edges: Sequence[str] = (), turn: str = "") -> Way | None:
        """The line ahead from a place.

        Args:
            edges: streets to take, beginning with the place's own; then straight on wherever possible.
            turn: "l" or "r": what to take at the next junction; None is returned where that is impossible.
        """
        pieces: list[Line] = []
        lane = place.lane
        route = list(edges[edges.index(lane.edge) + 1 :]) if lane.edge in edges else []
        total = -place.along
        if place.connection is not None:
            pieces.append(place.connection.via)
            total += _length(place.connection.via)
        while True:
            goal = route.pop(0) if route else None
            chosen = self._choose(lane, goal, turn)
            if chosen is None:
                return None
            start_lane, connection = chosen
            turn = ""
            pieces.append(_changing(lane.centre, start_lane.centre))
            total += _length(lane.centre)
            if total > length or connection is None:
                break
            pieces.append(connection.via)
            total += _length(connection.via)
            lane = self._lanes[connection.to_lane]
        whole = way_of(np.concatenate(pieces))
        first = int(np.searchsorted(whole.lengths, max(0.0, place.along)))
        last = int(np.searchsorted(whole.lengths, place.along + length))
        return Way(whole.points[max(0, first - 1) : max(last, first + 3)])

    def _choose(self, lane: Lane, goal: str | None, turn: str) -> tuple[Lane, Connection | None] | None:
        """The lane of this street from which to leave it, and how; (lane, None) at a dead end."""
        lanes = sorted(self._edges[lane.edge], key=lambda other: abs(other.index - lane.index))
        ways = [(other, c) for other in lanes for c in self.onward(other)]
        if turn:
            return next(((other, c) for other, c in ways if c.turn.lower() == turn), None)
        if goal is not None:
            for other, c in ways:
                if self._lanes[c.to_lane].edge == goal:
                    return other, c
        order = {"s": 0, "L": 1, "R": 1, "r": 2, "l": 3, "t": 4}
        here = [(other, c) for other, c in ways if other is lane] or ways
        return min(here, key=lambda pair: order[pair[1].turn], default=(lane, None))


def _nearest(candidates: list[_Candidate], x: float, y: float, yaw: float) -> Place | None:
    """Where among these a vehicle is most likely to be."""
    best, found = math.inf, None
    for lane, connection, line in candidates:
        if len(line) < 2:
            continue
        low, high = line.min(0) - 4, line.max(0) + 4
        if not (low[0] < x < high[0] and low[1] < y < high[1]):
            continue
        along, aside = project(line, x, y, 0.0)
        length = float(np.hypot(*np.diff(line, axis=0).T).sum())
        if not -1 < along < length + 1 or abs(aside) > 3:
            continue
        off = abs(math.remainder(way_of(line).at(min(max(along, 0.0), length))[2] - yaw, math.tau))
        cost = abs(aside) + 3 * off + (0.3 if connection is not None else 0.0)
        if off < 1.0 and cost < best:
            best, found = cost, Place(lane, connection, along, aside)
    return found


def _changing(here: Line, there: Line) -> Line:
    """From one lane over to another beside it, in the middle of the street; the lane itself if they are the same."""
    if here is there:
        return here
    share = np.linspace(0, 1, 40)
    a, b = way_of(here), way_of(there)
    lines = [np.array([w.at(s * w.lengths[-1])[:2] for s in share]) for w in (a, b)]
    blend = np.clip((share - 0.15) / 0.5, 0, 1)
    blend = (blend**2 * (3 - 2 * blend))[:, None]
    return (1 - blend) * lines[0] + blend * lines[1]


def _length(line: Line) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum()) if len(line) > 1 else 0.0
