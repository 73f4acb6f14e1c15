"""Towns that stand: what lies where, what stands where, and that nothing stands in the way."""

import json

import numpy as np
import pytest
import shapely
import torch

from worldloom.errors import InputError
from worldloom.geometry import invert
from worldloom.synth.road_users.catalogue import nuscenes_category, road_user_extent
from worldloom.synth.towns.ground import DRIVEABLE, KERB, OTHER_FLAT, PAINTS, SIDEWALK, TERRAIN
from worldloom.synth.towns.lane_paint import make_paint_style, paint_lanes, stop_line_of
from worldloom.synth.towns.street_shapes import line_length, stations
from worldloom.synth.towns.town import Town, make_town
from worldloom.synth.towns.town_files import map_size, save_town, town_polygons
from worldloom.synth.world import SEMANTICS

pytest.importorskip("sumo")


@pytest.fixture(scope="module", params=["grid", "random"])
def town(request: pytest.FixtureRequest) -> Town:
    return request.getfixturevalue("small_town") if request.param == "grid" else make_town(5, "random", 240)


def _along(town: Town, use: str, every: float = 3.0) -> torch.Tensor:
    lanes = [lane for edge in town.roads.edges for lane in edge.lanes if lane.use == use]
    points = [stations(lane.centre, np.arange(0.5, line_length(lane.centre) - 0.3, every))[0] for lane in lanes]
    return torch.from_numpy(np.concatenate(points))


def _dug(town: Town, xy: torch.Tensor) -> torch.Tensor:
    """Whether a point lies in a hole of a work zone, or within two cells of one."""
    steps = [torch.tensor([x, y]) for x in (-0.4, 0.0, 0.4) for y in (-0.4, 0.0, 0.4)]
    return torch.stack([town.ground.paint_shares_at(xy + step)[:, PAINTS.index("dirt")] > 0.5 for step in steps]).any(0)


def _outline(user) -> shapely.Polygon:
    length, width, _ = user.extent
    corners = np.array([[x * length / 2, y * width / 2] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    frame = user.world_from_user.double().numpy()
    return shapely.Polygon(corners @ frame[:2, :2].T + frame[:2, 3])


def test_lanes_lie_on_their_ground(town: Town):
    for use in ("drive", "bike", "park"):
        if any(lane.use == use for lane in town.roads.lanes.values()):
            xy = _along(town, use)
            assert bool((town.ground.label_at(xy)[~_dug(town, xy)] == DRIVEABLE).all())
    assert _dug(town, _along(town, "drive")).float().mean() < 0.05
    walk = town.ground.label_at(_along(town, "walk"))
    # Driveways cross sidewalks.
    assert ((walk == SIDEWALK) | (walk == DRIVEABLE)).all()
    assert (walk == SIDEWALK).float().mean() > 0.9


def test_ways_across_junctions_are_driveable(town: Town):
    for connection in town.roads.connections:
        if len(connection.via) > 1 and line_length(connection.via) > 1:
            at = np.arange(0.2, line_length(connection.via) - 0.1, 0.7)
            label = town.ground.label_at(torch.from_numpy(stations(connection.via, at)[0]))
            assert (label == DRIVEABLE).all()


def test_crossings_join_sidewalks(town: Town):
    ends_on_sidewalk = []
    for crossing in town.roads.crossings:
        middle = torch.from_numpy(stations(crossing.centre, np.array([line_length(crossing.centre) / 2]))[0])
        assert town.ground.label_at(middle).item() in (DRIVEABLE, OTHER_FLAT)
        for end, beyond in ((crossing.centre[0], crossing.centre[1]), (crossing.centre[-1], crossing.centre[-2])):
            out = end + np.linspace(0.2, 3.0, 8)[:, None] * (end - beyond) / np.hypot(*(end - beyond))
            ends_on_sidewalk.append(bool((town.ground.label_at(torch.from_numpy(out)) == SIDEWALK).any()))
    assert np.mean(ends_on_sidewalk) > 0.9


def test_kerbs_beside_roads(town: Town):
    """From the road to the sidewalk the ground steps up by a kerb."""
    ground = town.ground
    steps = []
    for edge in town.roads.edges:
        walk = edge.lanes[0]
        carriage = next((lane for lane in edge.lanes if lane.use in ("drive", "bike", "park")), None)
        if carriage is None or line_length(walk.centre) < 20:
            continue
        for line in (walk.centre, carriage.centre):
            (at,), _ = stations(line, np.array([line_length(line) / 2]))
            xy = torch.from_numpy(at)
            steps.append(float(ground.height(xy) - ground.relief.height(xy)))
    assert np.isclose(steps[0::2], KERB, atol=1e-6).mean() > 0.9
    assert np.allclose(steps[1::2], 0)


def test_raster_agrees_with_polygons(town: Town):
    rng = np.random.default_rng(1)
    low, high = np.array(town.roads.bounds[:2]), np.array(town.roads.bounds[2:])
    xy = rng.uniform(low, high, (20000, 2))
    points = shapely.points(xy)
    label = town.ground.label_at(torch.from_numpy(xy)).numpy()
    for area, want in ((town.shapes.sidewalk.difference(town.low), SIDEWALK), (town.low, DRIVEABLE)):
        clear = shapely.distance(area.boundary, points) > 0.15
        inside = shapely.contains_xy(area, xy)
        dug = _dug(town, torch.from_numpy(xy)).numpy()
        assert (label[inside & clear & ~dug] == want).all()
        if want == DRIVEABLE:
            assert (label[~inside & clear] != want).all()
    # Every kind of ground is there.
    assert set(np.unique(town.ground.labels.numpy())) == {DRIVEABLE, OTHER_FLAT, SIDEWALK, TERRAIN}


def test_ground_reaches_beyond_the_lanes(town: Town):
    sheet = town.ground.sheet
    size = np.array(sheet.shape) * sheet.cell
    assert (np.array(sheet.origin) <= np.array(town.roads.bounds[:2]) - 59.8).all()
    assert (np.array(sheet.origin) + size >= np.array(town.roads.bounds[2:]) + 59.8).all()


def test_nothing_stands_on_the_road(town: Town):
    """Trunks, posts, walls and the footprints of buildings keep off carriageways and crossings."""
    road = town.low.buffer(-0.05)
    shapely.prepare(road)
    for building in town.lots.buildings:
        assert not road.intersects(building)
    for thing in town.things:
        if thing.name == "mound":
            continue
        assert not road.contains(shapely.Point(thing.world_from_thing[:2, 3].tolist())), thing.name
    crossings = shapely.union_all(town.shapes.crossings).intersection(town.low)
    at = np.array([thing.world_from_thing[:2, 3].tolist() for thing in town.things])
    assert not shapely.contains_xy(crossings, at).any()


def test_things_speak_occ3d_and_stand_on_the_ground(town: Town):
    assert {thing.semantic for thing in town.things} <= {"manmade", "vegetation", "terrain", "others"}
    assert {thing.semantic for thing in town.things} >= {"manmade", "vegetation", "others"}
    xy = torch.stack([thing.world_from_thing[:2, 3] for thing in town.things]).double()
    z = torch.stack([thing.world_from_thing[2, 3] for thing in town.things]).double()
    assert torch.allclose(z, town.ground.height(xy), atol=0.15)
    for thing in town.things[::50]:
        assert torch.allclose(thing.world_from_thing[2, :3], torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)


def test_parked_users_stand_apart_on_driveable_ground(town: Town):
    assert len(town.parked) > 10
    outlines = [_outline(user) for user in town.parked]
    xy = torch.tensor([outline.centroid.coords[0] for outline in outlines], dtype=torch.float64)
    assert bool((town.ground.label_at(xy) == DRIVEABLE).all())
    tree = shapely.STRtree(outlines)
    pairs = tree.query(outlines, predicate="intersects").T
    assert not [pair for pair in pairs.tolist() if pair[0] != pair[1]]
    moving = [lane for lane in town.roads.lanes.values() if lane.use == "drive"]
    middles = shapely.MultiLineString([lane.centre for lane in moving]).buffer(0.8)
    assert not any(middles.intersects(outline) for outline in outlines)


def test_standing_users_stand_on_the_slope(town: Town):
    for user in town.standing:
        assert user.extent == road_user_extent(user.kind, user.variant)
        frame = user.world_from_user.double()
        assert torch.allclose(invert(frame) @ frame, torch.eye(4, dtype=torch.float64), atol=1e-5)
        xy = frame[:2, 3]
        assert float(frame[2, 3]) == pytest.approx(float(town.ground.height(xy)), abs=1e-3)
        gradient = town.ground.relief.gradient(xy)
        normal = torch.nn.functional.normalize(torch.cat([-gradient, torch.ones(1, dtype=torch.float64)]), dim=0)
        assert torch.allclose(frame[:3, 2], normal, atol=1e-4)


def test_work_zones_block_the_lanes_they_say(town: Town):
    assert {user.kind for user in town.work_zones} >= {"traffic_cone", "barrier", "pedestrian"}
    workers = [u for u in town.work_zones if u.kind == "pedestrian"]
    assert all(nuscenes_category("pedestrian", u.variant).endswith("construction_worker") for u in workers)
    outlines = [_outline(user) for user in town.work_zones]
    blocked = []
    for lane in town.roads.lanes.values():
        if lane.use not in ("drive", "bike"):
            continue
        scale = line_length(lane.centre) / lane.length
        closed = [(c.start, c.end) for c in town.closures if c.lane_id == lane.id]
        for outline in outlines:
            # Whoever reaches 0.6 m into a lane's middle stands in a part of it that is closed.
            line = shapely.LineString(lane.centre)
            if line.distance(outline) < lane.width / 2 - 0.6:
                at = line.project(outline.centroid) / scale
                assert any(start <= at <= end for start, end in closed)
                blocked.append(lane.id)
    assert set(blocked) >= {c.lane_id for c in town.closures if town.roads.lanes[c.lane_id].use == "drive"}
    for closure in town.closures:
        assert 0 < closure.start < closure.end < town.roads.lanes[closure.lane_id].length


def test_stop_lines_lie_across_the_end_of_their_lane(town: Town):
    for lane in town.roads.lanes.values():
        if lane.use == "drive" and line_length(lane.centre) > 10:
            left, right = stop_line_of(lane)
            assert np.hypot(*(left - right)) == pytest.approx(lane.width)
            assert np.hypot(*((left + right) / 2 - lane.centre[-1])) == pytest.approx(1.0, abs=0.05)
            along = lane.centre[-1] - lane.centre[-2]
            side = left - right
            assert along[0] * side[1] - along[1] * side[0] > 0


def test_paint_lies_on_carriageways(town: Town):
    for area in paint_lanes(town.roads, town.low, make_paint_style(town.seed)):
        if area.paint == "kerb":
            continue
        middles = np.array([outline.mean(0) for outline in area.outlines if len(outline) == 4]).reshape(-1, 2)
        assert (shapely.contains_xy(town.low.buffer(0.3), middles)).mean() > 0.98 if len(middles) else True


def test_world_is_ready_for_rays(town: Town):
    world = town.world()
    assert world.kind == "town"
    assert len(world.things) == len(town.things) + 1
    ground = world.things[0]
    assert ground.semantic_at is not None
    xy = torch.rand(100, 2) * 100 - 50
    ids = ground.semantic_at(torch.cat([xy, torch.zeros(100, 1)], -1))
    assert torch.equal(ids, town.ground.label_at(xy))
    assert {SEMANTICS[i] for i in ids.unique().tolist()} <= {"driveable_surface", "other_flat", "sidewalk", "terrain"}
    eyes = world.stands[:, :2].double()
    assert torch.allclose(
        world.stands[:, 2].double() - town.ground.height(eyes), torch.tensor(1.65).double(), atol=1e-3
    )


def test_map_can_be_saved(town: Town, tmp_path):
    save_town(tmp_path, town)
    (saved,) = (tmp_path / "maps/expansion").iterdir()
    assert json.loads(saved.read_text())["canvas_edge"] == list(map_size(town))
    polygons, _ = town_polygons(town)
    lanes = [p for p in polygons if p.layer == "lane"]
    assert len(lanes) == sum(lane.use in ("drive", "bike") for lane in town.roads.lanes.values())
    by_name = {p.name: p for p in polygons if p.layer in ("lane", "lane_connector")}
    for lane in lanes:
        for follower in lane.followers:
            assert lane.centre is not None
            following = by_name[follower].centre
            assert following is not None
            assert np.hypot(*(following[0] - lane.centre[-1])) < 1.0
    area = sum(shapely.Polygon(p.outline, p.holes).area for p in polygons if p.layer == "drivable_area")
    assert area == pytest.approx(town.low.area, rel=1e-6)
    # Streets between junctions are told from junctions.
    inside = {p.fields.get("is_intersection", True) for p in polygons if p.layer == "road_segment"}
    assert inside == {False, True}
    for junction in town.roads.junctions:
        assert all(p.fields == {} for p in polygons if p.name.startswith(f"{junction.id}#"))


def test_bad_kind_and_size():
    with pytest.raises(InputError, match="kind of town"):
        make_town(1, "village")
    with pytest.raises(InputError, match="size of a town"):
        make_town(1, "grid", -300)
