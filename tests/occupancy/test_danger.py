"""What geometry says of a path: who is near, what has happened so far, and where the wheels stand."""

import math

import pytest
import torch

from worldloom.occupancy.danger import NUM_DANGERS, dangers, ego_boxes, separations, user_boxes, with_middles
from worldloom.occupancy.scene_state import PICTURE, PIXEL, TALL
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT

ROAD, WALK = 1, 3
NEAREST, SO_FAR, OFF_SO_FAR, BLIND, OFF = 0, 1, 6, 7, 8


def straight(speed: float, frames: int = 4, y: float = 0.0) -> torch.Tensor:
    x = 0.5 * speed * torch.arange(1, frames + 1)
    return torch.stack([x, torch.full_like(x, y), torch.zeros_like(x)], -1)


def asked(others: torch.Tensor, ground: torch.Tensor | None = None, speed: float = 4.0, **changes) -> torch.Tensor:
    """Dangers of an ego that drives straight on, among users of 4 x 2 m that stand where they are said to."""
    poses = torch.cat([straight(speed)[None], others[:, None].expand(-1, 4, 3)])[None]
    now = torch.cat([torch.zeros(1, 3), others])[None, :, None]
    m = len(others) + 1
    given = {
        "sizes": torch.tensor([4.0, 2.0, 1.5]).expand(1, m, 3),
        "middles": torch.zeros(1, m, 2),
        "there": torch.ones(1, m, dtype=torch.bool),
        "ground": torch.full((1, PICTURE, PICTURE), ROAD, dtype=torch.uint8) if ground is None else ground,
    } | changes
    return dangers(poses, now, **given)[0]


def test_the_egos_box_is_ahead_of_its_axle() -> None:
    assert torch.allclose(
        ego_boxes(torch.tensor([1.0, 2.0, math.pi / 2])),
        torch.tensor([1.0, 2.0 + EGO_CENTRE, math.pi / 2, *EGO_EXTENT[:2]]),
        atol=1e-6,
    )


def test_middles_are_in_the_users_own_frames() -> None:
    turned = user_boxes(torch.tensor([5.0, 5.0, math.pi / 2]), torch.tensor([4.0, 2, 1]), torch.tensor([1.0, 0.5]))
    assert torch.allclose(turned, torch.tensor([4.5, 6.0, math.pi / 2, 4, 2]), atol=1e-6)


def test_half_way_between_frames_takes_the_short_turn() -> None:
    poses, now = torch.tensor([[2.0, 4.0, -math.pi + 0.1]]), torch.tensor([[0.0, 0.0, math.pi - 0.1]])
    both = with_middles(poses, now)
    assert torch.allclose(both[0, :2], torch.tensor([1.0, 2.0]))
    assert abs(math.remainder(float(both[0, 2]) - math.pi, math.tau)) < 1e-5
    assert torch.equal(both[1], poses[0])


def test_who_is_hit_is_told_from_then_on() -> None:
    ahead = torch.tensor([[EGO_CENTRE + EGO_EXTENT[0] / 2 + 2 + 3.0, 0.0, 0.0]])  # three metres of room, 2 m a frame
    found = asked(ahead)
    assert found.shape == (4, NUM_DANGERS)
    assert torch.allclose(4 * found[:2, NEAREST], torch.tensor([1.0, -1.0]), atol=1e-4)
    assert (found[1:, SO_FAR] < 0).all()
    assert float(found[0, SO_FAR]) > 0


def test_who_is_driven_through_stays_hit() -> None:
    found = asked(torch.tensor([[8.0, 0.0, 0.0]]), speed=24.0)
    assert float(found[-1, NEAREST]) > 1.0
    assert (found[:, SO_FAR] < 0).all()


def test_a_short_meeting_between_two_frames_is_seen() -> None:
    poses = torch.stack([straight(0.0), straight(0.0)])[None]
    poses[0, 1, :, 0] = EGO_CENTRE
    poses[0, 1, :, 1] = torch.tensor([8.0, -8.0, -8.0, -8.0])
    now = torch.tensor([[[0.0, 0, 0]], [[EGO_CENTRE, 8.0, 0]]])[None]
    found = dangers(
        poses, now, torch.tensor([4.0, 2, 1]).expand(1, 2, 3), torch.zeros(1, 2, 2),
        torch.ones(1, 2, dtype=torch.bool), torch.full((1, PICTURE, PICTURE), ROAD, dtype=torch.uint8),
    )[0]  # fmt: skip
    assert float(found[0, NEAREST]) > 0
    assert float(found[1, NEAREST]) < 0


def test_who_is_not_there_is_not_near() -> None:
    here = torch.tensor([[3.0, 0.0, 0.0]])
    assert float(asked(here)[0, NEAREST]) < 0
    gone = asked(here, there=torch.tensor([[True, False]]))
    assert torch.equal(gone, asked(torch.zeros(0, 3)))
    assert float(gone[0, NEAREST]) == pytest.approx(2.0)  # eight metres or more


@pytest.mark.parametrize(("kind", "off", "blind"), [(ROAD, 0, 0), (WALK, 1, 0), (TALL, 1, 0), (0, 0, 1)])
def test_wheels_know_what_they_stand_on(kind: int, off: float, blind: float) -> None:
    ground = torch.full((1, PICTURE, PICTURE), ROAD, dtype=torch.uint8)
    ground[:, round(PICTURE / 2 + 4.8 / PIXEL) :] = kind  # from 4.8 m ahead on
    found = asked(torch.zeros(0, 3), ground, speed=8.0)
    assert float(found[0, OFF]) in (0.0, off * 0.5)  # the front wheels are beyond it at 4 + 2.59 m
    assert [float(v) for v in found[-1, [OFF_SO_FAR, BLIND, OFF]]] == [off, blind, off]


def test_left_is_left() -> None:
    ground = torch.full((1, PICTURE, PICTURE), ROAD, dtype=torch.uint8)
    ground[:, :, PICTURE // 2 :] = WALK  # to the left, y > 0
    assert float(asked(torch.zeros(0, 3), ground)[0, OFF]) == 0.5


def test_wheels_turn_with_the_ego() -> None:
    ground = torch.full((1, PICTURE, PICTURE), ROAD, dtype=torch.uint8)
    ground[:, PICTURE // 2, PICTURE // 2] = WALK  # 0 to 0.8 m ahead and to the left
    poses, sizes = torch.tensor([0.0, 0.0, math.pi / 4]).expand(1, 1, 2, 3), torch.ones(1, 1, 3)
    stands = dangers(poses, poses[:, :, :1], sizes, torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), ground)[0]
    # The rear wheels are at (-0.54, 0.54) and (0.54, -0.54), the front ones beyond: none is in that pixel.
    assert not stands[:, OFF].any()
    turned = poses * torch.tensor([1.0, 1.0, 0.0])
    there = dangers(turned, turned[:, :, :1], sizes, torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), ground)[
        0
    ]
    assert (there[:, OFF] == 0.25).all()  # the left rear one, at (0, 0.76)


def test_nobody_far_away_is_measured() -> None:
    ego = ego_boxes(torch.zeros(1, 1, 3))
    far = user_boxes(torch.tensor([[[[60.0, 0.0, 0.0]]]]), torch.tensor([4.0, 2, 1]), torch.zeros(2))
    assert separations(ego, far).isinf().all()
