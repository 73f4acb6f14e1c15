"""warp_labels: signs of motion, exactness on the lattice, and agreement with a direct look-up."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import FREE, VoxelGrid, apply, compose, invert, rotmat_from_quat, rotz
from worldloom.geometry.warp_occupancy import warp_labels

GRID = VoxelGrid((-4.0, -4.0, -1.0), 0.5, (16, 16, 6))  # centred in the plane, so that quarter turns map it to itself


def random_labels(seed: int, grid: VoxelGrid = GRID) -> torch.Tensor:
    return torch.randint(0, 17, grid.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def shift(x: float, y: float, z: float) -> torch.Tensor:
    return compose(torch.eye(3), torch.tensor([x, y, z]))


def turn(yaw: float) -> torch.Tensor:
    return compose(rotz(torch.tensor(yaw)), torch.zeros(3))


def look_up(labels: torch.Tensor, dst_from_src: torch.Tensor, src: VoxelGrid, dst: VoxelGrid, fill: int):
    """The definition, voxel by voxel."""
    points = apply(invert(dst_from_src.double()), dst.centres().double().reshape(-1, 3))
    index = ((points - torch.tensor(src.origin, dtype=torch.float64)) / src.voxel_size + 1e-4).floor().long()
    inside = ((index >= 0) & (index < torch.tensor(src.shape))).all(1)
    warped = torch.full((len(points),), fill, dtype=torch.uint8)
    warped[inside] = labels[tuple(index[inside].T)]
    return warped.reshape(dst.shape), inside.reshape(dst.shape)


def test_identity_changes_nothing():
    labels = random_labels(0)
    warped, inside = warp_labels(labels, torch.eye(4), GRID)
    assert torch.equal(warped, labels)
    assert inside.all()


def test_ego_drives_forward_and_the_world_comes_backward():
    labels = torch.full(GRID.shape, FREE, dtype=torch.uint8)
    labels[10, 5, 2] = 4
    world_from_src, world_from_dst = torch.eye(4), shift(1.0, 0, 0)  # two voxels forward
    warped, inside = warp_labels(labels, invert(world_from_dst) @ world_from_src, GRID, fill=9)
    assert (warped == 4).nonzero().tolist() == [[8, 5, 2]]
    assert not inside[14:].any()
    assert inside[:14].all()
    assert (warped[14:] == 9).all()


def test_left_and_up_shift_the_right_axes():
    labels = torch.full(GRID.shape, FREE, dtype=torch.uint8)
    labels[10, 5, 2] = 4
    warped, _ = warp_labels(labels, shift(0, 1.5, -0.5), GRID)
    assert (warped == 4).nonzero().tolist() == [[10, 8, 1]]


def test_ego_turns_left_and_what_was_ahead_is_to_the_right():
    labels = torch.full(GRID.shape, FREE, dtype=torch.uint8)
    labels[12, 8, 3] = 4  # ahead: centre (2.25, 0.25)
    dst_from_src = invert(turn(math.pi / 2))
    warped, _ = warp_labels(labels, dst_from_src, GRID)
    # Seen from the new heading it is at (0.25, -2.25).
    assert (warped == 4).nonzero().tolist() == [[8, 3, 3]]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_exact(quarters: int):
    labels = random_labels(1)
    warped, inside = warp_labels(labels, turn(quarters * math.pi / 2), GRID)
    # A turn to the left carries +x to +y: rot90 from axis 0 to axis 1.
    assert torch.equal(warped, torch.rot90(labels, quarters, (0, 1)))
    assert inside.all()


@given(*[st.integers(-20, 20)] * 3, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_whole_voxel_shifts_are_slices_and_come_back(i: int, j: int, k: int, seed: int):
    labels = random_labels(seed)
    there = shift(0.5 * i, 0.5 * j, 0.5 * k)
    warped, inside = warp_labels(labels, there, GRID, fill=99)
    expected = torch.full(GRID.shape, 99, dtype=torch.uint8)
    to = [slice(max(0, s), max(0, min(n, n + s))) for s, n in zip((i, j, k), GRID.shape, strict=True)]
    of = [slice(max(0, -s), max(0, min(n, n - s))) for s, n in zip((i, j, k), GRID.shape, strict=True)]
    expected[to[0], to[1], to[2]] = labels[of[0], of[1], of[2]]
    assert torch.equal(warped, expected)
    assert torch.equal(inside, expected != 99)
    back, seen = warp_labels(warped, invert(there), GRID, fill=99)
    assert torch.equal(back[seen & (back != 99)], labels[seen & (back != 99)])


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_general_motion_agrees_with_the_definition(quat: list[float], translation: list[float]):
    q = torch.tensor(quat) + torch.tensor([1.5, 0, 0, 0])
    pose = compose(rotmat_from_quat(q.double()), torch.tensor(translation, dtype=torch.float64))
    dst = VoxelGrid((-2.0, -3.0, -0.75), 0.25, (9, 20, 7))
    labels = random_labels(3)
    warped, inside = warp_labels(labels, pose, GRID, dst, fill=99)
    expected, expected_inside = look_up(labels, pose, GRID, dst, 99)
    # Centres that fall on a face within rounding may go either way.
    assert (warped != expected).float().mean() < 2e-3
    assert (inside != expected_inside).float().mean() < 2e-3


@given(st.floats(-math.pi, math.pi), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_planar_motion_agrees_with_the_definition(yaw: float, translation: list[float]):
    pose = compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor(translation, dtype=torch.float64))
    dst = VoxelGrid((-2.0, -3.0, -0.75), 0.25, (9, 20, 7))
    labels = random_labels(4)
    warped, inside = warp_labels(labels, pose, GRID, dst, fill=99)
    expected, expected_inside = look_up(labels, pose, GRID, dst, 99)
    assert (warped != expected).float().mean() < 2e-3
    assert (inside != expected_inside).float().mean() < 2e-3


def test_a_shift_by_half_a_voxel_does_not_tear():
    # Every centre falls on a face. Rounding, here of poses in float32, must not decide each voxel anew.
    labels = random_labels(5)
    dst_from_src = invert(shift(100.05, 0, 0)) @ shift(100.3, 0, 0)
    warped, _ = warp_labels(labels, dst_from_src, GRID)
    assert torch.equal(warped, labels)


def test_frames_and_poses_broadcast():
    labels, poses = torch.stack([random_labels(6), random_labels(7)]), torch.stack([shift(0.5, 0, 0), turn(0.3)])
    both, inside = warp_labels(labels, poses, GRID)
    for i in range(2):
        one, seen = warp_labels(labels[i], poses[i], GRID)
        assert torch.equal(both[i], one)
        assert torch.equal(inside[i], seen)
    assert torch.equal(warp_labels(labels[0], poses, GRID)[0][1], warp_labels(labels[0], poses[1], GRID)[0])
    assert torch.equal(warp_labels(labels, poses[0], GRID)[0][1], warp_labels(labels[1], poses[0], GRID)[0])


def test_another_grid_of_the_same_space():
    labels = random_labels(8)
    fine = VoxelGrid(GRID.origin, 0.25, (32, 32, 12))
    warped, inside = warp_labels(labels, torch.eye(4), GRID, fine)
    doubled = labels.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(warped, doubled)
    assert inside.all()


def test_wrong_shape_says_both_sides():
    with pytest.raises(ValueError, match=r"\(16, 16, 6\), got \(16, 16, 5\)"):
        warp_labels(random_labels(0)[:, :, :5], torch.eye(4), GRID)
    with pytest.raises(ValueError, match=r"0..255"):
        warp_labels(random_labels(0), torch.eye(4), GRID, fill=256)
