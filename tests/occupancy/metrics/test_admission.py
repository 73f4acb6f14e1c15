"""A metric may stand in a table if it orders truth > mild > strong > shuffled, and does not love its degenerate world.

Mild and strong are label flips of 5 and 30 %, or poses moved by 0.1 and 0.5 m; shuffled is the strong one with its
frames in another order. Five seeds: strictly in order on at least four, reversed on none.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from worldloom.geometry import FREE, MOVERS, EgoPath, Occupancy, VoxelGrid
from worldloom.occupancy.metrics import (
    VRU,
    Tolerances,
    auroc,
    compare_static,
    expected_calibration_error,
    f3d_wl,
    flips,
    follow,
    measured_path,
    mmd_wl,
    physics_score,
    score_forecast,
    score_physics,
    score_rare,
    step_gains,
    temporal_consistency,
    wrong_path_honesty,
)
from worldloom.occupancy.metrics.planning import agreement_of, contact_shares
from worldloom.synth.traffic.footprints import overlap

SEEDS = range(5)
Levels = list[float]  # truth, mild, strong, shuffled; more is better


def admit(levels: list[Levels]) -> None:
    strict = sum(all(a > b for a, b in itertools.pairwise(one)) for one in levels)
    assert strict >= 4, levels
    assert all(a >= b for one in levels for a, b in itertools.pairwise(one)), levels


@pytest.fixture(scope="module")
def clip(small) -> Occupancy:
    """Six frames among all kinds of users, with a motorcycle and a cone more."""
    boxes = [
        *small.standing_things(5),
        *small.road_users(6),
        small.moving(6, (-10.0, 2.4), 0.0, 4.0, (2.2, 1.2, 1.6), 6),
        small.Box(8, [(4.0, 4.4, 0.0)], (0.8, 0.8, 1.0)),
    ]
    return small.SmallTown(boxes).clip(small.arc(5.0, 0.06, 6))


@pytest.fixture(scope="module")
def noisy(small, clip) -> list[list[Occupancy]]:
    """For each seed the four levels by label flips."""
    levels = []
    for seed in SEEDS:
        strong = small.flipped(clip, 0.30, seed)
        levels.append([clip, small.flipped(clip, 0.05, seed), strong, small.shuffled(strong, seed)])
    return levels


def after(truth: Occupancy, forecast: Occupancy) -> Occupancy:
    """The first frame as it was, then what was made."""
    return replace(forecast, labels=torch.cat([truth.labels[:1], forecast.labels[1:]]))


FORECASTS: dict[str, Callable[[Occupancy, Occupancy], float]] = {
    "miou": lambda x, truth: score_forecast(x, truth).pooled().miou().item(),
    "occupied iou": lambda x, truth: score_forecast(x, truth).pooled().group_iou().item(),
    "mover iou": lambda x, truth: score_forecast(x, truth).pooled().group_iou(MOVERS).item(),
    "vru miou": lambda x, truth: score_forecast(x, truth).pooled().miou(classes=VRU).item(),
    "rare iou": lambda x, truth: score_rare(x, truth).vru_miou(),
    "static constancy": lambda x, truth: flips(x).iou,
    "revisit iou": lambda x, truth: compare_static(after(truth, x), 0, 5).iou,
}


@pytest.mark.parametrize("name", FORECASTS)
def test_accuracy_and_constancy(noisy, clip, name) -> None:
    admit([[FORECASTS[name](level, clip) for level in levels] for levels in noisy])


@pytest.fixture(scope="module")
def followed(small) -> tuple[EgoPath, list[list]]:
    """What is measured of worlds that were driven through along the path, beside it, and in no order."""
    town = small.SmallTown(small.standing_things(5) + small.road_users(6))
    commanded = small.arc(5.0, 0.06, 6)
    levels = []
    for seed in SEEDS:
        worlds = [town.clip(small.shaken(commanded, metres, seed)) for metres in (0.0, 0.1, 0.5)]
        worlds.append(small.shuffled(worlds[2], seed))
        levels.append([measured_path(world) for world in worlds])
    return commanded, levels


def test_following(followed) -> None:
    commanded, levels = followed
    errors = [[follow(measured.path, commanded) for measured in one] for one in levels]
    assert all(one[0].ade < 0.15 for one in errors)  # the floor of the measuring device
    admit([[-e.ade for e in one] for one in errors])
    admit([[-e.nerr for e in one] for one in errors])
    admit([[-e.speed_rmse for e in one] for one in errors])


def test_gain_is_exact_for_truth_and_its_fit_falls(followed) -> None:
    commanded, levels = followed
    gains = [[step_gains(measured.steps, commanded.steps())[0] for measured in one] for one in levels]
    assert all(one[0].slope == pytest.approx(1, abs=0.05) for one in gains)
    admit([[g.r2 for g in one] for one in gains])


def features(seed: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Slowly wandering features of 300 frames, and the same with noise of 0.2 and 0.5, and rows mixed up."""
    draw = torch.Generator().manual_seed(seed)
    walk = torch.randn(600, 6, generator=draw, dtype=torch.float64)
    for i in range(1, 600):
        walk[i] = 0.95 * walk[i - 1] + math.sqrt(1 - 0.95**2) * walk[i]
    noise = torch.randn(600, 6, generator=draw, dtype=torch.float64)
    mixing = torch.randn(6, 6, generator=draw, dtype=torch.float64)
    truth, levels = walk + 1, [walk + 1, walk + 1 + 0.2 * noise, walk + 1 + 0.5 * noise]
    levels.append((levels[2] @ mixing)[torch.randperm(600, generator=draw)])
    return truth, levels


def test_distances_of_features() -> None:
    sets = [features(seed) for seed in SEEDS]
    admit([[-f3d_wl(level, truth) for level in levels] for truth, levels in sets])
    # Unbiased, so below zero where the two are one set; nearer is smaller all the same.
    admit([[-mmd_wl(level, truth) for level in levels] for truth, levels in sets])


def test_consistency_ranks_by_its_gap_alone() -> None:
    """A frozen clip is more consistent than truth, and so the gap to truth exposes it."""
    levels = []
    for seed in SEEDS:
        truth, (same, mild, strong, _) = features(seed)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
        clips = [level.reshape(30, 20, 6) for level in (same, mild, strong)]
        clips.append(clips[2][:, order])
        base = temporal_consistency(truth.reshape(30, 20, 6))
        levels.append([-abs(temporal_consistency(level) - base) for level in clips])
        frozen = temporal_consistency(clips[0][:, :1].expand(30, 20, 6))
        assert frozen > base
        assert -abs(frozen - base) < 0
    admit(levels)


def test_physics(small, clip) -> None:
    """Poses that are not those of the labels make the world slide under its things."""
    tolerances = Tolerances.from_truth([clip])
    levels = []
    for seed in SEEDS:
        path = EgoPath(clip.world_from_ego, clip.dt)
        paths = [small.shaken(path, metres, seed).world_from_ego.float() for metres in (0.0, 0.1, 0.5)]
        moved = [replace(clip, world_from_ego=poses) for poses in paths]
        moved.append(small.shuffled(moved[2], seed))
        scores = [score_physics(world, tolerances) for world in moved]
        levels.append([physics_score(score, scores[3]) for score in scores])
    admit(levels)


def near_misses(seed: int, metres: float) -> tuple[torch.Tensor, torch.Tensor]:
    """True clearances around contact, and a model's belief of them."""
    draw = torch.Generator().manual_seed(seed)
    clearance = 0.6 * torch.randn(3000, generator=draw, dtype=torch.float64)
    return clearance, clearance + metres * torch.randn(3000, generator=draw, dtype=torch.float64)


def test_risk() -> None:
    ranked, calibrated, honest = [], [], []
    for seed in SEEDS:
        pairs = [near_misses(seed, metres) for metres in (0.0, 0.1, 0.5)]
        order = torch.randperm(3000, generator=torch.Generator().manual_seed(seed))
        pairs.append((pairs[2][0], pairs[2][1][order]))
        contacts = [clearance < 0 for clearance, _ in pairs]
        # As sure as a belief without noise would be.
        chances = [torch.sigmoid(-believed / 0.02) for _, believed in pairs]
        ranked.append([auroc(p, contact) for p, contact in zip(chances, contacts, strict=True)])
        calibrated.append([-expected_calibration_error(p, c) for p, c in zip(chances, contacts, strict=True)])
        honest.append([wrong_path_honesty(p >= 0.5, c) for p, c in zip(chances, contacts, strict=True)])
    for levels in (ranked, calibrated, honest):
        admit(levels)


def test_contact_on_grids(small) -> None:
    """Kappa against exact boxes, of poses around a parked truck that are judged where they are and beside it.

    Voxels cannot tell 0.1 m: below the quantisation bound of 0.28 m kappa stays where it is. So 0.3 and 1 m.
    """
    grid = VoxelGrid((-10.0, -10.0, -1.0), 0.4, (50, 50, 6))
    town = small.SmallTown([small.Box(10, [(0.0, 0.0, 0.3)], (7.0, 2.8, 2.4))], grid=grid)
    n = 500
    clip = town.clip(small.arc(0.0, 0.0, 1))
    levels = []
    for seed in SEEDS:
        draw = torch.Generator().manual_seed(seed)
        tries = 8000
        xy = 14 * torch.rand(tries, 2, generator=draw) - 7
        cars = torch.cat([xy, torch.tensor([[0.0, 4.08, 1.73]]).expand(tries, 3)], 1)
        truck = torch.tensor([[0.0, 0.0, 0.3, 7.0, 2.8]]).expand(tries, 5)
        wider = torch.tensor([0.0, 0.0, 0.0, 1.6, 1.6])
        # Near contact, where a test earns its kappa: 0.8 m more decides, or 0.8 m less.
        close = (overlap(cars + wider, truck) & ~overlap(cars - wider, truck)).nonzero().flatten()[:n]
        exact = overlap(cars, truck)[close]
        poses = torch.eye(4, dtype=torch.float64).repeat(n, 1, 1)
        poses[:, :2, 3] = xy[close].double() - torch.tensor([1.4, 0.0])
        kappas = []
        for metres in (0.0, 0.3, 1.0):
            moved = small.shaken(EgoPath(poses, 0.5), metres, seed).world_from_ego
            reported = contact_shares(clip, 0, moved) > 0.015
            kappas.append(agreement_of(reported, exact).kappa)
        kappas.append(agreement_of(reported[torch.randperm(n, generator=draw)], exact).kappa)
        levels.append(kappas)
    admit(levels)


def test_an_empty_world_scores_no_accuracy(small, clip) -> None:
    """The known degenerates: an empty world breaks no rule and a frozen one flips no voxel in its own frame."""
    empty = small.with_labels(clip, torch.full_like(clip.labels, FREE))
    assert score_forecast(empty, clip).pooled().miou().item() == 0
    assert score_physics(empty).movers == 0  # beside its perfect table of rates
    assert compare_static(empty, 0, 1).either == 0
    frozen = small.with_labels(clip, clip.labels[:1].expand_as(clip.labels).contiguous())
    measured = measured_path(frozen)
    assert follow(measured.path, EgoPath(clip.world_from_ego, clip.dt)).nerr == pytest.approx(1, abs=0.05)
    assert flips(frozen).iou < flips(clip).iou


def test_worlds_of_one_frame_or_none_are_nan_not_errors(small, clip) -> None:
    one = clip[:1]
    assert math.isnan(flips(one).iou)
    assert score_physics(one).rate("permanence") == 0
    assert math.isnan(score_physics(one).rate("no teleport"))
    assert math.isnan(auroc(torch.zeros(0), torch.zeros(0, dtype=torch.bool)))
