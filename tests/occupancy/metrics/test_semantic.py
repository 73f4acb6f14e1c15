"""Semantic scores against hand counts, their symmetries, and the order truth > mild > strong noise > shuffled."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import FREE, MOVERS, OCC3D_CLASSES, Occupancy, VoxelGrid
from worldloom.occupancy.metrics import VRU, SemanticScore, score_forecast


def make_occupancy(labels: torch.Tensor, observed: torch.Tensor | None = None, dt: float = 0.5) -> Occupancy:
    x, y, z = labels.shape[1:]
    grid = VoxelGrid((0.0, 0.0, 0.0), 0.4, (x, y, z))
    observed = torch.ones_like(labels, dtype=torch.bool) if observed is None else observed
    return Occupancy(labels.to(torch.uint8), observed, torch.eye(4).repeat(len(labels), 1, 1), grid, OCC3D_CLASSES, dt)


def random_labels(seed: int, shape: tuple[int, ...] = (3, 4, 5, 3)) -> torch.Tensor:
    return torch.randint(0, 18, shape, generator=torch.Generator().manual_seed(seed))


seeds = st.integers(0, 10**6)


def test_vulnerable_road_users_are_named() -> None:
    assert [OCC3D_CLASSES[label] for label in VRU] == ["bicycle", "motorcycle", "pedestrian"]


def test_hand_count() -> None:
    """Eight voxels: one hit, one miss and one false alarm of car, two hits of road, the rest free."""
    truth = torch.tensor([4, 4, 11, 11, FREE, FREE, FREE, FREE]).reshape(1, 2, 2, 2)
    guess = torch.tensor([4, FREE, 11, 11, 4, FREE, FREE, FREE]).reshape(1, 2, 2, 2)
    score = score_forecast(make_occupancy(guess), make_occupancy(truth))
    assert score.iou()[0, 4].item() == pytest.approx(1 / 3)
    assert score.iou()[0, 11].item() == 1
    assert score.miou().item() == pytest.approx((1 / 3 + 1) / 2)
    assert score.group_iou().item() == pytest.approx(3 / 5)
    assert score.group_iou(MOVERS).item() == pytest.approx(1 / 3)
    assert math.isnan(score.miou(classes=VRU).item())
    assert score.confusion[0, 4, FREE] == 1  # rows are truth
    assert score.confusion[0, FREE, 4] == 1


def test_published_policies_differ_by_tens_of_points() -> None:
    """Six of 17 classes present, each at IoU 0.30: 30.0 when absent ones are left out, 75.3 when they count as 1."""
    truth, guess = [], []
    for label in range(6):  # 3 hits in a union of 10
        truth += [label] * 3 + [label] * 7
        guess += [label] * 3 + [FREE] * 7
    score = score_forecast(
        make_occupancy(torch.tensor(guess).reshape(1, 60, 1, 1)),
        make_occupancy(torch.tensor(truth).reshape(1, 60, 1, 1)),
    )
    assert 100 * score.miou("nan").item() == pytest.approx(30.0)
    assert 100 * score.miou("one").item() == pytest.approx(75.294, abs=1e-3)
    assert 100 * score.miou("union").item() == pytest.approx(30.0)
    assert 100 * score.miou("support").item() == pytest.approx(30 * 6 / 17)


def test_a_ghost_is_seen_by_union_and_by_its_count() -> None:
    truth = torch.tensor([4, 4, FREE, FREE]).reshape(1, 4, 1, 1)
    guess = torch.tensor([4, 4, 7, 7]).reshape(1, 4, 1, 1)
    score = score_forecast(make_occupancy(guess), make_occupancy(truth))
    assert score.miou("nan").item() == 1
    assert score.miou("one").item() == 1
    assert score.miou("union").item() == pytest.approx(0.5)
    assert score.ghost[0, 7] == 2
    assert score.ghost[0, 4] == 0
    assert score.to_json()["per_class_all_frames"]["pedestrian"]["ghost"] == 2


def test_mask_is_the_truth_s() -> None:
    """An unobserved truth voxel is no evidence; an unobserved prediction is still a prediction."""
    truth, guess = torch.tensor([4, FREE]).reshape(1, 2, 1, 1), torch.tensor([FREE, FREE]).reshape(1, 2, 1, 1)
    unseen = torch.tensor([False, True]).reshape(1, 2, 1, 1)
    assert score_forecast(make_occupancy(guess), make_occupancy(truth, unseen)).support[0, 4] == 0
    assert score_forecast(make_occupancy(guess), make_occupancy(truth, unseen), mask="none").support[0, 4] == 1
    assert score_forecast(make_occupancy(guess, unseen), make_occupancy(truth)).support[0, 4] == 1


@settings(deadline=None)
@given(seeds)
def test_truth_scores_one(seed: int) -> None:
    world = make_occupancy(random_labels(seed))
    score = score_forecast(world, world)
    assert score.miou().tolist() == [1.0] * 3
    assert score.group_iou().tolist() == [1.0] * 3
    assert score.ghost.sum() == 0
    assert score.support.sum() == world.labels.numel()


@settings(deadline=None)
@given(seeds, seeds)
def test_symmetry(seed_a: int, seed_b: int) -> None:
    """Truth and prediction swapped: the confusion is transposed, and IoU under the symmetric policy is the same."""
    a, b = make_occupancy(random_labels(seed_a)), make_occupancy(random_labels(seed_b))
    there, back = score_forecast(a, b, "none"), score_forecast(b, a, "none")
    assert torch.equal(there.confusion, back.confusion.mT)
    torch.testing.assert_close(there.iou("union"), back.iou("union"), equal_nan=True)
    torch.testing.assert_close(there.group_iou(), back.group_iou(), equal_nan=True)


@settings(deadline=None)
@given(seeds, seeds, st.permutations([0, 1, 2]))
def test_order_of_frames_moves_the_curve_but_not_the_pool(seed_a: int, seed_b: int, order: list[int]) -> None:
    a, b = random_labels(seed_a), random_labels(seed_b)
    straight = score_forecast(make_occupancy(a), make_occupancy(b))
    mixed = score_forecast(make_occupancy(a[order]), make_occupancy(b[order]))
    torch.testing.assert_close(mixed.miou(), straight.miou()[order], equal_nan=True)
    assert torch.equal(mixed.pooled().confusion, straight.pooled().confusion)


@settings(deadline=None)
@given(st.lists(seeds, min_size=2, max_size=4), st.integers(1, 3))
def test_windows_pool_in_any_grouping(window_seeds: list[int], split: int) -> None:
    scores = [
        score_forecast(make_occupancy(random_labels(s)), make_occupancy(random_labels(s + 1))) for s in window_seeds
    ]
    whole = sum(scores[1:], scores[0])
    first, rest = scores[:split], scores[split:]
    parts = sum(first[1:], first[0])
    regrouped = parts + sum(rest[1:], rest[0]) if rest else parts
    assert torch.equal(whole.confusion, regrouped.confusion)
    assert whole.num_windows == regrouped.num_windows == len(window_seeds)


def test_pooled_is_not_the_mean_of_windows() -> None:
    """1 hit of 1 in one window and 1 of 9 in the other: pooled 2 / 10, mean of the two 5 / 9."""
    small = score_forecast(
        make_occupancy(torch.tensor([4] + [FREE] * 8).reshape(1, 9, 1, 1)),
        make_occupancy(torch.tensor([4] + [FREE] * 8).reshape(1, 9, 1, 1)),
    )
    large = score_forecast(
        make_occupancy(torch.tensor([4] + [FREE] * 8).reshape(1, 9, 1, 1)),
        make_occupancy(torch.full((1, 9, 1, 1), 4)),
    )
    assert (small + large).iou()[0, 4].item() == pytest.approx(2 / 10)
    assert (small.iou()[0, 4].item() + large.iou()[0, 4].item()) / 2 == pytest.approx(5 / 9)


def test_counts_beyond_float32_are_exact() -> None:
    confusion = torch.zeros(1, 18, 18, dtype=torch.int64)
    confusion[0, 4, 4] = 2**24
    one = torch.zeros_like(confusion)
    one[0, 4, 4] = 1
    score = SemanticScore(confusion, OCC3D_CLASSES, 0.5, "none", 1) + SemanticScore(one, OCC3D_CLASSES, 0.5, "none", 1)
    assert score.support[0, 4].item() == 2**24 + 1


def test_seconds_name_frames() -> None:
    """At 2 Hz, +1, +2, +3 s are the second, fourth and sixth future frame; a time without a frame has no number."""
    labels = random_labels(0, (6, 2, 2, 2))
    world = make_occupancy(labels)
    score = score_forecast(world, world)
    assert [score.frame_at(s) for s in (1.0, 2.0, 3.0)] == [1, 3, 5]
    assert score.frame_at(3.5) is None
    assert score.frame_at(1.25) is None
    wrong = labels.clone()
    wrong[1] = FREE  # only the frame at one second is lost
    lost = score_forecast(make_occupancy(wrong), world).to_json()
    assert (lost["miou"]["1s"], lost["miou"]["2s"], lost["miou"]["3s"]) == (0.0, 100.0, 100.0)
    assert lost["miou"]["avg"] == pytest.approx(200 / 3, abs=1e-3)
    assert lost["per_frame"]["miou"] == [100.0, 0.0, 100.0, 100.0, 100.0, 100.0]
    short = score_forecast(world[:4], world[:4]).to_json()
    assert short["miou"] == {"1s": 100.0, "2s": 100.0, "3s": None, "avg": None}


def test_empty_truth_is_nan_and_null() -> None:
    empty = make_occupancy(torch.full((2, 2, 2, 2), FREE))
    score = score_forecast(empty, empty)
    assert score.miou().isnan().all()
    assert score.group_iou().isnan().all()
    json.dumps(score.to_json(), allow_nan=False)
    unseen = make_occupancy(random_labels(0, (1, 2, 2, 2)), torch.zeros(1, 2, 2, 2, dtype=torch.bool))
    assert score_forecast(unseen, unseen).confusion.sum() == 0


def test_protocol_names_what_must_match() -> None:
    world = make_occupancy(random_labels(1))
    text = score_forecast(world, world, "none").protocol("one")
    assert "mask none" in text
    assert "absent classes one" in text
    assert "1 window" in text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_occupancy(random_labels(0, (2, 4, 5, 3))), "shape"),
        (make_occupancy(random_labels(0), dt=1.0), "dt"),
        (make_occupancy(torch.full((3, 4, 5, 3), 18)), "0..17, got 18"),
    ],
)
def test_what_does_not_compare_is_refused(other: Occupancy, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_forecast(other, make_occupancy(random_labels(0)))


def test_scores_of_two_protocols_do_not_pool() -> None:
    world = make_occupancy(random_labels(0))
    with pytest.raises(ValueError, match="one protocol"):
        _ = score_forecast(world, world, "none") + score_forecast(world, world, "observed")


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_order_truth_mild_strong_shuffled(seed: int) -> None:
    """A street with a wall and moving cars: 5 % and 30 % of the labels flipped, then frames shuffled in time."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.full((6, 40, 20, 6), FREE)
    labels[..., 0] = 11
    for frame in range(6):
        labels[frame, 5 * frame : 5 * frame + 6, 8:12, 1:4] = 4
        labels[frame, 3 * frame : 3 * frame + 3, 15, 1:4] = 7
        labels[frame, (7 * frame) % 40, 19, :] = 15
    truth = make_occupancy(labels)

    def flipped(share: float) -> torch.Tensor:
        noise = torch.randint(0, 18, labels.shape, generator=generator)
        return torch.where(torch.rand(labels.shape, generator=generator) < share, noise, labels)

    mild, strong = flipped(0.05), flipped(0.30)
    shuffled = flipped(0.30)[torch.tensor([3, 4, 5, 0, 1, 2])]
    mious = [score_forecast(make_occupancy(x), truth).pooled().miou().item() for x in (labels, mild, strong, shuffled)]
    assert mious[0] == 1.0
    assert mious == sorted(mious, reverse=True)
    assert len(set(mious)) == 4
