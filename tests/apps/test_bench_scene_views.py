"""The benchmark of views off centre: what is hidden is found, pixels are means."""

import pytest
import torch

from worldloom.apps.bench.scene.views import averaged, hidden_from
from worldloom.apps.bench.scene.whole import scene_rows
from worldloom.geometry import Panorama, directions

HEIGHT = 32


def post_before_a_wall() -> Panorama:
    """A ball of 10 m around, and a post 2 m ahead."""
    distance = torch.full((HEIGHT, 2 * HEIGHT), 10.0)
    distance[:, HEIGHT - 2 : HEIGHT + 2] = 2.0
    return Panorama(torch.zeros(3, HEIGHT, 2 * HEIGHT), distance, torch.zeros_like(distance) > 0, torch.eye(4))


def test_what_stands_behind_is_hidden() -> None:
    panorama = post_before_a_wall()
    aside = torch.eye(4)
    aside[1, 3] = 1.0
    towards = directions(HEIGHT).float()
    # The ball as seen from a metre aside.
    along = towards[..., 1]
    distance = -along + (along**2 + 99).sqrt()
    hidden = hidden_from(panorama, aside, distance, torch.zeros(HEIGHT, 2 * HEIGHT, dtype=torch.bool))
    points = distance[..., None] * towards + torch.tensor([0.0, 1.0, 0.0])
    azimuth = torch.atan2(points[..., 1], points[..., 0]).abs()
    middle = slice(HEIGHT // 2 - 4, HEIGHT // 2 + 4)
    width = torch.pi / HEIGHT
    assert hidden[middle][azimuth[middle] < 1.5 * width].all()
    assert not hidden[azimuth > 3 * width].any()


def test_pictures_are_averaged_as_pixels_are() -> None:
    checks = (torch.arange(4)[:, None] + torch.arange(8)) % 2
    torch.testing.assert_close(averaged(checks.float().expand(3, -1, -1)), torch.full((3, 2, 4), 0.5))


@pytest.mark.slow
def test_a_whole_scene_is_measured_in_a_process_of_its_own() -> None:
    rows = {row.metric: row for row in scene_rows(quick=True)}
    assert set(rows) == {"scene_seconds", "scene_peak_gb", "scene_splats"}
    assert rows["scene_splats"].value > 10_000
    assert 0.1 < rows["scene_peak_gb"].value < 6
    assert rows["scene_seconds"].value > 1
