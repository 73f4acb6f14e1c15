"""Road users that a model carries as shapes, as boxes on their ways."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.rigid import compose
from worldloom.occupancy.bodies import CELL
from worldloom.occupancy.tracks import Track

_VOXEL = 0.4  # metres; points of a shape are the middles of voxels


def box_of(track: Track, world_from_object: Float[Tensor, "t 4 4"], dt: float) -> Trajectory:
    """The box around a user's body, or around the voxels that were seen of it; present throughout."""
    middles, side = (track.points, _VOXEL) if track.body is None else (track.body, CELL)
    low, high = middles.double().amin(0), middles.double().amax(0)
    object_from_box = compose(torch.eye(3, dtype=torch.float64), (low + high) / 2)
    length, width, height = (high - low + side).tolist()
    present = torch.ones(len(world_from_object), dtype=torch.bool)
    return Trajectory(
        world_from_object.double() @ object_from_box, present, track.label, (length, width, height), dt
    )  # fmt: skip
