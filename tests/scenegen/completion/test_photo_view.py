"""A photo lies where its camera looked."""

import math

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Camera, intrinsics, look_at
from worldloom.geometry.equirect import directions, sample_panorama, tangent_views
from worldloom.scenegen.completion.photo_view import PhotoView, panorama_of_photo, shown_by


def smooth(height=64):
    """Colours that turn with the direction."""
    return (0.5 + 0.4 * directions(height).permute(2, 0, 1)).contiguous()


def test_a_photo_of_a_panorama_comes_back_in_its_place():
    panorama = smooth(128)
    size, fov = (90, 120), math.radians(80)
    camera = Camera(look_at(torch.zeros(3), torch.tensor([1.0, 0.0, 0.0]))[None], intrinsics(fov, size)[None], size)
    photo = tangent_views(panorama, camera)[0]
    drawn, known = panorama_of_photo(photo, PhotoView(fov, size), 128)
    assert 0.05 < float(known.float().mean()) < 0.1
    assert float((drawn - panorama)[:, known].abs().max()) < 0.02
    assert float(drawn[:, ~known].abs().max()) == 0


def test_pitch_looks_up_and_roll_turns_clockwise():
    rows = torch.arange(64)[:, None].expand(64, 128)
    level, up = (shown_by(PhotoView(1.0, (100, 100), pitch=pitch), 64) for pitch in (0.0, 0.5))
    assert float(rows[level].float().mean()) == pytest.approx(31.5, abs=0.1)
    assert float(rows[up].float().mean()) < 31.5 - 5
    wide = PhotoView(1.4, (20, 100), roll=0.5)
    points, known = wide.project(64)
    high = points[32, 64 + 10]  # a little to the right of the middle
    assert bool(known[32, 64])
    assert float(high[0]) > 0
    # The camera's right side is down: what lies level to the right appears above its middle.
    assert float(high[1]) < 0


def test_what_is_behind_is_not_shown():
    known = shown_by(PhotoView(2.0, (100, 100)), 64)
    assert not bool(known[:, :30].any() or known[:, -30:].any())


@pytest.mark.parametrize(
    ("fov", "pitch", "message"),
    [
        (5, 0, "10 to 150 degrees, got 5"),
        (170, 0, "got 170"),
        (math.nan, 0, "got nan"),
        (60, 90, "pitch must be within"),
    ],
)
def test_cameras_that_cannot_be(fov, pitch, message):
    with pytest.raises(InputError, match=message):
        PhotoView(math.radians(fov), (10, 10), math.radians(pitch))


def test_a_photo_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"expected a photo of \(10, 10\), got \(9, 10\)"):
        panorama_of_photo(torch.zeros(3, 9, 10), PhotoView(1.0, (10, 10)), 64)


def test_fine_stripes_do_not_alias():
    stripes = (torch.arange(2000) % 2).float().expand(3, 1000, 2000)
    drawn, known = panorama_of_photo(stripes, PhotoView(1.0, (1000, 2000)), 64)
    inner = drawn[:, known]
    assert float((inner - 0.5).abs().max()) < 0.1


def test_directions_agree_with_sampling():
    photo = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    view = PhotoView(1.2, (40, 60), pitch=0.2)
    drawn, known = panorama_of_photo(photo, view, 256)
    axis = torch.tensor([math.cos(0.2), 0.0, math.sin(0.2)])
    middle = sample_panorama(drawn, axis[None, None])[:, 0, 0]
    expected = photo[:, 19:21, 29:31].mean((1, 2))
    torch.testing.assert_close(middle, expected, atol=0.12, rtol=0)
    assert bool(known.any())
