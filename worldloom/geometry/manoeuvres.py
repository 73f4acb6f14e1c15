"""Ego paths from a word: straight, left, right, stop."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import compose, rotz

MANOEUVRES = ("straight", "left", "right", "stop")
TURN_RADIUS = 12.0  # metres; a car's path through a junction in a town
SIDEWAYS = 2.5  # m/s²; faster turns are wider, so that passengers would bear them
ONSET = 6.0  # metres driven while the wheel turns from straight to the arc, and back at its end
BRAKING = 2.5  # m/s²; firm, without an emergency
_FINE = 64  # parts of a step in the integration along the arc; leaves errors below a micrometre


def manoeuvre_path(
    name: str, speed: float, num_steps: int, dt: float, world_from_start: Float[Tensor, "4 4"] | None = None
) -> EgoPath:
    """The num_steps + 1 poses of a manoeuvre that begins at `world_from_start` (identity if not given).

    straight: constant speed. left, right: constant speed around a quarter turn of radius
    max(TURN_RADIUS, speed² / SIDEWAYS), then straight on; curvature rises and falls smoothly over ONSET metres at both
    ends of the arc. stop: constant braking by BRAKING, then standing. The origin of the ego frame, the rear axle, moves
    along its x axis throughout.

    Args:
        name: one of MANOEUVRES.
        speed: m/s at the start, not negative.
        num_steps: steps of `dt` seconds.
    Raises:
        InputError: another name, or numbers that are not positive.
    """
    if name not in MANOEUVRES:
        raise InputError(f"expected a manoeuvre {', '.join(MANOEUVRES)}, got {name!r}")
    if not (0 <= speed < math.inf and 0 < dt < math.inf) or num_steps < 1:
        raise InputError(f"expected speed >= 0 m/s, dt > 0 s and num_steps >= 1, got {speed}, {dt}, {num_steps}")
    start = torch.eye(4) if world_from_start is None else world_from_start
    time = dt / _FINE * torch.arange(num_steps * _FINE + 1, dtype=torch.float64)
    braked = time.clamp(max=speed / BRAKING) if name == "stop" else time
    driven = speed * braked - (BRAKING / 2 * braked**2 if name == "stop" else 0)
    side = {"left": 1.0, "right": -1.0}.get(name, 0.0)
    radius = max(TURN_RADIUS, speed**2 / SIDEWAYS)
    # Simpson's rule over each fine part, with the heading at its middle.
    middle = (driven[1:] + driven[:-1]) / 2
    yaw, yaw_middle = side * _turned(driven, radius), side * _turned(middle, radius)
    direction, direction_middle = (torch.stack([a.cos(), a.sin()], dim=-1) for a in (yaw, yaw_middle))
    mean_direction = (direction[:-1] + 4 * direction_middle + direction[1:]) / 6
    position = torch.cat([torch.zeros(1, 2), (driven.diff()[:, None] * mean_direction).cumsum(0)])
    start_from_ego = compose(rotz(yaw[::_FINE]), torch.nn.functional.pad(position[::_FINE], (0, 1)))
    return EgoPath((start.to("cpu", torch.float64) @ start_from_ego).to(start), dt)


def _turned(driven: Float[Tensor, " n"], radius: float) -> Float[Tensor, " n"]:
    """Heading after a distance along a quarter turn: the integral of a curvature that follows smoothstep at both ends.

    smoothstep(u) = 3 u² - 2 u³, its integral u³ - u⁴ / 2.
    """

    def since(distance: Tensor) -> Tensor:
        u = (distance / ONSET).clamp(0, 1)
        return ONSET * (u**3 - u**4 / 2) + (distance - ONSET).clamp(min=0)

    arc = math.pi / 2 * radius  # each onset turns by half of what the arc would
    return (since(driven) - since(driven - arc)) / radius
