"""Sparse convolution layers in 1 to 4 dimensions: submanifold, strided, transposed and inverse."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.ops.sparse.backend import BACKENDS, choose_backend, load_backend
from worldloom.ops.sparse.kernel_map import KernelMap, Kind
from worldloom.ops.sparse.tensor import SparseTensor
from worldloom.ops.sparse.window import Window, per_axis

Size = int | tuple[int, ...]


def convolve(
    x: SparseTensor,
    weight: Float[Tensor, "k c d"],
    bias: Float[Tensor, " d"] | None,
    kernel_map: KernelMap,
    backend: str = "auto",
) -> SparseTensor:
    """y[i] = bias + sum over k of x[j] @ weight[k], where j is the input that output i meets at offset k.

    Cross-correlation: no flip. Under autocast the features are cast to the weight's dtype.

    Args:
        weight: [K, C_in, C_out]; K counts the kernel offsets, last axis fastest.
        kernel_map: from `x.maps`; its outputs are the sites of the result.
    Raises:
        InputError: if map, features and weight do not fit each other, or the backend cannot take them.
        MissingExtra: if a backend that was asked for is not installed.
    """
    features = x.features
    if features.dtype != weight.dtype and torch.is_autocast_enabled(features.device.type):
        features = features.to(weight.dtype)
    if features.dtype != weight.dtype or features.device != weight.device:
        raise InputError(
            f"expected features and weight alike, got {features.dtype} on {features.device} and "
            f"{weight.dtype} on {weight.device}"
        )
    if features.shape[1] != weight.shape[1] or weight.shape[0] != kernel_map.window.volume:
        raise InputError(
            f"expected {weight.shape[1]} channels and {weight.shape[0]} kernel offsets by the weight, "
            f"got {features.shape[1]} and {kernel_map.window.volume}"
        )
    if not kernel_map.inputs.same_as(x.sites):
        raise InputError(f"expected features on the map's inputs {kernel_map.inputs}, got {x.sites}")
    engine = load_backend(choose_backend(features, backend))
    return SparseTensor.on_sites(engine.convolve(features, weight, bias, kernel_map), kernel_map.outputs, x.maps)


class _Convolution(nn.Module):
    """Weight [K, C_in, C_out], bias and the window, shared by the four kinds of layer."""

    ndim: int

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, bias: bool, backend: str):
        super().__init__()
        if backend not in BACKENDS:
            raise InputError(f"expected backend {', '.join(BACKENDS)}, got {backend!r}")
        if in_channels < 1 or out_channels < 1:
            raise InputError(f"expected at least one channel, got {in_channels} -> {out_channels}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, self.ndim, "kernel_size")
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(math.prod(self.kernel_size), in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(fan in), as torch's own convolutions."""
        bound = 1 / math.sqrt(self.in_channels * len(self.weight))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, backend={self.backend!r}"

    def _find_map(
        self,
        x: SparseTensor,
        window: Window,
        kind: Kind,
        indice_key: str | None,
        output_padding: tuple[int, ...] = (),
    ) -> KernelMap:
        return x.maps.find(x.sites, window, kind, output_padding, indice_key, use_native=self.backend != "torch")


class _SubMConv(_Convolution):
    """Submanifold convolution: outputs live on the input's sites (Graham et al. 2018)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        dilation: Size = 1,
        bias: bool = True,
        indice_key: str | None = None,
        backend: str = "auto",
    ):
        super().__init__(in_channels, out_channels, kernel_size, bias, backend)
        self.indice_key = indice_key
        self.window = Window.centred(self.kernel_size, per_axis(dilation, self.ndim, "dilation"))

    def forward(self, x: SparseTensor) -> SparseTensor:
        kernel_map = self._find_map(x, self.window, "submanifold", self.indice_key)
        return convolve(x, self.weight, self.bias, kernel_map, self.backend)


class _SparseConv(_Convolution):
    """Strided convolution: an output wherever the window holds an active voxel, sorted lexicographically."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
        indice_key: str | None = None,
        backend: str = "auto",
    ):
        super().__init__(in_channels, out_channels, kernel_size, bias, backend)
        self.indice_key = indice_key
        self.window = Window(
            self.kernel_size,
            per_axis(stride, self.ndim, "stride"),
            per_axis(padding, self.ndim, "padding"),
            per_axis(dilation, self.ndim, "dilation"),
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        kernel_map = self._find_map(x, self.window, "strided", self.indice_key)
        return convolve(x, self.weight, self.bias, kernel_map, self.backend)


class _SparseConvTranspose(_Convolution):
    """Transposed convolution: every active voxel feeds output = input * stride - padding + k * dilation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
        indice_key: str | None = None,
        backend: str = "auto",
    ):
        super().__init__(in_channels, out_channels, kernel_size, bias, backend)
        self.indice_key = indice_key
        self.output_padding = per_axis(output_padding, self.ndim, "output_padding")
        self.window = Window(
            self.kernel_size,
            per_axis(stride, self.ndim, "stride"),
            per_axis(padding, self.ndim, "padding"),
            per_axis(dilation, self.ndim, "dilation"),
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        kernel_map = self._find_map(x, self.window, "transposed", self.indice_key, self.output_padding)
        return convolve(x, self.weight, self.bias, kernel_map, self.backend)


class _SparseInverseConv(_Convolution):
    """Undo the sites of the strided layer (or pooling) that left its map under `indice_key`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        indice_key: str,
        bias: bool = True,
        backend: str = "auto",
    ):
        super().__init__(in_channels, out_channels, kernel_size, bias, backend)
        self.indice_key = indice_key

    def forward(self, x: SparseTensor) -> SparseTensor:
        forward_map = x.maps.named(self.indice_key)
        if forward_map.window.kernel != self.kernel_size:
            raise InputError(
                f"expected kernel size {forward_map.window.kernel} of the layer paired by indice_key "
                f"{self.indice_key!r}, got {self.kernel_size}"
            )
        return convolve(x, self.weight, self.bias, forward_map.inverse(), self.backend)


class SubMConv1d(_SubMConv):
    """Submanifold convolution over 1 axis: outputs exactly at the input's sites."""

    ndim = 1


class SubMConv2d(_SubMConv):
    """Submanifold convolution over 2 axes: outputs exactly at the input's sites."""

    ndim = 2


class SubMConv3d(_SubMConv):
    """Submanifold convolution over 3 axes: outputs exactly at the input's sites."""

    ndim = 3


class SubMConv4d(_SubMConv):
    """Submanifold convolution over 4 axes: outputs exactly at the input's sites."""

    ndim = 4


class SparseConv1d(_SparseConv):
    """Strided convolution over 1 axis: an output wherever the window holds an active voxel, sorted."""

    ndim = 1


class SparseConv2d(_SparseConv):
    """Strided convolution over 2 axes: an output wherever the window holds an active voxel, sorted."""

    ndim = 2


class SparseConv3d(_SparseConv):
    """Strided convolution over 3 axes: an output wherever the window holds an active voxel, sorted."""

    ndim = 3


class SparseConv4d(_SparseConv):
    """Strided convolution over 4 axes: an output wherever the window holds an active voxel, sorted."""

    ndim = 4


class SparseConvTranspose1d(_SparseConvTranspose):
    """Transposed convolution over 1 axis: an output wherever an active voxel reaches, sorted."""

    ndim = 1


class SparseConvTranspose2d(_SparseConvTranspose):
    """Transposed convolution over 2 axes: an output wherever an active voxel reaches, sorted."""

    ndim = 2


class SparseConvTranspose3d(_SparseConvTranspose):
    """Transposed convolution over 3 axes: an output wherever an active voxel reaches, sorted."""

    ndim = 3


class SparseConvTranspose4d(_SparseConvTranspose):
    """Transposed convolution over 4 axes: an output wherever an active voxel reaches, sorted."""

    ndim = 4


class SparseInverseConv1d(_SparseInverseConv):
    """Inverse of the strided layer with the same `indice_key` over 1 axis: outputs at that layer's inputs."""

    ndim = 1


class SparseInverseConv2d(_SparseInverseConv):
    """Inverse of the strided layer with the same `indice_key` over 2 axes: outputs at that layer's inputs."""

    ndim = 2


class SparseInverseConv3d(_SparseInverseConv):
    """Inverse of the strided layer with the same `indice_key` over 3 axes: outputs at that layer's inputs."""

    ndim = 3


class SparseInverseConv4d(_SparseInverseConv):
    """Inverse of the strided layer with the same `indice_key` over 4 axes: outputs at that layer's inputs."""

    ndim = 4
