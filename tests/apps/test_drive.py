"""`worldloom drive` end to end: what it writes, when it scores, and that its output is input again."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.apps import drive
from worldloom.apps.drive import make_drive
from worldloom.errors import InputError
from worldloom.geometry import MOVERS, OCC3D_CLASSES, OCC3D_GRID, STATIC, EgoPath, Occupancy, among
from worldloom.geometry.io import (
    load_clip,
    load_ego_path,
    load_image,
    load_occ3d_scene,
    load_video,
    save_clip,
    save_ego_path,
)
from worldloom.occupancy.static_tokenizer import StaticTokenizer, StaticTokenizerConfig
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.ops import save_weights
from worldloom.synth.samples import sample_clip_path

FILES = (
    "annotations.json",
    "birdseye.mp4",
    "ego_path.json",
    "followed.json",
    "future.npz",
    "perspective.mp4",
    "preview.png",
    "report.json",
    "risk.json",
)


@pytest.fixture(scope="module")
def logged(street_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of the past, three of the future, along the logged path."""
    out = tmp_path_factory.mktemp("logged") / "drive"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive, "PICTURES_PER_FRAME", 2)  # nobody watches this film
        return make_drive(street_clip, out, path="log", num_past=3, horizon=3).folder


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For runs whose pictures nobody looks at."""
    monkeypatch.setattr(drive, "_draw", lambda job, future, folder: None)


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_everything_is_written(logged: Path) -> None:
    assert sorted(p.name for p in logged.iterdir()) == sorted([*FILES, "gts"])
    report = report_of(logged)
    assert set(report["files"]) >= set(FILES) - {"report.json"}
    assert report["request"]["num_past"] == 3
    assert report["future"]["frames"] == 3


def test_the_path_is_found_again_in_the_voxels(tmp_path: Path) -> None:
    report = make_drive(sample_clip_path(), tmp_path / "out", path="left", horizon=4, model="copy-warp").report
    recovered = report["path"]["recovered"]
    assert recovered["steps_measured"] == 1
    assert recovered["ade_metres"] < 0.25  # the way is ten metres long


def test_occ3d_folder_and_clip_say_the_same(logged: Path) -> None:
    (scene,) = (logged / "gts").iterdir()
    assert scene.name == "street-future"
    from_folder, from_clip = load_occ3d_scene(scene), load_clip(logged / "future.npz")
    assert torch.equal(from_folder.labels, from_clip.labels)
    assert torch.equal(from_folder.observed, from_clip.observed)
    assert from_folder.dt == pytest.approx(0.5)
    torch.testing.assert_close(
        from_folder.world_from_ego.double(), from_clip.world_from_ego.double(), atol=1e-4, rtol=0
    )


def test_poses_are_the_logged_ones(logged: Path, street_clip: Path) -> None:
    truth = load_clip(street_clip)
    path = load_ego_path(logged / "ego_path.json")
    torch.testing.assert_close(path.world_from_ego.double(), truth.world_from_ego[2:6].double())
    torch.testing.assert_close(
        load_clip(logged / "future.npz").world_from_ego.double(), truth.world_from_ego[3:].double()
    )


def test_the_logged_path_is_scored_above_its_floor(logged: Path) -> None:
    metrics = report_of(logged)["metrics"]
    assert metrics["frames"] == 3
    for protocol, mask in (("observed", "observed"), ("published", "none")):
        warp, copy = metrics[protocol]["copy_warp"], metrics[protocol]["copy_last"]
        assert warp["miou"]["1s"] > copy["miou"]["1s"] + 20
        assert warp["iou"]["1s"] > copy["iou"]["1s"] + 20
        assert warp["miou"]["3s"] is None  # three frames reach 1.5 s
        assert f"mask {mask}" in warp["protocol"]
        support = {name: row["support"] for name, row in warp["per_class_all_frames"].items()}
        assert support["car"] > 0
        assert support["bicycle"] == 0
    # Parked things and walls stay where they are, but for voxels that the raster cuts anew.
    assert metrics["observed"]["copy_warp"]["per_class_all_frames"]["driveable_surface"]["iou"] > 80


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", ["left", "stop"])
def test_a_path_off_the_log_is_not_scored(name: str, street_clip: Path, tmp_path: Path) -> None:
    result = make_drive(street_clip, tmp_path / "out", path=name, speed=6.0, num_past=4, horizon=2)
    assert result.report["metrics"] is None
    assert "leaves the logged one at future frame 1" in result.report["metrics_reason"]


@pytest.mark.usefixtures("no_pictures")
def test_a_path_file_along_the_log_is_scored(street_clip: Path, tmp_path: Path) -> None:
    clip = load_clip(street_clip)
    save_ego_path(tmp_path / "log.json", EgoPath(clip.world_from_ego, clip.dt))
    result = make_drive(street_clip, tmp_path / "out", path=str(tmp_path / "log.json"), num_past=4, horizon=2)
    assert "from pose 3" in result.report["path"]["laid"]
    assert result.report["metrics"]["frames"] == 2


@pytest.mark.usefixtures("no_pictures")
def test_beyond_the_truth_only_the_known_frames_are_scored(street_clip: Path, tmp_path: Path) -> None:
    clip = load_clip(street_clip)
    steps = EgoPath(clip.world_from_ego, clip.dt)
    further = torch.cat([steps.world_from_ego, steps.world_from_ego[-1:] @ torch.eye(4, dtype=torch.float64)])
    save_ego_path(tmp_path / "longer.json", EgoPath(further, clip.dt))
    result = make_drive(street_clip, tmp_path / "out", path=str(tmp_path / "longer.json"), num_past=4, horizon=3)
    assert result.report["future"]["frames"] == 3
    assert result.report["metrics"]["frames"] == 2


@pytest.mark.usefixtures("no_pictures")
def test_output_is_input_again(logged: Path, tmp_path: Path) -> None:
    """The Occ3D folder and the clip of one run give the same second future."""
    (scene,) = (logged / "gts").iterdir()
    again = [
        make_drive(source, tmp_path / f"again{i}", path="straight", num_past=2, horizon=1)
        for i, source in enumerate((scene, logged / "future.npz"))
    ]
    futures = [load_clip(result.folder / "future.npz") for result in again]
    assert (futures[0].labels != futures[1].labels).double().mean() < 1e-4  # quaternions round the poses
    path = load_ego_path(logged / "ego_path.json")
    torch.testing.assert_close(
        futures[0].world_from_ego[0, :3, 3].double(), path.world_from_ego[3, :3, 3].double(), atol=4, rtol=0
    )


@pytest.mark.usefixtures("no_pictures")
def test_one_frame_is_the_past_and_has_no_truth(logged: Path, tmp_path: Path) -> None:
    labels = next((logged / "gts").glob("*/*/labels.npz"))
    result = make_drive(labels, tmp_path / "out", path="right", speed=3.0, horizon=2)
    assert result.report["request"]["num_past"] == 1
    assert result.report["metrics"] is None
    assert "no frames" in result.report["metrics_reason"]
    future = load_clip(result.folder / "future.npz")
    assert future.world_from_ego[1, 1, 3] < 0  # right is -y
    assert future.world_from_ego[1, 0, 3] > 2


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_without_poses_uses_its_last_frame_and_says_so(
    logged: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (scene,) = (logged / "gts").iterdir()
    bare = tmp_path / "bare"
    for labels in scene.glob("*/labels.npz"):
        (bare / labels.parent.name).mkdir(parents=True)
        (bare / labels.parent.name / "labels.npz").write_bytes(labels.read_bytes())
    result = make_drive(bare, tmp_path / "out", path="stop", speed=0.0, num_past=2, horizon=1, model="copy-warp")
    assert result.report["metrics"] is None
    assert any("no poses" in warning for warning in result.report["warnings"])
    assert "no poses" in capfd.readouterr().err
    past, future = load_occ3d_scene(bare, "lidar"), load_clip(result.folder / "future.npz")
    assert torch.equal(future.labels[0], past.labels[1])


def test_a_finished_run_is_left_as_it_is(logged: Path, street_clip: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in logged.rglob("*")}
    result = make_drive(street_clip, logged, path="log", num_past=3, horizon=3, resume=True)
    assert result.report == report_of(logged)
    assert {p: p.stat().st_mtime_ns for p in logged.rglob("*")} == before


@pytest.mark.usefixtures("no_pictures")
def test_same_input_same_future(logged: Path, street_clip: Path, tmp_path: Path) -> None:
    again = make_drive(street_clip, tmp_path / "again", path="log", num_past=3, horizon=3).folder
    for name in ("future.npz", "ego_path.json", "annotations.json"):
        assert (again / name).read_bytes() == (logged / name).read_bytes(), name


def test_pictures_show_past_and_future(logged: Path) -> None:
    """Six frames, none of one colour, and the border around them changes where the future begins."""
    for name, per_frame in (("birdseye.mp4", 1), ("perspective.mp4", 2)):
        frames = load_video(logged / name, max_frames=1000)
        assert len(frames) == 5 * per_frame + 1
        assert (frames.flatten(2).std(dim=2).amax(dim=1) > 0.05).all()
        borders = frames[:, :, 1, :].mean(dim=2)
        change = (borders[1:] - borders[:-1]).abs().sum(1)
        assert int(change.argmax()) == 3 * per_frame - 1
        assert (change > 0.2).sum() == 1
    assert load_image(logged / "preview.png").std() > 0.1


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
def test_real_label_along_real_paths(test_data: Path, tmp_path: Path) -> None:
    scene = test_data / "occ3d/gts/scene-unknown"
    past = load_occ3d_scene(scene, "lidar")
    for i, path in enumerate(sorted((test_data / "ego_paths").glob("*.npz"))):
        result = make_drive(scene, tmp_path / f"real{i}", path=str(path), horizon=4, model="copy-warp")
        future: Occupancy = load_clip(result.folder / "future.npz")
        assert result.report["metrics"] is None
        assert np.isfinite(result.report["path"]["metres"])
        # The car drives on the road it stands on: most of what was there is still in view after two seconds.
        share = (future.labels != 17).sum() / (4 * (past.labels != 17).sum())
        assert 0.6 < share < 1
        assert ((future.labels[-1] == 11).any(2) & (future.labels[-1] == 15).any(2)).sum() < 200
        # The model makes more of it, but does not touch what was seen of the static world.
        learned = load_clip(
            make_drive(scene, tmp_path / f"learned{i}", path=str(path), horizon=4).folder / "future.npz"
        )
        seen = future.observed & among(future.labels, STATIC) & ~among(learned.labels, MOVERS)
        assert (learned.labels == future.labels)[seen].float().mean() > 0.98
        assert (learned.labels == 11).sum() > 1.5 * (future.labels == 11).sum()  # a sparse label's road is closed


def test_the_published_protocol_trusts_all_labels_of_the_past_and_ours_only_what_was_seen(
    tmp_path: Path, no_pictures: None
) -> None:
    labels = torch.full((5, *OCC3D_GRID.shape), 17, dtype=torch.uint8)
    labels[:, :, :, 0] = 11
    labels[:, 120:130, 60:70, 0:8] = 15  # a wall that nobody looked at in the past
    observed = torch.ones_like(labels, dtype=torch.bool)
    observed[:2, 110:140, 50:80] = False
    poses = torch.eye(4).repeat(5, 1, 1)
    save_clip(tmp_path / "wall.npz", Occupancy(labels, observed, poses, OCC3D_GRID, OCC3D_CLASSES, 0.5))
    result = make_drive(tmp_path / "wall.npz", tmp_path / "out", path="log", num_past=2, horizon=3)
    metrics = result.report["metrics"]
    for method in ("copy_warp", "copy_last"):
        assert metrics["published"][method]["per_class_all_frames"]["manmade"]["iou"] == 100
        assert metrics["observed"][method]["per_class_all_frames"]["manmade"]["iou"] == 0


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a world model that has learned nothing."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    static, traffic = StaticTokenizerConfig((8, 8, 8, 8), decoder_blocks=1), TrafficConfig(64, 1, 4, map_width=16)
    save_weights(folder / "static", StaticTokenizer(static), static)
    save_weights(folder / "traffic", TrafficNet(traffic), traffic)
    return folder


@pytest.mark.usefixtures("no_pictures")
def test_a_world_model_makes_several_futures(street_clip: Path, untrained: Path, tmp_path: Path) -> None:
    out = make_drive(
        street_clip, tmp_path / "out", path="log", num_past=3, horizon=2, model=str(untrained), num_futures=2, seed=4
    ).folder
    assert len(list((out / "gts").iterdir())) == 2
    assert len(load_clip(out / "future-01.npz")) == 2
    report = report_of(out)
    assert report["method"] == str(untrained)
    assert len(report["risk"]["collision_by_frame"]) == len(report["uncertainty_by_frame"]) == 2
    assert set(report["metrics"]["observed"]) == {"input", "model", "copy_warp", "copy_last"}
    assert "uncertainty.npz" in report["files"]


@pytest.mark.usefixtures("no_pictures")
def test_a_world_model_drives_by_itself(street_clip: Path, untrained: Path, tmp_path: Path) -> None:
    result = make_drive(street_clip, tmp_path / "out", num_past=3, horizon=2, model=str(untrained), mode="policy")
    assert result.report["metrics"] is None
    assert "the model drives" in result.report["metrics_reason"]
    path = load_ego_path(tmp_path / "out" / "ego_path.json")
    future = load_clip(tmp_path / "out" / "future.npz")
    torch.testing.assert_close(path.world_from_ego[1:].float(), future.world_from_ego.float())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"num_futures": 0}, "expected 1 to 64 futures, got 0"),
        ({"mode": "dream"}, "expected a mode forward, policy, joint, video, got 'dream'"),
        ({"steps": 0}, "expected 1 to 64 steps, got 0"),
        ({"guidance": -1.0}, "expected a guidance of 0 to 20, got -1"),
        ({"model": "copy-warp", "num_futures": 2}, "copy-warp makes one future along a given path"),
        ({"model": "nowhere"}, "no weights called 'nowhere': expected a folder with static"),
    ],
)
def test_what_a_world_model_cannot_do_is_said(street_clip: Path, tmp_path: Path, asked: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_drive(street_clip, tmp_path / "out", num_past=3, horizon=2, **asked)
    assert not (tmp_path / "out").exists()
