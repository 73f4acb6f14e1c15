"""Counts of views that can be worked out, and the greedy choice."""

import math

import pytest
import torch

from tests.scenegen.rooms import furnished
from worldloom.geometry import Camera, intrinsics, look_at
from worldloom.scenegen.coverage import choose, count_views, coverage, in_picture
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.surface import Patches

BOX = ((2.0, -0.5, -1.6), (2.6, 0.5, 1.2))
SIZE = (90, 160)


def camera(eye, target, fov=math.pi / 3):
    pose = look_at(torch.tensor([eye]), torch.tensor([target]))
    return Camera(pose, intrinsics(fov, SIZE)[None], SIZE)


def patches(*rows):
    points, normals = zip(*rows, strict=True)
    return Patches(torch.tensor(points), torch.tensor(normals), torch.ones(len(points)))


@pytest.fixture(scope="module")
def space():
    return FreeSpace(furnished(BOX), 60_000)


def test_a_patch_is_seen_from_its_front_in_the_picture_and_not_hidden(space):
    things = patches(
        ((5.0, 2.5, 0.0), (-1.0, 0.0, 0.0)),  # the far wall, beside the box
        ((5.0, 2.5, 0.0), (1.0, 0.0, 0.0)),  # the same from behind
        ((5.0, 0.0, 0.0), (-1.0, 0.0, 0.0)),  # the far wall, hidden by the box
        ((2.0, 0.0, 0.0), (-1.0, 0.0, 0.0)),  # the box's front
        ((2.0, 0.0, 0.0), (0.0, 0.0, 1.0)),  # edge-on
        ((-3.0, 0.0, 0.0), (1.0, 0.0, 0.0)),  # behind the camera
        ((4.8, 3.9, 0.0), (-1.0, 0.0, 0.0)),  # outside the picture, to the left
    )
    counts = count_views(space, things, camera([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]))
    assert counts.tolist() == [1, 0, 0, 1, 0, 0, 0]
    from_beside = count_views(space, things, camera([0.0, 3.0, 0.0], [5.0, 0.5, 0.0]))
    assert from_beside.tolist() == [1, 0, 0, 1, 0, 0, 0]  # what lies in the unknown behind the box may be hidden


def test_views_add_up(space):
    things = patches(((5.0, 2.5, 0.0), (-1.0, 0.0, 0.0)), ((-3.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    ahead, back = camera([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]), camera([0.0, 0.0, 0.0], [-1.0, 0.0, 0.0])
    poses = torch.cat([ahead.world_from_cam, back.world_from_cam, ahead.world_from_cam])
    three = Camera(poses, ahead.K.expand(3, 3, 3), SIZE)
    assert count_views(space, things, three).tolist() == [2, 1]


def test_in_picture_ends_at_the_border():
    view = camera([0.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    half = math.tan(math.radians(30))
    points = torch.tensor([[1.0, s * half, 0.0] for s in (0.99, -0.99, 1.01, -1.01)])
    assert in_picture(view, points).tolist() == [[True, True, False, False]]
    tall = half * SIZE[0] / SIZE[1]
    points = torch.tensor([[1.0, 0.0, s * tall] for s in (0.99, -0.99, 1.01, -1.01)] + [[-1.0, 0.0, 0.0]])
    assert in_picture(view, points).tolist() == [[True, True, False, False, False]]


def test_coverage_is_of_area_seen_twice():
    counts, areas = torch.tensor([0, 1, 2, 5]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert coverage(counts, areas) == pytest.approx(0.7)
    assert math.isnan(coverage(counts[:0], areas[:0]))


def test_the_choice_takes_what_adds_most_per_frame():
    areas = torch.tensor([4.0, 3.0, 2.0, 1.0])
    counts = [torch.tensor(c) for c in ([2, 2, 0, 0], [2, 0, 2, 0], [0, 0, 2, 2], [9, 0, 0, 0])]
    assert choose(counts, areas, [1] * 4, 4)[:2] == [0, 2]
    assert choose(counts, areas, [1] * 4, 1) == [0]
    # Twice as many frames make it half as good.
    assert choose(counts, areas, [3, 1, 1, 1], 2) == [1, 2]
    # What is seen already adds nothing: 0 and 1 have no part left but small ones.
    assert choose(counts, areas, [1] * 4, 1, torch.tensor([2, 2, 0, 0])) == [2]


def test_the_choice_keeps_to_the_budget_and_skips_what_does_not_fit():
    areas = torch.tensor([5.0, 1.0])
    counts = [torch.tensor([2, 0]), torch.tensor([0, 2])]
    assert choose(counts, areas, [10, 2], 4) == [1]
    assert choose(counts, areas, [10, 2], 1) == []
    assert choose(counts, areas, [10, 2], 12) == [1, 0] or choose(counts, areas, [10, 2], 12) == [0, 1]


def test_one_view_of_a_patch_is_worth_half():
    areas = torch.tensor([2.0, 3.0])
    assert choose([torch.tensor([2, 0]), torch.tensor([0, 1])], areas, [1, 1], 1) == [0]
