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
    """Distance of a panorama as `ramp_pictures` shows it, between its 1st and 99th percentile."""
    return ramp_pictures(panorama.distance[None], panorama.sky[None])[0]


def ramp_pictures(
    distance: Float[Tensor, "v h w"], sky: Bool[Tensor, "v h w"], tail: float = 0.01
) -> Float[Tensor, "v 3 h w"]:
    """Distance or depth on one logarithmic scale, dark where near and light where far; the sky is light blue.

    Args:
        tail: share of all that is not sky that is nearer than the scale's one end, and as much beyond the other.
    """
    ordered = distance[~sky].sort().values
    if not len(ordered):
        return _SKY[:, None, None].repeat(len(distance), 1, *distance.shape[1:])
    cut = int(len(ordered) * tail)
    ends = ordered[cut].item(), ordered[-1 - cut].item()
    return torch.stack(
        [torch.where(s, _SKY[:, None, None], distance_colours(d, *ends)) for d, s in zip(distance, sky, strict=True)]
    )


def distance_colours(distance: Float[Tensor, "h w"], nearest: float, farthest: float) -> Float[Tensor, "3 h w"]:
    """Distance or depth on a logarithmic scale between two ends in metres, dark where near and light where far."""
    low, high = (torch.tensor(end).clamp(min=1e-3).log() for end in (nearest, farthest))
    log = distance.clamp(min=1e-3).log()
    place = ((log - low) / (high - low).clamp(min=1e-6)).clamp(0, 1) * (len(_RAMP) - 1)
    index = place.long().clamp(max=len(_RAMP) - 2)
    blend = (place - index)[..., None]
    colour = _RAMP[index] * (1 - blend) + _RAMP[index + 1] * blend
    return colour.permute(2, 0, 1).contiguous()
