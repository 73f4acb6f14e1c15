"""A data set of short drives through a small town: read back, made again, interrupted, and made in another order."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("embreex", reason="rays need the extra `synth`")

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, invert, rotmat_from_quat
from worldloom.geometry.io import load_ego_path, load_image, load_nuscenes, load_occ3d_scene
from worldloom.geometry.io.lidar import load_lidar, save_lidar
from worldloom.geometry.io.nuscenes_tables import RecordedScene, nuscenes_token, save_nuscenes, scene_rows
from worldloom.synth.dataset.annotate import RANGE, boxed_things
from worldloom.synth.dataset.observe import Sensors, observe
from worldloom.synth.dataset.scenes import SceneSpec, add_cameras, every, merge_scenes, plan_scenes, write_drive
from worldloom.synth.towns.town_files import global_from_town, save_town
from worldloom.synth.traffic.drive import Drive, drive_town
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.voxelize import Voxelizer

SPECS = [
    SceneSpec(1, 0, 4, "train", 0.5, 200.0, Sensors(True)),
    SceneSpec(2, 0, 5, "val", 0.5, 200.0, Sensors(True)),
]
# Where the cameras are on the car, metres from the middle of its rear axle: ahead, to the left, above the ground.
MOUNTS = {
    "CAM_FRONT": (1.7, 0.0, 1.5),
    "CAM_FRONT_RIGHT": (1.5, -0.5, 1.5),
    "CAM_BACK_RIGHT": (1.0, -0.5, 1.6),
    "CAM_BACK": (0.0, 0.0, 1.6),
    "CAM_BACK_LEFT": (1.0, 0.5, 1.6),
    "CAM_FRONT_LEFT": (1.5, 0.5, 1.5),
}


@pytest.fixture(scope="module")
def voxelizer(small_town: Any) -> Voxelizer:
    return Voxelizer(small_town)


@pytest.fixture(scope="module")
def drives(voxelizer: Voxelizer) -> list[Drive]:
    return [drive_town(voxelizer.town, spec.seconds, spec.drive_seed, STEP) for spec in SPECS]


def write_all(folder: Path, voxelizer: Voxelizer, drives: list[Drive], order: tuple[int, ...] = (0, 1)) -> Path:
    folder.mkdir(exist_ok=True)
    for i in order:
        save_town(folder, voxelizer.town)
        write_drive(folder, SPECS[i], voxelizer, drives[i])
    merge_scenes(folder, SPECS)
    return folder


@pytest.fixture(scope="module")
def root(voxelizer: Voxelizer, drives: list[Drive], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("data") / "set", voxelizer, drives)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_everything_is_there(root: Path):
    names = set(files(root))
    assert {"annotations.json", "v1.0-synth/splits.json", "tracks/scene-0001.npz", ".tables/scene-0002.json"} <= names
    assert {"opendrive/town-0000.xodr", "maps/expansion/town-0000.json"} <= names
    for table in ("sample_data", "lidarseg"):
        for record in json.loads((root / f"v1.0-synth/{table}.json").read_text()):
            assert record["filename"] in names
    assert json.loads((root / "v1.0-synth/splits.json").read_text()) == {
        "synth_train": ["scene-0001"],
        "synth_val": ["scene-0002"],
    }
    assert not [name for name in names if "/." in name]


def test_drives_come_back_exactly(root: Path, voxelizer: Voxelizer, drives: list[Drive]):
    placed = global_from_town(voxelizer.town)
    scenes = load_nuscenes(root)
    assert [scene.name for scene in scenes] == ["scene-0001", "scene-0002"]
    for scene, fine in zip(scenes, drives, strict=True):
        drive = every(fine, 5)
        assert [k.timestamp_us - scene.keyframes[0].timestamp_us for k in scene.keyframes] == [0, 500_000]
        poses = torch.stack([k.world_from_ego for k in scene.keyframes])
        torch.testing.assert_close(poses, placed @ drive.world_from_ego.double(), atol=1e-6, rtol=0)
        assert (poses[:, :2, 3] > 0).all()
        boxed = boxed_things(voxelizer.town, drive)
        by_name = {nuscenes_token("instance", scene.name, box.name): box for box in boxed}
        assert {actor.token for actor in scene.actors} == set(by_name)
        for actor in scene.actors:
            box = by_name[actor.token]
            assert actor.trajectory.label == OCC3D_CLASSES.index(box.kind)
            assert actor.trajectory.extent == box.trajectory.extent
            present = box.trajectory.present
            assert actor.trajectory.present.tolist() == present.tolist()
            written = (placed @ box.trajectory.world_from_actor.double())[present]
            torch.testing.assert_close(actor.trajectory.world_from_actor[present].double(), written, atol=1e-4, rtol=0)
            away = written[:, :2, 3] - poses[present][:, :2, 3]
            assert away.norm(dim=-1).max() <= RANGE


def test_tracks_are_the_drive(root: Path, voxelizer: Voxelizer, drives: list[Drive]):
    path = root / "tracks/scene-0001.npz"
    placed = global_from_town(voxelizer.town)
    ego = load_ego_path(path)
    assert (ego.dt, len(ego)) == (STEP, 6)
    torch.testing.assert_close(ego.world_from_ego, (placed @ drives[0].world_from_ego.double()).float())
    with np.load(path) as tracks:
        assert tracks["ids"].tolist() == [user.id for user in drives[0].users]
        for i, user in enumerate(drives[0].users):
            present = user.trajectory.present
            assert tracks["present"][i].tolist() == present.tolist()
            poses = (placed @ user.trajectory.world_from_actor.double())[present]
            np.testing.assert_allclose(tracks["centres"][i][present], poses[:, :3, 3], atol=1e-9)
            back = rotmat_from_quat(torch.from_numpy(tracks["rotations"][i][present.numpy()]))
            torch.testing.assert_close(back, poses[:, :3, :3], atol=1e-6, rtol=0)
            assert not tracks["velocities"][i][~present.numpy()].any()
            # Who moves goes where its velocity points, in metres a second.
            both = present[1:] & present[:-1]
            steps = np.diff(tracks["centres"][i], axis=0)[both, :2] / STEP
            np.testing.assert_allclose(steps, tracks["velocities"][i][1:][both, :2], atol=0.02)


def test_points_lie_in_their_boxes(root: Path):
    """num_lidar_pts counts points of the box's category that lie inside it, a few centimetres of noise aside: boxes,
    sweeps with their labels, poses and the LiDAR's mount agree."""
    tables = {f.stem: json.loads(f.read_text()) for f in (root / "v1.0-synth").glob("*.json") if f.stem != "splits"}
    mount = next(c for c in tables["calibrated_sensor"] if not c["camera_intrinsic"])
    pose = {record["token"]: record for record in tables["ego_pose"]}
    instances = {record["token"]: record["category_token"] for record in tables["instance"]}
    categories = {record["token"]: record["index"] for record in tables["category"]}
    told, checked = 0, 0
    for data in tables["sample_data"]:
        if data["fileformat"] != "pcd":
            continue
        points = load_lidar(root / data["filename"])[:, :3].double()
        points = moved(pose[data["ego_pose_token"]], moved(mount, points))
        labels = np.fromfile(root / f"lidarseg/v1.0-synth/{data['token']}_lidarseg.bin", dtype=np.uint8)
        assert len(labels) == len(points)
        for box in tables["sample_annotation"]:
            if box["sample_token"] == data["sample_token"] and box["num_lidar_pts"] >= 20:
                local = (points - torch.tensor(box["translation"])) @ rotmat_from_quat(
                    torch.tensor(box["rotation"], dtype=torch.float64)
                )
                width, length, height = box["size"]
                half = torch.tensor([length, width, height], dtype=torch.float64) / 2
                own = labels == categories[instances[box["instance_token"]]]
                inside = (local.abs() < half + 0.1).all(-1).numpy() & own
                told += box["num_lidar_pts"]
                checked += min(box["num_lidar_pts"], int(inside.sum()))
    assert told > 200
    assert checked > 0.99 * told


def moved(record: dict[str, Any], points: torch.Tensor) -> torch.Tensor:
    rotation = rotmat_from_quat(torch.tensor(record["rotation"], dtype=torch.float64))
    return points @ rotation.T + torch.tensor(record["translation"], dtype=torch.float64)


def test_labels_agree_with_boxes(root: Path):
    """Voxels of cars lie in boxes of cars, through the poses of annotations.json: one frame for all."""
    (scene, _) = load_nuscenes(root)
    occupancy = load_occ3d_scene(root / "gts/scene-0001", mask="lidar")
    assert (len(occupancy), occupancy.dt) == (2, 0.5)
    centres = occupancy.grid.centres().reshape(-1, 3).double()
    car = OCC3D_CLASSES.index("car")
    cars = [actor.trajectory for actor in scene.actors if actor.trajectory.label == car]
    total, inside = 0, 0
    for frame in range(2):
        voxels = centres[(occupancy.labels[frame] == car).flatten()]
        world = voxels @ occupancy.world_from_ego[frame, :3, :3].double().T + occupancy.world_from_ego[frame, :3, 3]
        hit = torch.zeros(len(world), dtype=torch.bool)
        for one in cars:
            if one.present[frame]:
                box_from_world = invert(one.world_from_actor[frame].double())
                local = world @ box_from_world[:3, :3].T + box_from_world[:3, 3]
                hit |= (local.abs() < torch.tensor(one.extent) / 2 + 0.35).all(-1)  # half a voxel's diagonal
        total, inside = total + len(world), inside + int(hit.sum())
    assert total > 20
    assert inside > 0.98 * total
    assert (occupancy.labels != FREE).any()


def test_pictures_are_where_the_tables_say(voxelizer: Voxelizer, drives: list[Drive], tmp_path: Path):
    first = every(drives[0], len(drives[0]))
    assert len(first) == 1
    seen = observe(tmp_path, "scene-0001", voxelizer, first, (), [7], Sensors(False, 16), seed=0)
    scene = RecordedScene("scene-0001", "", "town", "2026-01-01", "car", (7,), seen.mounts, seen.recordings, ())
    rows = scene_rows(scene)
    (tmp_path / "map.png").touch()
    save_nuscenes(tmp_path, [rows], {"town": "map.png"}, {})
    ((frame,),) = (scene.keyframes for scene in load_nuscenes(tmp_path))
    info: dict[str, Any] = {frame.token: {"camera_sensor": {}}}
    add_cameras(info, rows)
    entries = {entry["img_path"].split("/")[1]: entry for entry in info[frame.token]["camera_sensor"].values()}
    assert set(frame.cameras) == set(entries)
    yaw = {"FRONT": 0, "FRONT_LEFT": 55, "BACK_LEFT": 110, "BACK": 180, "BACK_RIGHT": -110, "FRONT_RIGHT": -55}
    for channel, photo in frame.cameras.items():
        assert load_image(photo.image).shape == (3, *photo.camera.size) == (3, 9, 16)
        assert photo.image == tmp_path / entries[channel]["img_path"]
        np.testing.assert_allclose(entries[channel]["intrinsic"], photo.camera.K, atol=1e-4)
        ahead = (invert(frame.world_from_ego) @ photo.camera.world_from_cam.double())[:2, 2]
        angle = math.radians(yaw[channel.removeprefix("CAM_")])
        np.testing.assert_allclose(ahead, [math.cos(angle), math.sin(angle)], atol=1e-5)
        # In annotations.json the extrinsic is the camera on its car, the ego's pose the car in the town.
        mount = rotmat_from_quat(torch.tensor(entries[channel]["extrinsic"]["rotation"], dtype=torch.float64))
        np.testing.assert_allclose(mount[:2, 2], [math.cos(angle), math.sin(angle)], atol=1e-5)
        np.testing.assert_allclose(entries[channel]["extrinsic"]["translation"], MOUNTS[channel], atol=1e-5)
        car = entries[channel]["ego_pose"]
        np.testing.assert_allclose(car["translation"], first.world_from_ego[0, :3, 3], atol=1e-4)
        back = rotmat_from_quat(torch.tensor(car["rotation"], dtype=torch.float64))
        np.testing.assert_allclose(back, first.world_from_ego[0, :3, :3], atol=1e-5)


def test_same_bytes_in_another_order(root: Path, voxelizer: Voxelizer, drives: list[Drive], tmp_path: Path):
    again = files(write_all(tmp_path / "again", voxelizer, drives, order=(1, 0)))
    assert again == files(root)


def test_a_full_disk_leaves_whole_files_and_writing_again_completes_them(
    root: Path, voxelizer: Voxelizer, drives: list[Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def fills_up(path: Path, content: Any) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save_lidar(path, content)

    save_town(tmp_path, voxelizer.town)
    with monkeypatch.context() as patch:
        patch.setattr("worldloom.synth.dataset.observe.save_lidar", fills_up)
        with pytest.raises(OSError, match="No space left"):
            write_drive(tmp_path, SPECS[1], voxelizer, drives[1])
    expected = files(root)
    written = files(tmp_path)
    assert len(written) > 5
    assert ".tables/scene-0002.json" not in written
    assert all(content == expected[name] for name, content in written.items())
    with pytest.raises(InputError, match=r"scene-0002\.json: expected an object as JSON"):
        merge_scenes(tmp_path, SPECS[1:])
    write_drive(tmp_path, SPECS[1], voxelizer, drives[1])
    again = files(tmp_path)
    assert {name for name in expected if "scene-0002" in name} <= set(again)
    assert all(content == expected[name] for name, content in again.items())


def test_scenes_of_another_plan_are_not_merged(root: Path):
    with pytest.raises(InputError, match="of this data set, got one made to another spec"):
        merge_scenes(root, [replace(SPECS[0], drive_seed=9)])


def test_plans():
    plan = plan_scenes(7, 2)
    assert [spec.name for spec in plan] == [f"scene-000{i}" for i in range(1, 7)]
    assert {spec.town_seed for spec in plan[:5]} == {7}
    assert plan[5].town_seed != 7  # no road is in both splits
    assert [spec.split for spec in plan] == ["train"] * 5 + ["val"]
    assert len({spec.drive_seed for spec in plan}) == 6
    assert plan_scenes(7, 1)[:3] == [replace(spec, split="train") for spec in plan[:3]]
    assert len(plan_scenes(7, 0.1)) == 1
    large = plan_scenes(7, 24)
    towns = {split: {spec.town_seed for spec in large if spec.split == split} for split in ("train", "val")}
    assert (len(large), len(towns["train"]), len(towns["val"])) == (72, 10, 2)
    assert not towns["train"] & towns["val"]  # what is validated on is not driven through in training


@pytest.mark.parametrize(("seed", "minutes"), [(7, 0), (7, -1.0), (7, math.inf), (7, math.nan), (-1, 1), (7, 1e6)])
def test_hostile_plans(seed: int, minutes: float):
    with pytest.raises(InputError) as error:
        plan_scenes(seed, minutes)
    assert "\n" not in str(error.value)
