"""Behind what stands before something else lies a layer that goes on: no black hole opens for who walks."""

import math

import pytest
import torch

from worldloom.geometry import Gaussians, Panorama
from worldloom.geometry.equirect import directions
from worldloom.recon.centre_view import centre_psnr, match_centre_colours
from worldloom.recon.panorama_backdrop import backdrop_from_panorama, scene_splats
from worldloom.recon.panorama_splats import splats_from_panorama
from worldloom.render.panorama import render_panorama

ROWS = 128


def panorama(open_air=False):
    """A grey wall 5 m around, a red post 1.5 m ahead; above it, if asked, the sky."""
    ray = directions(ROWS).float()
    azimuth = torch.atan2(ray[..., 1], ray[..., 0])
    post = (azimuth.abs() < math.radians(12)) & (ray[..., 2].abs() < 0.4)
    distance = torch.where(post, 1.5, 5.0)
    rgb = torch.where(post, torch.tensor([0.8, 0.1, 0.1])[:, None, None], torch.full((3, *post.shape), 0.5))
    sky = (ray[..., 2] > 0.5) if open_air else torch.zeros_like(post)
    rgb = torch.where(sky, torch.tensor([0.2, 0.4, 0.9])[:, None, None], rgb)
    return Panorama(rgb, distance, sky, torch.eye(4))


def beside(metres):
    pose = torch.eye(4)
    pose[1, 3] = metres
    return pose


def test_the_wall_goes_on_behind_the_post_in_its_own_colour():
    given = panorama()
    front, backdrop = splats_from_panorama(given), backdrop_from_panorama(given)
    before = render_panorama(front, beside(0.8), ROWS)
    after = render_panorama(Gaussians.cat([front, backdrop]), beside(0.8), ROWS)
    gap = before.alpha < 0.2
    assert int(gap.sum()) > 50  # behind the post the panorama knows nothing
    assert float(after.alpha.min()) > 0.9
    hidden = after.rgb[:, gap]
    assert float((hidden - 0.5).abs().mean()) < 0.08  # grey as the wall, not red as the post
    assert float(after.distance[gap].median()) == pytest.approx(5.0, rel=0.25)


def test_what_stands_well_before_an_edge_keeps_its_own_colour():
    """A long wall that ends before a far one: at its end the far one goes on behind it, well before it does not."""
    ray = directions(ROWS).float()
    near = torch.atan2(ray[..., 1], ray[..., 0]).abs() < math.radians(60)
    rgb = torch.where(near, torch.tensor([0.8, 0.1, 0.1])[:, None, None], torch.tensor([0.1, 0.8, 0.1])[:, None, None])
    given = Panorama(rgb, torch.where(near, 2.0, 6.0), torch.zeros_like(near), torch.eye(4))
    layer = render_panorama(backdrop_from_panorama(given), torch.eye(4), ROWS)
    red, green, _ = layer.rgb[:, ROWS // 2]
    well_before, edge = (ROWS - round(ROWS * degrees / 180) for degrees in (36, 56))
    assert red[well_before] > 0.6 > 0.3 > green[well_before]
    assert float(layer.distance[ROWS // 2, well_before]) == pytest.approx(2.3, rel=0.3)
    assert green[edge] > 0.6 > 0.3 > red[edge]
    assert float(layer.distance[ROWS // 2, edge]) > 4.5


def test_farther_off_no_gap_opens_between_its_discs():
    given = panorama()
    whole = Gaussians.cat([splats_from_panorama(given), backdrop_from_panorama(given)])
    assert float(render_panorama(whole, beside(2.0), ROWS).alpha.min()) > 0.98


def test_surfaces_seen_edge_on_are_not_veiled_by_it():
    """Discs are sorted by their middles: those of a floor far away reach from well before it to well behind it."""
    ray = directions(ROWS).float()
    distance = (torch.tensor([30.0, 1.2, 1.5]) / ray.abs().clamp(min=1e-6)).amin(-1)  # a corridor
    stripes = (distance * ray[..., 0]).floor() % 2
    rgb = torch.stack([0.2 + 0.6 * stripes, torch.full_like(stripes, 0.5), 0.8 - 0.6 * stripes])
    given = Panorama(rgb, distance, torch.zeros_like(distance) > 0, torch.eye(4))
    front = splats_from_panorama(given)
    whole = Gaussians.cat([front, backdrop_from_panorama(given)])
    alone, both = (render_panorama(gaussians, torch.eye(4), ROWS) for gaussians in (front, whole))
    torch.testing.assert_close(both.distance, alone.distance, atol=0, rtol=0.08)
    torch.testing.assert_close(both.rgb, alone.rgb, atol=0.15, rtol=0)


def test_from_the_centre_nothing_of_it_is_seen():
    given = panorama(open_air=True)
    alone = centre_psnr(given, match_centre_colours(given, splats_from_panorama(given), 3))
    assert centre_psnr(given, scene_splats(given)) > alone - 0.5


def test_nothing_stands_before_the_sky():
    given = panorama(open_air=True)
    backdrop = backdrop_from_panorama(given)
    ray = backdrop.means / backdrop.means.norm(dim=-1, keepdim=True)
    assert float(ray[:, 2].max()) < 0.5
    assert float(ray[:, 2].min()) < -0.99
    front = splats_from_panorama(given)
    alone, whole = (render_panorama(g, beside(0.8), ROWS).rgb for g in (front, Gaussians.cat([front, backdrop])))
    above = directions(ROWS)[..., 2] > 0.7
    torch.testing.assert_close(whole[:, above], alone[:, above], atol=0.02, rtol=0)


def test_it_moves_with_the_panorama():
    given = panorama()
    moved = Panorama(given.rgb, given.distance, given.sky, beside(3.0))
    there, here = backdrop_from_panorama(moved), backdrop_from_panorama(given)
    torch.testing.assert_close(there.means, here.means + torch.tensor([0.0, 3.0, 0.0]))


def test_a_smooth_slope_is_no_jump():
    """Level ground grows steeply towards the horizon, and nothing is hidden there."""
    ray = directions(ROWS).float()
    distance = torch.where(ray[..., 2] < -0.05, 1.6 / (-ray[..., 2]).clamp(min=0.05), 32.0)
    rgb = torch.rand(3, *distance.shape, generator=torch.Generator().manual_seed(0))
    layer = backdrop_from_panorama(Panorama(rgb, distance, torch.zeros_like(distance) > 0, torch.eye(4)))
    fine = layer.means[: len(layer.means) - len(layer.means) // 17]
    level = fine[fine[:, 2] / fine.norm(dim=-1) < -0.3]
    assert float((level[:, 2] / -1.6).max()) < 1.5  # close beneath the ground
