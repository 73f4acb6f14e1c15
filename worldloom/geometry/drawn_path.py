"""An ego path through a few points, as somebody draws it on a map."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import compose, rotz

MAX_POINTS = 64
LEAST_GAP = 0.3  # metres between two points; closer ones are one
FARTHEST = 1000.0  # metres
_FINE = 0.02  # metres between samples of the curve


def path_through(points: Sequence[tuple[float, float]], speed: float, num_steps: int, dt: float) -> EgoPath:
    """The num_steps + 1 poses that begin at the identity and pass through the points at constant speed.

    The curve is a cubic spline over chord length that leaves along x, the heading of the start; the car looks along it
    and stands where it ends.

    Args:
        points: (ahead, left) of the start, metres.
        speed: m/s.
        num_steps: steps of `dt` seconds.
    Raises:
        InputError: no point, too many, or one that is not finite; a speed or times that are not positive.
    """
    if not 1 <= len(points) <= MAX_POINTS:
        raise InputError(f"expected 1 to {MAX_POINTS} points of a path, got {len(points)}")
    if not (0 < speed < math.inf and 0 < dt < math.inf) or num_steps < 1:
        raise InputError(f"expected a speed above 0 m/s, dt above 0 s and steps, got {speed}, {dt}, {num_steps}")
    kept = [(0.0, 0.0)]
    for point in points:
        if not all(abs(value) <= FARTHEST for value in point):
            raise InputError(f"expected points within {FARTHEST:g} m of the start, got ({point[0]}, {point[1]})")
        if math.dist(point, kept[-1]) >= LEAST_GAP:
            kept.append((float(point[0]), float(point[1])))
    if len(kept) == 1:
        raise InputError(f"expected a point {LEAST_GAP} m or more from the start, got none")
    places = np.array(kept)
    chord = np.concatenate([[0.0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    ends: Any = ((1, np.array([1.0, 0.0])), (2, np.zeros(2)))  # first derivative, second derivative
    curve = CubicSpline(chord, places, bc_type=ends)
    at = np.linspace(0, chord[-1], max(2, math.ceil(chord[-1] / _FINE)))
    sampled, tangent = curve(at), curve(at, 1)
    driven = np.concatenate([[0.0], np.linalg.norm(np.diff(sampled, axis=0), axis=1).cumsum()])
    wanted = np.minimum(speed * dt * np.arange(num_steps + 1), driven[-1])
    yaw = np.interp(wanted, driven, np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0])))
    x, y = (np.interp(wanted, driven, sampled[:, axis]) for axis in (0, 1))
    place = torch.from_numpy(np.stack([x, y, np.zeros_like(x)], 1))
    return EgoPath(compose(rotz(torch.from_numpy(yaw)), place).float(), dt)
