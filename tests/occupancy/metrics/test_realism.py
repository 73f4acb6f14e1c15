"""Realism: truth above what trembles and what is frozen, and the numbers by hand."""

import math
from dataclasses import replace

import pytest
import torch

from worldloom.geometry import EgoPath, Occupancy
from worldloom.geometry.io import load_clip
from worldloom.occupancy.metrics import find_objects
from worldloom.occupancy.metrics.realism import BINS, Surprise, bins, movement, surprise_of
from worldloom.occupancy.metrics.scenario import score_scenario
from worldloom.occupancy.metrics.truth_reference import WINDOW, truth_reference
from worldloom.synth import sample_clip_path


def realism_of(clip: Occupancy) -> float:
    return truth_reference().surprise.realism(movement(find_objects(clip), clip.dt))[0]


@pytest.fixture(scope="module")
def windows() -> list[Occupancy]:
    clip = load_clip(sample_clip_path())
    return [clip[i : i + WINDOW] for i in (0, 6, 13)]


def test_speed_acceleration_and_turn_by_hand(small) -> None:
    """A truck that drives 5 m/s along x: one speed, no acceleration, no turn; and one that goes round a corner."""
    town = small.SmallTown([small.moving(10, (0.0, -2.4), 0.0, 5.0, (6.8, 2.6, 2.4), 5)])
    values = movement(find_objects(town.clip(small.arc(0.0, 0.0, 5))), 0.5)
    assert values["speed/vehicle"] == pytest.approx([5.0] * 4, abs=0.5)
    assert max(values["acceleration/vehicle"]) < 1.0
    assert max(values["turn/vehicle"]) < 0.1
    assert not any(values[f"{feature}/vulnerable"] for feature in ("speed", "turn", "gap"))
    assert values["gap/vehicle"] == []  # nobody else is there
    walker = small.Box(7, [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (2.0, 2.0, 0.0)], (1.2, 1.2, 1.8))
    other = small.Box(4, [(0.0, -4.0, 0.0)], (4.4, 1.8, 1.6))
    corner = movement(find_objects(small.SmallTown([walker, other]).clip(small.arc(0.0, 0.0, 3))), 0.5)
    assert corner["turn/vulnerable"] == pytest.approx([math.pi / 2], abs=0.15)
    assert corner["speed/vulnerable"] == pytest.approx([4.0, 4.0], abs=0.5)
    assert corner["gap/vulnerable"][0] == pytest.approx(4.0, abs=0.3)


def test_bins_hold_all_values() -> None:
    for feature in ("speed", "acceleration", "turn", "gap", "growth"):
        assert bins(feature, [0.0, 1e9]) == [0, BINS - 1]
        placed = bins(feature, [i / 100 for i in range(300)])
        assert placed == sorted(placed)


def test_surprise_by_hand() -> None:
    flat = tuple([1 / BINS] * BINS)
    peaked = (0.5, *([0.5 / (BINS - 1)] * (BINS - 1)))
    histogram = {f"{f}/{g}": flat for f in ("speed", "acceleration", "turn", "gap", "growth")
                 for g in ("vehicle", "vulnerable")}  # fmt: skip
    surprise = Surprise({**histogram, "speed/vehicle": peaked}, {"speed": math.log(2)}, {"speed": 0.5})
    assert surprise.of({"speed/vehicle": [0.0, 0.0]}) == {"speed": pytest.approx(math.log(2))}
    assert surprise.realism({"speed/vehicle": [0.0]})[0] == pytest.approx(1.0)
    z = (math.log(2 * (BINS - 1)) - math.log(2)) / 0.5
    assert surprise.realism({"speed/vehicle": [24.9]})[0] == pytest.approx(1 / (1 + z * z))
    nothing, parts = surprise.realism({})
    assert math.isnan(nothing)
    assert parts == {}


def test_histograms_are_distributions_and_their_clips_lie_around_the_middle() -> None:
    draw = torch.Generator().manual_seed(0)
    clips = [{"speed/vehicle": (8 * torch.rand(20, generator=draw)).tolist(),
              "acceleration/vehicle": [1.0], "turn/vehicle": [0.1], "gap/vehicle": [5.0],
              "growth/vehicle": [0.1]} for _ in range(60)]  # fmt: skip
    surprise = surprise_of(clips)
    assert all(sum(row) == pytest.approx(1) and min(row) > 0 for row in surprise.histogram.values())
    scores = [surprise.realism(clip)[1]["speed"] for clip in clips]
    assert sum(scores) / len(scores) > 0.5
    wild = {"speed/vehicle": [24.0] * 20}
    frozen = {"speed/vehicle": [0.0] * 20}
    assert surprise.realism(wild)[1]["speed"] < 0.05
    assert surprise.realism(frozen)[1]["speed"] < sum(scores) / len(scores)


def test_the_reference_says_what_it_was_made_from() -> None:
    reference = truth_reference()
    assert "town-1" in reference.made_from
    assert reference.num_windows >= 50
    assert 0.4 < reference.realism_of_truth < 0.9
    assert reference.physics_of_truth > 0.9
    assert all(sum(row) == pytest.approx(1) for row in reference.surprise.histogram.values())


def test_truth_is_more_real_than_noise(small, windows: list[Occupancy]) -> None:
    """Truth, poses shaken by 0.1 and 0.5 m, and frames in another order, over three windows; five seeds."""
    in_order = reversed_ = 0
    for seed in range(5):
        levels = [0.0] * 4
        for window in windows:
            path = EgoPath(window.world_from_ego, window.dt)
            shaken = [
                replace(window, world_from_ego=small.shaken(path, metres, seed).world_from_ego)
                for metres in (0.0, 0.1, 0.5)
            ]
            worlds = [*shaken, small.shuffled(shaken[2], seed)]
            levels = [level + realism_of(world) / 3 for level, world in zip(levels, worlds, strict=True)]
        in_order += levels == sorted(levels, reverse=True) and len(set(levels)) == 4
        reversed_ += levels == sorted(levels)
    assert in_order >= 4
    assert reversed_ == 0


def test_a_frozen_world_is_not_more_real_than_truth(small, windows: list[Occupancy]) -> None:
    """Everybody stands where the ego's frame has them in the first frame: they are dragged along with it."""
    truth = sum(realism_of(window) for window in windows)
    frozen = sum(realism_of(small.with_labels(w, w.labels[:1].expand_as(w.labels).contiguous())) for w in windows)
    assert frozen < truth


def test_a_scenario_s_score_is_plain_json_and_knows_what_it_does_not_know(windows: list[Occupancy]) -> None:
    past, future = windows[0][:3], windows[0][3:]
    score = score_scenario(past, [future, future], torch.tensor([[[0.1, 0.2]] * 4, [[0.3, 0.0]] * 4]))
    content = score.to_json()
    assert content["risk"]["collision"] == pytest.approx(0.2)
    assert content["risk"]["off_road"] == pytest.approx(0.1)
    assert content["grid"]["num_futures"] == 2
    assert content["grid"]["collided_share"] in (0.0, 1.0)
    assert content["physics"]["score"] > 0.5
    assert 0 < content["grid"]["progress"] <= 1
    nobody = replace(future, labels=torch.where(future.labels <= 10, 17, future.labels))
    seen = replace(past, labels=torch.where(past.labels <= 10, 17, past.labels))
    empty = score_scenario(seen, [nobody])
    assert empty.to_json()["risk"] is None
    assert empty.to_json()["realism"]["score"] is None
    assert empty.to_json()["physics"]["movers"] == 0
    blind = replace(future, observed=torch.zeros_like(future.observed))
    assert score_scenario(past, [blind]).pdms_occ is None  # too little of the road is known
    one = score_scenario(past[-1:], [future[:1]])
    assert one.progress == 1.0
    with pytest.raises(ValueError, match="at least one future"):
        score_scenario(past, [])
