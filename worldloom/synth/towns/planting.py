"""Trees and bushes of a town: which grow there, and scattering them over an area."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from jaxtyping import Float64
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from worldloom.synth.outdoors.plants import make_bush, make_tree
from worldloom.synth.towns.placements import Placement
from worldloom.synth.world import Thing

_NORTHERN = ("round", "oak", "birch", "poplar", "spruce", "pine", "orchard", "bare")
_WIDTHS = (0.9, 1.4, 2.0, 2.6, 3.0, 3.6, 4.2)  # of bushes, metres
_SPREAD = 0.45  # of its width, how far most of a bush is from where it stands
_SOUTHERN = ("palm", "round", "cypress", "pine", "orchard", "oak")


@dataclass(frozen=True)
class Flora:
    """What grows in a town."""

    street: str  # the kind along the streets
    kinds: tuple[str, ...]  # in gardens and parks
    autumn: float  # chance of a leaf tree's being yellow or red
    leafy: float = 1.0  # how much grows, beside what grows in most towns


def make_flora(seed: int) -> Flora:
    """A town's plants: those of cooler or of warmer places."""
    rng = np.random.default_rng((seed, 0xF1024))
    kinds = _SOUTHERN if rng.uniform() < 0.3 else _NORTHERN
    chosen = tuple(str(kind) for kind in rng.choice(kinds, 5, replace=False))
    street = str(rng.choice(("palm", "round") if kinds is _SOUTHERN else ("round", "poplar", "birch")))
    autumn = float(rng.choice([0.0, 0.1, 0.6], p=(0.4, 0.4, 0.2)))
    return Flora(street, chosen, autumn, float(rng.choice([0.3, 1.0, 1.6], p=(0.2, 0.4, 0.4))))


@lru_cache(maxsize=512)
def tree(number: int, kind: str, height: float, autumn: float) -> Thing:
    """One of a few trees of a kind and size; vegetation in Occ3D's words."""
    thing = make_tree(number, kind, height, detail="coarse", autumn=autumn)
    return Thing(thing.name, "vegetation", thing.parts)


@lru_cache(maxsize=512)
def bush(number: int, width: float, height: float) -> Thing:
    """One of a few bushes."""
    return Thing("bush", "vegetation", make_bush(number, width, height, detail="coarse").parts)


def a_tree(flora: Flora, rng: np.random.Generator, low: float = 5.0, high: float = 14.0) -> Thing:
    """A tree of a garden or park."""
    kind = flora.kinds[int(rng.choice(5, p=(0.35, 0.25, 0.2, 0.1, 0.1)))]
    return tree(int(rng.integers(3)), kind, float(round(rng.uniform(low, high))), flora.autumn)


def a_bush(rng: np.random.Generator, room: float = math.inf) -> Thing:
    """A bush that spreads no farther than `room` metres."""
    width, height = float(rng.choice([0.9, 1.4, 2.0, 2.6])), float(rng.choice([0.7, 1.1, 1.6, 2.2]))
    return bush(int(rng.integers(4)), _within(room, width), height)


def a_shrubbery(rng: np.random.Generator, room: float = math.inf) -> Thing:
    """Bushes grown into one another, where there is room as wide as a car is long and higher than a man."""
    width, height = float(rng.choice([3.0, 3.6, 4.2])), float(rng.choice([1.2, 2.4, 3.2, 4.0]))
    return bush(int(rng.integers(4)), _within(room, width), height)


def _within(room: float, width: float) -> float:
    """The width of a bush that was drawn, or the largest below it that fits."""
    return max((w for w in _WIDTHS if w <= width and _SPREAD * w <= room), default=_WIDTHS[0])


def scattered(area: BaseGeometry, density: float, apart: float, rng: np.random.Generator) -> Float64[np.ndarray, "n 2"]:
    """Points in an area: `density` for each 100 m2, fewer where they would come nearer than `apart` to each other."""
    wanted = rng.poisson(area.area * density / 100) if area.area > 1 else 0
    if not wanted:
        return np.zeros((0, 2))
    low_x, low_y, high_x, high_y = area.bounds
    box_area = (high_x - low_x) * (high_y - low_y)
    tries = min(20000, int(1.3 * wanted * box_area / area.area) + 4)
    points = rng.uniform((low_x, low_y), (high_x, high_y), (tries, 2))
    shapely.prepare(area)
    points = points[shapely.contains_xy(area, points)][:wanted]
    late = {j for i, j in sorted(KDTree(points).query_pairs(apart))} if len(points) else set()
    return points[[k for k in range(len(points)) if k not in late]]


def planted(
    area: BaseGeometry,
    flora: Flora,
    trees: float,
    bushes: float,
    rng: np.random.Generator,
    high: float = 14.0,
    shrubberies: float = 0.0,
) -> list[Placement]:
    """Plants over an area, so many of each for each 100 m2 in most towns.

    Trunks keep 1.5 m from its edge, and bushes near it are small enough not to hang over.
    """
    result = []
    edge = area.boundary

    def room(xy: np.ndarray) -> float:
        return float(shapely.distance(edge, shapely.Point(xy)))

    def put(thing: Thing, xy: np.ndarray) -> None:
        result.append(Placement(thing, (float(xy[0]), float(xy[1])), float(rng.uniform(0, 6.28))))

    for xy in scattered(area.buffer(-1.5), trees * flora.leafy, 3.5, rng):
        put(a_tree(flora, rng, 4.0, high), xy)
    for xy in scattered(area.buffer(-0.8), shrubberies * flora.leafy, 1.3, rng):
        put(a_shrubbery(rng, room(xy)), xy)
    for xy in scattered(area.buffer(-0.6), bushes * flora.leafy, 1.4, rng):
        put(a_bush(rng, room(xy)), xy)
    return result


def verge_bed(verge: BaseGeometry, rng: np.random.Generator) -> list[Placement]:
    """Low bushes close to each other all along a verge."""
    number, height = int(rng.integers(4)), float(rng.choice([0.7, 1.0, 1.4]))
    return [
        Placement(bush(number, 1.4, height), (float(x), float(y)), float(rng.uniform(0, 6.28)))
        for x, y in scattered(verge.buffer(-0.55), 90.0, 1.25, rng)
    ]
