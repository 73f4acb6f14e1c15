"""Surround paths: arcs around the large things that stand on the ground."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from worldloom.scenegen.families.gaze import aiming
from worldloom.scenegen.place import Place, Route

MAX_PATHS = 5
MAX_RADIUS = 4.0  # metres from the middle of a thing
SCALES = 2.0  # its sizes, likewise
NUM_AZIMUTHS = 72
SNAP = 0.4  # metres from the arc to walkable ground
MIN_ARC = math.radians(40)
LARGE, HUGE = 0.5, 5.0  # metres across: smaller things are not worth a path, larger ones are walls
FOOT = 0.25  # metres above the ground where a thing begins
CEILING = 0.7  # of a normal's way down
MAX_DISTANCE = 10.0  # metres from the panorama


@dataclass(frozen=True)
class Thing:
    """Something that stands on the ground, as far as the panorama shows it."""

    middle: Float[Tensor, "3"]
    size: float  # metres across
    area: float  # square metres shown


def surround_routes(place: Place, generator: torch.Generator) -> list[Route]:
    """Walks to the near end of an arc around a thing and along it, the gaze on the thing's middle; largest first.

    The arc's radius is the start's distance, or twice the thing's size, or 4 m, whichever is least; of 72 azimuths
    around the thing those count that walkable ground is near to, and the longest run of them is taken.
    """
    del generator
    if place.ground.start is None:
        return []
    routes = []
    for thing in things_on_ground(place):
        way = _arc(place, thing)
        if way is not None:
            routes.append(Route(aiming(way, thing.middle), walks=True))
        if len(routes) == MAX_PATHS:
            break
    return routes


def things_on_ground(place: Place) -> list[Thing]:
    """Pieces of surface that jumps in distance part from what is behind; most area shown first.

    The ground and ceilings are left out: what stands between them is not one with what else does.
    """
    quads = place.quads
    level = float(np.nanmedian(place.ground.height))
    above = (quads.centre[..., 2] > level + FOOT) & (quads.normal[..., 2] > -CEILING) & (quads.far < MAX_DISTANCE)
    above &= quads.solid & ~quads.torn
    thrice = np.concatenate([above.numpy()] * 3, axis=1)  # whatever crosses the seam is whole in the middle one
    labelled: Any = ndimage.label(thrice)
    label = labelled[0]
    width = above.shape[1]
    things, taken = [], np.zeros(above.shape, bool)
    for number, where in enumerate(ndimage.find_objects(label), 1):
        columns = where[1]
        if not width <= columns.start < 2 * width or columns.stop - columns.start >= width:
            continue
        inside = np.zeros(thrice.shape, bool)
        inside[where] = label[where] == number
        mask = inside[:, :width] | inside[:, width : 2 * width] | inside[:, 2 * width :]
        if (mask & taken).any():
            continue
        taken |= mask
        points = quads.centre[torch.from_numpy(mask)]
        low, high = points.quantile(0.05, dim=0), points.quantile(0.95, dim=0)
        size = float((high - low).norm())
        if LARGE <= size <= HUGE:
            area = quads.area[torch.from_numpy(mask)].sum().item()
            things.append(Thing(points.median(0).values, size, area))
    return sorted(things, key=lambda thing: -thing.area)


def _arc(place: Place, thing: Thing) -> Float[Tensor, "k 3"] | None:
    assert place.ground.start is not None
    home = place.eyes(np.array([place.ground.start]))[0]
    distance = (thing.middle - home)[:2].norm().item()
    radius = min(distance, max(SCALES * thing.size, thing.size / 2 + 2 * place.agent.radius), MAX_RADIUS)
    azimuth = 2 * math.pi * np.arange(NUM_AZIMUTHS) / NUM_AZIMUTHS
    ring = thing.middle[:2].numpy() + radius * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    cells = np.argwhere(place.ground.walkable)
    flat = np.array(place.ground.origin) + (cells + 0.5) * place.ground.cell
    offsets = np.linalg.norm(ring[:, None] - flat[None], axis=-1)
    nearest = offsets.argmin(1)
    free = offsets.min(1) <= SNAP
    run = _longest_run(free)
    if len(run) < MIN_ARC / (2 * math.pi) * NUM_AZIMUTHS:
        return None
    stops = place.eyes(cells[nearest[run]])
    if (stops[-1] - home).norm() < (stops[0] - home).norm():
        stops = stops.flip(0)
    to_arc = place.walk(stops[0])
    if to_arc is None:
        return None
    return torch.cat([to_arc, stops[1:]])


def _longest_run(free: np.ndarray) -> np.ndarray:
    """Numbers of the longest run of True around a ring, in order."""
    n = len(free)
    if free.all():
        return np.arange(n)
    start = int(np.flatnonzero(~free)[0])
    turned = np.roll(free, -start)
    labelled: Any = ndimage.label(turned)
    label, count = labelled
    if not count:
        return np.zeros(0, np.int64)
    best = 1 + int(np.bincount(label[label > 0])[1:].argmax())
    return (np.flatnonzero(label == best) + start) % n
