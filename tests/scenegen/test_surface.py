"""The surface of rooms in closed form, and the edges of boxes that hide what is behind."""

import math

import pytest
import torch

from tests.scenegen.rooms import furnished, panorama_of, sphere_room
from worldloom.geometry.equirect import directions
from worldloom.scenegen.surface import frontier_patches, quads, shown_patches

BOX = ((1.5, -0.4, -0.6), (2.0, 0.4, 0.4))


def test_a_sphere_has_its_area_and_its_normals_point_inwards():
    shown = shown_patches(quads(panorama_of(sphere_room(3))))
    # All but the caps of half a pixel at the poles.
    assert shown.areas.sum().item() == pytest.approx(4 * math.pi * 9, rel=2e-3)
    inwards = -torch.nn.functional.normalize(shown.points, dim=-1)
    assert ((shown.normals * inwards).sum(-1) > 0.99).all()


def test_a_room_is_all_shown_from_within_and_nothing_is_torn():
    shape = quads(furnished())
    assert not shape.torn.any()
    frontier, quad = frontier_patches(shape)
    assert len(frontier) == len(quad) == 0
    total = shown_patches(shape).areas.sum().item()
    assert total == pytest.approx(2 * (8 * 8 + 8 * 2.8 + 8 * 2.8), rel=0.03)


def test_fewer_rows_show_the_same_surface():
    pano = furnished(BOX)
    fine, coarse = (shown_patches(quads(pano, rows)).areas.sum().item() for rows in (None, 32))
    assert coarse == pytest.approx(fine, rel=0.1)
    assert len(shown_patches(quads(pano, 32))) < 32 * 64


def test_the_frontier_lies_along_the_edges_of_a_box_and_faces_away_from_its_shadow():
    frontier, _ = frontier_patches(quads(furnished(BOX, height=192)))
    assert len(frontier) > 50
    # Rays that graze the box: its near rim, as seen from the panorama, in azimuth or in elevation.
    azimuth = torch.atan2(frontier.points[:, 1], frontier.points[:, 0]).abs()
    slope = frontier.points[:, 2] / frontier.points[:, 0]
    beside = (azimuth - math.atan2(0.4, 1.5)).abs() < 0.03
    above, below = (slope - 0.4 / 1.5).abs() < 0.05, (slope + 0.6 / 1.5).abs() < 0.05
    assert (beside | above | below).all()
    assert (frontier.points[:, 0] > 1.45).all()
    left = beside & (frontier.points[:, 1] > 0) & ~above & ~below
    right = beside & (frontier.points[:, 1] < 0) & ~above & ~below
    assert left.sum() > 5
    assert right.sum() > 5
    assert (frontier.normals[left, 1] > 0.9).all()
    assert (frontier.normals[right, 1] < -0.9).all()
    assert (frontier.normals[above & ~beside, 2] > 0.8).all()
    # Edge-on from the panorama.
    rays = torch.nn.functional.normalize(frontier.points, dim=-1)
    assert (frontier.normals * rays).sum(-1).abs().max() < 1e-4
    # A sheet from the box's edge at about 1.6 m to the wall at about 5 m, on both sides 1 m high where it begins.
    assert 2 < frontier.areas[left].sum().item() < 9


def test_sky_is_neither_surface_nor_frontier():
    sky = directions(96)[..., 2] > 0
    shape = quads(panorama_of(sphere_room(3), sky))
    assert not shape.solid[:47].any()
    assert not shape.torn.any()
    assert (shown_patches(shape).points[:, 2] < 0).all()


def test_far_ground_is_ground_and_not_torn():
    down = -directions(512)[..., 2]
    distance = torch.where(down > 0.05, 1.6 / down.clamp(min=0.05), 32.0)
    sky = down <= 0.05
    shape = quads(panorama_of(distance, sky))
    assert shape.solid.any()
    assert not shape.torn.any()
