"""Exports: read back by our readers, they say what the scenario's own files say."""

import json
import pickle
import pickletools
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.apps.batch.command import RunOptions, run_batch
from worldloom.apps.batch.export import export_batch
from worldloom.apps.batch.export.openscenario import _opendrive_of
from worldloom.apps.batch.export.scene import ExportScene, load_scene
from worldloom.apps.batch.folder import Batch, open_batch
from worldloom.apps.batch.manifest import save_manifest
from worldloom.apps.batch.plan import write_plan
from worldloom.apps.batch.results import results_of
from worldloom.apps.batch.shard import shard_folder
from worldloom.apps.batch.store import LocalStore
from worldloom.apps.batch.sweep import sweep_from_json
from worldloom.errors import InputError
from worldloom.geometry import FREE, invert, yaw_from_rotmat
from worldloom.geometry.io import load_clip, load_image, load_nuscenes, load_occ3d_scene, load_video
from worldloom.geometry.io.plain_pickle import load_plain_pickle
from worldloom.synth.samples import sample_clip_path


@pytest.fixture(scope="module")
def exported(made: Batch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "all"
    formats = ("nuscenes", "scenarionet", "openscenario", "video")
    assert export_batch(made.store.address, out, formats, None, None, False) == 0
    return out


@pytest.fixture(scope="module")
def scenes(made: Batch) -> list[ExportScene]:
    return [load_scene(made, result) for result in results_of(made)]


def test_nuscenes_tables_and_occ3d_labels(exported: Path, scenes: list[ExportScene]) -> None:
    root = exported / "nuscenes"
    tables = {scene.name: scene for scene in load_nuscenes(root)}
    assert tables.keys() == {scene.name for scene in scenes}
    for scene in scenes:
        found = load_occ3d_scene(root / "gts" / scene.name)
        assert torch.equal(found.labels, scene.clip.labels)
        assert torch.equal(found.observed, scene.clip.observed)
        assert found.dt == pytest.approx(0.5)
        table = tables[scene.name]
        assert table.description == scene.result.spec.title
        poses = torch.stack([frame.world_from_ego for frame in table.keyframes])
        torch.testing.assert_close(poses, found.world_from_ego.double(), atol=1e-4, rtol=0)
        # The data set is the scenario moved in the plane.
        shift = poses[0, :3, 3] - scene.clip.world_from_ego[0, :3, 3]
        assert shift[2] == 0
        torch.testing.assert_close(poses[:, :3, 3] - shift, scene.clip.world_from_ego[:, :3, 3])
        assert len(table.actors) == len(scene.users)
        for actor, user in zip(table.actors, scene.users.values(), strict=True):
            moved = user.world_from_actor[:, :3, 3] + shift
            torch.testing.assert_close(actor.trajectory.world_from_actor[:, :3, 3].double(), moved, atol=1e-3, rtol=0)
            assert actor.trajectory.label == user.label
            assert actor.trajectory.extent == pytest.approx(user.extent)


def test_the_map_s_mask_is_the_road(exported: Path, scenes: list[ExportScene]) -> None:
    root = exported / "nuscenes"
    scene = scenes[0]
    (table,) = load_nuscenes(root, scenes=[scene.name])
    logs = {log["location"]: log["token"] for log in json.loads((root / "v1.0-synth/log.json").read_text())}
    maps = json.loads((root / "v1.0-synth/map.json").read_text())
    (record,) = [one for one in maps if logs[f"at-{scene.name}"] in one["log_tokens"]]
    mask = load_image(root / record["filename"])[0] > 0.5
    ego = table.keyframes[0].world_from_ego
    # The devkit's pixel of a place.
    for ahead, expected in ((0.0, True), (4.0, True)):
        x, y, _ = (ego[:3, :3] @ torch.tensor([ahead, 0, 0]).double() + ego[:3, 3]).tolist()
        assert bool(mask[round(mask.shape[0] - y / 0.1), round(x / 0.1)]) is expected
    assert 0.05 < mask.float().mean() < 0.9


def test_scenarionet_is_plain_data_that_fits_together(exported: Path, scenes: list[ExportScene]) -> None:
    folder = exported / "scenarionet"
    summary = load_plain_pickle(folder / "dataset_summary.pkl")
    mapping = load_plain_pickle(folder / "dataset_mapping.pkl")
    assert mapping == dict.fromkeys(summary, "")
    assert summary.keys() == {path.name for path in folder.glob("sd_*.pkl")}
    for scene in scenes:
        path = folder / f"sd_worldloom_v1.0_{scene.name}.pkl"
        content = load_plain_pickle(path)
        assert not {op.name for op, _, _ in pickletools.genops(path.read_bytes())} & {"INST", "OBJ", "NEWOBJ", "EXT1"}
        assert set(content) == {
            *("id", "version", "length", "metadata", "tracks", "dynamic_map_states", "map_features")
        }
        length = content["length"]
        assert length == len(scene.clip) == len(content["metadata"]["ts"])
        np.testing.assert_allclose(np.diff(content["metadata"]["ts"]), 0.5)
        assert content["metadata"]["sdc_id"] in content["tracks"]
        assert content["tracks"].keys() == {"ego", *scene.users}
        for name, track in content["tracks"].items():
            assert track["metadata"]["object_id"] == name
            assert {len(values) for values in track["state"].values()} == {length}
            gone = ~track["state"]["valid"]
            assert all(not np.asarray(values)[gone].any() for values in track["state"].values())
            assert {"position", "heading", "velocity", "length", "width", "height"} < set(track["state"])
        user_name, user = next(iter(scene.users.items()))
        state = content["tracks"][user_name]["state"]
        np.testing.assert_allclose(state["position"], user.world_from_actor[:, :3, 3], rtol=1e-6)
        np.testing.assert_allclose(state["heading"], yaw_from_rotmat(user.world_from_actor[:, :3, :3]), rtol=1e-5)
        edges = [f for f in content["map_features"].values() if f["type"] == "ROAD_EDGE_BOUNDARY"]
        assert edges
        assert all(np.array_equal(edge["polyline"][0], edge["polyline"][-1]) for edge in edges)
        assert content["map_features"]["lane-ego"]["polyline"].shape[1] == 2
    ego = load_plain_pickle(folder / f"sd_worldloom_v1.0_{scenes[0].name}.pkl")["tracks"]["ego"]["state"]
    step = scenes[0].clip.world_from_ego[1, :2, 3] - scenes[0].clip.world_from_ego[0, :2, 3]
    assert np.linalg.norm(ego["velocity"][0]) == pytest.approx(float(step.norm()) / 0.5, rel=0.05)


def test_openscenario_replays_everybody(exported: Path, scenes: list[ExportScene]) -> None:
    for scene in scenes:
        root = ET.parse(exported / "openscenario" / f"{scene.name}.xosc").getroot()
        header = root.find("FileHeader")
        assert header is not None
        assert (header.get("revMajor"), header.get("revMinor")) == ("1", "2")
        assert [child.tag for child in root] == [
            "FileHeader",
            "CatalogLocations",
            "RoadNetwork",
            "Entities",
            "Storyboard",
        ]
        names = [one.get("name") for one in root.findall("Entities/ScenarioObject")]
        assert names == ["Ego", *scene.users]
        assert [one.get("entityRef") for one in root.findall("Storyboard/Init/Actions/Private")] == names
        groups = root.findall("Storyboard/Story/Act/ManeuverGroup")
        assert [one.get("entityRef") for g in groups for one in g.findall("Actors/EntityRef")] == names
        vertices = groups[0].findall(".//Vertex")
        assert [float(v.get("time", "")) for v in vertices] == [0.5 * i for i in range(len(scene.clip))]
        # The ego's reference point is its rear axle, which is the origin of its frame.
        for vertex, pose in zip(vertices, scene.clip.world_from_ego, strict=True):
            place = vertex.find("Position/WorldPosition")
            assert place is not None
            x, y, h = (float(place.get(key, "")) for key in "xyh")
            assert (x, y) == pytest.approx(pose[:2, 3].tolist(), abs=0.25)
            assert h == pytest.approx(float(yaw_from_rotmat(pose[:3, :3])), abs=1e-4)
        assert root.find("RoadNetwork/LogicFile") is None  # the sample has no roads


def test_the_contact_sheet_shows_everybody_and_moves(exported: Path) -> None:
    (path,) = (exported / "video").iterdir()
    film = load_video(path, 99)
    assert film.shape[1] == 3
    assert film.shape[2] > 2 * 240
    assert film.shape[3] > 4 * 240
    assert len(film) == 4 + 2
    assert (film[0] - film[3]).abs().mean() > 0.01
    assert (film[3] - film[5]).abs().mean() < 0.01


def test_the_same_export_has_the_same_bytes(made: Batch, tmp_path: Path, exported: Path) -> None:
    assert export_batch(made.store.address, tmp_path / "again", ("scenarionet", "openscenario"), None, 2, False) == 0
    files = [
        path for path in (tmp_path / "again").rglob("*") if path.suffix in (".xosc", ".pkl") and "sd_" in path.name
    ]
    assert len(files) == 2
    for path in files:
        assert path.read_bytes() == (exported / path.relative_to(tmp_path / "again")).read_bytes()


def test_a_choice_is_exported_alone_and_nothing_is_replaced_unasked(made: Batch, tmp_path: Path) -> None:
    some = [result.spec for result in results_of(made)][2:4]
    save_manifest(tmp_path / "some.jsonl", some)
    out = tmp_path / "out"
    assert export_batch(made.store.address, out, ("scenarionet",), tmp_path / "some.jsonl", None, False) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["written"] == {"scenarionet": {"scenarios": 2}}
    assert len(report["request"]["scenarios"]) == 2
    with pytest.raises(InputError, match="exists; pass --force"):
        export_batch(made.store.address, out, ("scenarionet",), None, None, False)
    assert export_batch(made.store.address, out, ("scenarionet",), None, 1, True) == 0


def test_a_damaged_scenario_is_left_out_and_told(made: Batch, tmp_path: Path) -> None:
    broken = tmp_path / "batch"
    shutil.copytree(made.store.address, broken)
    batch = open_batch(LocalStore(broken))
    first = next(results_of(batch))
    path = broken / shard_folder(first.shard) / "future.npz"
    path.write_bytes(b"\0" * path.stat().st_size)
    assert export_batch(str(broken), tmp_path / "out", ("scenarionet",), None, 3, False) == 1
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["written"]["scenarionet"]["scenarios"] == 2
    assert "future.npz" in report["faults"][0]


def test_scenarios_without_voxels_are_left_out(tmp_path: Path) -> None:
    values = {
        "sources": [{"clip": "sample:street"}],
        "moments": [3],
        "horizon": 1,
        "model": "copy-warp",
        "keep": "none",
        "score": False,
    }
    write_plan(sweep_from_json(values, "s"), tmp_path / "m.jsonl")
    assert run_batch(tmp_path / "m.jsonl", str(tmp_path / "b"), RunOptions(backend="inline")) == 0
    batch = open_batch(LocalStore(tmp_path / "b"))
    result = next(results_of(batch))
    assert "future.npz" not in batch.store.sizes(result.folder)
    assert export_batch(str(tmp_path / "b"), tmp_path / "out", ("video",), None, None, False) == 3
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="a scenario that keeps its future"):
        load_scene(batch, result)


def test_the_ego_s_box_stands_on_the_road(scenes: list[ExportScene]) -> None:
    """Voxels of road lie right below the box, and none of another kind within it."""
    clip = load_clip(sample_clip_path())
    scene = scenes[0]
    assert scene.ego.extent == (4.08, 1.73, 1.6)
    ego_from_box = invert(scene.clip.world_from_ego[0].double()) @ scene.ego.world_from_actor[0]
    bottom = ego_from_box[2, 3] - 0.8
    column = clip.labels[3, 100, 100]
    top = clip.grid.origin[2] + 0.4 * (int((column != FREE).nonzero().max()) + 1)
    assert float(bottom) == pytest.approx(top, abs=1e-6)


def test_pickles_do_not_depend_on_the_hash_seed(scenes: list[ExportScene]) -> None:
    from worldloom.geometry.io.scenarionet import Scenario, description

    one = description(Scenario("a", scenes[0].ego, scenes[0].users))
    assert not any(isinstance(value, (set, frozenset)) for value in one["metadata"]["number_summary"].values())
    assert pickle.dumps(one, 4) == pickle.dumps(description(Scenario("a", scenes[0].ego, scenes[0].users)), 4)
    ego = scenes[0].ego
    short = replace(ego, world_from_actor=ego.world_from_actor[:2], present=ego.present[:2])
    with pytest.raises(InputError, match="expected 4 frames"):
        description(Scenario("a", scenes[0].ego, {"x": short}))


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("harbour", True),
        ("../../secret", False),
        ("../data/opendrive/harbour", False),
        ("/etc/passwd", False),
        (7, False),
    ],
)
def test_roads_are_looked_for_in_the_data_set_alone(tmp_path: Path, location: object, found: bool) -> None:
    root = tmp_path / "data"
    (root / "v1.0-synth").mkdir(parents=True)
    (root / "opendrive").mkdir()
    for roads in (root / "opendrive" / "harbour.xodr", tmp_path / "secret.xodr"):
        roads.write_text("<OpenDRIVE/>")
    (root / "v1.0-synth" / "scene.json").write_text(json.dumps([{"name": "a", "log_token": "l"}]))
    (root / "v1.0-synth" / "log.json").write_text(json.dumps([{"token": "l", "location": location}]))
    assert _opendrive_of(root, "a") == (root / "opendrive" / "harbour.xodr" if found else None)
