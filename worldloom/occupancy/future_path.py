"""Which poses the ego takes in the future: a commanded path, laid on the end of a clip."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath, path_from_steps
from worldloom.geometry.interpolate import resample_path
from worldloom.geometry.occupancy import Occupancy
from worldloom.geometry.rigid import invert

SAME_METRES, SAME_RADIANS = 0.1, math.radians(0.5)  # two poses closer than this are one: a quarter of a voxel
ON_LOG_METRES, ON_LOG_RADIANS = 0.2, math.radians(1.0)  # half a voxel here, and at 12 m by the turn


@dataclass(frozen=True)
class FuturePath:
    """The poses of the future frames, in the world of the clip, and how they came about."""

    ego_path: EgoPath
    laid: str  # one sentence, for reports


def lay_path(command: EgoPath, past: Occupancy, horizon: int) -> FuturePath:
    """Take `horizon` future poses from a commanded path.

    One rule: *if the command passes through the clip's last observed pose (within 0.1 m and 0.5 degrees, in the same
    world coordinates), it goes on from there as it is; otherwise its first pose is the last observed pose, and its
    motions are followed in the plane of that ego frame.* A path of another place brings no heights and tilts: they
    belong to another road. A command with another dt is interpolated to that of the clip.

    Args:
        command: poses t >= 2; the first is the present, or it is a drive through the clip's own world.
        past: what was observed; its last pose is the present.
    Raises:
        InputError: the command has too few poses for the horizon.
    """
    if not math.isclose(command.dt, past.dt, rel_tol=0.01) and len(command) > 1:
        command = resample_path(command, past.dt)
    poses = command.world_from_ego.double()
    start = _continuation(poses, past.world_from_ego.double())
    if start is not None:
        future = EgoPath(poses[start + 1 : start + 1 + horizon], past.dt)
        laid = f"continues the clip in its own world, from pose {start} of the path"
    else:
        future = path_from_steps(past.world_from_ego[-1].double(), command.steps().double()[:horizon], past.dt)[1:]
        laid = "its first pose is laid on the last observed pose; motions are followed in the plane"
    if len(future) < horizon:
        raise InputError(
            f"expected a path of at least {horizon + 1} poses {past.dt:g} s apart (the present and {horizon} more), "
            f"got {len(command) - (start or 0)}" + (f" from pose {start} on, where the past ends" if start else "")
        )
    return FuturePath(future, laid)


def first_off_log(ego_path: EgoPath, truth: Occupancy) -> tuple[int, float] | None:
    """The first frame, and its distance in metres, at which a path leaves the logged one; None where it never does."""
    n = min(len(ego_path), len(truth))
    metres, radians = _differences(ego_path.world_from_ego[:n].double(), truth.world_from_ego[:n].double())
    off = ((metres > ON_LOG_METRES) | (radians > ON_LOG_RADIANS)).nonzero().flatten()
    return (int(off[0]), metres[off[0]].item()) if len(off) else None


def _continuation(poses: Float[Tensor, "t 4 4"], past: Float[Tensor, "p 4 4"]) -> int | None:
    """Index of the pose that is the last past one; where several are (a car that waits), the one with most past behind.

    The first of those, if that leaves several: poses carry no clock.
    """
    agreement = torch.zeros(len(poses), dtype=torch.int64)
    running = torch.ones(len(poses), dtype=torch.bool)
    for back in range(min(len(past), len(poses))):
        metres, radians = _differences(poses, past[-1 - back].expand_as(poses))
        same = (metres <= SAME_METRES) & (radians <= SAME_RADIANS)
        running &= torch.cat([torch.zeros(back, dtype=torch.bool), same[: len(poses) - back]])
        agreement += running
    return int(agreement.argmax()) if agreement.any() else None


def _differences(
    world_from_a: Float[Tensor, "t 4 4"], world_from_b: Float[Tensor, "t 4 4"]
) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"]]:
    """Distance between origins (metres) and angle of the turn between axes (radians), pose by pose."""
    a_from_b = invert(world_from_a) @ world_from_b
    # |R - 1| = 2 sqrt(2) sin(angle / 2) in the Frobenius norm: unlike the trace, it keeps its digits at small angles.
    chord = (a_from_b[:, :3, :3] - torch.eye(3, dtype=a_from_b.dtype)).flatten(1).norm(dim=1)
    return a_from_b[:, :3, 3].norm(dim=-1), 2 * (chord / math.sqrt(8)).clamp(max=1).asin()
