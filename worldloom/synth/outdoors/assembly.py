"""Gathering of many small pieces: what has thousands of boxes would take seconds if each were a part of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from worldloom.synth.world import Material, Part

Array = Any  # floats, arrays or nested sequences that numpy can broadcast

# Corners of a unit box, four to a face, counter-clockwise from outside: -x, +x, -y, +y, -z, +z.
_BOX = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[0, 1, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]],
        [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
    ],
    dtype=float,
)


class Assembly:
    """Triangles by material. Pieces are given in the frame of the moment, (3, 4), which `frame` sets."""

    def __init__(self) -> None:
        self.frame = np.eye(4)[:3]
        self._pieces: dict[tuple[int, bool], list[tuple[np.ndarray, np.ndarray]]] = {}
        self._materials: dict[int, Material] = {}

    def triangles(self, material: Material, vertices: Array, faces: Array, smooth: bool = False) -> None:
        """Vertices (n, 3) and faces (m, 3) into them."""
        vertices = np.asarray(vertices, dtype=float) @ self.frame[:, :3].T + self.frame[:, 3]
        self._materials[id(material)] = material
        self._pieces.setdefault((id(material), smooth), []).append((vertices, np.asarray(faces)))

    def quads(self, material: Material, corners: Array) -> None:
        """Planar quads (..., 4, 3), counter-clockwise from where they are seen. What has no area is left out."""
        corners = np.asarray(corners, dtype=float).reshape(-1, 4, 3)
        # Most quads are whole; the few that are triangles or less are told by the area of each half.
        first = _doubled_area(corners[:, 0], corners[:, 1], corners[:, 2]) > 1e-7
        second = _doubled_area(corners[:, 0], corners[:, 2], corners[:, 3]) > 1e-7
        start = 4 * np.arange(len(corners))[:, None]
        faces = np.concatenate([start[first] + np.array([0, 1, 2]), start[second] + np.array([0, 2, 3])])
        if len(faces):
            self.triangles(material, corners.reshape(-1, 3), faces)

    def boxes(self, material: Material, low: Array, high: Array) -> None:
        """Boxes between corners (..., 3) that broadcast against each other."""
        low, high = np.broadcast_arrays(np.asarray(low, dtype=float), np.asarray(high, dtype=float))
        low, high = low.reshape(-1, 3), high.reshape(-1, 3)
        size = high - low
        solid = (size > 1e-6).all(axis=1)
        low, size = low[solid], size[solid]
        if len(low):
            corners = low[:, None, None] + _BOX * size[:, None, None]
            start = 4 * np.arange(6 * len(low))[:, None]
            faces = np.concatenate([start + np.array([0, 1, 2]), start + np.array([0, 2, 3])])
            self.triangles(material, corners.reshape(-1, 3), faces)

    def part(self, part: Part) -> None:
        """A shape made elsewhere, in the frame of the moment."""
        self.triangles(part.material, part.vertices.numpy(), part.faces.numpy(), part.smooth)

    def parts(self) -> tuple[Part, ...]:
        """One part a material, in the order in which materials first came."""
        made = []
        for (key, smooth), pieces in self._pieces.items():
            starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces[:-1])])
            vertices = np.concatenate([vertices for vertices, _ in pieces]).astype(np.float32)
            faces = np.concatenate([faces + start for (_, faces), start in zip(pieces, starts, strict=True)])
            made.append(
                Part(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int32)), self._materials[key], smooth)
            )
        return tuple(made)


def frame_at(position: Sequence[float | int], yaw: float | int = 0.0) -> np.ndarray:
    """The (3, 4) frame at a position, turned about the vertical."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, position[0]], [s, c, 0, position[1]], [0, 0, 1, position[2]]], dtype=float)


def within(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The frame that is `inner` as seen from `outer`."""
    return np.concatenate([outer[:, :3] @ inner[:, :3], outer[:, :3] @ inner[:, 3:] + outer[:, 3:]], axis=1)


def _doubled_area(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    # Written out: numpy's cross product costs more than all else for the few quads that a window has.
    (ux, uy, uz), (vx, vy, vz) = (b - a).T, (c - a).T
    return np.sqrt((uy * vz - uz * vy) ** 2 + (uz * vx - ux * vz) ** 2 + (ux * vy - uy * vx) ** 2)
