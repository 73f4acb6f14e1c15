"""The demand: sizes that fit the shapes, ways that lead on for ever, closed lanes left alone."""

import itertools
import random
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.synth.road_users.catalogue import road_user_extent
from worldloom.synth.road_users.heavy_vehicles import FIFTH_WHEEL, KINGPIN, TRACTORS
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.demand import make_traffic
from worldloom.synth.traffic.live_traffic import LiveTraffic


def test_types_are_as_large_as_the_shapes(small_town: Town) -> None:
    traffic = make_traffic(small_town.roads, 1, density=3.0)
    root = ElementTree.fromstring(traffic.routes_xml)
    types = {t.attrib["id"]: t for t in root.iter("vType")}
    users = {u.attrib["id"]: u for u in (*root.iter("vehicle"), *root.iter("person"))}
    assert users.keys() == traffic.members.keys()
    for name, member in traffic.members.items():
        assert member.extent == road_user_extent(member.kind, member.variant)
        length, width, _ = member.extent
        if member.trailer is not None:
            assert member.variant in TRACTORS
            # From the tractor's nose to the trailer's tail when they are in line.
            length += member.trailer.extent[0] - FIFTH_WHEEL - KINGPIN
            width = max(width, member.trailer.extent[1])
        told = types[users[name].attrib["type"]]
        assert float(told.attrib["length"]) == pytest.approx(length, abs=0.006)
        assert float(told.attrib["width"]) == pytest.approx(width, abs=0.006)


def test_routes_follow_open_connections_for_kilometres(small_town: Town) -> None:
    roads = small_town.roads
    drivable = [lane.id for lane in roads.lanes.values() if lane.use == "drive"]
    closed = frozenset(random.Random(0).sample(drivable, len(drivable) // 12))
    root = ElementTree.fromstring(make_traffic(roads, 2, density=2.0, closed=closed).routes_xml)
    open_pairs = {
        (roads.lanes[c.from_lane].edge, roads.lanes[c.to_lane].edge)
        for c in roads.connections
        if not closed & {c.from_lane, c.to_lane}
    }
    lengths = {edge.id: edge.lanes[0].length for edge in roads.edges}
    routes = [route.attrib["edges"].split() for route in root.iter("route")]
    assert len(routes) > 10
    for route in routes:
        assert sum(lengths[edge] for edge in route) > 9000
        assert set(itertools.pairwise(route)) <= open_pairs


def test_all_kinds_are_there(small_town: Town) -> None:
    members = make_traffic(small_town.roads, 3, density=3.0).members.values()
    assert {m.kind for m in members} == {"car", "truck", "bus", "motorcycle", "bicycle", "pedestrian"}
    assert any(m.trailer is not None for m in members)


def test_nobody_drives_on_closed_lanes_and_most_move(small_town: Town) -> None:
    closed = set(small_town.closed_lanes)
    assert closed
    standing = seen = 0
    with LiveTraffic(small_town, 4) as live:
        for _ in range(30):
            moment = live.advance(10)[-1]
            for name in moment.bodies:
                if live.traffic.members[name].kind == "pedestrian":
                    continue
                assert live.sumo.call("vehicle", "getLaneID", name) not in closed
                seen += 1
                standing += moment.bodies[name].speed < 0.3
    assert seen > 300
    assert standing < 0.4 * seen
