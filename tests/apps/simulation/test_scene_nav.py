"""Walking in scenes: gymnasium's rules, walls, ways and what is seen."""

import dataclasses
import math

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium", reason="environments need the extra `sim`")

import gymnasium
from gymnasium.utils.env_checker import check_env, data_equivalence

import worldloom.apps.simulation
from tests.scenegen.test_walkable import room
from worldloom.apps.simulation.scene_nav import FORWARD, TURN, SceneNavEnv
from worldloom.errors import InputError
from worldloom.geometry.io import save_gaussians

assert worldloom.apps.simulation
ROOM = room()
SIZE = (48, 64)
AHEAD, LEFT, RIGHT = 0, 1, 2


def make(**more) -> SceneNavEnv:
    env = gymnasium.make("worldloom/SceneNav-v0", **{"scene": ROOM, "size": SIZE, **more})
    assert isinstance(env.unwrapped, SceneNavEnv)
    return env.unwrapped


@pytest.mark.parametrize("action", ["discrete", "velocity"])
@pytest.mark.parametrize("observation", ["rgbd", "map"])
def test_gymnasiums_own_checks_pass(observation: str, action: str) -> None:
    check_env(make(observation=observation, action=action), skip_render_check=True)


def test_walls_stop_and_the_way_to_the_goal_is_the_reward() -> None:
    env = make(observation="map")
    env.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (1.5, 0.0)})
    left, total = env.walk.left, 0.0
    assert left == pytest.approx(1.5, abs=0.11)
    terminated = False
    while not terminated and env.walk.steps < 9:
        _, reward, terminated, _, info = env.step(AHEAD)
        total += reward
        assert not info["collided"]
    assert (env.walk.steps, terminated) == (5, True)  # within 0.4 m of the goal
    assert total == pytest.approx(left - env.walk.left + 2.0 - 0.01 * 5)
    env.reset(seed=0, options={"pose": (0.0, 0.0, math.pi), "goal": (1.5, 0.0)})
    hits = [env.step(AHEAD)[4]["collided"] for _ in range(12)]
    # The wall is at -2 m and the body is 0.25 m thick.
    assert hits == [False] * 6 + [True] * 6
    assert env.walk.x == pytest.approx(-1.75, abs=0.15)
    assert env.step(AHEAD)[1] == pytest.approx(-0.06)


def test_turns_and_velocities() -> None:
    env = make(observation="map")
    env.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (1.5, 0.0)})
    env.step(LEFT)
    assert env.walk.yaw == pytest.approx(TURN)
    env.step(RIGHT)
    env.step(RIGHT)
    assert env.walk.yaw == pytest.approx(-TURN)
    fluent = make(observation="map", action="velocity")
    fluent.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (1.5, 0.0)})
    fluent.step([0.5, 0.5])
    assert (fluent.walk.x, fluent.walk.yaw) == (pytest.approx(FORWARD * math.cos(TURN)), pytest.approx(TURN))
    fluent.step([-1.0, 0.0])
    assert fluent.walk.x == pytest.approx(0.5 * FORWARD * math.cos(TURN))


def test_the_map_tells_the_goal_and_the_walls() -> None:
    env = make(observation="map")
    seen, _ = env.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (0.0, 1.4)})
    assert seen[:3] == pytest.approx([1.4 / 20, 0.0, 1.0], abs=1e-5)  # to the left
    rays = seen[3:] * 5
    assert rays[0] == pytest.approx(2.75, abs=0.16)  # ahead: the far wall is at 3 m
    assert rays[4] == pytest.approx(1.75, abs=0.16)  # left
    assert rays[8] == pytest.approx(1.75, abs=0.16)  # behind


def test_eyes_see_the_walls_at_their_distance() -> None:
    env = make()
    seen, _ = env.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (1.5, 0.0)})
    assert seen["depth"][24, 32, 0] == pytest.approx(3.0, abs=0.1)
    red, green, blue = (seen["rgb"][20:28, 28:36].reshape(-1, 3).mean(0)).tolist()
    assert red > 150 > green  # the far wall is red
    assert blue < 80
    seen, _ = env.reset(seed=0, options={"pose": (0.0, 0.0, math.pi / 2), "goal": (1.5, 0.0)})
    assert seen["depth"][24, 32, 0] == pytest.approx(2.0, abs=0.1)
    assert seen["rgb"][20:28, 28:36].reshape(-1, 3).mean(0)[1] > 150  # the left wall is green


def test_walks_are_repeated_and_restored_exactly() -> None:
    env, other = make(observation="map"), make(observation="map")
    actions = [0, 1, 0, 0, 2, 0]
    rows = [env.reset(seed=4), *(env.step(action) for action in actions)]
    other.reset(seed=5)
    assert data_equivalence(rows, [other.reset(seed=4), *(other.step(action) for action in actions)], exact=True)
    saved = env.save()
    after = env.step(0)
    env.step(1)
    env.restore(saved)
    assert data_equivalence(env.step(0), after, exact=True)
    assert len({env.reset()[1]["goal_x"] for _ in range(5)}) > 1


def test_scenes_come_from_folders_and_files(tmp_path) -> None:
    save_gaussians(tmp_path / "scene.ply", ROOM)
    for scene in (tmp_path, tmp_path / "scene.ply"):
        env = make(scene=scene, observation="map")
        assert np.array_equal(env.ground.free, make(observation="map").ground.free)
    with pytest.raises(InputError):
        make(scene=tmp_path / "nowhere")


@pytest.mark.slow
def test_the_bundled_room_can_be_walked() -> None:
    env = make(scene=None, observation="rgbd")
    seen, info = env.reset(seed=1)
    assert 3 < env.ground.free.sum() * 0.01 < 40  # square metres between the furniture
    assert seen["rgb"].std() > 20
    assert 0.5 < seen["depth"].min() < seen["depth"].max() < 20
    assert info["left"] >= 1.0


BAD_ACTIONS = {"discrete": (3, -1, 0.5, "ahead", None, True, [0]), "velocity": ([math.nan, 0.0], [2.0, 0.0], [0.0], 1)}


@pytest.mark.parametrize("kind", BAD_ACTIONS)
def test_bad_actions(kind: str) -> None:
    env = make(observation="map", action=kind)
    env.reset(seed=0)
    before = env.walk
    for action in BAD_ACTIONS[kind]:
        with pytest.raises(InputError, match="expected an action"):
            env.step(action)
    assert env.walk is before


def test_before_the_beginning_and_after_the_end() -> None:
    env = make(observation="map", steps=1)
    with pytest.raises(InputError, match=r"expected reset\(\) before"):
        env.step(0)
    env.reset(seed=0)
    assert env.step(LEFT)[3]
    with pytest.raises(InputError, match=r"expected reset\(\) after"):
        env.step(0)


BAD_OPTIONS = {
    "unknown": ({"speed": 1}, "pose, goal, got speed"),
    "in the wall": ({"pose": (9.0, 0.0, 0.0)}, "where a body can stand"),
    "nan": ({"pose": (math.nan, 0.0, 0.0)}, "3 finite numbers"),
    "two numbers": ({"pose": (0.0, 0.0)}, "3 finite numbers"),
    "a goal outside": ({"goal": (9.0, 9.0)}, "goal where a body can stand"),
    "a goal of words": ({"goal": "there"}, "2 finite numbers"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_reset_options(name: str) -> None:
    options, words = BAD_OPTIONS[name]
    with pytest.raises(InputError, match=words):
        make(observation="map").reset(seed=0, options=options)


BAD_ARGUMENTS = {
    "observation": {"observation": "sonar"},
    "action": {"action": "fly"},
    "size": {"size": (4, 4)},
    "huge": {"size": (10_000, 10_000)},
    "field of view": {"fov_deg": 180.0},
    "steps": {"steps": 0},
    "render mode": {"render_mode": "ansi"},
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
@pytest.mark.filterwarnings("ignore:.*render_mode.*:UserWarning")
def test_bad_arguments(name: str) -> None:
    with pytest.raises(InputError, match="expected"):
        make(**BAD_ARGUMENTS[name])


def test_the_picture_is_what_the_walker_sees() -> None:
    env = make(render_mode="rgb_array")
    seen, _ = env.reset(seed=0)
    picture = env.render()
    assert picture is not None
    assert np.array_equal(picture, seen["rgb"])
    assert make(observation="map").render() is None
    assert torch.isfinite(ROOM.means).all()


def test_a_goal_that_cannot_be_reached_is_refused_and_the_walk_goes_on() -> None:
    env = make(observation="map")
    free = env.ground.free.copy()
    free[env.ground.cell(0.75, 0.0)[0]] = False  # a wall across the room
    env.ground = dataclasses.replace(env.ground, free=free)
    env.reset(seed=0, options={"pose": (0.0, 0.0, 0.0), "goal": (-1.5, 0.0)})
    before, left = env.walk, env.walk.left
    with pytest.raises(InputError, match="a way from the pose to the goal"):
        env.reset(options={"pose": (0.0, 0.0, 0.0), "goal": (1.5, 0.0)})
    assert env.walk is before
    env.step(LEFT)
    assert env.walk.left == left


@pytest.mark.parametrize("observation", ["rgbd", "map"])
def test_a_browser_can_watch_whatever_is_observed(observation: str) -> None:
    pytest.importorskip("viser", reason="the viewer needs the extra `apps`")
    env = make(observation=observation, render_mode="human")
    env.reset(seed=0)
    assert env.viewer_port is not None
    env.step(AHEAD)
    env.close()
    assert env.viewer_port is None
