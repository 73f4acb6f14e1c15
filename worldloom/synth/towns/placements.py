"""What stands where in a town, before the ground's height is known."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from worldloom.synth.world import Thing


@dataclass(frozen=True)
class Placement:
    """An upright thing, to be set on the ground."""

    thing: Thing
    xy: tuple[float, float]
    yaw: float = 0.0


@dataclass(frozen=True)
class Spot:
    """A road user that stays where it is, to be set on the slope."""

    kind: str  # as `make_road_user` takes it
    variant: int
    xy: tuple[float, float]  # middle of its box
    yaw: float


def pair(xy: Float64[np.ndarray, "2"]) -> tuple[float, float]:
    """A point as placements and spots have it."""
    return float(xy[0]), float(xy[1])
