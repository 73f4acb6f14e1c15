"""Ego path files: round trips, uneven times, and what is not a drive."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import EgoPath, compose, manoeuvre_path, rotz, yaw_from_rotmat
from worldloom.geometry.io import load_ego_path, save_ego_path

SCENES = [("scene_a*.npz", 40, 118.0), ("scene_b*.npz", 41, 93.0)]


@pytest.mark.parametrize(("pattern", "frames", "metres"), SCENES)
def test_genuine_drives(test_data: Path, pattern: str, frames: int, metres: float):
    file = next((test_data / "ego_paths").glob(pattern))
    raw = np.load(file, allow_pickle=False)
    assert len(raw["world_from_ego"]) == frames
    path = load_ego_path(file)
    duration = (raw["timestamps"][-1] - raw["timestamps"][0]) / 1e6
    assert path.dt == 0.5
    assert len(path) == int(duration / 0.5) + 1
    fine = load_ego_path(file, dt=0.05)
    length = fine.world_from_ego[:, :3, 3].diff(dim=0).norm(dim=1).sum().item()
    assert length == pytest.approx(metres, abs=1.0)
    assert (path.world_from_ego[:, 2, 3] == 0).all()
    torch.testing.assert_close(path.world_from_ego[0], torch.from_numpy(raw["world_from_ego"][0]).float())
    # The car drives along its own x axis, forward.
    steps = path.steps()
    assert (steps[:, 0] > -0.05).all()
    assert steps[:, 1].abs().max() < 0.5


@pytest.mark.parametrize("suffix", ["json", "npz"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path: Path, suffix: str, dtype: torch.dtype):
    path = manoeuvre_path("left", 7.0, 9, 0.1, torch.eye(4, dtype=dtype))
    save_ego_path(tmp_path / f"x.{suffix}", path)
    back = load_ego_path(tmp_path / f"x.{suffix}")
    assert torch.equal(back.world_from_ego, path.world_from_ego.float())
    assert back.dt == 0.1


def write_npz(path: Path, poses: np.ndarray, timestamps: np.ndarray) -> Path:
    np.savez(path, world_from_ego=poses, timestamps=timestamps)
    return path


def test_uneven_times_are_interpolated_along_the_drive(tmp_path: Path):
    # Constant speed and yaw rate: each pose is known in closed form at any time.
    seconds = np.array([0.0, 0.5, 0.9, 1.5, 2.0, 2.55, 3.0])
    yaw = torch.from_numpy(0.2 * seconds)
    poses = compose(rotz(yaw), torch.stack([torch.from_numpy(6.0 * seconds), 0 * yaw, 0 * yaw], 1)).numpy()
    file = write_npz(tmp_path / "x.npz", poses, (1_533_000_000_000_000 + 1e6 * seconds).astype(np.int64))
    path = load_ego_path(file)
    assert (path.dt, len(path)) == (0.5, 7)
    time = 0.5 * torch.arange(7)
    torch.testing.assert_close(path.world_from_ego[:, 0, 3], 6 * time, atol=1e-5, rtol=0)
    torch.testing.assert_close(yaw_from_rotmat(path.world_from_ego[:, :3, :3]), 0.2 * time, atol=1e-5, rtol=0)
    assert len(load_ego_path(file, dt=1.0)) == 4


def test_even_times_keep_their_poses(tmp_path: Path):
    poses = manoeuvre_path("left", 5.0, 4, 0.5).world_from_ego.numpy()
    jitter = np.array([0, 500_400, 999_700, 1_500_100, 2_000_000])
    path = load_ego_path(write_npz(tmp_path / "x.npz", poses, jitter))
    assert path.dt == 0.5
    assert torch.equal(path.world_from_ego, torch.from_numpy(poses))


def far(poses: np.ndarray) -> np.ndarray:
    moved = poses.copy()
    moved[2, 0, 3] += 100
    return moved


def broken(poses: np.ndarray, value: float) -> np.ndarray:
    poses = poses.copy()
    poses[1, 0, 0] = value
    return poses


GOOD = manoeuvre_path("straight", 5.0, 3, 0.5).world_from_ego.numpy()
TIMES = np.array([0, 500_000, 1_000_000, 1_500_000])


@pytest.mark.parametrize(
    ("poses", "timestamps", "message"),
    [
        (far(GOOD), TIMES, "at most 60 m/s, got 205 m/s from frame 1 to 2"),
        (broken(GOOD, np.nan), TIMES, "NaN or infinity in frame 1"),
        (broken(GOOD, 2.0), TIMES, "rigid transforms .* in frame 1"),
        (GOOD[:1], TIMES[:1], "at least 2 poses"),
        (GOOD, TIMES[::-1], "rising times"),
        (GOOD, TIMES[:3], "t = 4, got int64 3"),
        (GOOD[:, :3], TIMES, "float32 4 3 4"),
        (GOOD[[0, 0, 0, 0]], np.array([0, 1000, 2000, 4 * 10**18]), "at most 1000000 poses, got 4e"),
    ],
)
def test_what_is_not_a_drive(tmp_path: Path, poses: np.ndarray, timestamps: np.ndarray, message: str):
    with pytest.raises(InputError, match=message) as caught:
        load_ego_path(write_npz(tmp_path / "x.npz", poses, timestamps))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense", "an object as JSON"),
        ({"dt": 0.5}, "a list world_from_ego, got NoneType"),
        ({"dt": 0, "world_from_ego": GOOD.tolist()}, "dt in seconds above 0, got 0"),
        ({"dt": "0.5", "world_from_ego": GOOD.tolist()}, "dt in seconds"),
        ({"dt": True, "world_from_ego": GOOD.tolist()}, "dt in seconds"),
        ({"dt": 0.5, "world_from_ego": [[1, 2], [3]]}, "2 x 4 x 4 finite numbers"),
        ({"dt": 0.5, "world_from_ego": [["a"]]}, "finite numbers"),
        ({"dt": 0.5, "world_from_ego": broken(GOOD, np.inf).tolist()}, "finite numbers"),
        ({"dt": 0.5, "world_from_ego": []}, "0 x 4 x 4 finite numbers"),
    ],
)
def test_wrong_json(tmp_path: Path, content: object, message: str):
    (tmp_path / "x.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=message):
        load_ego_path(tmp_path / "x.json")


def test_other_suffixes_and_missing_keys(tmp_path: Path):
    with pytest.raises(InputError, match=r"as \.json, \.npz or a nuScenes folder"):
        load_ego_path(tmp_path / "x.csv")
    np.savez(tmp_path / "x.npz", world_from_ego=GOOD)
    with pytest.raises(InputError, match=r"'timestamps' .* or 'dt'"):
        load_ego_path(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"\.json or \.npz"):
        save_ego_path(tmp_path / "x.csv", EgoPath(torch.from_numpy(GOOD), 0.5))
    with pytest.raises(InputError, match="dt above 0"):
        load_ego_path(write_npz(tmp_path / "y.npz", GOOD, TIMES), dt=100.0)
