"""Films of a drive on a small grid: how many pictures, what they say, and where the ego and its path are."""

import pytest
import torch

from worldloom.geometry import FREE, OCC3D_CLASSES, Occupancy, VoxelGrid
from worldloom.render import drive_film
from worldloom.render.drive_film import FUTURE_COLOUR, PAST_COLOUR, birdseye_film, drive_sheet, perspective_film
from worldloom.render.ego_marks import ego_splats, ground_height, path_splats

GRID = VoxelGrid((-8.0, -8.0, -1.0), 0.4, (40, 40, 10))
ROAD, WALL = 11, 15


def make_clip(frames: int) -> Occupancy:
    labels = torch.full((frames, *GRID.shape), FREE, dtype=torch.uint8)
    labels[..., 1] = ROAD
    labels[:, :, 35:, 1:8] = WALL  # to the left
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = 1000 + torch.arange(frames)
    return Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, GRID, OCC3D_CLASSES, 0.5)


def test_films_have_past_then_future() -> None:
    clip = make_clip(3)
    behind = list(perspective_film(clip, 2, (72, 128), per_step=2))
    above = list(birdseye_film(clip, 2, 90))
    assert len(behind) == 5
    assert len(above) == 3
    assert above[0].shape == (3, 90, 120)
    for film, now in ((behind, 4), (above, 2)):
        for i, picture in enumerate(film):
            colour = torch.tensor(PAST_COLOUR if i < now else FUTURE_COLOUR)
            torch.testing.assert_close(picture[:, -2, 20], colour, atol=0.01, rtol=0)
    assert drive_sheet(clip, 2, columns=2, width=96).shape == (3, 54 + 96, 2 * 96 + 6 + 32)


def test_the_last_past_frame_is_now_and_times_count_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(drive_film, "caption", lambda picture, text, colour: said.append(text) or picture)
    list(birdseye_film(make_clip(4), 2, 60))
    assert said == ["past  -0.5 s", "now", "future  +0.5 s", "future  +1.0 s"]


def test_left_is_left_in_both_views() -> None:
    """The wall is light lavender, the road magenta: green tells them apart."""
    clip = make_clip(1)
    (above,) = birdseye_film(clip, 1, 120)
    assert above[1, 60, 8] > 0.4 > above[1, 60, 100]
    (behind,) = perspective_film(clip, 1, (90, 160))
    assert behind[1, 45:70, 12:40].mean() > behind[1, 45:70, 110:140].mean() + 0.2


def test_leaving_the_known_world_is_said() -> None:
    clip = make_clip(2)
    unknown = clip.labels.clone()
    unknown[1] = FREE
    observed = clip.observed.clone()
    observed[1] = False
    gone = Occupancy(unknown, observed, clip.world_from_ego, GRID, OCC3D_CLASSES, 0.5)
    tags = [list(birdseye_film(c, 1, 200))[1][:, 5:12, 4:196] for c in (clip, gone)]
    orange = torch.tensor(FUTURE_COLOUR)[:, None, None]
    lengths = [((tag - orange).abs().amax(0) < 0.02).any(0).sum() for tag in tags]
    assert lengths[1] > 2 * lengths[0]


def test_ground_is_measured() -> None:
    clip = make_clip(1)
    assert abs(ground_height(clip.labels, GRID) - (-1 + 2 * 0.4)) < 1e-6
    assert ground_height(torch.full_like(clip.labels, FREE), GRID) == 0


def test_car_and_path_stand_on_the_ground() -> None:
    car = ego_splats(-0.2)
    assert -0.2 <= car.means[:, 2].min() < -0.1 + 0.15
    assert 1.2 < car.means[:, 2].max() < 1.35
    assert car.means[:, 0].min() > -1.0
    assert car.means[:, 0].max() < 3.6
    poses = torch.eye(4).repeat(3, 1, 1)
    poses[1:, 0, 3] = torch.tensor([5.0, 5.0])
    path = path_splats(poses, -0.2)
    assert path.means[:, 0].min() == 0
    assert path.means[:, 0].max() == 5
    assert (path.means[:, 0].sort().values.diff() <= 0.2501).all()
    assert (path.means[:, 2] - (-0.12)).abs().max() < 1e-5
