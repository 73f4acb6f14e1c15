"""Blocks between the streets: rows of buildings along their fronts, yards, gardens, parks and car parks."""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.outdoors.buildings import make_building
from worldloom.synth.outdoors.street_furniture.boxes import make_bin, make_wheeled_bin
from worldloom.synth.outdoors.street_furniture.fences import make_fence
from worldloom.synth.outdoors.street_furniture.pavement import make_bench
from worldloom.synth.outdoors.street_furniture.yards import make_mound, make_shed
from worldloom.synth.towns.block_styles import BLOCK_CHANCES, BLOCK_STYLES, BlockStyle
from worldloom.synth.towns.ground import DRIVEABLE, OTHER_FLAT, SIDEWALK, PaintedArea, Patch
from worldloom.synth.towns.parking import parked_vehicle
from worldloom.synth.towns.placements import Placement, Spot, pair
from worldloom.synth.towns.planting import Flora, planted, verge_bed
from worldloom.synth.towns.street_shapes import StreetShapes, line_length, polygons_of, stations
from worldloom.synth.world import Thing

Points = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class Lots:
    """Everything on a town's blocks."""

    placements: tuple[Placement, ...]
    parked: tuple[Spot, ...]
    patches: tuple[Patch, ...]
    paint: tuple[PaintedArea, ...]
    buildings: tuple[shapely.Polygon, ...]  # footprints
    car_parks: BaseGeometry  # with their driveways; level with carriageways


@dataclass
class _Draft:
    """A block being built up."""

    block: shapely.Polygon
    style: BlockStyle
    flora: Flora
    streets: BaseGeometry
    shapes: StreetShapes
    rng: np.random.Generator
    placements: list[Placement] = field(default_factory=list)
    parked: list[Spot] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    taken: list[shapely.Polygon] = field(default_factory=list)  # footprints of buildings and car parks
    buildings: list[shapely.Polygon] = field(default_factory=list)
    car_parks: list[BaseGeometry] = field(default_factory=list)
    bay_lines: list[np.ndarray] = field(default_factory=list)
    paths: list[BaseGeometry] = field(default_factory=list)  # where nothing grows

    def free(self, outline: BaseGeometry, apart: float) -> bool:
        """Whether an outline lies in the block and clear of what is built."""
        if not self.block.contains(outline):
            return False
        if apart > 0:
            return not shapely.dwithin(self.taken, outline, apart).any()
        return not shapely.intersects(self.taken, outline.buffer(-0.05)).any()


def make_lots(shapes: StreetShapes, bounds: tuple[float, float, float, float], flora: Flora, seed: int) -> Lots:
    """Build up everything within `bounds` that is not street."""
    sheet, streets = shapely.box(*bounds), shapes.whole
    centre = np.array([bounds[0] + bounds[2], bounds[1] + bounds[3]]) / 2
    reach = 0.5 * min(bounds[2] - bounds[0], bounds[3] - bounds[1])
    inner, outer = [], []
    for block in polygons_of(sheet.difference(streets)):
        (outer if block.intersects(sheet.boundary) else inner).append(block)
    near = streets.buffer(58.0, quad_segs=2)
    outer = [piece for block in outer for piece in _sectors(block.intersection(near), centre, reach)]
    shapely.prepare(streets)
    drafts = []
    for blocks, is_outside in ((inner, False), (outer, True)):
        blocks.sort(key=lambda b: (round(b.representative_point().x, 1), round(b.representative_point().y, 1)))
        for i, block in enumerate(blocks):
            if block.area < 40:
                continue
            rng = np.random.default_rng((seed, 0x10752, i, is_outside))
            away = float(np.hypot(*(shapely.get_coordinates(block.centroid)[0] - centre)))
            zone = "outside" if is_outside else "middle" if away < 0.45 * reach else "around"
            style = BLOCK_STYLES[int(rng.choice(len(BLOCK_STYLES), p=BLOCK_CHANCES[zone]))]
            draft = _Draft(shapely.orient_polygons(block), style, flora, streets, shapes, rng)
            _build_up(draft)
            drafts.append(draft)
    lines = tuple(line for draft in drafts for line in draft.bay_lines)
    rng = np.random.default_rng((seed, 0x6E3))
    islands = planted(shapes.islands.buffer(-2.0), flora, 1.0, 2.0, rng, 9.0, 10.0)
    car_parks = shapely.union_all([c for draft in drafts for c in draft.car_parks])
    planted_verges = shapes.verge.difference(shapely.union_all([car_parks.buffer(1.0), shapes.clear_of]))
    beds = [one for verge in polygons_of(planted_verges) if rng.uniform() < 0.8 for one in verge_bed(verge, rng)]
    return Lots(
        (*islands, *beds, *(p for draft in drafts for p in draft.placements)),
        tuple(p for draft in drafts for p in draft.parked),
        tuple(p for draft in drafts for p in draft.patches),
        (PaintedArea("white", lines),),
        tuple(b for draft in drafts for b in draft.buildings),
        car_parks,
    )


def _sectors(block: BaseGeometry, centre: np.ndarray, reach: float) -> list[shapely.Polygon]:
    """The ring around a town, cut like a cake, so that not all of it looks alike."""
    count = 14
    angle = 2 * math.pi * np.arange(count + 1) / count
    rim = centre + 4 * reach * np.stack([np.cos(angle), np.sin(angle)], -1)
    slices = [shapely.Polygon([centre, rim[k], rim[k + 1]]) for k in range(count)]
    return [piece for one in slices for piece in polygons_of(block.intersection(one))]


def _build_up(draft: _Draft) -> None:
    style, rng, block = draft.style, draft.rng, draft.block
    shapely.prepare(block)
    setback = float(rng.uniform(*style.setback))
    if style.name == "park":
        _lay_paths(draft)
    for ring in (block.exterior, *block.interiors):
        _front_row(draft, shapely.get_coordinates(ring), setback, facing_street=True)
    behind = block.buffer(-(setback + style.depth[1] + 14))
    if style.styles:
        for part in polygons_of(shapely.orient_polygons(behind)):
            if part.area > 500:
                _front_row(draft, shapely.get_coordinates(part.exterior), 0.0, facing_street=False)
    _pave(draft, setback)
    built = shapely.union_all([shape.buffer(0.9) for shape in draft.taken] + draft.paths)
    garden = block.buffer(-0.5).difference(built)
    if style.name == "park":
        _furnish_park(draft, garden)
    elif style.name in ("suburb", "estate", "mixed", "works"):
        _sheds(draft, garden)
        built = shapely.union_all([built, *(shape.buffer(0.5) for shape in draft.taken)])
        garden = garden.difference(built)
    belt = garden.intersection(draft.streets.buffer(6.5, quad_segs=2))
    seen = garden.intersection(draft.streets.buffer(22.0, quad_segs=2)).difference(belt)
    # What grows along the street: of front gardens, road sides and the edges of parks.
    trees, bushes, shrubberies = style.front
    draft.placements += planted(belt, draft.flora, trees, bushes, rng, 9.0, shrubberies)
    draft.placements += planted(seen, draft.flora, style.trees, style.bushes, rng, shrubberies=0.4 * shrubberies)
    behind = garden.difference(belt).difference(seen)
    draft.placements += planted(behind, draft.flora, 0.5 * style.trees, 0.15 * style.bushes, rng)


def _front_row(draft: _Draft, ring: Points, setback: float, facing_street: bool) -> None:
    """Buildings along an outline whose inside lies to its left, with the fences in front of them."""
    style, rng = draft.style, draft.rng
    line = shapely.get_coordinates(shapely.LineString(ring).simplify(0.25))
    walk = _Walk(line)
    length, at = walk.length, float(rng.uniform(0, 4))
    fronts: list[tuple[float, float, float]] = []  # from, to, middle of the opening
    while style.styles and at < length - 8:
        wide = 2.0 * round(rng.uniform(*style.width) / 2)
        deep = 2.0 * round(rng.uniform(*style.depth) / 2)
        gap = rng.uniform(*style.gap) if facing_street else rng.uniform(3, 12)
        if facing_street and rng.uniform() < style.car_parks and _car_park(draft, walk, at):
            at += 17.5 + gap
            continue
        for share_wide, share_deep in ((1.0, 1.0), (0.7, 1.0), (0.7, 0.75), (0.5, 0.75)):
            w, d = max(8.0, 4.0 * round(wide * share_wide / 4)), max(8.0, 2.0 * round(deep * share_deep / 2))
            front = _Front.on(walk, at, float(w), setback + (rng.uniform(0, 1.5) if style.gap[1] > 0 else 0.0))
            if front is None or (facing_street and not front.at_street(draft.streets)):
                continue
            outline = front.rectangle(0.0, float(d))
            if draft.free(outline, 0.6 if style.gap[1] > 0 or not facing_street else 0.0):
                _raise(draft, front, outline, float(d))
                fronts.append((at, at + w, at + w / 2))
                at += w + gap
                break
        else:
            at += 2.0
    if facing_street and style.fences:
        _fence_fronts(draft, walk, fronts)


class _Walk:
    """A line of points, measured once, to be asked often."""

    def __init__(self, line: Points) -> None:
        self._points = line
        self._ends = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))]).tolist()
        self.length: float = self._ends[-1]

    def at(self, metres: float | int) -> np.ndarray:
        """The point so far along the line."""
        i = min(max(bisect_right(self._ends, metres) - 1, 0), len(self._points) - 2)
        share = (metres - self._ends[i]) / max(self._ends[i + 1] - self._ends[i], 1e-9)
        return self._points[i] + share * (self._points[i + 1] - self._points[i])


@dataclass(frozen=True)
class _Front:
    """A stretch of street front: its middle on the building line, the direction along it, and that into the block."""

    middle: np.ndarray
    along: np.ndarray
    inward: np.ndarray
    width: float
    setback: float

    @staticmethod
    def on(walk: "_Walk", at: float, width: float, setback: float) -> "_Front | None":
        """The stretch of `width` that begins `at` metres along a walk; None where it bends too much."""
        if at + width > walk.length:
            return None
        a, b = walk.at(at), walk.at(at + width)
        chord = float(np.hypot(*(b - a)))
        if chord < 0.93 * width:
            return None
        along = (b - a) / chord
        inward = np.array([-along[1], along[0]])
        return _Front((a + b) / 2 + setback * inward, along, inward, width, setback)

    @property
    def yaw(self) -> float:
        """Of things that look at the street."""
        return math.atan2(-self.inward[1], -self.inward[0])

    def at_street(self, streets: BaseGeometry) -> bool:
        """Whether this is the edge of a sidewalk rather than of a neighbour's land."""
        return bool(shapely.dwithin(streets, shapely.Point(self.middle - self.setback * self.inward), 0.8))

    def point(self, along: float | int, inward: float | int) -> np.ndarray:
        return self.middle + along * self.along + inward * self.inward

    def rectangle(self, near: float, far: float, half: float | None = None) -> shapely.Polygon:
        h = self.width / 2 if half is None else half
        return shapely.Polygon([self.point(-h, near), self.point(h, near), self.point(h, far), self.point(-h, far)])


def _raise(draft: _Draft, front: _Front, outline: shapely.Polygon, deep: float) -> None:
    style, rng = draft.style, draft.rng
    storeys = int(rng.integers(style.storeys[0], style.storeys[1] + 1))
    looks = style.styles[int(rng.choice(len(style.styles)))]
    shops = bool(rng.uniform() < style.shops)
    thing = _building(int(rng.integers(4)), looks, front.width, deep, storeys, shops)
    draft.placements.append(Placement(thing, pair(front.point(0, deep / 2)), front.yaw))
    draft.taken.append(outline)
    draft.buildings.append(outline)
    if front.setback > 1.2 and rng.uniform() < 0.45:
        for k in range(int(rng.integers(1, 4))):
            at = front.point(front.width / 2 - 0.6 - 0.85 * k, -0.5)
            draft.placements.append(Placement(make_wheeled_bin(k), pair(at), front.yaw))


@lru_cache(maxsize=1024)
def _building(number: int, style: str, width: float, depth: float, storeys: int, shops: bool) -> Thing:
    thing = make_building(number, width, depth, storeys, style, detail="coarse", shops=shops, foundation=1.5)
    return Thing(thing.name, "manmade", thing.parts)


def _car_park(draft: _Draft, walk: _Walk, at: float) -> bool:
    """Two rows of bays with an aisle between them, and a driveway over the sidewalk; False where there is no room."""
    rng = draft.rng
    front = _Front.on(walk, at, 16.6, 1.5)
    if front is None or not front.at_street(draft.streets):
        return False
    rows = int(rng.integers(6, 13))
    outline = front.rectangle(0.0, 2.5 * rows + 2.0)
    while rows > 4 and not draft.free(outline, 0.6):
        rows -= 1
        outline = front.rectangle(0.0, 2.5 * rows + 2.0)
    reached = shapely.LineString([front.point(0, 0), front.point(0, -14)]).intersection(draft.shapes.carriageway)
    if not draft.free(outline, 0.6) or reached.is_empty:
        return False
    kerb = reached.distance(shapely.Point(front.point(0, 0)))
    way = front.rectangle(-kerb - 0.6, 0.5, 2.9)
    over = (draft.shapes.median, draft.shapes.islands, draft.shapes.clear_of)
    if kerb > 9 or any(shape.intersects(way) for shape in over):
        return False
    draft.taken.append(outline)
    draft.car_parks += [outline, way]
    draft.patches += [Patch(outline, DRIVEABLE, False), Patch(way, DRIVEABLE, False)]
    full = 0.8 * rng.uniform() ** 1.5
    for k in range(rows + 1):
        for side in (-1, 1):
            ends = [front.point(side * 8.2, 1.5 + 2.5 * k), front.point(side * 3.3, 1.5 + 2.5 * k)]
            draft.bay_lines += _stroke(ends[0], ends[1])
            if k < rows and rng.uniform() < full:
                kind, variant = parked_vehicle(rng, 5.0, 2.1)
                outward = side * (1 if rng.uniform() < 0.6 else -1) * front.along
                xy = front.point(side * 5.75, 2.75 + 2.5 * k) + rng.normal(0, 0.08, 2)
                yaw = math.atan2(outward[1], outward[0]) + rng.normal(0, 0.02)
                draft.parked.append(Spot(kind, variant, pair(xy), float(yaw)))
    return True


def _stroke(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    left = np.array([-(b - a)[1], (b - a)[0]]) / float(np.hypot(*(b - a))) * 0.06
    return [np.stack([a - left, b - left, b + left, a + left])]


def _fence_fronts(draft: _Draft, walk: _Walk, fronts: list[tuple[float, float, float]]) -> None:
    """Fences, walls and hedges along the sidewalk, another for each plot, open before each door."""
    rng, length = draft.rng, walk.length
    solid = np.array(draft.taken + draft.car_parks + draft.paths, dtype=object)
    cuts = [0.0, *((a[1] + b[0]) / 2 for a, b in pairwise(fronts)), length]
    if not fronts:
        cuts = np.linspace(0.0, length, math.ceil(length / 30) + 1).tolist()
    plots = list(pairwise(cuts))
    for k, (start, end) in enumerate(plots):
        if rng.uniform() < 0.12:
            continue
        kind, variant = str(rng.choice(draft.style.fences)), int(rng.integers(3))
        if rng.uniform() < min(0.75, 0.85 * (draft.flora.leafy - 0.1)) * (1.0 if fronts else 0.5):
            kind = "tall_hedge"
        door = fronts[k][2] if fronts else (start + end) / 2
        stretches = ((start, door - 1.3), (door + 1.3, end))
        if fronts and not draft.style.gap[1]:
            stretches = ((start, fronts[k][0]), (fronts[k][1], end))
        for low, high in stretches:
            for at in np.arange(low, high - 2.0, 2.0):
                front = _Front.on(walk, float(at), 2.0, 0.45)
                if front is None or not front.at_street(draft.streets):
                    continue
                outline = front.rectangle(-0.4, 0.4)
                if draft.block.contains(outline) and not shapely.intersects(outline, solid).any():
                    piece = make_fence(variant, 2.0, kind)
                    draft.placements.append(Placement(piece, pair(front.point(0, 0)), front.yaw))


def _pave(draft: _Draft, setback: float) -> None:
    style, rng, block = draft.style, draft.rng, draft.block
    paving, often = style.paving
    if rng.uniform() < often:
        yard = block.intersection(draft.streets.buffer(setback + 0.5))
        draft.patches.insert(0, Patch(yard, OCC3D_CLASSES.index(paving), True))
    if rng.uniform() < style.courts:
        front = draft.streets.buffer(setback + style.depth[1] + 1.5, quad_segs=2)
        court = block.intersection(draft.streets.buffer(40.0, quad_segs=2)).difference(front).buffer(-1.5).buffer(1.5)
        draft.patches.insert(0, Patch(court, OTHER_FLAT, True))
        if style.name == "works":
            draft.paths.append(court)


def _sheds(draft: _Draft, garden: BaseGeometry) -> None:
    """Sheds and garages behind the houses."""
    rng, block = draft.rng, draft.block
    low_x, low_y, high_x, high_y = block.bounds
    count = min(12, rng.poisson(garden.area / 900))
    behind = garden.buffer(-1.0)
    for x, y in rng.uniform((low_x, low_y), (high_x, high_y), (4 * count, 2)):
        yaw, variant = float(rng.uniform(0, math.pi)), int(rng.integers(4))
        along = np.array([math.cos(yaw), math.sin(yaw)])
        front = _Front(np.array([x, y]), along, np.array([-along[1], along[0]]), 6.8, 0.0)
        outline = front.rectangle(-3.2, 3.2)
        if behind.contains(outline) and draft.streets.distance(outline) > 7 and draft.free(outline, 0.5):
            draft.placements.append(Placement(make_shed(variant), (float(x), float(y)), yaw))
            draft.taken.append(outline)
            draft.buildings.append(outline)


def _lay_paths(draft: _Draft) -> None:
    """Ways through a park, from its edges to its middle."""
    rng, ring = draft.rng, draft.block.exterior
    middle = draft.block.representative_point()
    starts = (np.arange(4) + rng.uniform(0.1, 0.9, 4)) / 4
    for share in starts:
        way = shapely.LineString([ring.interpolate(float(share), normalized=True), middle]).buffer(1.4)
        draft.paths.append(way.intersection(draft.block))
    draft.paths.append(middle.buffer(5.0).intersection(draft.block))
    draft.patches.append(Patch(shapely.union_all(draft.paths), SIDEWALK, True))


def _furnish_park(draft: _Draft, garden: BaseGeometry) -> None:
    rng = draft.rng
    low_x, low_y, high_x, high_y = draft.block.bounds
    for x, y in rng.uniform((low_x, low_y), (high_x, high_y), (8, 2)):
        radius = float(rng.choice([3.0, 4.5, 6.0]))
        if garden.contains(shapely.Point(x, y).buffer(radius)):
            height, shape = float(rng.choice([0.6, 1.0, 1.4])), int(rng.integers(4))
            heap = make_mound(shape, radius, height)
            draft.placements.append(Placement(heap, (float(x), float(y)), float(rng.uniform(0, 6.28))))
    look = round(low_x) % 8  # of what stands along this park's paths
    for path in draft.paths[:-1]:
        for edge in (path.exterior,) if isinstance(path, shapely.Polygon) else ():
            line = shapely.get_coordinates(edge)
            for at in np.arange(4, line_length(line) - 2, 14.0):
                (spot,), (along,) = stations(line, np.array([at]))
                side = np.array([along[1], -along[0]])
                place = spot + 0.7 * (side if garden.contains(shapely.Point(spot + side)) else -side)
                if garden.buffer(-0.2).contains(shapely.Point(place)):
                    facing = spot - place
                    yaw = math.atan2(facing[1], facing[0])
                    thing = make_bench(look) if rng.uniform() < 0.7 else make_bin(look)
                    draft.placements.append(Placement(thing, pair(place), yaw))
