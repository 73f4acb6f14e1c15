"""The planned path."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Camera, CameraPath, resample_cameras
from worldloom.scenegen.motion import Motion


@dataclass(frozen=True)
class ScenePath:
    """Cameras at times, and how they came about."""

    name: str
    family: str  # one of FAMILIES; "user" for a path that was given, "turn" where there is no room to move
    cameras: Camera  # batch (t,), world
    times: Float[Tensor, " t"]  # seconds from its start
    length: float  # metres along the way
    clearance: float  # metres, the least over all cameras; see `FreeSpace.clearance`
    note: str | None = None  # why it is not all that was proposed; None if it is
    motion: Motion | None = None  # in the world; None if the cameras were given
    walks: bool = False  # on the ground, with room for the agent's whole body

    @property
    def seconds(self) -> float:
        return self.times[-1].item() - self.times[0].item()

    def film(self, fps: float, max_frames: int) -> Camera:
        """The path at `fps` frames a second from its start, as far as `max_frames` reach; at least one frame."""
        num = min(max_frames, int(self.seconds * fps + 1e-6) + 1)
        times = torch.arange(num) / fps
        if self.motion is not None:
            poses = self.motion.at(times).poses
            return Camera(poses, self.cameras.K[:1].expand(num, 3, 3).clone(), self.cameras.size)
        if len(self.cameras) == 1:
            return self.cameras
        return resample_cameras(self.cameras, self.times - self.times[0], times)

    @property
    def as_camera_path(self) -> CameraPath:
        return CameraPath(self.name, self.cameras, self.times)
