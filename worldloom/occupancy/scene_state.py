"""What the traffic model sees: road users and the ego as poses in the plane, and the ground as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import FREE, GROUND, VoxelGrid
from worldloom.geometry.rigid import apply, invert, yaw_from_rotmat
from worldloom.occupancy.tracks import Track

HISTORY = 5  # frames, the last of them the present
PICTURE = 100  # pixels of the map on each side
PIXEL = 0.8  # metres
# What a pixel of the map shows.
UNSEEN, LOW, TALL = 0, len(GROUND) + 1, len(GROUND) + 2  # between them the ground's classes; low: up to about a metre


@dataclass(frozen=True)
class SceneState:
    """The present and what led to it, in the plane of the ego's present frame (x forward, metres, radians)."""

    labels: UInt8[Tensor, " n"]
    sizes: Float[Tensor, "n 3"]  # what is known of length, width and height
    middles: Float[Tensor, "n 2"]  # of what is known, in the object's own frame
    history: Float[Tensor, "n h 3"]  # x, y, yaw at the last frames
    present: Bool[Tensor, "n h"]
    ego: Float[Tensor, "h 3"]
    ground: UInt8[Tensor, "p q"]  # PICTURE pixels of PIXEL metres, the ego in the middle

    def __len__(self) -> int:
        return len(self.labels)


def scene_state(
    tracks: Sequence[Track],
    world_from_ego: Float[Tensor, "t 4 4"],
    ground: UInt8[Tensor, "p q"],
    max_users: int,
) -> tuple[SceneState, list[int]]:
    """The users that are present in the last frame, nearest first.

    Args:
        tracks: over the same t frames as the ego's poses.
    Returns:
        the state, and which of the tracks its users are.
    """
    ego_from_world = invert(world_from_ego[-1].double())
    here = [i for i, track in enumerate(tracks) if bool(track.present[-1])]
    planar = {i: plane_poses(ego_from_world @ tracks[i].world_from_object.double()) for i in here}
    here = sorted(here, key=lambda i: float(planar[i][-1, :2].norm()))[:max_users]
    ego = _last(plane_poses(ego_from_world @ world_from_ego.double()), HISTORY)
    n = len(here)
    sizes, middles = torch.zeros(n, 3), torch.zeros(n, 2)
    history, present = torch.zeros(n, HISTORY, 3), torch.zeros(n, HISTORY, dtype=torch.bool)
    for row, i in enumerate(here):
        low, high = tracks[i].points.amin(0), tracks[i].points.amax(0)
        sizes[row], middles[row] = high - low + 0.4, (low + high)[:2] / 2
        known = min(HISTORY, len(tracks[i]))
        history[row, -known:] = planar[i][-known:].float()
        present[row, -known:] = tracks[i].present[-known:]
    labels = torch.tensor([tracks[i].label for i in here], dtype=torch.uint8)
    history = history.masked_fill(~present[..., None], 0)
    return SceneState(labels, sizes, middles, history, present, ego.float(), ground), here


def plane_poses(frame_from_objects: Float[Tensor, "*t 4 4"]) -> Float[Tensor, "*t 3"]:
    """x, y and yaw of poses."""
    yaw = yaw_from_rotmat(frame_from_objects[..., :3, :3])
    return torch.cat([frame_from_objects[..., :2, 3], yaw[..., None]], -1)


def ground_picture(
    labels: UInt8[Tensor, "x y z"],
    observed: Bool[Tensor, "x y z"],
    grid: VoxelGrid,
    ego_from_grid: Float[Tensor, "4 4"],
) -> UInt8[Tensor, "p q"]:
    """The static world from above: a pixel shows the ground's class, or what stands on it, or that nobody looked.

    Heights are taken from the ego's ground, so that hills of a few metres do not become walls: what stands is what
    reaches more than half a metre over the lowest ground of its column, or over the ego's.
    """
    cells = (observed & (labels != FREE)).nonzero()
    centres = (cells.double() + 0.5) * grid.voxel_size + torch.tensor(grid.origin, dtype=torch.float64)
    place = apply(ego_from_grid.double(), centres)
    kind = torch.zeros(256, dtype=torch.uint8)
    kind[list(GROUND)] = torch.arange(1, len(GROUND) + 1, dtype=torch.uint8)
    label = labels[tuple(cells.T)].int()
    pixel = (place[:, :2] / PIXEL + PICTURE / 2).floor().long()
    inside = ((pixel >= 0) & (pixel < PICTURE)).all(1)
    flat, place, shown = (pixel[:, 0] * PICTURE + pixel[:, 1])[inside], place[inside, 2].float(), kind[label][inside]
    is_ground = shown > 0
    floor = torch.full((PICTURE * PICTURE,), torch.inf)
    floor.scatter_reduce_(0, flat[is_ground], place[is_ground], "amin")
    rise = place - torch.where(floor.isfinite(), floor, 0.0)[flat]
    stands = ~is_ground & (rise > 0.5) & (rise < 4.0)
    code = torch.where(stands, torch.where(rise > 1.2, TALL, LOW), torch.where(is_ground, shown, UNSEEN).int())
    picture = torch.zeros(PICTURE * PICTURE, dtype=torch.int32)
    picture.scatter_reduce_(0, flat, code.int(), "amax")
    return picture.to(torch.uint8).reshape(PICTURE, PICTURE)


def _last(poses: Float[Tensor, "t 3"], count: int) -> Float[Tensor, "count 3"]:
    """The last poses; where there are fewer, the first again and again, as if it had stood."""
    return torch.cat([poses[:1].expand(max(0, count - len(poses)), 3), poses[-count:]])
