"""`worldloom/SceneNav-v0`: walk to a place in a scene of splats, with eyes or with a map of what is near."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import UInt8

from worldloom.apps.simulation.actions import checked
from worldloom.apps.simulation.workers import keep_to_one_thread_in_a_worker
from worldloom.errors import InputError
from worldloom.geometry import Camera, Gaussians, Panorama, intrinsics
from worldloom.geometry.io import load_gaussians, load_image
from worldloom.geometry.io.npz import load_npz
from worldloom.recon import splats_from_panorama
from worldloom.render import render
from worldloom.render.rendering import Rendering
from worldloom.scenegen.walkable import Walkable, walkable
from worldloom.synth.samples import sample_panorama_path, sample_panorama_truth_path

EYE = 1.5  # metres above the floor
FORWARD, TURN = 0.25, math.radians(20)  # of a discrete step
ARRIVED = 0.4  # metres to the goal
FAR = 20.0  # metres; the most that depth tells
RAYS = 16  # directions in which the map is told
_LEAST_WAY = 1.0  # metres to walk, at least
OBSERVATIONS, ACTIONS = ("rgbd", "map"), ("discrete", "velocity")
OPTIONS = ("pose", "goal")


@dataclass(frozen=True)
class Walk:
    """One moment of a walk. It is never changed."""

    x: float
    y: float
    yaw: float
    goal: tuple[float, float]
    left: float  # metres to walk
    steps: int = 0
    over: bool = False


@dataclass(frozen=True, eq=False)
class SavedWalk:
    """A moment of the environment, to be restored any number of times."""

    walk: Walk
    dice: Mapping[str, Any]


class SceneNavEnv(gymnasium.Env[Any, Any]):
    """See the module.

    A walk terminates at the goal and is truncated after `steps`. Whoever walks against something stands before it.
    Reward: metres that the way became shorter, 2 for arriving, less 0.01 for each step and 0.05 for walking against
    something.

    Args:
        scene: a folder that `worldloom scene` made, a file of splats, or splats; the bundled room if not given. A
            walk begins where the scene's eye was, and the goal is drawn.
        observation: "rgbd": Dict of rgb (h w 3), depth (h w 1, metres) and goal; "map", the cheapest: the goal, and how
            far one could walk in RAYS directions, the first ahead, the others to the left of it. The goal is its
            distance / FAR, and the cosine and sine of where it lies.
        action: "discrete": ahead by FORWARD, turn left, turn right by TURN; "velocity": (ahead, turn), each in
            [-1, 1] of twice the discrete step; backwards at a quarter of it.
        size: (height, width) of pictures, pixels.
        fov_deg: horizontal field of view.
    Raises:
        InputError: options that cannot be, or a scene in which there is no room to walk.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        scene: str | Path | Gaussians | None = None,
        *,
        observation: str = "rgbd",
        action: str = "discrete",
        size: tuple[int, int] = (96, 128),
        fov_deg: float = 90.0,
        steps: int = 200,
        render_mode: str | None = None,
    ) -> None:
        keep_to_one_thread_in_a_worker()
        if observation not in OBSERVATIONS or action not in ACTIONS:
            raise InputError(
                f"expected an observation of {', '.join(OBSERVATIONS)} and an action of {', '.join(ACTIONS)}, got "
                f"{observation!r} and {action!r}"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"expected render_mode rgb_array, human or None, got {render_mode!r}")
        if not (min(size) >= 16 and max(size) <= 2048) or not 20 <= fov_deg <= 150 or not 1 <= steps <= 100_000:
            raise InputError(
                "expected pictures of 16 to 2048 pixels, a field of view of 20 to 150 degrees and 1 to 100000 steps, "
                f"got {size}, {fov_deg} and {steps}"
            )
        self._gaussians = _splats(scene)
        self.ground: Walkable = walkable(self._gaussians)
        if self._room() < 2 * _LEAST_WAY:
            raise InputError(f"expected a scene with a way of {2 * _LEAST_WAY:g} m to walk, got {self._room():.1f} m")
        self._eyes, self._discrete, self._steps = observation == "rgbd", action == "discrete", steps
        self._size, self._K = size, intrinsics(math.radians(fov_deg), size)
        self.render_mode = render_mode
        goal = spaces.Box(-1.0, 1.0, (3,), np.float32)
        pictures = {
            "rgb": spaces.Box(0, 255, (*size, 3), np.uint8),
            "depth": spaces.Box(0.0, FAR, (*size, 1), np.float32),
            "goal": goal,
        }
        self.observation_space = spaces.Dict(pictures) if self._eyes else spaces.Box(-1.0, 1.0, (3 + RAYS,), np.float32)
        self.action_space = spaces.Discrete(3) if self._discrete else spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._walk: Walk | None = None
        self._to_goal: np.ndarray = np.zeros((0, 0))
        self._viewer: Any = None

    @property
    def walk(self) -> Walk:
        """The present moment.

        Raises:
            InputError: before the first reset.
        """
        if self._walk is None:
            raise InputError("expected reset() before anything else, got none")
        return self._walk

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new walk; the options pose (x, y, yaw) and goal (x, y), metres in the scene, are drawn if not given.

        Raises:
            InputError: unknown options, or a place where nobody can stand, or to which there is no way.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise InputError(f"expected reset options of {', '.join(OPTIONS)}, got {', '.join(map(str, unknown))}")
        cells = np.argwhere(self.ground.free)
        if "pose" in options:
            x, y, yaw = _numbers(options["pose"], 3, "pose")
        else:
            (x, y), yaw = self._start(), float(self.np_random.uniform(-math.pi, math.pi))
        if not self.ground.at(x, y):
            raise InputError(f"expected a pose where a body can stand, got ({x:g}, {y:g})")
        from_here = self.ground.distances(x, y)
        if "goal" in options:
            goal = _numbers(options["goal"], 2, "goal")
        else:
            way = from_here[self.ground.free]
            possible = cells[(way >= min(_LEAST_WAY, float(way[np.isfinite(way)].max()))) & np.isfinite(way)]
            i, j = possible[int(self.np_random.integers(len(possible)))].tolist()
            goal = self.ground.place(i, j)
        if not self.ground.at(*goal):
            raise InputError(f"expected a goal where a body can stand, got ({goal[0]:g}, {goal[1]:g})")
        to_goal = self.ground.distances(*goal)
        left = float(to_goal[self.ground.cell(x, y)])
        if not math.isfinite(left):
            raise InputError("expected a way from the pose to the goal, got none")
        self._to_goal, self._walk = to_goal, Walk(x, y, yaw, (goal[0], goal[1]), left)
        return self._observed(), self._info(False)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step.

        Raises:
            InputError: an action that is none; or after the end.
        """
        before = self.walk
        if before.over:
            raise InputError("expected reset() after the end of a walk, got another step")
        ahead, turn = self._motion(action)
        yaw = math.remainder(before.yaw + turn, math.tau)
        x, y, hit = self.ground.walked(before.x, before.y, yaw, ahead) if ahead else (before.x, before.y, False)
        left, steps = self._left(x, y), before.steps + 1
        arrived = math.dist((x, y), before.goal) < ARRIVED
        truncated = steps >= self._steps
        self._walk = replace(before, x=x, y=y, yaw=yaw, left=left, steps=steps, over=arrived or truncated)
        reward = before.left - left + 2.0 * arrived - 0.01 - 0.05 * hit
        return self._observed(), float(reward), arrived, truncated, self._info(hit)

    def save(self) -> SavedWalk:
        """This moment."""
        return SavedWalk(self.walk, self.np_random.bit_generator.state)

    def restore(self, saved: SavedWalk) -> tuple[Any, dict[str, Any]]:
        """Be at a saved moment again, random numbers included."""
        self._walk = saved.walk
        self.np_random.bit_generator.state = saved.dice
        self._to_goal = self.ground.distances(*saved.walk.goal)
        return self._observed(), self._info(False)

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What the walker sees, h w 3, in mode rgb_array; in mode human the viewer shows each step by itself."""
        if self.render_mode != "rgb_array":
            return None
        return _bytes(self._seen())

    @property
    def viewer_port(self) -> int | None:
        """Where a browser finds the viewer of mode human."""
        return None if self._viewer is None else self._viewer.port

    def close(self) -> None:
        """Close the viewer."""
        if self._viewer is not None:
            self._viewer.stop()
            self._viewer = None

    def _room(self) -> float:
        way = self.ground.distances(*self._start())
        return float(way[np.isfinite(way)].max())

    def _start(self) -> tuple[float, float]:
        """The place to stand that is nearest to the scene's eye."""
        cells = np.argwhere(self.ground.free)
        places = np.array([self.ground.place(i, j) for i, j in cells.tolist()])
        x, y = places[np.hypot(*places.T).argmin()].tolist()
        return x, y

    def _left(self, x: float, y: float) -> float:
        """Metres to walk to the goal."""
        return float(self._to_goal[self.ground.cell(x, y)])

    def _motion(self, action: Any) -> tuple[float, float]:
        if self._discrete:
            if isinstance(action, bool) or not self.action_space.contains(action):
                raise InputError(f"expected an action of 0 (ahead), 1 (left) or 2 (right), got {action!r}")
            return ((FORWARD, 0.0), (0.0, TURN), (0.0, -TURN))[int(action)]
        ahead, turn = checked(action, (2,)).tolist()
        return 2 * FORWARD * (ahead if ahead > 0 else ahead / 4), 2 * TURN * turn

    def _observed(self) -> Any:
        walk = self.walk
        if self.render_mode == "human":
            self._show()
        away = math.dist((walk.x, walk.y), walk.goal)
        bearing = math.atan2(walk.goal[1] - walk.y, walk.goal[0] - walk.x) - walk.yaw
        goal = np.array([min(1.0, away / FAR), math.cos(bearing), math.sin(bearing)], np.float32)
        if not self._eyes:
            yaws = walk.yaw + math.tau * np.arange(RAYS) / RAYS
            return np.concatenate([goal, (self.ground.sight(walk.x, walk.y, yaws) / 5.0).astype(np.float32)])
        seen = self._seen()
        depth = torch.where(seen.alpha > 0.5, seen.depth, FAR).clamp(0, FAR)
        return {"rgb": _bytes(seen), "depth": depth.numpy()[..., None].astype(np.float32), "goal": goal}

    def _seen(self) -> Rendering:
        walk = self.walk
        c, s = math.cos(walk.yaw), math.sin(walk.yaw)
        # Columns: right, down, ahead.
        world_from_cam = torch.tensor(
            [[s, 0, c, walk.x], [-c, 0, s, walk.y], [0, -1, 0, self.ground.floor + EYE], [0, 0, 0, 1]],
            dtype=torch.float32,
        )
        with torch.no_grad():
            return render(self._gaussians, Camera(world_from_cam, self._K, self._size))

    def _show(self) -> None:
        if self._viewer is None:
            from worldloom.apps.walk import Viewer

            self._viewer = Viewer()
            self._viewer.show_scene(self._gaussians)
            print(f"worldloom: the scene is shown at http://127.0.0.1:{self._viewer.port}")
        walk = self.walk
        self._viewer.look_from((walk.x, walk.y, self.ground.floor + EYE), walk.yaw)

    def _info(self, hit: bool) -> dict[str, Any]:
        walk = self.walk
        return {
            "x": walk.x,
            "y": walk.y,
            "yaw": walk.yaw,
            "goal_x": walk.goal[0],
            "goal_y": walk.goal[1],
            "left": walk.left,
            "collided": hit,
        }


def _splats(scene: str | Path | Gaussians | None) -> Gaussians:
    if isinstance(scene, Gaussians):
        return scene
    if scene is None:
        return _sample_room()
    path = Path(scene)
    return load_gaussians(path / "scene.ply" if path.is_dir() else path)


def _sample_room() -> Gaussians:
    """The bundled room, with the distances that are true of it."""
    truth = load_npz(sample_panorama_truth_path(), {"distance": "float16 h w", "sky": "bool h w"})
    rgb = load_image(sample_panorama_path())[:, ::2, ::2].contiguous()
    distance, sky = (torch.from_numpy(truth[name][::2, ::2].copy()) for name in ("distance", "sky"))
    return splats_from_panorama(Panorama(rgb, distance.float(), sky, torch.eye(4)))


def _numbers(value: Any, count: int, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InputError(f"expected the option {name} to be {count} finite numbers, got {value!r}")
    return numbers


def _bytes(seen: Rendering) -> UInt8[np.ndarray, "h w 3"]:
    return (seen.rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
