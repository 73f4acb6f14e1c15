"""Road networks of towns: made by SUMO's netconvert from a plan, and read back as lanes, junctions and crossings."""

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import torch
from jaxtyping import Float64

from worldloom.errors import InputError
from worldloom.synth.relief import Relief, make_relief
from worldloom.synth.towns.street_plan import KINDS, StreetPlan, Strip, make_street_plan
from worldloom.synth.towns.sumo_programs import run_sumo_program

Points = Float64[np.ndarray, "_ 2"]

_ALLOWED = {
    "walk": 'allow="pedestrian"',
    "bike": 'allow="bicycle"',
    "drive": 'disallow="pedestrian"',
    "verge": 'disallow="all"',
    "park": 'disallow="all"',
    "median": 'disallow="all"',
}


@dataclass(frozen=True)
class Lane:
    """One lane of a street, as SUMO numbers them: index 0 is the rightmost."""

    id: str
    edge: str
    index: int
    use: str  # "walk", "verge", "park", "bike", "drive" or "median"
    centre: Points  # in the direction of travel
    width: float
    length: float  # as SUMO counts positions along the lane, metres
    speed: float


@dataclass(frozen=True)
class Edge:
    """One direction of a street, between two junctions."""

    id: str
    from_junction: str
    to_junction: str
    rank: int  # 1 is a lane, 2 a street, 3 an avenue, 4 the ring of a roundabout
    lanes: tuple[Lane, ...]  # from the right
    opposite: str | None  # the edge that runs back


@dataclass(frozen=True)
class Junction:
    """Where streets meet."""

    id: str
    control: str  # SUMO's type, such as "priority", "traffic_light" or "right_before_left"
    position: tuple[float, float]
    outline: Points


@dataclass(frozen=True)
class Crossing:
    """Where people walk across a street; `centre` runs from sidewalk to sidewalk."""

    id: str
    junction: str
    centre: Points
    width: float


@dataclass(frozen=True)
class Connection:
    """A way across a junction, from lane to lane."""

    from_lane: str
    to_lane: str
    turn: str  # "s" straight, "l" left, "r" right, "t" back, or "L", "R" partly
    yields: bool  # other traffic has right of way
    stops: bool  # must stop, by sign or signal
    via: Points  # the way's middle line


@dataclass(frozen=True)
class RoadMap:
    """The roads of a town: SUMO's network, and the same as shapes on a gently sloped ground."""

    seed: int
    kind: str  # "grid", "spider" or "random"
    net_xml: bytes  # what SUMO reads
    edges: tuple[Edge, ...]
    junctions: tuple[Junction, ...]
    crossings: tuple[Crossing, ...]
    walking_areas: tuple[Points, ...]  # corners of sidewalks, as outlines
    connections: tuple[Connection, ...]
    islands: tuple[Points, ...]  # inner circles of roundabouts
    relief: Relief
    bounds: tuple[float, float, float, float]  # x and y of the lowest corner, x and y of the highest

    @cached_property
    def lanes(self) -> dict[str, Lane]:
        """All lanes of streets by id."""
        return {lane.id: lane for edge in self.edges for lane in edge.lanes}

    def opendrive(self, shift: tuple[float, float] = (0.0, 0.0)) -> bytes:
        """The network in OpenDRIVE, by SUMO's netconvert, with the relief as elevation, moved by `shift` metres.

        Raises:
            MissingExtra: where SUMO is not installed.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "town.net.xml").write_bytes(_lifted(self.net_xml, self.relief))
            options = ["-s", "town.net.xml", "--opendrive-output", "town.xodr", "--no-warnings"]
            options += [f"--offset.{axis}={metres:.2f}" for axis, metres in zip("xy", shift, strict=True)]
            run_sumo_program("netconvert", [*options, "--xml-validation", "never"], folder)
            text = (folder / "town.xodr").read_bytes()
        without_comment = re.sub(rb"<!--.*?-->\s*", b"", text, count=1, flags=re.DOTALL)
        return re.sub(rb' date="[^"]*"', b' date=""', without_comment, count=1)


def make_roads(seed: int, kind: str | None = None, size: float | int = 480.0) -> RoadMap:
    """A town's roads: avenues, streets, lanes, one-way streets, bike lanes, parking, sidewalks, crossings, few signals.

    Args:
        seed: the same seed makes the same bytes.
        kind: "grid", "spider" or "random"; drawn from the seed if not given.
        size: length of the square that the junctions fill, in metres, before it is bent a little.
    Raises:
        InputError: for an unknown kind, or a size outside 200 to 2,000 m.
        MissingExtra: where SUMO is not installed.
    """
    if kind is None:
        kind = KINDS[int(np.random.default_rng((seed, 0x4B1D)).choice(3, p=(0.45, 0.2, 0.35)))]
    if kind not in KINDS:
        raise InputError(f"kind of town must be one of {', '.join(KINDS)}, got {kind!r}")
    if not 200 <= size <= 2000:
        raise InputError(f"size of a town must be 200 to 2000 m, got {size}")
    plan = make_street_plan(seed, kind, float(size))
    net_xml = _net_xml(plan, seed)
    return _road_map(net_xml, plan, seed)


def _net_xml(plan: StreetPlan, seed: int) -> bytes:
    """SUMO's network, without the comment that holds the date."""
    options = {
        "node-files": "town.nod.xml",
        "edge-files": "town.edg.xml",
        "output-file": "town.net.xml",
        "offset.disable-normalization": "true",
        "crossings.guess": "true",
        "crossings.guess.speed-threshold": "14",
        "default.crossing-width": "3.6",
        "default.junctions.radius": "6",
        "junctions.corner-detail": "6",
        "junctions.internal-link-detail": "8",
        "no-turnarounds": "true",
        "tls.cycle.time": "60",
        "precision": "3",
        "seed": str(seed % 2**31),
        "no-warnings": "true",
        "xml-validation": "never",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "town.nod.xml").write_text(_nodes_xml(plan, seed), encoding="utf-8")
        (folder / "town.edg.xml").write_text(_edges_xml(plan), encoding="utf-8")
        run_sumo_program("netconvert", [part for k, v in options.items() for part in (f"--{k}", v)], folder)
        text = (folder / "town.net.xml").read_bytes()
    return re.sub(rb"<!--.*?-->\s*", b"", text, count=1, flags=re.DOTALL)


def _nodes_xml(plan: StreetPlan, seed: int) -> str:
    rng = np.random.default_rng((seed, 0x51617A))
    ring_nodes = {node for ring in plan.roundabouts for node in ring}
    lines = ["<nodes>"]
    for i, (x, y) in enumerate(plan.nodes):
        ranks = sorted((street.rank for street in plan.streets if i in street.nodes), reverse=True)
        draw = rng.uniform()
        control = "priority"
        if i not in ring_nodes and len(ranks) > 2:
            if ranks[1] == 3 and draw < (0.45 if len(ranks) > 3 else 0.2):
                control = "traffic_light"
            elif ranks[0] < 3 and draw < 0.3:
                control = "right_before_left"
            elif ranks[0] < 3 and draw < 0.4:
                control = "allway_stop"
        lines.append(f'<node id="n{i}" x="{x:.3f}" y="{y:.3f}" type="{control}"/>')
    return "\n".join([*lines, "</nodes>"])


def _edges_xml(plan: StreetPlan) -> str:
    lines = ["<edges>"]
    for i, street in enumerate(plan.streets):
        a, b = street.nodes
        ways = [(f"e{i}", a, b, street.axis, street.right), (f"r{i}", b, a, street.axis[::-1], street.left)]
        for edge, start, end, axis, strips in ways:
            if not strips:
                continue
            shape = " ".join(f"{x:.3f},{y:.3f}" for x, y in axis)
            spread = "right" if street.left else "center"
            lines.append(
                f'<edge id="{edge}" from="n{start}" to="n{end}" priority="{street.rank}" numLanes="{len(strips)}"'
                f' speed="{street.speed}" spreadType="{spread}" shape={quoteattr(shape)}>'
            )
            for k, strip in enumerate(strips):
                lines.append(f'<lane index="{k}" width="{strip.width:.2f}" {_ALLOWED[strip.use]}/>')
            lines.append("</edge>")
    for ring in plan.roundabouts:
        around = {i for i, street in enumerate(plan.streets) if street.rank == 4 and street.nodes[0] in ring}
        nodes, edges = " ".join(f"n{node}" for node in ring), " ".join(f"e{i}" for i in sorted(around))
        lines.append(f'<roundabout nodes="{nodes}" edges="{edges}"/>')
    return "\n".join([*lines, "</edges>"])


def _road_map(net_xml: bytes, plan: StreetPlan, seed: int) -> RoadMap:
    root = ElementTree.fromstring(net_xml)
    strips = {f"e{i}": street.right for i, street in enumerate(plan.streets)}
    strips |= {f"r{i}": street.left for i, street in enumerate(plan.streets)}
    rank = {edge: plan.streets[int(edge[1:])].rank for edge in strips}
    edges, crossings, areas, inner = [], [], [], {}
    for element in root.iter("edge"):
        function, name = element.get("function"), element.attrib["id"]
        if function is None:
            back = ("r" if name[0] == "e" else "e") + name[1:]
            edges.append(
                Edge(
                    name,
                    element.attrib["from"],
                    element.attrib["to"],
                    rank[name],
                    tuple(_lane(lane, name, strips[name]) for lane in element.iter("lane")),
                    back if strips[back] else None,
                )
            )
            continue
        for lane in element.iter("lane"):
            points = _points(lane.attrib["shape"])
            if function == "crossing":
                junction = name[1:].rsplit("_", 1)[0]
                crossings.append(Crossing(name, junction, points, float(lane.attrib["width"])))
            elif function == "walkingarea":
                areas.append(points)
            else:
                inner[lane.attrib["id"]] = points
    drivable = {lane.id: lane for edge in edges for lane in edge.lanes if lane.use in ("drive", "bike")}
    onward = {
        f"{c.attrib['from']}_{c.attrib['fromLane']}": c.get("via")
        for c in root.iter("connection")
        if c.attrib["from"].startswith(":")
    }
    connections = []
    for element in root.iter("connection"):
        ends = [f"{element.attrib[end]}_{element.attrib[f'{end}Lane']}" for end in ("from", "to")]
        if ends[0] in drivable and ends[1] in drivable:
            state = element.get("state", "M")
            via = _whole_way(onward, inner, element.get("via"))
            signalled = element.get("tl") is not None
            connections.append(
                Connection(ends[0], ends[1], element.attrib["dir"], state in "m=sw", signalled or state in "sw", via)
            )
    junctions = tuple(
        Junction(
            j.attrib["id"],
            j.attrib["type"],
            (float(j.attrib["x"]), float(j.attrib["y"])),
            _points(j.attrib["shape"]),
        )
        for j in root.iter("junction")
        if j.attrib["type"] != "internal"
    )
    everything = np.concatenate([lane.centre for edge in edges for lane in edge.lanes])
    low, high = everything.min(0), everything.max(0)
    return RoadMap(
        seed,
        plan.kind,
        net_xml,
        tuple(edges),
        junctions,
        tuple(crossings),
        tuple(areas),
        tuple(connections),
        tuple(_island(plan, ring) for ring in plan.roundabouts),
        make_relief(seed),
        (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
    )


def _lane(element: ElementTree.Element, edge: str, strips: tuple[Strip, ...]) -> Lane:
    index = int(element.attrib["index"])
    return Lane(
        element.attrib["id"],
        edge,
        index,
        strips[index].use,
        _points(element.attrib["shape"]),
        strips[index].width,
        float(element.attrib["length"]),
        float(element.attrib["speed"]),
    )


def _whole_way(onward: Mapping[str, str | None], inner: Mapping[str, Points], via: str | None) -> Points:
    """The middle line across the junction; SUMO cuts it where drivers wait inside."""
    pieces = []
    while via is not None:
        pieces.append(inner[via])
        via = onward.get(via)
    return np.concatenate(pieces) if pieces else np.zeros((0, 2))


def _island(plan: StreetPlan, ring: tuple[int, ...]) -> Points:
    """The middle of a roundabout, inside the inner edge of its lane."""
    streets = [s for s in plan.streets if s.rank == 4 and s.nodes[0] in ring]
    order = {node: k for k, node in enumerate(ring)}
    arc = np.concatenate([s.axis[:-1] for s in sorted(streets, key=lambda s: order[s.nodes[0]])])
    centre = (arc.min(0) + arc.max(0)) / 2
    half = sum(strip.width for strip in streets[0].right) / 2
    inward = 1 - half / np.hypot(*(arc - centre).T)
    return centre + (arc - centre) * inward[:, None]


def _lifted(net_xml: bytes, relief: Relief) -> bytes:
    """The network with the relief's heights; SUMO itself drives on the flat one."""
    root = ElementTree.fromstring(net_xml)
    for element in root.iter():
        if "shape" in element.attrib:
            points = _points(element.attrib["shape"])
            heights = relief.height(torch.from_numpy(points)).tolist()
            lifted = (f"{x:.3f},{y:.3f},{z:.3f}" for (x, y), z in zip(points, heights, strict=True))
            element.set("shape", " ".join(lifted))
        if element.tag == "junction":
            place = torch.tensor([float(element.attrib["x"]), float(element.attrib["y"])], dtype=torch.float64)
            element.set("z", f"{float(relief.height(place)):.3f}")
    return ElementTree.tostring(root, encoding="utf-8")


def _points(text: str) -> Points:
    return np.array([[float(v) for v in point.split(",")[:2]] for point in text.split()])
