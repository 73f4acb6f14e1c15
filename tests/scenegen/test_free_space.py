"""Free space of rooms whose free space is known in closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenegen.rooms import HEIGHT, box_distance, distance_to_box, furnished, panorama_of, sphere_room
from worldloom.errors import InputError
from worldloom.geometry import apply, compose, rotz
from worldloom.geometry.equirect import directions
from worldloom.scenegen.free_space import REACH, RISE, FreeSpace, upright

VOXELS = 60_000


def centres_of(space, index):
    return torch.from_numpy(np.array(space.grid.origin) + (index + 0.5) * space.grid.voxel_size).float()


def test_clearance_in_a_sphere_is_radius_minus_distance():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, -2, 0], [0.5, 0.5, 1.5], [0, 0, -2.9]])
    clear = FreeSpace(panorama_of(sphere_room(3)), VOXELS).clearance(points)
    # Half a pixel's width is taken off: 3 m * pi / 96 / sqrt(2).
    assert (clear <= 3 - points.norm(dim=-1)).all()
    torch.testing.assert_close(clear, (3 - points.norm(dim=-1) - 0.069).clamp(min=0), atol=0.03, rtol=0)


def test_clearance_is_negative_behind_the_surface():
    space = FreeSpace(panorama_of(sphere_room(3)), VOXELS)
    clear = space.clearance(torch.tensor([[3.5, 0.0, 0], [0, 0, 4]]))
    torch.testing.assert_close(clear, torch.tensor([-0.5, -1.0]), atol=1e-5, rtol=0)


def test_unknown_space_behind_an_obstacle_is_not_free():
    low, high = (1.5, -0.25, -0.25), (2.0, 0.25, 0.25)
    space = FreeSpace(panorama_of(torch.minimum(sphere_room(6), box_distance(low, high))), VOXELS)
    assert space.clearance(torch.tensor([[3.5, 0.0, 0]])).item() < 0
    # Beside the shadow the nearest thing that is not free is the shadow's side, not the box.
    edge = torch.tensor([1.5, 0.25]) / math.hypot(1.5, 0.25)
    for offset in ([0.0, 1.2, 0.0], [0.0, -1.2, 0.0], [0.0, 0.0, 1.2], [0.0, 0.0, -1.2]):
        beside = torch.tensor([[4.0, 0.0, 0.0]]) + torch.tensor([offset])
        to_shadow = abs(4.0 * edge[1] - 1.2 * edge[0]).item()
        clear = space.clearance(beside).item()
        assert to_shadow - 0.25 < clear < to_shadow + 0.02
        assert clear < distance_to_box(beside, low, high).item() - 1


def test_left_is_left_and_up_is_up():
    low, high = (-0.5, 1.0, -0.5), (0.5, 2.0, 0.5)  # on the left
    space = FreeSpace(panorama_of(torch.minimum(sphere_room(6), box_distance(low, high))), VOXELS)
    left, right = space.clearance(torch.tensor([[0.0, 0.5, 0], [0, -0.5, 0]])).tolist()
    assert left == pytest.approx(0.47, abs=0.04)
    assert right == pytest.approx(1.45, abs=0.05)
    above = FreeSpace(panorama_of(torch.minimum(sphere_room(6), box_distance((-1, -1, 1.0), (1, 1, 2)))), VOXELS)
    up, down = above.clearance(torch.tensor([[0.0, 0, 0.5], [0, 0, -0.5]])).tolist()
    assert up == pytest.approx(0.47, abs=0.04)
    assert down == pytest.approx(1.45, abs=0.05)


@settings(max_examples=12, deadline=None)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    elevation=st.floats(-1.5, 1.5),
    near=st.floats(0.6, 3),
    size=st.floats(0.3, 2),
)
def test_no_free_voxel_touches_the_true_room_or_what_a_box_hides(azimuth, elevation, near, size):
    towards = torch.tensor(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    centre = (near + size) * towards
    low, high = (centre - size / 2).tolist(), (centre + size / 2).tolist()
    distance = torch.minimum(sphere_room(5), box_distance(low, high))
    space = FreeSpace(panorama_of(distance), 30_000)
    index = np.argwhere(space.free)
    points = centres_of(space, index)
    half = math.sqrt(0.75) * space.grid.voxel_size
    # A corner of the box reaches half a pixel farther than the rays that met it.
    assert (5 - points.norm(dim=-1) >= half - 1e-4).all()
    assert (distance_to_box(points, low, high) >= half - 5 * math.pi / HEIGHT).all()
    behind = (points @ towards > near + 2 * size) & (distance_to_box(points, low, high) < 8)
    ray = torch.nn.functional.normalize(points[behind], dim=-1)
    assert (torch.linalg.cross(ray, towards.expand_as(ray)).norm(dim=-1) > 0.2 * size / (near + size)).all()


def test_most_of_a_room_is_carved_free():
    space = FreeSpace(panorama_of(sphere_room(3)), 200_000)
    points = centres_of(space, np.argwhere(np.ones(space.grid.shape, bool)))
    deep = (points.norm(dim=-1) < 3 - 3 * space.grid.voxel_size - 3 * math.pi / HEIGHT).numpy()
    assert space.free.reshape(-1)[deep].all()


def test_room_is_a_lower_bound_of_clearance_and_close_to_it():
    space = FreeSpace(furnished(((2.0, -0.3, -1.6), (2.6, 0.3, 1.2)), height=192), 300_000)
    generator = np.random.default_rng(0)
    cells = np.argwhere(space.free)[generator.choice(int(space.free.sum()), 200)]
    points = centres_of(space, cells) + torch.from_numpy(generator.uniform(-0.49, 0.49, (200, 3))).float() * (
        space.grid.voxel_size
    )
    room, clear = space.room_at(points), space.clearance(points)
    assert (room <= clear + 0.06).all()
    assert (clear - room).median() < 4 * space.grid.voxel_size
    assert space.room_at(torch.tensor([[100.0, 0, 0]])).item() == 0


def test_has_room_agrees_with_clearance():
    space = FreeSpace(furnished(((2.0, -0.3, -1.6), (2.6, 0.3, 1.2))), VOXELS)
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 9.0, 3.2]) - 4
    for radius in (0.1, 0.3, 0.8):
        assert torch.equal(space.has_room(points, radius), space.clearance(points) >= radius)


def test_the_grid_ends_at_the_reach_and_what_lies_beyond_is_not_free():
    sky = directions(HEIGHT)[..., 2] > 0.1
    space = FreeSpace(panorama_of(sphere_room(50), sky), VOXELS)
    size = space.grid.voxel_size
    high = [o + n * size for o, n in zip(space.grid.origin, space.grid.shape, strict=True)]
    assert all(-REACH - 2 * size <= o for o in space.grid.origin)
    assert high[0] <= REACH + 2 * size
    assert high[2] <= RISE + 2 * size
    assert space.room.max() <= RISE + size  # the nearest border is above or below


def test_light_through_a_window_does_not_blow_up_the_grid():
    rays = directions(HEIGHT)
    room = box_distance((-2.0, -2.0, -1.5), (2.0, 2.0, 1.0))
    slit = (rays[..., 0] > 0.9) & (rays[..., 1].abs() < 0.03)
    space = FreeSpace(panorama_of(torch.where(slit, 50.0, room)), VOXELS)
    assert space.grid.origin[0] + space.grid.shape[0] * space.grid.voxel_size < 3.5


def test_sky_is_free_and_its_distance_is_not_read():
    sky = directions(HEIGHT)[..., 2] > 0.1
    for unused in (0.01, math.nan, math.inf, -1.0):
        pano = panorama_of(torch.where(sky, unused, 6.0), sky)
        assert FreeSpace(upright(pano), VOXELS).clearance(torch.tensor([[0.0, 0, 1.0]])).item() > 2


@pytest.mark.parametrize("height", [33, 300, 515])
def test_any_height_of_panorama(height):
    clear = FreeSpace(panorama_of(sphere_room(3, height)), VOXELS).clearance(torch.tensor([[1.0, 0, 0]]))
    assert 2 - 4 * math.pi / height - 0.05 < clear.item() <= 2


def test_lines_of_sight():
    space = FreeSpace(furnished(((2.0, -0.3, -1.6), (2.6, 0.3, 1.2))), VOXELS)
    eyes = torch.tensor([[0.0, 0, 0], [0.0, 0, 0], [1.5, 2.0, 0], [1.5, 2.0, 0], [1.0, 0, 0]])
    targets = torch.tensor([[2.0, 0, 0], [4.0, 0, 0], [1.5, -2.0, 0], [3.5, -2.0, 0], [1.0, 3.9, 0]])
    # To its front; behind it; past its front; through it; to a wall.
    assert space.sees(eyes, targets).tolist() == [True, False, True, False, True]


def test_a_tilted_panorama_is_put_upright():
    heading = rotz(torch.tensor(0.7))
    angle = torch.tensor(0.3)
    tilt = torch.tensor([[1.0, 0, 0], [0, angle.cos(), -angle.sin()], [0, angle.sin(), angle.cos()]])
    here = torch.tensor([3.0, -1.0, 1.6])
    world_from_pano = compose(heading @ tilt, here)
    # A floor 1.6 m below, seen from the tilted panorama.
    down = (directions(HEIGHT) @ world_from_pano[:3, :3].mT)[..., 2]
    distance = torch.where(down < -0.1, -1.6 / down.clamp(max=-0.1), 5.0)
    level = upright(panorama_of(distance, world_from_pano=world_from_pano))
    torch.testing.assert_close(level.world_from_pano[:3, 2], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(level.world_from_pano[:3, 3], here)
    rays = directions(HEIGHT)
    floor = rays[..., 2] < -0.3
    torch.testing.assert_close(
        (rays * level.distance[..., None])[floor][:, 2], torch.full((int(floor.sum()),), -1.6), atol=0.12, rtol=0
    )
    # The direction of the panorama's own x axis, in the world, stays where it was but for the tilt.
    ahead = apply(level.world_from_pano, torch.tensor([[1.0, 0, 0]]))[0] - here
    assert torch.atan2(ahead[1], ahead[0]).item() == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -2.0])
def test_distances_that_are_none(value):
    distance = sphere_room(3)
    distance[5, 7] = value
    with pytest.raises(InputError, match=f"finite distances above 0 .*got 1 others of 18432, the first {value:g}"):
        upright(panorama_of(distance))


def test_a_pose_that_is_none():
    pose = torch.eye(4)
    pose[0, 3] = math.nan
    with pytest.raises(InputError, match="finite pose"):
        upright(panorama_of(sphere_room(3), world_from_pano=pose))
