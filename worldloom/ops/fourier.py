"""Scalars as vectors that a network can read: Fourier features and their embedding."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def fourier_features(
    x: Float[Tensor, "*batch"], num_frequencies: int, min_period: float, max_period: float
) -> Float[Tensor, "*batch {2*num_frequencies}"]:
    """cos and sin of 2 pi x / period, with periods in geometric steps from max_period down to min_period."""
    if num_frequencies < 2 or not 0 < min_period < max_period:
        got = f"{num_frequencies}, {min_period}, {max_period}"
        raise ValueError(f"need num_frequencies >= 2 and 0 < min_period < max_period, got {got}")
    ramp = torch.linspace(0, 1, num_frequencies, device=x.device)
    rates = 2 * math.pi / max_period * (max_period / min_period) ** ramp
    angles = x.float()[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class ScalarEmbedding(nn.Module):
    """A few scalars (flow time, log sigma, a motion step) as one vector: Fourier features, then a small MLP."""

    def __init__(
        self, num_scalars: int, width: int, min_period: float, max_period: float, num_frequencies: int = 32
    ) -> None:
        """Periods are in the unit of the scalars: twice their range, down to twice what must be told apart."""
        super().__init__()
        self.periods = (min_period, max_period)
        self.num_frequencies = num_frequencies
        inner = num_scalars * (2 * num_frequencies + 1)
        self.mlp = nn.Sequential(nn.Linear(inner, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, scalars: Float[Tensor, "*batch s"]) -> Float[Tensor, "*batch d"]:
        low, high = self.periods
        waves = fourier_features(scalars, self.num_frequencies, low, high).flatten(-2)
        # The value itself rides along, so that a scalar out of its range is not mistaken for one inside.
        features = torch.cat([waves, scalars.float() * (2 / high)], dim=-1)
        return self.mlp(features.to(next(self.parameters()).dtype))
