"""Vector quantization with a codebook that follows the latents (van den Oord et al. 2017, with moving averages)."""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops.quantize import Quantized


@dataclass(frozen=True)
class VQConfig:
    """A codebook and how it moves in training."""

    size: int  # number of codes
    width: int  # channels of a code
    decay: float = 0.99  # of the moving averages, per training call
    commitment: float = 0.25  # weight of the pull of latents to their codes; lower it if details vanish
    dead_share: float = 0.1  # a code used less than this part of its fair share is restarted

    def __post_init__(self) -> None:
        if self.size < 2 or self.width < 1 or not 0 < self.decay < 1 or not 0 <= self.dead_share < 1:
            raise ValueError(f"VQ needs size >= 2, width >= 1, decay in (0, 1), dead_share in [0, 1), got {self}")


class VQ(nn.Module):
    """Nearest-code quantizer. Fill the codebook once with `initialise`; it then moves only in training mode.

    Train the encoder some time without it first, gather its latents, and initialise from those.
    """

    codebook: Float[Tensor, "k d"]
    counts: Float[Tensor, " k"]
    sums: Float[Tensor, "k d"]

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codebook", torch.zeros(config.size, config.width))
        self.register_buffer("counts", torch.zeros(config.size))  # moving average of uses per call; 0: not initialised
        self.register_buffer("sums", torch.zeros(config.size, config.width))

    @torch.no_grad()
    def initialise(self, latents: Float[Tensor, "n d"], generator: torch.Generator, num_rounds: int = 10) -> None:
        """Set the codebook to k-means centres of a buffer of latents (k-means++ start, then Lloyd's rounds).

        Raises:
            ValueError: with fewer latents than codes.
        """
        size = self.config.size
        if len(latents) < size:
            raise ValueError(f"a codebook of {size} needs at least {size} latents to start from, got {len(latents)}")
        latents = latents.float()
        centres = _spread_start(latents, size, generator)
        for _ in range(num_rounds):
            uses, sums = _tally(latents, _nearest(latents, centres), size)
            centres = torch.where(uses[:, None] > 0, sums / uses.clamp(min=1)[:, None], centres)
        uses, _ = _tally(latents, _nearest(latents, centres), size)
        self._restart_at(torch.arange(size, device=centres.device), centres, uses.clamp(min=1))

    def forward(self, latent: Float[Tensor, "*batch d"], generator: torch.Generator | None = None) -> Quantized:
        """Replace each latent by its nearest code; in training also move the codebook.

        Args:
            generator: picks the latents at which dead codes restart; needed in training only.
        """
        if not self.counts.any():
            raise RuntimeError("the codebook is empty: call initialise(latents, generator), or load weights")
        flat = latent.detach().reshape(-1, self.config.width).float()
        nearest = _nearest(flat, self.codebook)
        indices = nearest.reshape(latent.shape[:-1])
        codes = self.codes_from_indices(indices).to(latent.dtype)
        if self.training:
            if generator is None:
                raise ValueError("VQ needs a generator in training, to restart dead codes")
            self._follow(flat, nearest, generator)
        # The sum over max(count, 1) is the mean, and 0 where a sparse batch holds nothing.
        loss = self.config.commitment * (latent - codes).square().sum() / max(latent.numel(), 1)
        return Quantized(codes + (latent - latent.detach()), indices, loss)  # the bracket is 0, it carries the gradient

    def codes_from_indices(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d"]:
        return self.codebook[indices]

    @torch.no_grad()
    def _follow(self, latents: Float[Tensor, "n d"], nearest: Int[Tensor, " n"], generator: torch.Generator) -> None:
        """Move codes to the moving average of their latents, then restart those that hardly any latent chose."""
        uses, sums = _tally(latents, nearest, self.config.size)
        decay = self.config.decay
        self.counts.mul_(decay).add_(uses, alpha=1 - decay)
        self.sums.mul_(decay).add_(sums, alpha=1 - decay)
        self.codebook.copy_(self.sums / self.counts.clamp(min=1e-12)[:, None])
        fair = self.counts.mean()
        dead = (self.counts < self.config.dead_share * fair).nonzero()[:, 0]
        # Restart where the codebook serves worst: that is how a small class gets its code.
        errors = (latents - self.codebook[nearest]).square().sum(-1)
        dead = dead[: int((errors > 0).sum())]
        if len(dead):
            chosen = torch.multinomial(errors, len(dead), generator=generator)
            self._restart_at(dead, latents[chosen], fair.expand(len(dead)))

    def _restart_at(self, which: Int[Tensor, " m"], places: Float[Tensor, "m d"], counts: Float[Tensor, " m"]) -> None:
        self.codebook[which] = places
        self.counts[which] = counts
        self.sums[which] = places * counts[:, None]


def _nearest(latents: Float[Tensor, "n d"], codes: Float[Tensor, "k d"]) -> Int[Tensor, " n"]:
    """argmin over codes of |latent - code|^2; the latent's own square does not change it."""
    return (codes.square().sum(-1) - 2 * latents @ codes.T).argmin(-1)


def _tally(
    latents: Float[Tensor, "n d"], nearest: Int[Tensor, " n"], size: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Uses and sum of latents of each code, by a matrix product: its order of summation is fixed on every device."""
    hot = F.one_hot(nearest, size).to(latents)
    return hot.sum(0), rearrange(hot, "n k -> k n") @ latents


def _spread_start(latents: Float[Tensor, "n d"], size: int, generator: torch.Generator) -> Float[Tensor, "k d"]:
    """k-means++ (Arthur & Vassilvitskii 2007): each centre is drawn with weight = squared distance to the nearest."""
    first = torch.randint(len(latents), (1,), generator=generator, device=latents.device)
    centres = [latents[first[0]]]
    gaps = (latents - centres[0]).square().sum(-1)
    for _ in range(size - 1):
        # Equal latents leave no gap to draw from; then any will do, and the restarts sort it out.
        weights = gaps if gaps.sum() > 0 else torch.ones_like(gaps)
        centres.append(latents[torch.multinomial(weights, 1, generator=generator)[0]])
        gaps = torch.minimum(gaps, (latents - centres[-1]).square().sum(-1))
    return torch.stack(centres)
