"""The network from a panorama to distance, floor, sky and kind of place: convolutions outside, attention inside."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops import Block, BlockConfig
from worldloom.ops.sphere_layers import (
    NUM_LATITUDE,
    SphereResidual,
    group_norm,
    latitude_planes,
    sphere_angles,
    twice_as_dense,
)

PLACES = ("indoors", "covered", "open")  # no sky is seen but through windows; sky, but not overhead; sky overhead
PATCH = 4  # pixels of the input to a side, for each place of the finest layer
STRIDE = 32  # input pixels to a side, for each token
_FINE = 2  # pixels to a side, for each place of the layer that draws outlines, on the way out alone
_HEAD = 64  # channels of a head of attention
_CHANNELS = 3  # of the answer: log distance, floor, sky
_MEAN_LOG_DISTANCE = 1.0  # about that of synthetic scenes; a start, no constraint


@dataclass(frozen=True)
class PanoramaDepthConfig:
    """Sizes of the network; strides are in pixels of its input."""

    height: int = 256  # rows of the input
    widths: tuple[int, int, int] = (32, 64, 128)  # channels at strides 4, 8 and 16
    fine: int = 16  # and at stride 2
    blocks: tuple[int, int, int] = (1, 1, 2)  # residual ones there on the way in; on the way out it is one each
    width: int = 192  # of the tokens at stride 32
    layers: int = 4  # of attention among them

    def __post_init__(self) -> None:
        if not 32 <= self.height <= 4096 or self.height % STRIDE:
            raise ValueError(f"height must be a multiple of {STRIDE} from 32 to 4096, got {self.height}")
        widths = (self.fine, *self.widths, self.width)
        if any(width < 8 or width % 8 or width > 4096 for width in widths) or self.width % _HEAD:
            raise ValueError(f"widths must be multiples of 8, of tokens of {_HEAD}, got {widths}")
        if not all(1 <= number <= 64 for number in (*self.blocks, self.layers)):
            raise ValueError(f"expected 1 to 64 blocks of each kind, got {self.blocks} and {self.layers}")


@dataclass(frozen=True)
class PanoramaAnswer:
    """What the network says of each pixel, and of the whole."""

    log_distance: Float[Tensor, "b h w"]  # of camera heights
    floor: Float[Tensor, "b h w"]  # logit
    sky: Float[Tensor, "b h w"]  # logit, as if there were a sky
    place: Float[Tensor, "b places"]  # logits of PLACES


class PanoramaNetwork(nn.Module):
    """A U-Net whose columns wrap around, with attention by differences of azimuth in its middle.

    Turning the panorama by a multiple of `STRIDE` pixels turns the answer: columns know each other, not where they are.
    Rows do know: every pixel is given its elevation.
    """

    def __init__(self, config: PanoramaDepthConfig) -> None:
        super().__init__()
        self.config = config
        widths = (*config.widths, config.width)
        self.stem = nn.Conv2d(3 * PATCH**2 + NUM_LATITUDE, widths[0], 1)
        self.ways_in = nn.ModuleList(
            [
                nn.Sequential(*[SphereResidual(width) for _ in range(n)])
                for width, n in zip(config.widths, config.blocks, strict=True)
            ]
        )
        self.downs = nn.ModuleList([nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairwise(widths)])
        self.latitude = nn.Linear(NUM_LATITUDE, config.width)
        self.layers = nn.ModuleList([Block(BlockConfig(config.width, _HEAD)) for _ in range(config.layers)])
        self.place = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, len(PLACES)))
        self.ups = nn.ModuleList([nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths)])
        self.ways_out = nn.ModuleList([SphereResidual(width) for width in config.widths])
        self.fine_stem = nn.Conv2d(3 * _FINE**2, config.fine, 1)
        self.fine_up = nn.Conv2d(widths[0], config.fine * (PATCH // _FINE) ** 2, 1)
        self.fine = SphereResidual(config.fine)
        self.answers = nn.ModuleList([_Answer(widths[0], PATCH), _Answer(config.fine, _FINE)])

    def forward(self, rgb: Float[Tensor, "b 3 h w"]) -> PanoramaAnswer:
        """
        Args:
            rgb: display values in [0, 1]; h a multiple of STRIDE, w = 2 h.
        """
        height = rgb.shape[-2]
        if height % STRIDE or rgb.shape[-1] != 2 * height:
            raise ValueError(f"rows must be a multiple of {STRIDE}, columns twice them, got {tuple(rgb.shape[-2:])}")
        patches = F.pixel_unshuffle(4 * (rgb - 0.5), PATCH)
        x = self.stem(torch.cat([patches, latitude_planes(patches)], 1).contiguous(memory_format=torch.channels_last))
        kept = []
        for way_in, down in zip(self.ways_in, self.downs, strict=True):
            kept.append(way_in(x))
            x = down(kept[-1])
        rows = x.shape[-2]
        tokens = rearrange(x, "b d h w -> b (h w) d")
        tokens = tokens + self.latitude(rearrange(latitude_planes(x[:1]), "b f h w -> b (h w) f"))
        angles = sphere_angles(rows).to(rgb.device)
        for layer in self.layers:
            tokens = layer(tokens, angles=angles)
        x = rearrange(tokens, "b (h w) d -> b d h w", h=rows)
        for k in reversed(range(len(kept))):
            x = self.ways_out[k](kept[k] + twice_as_dense(self.ups[k](x)))
        outlines = self.fine_stem(F.pixel_unshuffle(4 * (rgb - 0.5), _FINE))
        fine = self.fine(outlines + F.pixel_shuffle(self.fine_up(x), PATCH // _FINE))
        answer = self.answers[0](x) + self.answers[1](fine)
        log_distance, floor, sky = answer.unbind(1)
        place = self.place(tokens.mean(1)).float()
        return PanoramaAnswer(_MEAN_LOG_DISTANCE + log_distance, floor, sky, place)


class _Answer(nn.Module):
    """From features to all channels of the answer, at their pixels; zero at first."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.norm = stride, group_norm(width)
        self.last = nn.Conv2d(width, _CHANNELS * stride**2, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return F.pixel_shuffle(self.last(F.silu(self.norm(x))).float(), self.stride)
