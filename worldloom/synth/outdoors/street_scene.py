"""Streets: straight, curved and crossing ones, alleys, sloped or level, between all kinds of houses."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import numpy as np
import shapely
import torch
from shapely.geometry.base import BaseGeometry

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.assembly import Assembly, frame_at, within
from worldloom.synth.outdoors.buildings import make_building
from worldloom.synth.outdoors.facade_textures import ashlar, brick, concrete
from worldloom.synth.outdoors.facades import bays, pierce
from worldloom.synth.outdoors.ground_textures import asphalt, cobbles, grass, paving, road_paint, soil
from worldloom.synth.outdoors.ground_zones import Height, Zone, grid_lines, kerbs, sampled, zoned_ground
from worldloom.synth.outdoors.plants import make_bush, make_hedge, make_tree
from worldloom.synth.outdoors.site import Site, footprint
from worldloom.synth.outdoors.street_furniture.boxes import make_bin, make_hydrant
from worldloom.synth.outdoors.street_furniture.fences import make_fence
from worldloom.synth.outdoors.street_furniture.pavement import (
    make_bench,
    make_bike_rack,
    make_bus_shelter,
    make_cafe_table,
    make_kiosk,
    make_planter,
)
from worldloom.synth.outdoors.street_furniture.posts import (
    make_bollard,
    make_lamp,
    make_signal,
    make_utility_pole,
    make_wire,
)
from worldloom.synth.outdoors.street_furniture.signs import make_sign
from worldloom.synth.relief import make_relief
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, RIDERLESS, STANDING, make_road_user, road_user_extent
from worldloom.synth.skies.sky import random_sky
from worldloom.synth.textures import srgb
from worldloom.synth.world import Thing, World


@dataclass(frozen=True)
class District:
    """What kind of town a street runs through."""

    styles: tuple[str, ...]
    storeys: tuple[int, int]
    width: tuple[float | int, float | int]  # of houses
    setback: tuple[float | int, float | int]
    gap: tuple[float | int, float | int]  # between houses; 0 for closed rows
    shops: float | int  # share of houses with shops
    trees: tuple[str, ...]
    skyline: tuple[int, int]  # coarse houses behind the first row
    row: bool  # neighbours share walls


DISTRICTS = {
    "old_town": District(
        ("brick", "stucco", "timber", "stone"),
        (2, 4),
        (7, 13),
        (0, 0),
        (0, 0),
        0.5,
        ("round", "poplar"),
        (40, 90),
        True,
    ),
    "boulevard": District(
        ("stone", "stone", "stucco", "brick"), (4, 6), (12, 22), (0, 0), (0, 0), 0.8, ("round", "oak"), (40, 90), True
    ),
    "south": District(
        ("stucco",), (2, 4), (8, 15), (0, 0), (0, 0), 0.4, ("palm", "cypress", "pine", "orchard"), (30, 80), True
    ),
    "suburb": District(
        ("cottage", "cottage", "stucco", "timber"),
        (1, 2),
        (8, 13),
        (4, 7),
        (4, 9),
        0.05,
        ("round", "birch", "orchard", "spruce", "oak"),
        (20, 50),
        False,
    ),
    "modern": District(
        ("glass", "concrete", "concrete", "glass"),
        (4, 9),
        (16, 30),
        (0, 3),
        (3, 10),
        0.4,
        ("birch", "round"),
        (40, 80),
        False,
    ),
    "works": District(
        ("warehouse", "brick", "concrete"), (1, 3), (16, 34), (0, 4), (2, 10), 0.1, ("birch", "poplar"), (15, 45), False
    ),
}
LAYOUTS = ("straight", "curve", "bend", "crossroads", "junction", "alley")
_REACH = 420.0  # half the side of the world
_NEAR = 60.0  # houses within this have windows to look into


def make_street(seed: int) -> World:
    """A street with houses, parked cars and people; eyes stand on its pavements and lanes."""
    random = Random(f"street {seed}")
    district_name = random.choice(tuple(DISTRICTS))
    district = DISTRICTS[district_name]
    layout = random.choice(LAYOUTS)
    if layout == "alley" and district_name in ("suburb", "modern", "works", "boulevard"):
        layout = "straight"
    half = random.uniform(1.5, 2.4) if layout == "alley" else random.uniform(3.2, 5.6)
    walk = random.uniform(0.0, 0.9) if layout == "alley" else random.uniform(2.0, 4.6)
    walk = 0.0 if walk < 0.6 else walk
    lift = random.uniform(0.1, 0.16) if walk else 0.0
    lines = _lines(random, layout)
    carriage = shapely.union_all([line.buffer(half, cap_style="flat") for line in lines])
    carriage = carriage.buffer(3.5).buffer(-3.5) if len(lines) > 1 else carriage
    roads = carriage.buffer(walk) if walk else carriage
    fine = grid_lines(90.0, 4.5, _REACH)
    bare = sampled(_height(random, seed), fine)

    def surface(at: np.ndarray) -> np.ndarray:
        return bare(at) + lift * ~shapely.contains_xy(carriage, at[:, 0], at[:, 1])

    shapely.prepare(carriage)
    site = Site(surface)
    crossing = _crossing_structure(site, random, lines[0], half + walk, layout)
    fronts = [_Side(line, sign, half, walk, lines) for line in lines for sign in (1, -1)]
    for front in fronts:
        _houses(site, random, district, front, roads, near=_NEAR)
    pits = _planting(site, random, district, fronts, layout)
    _kerbside(site, random, district, fronts, layout, half, walk)
    _traffic(site, random, lines, half, walk, layout)
    _behind(site, random, district, roads)
    house_count = random.randint(*district.skyline)
    site.backdrop(
        random,
        house_count,
        random.randint(20, 110),
        72,
        0.9 * _REACH,
        district.styles,
        district.storeys,
        district.trees,
        roads,
    )
    zones = _zones(random, seed, district_name, layout, lines, half, walk, lift, carriage, roads, pits)
    site.things[:0] = zoned_ground(zones, fine, bare)
    if lift:
        window = shapely.box(-_REACH, -_REACH, _REACH, _REACH)
        stone = ashlar(seed, srgb("#9a968e"), (1.0, 0.6))
        site.things.insert(0, kerbs(shapely.intersection(carriage, window), bare, 0.0, lift, stone))
    site.things += crossing
    return World("street", seed, tuple(site.things), random_sky(random), _stands(site, random, lines, half, walk))


@dataclass(frozen=True)
class _Side:
    """One side of a road: places along it and away from its axis."""

    line: shapely.LineString
    sign: int  # 1: left of the line
    half: float | int
    walk: float | int
    lines: list[shapely.LineString]

    def at(self, s: float | int, out: float | int) -> tuple[float, float, float]:
        """(x, y, yaw towards the road) at s from the line's middle, `out` beyond the edge of the carriageway."""
        x, y, heading = along(self.line, s)
        away = heading + self.sign * math.pi / 2
        reach = self.half + out
        return x + reach * math.cos(away), y + reach * math.sin(away), away + math.pi

    def open(self, x: float | int, y: float | int, far: float | int) -> bool:
        """Whether a place is at least `far` from the axes of all other roads."""
        return all(other is self.line or other.distance(shapely.Point(x, y)) > far for other in self.lines)


def along(line: shapely.LineString, s: float | int) -> tuple[float, float, float]:
    """(x, y, heading) at s metres from the middle of a line."""
    at = line.length / 2 + s
    before, after = line.interpolate(at - 0.25), line.interpolate(at + 0.25)
    here = line.interpolate(at)
    return here.x, here.y, math.atan2(after.y - before.y, after.x - before.x)


def _lines(random: Random, layout: str) -> list[shapely.LineString]:
    """Axes of the roads, through the middle of the world and out of it."""
    turn = random.uniform(-math.pi, math.pi)
    s = np.arange(-700.0, 701.0, 5.0)
    bend = np.zeros_like(s)
    if layout in ("curve", "junction"):
        bend = np.clip(s, -130, 130) / random.choice((70, 100, 140, -70, -100, -140))
    elif layout in ("bend", "alley"):
        bend = 0.5 * random.choice((1, -1)) * np.tanh(s / random.uniform(12, 40))
    x, y = np.cumsum(5 * np.cos(turn + bend)), np.cumsum(5 * np.sin(turn + bend))
    middle = len(s) // 2
    lines = [shapely.LineString(np.stack([x - x[middle], y - y[middle]], 1))]
    if layout in ("crossroads", "junction"):
        at = random.uniform(-18, 18)
        px, py, heading = along(lines[0], at)
        skew = heading + math.pi / 2 + random.uniform(-0.35, 0.35)
        ahead = np.array([math.cos(skew), math.sin(skew)])
        low = 0.0 if layout == "junction" else -700.0
        lines.append(shapely.LineString([np.array([px, py]) + ahead * t for t in (low, 350 + low / 2, 700.0)]))
    return lines


def _height(random: Random, seed: int) -> Height:
    """Gentle relief near by; hills beyond, on some seeds high enough to close the view."""
    slope = random.choice((0.0, 0.02, 0.05, 0.09))
    relief = make_relief(seed, slope) if slope else None
    hills = random.choice((0.0, 8.0, 25.0, 60.0))

    def height(at: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(np.ascontiguousarray(at))
        z = relief.height(points).numpy() if relief else np.zeros(len(at))
        far = np.clip((np.hypot(at[:, 0], at[:, 1]) - 130) / 250, 0, 1)
        flat = torch.cat([points / 130, torch.zeros(len(at), 1, dtype=points.dtype)], 1).float()
        return z + hills * far**2 * (3 - 2 * far) * noise(flat, seed, 3).double().numpy()

    return height


def _houses(
    site: Site, random: Random, district: District, front: _Side, roads: BaseGeometry, near: float | int
) -> None:
    """Houses along one side, from one end to the other."""
    s = -190.0
    setback = random.uniform(*district.setback)
    shapely.prepare(roads)
    while s < 190:
        wide, deep = random.uniform(*district.width), random.uniform(8.5, 13)
        middle = s + wide / 2
        back = setback + random.uniform(-0.5, 0.5) * (district.setback[1] > 0)
        for push in (0.02, 0.35, 0.8, 1.5, 2.5):
            x, y, yaw = front.at(middle, front.walk + max(back, 0) + push + deep / 2)
            plot = footprint(x, y, yaw, deep, wide)
            if not plot.intersects(roads):
                break
        else:
            s += 2.0
            continue
        if not site.free_area(plot):
            s += 2.0
            continue
        if random.random() < 0.06:  # a gap: a yard, a garden
            s += wide * 0.6
            continue
        full = plot.distance(shapely.Point(0, 0)) < near
        edge = shapely.get_coordinates(plot)[:2]
        levels = site.surface(np.concatenate([edge, edge.mean(0, keepdims=True)]))
        drop = float(np.ptp(site.surface(shapely.get_coordinates(plot))))
        house = make_building(
            random.randrange(1 << 16),
            wide,
            deep,
            random.randint(*district.storeys),
            random.choice(district.styles),
            detail="full" if full else "coarse",
            shops=random.random() < district.shops,
            party_walls=district.row,
            passage=random.choice((2.8, 3.4)) if wide > 9 and random.random() < 0.1 else 0.0,
            foundation=0.6 + drop,
        )
        site.put(house, x, y, yaw, z=float(levels[2]))
        site.occupy(plot)
        s += wide + random.uniform(*district.gap)


def _planting(site: Site, random: Random, district: District, fronts: list[_Side], layout: str) -> list[BaseGeometry]:
    """Trees along the kerbs, whose pits are returned."""
    pits: list[BaseGeometry] = []
    share = random.choice((0.0, 0.5, 0.9))
    kind, spacing, tall = random.choice(district.trees), random.uniform(8, 14), random.uniform(5.5, 10)
    if layout == "alley":
        return pits
    for front in fronts:
        if front.walk < 2.4:
            continue
        for s in np.arange(-70 + random.uniform(0, 5), 70, spacing).tolist():
            if random.random() > share:
                continue
            x, y, yaw = front.at(s, 0.95)
            if not front.open(x, y, front.half + front.walk + 5):
                continue
            height, seed = tall * random.uniform(0.8, 1.15), random.randrange(1 << 16)
            detail = "full" if math.hypot(x, y) < 45 else "coarse"
            if site.put_if_free(lambda s=seed, h=height, d=detail: make_tree(s, kind, h, d), x, y, s, 0.5):
                pits.append(footprint(x, y, yaw, 1.1, 1.3))
    return pits


def _kerbside(
    site: Site,
    random: Random,
    district: District,
    fronts: list[_Side],
    layout: str,
    half: float | int,
    walk: float | int,
) -> None:
    """Lamps, poles and wires, and the small things of pavements."""
    wires = district.setback[1] > 0 and random.random() < 0.7
    lamp_seed, arm, spacing = random.randrange(99), random.choice((0.0, 1.4)), random.uniform(16, 26)
    tall = random.uniform(4.0, 5.5) if not arm else random.uniform(6.5, 8.5)
    if walk == 0:
        _alley_things(site, random, fronts)
        return
    for number, front in enumerate(fronts):
        for s in np.arange(-100 + 9 * number, 100, spacing).tolist():
            x, y, yaw = front.at(s, 0.45)
            if front.open(x, y, half + walk + 1):
                site.put_if_free(lambda: make_lamp(lamp_seed, tall, arm), x, y, yaw, 0.3)
        if wires and number == 0:
            poles = []
            for s in np.arange(-115, 116, 29.0).tolist():
                x, y, yaw = front.at(s, walk - 0.35)
                if front.open(x, y, half + walk + 1) and site.free(x, y, 0.25):
                    site.put(make_utility_pole(lamp_seed, 8.2), x, y, yaw, 0.25)
                    poles.append((x, y, site.level(x, y), yaw))
            for a, b in pairwise(poles):
                if math.hypot(a[0] - b[0], a[1] - b[1]) > 45:
                    continue
                for offset in (-0.9, -0.45, 0.45, 0.9):
                    ends = [
                        (
                            x - 0.12 * math.cos(yaw) - offset * math.sin(yaw),
                            y - 0.12 * math.sin(yaw) + offset * math.cos(yaw),
                            z + 8.05,
                        )
                        for x, y, z, yaw in (a, b)
                    ]
                    site.things.append(make_wire(ends[0], ends[1], 0.5))
        for _ in range(random.randint(8, 18)):
            s, seed = random.uniform(-50, 50), random.randrange(1 << 16)
            kind = random.choice(
                (
                    "bin",
                    "bench",
                    "sign",
                    "bollards",
                    "hydrant",
                    "rack",
                    "cafe",
                    "planter",
                    "shelter",
                    "kiosk",
                    "walker",
                    "walker",
                    "walker",
                )
            )
            _one_on_pavement(site, random, front, kind, s, seed)
    if layout == "crossroads":
        for front in fronts:
            for sign in (1, -1):
                s = _corner(front, sign, half + walk)
                x, y, yaw = front.at(s, 0.5)
                site.put_if_free(lambda n=lamp_seed: make_signal(n), x, y, yaw + sign * math.pi / 2, 0.3)


def _one_on_pavement(site: Site, random: Random, front: _Side, kind: str, s: float | int, seed: int) -> None:
    walk, inner = front.walk, front.walk - 0.6
    x, y, yaw = front.at(s, 0.55)
    if not front.open(x, y, front.half + walk + 2):
        return
    match kind:
        case "bin":
            site.put_if_free(lambda: make_bin(seed), x, y, yaw, 0.4)
        case "sign":
            site.put_if_free(lambda: make_sign(seed), x, y, yaw + random.choice((-1, 1)) * math.pi / 2, 0.35)
        case "hydrant":
            site.put_if_free(lambda: make_hydrant(seed), x, y, yaw, 0.3)
        case "bench":
            x, y, _ = front.at(s, max(0.8, inner - 0.1))
            site.put_if_free(lambda: make_bench(seed), x, y, yaw, 0.9)
        case "bollards":
            for k in range(random.randint(3, 8)):
                x, y, yaw = front.at(s + 1.6 * k, 0.3)
                if front.open(x, y, front.half + walk + 1):
                    site.put_if_free(lambda: make_bollard(seed), x, y, yaw, 0.15)
        case "rack":
            if site.free(x, y, 1.9) and walk > 2.6:
                x, y, yaw = front.at(s, 1.1)
                site.put(make_bike_rack(seed), x, y, yaw, 1.9)
                for k in range(4):
                    if random.random() < 0.6:
                        off = (k - 1.5) * 0.9 + 0.14
                        bike = make_road_user("bicycle", random.choice(RIDERLESS["bicycle"]))
                        site.put(bike, x - off * math.sin(yaw), y + off * math.cos(yaw), yaw)
        case "cafe":
            if walk > 3.0:
                for k in range(random.randint(1, 3)):
                    x, y, yaw = front.at(s + 2.8 * k, walk - 1.2)
                    if front.open(x, y, front.half + walk + 2):
                        site.put_if_free(lambda n=k: make_cafe_table(seed + n, walk > 3.4), x, y, seed % 6, 1.15)
        case "planter":
            x, y, _ = front.at(s, inner)
            site.put_if_free(lambda: make_planter(seed, random.uniform(0.5, 0.9)), x, y, yaw, 0.6)
        case "shelter":
            if walk > 2.8:
                x, y, _ = front.at(s, walk - 1.1)
                site.put_if_free(lambda: make_bus_shelter(seed), x, y, yaw, 2.2)
        case "kiosk":
            if walk > 4.0:
                x, y, _ = front.at(s, walk - 1.6)
                site.put_if_free(lambda: make_kiosk(seed), x, y, yaw, 2.0)
        case _:
            x, y, _ = front.at(s, random.uniform(0.7, max(0.8, walk - 0.5)))
            phase = STANDING if random.random() < 0.25 else random.random()
            turn = yaw + random.choice((-1, 1)) * math.pi / 2 + random.uniform(-0.3, 0.3)
            person = random.randrange(NUM_VARIANTS["pedestrian"])
            site.put_if_free(lambda: make_road_user("pedestrian", person, phase), x, y, turn, 0.45)


def _alley_things(site: Site, random: Random, fronts: list[_Side]) -> None:
    """Pots, bins and bicycles along the walls, lamps and lines overhead."""
    for front in fronts:
        for s in np.arange(-45, 45, 4.0).tolist():
            s += random.uniform(-1.5, 1.5)
            seed = random.randrange(1 << 16)
            kind = random.choice(("pot", "pot", "bin", "bicycle", "none", "walker", "bollard"))
            x, y, yaw = front.at(s, -0.45)
            if kind == "pot":
                site.put_if_free(lambda n=seed: make_planter(n, random.uniform(0.4, 0.65)), x, y, yaw, 0.35)
            elif kind == "bin":
                site.put_if_free(lambda n=seed: make_bin(n), x, y, yaw, 0.35)
            elif kind == "bollard":
                site.put_if_free(lambda n=seed: make_bollard(n), x, y, yaw, 0.2)
            elif kind == "bicycle":
                bike = random.choice(RIDERLESS["bicycle"])
                site.put_if_free(lambda n=bike: make_road_user("bicycle", n), x, y, yaw + math.pi / 2, 0.45)
            elif kind == "walker":
                x, y, yaw = front.at(s, -1.0)
                person = random.randrange(NUM_VARIANTS["pedestrian"])
                turn = yaw + math.pi / 2
                site.put_if_free(lambda n=person: make_road_user("pedestrian", n, 0.3), x, y, turn, 0.45)
    line = fronts[0].line
    for s in np.arange(-40, 41, random.uniform(9, 16)).tolist():
        x, y, heading = along(line, s)
        reach = fronts[0].half + 0.3
        z = site.level(x, y) + random.uniform(4.2, 5.6)
        side = (-math.sin(heading) * reach, math.cos(heading) * reach)
        site.things.append(make_wire((x + side[0], y + side[1], z), (x - side[0], y - side[1], z), 0.15))


def _traffic(
    site: Site, random: Random, lines: list[shapely.LineString], half: float | int, walk: float | int, layout: str
) -> None:
    """Parked cars along the kerbs, and a few vehicles and cyclists under way."""
    if layout == "alley":
        return
    parking = random.choice((0.15, 0.5, 0.8))
    for line in lines:
        others = [other for other in lines if other is not line]
        for sign in (1, -1):
            s = -95.0 + random.uniform(0, 6)
            allowed = half > 4.0 or (sign == 1 and half > 3.6)
            while s < 95 and allowed:
                kind = random.choices(("car", "truck", "motorcycle"), (12, 1, 1))[0]
                variants = RIDERLESS["motorcycle"] if kind == "motorcycle" else range(NUM_VARIANTS[kind])
                variant = random.choice(tuple(variants))
                length, width, _ = road_user_extent(kind, variant)
                if length > 8 or random.random() > parking:
                    s += 5.5
                    continue
                x, y, heading = along(line, s + length / 2)
                out = half - width / 2 - random.uniform(0.12, 0.3)
                away = heading + sign * math.pi / 2
                x, y = x + out * math.cos(away), y + out * math.sin(away)
                if all(other.distance(shapely.Point(x, y)) > half + walk + 7 for other in others):
                    yaw = heading + (math.pi if sign == 1 else 0.0) + random.uniform(-0.03, 0.03)
                    _set_vehicle(site, kind, variant, x, y, yaw)
                s += length + random.uniform(0.7, 2.0)
        for _ in range(random.randint(0, 4)):
            s, sign = random.uniform(-70, 70), random.choice((1, -1))
            kind = random.choices(("car", "bicycle", "bus", "motorcycle", "truck"), (6, 3, 1, 1, 1))[0]
            variants = [v for v in range(NUM_VARIANTS[kind]) if v not in RIDERLESS.get(kind, ())]
            variant = random.choice(variants)
            x, y, heading = along(line, s)
            out = min(1.7, 0.5 * half) if kind != "bicycle" else half - 2.6 if half > 4 else half - 0.7
            away = heading + sign * math.pi / 2
            yaw = heading + (math.pi if sign == 1 else 0.0)
            if math.hypot(x, y) > 5:
                _set_vehicle(site, kind, variant, x + out * math.cos(away), y + out * math.sin(away), yaw)


def _set_vehicle(site: Site, kind: str, variant: int, x: float | int, y: float | int, yaw: float | int) -> None:
    length, width, _ = road_user_extent(kind, variant)
    plot = footprint(x, y, yaw, length, width)
    if site.free_area(plot):
        site.put(make_road_user(kind, variant, 0.3), x, y, yaw, tilted=True)
        site.occupy(plot)


def _behind(site: Site, random: Random, district: District, roads: BaseGeometry) -> None:
    """Gardens: trees, bushes, hedges and fences between and behind the houses."""
    for _ in range(random.randint(10, 26)):
        x, y = random.uniform(-55, 55), random.uniform(-55, 55)
        seed, kind = random.randrange(1 << 16), random.choice((*district.trees, "bush"))
        tall = random.uniform(4, 9)
        if kind == "bush":
            site.put_if_free(
                lambda n=seed: make_bush(n, random.uniform(0.9, 2), random.uniform(0.7, 1.6)), x, y, 0.0, 1.0, roads
            )
        else:
            site.put_if_free(lambda n=seed, k=kind, h=tall: make_tree(n, k, h), x, y, 0.0, 2.0, roads)
    if district.setback[1] < 4:
        return
    edges = shapely.get_parts(roads.boundary)
    style = random.choice(("hedge", "pickets", "rail", "iron", "stones"))
    for edge in edges:
        for at in np.arange(0, edge.length, 3.4).tolist():
            a, b = edge.interpolate(at), edge.interpolate(at + 3.2)
            middle = shapely.Point((a.x + b.x) / 2, (a.y + b.y) / 2)
            if middle.distance(shapely.Point(0, 0)) > 75 or random.random() < 0.12:
                continue
            heading = math.atan2(b.y - a.y, b.x - a.x)
            # Rings run clockwise or not; the garden is where the road is not.
            for sign in (1, -1):
                x = middle.x - sign * 0.45 * math.sin(heading)
                y = middle.y + sign * 0.45 * math.cos(heading)
                if roads.distance(shapely.Point(x, y)) < 0.3 or not site.free_area(footprint(x, y, heading, 3.2, 0.5)):
                    continue
                seed = random.randrange(1 << 16) if style == "hedge" else 3
                if style == "hedge":
                    site.put(make_hedge(seed, 3.2, 0.6, 1.2), x, y, heading)
                else:
                    dx, dy = 1.6 * math.cos(heading), 1.6 * math.sin(heading)
                    rise = round(site.level(x + dx, y + dy) - site.level(x - dx, y - dy), 3)
                    site.put(make_fence(seed, 3.2, style, 1.0, rise), x, y, heading - math.pi / 2)
                site.occupy(footprint(x, y, heading, 3.2, 0.5))
                break


def _crossing_structure(
    site: Site, random: Random, line: shapely.LineString, clear: float | int, layout: str
) -> list[Thing]:
    """Now and then a house over an alley, or a viaduct across a street."""
    draw = random.random()
    s = random.choice((-1, 1)) * random.uniform(24, 42)
    x, y, yaw = along(line, s)
    if draw < {"alley": 0.6, "straight": 0.2, "bend": 0.2}.get(layout, 0.0):
        wide, deep = 2 * clear + 7.0, random.uniform(6, 9)
        drop = 0.6 + 0.12 * wide
        style = random.choice(("brick", "stone", "stucco"))
        house = make_building(random.randrange(1 << 16), wide, deep, 3, style, passage=2 * clear + 0.1, foundation=drop)
        at = Site(site.surface)
        at.put(replace(house, name="gatehouse"), x, y, yaw + math.pi * (s > 0))
        site.occupy(footprint(x, y, yaw, deep, wide))
        return at.things
    if layout in ("straight", "curve", "bend") and draw < 0.45:
        at = Site(site.surface)
        at.put(_viaduct(random, 2 * clear + 1.0), x, y, yaw)
        site.occupy(footprint(x, y, yaw, 6.0, 240.0))
        return at.things
    return []


def _viaduct(random: Random, middle: float | int) -> Thing:
    """Arches along y that carry a railway; the middle one spans the street."""
    assembly, seed = Assembly(), random.randrange(99)
    wall = random.choice((brick(seed, srgb("#8a5a48")), ashlar(seed, srgb("#a39a88")), concrete(seed)))
    high, low, deep, pier = 8.5, -4.0, 5.0, 1.3
    stretches = [(-120.0, -middle / 2 - pier), (-middle / 2 - pier, middle / 2 + pier), (middle / 2 + pier, 120.0)]
    edges = np.concatenate([bays(*stretches[0], 11.0), [stretches[1]], bays(*stretches[2], 11.0)])
    for yaw, through in ((0.0, deep), (math.pi, 0.0)):
        assembly.frame = within(frame_at((0.0, 0.0, 0.0), yaw), frame_at((deep / 2, 0.0, 0.0)))
        for a, b in edges.tolist():
            rise = min((b - a) / 2 - pier, 2.2)
            hole = np.array([[a + pier, b - pier, low, 7.2 - rise]])
            pierce(assembly, wall, np.array([[a, b, low, high]]), hole, through, rise)
    assembly.frame = np.eye(4)[:3]
    cap = ashlar(seed + 1, srgb("#b0a898"))
    assembly.boxes(cap, (-deep / 2 - 0.15, -120, high), (deep / 2 + 0.15, 120, high + 0.25))
    assembly.boxes(
        wall,
        [(-deep / 2, -120, high + 0.25), (deep / 2 - 0.3, -120, high + 0.25)],
        [(-deep / 2 + 0.3, 120, high + 1.2), (deep / 2, 120, high + 1.2)],
    )
    return Thing("viaduct", "building", assembly.parts())


def _zones(
    random: Random,
    seed: int,
    district: str,
    layout: str,
    lines: list[shapely.LineString],
    half: float | int,
    walk: float | int,
    lift: float | int,
    carriage: BaseGeometry,
    roads: BaseGeometry,
    pits: list[BaseGeometry],
) -> list[Zone]:
    """Paint, carriageway, kerb stones, pavement, tree pits, and what lies between the houses."""
    grey, sand = srgb("#8f8c86"), srgb("#a89c84")
    setts = layout == "alley" or (district == "old_town" and random.random() < 0.6)
    cover = (
        cobbles(seed, random.choice((grey, sand, srgb("#7a7672"))), random.uniform(0.1, 0.17))
        if setts
        else asphalt(seed, random.uniform(0.8, 1.5))
    )
    heading = along(lines[0], 0.0)[2]
    size = random.choice(((0.6, 0.4), (0.4, 0.4), (0.3, 0.15), (0.9, 0.6)))
    flags = paving(seed + 1, random.choice((grey, sand, srgb("#9a8f86"), srgb("#8a6a5c"))), size, heading)
    zones = []
    if not setts:
        white = road_paint(seed, wear=random.uniform(0.6, 1.25))
        marks = shapely.intersection(_marks(random, lines, half, walk), carriage.buffer(-0.05))
        zones.append(Zone("paint", "driveable_surface", marks, white))
    zones.append(Zone("carriageway", "driveable_surface", carriage, cover))
    if walk:
        stone = ashlar(seed + 2, srgb("#a09c94"), (0.9, 0.9))
        zones.append(Zone("kerb_stones", "sidewalk", carriage.buffer(0.16), stone, lift))
    if pits:
        zones.append(Zone("pits", "terrain", shapely.union_all(pits), soil(seed), lift))
    if walk:
        zones.append(Zone("sidewalk", "sidewalk", roads, flags, lift))
    if district in ("suburb",) or random.random() < 0.3:
        zones.append(Zone("gardens", "grass", shapely.Polygon(), grass(seed + 3), lift))
    else:
        yard = random.choice(
            (paving(seed + 4, sand, (0.5, 0.5), heading), asphalt(seed + 4, 1.6), cobbles(seed + 4, grey))
        )
        zones.append(Zone("yards", "other_flat", shapely.Point(0, 0).buffer(110), yard, lift))
        zones.append(Zone("country", "terrain", shapely.Polygon(), grass(seed + 3, dry=0.5), lift))
    return zones


def _marks(random: Random, lines: list[shapely.LineString], half: float | int, walk: float | int) -> BaseGeometry:
    """Lane lines, parking lines, crossings for walkers, and stop lines."""
    marks = []
    dash, gap = random.choice(((3.0, 3.0), (2.0, 4.0), (6.0, 3.0), (1e4, 0.0)))
    parking = half > 4.0
    zebra = random.choice((-22.0, 0.0, 15.0)) if len(lines) == 1 else None
    for line in lines:
        others = [other for other in lines if other is not line]
        junctions = [
            float(shapely.line_locate_point(line, line.intersection(other).representative_point())) - line.length / 2
            for other in others
            if line.intersects(other)
        ]
        clear = half + walk + 1.0
        spans = [(-200.0, 200.0)]
        for j in junctions:
            spans = [
                piece
                for a, b in spans
                for piece in ((a, min(b, j - clear - 3.2)), (max(a, j + clear + 3.2), b))
                if piece[1] > piece[0]
            ]
            for sign in (1, -1):
                if abs(j + sign * clear) < line.length / 2 - 5:
                    marks.append(_zebra(line, j + sign * (clear + 0.4), half))
                    stop = _piece(line, j + sign * (clear + 2.6), j + sign * (clear + 3.0))
                    marks.append(stop.buffer(half, cap_style="flat", single_sided=False))
        for a, b in spans:
            s = a
            while s < b:
                marks.append(_piece(line, s, min(s + dash, b)).buffer(0.07, cap_style="flat"))
                s += dash + gap
            if parking:
                for sign in (1, -1):
                    edge = _piece(line, a, b).offset_curve(sign * (half - 2.15))
                    marks.append(edge.buffer(0.05, cap_style="flat"))
        if zebra is not None:
            marks.append(_zebra(line, zebra, half))
    return shapely.union_all(marks)


def _zebra(line: shapely.LineString, s: float | int, half: float | int) -> BaseGeometry:
    x, y, heading = along(line, s)
    stripes = []
    for k in np.arange(-half + 0.4, half - 0.3, 1.0).tolist():
        middle = k + 0.25
        stripes.append(footprint(x - middle * math.sin(heading), y + middle * math.cos(heading), heading, 2.6, 0.5))
    return shapely.union_all(stripes)


def _piece(line: shapely.LineString, a: float | int, b: float | int) -> shapely.LineString:
    """The part of a line between two distances from its middle."""
    a, b = sorted((a, b))
    at = np.concatenate([[a], np.arange(math.ceil(a / 5) * 5.0, b, 5.0), [b]])
    return shapely.LineString(
        shapely.get_coordinates(shapely.line_interpolate_point(line, line.length / 2 + np.unique(at)))
    )


def _corner(front: _Side, sign: int, clear: float | int) -> float:
    """Distance along a side from the middle to just before the other road."""
    other = next(other for other in front.lines if other is not front.line)
    at = shapely.line_locate_point(front.line, front.line.intersection(other).representative_point())
    return float(at) - front.line.length / 2 + sign * (clear + 0.6)


def _stands(
    site: Site, random: Random, lines: list[shapely.LineString], half: float | int, walk: float | int
) -> torch.Tensor:
    """Eyes on pavements and lanes near the middle; the first is where most of the street is seen."""
    candidates = []
    for k in range(60):
        line = lines[k % len(lines)]
        s = random.uniform(-4, 4) if k < 4 else random.uniform(-22, 22)
        side = random.choice((-1, 1))
        out = (
            random.uniform(-0.4, 0.4) * half
            if k % 2 == 0 or not walk
            else side * (half + random.uniform(0.6, max(0.7, walk - 0.7)))
        )
        x, y, heading = along(line, s)
        height = random.uniform(2.4, 3.4) if k % 9 == 8 else random.uniform(1.35, 1.8)
        candidates.append((x - out * math.sin(heading), y + out * math.cos(heading), height))
    return site.stands(candidates, 8)
