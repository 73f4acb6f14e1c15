"""EDM against its own identities and a Gaussian with a known probability flow."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldloom.ops import edm
from worldloom.ops.levels import align_levels

STD = 0.5
LEVELS = torch.logspace(-3, 2, 12, dtype=torch.float64)


def gaussian_denoiser(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """E[x0 | x] for x0 ~ N(0, STD^2)."""
    return STD**2 / (STD**2 + align_levels(sigma, x) ** 2) * x


@given(st.floats(0.1, 2), st.floats(0, 1))
def test_coefficients(sigma_data, sigma_offset):
    p = edm.Preconditioning(sigma_data, sigma_offset)
    s2 = LEVELS**2 + sigma_offset**2
    torch.testing.assert_close(p.c_in(LEVELS) ** 2 * (s2 + sigma_data**2), torch.ones_like(LEVELS))
    # Karras et al. write c_out as sigma sigma_data / sqrt(sigma^2 + sigma_data^2).
    torch.testing.assert_close(p.c_out(LEVELS), s2.sqrt() * sigma_data / (s2 + sigma_data**2).sqrt())
    torch.testing.assert_close(p.loss_weight(LEVELS), (s2 + sigma_data**2) / (s2 * sigma_data**2))
    torch.testing.assert_close((4 * p.c_noise(LEVELS)).exp(), s2.sqrt())


def test_a_perfect_network_gives_the_data_and_no_noise_gives_the_input():
    p = edm.Preconditioning()
    x, noise = torch.randn(12, 3, dtype=torch.float64), torch.randn(12, 3, dtype=torch.float64)
    noisy = edm.add_noise(x, noise, LEVELS)
    target = edm.network_target(x, noisy, LEVELS, p)
    torch.testing.assert_close(edm.denoise(lambda _x, _c: target, noisy, LEVELS, p), x)
    tiny = torch.tensor(1e-9, dtype=torch.float64)
    torch.testing.assert_close(edm.denoise(lambda x, _c: torch.ones_like(x), x, tiny, p), x)


def test_network_sees_and_says_unit_variance():
    generator = torch.Generator().manual_seed(0)
    p = edm.Preconditioning(sigma_data=0.7, sigma_offset=0.3)
    shape = (8000, 12, 4)
    x, noise = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    x = 0.7 * x
    offset = p.sigma_offset * torch.randn(8000, 12, 1, generator=generator, dtype=torch.float64)
    noisy = edm.add_noise(x, noise, LEVELS[None], offset)
    target = edm.network_target(x, noisy, LEVELS[None], p)
    fed = []
    edm.denoise(lambda x, c: fed.append((x, c)) or x, noisy, LEVELS[None], p)
    for value in (target, fed[0][0]):
        torch.testing.assert_close(value.std(dim=(0, 2)), torch.ones(12, dtype=torch.float64), atol=0.04, rtol=0)
    assert fed[0][1].shape == (1, 12)


def test_noise_levels():
    levels = edm.noise_levels(5, 0.01, 4.0, rho=7.0)
    assert levels.dtype == torch.float64
    assert len(levels) == 6
    assert levels[0].item() == pytest.approx(4.0)
    assert levels[4].item() == pytest.approx(0.01)
    assert levels[5] == 0
    torch.testing.assert_close(
        levels[:5] ** (1 / 7), torch.linspace(4 ** (1 / 7), 0.01 ** (1 / 7), 5, dtype=torch.float64)
    )
    assert edm.noise_levels(1).tolist() == [5.0, 0.0]
    with pytest.raises(ValueError, match="sigma_min"):
        edm.noise_levels(3, 5.0, 1.0)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_sampler_converges_with_its_order(method, order):
    """The flow scales x by sqrt((sigma^2 + STD^2) / (sigma_max^2 + STD^2))."""
    x = torch.linspace(-5, 5, 7, dtype=torch.float64)
    low = 0.05
    exact = x * math.sqrt((low**2 + STD**2) / (5.0**2 + STD**2))
    errors = []
    for num_steps in (33, 65, 129):
        out = edm.sample(gaussian_denoiser, x, edm.noise_levels(num_steps, low, 5.0)[:-1], method)
        errors.append((out - exact).abs().max().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.15)


def test_last_step_lands_on_the_denoised_value():
    x = torch.randn(3)
    for method in ("euler", "heun"):
        out = edm.sample(lambda x, _s: torch.full_like(x, 2.0), x, torch.tensor([1.5, 0.0]), method)
        torch.testing.assert_close(out, torch.full((3,), 2.0))


@pytest.mark.parametrize("method", ["euler", "heun"])
def test_levels_per_frame(method):
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    levels = edm.noise_levels(6, 0.05, 5.0)
    per_frame = torch.stack([levels, torch.zeros_like(levels), levels.clamp(max=2.0)], dim=1)[:, None]
    out = edm.sample(gaussian_denoiser, x, per_frame, method)
    assert torch.equal(out[:, 1], x[:, 1])
    torch.testing.assert_close(out[:, 0], edm.sample(gaussian_denoiser, x[:, 0], levels, method))
    torch.testing.assert_close(out[:, 2], edm.sample(gaussian_denoiser, x[:, 2], levels.clamp(max=2.0), method))


def test_training_levels():
    sigma = edm.training_levels((20_000,), torch.Generator().manual_seed(0))
    assert sigma.log().median().item() == pytest.approx(-0.4, abs=0.03)
    assert sigma.min() >= 2e-3
    assert sigma.max() <= 20


def test_heun_lands_each_frame_on_its_own_last_step():
    """A frame that becomes clean while another is still noisy takes Euler's step there, not half of one."""
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    levels = torch.tensor([[[2.0, 2.0]], [[0.0, 1.0]], [[0.0, 0.0]]], dtype=torch.float64)
    out = edm.sample(lambda x, _s: torch.full_like(x, 5.0), x, levels, "heun")
    torch.testing.assert_close(out, torch.full_like(x, 5.0))
