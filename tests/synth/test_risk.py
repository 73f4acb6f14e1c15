"""The risk of a drive, where it can be computed by hand."""

import math

import pytest
import torch

from tests.synth.bare_town import bare_town, straight_drive
from worldloom.geometry import OCC3D_CLASSES, Trajectory
from worldloom.synth.towns.town import StandingUser
from worldloom.synth.traffic.drive import RoadUser
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT
from worldloom.synth.traffic.risk import Risk, risk_of

NOSE = EGO_CENTRE + EGO_EXTENT[0] / 2


def car(x: float, y: float, speed: float, present: list[bool]) -> RoadUser:
    poses = torch.eye(4).repeat(len(present), 1, 1)
    poses[:, 0, 3], poses[:, 1, 3], poses[:, 2, 3] = x + speed * 0.5 * torch.arange(len(present)), y, 0.75
    velocity = torch.tensor([speed, 0.0, 0.0]).repeat(len(present), 1)
    there = torch.tensor(present)
    trajectory = Trajectory(poses, there, OCC3D_CLASSES.index("car"), (4.0, 2.0, 1.5), 0.5)
    return RoadUser("car.0", "car", 0, trajectory, velocity, torch.zeros(len(present)))


def test_who_is_ahead() -> None:
    # Its tail is 6 m before the ego's nose, which comes nearer at 4 - 1 m/s.
    ahead = car(NOSE + 6 + 2, 0.0, 1.0, [True, True, False])
    risk = risk_of(bare_town(), straight_drive((ahead,)))
    assert risk.gap.tolist() == pytest.approx([6.0, 4.5, math.inf], abs=1e-4)
    assert risk.time_to_collision.tolist() == pytest.approx([2.0, 1.5, math.inf], abs=1e-4)
    assert not risk.collision.any()
    assert not risk.off_road.any()


def test_who_stands_beside() -> None:
    pose = torch.eye(4)
    pose[0, 3], pose[1, 3] = 3.0, -(EGO_EXTENT[1] / 2 + 1.0 + 0.5)
    beside = StandingUser("car", 0, pose, (4.0, 2.0, 1.5))
    risk = risk_of(bare_town(standing=(beside,)), straight_drive())
    assert risk.gap.tolist() == pytest.approx([0.5, 0.5, 0.5], abs=1e-5)
    assert risk.time_to_collision.tolist() == [math.inf] * 3


def test_a_collision_and_the_kerb() -> None:
    drive = straight_drive((car(NOSE + 1.0, 0.0, 4.0, [True] * 3),))
    assert risk_of(bare_town(), drive).collision.tolist() == [True] * 3
    # The left wheels are 0.76 m from the middle; the sidewalk begins at y = 6.
    for y, off in ((5.1, False), (5.4, True)):
        moved = straight_drive()
        moved.world_from_ego[:, 1, 3] = y
        assert risk_of(bare_town(), moved).off_road.tolist() == [off] * 3


def test_frames_know_the_worst_since_the_frame_before() -> None:
    gap = torch.tensor([5.0, 4.0, 1.0, 3.0, 2.0, 9.0, 0.5])
    hit = torch.tensor([False, True, False, False, False, False, True])
    worst = Risk(gap, gap + 1, hit, ~hit).every(2)
    assert worst.gap.tolist() == [5.0, 1.0, 2.0, 0.5]
    assert worst.time_to_collision.tolist() == [6.0, 2.0, 3.0, 1.5]
    assert worst.collision.tolist() == [False, True, False, True]
    assert worst.off_road.tolist() == [True] * 4
    assert Risk(gap, gap, hit, hit).every(4).gap.tolist() == [5.0, 1.0]
