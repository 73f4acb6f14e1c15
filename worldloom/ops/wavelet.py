"""Haar wavelets as a patchifier: neighbours become their sum and their difference, in channels, and nothing is lost.

The first layer of Cosmos' tokenizers (NVIDIA 2025, "Cosmos World Foundation Model Platform"): in time it is causal, so
that a frame changes no code before its own, and a single frame is a video.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def haar(x: Float[Tensor, "*b c t h w"], over: Sequence[int] = (-2, -1)) -> Float[Tensor, "*b c2 t2 h2 w2"]:
    """One level: half as long along each axis of `over`, with twice the channels for each; orthonormal.

    Channels are those of all sums first, of all differences along the last axis of `over` last.

    Args:
        over: of the axes t, h, w (-3, -2, -1), those to halve; even in length.
    """
    for axis in over:
        if x.shape[axis] % 2:
            raise ValueError(f"expected an even length along axis {axis}, got {x.shape[axis]}")
        even, odd = (x.index_select(axis, torch.arange(k, x.shape[axis], 2, device=x.device)) for k in (0, 1))
        x = torch.cat([even + odd, even - odd], -4) / math.sqrt(2)
    return x


def inverse_haar(x: Float[Tensor, "*b c2 t2 h2 w2"], over: Sequence[int] = (-2, -1)) -> Float[Tensor, "*b c t h w"]:
    """What `haar` was made of."""
    for axis in reversed(over):
        low, high = x.chunk(2, -4)
        x = torch.stack([low + high, low - high], x.ndim + axis + 1) / math.sqrt(2)
        x = x.flatten(x.ndim + axis - 1, x.ndim + axis)
    return x


def causal_haar(x: Float[Tensor, "*b c t h w"], levels: int = 1) -> Float[Tensor, "*b c2 t2 h2 w2"]:
    """So many levels over time, height and width; of 1 + k 2^levels frames 1 + k are left.

    The first frame is repeated, so that it stands alone: code i is of frames up to i 2^levels, and of none after.
    """
    t, step = x.shape[-3], 2**levels
    if (t - 1) % step:
        raise ValueError(f"expected 1 + k x {step} frames, got {t}")
    x = torch.cat([x[..., :1, :, :].expand(*x.shape[:-3], step - 1, *x.shape[-2:]), x], -3)
    for _ in range(levels):
        x = haar(x, (-3, -2, -1))
    return x


def inverse_causal_haar(x: Float[Tensor, "*b c2 t2 h2 w2"], levels: int = 1) -> Float[Tensor, "*b c t h w"]:
    """What `causal_haar` was made of."""
    for _ in range(levels):
        x = inverse_haar(x, (-3, -2, -1))
    return x[..., 2**levels - 1 :, :, :]
