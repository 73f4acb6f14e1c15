"""The sphere of directions as a square: cheap to index, without poles, nearly equal in area.

Cigolle et al. 2014, "A Survey of Efficient Representations for Independent Unit Vectors". A point p of the octahedron
|x| + |y| + |z| = 1 is seen from above; the lower half is folded outwards. A patch dA of the square [-1, 1]^2 covers the
solid angle dA / |p|^3.
"""

import numpy as np
from jaxtyping import Float32


def square_from_direction(d: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, "2 n"]:
    """Points of [-1, 1]^2 of directions of any length but zero."""
    p = d[:2] / (np.abs(d[0]) + np.abs(d[1]) + np.abs(d[2]))
    below = d[2] < 0
    folded = (1 - np.abs(p[::-1])) * np.copysign(np.float32(1), p)
    return np.where(below, folded, p)


def direction_from_square(
    q: Float32[np.ndarray, "2 n"],
) -> tuple[Float32[np.ndarray, "3 n"], Float32[np.ndarray, " n"]]:
    """Unit directions of points of [-1, 1]^2, and the |p|^3 by which a density there becomes one on the sphere."""
    z = 1 - np.abs(q).sum(0)
    folded = (1 - np.abs(q[::-1])) * np.copysign(np.float32(1), q)
    p = np.concatenate([np.where(z < 0, folded, q), z[None]])
    length = np.sqrt((p * p).sum(0))
    return p / length, length**3


def cell_from_direction(d: Float32[np.ndarray, "3 n"], side: int) -> tuple[np.ndarray, Float32[np.ndarray, " n"]]:
    """Number of the cell, of side x side, that holds each unit direction, and its |p|^3."""
    cells = np.minimum(((square_from_direction(d) + 1) * np.float32(side / 2)).astype(np.int32), side - 1)
    return cells[0] * side + cells[1], 1 / np.abs(d).sum(0) ** 3


def cell_directions(side: int) -> tuple[Float32[np.ndarray, "3 n"], Float32[np.ndarray, " n"]]:
    """Unit direction through the middle of each of side x side cells, and its solid angle; these sum to 4 pi nearly."""
    middle = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1).astype(np.float32)
    q = np.stack(np.meshgrid(middle, middle, indexing="ij")).reshape(2, -1)
    directions, density = direction_from_square(q)
    return directions, np.float32(4 / side**2) / density
