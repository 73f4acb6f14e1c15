"""Voxels of towns and drives: closed forms, exact motions, what sensors can and cannot know."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.synth.bare_town import ROAD, bare_town, block, straight_drive
from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Trajectory, VoxelGrid, apply, compose, invert, rotz
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, road_user_extent
from worldloom.synth.sensors.laser import Returns
from worldloom.synth.sensors.rig import Rig, nuscenes_like_rig
from worldloom.synth.soup import soup_from_things
from worldloom.synth.towns.town import StandingUser
from worldloom.synth.traffic.drive import Drive, RoadUser
from worldloom.synth.voxels.gathered import GatheredDrive, Gathering
from worldloom.synth.voxels.static_layer import Cloud, SoupTiles, clouds_by_tile, joined_clouds, tiles_in_reach
from worldloom.synth.voxels.surface_points import surface_points
from worldloom.synth.voxels.user_cloud import PlacedUser, user_cloud
from worldloom.synth.voxels.voxel_priority import LABEL_OF_RANK
from worldloom.synth.voxels.voxelize import Voxelizer, ground_cloud, voxelize_drive

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


def test_pictures_are_exposed_and_lit_as_their_town_is() -> None:
    town = bare_town([block((1.0, 1.0, 1.0), (3.0, 0.0, 0.5))], [StandingUser("car", 0, pose(9.0), (4.0, 1.8, 1.5))])
    own, seen = town.world(), Voxelizer(town).caster.world
    assert seen.exposure == own.exposure != 1.0
    assert (seen.sky, seen.seed, len(seen.things)) == (own.sky, own.seed, len(own.things) + 1)


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


# A LiDAR of few beams, all of which come back, where it does not matter what they meet.
FEW = replace(nuscenes_like_rig(), num_azimuths=24)
EXACT = Gathering(returns=Returns(half_range=1e6, noise=0.0))


def moving_car(x: float, y: float, yaw: float, present: Sequence[bool]) -> RoadUser:
    """A car that is there at some frames, always at one place."""
    extent = road_user_extent("car", 0)
    poses = pose(x, y, yaw).float().repeat(len(present), 1, 1)
    poses[:, 2, 3] = extent[2] / 2
    track = Trajectory(poses, torch.tensor(present), CAR, extent, 0.5)
    return RoadUser("car", "car", 0, track, torch.zeros(len(present), 3), torch.zeros(len(present)))


def gathered(drive: Drive, gathering: Gathering = EXACT, rig: Rig = FEW) -> GatheredDrive:
    voxelizer = Voxelizer(bare_town(), GRID)
    return GatheredDrive(voxelizer.caster, voxelizer.town.ground, drive, (), rig, gathering)


def test_users_stand_on_the_ground_and_not_above() -> None:
    drive = straight_drive((moving_car(8.0, 0.0, 0.0, [True, True, False]),))
    _, _, height = road_user_extent("car", 0)
    top = math.floor((height - 0.75 + 1.0) / 0.4)
    for as_sensed in (True, False):
        labels = voxelize_drive(bare_town(), drive, as_sensed=as_sensed, rig=FEW).occupancy.labels
        heights = (labels[0] == CAR).any(0).any(0).nonzero()[:, 0]
        assert int(heights.max()) == top
        assert int(heights.min()) <= 1
        assert not (labels[2] == CAR).any()  # it has gone


def test_sides_of_a_user_are_those_it_turned_to_the_lidar() -> None:
    """Written out: a point is labelled if some eye at a frame when the car was there is on its side of the surface."""
    car = moving_car(5.0, 4.0, 2.0, [False, True, True, True, False])
    ((user, seen),) = gathered(straight_drive((car,), frames=5)).users(2, lambda _: True)
    cloud = user_cloud("car", 0, 0.0)
    turn = rotz(torch.tensor(2.0))
    expected = torch.zeros(len(cloud.points), dtype=torch.bool)
    for frame in (1, 2, 3):
        eye = (torch.tensor([0.94 + 2 * frame - 5.0, -4.0, 1.84])) @ turn
        expected |= (cloud.normals * (eye - cloud.points)).sum(1) > 0
    assert (seen == expected).float().mean() > 0.999
    assert 0.3 < expected.float().mean() < 0.9
    torch.testing.assert_close(user.world_from_user, pose(5.0, 4.0, 2.0), atol=1e-6, rtol=0)


def test_users_linger_for_as_many_frames_as_they_may() -> None:
    """The LiDAR reaches 10 m and is at 0.94 + 2 f: it reaches a car at x = 20 from frame 5 on, one at 0.5 until 4."""
    always = [True] * 9
    drive = straight_drive((moving_car(20.0, 0.0, 0.0, always), moving_car(0.5, 0.0, 0.0, always)), frames=9)
    gathering = replace(EXACT, returns=replace(EXACT.returns, max_range=10.0))
    drives = gathered(drive, gathering)
    places = [[float(user.world_from_user[0, 3]) for user, _ in drives.users(f, lambda _: True)] for f in range(9)]
    assert places == [[0.5]] * 3 + [[20.0, 0.5]] * 4 + [[20.0]] * 2
    assert [len(list(drives.users(f, lambda _: False))) for f in (0, 5)] == [0, 0]


def test_beams_are_followed_from_places_along_the_drive() -> None:
    eyes = gathered(straight_drive(frames=21)).eyes_near(5, 12.0, 8.0)
    x = torch.tensor([10.94, 0.94, 8.94, 16.94], dtype=torch.float64)
    expected = torch.stack([x, torch.zeros(4).double(), torch.full((4,), 1.84).double()], 1)
    torch.testing.assert_close(eyes, expected, atol=1e-5, rtol=0)


def test_ground_is_labelled_near_the_rings_and_known_on_them() -> None:
    """One ring of beams draws a circle; labels reach `filled` to both sides of it, in a grid off that of the raster."""
    ring = replace(FEW, elevations=torch.tensor([math.radians(-15.0)]), num_azimuths=900)
    fine = VoxelGrid((-11.95, -11.95, -1.0), 0.2, (120, 120, 12))
    voxelizer = Voxelizer(bare_town(), fine)
    ranks, hit = voxelizer.blank()
    gathered(straight_drive(frames=1), EXACT, ring).static.mark(ranks, hit, voxelizer.voxel_from_world(pose()))
    # The raster's cells have their middles a quarter of a voxel off those of the grid.
    x, y = fine.centres()[:, :, 1, :2].unbind(-1)
    x, y = x - 0.05, y - 0.05
    off = ((x - 0.94).hypot(y) - 1.84 / math.tan(math.radians(15.0))).abs()
    labels = LABEL_OF_RANK[ranks[:, :, 1].long()]
    known = hit[:, :, 1] > 0
    assert (labels[off < EXACT.filled - 0.15] != FREE).all()
    assert (labels[off > EXACT.filled + 0.15] == FREE).all()
    assert not known[off > 0.15].any()
    assert known[off < 0.05].float().mean() > 0.95
    filled = labels != FREE
    for at, middle in ((x, 0.94), (y, 0.0)):
        assert float(at[filled].mean()) == pytest.approx(middle, abs=0.04)
    assert torch.equal(labels[filled] == ROAD, y[filled] < 6.0)


def test_a_cloud_in_tiles_keeps_one_point_of_each_kind_in_a_cell() -> None:
    generator = torch.Generator().manual_seed(4)
    points = torch.rand(4000, 3, generator=generator) * torch.tensor([40.0, 60.0, 1.5]) - 20
    points = (points * 2).round() / 2 + 0.2 * torch.rand(4000, 3, generator=generator)  # many to a cell
    ranks = torch.randint(1, 4, (4000,), generator=generator).to(torch.uint8)
    hit = torch.rand(4000, generator=generator) < 0.5
    tiles = clouds_by_tile(Cloud(points, ranks, hit), 0.2)

    def kinds(cloud: Cloud) -> list[tuple[int, ...]]:
        cells = (cloud.points.double() / 0.2).floor().long()
        return [tuple(row) for row in torch.cat([cells, cloud.ranks[:, None], cloud.hit[:, None]], 1).tolist()]

    kept = [kind for cloud in tiles.values() for kind in kinds(cloud)]
    assert len(kept) == len(set(kept)) < 4000
    assert set(kept) == set(kinds(Cloud(points, ranks, hit)))
    for tile, cloud in tiles.items():
        assert torch.equal((cloud.points[:, :2] / 16.0).floor().long().unique(dim=0), torch.tensor([tile]))
    assert clouds_by_tile(joined_clouds(()), 0.2) == {}
    # A cloud much longer than wide: no two of its cells are taken for one.
    few = Cloud(
        torch.tensor([[0.1, 0.5, 0.1], [0.3, 0.1, 0.1], [0.1, 0.9, 0.1]]), ranks[:1].repeat(3), hit[:1].repeat(3)
    )
    assert len(clouds_by_tile(few, 0.2)[0, 0]) == 3


def test_tiles_that_meet_the_grid_are_in_reach() -> None:
    voxelizer = Voxelizer(bare_town(), GRID)
    lattice = GRID.centres()[::2, ::2, ::15].reshape(-1, 3).double()
    for yaw, x, y in ((0.0, 3.0, -5.0), (0.7, 100.0, 41.0), (2.5, -33.0, -7.0)):
        c, s = math.cos(0.1), math.sin(0.1)
        where = pose(x, y, yaw)
        where[:3, :3] = where[:3, :3] @ torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
        world = apply(invert(voxelizer.grid_from_world(where)), lattice)
        needed = {(i, j) for i, j in (world[:, :2] / 16.0).floor().long().tolist()}
        found = tiles_in_reach(GRID.shape, voxelizer.voxel_from_world(where))
        assert needed <= set(found)
        assert len(found) == len(set(found)) <= len(needed) + 6
        # None is farther from the ego than half the grid's diagonal and its own.
        middles = (torch.tensor(found) + 0.5) * 16 - torch.tensor([x, y])
        assert middles.norm(dim=1).max() < 12 * math.sqrt(2) + 8 * math.sqrt(2) + 3


def test_surfaces_cut_into_tiles_lose_nothing() -> None:
    soup = soup_from_things([block((50.0, 37.0, 1.0), (3.0, -7.0, 0.5)), block((0.4, 0.4, 2.0), (16.0, 16.0, 1.0))])
    whole, _ = surface_points(soup.vertices, soup.faces, 0.5)
    tiles = SoupTiles(soup, 0.5)
    pieces = []
    for i in range(-3, 4):
        for j in range(-3, 4):
            piece = tiles((i, j)).points
            assert torch.equal((piece[:, :2] / 16.0).floor().long(), torch.tensor([[i, j]]).expand(len(piece), 2))
            pieces.append(piece)
    joined = torch.cat(pieces)
    assert len(joined) == len(whole)
    order = [np.lexsort(points.float().numpy().T) for points in (joined, whole)]
    assert torch.equal(joined[order[0]], whole.float()[order[1]])


def test_ground_is_sampled_in_the_middle_of_its_cells() -> None:
    cloud = ground_cloud(bare_town().ground, (-1, 0))
    axis = torch.arange(80) * 0.2 + 0.1
    expected = torch.cartesian_prod(axis - 16.0, axis)
    torch.testing.assert_close(cloud.points[:, :2], expected, atol=1e-5, rtol=0)
    assert (cloud.points[:, 2] == 0).all()
    assert torch.equal(LABEL_OF_RANK[cloud.ranks.long()] == ROAD, expected[:, 1] < 6.0)


def test_what_may_touch_the_grid_is_near() -> None:
    voxelizer = Voxelizer(bare_town(), GRID)
    half = torch.tensor([12.0, 12.0, 3.2])
    for axis in range(3):
        for side in (-1.0, 1.0):
            for beyond, expected in ((-1.0, True), (11.5, True), (12.5, False)):
                place = pose()
                place[2, 3] = 2.2 + 0.75  # the grid's middle, over ground at -0.75
                place[axis, 3] += side * (float(half[axis]) + beyond)
                assert voxelizer.near(voxelizer.voxel_from_world(pose()) @ place) == expected


def test_poses_of_labels_lead_from_their_grid_to_the_world() -> None:
    """Also where the road is tilted: the grid's frame hangs above the ego along the ego's own z."""
    drive = straight_drive(frames=2)
    c, s = math.cos(0.2), math.sin(0.2)
    tilted = drive.world_from_ego @ torch.tensor([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]])
    voxelizer = Voxelizer(bare_town(), GRID)
    occupancy = voxelize_drive(voxelizer.town, replace(drive, world_from_ego=tilted), voxelizer, rig=FEW).occupancy
    for world_from_grid, world_from_ego in zip(occupancy.world_from_ego, tilted, strict=True):
        expected = invert(voxelizer.grid_from_world(world_from_ego)).float()
        torch.testing.assert_close(world_from_grid, expected, atol=1e-5, rtol=0)


def test_only_points_that_a_beam_could_reach_are_hit() -> None:
    cloud = user_cloud("car", 0, 0.0)
    voxelizer = Voxelizer(bare_town(), GRID)
    for seen in (None, cloud.points[:, 0] > 0):
        ranks, hit = voxelizer.blank()
        cloud.mark(ranks, hit, voxelizer.voxel_from_world(pose()), seen)
        assert torch.equal(hit > 0, (ranks > 0) & (seen is not None))
        assert bool((ranks[:29] > 0).any()) == (seen is None)


def test_insides_of_buses_belong_to_the_nearest_side() -> None:
    cloud = user_cloud("bus", 0, 0.0)
    length, width, height = road_user_extent("bus", 0)
    x, y, z = cloud.points.unbind(1)
    within = (x.abs() < length / 2 - 1.5) & (y.abs() < width / 2 - 0.25) & (z > 1.6) & (z < height - 0.9)
    assert within.sum() > 300
    assert (y[within].abs() > width / 2 - 0.9).all()
    assert (cloud.normals[within, 1] * y[within].sign() > 0.5).float().mean() > 0.9


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
    assert (mine.mean(0) - (a + b + c) / 3).norm() < 0.015
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
