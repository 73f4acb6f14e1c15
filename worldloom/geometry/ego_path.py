"""Paths of the ego vehicle and of others."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.rigid import compose, invert, rotz, yaw_from_rotmat


@dataclass(frozen=True)
class EgoPath:
    """The ego's poses, planned or driven, `dt` seconds apart."""

    world_from_ego: Float[Tensor, "*batch t 4 4"]
    dt: float

    def __post_init__(self) -> None:
        if self.world_from_ego.shape[-2:] != (4, 4) or self.world_from_ego.ndim < 3:
            raise ValueError(f"world_from_ego must be (*, t, 4, 4), got {tuple(self.world_from_ego.shape)}")
        if not self.dt > 0:
            raise ValueError(f"dt must be positive seconds, got {self.dt}")

    def __len__(self) -> int:
        return self.world_from_ego.shape[0]

    def __getitem__(self, index: int | slice) -> "EgoPath":
        """Along the leading axis: poses of a path (by slice, so that t stays), or paths of a batch."""
        if isinstance(index, int) and self.world_from_ego.ndim == 3:
            raise IndexError(f"a pose of a path is a path: take [{index}:{index + 1}]")
        return replace(self, world_from_ego=self.world_from_ego[index])

    def steps(self) -> Float[Tensor, "*batch s 3"]:
        """Motion between neighbours as (dx, dy, dyaw) in the earlier ego frame: prev_from_next read in the plane."""
        prev_from_next = invert(self.world_from_ego[..., :-1, :, :]) @ self.world_from_ego[..., 1:, :, :]
        return torch.cat([prev_from_next[..., :2, 3], yaw_from_rotmat(prev_from_next[..., :3, :3])[..., None]], dim=-1)


def path_from_steps(world_from_start: Float[Tensor, "4 4"], steps: Float[Tensor, "s 3"], dt: float) -> EgoPath:
    """The s + 1 poses that begin at `world_from_start` and make the planar motions (dx, dy, dyaw) one after another."""
    prev_from_next = compose(rotz(steps[:, 2]), torch.nn.functional.pad(steps[:, :2], (0, 1)))
    poses = [world_from_start]
    for step in prev_from_next:
        poses.append(poses[-1] @ step)
    return EgoPath(torch.stack(poses), dt)


@dataclass(frozen=True)
class Trajectory:
    """One other road user over time."""

    world_from_actor: Float[Tensor, "*batch t 4 4"]  # centre of the box, x forward
    present: Bool[Tensor, "*batch t"]
    label: int  # class id
    extent: tuple[float, float, float]  # length, width, height in metres
    dt: float
