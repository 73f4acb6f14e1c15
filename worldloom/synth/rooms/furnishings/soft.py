"""Soft and rounded shapes: cushions, pads, folded cloth, and rows of many small boxes."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from worldloom.synth.shapes import Number, Triple, lathe, moved, turned
from worldloom.synth.world import Material, Part


def cushion(
    size: Triple,
    centre: Triple,
    material: Material,
    softness: Number = 0.35,
    rotation: torch.Tensor | None = None,
    sides: int = 24,
    rings: int = 12,
) -> Part:
    """A superellipsoid that fills a box of `size`: softness 0.1 is a box with worn edges, 1 an ellipsoid."""
    power = float(softness)

    def bent(x: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        return np.sign(x) * np.abs(x) ** power

    lat = -math.pi / 2 + math.pi * np.arange(1, rings) / rings
    lon = 2 * math.pi * (np.arange(sides) + 0.5) / sides
    ring = bent(np.cos(lat))[:, None]
    points = np.stack(
        [ring * bent(np.cos(lon)), ring * bent(np.sin(lon)), bent(np.sin(lat))[:, None].repeat(sides, 1)], -1
    ).reshape(-1, 3)
    points = np.concatenate([points, [[0, 0, -1], [0, 0, 1]]]) * (np.array(size, dtype=float) / 2)
    i, j = np.meshgrid(np.arange(rings - 2), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    k, n = np.arange(sides), len(points)
    top = (rings - 2) * sides
    faces = np.concatenate(
        [
            np.stack([a, b, b + sides], -1).reshape(-1, 3),
            np.stack([a, b + sides, a + sides], -1).reshape(-1, 3),
            np.stack([np.full(sides, n - 2), (k + 1) % sides, k], -1),
            np.stack([np.full(sides, n - 1), top + k, top + (k + 1) % sides], -1),
        ]
    )
    part = Part(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)), material, True)
    return moved(part, torch.eye(3) if rotation is None else rotation, centre)


def bent_sheet(
    line: Sequence[tuple[Number, Number]], low: Number, high: Number, thickness: Number, material: Material
) -> Part:
    """Cloth that hangs from a curved line in the x-y plane, from z = high down to z = low."""
    p = np.array(line, dtype=float)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.stack([-along[:, 1], along[:, 0]], -1) * (thickness / 2)
    # A loop round the sheet's thin section, swept from bottom to top.
    loop = np.concatenate([p - side, (p + side)[::-1]])
    n = len(loop)
    vertices = np.concatenate([np.insert(loop, 2, low, axis=1), np.insert(loop, 2, high, axis=1)])
    k = np.arange(n)
    after = (k + 1) % n
    m = np.arange(len(p) - 1)
    faces = np.concatenate(
        [
            np.stack([k, after, after + n], -1),
            np.stack([k, after + n, k + n], -1),
            np.stack([m, n - 2 - m, m + 1], -1),
            np.stack([m, n - 1 - m, n - 2 - m], -1),
            np.stack([m, m + 1, n - 2 - m], -1) + n,
            np.stack([m, n - 2 - m, n - 1 - m], -1) + n,
        ]
    )
    return Part(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)), material, True)


def boxes(lows: Float[np.ndarray, "k 3"], highs: Float[np.ndarray, "k 3"], material: Material) -> Part:
    """Many axis-aligned boxes as one part."""
    unit = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    shape = unit[quads].reshape(1, -1, 3)
    vertices = (lows[:, None] + shape * (highs - lows)[:, None]).reshape(-1, 3)
    corner = 4 * np.arange(6 * len(lows))[:, None]
    faces = np.concatenate([corner + np.array([0, 1, 2]), corner + np.array([0, 2, 3])])
    return Part(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)), material)


def vessel(profile: Sequence[tuple[Number, Number]], wall: Number, material: Material, sides: int = 20) -> Part:
    """An open pot or bowl: an outer profile of (radius, height) from the foot to the rim, hollow inside."""
    inner = [(max(0.0, r - wall), z) for r, z in reversed(profile) if z > profile[0][1] + wall]
    foot, low = profile[0][0] - wall, profile[0][1]
    closed = [(0, low), *profile, *inner, (max(0.0, foot), low + wall), (0, low + wall)]
    return lathe(closed, material, sides)


def leaning(part: Part, pitch: Number, pivot: Triple) -> Part:
    """The part turned about a line along y through the pivot; positive pitch tips its top towards +x."""
    x, y, z = pivot
    return moved(moved(part, torch.eye(3), (-x, -y, -z)), turned(pitch=pitch), pivot)
