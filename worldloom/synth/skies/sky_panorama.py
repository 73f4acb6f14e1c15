"""Skies from photographs: a high-dynamic-range panorama, with its sun taken out and kept apart."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import directions, rotz, sample_panorama, solid_angles
from worldloom.geometry.io.images import LUMINANCE, load_hdr

_GLARE = math.radians(3.0)  # about the brightest spot: the sun as a lens draws it
_RING = math.radians(8.0)  # from there to here lies the sky that the sun hides
_LEAST = 0.02  # share of all light from above from which on a bright spot is a sun


@dataclass(frozen=True, eq=False)
class SkyPanorama:
    """Radiance all around, without the sun; two are the same if identical."""

    rgb: Float[Tensor, "3 h w"]  # linear
    towards_sun: tuple[float, float, float]
    sun: tuple[float, float, float]  # irradiance facing the sun; 0 where the picture has none
    yaw: float = 0.0  # turned about the vertical, to the left

    def radiance(self, towards: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """From unit directions."""
        pano_from_world = rotz(torch.tensor(-self.yaw)).to(towards)
        return sample_panorama(self.rgb, (towards @ pano_from_world.T)[None])[:, 0].T


def load_sky_panorama(path: str | Path, irradiance: float | None = 3.5) -> SkyPanorama:
    """The sky of a Radiance or OpenEXR panorama (1:2).

    Args:
        irradiance: scale the picture so that level ground has this much in luminance, sun and all; files come in units
            of their own. None keeps the file's.
    Raises:
        InputError: if the file is no such image, is not 1:2, or is black or not finite.
    """
    rgb = load_hdr(path)
    height, width = rgb.shape[-2:]
    if width != 2 * height:
        raise InputError(f"{path}: expected a panorama of 1:2 (height:width), got {height}x{width}")
    if not bool(torch.isfinite(rgb).all()) or float(rgb.max()) <= 0:
        raise InputError(f"{path}: expected finite radiance that is not all black, got {rgb.min()}..{rgb.max()}")
    # Colours outside sRGB's gamut are stored as slightly negative values.
    return sky_panorama_from_image(rgb.clamp(min=0), irradiance)


def sky_panorama_from_image(rgb: Float[Tensor, "3 h w"], irradiance: float | None = None) -> SkyPanorama:
    """Split a panorama of radiance into a sun, if it shows one, and the sky without it.

    The brightest spot is a sun if what it adds to the sky around it is a good share of all light from above. Its place
    is the mean direction of that surplus.
    """
    height = rgb.shape[-2]
    towards, angles = directions(height).double(), solid_angles(height).double()
    light = rgb.double()
    luminance = torch.einsum("c,chw->hw", light.new_tensor(LUMINANCE), light)
    # The mean over a small disc, not one hot pixel.
    smooth = torch.nn.functional.avg_pool2d(luminance[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    peak = towards.flatten(0, 1)[(smooth * (towards[..., 2] > 0)).argmax()]
    reach = max(_GLARE, 3 * math.pi / height)
    away = (towards @ peak).clamp(-1, 1).acos()
    disc, ring = away < reach, (away >= reach) & (away < max(_RING, 2 * reach))
    around = light[:, ring].median(-1).values
    surplus = (light[:, disc] - around[:, None]).clamp(min=0) * angles[disc]
    sun = surplus.sum(-1)
    weight = torch.einsum("c,cn->n", light.new_tensor(LUMINANCE), surplus)
    up = towards[..., 2].clamp(min=0)
    level = float((luminance * up * angles).sum())
    towards_sun, split = peak, light
    above = float((luminance * (towards[..., 2] > 0) * angles).sum())
    if float(weight.sum()) > _LEAST * above:
        towards_sun = torch.nn.functional.normalize((weight[:, None] * towards[disc]).sum(0), dim=0)
        split = light.clone()
        split[:, disc] = torch.minimum(split[:, disc], around[:, None])
    else:
        sun = torch.zeros_like(sun)
    scale = 1.0 if irradiance is None or level <= 0 else irradiance / level
    x, y, z = towards_sun.tolist()
    red, green, blue = (sun * scale).tolist()
    return SkyPanorama((split * scale).float(), (x, y, z), (red, green, blue))
