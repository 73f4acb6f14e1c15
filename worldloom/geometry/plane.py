"""Poses in the plane as x, y, yaw: seen from each other, and put on each other."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def seen_from(poses: Float[Tensor, "*n 3"], frames: Float[Tensor, "*#n 3"]) -> Float[Tensor, "*n 3"]:
    """Poses in frames that are given by poses: frame_from_world · world_from_pose; the turn is the short one."""
    d = poses[..., :2] - frames[..., :2]
    c, s = frames[..., 2].cos(), frames[..., 2].sin()
    turn = torch.remainder(poses[..., 2] - frames[..., 2] + math.pi, math.tau) - math.pi
    return torch.stack([c * d[..., 0] + s * d[..., 1], -s * d[..., 0] + c * d[..., 1], turn], -1)


def chained(frames: Float[Tensor, "*n 3"], inner: Float[Tensor, "*#n 3"]) -> Float[Tensor, "*n 3"]:
    """Poses that are known in frames, in the world of the frames: the inverse of `seen_from`, up to whole turns."""
    c, s = frames[..., 2].cos(), frames[..., 2].sin()
    x = frames[..., 0] + c * inner[..., 0] - s * inner[..., 1]
    y = frames[..., 1] + s * inner[..., 0] + c * inner[..., 1]
    return torch.stack([x, y, frames[..., 2] + inner[..., 2]], -1)
