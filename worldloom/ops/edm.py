"""Diffusion as in EDM (Karras et al. 2022): x_sigma = x + sigma * noise, and a preconditioned denoiser.

Noise levels `sigma` may differ per sample, frame or token: their axes are the leading axes of x (see `align_levels`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.ops.levels import align_levels


@dataclass(frozen=True)
class Preconditioning:
    """What multiplies the network's input, skip and output at noise level sigma (Karras et al. 2022, Table 1).

    s^2 = sigma^2 + sigma_offset^2, c_skip = sigma_data^2 / (s^2 + sigma_data^2), c_out = s sqrt(c_skip),
    c_in = 1 / sqrt(s^2 + sigma_data^2), c_noise = ln(s) / 4.
    """

    sigma_data: float = 0.5  # standard deviation of the data
    sigma_offset: float = 0.0  # of extra noise that is constant over an image (Alonso et al. 2024 use 0.3)

    def __post_init__(self) -> None:
        if not (self.sigma_data > 0 and self.sigma_offset >= 0):
            raise ValueError(f"need sigma_data > 0 and sigma_offset >= 0, got {self.sigma_data}, {self.sigma_offset}")

    def total(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        """s, the deviation of all noise together."""
        return (sigma**2 + self.sigma_offset**2).sqrt()

    def c_skip(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        return self.sigma_data**2 / (self.total(sigma) ** 2 + self.sigma_data**2)

    def c_out(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        return self.total(sigma) * self.c_skip(sigma).sqrt()

    def c_in(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        return (self.total(sigma) ** 2 + self.sigma_data**2).rsqrt()

    def c_noise(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        return self.total(sigma).log() / 4

    def loss_weight(self, sigma: Float[Tensor, "*level"]) -> Float[Tensor, "*level"]:
        """lambda(sigma) = 1 / c_out^2: squared error of the denoiser becomes squared error of the network."""
        return 1 / self.c_out(sigma) ** 2


def add_noise(
    x: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
    sigma: Float[Tensor, "*level"],
    offset: Float[Tensor, "*#shape"] | None = None,
) -> Float[Tensor, "*shape"]:
    """x + sigma noise, plus `offset`: noise of deviation sigma_offset that is shared along its axes of length 1."""
    noisy = x + align_levels(sigma, x) * noise
    return noisy if offset is None else noisy + offset


def denoise(
    network: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    sigma: Float[Tensor, "*level"],
    preconditioning: Preconditioning,
) -> Float[Tensor, "*shape"]:
    """D(x; sigma) = c_skip x + c_out F(c_in x, c_noise), Eq. 7. The network F gets c_noise in sigma's shape."""
    p = preconditioning
    inner = network(align_levels(p.c_in(sigma), x) * x, p.c_noise(sigma))
    return align_levels(p.c_skip(sigma), x) * x + align_levels(p.c_out(sigma), x) * inner


def network_target(
    x: Float[Tensor, "*shape"],
    noisy: Float[Tensor, "*shape"],
    sigma: Float[Tensor, "*level"],
    preconditioning: Preconditioning,
) -> Float[Tensor, "*shape"]:
    """(x - c_skip noisy) / c_out, what F should say; plain squared error to it is the weighted loss of Eq. 8."""
    p = preconditioning
    return (x - align_levels(p.c_skip(sigma), x) * noisy) / align_levels(p.c_out(sigma), x)


def training_levels(
    shape: tuple[int, ...],
    generator: torch.Generator,
    mean: float = -0.4,
    std: float = 1.2,
    sigma_min: float = 2e-3,
    sigma_max: float = 20.0,
) -> Float[Tensor, "*level"]:
    """ln sigma ~ N(mean, std^2), clipped to [sigma_min, sigma_max]."""
    log_sigma = mean + std * torch.randn(shape, generator=generator, device=generator.device)
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def noise_levels(
    num_steps: int, sigma_min: float = 2e-3, sigma_max: float = 5.0, rho: float = 7.0
) -> Float[Tensor, " s"]:
    """Noise levels for few-step sampling, falling from sigma_max to sigma_min, then 0.

    sigma_i = (sigma_max^(1/rho) + i / (num_steps - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, Eq. 5.

    Args:
        num_steps: Euler steps; 1 gives (sigma_max, 0).
        sigma_min, sigma_max: standard deviation of the noise, in units of normalised latents.
    Returns:
        num_steps + 1 levels in float64. The last is exactly 0.
    """
    if num_steps < 1 or not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"need num_steps >= 1 and 0 < sigma_min < sigma_max, got {num_steps}, {sigma_min}, {sigma_max}"
        )
    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    levels[0] = sigma_max  # not a rounding error beside it: callers scale their noise by this number
    return torch.cat([levels, levels.new_zeros(1)])


def sample(
    denoiser: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    sigmas: Float[Tensor, "s *level"],
    method: Literal["euler", "heun"] = "euler",
) -> Float[Tensor, "*shape"]:
    """Integrate dx/dsigma = (x - denoiser(x, sigma)) / sigma from sigmas[0] down to sigmas[-1] (Algorithm 1).

    Args:
        denoiser: called with x and one row of `sigmas`; estimates the clean data.
        x: the start, noise of deviation sigmas[0].
        sigmas: num_steps + 1 rows; one number each, or one for each sample, frame or token.
        method: "euler" (first order) or "heun" (second order; its step to sigma = 0 is Euler's, as there the slope
            is not defined).
    """
    for sigma, sigma_next in pairwise(sigmas.to(x.device)):
        step = align_levels(sigma_next - sigma, x)
        slope = _slope(denoiser, x, sigma)
        if method == "heun" and bool((sigma_next > 0).any()):
            corrected = (slope + _slope(denoiser, x + step * slope, sigma_next)) / 2
            slope = torch.where(align_levels(sigma_next, x) > 0, corrected, slope)
        x = x + step * slope
    return x


def _slope(denoiser: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor) -> Tensor:
    """(x - D(x; sigma)) / sigma, and 0 for clean entries."""
    level = align_levels(sigma, x)
    return torch.where(level > 0, (x - denoiser(x, sigma)) / torch.where(level > 0, level, 1), 0)
