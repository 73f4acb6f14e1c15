"""Where a camera looks along a way: at a target, or ahead."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.scenegen.motion import Guide


def aiming(way: Float[Tensor, "k 3"], target: Float[Tensor, "3"]) -> Guide:
    """A guide along a way, the gaze on a target."""
    steps = way.diff(dim=0).norm(dim=-1)
    count = (steps / 0.1).ceil().long().clamp(min=1)
    which = torch.repeat_interleave(torch.arange(len(count)), count)
    share = (torch.arange(len(which)) - (count.cumsum(0) - count)[which]) / count[which]
    points = torch.cat([torch.lerp(way[which], way[which + 1], share[:, None]), way[-1:]])
    gaze = target - points
    yaw = torch.from_numpy(np.unwrap(torch.atan2(gaze[:, 1], gaze[:, 0]).double().numpy())).float()
    return Guide(points, yaw, torch.atan2(gaze[:, 2], gaze[:, :2].norm(dim=-1)).clamp(-1.0, 1.0))


def looking_ahead(way: Float[Tensor, "k 3"], ahead: float, look_back: float) -> Guide:
    """A guide along a way, the gaze on the way `ahead` metres further; at the end it turns left by `look_back`."""
    steps = way.diff(dim=0).norm(dim=-1)
    along = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    num = max(2, math.ceil(along[-1].item() / 0.1) + 1)
    even = torch.linspace(0, along[-1].item(), num)

    def at(metres: Tensor) -> Tensor:
        return torch.from_numpy(
            np.stack([np.interp(metres.numpy(), along.numpy(), column) for column in way.numpy().T], axis=-1)
        ).float()

    points = at(even)
    towards = at((even + ahead).clamp(max=along[-1])) - points
    towards[even > along[-1] - 0.3] = 0  # too near the end to say where it leads
    azimuth = torch.atan2(towards[:, 1], towards[:, 0])
    last = int((towards[:, :2].norm(dim=-1) > 0.05).nonzero().max()) if towards.any() else 0
    azimuth[last + 1 :] = azimuth[last]
    yaw = torch.from_numpy(np.unwrap(azimuth.double().numpy())).float()
    back = torch.linspace(0, look_back, 9)[1:]
    return Guide(
        torch.cat([points, points[-1:].expand(8, 3)]),
        torch.cat([yaw, yaw[-1] + back]),
        torch.zeros(num + 8),
    )
