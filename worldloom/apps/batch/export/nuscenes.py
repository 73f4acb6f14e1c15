"""Scenarios as one nuScenes data set with Occ3D labels: thirteen tables, `gts/`, `annotations.json`, and map masks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.batch.export.scene import ExportScene
from worldloom.geometry import OCC3D_CLASSES, Trajectory, compose
from worldloom.geometry.io.nuscenes import load_nuscenes
from worldloom.geometry.io.nuscenes_map import mask_points, save_map_mask
from worldloom.geometry.io.nuscenes_tables import (
    RecordedScene,
    Recording,
    Rows,
    SensorMount,
    Track,
    nuscenes_token,
    sample_tokens,
    save_nuscenes,
    scene_rows,
)
from worldloom.geometry.io.occ3d import save_occ3d_index, save_occ3d_labels

MOST = 10_000  # scenes: their tables are put together in memory
SPLIT = "worldloom_batch"
DATE = "2026-01-01"
_EPOCH_US = 1_767_225_600_000_000  # the beginning of that day, UTC
_SPACING_US = 600_000_000  # between scenes; a horizon is 128 s at most
_MARGIN = 5.0  # metres of map around the road
_CATEGORIES = {
    "bicycle": "vehicle.bicycle",
    "bus": "vehicle.bus.rigid",
    "car": "vehicle.car",
    "construction_vehicle": "vehicle.construction",
    "motorcycle": "vehicle.motorcycle",
    "pedestrian": "human.pedestrian.adult",
    "trailer": "vehicle.trailer",
    "truck": "vehicle.truck",
}
_MOVING = 0.2  # m/s


def export_nuscenes(folder: Path, scenes: Iterator[ExportScene]) -> int:
    """Write the data set; returns how many scenes it has.

    Each scene has a location and a map of its own, moved so that all of its road lies at positive x and y. No sensor
    recorded anything: the LiDAR's files that the tables name are not there, visibility is "80 to 100 %" throughout, and
    boxes hold no points. The pose is that of the labels' frame.
    """
    rows: list[Rows] = []
    maps: dict[str, str] = {}
    infos = {}
    (folder / "maps").mkdir(parents=True)
    for number, scene in enumerate(scenes):
        if number >= MOST:
            raise AssertionError(f"at most {MOST} scenes are asked for")
        placed, size = _placed(scene)
        location = f"at-{scene.name}"
        maps[location] = f"maps/{nuscenes_token('map', location)}.png"
        save_map_mask(folder / maps[location], _mask(scene, placed, size))
        moved = replace(scene.clip, world_from_ego=placed @ scene.clip.world_from_ego.double())
        start = _EPOCH_US + number * _SPACING_US
        times = [start + round(i * scene.clip.dt * 1e6) for i in range(len(moved))]
        rows.append(_rows(scene, placed, location, times))
        tokens = sample_tokens(scene.name, len(moved))
        _, infos[scene.name] = save_occ3d_labels(folder, scene.name, moved, tokens, times)
    if rows:
        save_occ3d_index(folder, infos, {"val": sorted(infos)})
        version = save_nuscenes(folder, rows, maps, {SPLIT: sorted(infos)})
        load_nuscenes(folder, version.name)  # what is handed over has been opened once
    return len(rows)


def _placed(scene: ExportScene) -> tuple[Float[Tensor, "4 4"], tuple[float, float]]:
    """global_from_world, a shift in the plane, and the map's width and height in metres."""
    edges = scene.road.edges(1) or [scene.clip.world_from_ego[:, :2, 3].double().numpy()]
    points = np.concatenate([*edges, scene.clip.world_from_ego[:, :2, 3].double().numpy()])
    low, high = np.floor(points.min(0) - _MARGIN), np.ceil(points.max(0) + _MARGIN)
    shift = torch.tensor([-low[0], -low[1], 0.0], dtype=torch.float64)
    return compose(torch.eye(3, dtype=torch.float64), shift), (float(high[0] - low[0]), float(high[1] - low[1]))


def _mask(scene: ExportScene, placed: Float[Tensor, "4 4"], size: tuple[float, float]) -> np.ndarray:
    x, y = mask_points(*size)
    columns, rows = torch.meshgrid(torch.from_numpy(x), torch.from_numpy(y), indexing="xy")
    return scene.road.at(torch.stack([columns, rows], -1) - placed[:2, 3]).numpy()


def _rows(scene: ExportScene, placed: Float[Tensor, "4 4"], location: str, times: list[int]) -> Rows:
    poses = placed @ scene.clip.world_from_ego.double()
    lidar = "LIDAR_TOP"
    return scene_rows(
        RecordedScene(
            name=scene.name,
            description=scene.result.spec.title,
            location=location,
            date=DATE,
            vehicle="worldloom",
            timestamps_us=tuple(times),
            mounts=(SensorMount(lidar, torch.eye(4, dtype=torch.float64)),),
            recordings=tuple(
                Recording(lidar, f"samples/{lidar}/{scene.name}__{lidar}__{time}.pcd.bin", time, pose, frame)
                for frame, (time, pose) in enumerate(zip(times, poses, strict=True))
            ),
            tracks=tuple(_track(name, user, placed) for name, user in scene.users.items()),
        )
    )


def _track(name: str, user: Trajectory, placed: Float[Tensor, "4 4"]) -> Track:
    kind = OCC3D_CLASSES[user.label]
    poses = placed @ user.world_from_actor.double()
    steps = poses[:, :2, 3].diff(dim=0).norm(dim=-1) / user.dt
    speeds = torch.cat([steps[:1], steps]).tolist() if len(steps) else [0.0] * len(poses)
    return Track(
        name,
        _CATEGORIES[kind],
        replace(user, world_from_actor=poses),
        tuple(_attribute(kind, speed) for speed in speeds),
        torch.full((len(poses),), 4),
        torch.zeros(len(poses), dtype=torch.int64),
    )


def _attribute(kind: str, speed: float) -> str:
    if kind in ("bicycle", "motorcycle"):
        return "cycle.with_rider" if speed > _MOVING else "cycle.without_rider"
    if kind == "pedestrian":
        return "pedestrian.moving" if speed > _MOVING else "pedestrian.standing"
    return "vehicle.moving" if speed > _MOVING else "vehicle.stopped"
