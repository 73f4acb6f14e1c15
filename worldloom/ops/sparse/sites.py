"""The active voxels of a batch of grids, as an immutable, checked list."""

import itertools
import math

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.ops.sparse.backend import native_module

_identities = itertools.count()


class Sites:
    """Unique rows (batch, *index) inside `spatial_shape`. Equal means the same object.

    Make one with `Sites.checked` for coordinates from outside; the plain constructor trusts its caller.
    """

    __slots__ = ("_coords", "_version", "batch_size", "key", "spatial_shape")

    def __init__(self, coords: Int32[Tensor, "n columns"], spatial_shape: tuple[int, ...], batch_size: int):
        self._coords = coords = coords.contiguous()
        self._version = coords._version
        self.spatial_shape = spatial_shape
        self.batch_size = batch_size
        self.key = next(_identities)

    @classmethod
    def checked(cls, coords: Tensor, spatial_shape: tuple[int, ...], batch_size: int) -> "Sites":
        """Copy and check coordinates from outside.

        Raises:
            InputError: if dtype or shape is wrong, a row lies outside the grid or the batch, a row repeats, or the grid
                has too many cells to number them in 62 bits.
        """
        shape = tuple(int(size) for size in spatial_shape)
        if not 1 <= len(shape) <= 4 or any(size < 1 for size in shape):
            raise InputError(f"expected a spatial shape of 1 to 4 positive sizes, got {shape}")
        if batch_size < 0:
            raise InputError(f"expected a batch size of at least 0, got {batch_size}")
        check_cells(shape, batch_size)
        if coords.dtype != torch.int32:
            raise InputError(f"expected int32 coords, got {coords.dtype}")
        if coords.ndim != 2 or coords.shape[1] != 1 + len(shape):
            raise InputError(
                f"expected coords of (batch, *index) with {1 + len(shape)} columns for spatial shape {shape}, "
                f"got shape {tuple(coords.shape)}"
            )
        coords = coords.detach().clone(memory_format=torch.contiguous_format)
        outside, repeated = _first_faults(coords, shape, batch_size)
        if outside >= 0:
            raise InputError(
                f"expected coords in batch size {batch_size} and spatial shape {shape}, "
                f"got {coords[outside].tolist()} in row {outside}"
            )
        if repeated >= 0:
            raise InputError(f"expected unique coords, got {coords[repeated].tolist()} again in row {repeated}")
        return cls(coords, shape, batch_size)

    @property
    def coords(self) -> Int32[Tensor, "n columns"]:
        if self._coords._version != self._version:
            raise InputError("expected coords that never change, but they were written to in place")
        return self._coords

    @property
    def ndim(self) -> int:
        return len(self.spatial_shape)

    def __len__(self) -> int:
        return self._coords.shape[0]

    def __repr__(self) -> str:
        return f"Sites({len(self)} of {self.batch_size} x {self.spatial_shape})"

    def cells(self) -> Int64[Tensor, " n"]:
        """Number of each site's cell, batch first, last axis fastest; sorting by it sorts lexicographically."""
        return cells_of(self.coords, self.spatial_shape)

    def same_as(self, other: "Sites") -> bool:
        """The same voxels in the same order."""
        return self is other or (
            self.spatial_shape == other.spatial_shape
            and self.batch_size == other.batch_size
            and torch.equal(self.coords, other.coords)
        )


def cells_of(coords: Int32[Tensor, "n columns"], shape: tuple[int, ...]) -> Int64[Tensor, " n"]:
    """Number the cells of a batch of grids, last axis fastest."""
    cells = coords[:, 0].long()
    for axis, size in enumerate(shape):
        cells = cells * size + coords[:, 1 + axis]
    return cells


def coords_of(cells: Int64[Tensor, " n"], shape: tuple[int, ...]) -> Int32[Tensor, "n columns"]:
    """Invert `cells_of`."""
    columns = []
    for size in reversed(shape):
        columns.append(cells % size)
        cells = cells // size
    return torch.stack([cells, *reversed(columns)], dim=1).int()


def check_cells(shape: tuple[int, ...], batch_size: int) -> None:
    """Refuse a grid whose cells do not fit a 62-bit number."""
    if batch_size * math.prod(shape) > 1 << 62:
        raise InputError(f"expected at most 2^62 cells, got batch size {batch_size} x spatial shape {shape}")
    if max(shape) > 1 << 30:
        raise InputError(f"expected at most 2^30 voxels along an axis, got spatial shape {shape}")


def _first_faults(coords: Int32[Tensor, "n columns"], shape: tuple[int, ...], batch_size: int) -> tuple[int, int]:
    """First row outside the grid and first row that repeats another; -1 for none."""
    native = native_module() if coords.device.type == "cpu" else None
    if native is not None:
        return native.check_sites(coords, shape, batch_size)
    bounds = torch.tensor([batch_size, *shape], device=coords.device)
    outside = ((coords < 0) | (coords >= bounds)).any(dim=1).nonzero()
    if len(outside):
        return int(outside[0]), -1
    order = torch.argsort(cells := cells_of(coords, shape), stable=True)
    repeats = order[1:][cells[order][1:] == cells[order][:-1]]
    return -1, int(repeats.min()) if len(repeats) else -1
