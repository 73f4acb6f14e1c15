"""Groups of Occ3D's classes that metrics speak of."""

from collections.abc import Collection

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import FREE, GROUND, MOVERS

VRU = (2, 6, 7)  # bicycle, motorcycle, pedestrian: vulnerable road users
RARE = (2, 6, 7, 8, 1)  # and traffic_cone, barrier: always shown in a table of their own
STANDING = (0, 1, 8, 15, 16)  # others, barrier, traffic_cone, manmade, vegetation: obstacles that stay
OBSTACLES = tuple(sorted((*MOVERS, *STANDING)))
STATIC = tuple(sorted((*STANDING, *GROUND)))  # all that neither moves nor is free
DRIVEABLE = 11

assert sorted((*OBSTACLES, *GROUND, FREE)) == list(range(FREE + 1))


def among(labels: UInt8[Tensor, "*shape"], classes: Collection[int]) -> Bool[Tensor, "*shape"]:
    """Whether each label is one of the classes."""
    table = torch.zeros(256, dtype=torch.bool)
    table[sorted(classes)] = True
    return table[labels.int()]
