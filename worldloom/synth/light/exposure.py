"""From radiance to a picture for the screen."""

from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.io.images import srgb_from_linear


def develop(radiance: Float[Tensor, "*batch 3 h w"], exposure: float | int = 1.0) -> Float[Tensor, "*batch 3 h w"]:
    """Display colours in [0, 1] of linear light: a filmic curve with a soft shoulder, then sRGB's.

    y = x (2.51 x + 0.03) / (x (2.43 x + 0.59) + 0.14), Narkowicz 2016, "ACES filmic tone mapping curve", of
    x = 0.6 exposure radiance, so that a radiance of 1 at exposure 1 is bright but not yet white.
    """
    x = 0.6 * exposure * radiance.clamp(min=0)
    y = (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)
    return srgb_from_linear(y)
