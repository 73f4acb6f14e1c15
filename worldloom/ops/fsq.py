"""Finite scalar quantization: a codebook that is a grid, with nothing to learn (Mentzer et al. 2023)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.ops.quantize import Quantized


@dataclass(frozen=True)
class FSQ:
    """Rounds each channel of a latent to one of a few levels; codes lie in [-1, 1].

    The paper advises about: 2^8 codes (8, 6, 5), 2^10 (8, 5, 5, 5), 2^12 (7, 5, 5, 5, 5), 2^14 (8, 8, 8, 6, 5).
    """

    levels: tuple[int, ...]  # levels of each channel; 3 or more (two levels have no middle to round around)

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 3:
            raise ValueError(f"FSQ needs at least one channel and 3 levels in each, got {self.levels}")
        if math.prod(self.levels) > 2**62:
            raise ValueError(f"FSQ indices must fit 62 bits, got levels {self.levels}")

    @property
    def size(self) -> int:
        """Number of codes."""
        return math.prod(self.levels)

    def quantize(self, latent: Float[Tensor, "*batch d"]) -> Quantized:
        """Round the bounded latent; the gradient is that of the bound alone (straight-through)."""
        bounded = self.bound(latent)
        digits = bounded.detach().round() + (bounded - bounded.detach())  # the bracket is 0 and carries the gradient
        codes = digits / self._tensor([n // 2 for n in self.levels], latent)
        return Quantized(codes, self.indices_from_codes(codes.detach()), latent.new_zeros(()))

    def bound(self, latent: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Squash channels so that rounding gives exactly `levels` integers: -2 … 2 for 5, -4 … 3 for 8; 0 stays 0.

        half tanh(z + shift) - offset, with offset 1/2 for an even number of levels. The paper's shift is
        tan(offset / half), which misses the zero by a little; atanh meets it.
        """
        if latent.shape[-1] != len(self.levels):
            raise ValueError(f"latent must have {len(self.levels)} channels, got {latent.shape[-1]}")
        # The outermost levels reach a thousandth past their integer, so that saturated channels round to it.
        half = self._tensor([(n - 1) * 1.001 / 2 for n in self.levels], latent)
        offset = self._tensor([0.0 if n % 2 else 0.5 for n in self.levels], latent)
        return half * torch.tanh(latent + torch.atanh(offset / half)) - offset

    def indices_from_codes(self, codes: Float[Tensor, "*batch d"]) -> Int[Tensor, "*batch"]:
        """Mixed-radix number of the code, first channel fastest, lowest level 0."""
        halves = self._tensor([n // 2 for n in self.levels], codes)
        digits = (codes * halves + halves).round().long()
        return (digits * self._places(codes.device)).sum(-1)

    def codes_from_indices(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d"]:
        """The inverse of indices_from_codes, in float32."""
        levels = torch.tensor(self.levels, device=indices.device)
        digits = indices[..., None] // self._places(indices.device) % levels
        return (digits - levels // 2) / (levels // 2)

    def _places(self, device: torch.device) -> Int[Tensor, " d"]:
        return torch.tensor([math.prod(self.levels[:i]) for i in range(len(self.levels))], device=device)

    def _tensor(self, values: list[float] | list[int], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device)
