"""Clips from every source are the same clips; windows are those of published protocols; what is wrong is named."""

import json
import math
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import (
    FREE,
    OCC3D_CLASSES,
    OCC3D_GRID,
    EgoPath,
    Occupancy,
    compose,
    invert,
    quat_from_rotmat,
    rotz,
)
from worldloom.geometry.io import save_occ3d_scene
from worldloom.geometry.io.occworld import load_info_pickle
from worldloom.occupancy.data import (
    PROTOCOLS,
    TOWN_SPLITS,
    Protocol,
    anchored,
    check_data,
    counterfactual_pairs,
    each_window,
    long_rollout,
    open_clips,
    open_infos,
    open_nuscenes,
    open_towns,
    split_of_town,
    windows,
)
from worldloom.occupancy.metrics import score_forecast
from worldloom.synth.dataset.clips import DrivingClip, Tracks, save_driving_clip
from worldloom.synth.traffic.risk import Risk

TURN = 0.1  # radians a frame
LIDAR_QUAT = (math.sqrt(0.5), 0.0, 0.0, -math.sqrt(0.5))  # ego_from_lidar: its y axis looks ahead, its x axis right


def drive(frames: int = 3) -> Occupancy:
    """A turn to the left far from the origin; frame i has a car at (10 + i, 20, 3)."""
    labels = torch.full((frames, *OCC3D_GRID.shape), FREE, dtype=torch.uint8)
    labels[:, :, :, 0] = 11
    for i in range(frames):
        labels[i, 10 + i, 20, 3] = 4
    observed = torch.zeros_like(labels, dtype=torch.bool)
    observed[:, 50:] = True
    poses = [compose(rotz(torch.tensor(1.0)).double(), torch.tensor([1600.0, 900.0, 0.0]).double())]
    step = compose(rotz(torch.tensor(TURN).double()), torch.tensor([3.0, 0.5, 0.0]).double())
    for _ in range(frames - 1):
        poses.append(poses[-1] @ step)
    return Occupancy(labels, observed, torch.stack(poses), OCC3D_GRID, OCC3D_CLASSES, 0.5)


def lidar_seen(clip: Occupancy) -> torch.Tensor:
    return clip.observed | (clip.labels == 4)


def write_occ3d(root: Path, names: dict[str, str], frames: int = 3) -> Occupancy:
    clip = drive(frames)
    for name, split in names.items():
        save_occ3d_scene(root, name, clip, mask_lidar=lidar_seen(clip), split=split)  # pyright: ignore
    return clip


def tokens_of(root: Path, scene: str) -> list[str]:
    infos = json.loads((root / "annotations.json").read_text())["scene_infos"][scene]
    return sorted(infos, key=lambda token: infos[token]["timestamp"])


def make_tables(root: Path, scene: str, tokens: list[str], poses: torch.Tensor, times: list[int]) -> None:
    """The least that nuScenes' tables can be: a LiDAR, and a car that stands 10 m ahead of the first pose."""
    quats = quat_from_rotmat(poses[:, :3, :3]).tolist()
    ahead = (poses[0] @ torch.tensor([10.0, 0, 1, 1]).double())[:3].tolist()
    tables: dict[str, list[dict[str, Any]]] = {
        "scene": [
            {"token": "sc", "name": scene, "description": "", "nbr_samples": len(tokens), "log_token": "l"}
            | {"first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
        ],
        "sensor": [{"token": "s", "channel": "LIDAR_TOP", "modality": "lidar"}],
        "calibrated_sensor": [
            {"token": "c", "sensor_token": "s", "translation": [1, 0, 2], "rotation": LIDAR_QUAT}
            | {"camera_intrinsic": []}
        ],
        "category": [{"token": "k", "name": "vehicle.car"}],
        "instance": [{"token": "i", "category_token": "k", "nbr_annotations": 1}],
        "sample": [], "sample_data": [], "ego_pose": [],
        "sample_annotation": [
            {"token": "b", "sample_token": tokens[0], "instance_token": "i", "size": [1.8, 4.5, 1.5]}
            | {"translation": ahead, "rotation": quats[0]}
        ],
    }  # fmt: skip
    for i, token in enumerate(tokens):
        link = {
            "prev": tokens[i - 1] if i else "",
            "next": tokens[i + 1] if i + 1 < len(tokens) else "",
        }
        tables["sample"].append({"token": token, "timestamp": times[i], "scene_token": "sc", **link})
        tables["ego_pose"].append(
            {"token": f"e{i}", "translation": poses[i, :3, 3].tolist(), "rotation": quats[i], "timestamp": times[i]}
        )
        tables["sample_data"].append(
            {"token": f"d{i}", "sample_token": token, "ego_pose_token": f"e{i}", "calibrated_sensor_token": "c"}
            | {"is_key_frame": True, "timestamp": times[i], "filename": "x.bin", "height": 0, "width": 0}
        )
    (root / "v1.0-mini").mkdir(exist_ok=True)
    for name, records in tables.items():
        (root / "v1.0-mini" / f"{name}.json").write_text(json.dumps(records))


def infos_of(tokens: list[str], poses: torch.Tensor, ego_from_lidar: torch.Tensor) -> list[dict[str, Any]]:
    """Frames as OccWorld has them: offsets of the LiDAR in its own frame."""
    lidar = poses @ ego_from_lidar
    steps = (invert(lidar[:-1]) @ lidar[1:])[:, :2, 3]
    steps = torch.cat([steps, torch.zeros(1, 2).double()]).numpy()
    return [
        {
            "token": token,
            "ego2global_translation": poses[i, :3, 3].tolist(),
            "ego2global_rotation": quat_from_rotmat(poses[i, :3, :3]).numpy(),
            "gt_ego_fut_trajs": np.tile(steps[i], (6, 1)).astype(np.float32),
            "pose_mode": np.array([0.0, 1.0, 0.0], np.float32),
            "timestamp": 1_500_000_000_000_000 + 500_000 * i,
            "cams": {"CAM_FRONT": {"cam_intrinsic": np.eye(3)}},
        }
        for i, token in enumerate(tokens)
    ]


def ego_from_lidar(x: float = 0.94) -> torch.Tensor:
    return compose(rotz(torch.tensor(-math.pi / 2).double()), torch.tensor([x, 0.0, 1.84]).double())


def write_infos(path: Path, scenes: dict[str, Any]) -> Path:
    path.write_bytes(pickle.dumps({"infos": scenes}))
    return path


def write_town(folder: Path, seed: int, frames: int = 3, finished: bool = True) -> Occupancy:
    """A town with one drive and one alternative of it."""
    town = folder / f"town-{seed}"
    town.mkdir(parents=True)
    occupancy = drive(frames)
    none = torch.zeros(frames, dtype=torch.bool)
    clip = DrivingClip(
        occupancy,
        lidar_seen(occupancy),
        EgoPath(occupancy.world_from_ego.float(), 0.5),
        torch.full((frames,), 6.0),
        Tracks(
            ("a",), torch.tensor([4], dtype=torch.uint8), torch.tensor([False]), torch.tensor([[4.5, 1.8, 1.5]]),
            torch.ones(1, frames, dtype=torch.bool), torch.arange(3.0).expand(1, frames, 3).clone(),
            torch.full((1, frames), 0.5), torch.zeros(1, frames, 3),
        ),
        Risk(torch.full((frames,), 9.0), torch.full((frames,), 9.0), none, none),
    )  # fmt: skip
    save_driving_clip(town / "scene-00.npz", clip)
    other = replace(clip, manoeuvre="cut_in", branch_frame=1)
    save_driving_clip(town / "scene-00-cut_in.npz", other)
    if finished:
        facts = {"frames": frames, "manoeuvre": "", "branch_frame": -1}
        clips = {"scene-00.npz": facts, "scene-00-cut_in.npz": {**facts, "manoeuvre": "cut_in", "branch_frame": 1}}
        (town / "clips.json").write_text(json.dumps({"town": {"town_seed": seed}, "clips": clips}))
    return occupancy


# Protocols ---------------------------------------------------------------------------------------------------------


def test_windows_are_as_many_as_published() -> None:
    """150 scenes of 6,019 frames in all, as the validation split of nuScenes has them."""
    lengths = [40] * 131 + [41] * 19
    assert (len(lengths), sum(lengths)) == (150, 6019)
    counts = {name: len(windows(lengths, PROTOCOLS[name])) for name in ("occworld", "i2world", "dome")}
    assert counts == {"occworld": 4219, "i2world": 4519, "dome": 150}


@pytest.mark.parametrize(
    ("protocol", "frames", "starts"),
    [
        (PROTOCOLS["occworld"], 15, [0, 1, 2]),
        (PROTOCOLS["i2world"], 13, [0, 1, 2]),
        (PROTOCOLS["dome"], 40, [0]),
        (PROTOCOLS["dome"], 10, [0]),
        (PROTOCOLS["dome"], 9, []),
        (replace(PROTOCOLS["ours"], stride=4), 20, [0, 4, 8]),
        (long_rollout(128), 133, [0]),
        (long_rollout(128), 132, []),
    ],
)
def test_starts_of_windows(protocol: Protocol, frames: int, starts: list[int]) -> None:
    assert list(protocol.starts(frames)) == starts
    for start in starts:
        assert start + protocol.history + protocol.horizon <= frames


def test_protocols_say_what_they_are() -> None:
    assert str(PROTOCOLS["occworld"]) == (
        "occworld: 5 frames in, 6 out; windows all, span 13; mask none; classes 0-16 with others; absent classes one; "
        "future ego pred"
    )
    found = windows([40, 8, 40], PROTOCOLS["dome"])
    assert str(found).startswith("dome: 4 frames in, 6 out; windows first of each clip, span 10;")
    assert str(found).endswith("; 2 window(s) of 2 clip(s); 1 clip(s) too short")
    assert found.too_short == (1,)
    assert [tuple(window) for window in found] == [(0, 0), (2, 0)]
    ours = replace(PROTOCOLS["ours"], classes=(4, 7), mask="lidar", absent="union", stride=2)
    assert "windows every 2, span 11; mask lidar; classes car,pedestrian; absent classes union" in str(ours)
    assert (ours.score_mask, PROTOCOLS["dome"].score_mask) == ("observed", "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": 0}, "frames in and out"),
        ({"horizon": 0}, "frames in and out"),
        ({"span": 10}, "a span that holds them"),
        ({"stride": 0}, "a stride of 1 or more"),
        ({"classes": ()}, "different classes of 0 to 16, got"),
        ({"classes": (4, 4)}, "different classes"),
        ({"classes": (17,)}, "different classes"),
    ],
)
def test_wrong_protocols(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PROTOCOLS["ours"], **change)


@pytest.mark.parametrize("lengths", [[], [10], [3, 4]])
def test_no_window_at_all_is_an_error(lengths: list[int]) -> None:
    with pytest.raises(InputError, match=r"a clip of at least 11 frames for ours, got \d clip"):
        windows(lengths, PROTOCOLS["ours"])


def test_past_and_future_of_windows(tmp_path: Path) -> None:
    clip = write_occ3d(tmp_path, {"a": "val", "b": "val"}, frames=5)
    protocol = Protocol("tiny", history=2, horizon=2, span=4, absent="one")
    clips = open_nuscenes(tmp_path, mask="none")
    found = list(each_window(clips, protocol))
    assert [tuple(window) for window, _, _ in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (_, start), past, future in found:
        assert torch.equal(past.labels, clip.labels[start : start + 2])
        assert torch.equal(future.labels, clip.labels[start + 2 : start + 4])
        assert past.observed.all()
    score = score_forecast(found[0][2], found[0][2], protocol.score_mask)
    assert score.miou(protocol.absent, protocol.classes).tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="opened with mask camera, got none in a"):
        next(each_window(clips, replace(protocol, mask="camera")))


# Splits and towns --------------------------------------------------------------------------------------------------


def test_splits_share_no_town() -> None:
    assert [split_of_town(seed) for seed in (999, 1000, 1999, 2000, 2099, 2100, 3000, 3099, 3100)] == [
        None, "train", "train", "val", "val", None, "test", "test", None,
    ]  # fmt: skip
    seeds = [seed for split in TOWN_SPLITS.values() for seed in split]
    assert len(seeds) == len(set(seeds)) == 1200


def test_towns(tmp_path: Path) -> None:
    occupancy = write_town(tmp_path / "some/where", 2007)
    write_town(tmp_path / "train", 1003, finished=False)
    clips = open_towns(tmp_path)
    assert [(clip.name, clip.split, len(clip)) for clip in clips] == [
        ("town-1003/scene-00", "train", 3),
        ("town-1003/scene-00-cut_in", "train", 3),
        ("town-2007/scene-00", "val", 3),
        ("town-2007/scene-00-cut_in", "val", 3),
    ]
    assert [clip.name for clip in open_clips(tmp_path, "val")] == ["town-2007/scene-00", "town-2007/scene-00-cut_in"]
    for pair, town in zip(counterfactual_pairs(clips), ("1003", "2007"), strict=True):
        assert pair.logged.name == f"town-{town}/scene-00"
        assert (pair.alternative.manoeuvre, pair.alternative.branch_frame) == ("cut_in", 1)
    got = clips[2].load(1, 3)
    assert torch.equal(got.labels, occupancy.labels[1:])
    assert torch.equal(got.observed, occupancy.observed[1:])
    assert torch.equal(open_towns(tmp_path, "val", "lidar")[0].load().observed, lidar_seen(occupancy))
    assert open_towns(tmp_path, "val", "none")[0].load().observed.all()
    users = clips[2].users()
    assert users is not None
    assert (users[0].label, users[0].extent) == (4, pytest.approx((4.5, 1.8, 1.5)))
    assert users[0].world_from_actor[0, :3, 3].tolist() == [0, 1, 2]
    assert users[0].world_from_actor[0, 1, 0].item() == pytest.approx(math.sin(0.5))


def test_towns_that_cannot_be(tmp_path: Path) -> None:
    write_town(tmp_path / "a", 2007)
    with pytest.raises(InputError, match="split train, val, test, got 'validation'"):
        open_towns(tmp_path, "validation")
    with pytest.raises(InputError, match="of split test, got none"):
        open_towns(tmp_path, "test")
    (tmp_path / "b/town-2007").mkdir(parents=True)
    shutil.copy(tmp_path / "a/town-2007/scene-00.npz", tmp_path / "b/town-2007")
    with pytest.raises(InputError, match="each town once"):
        open_towns(tmp_path)
    listed = tmp_path / "a/town-2007/clips.json"
    listed.write_text(listed.read_text().replace('"frames": 3', '"frames": 30'))
    clip = open_towns(tmp_path / "a")[0]
    with pytest.raises(InputError, match=r"expected 30 frames as clips.json has it, got 3"):
        clip.load()
    with pytest.raises(ValueError, match=r"frames within 0\.\.30, got 5\.\.5"):
        clip.load(5, 5)
    listed.write_text('{"clips": []}')
    with pytest.raises(InputError, match="expected clips by name, got list"):
        open_towns(tmp_path / "a")
    (tmp_path / "a/town-2007/scene-00.npz").write_bytes(b"PK")
    listed.unlink()
    with pytest.raises(InputError, match=r"scene-00.npz: expected an .npz file"):
        open_towns(tmp_path / "a")


# nuScenes with Occ3D, and info pickles -----------------------------------------------------------------------------


def test_three_sources_give_one_clip(tmp_path: Path) -> None:
    truth = write_occ3d(tmp_path, {"scene-0001": "train", "scene-0002": "val"})
    tokens = tokens_of(tmp_path, "scene-0002")
    infos = write_infos(
        tmp_path / "infos.pkl", {"scene-0002": infos_of(tokens, truth.world_from_ego, ego_from_lidar())}
    )
    make_tables(tmp_path, "scene-0002", tokens, truth.world_from_ego, [10, 500_010, 1_000_010])
    from_index = open_nuscenes(tmp_path, "val", "lidar")
    (tmp_path / "annotations.json").rename(tmp_path / "away.json")
    from_tables = open_clips(tmp_path, mask="lidar")
    from_pickle = open_clips(infos, mask="lidar")
    for clips in (from_index, from_tables, from_pickle):
        assert [clip.name for clip in clips] == ["scene-0002"]
        got = clips[0].load()
        assert torch.equal(got.labels, truth.labels)
        assert torch.equal(got.observed, lidar_seen(truth))
        assert got.world_from_ego.dtype == torch.float64
        torch.testing.assert_close(got.world_from_ego, truth.world_from_ego, atol=1e-7, rtol=0)
        assert got.dt == 0.5
    assert (from_index[0].split, from_tables[0].split) == ("val", None)
    assert from_pickle[0].commands == ("left",) * 3
    users = from_index[0].users()
    assert users is not None
    here = invert(truth.world_from_ego[0]) @ users[0].world_from_actor[0].double()
    torch.testing.assert_close(here[:3, 3], torch.tensor([10.0, 0, 1]).double(), atol=1e-3, rtol=0)
    assert users[0].present.tolist() == [True, False, False]
    assert from_pickle[0].users() is None


def test_splits_of_custom_tables(tmp_path: Path) -> None:
    truth = write_occ3d(tmp_path, {"s": "train"})
    make_tables(tmp_path, "s", tokens_of(tmp_path, "s"), truth.world_from_ego, [1, 500_001, 1_000_001])
    (tmp_path / "annotations.json").unlink()
    with pytest.raises(InputError, match="scenes of split 'train', got splits none"):
        open_nuscenes(tmp_path, "train")
    (tmp_path / "v1.0-mini/splits.json").write_text('{"synth_train": ["s"], "synth_val": []}')
    assert [clip.split for clip in open_nuscenes(tmp_path, "train")] == ["train"]
    with pytest.raises(InputError, match="scenes of split 'val', got splits train"):
        open_nuscenes(tmp_path, "val")


def test_offsets_are_turned_into_the_egos_frame_once(tmp_path: Path) -> None:
    """The LiDAR's y axis looks ahead: 3 m ahead and 0.5 m to the left are (-0.5, 3) there."""
    truth = drive(4)
    tokens = [f"t{i}" for i in range(4)]
    path = write_infos(tmp_path / "a.pkl", {"s": infos_of(tokens, truth.world_from_ego, ego_from_lidar(0.0))})
    raw = pickle.loads(path.read_bytes())["infos"]["s"][0]["gt_ego_fut_trajs"][0]
    assert raw == pytest.approx([-0.5, 3.0], abs=1e-6)
    (scene,) = load_info_pickle(path)
    assert scene.offsets is not None
    torch.testing.assert_close(scene.offsets[:3], torch.tensor([[3.0, 0.5]]).double().expand(3, 2), atol=1e-6, rtol=0)
    assert scene.offset_error() < 1e-6
    # The lever arm of the LiDAR moves the offsets in a turn, by less than a voxel.
    path = write_infos(tmp_path / "b.pkl", {"s": infos_of(tokens, truth.world_from_ego, ego_from_lidar(0.94))})
    assert 0.05 < load_info_pickle(path)[0].offset_error() < 0.16
    # Offsets that are in the ego's frame already are found out.
    frames = infos_of(tokens, truth.world_from_ego, torch.eye(4).double())
    assert load_info_pickle(write_infos(tmp_path / "c.pkl", {"s": frames}))[0].offset_error() > 3


def frames_with(change: Callable[[list[dict[str, Any]]], object]) -> Any:
    frames = infos_of(["t0", "t1", "t2"], drive(3).world_from_ego, ego_from_lidar())
    change(frames)
    return {"s": frames}


def laughs() -> list[Any]:
    """Small in the file, endless when printed."""
    value: list[Any] = [0.0]
    for _ in range(60):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        ([], r"expected {'infos': {scene: \[info, …\]}}, got list"),
        ({}, "got dict"),
        ({3: []}, "a scene's name and a list"),
        ({"s": []}, "a scene's name and a list"),
        ({"s": [1]}, "frame 0: expected a token, got NoneType"),
        (frames_with(lambda f: f[1].pop("token")), "frame 1: expected a token"),
        (frames_with(lambda f: f[1].update(token="t0")), "each token once"),
        (frames_with(lambda f: f[1].pop("ego2global_translation")), "frame 1: ego2global: translation"),
        (frames_with(lambda f: f[2].update(ego2global_rotation=[1, 0, 0])), "frame 2: ego2global: rotation"),
        (frames_with(lambda f: f[2].update(ego2global_rotation=[2, 0, 0, 0])), "unit quaternion"),
        (frames_with(lambda f: f[2].update(ego2global_translation=[0, math.nan, 0])), "3 finite numbers"),
        (frames_with(lambda f: f[2].update(ego2global_translation=[0, 10**400, 0])), "3 finite numbers"),
        (frames_with(lambda f: f[2].update(ego2global_translation=laughs())), "3 finite numbers"),
        (frames_with(lambda f: f[1].pop("timestamp")), "frame 1: expected 1 finite numbers in 'timestamp'"),
        (frames_with(lambda f: f[1].update(timestamp=1)), "rising timestamps"),
        (frames_with(lambda f: f[1].update(gt_ego_fut_trajs=np.zeros((6, 3)))), "2 finite numbers"),
        (frames_with(lambda f: f[1].update(gt_ego_fut_trajs=laughs())), "2 finite numbers"),
        (frames_with(lambda f: f[1].update(pose_mode="left")), "'pose_mode', got str"),
        (frames_with(lambda f: f[0].update(extra=Path("x"))), "got pathlib"),
        (frames_with(lambda f: f[0].update(extra=os.system)), r"got (posix|nt)\.system"),
    ],
)
def test_wrong_infos(tmp_path: Path, scenes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        open_infos(write_infos(tmp_path / "p.pkl", scenes), tmp_path)
    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: shutil.rmtree(r / "gts"), "a folder gts with Occ3D labels"),
        (lambda r: (r / "annotations.json").unlink(), r"expected annotations.json or nuScenes tables"),
        (lambda r: (r / "annotations.json").write_text("{}"), "expected scene_infos"),
        (lambda r: (r / "annotations.json").write_text("{"), "expected an object as JSON"),
        (
            lambda r: next(r.glob("gts/s/*/labels.npz")).unlink(),
            "labels of all 3 frames of s, got 1 without, such as gts",
        ),
        (lambda r: shutil.rmtree(r / "gts/s"), "got 3 without"),
    ],
)
def test_wrong_folders(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    write_occ3d(tmp_path, {"s": "val"})
    change(tmp_path)
    with pytest.raises(InputError, match=message):
        open_nuscenes(tmp_path)


def test_wrong_names(tmp_path: Path) -> None:
    truth = write_occ3d(tmp_path, {"s": "val"})
    with pytest.raises(InputError, match="scenes of this data set, got 'nowhere'"):
        open_nuscenes(tmp_path, scenes=["nowhere"])
    with pytest.raises(InputError, match="scenes of split 'train', got splits val"):
        open_nuscenes(tmp_path, "train")
    with pytest.raises(InputError, match="no such file"):
        open_clips(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder without them"):
        open_clips(tmp_path / "empty")
    for name, token in (("../../etc", "t"), ("s", "../../../x"), ("/etc", "t")):
        infos = write_infos(tmp_path / "p.pkl", {name: infos_of([token], truth.world_from_ego[:1], ego_from_lidar())})
        with pytest.raises(InputError, match="a relative path inside"):
            open_infos(infos, tmp_path)


def test_anchored_clips_have_small_numbers_and_the_same_motion() -> None:
    clip = drive(3)
    for frame in (0, -1):
        got = anchored(clip, frame)
        assert got.world_from_ego.dtype == torch.float32
        torch.testing.assert_close(got.world_from_ego[frame], torch.eye(4))
        steps = invert(got.world_from_ego[:-1].double()) @ got.world_from_ego[1:].double()
        torch.testing.assert_close(steps, invert(clip.world_from_ego[:-1]) @ clip.world_from_ego[1:], atol=1e-6, rtol=0)


# What a folder lacks -----------------------------------------------------------------------------------------------


def test_a_whole_folder_lacks_nothing(tmp_path: Path) -> None:
    truth = write_occ3d(tmp_path, {"s": "val"})
    make_tables(tmp_path, "s", tokens_of(tmp_path, "s"), truth.world_from_ego, [1, 500_001, 1_000_001])
    report = check_data(tmp_path)
    assert report.lacks == ()
    assert report.complete
    assert report.kind == "nuscenes"
    assert str(report).splitlines() == [
        "has    annotations.json: 1 scenes, 0 of train, 1 of val",
        "has    v1.0-mini: 1 scenes, 3 key frames",
        "has    gts: labels of 3 frames",
    ]


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (lambda r, t: (r / f"gts/s/{t[1]}/labels.npz").unlink(), ["gts/s/{1}/labels.npz"]),
        (lambda r, t: shutil.rmtree(r / "gts/s"), ["gts/s: labels of all 3 frames"]),
        (lambda r, t: shutil.rmtree(r / "gts"), ["gts/<scene>/<sample token>/labels.npz"]),
        (lambda r, t: (r / "v1.0-mini/ego_pose.json").unlink(), ["v1.0-mini/ego_pose.json"]),
        (lambda r, t: shutil.rmtree(r / "v1.0-mini"), ["<version>/*.json: the tables of nuScenes"]),
        (lambda r, t: (r / "annotations.json").unlink(), ["annotations.json (Occ3D)"]),
        (lambda r, t: (r / "annotations.json").write_text("[]"), ["a readable annotations.json"]),
        (lambda r, t: (r / f"gts/s/{t[0]}/labels.npz").write_bytes(b"PK"), ["readable labels ("]),
        (lambda r, t: (r / "v1.0-mini/scene.json").write_text("{}"), ["readable tables of v1.0-mini"]),
        (lambda r, t: (r / "gts/more/t").mkdir(parents=True), ["poses of 1 scene(s) in gts, such as more"]),
    ],
)
def test_what_a_folder_lacks(tmp_path: Path, change: Callable[[Path, list[str]], object], lacks: list[str]) -> None:
    truth = write_occ3d(tmp_path, {"s": "val"})
    tokens = tokens_of(tmp_path, "s")
    make_tables(tmp_path, "s", tokens, truth.world_from_ego, [1, 500_001, 1_000_001])
    change(tmp_path, tokens)
    report = check_data(tmp_path)
    assert not report.complete
    assert len(report.lacks) == len(lacks), report.lacks
    for line, start in zip(report.lacks, lacks, strict=True):
        assert line.startswith(start.format(*tokens))


def test_what_pickles_and_towns_lack(tmp_path: Path) -> None:
    truth = write_occ3d(tmp_path, {"s": "val"})
    tokens = tokens_of(tmp_path, "s")
    good = write_infos(tmp_path / "p.pkl", {"s": infos_of(tokens, truth.world_from_ego, ego_from_lidar())})
    assert check_data(tmp_path, good).complete
    turned = infos_of([*tokens[:2], "gone"], truth.world_from_ego, torch.eye(4).double())
    report = check_data(tmp_path, write_infos(tmp_path / "q.pkl", {"s": turned}))
    assert report.lacks[0].startswith("s: offsets in the LiDAR's frame (x right, y forward); they miss the poses by 4")
    assert report.lacks[1:] == ("gts/s/gone/labels.npz",)
    (tmp_path / "r.pkl").write_bytes(pickle.dumps(Path("x")))
    assert "pathlib" in check_data(tmp_path, tmp_path / "r.pkl").lacks[0]
    assert check_data(tmp_path / "none").lacks == (f"{tmp_path / 'none'}: no such folder",)
    towns = tmp_path / "towns"
    write_town(towns, 2007)
    report = check_data(towns)
    assert (report.kind, report.has, report.lacks) == ("towns", ("2 clips for val",), ())
    write_town(towns, 1003, finished=False)
    write_town(towns, 7)
    (towns / "town-2007/scene-00.npz").unlink()
    lacks = check_data(towns).lacks
    assert [line.split(":")[0].split("/")[-1] for line in lacks] == ["clips.json", "scene-00.npz", "town-7"]


# Genuine inputs ----------------------------------------------------------------------------------------------------


def test_genuine_label_and_frame(test_data: Path, tmp_path: Path) -> None:
    """A genuine label under the genuine pose of a frame, by tables, by annotations.json and by an info pickle."""
    source = next((test_data / "occ3d/gts/scene-unknown").glob("*/labels.npz"))
    token = source.parent.name
    frame = json.loads((test_data / "nuscenes_frame/frame.json").read_text())
    pose = torch.tensor(frame["ego2global"], dtype=torch.float64)
    lidar = torch.tensor(frame["lidar"]["lidar2ego"], dtype=torch.float64)
    # Genuine: the LiDAR's y axis looks ahead within 2 degrees, its x axis to the right.
    torch.testing.assert_close(lidar[:2, 1], torch.tensor([1.0, 0.0]).double(), atol=0.035, rtol=0)
    torch.testing.assert_close(lidar[:2, 0], torch.tensor([0.0, -1.0]).double(), atol=0.035, rtol=0)
    (tmp_path / f"gts/scene-unknown/{token}").mkdir(parents=True)
    shutil.copy(source, tmp_path / f"gts/scene-unknown/{token}")
    make_tables(tmp_path, "scene-unknown", [token], pose[None], [1_532_402_927_647_951])
    by_tables = open_clips(tmp_path)
    quat = quat_from_rotmat(pose[:3, :3]).tolist()
    entry = {"timestamp": 1_532_402_927_647_951, "ego_pose": {"translation": pose[:3, 3].tolist(), "rotation": quat}}
    content = {"train_split": [], "val_split": ["scene-unknown"], "scene_infos": {"scene-unknown": {token: entry}}}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    by_index = open_clips(tmp_path, "val")
    infos = write_infos(tmp_path / "infos.pkl", {"scene-unknown": infos_of([token], pose[None], lidar)})
    by_pickle = open_clips(infos, mask="camera")
    for clips in (by_tables, by_index, by_pickle):
        clip = clips[0].load()
        assert int((clip.labels != FREE).sum()) == 39_092
        assert clip.observed.float().mean().item() == pytest.approx(0.0677, abs=5e-5)
        assert (clip.labels[0] == 11).nonzero()[:, 2].unique().tolist() == [0]
        torch.testing.assert_close(clip.world_from_ego[0], pose, atol=1e-3, rtol=0)
    assert open_clips(tmp_path, mask="lidar")[0].load().observed.float().mean().item() == pytest.approx(
        0.0884, abs=5e-5
    )
    assert check_data(tmp_path).lacks == ()


def test_genuine_drives_as_infos(test_data: Path, tmp_path: Path) -> None:
    """Offsets of the LiDAR, which sits where it genuinely sits, follow the genuine poses when they are turned."""
    frame = json.loads((test_data / "nuscenes_frame/frame.json").read_text())
    lidar = torch.tensor(frame["lidar"]["lidar2ego"], dtype=torch.float64)
    for path in sorted((test_data / "ego_paths").glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            poses, tokens = torch.from_numpy(file["world_from_ego"]), file["sample_tokens"].tolist()
        (scene,) = load_info_pickle(write_infos(tmp_path / "p.pkl", {"s": infos_of(tokens, poses, lidar)}))
        torch.testing.assert_close(scene.world_from_ego, poses, atol=1e-3, rtol=0)
        assert scene.offset_error() < 0.1
        assert scene.offsets is not None
        ahead, aside = scene.offsets.abs().sum(0).tolist()
        assert ahead > 3 * aside
