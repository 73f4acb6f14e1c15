"""Filling holes of panoramas from what is around them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def filled_from_around(rgb: Float[Tensor, "c h w"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
    """A panorama with what is not known filled in from around, coarse to fine.

    Gortler et al. 1996, "The Lumigraph", sec. 3.4, with weights that are 1 wherever anything is known under a coarse
    pixel: holes take after what is near, however little that is. What is known stays; where nothing is, all is 0.
    """
    width = rgb.shape[-1]
    around = (
        torch.arange(-width // 2, width + width // 2) % width
    )  # half a turn more on each side, so that the seam does not show
    weight = known[None, None][..., around].float()
    levels = [(rgb[None][..., around] * weight, weight)]
    while max(levels[-1][1].shape[-2:]) > 1 and not (levels[-1][1] > 0).all():
        total, weight = (F.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1])
        levels.append((total / weight.clamp(min=1e-8), (weight > 0).float()))
    colour = levels[-1][0]
    for total, weight in reversed(levels[:-1]):
        rows, columns = total.shape[-2:]
        colour = total + (1 - weight) * _doubled(_doubled(colour, 2), 3)[..., :rows, :columns]
    return torch.where(known, rgb, colour[0, :, :, width // 2 : width // 2 + width])


def _doubled(image: Float[Tensor, "1 c h w"], axis: int) -> Float[Tensor, "1 c h2 w2"]:
    """Linear interpolation to twice the size along an axis: 3/4 of the own cell, 1/4 of the nearer neighbour.

    Written out, because torch's own differs in the last bit with the number of threads.
    """
    size = image.shape[axis]
    first, last = image.narrow(axis, 0, 1), image.narrow(axis, size - 1, 1)
    before = torch.cat([first, image.narrow(axis, 0, size - 1)], dim=axis)
    after = torch.cat([image.narrow(axis, 1, size - 1), last], dim=axis)
    pairs = torch.stack([0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after], dim=axis + 1)
    return pairs.flatten(axis, axis + 1)
