"""Larger maps: what is flat stays flat, a step stays a step where the picture has it, columns wrap."""

import pytest
import torch

from worldloom.recon.edge_upsampling import resize_along_edges, surface_mean, upsample_along_edges


def picture(height, edge):
    """Dark to the left of a column, light from it on."""
    rgb = torch.full((3, height, 2 * height), 0.2)
    rgb[..., edge:] = 0.8
    return rgb


def test_a_step_goes_where_the_picture_has_it():
    fine = picture(64, 50)  # within a coarse pixel, which begins at 48
    coarse = torch.where(torch.arange(32) < 12.5, 0.0, 2.0).expand(1, 16, 32).contiguous()
    grown = upsample_along_edges(coarse, fine)
    assert grown.shape == (1, 64, 128)
    assert grown[..., 10:50].abs().max() < 0.05
    assert (grown[..., 50:120] - 2).abs().max() < 0.05


def test_nothing_floats_between_near_and_far():
    rgb = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(0))
    coarse = (torch.rand(1, 16, 32, generator=torch.Generator().manual_seed(1)) > 0.5).float() * 3
    grown = upsample_along_edges(coarse, rgb)
    assert ((grown < 0.05) | (grown > 2.95)).all()


def test_slopes_stay_slopes():
    coarse = torch.linspace(0, 0.5, 16)[:, None].expand(1, 16, 32).contiguous()
    grown = upsample_along_edges(coarse, torch.full((3, 64, 128), 0.5))[0]
    steps = grown[1:] - grown[:-1]
    assert steps.min() > -1e-4
    assert steps.max() < 0.03
    assert (grown.std(1) < 1e-5).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_steep_walls_are_not_cut_into_stairs_by_their_paint(axis):
    slope = 0.3 * torch.arange(16 if axis == 0 else 32).float()  # each pixel farther than one surface may bend
    coarse = (slope[:, None] if axis == 0 else slope).expand(1, 16, 32).contiguous()
    paint = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(2))
    steps = upsample_along_edges(coarse, paint)[0].diff(dim=axis).narrow(axis, 16, 32)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.3 / 4), atol=1e-4, rtol=0)


def test_probabilities_follow_colours():
    coarse = torch.where(torch.arange(32) < 12.5, 0.2, 0.8).expand(1, 16, 32).contiguous()
    grown = upsample_along_edges(coarse, picture(64, 50), None)
    assert (grown[..., 44:50] < 0.35).all()
    assert (grown[..., 50:56] > 0.65).all()


def test_columns_wrap():
    coarse = torch.zeros(1, 16, 32)
    coarse[..., 0] = 0.05
    rgb = torch.full((3, 64, 128), 0.5)
    grown = upsample_along_edges(coarse, rgb)
    torch.testing.assert_close(upsample_along_edges(coarse.roll(5, -1), rgb), grown.roll(20, -1))
    assert grown[..., -1].min() > 0


@pytest.mark.parametrize("height", [4, 16, 40, 50, 64])
def test_any_size(height):
    grown = resize_along_edges(torch.ones(2, 16, 32), torch.rand(3, height, 2 * height))
    assert grown.shape == (2, height, 2 * height)
    torch.testing.assert_close(grown, torch.ones_like(grown))


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="multiple of 16x32"):
        upsample_along_edges(torch.ones(1, 16, 32), torch.rand(3, 40, 80))


def test_the_majority_decides_and_only_it_is_averaged():
    values = torch.tensor([1.0, 1.02, 5.0])[:, None, None, None]
    equal = torch.ones_like(values)
    assert surface_mean(values, equal, 0.1).item() == pytest.approx(1.01, abs=0.01)
    assert surface_mean(values, torch.tensor([1.0, 1.0, 9.0])[:, None, None, None], 0.1).item() == pytest.approx(5.0)
