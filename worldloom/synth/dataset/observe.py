"""What the sensors of a driving car record in a town, as the files of a data set, and what they see of each box."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.lidar import lidarseg_from_occ3d, save_lidar, save_lidar_labels
from worldloom.geometry.io.nuscenes_tables import (
    CATEGORIES,
    VERSION,
    Recording,
    SensorMount,
    sample_data_token,
)
from worldloom.synth.dataset.annotate import Boxed
from worldloom.synth.road_users.catalogue import nuscenes_category
from worldloom.synth.sensors.keyframe_cameras import camera_pictures
from worldloom.synth.sensors.rig import nuscenes_like_rig
from worldloom.synth.sensors.sweep import Sweep, lidar_sweep
from worldloom.synth.sensors.visibility import visibility_level, visible_shares
from worldloom.synth.traffic.drive import Drive
from worldloom.synth.voxels.gathered import users_at
from worldloom.synth.voxels.voxelize import Voxelizer, placed_thing

LIDAR = "LIDAR_TOP"


@dataclass(frozen=True)
class Sensors:
    """What is recorded: LiDAR sweeps with labels, and pictures of the cameras."""

    lidar: bool = True
    picture_width: int | None = None  # pixels; None: no pictures


@dataclass(frozen=True)
class Observed:
    """Records of one drive for the tables, poses in the town's frame."""

    mounts: tuple[SensorMount, ...]
    recordings: tuple[Recording, ...]
    lidarseg: list[dict[str, Any]]  # rows of the table of that name
    visibility: Int[Tensor, "a t"]  # nuScenes' levels of the boxes
    num_lidar_points: Int[Tensor, "a t"]  # 0 where no sweep was taken


class _Scene:
    """One frame of a drive, ready for rays: what stands in the town, then who moves."""

    def __init__(self, voxelizer: Voxelizer, drive: Drive, frame: int) -> None:
        static = voxelizer.caster
        users = users_at(drive, frame)
        self.caster = static.with_moving([placed_thing(user) for user, _ in users])
        self._first_standing = len(static.world.things) - len(voxelizer.standing)
        self._instance_of_user = {number: len(static.world.things) + i for i, (_, number) in enumerate(users)}
        self._users = [*voxelizer.standing, *(user for user, _ in users)]

    def instances(self, boxed: Iterable[Boxed]) -> Int[Tensor, " a"]:
        """Numbers of boxed things in the caster's world."""
        return torch.tensor(
            [self._first_standing + b.number if b.speed is None else self._instance_of_user[b.number] for b in boxed],
            dtype=torch.int64,
        )

    def lidarseg(self, sweep: Sweep) -> UInt8[Tensor, " n"]:
        """nuScenes-lidarseg's number of each point: the category of its road user, else that of its class."""
        categories = [CATEGORIES.index(nuscenes_category(user.kind, user.variant)) for user in self._users]
        user = sweep.instance - self._first_standing
        own = torch.tensor([*categories, 0], dtype=torch.uint8)[user.clamp(min=-1)]
        return torch.where(user >= 0, own, lidarseg_from_occ3d(sweep.labels))


def observe(
    folder: Path,
    scene_name: str,
    voxelizer: Voxelizer,
    drive: Drive,
    boxed: Sequence[Boxed],
    timestamps_us: Sequence[int],
    sensors: Sensors,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Observed:
    """Record every frame of a drive: `samples/<channel>/…` and `lidarseg/…` below `folder`.

    Without sweeps and pictures the rows of the LiDAR are there all the same, because the ego's poses hang on them; the
    files they name are then not.
    """
    rig = nuscenes_like_rig()
    if sensors.picture_width is not None:
        rig = rig.scaled(sensors.picture_width)
    mounts = [SensorMount(LIDAR, rig.ego_from_lidar.double())]
    if sensors.picture_width is not None:
        mounts += [SensorMount(name, c.ego_from_cam.double(), c.K.double(), c.size) for name, c in rig.cameras.items()]
    shares = torch.zeros(len(boxed), len(drive))
    points = torch.zeros(len(boxed), len(drive), dtype=torch.int64)
    recordings, lidarseg = [], []
    for mount in mounts:
        (folder / "samples" / mount.channel).mkdir(parents=True, exist_ok=True)
    if sensors.lidar:
        (folder / "lidarseg" / VERSION).mkdir(parents=True, exist_ok=True)
    for frame in range(len(drive)):
        time, pose = timestamps_us[frame], drive.world_from_ego[frame].double()
        scene = _Scene(voxelizer, drive, frame)
        rows = [i for i, box in enumerate(boxed) if box.trajectory.present[frame]]
        instances = scene.instances(boxed[i] for i in rows)
        cameras = torch.stack([pose @ camera.ego_from_cam.double() for camera in rig.cameras.values()])
        shares[rows, frame] = visible_shares(scene.caster, instances, cameras)
        for mount in mounts:
            recordings.append(Recording(mount.channel, _file_name(scene_name, mount, time), time, pose, frame))
        if sensors.picture_width is not None:
            pictures = camera_pictures(scene.caster, pose, rig, sensors.picture_width, seed + frame)
            for mount in mounts[1:]:
                save_image(folder / _file_name(scene_name, mount, time), pictures[mount.channel].rgb)
        if sensors.lidar:
            sweep = lidar_sweep(scene.caster, pose, rig, seed + frame)
            seen = sweep.instance.clamp(min=0)
            points[rows, frame] = torch.bincount(seen, minlength=len(scene.caster.world.things))[instances]
            save_lidar(folder / _file_name(scene_name, mounts[0], time), sweep.points)
            lidarseg.append(_save_labels(folder, scene_name, time, scene.lidarseg(sweep)))
        progress((frame + 1) / len(drive))
    recordings.sort(key=lambda r: r.channel)  # stable: each channel in order of time
    return Observed(tuple(mounts), tuple(recordings), lidarseg, visibility_level(shares), points)


def _save_labels(folder: Path, scene_name: str, time: int, labels: UInt8[Tensor, " n"]) -> dict[str, Any]:
    """Write the labels of a sweep; returns the row of the table lidarseg."""
    data = sample_data_token(scene_name, LIDAR, time)
    name = f"lidarseg/{VERSION}/{data}_lidarseg.bin"
    save_lidar_labels(folder / name, labels)
    return {"token": data, "sample_data_token": data, "filename": name}


def _file_name(scene_name: str, mount: SensorMount, time: int) -> str:
    ending = "pcd.bin" if mount.K is None else "jpg"
    return f"samples/{mount.channel}/{scene_name}__{mount.channel}__{time}.{ending}"
