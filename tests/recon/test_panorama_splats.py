"""Splats of a panorama against the geometry they stand for, and against the panorama they were made from."""

import math

import pytest
import torch

from worldloom.geometry import Camera, Panorama, apply, compose, intrinsics, look_at, rotmat_from_quat, rotz
from worldloom.geometry.equirect import directions, pixel_from_direction
from worldloom.geometry.gaussians import SH_C0
from worldloom.recon.centre_view import centre_psnr, match_centre_colours
from worldloom.recon.distance_picture import distance_picture
from worldloom.recon.panorama_splats import (
    SKY_FACTOR,
    SPREAD,
    discs_of_panorama,
    equal_area_patches,
    splats_from_panorama,
)
from worldloom.render import render

HEIGHT = 64
RAYS = directions(HEIGHT)


def world(height=HEIGHT, sky_above=None):
    """A room 6 x 4 x 3 m, camera 1.2 m over the floor, coloured by direction."""
    rays = directions(height)
    walls = torch.tensor([3.0, 2.0, 1.8]), torch.tensor([-3.0, -2.0, -1.2])
    distance = torch.where(rays > 0, walls[0] / rays.clamp(min=1e-9), walls[1] / rays.clamp(max=-1e-9)).amin(-1)
    rgb = (0.5 + 0.4 * torch.stack([rays[..., 0], rays[..., 1], rays[..., 2]])).contiguous()
    sky = torch.zeros(distance.shape, dtype=torch.bool) if sky_above is None else rays[..., 2] > sky_above
    return Panorama(rgb, distance, sky, torch.eye(4))


def test_patches_have_nearly_equal_area_and_tile_the_sphere():
    patches = equal_area_patches(256, 512)
    area = patches.elevation.cos() * patches.width * patches.height
    assert area.sum().item() == pytest.approx(4 * math.pi, rel=1e-4)
    assert area.max() / area.min() < 1.2
    assert len(area) == pytest.approx(4 / math.pi * 256**2, rel=1e-3)
    width = patches.elevation.cos() * patches.width / patches.height
    assert width.min() > 0.8  # no needles, at the poles neither
    assert width.max() < 1.25


def test_512_rows_make_more_than_200k():
    assert len(equal_area_patches(512, 512).u) > 333_000


def test_means_lie_on_the_walls_of_the_room():
    means = splats_from_panorama(world()).means
    nearest = torch.stack(
        [
            (means[:, 0].abs() - 3).abs(),
            (means[:, 1].abs() - 2).abs(),
            (means[:, 2] - 1.8).abs(),
            (means[:, 2] + 1.2).abs(),
        ]
    ).amin(0)
    # Patches between two pixel rows follow the slope to second order; edges of the room are met by half a pixel.
    assert nearest.quantile(0.9) < 0.01
    assert nearest.max() < 0.15


def test_discs_lie_flat_on_the_floor():
    gaussians = splats_from_panorama(world())
    axes = rotmat_from_quat(gaussians.quats)
    floor = (gaussians.means[:, 2] < -1.199) & (gaussians.means[:, :2].norm(dim=-1) < 1.7)
    assert floor.sum() > 1000
    assert axes[floor, 2, 2].abs().min() > 0.999  # the thin axis is up
    assert (gaussians.scales[:, 2] < 0.1 * gaussians.scales[:, :2].amin(-1)).all()


def test_a_disc_fills_its_patch():
    """On a floor h below, a patch of angles (da, de) at elevation -e is h / tan e da wide and h / sin^2 e de long."""
    h = 1.2
    down = (-RAYS[..., 2]).clamp(min=0.2)
    pano = Panorama(torch.full((3, HEIGHT, 2 * HEIGHT), 0.5), h / down, RAYS[..., 2] > -0.25, torch.eye(4))
    gaussians = splats_from_panorama(pano, rows=HEIGHT)
    patches = equal_area_patches(HEIGHT, HEIGHT)
    keep = torch.nonzero((patches.elevation < -0.4) & (patches.elevation > -1.2))[:, 0]
    rays = torch.nn.functional.normalize(gaussians.means, dim=-1)
    for i in keep[::97]:
        e = -patches.elevation[i]
        direction = torch.stack(
            [
                e.cos() * (math.pi * (1 - patches.u[i] / HEIGHT)).cos(),
                e.cos() * (math.pi * (1 - patches.u[i] / HEIGHT)).sin(),
                -e.sin(),
            ]
        )
        j = (rays @ direction).argmax()
        across, along = h / e.tan() * patches.width[i], h / e.sin() ** 2 * patches.height
        expected = SPREAD * torch.stack([across, along]).sort().values
        torch.testing.assert_close(gaussians.scales[j, :2].sort().values, expected, rtol=0.06, atol=0)


def test_no_disc_bridges_a_jump_in_distance():
    distance = torch.where(RAYS[..., 1] > 0, 2.0, 8.0)
    gaussians = splats_from_panorama(Panorama(world().rgb, distance, world().sky, torch.eye(4)))
    lengths = gaussians.means.norm(dim=-1)
    assert (torch.minimum((lengths - 2).abs(), (lengths - 8).abs()) < 1e-3).all()
    assert gaussians.scales.max() < 8 * 2 * math.pi / HEIGHT


def test_a_leaf_before_the_far_is_no_needle():
    """One pixel nearer than all around it: neither neighbour tells its slope."""
    far = torch.full((HEIGHT, 2 * HEIGHT), 50.0)
    far[30, 40] = 2.0
    far[31, 41] = 3.0
    sky = torch.zeros_like(far, dtype=torch.bool)
    splats = splats_from_panorama(Panorama(torch.full((3, HEIGHT, 2 * HEIGHT), 0.5), far, sky, torch.eye(4)))
    distance = splats.means.norm(dim=-1)
    leaf = distance < 10
    assert leaf.sum() >= 2
    assert (splats.scales[leaf].amax(-1) < 3 * SPREAD * math.pi / HEIGHT * distance[leaf]).all()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_beside_a_jump_the_slope_comes_from_the_surface(side):
    """A wall y = ±2 seen from 30 to 80 degrees off ahead, with emptiness at both of its ends."""
    off = torch.atan2(side * RAYS[..., 1], RAYS[..., 0])
    wall = (off > math.radians(30)) & (off < math.radians(80)) & (RAYS[..., 2].abs() < 0.5)
    distance = torch.where(wall, 2 / (side * RAYS[..., 1]).clamp(min=0.1), 40.0)
    means = splats_from_panorama(Panorama(world().rgb, distance, world().sky, torch.eye(4))).means
    near = means[means.norm(dim=-1) < 20]
    assert len(near) > 500
    torch.testing.assert_close(near[:, 1], torch.full_like(near[:, 1], 2 * side), atol=0.02, rtol=0)


def test_the_sky_is_a_far_shell_that_goes_on_behind_its_edge():
    pano = world(sky_above=0.3)
    gaussians = splats_from_panorama(pano)
    lengths = gaussians.means.norm(dim=-1)
    radius = SKY_FACTOR * pano.distance[~pano.sky].max()
    shell = lengths > 0.99 * radius
    torch.testing.assert_close(lengths[shell], radius.expand(int(shell.sum())), rtol=1e-4, atol=0)
    assert lengths[~shell].max() <= pano.distance[~pano.sky].max() * 1.05
    up = gaussians.means[:, 2] / lengths
    assert up[~shell].max() < 0.35
    assert 0.3 - math.radians(20) < up[shell].min() < 0.3 - math.radians(10)


def test_the_hidden_sky_has_the_colour_of_the_sky():
    pano = world(sky_above=0.3)
    rgb = torch.where(
        pano.sky, torch.tensor([0.2, 0.4, 0.9])[:, None, None], torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    )
    gaussians = splats_from_panorama(Panorama(rgb, pano.distance, pano.sky, torch.eye(4)))
    shell = gaussians.means.norm(dim=-1) > 20
    hidden = shell & (gaussians.means[:, 2] < 0.2 * gaussians.means.norm(dim=-1))
    colours = 0.5 + SH_C0 * gaussians.sh[hidden, 0]
    torch.testing.assert_close(colours, torch.tensor([0.2, 0.4, 0.9]).expand_as(colours), atol=0.02, rtol=0)


def test_all_sky_is_a_shell_too():
    gaussians = splats_from_panorama(Panorama(world().rgb, world().distance, RAYS[..., 2] > -2, torch.eye(4)))
    assert gaussians.means.isfinite().all()
    assert len(gaussians) > 4 / math.pi * HEIGHT**2


def test_the_centre_view_is_the_panorama():
    pano = world()
    gaussians = splats_from_panorama(pano)
    assert centre_psnr(pano, gaussians) > 35
    mirrored = Panorama(pano.rgb.flip(2), pano.distance, pano.sky, pano.world_from_pano)
    assert centre_psnr(mirrored, gaussians) < 20


def test_half_a_pixel_is_seen():
    """A step edge: shifting the panorama by half a pixel must cost quality."""
    rgb = (RAYS[..., 1] * 20).sin().gt(0).float().expand(3, -1, -1).contiguous() * 0.8 + 0.1
    pano = Panorama(rgb, torch.full_like(rgb[0], 3.0), world().sky, torch.eye(4))
    gaussians = match_centre_colours(pano, splats_from_panorama(pano))
    turned = compose(rotz(torch.tensor(math.pi / HEIGHT / 2)), torch.zeros(3))
    shifted = Panorama(rgb, pano.distance, pano.sky, turned)
    assert centre_psnr(pano, gaussians) > centre_psnr(shifted, gaussians) + 3


def test_matching_colours_sharpens_and_keeps_them_colours():
    noise = torch.rand(3, HEIGHT, 2 * HEIGHT, generator=torch.Generator().manual_seed(0))
    pano = Panorama(noise, torch.full((HEIGHT, 2 * HEIGHT), 3.0), world().sky, torch.eye(4))
    plain = splats_from_panorama(pano)
    matched = match_centre_colours(pano, plain)
    assert centre_psnr(pano, matched) > centre_psnr(pano, plain) + 2
    colours = 0.5 + SH_C0 * matched.sh
    assert colours.min() > -1e-6
    assert colours.max() < 1 + 1e-6
    assert torch.equal(matched.means, plain.means)


def test_matching_leaves_the_hidden_sky_alone():
    pano = world(sky_above=0.3)
    plain = splats_from_panorama(pano)
    matched = match_centre_colours(pano, plain)
    lengths = plain.means.norm(dim=-1)
    hidden = (lengths > 20) & (plain.means[:, 2] < 0.25 * lengths)
    assert hidden.any()
    torch.testing.assert_close(matched.sh[hidden], plain.sh[hidden], atol=1e-5, rtol=0)


def test_off_centre_there_are_no_cracks():
    gaussians = splats_from_panorama(world())
    eye = torch.tensor([[1.0, 0.6, 0.3]]).expand(4, 3)
    target = eye + torch.tensor([[1.0, 0, 0], [0, -1, -0.5], [-1, 0.2, 0], [0.1, 0, -1]])
    K = intrinsics(math.radians(80), (72, 96)).expand(4, 3, 3).clone()
    alpha = render(gaussians, Camera(look_at(eye, target), K, (72, 96))).alpha
    assert alpha.min() > 0.85
    assert alpha.quantile(0.01) > 0.97


def test_off_centre_the_room_is_where_it_is():
    """Depth of the wall x = 3 from x = 1 is 2, everywhere in the middle of the view."""
    gaussians = splats_from_panorama(world())
    eye = torch.tensor([1.0, 0.3, 0.0])
    camera = Camera(look_at(eye, eye + torch.tensor([1.0, 0, 0])), intrinsics(math.radians(40), (48, 48)), (48, 48))
    depth = render(gaussians, camera).median_depth
    torch.testing.assert_close(depth, torch.full_like(depth, 2.0), atol=0.02, rtol=0)


def test_splats_move_with_the_panorama():
    move = compose(rotz(torch.tensor(0.7)), torch.tensor([3.0, -1.0, 2.0]))
    pano = world()
    here = splats_from_panorama(pano)
    moved_pano = Panorama(pano.rgb, pano.distance, pano.sky, move)
    there = splats_from_panorama(moved_pano)
    torch.testing.assert_close(there.means, apply(move, here.means), atol=1e-5, rtol=0)
    turned = move[:3, :3] @ rotmat_from_quat(here.quats)
    torch.testing.assert_close(rotmat_from_quat(there.quats), turned, atol=1e-4, rtol=0)
    assert centre_psnr(moved_pano, match_centre_colours(moved_pano, there)) > 35


def test_colours_come_from_their_direction():
    gaussians = splats_from_panorama(world())
    rays = torch.nn.functional.normalize(gaussians.means, dim=-1)
    colours = 0.5 + SH_C0 * gaussians.sh[:, 0]
    torch.testing.assert_close(colours, 0.5 + 0.4 * rays, atol=0.01, rtol=0)


def test_the_distance_picture_is_lighter_where_farther_and_marks_the_sky():
    pano = world(sky_above=0.5)
    picture = distance_picture(pano)
    assert picture.shape == pano.rgb.shape
    near = picture.flatten(1)[:, pano.distance.masked_fill(pano.sky, 99).argmin()]
    u, v = pixel_from_direction(torch.nn.functional.normalize(torch.tensor([[3.0, 2.0, 0.0]]), dim=-1), HEIGHT)
    far = picture[:, int(v), int(u)]
    assert far.mean() > near.mean() + 0.3
    assert picture[2, 0, 0] > picture[0, 0, 0] + 0.3
    assert not torch.equal(picture[:, 0, 0], far)


@pytest.mark.parametrize("slanted", [True, False])
def test_discs_lie_in_their_surfaces_or_face_the_centre(slanted):
    room = world(128)
    discs = discs_of_panorama(room, 64, ~room.sky, slanted)
    ray = torch.nn.functional.normalize(discs.means, dim=-1)
    facing = (rotmat_from_quat(discs.quats)[..., 2] * ray).sum(-1).abs()
    assert (float(facing.min()) > 0.999) != slanted
