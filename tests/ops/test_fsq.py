"""Finite scalar quantization: a bijection of indices and codes, and its rounding worked out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.ops.fsq import FSQ

levels = st.lists(st.integers(3, 9), min_size=1, max_size=4).map(tuple)


@settings(max_examples=20)
@given(levels)
def test_indices_and_codes_are_a_bijection(levels):
    fsq = FSQ(levels)
    indices = torch.arange(fsq.size)
    codes = fsq.codes_from_indices(indices)
    assert torch.equal(fsq.indices_from_codes(codes), indices)
    assert len(codes.unique(dim=0)) == fsq.size
    assert codes.min() == -1
    assert codes.max() <= 1


def test_index_by_hand():
    """Levels (5, 4): the first channel counts fastest, the lowest level is 0."""
    fsq = FSQ((5, 4))
    codes = torch.tensor([[-1, -1], [-0.5, -1], [-1, -0.5], [1, 0.5], [0, 0]])
    assert fsq.indices_from_codes(codes).tolist() == [0, 1, 5, 19, 2 + 5 * 2]


@settings(max_examples=20)
@given(levels)
def test_every_code_is_reached_and_none_beside(levels):
    fsq = FSQ(levels)
    ramp = torch.linspace(-30, 30, 2_001)[:, None].expand(-1, len(levels))
    quantized = fsq.quantize(ramp)
    for i, n in enumerate(levels):
        digits = (quantized.codes[:, i] * (n // 2)).round().unique()
        assert digits.tolist() == list(range(-(n // 2), n - n // 2))
    assert torch.equal(fsq.codes_from_indices(quantized.indices), quantized.codes)
    assert quantized.loss == 0


def test_bound_meets_zero_and_is_symmetric_for_odd_levels():
    fsq = FSQ((5, 8, 4))
    torch.testing.assert_close(fsq.bound(torch.zeros(1, 3)), torch.zeros(1, 3), atol=1e-6, rtol=0)
    odd = FSQ((5, 7))
    x = torch.randn(20, 2)
    torch.testing.assert_close(odd.bound(-x), -odd.bound(x))
    ends = fsq.bound(torch.tensor([[50.0] * 3, [-50.0] * 3]))
    torch.testing.assert_close(ends, torch.tensor([[2.0, 3, 1], [-2, -4, -2]]), atol=0.01, rtol=0)


def test_gradient_is_straight_through():
    fsq = FSQ((5, 8))
    latent = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(fsq.quantize(latent).codes.sum(), latent)
    scaled = fsq.bound(latent) / torch.tensor([2.0, 4.0], dtype=torch.float64)
    (expected,) = torch.autograd.grad(scaled.sum(), latent)
    torch.testing.assert_close(gradient, expected)
    assert (gradient > 0).all()


def test_half_precision_codes_are_codes():
    fsq = FSQ((8, 7, 5))
    quantized = fsq.quantize(torch.randn(100, 3).bfloat16())
    torch.testing.assert_close(fsq.codes_from_indices(quantized.indices).bfloat16(), quantized.codes)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="3 levels"):
        FSQ((2, 4))
    with pytest.raises(ValueError, match="must have 2 channels, got 3"):
        FSQ((4, 4)).quantize(torch.zeros(1, 3))
