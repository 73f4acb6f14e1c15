"""Flow matching against closed forms: a Gaussian whose exact velocity is known."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldloom.ops import flow
from worldloom.ops.levels import align_levels
from worldloom.ops.seeds import batched_rand, batched_randn, sample_generators

MEAN, STD = 1.5, 0.4


def gaussian_velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[noise - x | x_t] for x ~ N(MEAN, STD^2), from the joint normal distribution."""
    t = align_levels(t, x)
    variance = (1 - t) ** 2 * STD**2 + t**2
    residual = x - (1 - t) * MEAN
    return -MEAN + (t - (1 - t) * STD**2) / variance * residual


def gaussian_solution(x1: torch.Tensor) -> torch.Tensor:
    """Where the exact flow takes noise x1: quantiles of N(0, 1) go to quantiles of N(MEAN, STD^2)."""
    return MEAN + STD * x1


def test_ends_and_velocity():
    x, noise = torch.randn(3, 2, 4, dtype=torch.float64), torch.randn(3, 2, 4, dtype=torch.float64)
    assert torch.equal(flow.interpolate(x, noise, torch.zeros((), dtype=torch.float64)), x)
    assert torch.equal(flow.interpolate(x, noise, torch.ones((), dtype=torch.float64)), noise)
    quarter = torch.tensor(0.25, dtype=torch.float64)
    torch.testing.assert_close(flow.interpolate(x, noise, quarter), 0.75 * x + 0.25 * noise)
    # The velocity is the derivative of the path.
    _, derivative = torch.autograd.functional.jvp(
        lambda t: flow.interpolate(x, noise, t), quarter, torch.ones((), dtype=torch.float64)
    )
    torch.testing.assert_close(derivative, flow.velocity_target(x, noise))


@given(st.floats(0.01, 0.99))
def test_data_and_noise_come_back(t: float):
    x, noise = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    level = torch.tensor([t, 1 - t], dtype=torch.float64)
    x_t, v = flow.interpolate(x, noise, level), flow.velocity_target(x, noise)
    torch.testing.assert_close(flow.data_from_velocity(x_t, v, level), x)
    torch.testing.assert_close(flow.noise_from_velocity(x_t, v, level), noise)
    torch.testing.assert_close(flow.velocity_from_data(x_t, x, level), v)


def test_velocity_from_data_is_zero_where_nothing_is_noisy():
    x = torch.randn(2, 3)
    assert torch.equal(flow.velocity_from_data(x, x + 1, torch.tensor([0.0, 0.5]))[0], torch.zeros(3))


def test_times_are_per_sample_frame_or_token():
    x, noise = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)  # b c t l
    per_sample = torch.tensor([0.2, 0.7])
    assert torch.allclose(flow.interpolate(x, noise, per_sample)[1], torch.tensor(0.7))
    per_frame = torch.rand(2, 1, 4)
    torch.testing.assert_close(flow.interpolate(x, noise, per_frame), per_frame[..., None].expand(2, 3, 4, 5))
    with pytest.raises(ValueError, match="leading axes"):
        flow.interpolate(x, noise, torch.rand(3))


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_sampler_converges_with_its_order(method, order):
    x1 = torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = []
    for num_steps in (32, 64, 128):
        x0 = flow.sample(gaussian_velocity, x1, flow.sampling_times(num_steps), method)
        errors.append((x0 - gaussian_solution(x1)).abs().max().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.15)
    assert errors[-1] < {1: 2e-2, 2: 1e-3}[order]


def test_one_euler_step_is_exact_for_one_datum():
    x0, noise = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    out = flow.sample(lambda x, t: flow.velocity_from_data(x, x0, t), noise, flow.sampling_times(1))
    torch.testing.assert_close(out, x0)


def test_given_frames_stay_exact_and_masked_ones_stay_noise():
    x = torch.randn(2, 5, 3)  # b t c
    times = flow.hold_times(flow.sampling_times(4), torch.tensor([True, True, False, False, False]))
    assert times.shape == (5, 5)
    times[:, 4] = 1
    seen = []

    def velocity(x, t):
        seen.append(t)
        return gaussian_velocity(x, t)

    out = flow.sample(velocity, x, times[:, None], "heun")
    assert torch.equal(out[:, [0, 1, 4]], x[:, [0, 1, 4]])
    torch.testing.assert_close(out[:, 2:4], flow.sample(gaussian_velocity, x[:, 2:4], flow.sampling_times(4), "heun"))
    assert all(t.shape == (1, 5) for t in seen)


def test_staggered_times():
    times = flow.staggered_times(num_steps=2, num_frames=3, lag=1)
    assert times.tolist() == [[1, 1, 1], [0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5], [0, 0, 0]]
    assert torch.equal(flow.staggered_times(4, 3, 0), flow.sampling_times(4)[:, None].expand(5, 3))
    one_by_one = flow.staggered_times(3, 2, 3)
    assert not ((one_by_one > 0) & (one_by_one < 1)).all(dim=1).any()


@given(st.floats(0.1, 10), st.integers(1, 20))
def test_shift_keeps_ends_and_order(shift, num_steps):
    times = flow.sampling_times(num_steps, shift)
    assert times[0] == 1
    assert times[-1] == 0
    assert (times.diff() < 0).all()
    torch.testing.assert_close(flow.shift_times(times, 1 / shift), flow.sampling_times(num_steps))
    assert flow.shift_times(torch.tensor(0.5), 3.0).item() == pytest.approx(0.75)


def test_training_times_have_their_distributions():
    generator = torch.Generator().manual_seed(0)
    n = 20_000
    uniform = flow.uniform_times((n,), generator)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.01)
    logits = flow.logit_normal_times((n,), generator, mean=-0.5, std=0.7).logit()
    assert (logits.mean().item(), logits.std().item()) == pytest.approx((-0.5, 0.7), abs=0.02)
    beta = flow.beta_times((n,), generator, a=3.0)
    assert beta.mean().item() == pytest.approx(0.75, abs=0.01)
    assert (beta < 0.5).float().mean().item() == pytest.approx(1 / 8, abs=0.01)


def test_guidance():
    cond, uncond = torch.tensor([1.0, 2.0, 5.0, 7.0]), torch.tensor([0.0, 1.0, 5.0, 9.0])
    torch.testing.assert_close(flow.guide(cond, uncond, 1.0), cond)
    assert torch.equal(flow.guide(cond, uncond, 0.0), uncond)
    torch.testing.assert_close(flow.guide(cond, uncond, 3.0), torch.tensor([3.0, 4.0, 5.0, 3.0]))


def test_a_sample_does_not_depend_on_the_batch():
    def draw(num, first=0):
        noise = batched_randn(sample_generators(7, num, first=first), (3, 2))
        return flow.sample(gaussian_velocity, noise, flow.sampling_times(3))

    five = draw(5)
    assert torch.equal(draw(2), five[:2])
    assert torch.equal(draw(2, first=3), five[3:])
    assert not torch.equal(five[0], five[1])
    assert not torch.equal(batched_rand(sample_generators(8, 1), (4,)), batched_rand(sample_generators(7, 1), (4,)))


def test_regression_to_the_target_finds_the_velocity():
    """Least squares of noise - x on (1, x_t) is E[noise - x | x_t]: the loss has the exact velocity as its minimum."""
    generator = torch.Generator().manual_seed(0)
    x = MEAN + STD * torch.randn(200_000, generator=generator, dtype=torch.float64)
    noise = torch.randn(200_000, generator=generator, dtype=torch.float64)
    for t in torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64):
        x_t = flow.interpolate(x, noise, t)
        features = torch.stack([torch.ones_like(x_t), x_t], dim=1)
        fit = torch.linalg.lstsq(features, flow.velocity_target(x, noise)[:, None]).solution[:, 0]
        probe = torch.tensor([0.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(fit[0] + fit[1] * probe, gaussian_velocity(probe, t), atol=0.02, rtol=0)
