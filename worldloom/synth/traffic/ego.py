"""The ego: the size of the car, where its frame is, and how it moves when it is steered."""

import math
from typing import NamedTuple

from worldloom.synth.traffic.body import Body, pull
from worldloom.synth.traffic.sumo import Move

# nuScenes was driven in a Renault Zoe. The ego frame is on the ground under the middle of the rear axle, x forward.
EGO_EXTENT = (4.08, 1.73, 1.56)  # length, width, height in metres
EGO_CENTRE = 1.40  # from the rear axle forward to the middle of the box
EGO_FRONT = EGO_CENTRE + EGO_EXTENT[0] / 2  # from the rear axle to the front bumper
# The four wheels touch the ground here, in the ego frame.
WHEELS = ((0.0, 0.76), (0.0, -0.76), (2.59, 0.76), (2.59, -0.76))
MAX_CURVATURE = 0.2  # 1/m; a turning circle of ten metres
MAX_ACCELERATION = 4.0  # m/s²
MAX_BRAKING = 9.0  # m/s²


class Ego(NamedTuple):
    """Rear axle on the plane, heading and speed (never backwards)."""

    x: float
    y: float
    yaw: float
    speed: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return self.x + EGO_CENTRE * math.cos(self.yaw), self.y + EGO_CENTRE * math.sin(self.yaw)

    def move(self, name: str) -> Move:
        """The same, as told to SUMO."""
        return Move(name, self.x + EGO_FRONT * math.cos(self.yaw), self.y + EGO_FRONT * math.sin(self.yaw), self.yaw)


class Action(NamedTuple):
    """What a driver does: pedals and wheel. Clamped to MAX_BRAKING … MAX_ACCELERATION and ± MAX_CURVATURE."""

    acceleration: float  # m/s², negative brakes
    curvature: float  # 1/m, positive to the left


class Waypoint(NamedTuple):
    """Where the rear axle shall be at the end of the step, in the ego's frame now; driven as one arc of a circle."""

    x: float  # metres forward
    y: float  # to the left


def drive_on(ego: Ego, action: Action, dt: float) -> Ego:
    """The kinematic bicycle, exactly: an arc of constant curvature k, driven with constant acceleration a.

    way = v dt + a dt² / 2, or -v² / (2a) where it comes to a stand; turned = k way;
    the rear axle moves by way * sinc(turned / 2) in the direction yaw + turned / 2.
    """
    a = max(-MAX_BRAKING, min(MAX_ACCELERATION, action.acceleration))
    k = max(-MAX_CURVATURE, min(MAX_CURVATURE, action.curvature))
    moving = dt if ego.speed + a * dt >= 0 else -ego.speed / a
    way = ego.speed * moving + a * moving**2 / 2
    turned = k * way
    chord = way * (math.sin(turned / 2) / (turned / 2) if abs(turned) > 1e-9 else 1.0)
    direction = ego.yaw + turned / 2
    return Ego(
        ego.x + chord * math.cos(direction),
        ego.y + chord * math.sin(direction),
        math.remainder(ego.yaw + turned, math.tau),
        max(0.0, ego.speed + a * moving),
    )


def action_to(waypoint: Waypoint, speed: float, dt: float) -> Action:
    """The one arc through a waypoint in dt seconds: k = 2 y / (x² + y²), and the acceleration that covers it.

    A waypoint behind, or one that would take reversing, asks for the brakes.
    """
    squared = waypoint.x**2 + waypoint.y**2
    if waypoint.x <= 0 or squared < 1e-12:
        return Action(-MAX_BRAKING if squared > 1e-12 else -speed / dt, 0.0)
    k = 2 * waypoint.y / squared
    half = math.atan2(waypoint.y, waypoint.x)  # the chord's direction is half the turn
    way = math.sqrt(squared) * (half / math.sin(half) if abs(half) > 1e-9 else 1.0)
    a = 2 * (way - speed * dt) / dt**2
    if speed + a * dt < 0:  # so short a way ends before dt does
        a = -(speed**2) / (2 * way)
    return Action(a, k)


def ego_footprint(ego: Ego) -> tuple[float, float, float, float, float]:
    """(x, y, yaw, length, width) of the box on the ground."""
    return (*ego.centre, ego.yaw, EGO_EXTENT[0], EGO_EXTENT[1])


def ego_from_body(body: Body) -> Ego:
    """The ego in the place of a car: its bumper where the car's is."""
    x, y = body.x - EGO_FRONT * math.cos(body.yaw), body.y - EGO_FRONT * math.sin(body.yaw)
    return Ego(x, y, body.yaw, body.speed)


def ego_after(ego: Ego, body: Body) -> Ego:
    """The ego one step later, where SUMO drove the car in whose place it is: the rear axle follows the bumper."""
    front_x, front_y = ego.x + EGO_FRONT * math.cos(ego.yaw), ego.y + EGO_FRONT * math.sin(ego.yaw)
    yaw = pull(front_x, front_y, ego.yaw, EGO_FRONT, body.x, body.y)
    return Ego(body.x - EGO_FRONT * math.cos(yaw), body.y - EGO_FRONT * math.sin(yaw), yaw, body.speed)
