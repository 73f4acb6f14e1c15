"""Who parks, and where along the kerbs."""

import math
from functools import lru_cache

import numpy as np

from worldloom.synth.road_users.catalogue import NUM_VARIANTS, road_user_extent
from worldloom.synth.towns.lane_paint import bays_along
from worldloom.synth.towns.placements import Spot, pair
from worldloom.synth.towns.roads import RoadMap
from worldloom.synth.towns.street_shapes import stations


@lru_cache(maxsize=16)
def fitting(kind: str, longest: float, widest: float) -> tuple[int, ...]:
    """Variants of a kind of road user that fit into a bay."""
    extents = [road_user_extent(kind, variant) for variant in range(NUM_VARIANTS[kind])]
    return tuple(v for v, (length, width, _) in enumerate(extents) if length <= longest and width <= widest)


def parked_vehicle(rng: np.random.Generator, longest: float, widest: float = 2.25) -> tuple[str, int]:
    """A vehicle to leave in a bay: mostly cars, and small trucks where they fit."""
    trucks = fitting("truck", longest, widest + 0.3)
    kind = "truck" if trucks and rng.uniform() < 0.06 else "car"
    return kind, int(rng.choice(trucks if kind == "truck" else fitting("car", longest, widest)))


def park_along_kerbs(roads: RoadMap, seed: int) -> list[Spot]:
    """Vehicles in the bays of the streets, in the direction of traffic, a few of them the other way round.

    How full a street is differs from street to street. Some bays hold motorcycles, side by side.
    """
    spots = []
    for edge in roads.edges:
        for lane in edge.lanes:
            if lane.use != "park":
                continue
            rng = np.random.default_rng((seed, 0x9A4C, int(edge.id[1:]), ord(edge.id[0]), lane.index))
            full = 0.75 * rng.uniform() ** 1.7
            bays = bays_along(lane)
            if not len(bays):
                continue
            middles, along = stations(lane.centre, bays)
            for at, direction in zip(middles, along, strict=True):
                draw = rng.uniform(size=3)
                if draw[0] > full:
                    continue
                yaw = math.atan2(direction[1], direction[0])
                left = np.array([-direction[1], direction[0]])
                if draw[1] < 0.05:
                    for k in range(int(rng.integers(2, 6))):
                        xy = at + direction * (k - 2) * 1.05
                        variant = int(rng.choice(fitting("motorcycle", 2.3, 1.0)))
                        slant = yaw + math.pi / 2 * (-1 if lane.index < len(edge.lanes) / 2 else 1)
                        spots.append(Spot("motorcycle", variant, pair(xy), slant + rng.normal(0, 0.05)))
                    continue
                kind, variant = parked_vehicle(rng, 5.4)
                xy = at + left * rng.normal(0, 0.06) + direction * rng.normal(0, 0.15)
                turned = math.pi if draw[2] < 0.04 else 0.0
                spots.append(Spot(kind, variant, pair(xy), yaw + turned + rng.normal(0, 0.012)))
    return spots
