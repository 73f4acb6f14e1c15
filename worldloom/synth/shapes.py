"""Parametric meshes: what furniture, facades, trees and cars are put together from."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import compose
from worldloom.synth.world import Material, Part, Thing

Number = float | int
Triple = tuple[Number, Number, Number]


def box(size: Triple, centre: Triple, material: Material, yaw: Number = 0.0) -> Part:
    """A box of `size` (x, y, z) about `centre`, turned about its own vertical axis. Faces share no vertices."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    vertices = (corners * np.array(size))[quads].reshape(-1, 3)
    faces = np.concatenate([[[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]] for i in range(6)])
    return moved(_part(vertices, faces, material, smooth=False), turned(yaw), centre)


def slab(low: Triple, high: Triple, material: Material) -> Part:
    """The axis-aligned box between two corners."""
    a, b = np.array(low, dtype=float), np.array(high, dtype=float)
    return box(tuple((b - a).tolist()), tuple(((a + b) / 2).tolist()), material)


def lathe(profile: Sequence[tuple[Number, Number]], material: Material, sides: int = 16, smooth: bool = True) -> Part:
    """A profile of (radius, height), from bottom to top, turned about z. Ends of radius 0 close it."""
    p = np.array(profile, dtype=float)
    angle = 2 * math.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices = np.concatenate([np.concatenate([r * ring, np.full((sides, 1), z)], 1) for r, z in p])
    i, j = np.meshgrid(np.arange(len(p) - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = a + sides, b + sides
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return _part(vertices, _without_slivers(vertices, faces), material, smooth)


def cylinder(
    radius: Number, height: Number, base: Triple, material: Material, sides: int = 16, top: Number | None = None
) -> Part:
    """A closed cylinder that stands on `base`; with `top` its upper radius differs (0 makes a cone)."""
    upper = radius if top is None else top
    parts = [
        lathe([(radius, 0), (upper, height)], material, sides),
        lathe([(0, 0), (radius, 0)], material, sides, False),
    ]
    if upper > 0:
        parts.append(lathe([(upper, height), (0, height)], material, sides, smooth=False))
    # Lids keep vertices of their own, so that the rim stays sharp.
    return moved(joined(parts, smooth=True), torch.eye(3), base)


def ellipsoid(half: Triple, centre: Triple, material: Material, sides: int = 16, rings: int = 8) -> Part:
    """An ellipsoid with semi-axes (x, y, z)."""
    ball = lathe(
        [(math.sin(math.pi * i / rings), -math.cos(math.pi * i / rings)) for i in range(rings + 1)], material, sides
    )
    scaled = replace(ball, vertices=ball.vertices * torch.tensor(half, dtype=torch.float32))
    return moved(scaled, torch.eye(3), centre)


def tube(path: Sequence[Triple], radius: Number | Sequence[Number], material: Material, sides: int = 8) -> Part:
    """A round bar along a line of points, closed at both ends; the radius may change from point to point."""
    points = np.array(path, dtype=float)
    radii = np.broadcast_to(np.array(radius, dtype=float), len(points))
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.where(np.abs(along[:, 2:]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    side = np.cross(along, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    angle = 2 * math.pi * np.arange(sides) / sides
    # Counter-clockwise about `along`: up x side = along.
    ring = np.cos(angle)[None, :, None] * up[:, None] + np.sin(angle)[None, :, None] * side[:, None]
    vertices = np.concatenate([(points[:, None] + radii[:, None, None] * ring).reshape(-1, 3), points[[0, -1]]])
    i, j = np.meshgrid(np.arange(len(points) - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = a + sides, b + sides
    first, last, n = len(points) * sides, len(points) * sides + 1, (len(points) - 1) * sides
    rim = np.arange(sides)
    faces = np.concatenate(
        [
            np.stack([a, b, d], -1).reshape(-1, 3),
            np.stack([a, d, c], -1).reshape(-1, 3),
            np.stack([np.full(sides, first), (rim + 1) % sides, rim], -1),
            np.stack([np.full(sides, last), n + rim, n + (rim + 1) % sides], -1),
        ]
    )
    return _part(vertices, _without_slivers(vertices, faces), material, smooth=True)


def prism(outline: Sequence[tuple[Number, Number]], low: Number, high: Number, material: Material) -> Part:
    """A counter-clockwise outline in the x-y plane, which may have bays but no holes, raised from z = low to high."""
    points = np.array(outline, dtype=float)
    n = len(points)
    lid = triangulate(points)
    bottom, top = np.insert(points, 2, low, axis=1), np.insert(points, 2, high, axis=1)
    after = np.roll(np.arange(n), -1)
    walls = np.stack([bottom, bottom[after], top[after], top], 1).reshape(-1, 3)
    corner = 4 * np.arange(n)[:, None]
    faces = np.concatenate(
        [lid[:, ::-1], n + lid, 2 * n + corner + np.array([0, 1, 2]), 2 * n + corner + np.array([0, 2, 3])]
    )
    return _part(np.concatenate([bottom, top, walls]), faces, material, smooth=False)


def triangulate(outline: np.ndarray) -> np.ndarray:
    """Triangles (m, 3) that fill a simple counter-clockwise outline (n, 2), by cutting off ears."""
    left, triangles = list(range(len(outline))), []

    def doubled_area(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = outline[a], outline[b], outline[c]
        return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

    while len(left) > 3:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            if doubled_area(a, b, c) <= 0:
                continue
            inside = (
                doubled_area(a, b, p) >= 0 and doubled_area(b, c, p) >= 0 and doubled_area(c, a, p) >= 0
                for p in left
                if p not in (a, b, c)
            )
            if not any(inside):
                break
        else:
            raise ValueError(f"outline must be simple and counter-clockwise, got {outline.tolist()}")
        triangles.append((a, b, c))
        left.pop(k)
    return np.array([*triangles, tuple(left)])


def height_field(
    x: Float[Tensor, " i"], y: Float[Tensor, " j"], z: Float[Tensor, "i j"], material: Material, smooth: bool = True
) -> Part:
    """The surface z over the grid lines x and y, seen from above."""
    gx, gy = torch.meshgrid(x, y, indexing="ij")
    vertices = torch.stack([gx, gy, z], -1).reshape(-1, 3)
    index = torch.arange(len(vertices)).reshape(z.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([a, c, d], -1).reshape(-1, 3)])
    return Part(vertices.float(), faces.int(), material, smooth)


def moved(part: Part, rotation: Float[Tensor, "3 3"], translation: Triple) -> Part:
    """The part turned about the origin, then shifted, within its thing's frame."""
    # A plain product: einsum wakes threads for the few vertices of a part, thousands of times in a town.
    shift = torch.tensor(translation, dtype=torch.float64)
    return replace(part, vertices=(part.vertices.double() @ rotation.double().T + shift).float())


def joined(parts: Sequence[Part], smooth: bool = False) -> Part:
    """Parts of one material as one."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])]).tolist()
    faces = torch.cat([part.faces + start for part, start in zip(parts, starts, strict=True)])
    return Part(torch.cat([part.vertices for part in parts]), faces, parts[0].material, smooth)


def turned(yaw: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0) -> Float[Tensor, "3 3"]:
    """Rotation Rz(yaw) Ry(pitch) Rx(roll); positive pitch lowers the x axis."""
    cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (math.cos, math.sin))
    return torch.tensor(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def placed(thing: Thing, position: Triple, yaw: Number = 0.0, name: str | None = None) -> Thing:
    """A thing built about its own origin, set into the world."""
    world_from_thing = compose(turned(yaw), torch.tensor(position, dtype=torch.float32)) @ thing.world_from_thing
    return replace(thing, world_from_thing=world_from_thing, name=name or thing.name)


def _part(vertices: np.ndarray, faces: np.ndarray, material: Material, smooth: bool) -> Part:
    return Part(
        torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)), material, smooth
    )


def _without_slivers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Without the triangles that a radius of zero leaves without an area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
