"""Sparse convolution in 1 to 4 dimensions: native CPU kernels, a torch twin, and spconv on a GPU."""

from worldloom.ops.sparse.backend import backends, choose_backend
from worldloom.ops.sparse.conv import (
    SparseConv1d,
    SparseConv2d,
    SparseConv3d,
    SparseConv4d,
    SparseConvTranspose1d,
    SparseConvTranspose2d,
    SparseConvTranspose3d,
    SparseConvTranspose4d,
    SparseInverseConv1d,
    SparseInverseConv2d,
    SparseInverseConv3d,
    SparseInverseConv4d,
    SubMConv1d,
    SubMConv2d,
    SubMConv3d,
    SubMConv4d,
    convolve,
)
from worldloom.ops.sparse.kernel_map import KernelMap, KernelMaps
from worldloom.ops.sparse.norm import SparseGroupNorm, SparseSequential
from worldloom.ops.sparse.pool import SparseAveragePool, SparseMaxPool, average_pool, max_pool
from worldloom.ops.sparse.sites import Sites
from worldloom.ops.sparse.tensor import SparseTensor, cat
from worldloom.ops.sparse.upsample import SparseGenerativeUpsample, Upsampled
from worldloom.ops.sparse.window import Window

__all__ = [
    "KernelMap",
    "KernelMaps",
    "Sites",
    "SparseAveragePool",
    "SparseConv1d",
    "SparseConv2d",
    "SparseConv3d",
    "SparseConv4d",
    "SparseConvTranspose1d",
    "SparseConvTranspose2d",
    "SparseConvTranspose3d",
    "SparseConvTranspose4d",
    "SparseGenerativeUpsample",
    "SparseGroupNorm",
    "SparseInverseConv1d",
    "SparseInverseConv2d",
    "SparseInverseConv3d",
    "SparseInverseConv4d",
    "SparseMaxPool",
    "SparseSequential",
    "SparseTensor",
    "SubMConv1d",
    "SubMConv2d",
    "SubMConv3d",
    "SubMConv4d",
    "Upsampled",
    "Window",
    "average_pool",
    "backends",
    "cat",
    "choose_backend",
    "convolve",
    "max_pool",
]
