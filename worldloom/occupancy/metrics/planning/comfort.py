"""Whether passengers would bear a plan."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.signal import savgol_filter
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.interpolate import interpolate_poses
from worldloom.geometry.rigid import yaw_from_rotmat

LONGITUDINAL = (-4.05, 2.40)  # m/s²
LATERAL = 4.89  # m/s²
JERK, LONGITUDINAL_JERK = 8.37, 4.13  # m/s³
YAW_RATE, YAW_ACCELERATION = 0.95, 1.93  # rad/s, rad/s²
_WINDOW = 9  # poses of the smoothing polynomial


@dataclass(frozen=True)
class Kinematics:
    """Speeds and their derivatives along a path, smoothed (Savitzky and Golay 1964)."""

    longitudinal: Float[Tensor, " t"]  # m/s²
    lateral: Float[Tensor, " t"]  # m/s²
    jerk: Float[Tensor, " t"]  # magnitude, m/s³
    longitudinal_jerk: Float[Tensor, " t"]  # m/s³
    yaw_rate: Float[Tensor, " t"]  # rad/s
    yaw_acceleration: Float[Tensor, " t"]  # rad/s²


def kinematics_of(path: EgoPath) -> Kinematics:
    """Derivatives of a path of at least four poses, by local cubics over up to nine of them.

    Raises:
        ValueError: too few poses.
    """
    n = len(path)
    if path.world_from_ego.ndim != 3 or n < 4:
        raise ValueError(f"comfort needs a path (t, 4, 4) with t >= 4, got {tuple(path.world_from_ego.shape)}")
    window = min(_WINDOW, n if n % 2 else n - 1)
    order = min(3, window - 1)

    def derivative(values: np.ndarray, degree: int) -> np.ndarray:
        return np.asarray(savgol_filter(values, window, order, deriv=degree, delta=path.dt, axis=0))

    poses = path.world_from_ego.double()
    xy = poses[:, :2, 3].numpy()
    yaw = np.unwrap(yaw_from_rotmat(poses[:, :3, :3]).numpy())
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    left = np.stack([-np.sin(yaw), np.cos(yaw)], -1)
    acceleration = derivative(xy, 2)
    jerk = derivative(xy, 3) if order >= 3 else np.zeros_like(xy)
    longitudinal, lateral = (acceleration * ahead).sum(-1), (acceleration * left).sum(-1)
    yaw_rate = derivative(yaw, 1)
    # The rate of the longitudinal acceleration itself: d/dt (a . ahead) = jerk . ahead + yaw_rate a . left.
    along = (jerk * ahead).sum(-1) + yaw_rate * lateral
    parts = (longitudinal, lateral, np.linalg.norm(jerk, axis=-1), along, yaw_rate, derivative(yaw, 2))
    return Kinematics(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def comfortable(path: EgoPath, with_jerk: bool = True) -> bool:
    """C, HC: all of acceleration, jerk, yaw rate and yaw acceleration within their limits.

    Args:
        with_jerk: False for paths of 2 Hz that were not resampled: their jerk means nothing, and the number is to be
            called "acceleration + yaw rate only".
    """
    k = kinematics_of(path)
    gentle = bool(
        (k.longitudinal >= LONGITUDINAL[0]).all()
        and (k.longitudinal <= LONGITUDINAL[1]).all()
        and (k.lateral.abs() <= LATERAL).all()
        and (k.yaw_rate.abs() <= YAW_RATE).all()
    )
    if not with_jerk:
        return gentle
    smooth = (k.jerk <= JERK).all() and (k.longitudinal_jerk.abs() <= LONGITUDINAL_JERK).all()
    return gentle and bool(smooth and (k.yaw_acceleration.abs() <= YAW_ACCELERATION).all())


def consistent(before: EgoPath, after: EgoPath) -> bool:
    """EC: RMS differences of two consecutive plans over the time that both cover.

    acceleration 0.7 m/s², jerk 0.5 m/s³, yaw rate 0.1 rad/s, yaw acceleration 0.1 rad/s².

    Raises:
        ValueError: the two have other times.
    """
    if len(before) != len(after) or not math.isclose(before.dt, after.dt, rel_tol=1e-3):
        raise ValueError(f"give the part that both plans cover, got {len(before)} and {len(after)} poses")
    a, b = kinematics_of(before), kinematics_of(after)

    def rms(x: Tensor, y: Tensor) -> float:
        return (x - y).square().mean().sqrt().item()

    acceleration = rms(
        torch.stack([a.longitudinal, a.lateral]).norm(dim=0), torch.stack([b.longitudinal, b.lateral]).norm(dim=0)
    )
    return (
        acceleration <= 0.7
        and rms(a.jerk, b.jerk) <= 0.5
        and rms(a.yaw_rate, b.yaw_rate) <= 0.1
        and rms(a.yaw_acceleration, b.yaw_acceleration) <= 0.1
    )


def at_ten_hertz(path: EgoPath) -> EgoPath:
    """Poses 0.1 s apart: positions by a cubic spline, so that acceleration is continuous; turns by SLERP."""
    knots = path.dt * np.arange(len(path))
    times = np.arange(round(knots[-1] / 0.1) + 1) * 0.1
    times = np.clip(times, 0, knots[-1])
    poses = interpolate_poses(path.world_from_ego.double(), torch.from_numpy(knots), torch.from_numpy(times))
    spline = CubicSpline(knots, path.world_from_ego[:, :3, 3].double().numpy())
    poses[:, :3, 3] = torch.from_numpy(spline(times))
    return EgoPath(poses, 0.1)
