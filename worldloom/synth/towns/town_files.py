"""A town's map in a data set: OpenDRIVE, the mask of what can be driven on, and polygons with meaning."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import shapely
import torch
from jaxtyping import Bool, Float
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring
from torch import Tensor

from worldloom.geometry import compose
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.nuscenes_map import MapLine, MapPolygon, mask_points, save_map_expansion, save_map_mask
from worldloom.geometry.io.nuscenes_tables import nuscenes_token
from worldloom.synth.towns.ground import DRIVEABLE, Ground
from worldloom.synth.towns.lane_paint import STOP_DEPTH
from worldloom.synth.towns.roads import Connection, RoadMap
from worldloom.synth.towns.street_shapes import beside, lane_area, polygons_of
from worldloom.synth.towns.town import Town


def location_of(town_seed: int) -> str:
    """What the data set calls the town."""
    return f"town-{town_seed:04d}"


def global_from_town(town: Town) -> Float[Tensor, "4 4"]:
    """Where the data set puts the town, float64: with all of its ground at positive x and y, as the devkit's maps."""
    shift = [-math.floor(low) for low in town.ground.sheet.origin]
    return compose(torch.eye(3, dtype=torch.float64), torch.tensor([*shift, 0.0], dtype=torch.float64))


def map_size(town: Town) -> tuple[float, float]:
    """Metres from the map's origin to its far corner."""
    sheet = town.ground.sheet
    width, height = (
        math.ceil(o + sheet.cell * n) - math.floor(o) for o, n in zip(sheet.origin, sheet.shape, strict=True)
    )
    return float(width), float(height)


def mask_name(town_seed: int) -> str:
    """The mask's name below the data root."""
    return f"maps/{nuscenes_token('map', location_of(town_seed))}.png"


def save_town(folder: Path, town: Town) -> None:
    """Write `opendrive/<town>.xodr`, `maps/<token>.png` and `maps/expansion/<town>.json`; what is there stays."""
    location, shift = location_of(town.seed), global_from_town(town)[:2, 3].numpy()
    for name in ("opendrive", "maps/expansion"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (path := folder / f"opendrive/{location}.xodr").exists():
        content = town.roads.opendrive((float(shift[0]), float(shift[1])))
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    if not (path := folder / mask_name(town.seed)).exists():
        save_map_mask(path, _mask(town.ground, shift, map_size(town)))
    if not (path := folder / f"maps/expansion/{location}.json").exists():
        polygons, lines = town_polygons(town)
        polygons, lines = [_moved(polygon, shift) for polygon in polygons], [_line(line, shift) for line in lines]
        save_map_expansion(path, map_size(town), polygons, lines)


def town_polygons(town: Town) -> tuple[list[MapPolygon], list[MapLine]]:
    """The town's map in its own coordinates."""
    roads, shapes = town.roads, town.shapes
    polygons = [
        *_areas("drivable_area", town.low),
        *_areas("walkway", shapes.sidewalk),
        *_areas("carpark_area", town.lots.car_parks),
    ]
    for crossing, area in zip(roads.crossings, shapes.crossings, strict=True):
        polygons += _areas("ped_crossing", area, crossing.id)
    for junction in roads.junctions:
        if len(junction.outline) > 2:
            polygons += _areas("road_segment", shapely.make_valid(shapely.Polygon(junction.outline)), junction.id)
    for edge in roads.edges:
        if used := [lane_area(lane) for lane in edge.lanes if lane.use in ("drive", "bike", "park")]:
            fields = {"is_intersection": False}
            polygons += _areas("road_segment", shapely.union_all(used), edge.id, fields)
    return [*polygons, *_lanes(roads)], _dividers(roads)


def _areas(
    layer: str, area: BaseGeometry, name: str = "", fields: Mapping[str, Any] = MappingProxyType({})
) -> list[MapPolygon]:
    def points(ring: shapely.LinearRing) -> np.ndarray:
        return np.asarray(ring.coords)[:-1, :2]

    return [
        MapPolygon(
            layer, f"{name}#{i}", points(part.exterior), tuple(points(hole) for hole in part.interiors), fields=fields
        )
        for i, part in enumerate(polygons_of(area))
    ]


def _lanes(roads: RoadMap) -> list[MapPolygon]:
    """Lanes, the ways between them across junctions, what stops at their ends, and places to park."""
    driven = {lane.id: lane for lane in roads.lanes.values() if lane.use in ("drive", "bike")}
    ways = [c for c in roads.connections if c.from_lane in driven and c.to_lane in driven and len(c.via) > 1]
    polygons = []
    for lane in roads.lanes.values():
        outline = np.asarray(polygons_of(lane_area(lane))[0].exterior.coords)[:-1]
        if lane.use == "park":
            polygons.append(MapPolygon("carpark_area", lane.id, outline))
        if lane.id not in driven:
            continue
        out = [way for way in ways if way.from_lane == lane.id]
        kind = {"lane_type": "CAR" if lane.use == "drive" else "BICYCLE"}
        followers = tuple(_name(way) for way in out)
        polygons.append(MapPolygon("lane", lane.id, outline, (), lane.centre, followers, kind))
        polygons += _stop_line(roads, lane.id, out)
    for way in ways:
        width = min(driven[way.from_lane].width, driven[way.to_lane].width)
        line = shapely.LineString(way.via)
        if line.length < 0.1:
            continue
        area = line.buffer(width / 2, cap_style="flat", join_style="mitre")
        outline = np.asarray(polygons_of(area)[0].exterior.coords)[:-1]
        polygons.append(MapPolygon("lane_connector", _name(way), outline, (), way.via, (way.to_lane,)))
    known = {polygon.name for polygon in polygons if polygon.layer == "lane_connector"}
    return [
        replace(p, followers=tuple(f for f in p.followers if f in known)) if p.layer == "lane" else p for p in polygons
    ]


def _name(way: Connection) -> str:
    return f"{way.from_lane}>{way.to_lane}"


def _stop_line(roads: RoadMap, lane_id: str, ways: list[Connection]) -> list[MapPolygon]:
    """The last metre of a lane where some way across the junction yields or stops."""
    if not any(way.yields or way.stops for way in ways):
        return []
    lane = roads.lanes[lane_id]
    edge = next(edge for edge in roads.edges if edge.id == lane.edge)
    control = next(junction.control for junction in roads.junctions if junction.id == edge.to_junction)
    signal = control.startswith("traffic_light")
    kind = "TRAFFIC_LIGHT" if signal else "STOP_SIGN" if any(way.stops for way in ways) else "YIELD"
    line = shapely.LineString(lane.centre)
    depth = min(STOP_DEPTH, line.length / 2)
    end = substring(line, line.length - depth, line.length)
    outline = np.asarray(end.buffer(lane.width / 2, cap_style="flat").exterior.coords)[:-1]
    return [MapPolygon("stop_line", lane_id, outline, fields={"stop_line_type": kind})]


def _dividers(roads: RoadMap) -> list[MapLine]:
    """Lines between lanes of one direction, and between the directions."""
    lines = []
    for edge in roads.edges:
        driven = [lane for lane in edge.lanes if lane.use in ("drive", "bike")]
        for right in driven[:-1]:
            lines.append(MapLine("lane_divider", right.id, beside(right.centre, right.width / 2)))
        if driven and edge.opposite is not None and edge.id < edge.opposite:
            left = driven[-1]
            lines.append(MapLine("road_divider", edge.id, beside(left.centre, left.width / 2)))
    return lines


def _mask(ground: Ground, shift: np.ndarray, size: tuple[float, float]) -> Bool[np.ndarray, "h w"]:
    """Whether the ground is a carriageway, where the mask's pixels look."""
    xs, ys = (torch.from_numpy(axis - low) for axis, low in zip(mask_points(*size), shift, strict=True))
    columns, _ = ground.sheet.index(torch.stack([xs, torch.zeros_like(xs)], -1))
    _, rows = ground.sheet.index(torch.stack([torch.zeros_like(ys), ys], -1))
    driveable = ground.labels.numpy() == DRIVEABLE
    return driveable[columns.numpy()][:, rows.numpy()].T


def _moved(polygon: MapPolygon, shift: np.ndarray) -> MapPolygon:
    holes = tuple(hole + shift for hole in polygon.holes)
    centre = None if polygon.centre is None else polygon.centre + shift
    return replace(polygon, outline=polygon.outline + shift, holes=holes, centre=centre)


def _line(line: MapLine, shift: np.ndarray) -> MapLine:
    return replace(line, points=line.points + shift)
