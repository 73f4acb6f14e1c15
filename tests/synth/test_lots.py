"""What is built on the blocks."""

import numpy as np
import pytest
import shapely

from worldloom.synth.road_users.catalogue import road_user_extent
from worldloom.synth.towns.block_styles import BLOCK_CHANCES, BLOCK_STYLES
from worldloom.synth.towns.ground import DRIVEABLE
from worldloom.synth.towns.lots import Lots, make_lots
from worldloom.synth.towns.parking import fitting, park_along_kerbs, parked_vehicle
from worldloom.synth.towns.planting import make_flora, scattered
from worldloom.synth.towns.roads import RoadMap, make_roads
from worldloom.synth.towns.street_shapes import StreetShapes, make_street_shapes

pytest.importorskip("sumo")


@pytest.fixture(scope="module")
def roads() -> RoadMap:
    return make_roads(8, "grid", 240)


@pytest.fixture(scope="module")
def shapes(roads: RoadMap) -> StreetShapes:
    return make_street_shapes(roads)


@pytest.fixture(scope="module")
def lots(roads: RoadMap, shapes: StreetShapes) -> Lots:
    x0, y0, x1, y1 = roads.bounds
    return make_lots(shapes, (x0 - 60, y0 - 60, x1 + 60, y1 + 60), make_flora(8), 8)


def test_chances_are_chances():
    for chances in BLOCK_CHANCES.values():
        assert len(chances) == len(BLOCK_STYLES)
        assert sum(chances) == pytest.approx(1)


def test_street_areas_do_not_overlap(shapes: StreetShapes):
    parts = [shapes.carriageway, shapes.sidewalk, shapes.verge, shapes.median, shapes.islands]
    for i, a in enumerate(parts):
        for b in parts[i + 1 :]:
            assert a.intersection(b).area < 1.0


def test_buildings_do_not_overlap(lots: Lots):
    assert len(lots.buildings) > 25
    for i, j in shapely.STRtree(lots.buildings).query(lots.buildings, predicate="intersects").T.tolist():
        if i < j:
            assert lots.buildings[i].intersection(lots.buildings[j]).area < 1.2


def test_buildings_keep_off_streets_and_car_parks(lots: Lots, shapes: StreetShapes):
    for building in lots.buildings:
        assert shapes.whole.intersection(building).area < 0.1
        assert lots.car_parks.intersection(building).area < 0.1


def test_most_fronts_look_at_a_street(lots: Lots, shapes: StreetShapes):
    """A building's +x side is its front: walking out of it leads to the street."""
    near = 0
    buildings = [p for p in lots.placements if p.thing.name.startswith("building")]
    for p in buildings:
        depth = float(max(part.vertices[:, 0].max() for part in p.thing.parts))
        out = np.array(p.xy) + (depth + 2) * np.array([np.cos(p.yaw), np.sin(p.yaw)])
        back = np.array(p.xy) - (depth + 2) * np.array([np.cos(p.yaw), np.sin(p.yaw)])
        near += shapes.whole.distance(shapely.Point(out)) < shapes.whole.distance(shapely.Point(back))
    assert near > 0.8 * len(buildings)


def test_car_parks_reach_the_carriageway(lots: Lots, shapes: StreetShapes):
    """Driveways make one area of car parks and streets."""
    parts = shapely.get_parts(lots.car_parks)
    assert len(parts) > 2
    assert all(part.intersects(shapes.carriageway) for part in parts)
    assert all(not patch.raised for patch in lots.patches if patch.label == DRIVEABLE)


def test_what_is_parked_fits(roads: RoadMap):
    rng = np.random.default_rng(1)
    for _ in range(50):
        kind, variant = parked_vehicle(rng, 5.0, 2.1)
        length, width, _ = road_user_extent(kind, variant)
        assert length <= 5.0
        assert width <= 2.4
    assert fitting("car", 5.4, 2.25)
    for spot in park_along_kerbs(roads, 3):
        assert road_user_extent(spot.kind, spot.variant)[0] <= 5.4
    assert park_along_kerbs(roads, 3) == park_along_kerbs(roads, 3)


def test_parked_cars_look_along_their_lane(roads: RoadMap):
    spots = [spot for spot in park_along_kerbs(roads, 3) if spot.kind == "car"]
    lanes = [lane for lane in roads.lanes.values() if lane.use == "park"]
    lines = [shapely.LineString(lane.centre) for lane in lanes]
    same = 0
    for spot in spots:
        i = int(np.argmin([line.distance(shapely.Point(spot.xy)) for line in lines]))
        assert lines[i].distance(shapely.Point(spot.xy)) < 0.4
        at = lines[i].project(shapely.Point(spot.xy))
        a, b = lines[i].interpolate(at - 0.5), lines[i].interpolate(at + 0.5)
        same += np.cos(spot.yaw) * (b.x - a.x) + np.sin(spot.yaw) * (b.y - a.y) > 0.9
    assert same >= 0.85 * len(spots)


def test_scattered_points_keep_apart_and_inside():
    area = shapely.box(0, 0, 40, 30).difference(shapely.box(10, 10, 20, 20))
    points = scattered(area, 3.0, 3.0, np.random.default_rng(4))
    assert 10 < len(points) < 36
    assert shapely.contains_xy(area, points).all()
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert apart[~np.eye(len(points), dtype=bool)].min() >= 3.0
