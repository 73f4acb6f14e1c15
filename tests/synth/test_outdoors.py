"""Streets, courtyards and fields are closed below, carry what stands on them, and vary."""

from functools import cache

import numpy as np
import pytest
import shapely
import torch

from worldloom.geometry import apply
from worldloom.synth.cast import Caster
from worldloom.synth.outdoors import make_courtyard, make_field, make_street
from worldloom.synth.outdoors.ground_zones import Terrain, Zone, grid_lines, kerbs, zoned_ground
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Thing, World

MAKERS = {"street": make_street, "courtyard": make_courtyard, "field": make_field}
SEEDS = [("street", 2), ("courtyard", 4), ("field", 7)]
REACH = {"street": 420.0, "courtyard": 300.0, "field": 900.0}
GROUND = {"driveable_surface", "sidewalk", "other_flat", "terrain", "grass", "rock"}
STANDING = ("tree_", "lamp", "sign", "traffic_light", "bench", "bin", "hydrant", "utility_pole", "well", "fountain")
ROAD_USERS = {"car", "bus", "truck", "motorcycle", "bicycle", "pedestrian"}
GREY = Material("grey", (0.5, 0.5, 0.5))


def triangle_count(thing: Thing) -> int:
    return sum(len(part.faces) for part in thing.parts)


@cache
def world(kind: str, seed: int) -> World:
    return MAKERS[kind](seed)


def is_ground(thing: Thing) -> bool:
    smooth = any(part.smooth for part in thing.parts)
    return thing.semantic in GROUND and smooth and not thing.name.startswith(("boulder", "grass", "flowers"))


@cache
def ground(kind: str, seed: int) -> Caster:
    things = tuple(thing for thing in world(kind, seed).things if is_ground(thing) and thing.name != "water")
    return Caster(World(kind, seed, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)))


def level(kind: str, seed: int, xy: np.ndarray) -> np.ndarray:
    origins = torch.from_numpy(np.concatenate([xy, np.full((len(xy), 1), 600.0)], 1))
    down = torch.tensor([0.0, 0, -1], dtype=torch.float64).expand_as(origins)
    hits = ground(kind, seed).cast(origins, down)
    assert hits.found.all()
    return 600.0 - hits.distance.numpy()


@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_meshes_are_sound_and_within_budget(kind: str, seed: int) -> None:
    made = world(kind, seed)
    total = 0
    for thing in made.things:
        for part in thing.parts:
            assert torch.isfinite(part.vertices).all()
            assert 0 <= int(part.faces.min()) <= int(part.faces.max()) < len(part.vertices)
        total += triangle_count(thing)
    assert 30_000 < total < 700_000
    assert len(made.stands) >= 3


@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_no_ray_falls_through_the_ground(kind: str, seed: int) -> None:
    rng = np.random.default_rng(0)
    reach = 0.99 * REACH[kind]
    xy = np.concatenate([rng.uniform(-40, 40, (3000, 2)), rng.uniform(-reach, reach, (3000, 2))])
    level(kind, seed, xy)


@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_eyes_have_air_and_stand_at_the_height_of_people(kind: str, seed: int) -> None:
    made = world(kind, seed)
    heights = made.stands[:, 2].numpy() - level(kind, seed, made.stands[:, :2].double().numpy())
    assert 1.25 < heights[0] < 3.5
    assert ((heights > 1.2) & (heights < 6.1)).all()
    ball = torch.nn.functional.normalize(torch.randn(600, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    caster = Caster(made)
    for eye in made.stands:
        near = caster.cast(eye.expand(600, 3).double(), ball.double())
        assert float(near.distance[near.found].min()) > 0.35
        assert near.found.double().mean() > 0.3


@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_nothing_floats_and_nothing_is_buried(kind: str, seed: int) -> None:
    checked = 0
    for thing in world(kind, seed).things:
        user = thing.semantic in ROAD_USERS
        if not user and not thing.name.startswith(STANDING):
            continue
        v = torch.cat([apply(thing.world_from_thing, part.vertices) for part in thing.parts]).double().numpy()
        at = thing.world_from_thing[None, :2, 3].double().numpy()
        low, foot = float(v[:, 2].min()), float(level(kind, seed, at)[0])
        assert low < foot + 0.06, thing.name
        # A slope lifts one end of a long thing; trunks and posts go a little into the ground.
        assert low > foot - (0.45 if not user else 0.3), thing.name
        if user:
            lowest = v[v[:, 2] < low + 0.04]
            below = lowest[:, 2] - level(kind, seed, lowest[:, :2])
            assert np.abs(below).min() < 0.06, thing.name
        checked += 1
    assert checked > 3


@pytest.mark.parametrize(("kind", "seed"), [pair for pair in SEEDS if pair[0] == "street"])
def test_no_house_stands_on_the_carriageway(kind: str, seed: int) -> None:
    made = world(kind, seed)
    triangles = [
        np.asarray(shapely.polygons(part.vertices[part.faces.long()][..., :2].double().numpy()))
        for thing in made.things
        if thing.semantic == "driveable_surface"
        for part in thing.parts
    ]
    carriage = shapely.union_all(np.concatenate(triangles), grid_size=1e-4).buffer(-0.4)
    assert carriage.area > 300
    shapely.prepare(carriage)
    houses = [thing for thing in made.things if thing.name.startswith("building")]
    assert len(houses) > 20
    for house in houses:
        v = torch.cat([apply(house.world_from_thing, part.vertices) for part in house.parts]).double().numpy()
        low = v[v[:, 2] < float(house.world_from_thing[2, 3]) + 2.0]
        assert not shapely.contains_xy(carriage, low[:, 0], low[:, 1]).any()


def test_lands_districts_and_courts_vary() -> None:
    fields = [make_field(seed) for seed in range(20, 24)]
    lands = {
        part.material.name for made in fields for thing in made.things if thing.name == "ground" for part in thing.parts
    }
    assert len(lands) >= 2
    courts = [make_courtyard(seed) for seed in range(20, 24)]
    for worlds in (fields, courts):
        assert len({sum(triangle_count(thing) for thing in made.things) for made in worlds}) == len(worlds)
        assert len({made.sky.towards_sun for made in worlds}) == len(worlds)
        assert len({len(made.things) for made in worlds}) >= 3


def test_zones_share_their_edges_and_the_first_named_holds() -> None:
    def height(at: np.ndarray) -> np.ndarray:
        return 0.3 * np.sin(at[:, 0] / 3) + 0.1 * at[:, 1]

    disc, bar = shapely.Point(1, 1).buffer(4), shapely.box(-9, 0, 9, 2)
    zones = [
        Zone("disc", "grass", disc, GREY),
        Zone("bar", "sidewalk", bar, GREY, 0.2),
        Zone("rest", "terrain", disc, GREY),
    ]
    things = zoned_ground(zones, grid_lines(10.0, 2.0, 20.0), height)
    area = {}
    for thing in things:
        (part,) = thing.parts
        a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
        doubled = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        assert (doubled > 0).all()  # seen from above
        area[thing.name] = float(doubled.sum() / 2)
        lift = 0.2 if thing.name == "bar" else 0.0
        at = part.vertices.double().numpy()
        np.testing.assert_allclose(at[:, 2], height(at[:, :2]) + lift, atol=1e-5)
    assert area["disc"] == pytest.approx(disc.area, rel=1e-5)
    assert area["bar"] == pytest.approx(bar.difference(disc).area, rel=1e-5)
    assert sum(area.values()) == pytest.approx(1600.0, rel=1e-6)


def test_kerbs_look_at_the_road() -> None:
    road = shapely.box(-5, -2, 5, 2)
    (part,) = kerbs(road, lambda at: np.zeros(len(at)), 0.0, 0.15, GREY).parts
    a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    assert ((normal * ((a + b + c) / 3))[:, :2].sum(1) < 0).all()  # the road lies about the origin
    assert float(part.vertices[:, 2].max()) == pytest.approx(0.15)


def test_terrain_is_the_height_of_its_mesh() -> None:
    lines = np.array([-2.0, 0.0, 1.0])
    terrain = Terrain(lines, np.array([[0.0, 1, 2], [3, 4, 5], [6, 7, 9]]))
    np.testing.assert_allclose(
        terrain(np.array([[0.0, 0.0], [-1, -2], [0.5, 0.5], [0.75, 0.25]])), [4.0, 1.5, 6.5, 6.75]
    )
