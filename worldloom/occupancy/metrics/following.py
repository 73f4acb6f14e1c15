"""Whether a generated world moves as the commanded path says."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import Occupancy
from worldloom.geometry.rigid import invert, yaw_from_rotmat

STANDING_ADE = 0.5  # metres; a command whose path stays so near to its start is a stop, and has no nerr


@dataclass(frozen=True)
class Following:
    """Errors of an executed path against the commanded one, both from their own first pose."""

    ade: float  # mean distance of positions, metres
    fde: float  # at the last pose
    heading_deg: float  # mean absolute difference of headings
    speed_rmse: float  # m/s
    yaw_rate_rmse: float  # rad/s
    nerr: float  # ade over that of not moving at all: 1 is no better than standing; NaN for stops


def follow(executed: EgoPath, commanded: EgoPath) -> Following:
    """ADE = mean_t |p_t - p'_t| over the poses after the first, and its companions.

    Raises:
        ValueError: different numbers of poses, fewer than two, or another dt.
    """
    if executed.world_from_ego.shape != commanded.world_from_ego.shape or commanded.world_from_ego.ndim != 3:
        raise ValueError(
            "executed and commanded must be (t, 4, 4) both, "
            f"got {tuple(executed.world_from_ego.shape)} and {tuple(commanded.world_from_ego.shape)}"
        )
    if len(commanded) < 2 or not math.isclose(executed.dt, commanded.dt, rel_tol=0.01):
        raise ValueError(
            f"paths need two poses and one dt, got {len(commanded)}, {executed.dt:g} and {commanded.dt:g} s"
        )
    (p, yaw), (p_hat, yaw_hat) = _planar(commanded), _planar(executed)
    error = (p - p_hat).norm(dim=-1)[1:]
    turn = torch.remainder(yaw - yaw_hat + math.pi, math.tau) - math.pi
    steps, steps_hat = commanded.steps().double(), executed.steps().double()
    ade, ade_zero = error.mean().item(), p.norm(dim=-1)[1:].mean().item()
    return Following(
        ade,
        error[-1].item(),
        math.degrees(turn.abs()[1:].mean().item()),
        _rms(_lengths(steps) - _lengths(steps_hat)) / commanded.dt,
        _rms(steps[:, 2] - steps_hat[:, 2]) / commanded.dt,
        ade / ade_zero if ade_zero > STANDING_ADE else math.nan,
    )


@dataclass(frozen=True)
class Gain:
    """Least-squares slope through the origin of executed against commanded: 1 is ideal, below it under-follows."""

    slope: float
    r2: float  # 1 - residual / total sum of squares, both about the origin, as the line goes through it


def gain(executed: Float[Tensor, " n"], commanded: Float[Tensor, " n"]) -> Gain:
    """Gain of step lengths, or of yaws, pooled over clips. NaN where nothing was commanded."""
    x, y = commanded.double(), executed.double()
    energy = (x * x).sum().item()
    if energy == 0:
        return Gain(math.nan, math.nan)
    slope = (x * y).sum().item() / energy
    total = (y * y).sum().item()
    residual = ((y - slope * x) ** 2).sum().item()
    return Gain(slope, 1 - residual / total if total > 0 else 0.0)


def step_gains(executed: Float[Tensor, "s 3"], commanded: Float[Tensor, "s 3"]) -> tuple[Gain, Gain]:
    """Gain of step lengths and gain of yaws, of motions (dx, dy, dyaw).

    A step is as long as the executed motion goes in the commanded direction: driving backwards is negative.
    """
    lengths = commanded[:, :2].double().norm(dim=-1)
    direction = commanded[:, :2].double() / lengths.clamp(min=1e-9)[:, None]
    along = (executed[:, :2].double() * direction).sum(-1)
    return gain(along, lengths), gain(executed[:, 2], commanded[:, 2])


def swap_win_rate(own: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> float:
    """Share of swaps in which the world made for a command is nearer to it than to the other; ties half, chance 0.5.

    Args:
        own: ADE(generated(a), a).
        other: ADE(generated(a), b), same context, b another command.
    """
    if len(own) == 0:
        return math.nan
    return ((own < other).double() + 0.5 * (own == other).double()).mean().item()


def condition_ratio(with_command: Float[Tensor, " n"], without: Float[Tensor, " n"]) -> float:
    """rho = mean nerr under the true command over mean nerr under the null one, same seeds: near 1 it is ignored.

    With a permuted command in place of the true one, it must be above 1. NaN entries (stops) are left out in pairs.
    """
    both = with_command.isfinite() & without.isfinite()
    if not both.any():
        return math.nan
    return (with_command[both].double().mean() / without[both].double().mean()).item()


def local(logged: Occupancy, changed: Occupancy, frame: int) -> bool:
    """Whether two futures, whose commands differ from `frame` on, are equal to the bit before it."""
    return bool(torch.equal(logged.labels[:frame], changed.labels[:frame]))


def agreement(one: Float[Tensor, "s 3"], other: Float[Tensor, "s 3"]) -> tuple[float, float]:
    """RMS difference of two measurements of the same motions: metres and degrees.

    For a second opinion, such as a net trained on truth alone. One that shares weights with the generator is none.
    """
    return _rms((one[:, :2] - other[:, :2]).double().norm(dim=-1)), math.degrees(
        _rms((one[:, 2] - other[:, 2]).double())
    )


def _planar(path: EgoPath) -> tuple[Float[Tensor, "t 2"], Float[Tensor, " t"]]:
    """Positions and headings in the first pose's frame."""
    start_from_ego = invert(path.world_from_ego[:1].double()) @ path.world_from_ego.double()
    return start_from_ego[:, :2, 3], yaw_from_rotmat(start_from_ego[:, :3, :3])


def _lengths(steps: Float[Tensor, "s 3"]) -> Float[Tensor, " s"]:
    return steps[:, :2].norm(dim=-1)


def _rms(x: Float[Tensor, " n"]) -> float:
    return x.square().mean().sqrt().item()
