"""Random voxels, the engines that can run here, and slow dense convolutions of any dimension to check them against."""

import itertools

import pytest
import torch

from worldloom.ops.sparse import SparseTensor, backends


@pytest.fixture(params=["native", "torch", pytest.param("spconv", marks=pytest.mark.gpu)])
def backend(request):
    """Every engine; one that cannot run here is skipped with its reason."""
    status = next(engine for engine in backends() if engine.name == request.param)
    if not status.available:
        pytest.skip(f"{status.name}: {status.detail}")
    return request.param


@pytest.fixture
def device(backend):
    return "cuda" if backend == "spconv" else "cpu"


@pytest.fixture
def voxels():
    """voxels(shape, channels, batch_size, density, dtype): a dense random tensor, zero outside its active voxels."""

    def make(shape, channels, batch_size=1, density=0.3, dtype=torch.float32, seed=0):
        generator = torch.Generator().manual_seed(seed)
        active = torch.rand(batch_size, *shape, generator=generator) < density
        dense = torch.randn(batch_size, channels, *shape, generator=generator, dtype=torch.float64).to(dtype)
        return dense * active[:, None], active

    return make


@pytest.fixture
def shuffled():
    """shuffled(dense, active): a sparse tensor whose rows are in no particular order, as users may hand them in."""

    def make(dense, active, seed=1):
        order = torch.randperm(int(active.sum()), generator=torch.Generator().manual_seed(seed))
        coords = active.nonzero()[order]
        features = dense.movedim(1, -1)[tuple(coords.T)]
        return SparseTensor(features, coords.int(), active.shape[1:], active.shape[0])

    return make


@pytest.fixture
def dense_conv():
    """dense_conv(dense, weight, window): cross-correlation by an explicit loop over offsets, any dimension."""

    def run(dense, weight, window):
        padded = torch.nn.functional.pad(dense, [p for pad in reversed(window.padding) for p in (pad, pad)])
        sizes = window.strided_shape(tuple(dense.shape[2:]))
        out = dense.new_zeros(dense.shape[0], weight.shape[2], *sizes)
        for k, offset in enumerate(itertools.product(*(range(size) for size in window.kernel))):
            cut = [
                slice(o * d, o * d + (n - 1) * s + 1, s)
                for o, d, n, s in zip(offset, window.dilation, sizes, window.stride, strict=True)
            ]
            out += torch.einsum("bc...,cd->bd...", padded[:, :, *cut], weight[k])
        return out

    return run


@pytest.fixture
def dense_transpose():
    """dense_transpose(dense, weight, window, output_padding): the transposed form, by an explicit loop."""

    def run(dense, weight, window, output_padding):
        shape = window.transposed_shape(tuple(dense.shape[2:]), output_padding)
        padded = [n + 2 * p for n, p in zip(shape, window.padding, strict=True)]
        out = dense.new_zeros(dense.shape[0], weight.shape[2], *padded)
        for k, offset in enumerate(itertools.product(*(range(size) for size in window.kernel))):
            cut = [
                slice(o * d, o * d + (n - 1) * s + 1, s)
                for o, d, n, s in zip(offset, window.dilation, dense.shape[2:], window.stride, strict=True)
            ]
            out[:, :, *cut] += torch.einsum("bc...,cd->bd...", dense, weight[k])
        return out[:, :, *[slice(p, p + n) for p, n in zip(window.padding, shape, strict=True)]]

    return run
