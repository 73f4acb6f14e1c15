"""Tables of a small scene whose every number is known, read back by our own reader."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, Trajectory, compose, rotz
from worldloom.geometry.io import load_ego_path, load_nuscenes, save_image
from worldloom.geometry.io.nuscenes_tables import (
    CATEGORIES,
    TABLES,
    RecordedScene,
    Recording,
    Rows,
    SensorMount,
    Track,
    save_nuscenes,
    scene_rows,
)

START = 1_500_000_000_000_000
K = torch.tensor([[400.0, 0, 320], [0, 400, 180], [0, 0, 1]]).double()
FORWARD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]).double()  # ego_from_cam of a camera that looks along x


def pose(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Tensor:
    return compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor([x, y, z], dtype=torch.float64))


def make_scene(name: str = "scene-0001", location: str = "town-0007") -> RecordedScene:
    """Three key frames: the ego drives north (+y), 4 m a step; a car comes and goes, a walker turns left and right."""
    start = START + 100_000_000 * int(name[-4:])
    times = tuple(start + 500_000 * i for i in range(3))
    ego = [pose(100.0, 200.0 + 4 * i, 0.0, math.pi / 2) for i in range(3)]
    recordings = [
        Recording("LIDAR_TOP", f"samples/LIDAR_TOP/{name}-{i}.pcd.bin", times[i], ego[i], i) for i in range(3)
    ]
    recordings.insert(
        1,
        Recording(
            "LIDAR_TOP", f"sweeps/LIDAR_TOP/{name}.pcd.bin", start + 250_000, pose(100, 202, 0, math.pi / 2), 1, False
        ),
    )
    recordings += [Recording("CAM_FRONT", f"samples/CAM_FRONT/{name}-{i}.jpg", times[i], ego[i], i) for i in range(3)]
    car = Trajectory(
        torch.stack([pose(90, 1 / 3, 0.8), pose(90, 230, 0.8, math.pi / 2), pose(90, 235.1, 0.8, math.pi / 2)]),
        torch.tensor([False, True, True]),
        OCC3D_CLASSES.index("car"),
        (4.6, 1.9, 1.6),
        0.5,
    )
    yaws = (0.3, -0.3, 3.1)
    walker = Trajectory(
        torch.stack([pose(110, 210 + 0.7 * i, 0.9, yaw) for i, yaw in enumerate(yaws)]),
        torch.tensor([True, True, True]),
        OCC3D_CLASSES.index("pedestrian"),
        (0.5, 0.6, 1.8),
        0.5,
    )
    full, points = torch.tensor([4, 4, 4]), torch.tensor([0, 7, 9])
    return RecordedScene(
        name=name,
        description="north",
        location=location,
        date="2026-01-01",
        vehicle="synth",
        timestamps_us=times,
        mounts=(
            SensorMount("LIDAR_TOP", pose(0.9, 0, 1.8, -math.pi / 2)),
            SensorMount("CAM_FRONT", compose(FORWARD, torch.tensor([1.5, 0, 1.5]).double()), K, (360, 640)),
        ),
        recordings=tuple(recordings),
        tracks=(
            Track("car-1", "vehicle.car", car, ("", "vehicle.parked", "vehicle.moving"), full, points),
            Track("walker-1", "human.pedestrian.adult", walker, ("pedestrian.moving",) * 3, full, points),
        ),
    )


def write(root: Path, scenes: list[RecordedScene], **options: Any) -> Path:
    (root / "maps").mkdir(parents=True, exist_ok=True)
    maps = {scene.location: f"maps/{scene.location}.png" for scene in scenes}
    for file in maps.values():
        save_image(root / file, torch.ones(3, 10, 10))
    splits = {"train": [scenes[0].name], "val": [scene.name for scene in scenes[1:]]}
    save_nuscenes(root, [scene_rows(scene) for scene in scenes], maps, splits, **options)
    return root


def read(root: Path) -> Rows:
    return {file.stem: json.loads(file.read_text()) for file in (root / "v1.0-synth").glob("*.json")}


def test_what_is_written_comes_back(tmp_path: Path):
    scene = make_scene()
    (back,) = load_nuscenes(write(tmp_path, [scene]))
    assert (back.name, back.description) == (scene.name, "north")
    assert [k.timestamp_us for k in back.keyframes] == list(scene.timestamps_us)
    for keyframe, written in zip(back.keyframes, scene.recordings[-3:], strict=True):
        torch.testing.assert_close(keyframe.world_from_ego, written.world_from_ego, atol=1e-12, rtol=0)
        photo = keyframe.cameras["CAM_FRONT"]
        assert photo.image == tmp_path / written.filename
        world_from_cam = written.world_from_ego @ scene.mounts[1].ego_from_sensor
        torch.testing.assert_close(photo.camera.world_from_cam, world_from_cam.float())
        assert photo.camera.size == (360, 640)
        assert photo.camera.K.tolist() == K.tolist()
    walker, car = sorted(back.actors, key=lambda actor: actor.category)
    for actor, track in ((car, scene.tracks[0]), (walker, scene.tracks[1])):
        present = track.trajectory.present
        assert actor.category == track.category
        assert actor.trajectory.label == track.trajectory.label
        assert actor.trajectory.extent == track.trajectory.extent
        assert actor.trajectory.dt == track.trajectory.dt
        assert actor.trajectory.present.tolist() == present.tolist()
        torch.testing.assert_close(
            actor.trajectory.world_from_actor[present], track.trajectory.world_from_actor[present].float()
        )
    torch.testing.assert_close(load_ego_path(tmp_path).steps()[:, 0], torch.tensor([4.0, 4.0]), atol=1e-4, rtol=0)


def test_boxes_by_hand(tmp_path: Path):
    """Order of sizes, of quaternions and the sign of yaw, where no reader of ours can hide a slip."""
    tables = read(write(tmp_path, [make_scene()]))
    parked, moving = (box for box in tables["sample_annotation"] if box["size"] == [1.9, 4.6, 1.6])  # w, l, h
    assert parked["translation"] == [90.0, 230.0, 0.8]
    w, x, y, z = moving["rotation"]
    assert (x, y) == (0, 0)
    facing = (1 - 2 * z * z, 2 * w * z)  # the x axis of a box turned left by 90 degrees faces +y
    np.testing.assert_allclose(facing, (0, 1), atol=1e-15)
    assert moving["translation"][1] == 235.1  # float64: all digits
    assert (parked["prev"], parked["next"]) == ("", moving["token"])
    assert (moving["prev"], moving["next"]) == (parked["token"], "")
    assert (parked["num_lidar_pts"], moving["num_lidar_pts"], parked["visibility_token"]) == (7, 9, "4")
    attribute = {record["token"]: record["name"] for record in tables["attribute"]}
    assert [attribute[box["attribute_tokens"][0]] for box in (parked, moving)] == ["vehicle.parked", "vehicle.moving"]
    lidar = next(c for c in tables["calibrated_sensor"] if not c["camera_intrinsic"])
    np.testing.assert_allclose(lidar["rotation"], [math.sqrt(0.5), 0, 0, -math.sqrt(0.5)], atol=1e-15)


def test_every_token_leads_somewhere(tmp_path: Path):
    scenes = [make_scene("scene-0001"), make_scene("scene-0002"), make_scene("scene-0003", "town-0008")]
    tables = read(write(tmp_path, scenes))
    assert {*tables} == {*TABLES, "splits"}
    by_token = {name: {record["token"]: record for record in tables[name]} for name in TABLES}
    for name in TABLES:
        assert len(by_token[name]) == len(tables[name]), f"a token twice in {name}"
        for record in tables[name]:
            assert len(record["token"]) == (1 if name == "visibility" else 32)
            for key, value in record.items():
                if key in ("prev", "next"):
                    assert value == "" or value in by_token[name]
                elif key.endswith(("_token", "_tokens")):
                    table = {"first_sample_token": "sample", "last_sample_token": "sample"}.get(key)
                    table = table or ("sample_annotation" if "annotation" in key else key.rsplit("_token", 1)[0])
                    for token in value if isinstance(value, list) else [value]:
                        assert token in by_token[table], (name, key)
    # Chains: each way the same, times rise, and both ends are where the records say.
    for name in ("sample", "sample_data", "sample_annotation"):
        for record in tables[name]:
            if record["next"]:
                later = by_token[name][record["next"]]
                assert later["prev"] == record["token"]
                assert "timestamp" not in record or later["timestamp"] > record["timestamp"]
    for instance in tables["instance"]:
        boxes = [box for box in tables["sample_annotation"] if box["instance_token"] == instance["token"]]
        assert len(boxes) == instance["nbr_annotations"]
        assert (boxes[0]["token"], boxes[0]["prev"]) == (instance["first_annotation_token"], "")
        assert (boxes[-1]["token"], boxes[-1]["next"]) == (instance["last_annotation_token"], "")
    # One log and one map for each town, each log in exactly one map.
    assert sorted(log["location"] for log in tables["log"]) == ["town-0007", "town-0008"]
    assert sorted(token for record in tables["map"] for token in record["log_tokens"]) == sorted(by_token["log"])
    assert [category["index"] for category in tables["category"]] == list(range(32))
    assert all(isinstance(record["timestamp"], int) for record in tables["sample_data"] + tables["ego_pose"])
    assert tables["splits"] == {"train": ["scene-0001"], "val": ["scene-0002", "scene-0003"]}
    sweep = [record for record in tables["sample_data"] if not record["is_key_frame"]]
    assert len(sweep) == 3
    assert all(by_token["sample"][record["sample_token"]]["timestamp"] > record["timestamp"] for record in sweep)
    assert {(record["fileformat"], record["height"], record["width"]) for record in tables["sample_data"]} == {
        ("pcd", 0, 0),
        ("jpg", 360, 640),
    }


def test_same_scenes_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write(tmp_path / name, [make_scene("scene-0001"), make_scene("scene-0002")])
    write(tmp_path / "b", [make_scene("scene-0001"), make_scene("scene-0002")])  # over what is there
    files = sorted(file.name for file in (tmp_path / "a/v1.0-synth").iterdir())
    assert files == sorted(file.name for file in (tmp_path / "b/v1.0-synth").iterdir())
    for file in files:
        assert (tmp_path / "a/v1.0-synth" / file).read_bytes() == (tmp_path / "b/v1.0-synth" / file).read_bytes()


def test_one_who_never_appears_is_no_instance(tmp_path: Path):
    scene = make_scene()
    ghost = replace(scene.tracks[0].trajectory, present=torch.zeros(3, dtype=torch.bool))
    scene = replace(scene, tracks=(replace(scene.tracks[0], trajectory=ghost), scene.tracks[1]))
    assert [actor.category for actor in load_nuscenes(write(tmp_path, [scene]))[0].actors] == ["human.pedestrian.adult"]


def test_words_are_those_that_the_reader_knows():
    from worldloom.geometry.io.nuscenes import _CLASS_OF_CATEGORY

    assert {*_CLASS_OF_CATEGORY} <= {*CATEGORIES}


def test_interrupted_writing_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk in the middle: the folder has no scene.json and no half file; writing again mends it."""
    write(tmp_path, [make_scene()])
    before = read(tmp_path)
    write_text, written = Path.write_text, []

    def full_disk(path: Path, text: str) -> int:
        written.append(path)
        if len(written) > 6:
            write_text(path, text[: len(text) // 2])
            raise OSError(28, "No space left on device")
        return write_text(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, [make_scene(), make_scene("scene-0002")])
    for file in (tmp_path / "v1.0-synth").iterdir():
        json.loads(file.read_text())
        assert not file.name.startswith(".")
    with pytest.raises(InputError, match="expected one version folder"):
        load_nuscenes(tmp_path)
    write(tmp_path, [make_scene()])
    assert read(tmp_path) == before


def change(**fields: Any):
    return lambda scene: replace(scene, **fields)


def change_track(**fields: Any):
    return lambda scene: replace(scene, tracks=(replace(scene.tracks[0], **fields), scene.tracks[1]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(name="../evil"), "a plain name .*, got '../evil'"),
        (change(name=""), "a plain name"),
        (change(name=".hidden"), "a plain name"),
        (change(name="a\nb"), "a plain name"),
        (change(name="scene-0001\n"), "a plain name"),
        (change(location="town/7"), "a plain name"),
        (change(timestamps_us=(5, 5, 6)), "rising times of key frames"),
        (change(timestamps_us=()), "rising times of key frames"),
        (lambda s: replace(s, mounts=s.mounts[:1]), "recordings of .*got CAM_FRONT"),
        (lambda s: replace(s, mounts=s.mounts + s.mounts[:1]), "one mount for each channel"),
        (lambda s: replace(s, recordings=s.recordings[::-1]), "rising times of LIDAR_TOP"),
        (lambda s: replace(s, recordings=(replace(s.recordings[0], frame=3),)), "at frame 3"),
        (lambda s: replace(s, recordings=(replace(s.recordings[0], filename="../x.bin"),)), "a relative path"),
        (lambda s: replace(s, recordings=(replace(s.recordings[0], filename="/x.bin"),)), "a relative path"),
        (lambda s: replace(s, tracks=s.tracks * 2), "tracks of different names"),
        (change_track(category="vehicle.spaceship"), "words of nuScenes, got vehicle.spaceship"),
        (change_track(attributes=("", "flying", "")), "words of nuScenes"),
        (change_track(attributes=("",)), "expected 3 frames throughout"),
        (change_track(visibility=torch.tensor([4, 0, 4])), "visibility 1..4"),
    ],
)
def test_hostile_scenes(edit: Any, message: str):
    with pytest.raises(InputError, match=message) as error:
        scene_rows(edit(make_scene()))
    assert "\n" not in str(error.value)


def test_scenes_that_do_not_fit_together(tmp_path: Path):
    write(tmp_path, [make_scene()])
    rows, maps = scene_rows(make_scene()), {"town-0007": "maps/town-0007.png"}
    with pytest.raises(InputError, match="scenes of different names"):
        save_nuscenes(tmp_path, [rows, rows], maps, {})
    with pytest.raises(InputError, match="at least one, got 0"):
        save_nuscenes(tmp_path, [], maps, {})
    with pytest.raises(InputError, match="splits of the scenes that are written, got 'scene-0002'"):
        save_nuscenes(tmp_path, [rows], maps, {"val": ["scene-0002"]})
    with pytest.raises(InputError, match="got none for 'town-0007'"):
        save_nuscenes(tmp_path, [rows], {}, {})
    with pytest.raises(InputError, match="a plain name for a version folder"):
        save_nuscenes(tmp_path, [rows], maps, {}, version="../v1.0")
    with pytest.raises(InputError, match="a relative path inside"):
        save_nuscenes(tmp_path, [rows], {"town-0007": "../maps/town.png"}, {})
    other = make_scene("scene-0002")
    with pytest.raises(InputError, match="start at different times, got 2 at 1"):
        save_nuscenes(tmp_path, [rows, scene_rows(replace(make_scene(), name="scene-0002"))], maps, {})
    moved = replace(other, mounts=(replace(other.mounts[0], ego_from_sensor=pose(0, 0, 9)), other.mounts[1]))
    with pytest.raises(InputError, match=r"calibrated_sensor: expected one record for token .* got two that differ"):
        save_nuscenes(tmp_path, [rows, scene_rows(moved)], maps, {})
    shutil.rmtree(tmp_path / "maps")
    with pytest.raises(InputError, match="expected the mask of 'town-0007', got no such file"):
        save_nuscenes(tmp_path, [rows], maps, {})
