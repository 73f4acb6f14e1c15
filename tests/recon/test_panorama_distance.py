"""The ground plane, the sphere and the sky rule against their closed forms and on painted worlds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry.equirect import directions, solid_angles
from worldloom.recon.panorama_distance import INDOOR_RADIUS, OUTDOOR_RADIUS, SHARPNESS, assume_distance, find_sky

HEIGHT = 128
RAYS = directions(HEIGHT)
UP = RAYS[..., 2]


def paint(above, below=(0.3, 0.3, 0.25), noise=0.0):
    image = torch.where(UP[..., None] > 0, torch.tensor(above), torch.tensor(below))
    image = image + noise * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    return image.clamp(0, 1).permute(2, 0, 1).contiguous()


BLUE, WHITE, GREY, CREAM = (0.35, 0.55, 0.9), (0.97, 0.97, 0.98), (0.7, 0.7, 0.7), (0.85, 0.8, 0.7)


@pytest.mark.parametrize("camera_height", [0.5, 1.6, 30.0])
def test_the_ground_is_flat_and_the_sphere_is_round(camera_height):
    pano = assume_distance(paint(CREAM), camera_height)
    radius = INDOOR_RADIUS * camera_height
    z = pano.distance * UP
    ground = camera_height / (-UP).clamp(min=1e-9)
    near = (ground < 0.5 * radius) & (UP < 0)
    assert near.any()
    torch.testing.assert_close(z[near], torch.full_like(z[near], -camera_height), rtol=1e-3, atol=0)
    torch.testing.assert_close(pano.distance[UP > 0], torch.full_like(z[UP > 0], radius))
    # At the bend both count: g = R gives R 2^(-1/p).
    expected = (ground.double() ** -SHARPNESS + radius**-SHARPNESS) ** (-1 / SHARPNESS)
    torch.testing.assert_close(pano.distance[UP < 0], expected[UP < 0].float(), rtol=1e-5, atol=0)


def test_there_is_no_crease_and_no_jump():
    pano = assume_distance(paint(BLUE))
    for camera_distance in (pano.distance, assume_distance(paint(CREAM)).distance):
        log = camera_distance.log()
        step = math.pi / HEIGHT
        slope = (log[:-1] - log[1:]) / step
        assert slope.max() < 20  # seen no more edge-on than 3 degrees
        assert slope.min() > -1e-4  # and never coming nearer upwards
        assert (log - log.roll(1, 1)).abs().max() < 1e-4


def test_a_blue_sky_is_the_upper_half():
    pano = assume_distance(paint(BLUE, noise=0.02))
    share = (pano.sky * solid_angles(HEIGHT)).sum().item() / (2 * math.pi)
    assert share > 0.97
    assert not pano.sky[UP < 0].any()
    assert pano.distance.max().item() == pytest.approx(OUTDOOR_RADIUS * 1.6)


@pytest.mark.parametrize(("colour", "is_sky"), [(BLUE, True), (WHITE, True), (GREY, False), (CREAM, False)])
def test_which_tops_are_skies(colour, is_sky):
    assert find_sky(paint(colour)).any().item() == is_sky


def test_a_rough_blue_top_is_no_sky():
    assert not find_sky(paint(BLUE, noise=0.3)).any()


def test_blue_that_does_not_reach_the_zenith_is_no_sky():
    image = paint(BLUE)
    image[:, UP > 0.9] = torch.tensor(CREAM)[:, None]
    assert not find_sky(image).any()


def test_a_small_blue_dome_light_is_no_sky():
    image = paint(CREAM)
    image[:, UP > 0.9] = torch.tensor(BLUE)[:, None]
    assert not find_sky(image).any()


def test_a_house_stays_out_of_the_sky_and_a_cloud_is_in_it():
    image = paint(BLUE)
    house = (UP < 0.4) & (UP > 0) & (RAYS[..., 1] > 0.5)
    cloud = (RAYS @ torch.nn.functional.normalize(torch.tensor([-1.0, 0, 1.2]), dim=0)) > 0.98
    image[:, house] = torch.tensor([0.5, 0.3, 0.2])[:, None]
    image[:, cloud] = torch.tensor([0.95, 0.9, 0.9])[:, None]
    sky = find_sky(image)
    assert not sky[house].any()
    assert sky[cloud].all()


def test_green_that_fades_into_the_sky_is_no_sky():
    image = paint(BLUE)
    fade = (UP / 0.5).clamp(0, 1)
    forest = torch.tensor([0.25, 0.45, 0.35])[:, None, None]
    image = torch.where(UP > 0, fade * image + (1 - fade) * forest, image)
    sky = find_sky(image)
    assert sky[UP > 0.5].all()
    assert not sky[UP < 0.1].any()


def test_the_seam_is_nowhere():
    image = paint(BLUE)
    image[:, (UP < 0.5) & (RAYS[..., 1] > 0.3)] = 0.2
    for shift in (1, 37, HEIGHT):
        assert torch.equal(find_sky(image.roll(shift, dims=2)), find_sky(image).roll(shift, dims=1))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**31), st.sampled_from(["noise", "zero", "one"]))
def test_any_image_gives_finite_positive_distances(height, seed, kind):
    image = torch.rand(3, height, 2 * height, generator=torch.Generator().manual_seed(seed))
    image = {"noise": image, "zero": torch.zeros_like(image), "one": torch.ones_like(image)}[kind]
    pano = assume_distance(image)
    assert pano.distance.isfinite().all()
    assert pano.distance.min() > 0


@pytest.mark.parametrize("camera_height", [0.0, -1.0, math.nan, math.inf])
def test_camera_height_must_be_positive(camera_height):
    with pytest.raises(ValueError, match="positive metres"):
        assume_distance(paint(BLUE), camera_height)


def test_the_shape_must_be_a_panorama():
    with pytest.raises(ValueError, match="1:2"):
        assume_distance(torch.zeros(3, 10, 10))
