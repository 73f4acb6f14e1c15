"""Words, borders, legends and sheets: what is where, and that the picture below is left alone."""

import pytest
import torch

from worldloom.render.caption import caption, contact_sheet, legend


def test_caption_touches_border_and_tag_only() -> None:
    picture = torch.full((3, 90, 160), 0.2)
    done = caption(picture, "now", (1.0, 0.0, 0.0), border=3)
    assert done.shape == picture.shape
    red = torch.tensor([1.0, 0.0, 0.0])[:, None]
    for edge in (done[:, -1], done[:, -3], done[:, :, -1], done[:, :, -3], done[:, :, 0], done[:, 0]):
        torch.testing.assert_close(edge, red.expand_as(edge))
    torch.testing.assert_close(done[:, 25:-3, 3:-3], torch.full_like(done[:, 25:-3, 3:-3], 51 / 255))
    tag = done[:, 3:15, 3:40]
    assert (tag.flatten(1).T - red.T).abs().amax(1).gt(0.3).any()  # there are letters
    assert torch.equal(caption(picture, "", (1.0, 0.0, 0.0), border=3)[:, 5:15, 5:40], done[:, 60:70, 60:95])


def test_legend_has_one_line_per_name_in_order() -> None:
    panel = legend(["car", "road"], [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0)], (100, 120))
    blue = ((panel[2] > 0.9) & (panel[:2].amax(0) < 0.1)).nonzero()
    pink = ((panel[2] > 0.9) & (panel[0] > 0.9) & (panel[1] < 0.1)).nonzero()
    assert 0 < blue[:, 0].max() < pink[:, 0].min()
    with pytest.raises(ValueError, match="2 names and 1 colours"):
        legend(["car", "road"], [(0.0, 0.0, 1.0)], (100, 120))


def test_sheet_places_pictures_row_by_row() -> None:
    pictures = [torch.full((3, 4, 6), 0.1 * i) for i in range(5)]
    sheet = contact_sheet(pictures, columns=2, gap=1)
    assert sheet.shape == (3, 3 * 5 - 1, 2 * 7 - 1)
    for i, picture in enumerate(pictures):
        top, left = 5 * (i // 2), 7 * (i % 2)
        assert torch.equal(sheet[:, top : top + 4, left : left + 6], picture)
    assert (sheet[:, 4] == 1).all()
    assert (sheet[:, 10:, 7:] == 1).all()
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([pictures[0], torch.zeros(3, 5, 6)], 2)
