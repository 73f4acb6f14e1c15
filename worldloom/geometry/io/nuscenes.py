"""nuScenes tables: key frames, ego poses, cameras and boxes, without the devkit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.io.atomic import safe_join
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.pose_check import matrix_from_record, numbers
from worldloom.geometry.occupancy import OCC3D_CLASSES

KEYFRAME_DT = 0.5  # seconds; nominal, real steps are 0.40 to 0.60 s
_TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "sample_annotation", "instance")
_CLASS_OF_CATEGORY = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}


@dataclass(frozen=True)
class CameraImage:
    """One photo of a key frame; the camera stands where the ego was when this camera exposed."""

    camera: Camera
    image: Path  # inside the data root; the file itself is not looked for
    timestamp_us: int


@dataclass(frozen=True)
class Keyframe:
    """One sample. Poses belong to the LiDAR sweep's time, or to the first channel's where there is no LiDAR."""

    token: str
    timestamp_us: int
    world_from_ego: Float[Tensor, "4 4"]  # float64: world coordinates reach kilometres
    cameras: dict[str, CameraImage]  # by channel, such as CAM_FRONT


@dataclass(frozen=True)
class Actor:
    """One annotated road user or object over the key frames of its scene; label 0 (others) where Occ3D has no class."""

    token: str
    category: str
    trajectory: Trajectory  # where absent: the nearest pose in time


@dataclass(frozen=True)
class NuScenesScene:
    """The key frames of one scene in order of time, and what was annotated in them."""

    name: str
    token: str
    description: str
    keyframes: tuple[Keyframe, ...]
    actors: tuple[Actor, ...]


def load_nuscenes(
    dataroot: str | Path, version: str | None = None, scenes: Iterable[str] | None = None
) -> tuple[NuScenesScene, ...]:
    """Scenes of `<dataroot>/<version>/*.json`, in the order of their table. Images and point clouds are not opened.

    World is nuScenes' global frame (z up); boxes are `world_from_actor` at their centre, x forward, with extent length,
    width, height. Camera axes are OpenCV's; K is taken as it stands.

    Args:
        dataroot: the folder that holds the version folder and `samples/`.
        version: such as "v1.0-mini"; may be left out where there is one.
        scenes: names to load; all if not given.
    Raises:
        InputError: a table is missing or has another shape, a token leads nowhere, times do not rise, a pose is not
            rigid, or a file name leads out of the data root.
    """
    dataroot = Path(dataroot)
    tables = _Tables(dataroot, _find_version(dataroot, version))
    wanted = None if scenes is None else list(scenes)
    known = [tables.text("scene", record, "name") for record in tables.records("scene")]
    if missing := [name for name in wanted or [] if name not in known]:
        raise InputError(f"{tables.folder}: expected scenes of this version, got {missing[0]!r}")
    tables.index_by_sample()
    return tuple(
        _scene(tables, record)
        for record, name in zip(tables.records("scene"), known, strict=True)
        if wanted is None or name in wanted
    )


class _Tables:
    """Tables by token, with each access checked."""

    def __init__(self, dataroot: Path, version: str) -> None:
        self.dataroot, self.folder = dataroot, safe_join(dataroot, version)
        self.by_token: dict[str, dict[str, dict[str, Any]]] = {}
        for name in (*_TABLES, "category"):
            table = self.by_token[name] = {}
            for i, record in enumerate(load_json(self.folder / f"{name}.json", list)):
                if not isinstance(record, dict) or not isinstance(record.get("token"), str):
                    raise InputError(f"{self.folder / name}.json: expected records with a token, got another at {i}")
                table[record["token"]] = record
        self.data_of_sample: dict[str, list[dict[str, Any]]] = {}
        self.boxes_of_sample: dict[str, list[dict[str, Any]]] = {}

    def records(self, table: str) -> Iterable[dict[str, Any]]:
        return self.by_token[table].values()

    def index_by_sample(self) -> None:
        for record in self.records("sample_data"):
            if record.get("is_key_frame") is True:
                self.data_of_sample.setdefault(self.text("sample_data", record, "sample_token"), []).append(record)
        for record in self.records("sample_annotation"):
            self.boxes_of_sample.setdefault(self.text("sample_annotation", record, "sample_token"), []).append(record)

    def where(self, table: str, record: dict[str, Any]) -> str:
        return f"{self.folder / table}.json, {record['token']!r}"

    def text(self, table: str, record: dict[str, Any], key: str) -> str:
        value = record.get(key)
        if not isinstance(value, str):
            raise InputError(f"{self.where(table, record)}: expected a text {key!r}, got {str(value)[:60]!r}")
        return value

    def whole(self, table: str, record: dict[str, Any], key: str) -> int:
        value = record.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
            raise InputError(f"{self.where(table, record)}: expected a whole number {key!r}, got {str(value)[:60]!r}")
        return value

    def link(self, table: str, record: dict[str, Any], key: str, target: str) -> dict[str, Any]:
        token = self.text(table, record, key)
        if token not in self.by_token[target]:
            raise InputError(f"{self.where(table, record)}: expected {key} to be in {target}.json, got {token!r}")
        return self.by_token[target][token]


def _find_version(dataroot: Path, version: str | None) -> str:
    if version is not None:
        return version
    found = sorted(scene.parent.name for scene in dataroot.glob("*/scene.json"))
    if len(found) != 1:
        raise InputError(f"{dataroot}: expected one version folder with scene.json, got {', '.join(found) or 'none'}")
    return found[0]


def _scene(tables: _Tables, record: dict[str, Any]) -> NuScenesScene:
    samples = list(_samples(tables, record))
    keyframes = tuple(_keyframe(tables, sample) for sample in samples)
    for earlier, later in pairwise(keyframes):
        if later.timestamp_us <= earlier.timestamp_us:
            raise InputError(
                f"{tables.folder}: expected rising times in a scene, got {later.token!r} not after the last"
            )
    return NuScenesScene(
        name=tables.text("scene", record, "name"),
        token=record["token"],
        description=str(record.get("description", "")),
        keyframes=keyframes,
        actors=tuple(_actors(tables, samples, [k.timestamp_us for k in keyframes])),
    )


def _samples(tables: _Tables, scene: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chain of samples from the first on, against what the scene says of it."""
    count = tables.whole("scene", scene, "nbr_samples")
    sample, seen = tables.link("scene", scene, "first_sample_token", "sample"), 0
    while True:
        seen += 1
        if seen > count:
            raise InputError(f"{tables.where('scene', scene)}: expected {count} samples, got a longer or endless chain")
        if sample.get("scene_token") != scene["token"]:
            raise InputError(f"{tables.where('sample', sample)}: expected a sample of {scene['token']!r}")
        yield sample
        if not tables.text("sample", sample, "next"):
            break
        sample = tables.link("sample", sample, "next", "sample")
    if seen != count or scene.get("last_sample_token") != sample["token"]:
        raise InputError(
            f"{tables.where('scene', scene)}: expected {count} samples up to last_sample_token, got {seen}"
        )


def _keyframe(tables: _Tables, sample: dict[str, Any]) -> Keyframe:
    cameras, poses, lidar = {}, {}, None
    for data in tables.data_of_sample.get(sample["token"], []):
        calibrated = tables.link("sample_data", data, "calibrated_sensor_token", "calibrated_sensor")
        sensor = tables.link("calibrated_sensor", calibrated, "sensor_token", "sensor")
        channel, modality = (tables.text("sensor", sensor, key) for key in ("channel", "modality"))
        pose = tables.link("sample_data", data, "ego_pose_token", "ego_pose")
        poses[channel] = matrix_from_record(pose, tables.where("ego_pose", pose))
        if modality == "lidar":
            lidar = channel
        elif modality == "camera":
            cameras[channel] = _camera_image(tables, data, calibrated, poses[channel])
    if not poses:
        raise InputError(f"{tables.where('sample', sample)}: expected sample_data that is a key frame, got none")
    return Keyframe(
        token=sample["token"],
        timestamp_us=tables.whole("sample", sample, "timestamp"),
        world_from_ego=torch.from_numpy(poses[lidar or min(poses)]),
        cameras=cameras,
    )


def _camera_image(
    tables: _Tables, data: dict[str, Any], calibrated: dict[str, Any], world_from_ego: np.ndarray
) -> CameraImage:
    where = tables.where("calibrated_sensor", calibrated)
    K = numbers(calibrated.get("camera_intrinsic"), (3, 3), f"{where}: camera_intrinsic")
    height, width = (tables.whole("sample_data", data, key) for key in ("height", "width"))
    if min(height, width) < 1:
        raise InputError(f"{tables.where('sample_data', data)}: expected a size in pixels, got {height} x {width}")
    world_from_cam = world_from_ego @ matrix_from_record(calibrated, where)
    return CameraImage(
        camera=Camera(torch.from_numpy(world_from_cam).float(), torch.from_numpy(K).float(), (height, width)),
        image=safe_join(tables.dataroot, tables.text("sample_data", data, "filename")),
        timestamp_us=tables.whole("sample_data", data, "timestamp"),
    )


def _actors(tables: _Tables, samples: list[dict[str, Any]], timestamps_us: list[int]) -> Iterator[Actor]:
    """One actor for each instance that is annotated in these samples, in order of first appearance."""
    boxes: dict[str, dict[int, dict[str, Any]]] = {}
    for frame, sample in enumerate(samples):
        for box in tables.boxes_of_sample.get(sample["token"], []):
            instance = tables.link("sample_annotation", box, "instance_token", "instance")
            boxes.setdefault(instance["token"], {})[frame] = box
    dt = float(np.median(np.diff(timestamps_us))) / 1e6 if len(timestamps_us) > 1 else KEYFRAME_DT
    for token, seen in boxes.items():
        category = tables.link("instance", tables.by_token["instance"][token], "category_token", "category")
        name = tables.text("category", category, "name")
        frames = np.array(sorted(seen))
        poses = np.stack([matrix_from_record(seen[f], tables.where("sample_annotation", seen[f])) for f in frames])
        first = seen[int(frames[0])]
        where = tables.where("sample_annotation", first)
        width, length, height = numbers(first.get("size"), (3,), f"{where}: size").tolist()
        nearest = np.abs(np.arange(len(samples))[:, None] - frames).argmin(1)
        present = torch.zeros(len(samples), dtype=torch.bool)
        present[torch.from_numpy(frames)] = True
        trajectory = Trajectory(
            world_from_actor=torch.from_numpy(poses[nearest]).float(),
            present=present,
            label=OCC3D_CLASSES.index(_CLASS_OF_CATEGORY.get(name, "others")),
            extent=(length, width, height),
            dt=dt,
        )
        yield Actor(token, name, trajectory)
