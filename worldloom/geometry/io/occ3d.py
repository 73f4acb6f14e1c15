"""Occ3D-nuScenes: `gts/<scene>/<sample token>/labels.npz`, with `annotations.json` beside `gts`."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.npz import load_npz, npz_keys, save_npz
from worldloom.geometry.io.pose_check import matrix_from_record
from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.rigid import quat_from_rotmat

KEYFRAME_DT = 0.5  # seconds; nuScenes key frames come at 2 Hz
_SHAPE = " ".join(map(str, OCC3D_GRID.shape))
_MASKS = ("mask_lidar", "mask_camera")

Frame = tuple[UInt8[Tensor, "x y z"], Bool[Tensor, "x y z"], Bool[Tensor, "x y z"]]


def load_occ3d_frame(path: str | Path) -> Frame:
    """One `labels.npz`: semantics, mask_lidar and mask_camera. Ego frame, classes OCC3D_CLASSES, grid OCC3D_GRID.

    Raises:
        InputError: a key is missing, dtype or shape differ (checked before unpacking), a class id is above 17 or a
            mask holds something else than 0 and 1.
    """
    path = Path(path)
    arrays = load_npz(path, {"semantics": f"uint8 {_SHAPE}", **dict.fromkeys(_MASKS, f"uint8|bool {_SHAPE}")})
    if (highest := arrays["semantics"].max()) > FREE:
        raise InputError(f"{path}: expected class ids 0..{FREE} in 'semantics', got {highest}")
    for mask in _MASKS:
        if (highest := arrays[mask].max()) > 1:
            raise InputError(f"{path}: expected 0 or 1 in {mask!r}, got {highest}")
    lidar, camera = (torch.from_numpy(arrays[mask].view(np.bool_)) for mask in _MASKS)
    return torch.from_numpy(arrays["semantics"]), lidar, camera


def load_occ3d_scene(path: str | Path, mask: Literal["camera", "lidar", "none"] = "camera") -> Occupancy:
    """A scene as a clip: a folder `<token>/labels.npz`, a single `labels.npz`, or a file of `save_clip`.

    `annotations.json` is looked for beside `gts` (two levels above the scene) and in the scene's own folder. With it,
    frames come in the order of their timestamps, poses are its ego poses and dt is the median step (real steps are
    0.40 to 0.60 s). Without it, frames come in the order of their folders' names, 0.5 s apart, and every pose is the
    identity: the clip then says what was seen, not where. A single file is one frame at the identity.

    Args:
        path: folder or file.
        mask: which mask becomes `observed`; "none" takes every voxel for observed. A clip file has its own.
    Raises:
        InputError: nothing to read there, or files that disagree.
    """
    path = Path(path)
    if mask not in ("camera", "lidar", "none"):
        raise InputError(f"expected mask camera, lidar or none, got {mask!r}")
    if path.is_file():
        if "clip_version" in npz_keys(path):
            return load_clip(path)
        return _clip([path], mask, np.eye(4)[None], KEYFRAME_DT)
    if not path.is_dir():
        raise InputError(f"{path}: expected an Occ3D scene folder, a labels.npz or a clip file, got no such file")
    if (path / "labels.npz").is_file():
        return load_occ3d_scene(path / "labels.npz", mask)
    tokens = sorted(labels.parent.name for labels in path.glob("*/labels.npz"))
    if not tokens:
        raise InputError(f"{path}: expected folders <token>/labels.npz, got none (a scene folder lies in gts/)")
    infos = _scene_infos(path)
    if infos is None:
        return _clip(
            [path / t / "labels.npz" for t in tokens], mask, np.eye(4)[None].repeat(len(tokens), 0), KEYFRAME_DT
        )
    tokens, timestamps, poses = _order(path, infos, tokens)
    steps = np.diff(timestamps) / 1e6
    dt = float(np.median(steps)) if len(steps) else KEYFRAME_DT
    return _clip([path / t / "labels.npz" for t in tokens], mask, poses, dt)


def save_occ3d_scene(
    folder: str | Path,
    scene_name: str,
    occupancy: Occupancy,
    tokens: list[str] | None = None,
    timestamps_us: list[int] | None = None,
    mask_lidar: Bool[Tensor, "t x y z"] | None = None,
    split: Literal["train", "val"] = "val",
) -> Path:
    """Write a clip as an Occ3D scene and list it in `annotations.json`; returns the scene's folder.

    `observed` becomes mask_camera, and mask_lidar too unless one is given. An `annotations.json` that is already there
    keeps its other scenes. The same clip gives the same bytes. Poses are stored as quaternions in float64.

    Args:
        folder: the data set's root; `gts/` is made in it.
        scene_name: such as "scene-0061".
        occupancy: labels t x y z on OCC3D_GRID with OCC3D_CLASSES.
        tokens: a name for each frame; 32 hex digits made from scene name and frame number if not given.
        timestamps_us: microseconds, rising; frame * dt if not given.
        mask_lidar: where the LiDAR looked.
        split: the list in `annotations.json` that names the scene.
    Raises:
        InputError: another grid or other classes, tokens or timestamps that do not fit, names that leave the folder.
    """
    scene_folder, infos = save_occ3d_labels(folder, scene_name, occupancy, tokens, timestamps_us, mask_lidar)
    annotations = Path(folder) / "annotations.json"
    content = load_json(annotations, dict) if annotations.exists() else {}
    splits = {name: [n for n in content.get(f"{name}_split", []) if n != scene_name] for name in ("train", "val")}
    splits[split].append(scene_name)
    save_occ3d_index(folder, {**content.get("scene_infos", {}), scene_name: infos}, splits, content)
    return scene_folder


def save_occ3d_labels(
    folder: str | Path,
    scene_name: str,
    occupancy: Occupancy,
    tokens: list[str] | None = None,
    timestamps_us: list[int] | None = None,
    mask_lidar: Bool[Tensor, "t x y z"] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """The files of `save_occ3d_scene` without `annotations.json`; returns the scene's folder and its entry there.

    Several processes may write scenes to one folder at the same time in this way, before one of them writes the index.
    """
    tokens, timestamps_us = _check_scene(scene_name, occupancy, tokens, timestamps_us)
    observed = occupancy.observed.cpu().numpy().astype(np.uint8)
    lidar = observed if mask_lidar is None else mask_lidar.cpu().numpy().astype(np.uint8)
    scene_folder = safe_join(folder, f"gts/{scene_name}")
    for i, token in enumerate(tokens):
        frame = safe_join(scene_folder, token)
        frame.mkdir(parents=True, exist_ok=True)
        with atomic_path(frame / "labels.npz") as temporary:
            semantics = occupancy.labels[i].cpu().numpy()
            save_npz(temporary, {"semantics": semantics, "mask_lidar": lidar[i], "mask_camera": observed[i]})
    return scene_folder, _frame_infos(scene_name, occupancy, tokens, timestamps_us)


def save_occ3d_index(
    folder: str | Path,
    scene_infos: Mapping[str, dict[str, Any]],
    splits: Mapping[str, Sequence[str]],
    other: Mapping[str, Any] | None = None,
) -> None:
    """Write `annotations.json`: entries of `save_occ3d_labels` by scene, the names of each split, and other keys."""
    content = dict(other or {})
    for name in ("train", "val"):
        content[f"{name}_split"] = sorted(splits.get(name, ()))
    content["scene_infos"] = dict(sorted(scene_infos.items()))
    with atomic_path(Path(folder) / "annotations.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class SceneIndex:
    """The frames of a scene in order of time, as `annotations.json` has them."""

    tokens: tuple[str, ...]
    timestamps_us: Int64[np.ndarray, " t"]
    world_from_ego: Float64[np.ndarray, "t 4 4"]


def load_occ3d_index(path: str | Path) -> tuple[dict[str, SceneIndex], dict[str, tuple[str, ...]]]:
    """All scenes of an `annotations.json`, by name, and the scenes' names of each split ("train", "val").

    Raises:
        InputError: not such a file, or scenes whose frames do not fit together.
    """
    path = Path(path)
    content = load_json(path, dict)
    infos = content.get("scene_infos")
    if not isinstance(infos, dict) or not all(isinstance(scene, dict) and scene for scene in infos.values()):
        raise InputError(f"{path}: expected scene_infos with the frames of each scene, got {type(infos).__name__}")
    scenes = {}
    for name, scene in infos.items():
        tokens, timestamps, poses = _in_time(f"{name} in annotations.json", scene)
        scenes[name] = SceneIndex(tuple(tokens), timestamps, poses)
    splits = {}
    for split in ("train", "val"):
        names = content.get(f"{split}_split", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: expected a list of names in {split}_split, got {type(names).__name__}")
        splits[split] = tuple(names)
    return scenes, splits


def _clip(files: list[Path], mask: str, world_from_ego: np.ndarray, dt: float) -> Occupancy:
    labels = torch.empty(len(files), *OCC3D_GRID.shape, dtype=torch.uint8)
    observed = torch.ones_like(labels, dtype=torch.bool)
    for i, file in enumerate(files):
        labels[i], lidar, camera = load_occ3d_frame(file)
        if mask != "none":
            observed[i] = camera if mask == "camera" else lidar
    return Occupancy(labels, observed, torch.from_numpy(world_from_ego).float(), OCC3D_GRID, OCC3D_CLASSES, dt)


def _scene_infos(scene_folder: Path) -> dict[str, Any] | None:
    """The scene's entry in annotations.json; None where there is no such file."""
    scene_folder = scene_folder.resolve()
    for folder in (scene_folder.parent.parent, scene_folder):
        annotations = folder / "annotations.json"
        if annotations.is_file():
            scenes = load_json(annotations, dict).get("scene_infos")
            infos = scenes.get(scene_folder.name) if isinstance(scenes, dict) else None
            if not isinstance(infos, dict) or not infos:
                raise InputError(f"{annotations}: expected scene_infos of {scene_folder.name!r}, got none")
            return infos
    return None


def _order(scene_folder: Path, infos: dict[str, Any], tokens: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """As `_in_time`, for a folder that must hold labels for each of these frames."""
    if missing := sorted(set(infos) ^ set(tokens)):
        raise InputError(
            f"{scene_folder}: expected the {len(infos)} frames of annotations.json, got {len(tokens)} with labels.npz "
            f"({len(missing)} differ, such as {missing[0]!r})"
        )
    return _in_time(f"{scene_folder.name} in annotations.json", infos)


def _in_time(name: str, infos: dict[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Tokens of a scene's entry in order of time, their timestamps and ego poses; `name` begins messages.

    Descriptions of the format disagree on which way `next` and `prev` point, so they are only required to name
    neighbours in time.
    """
    timestamps = {}
    for token, info in infos.items():
        timestamp = info.get("timestamp") if isinstance(info, dict) else None
        # Microseconds; some tools write them as text or as a float.
        try:
            timestamps[token] = int(timestamp)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{name}: expected a timestamp in microseconds at {token!r}, got {timestamp!r}") from error
    tokens = sorted(infos, key=lambda token: timestamps[token])
    order = {token: i for i, token in enumerate(tokens)}
    for token, later in itertools.pairwise(tokens):
        if timestamps[token] == timestamps[later]:
            raise InputError(f"{name}: expected one frame for each timestamp, got {token!r} and {later!r} at the same")
    for token, i in order.items():
        for link in ("prev", "next"):
            other = infos[token].get(link)
            if isinstance(other, str) and other in order and abs(order[other] - i) != 1:
                raise InputError(f"{name}: expected {link} of {token!r} to be its neighbour in time, got {other!r}")
    poses = np.stack([matrix_from_record(infos[t].get("ego_pose"), f"{name}, ego_pose of {t!r}") for t in tokens])
    return tokens, np.array([timestamps[t] for t in tokens]), poses


def _check_scene(
    scene_name: str, occupancy: Occupancy, tokens: list[str] | None, timestamps_us: list[int] | None
) -> tuple[list[str], list[int]]:
    """Require what the format can hold; fill in tokens and timestamps."""
    if occupancy.grid != OCC3D_GRID or occupancy.classes != OCC3D_CLASSES or occupancy.labels.ndim != 4:
        raise InputError(
            f"expected one clip on the Occ3D grid with its {len(OCC3D_CLASSES)} classes, got labels "
            f"{tuple(occupancy.labels.shape)}, {occupancy.grid} and {len(occupancy.classes)} classes"
        )
    count = len(occupancy)
    if occupancy.labels.max() > FREE:
        raise InputError(f"expected class ids 0..{FREE}, got {int(occupancy.labels.max())}")
    if tokens is None:
        tokens = [hashlib.sha256(f"{scene_name}/{i}".encode()).hexdigest()[:32] for i in range(count)]
    if timestamps_us is None:
        timestamps_us = [round(i * occupancy.dt * 1e6) for i in range(count)]
    if len(tokens) != count or len(set(tokens)) != count or len(timestamps_us) != count:
        raise InputError(
            f"expected {count} different tokens and timestamps, got {len(set(tokens))}, {len(timestamps_us)}"
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(timestamps_us)):
        raise InputError("expected rising timestamps_us, got some that fall or repeat")
    for name in (scene_name, *tokens):
        if not name or name != Path(name).name or name == "..":
            raise InputError(f"expected a plain name for a folder, got {name!r}")
    return tokens, timestamps_us


def _frame_infos(scene_name: str, occupancy: Occupancy, tokens: list[str], timestamps_us: list[int]) -> dict[str, Any]:
    world_from_ego = occupancy.world_from_ego.cpu().double()
    quats, translations = quat_from_rotmat(world_from_ego[:, :3, :3]).tolist(), world_from_ego[:, :3, 3].tolist()
    return {
        token: {
            "timestamp": int(timestamps_us[i]),
            "camera_sensor": {},
            "ego_pose": {"translation": translations[i], "rotation": quats[i]},
            "gt_path": f"gts/{scene_name}/{token}/labels.npz",
            "prev": tokens[i - 1] if i > 0 else "",
            "next": tokens[i + 1] if i + 1 < len(tokens) else "",
        }
        for i, token in enumerate(tokens)
    }
