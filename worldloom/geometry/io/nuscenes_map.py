"""nuScenes maps: the mask of the drivable surface, and the polygons of the map expansion."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path

MASK_RESOLUTION = 0.1  # metres a pixel; the devkit assumes it
POLYGON_LAYERS = (
    *("drivable_area", "road_segment", "road_block", "lane", "lane_connector", "ped_crossing", "walkway", "stop_line"),
    "carpark_area",
)
LINE_LAYERS = ("road_divider", "lane_divider", "traffic_light")
EXPANSION_VERSION = "1.3"

Points = Float[np.ndarray, "_ 2"]  # lines of one polygon have each their own length


@dataclass(frozen=True)
class MapPolygon:
    """A piece of ground with a meaning."""

    layer: str  # one of POLYGON_LAYERS
    name: str  # unique in its layer
    outline: Points
    holes: tuple[Points, ...] = ()
    # A lane's or lane connector's middle line in the direction of travel, and the names of those that follow it.
    centre: Points | None = None
    followers: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the layer's record, such as lane_type


@dataclass(frozen=True)
class MapLine:
    """A line on the ground with a meaning."""

    layer: str  # one of LINE_LAYERS
    name: str  # unique in its layer
    points: Points
    fields: Mapping[str, Any] = field(default_factory=dict)


def mask_points(width: float, height: float) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, " h"]]:
    """Where the mask of a map from (0, 0) to (width, height) metres looks: x of its columns and y of its rows.

    The devkit takes a point to pixel (round(x / 0.1), round(h - y / 0.1)), with h the number of rows. So pixel (i, j)
    stands for the 0.1 m around (0.1 j, 0.1 (h - i)), and the y axis points up in the picture.
    """
    columns, rows = (int(np.ceil(length / MASK_RESOLUTION)) + 1 for length in (width, height))
    return MASK_RESOLUTION * np.arange(columns), MASK_RESOLUTION * (rows - np.arange(rows))


def save_map_mask(path: str | Path, mask: Bool[np.ndarray, "h w"]) -> None:
    """Write a mask that was sampled at `mask_points` as the one-channel PNG that the devkit reads, 255 where true."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(temporary, format="PNG")


def save_map_expansion(
    path: str | Path, size: tuple[float, float], polygons: Sequence[MapPolygon], lines: Sequence[MapLine] = ()
) -> None:
    """Write a map in the JSON of nuScenes' map expansion 1.3.

    Middle lines of lanes become chains of straight pieces in `arcline_path_3`, and followers become `connectivity`.
    The devkit's `NuScenesMap` reads the file once its list of locations knows the file's name.

    Args:
        path: `maps/expansion/<location>.json` below the data root.
        size: width and height of the map in metres, from the origin; nothing may lie outside.
    Raises:
        InputError: an unknown layer, a name twice, an outline of fewer than three points, or points outside the map.
    """
    content: dict[str, Any] = {"version": EXPANSION_VERSION, "canvas_edge": list(size)}
    content |= {name: [] for name in ("polygon", "line", "node", *POLYGON_LAYERS, *LINE_LAYERS)}
    tokens: dict[tuple[str, str], str] = {}
    for shape in (*polygons, *lines):
        known = POLYGON_LAYERS if isinstance(shape, MapPolygon) else LINE_LAYERS
        if shape.layer not in known:
            raise InputError(f"{path}: expected a layer {', '.join(known)}, got {shape.layer!r}")
        if (shape.layer, shape.name) in tokens:
            raise InputError(f"{path}: expected different names in {shape.layer}, got {shape.name!r} twice")
        tokens[shape.layer, shape.name] = _token(Path(path).stem, shape.layer, shape.name)
    nodes = _Nodes(path, size, content["node"])
    for polygon in polygons:
        token = tokens[polygon.layer, polygon.name]
        polygon_token = _token(token, "polygon")
        content["polygon"].append(
            {"token": polygon_token, "exterior_node_tokens": nodes.add(polygon_token, polygon.outline, 3)}
            | {"holes": [{"node_tokens": nodes.add(f"{polygon_token}/{i}", h, 3)} for i, h in enumerate(polygon.holes)]}
        )
        content[polygon.layer].append({"token": token, **_polygon_fields(polygon, polygon_token), **polygon.fields})
    for line in lines:
        token = tokens[line.layer, line.name]
        line_token = _token(token, "line")
        content["line"].append({"token": line_token, "node_tokens": nodes.add(line_token, line.points, 2)})
        content[line.layer].append({"token": token, "line_token": line_token, **line.fields})
    content |= _lane_graph(path, polygons, tokens)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n")


class _Nodes:
    """Points by token, each checked to lie on the map."""

    def __init__(self, path: str | Path, size: tuple[float, float], records: list[dict[str, Any]]) -> None:
        self.path, self.size, self.records = path, size, records

    def add(self, owner: str, points: np.ndarray, least: int) -> list[str]:
        if len(points) < least or not (
            np.isfinite(points).all() and (points >= 0).all() and (points <= self.size).all()
        ):
            raise InputError(
                f"{self.path}: expected at least {least} points inside {self.size[0]:g} x {self.size[1]:g} m, "
                f"got {len(points)} from {points.min(0, initial=0).tolist()} to {points.max(0, initial=0).tolist()}"
            )
        tokens = [_token(owner, "node", str(i)) for i in range(len(points))]
        for token, (x, y) in zip(tokens, points.tolist(), strict=True):
            self.records.append({"token": token, "x": x, "y": y})
        return tokens


def _polygon_fields(polygon: MapPolygon, polygon_token: str) -> dict[str, Any]:
    """What a record of this layer says beside its token. Links that we do not know are empty."""
    if polygon.layer == "drivable_area":
        return {"polygon_tokens": [polygon_token]}
    fields: dict[str, Any] = {"polygon_token": polygon_token}
    if polygon.layer == "lane":
        fields |= {"lane_type": "CAR", "from_edge_line_token": "", "to_edge_line_token": ""}
        fields |= {"left_lane_divider_segments": [], "right_lane_divider_segments": []}
    elif polygon.layer == "stop_line":
        fields |= {"stop_line_type": "YIELD", "ped_crossing_tokens": [], "traffic_light_tokens": []}
        fields |= {"road_block_token": ""}
    elif polygon.layer == "road_segment":
        fields |= {"is_intersection": True, "drivable_area_token": ""}
    elif polygon.layer == "ped_crossing":
        fields |= {"road_segment_token": ""}
    elif polygon.layer == "carpark_area":
        fields |= {"orientation": 0.0, "road_block_token": ""}
    elif polygon.layer == "road_block":
        fields |= {"from_edge_line_token": "", "to_edge_line_token": "", "road_segment_token": ""}
    return fields


def _lane_graph(
    path: str | Path, polygons: Sequence[MapPolygon], tokens: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """`arcline_path_3` and `connectivity` of lanes and lane connectors."""
    lanes = [p for p in polygons if p.layer in ("lane", "lane_connector")]
    by_name = {p.name: tokens[p.layer, p.name] for p in lanes}
    if len(by_name) != len(lanes):
        raise InputError(f"{path}: expected lanes and lane connectors of different names, got one twice")
    connectivity: dict[str, dict[str, list[str]]] = {t: {"incoming": [], "outgoing": []} for t in by_name.values()}
    for lane in lanes:
        for follower in lane.followers:
            if follower not in by_name:
                raise InputError(f"{path}: expected followers of {lane.name!r} among the lanes, got {follower!r}")
            connectivity[by_name[lane.name]]["outgoing"].append(by_name[follower])
            connectivity[by_name[follower]]["incoming"].append(by_name[lane.name])
    paths = {by_name[lane.name]: _straights(lane.centre) for lane in lanes if lane.centre is not None}
    return {"arcline_path_3": paths, "connectivity": connectivity}


def _straights(points: np.ndarray) -> list[dict[str, Any]]:
    """A polyline as arc-line paths (arc, straight, arc) whose arcs have no length."""
    steps = np.diff(points, axis=0)
    yaws, lengths = np.arctan2(steps[:, 1], steps[:, 0]).tolist(), np.hypot(*steps.T).tolist()
    return [
        {"start_pose": [*start, yaw], "end_pose": [*end, yaw], "shape": "LSR", "radius": 1000.0}
        | {"segment_length": [0.0, length, 0.0]}
        for start, end, yaw, length in zip(points[:-1].tolist(), points[1:].tolist(), yaws, lengths, strict=True)
        if length > 0
    ]


def _token(*path: object) -> str:
    return hashlib.sha256("/".join(map(str, path)).encode()).hexdigest()[:32]
