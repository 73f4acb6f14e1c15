"""Noise levels, one for all or one for each sample, frame or token, and how they meet the array they belong to."""

from jaxtyping import Float
from torch import Tensor


def align_levels(level: Float[Tensor, "*level"], x: Float[Tensor, "*shape"]) -> Float[Tensor, "*aligned"]:
    """`level` with axes of length 1 appended, so that its axes are the leading axes of x; in x's dtype and device.

    Raises:
        ValueError: where an axis of `level` is neither 1 nor that of x.
    """
    fits = level.ndim <= x.ndim and all(m in (1, n) for m, n in zip(level.shape, x.shape, strict=False))
    if not fits:
        raise ValueError(f"levels of shape {tuple(level.shape)} are not the leading axes of {tuple(x.shape)}")
    return level.reshape(*level.shape, *[1] * (x.ndim - level.ndim)).to(x)
