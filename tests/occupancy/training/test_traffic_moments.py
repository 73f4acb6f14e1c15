"""Moments drawn from logs: true futures, dangers known exactly, and pictures that show what could have been seen."""

import math
from dataclasses import replace

import pytest
import torch

from worldloom.occupancy.scene_state import HISTORY, PICTURE, PIXEL, TALL, UNSEEN
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.training.traffic_examples import FUTURE, MAX_USERS
from worldloom.occupancy.training.traffic_moments import (
    LoggedTown,
    Moment,
    _another_way,
    _mistaken,
    moments_from_logs,
    visible,
)
from worldloom.occupancy.training.train_traffic import TrafficTraining, traffic_loss
from worldloom.ops.training import Schedule
from worldloom.synth.dataset.traffic_log import CELL, TrafficLog
from worldloom.synth.sheet import Sheet
from worldloom.synth.traffic.ego import EGO_FRONT

CAR, ROAD, WALK, FRAMES = 4, 11, 13, 40
SIZE = (4.2, 1.8, 1.5)


def street(*lanes: tuple[float, float, float], wall: float | None = None) -> TrafficLog:
    """Cars that drive along x through (x at frame 0, y, m/s) in a street of 16 m between sidewalks.

    Args:
        wall: x at which a wall of half a metre stands across all.
    """
    n = len(lanes)
    poses = torch.zeros(n, FRAMES, 3)
    for i, (x, y, speed) in enumerate(lanes):
        poses[i, :, 0], poses[i, :, 1] = x + 0.5 * speed * torch.arange(FRAMES), y
    sheet = Sheet((-150.0, -60.0), CELL, (900, 300))
    ground = torch.full(sheet.shape, WALK, dtype=torch.uint8)
    ground[:, 130:170] = ROAD  # |y| < 8
    rise = torch.zeros(sheet.shape)
    if wall is not None:
        at = round((wall + 150) / CELL)
        rise[at : at + 2] = 3.0
    standing = torch.tensor([speed == 0 for _, _, speed in lanes])
    return TrafficLog(
        torch.full((n,), CAR, dtype=torch.uint8), standing, torch.tensor([SIZE]).expand(n, 3),
        torch.ones(n, FRAMES, dtype=torch.bool), poses, sheet, ground, rise,
    )  # fmt: skip


def turned(log: TrafficLog) -> TrafficLog:
    """The same street, a quarter turn to the left."""
    x, y, yaw = log.poses.unbind(-1)
    sheet = Sheet((-60.0, -150.0), CELL, (300, 900))
    return replace(
        log,
        poses=torch.stack([-y, x, yaw + math.pi / 2], -1),
        sheet=sheet,
        ground=log.ground.T.flip(0),
        rise=log.rise.T,
    )


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one(log: TrafficLog, logged: bool = True, frame: int = 10, seed: int = 0):
    return LoggedTown(log).example(Moment(0, frame), dice(seed), logged)


def test_the_ego_is_in_the_cars_place_and_drives_on() -> None:
    example = one(street((0.0, 0.0, 8.0)))
    assert torch.allclose(example.ego_future[0, :8, 0], 4.0 * torch.arange(1, 9), atol=1e-4)
    assert torch.allclose(example.ego[0, :, 0], 4.0 * torch.arange(1 - HISTORY, 1), atol=1e-4)
    assert not example.collision.any()
    assert not example.off_road.any()
    assert example.ego_valid.all()
    assert not example.present.any()


def test_others_are_found_near_where_they_are_and_go_where_they_go() -> None:
    away = []
    for seed in range(40):
        example = one(street((0.0, 0.0, 8.0), (20.0, 3.5, 5.0)), seed=seed)
        if not example.present[0, 0, -1]:
            continue  # now and then somebody is overlooked
        assert example.labels[0, 0] == CAR
        now, future = example.history[0, 0, -1], example.future[0, 0]
        # 20 + 10 / 2 * (5 - 8) m ahead of the other bumper, seen from the rear axle
        away.append(now[:2] - torch.tensor([5.0 + EGO_FRONT - SIZE[0] / 2, 3.5]))
        assert torch.allclose(future[:4, 0] - now[0], 2.5 * torch.arange(1, 5), atol=0.02)
        assert torch.allclose(future[:4, 1] - now[1], torch.zeros(4), atol=0.02)
        assert example.valid[0, 0].all()
    assert len(away) > 30
    assert torch.stack(away).mean(0).norm() < 1.0  # the nearer end of a car is seen more often
    assert torch.stack(away).std(0).max() < 1.5


@pytest.mark.parametrize("logged", [True, False])
def test_a_street_that_is_turned_gives_the_same(logged: bool) -> None:
    log = street((0.0, 0.2, 8.0), (20.0, 3.5, 5.0), (30.0, -7.7, 0.0))
    for seed in range(5):
        one_way, other = one(log, logged, seed=seed), one(turned(log), logged, seed=seed)
        for name in ("history", "future", "ego", "ego_future", "sizes"):
            torch.testing.assert_close(getattr(other, name), getattr(one_way, name), atol=2e-3, rtol=0)
        assert torch.equal(other.collision, one_way.collision)
        assert torch.equal(other.off_road, one_way.off_road)
        assert (other.ground == one_way.ground).float().mean() > 0.9  # but for what lies on the edge of a pixel


def test_who_drives_is_asked_more_often_than_who_waits() -> None:
    log = street((0.0, 0.0, 8.0), (20.0, 3.5, 0.0))
    town = LoggedTown(replace(log, standing=torch.zeros(2, dtype=torch.bool)))
    chosen = [town.draw(dice(seed)).agent for seed in range(60)]
    assert 40 < chosen.count(0) < 60


def test_counterfactual_egos_are_asked_for_their_risk_alone() -> None:
    towns = [LoggedTown(street((0.0, 0.0, 8.0), (20.0, 3.5, 5.0)))]
    examples, _ = moments_from_logs(towns, 4, dice(1))
    torch.manual_seed(0)
    net = TrafficNet(TrafficConfig(width=64, blocks=1, max_users=4, map_width=16))
    training = TrafficTraining(Schedule(1))
    for seed in range(3):
        _, told = traffic_loss(net, examples, training, dice(seed), torch.zeros(4, dtype=torch.bool))
        assert told["drawn"] == 0
        assert told["risk"] > 0.1
    assert any(traffic_loss(net, examples, training, dice(seed))[1]["drawn"] > 0 for seed in range(3))


def test_a_present_user_never_hides_in_padding() -> None:
    lanes = [(0.0, 0.0, 8.0), *((5.0 * i - 60, -6.5 if i % 2 else 6.5, 0.0) for i in range(50))]
    example = one(street(*lanes))
    assert example.present.shape == (1, MAX_USERS, HISTORY)
    there = example.present[0, :, -1]
    assert there.sum() > 10
    assert not example.labels[0][~there].any()
    distance = example.history[0, there, -1, :2].norm(dim=-1)
    assert (distance.diff() > -3.0).all()  # nearest first, to what noise adds


def test_contacts_are_known_to_the_frame() -> None:
    stands = (16.0 + SIZE[0], 0.0, 0.0)  # sixteen metres between bumpers at frame 10, at eight metres a second
    example = one(street((-40.0, 0.0, 8.0), stands))
    assert example.collision[0].int().argmax() == 4  # it touches at frame 4 and overlaps in the one after
    assert example.collision[0, 4:].all()
    beside = one(street((-40.0, 0.0, 8.0), (stands[0], 2.2, 0.0)))
    assert not beside.collision.any()


def test_who_follows_an_ego_that_brakes_is_not_at_fault() -> None:
    log = street((0.0, 0.0, 8.0), (-8.0, 0.0, 8.0))
    assert not any(one(log, logged=False, seed=seed).collision.any() for seed in range(30))


def test_ways_of_their_own_hit_and_leave_the_road() -> None:
    log = street((0.0, 0.0, 8.0), (12.0, 0.0, 8.0), (-20.0, 3.5, 8.0), (30.0, 3.5, 0.0))
    examples = [one(log, logged=False, seed=seed) for seed in range(60)]
    hit = sum(bool(e.collision[0, :8].any()) for e in examples)
    off = sum(bool(e.off_road[0, :8].any()) for e in examples)
    assert 5 < hit < 50
    assert 2 < off < 50
    for e in examples:
        assert e.collision[0].int().diff().min() >= 0  # once is for good
        beyond = (e.ego_future[0, :, 1].abs() > 8.0).nonzero()
        if len(beyond):
            assert e.off_road[0, int(beyond[0]) :].all()


def test_another_way_begins_here_and_is_smooth() -> None:
    ego = torch.stack([4.0 * torch.arange(FUTURE + 1.0), torch.zeros(FUTURE + 1), torch.zeros(FUTURE + 1)], -1)
    for seed in range(50):
        way = _another_way(ego, torch.ones(FUTURE, dtype=torch.bool), dice(seed)).flatten(0, 1)
        steps = torch.cat([way[:1], way.diff(dim=0)])[:, :2].norm(dim=-1) / 0.125
        assert abs(float(steps[0]) - 8.0) < 1.5
        assert steps.diff().abs().max() < 8.0 * 0.125 + 2.0  # m/s between steps
        moving = steps[1:] > 1.0
        heading = torch.atan2(*way.diff(dim=0)[:, [1, 0]].unbind(1))
        turn = torch.remainder(heading - way[1:, 2] + math.pi, math.tau) - math.pi
        assert turn[moving].abs().max() < 0.3


def test_walls_hide_what_is_behind_them() -> None:
    solid = torch.zeros(PICTURE, PICTURE, dtype=torch.bool)
    solid[70:90] = True  # from 16 m ahead on
    seen = visible(solid, torch.zeros(1, 2), None)
    assert seen[50:70, 45:55].all()
    assert seen[71, 50]
    assert not seen[95:].any()
    assert seen[5:50].float().mean() > 0.9


def test_the_picture_is_the_map_as_far_as_one_sees() -> None:
    example = one(street((0.0, 0.0, 8.0), wall=80.0))
    ground, ahead = example.ground[0], 80.0 - 40.0 - SIZE[0] / 2 + EGO_FRONT
    road, walk = 1, 3
    near = ground[40:60, 46:54]
    assert ((near == road) | (near == UNSEEN)).all()
    assert (near == road).float().mean() > 0.9
    at = PICTURE // 2 + round(10.0 / PIXEL)  # ten metres to the left: the sidewalk
    assert (ground[40:60, at] == walk).float().mean() > 0.8
    wall = PICTURE // 2 + int(ahead / PIXEL)
    assert wall >= PICTURE - 2 or (ground[wall - 1 : wall + 2] == TALL).any()


def test_batches_come_again_and_mix_towns() -> None:
    towns = [LoggedTown(street((0.0, 0.0, 8.0), (20.0, 3.5, 5.0))), LoggedTown(street((0.0, -3.5, 12.0)))]
    first, logged = moments_from_logs(towns, 12, dice(5))
    again, _ = moments_from_logs(towns, 12, dice(5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.ego.shape == (12, HISTORY, 3)
    assert logged.any()
    assert not logged.all()
    assert moments_from_logs(towns, 12, dice(5), counterfactual=False)[1].all()
    speed = first.ego[:, -1, 0] - first.ego[:, -2, 0]
    assert speed.max() == pytest.approx(6.0, abs=1e-3)
    assert speed.min() == pytest.approx(2.5, abs=1e-3)


def test_vehicles_that_come_into_view_seem_to_move_and_pedestrians_do_not() -> None:
    """Three hundred that stand, half of them found in the last frames: the last pose is right, those before may err."""
    n, drawn = 300, dice(3)
    found = torch.zeros(n, HISTORY, 3)
    since = torch.where(torch.arange(n) < n // 2, 0, 2)
    length = torch.full((n,), 4.5)
    for label, low, high in ((CAR, 0.3, 0.8), (7, 0.0, 0.0)):
        labels = torch.full((n,), label, dtype=torch.uint8)
        seen = _mistaken(found, since, labels, length, drawn)
        assert torch.equal(seen[:, -1], found[:, -1])
        moved = (seen[:, -2, :2]).norm(dim=-1) > 0.2
        late = since > 0
        assert low <= float(moved[late].double().mean()) <= high
        assert float(moved[~late].double().mean()) <= 0.2
