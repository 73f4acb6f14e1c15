"""Each part comes back as it was written."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, Occupancy, VoxelGrid
from worldloom.geometry.rigid import compose, rotz
from worldloom.occupancy.codec.entropy import Reader, Writer
from worldloom.occupancy.codec.find_users import find_users, worth_of
from worldloom.occupancy.codec.points import MAX_POINTS, code_points
from worldloom.occupancy.codec.poses import STEP, TURN, code_poses, on_lattice
from worldloom.occupancy.codec.shapes import UNKNOWN, Shape, ShapeCoder, fit_shape
from worldloom.occupancy.codec.static import code_mask, tiles
from worldloom.occupancy.codec.users import DETAILS, User, UserCoder, covered, draw_users
from worldloom.occupancy.codec.world import code_place, field_of, look, vote_world


def _drive(num_frames: int, speed: float = 10.0) -> torch.Tensor:
    """A drive around a bend, over a hill, through the heading where yaw leaps from pi to -pi."""
    time = 0.5 * torch.arange(num_frames, dtype=torch.float64)
    yaw = 2.9 + 0.1 * time
    place = torch.stack([3e5 + speed * time * yaw.cos(), -2e5 + speed * time * yaw.sin(), 0.2 * time], 1)
    tilt = 0.02 * time.sin()
    pitch = torch.eye(3, dtype=torch.float64).repeat(num_frames, 1, 1)
    pitch[:, 0, 0] = pitch[:, 2, 2] = tilt.cos()
    pitch[:, 0, 2], pitch[:, 2, 0] = tilt.sin(), -tilt.sin()
    return compose(rotz(yaw) @ pitch, place)


def test_poses_are_near_and_come_back() -> None:
    true = _drive(32)
    poses = on_lattice(true)
    near = poses.world_from_ego()
    assert (near[:, :3, 3] - true[:, :3, 3]).abs().max() <= STEP / 2 + 1e-9
    assert (near[:, :3, :3] - true[:, :3, :3]).abs().max() <= 1.5 * TURN
    writer = Writer()
    code_poses(writer, poses, 32)
    data, bits = writer.finish()
    assert bits["header"] < 1000
    assert (code_poses(Reader(data), None, 32).lattice == poses.lattice).all()


def test_steady_poses_cost_next_to_nothing() -> None:
    writer = Writer()
    code_poses(writer, on_lattice(torch.eye(4).repeat(32, 1, 1)), 32)
    assert writer.total() < 128.5 + 250  # the first; models that learn within a few frames


@pytest.mark.parametrize("spoil", ["nan", "scale", "far", "leap"])
def test_poses_that_no_ego_has(spoil: str) -> None:
    poses = _drive(4)
    if spoil == "nan":
        poses[1, 0, 3] = math.nan
    elif spoil == "scale":
        poses[1, :3, :3] *= 2
    elif spoil == "far":
        poses[1, 0, 3] = 1e12
    else:
        poses[2, 0, 3] += 500
    with pytest.raises(InputError):
        code_poses(Writer(), on_lattice(poses), 4)


def test_points_come_back() -> None:
    places = np.array([0, 1, 2, 700, 701, 90_000, 99_999])
    writer = Writer()
    code_points(writer, places, 100_000)
    data, _ = writer.finish()
    assert (code_points(Reader(data), None, 100_000) == places).all()
    with pytest.raises(InputError, match="within 5000"):
        code_points(Reader(data), None, 5000)


def test_too_many_points() -> None:
    with pytest.raises(InputError, match=f"at most {MAX_POINTS}"):
        code_points(Writer(), np.arange(MAX_POINTS + 1), MAX_POINTS + 1)


def test_a_shape_is_what_most_samples_say() -> None:
    """Two cells of 0.5 m along x: the second is outvoted, the one beside was not looked at."""
    points = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.7, 0.1, 0.1], [0.8, 0.1, 0.1], [1.2, 0.6, 0.1]])
    solid = np.array([True, True, False, False, True])
    shape = fit_shape(points, solid, 0.5)
    assert shape is not None
    assert shape.low.tolist() == [0, 0, 0]
    assert shape.cells[:, :, 0].tolist() == [[1, UNKNOWN], [0, UNKNOWN], [UNKNOWN, 1]]
    assert shape.holds(points).tolist() == [True, False, False, False, True]
    assert shape.holds(np.array([[-0.1, 0.1, 0.1], [9.0, 0.1, 0.1]])).tolist() == [False, False]


def test_shapes_come_back_with_the_unknown_filled() -> None:
    rng = np.random.default_rng(3)
    shapes = [
        Shape(rng.integers(-1, 2, (5, 4, 7)).astype(np.int8), np.array([-3, 2, 0]), 0.2),
        Shape(np.ones((12, 5, 4), np.int8), np.array([-6, -2, -2]), 0.2),
        Shape(np.array([[[1]]], np.int8), np.array([0, 0, 0]), 0.2),
    ]
    writer, coder = Writer(), ShapeCoder()
    written = [coder.code(writer, shape, 0.2) for shape in shapes]
    reader, coder = Reader(writer.finish()[0]), ShapeCoder()
    for shape, said in zip(shapes, written, strict=True):
        back = coder.code(reader, None, 0.2)
        assert (back.cells == said.cells).all()
        assert (back.low == shape.low).all()
        told = shape.cells != UNKNOWN
        assert (back.cells[told] == shape.cells[told]).all()
        assert set(np.unique(back.cells)) <= {0, 1}


def test_a_solid_block_costs_less_than_noise() -> None:
    rng = np.random.default_rng(4)
    costs = []
    for cells in (np.ones((10, 6, 5), np.int8), rng.integers(0, 2, (10, 6, 5)).astype(np.int8)):
        writer = Writer()
        ShapeCoder().code(writer, Shape(cells, np.array([-5, -3, -2]), 0.4), 0.4)
        costs.append(writer.total())
    assert costs[0] < 90 < 250 < costs[1]


def _clip(num_frames: int, speed: float) -> Occupancy:
    """A still ego; a car of 11 x 5 x 4 voxels drives along x, a pedestrian stands."""
    grid = VoxelGrid((-20.0, -20.0, -1.0), 0.4, (100, 100, 16))
    labels = torch.full((num_frames, *grid.shape), FREE, dtype=torch.uint8)
    labels[:, :, :, 2] = 11
    for i in range(num_frames):
        x = 10 + round(i * speed * 0.5 / 0.4)
        labels[i, x : x + 11, 40:45, 3:7] = 4
    labels[:, 70:72, 60, 3:8] = 7
    poses = torch.eye(4).repeat(num_frames, 1, 1)
    return Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, grid, OCC3D_CLASSES, 0.5)


def test_users_of_a_plain_scene_are_drawn_exactly() -> None:
    """Their steps are whole voxels here, so that nothing is lost between the lattices."""
    clip = _clip(6, 4.0)
    ego = on_lattice(clip.world_from_ego)
    users = find_users(clip, DETAILS[0])
    assert sorted(user.label for user in users) == [4, 7]
    writer, coder = Writer(), UserCoder(ego, DETAILS[0])
    for user in users:
        said = coder.code(writer, user)
        worth = worth_of(clip, said)
        assert worth.misses == 0
        assert worth.hits == {4: 6 * 220, 7: 6 * 10}[user.label]
    reader, coder = Reader(writer.finish()[0]), UserCoder(ego, DETAILS[0])
    back = [coder.code(reader, None) for _ in users]
    for i in range(6):
        frame = torch.full(clip.grid.shape, FREE, dtype=torch.uint8)
        poses = [user.world_from_object()[i] for user in back]
        draw_users(frame, clip.grid, clip.world_from_ego[i].double(), back, poses)
        expected = torch.where((clip.labels[i] == 4) | (clip.labels[i] == 7), clip.labels[i], FREE)
        assert (frame == expected).all()


def test_a_user_that_is_lost_and_found_comes_back() -> None:
    present = np.array([False, True, True, False, False, True, True, False])
    lattice = np.zeros((8, 4), np.int64)
    lattice[present] = [[100, -30, 5, 39], [109, -30, 5, 39], [130, -31, 6, 0], [140, -31, 6, 1]]
    shape = Shape(np.ones((3, 2, 8), np.int8), np.array([-2, -1, -4]), 0.2)
    user = User(7, DETAILS[0], lattice, present, shape)
    ego = on_lattice(torch.eye(4).repeat(8, 1, 1))
    writer = Writer()
    UserCoder(ego, DETAILS[0]).code(writer, user)
    back = UserCoder(ego, DETAILS[0]).code(Reader(writer.finish()[0]), None)
    assert (back.present == present).all()
    assert (back.lattice == lattice).all()
    assert back.label == 7


def test_what_a_shape_covers_by_hand() -> None:
    """A block of 0.8 x 0.4 x 0.4 m before the origin of an object that looks along y."""
    shape = Shape(np.ones((2, 1, 1), np.int8), np.array([0, 0, 0]), 0.4)
    grid = VoxelGrid((0.0, 0.0, 0.0), 0.4, (10, 10, 2))
    pose = compose(rotz(torch.tensor(math.pi / 2, dtype=torch.float64)), torch.tensor([2.0, 0.8, 0.0]).double())
    index = covered(grid, pose, shape).sort().values
    # x of the object is y of the grid, y is -x: columns (4, 2) and (4, 3).
    assert index.tolist() == [(4 * 10 + 2) * 2, (4 * 10 + 3) * 2]


def test_masks_come_back_and_stay_within() -> None:
    rng = np.random.default_rng(5)
    within = rng.random((20, 30)) < 0.7
    mask = within & (rng.random((20, 30)) < 0.5)
    writer = Writer()
    code_mask(writer, mask, within)
    assert (code_mask(Reader(writer.finish()[0]), None, within) == mask).all()


def test_tiles_cover_a_plane_once() -> None:
    for cells in [(3, 5), (64, 65), (150, 70)]:
        count = np.zeros(cells, int)
        for around, kept in tiles(cells):
            part = np.zeros(cells, int)
            part[around][kept] = 1
            count += part
        assert (count == 1).all()


def test_a_world_that_does_not_move_is_seen_as_it_was() -> None:
    clip = _clip(3, 0.0)
    clip = replace(clip, labels=torch.where((clip.labels == 4) | (clip.labels == 7), FREE, clip.labels))
    world, place = vote_world(clip)
    assert (world.labels != FREE).sum() == 100 * 100
    writer = Writer()
    code_place(writer, place)
    assert code_place(Reader(writer.finish()[0]), None) == place
    labels, seen = look(field_of(world), torch.eye(4, dtype=torch.float64), clip.grid)
    assert (labels == clip.labels[0]).all()
    assert seen.all()


def test_most_frames_win() -> None:
    clip = _clip(3, 0.0)
    labels = clip.labels.clone()
    labels[:, 80, 80, 5] = torch.tensor([15, FREE, 15])
    labels[:, 81, 80, 5] = torch.tensor([15, FREE, FREE])
    labels[:, 82, 80, 5] = torch.tensor([15, 16, 16])
    world, _ = vote_world(replace(clip, labels=labels))
    at = ((torch.tensor([12.0, 12.0, 1.0]) + 0.2 - torch.tensor(world.grid.origin)) / 0.4).long().tolist()
    assert world.labels[at[0] : at[0] + 3, at[1], at[2]].tolist() == [15, FREE, 16]


def test_half_a_voxel_between_two_lattices() -> None:
    """A wall between x = 0 and x = 0.4 on its own lattice: a frame 0.1 m beside sees it whole, at the same place."""
    clip = _clip(1, 0.0)
    labels = torch.full_like(clip.labels, FREE)
    labels[:, 50:53] = 15
    world, _ = vote_world(replace(clip, labels=labels))
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 3] = 0.1
    seen, _ = look(field_of(world), pose, clip.grid)
    assert (seen[10:90, 10:90] == labels[0, 10:90, 10:90]).all()
    pose[0, 3] = 0.4
    seen, _ = look(field_of(world), pose, clip.grid)
    assert (seen[10:89, 10:90] == labels[0, 11:90, 10:90]).all()  # an ego further ahead sees it further back
