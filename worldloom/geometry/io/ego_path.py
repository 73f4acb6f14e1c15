"""Ego paths: our JSON, `.npz` with timestamps, and nuScenes tables."""

import json
from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.interpolate import interpolate_poses
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.io.nuscenes import load_nuscenes
from worldloom.geometry.io.pose_check import check_rigid, numbers

MAX_SPEED = 60.0  # m/s; more is a jump between frames, not a drive
MAX_POSES = 1_000_000  # after interpolation: a day at 10 Hz; times that lie ask for more memory than there is
EVEN = 0.01  # steps that differ by less than this part of their median count as even


def load_ego_path(path: str | Path, dt: float | None = None, scene: str | None = None) -> EgoPath:
    """An ego path from one of

    - `.json`: {"dt": seconds, "world_from_ego": t x 4 x 4},
    - `.npz`: `world_from_ego` (t, 4, 4), with `timestamps` (t,) int64 in microseconds or a number `dt`,
    - a nuScenes folder: the ego poses of a scene's key frames.

    Poses at uneven times are interpolated to steps of `dt`, from the first on. Poses are float32.

    Args:
        path: file or folder.
        dt: seconds between poses of the result. By default as in the file; for timestamps, their median step to the
            millisecond (nuScenes key frames come 0.40 to 0.60 s apart: 0.5).
        scene: which scene of a nuScenes folder; needed where it has several.
    Raises:
        InputError: not such a file, fewer than two poses, poses that are not rigid or jump faster than 60 m/s.
    """
    path = Path(path)
    if path.is_dir():
        poses, seconds = _from_nuscenes(path, scene)
    elif path.suffix.lower() == ".json":
        poses, seconds = _from_json(path)
    elif path.suffix.lower() == ".npz":
        poses, seconds = _from_npz(path)
    else:
        raise InputError(f"{path}: expected an ego path as .json, .npz or a nuScenes folder, got neither")
    return path_from_times(poses, seconds, str(path), dt)


def path_from_times(poses: np.ndarray, seconds: np.ndarray, what: str, dt: float | None = None) -> EgoPath:
    """Check poses from outside and lay them on even steps; see `load_ego_path`. `what` begins the messages."""
    if len(poses) < 2 or poses.ndim != 3:
        raise InputError(f"{what}: expected at least 2 poses, got shape {poses.shape}")
    check_rigid(poses, what)
    steps = np.diff(seconds)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise InputError(f"{what}: expected rising times, got a step of {steps.min():g} s")
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / steps
    if speed.max() > MAX_SPEED:
        i = int(speed.argmax())
        raise InputError(
            f"{what}: expected at most {MAX_SPEED:g} m/s, got {speed[i]:.4g} m/s from frame {i} to {i + 1}"
        )
    median = float(np.median(steps))
    even = bool((np.abs(steps - median) <= EVEN * median).all())
    if even and (dt is None or abs(dt - median) <= EVEN * median):
        # The mean step keeps the duration, where the median of jittering times would not.
        return EgoPath(torch.from_numpy(poses).float(), dt or round(float(steps.mean()), 9))
    dt = dt or max(round(median, 3), 1e-3)
    if not 0 < dt <= seconds[-1] - seconds[0]:
        raise InputError(f"{what}: expected dt above 0 and up to {seconds[-1] - seconds[0]:g} s, got {dt}")
    if (seconds[-1] - seconds[0]) / dt > MAX_POSES:
        raise InputError(
            f"{what}: expected at most {MAX_POSES} poses, got {seconds[-1] - seconds[0]:g} s in steps of {dt:g} s"
        )
    knots = torch.from_numpy(seconds - seconds[0])
    times = (dt * torch.arange(int(knots[-1].item() / dt + 1e-6) + 1, dtype=torch.float64)).clamp(max=knots[-1].item())
    return EgoPath(interpolate_poses(torch.from_numpy(poses).double(), knots, times).float(), dt)


def save_ego_path(path: str | Path, ego_path: EgoPath) -> None:
    """Write a path (t, 4, 4) as `.json` or `.npz`; numbers keep all their digits.

    Raises:
        InputError: another suffix.
        ValueError: a path with further leading axes.
    """
    path = Path(path)
    poses = ego_path.world_from_ego.cpu()
    if poses.ndim != 3:
        raise ValueError(f"an ego path file holds (t, 4, 4), got {tuple(poses.shape)}")
    if path.suffix.lower() not in (".json", ".npz"):
        raise InputError(f"{path}: expected a file ending in .json or .npz")
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".json":
            content = {"dt": ego_path.dt, "world_from_ego": poses.tolist()}
            temporary.write_text(json.dumps(content) + "\n")
        else:
            save_npz(temporary, {"world_from_ego": poses.numpy(), "dt": np.array(ego_path.dt)})


def _from_json(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = load_json(path, dict)
    dt, rows = content.get("dt"), content.get("world_from_ego")
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list world_from_ego, got {type(rows).__name__}")
    step = _positive(path, dt)
    return numbers(rows, (len(rows), 4, 4), f"{path}: world_from_ego"), step * np.arange(len(rows))


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    spec = {"world_from_ego": "float32|float64 t 4 4", "timestamps?": "int64 t", "dt?": "float32|float64"}
    arrays = load_npz(path, spec, max_bytes=1 << 28)
    poses = arrays["world_from_ego"]
    if "timestamps" in arrays:
        # Differences first: microseconds since 1970 have more digits than a float keeps.
        seconds = (arrays["timestamps"] - arrays["timestamps"][:1]) / 1e6
    elif "dt" in arrays:
        seconds = _positive(path, arrays["dt"].item()) * np.arange(len(poses))
    else:
        raise InputError(f"{path}: expected 'timestamps' (microseconds) or 'dt' (seconds), got neither")
    return poses, seconds


def _from_nuscenes(path: Path, scene: str | None) -> tuple[np.ndarray, np.ndarray]:
    scenes = {s.name: s for s in load_nuscenes(path, scenes=None if scene is None else [scene])}
    if len(scenes) != 1:
        raise InputError(
            f"{path}: expected the name of one of its {len(scenes)} scenes, such as {next(iter(scenes))!r}"
        )
    keyframes = next(iter(scenes.values())).keyframes
    timestamps = np.array([k.timestamp_us for k in keyframes])
    return torch.stack([k.world_from_ego for k in keyframes]).numpy(), (timestamps - timestamps[0]) / 1e6


def _positive(path: Path, dt: object) -> float:
    if not isinstance(dt, (int, float)) or isinstance(dt, bool) or not 0 < dt < float("inf"):
        raise InputError(f"{path}: expected dt in seconds above 0, got {str(dt)[:40]}")
    return float(dt)
