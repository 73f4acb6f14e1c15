"""Motions keep their bounds, their ends and their rest."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import compose, look_at, rotz
from worldloom.scenegen.motion import EASE, SPEED, TURN_RATE, Guide, move

knots = st.lists(
    st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-1, 1), st.floats(-3, 3), st.floats(-1, 1)),
    min_size=2,
    max_size=6,
)


def guide_of(rows):
    values = torch.tensor(rows)
    return Guide(values[:, :3], values[:, 3], values[:, 4])


def turned(poses):
    between = poses[:-1, :3, :3].double().mT @ poses[1:, :3, :3].double()
    sine = (between - between.mT).flatten(1).norm(dim=-1) / math.sqrt(8)
    return torch.atan2(sine, (between.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2)


@settings(max_examples=20, deadline=None)
@given(rows=knots, smoothing=st.sampled_from([0.0, 0.3, 0.6]))
def test_no_motion_is_too_fast_or_turns_too_fast(rows, smoothing):
    guide = guide_of(rows)
    motion = move(guide, smoothing)
    if motion.seconds < 0.2:
        return
    times = torch.linspace(0, motion.seconds, max(3, int(motion.seconds * 40)))
    shown = motion.at(times)
    seconds = times.diff()
    assert (shown.points.diff(dim=0).norm(dim=-1) <= 1.02 * SPEED * seconds + 1e-4).all()
    assert (turned(shown.poses) <= 1.02 * TURN_RATE * seconds + 1e-3).all()
    torch.testing.assert_close(motion.points[[0, -1]], guide.points[[0, -1]], atol=1e-5, rtol=0)
    torch.testing.assert_close(motion.yaw[[0, -1]], guide.yaw[[0, -1]], atol=1e-5, rtol=0)
    assert (motion.times.diff() > 0).all()


def test_a_straight_walk_takes_its_way_and_the_time_to_start_and_stop():
    motion = move(guide_of([[0.0, 0, 0, 0, 0], [6.0, 0, 0, 0, 0]]), 0.3)
    assert motion.seconds == pytest.approx(6 / SPEED + EASE, abs=0.02)
    assert motion.length == pytest.approx(6, abs=1e-4)
    # Constant acceleration at first: x = t^2 / (2 EASE).
    early = motion.at(torch.tensor([0.0, 0.2, 0.4]))
    torch.testing.assert_close(early.points[:, 0], torch.tensor([0.0, 0.025, 0.1]), atol=0.015, rtol=0)
    late = motion.at(torch.tensor([motion.seconds - 0.4, motion.seconds]))
    torch.testing.assert_close(late.points[:, 0], torch.tensor([5.9, 6.0]), atol=0.01, rtol=0)


def test_turning_on_the_spot_takes_its_time():
    motion = move(guide_of([[0.0, 0, 0, 0, 0], [0.0, 0, 0, math.pi, 0]]), 0.0)
    assert motion.seconds == pytest.approx(math.pi / TURN_RATE + EASE, abs=0.02)
    assert motion.length == 0


def test_smoothing_rounds_corners_and_leaves_straight_ways_alone():
    corner = guide_of([[0.0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0], [2.0, 2.0, 0, 0, 0]])
    sharp, round_ = move(corner, 0.0), move(corner, 0.4)
    tip = torch.tensor([2.0, 0.0, 0.0])
    assert (sharp.points - tip).norm(dim=-1).min() < 0.03
    assert 0.1 < (round_.points - tip).norm(dim=-1).min() < 0.5
    angles = round_.points.diff(dim=0)
    cosine = torch.nn.functional.cosine_similarity(angles[:-1], angles[1:])
    assert cosine.min() > 0.98
    straight = move(guide_of([[0.0, 0, 0, 0, 0], [4.0, 2.0, 0, 0, 0]]), 0.6)
    assert (straight.points[:, 1] - 0.5 * straight.points[:, 0]).abs().max() < 1e-5


def test_poses_look_where_yaw_and_pitch_say():
    yaw, pitch = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([0.0, 0.5, -0.9])
    points = torch.tensor([[0.0, 0, 0], [1, 2, 3], [-1, 0, 2]])
    forward = torch.stack([pitch.cos() * yaw.cos(), pitch.cos() * yaw.sin(), pitch.sin()], -1)
    motion = move(Guide(points, yaw, pitch), 0.0)
    exact = type(motion)(points, yaw, pitch, torch.arange(3.0)).poses
    torch.testing.assert_close(exact, look_at(points, points + forward), atol=1e-5, rtol=0)


def test_a_motion_in_another_frame():
    motion = move(guide_of([[0.0, 0, 0, 0, 0.2], [1.0, 2.0, 0.5, 1.0, -0.2]]), 0.3)
    world_from_here = compose(rotz(torch.tensor(0.8)), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(motion.moved(world_from_here).poses, world_from_here @ motion.poses, atol=1e-5, rtol=0)
