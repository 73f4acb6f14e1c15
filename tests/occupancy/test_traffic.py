"""Traffic in the plane: units of motion, who influences whom, what is given and what is drawn."""

import math

import pytest
import torch

from worldloom.occupancy.scene_state import HISTORY, PICTURE
from worldloom.occupancy.traffic import (
    TrafficBatch,
    TrafficConfig,
    TrafficNet,
    expected_motions,
    motions_from_poses,
    poses_from_motions,
)
from worldloom.occupancy.traffic_sampler import draw_motions

TINY = TrafficConfig(width=64, blocks=2, max_users=4, future=4, map_width=16)


def random_batch(b: int = 2, m: int = 4, seed: int = 0) -> TrafficBatch:
    dice = torch.Generator().manual_seed(seed)
    return TrafficBatch(
        torch.full((b, m), 4, dtype=torch.uint8),
        torch.rand(b, m, 3, generator=dice) * 4,
        torch.zeros(b, m, 2),
        torch.randn(b, m, HISTORY, 3, generator=dice) * torch.tensor([10, 10, 0.5]),
        torch.ones(b, m, HISTORY, dtype=torch.bool),
        torch.randint(0, 7, (b, PICTURE, PICTURE), generator=dice, dtype=torch.uint8),
    )


def awake(net: TrafficNet) -> TrafficNet:
    """A net whose gates are not zero any more."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def test_motions_and_poses_are_inverse() -> None:
    dice = torch.Generator().manual_seed(3)
    origin = torch.randn(5, 1, 3, generator=dice)
    poses = origin + torch.randn(5, 6, 3, generator=dice) * torch.tensor([5, 5, 0.8])
    again = poses_from_motions(motions_from_poses(poses, origin, 1), origin)
    assert torch.allclose(again, poses, atol=1e-4)


def test_a_motion_is_the_mean_velocity_in_the_users_own_frame() -> None:
    origin = torch.tensor([[3.0, 1.0, math.pi / 2]])
    poses = torch.tensor([[3.0, 6.0, math.pi / 2], [3.0, 11.0, math.pi / 2 + 0.25]])  # 10 m/s along its own x
    assert torch.allclose(motions_from_poses(poses, origin, 1), torch.tensor([[2.0, 0, 0], [2.0, 0, 0.5]]), atol=1e-5)


def test_turns_take_the_short_way() -> None:
    origin = torch.tensor([[0.0, 0, math.pi - 0.05]])
    turn = motions_from_poses(torch.tensor([[0.0, 0, -math.pi + 0.05]]), origin, 1)[0, 2]
    assert turn == pytest.approx(0.2, abs=1e-5)  # a tenth of a radian in units of half a one


@torch.no_grad()
def test_absent_users_change_nothing() -> None:
    net, batch = awake(TrafficNet(TINY)), random_batch()
    present = batch.present.clone()
    present[:, 3] = False
    dice = torch.Generator().manual_seed(0)
    motions, level = torch.randn(2, 4, 4, 3, generator=dice), torch.full((2, 4, 4), 0.5)
    first = net(batch._replace(present=present), motions, level)
    history = batch.history.clone()
    history[:, 3] += 7
    second = net(batch._replace(present=present, history=history), motions, level)
    assert torch.allclose(first[0][:, :3], second[0][:, :3], atol=1e-5)
    assert torch.allclose(first[1], second[1], atol=1e-5)


@torch.no_grad()
def test_present_users_and_the_map_matter() -> None:
    net, batch = awake(TrafficNet(TINY)), random_batch()
    motions, level = torch.randn(2, 4, 4, 3), torch.full((2, 4, 4), 0.5)
    first = net(batch, motions, level)[0]
    history = batch.history.clone()
    history[:, 3] += 3
    assert not torch.allclose(first[:, 0], net(batch._replace(history=history), motions, level)[0][:, 0], atol=1e-4)
    other = net(batch._replace(ground=batch.ground.flip(1)), motions, level)[0]
    assert not torch.allclose(first, other, atol=1e-4)


@torch.no_grad()
def test_the_egos_action_reaches_everyone_at_its_frame() -> None:
    net, batch = awake(TrafficNet(TINY)), random_batch()
    motions, level = torch.randn(2, 4, 4, 3), torch.zeros(2, 4, 4)
    level[:, 1:] = 0.5
    first = net(batch, motions, level)[0]
    motions[:, 0, 2] += 0.5
    assert not torch.allclose(first[:, 1:], net(batch, motions, level)[0][:, 1:], atol=1e-4)


def test_what_is_given_stays_as_it_is() -> None:
    net, batch = awake(TrafficNet(TINY)), random_batch()
    ego, others = torch.randn(2, 4, 3), torch.randn(2, 3, 4, 3)
    dice = torch.Generator().manual_seed(0)
    motions, risk = draw_motions(net, batch, ego, mode="forward", generator=dice)
    assert torch.equal(motions[:, 0], ego)
    assert risk.shape == (2, 4, 2)
    motions, _ = draw_motions(net, batch, others=others, mode="inverse", generator=dice)
    assert torch.equal(motions[:, 1:], others)


def test_the_same_seed_draws_the_same_future_and_another_one_another() -> None:
    net, batch = awake(TrafficNet(TINY)), random_batch()
    draws = [
        draw_motions(net, batch, mode="joint", generator=torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2], atol=1e-3)


def test_modes_say_what_they_need() -> None:
    net, batch = TrafficNet(TINY), random_batch()
    with pytest.raises(ValueError, match="mode forward needs"):
        draw_motions(net, batch)
    with pytest.raises(ValueError, match="mode inverse needs"):
        draw_motions(net, batch, mode="inverse")
    with pytest.raises(ValueError, match="expected mode forward, policy"):
        draw_motions(net, batch, mode="dream")


def walking(speed: float) -> TrafficBatch:
    """The ego stands; one user comes from behind a corner at an angle of 90 degrees; another is there only now."""
    batch = random_batch(1, 3)
    history = torch.zeros(1, 3, HISTORY, 3)
    history[0, 1, :, 1] = 4.0 + 0.5 * speed * torch.arange(1 - HISTORY, 1)
    history[0, 1, :, 2] = math.pi / 2
    history[0, 2] = 9.0
    present = torch.ones(1, 3, HISTORY, dtype=torch.bool)
    present[0, 2, :-1] = False
    return batch._replace(history=history, present=present)


def test_everybody_is_expected_to_go_on_as_before() -> None:
    mean, spread = expected_motions(walking(2.5))
    assert torch.allclose(mean[0, :, 0], torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0, 0, 0]]), atol=1e-6)
    assert torch.allclose(spread[0, 0, 0], torch.tensor([0.1, 0.1, 0.1]))
    assert torch.allclose(spread[0, 1, 0], torch.tensor([0.25, 0.25, 0.35]))


def test_a_net_that_has_learned_nothing_lets_everybody_go_on() -> None:
    batch = walking(2.5)
    motions, _ = draw_motions(TrafficNet(TINY).eval(), batch, mode="joint", steps=3)
    poses = poses_from_motions(motions, batch.history[:, :, -1:])
    assert torch.allclose(poses[0, 1, :, 1], 4 + 1.25 * torch.arange(1, 5), atol=1e-4)
    assert torch.allclose(poses[0, 2, :, :2], torch.full((4, 2), 9.0), atol=1e-4)
