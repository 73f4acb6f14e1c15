"""Clouds on a layer high above, lit from behind and above."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import noise, warp

_SOFTNESS = 0.11  # of the edges, in depths
_BEND = 0.12  # how far the layer dips towards the horizon; a flat one would run to infinity


@dataclass(frozen=True)
class Clouds:
    """Heaps and veils of cloud. The same seed gives the same clouds."""

    cover: float  # share of the sky, 0 to 1
    seed: int = 0
    size: float = 1.0  # of the heaps, about a fourth of the way from the zenith to the horizon
    yaw: float = 0.0  # where they stand, turned about the vertical

    def __post_init__(self) -> None:
        if not 0 <= self.cover <= 1 or not self.size > 0:
            raise ValueError(f"cover must be in [0, 1] and size positive, got {self.cover} and {self.size}")

    def thickness(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """0 where the sky is clear to 1 where cloud hides it."""
        c, s = math.cos(-self.yaw), math.sin(-self.yaw)
        x, y, z = directions.float().unbind(-1)
        level = torch.stack([c * x - s * y, s * x + c * y], -1) / (z.clamp(min=0)[:, None] + _BEND)
        depth = _depth(level, self.seed, self.size)
        hidden = ((depth - self._threshold) / _SOFTNESS + 0.5).clamp(0, 1)
        return hidden * hidden * (3 - 2 * hidden) * (self.cover > 0)

    @property
    def _threshold(self) -> float:
        """What so much of the sky well above the horizon exceeds."""
        return torch.quantile(_depths(self.seed, self.size), 1 - self.cover).item()

    def over(
        self,
        clear: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        towards_sun: tuple[float, float, float],
        sun: tuple[float, float, float],
        ambient: Float[Tensor, "3"],
    ) -> Float[Tensor, "n 3"]:
        """The clear sky's radiance with these clouds before it.

        Thin cloud lets the sun through and glows about it; thick cloud is grey below and bright towards the sun.
        """
        hidden = self.thickness(directions)
        to = directions.new_tensor(towards_sun).float()
        # What lies towards the sun casts its shade: a second look a little way over there.
        beside = self.thickness(torch.nn.functional.normalize(directions.float() + 0.08 * to, dim=-1))
        through = torch.exp(-2.2 * (0.6 * beside + 0.4 * hidden))
        cosine = (directions.float() @ to).clamp(-1, 1)
        # Henyey and Greenstein 1941 with g = 0.7, over its mean: cloud throws most light forwards.
        forwards = ((1 - 0.49) / (1.49 - 1.4 * cosine) ** 1.5).clamp(max=6.0)
        lit = (0.12 + 0.22 * through * (0.6 + 0.4 * forwards))[:, None] * directions.new_tensor(sun).float()
        cloud = lit + (0.95 - 0.25 * hidden)[:, None] * ambient
        # Far cloud fades into the haze on the horizon.
        far = torch.exp(-directions[:, 2].float().clamp(min=0) / 0.05)
        alpha = (hidden * (1 - far))[:, None]
        return clear * (1 - alpha) + cloud * alpha


def _depth(level: Float[Tensor, "n 2"], seed: int, size: float) -> Float[Tensor, " n"]:
    """Of the cloud over points of the layer, whose unit is its height."""
    points = torch.cat([level * (1.6 / size), torch.zeros_like(level[:, :1])], -1)
    return noise(warp(points, seed + 1, 0.35), seed, octaves=6, gain=0.55)


@lru_cache(maxsize=16)
def _depths(seed: int, size: float) -> Float[Tensor, " n"]:
    """At 2000 points spread evenly over the sky from some 15 degrees up."""
    i = torch.arange(2000) + 0.5
    z, azimuth = 0.25 + 0.75 * i / 2000, math.pi * (3 - math.sqrt(5)) * i
    level = ((1 - z * z).sqrt() / (z + _BEND))[:, None] * torch.stack([azimuth.cos(), azimuth.sin()], -1)
    return _depth(level, seed, size)
