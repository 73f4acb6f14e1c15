"""The ego's poses of a clip, as steps from where it would be if it went on as it did."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.rigid import compose, yaw_from_rotmat
from worldloom.occupancy.codec.entropy import Coder, Integers, plain

STEP = 0.05  # metres
TURN = math.radians(0.2)
MAX_FRAMES = 63
_REACH = 1 << 31  # steps of a place in the world, either way: 86,000 km
_FASTEST = round(100.0 / STEP)  # a frame's unforeseen way


class EgoPoses(NamedTuple):
    """Poses on a lattice: x, y, z in STEPs and yaw, pitch, roll in TURNs."""

    lattice: Int64[np.ndarray, "t 6"]

    def world_from_ego(self) -> Float[Tensor, "t 4 4"]:
        """R = Rz(yaw) Ry(pitch) Rx(roll), in float64."""
        values = torch.from_numpy(self.lattice).double()
        yaw, pitch, roll = (values[:, 3:] * TURN).unbind(-1)
        zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
        c, s = yaw.cos(), yaw.sin()
        around_z = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1)
        c, s = pitch.cos(), pitch.sin()
        around_y = torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1)
        c, s = roll.cos(), roll.sin()
        around_x = torch.stack([one, zero, zero, zero, c, -s, zero, s, c], -1)
        z, y, x = (m.unflatten(-1, (3, 3)) for m in (around_z, around_y, around_x))
        return compose(z @ y @ x, values[:, :3] * STEP)


def on_lattice(world_from_ego: Float[Tensor, "t 4 4"]) -> EgoPoses:
    """The nearest poses that a stream can say; an error does not add up over frames.

    Raises:
        InputError: a pose is not finite, not rigid, or off the globe.
    """
    poses = world_from_ego.double()
    rotation, place = poses[:, :3, :3], poses[:, :3, 3]
    if not bool(poses.isfinite().all()) or not torch.allclose(
        rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand_as(rotation), atol=1e-3
    ):
        raise InputError("expected finite rigid ego poses, got others")
    if bool((place.abs() >= (_REACH - 1) * STEP).any()):
        raise InputError(f"expected ego poses within {_REACH * STEP / 1e3:.0f} km, got {place.abs().max():.3g} m")
    yaw = yaw_from_rotmat(rotation)
    pitch = -torch.asin(rotation[:, 2, 0].clamp(-1, 1))
    roll = torch.atan2(rotation[:, 2, 1], rotation[:, 2, 2])
    angles = torch.stack([yaw, pitch, roll], -1) / TURN
    return EgoPoses(torch.cat([place / STEP, angles], -1).round().long().numpy())


def code_poses(coder: Coder, poses: EgoPoses | None, num_frames: int) -> EgoPoses:
    """The first pose in full; then what constant speed and turn in the ego's own frame do not foresee."""
    circle = round(2 * math.pi / TURN)
    lattice = np.zeros((num_frames, 6), np.int64)
    models = [Integers(12, 4.0) for _ in range(6)]
    for axis in range(6):
        size = 2 * _REACH if axis < 3 else circle + 1
        said = plain(coder, None if poses is None else int(poses.lattice[0, axis]) + size // 2, size) - size // 2
        lattice[0, axis] = said
    for i in range(1, num_frames):
        expected = _expected(lattice[:i])
        for axis in range(6):
            rest = None
            if poses is not None:
                rest = int(poses.lattice[i, axis] - expected[axis])
                if axis >= 3:
                    rest = (rest + circle // 2) % circle - circle // 2
                elif abs(rest) > _FASTEST:
                    raise InputError(f"expected an ego without leaps, got one of {abs(rest) * STEP:.0f} m at frame {i}")
            limit = _FASTEST if axis < 3 else circle
            value = int(expected[axis]) + models[axis].code(coder, rest, limit)
            lattice[i, axis] = value if axis < 3 else (value + circle // 2) % circle - circle // 2
    return EgoPoses(lattice)


def _expected(past: Int64[np.ndarray, "i 6"]) -> Int64[np.ndarray, " 6"]:
    """Where it would be if it went on: in whole steps of the world, which needs no function of an angle."""
    if len(past) < 2:
        return past[-1]
    last, before = past[-1], past[-2]
    way, tilt = last - before, last.copy()
    circle = round(2 * math.pi / TURN)
    turn = (way[3] + circle // 2) % circle - circle // 2
    # The way of the last step, turned on by the last turn, to second order in integers.
    x = way[0] - (way[1] * turn * _MICRO) // _MILLION
    y = way[1] + (way[0] * turn * _MICRO) // _MILLION
    return np.array([last[0] + x, last[1] + y, last[2] + way[2], last[3] + turn, tilt[4], tilt[5]])


_MICRO = round(TURN * 1e6)
_MILLION = 1_000_000
