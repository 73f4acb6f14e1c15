"""Manoeuvres: closed forms, signs and the rolling of the rear axle."""

import math

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import compose, manoeuvre_path, rotz, yaw_from_rotmat
from worldloom.geometry.manoeuvres import BRAKING, ONSET, SIDEWAYS, TURN_RADIUS


def test_straight_is_speed_times_time():
    path = manoeuvre_path("straight", 8.0, 12, 0.5)
    assert path.world_from_ego.shape == (13, 4, 4)
    torch.testing.assert_close(path.world_from_ego[:, 0, 3], 4.0 * torch.arange(13))
    assert torch.equal(path.world_from_ego[:, :3, :3], torch.eye(3).expand(13, 3, 3))


def test_stop_brakes_evenly_and_stands():
    path = manoeuvre_path("stop", 5.0, 8, 0.5)
    time = 0.5 * torch.arange(9)
    expected = torch.where(time < 2, 5 * time - BRAKING / 2 * time**2, torch.tensor(5.0**2 / (2 * BRAKING)))
    torch.testing.assert_close(path.world_from_ego[:, 0, 3], expected)


@pytest.mark.parametrize(("name", "side"), [("left", 1), ("right", -1)])
def test_turns_end_a_quarter_turn_later(name: str, side: int):
    path = manoeuvre_path(name, 5.0, 20, 0.5)
    yaw = yaw_from_rotmat(path.world_from_ego[:, :3, :3])
    assert yaw[-1].item() == pytest.approx(side * math.pi / 2, abs=1e-5)
    assert (side * yaw.diff() > -1e-6).all()
    # Left is +y. It leaves driving along its new heading: x no longer changes.
    end = path.world_from_ego[-2:, :2, 3]
    assert side * end[-1, 1] > TURN_RADIUS
    assert end[1, 0].item() == pytest.approx(end[0, 0].item(), abs=1e-4)
    assert abs(end[1, 1].item() - end[0, 1].item()) == pytest.approx(2.5, abs=1e-4)


def test_left_and_right_are_mirror_images():
    left, right = (manoeuvre_path(name, 7.0, 15, 0.5).world_from_ego for name in ("left", "right"))
    mirror = torch.diag(torch.tensor([1.0, -1, 1, 1]))
    torch.testing.assert_close(mirror @ left @ mirror, right)


@pytest.mark.parametrize("speed", [4.0, 12.0])
def test_curvature_reaches_the_radius_smoothly_and_never_exceeds_it(speed: float):
    dt = 0.01
    path = manoeuvre_path("left", speed, 3000, dt, torch.eye(4, dtype=torch.float64))
    steps = path.steps()
    radius = max(TURN_RADIUS, speed**2 / SIDEWAYS)
    curvature = steps[:, 2] / (speed * dt)
    assert curvature.max().item() == pytest.approx(1 / radius, rel=1e-4)
    assert curvature[0].item() < 1e-4
    # Steepest in the middle of the onset, where smoothstep rises by 1.5 per unit.
    assert curvature.diff().abs().max().item() == pytest.approx(1.5 / ONSET / radius * speed * dt, rel=0.01)
    # The rear axle rolls along its own x axis: no slip to the side beyond the chord of the step, which is exact on
    # arcs and off by less than a micrometre where the curvature changes.
    chord = steps[:, 0] * torch.tan(steps[:, 2] / 2)
    torch.testing.assert_close(steps[:, 1], chord, atol=1e-6, rtol=0)


def test_steps_do_not_depend_on_how_fine_they_are():
    coarse = manoeuvre_path("left", 6.0, 10, 0.5, torch.eye(4, dtype=torch.float64))
    fine = manoeuvre_path("left", 6.0, 100, 0.05, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(fine.world_from_ego[::10], coarse.world_from_ego, atol=1e-6, rtol=0)


def test_starts_at_the_given_pose_and_keeps_its_type():
    start = compose(rotz(torch.tensor(2.0)), torch.tensor([5.0, -3.0, 1.0])).double()
    path = manoeuvre_path("right", 5.0, 6, 0.5, start)
    assert path.world_from_ego.dtype == torch.float64
    torch.testing.assert_close(path.world_from_ego[0], start)
    from_origin = manoeuvre_path("right", 5.0, 6, 0.5, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(path.world_from_ego, start @ from_origin.world_from_ego)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", 5.0, 4, 0.5), "straight, left, right, stop, got 'up'"),
        (("left", -1.0, 4, 0.5), "speed >= 0"),
        (("left", math.nan, 4, 0.5), "speed >= 0"),
        (("left", 1.0, 0, 0.5), "num_steps >= 1"),
        (("left", 1.0, 4, 0.0), "dt > 0"),
    ],
)
def test_bad_requests(arguments: tuple, message: str):
    with pytest.raises(InputError, match=message):
        manoeuvre_path(*arguments)
