"""Errors of paths, gains, swaps and manoeuvres against hand-made motions."""

import math

import pytest
import torch

from worldloom.geometry import EgoPath, manoeuvre_path, path_from_steps
from worldloom.occupancy.metrics import (
    MANOEUVRES,
    agreement,
    condition_ratio,
    follow,
    gain,
    local,
    manoeuvre_of,
    nuscenes_command,
    score_manoeuvres,
    step_gains,
    swap_win_rate,
)


def straight(speed: float, n: int = 9, yaw_rate: float = 0.0) -> EgoPath:
    step = torch.tensor([speed * 0.5, 0.0, yaw_rate * 0.5], dtype=torch.float64)
    return path_from_steps(torch.eye(4, dtype=torch.float64), step.expand(n - 1, 3), 0.5)


def test_a_path_follows_itself_wherever_it_begins() -> None:
    path = straight(4.0, yaw_rate=0.2)
    moved = EgoPath(torch.linalg.inv(path.world_from_ego[4]) @ path.world_from_ego, path.dt)
    same = follow(moved, path)
    assert same.ade == pytest.approx(0, abs=1e-12)
    assert same.heading_deg == pytest.approx(0, abs=1e-9)
    assert same.nerr == pytest.approx(0, abs=1e-12)


def test_errors_by_hand() -> None:
    """Half the speed: behind by 1 m more each step of 2 m; errors 1 … 8, mean 4.5, last 8; nerr 1/2."""
    half = follow(straight(2.0), straight(4.0))
    assert half.ade == pytest.approx(4.5)
    assert half.fde == pytest.approx(8)
    assert half.nerr == pytest.approx(0.5)
    assert half.speed_rmse == pytest.approx(2)
    assert half.heading_deg == 0
    turning = follow(straight(0.0, yaw_rate=0.1), straight(0.0))
    assert turning.yaw_rate_rmse == pytest.approx(0.1)
    assert turning.heading_deg == pytest.approx(math.degrees(0.05 * 4.5))
    assert math.isnan(turning.nerr)  # a stop has no error to normalise by


def test_headings_wrap() -> None:
    """A step of 178 degrees one way and the other are 4 degrees apart."""
    a, b = straight(0.0, 2, math.radians(178) * 2), straight(0.0, 2, -math.radians(178) * 2)
    assert follow(a, b).heading_deg == pytest.approx(4)


def test_standing_still_has_nerr_one() -> None:
    assert follow(straight(0.0), straight(4.0)).nerr == pytest.approx(1)


def test_paths_that_do_not_compare_are_refused() -> None:
    with pytest.raises(ValueError, match="both"):
        follow(straight(1.0, 5), straight(1.0, 6))
    with pytest.raises(ValueError, match="dt"):
        follow(EgoPath(straight(1.0).world_from_ego, 0.1), straight(1.0))


def test_gain_is_a_slope_through_the_origin() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    assert gain(0.5 * x, x).slope == pytest.approx(0.5)
    assert gain(0.5 * x, x).r2 == pytest.approx(1)
    offset = gain(x + 1, x)  # sum x (x + 1) / sum x²
    assert offset.slope == pytest.approx(20 / 14)
    assert offset.r2 == pytest.approx(1 - (29 - 20**2 / 14) / 29)
    assert math.isnan(gain(x, torch.zeros(3)).slope)


def test_driving_backwards_is_a_negative_gain() -> None:
    commanded = straight(4.0, yaw_rate=0.3).steps()
    executed = commanded * torch.tensor([-1.0, -1.0, 0.5])
    along, turn = step_gains(executed, commanded)
    assert along.slope == pytest.approx(-1)
    assert turn.slope == pytest.approx(0.5)


def test_swaps() -> None:
    assert swap_win_rate(torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.2, 0.1, 0.3, 0.9])) == 0.625
    assert math.isnan(swap_win_rate(torch.zeros(0), torch.zeros(0)))


def test_condition_ratio_leaves_stops_out_in_pairs() -> None:
    true, null = torch.tensor([0.1, math.nan, 0.3]), torch.tensor([0.4, 0.9, 0.4])
    assert condition_ratio(true, null) == pytest.approx(0.5)
    assert math.isnan(condition_ratio(true[1:2], null[1:2]))


def test_second_opinions() -> None:
    a = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.1]])
    metres, degrees = agreement(a, a + torch.tensor([0.3, 0.4, math.radians(2)]))
    assert metres == pytest.approx(0.5)
    assert degrees == pytest.approx(2, rel=1e-5)


def test_locality_is_bit_by_bit(small, town_clip) -> None:
    labels = town_clip.labels.clone()
    labels[6, 3, 3, 3] = 15
    changed = small.with_labels(town_clip, labels)
    assert local(town_clip, changed, 6)
    assert not local(town_clip, changed, 7)


@pytest.mark.parametrize("name", ["straight", "left", "right", "stop"])
def test_manoeuvres_of_words(name: str) -> None:
    assert manoeuvre_of(manoeuvre_path(name, 6.0, 12, 0.5)) == name


def test_changes_of_speed() -> None:
    def speeding(first: float, last: float) -> EgoPath:
        steps = torch.zeros(10, 3, dtype=torch.float64)
        steps[:, 0] = torch.linspace(first, last, 10) * 0.5
        return path_from_steps(torch.eye(4, dtype=torch.float64), steps, 0.5)

    assert manoeuvre_of(speeding(4, 8)) == "accelerate"
    assert manoeuvre_of(speeding(8, 4)) == "brake"
    assert manoeuvre_of(speeding(8, 7.5)) == "straight"
    assert manoeuvre_of(speeding(4, 0)) == "stop"


def test_commands_of_nuscenes() -> None:
    assert nuscenes_command(manoeuvre_path("left", 6.0, 6, 0.5)) == "left"
    assert nuscenes_command(manoeuvre_path("right", 6.0, 6, 0.5)) == "right"
    assert nuscenes_command(straight(6.0)) == "straight"


def test_confusion_of_manoeuvres() -> None:
    score = score_manoeuvres([("left", "left"), ("left", "right"), ("stop", "stop"), ("brake", "stop")])
    assert score.accuracy == 0.5
    assert score.chance == pytest.approx(1 / 6)
    assert score.confusion[MANOEUVRES.index("left"), MANOEUVRES.index("right")] == 1  # rows are commanded
    assert math.isnan(score_manoeuvres([]).accuracy)
