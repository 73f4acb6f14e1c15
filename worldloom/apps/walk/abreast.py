"""Several futures of one moment side by side: each around its own ego, all egos in a row and facing the same way."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Gaussians, Occupancy, VoxelGrid
from worldloom.render import gaussians_from_occupancy
from worldloom.render.ego_marks import ego_splats, ground_height

WIDTH, GAP = 48.0, 8.0  # metres across the road that are shown of each, and between two of them
_KEPT = 2  # frames: those of one moment are a million splats


class Abreast:
    """See the module. The frame i holds the i-th of every future; the first future stands on the left.

    Raises:
        InputError: no future, or futures of different lengths.
    """

    def __init__(self, futures: Sequence[Occupancy]) -> None:
        lengths = sorted({len(future) for future in futures})
        if len(lengths) != 1:
            raise InputError(f"expected futures of one length to show side by side, got {lengths or 'none'}")
        self._futures, self._length = futures, lengths[0]
        self._drawn = lru_cache(maxsize=_KEPT)(self._draw)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, frame: int) -> Gaussians:
        return self._drawn(frame)

    @property
    def places(self) -> tuple[float, ...]:
        """y of each ego, metres."""
        middle = (len(self._futures) - 1) / 2
        return tuple((middle - i) * (WIDTH + GAP) for i in range(len(self._futures)))

    def _draw(self, frame: int) -> Gaussians:
        parts = []
        for future, y in zip(self._futures, self.places, strict=True):
            ground = ground_height(future.labels[frame], future.grid)
            around = Gaussians.cat([gaussians_from_occupancy(*_strip(future, frame)), ego_splats(ground)])
            parts.append(replace(around, means=around.means + torch.tensor([0.0, y, 0.0])))
        return Gaussians.cat(parts)


def _strip(clip: Occupancy, frame: int) -> tuple[UInt8[Tensor, "x y z"], VoxelGrid]:
    """The labels that are less than WIDTH / 2 to the left or right of the ego."""
    grid = clip.grid
    y = grid.origin[1] + (torch.arange(grid.shape[1]) + 0.5) * grid.voxel_size
    inside = (y.abs() < WIDTH / 2).nonzero()[:, 0]
    first, last = int(inside[0]), int(inside[-1])
    origin = (grid.origin[0], grid.origin[1] + first * grid.voxel_size, grid.origin[2])
    shape = (grid.shape[0], last + 1 - first, grid.shape[2])
    return clip.labels[frame, :, first : last + 1], VoxelGrid(origin, grid.voxel_size, shape)
