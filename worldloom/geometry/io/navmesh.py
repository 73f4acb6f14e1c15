"""Navmeshes as JSON.

There is no exchange format that engines share: Recast's and Detour's binaries change with their build, and engines
keep their own. What they do share is a mesh of triangles: `NavMesh.mesh` and `save_glb` make one.
"""

import json
from pathlib import Path
from typing import Any

import torch

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.views import numbers
from worldloom.geometry.navmesh import Agent, NavMesh

FORMAT, VERSION = "worldloom-navmesh", 1
MAX_BYTES = 256 << 20


def save_navmesh(path: str | Path, navmesh: NavMesh) -> None:
    """Write a navmesh: metres and radians in our z-up world; float32 values return exactly.

    {"format": "worldloom-navmesh", "version": 1, "agent": {"radius", "height", "step", "slope"},
    "vertices": [[x, y, z], ...], "polygons": [[vertex, ...], ...] convex and counter-clockwise from above,
    "neighbours": [[polygon or -1, ...], ...] beyond the edge from each vertex to the next}
    """
    agent = navmesh.agent
    content = {
        "format": FORMAT,
        "version": VERSION,
        "agent": {"radius": agent.radius, "height": agent.height, "step": agent.step, "slope": agent.slope},
        "vertices": navmesh.vertices.tolist(),
        "polygons": navmesh.polygons,
        "neighbours": navmesh.neighbours,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def load_navmesh(path: str | Path) -> NavMesh:
    """Read what `save_navmesh` wrote.

    Raises:
        InputError: not such a file, damaged or too large; polygons that are not convex; neighbours that do not fit.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: expected a navmesh of at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    content = load_json(path, dict)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise InputError(
            f"{path}: expected 'format': '{FORMAT}', version {VERSION}, got {content.get('format')!r}, "
            f"{content.get('version')!r}"
        )
    agent = content.get("agent")
    if not isinstance(agent, dict):
        raise InputError(f"{path}: expected an agent, got {type(agent).__name__}")
    radius, height, step, slope = (
        numbers(agent.get(name), (), f"{path}: agent, {name}").item() for name in ("radius", "height", "step", "slope")
    )
    vertices = content.get("vertices")
    if not isinstance(vertices, list):
        raise InputError(f"{path}: expected vertices as an array, got {type(vertices).__name__}")
    points = numbers(vertices, (len(vertices), 3), f"{path}: vertices") if vertices else torch.zeros(0, 3)
    try:
        navmesh = NavMesh(
            points.float(),
            _whole(content.get("polygons"), f"{path}: polygons"),
            Agent(radius, height, step, slope),
        )
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from error
    if _whole(content.get("neighbours"), f"{path}: neighbours") != navmesh.neighbours:
        raise InputError(f"{path}: expected the neighbours that follow from the polygons, got others")
    return navmesh


def _whole(value: Any, where: str) -> tuple[tuple[int, ...], ...]:
    """Lists of whole numbers."""
    if not isinstance(value, list) or not all(
        isinstance(row, list) and all(type(i) is int for i in row) for row in value
    ):
        raise InputError(f"{where}: expected arrays of whole numbers, got {str(value)[:80]}")
    return tuple(tuple(row) for row in value)
