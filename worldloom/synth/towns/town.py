"""Towns that stand: roads, ground, lots, and what is parked or at work there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from random import Random

import numpy as np
import shapely
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES, compose, rotz
from worldloom.geometry.io.images import LUMINANCE
from worldloom.synth.occ3d_labels import LABEL_OF_SEMANTIC
from worldloom.synth.road_users.catalogue import road_user_extent
from worldloom.synth.skies.sky import Sky, random_sky
from worldloom.synth.towns.ground import DRIVEABLE, OTHER_FLAT, SIDEWALK, TERRAIN, Ground, Patch, make_ground
from worldloom.synth.towns.ground_mesh import ground_thing
from worldloom.synth.towns.lane_paint import make_paint_style, paint_lanes
from worldloom.synth.towns.lots import Lots, make_lots
from worldloom.synth.towns.parking import park_along_kerbs
from worldloom.synth.towns.placements import Placement, Spot
from worldloom.synth.towns.planting import make_flora
from worldloom.synth.towns.roads import RoadMap, make_roads
from worldloom.synth.towns.street_furniture import furnish_streets
from worldloom.synth.towns.street_shapes import StreetShapes, line_length, make_street_shapes, stations
from worldloom.synth.towns.work_zones import make_work_zones
from worldloom.synth.world import SEMANTICS, Thing, World

MARGIN = 60.0  # metres of ground beyond the outermost lanes


@dataclass(frozen=True)
class StandingUser:
    """A road user that stays where it is: parked, at work, or a cone or barrier of a work zone."""

    kind: str  # as `make_road_user` takes it
    variant: int
    world_from_user: Float[Tensor, "4 4"]  # origin on the ground under the middle of the box, x forward
    extent: tuple[float, float, float]  # length, width, height


@dataclass(frozen=True)
class Town:
    """A town without its traffic."""

    seed: int
    roads: RoadMap
    shapes: StreetShapes
    lots: Lots
    ground: Ground
    low: BaseGeometry  # the area at the height of carriageways
    things: tuple[Thing, ...]  # buildings, plants, street furniture; the ground is not among them
    parked: tuple[StandingUser, ...]
    work_zones: tuple[StandingUser, ...]
    closed_lanes: tuple[str, ...]  # ids of lanes that road works close, from junction to junction

    @property
    def standing(self) -> tuple[StandingUser, ...]:
        """All road users that stay where they are."""
        return self.parked + self.work_zones

    @cached_property
    def ground_thing(self) -> Thing:
        """The ground as triangles that know what they are."""
        return ground_thing(self.ground, self.low, self.seed)

    def world(self, sky: Sky | None = None) -> World:
        """The town as a world for ray casting, without road users; places to stand are on sidewalks.

        Args:
            sky: by default `town_sky` of the town's seed.
        """
        sky = sky or town_sky(self.seed)
        things = (self.ground_thing, *self.things)
        return World("town", self.seed, things, sky, self._stands(), _exposure(sky))

    def _stands(self) -> Float[Tensor, "s 3"]:
        lanes = [lane for edge in self.roads.edges for lane in edge.lanes if lane.use == "walk" and lane.length > 25]
        standing = KDTree(torch.stack([t.world_from_thing[:2, 3] for t in self.things]).numpy())
        places = []
        for lane in lanes[:40]:  # near the middle of each, farthest from whatever stands there
            at, _ = stations(lane.centre, np.linspace(0.3, 0.7, 9) * line_length(lane.centre))
            places.append(at[np.argmax(standing.query(at)[0])])
        xy = torch.from_numpy(np.stack(places))
        return torch.cat([xy, (self.ground.height(xy) + 1.65)[:, None]], -1).float()


def town_sky(seed: int) -> Sky:
    """A day of any weather, whose sun is at least 20 degrees high, so that it reaches into the streets."""
    days = map(random_sky, repeat(Random(0x5C1 + seed)))
    return next(sky for sky in days if sky.towards_sun[2] >= math.sin(math.radians(20)))


def _exposure(sky: Sky) -> float:
    """By the mean illuminance of the ground and of a wall that the sun shines on.

    Darker days are exposed longer, but stay a little darker. Streets are often in shade, hence a little more for all.
    """
    up, turn = (torch.arange(256) + 0.5) / 256, math.pi * (3 - math.sqrt(5)) * torch.arange(256)
    flat = (1 - up**2).sqrt()
    luminance = torch.tensor(LUMINANCE)
    radiance = sky.radiance(torch.stack([flat * turn.cos(), flat * turn.sin(), up], -1)) @ luminance
    from_sky = 2 * math.pi * float((radiance * up).mean())
    from_sun = float(torch.tensor(sky.sun) @ luminance)
    height = sky.towards_sun[2]
    ground, wall = from_sky + from_sun * height, from_sky / 2 + from_sun * math.sqrt(1 - height**2)
    return 1.6 * (3.2 / (0.5 * (ground + wall))) ** 0.8


def make_town(seed: int, kind: str | None = None, size: float | int = 480.0) -> Town:
    """A town: the same seed makes the same town.

    Args:
        kind: "grid", "spider" or "random"; drawn from the seed if not given.
        size: metres that the road network spans, 200 to 2,000.
    Raises:
        InputError: for an unknown kind or a size out of range.
        MissingExtra: where SUMO is not installed.
    """
    roads = make_roads(seed, kind, size)
    shapes = make_street_shapes(roads)
    bounds = (
        roads.bounds[0] - MARGIN,
        roads.bounds[1] - MARGIN,
        roads.bounds[2] + MARGIN,
        roads.bounds[3] + MARGIN,
    )
    flora = make_flora(seed)
    lots = make_lots(shapes, bounds, flora, seed)
    works = make_work_zones(roads, shapes.carriageway, lots.car_parks, seed)
    patches = [
        *(patch for patch in lots.patches if patch.raised),
        Patch(shapes.verge, TERRAIN, True),
        Patch(shapes.islands, TERRAIN, True),
        Patch(shapes.median, OTHER_FLAT, True),
        Patch(shapes.sidewalk, SIDEWALK, True),
        Patch(shapes.carriageway, DRIVEABLE, False),
        *(patch for patch in lots.patches if not patch.raised),
        *works.patches,
    ]
    low = shapely.union_all([shapes.carriageway, lots.car_parks])
    paint = [*paint_lanes(roads, low, make_paint_style(seed)), *lots.paint, *works.paint]
    ground = make_ground(bounds, patches, paint, roads.relief)
    along = furnish_streets(roads, shapes, lots.car_parks, flora, seed)
    things = _set_up([*lots.placements, *along, *works.heaps], ground)
    kerbside = [
        spot
        for spot in park_along_kerbs(roads, seed)
        if not shapely.dwithin(works.area, shapely.Point(spot.xy), 4.0)
        and not shapely.dwithin(lots.car_parks, shapely.Point(spot.xy), 3.0)  # a car's half length and a step
    ]
    parked, at_work = _stand([*kerbside, *lots.parked], ground), _stand(works.spots, ground)
    return Town(seed, roads, shapes, lots, ground, low, things, parked, at_work, works.closed_lanes)


def _set_up(placements: Sequence[Placement], ground: Ground) -> tuple[Thing, ...]:
    """Things upright on the ground, named in Occ3D's words."""
    xy = torch.tensor([placement.xy for placement in placements], dtype=torch.float64).reshape(-1, 2)
    yaw = torch.tensor([placement.yaw for placement in placements], dtype=torch.float64)
    frames = compose(rotz(yaw), torch.cat([xy, ground.height(xy)[:, None]], -1)).float()
    return tuple(
        replace(
            placement.thing,
            semantic=OCC3D_CLASSES[int(LABEL_OF_SEMANTIC[SEMANTICS.index(placement.thing.semantic)])],
            world_from_thing=frame @ placement.thing.world_from_thing,
        )
        for placement, frame in zip(placements, frames, strict=True)
    )


def _stand(spots: Sequence[Spot], ground: Ground) -> tuple[StandingUser, ...]:
    """Road users on the slope."""
    if not spots:
        return ()
    xy = torch.tensor([spot.xy for spot in spots], dtype=torch.float64)
    lift = ground.height(xy) - ground.relief.height(xy)
    yaw = torch.tensor([spot.yaw for spot in spots], dtype=torch.float64)
    frames = ground.relief.world_from_ground(xy, yaw, lift).float()
    return tuple(
        StandingUser(spot.kind, spot.variant, frame, road_user_extent(spot.kind, spot.variant))
        for spot, frame in zip(spots, frames, strict=True)
    )
