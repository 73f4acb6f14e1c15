"""Regular paths: small loops around the start, whatever the place looks like."""

import math

import torch

from worldloom.scenegen.motion import Guide
from worldloom.scenegen.place import Place, Route

NUM_HEADINGS = 3
SWEEP = math.radians(120)  # of the gaze along a loop
RADIUS = 0.6  # metres, of a loop
RISE, RISE_TURN, RISE_PITCH = 0.5, math.radians(60), math.radians(45)

_KNOTS = 33


def regular_routes(place: Place, generator: torch.Generator) -> list[Route]:
    """From the start, in three headings each: a loop to the left, one to the right, and a way up and ahead.

    On a loop the gaze turns by 120 degrees to its side, so that the loops together look all round; on the way up it
    turns by 60 degrees and rises by 45. The first heading is the centre of the image but for the seed's jitter.
    """
    if place.start is None:
        return []
    jitter = (torch.rand((), generator=generator).item() - 0.5) * math.radians(20)
    routes = []
    share = torch.linspace(0, 1, _KNOTS)
    for k in range(NUM_HEADINGS):
        heading = jitter + 2 * math.pi * k / NUM_HEADINGS
        ahead = torch.tensor([math.cos(heading), math.sin(heading), 0.0])
        left = torch.tensor([-math.sin(heading), math.cos(heading), 0.0])
        for side in (1.0, -1.0):
            phase = 2 * math.pi * share[:, None]
            points = place.start + RADIUS * (phase.sin() * ahead + side * (1 - phase.cos()) * left)
            routes.append(Route(Guide(points, heading + side * SWEEP * share, 0 * share), walks=False))
        points = place.start + share[:, None] * (RADIUS * ahead + torch.tensor([0.0, 0.0, RISE]))
        routes.append(Route(Guide(points, heading + RISE_TURN * share, RISE_PITCH * share), walks=False))
    return routes
