"""Rotary positions: angles by hand, and attention scores that see differences of position only."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.ops.rotary import grid_positions, rotary_angles, rotate


def test_angles_by_hand():
    """Six pairs on two axes: three each, with rates 1, 100^(-1/3), 100^(-2/3)."""
    angles = rotary_angles(torch.tensor([[2.0, -3.0]]), head_width=12, base=100.0)
    rates = [1, 100 ** (-1 / 3), 100 ** (-2 / 3)]
    torch.testing.assert_close(angles, torch.tensor([[*(2 * r for r in rates), *(-3 * r for r in rates)]]))
    assert rotary_angles(torch.zeros(5, 3), head_width=64).shape == (5, 32)
    uneven = rotary_angles(torch.tensor([[1.0, 10.0, 100.0]]), head_width=10)  # 2, 2 and 1 pairs
    assert uneven[0, [0, 2, 4]].tolist() == [1, 10, 100]


def test_rotation_by_hand():
    x = torch.tensor([[1.0, 0.0, 0.0, 2.0]])  # pairs (0, 2) and (1, 3)
    quarter = torch.tensor([[torch.pi / 2, torch.pi / 2]])
    torch.testing.assert_close(rotate(x, quarter), torch.tensor([[0.0, -2.0, 1.0, 0.0]]))


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_scores_depend_on_differences_only(axes, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(6, 16, generator=generator) for _ in range(2))
    positions = 5 * torch.randn(6, axes, generator=generator)
    shift = 5 * torch.randn(axes, generator=generator)

    def scores(p):
        angles = rotary_angles(p, 16)
        return rotate(q, angles) @ rotate(k, angles).T

    torch.testing.assert_close(scores(positions + shift), scores(positions), atol=1e-4, rtol=1e-4)
    # Every axis is seen: moving one token along it changes its scores.
    for axis in range(axes):
        moved = positions.clone()
        moved[0, axis] += 1
        assert (scores(moved)[0, 1:] - scores(positions)[0, 1:]).abs().max() > 1e-3


def test_lengths_stay_and_dtype_stays():
    x = torch.randn(3, 4, 8)
    angles = rotary_angles(torch.randn(3, 4, 2), 8)
    torch.testing.assert_close(rotate(x, angles).norm(dim=-1), x.norm(dim=-1))
    assert rotate(x.bfloat16(), angles).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="4 axes need an even head width of at least 8"):
        rotary_angles(torch.zeros(1, 4), 6)


def test_grid_positions_follow_the_flattened_grid():
    positions = grid_positions(2, 3, 4)
    values = torch.arange(24).reshape(2, 3, 4)
    t, h, w = positions.long().unbind(-1)
    assert torch.equal(values[t, h, w], torch.arange(24))
