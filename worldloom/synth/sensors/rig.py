"""A virtual sensor car: six cameras around a roof and a spinning LiDAR, as the cars that made nuScenes carry them.

All numbers are round ones after the public description of the sensors (Caesar et al. 2020, "nuScenes: A multimodal
dataset for autonomous driving", Fig. 4 and Table 2); no calibration of a real car was copied.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Camera, compose, rotz
from worldloom.geometry.camera import intrinsics

_FULL_SIZE = (900, 1600)
# Channel: yaw, field of view (degrees), position (metres) in the ego frame.
_CAMERAS = {
    "CAM_FRONT": (0, 70, (1.7, 0.0, 1.5)),
    "CAM_FRONT_RIGHT": (-55, 70, (1.5, -0.5, 1.5)),
    "CAM_BACK_RIGHT": (-110, 70, (1.0, -0.5, 1.6)),
    "CAM_BACK": (180, 110, (0.0, 0.0, 1.6)),
    "CAM_BACK_LEFT": (110, 70, (1.0, 0.5, 1.6)),
    "CAM_FRONT_LEFT": (55, 70, (1.5, 0.5, 1.5)),
}


class MountedCamera(NamedTuple):
    """A camera on its car."""

    ego_from_cam: Float[Tensor, "4 4"]
    K: Float[Tensor, "3 3"]
    size: tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Rig:
    """Where a car's sensors are and what they see. The ego frame is on the ground below the rear axle."""

    cameras: dict[str, MountedCamera]
    ego_from_lidar: Float[Tensor, "4 4"]  # the LiDAR's x is to the right, y ahead, z up
    elevations: Float[Tensor, " r"]  # of the LiDAR's rings, radians, rising
    num_azimuths: int  # firings in one turn

    def scaled(self, width: int) -> "Rig":
        """The same cameras with pictures `width` pixels wide.

        Raises:
            InputError: for a width below 16 pixels.
        """
        if width < 16:
            raise InputError(f"expected camera pictures at least 16 pixels wide, got {width}")
        cameras = {}
        for channel, (ego_from_cam, K, (height, full_width)) in self.cameras.items():
            size = (max(1, round(height * width / full_width)), width)
            scale = torch.tensor([width / full_width, size[0] / height, 1.0], dtype=K.dtype)
            cameras[channel] = MountedCamera(ego_from_cam, scale[:, None] * K, size)
        return replace(self, cameras=cameras)

    def camera(self, channel: str, world_from_ego: Float[Tensor, "4 4"]) -> Camera:
        """One camera as it stands in the world."""
        ego_from_cam, K, size = self.cameras[channel]
        return Camera((world_from_ego.double() @ ego_from_cam.double()).to(world_from_ego.dtype), K, size)

    def beams(self) -> Float[Tensor, "b 3"]:
        """Unit directions of one turn in the LiDAR's frame, float64, firing by firing; ring i is row i of a firing.

        The turn is clockwise seen from above, from the left over ahead to the right, as in nuScenes' files.
        """
        turn = torch.arange(self.num_azimuths, dtype=torch.float64) / self.num_azimuths
        azimuth = math.pi * (1 - 2 * turn)
        a, e = torch.meshgrid(azimuth, self.elevations.double(), indexing="ij")
        return torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], -1).flatten(0, 1)


def nuscenes_like_rig() -> Rig:
    """Six cameras of 1600x900 pixels and a LiDAR of 32 rings that fires 1,084 times a turn."""
    # Camera axes in an ego frame without yaw: x to the right is -y, y down is -z, z ahead is x.
    ahead = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    cameras = {}
    for channel, (yaw_deg, fov_deg, position) in _CAMERAS.items():
        rotation = rotz(torch.tensor(math.radians(yaw_deg))) @ ahead
        cameras[channel] = MountedCamera(
            compose(rotation, torch.tensor(position)), intrinsics(math.radians(fov_deg), _FULL_SIZE), _FULL_SIZE
        )
    ego_from_lidar = compose(rotz(torch.tensor(-math.pi / 2)), torch.tensor([0.94, 0.0, 1.84]))
    elevations = torch.linspace(math.radians(-30.67), math.radians(10.67), 32)
    return Rig(cameras, ego_from_lidar, elevations, num_azimuths=1084)
