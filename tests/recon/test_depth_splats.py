"""Depth of many photos as one set of splats: what floats is left out, and the far shell fills what is open."""

from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.geometry import Camera, intrinsics, look_at
from worldloom.geometry.equirect import rays
from worldloom.recon import PhotoDepth, Photos, splats_from_depth
from worldloom.recon.depth_splats import (
    CELL,
    LARGEST,
    Points,
    _points,
    gaussians_from_points,
    normals_from_depth,
    with_shell,
)


@pytest.fixture(scope="module")
def room():
    photos, depth = photographed(cameras_in_a_row())
    sure = torch.ones_like(depth)
    return photos, PhotoDepth(photos.cameras, depth, sure, sure < 0)


def test_what_other_photos_look_through_is_left_out(room):
    photos, known = room
    wrong = known.depth.clone()
    wrong[2, 10:30, 20:40] *= 0.5
    eye, ahead = photos.cameras.world_from_cam[2, :3, 3], photos.cameras.world_from_cam[2, :3, 2]

    def floating(depth):
        made = splats_from_depth(photos, replace(known, depth=depth), shell=False)
        local = (made.means - eye) @ photos.cameras.world_from_cam[2, :3, :3]
        pixel = local @ photos.cameras.K[2].T
        at = (pixel[:, :2] / pixel[:, 2:]).long()
        inside = (at[:, 0] > 22) & (at[:, 0] < 38) & (at[:, 1] > 12) & (at[:, 1] < 28) & (local[:, 2] > 0)
        truth = known.depth[2][at[:, 1].clamp(0, 47), at[:, 0].clamp(0, 63)]
        return int((inside & (local[:, 2] < 0.6 * truth)).sum())

    assert ahead.norm() == pytest.approx(1)
    assert floating(wrong) <= floating(known.depth) + 5


def test_near_and_sure_pixels_weigh_more(room):
    photos, known = room
    mask = torch.zeros_like(known.far)
    mask[0, 5, 5:7] = True
    depth, confidence = known.depth.clone(), known.confidence.clone()
    depth[0, 5, 5:7] = torch.tensor([1.0, 2.0])
    points = _points(photos, replace(known, depth=depth), mask)
    assert float(points.weight[0] / points.weight[1]) == pytest.approx(4)
    depth[0, 5, 5:7], confidence[0, 5, 6] = 1.0, 0.2
    points = _points(photos, replace(known, depth=depth, confidence=confidence), mask)
    assert float(points.weight[0] / points.weight[1]) == pytest.approx(1.01 / 0.21)


def test_a_lonely_point_does_not_cover_the_picture():
    xyz = torch.tensor([[0.0, 0, 0], [0.01, 0, 0], [5.0, 0, 0]])
    up = torch.tensor([[0.0, 0, 1]]).expand(3, 3)
    size = torch.full((3,), 0.01)
    made = gaussians_from_points(Points(xyz, up, torch.zeros(3, 3), size, torch.ones(3)), 0.8)
    assert made.scales.max() <= LARGEST * CELL * 0.01 + 1e-6


def test_normals_beside_a_jump_are_those_of_their_own_side():
    camera = Camera(torch.eye(4), intrinsics(1.2, (16, 32)), (16, 32))
    left = torch.arange(32) < 16
    depth = torch.where(left, 1.0, 3.0).expand(16, 32).contiguous()
    found = normals_from_depth(depth, camera)
    torch.testing.assert_close(found, torch.tensor([0.0, 0, -1])[:, None, None].expand_as(found), atol=1e-4, rtol=0)


def test_the_shell_is_where_photos_show_nothing_nearer_and_in_their_colours():
    """Left of the picture a red wall, right of it the blue sky."""
    eyes = torch.tensor([[0.0, 0.1 * i, 0.0] for i in range(2)])
    cameras = Camera(
        look_at(eyes, eyes + torch.tensor([1.0, 0, 0])), intrinsics(1.2, (48, 64)).expand(2, 3, 3), (48, 64)
    )
    left = (torch.arange(64) < 32).expand(48, 64)
    red, blue = torch.tensor([0.9, 0.1, 0.1])[:, None, None], torch.tensor([0.1, 0.2, 0.9])[:, None, None]
    photos = Photos(cameras, torch.where(left, red, blue).expand(2, 3, 48, 64), torch.ones(2, 48, 64) > 0, ("a", "b"))
    local = 2 * rays(cameras)[0][left]
    xyz = local @ cameras.world_from_cam[0, :3, :3].T
    one = torch.ones(len(xyz))
    normal = -cameras.world_from_cam[0, :3, 2].expand(len(xyz), 3)
    wall = gaussians_from_points(Points(xyz, normal, red[:, 0, 0].expand(len(xyz), 3), 0.05 * one, one), 0.95)
    shell = with_shell(wall, photos)[torch.arange(len(wall), len(with_shell(wall, photos)))]
    assert len(shell) > 100
    colour = 0.5 + 0.28209479 * shell.sh[:, 0]
    assert (colour[:, 2] > colour[:, 0]).float().mean() > 0.95
    assert shell.means[:, 1].median() < -3  # to the right
    assert shell.means.norm(dim=-1).min() > 15
