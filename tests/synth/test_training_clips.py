"""Clips for training: what the simulation said, in files that other readers know, the same after an interruption."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("embreex", reason="rays need the extra `synth`")

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES
from worldloom.geometry.io.clip import load_clip
from worldloom.synth.dataset import training_clips
from worldloom.synth.dataset.clips import DrivingClip, load_driving_clip, save_driving_clip
from worldloom.synth.dataset.traffic_log import LOG
from worldloom.synth.dataset.training_clips import RISKY, TownClips, scene_clips, write_clips, write_town_clips
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.counterfactuals import MANOEUVRES
from worldloom.synth.traffic.drive import Drive, drive_town
from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive

PLAN = TownClips(0, num_scenes=1, num_alternatives=2, seconds=3.0)


@pytest.fixture(scope="module")
def voxelizer(small_town: Town) -> Voxelizer:
    return Voxelizer(small_town)


@pytest.fixture(scope="module")
def clips(voxelizer: Voxelizer) -> list[DrivingClip]:
    return list(scene_clips(voxelizer, PLAN, 0))


@pytest.fixture(scope="module")
def logged(small_town: Town) -> Drive:
    return drive_town(small_town, 3.0, PLAN.drive_seed(0))


def test_the_logged_clip_is_the_drive(voxelizer: Voxelizer, logged: Drive, clips: list[DrivingClip]) -> None:
    clip = clips[0]
    assert (clip.manoeuvre, clip.branch_frame, clip.ego.dt, len(clip.ego)) == ("", -1, 0.1, 31)
    assert torch.equal(clip.ego.world_from_ego[::5], logged.world_from_ego)
    assert torch.equal(clip.speed, logged.speed)
    occupancy, mask_lidar = voxelize_drive(voxelizer.town, logged, voxelizer)
    assert torch.equal(clip.occupancy.labels, occupancy.labels)
    assert torch.equal(clip.occupancy.observed, occupancy.observed)
    assert torch.equal(clip.mask_lidar, mask_lidar)
    users = {user.id: user for user in logged.users}
    tracks = clip.tracks
    moving = [i for i, stands in enumerate(tracks.standing.tolist()) if not stands]
    assert len(moving) > 5
    assert tracks.standing.sum() > 5
    for i in moving:
        user, there = users[tracks.ids[i]], tracks.present[i]
        assert tracks.labels[i] == OCC3D_CLASSES.index(user.kind)
        torch.testing.assert_close(tracks.extents[i], torch.tensor(user.extent))
        pose = user.trajectory.world_from_actor[there]
        torch.testing.assert_close(tracks.centres[i][there], pose[:, :3, 3])
        torch.testing.assert_close(tracks.yaws[i][there], torch.atan2(pose[:, 1, 0], pose[:, 0, 0]))
        torch.testing.assert_close(tracks.velocities[i][there], user.velocity[there])
        assert not tracks.centres[i][~there].any()


def test_alternatives_share_the_past_and_differ_after(clips: list[DrivingClip]) -> None:
    alternatives = clips[1:]
    assert len(alternatives) == 2
    assert len({clip.manoeuvre for clip in alternatives}) == 2
    assert {clip.manoeuvre for clip in alternatives} <= set(MANOEUVRES)
    assert any(clip.manoeuvre in RISKY for clip in alternatives)
    one, other = (clip.ego.world_from_ego for clip in alternatives)
    assert all((len(clip.occupancy), clip.branch_frame) == (21, 4) for clip in alternatives)
    assert torch.equal(one[:21], other[:21])
    assert not torch.allclose(one, other, atol=1.0)
    for clip in alternatives:
        assert bool(clip.risk.collision.any()) == (float(clip.risk.gap.min()) == 0)
        if clip.manoeuvre.startswith("hit"):
            assert clip.risk.collision[clip.branch_frame + 1 :].any()
            assert not clip.risk.collision[: clip.branch_frame + 1].any()
        if clip.manoeuvre == "leave_road":
            assert clip.risk.off_road[clip.branch_frame + 1 :].any()


def test_files_come_back(clips: list[DrivingClip], tmp_path: Path) -> None:
    for i, clip in enumerate(clips[:2]):
        path = tmp_path / f"{i}.npz"
        save_driving_clip(path, clip)
        before = path.read_bytes()
        again = load_driving_clip(path)
        save_driving_clip(path, again)
        assert path.read_bytes() == before
        assert (again.manoeuvre, again.branch_frame, again.ego.dt) == (clip.manoeuvre, clip.branch_frame, clip.ego.dt)
        assert again.tracks.ids == clip.tracks.ids
        for name in ("labels", "standing", "extents", "present", "centres", "yaws", "velocities"):
            assert torch.equal(getattr(again.tracks, name), getattr(clip.tracks, name))
        assert torch.equal(again.mask_lidar, clip.mask_lidar)
        assert torch.equal(again.risk.gap, clip.risk.gap)
        assert torch.equal(load_clip(path).labels, clip.occupancy.labels)


def test_an_interrupted_town_goes_on_to_the_same_bytes(
    small_town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_clips, "make_town", lambda seed, size: small_town)
    plan = TownClips(0, num_scenes=2, seconds=0.5, log_seconds=1.0)
    write_town_clips(tmp_path, lambda *_: None, plan)
    folder = tmp_path / "town-0000"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {"clips.json", "scene-00.npz", "scene-01.npz", LOG}
    listed = json.loads(first["clips.json"])["clips"]
    assert listed["scene-00.npz"]["frames"] == 2
    (folder / "clips.json").unlink()
    (folder / "scene-00.npz").unlink()
    (folder / LOG).unlink()
    kept = (folder / "scene-01.npz").stat().st_mtime_ns
    write_town_clips(tmp_path, lambda *_: None, plan)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert (folder / "scene-01.npz").stat().st_mtime_ns == kept
    assert not list(write_clips([0], tmp_path, num_scenes=2, seconds=0.5))  # all is there


def test_hostile_input(tmp_path: Path) -> None:
    hostile: list[dict[str, Any]] = [
        *(
            {"num_scenes": 0},
            {"num_scenes": -1, "log_seconds": 1.0},
            {"log_seconds": -1.0},
            {"num_alternatives": -1},
            {"num_alternatives": 13},
        ),
        *({"seconds": 0.0}, {"seconds": math.inf}, {"num_workers": 0}),
    ]
    for bad in hostile:
        with pytest.raises(InputError):
            list(write_clips([0], tmp_path, **bad))
    with pytest.raises(InputError):
        list(write_clips([-1], tmp_path))
    (tmp_path / "no.npz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"no\.npz"):
        load_driving_clip(tmp_path / "no.npz")
