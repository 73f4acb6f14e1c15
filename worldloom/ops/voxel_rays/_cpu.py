"""The door to the native kernels: the same bits at any number of threads."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from worldloom.ops.sparse.backend import native_module


def look_from_each(
    blocked: Bool[Tensor, "x y z"],
    eyes: Float[Tensor, "k 3"],
    cells: Sequence[Int64[Tensor, " _"]],
    crossed: Bool[Tensor, "x y z"] | None,
    pierce: int,
) -> list[Bool[Tensor, " _"]]:
    """As `worldloom.ops.voxel_rays.look_from_each`; the grid is packed into bits once for all eyes."""
    native, threads = _native(), torch.get_num_threads()
    wall = blocked.contiguous().view(torch.uint8)
    bits = np.empty((wall.numel() + 31) // 32, np.uint32)
    native.pack(wall.view(-1), bits)
    result = []
    for eye, some in zip(eyes, cells, strict=True):
        seen = torch.empty(len(some), dtype=torch.bool)
        native.look(
            wall, bits, eye.contiguous(), some.contiguous(), seen.view(torch.uint8),
            wall if crossed is None else crossed.view(torch.uint8), crossed is not None, pierce, threads,
        )  # fmt: skip
        result.append(seen)
    return result


def mark_points(
    best: UInt8[Tensor, "x y z"],
    points: Float[Tensor, "n 3"],
    values: UInt8[Tensor, " n"],
    voxel_from_points: Float[Tensor, "3 4"],
    flagged: tuple[UInt8[Tensor, "x y z"], Bool[Tensor, " n"]] | None,
) -> None:
    """As `worldloom.ops.voxel_rays.mark_points`, by one thread: neighbouring points share voxels."""
    values = values.contiguous()
    grid, flags = (best, values) if flagged is None else (flagged[0], flagged[1].contiguous().view(torch.uint8))
    _native().mark_points(points.contiguous(), values, flags, voxel_from_points.contiguous(), best, grid)


def _native():
    native = native_module()
    assert native is not None, "the door asks first"
    return native
