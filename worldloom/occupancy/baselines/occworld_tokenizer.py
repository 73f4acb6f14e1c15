"""The tokenizer of OccWorld (Zheng et al. 2024), written anew and made narrower: a 2D code of each frame by itself.

Kept: the class embedding, layers folded into channels, stride 4 on the plane, 512 codes, logits as products with the
embedding. Changed: widths, and codes that follow the latents and restart where the published ones stay dead.
"""

from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from worldloom.occupancy.baselines.vq_tokenizer import VQTokenizer
from worldloom.ops import Attention

STRIDE = 4  # columns along both sides for each code


@dataclass(frozen=True)
class OccWorldTokenizerConfig:
    """The size of the network; published: 64 channels, doubled at each stride, codes of 128 (14.2 M parameters)."""

    layers: int = 16
    class_width: int = 8
    widths: tuple[int, int, int] = (32, 64, 128)  # channels at strides 1, 2 and 4
    blocks: int = 2  # at each scale but the finest, which has one
    num_codes: int = 512
    code_width: int = 64


class OccWorldTokenizer(VQTokenizer):
    """A frame of 200 x 200 columns becomes 50 x 50 codes: 22.5 kbit."""

    def __init__(self, config: OccWorldTokenizerConfig) -> None:
        super().__init__(config.class_width, config.layers, config.num_codes, config.code_width)
        self.config = config
        fine, middle, coarse = config.widths
        self.encoder = nn.Sequential(
            nn.Conv2d(self.planes.channels, fine, 3, padding=1), _Residual(fine),
            nn.Conv2d(fine, middle, 4, 2, 1), *(_Residual(middle) for _ in range(config.blocks)),
            nn.Conv2d(middle, coarse, 4, 2, 1), *(_Residual(coarse) for _ in range(config.blocks)),
            _PlaneAttention(coarse), nn.Conv2d(coarse, config.code_width, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_width, coarse, 3, padding=1), _PlaneAttention(coarse),
            *(_Residual(coarse) for _ in range(config.blocks)), nn.ConvTranspose2d(coarse, middle, 4, 2, 1),
            *(_Residual(middle) for _ in range(config.blocks)), nn.ConvTranspose2d(middle, fine, 4, 2, 1),
            _Residual(fine), nn.ReLU(), nn.Conv2d(fine, self.planes.channels, 3, padding=1),
        )  # fmt: skip

    def latents(self, labels: UInt8[Tensor, "b t x y z"]) -> Float[Tensor, "b t h w c"]:
        if any(n % STRIDE for n in labels.shape[2:4]):
            raise ValueError(f"expected columns in multiples of {STRIDE}, got {tuple(labels.shape[2:4])}")
        planes = self.planes.fold(labels).flatten(0, 1).movedim(-1, 1)
        return self.encoder(planes).movedim(1, -1).unflatten(0, labels.shape[:2]).float()

    def reconstruct(self, codes: Float[Tensor, "b t h w c"]) -> Float[Tensor, "b t x y k"]:
        return self.decoder(codes.flatten(0, 1).movedim(-1, 1)).movedim(1, -1).unflatten(0, codes.shape[:2])


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.body(x)


class _PlaneAttention(nn.Module):
    """One head of attention over all places of the plane."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.attention = Attention(width, width, qk_norm=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        places = rearrange(self.norm(x), "b c h w -> b (h w) c")
        return x + rearrange(self.attention(places), "b (h w) c -> b c h w", h=x.shape[2])
