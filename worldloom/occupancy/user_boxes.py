"""Road users that a model carries as shapes, as boxes on their ways."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.rigid import compose
from worldloom.occupancy.tracks import Track

_VOXEL = 0.4  # metres; points of a shape are the middles of voxels


def box_of(track: Track, world_from_object: Float[Tensor, "t 4 4"], dt: float) -> Trajectory:
    """The box around what is known of a user's shape, present throughout."""
    low, high = track.points.double().amin(0), track.points.double().amax(0)
    object_from_box = compose(torch.eye(3, dtype=torch.float64), (low + high) / 2)
    length, width, height = (high - low + _VOXEL).tolist()
    present = torch.ones(len(world_from_object), dtype=torch.bool)
    return Trajectory(
        world_from_object.double() @ object_from_box, present, track.label, (length, width, height), dt
    )  # fmt: skip
