"""The map of the Drive tab: a click means metres, and the line is as long as the drive."""

import pytest
import torch

from worldloom.apps.page.work import DRAWN
from worldloom.errors import InputError
from worldloom.geometry.io import load_clip
from worldloom.synth.samples import sample_clip_path

pytest.importorskip("gradio", reason="the page needs the extra `apps`")

from worldloom.apps.page.drive_tab import MAP_PIXELS, _line, map_picture, place_on_map, points_from_text

BLUE = (28, 92, 190)


def test_up_is_ahead_and_left_is_left() -> None:
    pixel = 80 / MAP_PIXELS
    assert place_on_map(0.0, 0.0) == (pytest.approx(40 - pixel / 2), pytest.approx(40 - pixel / 2))
    ahead, left = place_on_map(MAP_PIXELS - 1.0, MAP_PIXELS / 4)
    assert (ahead, left) == (pytest.approx(20, abs=pixel), pytest.approx(-40, abs=pixel))


def test_a_point_is_drawn_where_it_was_clicked() -> None:
    column, row = 300, 100
    picture = map_picture(load_clip(sample_clip_path())[4:5], None, [place_on_map(float(column), float(row))])
    assert tuple(picture[row, column]) == BLUE
    assert tuple(picture[column, row]) != BLUE


@pytest.mark.parametrize("path", ["straight", DRAWN])
def test_the_line_is_as_long_as_the_drive(path: str) -> None:
    line = _line(load_clip(sample_clip_path())[4:5], path, [(60.0, 0.0)], 6.0, 8)
    assert line is not None
    length = float((line[1:] - line[:-1]).norm(dim=1).sum() + line[0].norm())
    assert length == pytest.approx(6.0 * 8 * 0.5, rel=0.05)
    assert torch.allclose(line[:, 1], torch.zeros(len(line)).to(line), atol=1e-4)


def test_points_are_read_as_they_are_written() -> None:
    assert points_from_text(" 10, 0; -2.5,3 ;") == [(10.0, 0.0), (-2.5, 3.0)]
    assert points_from_text("") == []
    for wrong in ("10", "1,2,3", "1, x", "nan, 0"):
        with pytest.raises(InputError, match="expected points such as 10, 0; 20, 3"):
            points_from_text(wrong)
