"""Max and average pooling over the active voxels of a window."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.ops.sparse.conv import Size
from worldloom.ops.sparse.kernel_map import KernelMap
from worldloom.ops.sparse.tensor import SparseTensor
from worldloom.ops.sparse.window import Window, per_axis


def max_pool(features: Float[Tensor, "n c"], kernel_map: KernelMap) -> Float[Tensor, "m c"]:
    """The largest active value of each window and channel. Gradient goes to the first of equal values."""
    if not len(kernel_map.outputs):
        return features[:0]
    return features.gather(0, _row_of_largest(features.detach(), kernel_map))


def average_pool(features: Float[Tensor, "n c"], kernel_map: KernelMap) -> Float[Tensor, "m c"]:
    """The mean of the active values of each window."""
    table = kernel_map.neighbours
    total = features.new_zeros(len(table), features.shape[1])
    for k in range(table.shape[1]):
        rows = (table[:, k] >= 0).nonzero()[:, 0]
        total = total.index_add(0, rows, features[table[rows, k].long()])
    return total / (table >= 0).sum(dim=1, keepdim=True)


def _row_of_largest(features: Float[Tensor, "n c"], kernel_map: KernelMap) -> Int64[Tensor, "m c"]:
    table = kernel_map.neighbours
    first = (table >= 0).int().argmax(dim=1)  # every output of a strided map has an active input
    source = table.gather(1, first[:, None]).long().expand(-1, features.shape[1]).clone()
    best = features.gather(0, source)
    for k in range(table.shape[1]):
        rows = (table[:, k] >= 0).nonzero()[:, 0]
        candidate = table[rows, k].long()
        value = features[candidate]
        better = (value > best[rows]) | value.isnan()  # a NaN wins, and stays
        best[rows] = torch.where(better, value, best[rows])
        source[rows] = torch.where(better, candidate[:, None], source[rows])
    return source


class _SparsePool(nn.Module):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ndim: int = 3,
        indice_key: str | None = None,
    ):
        super().__init__()
        if not 1 <= ndim <= 4:
            raise InputError(f"expected 1 to 4 axes, got {ndim}")
        self.window = Window(
            per_axis(kernel_size, ndim, "kernel_size"),
            per_axis(kernel_size if stride is None else stride, ndim, "stride"),
            per_axis(padding, ndim, "padding"),
            per_axis(dilation, ndim, "dilation"),
        )
        self.indice_key = indice_key

    def _pool(self, features: Tensor, kernel_map: KernelMap) -> Tensor:
        raise NotImplementedError

    def forward(self, x: SparseTensor) -> SparseTensor:
        kernel_map = x.maps.find(x.sites, self.window, "strided", indice_key=self.indice_key)
        return SparseTensor.on_sites(self._pool(x.features, kernel_map), kernel_map.outputs, x.maps)


class SparseMaxPool(_SparsePool):
    """Largest active value of each window; an output wherever the window holds an active voxel."""

    def _pool(self, features: Tensor, kernel_map: KernelMap) -> Tensor:
        return max_pool(features, kernel_map)


class SparseAveragePool(_SparsePool):
    """Mean of the active values of each window; an output wherever the window holds an active voxel."""

    def _pool(self, features: Tensor, kernel_map: KernelMap) -> Tensor:
        return average_pool(features, kernel_map)
