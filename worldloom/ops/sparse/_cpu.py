"""The door to the native CPU kernels: float32, gradients included, the same bits at any thread count."""

import torch
from jaxtyping import Float, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

from worldloom.ops.sparse.backend import native_module
from worldloom.ops.sparse.kernel_map import KernelMap

Pairs = tuple[Tensor, Tensor, Tensor]  # start, source, target; see struct Pairs in csrc/sparse_kernels.h


def convolve(
    features: Float[Tensor, "n c"],
    weight: Float[Tensor, "k c d"],
    bias: Float[Tensor, " d"] | None,
    kernel_map: KernelMap,
) -> Float[Tensor, "m d"]:
    """y[i] = bias + sum_k x[neighbours[i, k]] @ weight[k], each output row summed by one thread in a fixed order."""
    return _Convolution.apply(features, weight, bias, kernel_map)


def forward_pairs(kernel_map: KernelMap) -> Pairs:
    """The map as the kernels walk it: pairs grouped by block of output rows, then by offset. Made once."""
    if "pairs" not in kernel_map.engine:
        kernel_map.engine["pairs"] = _pairs(kernel_map.neighbours, len(kernel_map.inputs))
    return kernel_map.engine["pairs"]


def reverse_pairs(kernel_map: KernelMap) -> Pairs:
    """The same for the input gradient, which walks the reverse map."""
    if "reverse_pairs" not in kernel_map.engine:
        kernel_map.engine["reverse_pairs"] = _pairs(kernel_map.reverse, len(kernel_map.outputs))
    return kernel_map.engine["reverse_pairs"]


def _pairs(table: Int32[Tensor, "n k"], num_inputs: int) -> Pairs:
    start, source, target = _native().pairs_of(table, num_inputs, torch.get_num_threads())
    return torch.from_numpy(start), torch.from_numpy(source), torch.from_numpy(target)


def _native():
    native = native_module()
    assert native is not None, "choose_backend comes first"
    return native


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, weight, bias, kernel_map):
        features, weight = features.contiguous(), weight.contiguous()
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        out = features.new_empty(len(kernel_map.outputs), weight.shape[2])
        _native().convolve(
            features.detach(), weight.detach(), None if bias is None else bias.detach().contiguous(),
            *forward_pairs(kernel_map), out, False, False, torch.get_num_threads(),
        )  # fmt: skip
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):  # pyright: ignore[reportIncompatibleMethodOverride]  (the decorator hides the name ctx)
        features, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad, threads = grads[0].contiguous(), torch.get_num_threads()
        grad_features = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_features = torch.empty_like(features)
            # The reverse of a submanifold map is the map itself with the offsets in reverse order.
            pairs = forward_pairs(kernel_map) if kernel_map.mirrored else reverse_pairs(kernel_map)
            _native().convolve(grad, weight, None, *pairs, grad_features, True, kernel_map.mirrored, threads)
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight)
            _native().weight_gradient(features, grad, *forward_pairs(kernel_map), grad_weight, threads)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.new_empty(grad.shape[1])
            _native().column_sum(grad, grad_bias, threads)
        return grad_features, grad_weight, grad_bias, None
