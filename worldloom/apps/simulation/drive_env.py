"""Driving as a gymnasium environment, in whatever world: a step is half a second."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from worldloom.apps.simulation.actions import ActionKind, action_kind
from worldloom.apps.simulation.picture import drive_picture, world_splats
from worldloom.apps.simulation.workers import keep_to_one_thread_in_a_worker
from worldloom.errors import InputError
from worldloom.occupancy.simulation.sensors import Look, Sensor, sensors_of
from worldloom.occupancy.simulation.simulation import MAX_SEED, Simulation
from worldloom.occupancy.simulation.state import DriveState
from worldloom.occupancy.traffic import DT

CRUISE = 10.0  # m/s, the speed whose progress is worth 1 a step
LOST = 10.0  # metres beside the route at which a drive ends
OPTIONS = ("start", "seed")
Reward = Callable[[DriveState[Any], DriveState[Any]], float]


def driving_reward(before: DriveState[Any], after: DriveState[Any]) -> float:
    """Progress along the route in shares of CRUISE, less 0.5 off the road, less 5 for a contact."""
    made = (after.along - before.along) / (CRUISE * DT)
    return max(-1.0, min(1.5, made)) - 0.5 * after.astray - 5.0 * bool(after.contacts)


class Branch(NamedTuple):
    """What would come of one action; the environment has not moved."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    saved: "Saved"


@dataclass(frozen=True, eq=False)
class Saved:
    """A moment of an environment; it can be restored any number of times, in any environment of the same make."""

    state: DriveState[Any]
    start: int
    over: bool
    dice: Mapping[str, Any]  # of the environment's own random numbers


class DriveEnv(gymnasium.Env[Any, Any]):
    """See the module. Each instance has random numbers of its own, from the seed of `reset`.

    A drive terminates with the first contact that the ego meets while it moves, and when it is LOST; it is truncated
    after `seconds`. `reset` takes the options start (number) and seed (of what the world draws).

    Args:
        simulation: of any world.
        starts: where drives begin; `reset` draws one.
        observation: a name of `sensors.SENSORS` or several, a sensor, or sensors by names of one's own. One is an
            array, several are a Dict.
        action: a name of `actions.ACTIONS`, or an `ActionKind`.
        reward: of the states before and after a step.
        seconds: after which a drive is truncated.
    Raises:
        InputError: options that cannot be.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": round(1 / DT)}  # noqa: RUF012

    def __init__(
        self,
        simulation: Simulation[Any, Any],
        starts: Sequence[Any],
        *,
        observation: str | Sensor | Sequence[str] | Mapping[str, Sensor] = "numbers",
        action: str | ActionKind = "control",
        reward: Reward = driving_reward,
        seconds: float = 10.0,
        render_mode: str | None = None,
        render_height: int = 360,
    ) -> None:
        keep_to_one_thread_in_a_worker()
        if not len(starts):
            raise InputError("expected at least one start, got none")
        if not DT <= seconds <= 3600:
            raise InputError(f"expected drives of {DT:g} to 3600 s, got {seconds}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"expected render_mode rgb_array, human or None, got {render_mode!r}")
        if not 64 <= render_height <= 2160:
            raise InputError(f"expected a render_height of 64 to 2160 pixels, got {render_height}")
        self.simulation, self._starts = simulation, starts
        self._sensors, self._single = sensors_of(observation), isinstance(observation, str) or callable(observation)
        self._action, self._reward = action_kind(action), reward
        self._steps = round(seconds / DT)
        self.render_mode, self._height = render_mode, render_height
        boxes: dict[str, spaces.Space[Any]] = {name: _box(sensor) for name, sensor in self._sensors.items()}
        self.observation_space = next(iter(boxes.values())) if self._single else spaces.Dict(boxes)
        self.action_space = spaces.Box(-1.0, 1.0, self._action.shape, np.float32)
        self._state: DriveState[Any] | None = None
        self._start, self._over = 0, True
        self._viewer: Any = None

    @property
    def state(self) -> DriveState[Any]:
        """The present moment, for `simulation`.

        Raises:
            InputError: before the first reset.
        """
        if self._state is None:
            raise InputError("expected reset() before anything else, got none")
        return self._state

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new drive.

        Raises:
            InputError: unknown options, or a start or seed that cannot be.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise InputError(f"expected reset options of {', '.join(OPTIONS)}, got {', '.join(map(str, unknown))}")
        start = _whole(options, "start", int(self.np_random.integers(len(self._starts))), len(self._starts) - 1)
        own = _whole(options, "seed", int(self.np_random.integers(2**31)), MAX_SEED)
        self._state = self.simulation.start(self._starts[start], own)
        self._start, self._over = start, False
        look = Look(self.simulation, self._state)
        self._show(look)
        return self._observed(look), self._info(self._state)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Half a second.

        Raises:
            InputError: an action that is not finite, out of bounds or of another shape; or after the end.
        """
        before = self.state
        if self._over:
            raise InputError("expected reset() after the end of a drive, got another step")
        after = self.simulation.step(before, self._action.order(action))
        self._state = after
        terminated, truncated = self._ended(after)
        self._over = terminated or truncated
        look = Look(self.simulation, after)
        self._show(look)
        return self._observed(look), float(self._reward(before, after)), terminated, truncated, self._info(after)

    def branch(self, actions: Sequence[Any]) -> list[Branch]:
        """What would come of each of K actions, drawn together; the environment stays where it is.

        Raises:
            InputError: as `step`.
        """
        before = self.state
        if self._over:
            raise InputError("expected reset() after the end of a drive, got a branch")
        out = []
        for after in self.simulation.branch(before, [self._action.order(action) for action in actions]):
            terminated, truncated = self._ended(after)
            saved = Saved(after, self._start, terminated or truncated, self.np_random.bit_generator.state)
            seen = self._observed(Look(self.simulation, after))
            out.append(Branch(seen, float(self._reward(before, after)), terminated, truncated, saved))
        return out

    def save(self) -> Saved:
        """This moment; states are never changed, so nothing is copied."""
        return Saved(self.state, self._start, self._over, self.np_random.bit_generator.state)

    def restore(self, saved: Saved) -> tuple[Any, dict[str, Any]]:
        """Be at a saved moment again, random numbers included."""
        self._state, self._start, self._over = saved.state, saved.start, saved.over
        self.np_random.bit_generator.state = saved.dice
        look = Look(self.simulation, saved.state)
        self._show(look)
        return self._observed(look), self._info(saved.state)

    def metrics(self) -> dict[str, float]:
        """`Simulation.metrics` of the drive so far, as long as it was meant to be if it has ended."""
        return self.simulation.metrics(self.state, self._steps * DT if self._over else None)

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The picture h w 3 in mode rgb_array; in mode human the viewer shows each step by itself."""
        if self.render_mode != "rgb_array":
            return None
        picture = drive_picture(Look(self.simulation, self.state), self._height)
        return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    @property
    def viewer_port(self) -> int | None:
        """Where a browser finds the viewer of mode human."""
        return None if self._viewer is None else self._viewer.port

    def close(self) -> None:
        """Close the viewer and whatever the world runs."""
        if self._viewer is not None:
            self._viewer.stop()
            self._viewer = None
        end = getattr(self.simulation.world, "close", None)
        if end is not None:
            end()

    def _ended(self, state: DriveState[Any]) -> tuple[bool, bool]:
        return bool(state.contacts) or abs(state.aside) > LOST, state.frame >= self._steps

    def _observed(self, look: Look) -> Any:
        seen = {name: sensor(look) for name, sensor in self._sensors.items()}
        return next(iter(seen.values())) if self._single else seen

    def _info(self, state: DriveState[Any]) -> dict[str, Any]:
        leg = state.legs[-1] if state.legs else None
        info: dict[str, Any] = {
            "start": self._start,
            "seed": state.seed,
            "timestamp_us": state.timestamp_us,
            "speed": state.ego.speed,
            "progress": state.progress,
            "aside": state.aside,
            "contact": bool(state.contacts),
            "astray": state.astray,
            "drawn": leg is not None and leg.drawn,
        }
        if leg is not None and leg.risk is not None:
            info |= {"risk_collision": leg.risk[0], "risk_off_road": leg.risk[1]}
        return info

    def _show(self, look: Look) -> None:
        if self.render_mode != "human":
            return
        if self._viewer is None:
            from worldloom.apps.walk import Viewer

            self._viewer = Viewer()
            print(f"worldloom: the drive is shown at http://127.0.0.1:{self._viewer.port}")
        self._viewer.show_moment(world_splats(look))


def _box(sensor: Sensor) -> spaces.Box:
    spec = sensor.spec
    return spaces.Box(spec.low, spec.high, spec.shape, np.dtype(spec.dtype).type)


def _whole(options: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """A whole number of the options, 0 to `most`."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= most:
        raise InputError(f"expected the option {name} to be a whole number of 0 to {most}, got {value!r}")
    return int(value)
