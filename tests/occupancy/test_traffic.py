"""Traffic in the plane: units of motion, who influences whom, what is given and what is drawn."""

from dataclasses import replace

import pytest
import torch

from tests.occupancy.scenes_in_the_plane import random_batch, walking
from worldloom.occupancy.motions import poses_from_motions
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.traffic_sampler import draw_motions

TINY = TrafficConfig(width=64, blocks=2, max_users=4, future=4, map_width=16)


def awake(net: TrafficNet) -> TrafficNet:
    """A net whose gates are not zero any more."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


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


@torch.no_grad()
def test_a_path_as_one_vector_is_all_that_others_learn_of_the_ego() -> None:
    net, batch = awake(TrafficNet(replace(TINY, path_by_frame=False))), random_batch()
    motions, level = torch.randn(2, 4, 4, 3), torch.zeros(2, 4, 4)
    level[:, 1:] = 0.5
    first = net(batch, motions, level)[0]
    later = motions.clone()
    later[:, 0, 3] += 0.5
    second = net(batch, later, level)[0]
    assert not torch.allclose(first[:, 1:, 0], second[:, 1:, 0], atol=1e-5)  # of every frame, whenever it happens
    alone = batch._replace(present=torch.zeros_like(batch.present).index_fill(1, torch.tensor(0), True))
    assert net(alone, motions, level)[0].isfinite().all()
    assert net.whole_path is not None
    net.whole_path.weight.zero_()
    assert torch.allclose(net(batch, motions, level)[0][:, 1:], net(batch, later, level)[0][:, 1:], atol=1e-5)


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


def test_a_net_that_has_learned_nothing_lets_everybody_go_on() -> None:
    batch = walking(2.5)
    motions, _ = draw_motions(TrafficNet(TINY).eval(), batch, mode="joint", steps=3)
    poses = poses_from_motions(motions, batch.history[:, :, -1:])
    assert torch.allclose(poses[0, 1, :, 1], 4 + 1.25 * torch.arange(1, 5), atol=1e-4)
    assert torch.allclose(poses[0, 2, :, :2], torch.full((4, 2), 9.0), atol=1e-4)
