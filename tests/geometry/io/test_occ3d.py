"""Occ3D folders: round trips, order, masks, and the genuine label."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Occupancy, compose, rotz
from worldloom.geometry.io import load_occ3d_frame, load_occ3d_scene, save_clip, save_occ3d_scene
from worldloom.geometry.io.npz import save_npz

SHAPE = OCC3D_GRID.shape


def made_up_scene(t: int = 3) -> Occupancy:
    labels = torch.full((t, *SHAPE), FREE, dtype=torch.uint8)
    labels[:, :, :, 0] = 11
    for i in range(t):
        labels[i, 10 + i, 20, 3] = 4
    observed = torch.zeros_like(labels, dtype=torch.bool)
    observed[:, 50:, :, :] = True
    translation = torch.tensor([[600.0 + 2.5 * i, 1600.0, 0.0] for i in range(t)])
    return Occupancy(
        labels, observed, compose(rotz(0.1 * torch.arange(t)), translation), OCC3D_GRID, OCC3D_CLASSES, 0.5
    )


def test_genuine_label(test_data: Path):
    scene = test_data / "occ3d/gts/scene-unknown"
    path = next(scene.glob("*/labels.npz"))
    semantics, lidar, camera = load_occ3d_frame(path)
    assert int((semantics != FREE).sum()) == 39_092
    assert lidar.float().mean().item() == pytest.approx(0.0884, abs=5e-5)
    assert camera.float().mean().item() == pytest.approx(0.0677, abs=5e-5)
    assert not (camera & ~lidar).any()
    # Axis order: the road lies at the lowest z index, and nowhere else.
    assert (semantics == 11).nonzero()[:, 2].unique().tolist() == [0]
    for place in (scene, path.parent, path):
        clip = load_occ3d_scene(place)
        assert len(clip) == 1
        assert torch.equal(clip.labels[0], semantics)
        assert torch.equal(clip.observed[0], camera)
        assert torch.equal(clip.world_from_ego, torch.eye(4)[None])


def test_round_trip_through_folder_and_annotations(tmp_path: Path):
    scene = made_up_scene()
    folder = save_occ3d_scene(tmp_path, "scene-0001", scene, timestamps_us=[10, 500_010, 1_000_010])
    assert folder == tmp_path / "gts/scene-0001"
    back = load_occ3d_scene(folder)
    assert torch.equal(back.labels, scene.labels)
    assert torch.equal(back.observed, scene.observed)
    torch.testing.assert_close(back.world_from_ego, scene.world_from_ego, atol=2e-6, rtol=1e-6)
    assert back.dt == 0.5


def test_frames_come_in_order_of_time_not_of_name(tmp_path: Path):
    scene = made_up_scene()
    save_occ3d_scene(tmp_path, "s", scene, tokens=["c", "a", "b"])
    assert torch.equal(load_occ3d_scene(tmp_path / "gts/s").labels, scene.labels)
    (tmp_path / "annotations.json").unlink()
    alone = load_occ3d_scene(tmp_path / "gts/s")
    assert torch.equal(alone.labels, scene.labels[[1, 2, 0]])
    assert torch.equal(alone.world_from_ego, torch.eye(4).expand(3, 4, 4))


def test_swapped_links_are_accepted_and_wrong_ones_not(tmp_path: Path):
    save_occ3d_scene(tmp_path, "s", made_up_scene(), tokens=["a", "b", "c"])
    annotations = json.loads((tmp_path / "annotations.json").read_text())
    infos = annotations["scene_infos"]["s"]
    assert (infos["a"]["prev"], infos["a"]["next"], infos["c"]["next"]) == ("", "b", "")
    for info in infos.values():
        info["prev"], info["next"] = info["next"], info["prev"]
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    assert len(load_occ3d_scene(tmp_path / "gts/s")) == 3
    infos["a"]["next"] = "c"
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    with pytest.raises(InputError, match="next of 'a' to be its neighbour in time, got 'c'"):
        load_occ3d_scene(tmp_path / "gts/s")


def test_masks_are_not_mixed_up(tmp_path: Path):
    scene = made_up_scene(1)
    lidar = scene.observed | (scene.labels == 4)
    folder = save_occ3d_scene(tmp_path, "s", scene, mask_lidar=lidar)
    assert torch.equal(load_occ3d_scene(folder, "camera").observed, scene.observed)
    assert torch.equal(load_occ3d_scene(folder, "lidar").observed, lidar)
    assert load_occ3d_scene(folder, "none").observed.all()
    saved = np.load(next(folder.glob("*/labels.npz")), allow_pickle=False)
    assert {(saved[key].dtype.name, saved[key].shape) for key in saved} == {("uint8", SHAPE)}


def test_same_bytes_and_other_scenes_stay(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_occ3d_scene(tmp_path / name, "s", made_up_scene(2))
    files = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")) for n in ("one", "two")]
    assert files[0] == files[1]
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files[0])
    save_occ3d_scene(tmp_path / "one", "other", made_up_scene(1), split="train")
    content = json.loads((tmp_path / "one/annotations.json").read_text())
    assert (content["train_split"], content["val_split"]) == (["other"], ["s"])
    assert len(load_occ3d_scene(tmp_path / "one/gts/s")) == 2


def test_a_clip_file_is_a_scene_too(tmp_path: Path):
    save_clip(tmp_path / "clip.npz", made_up_scene(2))
    assert torch.equal(load_occ3d_scene(tmp_path / "clip.npz").observed, made_up_scene(2).observed)


def frame(**change: np.ndarray | None) -> dict[str, np.ndarray]:
    zeros = np.zeros(SHAPE, np.uint8)
    arrays = {"semantics": zeros, "mask_lidar": zeros, "mask_camera": zeros, **change}
    return {key: array for key, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (frame(semantics=np.full(SHAPE, 18, np.uint8)), r"class ids 0\.\.17 in 'semantics', got 18"),
        (frame(mask_camera=np.full(SHAPE, 2, np.uint8)), "0 or 1 in 'mask_camera', got 2"),
        (frame(mask_lidar=None), "an array 'mask_lidar', got 'mask_camera', 'semantics'"),
        (frame(semantics=np.zeros((16, 200, 200), np.uint8)), "uint8 200 200 16, got uint8 16 200 200"),
        (frame(semantics=np.zeros(SHAPE, np.int32)), "got int32 200 200 16"),
    ],
)
def test_wrong_frames(tmp_path: Path, arrays: dict[str, np.ndarray], message: str):
    save_npz(tmp_path / "labels.npz", arrays)
    with pytest.raises(InputError, match=message):
        load_occ3d_frame(tmp_path / "labels.npz")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("timestamp",), "soon", "a timestamp in microseconds at 'a', got 'soon'"),
        (("timestamp",), 500_000, "at the same"),
        (("ego_pose",), None, "expected translation and rotation, got NoneType"),
        (("ego_pose", "rotation"), [2, 0, 0, 0], "a unit quaternion .* got length 2"),
        (("ego_pose", "rotation"), [1, 0, 0], "4 finite numbers"),
        (("ego_pose", "translation"), [1, float("nan"), 0], "3 finite numbers"),
        (("ego_pose", "translation"), ["1", "2", "3"], "3 finite numbers"),
    ],
)
def test_wrong_annotations(tmp_path: Path, where: tuple[str, ...], value: object, message: str):
    save_occ3d_scene(tmp_path, "s", made_up_scene(2), tokens=["a", "b"])
    annotations = json.loads((tmp_path / "annotations.json").read_text())
    record = annotations["scene_infos"]["s"]["a"]
    for key in where[:-1]:
        record = record[key]
    record[where[-1]] = value
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    with pytest.raises(InputError, match=message):
        load_occ3d_scene(tmp_path / "gts/s")


def test_annotations_and_folders_must_agree(tmp_path: Path):
    save_occ3d_scene(tmp_path, "s", made_up_scene(2), tokens=["a", "b"])
    (tmp_path / "gts/s/b/labels.npz").unlink()
    with pytest.raises(InputError, match=r"the 2 frames of annotations.json, got 1 .*'b'"):
        load_occ3d_scene(tmp_path / "gts/s")
    (tmp_path / "annotations.json").write_text("[1]")
    with pytest.raises(InputError, match="an object as JSON, got list"):
        load_occ3d_scene(tmp_path / "gts/s")
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(InputError, match="as JSON"):
        load_occ3d_scene(tmp_path / "gts/s")
    with pytest.raises(InputError, match="no such file"):
        load_occ3d_scene(tmp_path / "gts/t")
    with pytest.raises(InputError, match=r"folders <token>/labels.npz, got none"):
        load_occ3d_scene(tmp_path / "gts")


@pytest.mark.parametrize("name", ["../up", "a/b", "/abs", "", ".."])
def test_names_stay_in_the_folder(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="expected a"):
        save_occ3d_scene(tmp_path, name, made_up_scene(1))
    with pytest.raises(InputError, match="expected a"):
        save_occ3d_scene(tmp_path, "s", made_up_scene(1), tokens=[name])
    assert not list(tmp_path.glob("**/labels.npz"))


def test_what_the_format_cannot_hold(tmp_path: Path):
    scene = made_up_scene(2)
    for tokens in (["a"], ["a", "a"]):
        with pytest.raises(InputError, match="2 different tokens"):
            save_occ3d_scene(tmp_path, "s", scene, tokens=tokens)
    with pytest.raises(InputError, match="rising"):
        save_occ3d_scene(tmp_path, "s", scene, timestamps_us=[5, 5])
    with pytest.raises(InputError, match="17 classes"):
        save_occ3d_scene(tmp_path, "s", replace(scene, classes=scene.classes[:17]))
    with pytest.raises(InputError, match=r"class ids 0\.\.17, got 18"):
        save_occ3d_scene(tmp_path, "s", replace(scene, labels=scene.labels + 1))
