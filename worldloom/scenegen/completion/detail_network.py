"""The network that draws what a small panorama leaves out: four times as many rows and columns."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops.sphere_layers import NUM_LATITUDE, SphereConvolution, SphereResidual, latitude_planes

FACTOR = 4


@dataclass(frozen=True)
class DetailConfig:
    """Sizes of the network."""

    width: int = 64  # channels at the small size
    blocks: int = 6  # residual ones there
    fine: int = 32  # channels at twice its rows
    fine_blocks: int = 2

    def __post_init__(self) -> None:
        if any(width < 8 or width % 8 or width > 4096 for width in (self.width, self.fine)):
            raise ValueError(f"expected widths in multiples of 8, got {self.width} and {self.fine}")
        if not (1 <= self.blocks <= 64 and 1 <= self.fine_blocks <= 64):
            raise ValueError(f"expected 1 to 64 blocks of each kind, got {self.blocks} and {self.fine_blocks}")


class DetailNetwork(nn.Module):
    """Convolutions whose columns wrap around, and what they add to cubic interpolation."""

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SphereConvolution(3 + NUM_LATITUDE, config.width)
        self.blocks = nn.Sequential(*[SphereResidual(config.width) for _ in range(config.blocks)])
        self.to_fine = nn.Conv2d(config.width, 4 * config.fine, 1)
        self.fine_blocks = nn.Sequential(*[SphereResidual(config.fine) for _ in range(config.fine_blocks)])
        self.last = SphereConvolution(config.fine, 3 * 4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """
        Args:
            rgb: display values in [0, 1].
        Returns:
            about the same, FACTOR times as large.
        """
        x = torch.cat([4 * (rgb - 0.5), latitude_planes(rgb)], 1).contiguous(memory_format=torch.channels_last)
        x = self.blocks(self.stem(x))
        x = self.fine_blocks(F.pixel_shuffle(self.to_fine(x), 2))
        return enlarged(rgb) + F.pixel_shuffle(self.last(F.silu(x)).float(), 2) / 4


def enlarged(rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
    """FACTOR times as many rows and columns by cubic interpolation; columns wrap around."""
    margin = 2
    wide = torch.cat([rgb[..., -margin:], rgb, rgb[..., :margin]], -1)
    drawn = F.interpolate(wide, scale_factor=FACTOR, mode="bicubic", align_corners=False)
    return drawn[..., FACTOR * margin : -FACTOR * margin]
