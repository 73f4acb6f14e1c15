"""A way is filmed as it was walked, with its pauses."""

import pytest
import torch

from worldloom.apps.walk.recording import FPS, MAX_SECONDS, Recording
from worldloom.errors import InputError


def pose(x: float) -> torch.Tensor:
    world_from_cam = torch.eye(4)
    world_from_cam[0, 3] = x
    return world_from_cam


def test_frames_lie_on_the_way_at_the_films_times() -> None:
    recording = Recording()
    for i in range(11):
        recording.add(pose(0.1 * i), 7.0 + 0.1 * i)
    path = recording.path()
    assert len(path.cameras) == int(FPS) + 1
    assert path.cameras.world_from_cam[12, 0, 3].item() == pytest.approx(0.5, abs=1e-3)
    assert path.times is not None
    assert path.times[12].item() == pytest.approx(0.5)


def test_a_pause_is_a_pause_and_no_slow_walk() -> None:
    recording = Recording()
    recording.add(pose(0.0), 0.0)
    recording.add(pose(1.0), 4.0)  # a browser tells nothing while nobody moves
    x = recording.path().cameras.world_from_cam[:, 0, 3]
    assert x[round(3.5 * FPS)].item() == pytest.approx(0.0)
    assert x[-1].item() == pytest.approx(1.0, abs=0.05)


def test_one_place_is_no_way() -> None:
    recording = Recording()
    recording.add(pose(0.0), 1.0)
    recording.add(pose(1.0), 1.0)
    with pytest.raises(InputError, match="two places or more"):
        recording.path()


def test_it_ends_by_itself() -> None:
    recording = Recording()
    recording.add(pose(0.0), 0.0)
    recording.add(pose(1.0), MAX_SECONDS)
    assert recording.full
    recording.add(pose(2.0), MAX_SECONDS + 1)
    assert len(recording.path().cameras) == MAX_SECONDS * FPS + 1
