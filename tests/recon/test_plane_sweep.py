"""Plane-sweep stereo against the exact depth of a room."""

from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.errors import InputError
from worldloom.geometry import invert
from worldloom.recon import SweepConfig, plane_sweep
from worldloom.recon.camera_axes import best_reading
from worldloom.recon.plane_sweep import EDGE, _aggregated, _share_that_agrees, agreement
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
    # Each by itself: those at the ends have sources on one side only, where half a pixel aside is 5 % of the depth.
    assert max(float(error[i][sure[i]].median()) for i in range(len(error))) < 0.02


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


def test_aggregated_costs_are_those_of_the_cheapest_paths():
    """Against the recursion written out, pixel by pixel, for each of the eight directions."""
    dice = torch.Generator().manual_seed(3)
    costs, grey = torch.rand(6, 4, 5, generator=dice), torch.rand(4, 5, generator=dice)
    config = SweepConfig(long_side=16, first_side=16, bend=0.05, jump=0.4)
    planes, height, width = costs.shape
    expected = torch.zeros_like(costs)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        path = torch.zeros_like(costs)
        for y in range(height)[:: down or 1]:
            for x in range(width)[:: right or 1]:
                path[:, y, x] = costs[:, y, x]
                if not (0 <= y - down < height and (down or 0 <= x - right < width)):
                    continue
                # A path that would come in from the side begins in the row before.
                aside = 0 <= x - right < width
                before = path[:, y - down, x - right] if aside else costs[:, y - down, x]
                step = float(grey[y, x] - (grey[y - down, x - right] if aside else grey[y - down, x]))
                jump = max(config.jump / (1 + abs(step) / EDGE), config.bend)
                for d in range(planes):
                    ways = [before[d], before.min() + jump]
                    ways += [before[o] + config.bend for o in (d - 1, d + 1) if 0 <= o < planes]
                    path[d, y, x] += min(ways) - before.min()
        expected += path
    torch.testing.assert_close(_aggregated(costs, grey, config), expected)


def test_what_is_hidden_from_some_sources_is_found_by_the_others(scene):
    photos, truth = scene
    noise = torch.rand(photos.rgb.shape[1:], generator=torch.Generator().manual_seed(4))
    spoiled = replace(photos, rgb=torch.stack([photos.rgb[0], noise, photos.rgb[2], photos.rgb[3], noise]))
    found = plane_sweep(spoiled, replace(CONFIG, num_sources=4))
    assert (found.depth[2] / truth[2] - 1).abs().median() < 0.02


def test_nothing_is_sure_where_a_photo_shows_nothing_or_its_source_sees_infinity(scene, swept):
    photos, _ = scene
    valid = photos.valid.clone()
    valid[:, :, 20:30] = False
    assert plane_sweep(replace(photos, valid=valid), CONFIG).confidence[:, :, 20:30].max() == 0
    depth, far = swept.depth[:2], torch.zeros(2, *swept.depth.shape[1:], dtype=torch.bool)
    far[1] = True
    one = torch.tensor([1])
    for told, some in ((far, False), (torch.zeros_like(far), True)):
        agree = _share_that_agrees(swept.cameras[:2], depth, told, 0, one, CONFIG)
        assert bool(agree.any()) == some
