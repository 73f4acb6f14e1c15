"""Distance or depth as a picture for people."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.panorama import Panorama

# From near to far, each lighter than the one before, so that the picture also reads in grey.
_RAMP = torch.tensor(
    [
        [0.11, 0.05, 0.24],
        [0.38, 0.09, 0.43],
        [0.68, 0.21, 0.34],
        [0.92, 0.43, 0.18],
        [0.99, 0.72, 0.22],
        [0.99, 0.98, 0.75],
    ]
)
_SKY = torch.tensor([0.45, 0.67, 0.87])


def distance_picture(panorama: Panorama) -> Float[Tensor, "3 h w"]:
    """Distance of a panorama as `ramp_picture` shows it."""
    return ramp_picture(panorama.distance, panorama.sky)


def ramp_picture(distance: Float[Tensor, "h w"], sky: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Distance or depth on a logarithmic scale, dark where near and light where far; the sky is light blue.

    The ends are the 1st and 99th percentile of all that is not sky.
    """
    solid = distance[~sky]
    if not len(solid):
        return _SKY[:, None, None].repeat(1, *distance.shape)
    ordered = solid.sort().values
    nearest, farthest = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    return torch.where(sky, _SKY[:, None, None], distance_colours(distance, nearest.item(), farthest.item()))


def distance_colours(distance: Float[Tensor, "h w"], nearest: float, farthest: float) -> Float[Tensor, "3 h w"]:
    """Distance or depth on a logarithmic scale between two ends in metres, dark where near and light where far."""
    low, high = (torch.tensor(end).clamp(min=1e-3).log() for end in (nearest, farthest))
    log = distance.clamp(min=1e-3).log()
    place = ((log - low) / (high - low).clamp(min=1e-6)).clamp(0, 1) * (len(_RAMP) - 1)
    index = place.long().clamp(max=len(_RAMP) - 2)
    blend = (place - index)[..., None]
    colour = _RAMP[index] * (1 - blend) + _RAMP[index + 1] * blend
    return colour.permute(2, 0, 1).contiguous()
