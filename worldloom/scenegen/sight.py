"""What may be seen from where, but for what stands between."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.scenegen.surface import Patches

EDGE_ON = math.radians(15)  # a patch at a smaller angle to the line of sight does not count as seen
NEAREST = 0.3  # metres


def faces(eyes: Float[Tensor, "v 3"], patches: Patches) -> Bool[Tensor, "v n"]:
    """Whether each patch turns its front to each eye, by more than `EDGE_ON`, and is not closer than `NEAREST`."""
    # (eye - point) . normal, and |eye - point|, without an array of their differences
    above = eyes @ patches.normals.T - (patches.points * patches.normals).sum(-1)
    squared = (eyes * eyes).sum(-1)[:, None] - 2 * eyes @ patches.points.T + (patches.points * patches.points).sum(-1)
    apart = squared.clamp(min=0).sqrt()
    return (above > math.sin(EDGE_ON) * apart) & (apart > NEAREST)


def in_view(
    eye: Float[Tensor, "3"], target: Float[Tensor, "3"], points: Float[Tensor, "n 3"], half_width: float
) -> Bool[Tensor, " n"]:
    """Whether the azimuths of points lie within `half_width` of the target's."""
    gaze, offsets = target - eye, points - eye
    turn = torch.atan2(offsets[:, 1], offsets[:, 0]) - torch.atan2(gaze[1], gaze[0])
    return ((turn + math.pi).remainder(2 * math.pi) - math.pi).abs() <= half_width
