"""What was done in an environment as a small file, and doing it again: bit for bit, or the step at which it differs."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from worldloom import __version__
from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import load_json

MAX_STEPS = 1_000_000
MAX_BYTES = 256 << 20
_MAX_NUMBERS = 4096  # of an action
MADE_BY = "worldloom replay"


@dataclass(frozen=True)
class Step:
    """One step: what was asked and what came of it."""

    action: Any  # a number, or nested lists of them
    reward: float
    terminated: bool
    truncated: bool
    observation: str  # SHA-256 of its bytes


@dataclass(frozen=True)
class ReplayLog:
    """A drive or a walk from its reset on."""

    environment: str  # its id
    seed: int
    options: dict[str, Any]  # of the reset
    first: str  # SHA-256 of the first observation
    steps: tuple[Step, ...]
    version: str = __version__


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps what is done since the last reset; that has to be given a seed, which alone tells what it drew."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._head: tuple[int, dict[str, Any], str] | None = None
        self._steps: list[Step] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's.

        Raises:
            InputError: without a seed.
        """
        if seed is None:
            raise InputError("expected a seed, without which a recorded reset cannot be repeated, got none")
        seen, info = self.env.reset(seed=seed, options=options)
        self._head, self._steps = (int(seed), dict(options or {}), digest(seen)), []
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        plain = action.tolist() if isinstance(action, np.ndarray | np.generic) else action
        self._steps.append(Step(plain, float(reward), terminated, truncated, digest(seen)))
        return seen, reward, terminated, truncated, info

    @property
    def log(self) -> ReplayLog:
        """All since the reset.

        Raises:
            InputError: before a reset.
        """
        if self._head is None:
            raise InputError("expected reset(seed=...) before a log, got none")
        seed, options, first = self._head
        name = self.env.spec.id if self.env.spec is not None else type(self.unwrapped).__name__
        return ReplayLog(name, seed, options, first, tuple(self._steps))


def replay(env: gymnasium.Env[Any, Any], log: ReplayLog) -> int | None:
    """Do it all again; the number of the first step whose result differs (0 is the reset), None where none does."""
    seen, _ = env.reset(seed=log.seed, options=dict(log.options))
    if digest(seen) != log.first:
        return 0
    dtype = getattr(env.action_space, "dtype", None)
    for number, step in enumerate(log.steps, 1):
        action = step.action if isinstance(step.action, int) else np.array(step.action, dtype)
        seen, reward, terminated, truncated, _ = env.step(action)
        if (float(reward), terminated, truncated, digest(seen)) != (
            step.reward, step.terminated, step.truncated, step.observation,
        ):  # fmt: skip
            return number
    return None


def digest(observation: Any) -> str:
    """SHA-256 of an array's type, shape and bytes, or of all arrays of a dict."""
    sha = hashlib.sha256()
    parts = observation.items() if isinstance(observation, dict) else [("", observation)]
    for name, part in sorted(parts):
        array = np.ascontiguousarray(part)
        sha.update(f"{name}:{array.dtype.str}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save_replay(path: str | Path, log: ReplayLog) -> None:
    """Write a log as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"made_by": MADE_BY, **asdict(log)}, allow_nan=False) + "\n")


def load_replay(path: str | Path) -> ReplayLog:
    """Read what `save_replay` wrote.

    Raises:
        InputError: something else, or more than an environment could have done.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: expected a replay of at most {MAX_BYTES >> 20} MB, got {path.stat().st_size} bytes")
    content = load_json(path, dict)
    if content.pop("made_by", None) != MADE_BY:
        raise InputError(f"{path}: expected a replay, got something else")
    try:
        steps = content.pop("steps")
        if not isinstance(steps, list) or len(steps) > MAX_STEPS:
            raise InputError(f"{path}: expected at most {MAX_STEPS} steps in a list")
        log = ReplayLog(**content, steps=tuple(Step(**step) for step in steps))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a replay, got one with other fields ({error})") from None
    texts = (log.environment, log.first, log.version, *(step.observation for step in log.steps))
    if (
        not all(isinstance(text, str) for text in texts)
        or not isinstance(log.seed, int)
        or not isinstance(log.options, dict)
    ):
        raise InputError(f"{path}: expected texts, a seed and options in the replay's head, got others")
    for number, step in enumerate(log.steps, 1):
        flags = isinstance(step.terminated, bool) and isinstance(step.truncated, bool)
        if not flags or not _numbers([step.reward]) or not _numbers(step.action):
            raise InputError(f"{path}: expected finite numbers and truths in step {number}, got {str(step)[:80]}")
    return log


def _numbers(value: Any) -> bool:
    """Whether it is a finite number, or a not too large array of them."""
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        return False
    return array.size <= _MAX_NUMBERS and all(map(math.isfinite, array.flatten().tolist()))
