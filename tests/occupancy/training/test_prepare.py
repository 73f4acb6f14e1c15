"""Clips become examples: exact boxes say where a track goes, whatever kind of data they are of."""

from pathlib import Path

import torch

from tests.occupancy.moving_world import CAR, straight_street
from worldloom.geometry.ego_path import Trajectory
from worldloom.occupancy.data.clips import Clip
from worldloom.occupancy.training.prepare import prepare_clip
from worldloom.occupancy.training.traffic_examples import TrafficExamples


def test_recorded_boxes_tell_the_future_of_tracks(tmp_path: Path) -> None:
    """A car 6 m/s fast beside an ego of 8 m/s: eight frames on it is 8 m behind where it was seen."""
    street = straight_street(14, ego_speed=8.0, users=((CAR, 12, 2, 6.0),))
    poses = torch.eye(4, dtype=torch.float64).repeat(14, 1, 1)
    poses[:, 0, 3] = 12 + 3.0 * torch.arange(14)
    poses[:, 1, 3] = 2.0
    car = Trajectory(poses, torch.ones(14, dtype=torch.bool), CAR, (4.0, 1.6, 1.6), 0.5)
    clip = Clip("scene-0001", 14, "train", "camera", lambda a, b: street[a:b], lambda: (car,))
    prepare_clip(clip, tmp_path / "scene-0001", stride=4)
    examples = TrafficExamples.load(tmp_path / "scene-0001.traffic.npz")
    assert (tmp_path / "scene-0001.static.npz").exists()
    assert bool(examples.valid[0, 0, :8].all())
    now, then = examples.history[0, 0, -1], examples.future[0, 0, 7]
    assert torch.allclose(then[:2] - now[:2], torch.tensor([24.0, 0.0]), atol=0.1)
    assert not bool(examples.collision.any() | examples.off_road.any())


def test_without_boxes_nobodys_future_is_known(tmp_path: Path) -> None:
    street = straight_street(14, users=((CAR, 12, 2, 6.0),))
    clip = Clip("scene-0001", 14, None, "none", lambda a, b: street[a:b])
    prepare_clip(clip, tmp_path / "a")
    examples = TrafficExamples.load(tmp_path / "a.traffic.npz")
    assert not bool(examples.valid.any())
    assert bool(examples.ego_valid[0].any())
