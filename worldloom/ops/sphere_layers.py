"""Layers for equirectangular panoramas: columns wrap around, rows know their elevation."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops.rotary import rotary_angles

NUM_LATITUDE = 4  # features of a row
_GROUP = 8  # channels that are normalised together


class SphereConvolution(nn.Conv2d):
    """3 x 3; columns wrap around, and rows beyond a pole are zero."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, padding=(1, 0))

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return super().forward(torch.cat([input[..., -1:], input, input[..., :1]], -1))


class SphereResidual(nn.Module):
    """x + gain Convolution(Convolution(x)), each after normalisation or activation; nearly the identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.first, self.second = SphereConvolution(width, width), SphereConvolution(width, width)
        self.gain = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.gain * self.second(F.silu(self.first(F.silu(self.norm(x)))))


def group_norm(width: int) -> nn.GroupNorm:
    """Over groups of eight channels."""
    return nn.GroupNorm(width // _GROUP, width)


def twice_as_dense(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear, for tiles show when they are repeated; columns wrap around."""
    x = torch.cat([x[..., -1:], x, x[..., :1]], -1)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2]


def latitude_features(height: int) -> Float[Tensor, "f h"]:
    """Sine and cosine of each row's elevation, the log distance of level ground (3 above it), and which side it is."""
    elevation = math.pi * (0.5 - (torch.arange(height) + 0.5) / height)
    below = elevation < 0
    ground = torch.where(below, -(-elevation.sin()).clamp(min=math.exp(-3)).log(), 3.0)
    return torch.stack([elevation.sin(), elevation.cos(), ground / 3, below.float()])


def latitude_planes(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f h w"]:
    """The latitude features of each row of x, beside all its columns."""
    return latitude_features(x.shape[-2]).to(x)[None, :, :, None].expand(len(x), -1, -1, x.shape[-1])


def sphere_angles(down: int) -> Float[Tensor, "l pairs"]:
    """Rotary angles of down x 2 down places on the sphere, for heads of 64 channels; once around changes nothing.

    Half of the pairs turn by whole multiples of the azimuth, half by the row.
    """
    azimuth = 2 * math.pi * torch.arange(2 * down) / (2 * down)
    around = azimuth[:, None] * torch.arange(1, 17)
    rows = rotary_angles(torch.arange(down, dtype=torch.float32)[:, None] * (16 / down), 32, base=32.0)
    return torch.cat([around.expand(down, 2 * down, 16), rows[:, None].expand(down, 2 * down, 16)], -1).flatten(0, 1)
