"""Tensor machinery that knows no scene: sparse convolution, transformer blocks, quantizers, flow and EDM, weights."""
