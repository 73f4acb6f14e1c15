"""Reconstruct-aware paths: on foot to where a view looks behind the edges of what the panorama shows."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.scenegen.families.gaze import aiming
from worldloom.scenegen.place import Place, Route
from worldloom.scenegen.sight import faces, in_view

MAX_PATHS = 10
MAX_WALK = 8.0  # metres
VIEW = math.radians(35)  # half of the view's width that counts
MIN_GAIN = 0.25  # square metres of frontier not looked through before

_MAX_STANDS, _MAX_PATCHES = 250, 3000


def reconstruct_routes(place: Place, generator: torch.Generator) -> list[Route]:
    """Walks to the stands that look through the most frontier, one after the other.

    The frontier (`frontier_patches`) is where stretched triangles would bridge a jump in distance. A stand looks
    through a patch of it that it sees from its free side, not edge-on. The stand and gaze with the most square metres
    within `VIEW` are taken, what they look through is struck off, and so on (Nemhauser et al. 1978: greedy choice is
    within 1 - 1/e of the best). The gaze rests on the middle of that frontier all along the walk.
    """
    stands = place.stands(0.6, MAX_WALK)
    stands = stands[place.metres_to(stands) > 0]  # a walk leads away
    frontier = place.frontier
    if not len(stands) or not len(frontier):
        return []
    stands = stands[_some(len(stands), _MAX_STANDS, generator)]
    # What is kept stands for all.
    some = _some(len(frontier), _MAX_PATCHES, generator)
    patches = frontier[some]
    areas = patches.areas * (len(frontier) / len(some))
    low, high = place.eye + 0.2, 1.5  # metres below and above the eyes
    level = (patches.points[:, 2] > stands[:, 2].min() - low) & (patches.points[:, 2] < stands[:, 2].max() + high)
    patches, areas = patches[level], areas[level]
    if not len(patches):
        return []
    seen = faces(stands, patches)
    pairs = seen.nonzero()
    seen[tuple(pairs.T)] = place.space.sees(stands[pairs[:, 0]], patches.points[pairs[:, 1]])
    left, routes = areas.clone(), []
    for _ in range(2 * MAX_PATHS):
        gain, target = _best_gazes(stands, patches.points, seen * left)
        best = int(gain.argmax())
        if gain[best] < MIN_GAIN or len(routes) == MAX_PATHS:
            break
        looked = seen[best] & in_view(stands[best], target[best], patches.points, VIEW)
        left[looked] = 0
        way = place.walk(stands[best])
        if way is not None:
            routes.append(Route(aiming(way, target[best]), walks=True))
    return routes


def _best_gazes(
    stands: Float[Tensor, "v 3"], points: Float[Tensor, "f 3"], weights: Float[Tensor, "v f"]
) -> tuple[Float[Tensor, " v"], Float[Tensor, "v 3"]]:
    """For each stand the most weight within one view, and the weighted middle of it."""
    offsets = points - stands[:, None]
    azimuth = torch.atan2(offsets[..., 1], offsets[..., 0])
    best = torch.zeros(len(stands))
    target = points.mean(0).expand(len(stands), 3).clone()
    for k in range(18):
        gaze = 2 * math.pi * k / 18
        turn = (azimuth - gaze + math.pi).remainder(2 * math.pi) - math.pi
        inside = weights * (turn.abs() <= VIEW)
        total = inside.sum(-1)
        better = total > best
        best[better] = total[better]
        target[better] = (inside[better] @ points) / total[better][:, None]
    return best, target


def _some(n: int, most: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator)[:most].sort().values
