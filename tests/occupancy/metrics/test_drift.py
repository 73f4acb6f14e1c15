"""Half-lives by hand, volumes, and one place seen twice."""

import math

import pytest
import torch

from worldloom.geometry import FREE, path_from_steps
from worldloom.occupancy.metrics import (
    area,
    class_volume_ratio,
    compare_static,
    flips,
    half_life,
    revisit_agreement,
    revisits,
    slope,
    token_entropy,
)


def test_half_life_by_hand() -> None:
    """Leads 0.4, 0.3, 0.2, 0.1: half of the first is reached at the third frame, counted from 1."""
    floor = torch.tensor([0.5, 0.4, 0.3, 0.2])
    life = half_life(floor + torch.tensor([0.4, 0.3, 0.2, 0.1]), floor)
    assert (life.state, life.frame, str(life)) == ("reached", 3, "3")
    censored = half_life(floor + 0.1, floor)
    assert (censored.state, censored.frame, str(censored)) == ("censored", None, "> 4")
    assert str(half_life(floor, floor)) == "below floor"
    assert str(half_life(floor - 0.1, floor)) == "below floor"
    with pytest.raises(ValueError, match="at least one"):
        half_life(floor[:0], floor[:0])


def test_slope_looks_between_one_and_four_training_horizons() -> None:
    curve = torch.cat([torch.full((3,), 9.0), torch.linspace(1.0, 0.1, 10), torch.full((5,), 9.0)])
    assert slope(curve, 4) == pytest.approx(slope(torch.cat([torch.zeros(3), curve[3:16]]), 4))
    line = 1 - 0.02 * torch.arange(1, 17)
    assert slope(line, 4) == pytest.approx(-0.02, rel=1e-5)
    assert math.isnan(slope(line[:4], 4))


def test_area_is_a_mean_height() -> None:
    assert area(torch.full((7,), 0.3)) == pytest.approx(0.3)
    assert area(torch.tensor([0.0, 1.0])) == pytest.approx(0.5)


def test_volumes_against_the_past(small, town_clip) -> None:
    ratio = class_volume_ratio(town_clip, town_clip)
    assert ratio.nanmean() == pytest.approx(1, abs=0.1)
    assert ratio[:, 9].isnan().all()  # no trailer in this town
    assert not ratio[:, 4].isnan().any()
    gone = small.with_labels(town_clip, town_clip.labels.masked_fill(town_clip.labels == 16, FREE))
    assert (class_volume_ratio(gone, town_clip)[:, 16] == 0).all()


def test_entropy_of_tokens() -> None:
    codes = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1]])
    assert token_entropy(codes, 8).tolist() == [0, 2, 1]


def loop() -> torch.Tensor:
    """Out by 40 m, around, and back to the start, where it looks the same way again."""
    steps = torch.tensor([[10.0, 0.0, 0.0]] * 4 + [[6.0, 0.0, math.pi / 2]] * 2 + [[10.0, 0.0, 0.0]] * 4)
    tail = torch.tensor([[6.0, 0.0, math.pi / 2]] * 2 + [[10.0, 0.0, 0.0]] * 2)
    return path_from_steps(torch.eye(4, dtype=torch.float64), torch.cat([steps, tail]).double(), 0.5).world_from_ego


def test_returns_are_found_and_passing_by_is_not() -> None:
    poses = loop()
    pairs = revisits(poses)
    assert pairs
    for first, later in pairs:
        assert (poses[first, :2, 3] - poses[later, :2, 3]).norm() <= 4
    assert revisits(poses[:6]) == []
    standing = torch.eye(4, dtype=torch.float64).repeat(30, 1, 1)
    assert revisits(standing) == []  # never away


def test_a_place_seen_again_is_the_same_place(small) -> None:
    """Truth at another offset and heading agrees up to voxelisation; a forgotten house does not."""
    town = small.SmallTown(small.standing_things(2))
    steps = torch.tensor([[1.3, 0.5, 0.12]], dtype=torch.float64)
    clip = town.clip(path_from_steps(torch.eye(4, dtype=torch.float64), steps, 0.5))
    truth = revisit_agreement(clip, [(0, 1)])
    assert truth.iou > 0.85
    assert truth.cells > 50_000
    assert truth.class_iou <= truth.iou
    labels = clip.labels.clone()
    labels[1][labels[1] == 15] = FREE
    forgotten = revisit_agreement(small.with_labels(clip, labels), [(0, 1)])
    assert forgotten.iou < truth.iou - 0.1
    assert compare_static(clip, 0, 0).iou == 1


def test_only_what_both_saw_is_compared(small, town_clip) -> None:
    hidden = small.hidden_by_box(town_clip[:2], (0, 0, 0), (100, 100, 8))
    nothing = flips(hidden)
    assert nothing.cells == 0
    assert math.isnan(nothing.iou)
    assert flips(town_clip[:2]).cells > 50_000
