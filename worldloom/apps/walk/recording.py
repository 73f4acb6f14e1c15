"""The way that somebody walks, to be filmed afterwards."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Camera, CameraPath, intrinsics, resample_cameras

MAX_SECONDS = 120.0
FPS = 24.0
_PAUSE = 0.25  # seconds without a pose
SIZE, FOV = (360, 640), math.radians(80)  # of the film: pixels (height, width), and horizontal field of view


class Recording:
    """Poses with their times, as they come."""

    def __init__(self) -> None:
        self._poses: list[Tensor] = []
        self._times: list[float] = []

    @property
    def full(self) -> bool:
        """Whether no more is taken."""
        return len(self._times) > 1 and self._times[-1] - self._times[0] >= MAX_SECONDS

    def add(self, world_from_cam: Float[Tensor, "4 4"], time: float) -> None:
        """Take a pose; `time` in seconds, from any moment on. One that is not later than the last is left out."""
        if self.full or (self._times and time <= self._times[-1]):
            return
        if self._times and time - self._times[-1] > _PAUSE:  # nobody moved, and a browser tells of movement alone
            self._poses.append(self._poses[-1])
            self._times.append(time - _PAUSE / 2)
        self._poses.append(world_from_cam)
        self._times.append(time)

    def path(self) -> CameraPath:
        """At the film's frames, from the first pose on.

        Raises:
            InputError: there are fewer than two poses.
        """
        if len(self._times) < 2:
            raise InputError("expected a way of two places or more to film, got none: move while it records")
        poses = torch.stack(self._poses)
        knots = torch.tensor(self._times, dtype=torch.float64) - self._times[0]
        cameras = Camera(poses, intrinsics(FOV, SIZE).expand(len(poses), 3, 3).clone(), SIZE)
        times = torch.arange(int(knots[-1].item() * FPS + 1e-6) + 1, dtype=torch.float64) / FPS
        return CameraPath("walk", resample_cameras(cameras, knots, times), times.float())
