"""Flow matching with straight paths: t = 0 is data, t = 1 is noise, velocity = noise - data.

Flow times `t` may differ per sample, frame or token (diffusion forcing, Chen et al. 2024): the axes of `t` are the
leading axes of `x`, and an axis of length 1 stands for all. For x of shape (b, c, t, h, w), times of shape (b,) are
per sample and (b, 1, t) per frame. Entries whose time does not change between two steps are not touched by
`sample`, so given frames (t = 0 throughout) stay exact and masked modalities (t = 1 throughout) stay pure noise.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.ops.levels import align_levels


def interpolate(
    x: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], t: Float[Tensor, "*level"]
) -> Float[Tensor, "*shape"]:
    """x_t = (1 - t) x + t noise. Lipman et al. 2023 and Liu et al. 2023, with their time reversed."""
    t = align_levels(t, x)
    return (1 - t) * x + t * noise


def velocity_target(x: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """dx_t/dt = noise - x, what the network learns."""
    return noise - x


def data_from_velocity(
    x_t: Float[Tensor, "*shape"], velocity: Float[Tensor, "*shape"], t: Float[Tensor, "*level"]
) -> Float[Tensor, "*shape"]:
    """The data that a velocity points back to: x = x_t - t velocity."""
    return x_t - align_levels(t, x_t) * velocity


def noise_from_velocity(
    x_t: Float[Tensor, "*shape"], velocity: Float[Tensor, "*shape"], t: Float[Tensor, "*level"]
) -> Float[Tensor, "*shape"]:
    """The noise that a velocity points to: noise = x_t + (1 - t) velocity."""
    return x_t + (1 - align_levels(t, x_t)) * velocity


def velocity_from_data(
    x_t: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"], t: Float[Tensor, "*level"]
) -> Float[Tensor, "*shape"]:
    """The velocity of a network that predicts data: (x_t - x) / t, and 0 where t = 0 leaves it open."""
    t = align_levels(t, x_t)
    return torch.where(t > 0, (x_t - x) / torch.where(t > 0, t, 1), 0)


def guide(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], guidance: float
) -> Float[Tensor, "*shape"]:
    """Classifier-free guidance on all channels: unconditional + guidance (conditional - unconditional).

    Guidance 1 is the conditional answer itself. Ho & Salimans 2022; their w is guidance - 1.
    """
    return unconditional + guidance * (conditional - unconditional)


# --- times for training ---


def uniform_times(shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*level"]:
    """t ~ U[0, 1)."""
    return torch.rand(shape, generator=generator, device=generator.device)


def logit_normal_times(
    shape: tuple[int, ...], generator: torch.Generator, mean: float = 0.0, std: float = 1.0
) -> Float[Tensor, "*level"]:
    """logit(t) ~ N(mean, std^2): most weight at medium noise. Esser et al. 2024, Eq. 19."""
    return torch.sigmoid(mean + std * torch.randn(shape, generator=generator, device=generator.device))


def beta_times(shape: tuple[int, ...], generator: torch.Generator, a: float = 3.0) -> Float[Tensor, "*level"]:
    """t ~ Beta(a, 1) by its inverse distribution function u^(1/a); mean a / (a + 1), so a > 1 leans to noise."""
    if not a > 0:
        raise ValueError(f"Beta(a, 1) needs a > 0, got {a}")
    return torch.rand(shape, generator=generator, device=generator.device) ** (1 / a)


# --- times for sampling ---


def shift_times(t: Float[Tensor, "*level"], shift: float) -> Float[Tensor, "*level"]:
    """shift t / (1 + (shift - 1) t): more steps near noise if shift > 1. Esser et al. 2024, Eq. 23."""
    if not shift > 0:
        raise ValueError(f"time shift must be positive, got {shift}")
    return t / (t + (1 - t) / shift)  # the same, written so that 0 and 1 stay exactly


def sampling_times(num_steps: int, shift: float = 1.0) -> Float[Tensor, " s"]:
    """num_steps + 1 times in float64 that fall from exactly 1 to exactly 0, evenly before the shift."""
    if num_steps < 1:
        raise ValueError(f"need num_steps >= 1, got {num_steps}")
    return shift_times(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64), shift)


def hold_times(times: Float[Tensor, " s"], given: Bool[Tensor, "*level"]) -> Float[Tensor, "s *level"]:
    """Times for each frame or token: those `given` stay at 0 (data), the others follow `times`."""
    falling = times.reshape(-1, *[1] * given.ndim)
    return torch.where(given.to(times.device), torch.zeros_like(falling), falling)


def staggered_times(num_steps: int, num_frames: int, lag: int) -> Float[Tensor, "s t"]:
    """Times for each frame of a roll-out in which frame f starts to clear `lag` steps after frame f - 1.

    lag = 0 clears all frames together, lag = num_steps one after another (Chen et al. 2024, pyramid schedule).
    Every frame makes num_steps changes from 1 to 0 within num_steps + lag (num_frames - 1) steps.
    """
    if num_steps < 1 or num_frames < 1 or lag < 0:
        raise ValueError(f"need num_steps >= 1, num_frames >= 1, lag >= 0, got {num_steps}, {num_frames}, {lag}")
    done = torch.arange(num_steps + lag * (num_frames - 1) + 1)[:, None] - lag * torch.arange(num_frames)
    return 1 - done.clamp(0, num_steps).double() / num_steps


def sample(
    velocity: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    times: Float[Tensor, "s *level"],
    method: Literal["euler", "heun"] = "euler",
) -> Float[Tensor, "*shape"]:
    """Integrate dx/dt = velocity(x, t) from times[0] (noise, 1) to times[-1] (data, 0).

    Args:
        velocity: called with x and one row of `times`; may close over any condition.
        x: the start, pure noise where times[0] is 1.
        times: num_steps + 1 rows; one number each, or one for each sample, frame or token.
        method: "euler" calls velocity once a step (first order), "heun" twice (second order).
    """
    for t, t_next in pairwise(times.to(x.device)):
        step = align_levels(t_next - t, x)
        slope = velocity(x, t)
        if method == "heun":
            slope = (slope + velocity(x + step * slope, t_next)) / 2
        x = x + step * slope
    return x
