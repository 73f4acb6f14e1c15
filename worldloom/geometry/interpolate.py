"""Poses between poses."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.camera import Camera
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import compose, quat_from_rotmat, rotmat_from_quat


def interpolate_poses(
    b_from_a: Float[Tensor, "*batch t 4 4"], knots: Float[Tensor, " t"], times: Float[Tensor, " s"]
) -> Float[Tensor, "*batch s 4 4"]:
    """Rigid poses at `times`, between those given at `knots`: constant angular and linear velocity in each interval.

    Rotation is SLERP the short way round (Shoemake 1985), translation is linear. At a knot the result is the given
    pose, bit for bit. Computed in float64.

    Args:
        knots: strictly increasing. Give timestamps in float64, or counted from the first: float32 has 7 digits.
        times: any order, within the knots; nothing is extrapolated.
    Raises:
        ValueError: if the knots do not increase, or a time lies outside them.
    """
    after, fraction = _locate(knots, times)
    before = after - 1
    start, end = b_from_a[..., before, :, :].double(), b_from_a[..., after, :, :].double()
    q0, q1 = quat_from_rotmat(start[..., :3, :3]), quat_from_rotmat(end[..., :3, :3])
    dot = (q0 * q1).sum(-1, keepdim=True)
    q1, dot = torch.where(dot < 0, -q1, q1), dot.abs().clamp(max=1)
    # Half the angle between the poses by atan2, which keeps its digits where acos(dot) near 1 loses them.
    angle = torch.atan2((q1 - dot * q0).norm(dim=-1, keepdim=True), dot)
    f = fraction[:, None]
    tiny = angle < 1e-9
    safe = torch.where(tiny, 1.0, angle)
    w0 = torch.where(tiny, 1 - f, ((1 - f) * safe).sin() / safe.sin())
    w1 = torch.where(tiny, f, (f * safe).sin() / safe.sin())
    rotation = rotmat_from_quat(w0 * q0 + w1 * q1)
    translation = torch.lerp(start[..., :3, 3], end[..., :3, 3], f)
    between = compose(rotation, translation).to(b_from_a.dtype)
    at_start, at_end = (fraction == 0)[:, None, None], (fraction == 1)[:, None, None]
    return torch.where(at_start, b_from_a[..., before, :, :], torch.where(at_end, b_from_a[..., after, :, :], between))


def _locate(knots: Float[Tensor, " t"], times: Float[Tensor, " s"]) -> tuple[Tensor, Tensor]:
    """Index of the knot that ends each time's interval, and how far along the interval the time is."""
    if len(knots) < 2 or not (knots.diff() > 0).all():
        raise ValueError(f"knots must be at least two and strictly increasing, got {knots.tolist()[:8]}")
    if not ((times >= knots[0]) & (times <= knots[-1])).all():
        raise ValueError(
            f"times must lie in [{knots[0].item():g}, {knots[-1].item():g}], "
            f"got [{times.min().item():g}, {times.max().item():g}]"
        )
    after = torch.searchsorted(knots, times.to(knots.dtype), right=True).clamp(1, len(knots) - 1)
    first, last = knots[after - 1].double(), knots[after].double()
    return after, (times.double() - first) / (last - first)


def resample_cameras(cameras: Camera, knots: Float[Tensor, " t"], times: Float[Tensor, " s"]) -> Camera:
    """A camera path with batch (t,) at other times, batch (s,); `K` is interpolated linearly.

    Raises:
        ValueError: as `interpolate_poses`.
    """
    if cameras.batch != (len(knots),):
        raise ValueError(
            f"a camera path needs batch (t,) with one knot each, got {cameras.batch} and {len(knots)} knots"
        )
    after, fraction = _locate(knots, times)
    K = torch.lerp(cameras.K[after - 1].double(), cameras.K[after].double(), fraction[:, None, None])
    poses = interpolate_poses(cameras.world_from_cam, knots, times)
    return replace(cameras, world_from_cam=poses, K=K.to(cameras.K.dtype))


def resample_path(path: EgoPath, dt: float) -> EgoPath:
    """The same drive with poses `dt` seconds apart, from the first pose up to at most the last.

    Raises:
        ValueError: if dt is not positive, or the path has fewer than two poses.
    """
    num = path.world_from_ego.shape[-3]
    if not dt > 0:
        raise ValueError(f"dt must be positive seconds, got {dt}")
    knots = path.dt * torch.arange(num, dtype=torch.float64)
    # A step that ends within rounding of the last pose counts.
    steps = int((num - 1) * path.dt / dt + 1e-9)
    times = (dt * torch.arange(steps + 1, dtype=torch.float64)).clamp(max=(num - 1) * path.dt)
    return EgoPath(interpolate_poses(path.world_from_ego, knots, times), dt)
