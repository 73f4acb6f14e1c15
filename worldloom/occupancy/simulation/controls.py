"""What a driver may ask of the car for the next step: pedals and wheel, a place to be at, or a path to follow."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.occupancy.traffic import DT
from worldloom.synth.traffic.ego import (
    MAX_ACCELERATION,
    MAX_BRAKING,
    MAX_CURVATURE,
    Action,
    Ego,
    Waypoint,
    action_to,
    drive_on,
)

MOMENTS = 5  # of a step at which contacts are looked for, a tenth of a second apart
GRIP = 8.0  # m/s² sideways; no wheel turns a fast car more sharply
MAX_FRAMES = 64  # of a trajectory
_FARTHEST = 1e4  # metres; a place beyond is a mistake


@dataclass(frozen=True)
class Trajectory:
    """Where the ego is going to be, x, y, yaw in its present frame, DT apart: it drives to the first pose.

    The others are told of the poses after that: they react to where the ego says that it is going.
    """

    poses: Float[Tensor, "f 3"]


Order: TypeAlias = Action | Waypoint | Trajectory


def arc_of(order: Order, speed: float) -> Action:
    """The arc that is driven for DT seconds: pedals and wheel within what the car can do.

    Raises:
        InputError: numbers that are not finite, or a trajectory of another shape.
    """
    if isinstance(order, Trajectory):
        poses = order.poses
        if poses.ndim != 2 or not 1 <= len(poses) <= MAX_FRAMES or poses.shape[1] != 3:
            raise InputError(f"expected a trajectory of 1 to {MAX_FRAMES} rows x, y, yaw, got {tuple(poses.shape)}")
        _check_finite(poses.flatten().tolist(), "trajectory")
        x, y, _ = poses[0].tolist()
        order = Waypoint(x, y)
    _check_finite(list(order), "waypoint" if isinstance(order, Waypoint) else "action")
    a, k = action_to(order, speed, DT) if isinstance(order, Waypoint) else order
    bend = min(MAX_CURVATURE, GRIP / max(speed, 1.0) ** 2)
    return Action(max(-MAX_BRAKING, min(MAX_ACCELERATION, a)), max(-bend, min(bend, k)))


def driven(ego: Ego, arc: Action) -> list[Ego]:
    """The ego at the MOMENTS of a step."""
    egos = []
    for _ in range(MOMENTS):
        ego = drive_on(ego, arc, DT / MOMENTS)
        egos.append(ego)
    return egos


def _check_finite(numbers: list[float], what: str) -> None:
    if not all(math.isfinite(number) and abs(number) < _FARTHEST for number in numbers):
        raise InputError(f"expected finite numbers in the {what}, got {numbers}")


def held(ego: Ego, arc: Action, frames: int) -> Float[Tensor, "f 3"]:
    """Where the ego goes, in its present frame, that does for one more step as it does, and then keeps its speed.

    The wheel is held for a second.
    """
    at, rows = Ego(0.0, 0.0, 0.0, ego.speed), []
    for frame in range(frames):
        at = drive_on(at, Action(arc.acceleration if frame == 0 else 0.0, arc.curvature if frame < 2 else 0.0), DT)
        rows.append(at[:3])
    return torch.tensor(rows, dtype=torch.float64)
