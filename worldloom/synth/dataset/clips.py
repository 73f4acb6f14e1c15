"""A drive as one small file for training: labels with their masks, everybody's boxes, the ego's path, and its risk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import EgoPath, Occupancy, yaw_from_rotmat
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.clip import clip_arrays, load_clip
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.synth.dataset.annotate import Boxed
from worldloom.synth.traffic.risk import Risk

_KEYS = {
    "labels": "uint8 t x y z",
    "mask_lidar": "uint8 b",
    "ego": "float32 e 4 4",
    "ego_dt": "float64",
    "ego_speed": "float32 t",
    "track_ids": "str u",
    "track_labels": "uint8 u",
    "track_standing": "bool u",
    "track_extents": "float32 u 3",
    "track_present": "bool u t",
    "track_centres": "float32 u t 3",
    "track_yaws": "float32 u t",
    "track_velocities": "float32 u t 3",
    "risk_gap": "float32 t",
    "risk_time_to_collision": "float32 t",
    "risk_collision": "bool t",
    "risk_off_road": "bool t",
    "manoeuvre": "str",
    "branch_frame": "int64",
}


@dataclass(frozen=True)
class Tracks:
    """Boxes of everybody near the ego, moving or standing, in the town's frame; zeros where one is not present."""

    ids: tuple[str, ...]
    labels: UInt8[Tensor, " a"]  # Occ3D classes
    standing: Bool[Tensor, " a"]  # for good: parked cars, cones, machines at work
    extents: Float[Tensor, "a 3"]  # length, width, height in metres
    present: Bool[Tensor, "a t"]
    centres: Float[Tensor, "a t 3"]
    yaws: Float[Tensor, "a t"]
    velocities: Float[Tensor, "a t 3"]  # m/s


@dataclass(frozen=True)
class DrivingClip:
    """A drive as a world model learns from it. All frames and poses are in the town's frame."""

    occupancy: (
        Occupancy  # `observed` is the cameras' mask; its poses lie 0.75 m (-ground_z) above the ego's, along its z
    )
    mask_lidar: Bool[Tensor, "t x y z"]
    ego: EgoPath  # the rear axle on the ground, at every step of the simulation
    speed: Float[Tensor, " t"]  # of the ego at each frame, m/s
    tracks: Tracks
    risk: Risk  # at each frame the worst since the frame before
    manoeuvre: str = ""  # of a counterfactual; "" is the logged drive
    branch_frame: int = -1  # the last frame that a counterfactual shares with the logged drive


def tracks_from_boxes(boxed: tuple[Boxed, ...], velocities: dict[str, Float[Tensor, "t 3"]], frames: int) -> Tracks:
    """Boxes as tables; `velocities` by name, of those who move."""

    def table(rows: list[Tensor], *shape: int) -> Tensor:
        return torch.stack(rows) if rows else torch.zeros(0, *shape)

    still = torch.zeros(frames, 3)
    present = table([box.trajectory.present for box in boxed], frames).bool()
    poses = table([box.trajectory.world_from_actor.double() for box in boxed], frames, 4, 4)
    gone = ~present[..., None]
    return Tracks(
        tuple(box.name for box in boxed),
        torch.tensor([box.trajectory.label for box in boxed], dtype=torch.uint8),
        torch.tensor([box.speed is None for box in boxed], dtype=torch.bool),
        torch.tensor([box.trajectory.extent for box in boxed], dtype=torch.float32).reshape(-1, 3),
        present,
        poses[..., :3, 3].float().masked_fill(gone, 0),
        yaw_from_rotmat(poses[..., :3, :3]).float().masked_fill(~present, 0),
        table([velocities.get(box.name, still).float() for box in boxed], frames, 3).masked_fill(gone, 0),
    )


def save_driving_clip(path: str | Path, clip: DrivingClip) -> None:
    """Write a clip as `.npz`; the same clip gives the same bytes.

    The file is one of `save_clip` with more arrays in it, so that `load_clip` and `load_occ3d_scene` read its labels.
    """
    t, risk = clip.tracks, clip.risk
    arrays = {
        **clip_arrays(clip.occupancy),
        "mask_lidar": np.packbits(clip.mask_lidar.numpy(), bitorder="little"),
        "ego": clip.ego.world_from_ego.numpy(),
        "ego_dt": np.float64(clip.ego.dt),
        "ego_speed": clip.speed.numpy(),
        "track_ids": np.array(t.ids, dtype=np.str_),
        "track_labels": t.labels.numpy(),
        "track_standing": t.standing.numpy(),
        "track_extents": t.extents.numpy(),
        "track_present": t.present.numpy(),
        "track_centres": t.centres.numpy(),
        "track_yaws": t.yaws.numpy(),
        "track_velocities": t.velocities.numpy(),
        "risk_gap": risk.gap.numpy(),
        "risk_time_to_collision": risk.time_to_collision.numpy(),
        "risk_collision": risk.collision.numpy(),
        "risk_off_road": risk.off_road.numpy(),
        "manoeuvre": np.array(clip.manoeuvre, dtype=np.str_),
        "branch_frame": np.int64(clip.branch_frame),
    }
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def load_driving_clip(path: str | Path) -> DrivingClip:
    """Read what `save_driving_clip` wrote.

    Raises:
        InputError: not such a file, or damaged.
    """
    path = Path(path)
    occupancy = load_clip(path)
    arrays = load_npz(path, _KEYS)
    voxels, packed = occupancy.labels.numel(), arrays["mask_lidar"]
    if len(packed) != -(-voxels // 8):
        raise InputError(f"{path}: expected {-(-voxels // 8)} bytes of packed 'mask_lidar', got {len(packed)}")
    mask = np.unpackbits(packed, count=voxels, bitorder="little").reshape(occupancy.labels.shape).view(np.bool_)
    tensors = {
        name: torch.from_numpy(array)
        for name, array in arrays.items()
        if (array.dtype.kind in "bf" and array.ndim) or name == "track_labels"
    }
    return DrivingClip(
        occupancy,
        torch.from_numpy(mask),
        EgoPath(tensors["ego"], arrays["ego_dt"].item()),
        tensors["ego_speed"],
        Tracks(
            tuple(arrays["track_ids"].tolist()),
            *(
                tensors[f"track_{name}"]
                for name in ("labels", "standing", "extents", "present", "centres", "yaws", "velocities")
            ),
        ),
        Risk(*(tensors[f"risk_{name}"] for name in ("gap", "time_to_collision", "collision", "off_road"))),
        arrays["manoeuvre"].item(),
        arrays["branch_frame"].item(),
    )
