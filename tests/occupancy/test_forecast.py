"""The floors in worlds small enough to know the answer: shifts, turns, memory, road users, places nobody saw."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import (
    FREE,
    MOVERS,
    OCC3D_CLASSES,
    EgoPath,
    Occupancy,
    VoxelGrid,
    compose,
    path_from_steps,
    rotz,
)
from worldloom.occupancy.forecast import copy_last, copy_warp, fuse_static

CAR, ROAD, WALL, PEDESTRIAN = 4, 11, 15, 7
GRID = VoxelGrid((-4.0, -4.0, -1.0), 0.5, (16, 16, 4))


def make_past(frames: list[torch.Tensor], poses: torch.Tensor, observed: torch.Tensor | None = None) -> Occupancy:
    labels = torch.stack(frames).to(torch.uint8)
    observed = torch.ones_like(labels, dtype=torch.bool) if observed is None else observed
    return Occupancy(labels, observed, poses, GRID, OCC3D_CLASSES, 0.5)


def empty() -> torch.Tensor:
    return torch.full(GRID.shape, FREE)


def at(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> torch.Tensor:
    return compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor([x, y, z], dtype=torch.float64))


def path(*poses: torch.Tensor) -> EgoPath:
    return EgoPath(torch.stack(poses), 0.5)


def random_static(seed: int) -> torch.Tensor:
    labels = torch.randint(0, 18, GRID.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(torch.isin(labels, torch.tensor(MOVERS)), FREE, labels)


def test_standing_still_changes_nothing() -> None:
    labels = torch.randint(0, 18, GRID.shape, generator=torch.Generator().manual_seed(0))
    future = copy_warp(make_past([labels], at(3, 2)[None]), path(at(3, 2), at(3, 2)))
    assert torch.equal(future.labels, labels.to(torch.uint8).expand(2, -1, -1, -1))
    assert future.observed.all()


def test_driving_forward_brings_the_world_nearer() -> None:
    """Two voxels of motion along x: what was at index i + 2 is now at i, and the far end is unknown."""
    labels = random_static(1)
    future = copy_warp(make_past([labels], at(0)[None]), path(at(1.0)))
    assert torch.equal(future.labels[0, :-2], labels[2:].to(torch.uint8))
    assert (future.labels[0, -2:] == FREE).all()
    assert not future.observed[0, -2:].any()
    assert future.observed[0, :-2].all()


def test_turning_left_turns_the_world_right() -> None:
    """After a quarter turn to the left, what was on the left (+y) is ahead (+x)."""
    labels = empty()
    labels[8, 15, 1] = WALL  # x = 0.25, y = 3.75
    future = copy_warp(make_past([labels], at(0)[None]), path(at(0, yaw=math.pi / 2)))
    assert (future.labels[0] != FREE).nonzero().tolist() == [[15, 7, 1]]  # x = 3.75, y = -0.25


def test_heights_of_the_path_count() -> None:
    labels = empty()
    labels[8, 8, 2] = WALL
    future = copy_warp(make_past([labels], at(0)[None]), path(at(0, z=0.5)))
    assert (future.labels[0] != FREE).nonzero().tolist() == [[8, 8, 1]]


def test_copy_last_moves_with_the_car() -> None:
    labels = random_static(2)
    future = copy_last(make_past([empty(), labels], torch.stack([at(0), at(1)])), path(at(2), at(3)))
    assert torch.equal(future.labels, labels.to(torch.uint8).expand(2, -1, -1, -1))
    assert torch.equal(future.world_from_ego, torch.stack([at(2), at(3)]))


def test_memory_reaches_beyond_the_last_frame() -> None:
    """Seen by the first frame only, behind the grid of the last one; on the way back it is there again."""
    first = empty()
    first[0, 8, 0] = WALL  # world x = -3.75
    past = make_past([first, empty()], torch.stack([at(0), at(6)]))
    future = copy_warp(past, path(at(6), at(0)))
    assert (future.labels[0] == FREE).all()
    assert (future.labels[1] != FREE).nonzero().tolist() == [[0, 8, 0]]
    assert future.observed[1, 0, 8, 0]


@pytest.mark.parametrize(
    ("later", "looked", "expected"),
    [
        (FREE, True, FREE),  # somebody looked, and it is gone
        (FREE, False, WALL),  # nobody looked: no news
        (ROAD, True, ROAD),
        (ROAD, False, WALL),  # a label without a look is none
    ],
)
def test_later_looks_overrule(later: int, looked: bool, expected: int) -> None:
    first, second = empty(), empty()
    first[8, 8, 1], second[8, 8, 1] = WALL, later
    observed = torch.ones(2, *GRID.shape, dtype=torch.bool)
    observed[1, 8, 8, 1] = looked
    future = copy_warp(make_past([first, second], torch.stack([at(0), at(0)]), observed), path(at(0)))
    assert future.labels[0, 8, 8, 1] == expected
    assert future.observed[0, 8, 8, 1]


@pytest.mark.parametrize("label", [WALL, CAR])
def test_labels_where_nobody_looked_are_not_used(label: int) -> None:
    labels = empty()
    labels[3, 4, 1] = label
    observed = torch.ones(1, *GRID.shape, dtype=torch.bool)
    observed[0, 3, 4, 1] = False
    past = make_past([labels], at(0)[None], observed)
    for method in (copy_last, copy_warp):
        future = method(past, path(at(0)))
        assert (future.labels == FREE).all()
        assert torch.equal(future.observed, observed)


def test_road_users_stay_where_last_seen_and_leave_no_trail() -> None:
    frames = [empty(), empty()]
    for frame in frames:
        frame[..., 0] = ROAD
    frames[0][4, 8, 1], frames[1][6, 8, 1] = CAR, CAR
    past = make_past(frames, torch.stack([at(0), at(0)]))
    future = copy_warp(past, path(at(0), at(1.0)))
    assert (future.labels[0] == CAR).nonzero().tolist() == [[6, 8, 1]]
    assert (future.labels[1] == CAR).nonzero().tolist() == [[4, 8, 1]]
    assert not (fuse_static(past, path(at(0))).labels == CAR).any()


def test_a_road_user_hides_no_memory() -> None:
    """Ground seen before a car came stands in the memory below it; the car is drawn over it."""
    before, after = empty(), empty()
    before[8, 8, 0], after[8, 8, 0] = ROAD, CAR
    past = make_past([before, after], torch.stack([at(0), at(0)]))
    assert fuse_static(past, path(at(0))).labels[8, 8, 0] == ROAD
    assert copy_warp(past, path(at(0))).labels[0, 8, 8, 0] == CAR


def test_ground_goes_on_where_a_road_user_stood() -> None:
    """The car stood on unseen ground and left without anybody looking there again."""
    first, second = empty(), empty()
    first[..., 0] = ROAD
    first[:, :, 0][6:9, 6:9] = CAR
    observed = torch.ones(2, *GRID.shape, dtype=torch.bool)
    observed[1] = False
    past = make_past([first, second], torch.stack([at(0), at(0)]), observed)
    world = fuse_static(past, path(at(0)))
    assert (world.labels[..., 0] == ROAD).all()
    assert not world.observed[6:9, 6:9, 0].any()  # a guess is not a look
    assert (world.labels[..., 1:] == FREE).all()


def test_ground_goes_on_for_three_metres_and_no_farther() -> None:
    """Ground ahead of x = 2 only, and road users behind it everywhere: a voxel is 0.5 m."""
    frame = empty()
    frame[:12, :, 0] = CAR
    frame[12:, :, 0] = ROAD
    world = fuse_static(make_past([frame], at(0)[None]), path(at(0)))
    assert (world.labels[6:, :, 0] == ROAD).all()
    assert (world.labels[:6, :, 0] == FREE).all()


def test_ground_is_not_put_where_somebody_saw_none() -> None:
    first, second = empty(), empty()
    first[..., 0] = ROAD
    first[7, 7, 0] = PEDESTRIAN  # and then somebody looked: a pit
    second[..., 0] = ROAD
    second[7, 7, 0] = FREE
    past = make_past([first, second], torch.stack([at(0), at(0)]))
    assert fuse_static(past, path(at(0))).labels[7, 7, 0] == FREE


def test_a_path_to_nowhere_sees_nothing() -> None:
    future = copy_warp(make_past([random_static(3)], at(0)[None]), path(at(1e5), at(-1e5)))
    assert (future.labels == FREE).all()
    assert not future.observed.any()


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.floats(-3.1, 3.1),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(-0.3, 0.3),
    st.floats(0.11, 0.9),
)
def test_the_choice_of_world_frame_does_not_matter(
    seed: int, yaw: float, x: float, y: float, dyaw: float, dx: float
) -> None:
    """All poses moved by one rigid transform: the same future, but for centres that fall on a face between voxels."""
    steps = torch.tensor([[dx, 0.0137, dyaw]] * 4, dtype=torch.float64)
    poses = path_from_steps(torch.eye(4, dtype=torch.float64), steps, 0.5).world_from_ego
    frames = [random_static(seed + i) for i in range(2)]
    moved = at(x, y, 1.5, yaw) @ poses
    here = copy_warp(make_past(frames, poses[:2]), EgoPath(poses[2:], 0.5))
    there = copy_warp(make_past(frames, moved[:2]), EgoPath(moved[2:], 0.5))
    assert (here.labels != there.labels).double().mean() < 1e-3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 4))
def test_shapes_and_frames(seed: int, num_past: int, horizon: int) -> None:
    poses = torch.stack([at(0.3 * i, 0.1 * i) for i in range(num_past + horizon)])
    past = make_past([random_static(seed + i) for i in range(num_past)], poses[:num_past])
    for method in (copy_last, copy_warp):
        future = method(past, EgoPath(poses[num_past:], 0.5))
        assert len(future) == horizon
        assert torch.equal(future.world_from_ego, poses[num_past:])
        assert (future.labels[~future.observed] == FREE).all()  # all was observed here, so unknown means free


def test_what_does_not_fit_is_refused() -> None:
    past = make_past([empty()], at(0)[None])
    with pytest.raises(ValueError, match="share dt"):
        copy_warp(past, EgoPath(at(0)[None], 0.1))
    with pytest.raises(ValueError, match="t >= 1"):
        copy_last(past, EgoPath(torch.empty(0, 4, 4, dtype=torch.float64), 0.5))
    other = Occupancy(past.labels, past.observed, past.world_from_ego, GRID, ("thing", "free"), 0.5)
    with pytest.raises(ValueError, match="classes of Occ3D"):
        copy_warp(other, path(at(0)))
