"""A place under construction: the things that stand so far, the ground they stand on, and where there is still room."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import shapely
import torch
from shapely.geometry.base import BaseGeometry

from worldloom.geometry import apply
from worldloom.synth.outdoors.buildings import make_building
from worldloom.synth.outdoors.ground_zones import Height
from worldloom.synth.outdoors.plants import make_tree
from worldloom.synth.world import Thing


class Site:
    """Things set onto the ground `surface` (n, 2) -> (n,), none in the way of another."""

    def __init__(self, surface: Height) -> None:
        self.surface = surface
        self.things: list[Thing] = []
        self._spots: list[tuple[float, float, float]] = []  # x, y, radius
        self._areas: list[BaseGeometry] = []

    def level(self, x: float | int, y: float | int) -> float:
        """Height of the ground."""
        return float(self.surface(np.array([[x, y]]))[0])

    def free(self, x: float | int, y: float | int, radius: float | int, clear_of: BaseGeometry | None = None) -> bool:
        """Whether a disc touches nothing that was put here, nor the given area."""
        if any((x - a) ** 2 + (y - b) ** 2 < (radius + r) ** 2 for a, b, r in self._spots):
            return False
        point = shapely.Point(x, y)
        if clear_of is not None and clear_of.distance(point) < radius:
            return False
        return all(area.distance(point) >= radius for area in self._areas)

    def free_area(self, area: BaseGeometry) -> bool:
        """Whether an area touches nothing that was put here."""
        inner = area.buffer(-0.05)
        spots = (shapely.Point(a, b).buffer(r, quad_segs=3) for a, b, r in self._spots)
        return not any(inner.intersects(other) for other in (*self._areas, *spots))

    def occupy(self, area: BaseGeometry) -> None:
        """Keep an area from what comes later."""
        shapely.prepare(area)
        self._areas.append(area)

    def occupy_spot(self, x: float | int, y: float | int, radius: float | int) -> None:
        """Keep a disc from what comes later."""
        self._spots.append((x, y, radius))

    def put(
        self,
        thing: Thing,
        x: float | int,
        y: float | int,
        yaw: float | int = 0.0,
        radius: float | None = None,
        tilted: bool = False,
        z: float | None = None,
    ) -> None:
        """Set a thing onto the ground, upright or `tilted` with the slope, and occupy a disc."""
        c, s = math.cos(yaw), math.sin(yaw)
        axes = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        if tilted:
            d = 0.8
            around = np.array([[x + d, y], [x - d, y], [x, y + d], [x, y - d]])
            east, west, north, south = self.surface(around)
            up = np.array([(west - east) / (2 * d), (south - north) / (2 * d), 1.0])
            up /= np.linalg.norm(up)
            ahead = np.cross(np.array([-s, c, 0]), up)
            ahead /= np.linalg.norm(ahead)
            axes = np.stack([ahead, np.cross(up, ahead), up], 1)
        frame = torch.eye(4)
        frame[:3, :3] = torch.from_numpy(axes).float()
        frame[:3, 3] = torch.tensor([x, y, self.level(x, y) if z is None else z])
        self.things.append(replace(thing, world_from_thing=frame))
        if radius is not None:
            self.occupy_spot(x, y, radius)

    def put_if_free(
        self,
        make: Callable[[], Thing],
        x: float | int,
        y: float | int,
        yaw: float | int,
        radius: float | int,
        clear_of: BaseGeometry | None = None,
        tilted: bool = False,
    ) -> bool:
        """Make and put a thing if there is room."""
        if not self.free(x, y, radius, clear_of):
            return False
        self.put(make(), x, y, yaw, radius, tilted)
        return True

    def backdrop(
        self,
        random: Random,
        houses: int,
        trees: int,
        near: float | int,
        far: float | int,
        styles: Sequence[str],
        storeys: tuple[int, int],
        kinds: Sequence[str],
        clear_of: BaseGeometry,
    ) -> None:
        """Coarse buildings and trees in a ring, nearer ones more often than farther ones."""
        tower = random.random() < 0.5
        for k in range(houses):
            reach, turn = near + (far - near) * random.random() ** 1.6, random.uniform(-math.pi, math.pi)
            x, y = reach * math.cos(turn), reach * math.sin(turn)
            wide, deep = random.uniform(9, 26), random.uniform(8, 15)
            floors = random.randint(*storeys) + (random.randint(4, 14) if tower and random.random() < 0.12 else 0)
            yaw = random.choice((0.0, 1.0, 2.0, 3.0)) * math.pi / 2 + 0.3 * math.sin(reach / 60)
            plot = footprint(x, y, yaw, deep, wide)
            if plot.distance(clear_of) < 1 or not self.free_area(plot):
                continue
            corners = shapely.get_coordinates(plot)
            levels = self.surface(corners)
            house = make_building(
                random.randrange(1 << 16) + k,
                wide,
                deep,
                floors,
                random.choice(styles),
                detail="coarse",
                foundation=0.5 + float(levels.max() - levels.min()),
            )
            self.put(house, x, y, yaw, z=float(levels.max()))
            self.occupy(plot)
        for _ in range(trees):
            reach, turn = near + (far - near) * random.random() ** 1.4, random.uniform(-math.pi, math.pi)
            x, y = reach * math.cos(turn), reach * math.sin(turn)
            kind, tall = random.choice(kinds), random.uniform(5, 14)
            seed = random.randrange(1 << 16)
            self.put_if_free(lambda s=seed, k=kind, h=tall: make_tree(s, k, h, "coarse"), x, y, 0.0, 1.5, clear_of)

    def stands(
        self, candidates: Sequence[tuple[float, float, float]], count: int, air: float | int = 0.5
    ) -> torch.Tensor:
        """The first places (x, y, height above the ground) that have air on all sides, as eyes (s, 3)."""
        vertices = np.concatenate(
            [apply(thing.world_from_thing, part.vertices).numpy() for thing in self.things for part in thing.parts]
        )
        chosen: list[tuple[float, float, float]] = []
        for x, y, height in candidates:
            z = self.level(x, y) + height
            near = vertices[(np.abs(vertices[:, 0] - x) < air) & (np.abs(vertices[:, 1] - y) < air)]
            apart = all((x - a) ** 2 + (y - b) ** 2 > 4 for a, b, _ in chosen)
            if not apart or (len(near) and (np.abs(near[:, 2] - z) < air).any()):
                continue
            if not self.free(x, y, air):
                continue
            chosen.append((x, y, z))
            if len(chosen) == count:
                break
        if not chosen:
            raise RuntimeError("no place to stand among the candidates")
        return torch.tensor(chosen)


def footprint(
    x: float | int, y: float | int, yaw: float | int, depth: float | int, width: float | int
) -> shapely.Polygon:
    """The rectangle of a building: `depth` along its x axis, `width` along its y axis."""
    c, s = math.cos(yaw), math.sin(yaw)
    corners = ((depth / 2, -width / 2), (depth / 2, width / 2), (-depth / 2, width / 2), (-depth / 2, -width / 2))
    return shapely.Polygon([(x + c * a - s * b, y + s * a + c * b) for a, b in corners])
