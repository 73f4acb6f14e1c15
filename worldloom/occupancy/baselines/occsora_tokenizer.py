"""The 4D tokenizer of OccSora (Wang et al. 2024), written anew and made narrower.

Kept: the class embedding, layers folded into channels, dense convolutions over time and the plane in the ego's frame,
three strides of 2 in each, residual blocks with axial attention, 512 codes, logits as products with the embedding.
Changed: widths, group norm, codes that follow the latents and restart where the published ones stay dead.
"""

from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from worldloom.occupancy.baselines.vq_tokenizer import VQTokenizer
from worldloom.ops import Attention

STRIDE = 8  # frames, and columns along both sides, for each code


@dataclass(frozen=True)
class OccSoraTokenizerConfig:
    """The size of the network, that of ours; published: widths 512, bottleneck 256, codes of 128 (137 M parameters)."""

    layers: int = 16
    class_width: int = 8
    widths: tuple[int, int, int] = (48, 96, 128)  # channels at strides 2, 4 and 8
    bottleneck: int = 64
    blocks: int = 4
    heads: int = 2
    num_codes: int = 512
    code_width: int = 64


class OccSoraTokenizer(VQTokenizer):
    """32 frames of 200 x 200 columns become 4 x 25 x 25 codes: 22.5 kbit."""

    def __init__(self, config: OccSoraTokenizerConfig) -> None:
        super().__init__(config.class_width, config.layers, config.num_codes, config.code_width)
        self.config = config
        first, second, third = config.widths
        self.encoder = nn.Sequential(
            nn.Conv3d(self.planes.channels, first, 4, 2, 1), nn.ReLU(),
            nn.Conv3d(first, second, 4, 2, 1), nn.ReLU(),
            nn.Conv3d(second, third, 4, 2, 1), nn.ReLU(),
            nn.Conv3d(third, third, 3, padding=1),
            *(_AxialBlock(third, config.bottleneck, config.heads) for _ in range(config.blocks)),
            nn.Conv3d(third, config.code_width, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv3d(config.code_width, third, 1),
            *(_AxialBlock(third, config.bottleneck, config.heads) for _ in range(config.blocks)),
            nn.ConvTranspose3d(third, second, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose3d(second, first, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose3d(first, self.planes.channels, 4, 2, 1),
        )  # fmt: skip

    def latents(self, labels: UInt8[Tensor, "b t x y z"]) -> Float[Tensor, "b s h w c"]:
        if any(n % STRIDE for n in labels.shape[1:4]):
            raise ValueError(f"expected frames and columns in multiples of {STRIDE}, got {tuple(labels.shape[1:4])}")
        return _channels_last(self.encoder(_channels_first(self.planes.fold(labels)))).float()

    def reconstruct(self, codes: Float[Tensor, "b s h w c"]) -> Float[Tensor, "b t x y k"]:
        return _channels_last(self.decoder(_channels_first(codes)))


class _AxialBlock(nn.Module):
    """A narrow residual block with attention along each axis of space and time."""

    def __init__(self, width: int, bottleneck: int, heads: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(
            nn.GroupNorm(8, width), nn.ReLU(), nn.Conv3d(width, bottleneck, 3, padding=1),
            nn.GroupNorm(8, bottleneck), nn.ReLU(), nn.Conv3d(bottleneck, width, 1), nn.GroupNorm(8, width), nn.ReLU(),
        )  # fmt: skip
        self.along = nn.ModuleList(Attention(width, width // heads, qk_norm=False) for _ in range(3))

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        y = rearrange(self.narrow(x), "b c t h w -> b t h w c")
        attended = [
            attention(y.movedim(axis, -2)).movedim(-2, axis)
            for axis, attention in zip((1, 2, 3), self.along, strict=True)
        ]
        return x + rearrange(attended[0] + attended[1] + attended[2], "b t h w c -> b c t h w")


def _channels_first(x: Float[Tensor, "b t h w c"]) -> Float[Tensor, "b c t h w"]:
    """A view: the memory stays channels last, which is how convolutions are fast on CPUs."""
    return x.movedim(-1, 1)


def _channels_last(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t h w c"]:
    return x.movedim(1, -1)
