"""From radiance to a picture for the screen."""

from jaxtyping import Float
from torch import Tensor


def develop(radiance: Float[Tensor, "*batch 3 h w"], exposure: float | int = 1.0) -> Float[Tensor, "*batch 3 h w"]:
    """Display colours in [0, 1] of linear light: a filmic curve with a soft shoulder, then sRGB's.

    y = x (2.51 x + 0.03) / (x (2.43 x + 0.59) + 0.14), Narkowicz 2016, "ACES filmic tone mapping curve", of
    x = 0.6 exposure radiance, so that a radiance of 1 at exposure 1 is bright but not yet white.
    """
    x = 0.6 * exposure * radiance.clamp(min=0)
    y = (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)
    return srgb_from_linear(y)


def srgb_from_linear(linear: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """IEC 61966-2-1: 12.92 x below 0.0031308, else 1.055 x^(1/2.4) - 0.055."""
    return (12.92 * linear).where(linear <= 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
