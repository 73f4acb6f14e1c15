"""Actions of environments: numbers in [-1, 1] that become orders to the car."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.occupancy.simulation.controls import Order, Trajectory
from worldloom.synth.traffic.ego import MAX_CURVATURE, Action, Waypoint


@runtime_checkable
class ActionKind(Protocol):
    """One kind of action."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        ...

    def order(self, action: Any) -> Order:
        """What the car is asked for.

        Raises:
            InputError: another shape, or numbers that are not finite or outside [-1, 1].
        """
        ...


@dataclass(frozen=True)
class Controls:
    """Pedals and wheel: (acceleration, curvature). 1 is `most` m/s², -1 brakes by `braking`; a wheel of 1 is left."""

    most: float = 3.0
    braking: float = 6.0

    @property
    def shape(self) -> tuple[int, ...]:
        """See `ActionKind`."""
        return (2,)

    def order(self, action: Any) -> Order:
        """See `ActionKind`."""
        pedal, wheel = checked(action, self.shape).tolist()
        return Action(pedal * (self.most if pedal > 0 else self.braking), wheel * MAX_CURVATURE)


@dataclass(frozen=True)
class Waypoints:
    """Where to be at the end of the step, in the ego's frame: x from 0 (-1) to `ahead` metres (1), y to `aside`."""

    ahead: float = 15.0
    aside: float = 5.0

    @property
    def shape(self) -> tuple[int, ...]:
        """See `ActionKind`."""
        return (2,)

    def order(self, action: Any) -> Order:
        """See `ActionKind`."""
        x, y = checked(action, self.shape).tolist()
        return Waypoint((x + 1) / 2 * self.ahead, y * self.aside)


@dataclass(frozen=True)
class Trajectories:
    """Where to be at the end of each of the next steps, (x, y, yaw) in the ego's frame; the others are told.

    1 is `far` metres for x and y, and half a turn to the left for yaw. The first pose is driven to.
    """

    frames: int = 8
    far: float = 80.0

    @property
    def shape(self) -> tuple[int, ...]:
        """See `ActionKind`."""
        return (self.frames, 3)

    def order(self, action: Any) -> Order:
        """See `ActionKind`."""
        poses = torch.from_numpy(checked(action, self.shape))
        return Trajectory(poses * torch.tensor([self.far, self.far, math.pi], dtype=torch.float64))


ACTIONS: Mapping[str, ActionKind] = {
    "control": Controls(),
    "waypoint": Waypoints(),
    "trajectory": Trajectories(),
}


def action_kind(action: str | ActionKind) -> ActionKind:
    """A kind of action by its name, or one of one's own.

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(action, str):
        return action
    if action not in ACTIONS:
        raise InputError(f"expected an action of {', '.join(ACTIONS)}, got {action!r}")
    return ACTIONS[action]


def checked(action: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The action as float64 of this shape.

    Raises:
        InputError: another shape, or numbers that are not finite or outside [-1, 1].
    """
    try:
        numbers = np.array(action, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected an action of numbers {shape}, got {type(action).__name__} ({error})") from None
    if numbers.shape != shape:
        raise InputError(f"expected an action of shape {shape}, got {numbers.shape}")
    if not (np.abs(numbers) <= 1 + 1e-6).all():  # NaN too
        wrong = numbers[~(np.abs(numbers) <= 1 + 1e-6)]
        raise InputError(f"expected an action of finite numbers in [-1, 1], got {wrong[0]}")
    return numbers.clip(-1, 1)
