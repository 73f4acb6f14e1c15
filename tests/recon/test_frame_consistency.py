"""Frames that belong together agree, and the less they do the worse the figures; a picture of nothing is found out."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.geometry import Camera, compose, rotz
from worldloom.recon.frame_consistency import FlowError, Frames, flow_error, sampson_errors

SEEDS = range(5)
PAIRS = [(0, 2), (1, 3), (2, 4)]


@pytest.fixture(scope="module")
def truth() -> Frames:
    photos, depth = photographed(cameras_in_a_row(5, (96, 128)))
    return Frames(photos.cameras, photos.rgb, depth, photos.valid)


def shaken(frames: Frames, metres: float, seed: int) -> Frames:
    """The same pictures, told to be from elsewhere: poses off by so many metres, and a tenth as many radians."""
    dice = torch.Generator().manual_seed(seed)
    step = metres * torch.randn(len(frames), 3, generator=dice)
    turn = rotz(0.1 * metres * torch.randn(len(frames), generator=dice))
    cameras = frames.cameras
    moved = cameras.world_from_cam @ compose(turn, step)
    return replace(frames, cameras=Camera(moved, cameras.K, cameras.size))


def shuffled(frames: Frames, seed: int) -> Frames:
    """Pictures with their depth, each told to be from the place of another."""
    dice = torch.Generator().manual_seed(seed)
    order = torch.arange(len(frames))
    while bool((order == torch.arange(len(frames))).any()):
        order = torch.randperm(len(frames), generator=dice)
    return Frames(frames.cameras, frames.rgb[order], frames.depth[order], frames.solid[order])


def levels(truth: Frames, seed: int) -> list[Frames]:
    strong = shaken(truth, 0.05, seed)  # a fifth of the step between two frames
    return [truth, shaken(truth, 0.01, seed), strong, shuffled(strong, seed)]


def admit(errors: list[list[float]]) -> None:
    """In order on at least four of five seeds, and reversed on none."""
    strict = sum(all(a < b for a, b in itertools.pairwise(one)) for one in errors)
    assert strict >= 4, errors
    assert all(a <= b for one in errors for a, b in itertools.pairwise(one)), errors


def test_colours_along_the_flow_order_poses_by_how_wrong_they_are(truth) -> None:
    flows = [[flow_error(frames) for frames in levels(truth, seed)] for seed in SEEDS]
    assert flows[0][0].l1 < 0.01
    assert flows[0][0].visible > 0.8
    admit([[flow.l1 for flow in one] for one in flows])


def test_epipolar_errors_order_poses_by_how_wrong_they_are(truth) -> None:
    pytest.importorskip("pycolmap")
    errors = [[sampson_errors(frames, PAIRS) for frames in levels(truth, seed)] for seed in SEEDS]
    assert len(errors[0][0]) > 60
    assert float(errors[0][0].median()) < 0.3
    admit([[float(e.median()) for e in one] for one in errors])
    admit([[float(e.mean()) for e in one] for one in errors])


def test_what_hides_is_not_compared(truth) -> None:
    """A screen before the second half of the frames, in depth alone: there is nothing to compare with."""
    near = truth.depth.clone()
    near[1::2] = 0.3
    flow = flow_error(replace(truth, depth=near))
    assert flow.visible < 0.05


def test_a_constant_picture_agrees_with_itself_and_is_exposed_by_its_matches(truth) -> None:
    pytest.importorskip("pycolmap")
    grey = replace(truth, rgb=torch.full_like(truth.rgb, 0.5))
    assert flow_error(grey).l1 < flow_error(truth).l1
    assert len(sampson_errors(grey, PAIRS)) == 0


def test_nothing_seen_twice_is_nan(truth) -> None:
    empty = flow_error(replace(truth, solid=torch.zeros_like(truth.solid)))
    assert math.isnan(empty.l1)
    assert math.isnan(empty.visible)
    assert math.isnan(FlowError().l1)


def test_frames_of_other_sizes_are_refused(truth) -> None:
    with pytest.raises(ValueError, match="expected frames"):
        Frames(truth.cameras[:-1], truth.rgb, truth.depth, truth.solid)
