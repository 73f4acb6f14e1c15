"""The road of a clip from above: where it is in the world, and its edges."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.occupancy.moving_world import straight_street
from worldloom.geometry import compose, rotz
from worldloom.occupancy.road_surface import road_surface


def test_the_road_is_where_the_frames_say() -> None:
    """Eight metres to either side of x, as far as the first and the last frame look."""
    surface = road_surface(straight_street(5, ego_speed=4.0, users=()))
    inside = torch.tensor([[0.0, 0.0], [-39.5, 7.5], [47.5, -7.5], [20.0, 7.9]])
    outside = torch.tensor([[0.0, 8.5], [-40.5, 0.0], [48.5, 0.0], [500.0, 0.0]])
    assert surface.at(inside).all()
    assert not surface.at(outside).any()
    assert surface.at(inside.reshape(2, 2, 2)).shape == (2, 2)


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi / 2, -2.5])
def test_it_turns_and_moves_with_the_world(yaw: float) -> None:
    clip = straight_street(4, ego_speed=6.0, users=())
    moved = compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor([900.0, -300.0, 12.0]).double())
    there = replace(clip, world_from_ego=moved @ clip.world_from_ego.double())
    before, after = road_surface(clip), road_surface(there)
    assert before.mask.sum() == pytest.approx(int(after.mask.sum()), rel=0.01)
    places = torch.tensor([[0.0, 0.0], [10.0, 7.0], [10.0, 9.0], [-50.0, 0.0]], dtype=torch.float64)
    world = places @ moved[:2, :2].T + moved[:2, 3]
    assert after.at(world).tolist() == before.at(places).tolist() == [True, True, False, False]


def test_edges_enclose_the_road() -> None:
    surface = road_surface(straight_street(3, ego_speed=0.0, users=()))
    (edge,) = surface.edges()
    x, y = edge.T
    area = (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert area == pytest.approx(80 * 16)
    assert np.abs(y).max() == pytest.approx(8.0, abs=0.21)
    assert surface.edges(least=10**6) == []


def test_a_clip_without_road_has_no_edges() -> None:
    clip = straight_street(2, users=())
    bare = replace(clip, labels=torch.where(clip.labels == 11, 14, clip.labels))
    assert not road_surface(bare).mask.any()
    assert road_surface(bare).edges() == []
