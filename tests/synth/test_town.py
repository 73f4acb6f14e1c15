"""Towns that stand: what lies where, what stands where, and that nothing stands in the way."""

import json

import numpy as np
import pytest
import shapely
import torch
from shapely import affinity

from worldloom.errors import InputError
from worldloom.geometry import invert
from worldloom.synth.road_users.catalogue import nuscenes_category, road_user_extent
from worldloom.synth.skies.sky import clear_sky, overcast_sky
from worldloom.synth.towns.ground import DRIVEABLE, KERB, OTHER_FLAT, PAINTS, SIDEWALK, TERRAIN
from worldloom.synth.towns.lane_paint import make_paint_style, paint_lanes, stop_line_of
from worldloom.synth.towns.placements import Spot
from worldloom.synth.towns.roads import make_roads
from worldloom.synth.towns.street_shapes import line_length, make_street_shapes, stations
from worldloom.synth.towns.town import Town, make_town, town_sky
from worldloom.synth.towns.town_files import map_size, save_town, town_polygons
from worldloom.synth.towns.work_zones import make_work_zones
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


def _spot_outline(spot: Spot) -> shapely.Polygon:
    length, width, _ = road_user_extent(spot.kind, spot.variant)
    outline = shapely.box(-length / 2, -width / 2, length / 2, width / 2)
    return affinity.translate(affinity.rotate(outline, spot.yaw, (0, 0), use_radians=True), *spot.xy)


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


def test_work_zones_close_the_lanes_they_block(town: Town):
    assert {user.kind for user in town.work_zones} >= {"traffic_cone", "barrier", "pedestrian"}
    workers = [u for u in town.work_zones if u.kind == "pedestrian"]
    assert all(nuscenes_category("pedestrian", u.variant).endswith("construction_worker") for u in workers)
    outlines = [_outline(user) for user in town.work_zones]
    blocked = set()
    for lane in town.roads.lanes.values():
        if lane.use in ("drive", "bike"):
            line = shapely.LineString(lane.centre)
            # Whoever reaches 0.6 m beyond a lane's edge blocks it.
            if any(line.distance(outline) < lane.width / 2 - 0.6 for outline in outlines):
                blocked.add(lane.id)
    assert blocked == {lane for lane in town.closed_lanes if lane in blocked or town.roads.lanes[lane].use == "drive"}


def test_work_zones_face_the_traffic(town: Town):
    """Cones push traffic away from the kerb, and barriers meet it with their front or line its way on its right."""
    lanes = [lane for lane in town.roads.lanes.values() if lane.use in ("drive", "park")]
    lines = [shapely.LineString(lane.centre) for lane in lanes]
    kinds = {kind: [user for user in town.work_zones if user.kind == kind] for kind in ("barrier", "traffic_cone")}
    for user in kinds["barrier"]:
        at = shapely.Point(user.world_from_user[:2, 3].tolist())
        i = int(np.argmin([line.distance(at) for line in lines]))
        (_,), (along,) = stations(lanes[i].centre, np.array([lines[i].project(at)]))
        front = user.world_from_user[:2, 0].double().numpy()
        assert max(-(front @ along), front @ [-along[1], along[0]]) > 0.95
    xy = [shapely.Point(user.world_from_user[:2, 3].tolist()) for user in kinds["traffic_cone"][:6]]  # one taper
    lane = lanes[int(np.argmin([line.distance(xy[0]) for line in lines]))]
    line = shapely.LineString(lane.centre)
    assert np.all(np.diff([line.project(at) for at in xy]) > 0)
    kerb = town.shapes.sidewalk.union(town.shapes.verge)
    assert np.all(np.diff([kerb.distance(at) for at in xy[:4]]) > 0)  # the last may be nearer to one across


def test_heaps_of_road_works_are_in_the_town(town: Town):
    works = make_work_zones(town.roads, town.shapes.carriageway, town.lots.car_parks, town.seed)
    assert works.heaps
    mounds = torch.stack([thing.world_from_thing[:2, 3] for thing in town.things if thing.name == "mound"])
    for heap in works.heaps:
        assert (mounds - torch.tensor(heap.xy)).norm(dim=-1).min() < 0.01


def test_nobody_parks_in_road_works_or_in_the_mouth_of_a_driveway(town: Town):
    works = [_outline(user) for user in town.work_zones]
    parked = [_outline(user) for user in town.parked]
    assert min(shapely.distance(outline, works).min() for outline in parked) > 0.8
    kerbside = [outline for outline in parked if not town.lots.car_parks.contains(outline.centroid)]
    assert kerbside
    assert not any(town.lots.car_parks.intersects(outline) for outline in kerbside)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_work_zones_lie_on_the_carriageway_and_leave_driveways_open(seed: int):
    roads = make_roads(seed, size=240)
    road = make_street_shapes(roads).carriageway
    works = make_work_zones(roads, road, shapely.Polygon(), seed)
    assert works.heaps
    heaps = []
    for heap in works.heaps:
        (part,) = heap.thing.parts
        seen = part.vertices[part.faces.unique().long(), :2].numpy()
        turned = affinity.rotate(shapely.MultiPoint(seen), heap.yaw, (0, 0), use_radians=True)
        heaps.append(affinity.translate(turned.convex_hull, *heap.xy))
    for outline in [*map(_spot_outline, works.spots), *heaps, *(patch.area for patch in works.patches)]:
        assert outline.difference(road).area <= 0.05 * outline.area
    # A driveway into the middle of each zone; the zones move.
    mouths = shapely.union_all([shapely.Point(heap.xy).buffer(2.9) for heap in works.heaps])
    moved = make_work_zones(roads, road, mouths, seed)
    assert moved.spots
    for outline in [*map(_spot_outline, moved.spots), *(patch.area for patch in moved.patches)]:
        assert outline.distance(mouths) > 2.0


@pytest.mark.parametrize("seed", [31, 36])
def test_places_that_are_joined_without_a_circle_are_drawn_again(seed: int):
    """The first draw of these small towns is a tree, of which nothing is left without dead ends."""
    roads = make_roads(seed, "random", 240)
    assert len(roads.edges) >= 6


def test_streets_too_short_for_works_have_none():
    """Here the kerb of a bend is shorter than the middle of its lane, so that the works would end before they begin."""
    roads = make_roads(0, "spider", 240)
    works = make_work_zones(roads, make_street_shapes(roads).carriageway, shapely.Polygon(), 0)
    assert works.heaps
    assert all(patch.area.is_valid and not patch.area.is_empty for patch in works.patches)


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


def test_towns_have_days_of_their_own(town: Town):
    skies = [town_sky(seed) for seed in range(24)]
    assert skies == [town_sky(seed) for seed in range(24)]
    suns = torch.tensor([sky.towards_sun for sky in skies], dtype=torch.float64)
    height = suns[:, 2].asin().rad2deg()
    assert 19.9 < height.min() < 30
    assert 50 < height.max() < 65.1
    assert len({(x > 0, y > 0) for x, y, _ in suns.tolist()}) == 4
    assert town.world().sky == town_sky(town.seed)


def test_dark_days_are_exposed_longer_and_stay_darker(town: Town):
    skies = clear_sky(0.9, 0.0), overcast_sky(0.8), overcast_sky(0.4)
    exposures = [town.world(sky).exposure for sky in skies]
    assert exposures[0] < exposures[1] < exposures[2] < 8
    assert exposures[2] < 2 * exposures[1]  # of half the light
    for seed in range(8):
        assert 1.2 < town.world(town_sky(seed)).exposure < 6


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


def test_dividers_lie_between_the_lanes_they_divide(town: Town):
    """Of lanes from the right, each is parted from the next on its left; of two directions, the leftmost lanes are."""
    _, lines = town_polygons(town)
    lanes, edges = town.roads.lanes, {edge.id: edge for edge in town.roads.edges}
    checked = {"lane_divider": 0, "road_divider": 0}
    for line in lines:
        if line.layer == "lane_divider":
            own = lanes[line.name]
            driven = [lane for lane in edges[own.edge].lanes if lane.use in ("drive", "bike")]
            other = driven[driven.index(own) + 1]
        else:
            (own, other) = (
                [lane for lane in edges[name].lanes if lane.use in ("drive", "bike")][-1:]
                for name in (line.name, str(edges[line.name].opposite))
            )
            if not other:
                continue
            own, other = own[0], other[0]
        middle = shapely.LineString(line.points).interpolate(0.5, normalized=True)
        to_own, to_other = (middle.distance(shapely.LineString(lane.centre)) for lane in (own, other))
        assert to_own == pytest.approx(own.width / 2, abs=0.05)
        apart = (
            shapely.LineString(own.centre).interpolate(0.5, normalized=True).distance(shapely.LineString(other.centre))
        )
        assert to_other < apart
        checked[line.layer] += 1
    assert min(checked.values()) > 3


def test_bad_kind_and_size():
    with pytest.raises(InputError, match="kind of town"):
        make_town(1, "village")
    with pytest.raises(InputError, match="size of a town"):
        make_town(1, "grid", -300)
