"""What a render gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Bool, Float, Int32
from torch import Tensor


@dataclass(frozen=True)
class RenderInfo:
    """Per Gaussian and camera, in pixels: what densification and pruning look at. Rows of culled Gaussians are zero.

    `means2d_grad` is filled by `backward()` with the gradient of the loss with respect to `means2d`; it is None where
    no gradient was asked for.
    """

    means2d: Float[Tensor, "*batch n 2"]
    radii: Int32[Tensor, "*batch n 2"]  # half-sizes of the box outside which alpha < 1/255
    visible: Bool[Tensor, "*batch n"]
    tile_counts: Int32[Tensor, "*batch n"]  # 16x16-pixel tiles that the box touches
    means2d_grad: Float[Tensor, "*batch n 2"] | None = None


@dataclass(frozen=True)
class Rendering:
    """Images of Gaussians, one for each camera of the batch."""

    rgb: Float[Tensor, "*batch 3 h w"]  # premultiplied by alpha, unless a background was given
    alpha: Float[Tensor, "*batch h w"]
    depth: Float[Tensor, "*batch h w"]  # expected z in the camera frame: sum w z / sum w; 0 where alpha is 0
    median_depth: Float[Tensor, "*batch h w"]  # z of the Gaussian at which transmittance falls below 1/2; no gradient
    median_valid: Bool[Tensor, "*batch h w"]  # False: transmittance never falls below 1/2
    normal: Float[Tensor, "*batch 3 h w"] | None  # world frame; sum of w times the shortest axis that faces the camera
    features: Float[Tensor, "*batch f h w"] | None  # sum of w times the feature
    backend: str  # who drew it: torch, native or gsplat
    read_info: Callable[[], RenderInfo] = field(repr=False)

    @cached_property
    def info(self) -> RenderInfo:
        return self.read_info()
