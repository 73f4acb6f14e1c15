"""The tokenizer of OccWorld (Zheng et al. 2024), written anew and made narrower: a 2D code of each frame by itself.

Kept: the class embedding, layers folded into channels, stride 4 on the plane, 512 codes, logits as products with the
embedding. Changed: widths, and codes that follow the latents and restart where the published ones stay dead.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.baselines.class_planes import ClassPlanes, Code, shown_labels
from worldloom.ops import VQ, Attention, Quantized, VQConfig

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


class OccWorldTokenizer(nn.Module):
    """A frame of 200 x 200 columns becomes 50 x 50 codes: 22.5 kbit."""

    def __init__(self, config: OccWorldTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.planes = ClassPlanes(config.class_width, config.layers)
        self.encoder = nn.Sequential(
            nn.Conv2d(self.planes.channels, fine, 3, padding=1), _Residual(fine),
            nn.Conv2d(fine, middle, 4, 2, 1), *(_Residual(middle) for _ in range(config.blocks)),
            nn.Conv2d(middle, coarse, 4, 2, 1), *(_Residual(coarse) for _ in range(config.blocks)),
            _PlaneAttention(coarse), nn.Conv2d(coarse, config.code_width, 1),
        )  # fmt: skip
        self.quantizer = VQ(VQConfig(config.num_codes, config.code_width))
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_width, coarse, 3, padding=1), _PlaneAttention(coarse),
            *(_Residual(coarse) for _ in range(config.blocks)), nn.ConvTranspose2d(coarse, middle, 4, 2, 1),
            *(_Residual(middle) for _ in range(config.blocks)), nn.ConvTranspose2d(middle, fine, 4, 2, 1),
            _Residual(fine), nn.ReLU(), nn.Conv2d(fine, self.planes.channels, 3, padding=1),
        )  # fmt: skip

    def latents(self, labels: UInt8[Tensor, "b t x y z"]) -> Float[Tensor, "b t h w c"]:
        """Before quantization. Columns must come in multiples of STRIDE."""
        if any(n % STRIDE for n in labels.shape[2:4]):
            raise ValueError(f"expected columns in multiples of {STRIDE}, got {tuple(labels.shape[2:4])}")
        planes = self.planes.fold(labels).flatten(0, 1).movedim(-1, 1)
        return self.encoder(planes).movedim(1, -1).unflatten(0, labels.shape[:2]).float()

    def quantize(self, latents: Float[Tensor, "b t h w c"], generator: torch.Generator | None = None) -> Quantized:
        """Codes for latents; an untrained codebook hands latents through (see `initialise` of VQ)."""
        if not self.quantizer.counts.any():
            return Quantized(latents, latents.new_zeros(latents.shape[:-1], dtype=torch.int64), latents.new_zeros(()))
        return self.quantizer(latents, generator)

    def reconstruct(self, codes: Float[Tensor, "b t h w c"]) -> Float[Tensor, "b t x y k"]:
        """Folded planes; `self.planes` makes logits or labels of them."""
        return self.decoder(codes.flatten(0, 1).movedim(-1, 1)).movedim(1, -1).unflatten(0, codes.shape[:2])

    @torch.no_grad()
    def indices(self, labels: UInt8[Tensor, "b t x y z"]) -> Int64[Tensor, "b t h w"]:
        with torch.autocast("cpu", torch.bfloat16):
            return self.quantizer(self.latents(labels)).indices

    @torch.no_grad()
    def labels(self, indices: Int64[Tensor, "b t h w"]) -> UInt8[Tensor, "b t x y z"]:
        with torch.autocast("cpu", torch.bfloat16):
            return self.planes.unfold(self.reconstruct(self.quantizer.codes_from_indices(indices)))

    def encode(self, clip: Occupancy) -> Code:
        """A clip of any length, each frame by itself."""
        return Code(self.indices(shown_labels(clip)[None])[0], self.config.num_codes)

    def decode(self, code: Code) -> UInt8[Tensor, "t x y z"]:
        return self.labels(code.indices[None])[0]


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
