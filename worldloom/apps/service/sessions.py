"""Sessions of drives: start one, go on by chunks, look at what would come of other chunks, close it.

The shape is that of a world-model service of a driving simulator: chunks of an ego path in, observations at
microsecond times out. World, ego and camera frames are those of the toolkit: right-handed, metres, world and ego with
z up, the ego's x ahead, cameras x right and y down. Whoever wraps this (an HTTP server, a ROS node) calls five methods.
"""

import resource
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from worldloom import __version__
from worldloom.errors import InputError
from worldloom.occupancy.motions import DT
from worldloom.occupancy.simulation.controls import MAX_FRAMES, Order, Trajectory
from worldloom.occupancy.simulation.route import into
from worldloom.occupancy.simulation.sensors import Array, Look, Sensor, sensors_of
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.state import DriveState
from worldloom.synth.traffic.ego import Action, Ego

STEP_US = round(DT * 1e6)  # microseconds between frames


class UnknownSession(InputError):
    """There is no session of this name: it was closed, or it was idle for too long."""


class Busy(RuntimeError):
    """A limit is reached; it may be free again later."""


@dataclass(frozen=True)
class Limits:
    """What one service gives."""

    sessions: int = 32
    idle_seconds: float = 900.0  # after which a session may be closed for another
    frames: int = MAX_FRAMES  # of a chunk
    session_frames: int = 3600  # of a whole session: half an hour
    branches: int = 64  # that are looked at in one call
    answer_bytes: int = 64 << 20  # of observations in one answer
    memory_bytes: int = 12 << 30  # of the process, beyond which no session is started

    def __post_init__(self) -> None:
        small = [f"{name} {value}" for name, value in asdict(self).items() if name != "idle_seconds" and value < 1]
        if small:
            raise InputError(f"expected limits of 1 or more, got {', '.join(small)}")


@dataclass(frozen=True)
class Frame:
    """One moment of a session."""

    timestamp_us: int
    ego: tuple[float, float, float, float]  # x, y, yaw in the world, and speed
    contact: bool
    astray: bool
    progress: float  # metres along the route
    observations: Mapping[str, Array]


@dataclass(frozen=True)
class Started:
    """A session that was started, and its first frame."""

    session: str
    start: str
    seed: int
    frame: Frame


@dataclass
class _Session:
    start: str
    seed: int
    began_us: int
    state: DriveState[Any]
    sensors: Mapping[str, Sensor]
    orders: list[tuple[float, float]] = field(default_factory=list)  # the arcs that were driven
    used: float = field(default_factory=time.monotonic)


class SessionService:
    """See the module. Calls from several threads are taken one after the other.

    Args:
        simulation: of any world.
        starts: what may be started, by name.
    """

    def __init__(self, simulation: Simulation[Any, Any], starts: Mapping[str, Any], limits: Limits = Limits()) -> None:
        if not starts:
            raise InputError("expected at least one start to serve, got none")
        self._simulation, self._starts, self.limits = simulation, dict(starts), limits
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def version(self) -> dict[str, str | int]:
        """Of the toolkit and of this interface, and the time between frames."""
        return {"worldloom": __version__, "interface": 1, "step_us": STEP_US}

    def starts(self) -> tuple[str, ...]:
        """The names of what may be started."""
        return tuple(self._starts)

    def __len__(self) -> int:
        return len(self._sessions)

    def start_session(
        self, start: str, seed: int = 0, observation: Sequence[str] = ("numbers",), timestamp_us: int = 0
    ) -> Started:
        """Begin a drive.

        Args:
            start: one of `starts()`.
            seed: of all that is drawn; the same seed and orders give the same frames.
            observation: names of `sensors.SENSORS`.
            timestamp_us: of the first frame.
        Raises:
            InputError: a start, seed, observation or time that cannot be.
            Busy: too many sessions, or too little memory.
        """
        if start not in self._starts:
            raise InputError(f"expected a start of {_some(self._starts)}, got {start!r}")
        if not 0 <= timestamp_us < 2**62:
            raise InputError(f"expected a timestamp of 0 to 2^62 microseconds, got {timestamp_us}")
        if len(observation) > 8:
            raise InputError(f"expected at most 8 observations, got {len(observation)}")
        sensors = sensors_of(list(observation))
        with self._lock:
            self._make_room()
            state = self._simulation.start(self._starts[start], seed)
            session = _Session(start, seed, timestamp_us, state, sensors)
            name = secrets.token_hex(16)  # whoever does not know it cannot use it
            frame = self._frame(session, state)
            self._sessions[name] = session
        return Started(name, start, seed, frame)

    def step_chunk(
        self,
        session: str,
        actions: Sequence[tuple[float, float]] | None = None,
        trajectory: Sequence[tuple[float, float, float]] | None = None,
    ) -> list[Frame]:
        """Go on by some frames, all or, if something is wrong, none.

        Args:
            actions: (acceleration m/s², curvature 1/m) of each frame; or
            trajectory: (x, y, yaw) at each frame, in the ego's frame before the chunk. The ego drives from one to the
                next by arcs that it can drive, and the others are told of what follows.
        Raises:
            InputError: numbers that cannot be, or a chunk that is too long.
            UnknownSession: no such session.
        """
        self._check_chunk(actions, trajectory)
        with self._lock:
            own = self._open(session)
            self._check_answer(own.sensors, len(actions or trajectory or ()))
            after = own.state.frame + len(actions or trajectory or ())
            if after > self.limits.session_frames:
                raise InputError(f"expected a session of at most {self.limits.session_frames} frames, got {after}")
            states = self._driven(own.state, actions, trajectory)
            frames = [self._frame(own, state) for state in states]
            own.state = states[-1]
            own.orders += [(state.doing.acceleration, state.doing.curvature) for state in states]
        return frames

    def branch(
        self,
        session: str,
        actions: Sequence[Sequence[tuple[float, float]]] | None = None,
        trajectories: Sequence[Sequence[tuple[float, float, float]]] | None = None,
    ) -> list[list[Frame]]:
        """What would come of each of K chunks; the session stays where it is.

        Raises:
            InputError, UnknownSession: as `step_chunk`.
        """
        chunks = actions if actions is not None else trajectories
        if (actions is None) == (trajectories is None) or not chunks or len(chunks) > self.limits.branches:
            raise InputError(f"expected 1 to {self.limits.branches} chunks, of actions or of trajectories")
        for number in range(len(chunks)):
            self._check_chunk(
                None if actions is None else actions[number], None if trajectories is None else trajectories[number]
            )
        with self._lock:
            own = self._open(session)
            self._check_answer(own.sensors, sum(len(chunk) for chunk in chunks))
            shared = self._simulation.ready(own.state) if actions is not None else own.state
            return [
                [
                    self._frame(own, state)
                    for state in self._driven(
                        shared,
                        None if actions is None else actions[number],
                        None if trajectories is None else trajectories[number],
                    )
                ]
                for number in range(len(chunks))
            ]

    def fork(self, session: str, seed: int | None = None) -> Started:
        """A second session that begins where this one is, with the same future or, for another seed, another.

        Raises:
            InputError: a seed that cannot be, or a world that has one future.
            UnknownSession, Busy: as elsewhere.
        """
        with self._lock:
            own = self._open(session)
            self._make_room()
            state = own.state if seed is None else self._simulation.reseeded(own.state, seed)
            copy = replace(own, state=state, orders=list(own.orders), seed=state.seed, used=time.monotonic())
            name = secrets.token_hex(16)
            frame = self._frame(copy, state)
            self._sessions[name] = copy
        return Started(name, copy.start, copy.seed, frame)

    def metrics(self, session: str) -> dict[str, float]:
        """`Simulation.metrics` of the drive so far."""
        with self._lock:
            return self._simulation.metrics(self._open(session).state)

    def log(self, session: str) -> dict[str, Any]:
        """What leads here again: the start, the seed, and the arcs that were driven."""
        with self._lock:
            own = self._open(session)
            return {"start": own.start, "seed": own.seed, "actions": [list(order) for order in own.orders]}

    def close_session(self, session: str) -> None:
        """End a session.

        Raises:
            UnknownSession: no such session.
        """
        with self._lock:
            self._open(session)
            del self._sessions[session]

    def _open(self, session: str) -> _Session:
        own = self._sessions.get(session)
        if own is None:
            raise UnknownSession(f"expected an open session, got {session[:40]!r}")
        own.used = time.monotonic()
        return own

    def _make_room(self) -> None:
        """Close sessions that nobody uses; refuse where there is still no room."""
        now = time.monotonic()
        if len(self._sessions) >= self.limits.sessions:
            for name, session in list(self._sessions.items()):
                if now - session.used > self.limits.idle_seconds:
                    del self._sessions[name]
        if len(self._sessions) >= self.limits.sessions:
            raise Busy(f"all {self.limits.sessions} sessions are in use")
        if memory_used() > self.limits.memory_bytes:
            raise Busy(f"the {self.limits.memory_bytes >> 20} MB of memory are in use")

    def _check_chunk(
        self,
        actions: Sequence[tuple[float, float]] | None,
        trajectory: Sequence[tuple[float, float, float]] | None,
    ) -> None:
        if (actions is None) == (trajectory is None):
            raise InputError("expected a chunk of either actions or a trajectory")
        rows: Sequence[Sequence[float]] = actions if actions is not None else trajectory or ()
        width = 2 if actions is not None else 3
        if not 1 <= len(rows) <= self.limits.frames:
            raise InputError(f"expected a chunk of 1 to {self.limits.frames} frames, got {len(rows)}")
        for row in rows:
            if len(row) != width:
                raise InputError(f"expected {width} numbers in each row of a chunk, got {len(row)}")
            if not all(abs(number) < 1e4 for number in row):  # NaN too
                raise InputError(f"expected finite numbers in a chunk, got {list(row)}")

    def _check_answer(self, sensors: Mapping[str, Sensor], frames: int) -> None:
        size = 0
        for sensor in sensors.values():
            count = 4 if sensor.spec.dtype == "float32" else 1
            for n in sensor.spec.shape:
                count *= n
            size += frames * count
        if size > self.limits.answer_bytes:
            raise InputError(
                f"expected observations of at most {self.limits.answer_bytes >> 20} MB in an answer, got "
                f"{size >> 20} MB; ask for fewer frames"
            )

    def _driven(
        self,
        state: DriveState[Any],
        actions: Sequence[tuple[float, float]] | None,
        trajectory: Sequence[tuple[float, float, float]] | None,
    ) -> list[DriveState[Any]]:
        states: list[DriveState[Any]] = []
        orders = _orders(state.ego, actions, trajectory)
        for order in orders:
            state = self._simulation.step(state, order(state.ego))
            states.append(state)
        return states

    def _frame(self, session: _Session, state: DriveState[Any]) -> Frame:
        look = Look(self._simulation, state)
        return Frame(
            session.began_us + state.timestamp_us,
            (state.ego.x, state.ego.y, state.ego.yaw, state.ego.speed),
            bool(state.contacts),
            state.astray,
            state.progress,
            {name: sensor(look) for name, sensor in session.sensors.items()},
        )


def memory_used() -> int:
    """Bytes of this process that are in memory now; where the system does not say, the most it ever had."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _orders(
    ego: Ego,
    actions: Sequence[tuple[float, float]] | None,
    trajectory: Sequence[tuple[float, float, float]] | None,
) -> list[Callable[[Ego], Order]]:
    """What is asked at each frame, given where the ego then is."""
    if actions is not None:
        return [lambda _, row=row: Action(float(row[0]), float(row[1])) for row in actions]
    poses = torch.tensor(trajectory, dtype=torch.float64).reshape(-1, 3)
    yaw = torch.tensor(ego.yaw, dtype=torch.float64)
    x, y = poses[:, 0], poses[:, 1]
    world = torch.stack(
        [ego.x + yaw.cos() * x - yaw.sin() * y, ego.y + yaw.sin() * x + yaw.cos() * y, yaw + poses[:, 2]], 1
    )

    def ahead(now: Ego, first: int) -> Order:
        rest = world[first:]
        turn = torch.remainder(rest[:, 2:] - now.yaw + torch.pi, 2 * torch.pi) - torch.pi
        return Trajectory(torch.cat([into(now, rest[:, :2]), turn], 1))

    return [lambda now, first=first: ahead(now, first) for first in range(len(world))]


def _some(names: Mapping[str, Any]) -> str:
    """The first names, for a message."""
    shown = list(names)[:5]
    return ", ".join(shown) + (" …" if len(names) > len(shown) else "")
