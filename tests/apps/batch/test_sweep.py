"""Sweeps: what a person writes becomes exactly the scenarios that were meant, or one line that says what is wrong."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from worldloom.apps.batch.plan import Plan, scenarios, write_plan
from worldloom.apps.batch.spec import ClipSource, Occ3dSource, TownSource
from worldloom.apps.batch.sweep import load_sweep, load_values, sweep_from_json
from worldloom.errors import InputError
from worldloom.geometry import EgoPath, path_from_steps
from worldloom.geometry.io import load_clip, save_clip, save_ego_path, save_occ3d_scene
from worldloom.occupancy.agents import AddedAgent, Agents
from worldloom.synth.samples import sample_clip_path

STREET: dict[str, Any] = {"sources": [{"clip": "sample:street"}]}


def planned(values: dict[str, Any], folder: Path = Path()) -> tuple[list, Plan]:
    plan = Plan()
    return list(scenarios(sweep_from_json({**STREET, **values}, "sweep", folder), plan)), plan


def test_the_product_of_all_axes_source_by_source() -> None:
    values = {"moments": [3, 9], "path": ["left", "stop"], "speed": [4, 8.5], "agents": ["all", 2], "seeds": "5:8"}
    found, plan = planned(values)
    assert len(found) == 2 * 2 * 2 * 2 * 3
    expected = itertools.product([3, 9], ["left", "stop"], [4.0, 8.5], [Agents(), Agents(2)], [5, 6, 7])
    assert [(s.now, s.path, s.speed, s.agents, s.seed) for s in found] == list(expected)
    assert plan.sources == 1
    assert not plan.left_out


def test_axes_that_mean_nothing_are_not_multiplied() -> None:
    found, _ = planned({"moments": [3], "path": ["log", "policy", "straight"], "speed": [4, 8]})
    assert [(s.path, s.speed, s.drawing.mode) for s in found] == [
        ("log", None, "forward"),
        (None, None, "policy"),
        ("straight", 4.0, "forward"),
        ("straight", 8.0, "forward"),
    ]


def test_moments_are_those_that_the_clip_has() -> None:
    assert [s.now for s in planned({"past": 4})[0]] == [3, 11, 19]
    assert [s.now for s in planned({"past": 1, "moments": {"every": 10}})[0]] == [0, 10]
    assert [s.now for s in planned({"moments": {"first": 5, "every": 5, "last": 12}})[0]] == [5, 10]
    found, plan = planned({"moments": [2, 3, 19, 20]})
    assert [s.now for s in found] == [3, 19]
    assert plan.left_out == {"moments that the source does not have": 2}


def test_a_logged_path_needs_the_frames_to_come() -> None:
    found, plan = planned({"moments": [12, 13, 14], "path": "log", "horizon": 6, "seeds": [1, 2]})
    assert {s.now for s in found} == {12, 13}
    assert plan.left_out == {"logged paths that end within the horizon": 2}


def test_a_path_file_stands_in_the_spec(tmp_path: Path) -> None:
    steps = torch.tensor([[2.0, 0.1, 0.05]] * 8)
    save_ego_path(tmp_path / "mine.json", path_from_steps(torch.eye(4), steps, 0.5))
    (spec,) = planned({"path": "mine.json", "moments": [3], "horizon": 3}, tmp_path)[0]
    assert (spec.path, spec.speed) == ("poses", None)
    assert spec.poses is not None
    assert torch.tensor(spec.poses).allclose(steps[:3], atol=2e-6)
    with pytest.raises(InputError, match="a path of at least 10 poses, got 9"):
        planned({"path": "mine.json", "moments": [3], "horizon": 9}, tmp_path)


def test_sources_of_all_kinds(tmp_path: Path) -> None:
    clip = load_clip(sample_clip_path())
    save_clip(tmp_path / "mine.npz", clip[:5])
    save_occ3d_scene(tmp_path / "data", "scene-0001", clip[:6])
    save_occ3d_scene(tmp_path / "data", "scene-0002", clip[6:12], split="train")
    sources = [
        {"clip": "mine.npz"},
        {"occ3d": "data", "split": "val"},
        {"towns": "7:9", "drives": 2, "density": [0.5, 1], "seconds": 10},
    ]
    sweep = sweep_from_json({"sources": sources, "moments": [3], "horizon": 2}, "sweep", tmp_path)
    plan = Plan()
    found = [spec.source for spec in scenarios(sweep, plan)]
    assert plan.sources == len(found) == 1 + 1 + 8
    assert isinstance(found[0], ClipSource)
    assert found[0].path == str(tmp_path / "mine.npz")
    assert isinstance(found[1], Occ3dSource)
    assert (found[1].root, found[1].scene) == (str(tmp_path / "data"), "scene-0001")
    assert found[2:4] == [TownSource(7, 0, 0.5, 10.0), TownSource(7, 0, 1.0, 10.0)]
    assert found[-1] == TownSource(8, 1, 1.0, 10.0)
    named = {"sources": [{"occ3d": "data", "scenes": ["scene-0002"]}], "moments": [3], "horizon": 2}
    other = [spec.source for spec in scenarios(sweep_from_json(named, "sweep", tmp_path), Plan())]
    assert isinstance(other[0], Occ3dSource)
    assert other[0].scene == "scene-0002"
    assert other[0].sha256 != found[1].sha256


def test_a_scene_s_hash_is_of_the_frames_that_are_looked_at(tmp_path: Path) -> None:
    clip = load_clip(sample_clip_path())[:8]
    save_occ3d_scene(tmp_path / "data", "scene-0001", clip)
    sweep = sweep_from_json({"sources": {"occ3d": "data"}, "moments": [3], "horizon": 2}, "s", tmp_path)
    from worldloom.apps.batch.driving.sources import occ3d_scenes

    def now() -> str:
        occ3d_scenes.cache_clear()
        (spec,) = scenarios(sweep, Plan())
        assert isinstance(spec.source, Occ3dSource)
        return spec.source.sha256

    first = now()
    labels = clip.labels.clone()
    labels[7, 0, 0, 0] = 4
    save_occ3d_scene(tmp_path / "data", "scene-0001", type(clip)(labels, *list(vars(clip).values())[1:]))
    assert now() == first  # a frame beyond the horizon
    labels[5, 0, 0, 0] = 4
    save_occ3d_scene(tmp_path / "data", "scene-0001", type(clip)(labels, *list(vars(clip).values())[1:]))
    assert now() != first


def test_the_same_sweep_gives_the_same_bytes_and_a_sample_keeps_the_order(tmp_path: Path) -> None:
    sweep = sweep_from_json({**STREET, "seeds": "0:30", "moments": [3, 7]}, "s")
    write_plan(sweep, tmp_path / "a.jsonl")
    write_plan(sweep, tmp_path / "b.jsonl")
    whole = (tmp_path / "a.jsonl").read_text().splitlines()
    assert (tmp_path / "b.jsonl").read_text().splitlines() == whole
    some = sweep_from_json({**STREET, "seeds": "0:30", "moments": [3, 7], "sample": 11, "sample_seed": 5}, "s")
    assert write_plan(some, tmp_path / "c.jsonl").scenarios == 11
    chosen = (tmp_path / "c.jsonl").read_text().splitlines()
    assert [line for line in whole if line in set(chosen)] == chosen
    assert len({whole.index(line) % 30 for line in chosen}) > 5  # from all over


def test_agents_in_words() -> None:
    value = {"keep": 5, "add": {"kind": "pedestrian", "ahead": 14, "left": -3, "heading_deg": 90, "speed": 1.4}}
    sweep = sweep_from_json({**STREET, "agents": ["all", 0, value]}, "s")
    assert sweep.agents == (Agents(), Agents(0), Agents(5, (AddedAgent("pedestrian", 14.0, -3.0, 90.0, 1.4),)))


def test_yaml_says_what_it_says(tmp_path: Path) -> None:
    """Plain values of YAML 1.2: none of 1.1's octal and base-60 numbers, and no Norway problem."""
    path = tmp_path / "s.yaml"
    path.write_text("a: 1:30\nb: 010\nc: no\nd: 1e3\ne: 1_000\nf: ~\ng: [true, -3, 0.5, 0x1f]\nh: 2026-01-01\ni:\n")
    assert load_values(path) == {
        "a": "1:30",
        "b": "010",
        "c": "no",
        "d": 1000.0,
        "e": "1_000",
        "f": None,
        "g": [True, -3, 0.5, "0x1f"],
        "h": "2026-01-01",
        "i": None,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a sweep with sources, got None"),
        ("[1, 2]", "a sweep with sources, got"),
        ("sources: [", "expected YAML"),
        ("a: &x 1\nb: *x", "an alias 'x'"),
        ("path: left\npath: right", "the key 'path' twice"),
        ("1: 2", "a key '?1'?, where keys are words|keys of"),
        ("a: !!python/object/apply:os.system [ls]", "expected YAML"),
        ("a: !!set {b, c}", "expected keys of|expected YAML"),
        ("\xff\x00", "expected YAML"),
        ("[" * 5000, "expected YAML"),
        ("seeds: 1", "expected sources, got none"),
        ("sources: []", "sources: expected 1 to"),
        ("sources: street", "\\{clip: …\\}, \\{occ3d: …\\} or \\{towns: …\\}"),
        ("sources: [{web: x}]", "\\{clip: …\\}"),
        ("sources: [{clip: 7}]", "clip: expected a text, got 7"),
        ("sources: [{clip: a, seed: 1}]", "expected keys of clip, got 'seed'"),
        ("sources: [{occ3d: a, mask: radar}]", "lidar, camera or none"),
        ("sources: [{towns: 5:5}]", "FIRST:END with 1 to"),
        ("sources: [{towns: -1}]", "a whole number of 0 or more"),
        ("sources: [{towns: 1, drives: 0}]", "1 to 10000 drives"),
        ("sources: &a [{clip: a}]\ncolour: red", "expected keys of .*, got 'colour'"),
        ("sources: {clip: a}\npath: up", "straight, left, right, stop"),
        ("sources: {clip: a}\npath: [left, left]", "path: expected each value once"),
        ("sources: {clip: a}\npath: none.json", "none.json"),
        ("sources: {clip: a}\nspeed: fast", "speed: expected a number, got 'fast'"),
        ("sources: {clip: a}\nspeed: 010", "speed: expected a number, got '010'"),
        ("sources: {clip: a}\nspeed: .inf", "speed: expected a number"),
        ("sources: {clip: a}\nseeds: 0.5", "seeds: expected a whole number"),
        ("sources: {clip: a}\nseeds: [1, 1]", "each value once"),
        ("sources: {clip: a}\nseeds: 0:99999999999", "FIRST:END with 1 to"),
        ("sources: {clip: a}\nagents: some", "all, a number to keep"),
        ("sources: {clip: a}\nagents: {keep: 1, drop: 2}", "unexpected drop"),
        ("sources: {clip: a}\nagents: {add: {kind: cow, ahead: 1, left: 1}}", "an agent car"),
        ("sources: {clip: a}\nagents: {add: {kind: car, ahead: far, left: 1}}", "ahead must be float"),
        ("sources: {clip: a}\nmoments: {each: 2}", "first, every and last, got 'each'"),
        ("sources: {clip: a}\nmoments: {every: 0}", "every 1 or more"),
        ("sources: {clip: a}\nmode: policy", "expected keys of"),
        ("sources: {clip: a}\nsteps: 99", "1 to 64 steps"),
        ("sources: {clip: a}\nscore: maybe", "true or false"),
        ("sources: {clip: a}\nkeep: most", "none, first or all"),
        ("sources: {clip: a}\nfutures: 2\nmodel: copy-warp", "copy-warp makes one future"),
    ],
)
def test_what_is_no_sweep(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("latin1") if text.startswith("\xff") else text.encode())
    with pytest.raises(InputError, match=message) as refused:
        load_sweep(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value) or "none.json" in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sources": {"clip": "nowhere.npz"}}, "nowhere.npz: expected a clip file"),
        ({"sources": {"clip": "sample:moon"}}, "a sample street, got 'moon'"),
        ({"sources": {"occ3d": "nowhere"}}, "a folder gts"),
        ({"moments": [0]}, "at least one scenario, got none: 1 moments that the source does not have"),
        ({"path": "log", "horizon": 30}, "got none: 3 logged paths that end within the horizon"),
        ({"horizon": 300}, "horizon of 1 to 256"),
        ({"past": 0}, "1 to 40 past frames"),
        ({"speed": [99]}, "speed of 0 to 60"),
        ({"path": "policy", "model": "copy-warp"}, "copy-warp makes one future along a given path"),
    ],
)
def test_a_plan_that_cannot_be_leaves_no_file(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_plan(sweep_from_json({**STREET, **values}, "s", tmp_path), tmp_path / "m.jsonl")
    assert not list(tmp_path.iterdir())


def test_an_ego_path_of_another_step_is_resampled(tmp_path: Path) -> None:
    fine = path_from_steps(torch.eye(4), torch.tensor([[0.4, 0.0, 0.0]] * 40), 0.1)
    save_ego_path(tmp_path / "fine.json", EgoPath(fine.world_from_ego, 0.1))
    (spec,) = planned({"path": "fine.json", "moments": [3], "horizon": 3}, tmp_path)[0]
    assert spec.poses is not None
    assert torch.tensor(spec.poses).allclose(torch.tensor([[2.0, 0.0, 0.0]] * 3), atol=1e-4)
