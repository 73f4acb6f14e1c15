"""Fourier features of scalars."""

import math

import pytest
import torch

from worldloom.ops.fourier import ScalarEmbedding, fourier_features


def test_features_by_hand():
    features = fourier_features(torch.tensor([0.0, 0.25]), 3, min_period=1.0, max_period=4.0)  # periods 4, 2, 1
    h = math.sqrt(0.5)
    c, s = math.cos(math.pi / 8), math.sin(math.pi / 8)
    expected = torch.tensor([[1, 1, 1, 0, 0, 0], [c, h, 0, s, h, 1]])
    torch.testing.assert_close(features, expected)
    # Equal distances look equal everywhere: the inner product depends on the difference alone.
    x = torch.rand(50)
    pair = (fourier_features(x, 8, 0.01, 2.0) * fourier_features(x + 0.3, 8, 0.01, 2.0)).sum(-1)
    torch.testing.assert_close(pair, pair[:1].expand(50), atol=2e-4, rtol=0)
    with pytest.raises(ValueError, match="min_period < max_period"):
        fourier_features(x, 8, 2.0, 1.0)


def test_features_can_tell_a_sharp_function():
    """A linear map of the features follows a step of a twentieth of the range, which the bare scalar cannot."""
    x = torch.linspace(0, 1, 101)
    target = (torch.sin(40 * x) + (x > 0.5))[:, None]
    features = fourier_features(x, 32, min_period=0.05, max_period=2.0)
    fit = features @ torch.linalg.lstsq(features, target, driver="gelsd").solution
    assert (fit - target).square().mean() < 0.01


def test_embedding_shapes_and_dtypes():
    embed = ScalarEmbedding(2, 16, min_period=0.05, max_period=2.0)
    scalars = torch.rand(3, 5, 2)
    assert embed(scalars).shape == (3, 5, 16)
    assert embed.bfloat16()(scalars).dtype == torch.bfloat16
    # Both scalars are heard, and a value a whole period away is not the same value.
    embed = embed.float()
    base = embed(torch.tensor([0.2, 0.7]))
    for other in ([0.3, 0.7], [0.2, 0.8], [2.2, 0.7]):
        assert (embed(torch.tensor(other)) - base).abs().max() > 1e-3
