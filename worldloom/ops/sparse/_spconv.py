"""The door to CUDA: spconv-triton, or spconv, run our kernel maps through their masked implicit GEMM.

Only this file knows their layouts: weights [C_out, K, C_in], neighbour tables [K, n], and for each row a bit mask of
its offsets, with the rows sorted by it. Both packages share these names (spconv 2.3.8, spconv-triton 1.0.0).
Checked against a stand-in for their kernel and their signatures; not yet run on a GPU.
"""

import importlib
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from worldloom.ops.sparse import _torch
from worldloom.ops.sparse.backend import spconv_module_name
from worldloom.ops.sparse.kernel_map import KernelMap


def convolve(
    features: Float[Tensor, "n c"],
    weight: Float[Tensor, "k c d"],
    bias: Float[Tensor, " d"] | None,
    kernel_map: KernelMap,
) -> Float[Tensor, "m d"]:
    """y[i] = bias + sum_k x[neighbours[i, k]] @ weight[k] on the GPU."""
    if not len(kernel_map.inputs) or not len(kernel_map.outputs) or len(weight) == 1:
        # They refuse empty tensors and have no kernel for one offset, where the twin is one gather and one matmul.
        return _torch.convolve(features, weight, bias, kernel_map)
    if "spconv" not in kernel_map.engine:
        kernel_map.engine["spconv"] = (_gather_table(kernel_map.neighbours), _gather_table(kernel_map.reverse))
    (forward, forward_mask, forward_order), (backward, backward_mask, backward_order) = kernel_map.engine["spconv"]
    out = functional().implicit_gemm(
        features.contiguous(),
        spconv_from_weight(weight),
        forward,
        backward,
        [forward_mask],
        [backward_mask],
        [forward_order],
        [backward_order],
        len(kernel_map.outputs),
        [np.array([0xFFFFFFFF], dtype=np.uint32)],
        True,  # is_train: a backward pass may follow
        False,  # is_subm: the reverse table is given, also for submanifold maps
    )
    return out if bias is None else out + bias


def functional() -> ModuleType:
    """Their module of autograd functions."""
    return importlib.import_module(f"{spconv_module_name()}.pytorch.functional")


def spconv_from_weight(
    weight: Float[Tensor, "k c d"], kernel: tuple[int, ...] | None = None
) -> Float[Tensor, "d *kernel c"]:
    """[K, C_in, C_out] to their [C_out, *kernel, C_in], or to [C_out, K, C_in] where no kernel size is given."""
    theirs = weight.permute(2, 0, 1).contiguous()
    return theirs if kernel is None else theirs.unflatten(1, kernel)


def weight_from_spconv(theirs: Float[Tensor, "d *kernel c"]) -> Float[Tensor, "k c d"]:
    """Their [C_out, *kernel, C_in] to our [K, C_in, C_out], to load weights that were trained with spconv."""
    return theirs.flatten(1, -2).permute(1, 2, 0).contiguous()


def _gather_table(
    table: Int32[Tensor, "n k"],
) -> tuple[Int32[Tensor, "k n"], Int32[Tensor, "n words"], Int32[Tensor, " n"]]:
    """Their table, the offset masks (bit k % 32 of word k // 32) sorted, and the row of each sorted mask."""
    present = (table >= 0).long()
    bits = torch.arange(table.shape[1], device=table.device) % 32
    words = torch.stack([part.sum(dim=1) for part in (present << bits).split(32, dim=1)], dim=1)
    order = torch.arange(len(table), device=table.device)
    for word in words.T:  # stable sorts, least significant word first
        order = order[torch.sort(word[order], stable=True).indices]
    masks = words[order]
    masks = torch.where(masks < 1 << 31, masks, masks - (1 << 32)).int()  # their int32 holds the bits of a uint32
    return table.T.contiguous(), masks.contiguous(), order.int()
