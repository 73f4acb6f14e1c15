"""Road networks: what SUMO builds from our plans, and what we read back."""

import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest
import shapely
import torch

from worldloom.errors import InputError, MissingExtra
from worldloom.synth.towns import sumo_programs
from worldloom.synth.towns.roads import RoadMap, make_roads
from worldloom.synth.towns.street_plan import KINDS, make_street_plan
from worldloom.synth.towns.street_shapes import beside, line_length, stations

pytest.importorskip("sumo")


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    """Positive where b points to the left of a."""
    return float(a[0] * b[1] - a[1] * b[0])


@pytest.fixture(scope="module", params=KINDS)
def roads(request: pytest.FixtureRequest) -> RoadMap:
    return make_roads(2, request.param, 300)


def test_networks_have_what_towns_need(roads: RoadMap):
    uses = Counter(lane.use for edge in roads.edges for lane in edge.lanes)
    assert uses["drive"] > 20
    assert uses["walk"] > 20
    assert uses["park"] > 0
    assert len(roads.crossings) > 8
    controls = Counter(j.control for j in roads.junctions)
    # Cars must mostly move: signals at few junctions, none of them everywhere.
    assert controls["traffic_light"] <= 0.4 * len(roads.junctions)


def test_towns_differ_in_streets():
    """Over some seeds: one-way streets, wide streets, bike lanes, medians, roundabouts, signals."""
    plans = [make_street_plan(seed, "grid", 480.0) for seed in range(8)]
    streets = [street for plan in plans for street in plan.streets]
    drive = [[sum(s.use == "drive" for s in side) for side in (street.right, street.left)] for street in streets]
    assert any(back == 0 and street.rank < 4 for (_, back), street in zip(drive, streets, strict=True))
    assert any(max(lanes) == 2 for lanes in drive)
    assert any(max(lanes) == 1 for lanes in drive)
    uses = {strip.use for street in streets for strip in street.right}
    assert uses == {"walk", "verge", "park", "bike", "drive", "median"}
    assert any(plan.roundabouts for plan in plans)


def test_traffic_keeps_right_and_walks_outside(roads: RoadMap):
    """Index 0 is rightmost: to the right of the next lane's centre, and that is where people walk."""
    for edge in roads.edges:
        assert edge.lanes[0].use == "walk"
        for right, left in zip(edge.lanes, edge.lanes[1:], strict=False):
            (p,), (d,) = stations(left.centre, np.array([line_length(left.centre) / 2]))
            (q,), _ = stations(right.centre, np.array([line_length(right.centre) / 2]))
            assert _cross(d, q - p) < 0
            gap = float(shapely.Point(q).distance(shapely.LineString(left.centre)))
            assert gap == pytest.approx((left.width + right.width) / 2, abs=0.12)


def test_edges_and_opposites_face_each_other(roads: RoadMap):
    by_id = {edge.id: edge for edge in roads.edges}
    two_way = [edge for edge in roads.edges if edge.opposite is not None]
    assert two_way
    for edge in two_way:
        assert edge.opposite is not None
        back = by_id[edge.opposite]
        assert (back.from_junction, back.to_junction) == (edge.to_junction, edge.from_junction)
        assert back.opposite == edge.id


def test_connections_start_and_end_at_their_lanes(roads: RoadMap):
    assert len(roads.connections) > 30
    for c in roads.connections:
        if len(c.via) < 2:
            continue
        assert np.hypot(*(c.via[0] - roads.lanes[c.from_lane].centre[-1])) < 1.0
        assert np.hypot(*(c.via[-1] - roads.lanes[c.to_lane].centre[0])) < 1.0


def test_left_turns_turn_left(roads: RoadMap):
    for c in roads.connections:
        if c.turn not in ("l", "r") or line_length(c.via) < 6:
            continue
        before, after = c.via[1] - c.via[0], c.via[-1] - c.via[-2]
        assert np.sign(_cross(before, after)) == (1 if c.turn == "l" else -1)


def test_every_drive_lane_reaches_every_other_street(roads: RoadMap):
    """Nobody is ever stuck: the graph of drivable edges is strongly connected."""
    after: dict[str, set[str]] = {}
    for c in roads.connections:
        after.setdefault(roads.lanes[c.from_lane].edge, set()).add(roads.lanes[c.to_lane].edge)
    drivable = {edge.id for edge in roads.edges if any(lane.use == "drive" for lane in edge.lanes)}
    for start in sorted(drivable)[:3]:
        seen, todo = {start}, [start]
        while todo:
            for following in after.get(todo.pop(), set()) - seen:
                seen.add(following)
                todo.append(following)
        assert seen >= drivable


def test_roads_curve():
    """Middle lines bend by tens of degrees in a bent town; no street has a kink beyond a bend's."""
    roads = make_roads(4, "random", 400)
    bends = []
    for lane in roads.lanes.values():
        d = np.diff(lane.centre, axis=0)
        yaw = np.unwrap(np.arctan2(d[:, 1], d[:, 0]))
        bends.append(abs(yaw[-1] - yaw[0]))
    assert np.degrees(max(bends)) > 15


def test_opendrive_is_xml_with_sloped_roads(roads: RoadMap):
    root = ElementTree.fromstring(roads.opendrive())
    assert root.tag == "OpenDRIVE"
    heights = [float(e.attrib["a"]) for e in root.iter("elevation")]
    assert len(list(root.iter("road"))) > 20
    low, high = roads.bounds[:2], roads.bounds[2:]
    xy = torch.tensor([[x, y] for x in np.linspace(low[0], high[0], 40) for y in np.linspace(low[1], high[1], 40)])
    surface = roads.relief.height(xy.double())
    assert max(heights) - min(heights) > 0.05
    assert min(heights) >= float(surface.min()) - 0.3
    assert max(heights) <= float(surface.max()) + 0.3


def test_the_time_does_not_show_in_a_network():
    assert b"generated on" not in make_roads(11, "random", 300).net_xml


def test_kind_is_drawn_from_the_seed():
    kinds = {make_roads(seed, size=250).kind for seed in range(9)}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("kind", ["circle", "", "Grid"])
def test_unknown_kind(kind: str):
    with pytest.raises(InputError, match="grid, spider, random"):
        make_roads(1, kind)


@pytest.mark.parametrize("size", [-5, 0, 50, 1e6, float("nan")])
def test_impossible_size(size: float):
    with pytest.raises(InputError, match="200 to 2000"):
        make_roads(1, "grid", size)


def test_missing_sumo_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sumo_programs, "find_spec", lambda name: None)
    monkeypatch.setattr(sumo_programs.shutil, "which", lambda name: None)
    with pytest.raises(MissingExtra, match=r"worldloom\[traffic\]"):
        make_roads(1, "grid")


def test_failing_program_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"netconvert failed with code 1.*nothing\.net\.xml"):
        sumo_programs.run_sumo_program("netconvert", ["-s", "nothing.net.xml"], tmp_path)


def test_beside_keeps_its_distance_to_the_left():
    line = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    assert beside(line, 1.0) == pytest.approx(np.array([[0.0, 1.0], [9.0, 1.0], [9.0, 10.0]]))
    assert beside(line, -1.0) == pytest.approx(np.array([[0.0, -1.0], [11.0, -1.0], [11.0, 10.0]]))


def test_stations_by_hand():
    line = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]])
    points, directions = stations(line, np.array([1.0, 4.0, 5.5]))
    assert points == pytest.approx(np.array([[1.0, 0.0], [4.0, 0.0], [4.0, 1.5]]))
    assert directions == pytest.approx(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    assert line_length(line) == 6.0
