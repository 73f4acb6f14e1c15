"""Driving scenarios: what lies in a shard, and that it says what happened."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldloom.apps.batch.driving.future_file import load_future, save_future
from worldloom.apps.batch.driving.kind import DrivingKind, future_names
from worldloom.apps.batch.driving.simulate import prepare, simulate
from worldloom.apps.batch.driving.sources import clip_path, file_hash, open_past
from worldloom.apps.batch.folder import Batch
from worldloom.apps.batch.results import Result, results_of
from worldloom.apps.batch.spec import ClipSource, Drawing, Occ3dSource, ScenarioSpec
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES
from worldloom.geometry.io import load_clip, load_image, save_clip, save_occ3d_scene
from worldloom.occupancy import WorldModel
from worldloom.occupancy.agents import AddedAgent, Agents
from worldloom.synth.samples import sample_clip_path

STREET = ClipSource("sample:street", file_hash(clip_path("sample:street")))
WARP = Drawing("copy-warp")


@pytest.fixture(scope="module")
def results(made: Batch) -> list[Result]:
    return list(results_of(made))


def test_a_shard_has_the_scenario_its_scores_its_voxels_and_a_picture(made: Batch, results: list[Result]) -> None:
    assert len(results) == 8
    for result in results:
        with made.store.fetched(result.folder) as folder:
            assert {path.name for path in folder.iterdir()} == {
                *("scenario.json", "scores.json", "future.npz", "preview.png", "_SUCCESS.json")
            }
            scenario = json.loads((folder / "scenario.json").read_text())
            assert scenario["spec"] == json.loads(result.spec.line())
            picture = load_image(folder / "preview.png")
            assert picture.shape == (3, 176, 352)
            assert picture.std() > 0.1


def test_the_future_is_the_model_s_and_begins_with_the_present(made: Batch, results: list[Result]) -> None:
    logged = results[0]
    assert logged.spec.path == "log"
    clip = load_clip(sample_clip_path())
    with made.store.fetched(f"{logged.folder}/future.npz") as path:
        future, users = load_future(path)
        assert torch.equal(load_clip(path).labels, future.labels)  # an ordinary clip to everybody else
    assert len(future) == 4
    assert torch.equal(future.labels[0], clip.labels[3])
    torch.testing.assert_close(future.world_from_ego, clip.world_from_ego[3:7].double())
    given = prepare(logged.spec, Path("nowhere"))
    assert torch.equal(simulate(logged.spec, given).occupancy[0].labels, future.labels[1:])
    assert users
    assert {OCC3D_CLASSES[user.label] for user in users} <= set(OCC3D_CLASSES[2:11])
    for user in users:
        assert torch.equal(user.world_from_actor[0], user.world_from_actor[-1])  # copy-warp lets nobody move


def test_the_truth_is_compared_with_where_it_is_known(results: list[Result]) -> None:
    for result in results:
        known = result.scores["truth"]
        if result.spec.path == "log" and result.spec.agents == Agents():
            assert known["seconds"] == pytest.approx(1.5)
            assert known["miou_model"] == known["miou_copy_warp"] > 30
            assert known["iou_model"] > 40
            assert "mask observed" in known["protocol"]
        else:
            assert known is None


def test_scores_tell_the_truck_ahead_from_the_open_road(results: list[Result]) -> None:
    by_agents = {(r.spec.now, r.spec.path, len(r.spec.agents.add)): r for r in results}
    blocked, free = by_agents[3, "log", 1], by_agents[3, "log", 0]
    assert blocked.collided is True
    assert free.collided is False
    assert blocked.scores["grid"]["min_ttc_s"] is not None
    assert blocked.number("PDMS-occ") == 0.0 or blocked.number("PDMS-occ") is None
    assert blocked.risk is None  # copy-warp tells none
    assert 0 < free.scores["grid"]["progress"] <= 1
    assert free.scores["physics"]["movers"] > 0
    assert set(free.scores["physics"]["violations_per_100"]) > {"permanence", "rigidity"}
    assert free.number("realism") is None or 0 < free.scores["realism"]["score"] <= 1
    assert blocked.scores["added_agents_overlap"] == [0.0]


def test_the_learned_model_gives_risk_and_boxes_that_move(tmp_path: Path) -> None:
    spec = ScenarioSpec(STREET, now=5, past=4, horizon=2, path="straight", speed=8.0, seed=3)
    kind = DrivingKind(str(tmp_path / "cache"))
    kind.open()
    seconds = kind.make(spec.to_json(), tmp_path)
    kind.check(spec.to_json(), tmp_path)
    assert set(seconds) == {"source", "load", "model", "scores", "files", "picture"}
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert 0 <= scores["risk"]["collision"] <= 1
    assert scores["risk"]["collision"] == max(scores["risk"]["collision_by_frame"])
    future, users = load_future(tmp_path / "future.npz")
    past = load_clip(sample_clip_path())[2:6]
    given = prepare(spec, tmp_path)
    assert given.ego_path is not None
    model = WorldModel.from_pretrained("small").generate(past, given.ego_path, seed=3, expected=False)
    assert torch.equal(future.labels[1:], model.occupancy[0].labels)
    moved = [float((user.world_from_actor[-1] - user.world_from_actor[0])[:2, 3].norm()) for user in users]
    assert max(moved) > 0.5
    # A box lies where its class has voxels, at every frame.
    for user in users:
        x, y, _ = user.world_from_actor[0, :3, 3].tolist()
        assert abs(x - future.world_from_ego[0, 0, 3]) < 60
        assert abs(y - future.world_from_ego[0, 1, 3]) < 60


def test_several_futures_are_kept_as_asked(tmp_path: Path) -> None:
    spec = ScenarioSpec(STREET, now=3, past=2, horizon=1, path="stop", speed=4.0, drawing=Drawing(num_futures=2))
    for keep, names in (("none", []), ("first", ["future.npz"]), ("all", ["future.npz", "future-01.npz"])):
        assert future_names(replace(spec, keep=keep)) == names
    kind = DrivingKind(str(tmp_path / "cache"))
    kind.make(replace(spec, keep="all").to_json(), tmp_path)
    first, second = (load_clip(tmp_path / name) for name in ("future.npz", "future-01.npz"))
    assert not torch.equal(first.labels[1:], second.labels[1:])
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["grid"]["num_futures"] == 2
    assert scores["uncertainty"] > 0


def test_the_seed_is_the_scenario_s_alone(tmp_path: Path) -> None:
    """The order in which scenarios are made, and who made others before, changes nothing."""
    specs = [ScenarioSpec(STREET, now=3, past=2, horizon=1, speed=4.0, seed=seed, score=False) for seed in (0, 1)]
    kind = DrivingKind(str(tmp_path / "cache"))
    made = {}
    for order in ((0, 1), (1, 0)):
        for i in order:
            folder = tmp_path / f"{order}-{i}"
            folder.mkdir()
            kind.make(specs[i].to_json(), folder)
            made[order, i] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert made[(0, 1), 0] == made[(1, 0), 0]
    assert made[(0, 1), 1] == made[(1, 0), 1]
    assert made[(0, 1), 0]["future.npz"] != made[(0, 1), 1]["future.npz"]


def test_a_source_that_has_changed_is_refused(tmp_path: Path) -> None:
    clip = load_clip(sample_clip_path())[:6]
    path = tmp_path / "mine.npz"
    save_clip(path, clip)
    spec = ScenarioSpec(ClipSource(str(path), file_hash(path)), now=3, horizon=1, drawing=WARP)
    assert len(open_past(spec, tmp_path).past) == 4
    save_clip(path, clip[:5])
    changed = replace(spec, source=ClipSource(str(path), spec.source.sha256[::-1]))  # pyright: ignore
    with pytest.raises(InputError, match="the clip that was planned with, got another one"):
        open_past(changed, tmp_path)
    path.unlink()
    gone = replace(spec, source=ClipSource(str(path), spec.source.sha256[2:] + "00"))  # pyright: ignore
    with pytest.raises(InputError, match="expected a clip file, got No such file"):
        open_past(gone, tmp_path)


def test_a_scene_that_has_changed_is_refused(tmp_path: Path) -> None:
    clip = load_clip(sample_clip_path())[:6]
    save_occ3d_scene(tmp_path / "data", "scene-0001", clip)
    source = Occ3dSource(str(tmp_path / "data"), "scene-0001", "0" * 64)
    with pytest.raises(InputError, match="scene-0001 as it was planned with, got other labels or poses"):
        open_past(ScenarioSpec(source, now=3, horizon=1, drawing=WARP), tmp_path)
    with pytest.raises(InputError, match="a scene 'scene-0009', got none of that name"):
        open_past(ScenarioSpec(replace(source, scene="scene-0009"), now=3, horizon=1, drawing=WARP), tmp_path)


def test_a_clip_that_ends_too_early(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected frames up to 30, got a clip of 20"):
        open_past(ScenarioSpec(STREET, now=30, horizon=1, drawing=WARP), tmp_path)
    with pytest.raises(InputError, match="expected 6 logged frames after the present, got 2"):
        prepare(ScenarioSpec(STREET, now=17, path="log", speed=None, drawing=WARP), tmp_path)


def test_boxes_of_other_frames_are_refused(tmp_path: Path, made: Batch, results: list[Result]) -> None:
    with made.store.fetched(f"{results[0].folder}/future.npz") as path:
        clip, users = load_future(path)
    save_future(tmp_path / "f.npz", clip, ())
    assert load_future(tmp_path / "f.npz")[1] == ()
    save_future(tmp_path / "f.npz", clip[:2], users)
    with pytest.raises(InputError, match="boxes over 2 frames, got 4"):
        load_future(tmp_path / "f.npz")


def test_another_scenario_s_files_are_found_out(made: Batch, results: list[Result]) -> None:
    kind = DrivingKind("")
    with made.store.fetched(results[0].folder) as folder:
        kind.check(results[0].spec.to_json(), folder)
        with pytest.raises(InputError, match="expected the scenario"):
            kind.check(results[1].spec.to_json(), folder)


def test_titles_tell_scenarios_apart(results: list[Result]) -> None:
    titles = [result.spec.title for result in results]
    assert len(set(titles)) == len(titles)
    assert titles[0] == "street @3, as logged, seed 0"
    extra = AddedAgent("bus", 9.0, 0.0)
    spec = ScenarioSpec(STREET, 3, speed=4.0, agents=Agents(0, (extra,)), seed=2)
    assert spec.title == "street @3, straight 4 m/s, 0 agents + bus, seed 2"
