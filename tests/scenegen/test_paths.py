"""Paths against rooms whose free space is known in closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import Panorama, apply, compose, rotz
from worldloom.geometry.equirect import directions
from worldloom.scenegen.paths import AHEAD, LENGTH, MARGIN, clearance, plan_path

HEIGHT = 96


def panorama_of(distance, sky=None, world_from_pano=None):
    rgb = torch.full((3, *distance.shape), 0.5)
    sky = torch.zeros(distance.shape, dtype=torch.bool) if sky is None else sky
    return Panorama(rgb, distance, sky, torch.eye(4) if world_from_pano is None else world_from_pano)


def sphere_room(radius, height=HEIGHT):
    return torch.full((height, 2 * height), float(radius))


def box_distance(low, high, height=HEIGHT):
    """Distance along each ray to the box [low, high]; inf where it is missed. From inside, the exit."""
    rays = directions(height).double()
    low, high = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    safe = torch.where(rays.abs() < 1e-12, 1e-12, rays)
    a, b = low / safe, high / safe
    enter, leave = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    hit = (leave > enter.clamp(min=0)).logical_and(leave > 0)
    return torch.where(hit, torch.where(enter > 0, enter, leave), math.inf).float()


def distance_to_box(points, low, high):
    low, high = torch.tensor(low), torch.tensor(high)
    return (torch.maximum(low - points, points - high).clamp(min=0)).norm(dim=-1)


def test_clearance_in_a_sphere_is_radius_minus_distance():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, -2, 0], [0.5, 0.5, 1.5], [0, 0, -2.9]])
    expected = 3 - points.norm(dim=-1)
    torch.testing.assert_close(clearance(panorama_of(sphere_room(3)), points), expected, atol=0.02, rtol=0)


def test_clearance_is_negative_behind_the_surface():
    clear = clearance(panorama_of(sphere_room(3)), torch.tensor([[3.5, 0.0, 0], [0, 0, 4]]))
    torch.testing.assert_close(clear, torch.tensor([-0.5, -1.0]), atol=0.02, rtol=0)


def test_unknown_space_behind_an_obstacle_is_not_free():
    low, high = (1.5, -0.25, -0.25), (2.0, 0.25, 0.25)
    pano = panorama_of(torch.minimum(sphere_room(6), box_distance(low, high)))
    assert clearance(pano, torch.tensor([[3.5, 0.0, 0]])).item() < 0
    # Beside the shadow the nearest thing that is not free is the shadow's side, not the box.
    edge = torch.tensor([1.5, 0.25]) / math.hypot(1.5, 0.25)
    for offset in ([0.0, 1.2, 0.0], [0.0, -1.2, 0.0], [0.0, 0.0, 1.2], [0.0, 0.0, -1.2]):
        beside = torch.tensor([[4.0, 0.0, 0.0]]) + torch.tensor([offset])
        to_shadow = abs(4.0 * edge[1] - 1.2 * edge[0]).item()
        assert clearance(pano, beside).item() == pytest.approx(to_shadow, abs=0.1)
        assert clearance(pano, beside).item() < distance_to_box(beside, low, high).item() - 1


def test_left_is_left_and_up_is_up():
    low, high = (-0.5, 1.0, -0.5), (0.5, 2.0, 0.5)  # on the left
    pano = panorama_of(torch.minimum(sphere_room(6), box_distance(low, high)))
    left, right = clearance(pano, torch.tensor([[0.0, 0.5, 0], [0, -0.5, 0]])).tolist()
    assert left == pytest.approx(0.5, abs=0.03)
    assert right == pytest.approx(1.5, abs=0.05)
    above = panorama_of(torch.minimum(sphere_room(6), box_distance((-1, -1, 1.0), (1, 1, 2))))
    up, down = clearance(above, torch.tensor([[0.0, 0, 0.5], [0, 0, -0.5]])).tolist()
    assert up == pytest.approx(0.5, abs=0.03)
    assert down == pytest.approx(1.5, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    near=st.floats(0.5, 3),
    size=st.floats(0.2, 2),
    radius=st.floats(1.5, 8),
    seed=st.integers(0, 1000),
)
def test_no_path_collides_with_the_true_room(azimuth, near, size, radius, seed):
    centre = (near + size / 2) * torch.tensor([math.cos(azimuth), math.sin(azimuth), 0.0])
    low, high = (centre - size / 2).tolist(), (centre + size / 2).tolist()
    box = box_distance(low, high)
    if not (distance_to_box(torch.zeros(1, 3), low, high).item() > 0.05):
        return
    pano = panorama_of(torch.minimum(sphere_room(radius), box))
    path = plan_path(pano, 40, seed)
    centres = path.cameras.world_from_cam[:, :3, 3]
    if path.length > 0:
        true_clearance = torch.minimum(radius - centres.norm(dim=-1), distance_to_box(centres, low, high))
        # 96 rows resolve the corners of a box 3 m away to a few centimetres
        assert true_clearance.min().item() > MARGIN - 0.06
        assert path.clearance <= true_clearance.min().item() + 0.06
    else:
        assert path.note


def test_open_space_gives_the_full_loop():
    path = plan_path(panorama_of(sphere_room(20)), 72, 0)
    centres = path.cameras.world_from_cam[:, :3, 3]
    assert path.note is None
    assert centres.norm(dim=-1).max().item() == pytest.approx(LENGTH, abs=1e-3)
    assert path.length > 2 * LENGTH
    assert centres[:, 2].abs().max() == 0
    torch.testing.assert_close(centres[0], torch.zeros(3))


def test_the_loop_closes_smoothly():
    path = plan_path(panorama_of(sphere_room(20)), 72, 0)
    centres, forward = path.cameras.world_from_cam[:, :3, 3], path.cameras.world_from_cam[:, :3, 2]
    steps = (centres.roll(-1, 0) - centres).norm(dim=-1)
    turns = torch.linalg.cross(forward, forward.roll(-1, 0)).norm(dim=-1)
    assert steps.max() < 0.12
    assert (steps - steps.roll(1)).abs().max() < 0.02
    assert turns.max() < math.radians(5.1)  # once round in 72 even steps
    assert path.cameras.world_from_cam[:, 2, 1].max() < -0.999  # the camera's down is down


def test_the_gaze_turns_once_round_towards_the_inside_of_the_loop():
    path = plan_path(panorama_of(sphere_room(20)), 72, 0)
    centres, forward = path.cameras.world_from_cam[:, :3, 3], path.cameras.world_from_cam[:, :3, 2]
    heading = torch.nn.functional.normalize(centres[36] - centres[0], dim=0)
    torch.testing.assert_close(forward[0], heading, atol=1e-3, rtol=0)
    torch.testing.assert_close(forward[36], -heading, atol=1e-3, rtol=0)
    inward = torch.nn.functional.normalize(centres[54] - centres[18], dim=0)
    torch.testing.assert_close(forward[18], inward, atol=1e-3, rtol=0)
    torch.testing.assert_close(forward[54], -inward, atol=1e-3, rtol=0)


def test_a_near_wall_shortens_the_loop():
    path = plan_path(panorama_of(sphere_room(4)), 72, 0)
    reach = path.cameras.world_from_cam[:, :3, 3].norm(dim=-1).max().item()
    assert path.note is None
    assert reach == pytest.approx(4 * AHEAD, abs=0.01)


def test_tight_space_shrinks_by_two_thirds_and_says_so():
    corridor = box_distance((-7.0, -0.55, -3), (7.0, 0.55, 3))
    path = plan_path(panorama_of(corridor), 40, 0)
    reach = path.cameras.world_from_cam[:, :3, 3].norm(dim=-1).max().item()
    assert path.note is not None
    percent = int(path.note.split("shrunk to ")[1].rstrip("%"))
    assert percent in (67, 44, 30)
    assert reach == pytest.approx(percent / 100 * LENGTH, rel=0.02)
    assert path.clearance >= MARGIN


def test_no_space_turns_on_the_spot_and_says_so():
    path = plan_path(panorama_of(sphere_room(0.25)), 36, 0)
    poses = path.cameras.world_from_cam
    assert path.note is not None
    assert "turns on the spot" in path.note
    assert path.length == 0
    torch.testing.assert_close(poses[:, :3, 3], torch.zeros(36, 3))
    torch.testing.assert_close(poses[0, :3, 2], torch.tensor([1.0, 0, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(poses[9, :3, 2], torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)  # to the left


def test_same_seed_same_path_other_seed_other_path():
    pano = panorama_of(sphere_room(10))
    first, again, other = (plan_path(pano, 20, seed).cameras.world_from_cam for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_path_moves_with_the_panorama():
    move = compose(rotz(torch.tensor(1.1)), torch.tensor([5.0, -3.0, 1.5]))
    distance = torch.minimum(sphere_room(6), box_distance((1.0, -1, -1), (2, 1, 1)))
    here, there = plan_path(panorama_of(distance), 20, 0), plan_path(panorama_of(distance, world_from_pano=move), 20, 0)
    torch.testing.assert_close(there.cameras.world_from_cam, move @ here.cameras.world_from_cam, atol=1e-5, rtol=0)
    points = torch.tensor([[0.3, 0.2, 0.1], [-1.0, 2, 0.4]])
    expected = clearance(panorama_of(distance), points)
    torch.testing.assert_close(
        clearance(panorama_of(distance, world_from_pano=move), apply(move, points)), expected, atol=1e-4, rtol=0
    )


def test_sky_is_free_and_its_distance_is_not_read():
    sky = directions(HEIGHT)[..., 2] > 0.1
    distance = torch.where(sky, 0.01, 6.0)
    assert clearance(panorama_of(distance, sky), torch.tensor([[0.0, 0, 1.0]])).item() > 2


@pytest.mark.parametrize("height", [33, 300, 515])
def test_any_height_of_panorama(height):
    clear = clearance(panorama_of(sphere_room(3, height)), torch.tensor([[1.0, 0, 0]]))
    assert clear.item() == pytest.approx(2, abs=0.06)


def test_too_few_views():
    with pytest.raises(ValueError, match="at least 2 views, got 1"):
        plan_path(panorama_of(sphere_room(3)), 1)
