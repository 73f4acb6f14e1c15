"""Plane-sweep stereo against the exact depth of a room."""

from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.errors import InputError
from worldloom.geometry import invert
from worldloom.recon import SweepConfig, plane_sweep
from worldloom.recon.camera_axes import best_reading
from worldloom.recon.plane_sweep import agreement
from worldloom.recon.view_selection import best_sources, guessed_depths, source_scores

CONFIG = SweepConfig(long_side=64, first_side=48, num_sources=3, most_planes=64)


@pytest.fixture(scope="module")
def scene():
    return photographed(cameras_in_a_row())


@pytest.fixture(scope="module")
def swept(scene):
    return plane_sweep(scene[0], CONFIG)


def test_depth_is_that_of_the_room(scene, swept):
    _, truth = scene
    error = (swept.depth / truth - 1).abs()
    sure = (swept.confidence > 0.3) & ~swept.far
    assert sure.float().mean() > 0.5
    assert error[sure].median() < 0.015
    assert error[sure].quantile(0.9) < 0.07
    assert error.median() < 0.02


def test_what_is_sure_is_better_than_what_is_not(scene, swept):
    error = (swept.depth / scene[1] - 1).abs()
    assert error[swept.confidence > 0.5].mean() < 0.5 * error[swept.confidence < 0.1].mean()


def test_the_same_photos_give_the_same_bits(scene, swept):
    again = plane_sweep(scene[0], CONFIG)
    assert torch.equal(again.depth, swept.depth)
    assert torch.equal(again.confidence, swept.confidence)


def test_wider_and_nearer_neighbours_are_better_sources_than_distant_ones():
    cameras = cameras_in_a_row(7)
    scores = source_scores(cameras, torch.full((7, 1, 12, 12), 2.5))
    assert scores.diagonal().eq(0).all()
    assert scores[0, 2] > 1.5 * scores[0, 1]  # 6 degrees tell less than 11
    assert scores[0, 2] > 1.5 * scores[0, 6]
    assert [len(some) for some in best_sources(scores, 2)] == [2] * 7


def test_cameras_in_one_place_are_no_stereo():
    photos, _ = photographed(cameras_in_a_row(3))
    still = photos.cameras.world_from_cam[:1].expand(3, 4, 4)
    with pytest.raises(InputError, match="all stand in one place"):
        plane_sweep(replace(photos, cameras=replace(photos.cameras, world_from_cam=still)), CONFIG)
    with pytest.raises(InputError, match="at least two photos"):
        plane_sweep(photos[[0]], CONFIG)
    assert guessed_depths(photos.cameras[:1]).isfinite().all()


def test_right_cameras_agree_better_than_wrong_ones(scene):
    photos, _ = scene
    wrong = photos.cameras.world_from_cam.roll(2, 0)
    assert agreement(photos) > agreement(replace(photos, cameras=replace(photos.cameras, world_from_cam=wrong))) + 0.05


@pytest.mark.parametrize("mistake", ["none", "opengl", "inverse"])
def test_poses_told_in_another_convention_are_found_out(scene, mistake):
    photos, _ = scene
    poses = photos.cameras.world_from_cam
    told = {"none": poses, "opengl": poses @ torch.diag(torch.tensor([1.0, -1, -1, 1])), "inverse": invert(poses)}
    reading = best_reading(replace(photos, cameras=replace(photos.cameras, world_from_cam=told[mistake])))
    words = {"none": "", "opengl": "OpenGL", "inverse": "camera-from-world"}
    assert words[mistake] in reading.name
    assert bool(reading.name) == (mistake != "none")
    torch.testing.assert_close(reading.cameras.world_from_cam, poses, atol=1e-5, rtol=0)
