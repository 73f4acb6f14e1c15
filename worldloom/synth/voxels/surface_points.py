"""Points spread over triangles so densely that no voxel between them is missed."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.errors import InputError


def surface_points(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"], spacing: float
) -> tuple[Float[Tensor, "p 3"], Int[Tensor, " p"]]:
    """Points on every triangle, in rows along its longest edge, and the face that each lies on.

    Rows, and points within a row, are at most `spacing` apart and at most half of it from an edge. A triangle gets one
    point at least. The points depend on the triangle alone, so a thing's points are the same wherever it stands.

    Raises:
        InputError: if the spacing is not positive, or faces name vertices that are not there.
    """
    if not spacing > 0:
        raise InputError(f"spacing must be positive metres, got {spacing}")
    if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < len(vertices):
        raise InputError(f"faces must index {len(vertices)} vertices, got {int(faces.min())}..{int(faces.max())}")
    corners = vertices.numpy().astype(np.float64)[faces.numpy()]  # m 3 3
    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    first = lengths.argmax(1)
    m = np.arange(len(corners))
    a, b, c = corners[m, first], corners[m, (first + 1) % 3], corners[m, (first + 2) % 3]
    longest = lengths[m, first]
    doubled_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    height = np.divide(doubled_area, longest, out=np.zeros_like(longest), where=longest > 0)

    num_rows = np.maximum(np.ceil(height / spacing), 1).astype(np.int64)
    face = np.repeat(m, num_rows)
    up = (_place_in_run(num_rows) + 0.5) / num_rows[face]
    num_points = np.maximum(np.ceil((1 - up) * longest[face] / spacing), 1).astype(np.int64)
    row = np.repeat(np.arange(len(face)), num_points)
    along = (_place_in_run(num_points) + 0.5) / num_points[row] * (1 - up[row])
    face, up = face[row], up[row]
    points = a[face] + along[:, None] * (b - a)[face] + up[:, None] * (c - a)[face]
    return torch.from_numpy(points), torch.from_numpy(face)


def _place_in_run(counts: np.ndarray) -> np.ndarray:
    """0, 1, … counts[0] - 1, 0, 1, … counts[1] - 1, …"""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)
