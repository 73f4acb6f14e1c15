"""Ways of road users as motions: mean velocities since the present, each in its user's own frame."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.plane import chained, seen_from

DT = 0.5  # seconds between frames
SPEED_UNIT, TURN_UNIT = 5.0, 0.5  # m/s and radians per unit of a motion
_BICYCLE, _MOTORCYCLE, _PEDESTRIAN = 2, 6, 7
_PLACES_ERR = 0.2  # metres, of a pose found in voxels
_SPEEDS_UP = {_PEDESTRIAN: 0.08, _BICYCLE: 0.4}  # m/s², how much users change their speed within a history
_VEHICLES_SPEED_UP = 1.2
_ONCE_SEEN = {_PEDESTRIAN: 0.25, _BICYCLE: 0.6, _MOTORCYCLE: 1.0}  # units of speed that somebody may have
_VEHICLES_ONCE_SEEN = 1.0


class TrafficBatch(NamedTuple):
    """Scenes with n users besides the ego; row 0 of the n + 1 is the ego. Poses are x, y, yaw in the ego's present."""

    labels: UInt8[Tensor, "b m"]  # of the ego anything
    sizes: Float[Tensor, "b m 3"]
    middles: Float[Tensor, "b m 2"]  # of the sizes' boxes, in the users' own frames
    history: Float[Tensor, "b m h 3"]
    present: Bool[Tensor, "b m h"]  # all False in rows without a user
    ground: UInt8[Tensor, "b p q"]


def motions_from_poses(poses: Float[Tensor, "*b t 3"], origin: Float[Tensor, "*b 1 3"], first: int = 0) -> Tensor:
    """Poses after an origin as mean velocities since then, in the origin's frame, and turns; all in their units.

    A mean velocity is as uncertain after five seconds as after one, and zero for who stands.

    Args:
        first: 0 for poses of HISTORY frames that end at the origin, 1 for those that come after it.
    """
    seconds = _seconds(poses.shape[-2], first, poses)
    local = seen_from(poses, origin)
    return torch.cat([local[..., :2] / seconds / SPEED_UNIT, local[..., 2:] / TURN_UNIT], -1)


def poses_from_motions(motions: Float[Tensor, "*b t 3"], origin: Float[Tensor, "*b 1 3"]) -> Float[Tensor, "*b t 3"]:
    """The inverse of `motions_from_poses`, for frames after the origin."""
    local = motions[..., :2] * _seconds(motions.shape[-2], 1, motions) * SPEED_UNIT
    return chained(origin.expand_as(motions), torch.cat([local, motions[..., 2:] * TURN_UNIT], -1))


def expected_motions(batch: TrafficBatch) -> tuple[Float[Tensor, "b m 1 3"], Float[Tensor, "b m 1 3"]]:
    """What is expected of each user before the network has looked, and how far from it the truth may be.

    It keeps its velocity, and strays the farther the faster it is. Noise is drawn from this expectation, and the
    network corrects it in its measure. The velocity is that of the likeliest way of constant acceleration through the
    poses of the history, which err: pedestrians hardly accelerate, and of them five poses tell more than the last two.
    Who has been seen but once may go as fast as its kind goes.
    """
    before = batch.history[:, :, :-1]
    t = DT * torch.arange(-before.shape[2], 0, device=before.device, dtype=before.dtype)
    way = seen_from(before, batch.history[:, :, -1:])[..., :2]
    weight = batch.present[:, :, :-1].to(before.dtype) / _PLACES_ERR**2
    pull = _per_label(batch.labels, _SPEEDS_UP, _VEHICLES_SPEED_UP)
    # Normal equations of way = v t + a t² / 2, of which a is about 0.
    tt, ta, aa = ((weight * t**power).sum(-1) / scale for power, scale in ((2, 1), (3, 2), (4, 4)))
    tw = (weight[..., None] * t[:, None] * way).sum(-2)
    aw = (weight[..., None] * t[:, None] ** 2 * way).sum(-2) / 2
    aa = aa + 1 / pull**2
    velocity = (aa[..., None] * tw - ta[..., None] * aw) / (tt * aa - ta**2 + 1e-3)[..., None] / SPEED_UNIT
    speed = velocity.norm(dim=-1, keepdim=True)
    once = ~batch.present[:, :, :-1].any(-1, keepdim=True)
    may = _per_label(batch.labels, _ONCE_SEEN, _VEHICLES_ONCE_SEEN)[..., None]
    away = torch.where(once, may, 0.1 + 0.3 * speed)
    turn = torch.where(once, 0.3, 0.1 + 0.5 * speed.clamp(max=1.0))
    spread = torch.cat([away.expand_as(velocity), turn], -1)
    return F.pad(velocity, (0, 1))[:, :, None], spread[:, :, None]


def _per_label(labels: UInt8[Tensor, "*n"], values: dict[int, float], others: float) -> Float[Tensor, "*n"]:
    table = torch.full((256,), others, device=labels.device)
    for label, value in values.items():
        table[label] = value
    return table[labels.int()]


def _seconds(count: int, first: int, like: Tensor) -> Float[Tensor, "t 1"]:
    """Of frames after the origin (first = 1), or of frames that end at it: their distance from it, which is not 0."""
    steps = torch.arange(1, count + 1) if first else torch.arange(1 - count, 1).abs().clamp(min=1)
    return (DT * steps.to(like))[:, None]
