"""Aerial paths: from places on the ground up as far as there is room, with the gaze down and all round."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.scenegen.motion import Guide
from worldloom.scenegen.place import SPARE, Place, Route

MAX_PATHS = 8
WITHIN = 6.0  # metres on foot from the start
APART = 2.5  # metres between two rises
MIN_RISE, MAX_RISE = 0.4, 3.5  # metres above the walker's eye
SWEEP = math.radians(200)
LOOK_DOWN = math.radians(-30)
LOOK_UP = math.radians(40)  # where there is no room to rise


def aerial_routes(place: Place, generator: torch.Generator) -> list[Route]:
    """Rises over the start and over places around it, each as far from the others as can be (farthest points first).

    The gaze sinks to look down as the camera rises, and turns. Under a ceiling too low to rise, it looks up instead.
    """
    if place.ground.start is None:
        return []
    feet = torch.cat([place.eyes(np.array([place.ground.start])), place.stands(0.5, WITHIN)])
    apart = torch.full((len(feet),), torch.inf)
    first = torch.rand((), generator=generator).item() * 2 * math.pi
    routes, best = [], 0
    while len(routes) < MAX_PATHS and apart[best] >= APART:
        foot = feet[best]
        apart = torch.minimum(apart, (feet - foot).norm(dim=-1))
        rise = _headroom(place, foot)
        heading = first + 2.4 * len(routes)  # the golden angle: no two rises begin alike
        routes.append(Route(_rise(foot, rise, heading), walks=False))
        best = int(apart.argmax())
    return routes


def _headroom(place: Place, foot: Float[Tensor, "3"]) -> float:
    """Metres that the camera can rise from an eye."""
    rises = torch.arange(0.1, MAX_RISE + 0.05, 0.1)
    points = foot + rises[:, None] * torch.tensor([0.0, 0.0, 1.0])
    blocked = (~place.space.has_room(points, place.agent.radius + SPARE)).nonzero()
    return rises[int(blocked[0, 0])].item() - 0.1 if len(blocked) else MAX_RISE


def _rise(foot: Float[Tensor, "3"], rise: float, heading: float) -> Guide:
    share = torch.linspace(0, 1, 25)
    yaw = heading + SWEEP * share
    if rise < MIN_RISE:
        return Guide(foot.expand(25, 3).clone(), yaw, LOOK_UP * (math.pi * share).sin())
    points = foot + (share * rise)[:, None] * torch.tensor([0.0, 0.0, 1.0])
    return Guide(points, yaw, LOOK_DOWN * (2 * share).clamp(max=1))
