"""What every backend hands to `render`: the images of one camera."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.render.rendering import RenderInfo


@dataclass(frozen=True)
class Raster:
    """Images of one camera, nothing behind them. `extra` holds whatever channels came with the Gaussians."""

    rgb: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    median_depth: Float[Tensor, "h w"]
    median_valid: Bool[Tensor, "h w"]
    extra: Float[Tensor, "e h w"] | None
    read_info: Callable[[], RenderInfo]
