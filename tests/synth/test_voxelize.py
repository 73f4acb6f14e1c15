"""Voxels of towns and drives: closed forms, exact motions, what sensors can and cannot know."""

import math
from dataclasses import replace

import pytest
import torch

from tests.synth.bare_town import ROAD, bare_town, block, straight_drive
from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Trajectory, VoxelGrid, compose, rotz
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, road_user_extent
from worldloom.synth.towns.town import StandingUser
from worldloom.synth.traffic.drive import RoadUser
from worldloom.synth.voxels.surface_points import surface_points
from worldloom.synth.voxels.user_cloud import PlacedUser, user_cloud
from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive

GRID = VoxelGrid((-12.0, -12.0, -1.0), 0.4, (60, 60, 16))
MANMADE, CAR, PEDESTRIAN = (OCC3D_CLASSES.index(name) for name in ("manmade", "car", "pedestrian"))


def pose(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> torch.Tensor:
    return compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor([x, y, 0.0], dtype=torch.float64))


def test_a_box_fills_exactly_the_voxels_of_its_shell() -> None:
    # From 2.05 to 3.95, 0.45 to 1.55 and, with the ground at -0.75 of the grid, from 0.05 to 1.15.
    town = bare_town([block((1.9, 1.1, 1.1), (3.0, 1.0, 1.35))])
    labels = Voxelizer(town, GRID).frame(pose())
    expected = torch.zeros(GRID.shape, dtype=torch.bool)
    expected[35:40, 31:34, 2:6] = True
    expected[36:39, 32, 3:5] = False  # nothing is inside
    assert torch.equal(labels == MANMADE, expected)


def test_flat_ground_fills_one_layer() -> None:
    labels = Voxelizer(bare_town(), GRID).frame(pose())
    assert (labels[:, :, 0] != FREE).all()
    assert (labels[:, :, 1:] == FREE).all()
    # y > 6 m is voxel 45 and up.
    assert (labels[:, :45, 0] == ROAD).all()
    assert (labels[:, 45:, 0] == OCC3D_CLASSES.index("sidewalk")).all()
    higher = Voxelizer(bare_town(), GRID, ground_z=0.3).frame(pose())
    assert (higher[:, :, 3] != FREE).all()
    assert (higher[:, :, [0, 1, 2, 4]] == FREE).all()


def test_a_quarter_turn_turns_the_indices() -> None:
    town = bare_town([block((3.1, 1.1, 2.1), (4.0, 2.0, 1.1)), block((0.5, 0.5, 3.1), (-5.1, 3.3, 1.6), "tree")])
    voxelizer = Voxelizer(town, GRID)
    still, turned = voxelizer.frame(pose()), voxelizer.frame(pose(yaw=math.pi / 2))
    # The ego looks along +y of the world: what was to its left is ahead.
    assert torch.equal(turned, torch.rot90(still, -1, (0, 1)))
    assert not torch.equal(turned, still)


def test_static_voxels_of_two_frames_coincide_after_the_exact_motion() -> None:
    town = bare_town([block((3.17, 1.13, 2.1), (4.03, 2.04, 1.1)), block((0.33, 0.55, 3.1), (-3.1, -3.3, 1.6), "tree")])
    voxelizer = Voxelizer(town, GRID)
    first, later = voxelizer.frame(pose()), voxelizer.frame(pose(x=2.8, y=-1.2))
    assert torch.equal(first[7:, :57], later[:-7, 3:])
    # The order in which places were visited does not matter.
    assert torch.equal(Voxelizer(town, GRID).frame(pose(x=2.8, y=-1.2)), later)


@pytest.mark.parametrize("angle", [0.02, 0.06])
def test_surfaces_stay_closed_in_a_tilted_grid(angle: float) -> None:
    wall = block((0.2, 20.0, 5.0), (6.03, 0.0, 2.5))
    c, s = math.cos(angle), math.sin(angle)
    tilt = pose(yaw=0.3)
    tilt[:3, :3] = tilt[:3, :3] @ torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    labels = Voxelizer(bare_town([wall]), GRID, ground_z=0.6).frame(tilt)
    ground = ((labels == ROAD) | (labels == OCC3D_CLASSES.index("sidewalk"))).any(-1) | (labels == MANMADE).any(-1)
    assert ground.all()
    # Seen along x, every row of the wall well inside its outline is there.
    seen = (labels == MANMADE).any(0)
    assert seen[18:42, 6:14].all()


def test_small_road_users_come_before_large_ones_and_before_the_ground() -> None:
    town = bare_town()
    stacked = [PlacedUser(kind, 0, 0.0, pose(x=3.0)) for kind in ("pedestrian", "car")]
    labels = Voxelizer(town, GRID).frame(pose(), stacked)
    both = Voxelizer(town, GRID).frame(pose(), stacked[::-1])
    assert torch.equal(labels, both)
    alone = Voxelizer(town, GRID).frame(pose(), stacked[:1])
    assert torch.equal(labels == PEDESTRIAN, alone == PEDESTRIAN)
    assert (labels == PEDESTRIAN).any()
    assert (labels == CAR).sum() > 100


@pytest.mark.parametrize("kind", sorted(NUM_VARIANTS))
def test_road_users_neither_vanish_nor_bloat(kind: str) -> None:
    """Any place in the grid: all within the voxels that the box touches, and reaching to its ends."""
    length, width, height = road_user_extent(kind, 0)
    place = pose(x=0.13, y=0.29, yaw=0.0)
    labels = Voxelizer(bare_town(), GRID).frame(pose(), [PlacedUser(kind, 0, 0.0, place)])
    at = (labels == OCC3D_CLASSES.index(kind)).nonzero().double()
    low = torch.tensor(GRID.origin).double() + at.amin(0) * 0.4
    high = torch.tensor(GRID.origin).double() + (at.amax(0) + 1) * 0.4
    middle = torch.tensor([0.13, 0.29, -0.75 + height / 2]).double()
    half = torch.tensor([length, width, height]).double() / 2
    slack = 0.12  # a step of the surface's points; a pedestrian's box is that of the whole stride
    assert (low > middle - half - 0.4 - 1e-6).all()
    assert (high < middle + half + 0.4 + 1e-6).all()
    if kind not in ("pedestrian", "bicycle"):
        assert (low < middle - half + slack).all()
        assert (high > middle + half - slack).all()


def test_cars_are_solid_and_their_clouds_know_their_sides() -> None:
    cloud = user_cloud("car", 0, 0.0)
    assert cloud is user_cloud("car", 0, 0.3)
    _, width, height = road_user_extent("car", 0)
    middle = torch.tensor([0.0, 0.0, 0.45 * height])
    assert ((cloud.points - middle).norm(dim=1) < 0.3).any()
    left = cloud.towards(torch.tensor([[0.0, 20.0, 1.0]]), 50.0)
    assert left[(cloud.points[:, 1] > width / 2 - 0.1) & (cloud.normals[:, 1] > 0.9)].all()
    assert not left[(cloud.points[:, 1] < -width / 2 + 0.1) & (cloud.normals[:, 1] < -0.9)].any()
    assert not cloud.towards(torch.tensor([[0.0, 60.0, 1.0]]), 50.0).any()


def test_sensed_labels_lack_what_no_beam_reached() -> None:
    house = block((6.0, 6.0, 5.0), (6.0, 10.1, 2.5))
    hidden = block((1.0, 1.0, 1.0), (6.0, 18.0, 0.5), "bush")
    town, drive = bare_town([house, hidden]), straight_drive()
    voxelizer = Voxelizer(town)
    sensed = voxelize_drive(town, drive, voxelizer)
    complete = voxelize_drive(town, drive, voxelizer, as_sensed=False)
    labels, truth = sensed.occupancy.labels, complete.occupancy.labels
    x, y = round((6.0 + 40) / 0.4), round((7.1 + 40) / 0.4)
    assert (labels[0, x - 5 : x + 5, y - 2 : y + 1] == MANMADE).any(1).any(1).all()  # its front
    back = round((13.1 + 40) / 0.4)
    assert not (labels[0, x - 5 : x + 5, back - 1 :, 2:] == MANMADE).any()
    assert (truth[0, x - 5 : x + 5, back - 1 : back + 2, 2:] == MANMADE).any()
    vegetation = OCC3D_CLASSES.index("vegetation")
    assert not (labels == vegetation).any()
    assert (truth == vegetation).any()
    for result in (sensed, complete):
        assert not (result.occupancy.observed & ~result.mask_lidar).any()
        assert result.mask_lidar.any()
        assert (result.occupancy.observed & (result.occupancy.labels == FREE)).any()
    # Known voxels say the same in both; beams end at most their noise beside the surface.
    known = sensed.mask_lidar & (labels == ROAD)
    assert (truth[known] == ROAD).float().mean() > 0.99
    # The grid's frame is the ego's, raised so that the ground lies at ground_z.
    assert torch.allclose(sensed.occupancy.world_from_ego[1, :3, 3], torch.tensor([2.0, 0.0, 0.75]))


def test_a_drive_is_the_same_every_time_and_its_past_is_in_its_future() -> None:
    town = bare_town([block((6.0, 6.0, 5.0), (6.0, 10.1, 2.5))])
    drive = straight_drive()
    first, second = (voxelize_drive(town, drive) for _ in range(2))
    assert torch.equal(first.occupancy.labels, second.occupancy.labels)
    assert torch.equal(first.mask_lidar, second.mask_lidar)
    assert torch.equal(first.occupancy.observed, second.occupancy.observed)
    # Frames are 2 m, five voxels, apart; what stands is the same thing in all of them.
    a, b = first.occupancy.labels[0, 5:, :, 1:], first.occupancy.labels[1, :-5, :, 1:]
    assert torch.equal(a, b)


def test_users_are_labelled_while_beams_reach_them() -> None:
    extent = road_user_extent("car", 0)
    poses = torch.eye(4).repeat(3, 1, 1)
    poses[:, 0, 3], poses[:, 2, 3] = torch.tensor([8.0, 9.0, 10.0]), extent[2] / 2
    near = Trajectory(poses, torch.tensor([True, True, False]), CAR, extent, 0.5)
    behind = replace(near, world_from_actor=poses.clone(), present=torch.ones(3).bool())
    behind.world_from_actor[:, 1, 3] = 25.0
    users = tuple(
        RoadUser(name, "car", 0, track, torch.zeros(3, 3), torch.zeros(3))
        for name, track in (("seen", near), ("hidden", behind))
    )
    wall = block((40.0, 0.3, 5.0), (5.0, 12.0, 2.5))
    parked = StandingUser("car", 1, pose(x=-8.0, y=3.0).float(), road_user_extent("car", 1))
    town = bare_town([wall], [parked])
    labels = voxelize_drive(town, straight_drive(users)).occupancy.labels
    x = round((8.0 + 40) / 0.4)
    assert (labels[0, x - 3 : x + 3, 98:102] == CAR).sum() > 40
    assert (labels[2, :, 98:102] == CAR).sum() == 0  # no longer there
    assert not (labels[:, :, 140:] == CAR).any()  # behind the wall
    # Parked at (-8, 3); the third ego has driven 4 m on.
    assert (labels[0, 75:86, 105:110] == CAR).sum() > 60
    assert (labels[2, 65:76, 105:110] == CAR).sum() > 60


def test_points_cover_triangles() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [3.0, 0, 0], [0.2, 1.0, 0.5], [5.0, 5.0, 5.0]])
    faces = torch.tensor([[0, 1, 2], [3, 3, 3], [1, 0, 2]])
    points, face = surface_points(vertices, faces, 0.1)
    assert (face == 1).sum() == 1  # a triangle without an area is still somewhere
    mine = points[face == 0]
    generator = torch.Generator().manual_seed(0)
    u, v = torch.rand(2, 500, generator=generator, dtype=torch.float64)
    u, v = torch.where(u + v > 1, 1 - u, u), torch.where(u + v > 1, 1 - v, v)
    a, b, c = vertices[faces[0]].double()
    anywhere = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    away = torch.cdist(anywhere, mine).amin(1)
    # The corner of a cell of 0.1 x 0.1 m is 0.0707 m from its middle. Only in sharp ends of triangles is it more.
    assert away.max() < 0.15
    assert (away < 0.0708).float().mean() > 0.97
    normal = torch.linalg.cross(b - a, c - a)
    assert ((mine - a) @ normal).abs().max() < 1e-9


def test_bad_input_is_refused_in_one_line() -> None:
    town = bare_town()
    with pytest.raises(InputError, match="ground_z"):
        Voxelizer(town, OCC3D_GRID, ground_z=-3.0)
    broken = pose()
    broken[0, 3] = math.nan
    with pytest.raises(InputError, match="finite"):
        Voxelizer(town, GRID).frame(broken)
    with pytest.raises(InputError, match="own town"):
        voxelize_drive(town, straight_drive(), Voxelizer(bare_town()))
    with pytest.raises(InputError, match="spacing"):
        surface_points(torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.int64), 0.0)
