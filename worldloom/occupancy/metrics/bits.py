"""What a code costs in bits. Ratios of cells per latent cell are not bits, and are not printed."""

import lzma
import math
import zlib
from typing import Literal

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Packer = Literal["xz", "deflate"]


def raw_bits(num_voxels: int, num_classes: int = 18) -> float:
    """num_voxels * log2(num_classes): labels as they are."""
    return num_voxels * math.log2(num_classes)


def code_bits(num_tokens: int, num_codes: int) -> float:
    """num_tokens * log2(num_codes): indices of fixed length."""
    return num_tokens * math.log2(num_codes)


def code_entropy(counts: Int[Tensor, " k"]) -> float:
    """H = -sum p log2 p of codes that were counted, bits a token; NaN without any."""
    total = int(counts.sum())
    if total == 0:
        return math.nan
    p = counts[counts > 0].double() / total
    return -(p * p.log2()).sum().item()


def entropy_bits(num_tokens: int, train_counts: Int[Tensor, " k"]) -> float:
    """num_tokens * H, where H is that of the codes of the training split: what an ideal coder needs on average."""
    return num_tokens * code_entropy(train_counts)


def stream_bits(indices: Int[Tensor, "*tokens"], train_counts: Int[Tensor, " k"]) -> float:
    """Ideal length of these very tokens under the training split's distribution, each code counted once more.

    The one more pays for codes that training never used; a stream of the training distribution costs `entropy_bits`.
    """
    p = (train_counts.double() + 1) / (train_counts.sum() + len(train_counts))
    return -p.log2()[indices.flatten().long()].sum().item()


def lossless_bits(labels: UInt8[Tensor, "*shape"], packer: Packer = "xz") -> int:
    """Length of labels after a general packer: the floor that every lossy code stands beside."""
    data = labels.contiguous().numpy().tobytes()
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME) if packer == "xz" else zlib.compress(data, 9)
    return 8 * len(packed)


def quantise(latents: Float[Tensor, "*shape"], step: float) -> tuple[Float[Tensor, "*shape"], float]:
    """Latents rounded to multiples of `step`, and the entropy of the levels in bits, for all of them together.

    A continuous latent has no bits before this; the step is declared with the accuracy that it costs.
    """
    if not step > 0:
        raise ValueError(f"a quantiser needs a step above 0, got {step}")
    levels = (latents.double() / step).round()
    _, counts = levels.unique(return_counts=True)
    return (levels * step).to(latents.dtype), entropy_bits(levels.numel(), counts)
