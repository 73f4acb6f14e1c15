"""Gently sloped ground: a smooth height over the plane, and how things stand on it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Relief:
    """A height z(x, y) = sum_k amplitude_k sin(wave_k . (x, y) + phase_k), smooth everywhere.

    The slope never exceeds sum_k amplitude_k |wave_k|: see `max_slope`.
    """

    amplitudes: Float[Tensor, " k"]  # metres
    waves: Float[Tensor, "k 2"]  # radians per metre
    phases: Float[Tensor, " k"]

    @property
    def max_slope(self) -> float:
        """No place is steeper than this (rise over run)."""
        return float((self.amplitudes * self.waves.norm(dim=-1)).sum())

    def height(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
        """Height of the roads' surface in metres."""
        return (self.amplitudes.to(xy) * torch.sin(xy @ self.waves.to(xy).mT + self.phases.to(xy))).sum(-1)

    def gradient(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """(dz/dx, dz/dy)."""
        steep = self.amplitudes.to(xy) * torch.cos(xy @ self.waves.to(xy).mT + self.phases.to(xy))
        return steep @ self.waves.to(xy)

    def world_from_ground(
        self, xy: Float[Tensor, "*n 2"], yaw: Float[Tensor, "*n"], lift: Float[Tensor, "*n"] | float = 0.0
    ) -> Float[Tensor, "*n 4 4"]:
        """A frame that stands on the slope at xy: z along the normal, x downhill or uphill in the direction of yaw.

        Seen from above, the x axis points exactly along yaw. The origin is `lift` metres above the surface.
        """
        gradient = self.gradient(xy)
        heading = torch.stack([yaw.cos(), yaw.sin()], -1)
        x = torch.cat([heading, (heading * gradient).sum(-1, keepdim=True)], -1)
        x = x / x.norm(dim=-1, keepdim=True)
        z = torch.cat([-gradient, torch.ones_like(gradient[..., :1])], -1)
        z = z / z.norm(dim=-1, keepdim=True)
        y = torch.linalg.cross(z, x)
        frame = torch.zeros(*xy.shape[:-1], 4, 4, dtype=xy.dtype)
        frame[..., :3, :3] = torch.stack([x, y, z], -1)
        frame[..., :2, 3] = xy
        frame[..., 2, 3] = self.height(xy) + lift
        frame[..., 3, 3] = 1
        return frame


def make_relief(seed: int, max_slope: float = 0.05) -> Relief:
    """Hills of a few waves, 150 to 500 m long, that together nowhere exceed `max_slope`; some towns are nearly flat."""
    rng = np.random.default_rng((seed, 0x5E11EF))
    count = 5
    lengths = rng.uniform(150, 500, count)
    angles = rng.uniform(0, 2 * math.pi, count)
    waves = (2 * math.pi / lengths)[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    shares = rng.dirichlet(np.ones(count)) * max_slope * rng.uniform(0.25, 0.98)
    return Relief(
        torch.from_numpy(shares / np.linalg.norm(waves, axis=1)),
        torch.from_numpy(waves),
        torch.from_numpy(rng.uniform(0, 2 * math.pi, count)),
    )
