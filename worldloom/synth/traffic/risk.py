"""How dangerous a drive is: who is how near, what is hit, and where the road is left."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry import yaw_from_rotmat
from worldloom.synth.towns.ground import DRIVEABLE, Ground
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import Drive, footprint_of
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT, WHEELS
from worldloom.synth.traffic.footprints import gap, overlap, time_to_collision

SIGHT = 60.0  # metres within which gaps and times to collision are computed


@dataclass(frozen=True)
class Risk:
    """What is true of the ego's box at each frame, as seen from above, exactly."""

    gap: Float[
        Tensor, " t"
    ]  # metres to the nearest user, standing ones too; 0 in a collision, inf with nobody in SIGHT
    time_to_collision: Float[Tensor, " t"]  # seconds, if all keep their velocities; inf if never
    collision: Bool[Tensor, " t"]  # the ego overlaps a moving or a standing user
    off_road: Bool[Tensor, " t"]  # a wheel is off the driveable surface

    def every(self, stride: int) -> "Risk":
        """Every so many frames, each with the worst since the frame before."""
        return Risk(
            _windows(self.gap, stride).amin(1),
            _windows(self.time_to_collision, stride).amin(1),
            _windows(self.collision, stride).any(1),
            _windows(self.off_road, stride).any(1),
        )


def risk_of(town: Town, drive: Drive) -> Risk:
    """The risk at each frame of a drive through a town."""
    poses = drive.world_from_ego.double()
    yaw = yaw_from_rotmat(poses[:, :3, :3])
    ahead = torch.stack([yaw.cos(), yaw.sin()], -1)
    place = torch.cat([poses[:, :2, 3] + EGO_CENTRE * ahead, yaw[:, None]], -1)
    ego = torch.cat([place, torch.tensor(EGO_EXTENT[:2], dtype=torch.float64).expand(len(place), 2)], -1)
    boxes, velocity, there = others_of(town, drive)
    number, frame = (there & ((boxes[..., :2] - ego[:, :2]).norm(dim=-1) < SIGHT)).nonzero(as_tuple=True)
    mine, own = ego[frame], (ahead * drive.speed.double()[:, None])[frame]
    other, moving = boxes[number, frame], velocity[number, frame]
    return Risk(
        _least(frame, gap(mine, other), len(drive)),
        _least(frame, time_to_collision(mine, own, other, moving), len(drive)),
        torch.zeros(len(drive), dtype=torch.bool).index_put((frame[overlap(mine, other)],), torch.tensor(True)),
        wheels_off(town.ground, torch.cat([poses[:, :2, 3], yaw[:, None]], -1)),
    )


def wheels_off(ground: Ground, egos: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Whether a wheel is off the driveable surface, for the ego's rear axle at each (x, y, yaw)."""
    c, s = egos[:, 2:].cos(), egos[:, 2:].sin()
    along, aside = torch.tensor(WHEELS, dtype=egos.dtype).unbind(1)
    wheels = torch.stack([egos[:, :1] + along * c - aside * s, egos[:, 1:2] + along * s + aside * c], -1)
    return (ground.label_at(wheels.reshape(-1, 2)).reshape(len(egos), -1) != DRIVEABLE).any(1)


def others_of(town: Town, drive: Drive) -> tuple[Float[Tensor, "u t 5"], Float[Tensor, "u t 2"], Bool[Tensor, "u t"]]:
    """Footprints, velocities and presence of the drive's users, then of those that stand in the town."""
    t, n = len(drive), len(drive.users)
    boxes = torch.zeros(n + len(town.standing), t, 5, dtype=torch.float64)
    velocity = torch.zeros(len(boxes), t, 2, dtype=torch.float64)
    there = torch.ones(len(boxes), t, dtype=torch.bool)
    for i, user in enumerate(drive.users):
        pose = user.trajectory.world_from_actor.double()
        # The box is tilted with the ground, on which its footprint lies.
        boxes[i, :, :2] = pose[:, :2, 3] - user.extent[2] / 2 * pose[:, :2, 2]
        boxes[i, :, 2] = yaw_from_rotmat(pose[:, :3, :3])
        boxes[i, :, 3:] = torch.tensor(user.extent[:2], dtype=torch.float64)
        velocity[i], there[i] = user.velocity[:, :2].double(), user.trajectory.present
    for i, user in enumerate(town.standing):
        boxes[n + i] = torch.tensor(footprint_of(user), dtype=torch.float64)
    return boxes, velocity, there


def _least(frame: Tensor, values: Float[Tensor, " n"], frames: int) -> Float[Tensor, " t"]:
    """The smallest value of each frame; inf where there is none."""
    return torch.full((frames,), math.inf, dtype=torch.float64).scatter_reduce(0, frame, values, "amin").float()


def _windows(values: Tensor, stride: int) -> Tensor:
    """The values up to every stride-th one, from the one before it on; the first stands alone."""
    whole = values[: (len(values) - 1) // stride * stride + 1]
    return torch.cat([whole[:1].expand(stride), whole[1:]]).view(-1, stride)
