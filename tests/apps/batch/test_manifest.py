"""Specs and manifests: the same scenario is the same line, and what is no scenario is refused in one line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.apps.batch import identity
from worldloom.apps.batch.identity import Makers, makers_of
from worldloom.apps.batch.manifest import check_manifest, read_manifest, save_manifest
from worldloom.apps.batch.spec import (
    MAX_LINE,
    ClipSource,
    Drawing,
    Occ3dSource,
    ScenarioSpec,
    TownSource,
    spec_from_json,
    spec_from_line,
)
from worldloom.errors import InputError
from worldloom.occupancy.agents import AddedAgent, Agents

SHA = "0123456789abcdef" * 4
SPEC = ScenarioSpec(ClipSource("sample:street", SHA), now=3)

# Plain values: specs themselves are built in the test, because their checks draw at random.
drawn = st.fixed_dictionaries(
    {
        "source": st.tuples(st.sampled_from(["clip", "occ3d", "town"]), st.text(min_size=1, max_size=9)),
        "now": st.integers(5, 40),
        "past": st.integers(1, 6),
        "horizon": st.integers(1, 256),
        "speed": st.floats(0, 60),
        "keep": st.none() | st.integers(0, 9),
        "add": st.lists(st.tuples(st.sampled_from(["car", "bus"]), st.floats(-9, 9), st.floats(-9, 9)), max_size=2),
        "seed": st.integers(0, 1 << 39),
        "guidance": st.floats(0, 20),
    }
)


@settings(max_examples=60)
@given(drawn)
def test_a_spec_is_one_line_and_comes_back(drawn: dict[str, Any]) -> None:
    kind, text = drawn["source"]
    source = {"clip": ClipSource(text, SHA), "occ3d": Occ3dSource(text, text, SHA), "town": TownSource(len(text))}[kind]
    agents = Agents(drawn["keep"], tuple(AddedAgent(*one) for one in drawn["add"]))
    spec = ScenarioSpec(
        source, drawn["now"], drawn["past"], drawn["horizon"], "left", drawn["speed"], agents=agents,
        seed=drawn["seed"], drawing=Drawing(guidance=drawn["guidance"]),
    )  # fmt: skip
    line = spec.line()
    assert "\n" not in line
    again = spec_from_line(line, "x")
    assert again == spec
    assert again.line() == line
    assert json.loads(line) == json.loads(json.dumps(spec.to_json()))


def test_the_key_is_of_what_decides_the_outcome_and_of_nothing_else() -> None:
    scene = ScenarioSpec(Occ3dSource("/data/a", "scene-1", SHA), now=3)
    assert replace(scene, source=replace(scene.source, root="/elsewhere")).key == scene.key
    assert replace(SPEC, source=ClipSource("/elsewhere/street.npz", SHA)).key == SPEC.key
    others = [
        replace(SPEC, source=ClipSource("sample:street", SHA[::-1])),
        replace(SPEC, now=4),
        replace(SPEC, past=3),
        replace(SPEC, horizon=7),
        replace(SPEC, path="left"),
        replace(SPEC, speed=7.0),
        replace(SPEC, agents=Agents(0)),
        replace(SPEC, agents=Agents(add=(AddedAgent("car", 9.0, 0.0),))),
        replace(SPEC, seed=1),
        replace(SPEC, drawing=Drawing(steps=3)),
        replace(SPEC, score=False),
        replace(SPEC, keep="none"),
        replace(scene, source=Occ3dSource("/data/a", "scene-2", SHA)),
        replace(scene, source=Occ3dSource("/data/a", "scene-1", SHA, "camera")),
        scene,
        SPEC,
    ]
    assert len({spec.key for spec in others}) == len(others)


def test_a_shard_is_named_by_spec_code_and_weights() -> None:
    makers = Makers("1", {"small": "a", "copy-warp": "none"})
    assert len(makers.shard(SPEC)) == 32
    assert makers.shard(SPEC) == makers.shard(replace(SPEC))
    names = {
        makers.shard(SPEC),
        makers.shard(replace(SPEC, seed=1)),
        Makers("2", makers.weights).shard(SPEC),
        Makers("1", {"small": "b"}).shard(SPEC),
    }
    assert len(names) == 4


def test_code_and_weights_are_hashed_from_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "worldloom"
    (package / "ops").mkdir(parents=True)
    (package / "apps").mkdir()
    (package / "ops/a.py").write_text("a = 1\n")
    monkeypatch.setattr(identity.worldloom, "__file__", str(package / "__init__.py"))
    identity.code_version.cache_clear()
    first = identity.code_version()
    (package / "apps/page.py").write_text("a page makes no scenario")
    identity.code_version.cache_clear()
    assert identity.code_version() == first
    (package / "ops/a.py").write_text("a = 2\n")
    identity.code_version.cache_clear()
    assert identity.code_version() != first
    (package / "ops/a.py").unlink()
    identity.code_version.cache_clear()
    with pytest.raises(RuntimeError, match="expected the sources"):
        identity.code_version()
    monkeypatch.undo()
    identity.code_version.cache_clear()
    assert makers_of(["copy-warp", "small"]).weights.keys() == {"copy-warp", "small"}
    with pytest.raises(InputError, match="no weights called 'nowhere'"):
        makers_of(["nowhere"])


def changed(**fields: Any) -> dict[str, Any]:
    """A spec's JSON with other fields; `source__kind` reaches into the source."""
    content = SPEC.to_json()
    for name, value in fields.items():
        *outer, key = name.split("__")
        target = content
        for one in outer:
            target = target[one]
        if value is ...:
            del target[key]
        else:
            target[key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got None"),
        ([], "got \\[\\]"),
        ({}, "misses now, source"),
        (changed(source=...), "misses source"),
        (changed(source="street"), "source must be"),
        (changed(source__kind="web"), "a source of kind clip, occ3d, town, got 'web'"),
        (changed(source__kind=...), "a source of kind clip, occ3d, town, got 'None'"),
        (changed(source__kind=["clip"]), "a source of kind clip"),
        (changed(source__sha256="abc"), "64 hex digits"),
        (changed(source__sha256="G" * 64), "64 hex digits"),
        (changed(source__path=7), "source: path must be str, got 7"),
        (changed(source__more=7), "unexpected more"),
        (changed(source={"kind": "town", "town": -1}), "got -1"),
        (changed(source={"kind": "town", "town": 1, "density": 9}), "density in"),
        (changed(source={"kind": "town"}), "misses town"),
        (changed(now=1), "got 4 up to frame 1"),
        (changed(now="3"), "now must be int"),
        (changed(now=True), "now must be int"),
        (changed(past=0), "1 to 40 past frames"),
        (changed(past=99, now=99), "1 to 40 past frames"),
        (changed(horizon=0), "horizon of 1 to 256"),
        (changed(horizon=257), "horizon of 1 to 256"),
        (changed(horizon=1e3), "horizon must be int"),
        (changed(path="up"), "a path log, poses, straight"),
        (changed(path="left", speed=None), "a speed for a manoeuvre"),
        (changed(path="log"), "a speed for a manoeuvre, and for nothing else"),
        (changed(path=None, speed=None), "a path in mode forward"),
        (changed(drawing__mode="policy"), "a path in mode forward, and none in others"),
        (changed(speed=-1), "speed of 0 to 60"),
        (changed(speed=1e300), "speed of 0 to 60"),
        (changed(path="poses", speed=None), "poses for the path 'poses'"),
        (changed(poses=[[1, 0, 0]] * 6), "poses for the path 'poses'"),
        (changed(path="poses", speed=None, poses=[[1, 0, 0]] * 5), "6 steps in poses"),
        (changed(path="poses", speed=None, poses=[[1, 0]] * 6), "poses"),
        (changed(path="poses", speed=None, poses=[[1e9, 0, 0]] * 6), "at most 1000 m"),
        (changed(seed=-1), "a seed from 0"),
        (changed(seed=1 << 40), "a seed from 0"),
        (changed(agents__keep=-1), "agents to keep"),
        (changed(agents__add=[{"kind": "tram", "ahead": 1, "left": 1}]), "an agent car, truck"),
        (changed(agents__add=[{"kind": "car", "ahead": 100, "left": 1}]), "within 60 m"),
        (changed(agents__add=[{"kind": "car", "ahead": 1, "left": 1, "speed": -1}]), "speed from 0 to 60"),
        (changed(drawing__mode="dream"), "a mode forward"),
        (changed(drawing__steps=0), "1 to 64 steps"),
        (changed(drawing__num_futures=65), "1 to 64 futures"),
        (changed(drawing__guidance=21), "guidance of 0 to 20"),
        (changed(drawing__model=""), "the name of a model"),
        (changed(drawing__model="copy-warp", drawing__num_futures=2), "copy-warp makes one future"),
        (changed(keep="some"), "keep must be"),
        (changed(score=1), "score must be bool"),
        (changed(colour="red"), "unexpected colour"),
    ],
)
def test_what_is_no_spec(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        spec_from_json(content, "line 7")
    assert str(refused.value).startswith("line 7")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "a spec as JSON"),
        ("{", "a spec as JSON"),
        ("[" * 100_000, "bytes, got"),
        ("[" * 30_000, "a spec as JSON"),
        ('{"now": NaN}', "finite numbers, got NaN"),
        ('{"now": 1, "now": 2}', "each key once, got 'now' twice"),
        ("x" * (MAX_LINE + 1), f"at most {MAX_LINE} bytes"),
    ],
)
def test_what_is_no_line(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        spec_from_line(line, "m, line 1")
    assert "\n" not in str(refused.value)


def test_a_manifest_comes_back_and_says_what_is_in_it(tmp_path: Path) -> None:
    wanted = [replace(SPEC, seed=i, drawing=Drawing(model)) for i in range(3) for model in ("small", "copy-warp")]
    path = tmp_path / "m.jsonl"
    assert save_manifest(path, wanted) == 6
    assert list(read_manifest(path)) == wanted
    first = path.read_bytes()
    save_manifest(path, wanted)
    assert path.read_bytes() == first
    facts = check_manifest(path)
    assert (facts.count, facts.models) == (6, {"small", "copy-warp"})
    # Written in another way it is the same manifest.
    path.write_text("\n\n".join(json.dumps(spec.to_json(), indent=None) for spec in wanted) + "\n")
    assert check_manifest(path) == facts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least one scenario, got none"),
        (b"\n \n", "at least one scenario, got none"),
        (SPEC.line().encode() + b"\n" + SPEC.line().encode(), "each scenario once, got number 1 again as number 2"),
        (SPEC.line().encode() + b"\nfoo\n", "line 2: expected a spec as JSON"),
        (b"\xff\xfe{}\n", "line 1: expected UTF-8"),
        (b"{" * (MAX_LINE + 10), "line 1: expected a line of at most"),
        (SPEC.line().replace('"seed":0', '"seed":-4').encode(), "line 1: .*a seed from 0"),
    ],
)
def test_a_bad_manifest_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        check_manifest(path)


def test_no_manifest(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(InputError, match="expected a manifest"):
            check_manifest(path)
