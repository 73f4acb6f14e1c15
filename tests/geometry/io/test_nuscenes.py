"""nuScenes tables, written here by hand, and the pose convention of a real frame."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, apply, invert, quat_from_rotmat, rotz
from worldloom.geometry.io import load_ego_path, load_nuscenes
from worldloom.geometry.io.pose_check import matrix_from_record

K = [[1000.0, 0, 800], [0, 1000.0, 450], [0, 0, 1]]
CAM_QUAT = [0.5, -0.5, 0.5, -0.5]  # ego_from_cam of a camera that looks along the ego's x: z to x, x to -y, y to -z
HALF = math.sqrt(0.5)


def make_tables() -> dict[str, list[dict[str, Any]]]:
    """One scene of three samples: the ego drives 2 m a step to the north (+y of the world), heading along it."""
    tables: dict[str, list[dict[str, Any]]] = {
        "scene": [
            {"token": "sc", "name": "scene-0001", "description": "north", "nbr_samples": 3}
            | {"first_sample_token": "s0", "last_sample_token": "s2", "log_token": "lg"}
        ],
        "sensor": [
            {"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"},
            {"token": "front", "channel": "CAM_FRONT", "modality": "camera"},
        ],
        "calibrated_sensor": [
            {"token": "cl", "sensor_token": "lidar", "translation": [1, 0, 2], "rotation": [1, 0, 0, 0]}
            | {"camera_intrinsic": []},
            {"token": "cf", "sensor_token": "front", "translation": [1.5, 0, 1.5], "rotation": CAM_QUAT}
            | {"camera_intrinsic": K},
        ],
        "category": [{"token": "car", "name": "vehicle.car"}, {"token": "dog", "name": "animal"}],
        "instance": [
            {"token": "i0", "category_token": "car", "nbr_annotations": 2},
            {"token": "i1", "category_token": "dog", "nbr_annotations": 1},
        ],
        **{name: [] for name in ("sample", "sample_data", "ego_pose", "sample_annotation")},
    }
    for i in range(3):
        time = 1_500_000_000_000_000 + 500_000 * i
        link = {"prev": f"s{i - 1}" if i else "", "next": f"s{i + 1}" if i < 2 else ""}
        tables["sample"].append({"token": f"s{i}", "timestamp": time, "scene_token": "sc", **link})
        for sensor, late in (("lidar", 0.0), ("front", 0.1)):
            name = f"{sensor}{i}"
            pose = {"translation": [100.0, 200 + 2 * i + late, 0], "rotation": [HALF, 0, 0, HALF]}
            tables["ego_pose"].append({"token": f"e{name}", "timestamp": time, **pose})
            tables["sample_data"].append(
                {"token": f"d{name}", "sample_token": f"s{i}", "ego_pose_token": f"e{name}", "is_key_frame": True}
                | {"calibrated_sensor_token": "cl" if sensor == "lidar" else "cf", "timestamp": time + int(1e6 * late)}
                | {"filename": f"samples/{name}.jpg", "height": 900, "width": 1600}
            )
        tables["sample_data"].append(tables["sample_data"][-1] | {"token": f"sweep{i}", "is_key_frame": False})
    box = {"size": [1.8, 4.5, 1.5], "rotation": [1, 0, 0, 0], "visibility_token": "4"}
    tables["sample_annotation"] = [
        {"token": "a2", "sample_token": "s2", "instance_token": "i0", "translation": [100, 230.0, 0.75], **box},
        {"token": "a1", "sample_token": "s1", "instance_token": "i0", "translation": [100, 225.0, 0.75], **box},
        {"token": "b0", "sample_token": "s0", "instance_token": "i1", "translation": [90, 200.0, 0.3], **box},
    ]
    return tables


def write(root: Path, tables: dict[str, Any], version: str = "v1.0-mini") -> Path:
    (root / version).mkdir(parents=True, exist_ok=True)
    for name, records in tables.items():
        (root / version / f"{name}.json").write_text(json.dumps(records))
    return root


def test_keyframes_cameras_and_boxes(tmp_path: Path):
    (scene,) = load_nuscenes(write(tmp_path, make_tables()), "v1.0-mini")
    assert (scene.name, scene.description, [k.token for k in scene.keyframes]) == (
        "scene-0001",
        "north",
        ["s0", "s1", "s2"],
    )
    frame = scene.keyframes[1]
    # The LiDAR's pose, not the camera's; its x axis points to the world's +y.
    torch.testing.assert_close(frame.world_from_ego[:3, 3], torch.tensor([100.0, 202.0, 0.0]).double())
    torch.testing.assert_close(frame.world_from_ego[:3, 0], torch.tensor([0.0, 1.0, 0.0]).double(), atol=1e-12, rtol=0)
    photo = frame.cameras["CAM_FRONT"]
    assert photo.image == tmp_path / "samples/front1.jpg"
    assert photo.timestamp_us == frame.timestamp_us + 100_000
    assert photo.camera.size == (900, 1600)
    assert photo.camera.K.tolist() == K
    # The camera stands 1.5 m ahead of where the ego was when it exposed, and looks north.
    torch.testing.assert_close(photo.camera.world_from_cam[:3, 3], torch.tensor([100.0, 203.6, 1.5]))
    torch.testing.assert_close(photo.camera.world_from_cam[:3, 2], torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(photo.camera.world_from_cam[:3, 1], torch.tensor([0.0, 0.0, -1.0]))


def test_actors_over_time(tmp_path: Path):
    (scene,) = load_nuscenes(write(tmp_path, make_tables()))
    dog, car = scene.actors  # in order of appearance
    assert (dog.category, dog.trajectory.label) == ("animal", 0)
    assert OCC3D_CLASSES[car.trajectory.label] == "car"
    assert car.trajectory.present.tolist() == [False, True, True]
    assert car.trajectory.extent == (4.5, 1.8, 1.5)  # length, width, height
    assert car.trajectory.world_from_actor[:, 1, 3].tolist() == [225, 225, 230]  # absent: the nearest in time
    assert car.trajectory.dt == 0.5


def test_ego_path_of_a_scene(tmp_path: Path):
    tables = make_tables()
    path = load_ego_path(write(tmp_path, tables))
    torch.testing.assert_close(path.steps(), torch.tensor([[2.0, 0, 0]] * 2), atol=1e-4, rtol=0)
    tables["scene"].append(tables["scene"][0] | {"token": "other", "name": "scene-0002"})
    write(tmp_path, tables)
    with pytest.raises(InputError, match="expected a sample of 'other'"):
        load_ego_path(tmp_path)
    assert len(load_ego_path(tmp_path, scene="scene-0001")) == 3
    with pytest.raises(InputError, match="scenes of this version, got 'scene-0003'"):
        load_ego_path(tmp_path, scene="scene-0003")


def change(table: str, index: int, **fields: Any):
    def apply_to(tables: dict[str, Any]) -> None:
        tables[table][index].update(fields)

    return apply_to


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change("sample_data", 0, ego_pose_token="gone"), "ego_pose_token to be in ego_pose.json, got 'gone'"),
        (change("sample_data", 0, calibrated_sensor_token=5), "a text 'calibrated_sensor_token', got '5'"),
        (change("instance", 0, category_token="gone"), "category_token to be in category.json"),
        (change("scene", 0, first_sample_token="gone"), "first_sample_token to be in sample.json"),
        (change("scene", 0, nbr_samples=5), "5 samples up to last_sample_token, got 3"),
        (change("scene", 0, nbr_samples="3"), "a whole number 'nbr_samples'"),
        (change("sample", 2, next="s0"), "3 samples, got a longer or endless chain"),
        (change("sample", 1, timestamp=5), "rising times"),
        (change("sample", 1, scene_token="x"), "a sample of 'sc'"),
        (change("ego_pose", 0, rotation=[1, 1, 1, 1]), "a unit quaternion"),
        (change("ego_pose", 0, translation=[1, None, 2]), "3 finite numbers"),
        (change("calibrated_sensor", 1, camera_intrinsic=[]), "camera_intrinsic: expected 3 x 3 finite numbers"),
        (change("sample_data", 1, filename="../../etc/passwd"), "a relative path inside"),
        (change("sample_data", 1, filename="/etc/passwd"), "a relative path inside"),
        (change("sample_data", 1, height=0), "a size in pixels"),
        (change("sample_annotation", 1, size=[1, 2]), "size: expected 3 finite numbers"),
        (lambda tables: tables.update(sample={"token": "s0"}), "an array as JSON, got dict"),
        (lambda tables: tables.update(sample=[1]), "records with a token"),
        (lambda tables: tables.update(sample_data=[]), "a key frame, got none"),
    ],
)
def test_broken_tables(tmp_path: Path, edit: Any, message: str):
    tables = make_tables()
    edit(tables)
    with pytest.raises(InputError, match=message) as caught:
        load_nuscenes(write(tmp_path, tables))
    assert "\n" not in str(caught.value)


def test_missing_tables_and_versions(tmp_path: Path):
    with pytest.raises(InputError, match=r"one version folder with scene\.json, got none"):
        load_nuscenes(tmp_path)
    write(tmp_path, make_tables(), "v1.0-mini")
    write(tmp_path, make_tables(), "v1.0-synth")
    with pytest.raises(InputError, match=r"got v1\.0-mini, v1\.0-synth"):
        load_nuscenes(tmp_path)
    (tmp_path / "v1.0-mini/category.json").unlink()
    with pytest.raises(InputError, match=r"category\.json: expected an array as JSON"):
        load_nuscenes(tmp_path, "v1.0-mini")
    with pytest.raises(InputError, match="a relative path inside"):
        load_nuscenes(tmp_path, "../v1.0-mini")


def test_poses_of_a_real_frame(test_data: Path):
    """Ground truth boxes of the frame project into its cameras only if all conventions are right."""
    frame = json.loads((test_data / "nuscenes_frame/frame.json").read_text())
    ego_from_cam = torch.tensor(frame["cameras"]["CAM_FRONT"]["cam2ego"], dtype=torch.float64)
    world_from_ego = torch.tensor(frame["ego2global"], dtype=torch.float64)
    for matrix in (ego_from_cam, world_from_ego):
        record = {"translation": matrix[:3, 3].tolist(), "rotation": quat_from_rotmat(matrix[:3, :3]).tolist()}
        np.testing.assert_allclose(matrix_from_record(record, "record"), matrix, atol=1e-6)
    # In camera axes a box ahead of the ego has positive depth, and one to the left a negative x.
    ahead = apply(invert(ego_from_cam), torch.tensor([[20.0, 5.0, 0.0]]).double())[0]
    assert ahead[2] > 15
    assert ahead[0] < -4
    assert ahead[1] > 1  # the ground is below the camera


def test_real_drive_in_tables(tmp_path: Path, test_data: Path):
    """A real path through quaternions and tables comes back as it was."""
    raw = np.load(next((test_data / "ego_paths").glob("scene_b*.npz")), allow_pickle=False)
    poses = torch.from_numpy(raw["world_from_ego"])
    tables = make_tables()
    count = len(poses)
    tables["sample"] = [
        {"token": f"s{i}", "timestamp": int(raw["timestamps"][i]), "scene_token": "sc"}
        | {"prev": f"s{i - 1}" if i else "", "next": f"s{i + 1}" if i + 1 < count else ""}
        for i in range(count)
    ]
    tables["scene"][0].update(nbr_samples=count, last_sample_token=f"s{count - 1}")
    quats = quat_from_rotmat(poses[:, :3, :3]).tolist()
    tables["ego_pose"] = [
        {"token": f"e{i}", "translation": poses[i, :3, 3].tolist(), "rotation": quats[i]} for i in range(count)
    ]
    lidar = tables["sample_data"][0]
    tables["sample_data"] = [
        lidar | {"token": f"d{i}", "sample_token": f"s{i}", "ego_pose_token": f"e{i}"} for i in range(count)
    ]
    tables["sample_annotation"] = []
    (scene,) = load_nuscenes(write(tmp_path, tables))
    torch.testing.assert_close(torch.stack([k.world_from_ego for k in scene.keyframes]), poses, atol=1e-6, rtol=1e-9)
    heading = poses[:, :3, 0]
    torch.testing.assert_close(
        heading[0, :2], rotz(torch.atan2(heading[0, 1], heading[0, 0]))[:2, 0], atol=1e-3, rtol=0
    )
