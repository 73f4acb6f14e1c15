"""Views put together: exact answers come back exactly, and no view pulls the others."""

import math

import pytest
import torch

from worldloom.geometry.equirect import directions, rays
from worldloom.recon.merge_views import Reference, merge_views, ring_views
from worldloom.recon.panorama_depth import floor_plane

ROWS = 64


def box_room(towards):
    """Distance in a room of 6 x 8 camera heights, the floor 1 below and the ceiling 1.3 above an eye off its middle."""
    high, low = torch.tensor([3.5, 3.3, 1.3]), torch.tensor([-2.5, -4.7, -1.0])
    return torch.where(towards > 0, high / towards, torch.where(towards < 0, low / towards, torch.inf)).min(-1).values


@pytest.fixture(scope="module")
def views():
    cameras = ring_views((60, 80))
    towards = rays(cameras) @ cameras.world_from_cam[:, None, :3, :3].mT
    length = towards.norm(dim=-1)
    return cameras, box_room(towards / length[..., None]) / length


def references(doubtful=1.1):
    truth = box_room(directions(ROWS))
    plane, below = floor_plane(ROWS)
    floor = below & ((truth / plane.exp() - 1).abs() < 1e-3)
    assert 0.2 < floor.float().mean() < 0.5
    return [Reference(plane, 2.0 * floor), Reference(torch.full_like(plane, doubtful), torch.full_like(plane, 0.01))]


def answers(depth, kind, seed=0):
    """Exact but for each view's scale, and offset of disparities."""
    dice = torch.Generator().manual_seed(seed)
    scale, offset = (torch.rand(len(depth), 1, 1, generator=dice) + 0.5 for _ in range(2))
    return depth / scale if kind == "depth" else (1 / depth - offset) / scale


def error(merged):
    seen = ~merged.log_distance.isnan()
    given = (merged.log_distance.exp() / box_room(directions(len(merged.log_distance))) - 1).abs()
    return given[seen].mean().item(), seen.float().mean().item()


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_exact_views_give_the_exact_room(views, kind):
    cameras, depth = views
    merged = merge_views(answers(depth, kind), cameras, kind, references(), 128)
    wrong, seen = error(merged)
    assert wrong < 0.005
    assert seen > 0.8
    assert merged.num_used == len(cameras)
    assert merged.spread < 0.002


@pytest.mark.parametrize("rows", [32, 96, 256])
def test_references_of_another_size_move_nothing(views, rows):
    cameras, depth = views
    plane, below = floor_plane(rows)
    truth = box_room(directions(rows))
    floor = Reference(plane, 2.0 * (below & ((truth / plane.exp() - 1).abs() < 1e-3)))
    assert error(merge_views(answers(depth, "depth"), cameras, "depth", [floor], 64))[0] < 0.005


def test_wrong_views_pull_no_others(views):
    cameras, depth = views
    values = answers(depth, "depth")
    for i in (3, 12):
        values[i] = torch.rand(values[i].shape, generator=torch.Generator().manual_seed(i)) + 0.1
    values[20] *= torch.linspace(0.3, 3, values.shape[2])  # bent
    merged = merge_views(values, cameras, "depth", references(), 64)
    seen = ~merged.log_distance.isnan()
    given = (merged.log_distance.exp() / box_room(directions(64)) - 1).abs()[seen]
    assert given.median() < 0.01


def test_a_view_that_answers_backwards_is_left_out(views):
    cameras, depth = views
    values = answers(depth, "disparity")
    values[5] = -values[5]
    merged = merge_views(values, cameras, "disparity", references(), 64)
    assert merged.num_used == len(cameras) - 1
    assert error(merged)[0] < 0.01


def test_the_floor_sets_the_scale_not_the_doubtful_guess(views):
    cameras, depth = views
    for guess in (0.0, 3.0):
        merged = merge_views(answers(depth, "depth"), cameras, "depth", references(guess), 64)
        assert error(merged)[0] < 0.005


def test_views_without_any_sense_are_none(views):
    cameras, depth = views
    merged = merge_views(torch.zeros_like(depth), cameras, "disparity", references(), 32)
    assert merged.num_used == 0
    assert merged.log_distance.isnan().all()


@pytest.mark.parametrize("size", [(192, 320), (256, 256), (64, 200)])
def test_rings_leave_only_the_poles_unseen(size):
    cameras = ring_views(size)
    merged = merge_views(torch.ones(len(cameras), *size), cameras, "depth", references(), 64)
    seen = ~merged.log_distance.isnan()
    elevation = directions(64)[..., 2].asin()
    assert seen[elevation.abs() < math.radians(55)].all()
    axes = cameras.world_from_cam[:, 2, 2]  # of forward: sine of the pitch
    assert axes.abs().max() < math.sin(math.radians(75))
