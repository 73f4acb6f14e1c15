"""Tensor machinery that knows no scene: sparse convolution, transformer blocks, quantizers, flow and EDM, weights.

`flow` and `edm` are used with their module's name (`flow.sample`, `edm.sample`); sparse convolution is `ops.sparse`.
"""

from worldloom.ops import edm, flow
from worldloom.ops.fourier import ScalarEmbedding, fourier_features
from worldloom.ops.fsq import FSQ
from worldloom.ops.levels import align_levels
from worldloom.ops.lovasz import lovasz_softmax
from worldloom.ops.quantize import CodebookUse, Quantized, codebook_use
from worldloom.ops.rotary import grid_positions, rotary_angles, rotate
from worldloom.ops.seeds import batched_rand, batched_randn, sample_generators
from worldloom.ops.transformer import (
    MLP,
    Attention,
    Block,
    BlockConfig,
    FinalLayer,
    Modulation,
    SpaceTimeBlock,
    causal_mask,
)
from worldloom.ops.vq import VQ, VQConfig
from worldloom.ops.weights import load_config, load_weights, save_weights, weights_path

__all__ = [
    "FSQ",
    "MLP",
    "VQ",
    "Attention",
    "Block",
    "BlockConfig",
    "CodebookUse",
    "FinalLayer",
    "Modulation",
    "Quantized",
    "ScalarEmbedding",
    "SpaceTimeBlock",
    "VQConfig",
    "align_levels",
    "batched_rand",
    "batched_randn",
    "causal_mask",
    "codebook_use",
    "edm",
    "flow",
    "fourier_features",
    "grid_positions",
    "load_config",
    "load_weights",
    "lovasz_softmax",
    "rotary_angles",
    "rotate",
    "sample_generators",
    "save_weights",
    "weights_path",
]
