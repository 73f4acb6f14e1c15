"""A body that rolls behind a point: where it is, and how its heading follows."""

import math
from typing import NamedTuple


class Body(NamedTuple):
    """One road user at one time; x, y is the point that is followed: the front of vehicles, the middle of people."""

    x: float
    y: float
    yaw: float
    speed: float  # of that point, m/s
    distance: float  # travelled since the beginning, metres
    trailer_yaw: float


def pull(x: float, y: float, yaw: float, arm: float, to_x: float, to_y: float) -> float:
    """Heading of a rod of length `arm` whose front is pulled from (x, y) to (to_x, to_y), its other end rolling freely.

    The end moves along the rod's new direction (a tractrix, in one step).
    """
    return math.atan2(to_y - (y - arm * math.sin(yaw)), to_x - (x - arm * math.cos(yaw)))
