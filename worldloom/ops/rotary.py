"""Rotary positions along one to four axes (RoPE, Su et al. 2021): attention then sees only differences of position."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotary_angles(
    positions: Float[Tensor, "*batch l axes"], head_width: int, base: float = 100.0
) -> Float[Tensor, "*batch l pairs"]:
    """Angles by which each channel pair of a head turns, for tokens at `positions`.

    The head_width / 2 pairs are shared out to the axes as evenly as possible, earlier axes first; pair i of the n
    pairs of an axis turns by position * base^(-i / n).

    Args:
        positions: coordinates in any unit in which neighbours are about 1 apart: indices, or metres and seconds over
            the grid step.
        base: the slowest pair turns about base times slower than the fastest; choose it near the number of positions.
    """
    pairs, axes = head_width // 2, positions.shape[-1]
    if head_width % 2 or pairs < axes:
        raise ValueError(f"{axes} axes need an even head width of at least {2 * axes}, got {head_width}")
    angles = []
    for i, position in enumerate(positions.float().unbind(-1)):
        n = pairs // axes + (i < pairs % axes)
        rates = base ** (-torch.arange(n, device=positions.device) / n)
        angles.append(position[..., None] * rates)
    return torch.cat(angles, dim=-1)


def rotate(x: Float[Tensor, "*batch l d"], angles: Float[Tensor, "*#batch l pairs"]) -> Float[Tensor, "*batch l d"]:
    """Turn channel pairs (i, i + d / 2) of x by `angles`, in float32."""
    a, b = x.float().chunk(2, dim=-1)
    c, s = angles.cos(), angles.sin()
    return torch.cat([a * c - b * s, a * s + b * c], dim=-1).to(x.dtype)


def grid_positions(*shape: int) -> Float[Tensor, "l axes"]:
    """Index positions of a grid of tokens, last axis fastest: grid_positions(t, h, w) for tokens in order (t h w)."""
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
