"""The info pickles of OccWorld and OccSora: which frames a scene has, where the ego was, and what it was told to do.

`{"infos": {scene: [info, …in order of time]}}`. Offsets in them are in the LiDAR's frame (x right, y forward); they
are turned into the ego's (x forward, y left) here, once.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.plain_pickle import MAX_BYTES, load_plain_pickle
from worldloom.geometry.io.pose_check import matrix_from_record
from worldloom.geometry.rigid import invert

COMMANDS = ("right", "left", "straight")  # in the order of `pose_mode`
KEYFRAME_DT = 0.5  # seconds
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class InfoScene:
    """One scene of an info pickle."""

    name: str
    tokens: tuple[str, ...]
    timestamps_us: Int64[np.ndarray, " t"] | None
    world_from_ego: Float[Tensor, "t 4 4"]  # float64; world coordinates reach kilometres
    offsets: Float[Tensor, "t 2"] | None  # to the next frame, metres in the ego's axes; of the LiDAR's position
    commands: tuple[str, ...] | None  # of COMMANDS

    @property
    def dt(self) -> float:
        """The median step in seconds; 0.5 where there are no times."""
        if self.timestamps_us is None or len(self.timestamps_us) < 2:
            return KEYFRAME_DT
        return float(np.median(np.diff(self.timestamps_us))) / 1e6

    def offset_error(self) -> float:
        """Median distance in metres between the offsets and those of the poses; 0 where there are no offsets.

        Poses are of the rear axle, offsets of the LiDAR a metre ahead of it: expect some centimetres, more in turns. An
        error of metres says that the offsets are not in the frame that they are expected in.
        """
        if self.offsets is None or len(self.tokens) < 2:
            return 0.0
        steps = (invert(self.world_from_ego[:-1]) @ self.world_from_ego[1:])[:, :2, 3]
        return float((steps - self.offsets[:-1]).norm(dim=1).median())


def load_info_pickle(path: str | Path, max_bytes: int = MAX_BYTES) -> tuple[InfoScene, ...]:
    """Scenes of an info pickle, in its order. Nothing in the file is executed; see `plain_pickle`.

    Read are `token`, `ego2global_translation` and `_rotation`, and where they are there `timestamp`,
    `gt_ego_fut_trajs` and `pose_mode`. All of nuScenes' training scenes take about a minute.

    Raises:
        InputError: not such a file, anything but plain data in it, or frames without token and pose.
    """
    path = Path(path)
    content = load_plain_pickle(path, max_bytes)
    infos = content.get("infos") if isinstance(content, dict) else None
    if not isinstance(infos, dict) or not infos:
        kind = type(infos).__name__ if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: expected {{'infos': {{scene: [info, …]}}}}, got {kind}")
    return tuple(_scene(f"{path}: {str(name)[:80]}", name, frames) for name, frames in infos.items())


def _scene(where: str, name: Any, frames: Any) -> InfoScene:
    if not isinstance(name, str) or not isinstance(frames, list) or not 0 < len(frames) <= _MAX_FRAMES:
        raise InputError(f"{where}: expected a scene's name and a list of its frames, got {type(frames).__name__}")
    tokens, poses = [], []
    for i, info in enumerate(frames):
        token = info.get("token") if isinstance(info, dict) else None
        if not isinstance(token, str) or not token:
            raise InputError(f"{where}, frame {i}: expected a token, got {type(token).__name__}")
        tokens.append(token)
        record = {
            "translation": _listed(info.get("ego2global_translation")),
            "rotation": _listed(info.get("ego2global_rotation")),
        }
        poses.append(matrix_from_record(record, f"{where}, frame {i}: ego2global"))
    if len(set(tokens)) != len(tokens):
        raise InputError(f"{where}: expected each token once, got some twice")
    times = _all([info.get("timestamp") for info in frames], (), where, "timestamp")
    if times is not None and not (np.diff(times) > 0).all():
        raise InputError(f"{where}: expected rising timestamps, got some that fall or repeat")
    offsets = _all([_first(info.get("gt_ego_fut_trajs")) for info in frames], (2,), where, "gt_ego_fut_trajs")
    modes = _all([info.get("pose_mode") for info in frames], (3,), where, "pose_mode")
    return InfoScene(
        name,
        tuple(tokens),
        None if times is None else times.astype(np.int64),
        torch.from_numpy(np.stack(poses)),
        None if offsets is None else torch.from_numpy(np.stack([offsets[:, 1], -offsets[:, 0]], 1)),
        None if modes is None else tuple(COMMANDS[i] for i in modes.argmax(1).tolist()),
    )


def _first(value: Any) -> Any:
    """The first of the offsets, which is the one to the next frame."""
    if isinstance(value, np.ndarray) and value.ndim == 2 and len(value):
        return value[0]
    return value[0] if isinstance(value, list) and value else None


def _listed(value: Any) -> list[float] | None:
    """A short row of numbers as a list; None for anything else, so that nothing strange is ever printed or walked."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= 16 and value.dtype.kind in "iuf":
        return value.astype(np.float64).tolist()
    if isinstance(value, (list, tuple)) and len(value) <= 16:
        numbers = (int, float, np.integer, np.floating)
        if all(isinstance(item, numbers) and not isinstance(item, bool) for item in value):
            row = np.array([item if abs(item) < 1e300 else math.inf for item in value], np.float64)
            return row.tolist()
    return None


def _all(values: list[Any], shape: tuple[int, ...], where: str, key: str) -> np.ndarray | None:
    """Values of all frames as numbers; None where no frame has one."""
    if all(value is None for value in values):
        return None
    rows = [_listed([value] if not shape else value) for value in values]
    length = shape[0] if shape else 1
    for i, row in enumerate(rows):
        if row is None or len(row) != length or not all(math.isfinite(item) for item in row):
            raise InputError(
                f"{where}, frame {i}: expected {length} finite numbers in {key!r}, got {type(values[i]).__name__}"
            )
    array = np.array(rows)
    return array if shape else array[:, 0]
