"""Moments of clips as training examples of traffic: what was found in the labels, and what truly happened next.

The network gets at its input what it will get in use: tracks found in voxels. It learns from exact boxes where there
are any: a track's target is the rigid motion of the box that it lies in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.occupancy import Occupancy, VoxelGrid
from worldloom.geometry.rigid import compose, invert, rotz
from worldloom.occupancy.scene_state import HISTORY, SceneState, ground_picture, plane_poses, scene_state
from worldloom.occupancy.static_world import box_around, fuse_clip, lattice_grid
from worldloom.occupancy.tracks import find_tracks

MAX_USERS = 32
FUTURE = 16  # frames that are stored
NEAR = 1.0  # metres by which a track may stand out of its box
_KEYS = {
    "labels": "uint8 e n", "sizes": "float32 e n 3", "middles": "float32 e n 2", "history": "float32 e n h 3",
    "present": "bool e n h", "ego": "float32 e h 3", "ground": "uint8 e p q", "future": "float32 e n f 3",
    "valid": "bool e n f", "ego_future": "float32 e f 3", "ego_valid": "bool e f", "collision": "bool e f",
    "off_road": "bool e f",
}  # fmt: skip


@dataclass(frozen=True)
class Boxes:
    """Exact boxes of a clip, in its world."""

    labels: UInt8[Tensor, " a"]
    extents: Float[Tensor, "a 3"]
    present: Bool[Tensor, "a t"]
    centres: Float[Tensor, "a t 3"]
    yaws: Float[Tensor, "a t"]


class TrafficExamples(NamedTuple):
    """e moments of clips; users are padded to n with rows that are never present."""

    labels: UInt8[Tensor, "e n"]
    sizes: Float[Tensor, "e n 3"]
    middles: Float[Tensor, "e n 2"]
    history: Float[Tensor, "e n h 3"]
    present: Bool[Tensor, "e n h"]
    ego: Float[Tensor, "e h 3"]
    ground: UInt8[Tensor, "e p q"]
    future: Float[Tensor, "e n f 3"]  # poses of the tracks' frames in the ego's present frame
    valid: Bool[Tensor, "e n f"]  # the truth is known
    ego_future: Float[Tensor, "e f 3"]
    ego_valid: Bool[Tensor, "e f"]
    collision: Bool[Tensor, "e f"]  # the ego has collided by then
    off_road: Bool[Tensor, "e f"]

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            save_npz(temporary, {name: value.numpy() for name, value in self._asdict().items()})

    @staticmethod
    def load(path: Path) -> "TrafficExamples":
        arrays = load_npz(path, _KEYS)
        return TrafficExamples(*(torch.from_numpy(arrays[name]) for name in TrafficExamples._fields))


def traffic_examples(
    clip: Occupancy,
    boxes: Boxes | None,
    collision: Bool[Tensor, " t"],
    off_road: Bool[Tensor, " t"],
    moments: Sequence[int],
) -> TrafficExamples:
    """The examples of some moments (the index of the present frame) of a clip.

    Args:
        boxes: the truth; without it nothing is valid but the ego's path.
        collision, off_road: at each frame of the clip.
    """
    rows = [_example(clip, boxes, collision, off_road, moment) for moment in moments]
    return TrafficExamples(*(torch.stack(values) for values in zip(*rows, strict=True)))


def _example(clip: Occupancy, boxes: Boxes | None, collision: Tensor, off_road: Tensor, now: int) -> tuple[Tensor, ...]:
    past = clip[max(0, now + 1 - HISTORY) : now + 1]
    tracks = find_tracks(past)
    state, kept = scene_state(tracks, past.world_from_ego, ground_now(past), MAX_USERS)
    frames = torch.arange(now + 1, now + 1 + FUTURE)
    inside = frames < len(clip)
    frames = frames.clamp(max=len(clip) - 1)
    ego_from_world = invert(clip.world_from_ego[now].double())
    ego_future = plane_poses(ego_from_world @ clip.world_from_ego[frames].double()).float()
    future, valid = torch.zeros(MAX_USERS, FUTURE, 3), torch.zeros(MAX_USERS, FUTURE, dtype=torch.bool)
    if boxes is not None:
        for row, track in enumerate(tracks[i] for i in kept):
            box = _box_of(boxes, track.label, track.world_from_object[-1], now)
            if box is None:
                continue
            then = _pose(boxes, box, frames)
            world_from_object = then @ invert(_pose(boxes, box, torch.tensor([now]))) @ track.world_from_object[-1]
            future[row] = plane_poses(ego_from_world @ world_from_object).float()
            valid[row] = boxes.present[box, frames] & inside
    hit = torch.cummax((collision[frames] & inside).int(), 0).values.bool()
    left = torch.cummax((off_road[frames] & inside).int(), 0).values.bool()
    padded = _padded(state)
    return (*padded, future, valid, ego_future, inside, hit, left)


def ground_now(past: Occupancy) -> UInt8[Tensor, "p q"]:
    """The map around the last ego of a clip, from all its frames."""
    here = past.world_from_ego[-1].double()
    around = VoxelGrid((-40.0, -40.0, -3.0), past.grid.voxel_size, (200, 200, 24))
    grid = lattice_grid(past.grid, *box_around(around, torch.eye(4, dtype=torch.float64)[None]))
    fused = fuse_clip(past, here, grid)
    return ground_picture(fused.labels, fused.observed(), grid, torch.eye(4, dtype=torch.float64))


def _padded(state: SceneState) -> tuple[Tensor, ...]:
    more = MAX_USERS - len(state)
    rows = (state.labels, state.sizes, state.middles, state.history, state.present)
    return (*(torch.cat([row, row.new_zeros(more, *row.shape[1:])]) for row in rows), state.ego, state.ground)


def _box_of(boxes: Boxes, label: int, world_from_object: Float[Tensor, "4 4"], frame: int) -> int | None:
    """The box of that class in which an object's origin lies, the deepest if there are several."""
    candidates = (boxes.present[:, frame] & (boxes.labels == label)).nonzero()[:, 0]
    if not len(candidates):
        return None
    away = world_from_object[:2, 3].double() - boxes.centres[candidates, frame, :2].double()
    yaw = boxes.yaws[candidates, frame].double()
    along = away[:, 0] * yaw.cos() + away[:, 1] * yaw.sin()
    across = away[:, 1] * yaw.cos() - away[:, 0] * yaw.sin()
    half = boxes.extents[candidates, :2].double() / 2
    out = torch.maximum(along.abs() - half[:, 0], across.abs() - half[:, 1])
    best = int(out.argmin())
    return int(candidates[best]) if float(out[best]) < NEAR else None


def _pose(boxes: Boxes, box: int, frames: Tensor) -> Float[Tensor, "f 4 4"]:
    return compose(rotz(boxes.yaws[box, frames].double()), boxes.centres[box, frames].double())


def moments_of(num_frames: int, stride: int, branch_frame: int = -1) -> list[int]:
    """Which frames of a clip to take: from the second on; of a counterfactual those from which it has left the log."""
    first = max(1, branch_frame - 2)
    return list(range(first, num_frames - 2, stride))


def concatenated(parts: Sequence[TrafficExamples]) -> TrafficExamples:
    """All of them, one after the other."""
    return TrafficExamples(*(torch.cat(values) for values in zip(*parts, strict=True)))
