"""The 360° panorama with distance."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Panorama:
    """Equirectangular, height : width = 1 : 2; centre column along +x, top row along +z, azimuth grows to the left."""

    rgb: Float[Tensor, "*batch 3 h w"]  # [0, 1]
    distance: Float[Tensor, "*batch h w"]  # metres along the ray; meaningless where sky
    sky: Bool[Tensor, "*batch h w"]
    world_from_pano: Float[Tensor, "*batch 4 4"]

    def __post_init__(self) -> None:
        height, width = self.rgb.shape[-2:]
        if width != 2 * height:
            raise ValueError(f"panorama must be 1:2 (height:width), got {height}x{width}")
        if self.distance.shape[-2:] != (height, width) or self.sky.shape[-2:] != (height, width):
            raise ValueError(
                f"distance and sky must be {height}x{width} as rgb, "
                f"got {tuple(self.distance.shape)}, {tuple(self.sky.shape)}"
            )
