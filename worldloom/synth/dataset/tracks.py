"""Everybody's exact way through a scene, at every step of the simulation, as one file beside the data set's tables."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import quat_from_rotmat
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import save_npz
from worldloom.geometry.io.nuscenes_tables import nuscenes_token
from worldloom.synth.traffic.drive import Drive


def save_tracks(
    path: Path, scene_name: str, drive: Drive, start_us: int, global_from_town: Float[Tensor, "4 4"]
) -> None:
    """Write a drive as `.npz`; `load_ego_path` reads the ego's path from it.

    The arrays, for t steps and u users, all in the data set's global frame: `timestamps` (t,) int64 microseconds,
    `world_from_ego` (t, 4, 4), `tokens` (u,) of the users' instances in the tables, `ids` (u,) in the simulation,
    `kinds` (u,) among Occ3D's classes, `variants` (u,) of their looks, `extents` (u, 3) length, width, height,
    `present` (u, t), `centres` (u, t, 3) of their boxes, `rotations` (u, t, 4) quaternions w, x, y, z, `velocities`
    (u, t, 3) m/s. Zeros and the identity where a user is not present. Users that stand are in the tables alone.
    """
    t = len(drive)
    poses = torch.stack([torch.eye(4).expand(t, 4, 4), *(user.trajectory.world_from_actor for user in drive.users)])[1:]
    present = _table([user.trajectory.present for user in drive.users], (0, t)).bool()
    placed = global_from_town @ poses.double()
    gone = ~present[..., None]
    identity = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    arrays = {
        "timestamps": start_us + np.rint(np.arange(t) * drive.dt * 1e6).astype(np.int64),
        "world_from_ego": (global_from_town @ drive.world_from_ego.double()).numpy(),
        "tokens": np.array([nuscenes_token("instance", scene_name, user.id) for user in drive.users], dtype="<U32"),
        "ids": np.array([user.id for user in drive.users], dtype=np.str_),
        "kinds": np.array([user.kind for user in drive.users], dtype=np.str_),
        "variants": np.array([user.variant for user in drive.users], dtype=np.int64),
        "extents": np.array([user.extent for user in drive.users], dtype=np.float64).reshape(-1, 3),
        "present": present.numpy(),
        "centres": placed[..., :3, 3].masked_fill(gone, 0).numpy(),
        "rotations": torch.where(gone, identity, quat_from_rotmat(placed[..., :3, :3])).numpy(),
        "velocities": _table([user.velocity.double() for user in drive.users], (0, t, 3)).masked_fill(gone, 0).numpy(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def _table(rows: list[Tensor], empty: tuple[int, ...]) -> Tensor:
    return torch.stack(rows) if rows else torch.zeros(empty)
