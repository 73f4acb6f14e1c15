"""Who is on the roads of a town and where they want to go: the demand that SUMO brings to life."""

import math
import random
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worldloom.synth.road_users.catalogue import NUM_VARIANTS, RIDERLESS, road_user_extent
from worldloom.synth.road_users.heavy_vehicles import FIFTH_WHEEL, KINGPIN, TRACTORS
from worldloom.synth.towns.roads import Edge, RoadMap

WARM_UP = 40.0  # seconds until all have found their place and pace
_ROUTE_LENGTH = 12_000.0  # metres planned for each vehicle; nobody arrives within a quarter of an hour
_WALKS = 24  # errands planned for each pedestrian
_VEHICLES_PER_KM = 7.5  # of drivable lane
_WALKERS_PER_KM = 14.0  # of sidewalk
_SHARES = {"car": 0.66, "truck": 0.07, "trailer": 0.04, "bus": 0.06, "motorcycle": 0.08, "bicycle": 0.09}
_HEAVY = ("truck", "trailer", "bus")

# What SUMO is told of each kind: its class of vehicle, and how it drives.
_MANNERS = {
    "car": 'vClass="passenger" accel="2.4" decel="4.5" sigma="0.3" speedFactor="normc(1,0.1,0.8,1.2)" minGap="2.2"',
    "truck": 'vClass="truck" accel="1.2" decel="4" sigma="0.3" maxSpeed="20" minGap="2.5"',
    "trailer": 'vClass="truck" accel="1.0" decel="4" sigma="0.3" maxSpeed="18" minGap="2.5"',
    "bus": 'vClass="bus" accel="1.2" decel="4" sigma="0.3" maxSpeed="18" minGap="2.5"',
    "motorcycle": 'vClass="motorcycle" accel="3" decel="5" sigma="0.4" minGap="1.5"',
    "bicycle": 'vClass="bicycle" accel="1.2" decel="3" sigma="0.4" maxSpeed="5.5" speedFactor="normc(1,0.15,0.6,1.3)"'
    ' minGap="0.8" latAlignment="right"',
    "pedestrian": 'vClass="pedestrian" maxSpeed="1.4" speedFactor="normc(1,0.15,0.6,1.5)" minGap="0.3"',
}


@dataclass(frozen=True)
class Member:
    """One member of the traffic: what it looks like and how large it is."""

    id: str
    kind: str
    variant: int
    extent: tuple[float, float, float]  # length, width, height in metres
    trailer: "Member | None" = None  # what it pulls


@dataclass(frozen=True)
class Traffic:
    """Everyone who will be on the road, and what SUMO needs to know of them."""

    routes_xml: str
    members: dict[str, Member]  # by SUMO's ids


def make_traffic(
    roads: RoadMap, seed: int, density: float | int = 1.0, closed: frozenset[str] = frozenset()
) -> Traffic:
    """Vehicles that circulate through the town, most of them near its centre, and people who walk about.

    Everybody is there from the beginning and nobody arrives, so that nobody appears or vanishes later on.

    Args:
        density: 1 is a busy town whose cars mostly move.
        closed: lanes that nobody uses, such as those of work zones; see `sumo.with_closed_lanes`.
    """
    dice = random.Random(seed)
    centre = ((roads.bounds[0] + roads.bounds[2]) / 2, (roads.bounds[1] + roads.bounds[3]) / 2)
    streets = _Streets(roads, centre, closed)
    length = sum(lane.length for lane in roads.lanes.values() if lane.use == "drive") / 1000
    members: dict[str, Member] = {}
    types: dict[str, Member] = {}  # one member of each
    lines = []
    for kind, share in _SHARES.items():
        for i in range(round(density * share * length * _VEHICLES_PER_KM)):
            member = _member(f"{kind}.{i}", kind, dice)
            route = streets.route(kind, dice)
            if not route:
                continue  # no way for this kind leads round
            members[member.id] = member
            depart = dice.uniform(0, 2)
            types.setdefault(_type_name(member), member)
            lines.append(
                (
                    depart,
                    f'<vehicle id="{member.id}" type="{_type_name(member)}" depart="{depart:.1f}" departLane="best"'
                    f' departPos="random_free" departSpeed="max"><route edges="{" ".join(route)}"/></vehicle>',
                )
            )
    walks = sum(lane.length for lane in roads.lanes.values() if lane.use == "walk") / 1000
    for i in range(round(density * walks * _WALKERS_PER_KM)):
        member = _member(f"pedestrian.{i}", "pedestrian", dice)
        members[member.id] = member
        depart = dice.uniform(0, 2)
        types.setdefault(_type_name(member), member)
        lines.append((depart, _person(member, depart, streets, dice)))
    lines.sort(key=lambda line: line[0])
    text = "\n".join(["<routes>", *_types_xml(types), *(line for _, line in lines), "</routes>"])
    return Traffic(text, members)


def _member(name: str, kind: str, dice: random.Random) -> Member:
    if kind == "trailer":
        variant, towed = dice.choice(TRACTORS), dice.randrange(NUM_VARIANTS["trailer"])
        trailer = Member(f"{name}/trailer", "trailer", towed, road_user_extent("trailer", towed))
        return Member(name, "truck", variant, road_user_extent("truck", variant), trailer)
    # Tractors come with a trailer; a bicycle that nobody rides does not move.
    other = TRACTORS if kind == "truck" else RIDERLESS.get(kind, ())
    variant = dice.choice([i for i in range(NUM_VARIANTS[kind]) if i not in other])
    return Member(name, kind, variant, road_user_extent(kind, variant))


def _type_name(member: Member) -> str:
    name = f"{member.kind}_{member.variant}"
    return name if member.trailer is None else f"{name}_{member.trailer.variant}"


def _types_xml(types: dict[str, Member]) -> list[str]:
    lines = []
    for name, member in types.items():
        length, width, height = member.extent
        if member.trailer is not None:  # SUMO knows one long vehicle, and no articulation
            more = member.trailer.extent
            length += more[0] - FIFTH_WHEEL - KINGPIN
            width, height = max(width, more[1]), max(height, more[2])
        manners = _MANNERS["trailer" if member.trailer is not None else member.kind]
        lines.append(f'<vType id="{name}" {manners} length="{length:.2f}" width="{width:.2f}" height="{height:.2f}"/>')
    return lines


class _Streets:
    """Edges that can be driven or walked for ever, and ways through them."""

    def __init__(self, roads: RoadMap, centre: tuple[float, float], closed: frozenset[str]) -> None:
        self._edges = {edge.id: edge for edge in roads.edges}
        self._middle = {edge.id: _middle(edge) for edge in roads.edges}
        self._nearness = {
            name: 0.3 + math.exp(-((math.dist(middle, centre) / 170) ** 2)) for name, middle in self._middle.items()
        }
        self._around: dict[str, tuple[list[Edge], list[float]]] = {}
        self._next: dict[str, dict[str, tuple[str, ...]]] = {}
        for kind in _SHARES:
            uses = ("drive", "bike") if kind == "bicycle" else ("drive",)
            fits = {lane.id for lane in roads.lanes.values() if lane.use in uses and lane.id not in closed}
            wide = {name for name in fits if self._edges[roads.lanes[name].edge].rank >= 2}
            # Heavy vehicles keep off the narrow streets, if the others lead round.
            self._next[kind] = (kind in _HEAVY and _circulation(roads, wide)) or _circulation(roads, fits)
        self._walk = [
            edge for edge in roads.edges if any(lane.use == "walk" and lane.id not in closed for lane in edge.lanes)
        ]

    def route(self, kind: str, dice: random.Random) -> list[str]:
        """A way of many kilometres that likes the centre; empty where there is none."""
        onward = self._next[kind]
        if not onward:
            return []
        starts = list(onward)
        lengths = [self._edges[e].lanes[-1].length * self._nearness[e] for e in starts]
        route = dice.choices(starts, lengths)
        way = 0.0
        while way < _ROUTE_LENGTH:
            choices = onward[route[-1]]
            route += dice.choices(choices, [self._nearness[e] for e in choices])
            way += self._edges[route[-1]].lanes[-1].length
        return route

    def errands(self, dice: random.Random) -> list[Edge]:
        """Places to walk to, one after another, each at most 150 m from the last."""
        places = dice.choices(self._walk, [e.lanes[0].length * self._nearness[e.id] for e in self._walk])
        for _ in range(_WALKS):
            near, weights = self._near(places[-1].id)
            places += dice.choices(near, weights)
        return places

    def _near(self, name: str) -> tuple[list[Edge], list[float]]:
        """Where people may walk from an edge, and how much they like it."""
        if name not in self._around:
            here = self._middle[name]
            near = [edge for edge in self._walk if math.dist(self._middle[edge.id], here) < 150]
            self._around[name] = near, [self._nearness[edge.id] for edge in near]
        return self._around[name]


def _circulation(roads: RoadMap, lanes: set[str]) -> dict[str, tuple[str, ...]]:
    """Streets that lead round by these lanes, each reachable from every other, and what follows each; may be empty."""
    ways = {(c.from_lane, c.to_lane) for c in roads.connections if c.from_lane in lanes and c.to_lane in lanes}
    links = sorted({(roads.lanes[a].edge, roads.lanes[b].edge) for a, b in ways})
    if not links:
        return {}
    names = sorted({name for link in links for name in link})
    index = {name: i for i, name in enumerate(names)}
    rows, columns = zip(*((index[a], index[b]) for a, b in links), strict=True)
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(len(names), len(names)))
    _, part = connected_components(graph, directed=True, connection="strong")
    largest = np.bincount(part).argmax()
    inside = {name for name, p in zip(names, part, strict=True) if p == largest}
    if len(inside) < 2:  # no way leads back to anywhere
        return {}
    onward: dict[str, list[str]] = {name: [] for name in names if name in inside}
    for a, b in links:
        if a in inside and b in inside:
            onward[a].append(b)
    return {name: tuple(following) for name, following in onward.items()}


def _middle(edge: Edge) -> tuple[float, float]:
    x, y = edge.lanes[0].centre[len(edge.lanes[0].centre) // 2]
    return float(x), float(y)


def _person(member: Member, depart: float, streets: _Streets, dice: random.Random) -> str:
    places = streets.errands(dice)
    start = dice.uniform(0, places[0].lanes[0].length)
    text = f'<person id="{member.id}" type="{_type_name(member)}" depart="{depart:.1f}" departPos="{start:.1f}">'
    here = f' from="{places[0].id}"'
    for place in places[1:]:
        text += f'<walk{here} to="{place.id}" arrivalPos="{dice.uniform(0, place.lanes[0].length):.1f}"/>'
        here = ""
    return text + "</person>"
