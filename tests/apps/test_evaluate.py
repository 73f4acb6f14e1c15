"""`worldloom evaluate` on a little Occ3D data set: published protocols, floors, and going on where it stopped."""

import json
from pathlib import Path

import pytest
import torch

from worldloom.apps import evaluate as module
from worldloom.apps.drive import COPY_WARP
from worldloom.apps.evaluate import evaluate
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.io import image_size, save_occ3d_scene

FRAMES = 14
CAR, ROAD, HOUSE = 4, 11, 15


def street(speed: float) -> Occupancy:
    """An ego that drives along a wall, 2 m a frame or none, towards a car that stands."""
    labels = torch.full((FRAMES, *OCC3D_GRID.shape), 17, dtype=torch.uint8)
    for frame in range(FRAMES):
        step = round(speed * frame / 0.4)
        labels[frame, :, 85:115, 0] = ROAD
        first = max(0, 120 - step)
        labels[frame, first : 160 - step, 120:124, 1:6] = HOUSE
        labels[frame, 150 - step : 160 - step, 100:105, 1:4] = CAR
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = speed * torch.arange(FRAMES)
    return Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, OCC3D_GRID, OCC3D_CLASSES, 0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("occ3d")
    for name, speed in (("scene-0001", 2.0), ("scene-0002", 0.0)):
        save_occ3d_scene(root, name, street(speed), split="val")
    return root


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_told_egos_make_a_standing_world_certain(data: Path, tmp_path: Path) -> None:
    """14 frames hold four windows of 5 + 6; where everything stands the warp is right and the copy is not."""
    evaluate(data, tmp_path / "out", protocol="i2world", model=COPY_WARP, split="val")
    told = report(tmp_path / "out")
    assert "8 window(s) of 2 clip(s)" in told["protocol"]
    assert "true future poses are given" in told["ego"]
    assert told["scores"]["copy_warp"]["movers_iou"]["3s"] == 100
    assert told["scores"]["copy_last"]["movers_iou"]["3s"] < 60
    assert told["scores"]["copy_warp"]["miou"]["1s"] > 95
    height, width = image_size(tmp_path / "out" / "forecasts.png")
    assert width > height  # now and three seconds, of the truth and two floors


def test_egos_that_are_not_told_go_on_as_they_did(data: Path, tmp_path: Path) -> None:
    """OccWorld's protocol: this ego keeps its speed, so the floor guesses right; 13 frames a window."""
    evaluate(data, tmp_path / "out", protocol="occworld", model=COPY_WARP)
    told = report(tmp_path / "out")
    assert "no method is told" in told["ego"]
    assert "4 window(s)" in told["protocol"]
    assert told["scores"]["copy_warp"]["movers_iou"]["3s"] == 100
    assert told["scores"]["copy_warp"]["per_class_all_frames"]["bus"]["iou"] == 100  # absent, and counted as right


def test_changes_are_named_and_change_the_score(data: Path, tmp_path: Path) -> None:
    asked = {"protocol": "occworld", "model": COPY_WARP, "scenes": ["scene-0001"], "stride": 5}
    evaluate(data, tmp_path / "out", **asked, absent="nan", classes=["car", "manmade"])
    told = report(tmp_path / "out")
    assert told["protocol"].startswith("occworld, changed")
    assert "classes car,manmade" in told["protocol"]
    assert "mIoU over 2 classes" in told["scores"]["copy_warp"]["protocol"]
    assert told["scores"]["copy_warp"]["per_class_all_frames"]["bus"]["iou"] is None


def test_an_interrupted_run_goes_on_to_the_same_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(data, tmp_path / "whole", protocol="dome", model=COPY_WARP)
    done: list[str] = []
    scored = module._scored

    def stop(clip, *rest):
        if done and "again" not in done:
            raise KeyboardInterrupt
        done.append(clip.name)
        return scored(clip, *rest)

    monkeypatch.setattr(module, "_scored", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(data, tmp_path / "halves", protocol="dome", model=COPY_WARP)
    done.append("again")
    evaluate(data, tmp_path / "halves", protocol="dome", model=COPY_WARP, resume=True)
    assert done == ["scene-0001", "again", "scene-0002"]
    assert report(tmp_path / "halves")["scores"] == report(whole)["scores"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "mine"}, "expected a protocol occworld, i2world, dome, ours, got 'mine'"),
        ({"mask": "eyes"}, "expected mask camera, lidar, none, got 'eyes'"),
        ({"absent": "zero"}, "expected absent nan, one, union, support, got 'zero'"),
        ({"classes": ["cat"]}, "got 'cat'"),
        ({"classes": ["car", "car"]}, "expected different classes"),
        ({"stride": 0}, "a stride of 1 or more"),
        ({"scenes": ["scene-9999"]}, "expected scenes of this data set, got 'scene-9999'"),
        ({"split": "train"}, "expected scenes of split 'train'"),
        ({"data": Path("nowhere")}, "nowhere: expected .* no such file"),
        ({"infos": Path("none.pkl")}, "none.pkl"),
        ({"model": "giant"}, "giant"),
    ],
)
def test_bad_requests_are_one_line_and_leave_nothing(data: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    wanted = {"data": data, "model": COPY_WARP} | arguments
    with pytest.raises(InputError, match=message):
        evaluate(out=tmp_path / "out", **wanted)
    assert not list(tmp_path.iterdir())
