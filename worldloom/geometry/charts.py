"""Surfaces flattened into the rectangles of a texture atlas.

A chart is a set of faces that look mostly along one axis, projected along it: exact for flat surfaces that stand
straight, a projection for others. Its outermost vertices lie on the middles of the outermost texels, so that no
neighbour bleeds in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass
class Chart:
    """Faces that look the same way, and their rectangle in the atlas."""

    axis: int  # 0..5: +x -x +y -y +z -z
    faces: Int[np.ndarray, "m 3"]  # into `vertices`
    vertices: Float[np.ndarray, "n 3"]
    texels: tuple[int, int] = (2, 2)  # columns, rows
    corner: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.low = self.vertices[:, self.plane].min(0)
        self.span = self.vertices[:, self.plane].max(0) - self.low

    @property
    def plane(self) -> tuple[int, int]:
        """The two axes along which columns and rows run."""
        return ((1, 2), (0, 2), (0, 1))[self.axis // 2]

    def place(self) -> Float[np.ndarray, "n 2"]:
        """(u, v) of the vertices in texels of the atlas, where the first texel's centre is at (0.5, 0.5)."""
        share = (self.vertices[:, self.plane] - self.low) / np.maximum(self.span, 1e-9)
        return np.array(self.corner) + 0.5 + share * (np.array(self.texels) - 1)

    def uv(self, size: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
        """`place` over the atlas's (height, width)."""
        return self.place() / (size[1], size[0])


def directions_of(vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"]) -> Int[np.ndarray, " m"]:
    """The axis that each face looks along most: 0..5 for +x -x +y -y +z -z."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    largest = np.abs(normals).argmax(1)
    return 2 * largest + (normals[np.arange(len(normals)), largest] < 0)


def shelve(charts: Sequence[Chart], size: tuple[int, int]) -> int | None:
    """Give every chart its corner in an atlas of (height, width) texels, in rows (shelves) and in the order given.

    Little is wasted if the tallest come first.

    Returns:
        The rows that were needed, or None where the charts do not fit.
    """
    x = y = height = 0
    for chart in charts:
        columns, rows = chart.texels
        if x + columns > size[1]:
            x, y, height = 0, y + height, 0
        chart.corner = (x, y)
        x, height = x + columns, max(height, rows)
        if columns > size[1] or y + height > size[0]:
            return None
    return y + height
