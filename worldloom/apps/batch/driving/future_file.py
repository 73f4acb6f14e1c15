"""`future.npz`: the present frame and those that were made, and everybody's box; `load_clip` reads its labels."""

from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry import Occupancy, Trajectory
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.clip import clip_arrays, load_clip
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.io.pose_check import check_rigid

_KEYS = {
    "user_labels": "uint8 u",
    "user_extents": "float64 u 3",
    "user_poses": "float64 u t 4 4",
    "user_present": "bool u t",
}


def save_future(path: Path, clip: Occupancy, users: tuple[Trajectory, ...]) -> None:
    """Write frames and boxes over the same frames; the same ones give the same bytes."""
    poses = [user.world_from_actor.double() for user in users]
    present = [user.present for user in users]
    arrays = {
        **clip_arrays(clip),
        "user_labels": np.array([user.label for user in users], np.uint8),
        "user_extents": np.array([user.extent for user in users], np.float64).reshape(-1, 3),
        "user_poses": torch.stack(poses).numpy() if poses else np.zeros((0, len(clip), 4, 4)),
        "user_present": torch.stack(present).numpy() if present else np.zeros((0, len(clip)), np.bool_),
    }
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def load_future(path: Path) -> tuple[Occupancy, tuple[Trajectory, ...]]:
    """Read what `save_future` wrote.

    Raises:
        InputError: not such a file, damaged, or boxes of other frames.
    """
    clip = load_clip(path)
    arrays = load_npz(path, _KEYS)
    poses, present = arrays["user_poses"], arrays["user_present"]
    if poses.shape[1] != len(clip):
        raise InputError(f"{path}: expected boxes over {len(clip)} frames, got {poses.shape[1]}")
    check_rigid(poses.reshape(-1, 4, 4), f"{path}: user_poses")
    users = []
    for i, (label, extent) in enumerate(zip(arrays["user_labels"], arrays["user_extents"], strict=True)):
        length, width, height = extent.tolist()
        users.append(
            Trajectory(
                torch.from_numpy(poses[i]), torch.from_numpy(present[i]), int(label), (length, width, height), clip.dt
            )
        )
    return clip, tuple(users)
