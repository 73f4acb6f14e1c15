"""What every quantizer returns, and how well a codebook is used."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """Latents after quantization."""

    codes: Float[Tensor, "*batch d"]  # gradients pass straight through to the latent
    indices: Int[Tensor, "*batch"]  # int64
    loss: Float[Tensor, ""]  # what the quantizer asks of the encoder; 0 if nothing


@dataclass(frozen=True)
class CodebookUse:
    """How the codes of a codebook share the work."""

    used: float  # share of the codes that occur at all
    perplexity: float  # exp(entropy): as many equally used codes would carry the same information
    bits: float  # entropy per index, in bits: what an ideal coder without context needs


def codebook_use(indices: Int[Tensor, "*batch"], size: int) -> CodebookUse:
    """Measure the use of a codebook of `size` codes from indices of a whole data set, not of one batch."""
    if indices.numel() == 0:
        raise ValueError("codebook use needs at least one index")
    counts = torch.bincount(indices.flatten(), minlength=size).double()
    if len(counts) > size:
        raise ValueError(f"indices must be below the codebook size {size}, got {len(counts) - 1}")
    shares = counts / counts.sum()
    entropy = torch.special.entr(shares).sum().item()
    return CodebookUse((counts > 0).double().mean().item(), math.exp(entropy), entropy / math.log(2))
