"""The door to the native kernels: the same bits at any number of threads."""

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from worldloom.ops.sparse.backend import native_module


def look(
    blocked: Bool[Tensor, "x y z"],
    eye: Float[Tensor, " 3"],
    cells: Int64[Tensor, " n"],
    crossed: Bool[Tensor, "x y z"] | None,
    pierce: int,
) -> Bool[Tensor, " n"]:
    """As `worldloom.ops.voxel_rays.look`."""
    seen = torch.empty(len(cells), dtype=torch.bool)
    blocked = blocked.contiguous()
    _native().look(
        blocked.view(torch.uint8), eye.contiguous(), cells.contiguous(), seen.view(torch.uint8),
        (blocked if crossed is None else crossed).view(torch.uint8), crossed is not None, pierce,
        torch.get_num_threads(),
    )  # fmt: skip
    return seen


def mark_points(
    best: UInt8[Tensor, "x y z"],
    points: Float[Tensor, "n 3"],
    values: UInt8[Tensor, " n"],
    voxel_from_points: Float[Tensor, "3 4"],
) -> None:
    """As `worldloom.ops.voxel_rays.mark_points`, by one thread: neighbouring points share voxels."""
    _native().mark_points(points.contiguous(), values.contiguous(), voxel_from_points.contiguous(), best)


def _native():
    native = native_module()
    assert native is not None, "the door asks first"
    return native
