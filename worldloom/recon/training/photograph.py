"""What cameras and people do to a picture: exposure, colours, blur, noise, JPEG, a patch over the tripod."""

import io
import math
from random import Random

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.io.images import LUMINANCE, linear_from_srgb, srgb_from_linear


def photograph(rgb: UInt8[Tensor, "3 h w"], dice: Random) -> Float[Tensor, "3 h w"]:
    """A panorama as some camera might have taken it, in [0, 1]. Nothing moves: the truth of each pixel stays."""
    picture = rgb.float() / 255
    if dice.random() < 0.25:
        picture = _nadir_patch(picture, dice)
    picture = _developed(picture, dice)
    if dice.random() < 0.7:
        picture = blurred(picture, dice.uniform(0.3, 1.2))
    if dice.random() < 0.5:
        generator = torch.Generator().manual_seed(dice.randrange(1 << 40))
        picture = picture + dice.uniform(0, 0.04) * torch.randn(picture.shape, generator=generator)
    picture = picture.clamp(0, 1)
    return _jpeg(picture, dice.randrange(40, 95)) if dice.random() < 0.3 else picture


def _developed(picture: Float[Tensor, "3 h w"], dice: Random) -> Float[Tensor, "3 h w"]:
    """Another exposure, white balance, contrast and saturation."""
    light = linear_from_srgb(picture) * 2 ** dice.gauss(0, 0.5)
    balance = torch.tensor([math.exp(dice.gauss(0, 0.08)), 1.0, math.exp(dice.gauss(0, 0.1))])
    light = light * balance[:, None, None]
    grey = (light * light.new_tensor(LUMINANCE)[:, None, None]).sum(0)
    saturation = 0.0 if dice.random() < 0.04 else dice.uniform(0.5, 1.4)
    light = (grey + saturation * (light - grey)).clamp(min=0)
    if dice.random() < 0.5:  # a shoulder instead of clipping
        light = light / (1 + light * dice.uniform(0, 0.6))
    return srgb_from_linear(light.clamp(max=1)).clamp(1e-4, 1) ** dice.uniform(0.75, 1.3)


def blurred(picture: Float[Tensor, "3 h w"], sigma: float) -> Float[Tensor, "3 h w"]:
    """Gaussian blur in pixels; columns wrap around."""
    reach = max(1, math.ceil(2.5 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    wide = F.pad(picture[None], (reach, reach, 0, 0), mode="circular")
    tall = F.pad(F.conv2d(wide, taps, groups=3), (0, 0, reach, reach), mode="replicate")
    return F.conv2d(tall, taps.mT, groups=3)[0]


def _nadir_patch(picture: Float[Tensor, "3 h w"], dice: Random) -> Float[Tensor, "3 h w"]:
    """A disc under the camera in one colour, or smeared, as tripods are hidden."""
    height = picture.shape[1]
    rows = round(height * dice.uniform(4, 30) / 180)
    below = picture[:, -rows:]
    if dice.random() < 0.5:
        fill = torch.tensor([dice.random() ** 2] * 3)[:, None, None].expand_as(below)
    else:
        fill = blurred(below, 6.0)
    return torch.cat([picture[:, :-rows], fill], 1)


def _jpeg(picture: Float[Tensor, "3 h w"], quality: int) -> Float[Tensor, "3 h w"]:
    file = io.BytesIO()
    Image.fromarray((255 * picture).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 255
