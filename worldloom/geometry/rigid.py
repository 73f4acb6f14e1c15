"""Rigid transforms as 4x4 matrices: `b_from_a` maps points in frame a to frame b."""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor


def invert(b_from_a: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """a_from_b of a rigid transform, by the transposed rotation: exact where a general inverse is not."""
    rotation, translation = b_from_a[..., :3, :3], b_from_a[..., :3, 3]
    a_from_b = torch.zeros_like(b_from_a)
    a_from_b[..., :3, :3] = rotation.mT
    a_from_b[..., :3, 3] = -(rotation.mT @ translation[..., None])[..., 0]
    a_from_b[..., 3, 3] = 1
    return a_from_b


def compose(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """The 4x4 transform p -> rotation @ p + translation."""
    b_from_a = rotation.new_zeros(*rotation.shape[:-2], 4, 4)
    b_from_a[..., :3, :3] = rotation
    b_from_a[..., :3, 3] = translation
    b_from_a[..., 3, 3] = 1
    return b_from_a


def apply(b_from_a: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch n 3"]) -> Float[Tensor, "*batch n 3"]:
    """Points of frame a, in frame b."""
    return einsum(b_from_a[..., :3, :3], points, "... i j, ... n j -> ... n i") + b_from_a[..., None, :3, 3]


def rotmat_from_quat(quat: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix of a quaternion (w, x, y, z); it is normalised first."""
    w, x, y, z = torch.nn.functional.normalize(quat, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quat_from_rotmat(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternion (w, x, y, z) with w >= 0 of a rotation matrix.

    The largest of the four components is found first and divides the others, so no angle loses digits
    (Shepperd 1978).
    """
    m = rotation
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    squares = torch.stack([1 + trace, *(1 - trace + 2 * m[..., i, i] for i in range(3))], dim=-1)  # 4 q_i^2
    w_row = torch.stack(
        [squares[..., 0], m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    )
    x_row = torch.stack([w_row[..., 1], squares[..., 1], m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0]], -1)
    y_row = torch.stack([w_row[..., 2], x_row[..., 2], squares[..., 2], m[..., 2, 1] + m[..., 1, 2]], -1)
    z_row = torch.stack([w_row[..., 3], x_row[..., 3], y_row[..., 3], squares[..., 3]], -1)
    rows = torch.stack([w_row, x_row, y_row, z_row], dim=-2)  # row i is 4 q_i q
    best = squares.argmax(-1)[..., None, None].expand(*rows.shape[:-2], 1, 4)
    quat = torch.nn.functional.normalize(rows.gather(-2, best)[..., 0, :], dim=-1)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def rotz(yaw: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by yaw about z, positive to the left."""
    c, s, zero, one = yaw.cos(), yaw.sin(), torch.zeros_like(yaw), torch.ones_like(yaw)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).unflatten(-1, (3, 3))


def yaw_from_rotmat(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Heading of the x axis, seen from above."""
    return torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
