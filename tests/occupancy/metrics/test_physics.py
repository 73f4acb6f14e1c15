"""Each rule: truth keeps it, and a world that breaks exactly it is caught by it."""

import math

import pytest
import torch

from worldloom.geometry import FREE, MOVERS, Occupancy
from worldloom.occupancy.metrics import (
    RULES,
    Tolerances,
    arrow_of_time,
    find_objects,
    follow_objects,
    physics_score,
    score_physics,
)
from worldloom.occupancy.metrics.rectangles import rectangle_overlap

N = 8
MOVING = tuple(rule for rule in RULES if rule not in ("static constancy", "free space"))


@pytest.fixture(scope="module")
def still(small):
    """An ego that stands, so that nothing static flickers, among a car, a truck, a bicycle and a pedestrian."""

    def world(boxes, hidden=None, extra=()) -> Occupancy:
        town = small.SmallTown(small.standing_things(1) + list(extra) + boxes)
        first = len(town.boxes) - len(boxes)
        town.hidden = {frame: {first + i for i in which} for frame, which in (hidden or {}).items()}
        return town.clip(small.arc(0.0, 0.0, N))

    return world


@pytest.fixture(scope="module")
def users(small):
    def make():
        return [
            small.moving(4, (-9.0, -2.4), 0.0, 4.0, (4.4, 2.0, 1.6), N),
            small.moving(10, (9.0, 2.4), math.pi, 4.0, (6.8, 2.8, 2.4), N),
            small.moving(2, (-7.0, 6.4), 0.0, 3.0, (2.0, 1.2, 1.6), N),
            small.moving(7, (3.0, -7.0), 0.0, 1.2, (1.2, 1.2, 2.0), N),
        ]

    return make


def broken(clip: Occupancy) -> dict[str, float]:
    score = score_physics(clip)
    return {rule: score.violations[rule] for rule in RULES if score.violations[rule] > 0}


def test_truth_breaks_nothing(still, users) -> None:
    clip = still(users())
    assert broken(clip) == {}
    score = score_physics(clip)
    assert score.movers == 4 * N
    assert score.mover_voxels == int(sum((clip.labels == label).sum() for label in MOVERS))
    assert all(score.chances[rule] > 0 for rule in RULES)


def test_truth_of_a_moving_ego_stays_below_half_a_percent(town_clip: Occupancy) -> None:
    tolerances = Tolerances.from_truth([town_clip])
    score = score_physics(town_clip, tolerances)
    assert all(score.rate(rule) <= 0.5 for rule in RULES if score.chances[rule])
    assert tolerances.acceleration < 15


def test_tracks_are_the_users(still, users) -> None:
    tracks = follow_objects(find_objects(still(users())), 0.5)
    assert sorted(track.seen[0].label for track in tracks) == [2, 4, 7, 10]
    assert all(track.frames == tuple(range(N)) for track in tracks)
    car = next(track for track in tracks if track.seen[0].label == 4)
    assert car.seen[-1].centre[0] - car.seen[0].centre[0] == pytest.approx(4.0 * 0.5 * (N - 1), abs=0.3)
    assert car.seen[3].yaw == pytest.approx(0, abs=0.05)
    assert car.seen[3].length == pytest.approx(4.4, abs=0.4)
    assert car.seen[3].bottom == pytest.approx(0, abs=1e-5)


def vanish(small, boxes):
    return boxes, {4: {0}}


def be_born(small, boxes):
    return boxes, {frame: {0} for frame in range(4)}


def teleport(small, boxes):
    boxes[0].poses[4:] = [(x + 7.0, y, yaw) for x, y, yaw in boxes[0].poses[4:]]
    return boxes, {}


def drift_sideways(small, boxes):
    boxes[0] = small.moving(4, (-4.0, -4.0), 0.0, 0.0, (4.4, 2.0, 1.6), N)
    boxes[0].poses = [(-6.0 + 0.6 * i, -4.0 + 1.1 * i, 0.0) for i in range(N)]
    boxes[1] = small.moving(10, (12.0, 9.0), math.pi / 2, 1.0, (6.8, 2.8, 2.4), N)
    return boxes, {}


def swell(small, boxes):
    grown = small.Box(4, boxes[0].poses, (4.4, 2.0, 2.4))
    boxes.append(grown)
    return boxes, {frame: ({4} if frame < 4 else {0}) for frame in range(N)}


def overlap(small, boxes):
    # Seen from above only: a pedestrian inside a car's outline, of another class.
    x, y, yaw = boxes[0].poses[0]
    boxes.append(small.Box(7, [(x + 2.0 * i, y + 0.2, yaw) for i in range(N)], (1.2, 1.2, 2.4)))
    return boxes, {}


def float_up(small, boxes):
    boxes[0] = small.Box(4, boxes[0].poses, boxes[0].size, bottom=1.2)
    return boxes, {}


def change_class(small, boxes):
    boxes.append(small.Box(3, boxes[0].poses, boxes[0].size))
    return boxes, {frame: ({4} if frame < 4 else {0}) for frame in range(N)}


@pytest.mark.parametrize(
    ("inject", "rule"),
    [
        (vanish, "permanence"),
        (be_born, "no birth or death"),
        (teleport, "no teleport"),
        (drift_sideways, "kinematics"),
        (swell, "rigidity"),
        (overlap, "interpenetration"),
        (float_up, "support"),
        (change_class, "identity"),
    ],
)
def test_a_violation_fires_its_rule_and_no_other(small, still, users, inject, rule) -> None:
    boxes, hidden = inject(small, users())
    assert set(broken(still(boxes, hidden))) == {rule}


def test_a_wall_that_comes_and_goes(small, still, users) -> None:
    """Once for one frame: constancy is broken twice, and free space that was seen before and after is filled."""
    clip = still(users())
    labels = clip.labels.clone()
    labels[4, 60:64, 62:66, 2:6] = 15
    found = broken(small.with_labels(clip, labels))
    assert set(found) == {"static constancy", "free space"}
    assert found["free space"] == 4 * 4 * 4
    labels[5:, 60:64, 62:66, 2:6] = 15  # it stays: no flash, and only one flip
    assert set(broken(small.with_labels(clip, labels))) == {"static constancy"}


def test_an_unseen_place_hides_births_and_growth(small, still, users) -> None:
    """A thing that steps out of a shadow is not born."""
    boxes, hidden = be_born(small, users())
    clip = small.hidden_by_box(still(boxes, hidden), (25, 35, 0), (55, 60, 8))
    assert "no birth or death" not in broken(clip)


def test_the_ego_in_a_wall(small, still, users) -> None:
    clip = still(users(), extra=[small.Box(15, [(1.5, 0.0, 0.0)], (1.0, 1.0, 3.0))])
    assert score_physics(clip, ego_box=(4.08, 1.73, 1.4)).violations["interpenetration"] == N
    assert score_physics(still(users()), ego_box=(4.08, 1.73, 1.4)).violations["interpenetration"] == 0


def test_an_empty_world_says_that_it_is_empty(small, still, users) -> None:
    clip = still(users())
    empty = small.with_labels(clip, torch.full_like(clip.labels, FREE))
    score = score_physics(empty)
    assert sum(score.violations.values()) == 0
    assert (score.movers, score.mover_voxels) == (0, 0)
    assert all(math.isnan(score.rate(rule)) for rule in RULES)


def test_shuffled_time_scores_zero_and_truth_one(small, still, users) -> None:
    clip = still(users())
    truth, mixed = score_physics(clip), score_physics(small.shuffled(clip, 0))
    assert physics_score(truth, mixed) == 1
    assert physics_score(mixed, mixed) == 0
    assert (truth + truth).rate("permanence") == 0
    assert (mixed + mixed).violations["no teleport"] == 2 * mixed.violations["no teleport"]


def test_arrow_of_time() -> None:
    assert arrow_of_time(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 3.0, 3.0, 1.0])) == 0.625


def test_shared_area_of_rectangles() -> None:
    square = (0.0, 0.0, 0.0, 2.0, 2.0)
    assert rectangle_overlap(square, (1.0, 1.0, 0.0, 2.0, 2.0)) == pytest.approx(1)
    assert rectangle_overlap(square, (0.0, 0.0, math.pi / 4, 2.0, 2.0)) == pytest.approx(8 * (math.sqrt(2) - 1))
    assert rectangle_overlap(square, (5.0, 0.0, 0.3, 2.0, 2.0)) == 0
    assert rectangle_overlap((0.0, 0.0, 0.5, 1.0, 0.5), (0.0, 0.0, 0.2, 9.0, 9.0)) == pytest.approx(0.5)
