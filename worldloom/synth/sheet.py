"""A raster over the world's x-y plane: which cell a point is in, and which cells an outline covers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

Ring = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class Sheet:
    """A raster over the world's x-y plane. Cell (i, j) covers origin + cell * [i, i + 1) x [j, j + 1)."""

    origin: tuple[float, float]
    cell: float
    shape: tuple[int, int]

    def index(self, xy: Float[Tensor, "*n 2"]) -> tuple[Int[Tensor, "*n"], Int[Tensor, "*n"]]:
        """Cells of points; points outside get the nearest cell."""
        ij = torch.floor((xy.double() - torch.tensor(self.origin, dtype=torch.float64)) / self.cell).long()
        return ij[..., 0].clamp(0, self.shape[0] - 1), ij[..., 1].clamp(0, self.shape[1] - 1)

    def covered(self, rings: Iterable[Ring]) -> Int[Tensor, " n"]:
        """Cells (i * shape[1] + j) whose centre lies inside: where the rings wind about it, not counting to 0.

        A counter-clockwise ring counts +1, a clockwise one -1: rings may overlap, and holes of polygons are clockwise.
        Each row of cells along y is crossed by some edges; between crossings the winding number is constant.
        """
        starts, ends = [], []
        for ring in rings:
            local = (ring - np.array(self.origin)) / self.cell - 0.5  # centres of cells at whole numbers
            starts.append(local)
            ends.append(np.roll(local, -1, axis=0))
        if not starts:
            return torch.zeros(0, dtype=torch.int64)
        a, b = np.concatenate(starts), np.concatenate(ends)
        low = np.clip(np.ceil(np.minimum(a[:, 0], b[:, 0])), 0, self.shape[0]).astype(np.int64)
        count = np.clip(np.ceil(np.maximum(a[:, 0], b[:, 0])), 0, self.shape[0]).astype(np.int64) - low
        edge, step = _spans(count)
        i = low[edge] + step
        share = (i - a[edge, 0]) / (b[edge, 0] - a[edge, 0])
        j = np.clip(np.ceil(a[edge, 1] + share * (b[edge, 1] - a[edge, 1])), 0, self.shape[1]).astype(np.int64)
        # Going towards +x, a counter-clockwise ring has its inside on the left, at larger y.
        sign = np.where(b[edge, 0] > a[edge, 0], 1, -1)
        order = np.argsort(i * (self.shape[1] + 1) + j, kind="stable")
        i, j, winding = i[order], j[order], np.cumsum(sign[order])  # 0 again at the end of each row
        length = np.where(winding[:-1] != 0, j[1:] - j[:-1], 0)
        span, step = _spans(length)
        return torch.from_numpy(i[span] * self.shape[1] + j[span] + step)


def _spans(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For runs of the given lengths, laid end to end: which run each element belongs to, and its place therein."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
