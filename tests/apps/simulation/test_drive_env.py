"""The driving environment keeps gymnasium's rules, whatever is observed and however it is driven."""

import dataclasses
import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="environments need the extra `sim`")

import gymnasium
from gymnasium.utils.env_checker import check_env, data_equivalence

import worldloom.apps.simulation
from tests.occupancy.moving_world import CAR, straight_street
from tests.occupancy.tiny_world import street_start, tiny_model
from worldloom.apps.simulation.actions import ACTIONS, Controls, Trajectories, Waypoints
from worldloom.apps.simulation.drive_env import DriveEnv, driving_reward
from worldloom.errors import InputError
from worldloom.geometry.io import save_clip
from worldloom.occupancy.simulation import ClipStart, ModelWorldConfig, Trajectory, clip_start
from worldloom.occupancy.simulation.sensors import SENSORS, Birdseye, Lidar
from worldloom.synth.traffic.ego import Action, Waypoint

ID = "worldloom/OccupancyDrive-v0"
MODEL = tiny_model()
STARTS = [street_start(4), street_start(5, 10, 4.0)]
LITTLE = ModelWorldConfig(reach=10.0, steps=1)
KEEP = np.zeros(2, np.float32)


def make(**more) -> DriveEnv:
    env = gymnasium.make(ID, **{"clips": STARTS, "model": MODEL, "world": LITTLE, "seconds": 4.0, **more})
    assert isinstance(env.unwrapped, DriveEnv)
    return env.unwrapped


@pytest.mark.parametrize("action", ACTIONS)
def test_gymnasiums_own_checks_pass_for_every_action(action: str) -> None:
    check_env(make(action=action), skip_render_check=True)


@pytest.mark.parametrize("observation", [*(name for name in SENSORS if name != "numbers"), ["numbers", "lidar"]])
def test_gymnasiums_own_checks_pass_for_every_observation(observation) -> None:
    check_env(make(observation=observation), skip_render_check=True)


def drive(env: DriveEnv, seed: int, actions) -> list:
    rows: list[Any] = [env.reset(seed=seed)]
    for action in actions:
        rows.append(env.step(action))
        if rows[-1][2] or rows[-1][3]:
            break
    return rows


def test_a_drive_is_repeated_exactly_in_any_instance() -> None:
    dice = np.random.default_rng(0)
    actions = dice.uniform(-0.4, 0.4, (6, 2)).astype(np.float32)
    one, other = make(), make()
    other.reset(seed=99)  # another instance's numbers, and an earlier drive, change nothing
    other.step(actions[0])
    first, second = drive(one, 7, actions), drive(other, 7, actions)
    assert data_equivalence(first, second, exact=True)
    assert not data_equivalence(first, drive(one, 8, actions))


def test_seeds_and_starts_are_drawn_from_the_environments_own_dice() -> None:
    env = make()
    env.reset(seed=5)
    drawn = [env.reset()[1] for _ in range(6)]
    assert len({info["seed"] for info in drawn}) == 6
    assert {info["start"] for info in drawn} == {0, 1}
    chosen = env.reset(options={"start": 1, "seed": 42})[1]
    assert (chosen["start"], chosen["seed"]) == (1, 42)


def test_time_truncates() -> None:
    env = make()
    env.reset(seed=0, options={"start": 0})
    ends = []
    for _ in range(8):
        _, _, terminated, truncated, info = env.step([-0.2, 0.0])
        ends.append((terminated, truncated))
        assert info["timestamp_us"] == 500_000 * len(ends)
    assert ends == [(False, False)] * 7 + [(False, True)]


QUEUE = clip_start(straight_street(9, ego_speed=4.0, users=((CAR, 30, 0, 0.0),)), 4, "queue")


@pytest.mark.parametrize(
    ("start", "curvature", "fault"),
    [(QUEUE, 0.0, 0.0), (street_start(4, alone=True), 0.3, 0.5)],
    ids=["a car that stands", "a wall"],
)
def test_contacts_terminate(start: ClipStart, curvature: float, fault: float) -> None:
    env = make(clips=[start])
    env.reset(seed=0, options={"start": 0})
    reward, terminated, truncated, info = 0.0, False, False, {}
    for _ in range(8):
        _, reward, terminated, truncated, info = env.step([1.0, curvature])
        if terminated:
            break
    assert (terminated, truncated, info["contact"]) == (True, False, True)
    assert reward < -3
    assert env.metrics()["no_collision"] == fault
    # Half of the four seconds were not driven.
    assert env.metrics()["pdms"] <= 0.5


@pytest.mark.parametrize(("aside", "lost"), [(9.9, False), (10.1, True), (-9.9, False), (-10.1, True)])
def test_who_is_far_beside_the_route_is_lost(aside: float, lost: bool) -> None:
    env = make()
    env.reset(seed=0)
    assert env._ended(dataclasses.replace(env.state, aside=aside)) == (lost, False)


def test_leaving_the_route_terminates() -> None:
    env = make(seconds=60.0)
    env.reset(seed=0, options={"start": 0})
    terminated, info = False, {}
    for _ in range(20):
        _, _, terminated, _, info = env.step([0.0, 0.2])
        if terminated:
            break
    assert terminated
    assert info["contact"] or abs(info["aside"]) > 10


def test_what_is_saved_can_be_restored_and_branches_leave_no_trace() -> None:
    env = make()
    env.reset(seed=3, options={"start": 0})
    env.step(KEEP)
    saved = env.save()
    one = env.step([0.3, 0.01])
    dice = env.np_random.random()
    seen, info = env.restore(saved)
    assert info["timestamp_us"] == 500_000
    tried = env.branch([[0.3, 0.01], [-0.5, 0.0]])
    assert env.state.timestamp_us == 500_000
    again = env.step([0.3, 0.01])
    assert data_equivalence(one, again, exact=True)
    assert data_equivalence(one[:2], (tried[0].observation, tried[0].reward), exact=True)
    assert env.np_random.random() == dice
    elsewhere = make()
    elsewhere.reset(seed=77)
    elsewhere.restore(tried[1].saved)
    assert elsewhere.state.ego.speed < env.state.ego.speed
    assert data_equivalence(elsewhere.restore(saved)[0], seen, exact=True)


def test_a_reward_of_ones_own() -> None:
    env = make(reward=lambda before, after: -abs(after.ego.speed - 5.0))
    env.reset(seed=0, options={"start": 0})
    assert env.step(KEEP)[1] == pytest.approx(-1.0)
    usual = make()
    usual.reset(seed=0, options={"start": 0})
    before = usual.state
    _, reward, *_ = usual.step(KEEP)
    assert reward == driving_reward(before, usual.state) == pytest.approx(3.0 / 5.0)


def test_pictures_of_the_drive() -> None:
    env = make(render_mode="rgb_array", render_height=96)
    env.reset(seed=0)
    picture = env.render()
    assert picture is not None
    assert picture.shape == (96, 170 + 96, 3)
    assert picture.dtype == np.uint8
    assert picture[:, :170].std() > 10
    assert picture[:, 170:].std() > 10
    assert make().render() is None


def test_a_browser_can_watch() -> None:
    pytest.importorskip("viser", reason="the viewer needs the extra `apps`")
    env = make(render_mode="human")
    env.reset(seed=0)
    first = env._viewer.frame()
    assert env.viewer_port is not None
    env.step(KEEP)
    assert env._viewer.frame() is not first
    env.close()
    assert env.viewer_port is None


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_many_at_once_reset_themselves_as_they_say(mode: str) -> None:
    auto = gymnasium.vector.AutoresetMode.NEXT_STEP
    clips, short = STARTS, 1.5
    envs = gymnasium.make_vec(
        ID, 2, mode, {"autoreset_mode": auto}, clips=clips, model=MODEL, world=LITTLE, seconds=short
    )
    try:
        assert envs.metadata["autoreset_mode"] == auto
        first, _ = envs.reset(seed=[1, 2])  # pyright: ignore[reportArgumentType]  # of both, each its own
        alone = make(seconds=short)
        assert np.array_equal(alone.reset(seed=2)[0], first[1])
        for step in range(1, 4):
            seen, _, _, truncated, _ = envs.step(np.zeros((2, 2), np.float32))
            assert truncated.tolist() == [step == 3] * 2
            assert np.array_equal(alone.step(KEEP)[0], seen[1])
        after, reward, _, truncated, info = envs.step(np.zeros((2, 2), np.float32))
        assert not truncated.any()
        assert reward.tolist() == [0.0, 0.0]
        assert info["timestamp_us"].tolist() == [0, 0]
        assert np.array_equal(alone.reset()[0], after[1])
    finally:
        envs.close()


def test_actions_mean_metres() -> None:
    assert Controls().order([1.0, 1.0]) == Action(3.0, 0.2)
    assert Controls().order([-0.5, -0.5]) == Action(-3.0, -0.1)
    assert Waypoints().order([-1.0, 0.0]) == Waypoint(0.0, 0.0)
    assert Waypoints().order([1.0, -1.0]) == Waypoint(15.0, -5.0)
    order = Trajectories().order(np.full((8, 3), 0.5))
    assert isinstance(order, Trajectory)
    assert order.poses[3].tolist() == pytest.approx([40.0, 40.0, math.pi / 2])


BAD_ACTIONS = {
    "nan": [math.nan, 0.0],
    "infinity": [0.0, math.inf],
    "too much": [0.0, 1.5],
    "too many": [0.0, 0.0, 0.0],
    "one": 0.5,
    "words": ["left", "right"],
    "nothing": None,
    "ragged": [[0.0], 0.0],
}


@pytest.mark.parametrize("name", BAD_ACTIONS)
def test_bad_actions_are_refused_and_the_drive_goes_on(name: str) -> None:
    env = make()
    env.reset(seed=0)
    before = env.state
    for call in (env.step, lambda action: env.branch([KEEP, action])):
        with pytest.raises(InputError, match="expected an action"):
            call(BAD_ACTIONS[name])
    assert env.state is before
    assert env.step(KEEP)[4]["timestamp_us"] == 500_000


def test_before_the_beginning_and_after_the_end() -> None:
    env = make(seconds=0.5)
    for call in (lambda: env.step(KEEP), env.save, lambda: env.branch([KEEP]), env.metrics):
        with pytest.raises(InputError, match=r"expected reset\(\)"):
            call()
    env.reset(seed=0)
    assert env.step(KEEP)[3]
    for call in (lambda: env.step(KEEP), lambda: env.branch([KEEP])):
        with pytest.raises(InputError, match=r"expected reset\(\) after the end"):
            call()
    env.reset()
    env.step(KEEP)


BAD_OPTIONS = {
    "unknown": ({"weather": "rain"}, "reset options of start, seed, got weather"),
    "a start that is not there": ({"start": 2}, "start to be a whole number of 0 to 1"),
    "half a start": ({"start": 0.5}, "start to be a whole number"),
    "a truth": ({"start": True}, "start to be a whole number"),
    "a word": ({"seed": "7"}, "seed to be a whole number"),
    "a negative seed": ({"seed": -1}, "seed to be a whole number"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_reset_options(name: str) -> None:
    options, words = BAD_OPTIONS[name]
    with pytest.raises(InputError, match=words):
        make().reset(seed=0, options=options)


BAD_ARGUMENTS = {
    "observation": ({"observation": "radar"}, "observations of numbers"),
    "action": ({"action": "honk"}, "an action of control"),
    "seconds": ({"seconds": 0.0}, "0.5 to 3600 s"),
    "endless": ({"seconds": math.inf}, "0.5 to 3600 s"),
    "render mode": ({"render_mode": "ansi"}, "render_mode"),
    "height": ({"render_height": 10**6}, "64 to 2160"),
    "no clips": ({"clips": []}, "got none"),
    "no such file": ({"clips": "nowhere.npz"}, "nowhere.npz"),
    "weights": ({"model": "../../etc"}, "etc"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
@pytest.mark.filterwarnings("ignore:.*render_mode.*:UserWarning")  # gymnasium's own word on it
def test_bad_arguments(name: str) -> None:
    more, words = BAD_ARGUMENTS[name]
    with pytest.raises(InputError, match=words):
        make(**more)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="weather"):
        make(weather="rain")


def test_clips_come_from_files_and_folders(tmp_path: Path) -> None:
    from tests.occupancy.tiny_world import street

    for name, frames in (("a", 9), ("b", 10), ("short", 7)):
        save_clip(tmp_path / f"{name}.npz", street(frames))
    env = make(clips=tmp_path)
    assert [start.name for start in env._starts] == ["a.npz:4", "b.npz:4", "b.npz:5"]
    with pytest.raises(InputError, match="9 frames or more"):
        make(clips=tmp_path / "short.npz")


def test_sensors_of_ones_own() -> None:
    env = make(observation={"map": Birdseye(32), "laser": Lidar(4, 16)})
    seen, _ = env.reset(seed=0)
    assert {name: array.shape for name, array in seen.items()} == {"map": (32, 32, 3), "laser": (4, 16)}
    assert env.observation_space.contains(seen)
    one, _ = make(observation=Birdseye(32)).reset(seed=0)
    assert one.shape == (32, 32, 3)


def test_all_environments_are_registered_once() -> None:
    before = dict(gymnasium.registry)
    worldloom.apps.simulation.register_environments()
    assert gymnasium.registry == before
    assert {f"worldloom/{name}-v0" for name in ("OccupancyDrive", "TownDrive", "SceneNav")} <= set(before)


def test_an_id_with_its_module_needs_no_import_and_registering_loads_nothing() -> None:
    script = (
        "import sys, gymnasium; "
        f"spec = gymnasium.envs.registration._find_spec('worldloom.apps.simulation:{ID}'); "
        f"assert spec.id == '{ID}', spec; "
        "assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_actions_and_observations_go_together() -> None:
    for action, observation in itertools.product(ACTIONS, (["numbers"], "numbers")):
        env = make(action=action, observation=observation)
        env.reset(seed=0)
        seen, *_ = env.step(env.action_space.sample() * 0.1)
        assert env.observation_space.contains(seen)
