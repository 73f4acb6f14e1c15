"""Guides become motions: smooth poses at times, within a speed and a rate of turning."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from worldloom.geometry import apply, compose, yaw_from_rotmat

SPEED = 1.0  # metres a second, a slow walk
TURN_RATE = math.radians(45)  # a second
EASE = 0.8  # seconds from rest to full speed, and back to rest

_TICK = 0.05  # seconds at full speed between the points of a motion


@dataclass(frozen=True)
class Guide:
    """Where a camera is to go and look: knots, straight lines between them, and no time."""

    points: Float[Tensor, "k 3"]
    yaw: Float[Tensor, " k"]  # radians, unwrapped: from knot to knot the camera turns by the difference
    pitch: Float[Tensor, " k"]  # positive upwards


@dataclass(frozen=True)
class Motion:
    """A camera at rising times, from rest to rest."""

    points: Float[Tensor, "t 3"]
    yaw: Float[Tensor, " t"]
    pitch: Float[Tensor, " t"]
    times: Float[Tensor, " t"]  # seconds from 0

    @property
    def length(self) -> float:
        """Metres along the way."""
        return self.points.diff(dim=0).norm(dim=-1).sum().item()

    @property
    def seconds(self) -> float:
        return self.times[-1].item()

    def at(self, times: Float[Tensor, " s"]) -> "Motion":
        """The motion at other times within its own."""

        def between(values: Tensor) -> Tensor:
            columns = values.reshape(len(values), -1).double().numpy()
            new = [np.interp(times.double().numpy(), self.times.double().numpy(), column) for column in columns.T]
            return torch.from_numpy(np.stack(new, axis=-1)).float().reshape(len(times), *values.shape[1:])

        return Motion(between(self.points), between(self.yaw), between(self.pitch), times)

    def moved(self, world_from_here: Float[Tensor, "4 4"]) -> "Motion":
        """The motion in another frame whose z axis is the same."""
        return Motion(
            apply(world_from_here, self.points),
            self.yaw + yaw_from_rotmat(world_from_here[:3, :3]),
            self.pitch,
            self.times,
        )

    @property
    def poses(self) -> Float[Tensor, "t 4 4"]:
        """Upright cameras in OpenCV axes."""
        cy, sy, cp, sp = self.yaw.cos(), self.yaw.sin(), self.pitch.cos(), self.pitch.sin()
        right = torch.stack([sy, -cy, torch.zeros_like(sy)], dim=-1)
        down = torch.stack([sp * cy, sp * sy, -cp], dim=-1)
        forward = torch.stack([cp * cy, cp * sy, sp], dim=-1)
        return compose(torch.stack([right, down, forward], dim=-1), self.points)


def move(guide: Guide, smoothing: float, speed: float = SPEED, turn_rate: float = TURN_RATE) -> Motion:
    """A motion along a guide, no faster than `speed` and `turn_rate`.

    Along the guide runs the time that the slower of moving and turning needs, d = sqrt((|dp| / speed)^2 +
    (|d gaze| / turn_rate)^2), where turning is yaw and pitch together. In that time the guide is smoothed by a Gaussian
    of `smoothing` seconds about fixed ends: velocities become means of velocities, so no bound is broken. It begins and
    ends at rest.
    """
    values = torch.cat([guide.points, guide.yaw[:, None], guide.pitch[:, None]], dim=-1).double().numpy()
    steps = np.diff(values, axis=0)
    turns = np.hypot(steps[:, 3], steps[:, 4])
    seconds = np.concatenate([[0], np.hypot(np.linalg.norm(steps[:, :3], axis=-1) / speed, turns / turn_rate).cumsum()])
    num = max(2, math.ceil(seconds[-1] / _TICK) + 1)
    even = np.linspace(0, seconds[-1], num)
    dense = np.stack([np.interp(even, seconds, column) for column in values.T], axis=-1)
    width = smoothing / (even[1] or 1)
    if smoothing > 0 and seconds[-1] > 0:
        reach = min(num - 1, math.ceil(4 * width))
        padded = np.pad(dense, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
        inner = slice(reach, reach + num)
        dense[1:-1] = ndimage.gaussian_filter1d(padded, width, axis=0, radius=reach)[inner][1:-1]
    points, yaw, pitch = (torch.from_numpy(v).float() for v in (dense[:, :3], dense[:, 3], dense[:, 4]))
    return Motion(points, yaw, pitch, torch.from_numpy(_eased(even)).float())


def _eased(even: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Times at which a walker that starts and ends at rest has used up `even` seconds of full speed.

    With constant acceleration over `EASE` seconds the first EASE / 2 seconds' worth of way takes sqrt(2 EASE s).
    """
    total = even[-1]
    ramp = min(EASE / 2, total / 2)
    start, end = np.minimum(even, ramp), np.minimum(total - even, ramp)
    if ramp == 0:
        return even.copy()
    slow = 2 * np.sqrt(ramp * start) - start, 2 * np.sqrt(ramp * end) - end  # seconds more than at full speed
    lost = ramp
    return even + slow[0] + lost - slow[1]
