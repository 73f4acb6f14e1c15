"""Wandering paths: on foot to the far ends of the walkable ground, and a look back."""

import math

import numpy as np
import torch

from worldloom.scenegen.families.gaze import looking_ahead
from worldloom.scenegen.place import Place, Route

MAX_PATHS = 3
MAX_WALK = 10.0  # metres
MIN_WALK = 1.0
MIN_ANGLE = math.radians(40)  # between the ends of two paths, seen from the start
LENGTH_WEIGHT = 0.3  # against the angle, in the choice of ends
LOOK_BACK = math.radians(170)  # at the end
NEARING = 0.65  # of the way from the panorama to what it shows behind an end: closer, its pixels are all too large
AHEAD = 1.2  # metres along the way that the gaze looks ahead


def wander_routes(place: Place, generator: torch.Generator) -> list[Route]:
    """Up to three walks, the longest first, then those whose ends lie farthest in angle from the ends before them."""
    del generator
    ends = place.stands(0.5, MAX_WALK)
    if not len(ends):
        return []
    ends = ends[ends.norm(dim=-1) <= NEARING * (ends.norm(dim=-1) - place.space.behind(ends))]
    metres = place.metres_to(ends)
    ends, metres = ends[metres >= MIN_WALK], metres[metres >= MIN_WALK]
    if not len(ends):
        return []
    centre = place.eyes(np.array([place.ground.start]))[0]
    azimuth = torch.atan2(ends[:, 1] - centre[1], ends[:, 0] - centre[0])
    apart = torch.full_like(azimuth, math.pi)
    routes = []
    while len(routes) < MAX_PATHS:
        score = LENGTH_WEIGHT * metres / metres.max() + (1 - LENGTH_WEIGHT) * apart / math.pi
        score[apart < MIN_ANGLE] = -1
        best = int(score.argmax())
        if score[best] < 0:
            break
        turn = (azimuth - azimuth[best]).remainder(2 * math.pi)
        apart = torch.minimum(apart, torch.minimum(turn, 2 * math.pi - turn))
        way = place.walk(ends[best])
        if way is not None:
            routes.append(Route(looking_ahead(way, AHEAD, LOOK_BACK), walks=True))
        else:
            metres[best] = -math.inf
    return routes
