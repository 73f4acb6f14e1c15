"""What was recorded is repeated bit for bit; what differs is found; hostile logs are refused."""

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("gymnasium", reason="environments need the extra `sim`")

import gymnasium
import numpy as np

import worldloom.apps.simulation
from tests.occupancy.tiny_world import street_start, tiny_model
from worldloom.apps.simulation.replay import Recorder, ReplayLog, digest, load_replay, replay, save_replay
from worldloom.errors import InputError
from worldloom.occupancy.simulation import ModelWorldConfig

assert worldloom.apps.simulation


def make(steps: int = 1) -> gymnasium.Env:
    config = ModelWorldConfig(reach=10.0, steps=steps)
    return gymnasium.make(
        "worldloom/OccupancyDrive-v0", clips=[street_start()], model=tiny_model(), world=config, seconds=2.0
    )


@pytest.fixture(scope="module")
def log() -> ReplayLog:
    recorder = Recorder(make())
    recorder.reset(seed=3, options={"start": 0})
    for action in ([0.1, 0.0], [0.2, -0.01], [-0.3, 0.02]):
        recorder.step(np.array(action, np.float32))
    return recorder.log


def test_it_is_repeated_bit_for_bit_from_a_file(log: ReplayLog, tmp_path: Path) -> None:
    save_replay(tmp_path / "drive.json", log)
    loaded = load_replay(tmp_path / "drive.json")
    assert loaded == dataclasses.replace(log, steps=loaded.steps)
    assert [step.observation for step in loaded.steps] == [step.observation for step in log.steps]
    assert loaded.environment == "worldloom/OccupancyDrive-v0"
    env = make()
    assert replay(env, loaded) is None
    assert replay(env, loaded) is None


def test_what_differs_is_found(log: ReplayLog) -> None:
    wrong = list(log.steps)
    wrong[1] = dataclasses.replace(wrong[1], action=[0.2, 0.05])
    assert replay(make(), dataclasses.replace(log, steps=tuple(wrong))) == 2
    wrong = list(log.steps)
    wrong[2] = dataclasses.replace(wrong[2], reward=wrong[2].reward + 1e-9)
    assert replay(make(), dataclasses.replace(log, steps=tuple(wrong))) == 3
    assert replay(make(), dataclasses.replace(log, first="0" * 64)) == 0
    assert replay(make(steps=2), log) == 1  # another model


def test_digests_know_type_shape_and_names() -> None:
    zeros = np.zeros(4, np.uint8)
    seen = {
        digest(array)
        for array in (zeros, zeros.reshape(2, 2), zeros.view(np.int8), {"a": zeros}, {"b": zeros}, zeros + 1)
    }
    assert len(seen) == 6
    assert digest({"a": zeros, "b": zeros + 1}) == digest({"b": zeros + 1, "a": zeros})


def test_nothing_is_recorded_that_could_not_be_repeated() -> None:
    recorder = Recorder(make())
    with pytest.raises(InputError, match="seed"):
        recorder.reset()
    with pytest.raises(InputError, match=r"reset\(seed"):
        _ = recorder.log


def changed(log: ReplayLog, **more) -> str:
    content = {"made_by": "worldloom replay", **dataclasses.asdict(log)}
    content.update(more)
    return json.dumps({key: value for key, value in content.items() if value != "leave out"})


STEP = {"action": [0, 0], "reward": 1.0, "terminated": False, "truncated": False, "observation": "a"}
BAD = {
    "no JSON": lambda log: "{",
    "a list": lambda log: "[]",
    "of another": lambda log: changed(log, made_by="x"),
    "no steps": lambda log: changed(log, steps="leave out"),
    "steps of words": lambda log: changed(log, steps="many"),
    "a step of words": lambda log: changed(log, steps=["one"]),
    "a field more": lambda log: changed(log, more=1),
    "a step's field more": lambda log: changed(log, steps=[{**STEP, "more": 1}]),
    "a seed of words": lambda log: changed(log, seed="3"),
    "an action of words": lambda log: changed(log, steps=[{**STEP, "action": ["left", 0]}]),
    "an action of NaN": lambda log: changed(log, steps=[{**STEP, "action": [float("nan"), 0]}]),
    "a huge action": lambda log: changed(log, steps=[{**STEP, "action": [0] * 5000}]),
    "a reward of words": lambda log: changed(log, steps=[{**STEP, "reward": "much"}]),
    "an end of words": lambda log: changed(log, steps=[{**STEP, "terminated": "no"}]),
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_logs_are_refused(name: str, log: ReplayLog, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(BAD[name](log))
    with pytest.raises(InputError, match=r"log\.json: expected"):
        load_replay(path)
    with pytest.raises(InputError):
        load_replay(tmp_path / "nowhere.json")
