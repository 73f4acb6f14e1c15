"""What both peers' tokenizers share: folded class planes in and out, and one codebook between encoder and decoder."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.class_planes import ClassPlanes, Code, shown_labels
from worldloom.ops import VQ, Quantized, VQConfig


class VQTokenizer(nn.Module, ABC):
    """Labels become s x h x w codes."""

    def __init__(self, class_width: int, layers: int, num_codes: int, code_width: int) -> None:
        super().__init__()
        self.planes = ClassPlanes(class_width, layers)
        self.quantizer = VQ(VQConfig(num_codes, code_width))

    @abstractmethod
    def latents(self, labels: UInt8[Tensor, "b t x y z"]) -> Float[Tensor, "b s h w c"]:
        """Before quantization.

        Raises:
            ValueError: frames or columns that are no multiples of the stride.
        """

    @abstractmethod
    def reconstruct(self, codes: Float[Tensor, "b s h w c"]) -> Float[Tensor, "b t x y k"]:
        """Folded planes; `self.planes` makes logits or labels of them."""

    def quantize(self, latents: Float[Tensor, "b s h w c"], generator: torch.Generator | None = None) -> Quantized:
        """Codes for latents; an untrained codebook hands latents through (see `initialise` of VQ)."""
        if not self.quantizer.counts.any():
            return Quantized(latents, latents.new_zeros(latents.shape[:-1], dtype=torch.int64), latents.new_zeros(()))
        return self.quantizer(latents, generator)

    @torch.no_grad()
    def indices(self, labels: UInt8[Tensor, "b t x y z"]) -> Int64[Tensor, "b s h w"]:
        """Numbers of the nearest codes."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.quantizer(self.latents(labels)).indices

    @torch.no_grad()
    def labels(self, indices: Int64[Tensor, "b s h w"]) -> UInt8[Tensor, "b t x y z"]:
        """What the decoder makes of codes."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.planes.unfold(self.reconstruct(self.quantizer.codes_from_indices(indices)))

    def encode(self, clip: Occupancy) -> Code:
        """A clip whose frames come in multiples of the stride."""
        return Code(self.indices(shown_labels(clip)[None])[0], self.quantizer.config.size)

    def decode(self, code: Code) -> UInt8[Tensor, "t x y z"]:
        """The labels of a clip."""
        return self.labels(code.indices[None])[0]
