"""The true simulator: an ego that is steered through a town's traffic, which sees it and reacts."""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.synth.towns.ground import DRIVEABLE
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.demand import Member
from worldloom.synth.traffic.drive import (
    CHOICE,
    Drive,
    choose_ego,
    footprint_of,
    phase_of,
    poses_of,
    record,
    stand_on,
    stride_of,
    with_trailers,
)
from worldloom.synth.traffic.ego import (
    WHEELS,
    Action,
    Ego,
    Waypoint,
    action_to,
    drive_on,
    ego_after,
    ego_footprint,
    ego_from_body,
)
from worldloom.synth.traffic.footprints import gap, overlap, time_to_collision
from worldloom.synth.traffic.lane_paths import LanePaths
from worldloom.synth.traffic.live_traffic import LiveTraffic, Moment
from worldloom.synth.traffic.motion import Box
from worldloom.synth.traffic.risk import SIGHT
from worldloom.synth.traffic.sumo import STEP, SumoError
from worldloom.synth.traffic.way import Way

_ROUTE_AHEAD = 2000.0  # metres of the planned route along which progress is measured
_TRAILING = 25.0  # metres from the front of what pulls to the middle of its trailer, at most
_MAX_MARKS = 12  # moments kept as sleeping processes; others are reached by repeating the actions

Log = tuple[tuple[float, float] | None, ...]  # (acceleration, curvature) of each step of SUMO, None where it drove


@dataclass(frozen=True)
class Users:
    """Other road users at one moment; the leading axis of all."""

    ids: tuple[str, ...]
    kinds: tuple[str, ...]
    variants: tuple[int, ...]
    extents: Float[Tensor, "n 3"]  # length, width, height in metres
    world_from_user: Float[Tensor, "n 4 4"]  # box centres
    velocity: Float[Tensor, "n 3"]
    phase: Float[Tensor, " n"]  # of legs, as `make_road_user` takes it


@dataclass(frozen=True)
class State:
    """What is true at one moment. Distances and times are between boxes, exactly, as seen from above."""

    time: float  # seconds after the traffic's beginning
    ego: Ego
    world_from_ego: Float[Tensor, "4 4"]
    users: Users
    collisions: tuple[str, ...]  # ids of moving and standing users that the ego overlaps
    off_road: bool  # a wheel is off the driveable surface
    min_gap: float  # metres to the nearest user, standing ones too; 0 in a collision, inf where nobody is in sight
    nearest: str  # who that is; "" for nobody
    time_to_collision: float  # seconds, if all keep their velocities; inf if never
    progress: float  # metres along the planned route since the traffic's beginning


@dataclass(frozen=True)
class Snapshot:
    """A moment of a simulator, as what led there: small, and good in any process that has the same town."""

    town: str  # fingerprint of the roads
    seed: int
    density: float
    log: Log

    def to_bytes(self) -> bytes:
        """As JSON, equal steps counted; floats keep all their digits."""
        runs = [(len(list(group)), entry) for entry, group in itertools.groupby(self.log)]
        return json.dumps([self.town, self.seed, self.density, runs]).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Snapshot":
        """Read what `to_bytes` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            town, seed, density, runs = json.loads(data)
            log: list[tuple[float, float] | None] = []
            for count, entry in runs:
                acceleration, curvature = entry or (0.0, 0.0)
                log += [None if entry is None else (float(acceleration), float(curvature))] * int(count)
            return Snapshot(str(town), int(seed), float(density), tuple(log))
        except (ValueError, TypeError) as error:
            raise InputError(f"expected a snapshot of a simulator, got {data[:40]!r} ({error})") from None


class Simulator:
    """A town's traffic with a steered ego. Any number may exist at once; close it, or use `with`.

    `reset`, `step` and `load` return the state they lead to. The same seed and actions lead to the same bytes, in
    every process. If SUMO's process dies, the call says so with a SumoError, and `reset` or `load` begin afresh.

    Args:
        dt: seconds of one `step`, a multiple of 0.1.
    Raises:
        InputError: bad numbers.
        MissingExtra: SUMO is not installed.
    """

    def __init__(self, town: Town, seed: int = 0, density: float | int = 1.0, dt: float | int = 0.5) -> None:
        self.town = town
        self._every = stride_of(dt)
        standing = [(f"standing.{i}", footprint_of(user)) for i, user in enumerate(town.standing)]
        self._standing_ids = tuple(name for name, _ in standing)
        self._standing = torch.tensor([box for _, box in standing], dtype=torch.float64).reshape(-1, 5)
        self._fingerprint = hashlib.sha256(town.roads.net_xml).hexdigest()[:16]
        self._live: LiveTraffic | None = None
        self._begin(seed, float(density))

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End SUMO's processes."""
        if self._live is not None:
            self._live.sumo.close()
            self._live = None

    @property
    def dt(self) -> float:
        """Seconds of one step."""
        return self._every * STEP

    @cached_property
    def paths(self) -> LanePaths:
        """The town's lanes, for whoever steers."""
        return LanePaths(self.town.roads, frozenset(self.town.closed_lanes))

    @property
    def members(self) -> dict[str, Member]:
        """Everyone in the traffic, the car in whose place the ego is among them."""
        return self._traffic().traffic.members

    @property
    def pid(self) -> int:
        """The process that is simulating."""
        return self._traffic().sumo.pid

    def reset(self, at: float | int = 0.0, seed: int | None = None) -> State:
        """Be at the moment `at` seconds into the logged drive of `drive_town`, whose driver is SUMO until then.

        Raises:
            InputError: a moment before the beginning.
        """
        if not 0 <= at < math.inf:
            raise InputError(f"expected a moment at >= 0 s, got {at}")
        if seed is not None and seed != self._seed:
            self._begin(seed, self._density)
        self._go((None,) * round(at / STEP))
        return self.state()

    def step(self, action: Action | Waypoint | None, dt: float | int | None = None) -> State:
        """Go on by one step (or by `dt`, a multiple of 0.1 s); None lets SUMO's driver drive.

        Raises:
            InputError: an action that is not finite, or None after an action: SUMO's driver cannot take over again.
            SumoError: SUMO's process has died.
        """
        every = self._every if dt is None else stride_of(dt)
        if isinstance(action, Waypoint):
            if not all(map(math.isfinite, action)):
                raise InputError(f"expected a finite waypoint, got {tuple(action)}")
            action = action_to(action, self._egos[-1].speed, every * STEP)
        if action is not None and not all(map(math.isfinite, action)):
            raise InputError(f"expected a finite action, got {tuple(action)}")
        if action is None and self._log and self._log[-1] is not None:
            raise InputError("expected an action: SUMO's driver cannot take over from one who has steered, got None")
        self._follow((None if action is None else (float(action.acceleration), float(action.curvature)),) * every)
        return self.state()

    def save(self, mark: bool = True) -> Snapshot:
        """This moment. In this simulator going back to it costs milliseconds, elsewhere the repetition of its past.

        Args:
            mark: False keeps no sleeping process of it; going back then repeats what was done since the last one.
        """
        if mark and len(self._marks) < _MAX_MARKS and self._marks[-1] < len(self._log):
            self._mark()
        return Snapshot(self._fingerprint, self._seed, self._density, self._log)

    def load(self, snapshot: Snapshot) -> State:
        """Be exactly at a saved moment.

        Raises:
            InputError: the snapshot is of another town.
        """
        if snapshot.town != self._fingerprint:
            raise InputError(f"expected a snapshot of town {self._fingerprint}, got one of {snapshot.town}")
        if (snapshot.seed, snapshot.density) != (self._seed, self._density):
            self._begin(snapshot.seed, snapshot.density)
        self._go(snapshot.log)
        return self.state()

    def drive(self, dt: float | int = 0.5, since: float | int = 0.0) -> Drive:
        """All that happened since the traffic's beginning, or since a later moment, as a logged drive."""
        first = round(since / STEP)
        moments = self._moments[first:]
        every = stride_of(dt)
        last = (len(moments) - 1) // every * every + 1
        egos = self._egos[first : first + last]
        return record(self.town.ground, moments[:last], egos, self._name, self.members, self._seed, every)

    def recent(self, count: int, reach: float | int) -> list[tuple[Ego, dict[str, tuple[Member, Box]]]]:
        """The ego and whoever moves within `reach` metres of it, at the last moments, STEP seconds apart."""
        members = with_trailers(self.members)
        rows = []
        for moment, ego in zip(self._moments[-count:], self._egos[-count:], strict=True):
            far = reach + _TRAILING  # a trailer may be near while what pulls it is not
            near = moment.boxes(self.members, (ego.x - far, ego.y - far, ego.x + far, ego.y + far))
            boxes = {
                name: (members[name], box)
                for name, box in sorted(near.items())
                if name != self._name and math.dist((box.x, box.y), (ego.x, ego.y)) <= reach
            }
            rows.append((ego, boxes))
        return rows

    def state(self) -> State:
        """The present moment."""
        moment, ego = self._moments[-1], self._egos[-1]
        members = with_trailers(self.members)
        boxes = {name: box for name, box in sorted(moment.boxes(self.members).items()) if name != self._name}
        who = [members[name] for name in boxes]
        poses, velocity = poses_of(self.town.ground, who, list(boxes.values()))
        users = Users(
            tuple(boxes),
            tuple(m.kind for m in who),
            tuple(m.variant for m in who),
            torch.tensor([m.extent for m in who]).reshape(-1, 3),
            poses.float(),
            velocity.float(),
            torch.tensor([phase_of(m, box) for m, box in zip(who, boxes.values(), strict=True)]),
        )
        place = torch.tensor([[ego.x, ego.y]], dtype=torch.float64)
        world_from_ego = stand_on(self.town.ground, place, torch.tensor([ego.yaw], dtype=torch.float64))[0].float()
        collisions, nearest, min_gap, ttc = self._contacts(ego, boxes, who)
        return State(
            moment.step * STEP,
            ego,
            world_from_ego,
            users,
            collisions,
            self._off_road(ego),
            min_gap,
            nearest,
            ttc,
            self._progress[-1],
        )

    def way_ahead(self, length: float | int) -> Way:
        """The line that the ego's planned route takes from here."""
        ego = self._egos[-1]
        place = self.paths.place(ego.x, ego.y, ego.yaw)
        if place is None:
            raise InputError(f"expected the ego on a lane, got ({ego.x:.1f}, {ego.y:.1f})")
        sumo = self._traffic().sumo
        edges: Sequence[str] = ()
        if self._name in self._moments[-1].bodies:  # SUMO has found a lane for it
            edges = sumo.call("vehicle", "getRoute", self._name)[sumo.call("vehicle", "getRouteIndex", self._name) :]
        way = self.paths.way(place, float(length), edges)
        assert way is not None  # only turns that are asked for can be impossible
        return way

    @property
    def standing(self) -> dict[str, tuple[float, float, float, float, float]]:
        """Footprints (x, y, yaw, length, width) of the users that stand in the town, by the ids of `collisions`."""
        return {name: tuple(box) for name, box in zip(self._standing_ids, self._standing.tolist(), strict=True)}

    def footprints(self, boxes: Mapping[str, Box], who: Sequence[Member]) -> Float[Tensor, "n 5"]:
        """Rectangles of moving users, then of standing ones."""
        moving = [(b.x, b.y, b.yaw, m.extent[0], m.extent[1]) for b, m in zip(boxes.values(), who, strict=True)]
        return torch.cat([torch.tensor(moving, dtype=torch.float64).reshape(-1, 5), self._standing])

    def _contacts(
        self, ego: Ego, boxes: Mapping[str, Box], who: Sequence[Member]
    ) -> tuple[tuple[str, ...], str, float, float]:
        """Who is hit, who is nearest and how near, and the shortest time to a collision."""
        others = self.footprints(boxes, who)
        names = (*boxes, *self._standing_ids)
        velocity = torch.zeros(len(others), 2, dtype=torch.float64)
        velocity[: len(boxes)] = torch.tensor([(b.vx, b.vy) for b in boxes.values()], dtype=torch.float64).reshape(
            -1, 2
        )
        mine = torch.tensor([ego_footprint(ego)], dtype=torch.float64)
        close = (others[:, :2] - mine[:, :2]).norm(dim=-1) < SIGHT
        if not close.any():
            return (), "", math.inf, math.inf
        others, velocity = others[close], velocity[close]
        names = [name for name, is_close in zip(names, close.tolist(), strict=True) if is_close]
        mine = mine.expand(len(others), 5)
        own = torch.tensor([[math.cos(ego.yaw), math.sin(ego.yaw)]], dtype=torch.float64) * ego.speed
        gaps, hit = gap(mine, others), overlap(mine, others)
        ttc = time_to_collision(mine, own.expand(len(others), 2), others, velocity)
        nearest = int(gaps.argmin())
        return (
            tuple(name for name, is_hit in zip(names, hit.tolist(), strict=True) if is_hit),
            names[nearest],
            float(gaps[nearest]),
            float(ttc.min()),
        )

    def _off_road(self, ego: Ego) -> bool:
        c, s = math.cos(ego.yaw), math.sin(ego.yaw)
        wheels = torch.tensor([(ego.x + x * c - y * s, ego.y + x * s + y * c) for x, y in WHEELS])
        return bool((self.town.ground.label_at(wheels) != DRIVEABLE).any())

    # How the present is reached.

    def _begin(self, seed: int, density: float) -> None:
        """Fresh traffic; the ego is chosen as `drive_town` does."""
        if not 0 < density <= 4:
            raise InputError(f"expected density in (0, 4], got {density}")
        self.close()
        self._seed, self._density = seed, density
        self._live = LiveTraffic(self.town, seed, density)
        try:
            self._live.mark()
            moments = [self._live.now, *self._live.advance(round(CHOICE / STEP))]
            self._live.rewind(0)
            self._name = choose_ego(moments, self.members, self.town, seed)
            self._log: Log = ()
            self._moments = [self._live.now]
            self._egos = [ego_from_body(self._live.now.bodies[self._name])]
            self._progress = [0.0]
            self._route = self.way_ahead(_ROUTE_AHEAD)
            self._marks = [0]
        except BaseException:
            self.close()
            raise

    def _traffic(self) -> LiveTraffic:
        if self._live is None:
            raise SumoError("this simulator is closed")
        return self._live

    def _mark(self) -> None:
        self._traffic().mark()
        self._marks.append(len(self._log))

    def _go(self, log: Log) -> None:
        """Be where this log leads, from the nearest kept moment on its way."""
        if self._live is None or self._live.sumo.dead:
            self._begin(self._seed, self._density)
        if log[: len(self._log)] != self._log:
            # All marks lie on the way to the present, one after another.
            mark = max(i for i, steps in enumerate(self._marks) if log[:steps] == self._log[:steps])
            self._traffic().rewind(mark)
            steps = self._marks[mark]
            del (
                self._marks[mark + 1 :],
                self._moments[steps + 1 :],
                self._egos[steps + 1 :],
                self._progress[steps + 1 :],
            )
            self._log = self._log[:steps]
        self._follow(log[len(self._log) :])

    def _follow(self, log: Log) -> None:
        """Repeat what was done in each further step."""
        live = self._traffic()
        for entry, group in itertools.groupby(log):
            count = len(list(group))
            if entry is None:
                for moment in live.advance(count):
                    self._append(None, moment, ego_after(self._egos[-1], moment.bodies[self._name]))
                continue
            for _ in range(count):
                ego = drive_on(self._egos[-1], Action(*entry), STEP)
                self._append(entry, live.advance(1, [ego.move(self._name)])[0], ego)

    def _append(self, entry: tuple[float, float] | None, moment: Moment, ego: Ego) -> None:
        done = self._progress[-1]
        # Sought nearby, so that a route that crosses itself is not cut short.
        along, _ = self._route.locate(ego.x, ego.y, after=max(0.0, done - 10), before=done + 15)
        self._log += (entry,)
        self._moments.append(moment)
        self._egos.append(ego)
        self._progress.append(along)
