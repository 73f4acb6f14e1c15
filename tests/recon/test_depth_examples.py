"""What depth learns from: panoramas turned, mirrored and photographed, with the truth of each pixel."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.io.npz import save_npz
from worldloom.recon.training.examples import WINDOW, draw_examples, place_of, truth_at
from worldloom.recon.training.photograph import blurred, photograph
from worldloom.synth.panoramas.panorama_files import (
    ENVELOPE,
    OBJECT,
    SKY,
    load_panoramas,
    panoramas_of,
)

PLACE = {"camera_height": np.ones(1, np.float32), "world_from_pano": np.eye(4)[None]}


def test_truth_is_taken_from_one_pixel_and_sky_is_far(panorama_folder):
    one = load_panoramas(panoramas_of(panorama_folder)[0][0], 0)[0]
    log, part, place = truth_at(one, 16, (0.99, 0.0))
    assert torch.equal(part, one.part[3::4, ::4])
    sky = part == SKY
    assert sky.any()
    torch.testing.assert_close(log[sky], torch.full_like(log[sky], math.log(WINDOW)))
    assert place == place_of(one) == 2
    roofed = one.part.clone()
    roofed[:20] = ENVELOPE
    assert place_of(replace(one, part=roofed)) == 1
    assert place_of(replace(one, kind="room")) == 0
    with pytest.raises(InputError, match="multiple of 24"):
        truth_at(one, 24)


def test_examples_turn_and_mirror_with_their_truth(panorama_folder):
    files = panoramas_of(panorama_folder)
    same = [draw_examples(files, 3, 64, random.Random(5)) for _ in range(2)]
    assert torch.equal(same[0].rgb, same[1].rgb)
    batch = same[0]
    assert batch.rgb.shape == (3, 3, 64, 128)
    assert batch.log_distance.shape == batch.part.shape == (3, 64, 128)


def test_labels_stay_on_what_they_name(tmp_path):
    bright = np.arange(128) < 40  # on one side of the middle alone
    rgb = np.broadcast_to(np.where(bright, 220, 40).astype(np.uint8), (3, 64, 128))
    log = np.broadcast_to(np.where(bright, 20_000, 40_000).astype(np.uint16), (64, 128))
    part = np.broadcast_to(np.where(bright, OBJECT, ENVELOPE).astype(np.uint8), (64, 128))
    arrays = {"rgb0": rgb.copy(), "log_distance0": log.copy(), "part0": part.copy(), "semantic0": part.copy()}
    save_npz(tmp_path / "room-1.npz", arrays | PLACE)
    batch = draw_examples(panoramas_of(tmp_path), 6, 64, random.Random(5))
    for picture, distance, parts in zip(batch.rgb, batch.log_distance, batch.part, strict=True):
        named = parts == OBJECT
        assert picture.mean(0)[:50][named[:50]].quantile(0.05) > picture.mean(0)[:50][~named[:50]].quantile(0.95)
        assert distance[named].max() < distance[~named].min()


def test_a_photograph_moves_nothing():
    rgb = torch.zeros(3, 64, 128, dtype=torch.uint8)
    rgb[:, :32] = 220
    rgb[:, 32:] = 40
    for seed in range(12):
        picture = photograph(rgb, random.Random(seed))
        assert picture.shape == rgb.shape
        assert 0 <= picture.min() <= picture.max() <= 1
        assert picture[:, 5:28].mean() > picture[:, 36:50].mean() + 0.05
    assert not torch.equal(photograph(rgb, random.Random(0)), photograph(rgb, random.Random(1)))


def test_blur_wraps_and_keeps_the_mean():
    picture = torch.zeros(3, 16, 32)
    picture[:, 8, 0] = 1.0
    smooth = blurred(picture, 1.0)
    torch.testing.assert_close(smooth.sum(), picture.sum())
    torch.testing.assert_close(smooth[:, 8, 1], smooth[:, 8, -1])
    assert smooth[0, 8, -1] > 0.05
