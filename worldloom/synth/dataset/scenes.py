"""Drives through towns as one data set: nuScenes tables, Occ3D labels, sensors' files, maps and exact tracks.

Scenes are written by any number of processes in any order; each ends with its rows in `.tables/<scene>.json`. Then
`merge_scenes` makes the tables of all of them.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.nuscenes_tables import RecordedScene, Rows, sample_tokens, save_nuscenes, scene_rows
from worldloom.geometry.io.occ3d import save_occ3d_index, save_occ3d_labels
from worldloom.synth.dataset.annotate import boxed_things, tracks_of
from worldloom.synth.dataset.observe import Sensors, observe
from worldloom.synth.dataset.tracks import save_tracks
from worldloom.synth.towns.town import make_town
from worldloom.synth.towns.town_files import global_from_town, location_of, mask_name, save_town
from worldloom.synth.traffic.drive import Drive, drive_town
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive

SCENE_SECONDS = 20.0
KEYFRAME_SECONDS = 0.5
TOWN_SIZE = 480.0
SCENES_PER_TOWN = 6
VAL_SHARE = 6  # one scene in so many, the last ones, is for validation
DATE = "2026-01-01"
EPOCH_US = 1_767_225_600_000_000  # the beginning of that day, UTC
SCENE_SPACING_US = 60_000_000  # between the beginnings of scenes that follow one another
VEHICLE = "worldloom"


@dataclass(frozen=True)
class SceneSpec:
    """All that decides a scene: the same spec gives the same bytes."""

    number: int  # from 1; names the scene and sets its clock
    town_seed: int
    drive_seed: int
    split: Literal["train", "val"] = "train"
    seconds: float = SCENE_SECONDS
    town_size: float = TOWN_SIZE  # metres that the road network spans
    sensors: Sensors = field(default_factory=Sensors)

    @property
    def name(self) -> str:
        return f"scene-{self.number:04d}"

    @property
    def done(self) -> str:
        """The file that is written last."""
        return f".tables/{self.name}.json"


def plan_scenes(
    seed: int, minutes: float | int, sensors: Sensors | None = None, town_size: float = TOWN_SIZE
) -> list[SceneSpec]:
    """The scenes of a data set: `minutes` in scenes of 20 s, six in each town, the last sixth for validation.

    Scenes for validation are of towns of their own, so that no road is in both splits. The first town is that of the
    seed itself; the others have seeds made from it.

    Raises:
        InputError: no or endless minutes, more than 9,999 scenes, a negative seed.
    """
    if not 0 < minutes < math.inf or seed < 0:
        raise InputError(f"expected minutes above 0 and a seed of 0 or more, got {minutes} and {seed}")
    count = max(1, math.ceil(minutes * 60 / SCENE_SECONDS - 1e-9))
    if count > 9999:
        raise InputError(f"expected at most {9999 * SCENE_SECONDS / 60:g} minutes, got {minutes:g}")
    num_train = count - count // VAL_SHARE

    def town_of(i: int) -> int:
        if i < num_train:
            return _seed(seed, "town", i // SCENES_PER_TOWN) if i >= SCENES_PER_TOWN else seed
        return _seed(seed, "validation town", (i - num_train) // SCENES_PER_TOWN)

    return [
        SceneSpec(
            number=i + 1,
            town_seed=town_of(i),
            drive_seed=_seed(seed, "drive", i),
            split="train" if i < num_train else "val",
            town_size=town_size,
            sensors=sensors or Sensors(),
        )
        for i in range(count)
    ]


def write_scene(folder: Path, tell: Callable[[float, str], None], spec: SceneSpec) -> None:
    """Make a scene and write all its files below `folder`; the last one is `spec.done`.

    A pure function of the spec. Scenes of one data set may be written at the same time.

    Raises:
        MissingExtra: SUMO or the ray caster is not installed.
    """
    tell(0.0, "town")
    voxelizer = _voxelizer(spec.town_seed, spec.town_size)
    save_town(folder, voxelizer.town)
    tell(0.1, "traffic")
    write_drive(folder, spec, voxelizer, drive_town(voxelizer.town, spec.seconds, spec.drive_seed, STEP), tell)


def write_drive(
    folder: Path,
    spec: SceneSpec,
    voxelizer: Voxelizer,
    fine: Drive,
    tell: Callable[[float, str], None] = lambda share, doing: None,
) -> None:
    """Write a drive, told at every step of the simulation, as the scene `spec` of a data set."""
    town = voxelizer.town
    placed = global_from_town(town)
    start_us = EPOCH_US + spec.number * SCENE_SPACING_US
    save_tracks(folder / f"tracks/{spec.name}.npz", spec.name, fine, start_us, placed)
    drive = every(fine, round(KEYFRAME_SECONDS / fine.dt))
    times = [start_us + round(i * KEYFRAME_SECONDS * 1e6) for i in range(len(drive))]
    tell(0.2, "voxels")
    occupancy, mask_lidar = voxelize_drive(town, drive, voxelizer)
    # The labels' frame hangs above the ego's, so that the road lies in their lowest layer.
    occupancy = replace(occupancy, world_from_ego=placed @ occupancy.world_from_ego.double())
    _, infos = save_occ3d_labels(folder, spec.name, occupancy, sample_tokens(spec.name, len(drive)), times, mask_lidar)
    boxed = boxed_things(town, drive)
    seed = _seed("sensors", spec.drive_seed)
    tell(0.5, "sensors")
    seen = observe(
        *(folder, spec.name, voxelizer, drive, boxed, times, spec.sensors, seed),
        progress=lambda share: tell(0.5 + share / 2, "sensors"),
    )
    rows = scene_rows(
        RecordedScene(
            name=spec.name,
            description=f"{location_of(town.seed)}, drive {spec.drive_seed}",
            location=location_of(town.seed),
            date=DATE,
            vehicle=VEHICLE,
            timestamps_us=tuple(times),
            mounts=seen.mounts,
            recordings=tuple(replace(r, world_from_ego=placed @ r.world_from_ego) for r in seen.recordings),
            tracks=tracks_of(boxed, placed, seen.visibility, seen.num_lidar_points),
        )
    )
    rows["lidarseg"] = seen.lidarseg
    add_cameras(infos, rows)
    (folder / spec.done).parent.mkdir(exist_ok=True)
    with atomic_path(folder / spec.done) as temporary:
        temporary.write_text(json.dumps({"spec": asdict(spec), "rows": rows, "occ3d": infos}) + "\n")


def add_cameras(infos: dict[str, Any], rows: Rows) -> None:
    """Name the cameras' pictures in a scene's entry of `annotations.json`."""
    calibrated = {record["token"]: record for record in rows["calibrated_sensor"]}
    poses = {record["token"]: record for record in rows["ego_pose"]}
    for data in rows["sample_data"]:
        mount, pose = calibrated[data["calibrated_sensor_token"]], poses[data["ego_pose_token"]]
        if mount["camera_intrinsic"]:
            infos[data["sample_token"]]["camera_sensor"][data["token"]] = {
                "img_path": data["filename"],
                "intrinsic": mount["camera_intrinsic"],
                "extrinsic": {key: mount[key] for key in ("translation", "rotation")},
                "ego_pose": {key: pose[key] for key in ("translation", "rotation")},
            }


def every(drive: Drive, stride: int) -> Drive:
    """Every so many frames of a drive."""
    users = tuple(
        replace(
            user,
            trajectory=replace(
                user.trajectory,
                world_from_actor=user.trajectory.world_from_actor[::stride],
                present=user.trajectory.present[::stride],
                dt=user.trajectory.dt * stride,
            ),
            velocity=user.velocity[::stride],
            phase=user.phase[::stride],
        )
        for user in drive.users
    )
    return replace(
        drive,
        dt=drive.dt * stride,
        world_from_ego=drive.world_from_ego[::stride],
        speed=drive.speed[::stride],
        users=users,
    )


def merge_scenes(folder: Path, specs: Sequence[SceneSpec]) -> Path:
    """Make the tables, `splits.json` and `annotations.json` of scenes that are written; returns the version folder.

    Raises:
        InputError: a scene is not finished, or was made to another spec.
    """
    specs = sorted(specs, key=lambda spec: spec.number)
    scenes = []
    for spec in specs:
        content = load_json(folder / spec.done, dict)
        if content.get("spec") != json.loads(json.dumps(asdict(spec))):
            raise InputError(f"{folder / spec.done}: expected a scene of this data set, got one made to another spec")
        scenes.append(content)
    splits = {split: [spec.name for spec in specs if spec.split == split] for split in ("train", "val")}
    maps = {location_of(spec.town_seed): mask_name(spec.town_seed) for spec in specs}
    save_occ3d_index(folder, {spec.name: scene["occ3d"] for spec, scene in zip(specs, scenes, strict=True)}, splits)
    # The devkit keeps the names "train" and "val" for its own scenes.
    named = {f"synth_{name}": names for name, names in splits.items()}
    return save_nuscenes(folder, [scene["rows"] for scene in scenes], maps, named)


def _seed(*path: object) -> int:
    return int(hashlib.sha256("/".join(map(str, path)).encode()).hexdigest()[:7], 16)


@lru_cache(maxsize=1)  # scenes of one town usually follow one another
def _voxelizer(town_seed: int, size: float) -> Voxelizer:
    return Voxelizer(make_town(town_seed, size=size))
