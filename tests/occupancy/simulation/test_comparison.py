"""Correlations of policies' scores: known ones are found, and intervals are as wide as chance makes them."""

import math

import numpy as np
import pytest

from tests.occupancy.tiny_world import tiny_simulation
from worldloom.errors import InputError
from worldloom.occupancy.simulation import Simulation
from worldloom.occupancy.simulation.comparison import SCORES, Comparison, compare_worlds
from worldloom.occupancy.simulation.policies import usual_policies


def comparison(model: np.ndarray, truth: np.ndarray) -> Comparison:
    """The same table for every score."""
    names = tuple(f"policy {i}" for i in range(len(model)))
    return Comparison(names, {score: np.stack([model, truth]).astype(np.float64) for score in SCORES})


def test_values_and_ranks_are_told_apart() -> None:
    truth = np.array([[0.0, 0.2], [0.2, 0.2], [0.3, 0.5], [0.6, 0.8]])
    assert comparison(0.5 * truth + 0.1, truth).correlation() == pytest.approx(1.0)
    bent = comparison(truth**3, truth)
    assert bent.correlation(ranks=True) == pytest.approx(1.0)
    assert bent.correlation() < 0.97
    assert comparison(-truth, truth).correlation() == pytest.approx(-1.0)
    # Means 0.1, 0.2, 0.4, 0.7 and 4, 3, 2, 2: equal ones share their rank, (4, 3, 1.5, 1.5).
    tied = comparison(np.array([[4, 4], [3, 3], [2, 2], [1, 3]]), truth)
    assert tied.correlation(ranks=True) == pytest.approx(np.corrcoef([1, 2, 3, 4], [4, 3, 1.5, 1.5])[0, 1])


def test_a_world_that_finds_all_equal_tells_nothing() -> None:
    truth = np.array([[0.0], [0.5], [1.0]])
    assert math.isnan(comparison(np.full((3, 1), 0.7), truth).correlation())


def test_intervals_shrink_with_what_is_drawn_anew() -> None:
    dice = np.random.default_rng(0)
    worth = dice.random((16, 1))

    def driven(starts: int, noise: float) -> Comparison:
        luck = worth + 0.3 * dice.random((16, starts))
        return comparison(luck + noise * dice.standard_normal((16, starts)), luck)

    few, many, exact = driven(3, 0.5), driven(200, 0.5), driven(3, 0.0)
    for one in (few, many):
        low, high = one.interval()
        assert low <= one.correlation() <= high
    width = [high - low for low, high in (one.interval() for one in (few, many, exact))]
    assert width[0] > 3 * width[1]
    assert width[2] == pytest.approx(0.0, abs=1e-9)
    low, high = few.interval_over_policies()
    assert low < few.correlation() < high
    assert all(math.isnan(limit) for limit in driven(1, 0.5).interval()), "one start says nothing about others"


def test_parts_are_joined_start_by_start() -> None:
    one = comparison(np.array([[0.1], [0.2]]), np.array([[0.5], [0.6]]))
    other = comparison(np.array([[0.3], [0.4]]), np.array([[0.7], [0.8]]))
    both = Comparison.joined([one, other])
    assert both.policies == one.policies
    assert both.scores["ttc"].tolist() == [[[0.1, 0.3], [0.2, 0.4]], [[0.5, 0.7], [0.6, 0.8]]]


def test_truth_has_to_be_a_towns() -> None:
    sim: Simulation = tiny_simulation()
    with pytest.raises(InputError, match="expected a town's world, models, starts and at least two policies"):
        compare_worlds({"model": sim}, sim, [], usual_policies(), 1.0)
