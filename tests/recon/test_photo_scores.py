"""Which photos are kept for measuring, and what is measured."""

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.recon import PhotoDepth, scores, splats_from_depth
from worldloom.recon.photo_scores import held_out, side_by_side


def test_every_so_manieth_photo_is_held_out_where_enough_are_left():
    assert held_out(24, 8) == [0, 8, 16]
    assert held_out(8, 4) == [0, 4]
    assert held_out(7, 4) == held_out(24, 0) == held_out(9, 10) == []


def test_exposure_is_forgiven_by_one_measure_alone():
    photos, depth = photographed(cameras_in_a_row(2))
    sure = torch.ones_like(depth)
    splats = splats_from_depth(photos, PhotoDepth(photos.cameras, depth, sure, sure == 0))
    same = scores(splats, photos)
    darker = scores(splats, type(photos)(photos.cameras, 0.8 * photos.rgb, photos.valid, photos.names))
    assert same["psnr_db"] > 18
    assert 0.5 < same["ssim"] < 1
    assert darker["psnr_db"] < darker["psnr_exposed_db"] - 3
    assert darker["psnr_exposed_db"] > same["psnr_exposed_db"]  # the error shrinks with the photo
    assert darker["psnr_exposed_db"] == pytest.approx(same["psnr_exposed_db"] + 1.94, abs=0.3)
    assert scores(splats, photos[[]]) == {}
    assert side_by_side(splats, photos).shape == (3, 2 * 48 + 4, 2 * 64 + 4)
