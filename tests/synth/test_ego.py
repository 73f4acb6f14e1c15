"""The ego's motion against closed forms."""

import itertools
import math

import pytest

pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.synth.traffic.body import Body, pull
from worldloom.synth.traffic.ego import (
    EGO_CENTRE,
    EGO_EXTENT,
    EGO_FRONT,
    MAX_BRAKING,
    Action,
    Ego,
    Waypoint,
    action_to,
    drive_on,
    ego_after,
    ego_footprint,
    ego_from_body,
)


def test_an_arc_is_driven_exactly() -> None:
    start = Ego(3.0, -2.0, 0.7, 5.0)
    after = drive_on(start, Action(1.5, 0.1), 2.0)
    way = 5.0 * 2 + 1.5 * 2**2 / 2
    # Around the centre of the circle, which is to the left.
    cx, cy = 3.0 - math.sin(0.7) / 0.1, -2.0 + math.cos(0.7) / 0.1
    assert after.yaw == pytest.approx(0.7 + 0.1 * way)
    assert after.x == pytest.approx(cx + math.sin(after.yaw) / 0.1)
    assert after.y == pytest.approx(cy - math.cos(after.yaw) / 0.1)
    assert after.speed == pytest.approx(8.0)


def test_many_small_steps_are_one_large_step() -> None:
    ego, action = Ego(0.0, 0.0, -1.0, 6.0), Action(-1.0, -0.05)
    small = ego
    for _ in range(30):
        small = drive_on(small, action, 0.1)
    assert small == pytest.approx(drive_on(ego, action, 3.0), abs=1e-9)


def test_braking_ends_in_a_stand_and_never_goes_back() -> None:
    after = drive_on(Ego(0.0, 0.0, 0.0, 6.0), Action(-6.0, 0.0), 5.0)
    assert after == pytest.approx((3.0, 0.0, 0.0, 0.0))  # v² / 2a
    assert drive_on(after, Action(-1.0, 0.1), 1.0) == pytest.approx(after)


def test_actions_are_clamped() -> None:
    assert drive_on(Ego(0.0, 0.0, 0.0, 20.0), Action(-100.0, 0.0), 1.0).speed == pytest.approx(20 - MAX_BRAKING)
    ego = drive_on(Ego(0.0, 0.0, 0.0, 1.0), Action(0.0, 9.0), 1.0)
    assert ego.yaw == pytest.approx(0.2)


@pytest.mark.parametrize("point", [(4.0, 0.0), (3.8, 0.5), (3.0, -0.25), (2.6, 0.01)])
def test_a_waypoint_is_reached_by_its_action(point: tuple[float, float]) -> None:
    ego = Ego(1.0, 2.0, 0.4, 7.0)
    after = drive_on(ego, action_to(Waypoint(*point), ego.speed, 0.5), 0.5)
    forward = (after.x - 1) * math.cos(0.4) + (after.y - 2) * math.sin(0.4)
    left = (after.y - 2) * math.cos(0.4) - (after.x - 1) * math.sin(0.4)
    assert (forward, left) == pytest.approx(point, abs=1e-9)


def test_a_waypoint_behind_brakes() -> None:
    assert action_to(Waypoint(-1.0, 0.0), 5.0, 0.5) == Action(-MAX_BRAKING, 0.0)
    assert drive_on(Ego(0.0, 0.0, 0.0, 2.0), action_to(Waypoint(0.0, 0.0), 2.0, 0.5), 0.5).speed == pytest.approx(0)


def test_the_frame_is_at_the_rear_axle() -> None:
    ego = ego_from_body(Body(10.0, 5.0, math.pi / 2, 3.0, 0.0, 0.0))  # the bumper at (10, 5), heading north
    assert (ego.x, ego.y) == pytest.approx((10.0, 5.0 - EGO_FRONT))
    x, y, _, length, width = ego_footprint(ego)
    assert (x, y) == pytest.approx((10.0, 5.0 - EGO_EXTENT[0] / 2))
    assert (length, width) == EGO_EXTENT[:2]
    move = ego.move("me")
    assert (move.x, move.y, move.yaw) == pytest.approx((10.0, 5.0, math.pi / 2))
    assert pytest.approx(EGO_EXTENT[0] / 2) == EGO_FRONT - EGO_CENTRE


def test_the_rear_axle_only_rolls_ahead() -> None:
    egos = [Ego(0.0, 0.0, 0.0, 5.0)]
    for i in range(1, 200):  # the bumper on a circle
        a = i * 0.02
        egos.append(ego_after(egos[-1], Body(EGO_FRONT + 15 * math.sin(a), 15 - 15 * math.cos(a), a, 5.0, 0.0, 0.0)))
    for before, after in itertools.pairwise(egos):
        sideways = (after.y - before.y) * math.cos(after.yaw) - (after.x - before.x) * math.sin(after.yaw)
        assert abs(sideways) < 1e-9
    # In the steady state the rear axle is on the circle that is tangent to the body: r² = R² - L².
    assert math.hypot(egos[-1].x - EGO_FRONT, egos[-1].y - 15) == pytest.approx(
        math.sqrt(15**2 - EGO_FRONT**2), rel=2e-2
    )


def test_a_pulled_rod_follows_the_tractrix() -> None:
    # Pulled sideways, the angle from the line of pull falls as tan(a / 2) = tan(a0 / 2) exp(-s / L).
    yaw, arm, step = math.pi / 2, 4.0, 1e-3
    for i in range(6000):
        yaw = pull(i * step, 0.0, yaw, arm, (i + 1) * step, 0.0)
    assert math.tan(yaw / 2) == pytest.approx(math.exp(-6.0 / arm), rel=2e-3)
