"""Which part of a panorama a step of training shows: nothing, a photo, several, or all but what something hid."""

import math
from random import Random

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from worldloom.scenegen.completion.photo_view import PhotoView, shown_by


def random_known(height: int, dice: Random) -> Bool[Tensor, "h w"]:
    """True where a panorama of so many rows is known."""
    kind = dice.random()
    if kind < 0.25:
        return torch.zeros(height, 2 * height, dtype=torch.bool)
    if kind < 0.7:
        return shown_by(_photo(dice), height)
    if kind < 0.8:
        known = shown_by(_photo(dice), height)
        for _ in range(dice.randrange(1, 3)):
            known |= shown_by(_photo(dice), height).roll(dice.randrange(2 * height), -1)
        return known
    return ~_patches(height, dice)


def _photo(dice: Random) -> PhotoView:
    """A camera as people hold it."""
    fov = math.radians(dice.uniform(45, 110))
    aspect = dice.choice((3 / 4, 1.0, 4 / 3, 3 / 2, 16 / 9))
    size = (round(100 / aspect), 100)
    return PhotoView(fov, size, pitch=math.radians(dice.gauss(0, 7)), roll=math.radians(dice.gauss(0, 1.5)))


def _patches(height: int, dice: Random) -> Bool[Tensor, "h w"]:
    """Ragged patches of several sizes over 3 to 60 % of all, as where something near hid something far."""
    generator = torch.Generator().manual_seed(dice.randrange(1 << 40))
    total = torch.zeros(height, 2 * height)
    for cells in (4, 8, 16, 32):
        noise = torch.randn(1, 1, cells, 2 * cells, generator=generator)
        noise = torch.cat([noise, noise[..., :2]], -1)
        wide = F.interpolate(noise, (height, round(2 * height * (1 + 1 / cells))), mode="bicubic")
        total += dice.random() * wide[0, 0, :, : 2 * height]
    share = dice.uniform(0.03, 0.6)
    return total > total.flatten().kthvalue(round((1 - share) * total.numel())).values
