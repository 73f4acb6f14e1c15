"""What geometry alone says of an ego path among moving users: how near they come, and where the wheels stand.

The risk head reads this beside what the network thinks, so that it need not learn from scratch when two cars touch.
"""

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, GROUND
from worldloom.occupancy.scene_state import PICTURE, PIXEL, UNSEEN
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT, WHEELS
from worldloom.synth.traffic.footprints import separation

NUM_DANGERS = 10
SIGHT = 15.0  # metres between middles beyond which nobody is in the way
_ROAD = GROUND.index(DRIVEABLE) + 1  # the pixel of a road


def ego_boxes(poses: Float[Tensor, "*k 3"]) -> Float[Tensor, "*k 5"]:
    """Footprints (x, y, yaw, length, width) of the ego, whose frame is at its rear axle."""
    return user_boxes(poses, poses.new_tensor(EGO_EXTENT), poses.new_tensor([EGO_CENTRE, 0.0]))


def user_boxes(
    poses: Float[Tensor, "*k 3"], sizes: Float[Tensor, "*#k 3"], middles: Float[Tensor, "*#k 2"]
) -> Float[Tensor, "*k 5"]:
    """Footprints of users, whose frames are not in their middles."""
    yaw, (x, y) = poses[..., 2], middles.unbind(-1)
    middle = torch.stack([x * yaw.cos() - y * yaw.sin(), x * yaw.sin() + y * yaw.cos()], -1)
    return torch.cat([poses[..., :2] + middle, poses[..., 2:], sizes[..., :2].expand(*poses.shape[:-1], 2)], -1)


def separations(
    ego: Float[Tensor, "k g 5"], boxes: Float[Tensor, "k n g 5"], there: Bool[Tensor, "k n"] | None = None
) -> Float[Tensor, "k n g"]:
    """Metres to each user at each moment, negative in a collision; inf for who is out of sight."""
    mine = ego[:, None].expand(boxes.shape)
    near = (boxes[..., :2] - mine[..., :2]).norm(dim=-1) < SIGHT + mine[..., 3] / 2
    if there is not None:
        near = near & there[..., None]
    apart = torch.full(near.shape, math.inf, dtype=boxes.dtype)
    apart[near] = separation(mine[near], boxes[near])
    return apart


def with_middles(poses: Float[Tensor, "*k f 3"], now: Float[Tensor, "*k 1 3"]) -> Float[Tensor, "*k 2*f 3"]:
    """Poses twice a frame, the middles between frames too: at 20 m/s a frame is longer than a car.

    Args:
        now: before the first frame.
    """
    before = torch.cat([now, poses[..., :-1, :]], -2)
    turn = torch.remainder(poses[..., 2] - before[..., 2] + math.pi, math.tau) - math.pi
    middle = torch.cat([(poses + before)[..., :2] / 2, (poses[..., 2] - turn / 2)[..., None]], -1)
    return torch.stack([middle, poses], -2).flatten(-3, -2)


def dangers(
    poses: Float[Tensor, "b m f 3"],
    now: Float[Tensor, "b m 1 3"],
    sizes: Float[Tensor, "b m 3"],
    middles: Float[Tensor, "b m 2"],
    there: Bool[Tensor, "b m"],
    ground: UInt8[Tensor, "b p q"],
) -> Float[Tensor, "b f dangers"]:
    """Numbers of about one for each frame of the ego's path, what happened before among them; row 0 is the ego.

    Args:
        poses: x, y, yaw in the ego's present frame; `now` those of the present.
        there: who exists.
        ground: `ground_picture` of the present.
    """
    both = with_middles(poses, now)
    boxes = user_boxes(both[:, 1:], sizes[:, 1:, None], middles[:, 1:, None])
    apart = separations(ego_boxes(both[:, 0]), boxes, there[:, 1:])
    nearest = apart.amin(1) if apart.shape[1] else both.new_full(both[:, 0, :, 0].shape, math.inf)
    nearest = nearest.clamp(-2.0, 8.0)
    off, blind = (share.unflatten(1, (-1, 2)).amax(2) for share in _wheels(both[:, 0], ground))
    nearest = nearest.unflatten(1, (-1, 2)).amin(2)
    so_far = nearest.cummin(1).values
    distances = torch.stack([nearest, so_far], -1)
    way = poses[:, 0, :, :2].norm(dim=-1) / 20.0
    so_off, so_blind = off.cummax(1).values, blind.cummax(1).values
    return torch.cat(
        [
            distances / 4.0,
            torch.sigmoid(-distances / 0.2),
            torch.exp(-distances.clamp(min=0)),
            torch.stack([so_off, so_blind, off, way], -1),
        ],
        -1,
    )


def _wheels(
    egos: Float[Tensor, "b g 3"], ground: UInt8[Tensor, "b p q"]
) -> tuple[Float[Tensor, "b g"], Float[Tensor, "b g"]]:
    """Share of the wheels that are seen to be off the road, and of those of which nothing is known."""
    c, s = egos[..., 2:].cos(), egos[..., 2:].sin()
    along, aside = egos.new_tensor(WHEELS).unbind(1)
    wheels = egos[..., None, :2] + torch.stack([along * c - aside * s, along * s + aside * c], -1)
    pixel = (wheels / PIXEL + PICTURE / 2).floor().long()
    inside = ((pixel >= 0) & (pixel < PICTURE)).all(-1)
    pixel = pixel.clamp(0, PICTURE - 1)
    flat = (pixel[..., 0] * PICTURE + pixel[..., 1]).flatten(1)
    kind = ground.flatten(1).gather(1, flat).reshape(inside.shape)
    blind = ~inside | (kind == UNSEEN)
    return (~blind & (kind != _ROAD)).float().mean(-1), blind.float().mean(-1)
