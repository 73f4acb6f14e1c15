"""Courtyards: wings of one house about a square, L-shaped or irregular court, with arcades, galleries and stairs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from worldloom.synth.outdoors.assembly import Assembly, frame_at
from worldloom.synth.outdoors.building_styles import Style, building_style
from worldloom.synth.outdoors.buildings import building_height, dress_front
from worldloom.synth.outdoors.facades import bays, door, pierce, rectangles, windows
from worldloom.synth.outdoors.ground_textures import cobbles, grass, gravel, paving, soil
from worldloom.synth.outdoors.ground_zones import Zone, grid_lines, kerbs, zoned_ground
from worldloom.synth.outdoors.plants import make_bush, make_flowers, make_hedge, make_tree
from worldloom.synth.outdoors.roofs import sheet
from worldloom.synth.outdoors.site import Site
from worldloom.synth.outdoors.street_furniture.boxes import make_bin
from worldloom.synth.outdoors.street_furniture.pavement import make_bench, make_cafe_table, make_planter
from worldloom.synth.outdoors.street_furniture.posts import make_lamp
from worldloom.synth.outdoors.street_furniture.yards import make_fountain, make_ivy, make_washing, make_well
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, RIDERLESS, STANDING, make_road_user
from worldloom.synth.shapes import lathe
from worldloom.synth.skies.sky import random_sky
from worldloom.synth.textures import srgb
from worldloom.synth.world import Thing, World

_REACH = 300.0
_DEEP = 8.5  # of the wings


@dataclass(frozen=True)
class Wing:
    """One side of the court: from a corner to the next, with the court on the left."""

    start: tuple[float, float]
    end: tuple[float, float]
    outer_start: tuple[float, float]
    outer_end: tuple[float, float]
    storeys: int
    ground: str  # "arcade", "passage" or "rooms"
    upper: str  # "gallery" or "rooms"

    @property
    def length(self) -> float:
        """Metres from corner to corner."""
        return math.dist(self.start, self.end)

    @property
    def heading(self) -> float:
        """Direction from the first corner to the second."""
        return math.atan2(self.end[1] - self.start[1], self.end[0] - self.start[0])

    def at(self, u: float | int, out: float | int) -> tuple[float, float]:
        """The place u metres along the wall and `out` into the court."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return self.start[0] + c * u - s * out, self.start[1] + s * u + c * out


def make_courtyard(seed: int) -> World:
    """A court that is closed on all sides but for its archways; eyes stand on its floor and in its galleries."""
    random = Random(f"courtyard {seed}")
    style_name = random.choice(("stucco", "stone", "brick", "stucco", "timber", "concrete"))
    style = _court_style(building_style(style_name, random.randrange(1 << 16)), random)
    outline = _outline(random)
    court = shapely.Polygon(outline)
    wings = _wings(random, outline, style_name)
    tilt = random.choice((0.0, 0.0, 0.012, 0.03))
    turn = random.uniform(-math.pi, math.pi)

    def height(at: np.ndarray) -> np.ndarray:
        inside = np.clip(1 - (np.hypot(at[:, 0], at[:, 1]) - 40) / 60, 0, 1)
        return tilt * (at[:, 0] * math.cos(turn) + at[:, 1] * math.sin(turn)) * inside

    beds, bed_lift = _beds(random, court), random.choice((0.0, 0.12, 0.4))
    lifted = shapely.union_all(beds) if beds else shapely.Polygon()
    shapely.prepare(lifted)

    def surface(at: np.ndarray) -> np.ndarray:
        return height(at) + bed_lift * shapely.contains_xy(lifted, at[:, 0], at[:, 1])

    site = Site(surface)
    house = court.buffer(_DEEP, join_style="mitre", mitre_limit=8)
    for number, wing in enumerate(wings):
        site.put(_wing(random, wing, style, number), 0.0, 0.0, z=site.level(*wing.at(wing.length / 2, 0.0)))
    inside = court.buffer(-0.9)
    _furnish(site, random, wings, court, inside, beds, style)
    site.occupy(shapely.difference(house, court))
    site.backdrop(
        random,
        random.randint(25, 60),
        random.randint(10, 50),
        math.sqrt(house.area / math.pi) + 8,
        0.9 * _REACH,
        (style_name, "stucco", "brick"),
        (2, 5),
        ("round", "poplar", "spruce"),
        house.buffer(5),
    )
    zones = _floor(random, seed, court, house, lifted, bed_lift)
    site.things[:0] = zoned_ground(zones, grid_lines(45.0, 4.0, _REACH), height)
    if beds and bed_lift:
        rim = kerbs(lifted, height, bed_lift, 0.0, style.base, "bed_edge")
        site.things.insert(0, replace(rim, semantic="street_furniture"))
    clear = Site(surface)  # eyes may stand in arcades and on all of the floor
    clear.things = site.things
    candidates = []
    for k in range(400):
        x, y = (random.uniform(a, b) * (0.25 if k < 20 else 1.0) for a, b in ((-22, 22), (-22, 22)))
        if inside.contains(shapely.Point(x, y)):
            candidates.append((x, y, random.uniform(2.2, 3.0) if k % 8 == 7 else random.uniform(1.35, 1.8)))
    return World("courtyard", seed, tuple(site.things), random_sky(random), clear.stands(candidates, 8), 1.1)


def _court_style(style: Style, random: Random) -> Style:
    return replace(
        style,
        ground_storey=max(style.ground_storey, 4.0),
        roof="gable",
        pitch=min(style.pitch, 0.8),
        storey=max(style.storey, 3.0),
        bay=random.uniform(2.6, 3.4),
        curtain_wall=False,
    )


def _outline(random: Random) -> list[tuple[float, float]]:
    """Corners of the court, counter-clockwise, about the origin."""
    kind = random.choice(("square", "oblong", "ell", "irregular", "irregular"))
    a, b = random.uniform(7, 14), random.uniform(7, 14)
    match kind:
        case "square":
            corners = [(a, -a), (a, a), (-a, a), (-a, -a)]
        case "oblong":
            corners = [(1.5 * a, -b * 0.75), (1.5 * a, b * 0.75), (-1.5 * a, b * 0.75), (-1.5 * a, -b * 0.75)]
        case "ell":
            a, b = max(a, 10.0), max(b, 10.0)
            c, d = random.uniform(0.0, 0.25) * a, random.uniform(0.0, 0.25) * b
            corners = [(a, -b), (a, d), (c, d), (c, b), (-a, b), (-a, -b)]
            shift = (0.2 * a, 0.2 * b)
            corners = [(x + shift[0], y + shift[1]) for x, y in corners]
        case _:
            corners = [
                (r * math.cos(t), r * math.sin(t))
                for t, r in (
                    (2 * math.pi * (k + random.uniform(0.3, 0.7)) / 5, random.uniform(10, 16)) for k in range(5)
                )
            ]
            hull = shapely.get_coordinates(shapely.convex_hull(shapely.MultiPoint(corners)).reverse())[:-1]
            ring = shapely.LinearRing(hull)
            corners = [tuple(p) for p in (hull if ring.is_ccw else hull[::-1]).tolist()]
    turn = random.uniform(-math.pi, math.pi)
    c, s = math.cos(turn), math.sin(turn)
    return [(c * x - s * y, s * x + c * y) for x, y in corners]


def _wings(random: Random, outline: list[tuple[float, float]], style: str) -> list[Wing]:
    count = len(outline)
    outer = [_mitre(outline[k - 1], outline[k], outline[(k + 1) % count]) for k in range(count)]
    base = random.randint(2, 4)
    arcade = random.choice((0.0, 0.4, 0.8))
    gallery = random.choice((0.0, 0.3, 0.7)) if style != "concrete" else 0.0
    wings = []
    for k in range(count):
        after = (k + 1) % count
        wings.append(
            Wing(
                outline[k],
                outline[after],
                outer[k],
                outer[after],
                max(1, base + random.choice((0, 0, 0, 1, -1))),
                "arcade" if random.random() < arcade else "rooms",
                "gallery" if random.random() < gallery else "rooms",
            )
        )
    long = sorted(range(count), key=lambda k: -wings[k].length)
    for k in long[: random.choice((1, 1, 2))]:
        wings[k] = replace(wings[k], ground="passage")
    return wings


def _mitre(before: tuple[float, float], here: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    """The corner of the outer walls beside a corner of a counter-clockwise court."""
    p, q, r = np.array(before), np.array(here), np.array(after)
    one, two = (q - p) / np.linalg.norm(q - p), (r - q) / np.linalg.norm(r - q)
    n1, n2 = np.array([one[1], -one[0]]), np.array([two[1], -two[0]])  # to the right: away from the court
    corner = q + _DEEP * (n1 + n2) / (1 + float(n1 @ n2))
    return float(corner[0]), float(corner[1])


def _wing(random: Random, wing: Wing, style: Style, number: int) -> Thing:
    """The range of building behind one side of the court, its ends cut along the mitres."""
    assembly = Assembly()
    length, top = wing.length, building_height(style, wing.storeys)
    # Seen from the court, u runs to the right: from the end of the wing to its start.
    inner = frame_at((*wing.end, 0.0), wing.heading + math.pi / 2)
    outer_length = math.dist(wing.outer_start, wing.outer_end)
    assembly.frame = inner
    low = -0.8
    is_passage = wing.ground == "passage"
    if wing.ground == "arcade":
        _arcade(assembly, style, random, length)
    dress_front(
        assembly,
        style,
        random,
        length,
        1 if wing.upper == "gallery" and wing.storeys > 1 else wing.storeys,
        main=True,
        passage=3.2 if is_passage else 0.0,
        through=_DEEP if is_passage else 0.0,
        foundation=-low,
        ground_floor=wing.ground != "arcade",
        crowned=False,
    )
    if wing.upper == "gallery" and wing.storeys > 1:
        for k in range(1, wing.storeys):
            _gallery(
                assembly,
                style,
                random,
                length,
                style.ground_storey + (k - 1) * style.storey,
                top if k == wing.storeys - 1 else None,
            )
    assembly.frame = frame_at((*wing.outer_start, 0.0), wing.heading - math.pi / 2)
    if is_passage:
        # The way out lies opposite the way in, wherever the mitres put the outer corners.
        along = math.cos(wing.heading), math.sin(wing.heading)
        shift = (wing.start[0] - wing.outer_start[0]) * along[0] + (wing.start[1] - wing.outer_start[1]) * along[1]
        middle = shift + length / 2
        hole = np.array([[middle - 1.6, middle + 1.6, low, style.ground_storey - 0.35 - 1.2]])
        pierce(assembly, style.wall, np.array([[middle - 2.0, middle + 2.0, low, style.ground_storey]]), hole, 0.0, 1.2)
        assembly.quads(style.wall, rectangles(0.0, middle - 2.0, low, style.ground_storey))
        assembly.quads(style.wall, rectangles(middle + 2.0, outer_length, low, style.ground_storey))
        assembly.quads(style.wall, rectangles(0.0, outer_length, style.ground_storey, top))
    else:
        assembly.quads(style.wall, rectangles(0.0, outer_length, low, top))
    assembly.frame = np.eye(4)[:3]
    _roof(assembly, wing, style, random, top)
    for inside, outside, sign in ((wing.start, wing.outer_start, 1), (wing.end, wing.outer_end, -1)):
        foot = [(*inside, low), (*outside, low), (*outside, top), (*inside, top)]
        assembly.quads(style.wall, [foot[::-1] if sign > 0 else foot])
    return Thing(f"wing_{number}", "building", assembly.parts())


def _roof(assembly: Assembly, wing: Wing, style: Style, random: Random, top: float | int) -> None:
    """Two slopes whose ridge follows the middle of the wing, with eaves over the court."""
    a, b = np.array(wing.start), np.array(wing.end)
    oa, ob = np.array(wing.outer_start), np.array(wing.outer_end)
    crest = top + style.pitch * _DEEP / 2
    ridge_a, ridge_b = np.array([*((a + oa) / 2), crest]), np.array([*((b + ob) / 2), crest])
    eave = 0.5 / _DEEP
    drop = 0.5 * style.pitch
    inner_a, inner_b = np.array([*(a - eave * (oa - a)), top - drop]), np.array([*(b - eave * (ob - b)), top - drop])
    outer_a, outer_b = np.array([*(oa + eave * (oa - a)), top - drop]), np.array([*(ob + eave * (ob - b)), top - drop])
    lift = np.array([0, 0, 0.16])
    sheet(assembly, style.roof_cover, np.array([inner_b, inner_a, ridge_a, ridge_b]) + lift, style.trim)
    sheet(assembly, style.roof_cover, np.array([outer_a, outer_b, ridge_b, ridge_a]) + lift, style.trim)
    for p, q, ridge in ((a, oa, ridge_a), (ob, b, ridge_b)):
        assembly.triangles(style.wall, [(*p, top), (*q, top), tuple(ridge)], [[0, 2, 1]])
    for _ in range(random.randint(0, 2)):
        t = random.uniform(0.2, 0.8)
        x, y, z = (ridge_a + (ridge_b - ridge_a) * t).tolist()
        assembly.frame = frame_at((x, y, 0.0), wing.heading)
        assembly.boxes(style.wall, (-0.5, -0.35, z - 0.8), (0.5, 0.35, z + 0.9))
        assembly.boxes(style.trim, (-0.56, -0.41, z + 0.9), (0.56, 0.41, z + 1.0))
        assembly.frame = np.eye(4)[:3]


def _arcade(assembly: Assembly, style: Style, random: Random, length: float | int) -> None:
    """Arches on piers before a walk 2.8 m deep, with rooms and doors at its back."""
    high, walk, wall = style.ground_storey, 2.8, 0.45
    edges = bays(0.3, length - 0.3, random.uniform(2.8, 3.6))
    round_arch = random.random() < 0.75
    half = float(np.diff(edges[0])[0]) / 2 - 0.3
    rise = min(half, 1.4) if round_arch else 0.0
    spring = high - 0.45 - rise
    panels = np.concatenate([edges, np.tile([[-0.8, high]], (len(edges), 1))], 1)
    holes = np.stack([edges[:, 0] + 0.3, edges[:, 1] - 0.3, np.full(len(edges), -0.8), np.full(len(edges), spring)], 1)
    pierce(assembly, style.base, panels, holes, wall, rise, style.trim)
    assembly.quads(style.base, rectangles([0.0, length - 0.3], [0.3, length], -0.8, high))
    for u in [*edges[:, 0].tolist(), float(edges[-1, 1])]:
        for z0, z1, reach in ((0.0, 0.35, 0.08), (spring - 0.16, spring, 0.07)):
            assembly.boxes(style.trim, (-wall - 0.02, u - 0.34, z0), (reach, u + 0.34, z1))
    inside = assembly.frame
    turned = inside.copy()
    # The walk's side of the piers: the same holes, seen from the other side.
    turned[:, :2] = -inside[:, :2]
    turned[:, 3] = inside[:, :3] @ np.array([-wall, length, 0.0]) + inside[:, 3]
    assembly.frame = turned
    flipped = np.stack([length - panels[:, 1], length - panels[:, 0], panels[:, 2], panels[:, 3]], 1)[::-1]
    back_holes = np.stack([length - holes[:, 1], length - holes[:, 0], holes[:, 2], holes[:, 3]], 1)[::-1]
    pierce(assembly, style.wall, flipped, back_holes, 0.0, rise)
    back = inside.copy()
    back[:, 3] = inside[:, :3] @ np.array([-walk, 0.0, 0.0]) + inside[:, 3]
    assembly.frame = back
    for k, (a, b) in enumerate(edges.tolist()):
        _back_bay(assembly, style, random, a, b, -0.8, high, with_door=k % 3 == 1)
    assembly.quads(style.wall, rectangles([0.0, length - 0.3], [0.3, length], -0.8, high))
    assembly.frame = inside
    assembly.quads(
        style.trim,
        [[(-walk, 0, high - 0.02), (-walk, length, high - 0.02), (0, length, high - 0.02), (0, 0, high - 0.02)]],
    )


def _back_bay(
    assembly: Assembly,
    style: Style,
    random: Random,
    a: float | int,
    b: float | int,
    low: float | int,
    high: float | int,
    with_door: bool,
) -> None:
    middle, floor = (a + b) / 2, max(low, 0.0) if low < 0 else low
    panel = np.array([[a, b, low, high]])
    if with_door:
        hole = [middle - 0.55, middle + 0.55, floor + 0.04, floor + 2.15]
        pierce(assembly, style.wall, panel, np.array([hole]), style.reveal, reveal=style.trim)
        door(assembly, style, random, hole)
    else:
        holes = np.array([[middle - 0.55, middle + 0.55, floor + 0.9, floor + 2.2]])
        pierce(assembly, style.wall, panel, holes, style.reveal, reveal=style.trim)
        windows(assembly, style, random, holes)


def _gallery(
    assembly: Assembly, style: Style, random: Random, length: float | int, floor: float | int, top: float | None
) -> None:
    """An open gallery behind slender columns, with a railing, and doors at its back."""
    deep = 1.9
    high = top if top is not None else floor + style.storey
    inside = assembly.frame
    edges = bays(0.2, length - 0.2, 2.6)
    assembly.boxes(style.trim, (-deep, 0.0, floor - 0.14), (0.12, length, floor + 0.04))
    assembly.boxes(style.trim, (-0.3, 0.0, high - 0.3), (0.06, length, high))
    for u in [*edges[:, 0].tolist(), float(edges[-1, 1])]:
        assembly.frame = inside.copy()
        assembly.frame[:, 3] = inside[:, :3] @ np.array([-0.12, u, floor]) + inside[:, 3]
        tall = high - floor - 0.3
        shaft = [
            (0, 0),
            (0.16, 0),
            (0.16, 0.12),
            (0.11, 0.2),
            (0.09, tall - 0.2),
            (0.15, tall - 0.05),
            (0.15, tall),
            (0, tall),
        ]
        assembly.part(lathe(shaft, style.trim, 10))
    assembly.frame = inside
    assembly.boxes(style.iron, (-0.16, 0.0, floor + 0.95), (-0.1, length, floor + 1.02))
    posts = np.arange(0.1, length, 0.16)[:, None]
    same = np.ones_like(posts)
    assembly.boxes(
        style.iron,
        np.concatenate([-0.145 * same, posts, floor * same], 1),
        np.concatenate([-0.115 * same, posts + 0.03, (floor + 0.96) * same], 1),
    )
    back = inside.copy()
    back[:, 3] = inside[:, :3] @ np.array([-deep, 0.0, 0.0]) + inside[:, 3]
    assembly.frame = back
    for k, (a, b) in enumerate(edges.tolist()):
        _back_bay(assembly, style, random, a, b, floor, high, with_door=k % 2 == 0)
    assembly.quads(style.wall, rectangles([0.0, length - 0.2], [0.2, length], floor, high))
    assembly.frame = inside
    assembly.quads(
        style.trim,
        [[(-deep, 0, high - 0.01), (-deep, length, high - 0.01), (0, length, high - 0.01), (0, 0, high - 0.01)]],
    )


def _stairs(style: Style, rise: float | int, run: float | int = 0.28) -> tuple[Thing, float]:
    """Straight stairs along +y with a wall on their outer side, and how long they are; the house is at -x."""
    assembly = Assembly()
    steps = max(3, round(rise / 0.18))
    k = np.arange(steps)[:, None]
    one = np.ones_like(k, dtype=float)
    assembly.boxes(
        style.trim,
        np.concatenate([0.0 * one, k * run, -0.5 * one], 1),
        np.concatenate([1.2 * one, (k + 1) * run, (k + 1) * rise / steps], 1),
    )
    end = steps * run
    assembly.boxes(style.trim, (0.0, end, -0.5), (1.2, end + 1.4, rise))
    posts = np.arange(0.0, end + 1.4, 0.28)[:, None]
    same = np.ones_like(posts)
    foot = np.minimum(posts / end, 1.0) * rise
    assembly.boxes(
        style.iron,
        np.concatenate([1.12 * same, posts, foot], 1),
        np.concatenate([1.15 * same, posts + 0.03, foot + 1.0], 1),
    )
    rail = np.array([[1.1, 0, 1.0], [1.17, 0, 1.0], [1.17, end, rise + 1.0], [1.1, end, rise + 1.0]])
    assembly.quads(style.iron, [rail, rail[::-1] - [0, 0, 0.05]])
    assembly.boxes(style.iron, (1.1, end, rise + 0.95), (1.17, end + 1.4, rise + 1.0))
    return Thing("stairs", "stairs", assembly.parts()), end + 1.4


def _beds(random: Random, court: shapely.Polygon) -> list[shapely.Polygon]:
    """Planted beds: none, a square in the middle, or four quarters."""
    x0, y0, x1, y1 = court.bounds
    size = min(x1 - x0, y1 - y0)
    kind = random.choice(("none", "none", "quarters", "round", "corner"))
    room = court.buffer(-2.6)
    match kind:
        case "quarters":
            far, half = 0.19 * size, 0.13 * size
            beds = [
                shapely.box(a * far - half, b * far - half, a * far + half, b * far + half)
                for a in (-1, 1)
                for b in (-1, 1)
            ]
        case "round":
            beds = [shapely.Point(0, 0).buffer(0.22 * size).difference(shapely.Point(0, 0).buffer(0.1 * size))]
        case "corner":
            beds = [
                shapely.Point(p).buffer(0.24 * size).intersection(court.buffer(-1.2)) for p in court.exterior.coords[:2]
            ]
            room = court
        case _:
            beds = []
    cut = (bed.intersection(room) for bed in beds)
    return [bed for bed in cut if isinstance(bed, shapely.Polygon) and bed.area > 1.5]


def _floor(
    random: Random,
    seed: int,
    court: shapely.Polygon,
    house: shapely.Polygon,
    lifted: BaseGeometry,
    lift: float | int,
) -> list[Zone]:
    stone = srgb(random.choice(("#8f8a80", "#a89a80", "#9a8a7a", "#7d7a76", "#b0a890")))
    covers: tuple[Callable[[], object], ...] = (
        lambda: cobbles(seed, stone, random.uniform(0.09, 0.18)),
        lambda: paving(seed, stone, random.choice(((0.6, 0.6), (0.5, 0.3), (0.24, 0.12))), random.uniform(0, 3)),
        lambda: gravel(seed, stone),
    )
    zones = []
    if not lifted.is_empty:
        bed = random.choice((grass(seed + 2), soil(seed + 2)))
        zones.append(Zone("beds", "grass" if bed.name == "grass" else "terrain", lifted, bed, lift))
    cover = random.choice(covers)()
    edge = paving(seed + 4, srgb("#a09a90"), (0.8, 0.5))
    middle = court.buffer(-random.uniform(1.2, 2.4), join_style="mitre")
    zones.append(Zone("court", "other_flat", middle, cover))  # pyright: ignore[reportArgumentType]
    zones.append(Zone("walk", "sidewalk", house, edge))
    zones.append(Zone("street", "driveable_surface", house.buffer(8), cobbles(seed + 5, srgb("#7a7672"))))
    zones.append(Zone("town", "terrain", shapely.Polygon(), grass(seed + 6, dry=0.5)))
    return zones


def _furnish(
    site: Site,
    random: Random,
    wings: list[Wing],
    court: shapely.Polygon,
    inside: shapely.Polygon,
    beds: list[shapely.Polygon],
    style: Style,
) -> None:
    """The middle piece, stairs, trees, tables, pots, washing, bicycles and people."""
    middle = court.representative_point() if not court.contains(shapely.Point(0, 0)) else shapely.Point(0, 0)
    draw, seed = random.random(), random.randrange(1 << 16)
    for wing in wings:  # ways out stay free
        if wing.ground == "passage":
            a, b = wing.at(wing.length / 2, 0.0), wing.at(wing.length / 2, 5.0)
            site.occupy(shapely.LineString([a, b]).buffer(1.7))
    if draw < 0.75 and court.buffer(-4).contains(middle) and not any(bed.contains(middle) for bed in beds):
        if draw < 0.35:
            radius = random.uniform(1.2, 2.2)
            site.put(make_fountain(seed, radius), middle.x, middle.y, 0.0, radius + 0.3)
        elif draw < 0.55:
            site.put(make_well(seed), middle.x, middle.y, random.uniform(0, 6), 1.3)
        else:
            site.put(
                make_tree(seed, random.choice(("round", "oak", "orchard")), random.uniform(6, 9)),
                middle.x,
                middle.y,
                0.0,
                0.8,
            )
    for wing in wings:
        if wing.ground == "rooms" and wing.storeys > 1 and wing.length > 11 and random.random() < 0.4:
            stairs, long = _stairs(style, style.ground_storey + 0.04)
            start = random.uniform(1.0, max(1.1, wing.length - long - 1.0))
            area = shapely.LineString([wing.at(start, 0.7), wing.at(start + long, 0.7)]).buffer(0.75)
            if wing.length - start > long and site.free_area(area):
                # Facing the court, the stairs' own y runs against the wing: they climb towards its start.
                site.put(stairs, *wing.at(start + long, 0.12), wing.heading + math.pi / 2)
                site.occupy(area)
    kinds = random.choice((("round", "orchard"), ("cypress", "orchard"), ("palm", "orchard"), ("birch", "round")))
    for bed in beds:
        for _ in range(random.randint(2, 7)):
            x, y = _somewhere(random, bed.buffer(-0.3))
            n, tall = random.randrange(1 << 16), random.uniform(3.5, 7)
            if random.random() < 0.35:
                site.put_if_free(partial(make_tree, n, random.choice(kinds), tall), x, y, 0.0, 0.7)
            else:
                site.put_if_free(
                    partial(make_bush, n, random.uniform(0.6, 1.3), random.uniform(0.5, 1.1)), x, y, 0.0, 0.6
                )
        spots = np.array([_somewhere(random, bed.buffer(-0.15)) for _ in range(60)])
        roots = np.concatenate([spots, site.surface(spots)[:, None]], 1)
        site.things.append(make_flowers(random.randrange(1 << 16), roots, 0.35))
    for _ in range(random.randint(0, 3)):
        x, y = _somewhere(random, court.buffer(-2.5))
        n, tall = random.randrange(1 << 16), random.uniform(4, 8)
        site.put_if_free(partial(make_tree, n, random.choice(kinds), tall), x, y, 0.0, 0.8, None)
    for _ in range(random.choice((0, 3, 7))):
        x, y = _somewhere(random, court.buffer(-1.6))
        n = random.randrange(1 << 16)
        site.put_if_free(partial(make_cafe_table, n, random.random() < 0.6), x, y, random.uniform(0, 6), 1.2)
    for wing in wings:
        for _ in range(random.randint(2, 7)):
            u, n = random.uniform(0.8, wing.length - 0.8), random.randrange(1 << 16)
            kind = random.choice(("pot", "pot", "pot", "bench", "bin", "bicycle", "ivy", "lamp", "hedge"))
            out = {"bench": 0.75, "lamp": 2.2, "bicycle": 0.55}.get(kind, 0.6)
            x, y = wing.at(u, out)
            facing = wing.heading + math.pi / 2
            match kind:
                case "pot":
                    site.put_if_free(partial(make_planter, n, random.uniform(0.4, 0.8)), x, y, facing, 0.45)
                case "bench":
                    site.put_if_free(partial(make_bench, n), x, y, facing, 0.85)
                case "bin":
                    site.put_if_free(partial(make_bin, n), x, y, facing, 0.4)
                case "lamp":
                    site.put_if_free(partial(make_lamp, n, 3.6), x, y, facing, 0.35)
                case "bicycle":
                    bike = random.choice(RIDERLESS["bicycle"])
                    site.put_if_free(partial(make_road_user, "bicycle", bike), x, y, wing.heading, 0.5)
                case "hedge":
                    if wing.ground == "rooms":
                        site.put_if_free(partial(make_hedge, n, 1.8, 0.6, 0.8), x, y, wing.heading, 0.9)
                case _:
                    if wing.ground == "rooms" and wing.upper == "rooms":
                        x, y = wing.at(u, 0.0)
                        site.put(make_ivy(n, random.uniform(1.2, 3), random.uniform(3, 7)), x, y, facing)
    for _ in range(random.randint(0, 4)):
        x, y = _somewhere(random, inside)
        person = random.randrange(NUM_VARIANTS["pedestrian"])
        phase = STANDING if random.random() < 0.5 else random.random()
        site.put_if_free(partial(make_road_user, "pedestrian", person, phase), x, y, random.uniform(-3, 3), 0.5)
    if random.random() < 0.5:
        _hang_washing(site, random, wings, style)


def _hang_washing(site: Site, random: Random, wings: list[Wing], style: Style) -> None:
    """Lines between facing walls, above the heads."""
    for _ in range(random.randint(1, 4)):
        one, two = random.sample(wings, 2)
        a, b = (
            one.at(random.uniform(0.25, 0.75) * one.length, 0.05),
            two.at(random.uniform(0.25, 0.75) * two.length, 0.05),
        )
        span = math.dist(a, b)
        low = min(style.ground_storey + (wing.storeys - 1) * style.storey for wing in (one, two))
        if 4 < span < 24 and low > 5:
            z = site.level(*a) + random.uniform(4.6, max(4.7, low - 0.6))
            site.things.append(make_washing(random.randrange(1 << 16), (*a, z), (*b, z)))


def _somewhere(random: Random, area: BaseGeometry) -> tuple[float, float]:
    """A place in an area, or its middle where it is too thin to hit."""
    if area.is_empty:
        return (0.0, 0.0)
    x0, y0, x1, y1 = area.bounds
    for _ in range(50):
        x, y = random.uniform(x0, x1), random.uniform(y0, y1)
        if area.contains(shapely.Point(x, y)):
            return x, y
    middle = area.representative_point()
    return middle.x, middle.y
