"""The judge of drivers: the true simulator, in which they see, act, and meet what comes of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import DRIVEABLE, MOVERS, OCC3D_CLASSES, Occupancy
from worldloom.geometry.rigid import yaw_from_rotmat
from worldloom.occupancy.metrics.planning import (
    Traffic,
    comfortable,
    driveable_compliance,
    ego_progress,
    no_collision,
    pdms,
    time_to_collision,
)
from worldloom.occupancy.planning.candidates import Line, Start, line_through
from worldloom.occupancy.planning.room import Room, room_from_mask
from worldloom.occupancy.scene_state import HISTORY, PICTURE, SceneState
from worldloom.occupancy.traffic import DT
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import Drive
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT, Action, Ego
from worldloom.synth.traffic.footprints import corners, overlap
from worldloom.synth.traffic.risk import others_of, wheels_off
from worldloom.synth.traffic.simulator import Simulator, State
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.traffic.way import Way
from worldloom.synth.voxels import Voxelizer, voxelize_drive

HISTORY_SECONDS = (HISTORY - 1) * DT
WINDOW = 4.0  # seconds, over which the driving score is defined (NAVSIM)
_ROUTE = 1000.0  # metres that are planned
_AHEAD = 80.0  # metres of the route that a driver is shown
_SIGHT = 50.0  # metres within which road users are shown
_NEAR = 30.0  # metres within which others are judged
_PIXEL = 0.25  # metres of the exact map of the road


class Sighted(NamedTuple):
    """Somebody whom a driver sees."""

    name: str
    label: int
    size: tuple[float, float, float]
    poses: Float[Tensor, "h 3"]  # x, y, yaw of the box in the town; the present one where it was absent
    present: Bool[Tensor, " h"]


@dataclass(frozen=True)
class Observation:
    """What a driver may look at: the exact present, or the voxels that sensors would have made of it."""

    simulator: Simulator  # for voxels, and for oracles: a fair driver leaves it alone
    past: tuple[State, ...]  # every DT seconds, HISTORY of them, the last is the present
    way: Way  # the planned route in the town, from where the drive began
    along: float  # metres that the ego has driven of it
    last: Action  # what the ego has been doing
    voxelizer: Voxelizer | None

    @property
    def state(self) -> State:
        """The present."""
        return self.past[-1]

    @property
    def start(self) -> Start:
        """For a plan to begin with."""
        return Start(self.state.ego.speed, self.last.acceleration, self.last.curvature)

    def line(self) -> Line:
        """The route ahead in the ego's present frame."""
        first = int(self.way.lengths.searchsorted(max(0.0, self.along - 5.0)))
        last = int(self.way.lengths.searchsorted(self.along + _AHEAD))
        first = min(first, len(self.way.points) - 2)
        points = torch.from_numpy(self.way.points[first : max(last, first + 2)])
        return line_through(_into(self.state.ego, points))

    def in_sight(self, max_users: int = 48) -> list[Sighted]:
        """Who is within sight, moving or standing, nearest first."""
        ego = self.state.ego
        frames = [boxes_of(state) for state in self.past]
        rows: list[Sighted] = []
        for name, (label, box, size) in frames[-1].items():
            seen = [frame.get(name) for frame in frames]
            poses = torch.tensor([one[1] if one is not None else box for one in seen], dtype=torch.float64)
            rows.append(Sighted(name, label, size, poses, torch.tensor([one is not None for one in seen])))
        always = torch.ones(len(self.past), dtype=torch.bool)
        for user, (name, (x, y, yaw, length, width)) in zip(
            self.simulator.town.standing, self.simulator.standing.items(), strict=True
        ):
            if math.dist((x, y), (ego.x, ego.y)) < _SIGHT:
                poses = torch.tensor([[x, y, yaw]], dtype=torch.float64).expand(len(self.past), 3)
                size = (length, width, user.extent[2])
                rows.append(Sighted(name, OCC3D_CLASSES.index(user.kind), size, poses, always))

        def away(row: Sighted) -> float:
            return math.dist(row.poses[-1, :2].tolist(), (ego.x, ego.y))

        return sorted((row for row in rows if away(row) < _SIGHT), key=away)[:max_users]

    def scene(self, max_users: int = 48) -> SceneState:
        """Those in sight as a model's state, with exact boxes; the map is left empty."""
        rows, ego = self.in_sight(max_users), self.state.ego
        n, h = len(rows), len(self.past)
        own = torch.tensor([(state.ego.x, state.ego.y, state.ego.yaw) for state in self.past], dtype=torch.float64)
        return SceneState(
            torch.tensor([row.label for row in rows], dtype=torch.uint8),
            torch.tensor([row.size for row in rows], dtype=torch.float32).reshape(n, 3),
            torch.zeros(n, 2),
            torch.stack([planar(ego, row.poses) for row in rows]).float() if rows else torch.zeros(0, h, 3),
            torch.stack([row.present for row in rows]) if rows else torch.zeros(0, h, dtype=torch.bool),
            planar(ego, own).float(),
            torch.zeros(PICTURE, PICTURE, dtype=torch.uint8),
        )

    def room(self) -> Room:
        """The exact road around the ego."""
        ego = self.state.ego
        count = round(2 * 40.0 / _PIXEL)
        axis = (torch.arange(count, dtype=torch.float64) + 0.5 - count / 2) * _PIXEL
        x, y = torch.meshgrid(axis, axis, indexing="ij")
        c, s = math.cos(ego.yaw), math.sin(ego.yaw)
        places = torch.stack([ego.x + c * x - s * y, ego.y + s * x + c * y], -1)
        return room_from_mask(self.simulator.town.ground.label_at(places) != DRIVEABLE, _PIXEL)

    def occupancy(self) -> Occupancy:
        """The last frames as labels, with what the sensors on this drive have met of the world so far.

        Raises:
            InputError: the drive was begun without a voxelizer.
        """
        if self.voxelizer is None:
            raise InputError("expected a drive with a voxelizer, got one that shows exact boxes only")
        return self._voxels

    @cached_property
    def _voxels(self) -> Occupancy:
        assert self.voxelizer is not None
        drive = self.simulator.drive(DT, self.past[0].time)
        return voxelize_drive(self.simulator.town, drive, self.voxelizer).occupancy


Driver = Callable[[Observation], Sequence[Action | None]]  # actions of STEP seconds each, then it is asked again
Policy = Callable[[Observation], Driver]  # a new driver for a drive that begins with this observation


@dataclass(frozen=True)
class Scores:
    """The parts of the driving score on exact boxes."""

    no_collision: float  # NC
    driveable: float  # DAC: no corner of the ego was ever off the road
    ttc: float
    progress: float  # EP: of the way that SUMO's own driver makes of the same route, over the whole drive
    comfort: float

    @property
    def pdms(self) -> float:
        """NC DAC (5 TTC + 5 EP + 2 C) / 12."""
        return pdms(self.no_collision, self.driveable, self.ttc, self.progress, self.comfort)


@dataclass(frozen=True)
class Episode:
    """A drive and what it is worth."""

    path: EgoPath  # every STEP seconds
    speed: Float[Tensor, " t"]
    collisions: tuple[tuple[float, str], ...]  # seconds after the beginning, and with whom; the first contact with each
    off_road: Bool[Tensor, " t"]  # a wheel is off the driveable surface
    progress: float  # metres along the route
    expected: float  # metres that SUMO's own driver makes in the same time
    wished: float  # seconds; the drive is shorter where a collision ended it
    whole: Scores  # each part must hold over the whole drive
    windows: tuple[Scores, ...]  # of WINDOW seconds, one after the other

    @property
    def seconds(self) -> float:
        """How long the drive was."""
        return (len(self.path) - 1) * self.path.dt

    @property
    def completion(self) -> float:
        """Share of the way that SUMO's own driver makes in the same time, at most 1; 1 where that is 5 m or less."""
        return self.whole.progress

    @property
    def pdms(self) -> float:
        """The mean score of windows as long as the score was made for; those that were not reached count as 0."""
        return sum(one.pdms for one in self.windows) / max(1, math.ceil(self.wished / WINDOW - 1e-6))


def drive_closed_loop(
    town: Town,
    policy: Policy,
    seconds: float = 20.0,
    seed: int = 0,
    at: float = HISTORY_SECONDS,
    density: float = 1.0,
    voxelizer: Voxelizer | None = None,
) -> Episode:
    """Drive through a town's traffic, which sees the ego and reacts, and be judged.

    The drive begins at a moment of the logged drive and ends after `seconds`, or with the first contact that the ego
    meets while it moves. The route is the one that SUMO planned for the ego's car.

    Args:
        policy: who drives.
        seed: of the traffic, and of which of its cars the ego is.
        at: seconds of the logged drive that are over when the driver takes over.
        voxelizer: of the same town, for drivers that look at voxels.
    Raises:
        InputError: times that cannot be, or an ego that begins on no lane.
        MissingExtra: SUMO is not installed.
    """
    with Simulator(town, seed, density, STEP) as simulator:
        return drive_in(simulator, policy, seconds, at, voxelizer)


def drive_in(
    simulator: Simulator,
    policy: Policy,
    seconds: float = 20.0,
    at: float = HISTORY_SECONDS,
    voxelizer: Voxelizer | None = None,
) -> Episode:
    """As `drive_closed_loop`, in a simulator that is there already; it is left at the end of the drive."""
    if not (0 < seconds < math.inf and HISTORY_SECONDS <= at < math.inf):
        raise InputError(f"expected seconds > 0 and a beginning at >= {HISTORY_SECONDS:g} s, got {seconds} and {at}")
    simulator.reset(at)
    way = simulator.way_ahead(_ROUTE)
    simulator.reset(at + seconds)
    expected = _driven(way, simulator.drive(STEP, at))
    stride, steps = round(DT / STEP), round(seconds / STEP)
    states = [simulator.reset(at - HISTORY_SECONDS)]
    for _ in range(round(HISTORY_SECONDS / STEP)):
        states.append(simulator.step(None, STEP))
    last, along, driver = _doing(states), 0.0, None
    queue: list[Action | None] = []
    for _ in range(steps):
        if not queue:
            past = tuple(states[len(states) - 1 - stride * (HISTORY - 1) :: stride])
            seen = Observation(simulator, past, way, along, last, voxelizer)
            driver = driver or policy(seen)
            queue = list(driver(seen))
        action = queue.pop(0)
        state = simulator.step(action, STEP)
        states.append(state)
        last = _doing(states) if action is None else action
        along = way.locate(state.ego.x, state.ego.y, after=max(0.0, along - 5), before=along + 10)[0]
        if state.collisions and state.ego.speed > 0.05:
            break
    return judge(simulator.town, simulator.drive(STEP, at), way, expected, seconds, simulator)


def judge(
    town: Town, drive: Drive, way: Way, expected: float, wished: float, simulator: Simulator | None = None
) -> Episode:
    """The worth of a drive whose frames are STEP seconds apart.

    Args:
        way: the route.
        expected: metres of it that are a good driver's.
        wished: seconds that the drive should have lasted.
        simulator: whose lanes say whether the ego was in several of them when it was hit from the side.
    """
    poses = drive.world_from_ego.double()
    yaw = yaw_from_rotmat(poses[:, :3, :3])
    ahead = torch.stack([yaw.cos(), yaw.sin()], -1)
    size = torch.tensor(EGO_EXTENT[:2], dtype=torch.float64).expand(len(poses), 2)
    ego = torch.cat([poses[:, :2, 3] + EGO_CENTRE * ahead, yaw[:, None], size], -1)
    traffic, names = _traffic_near(town, drive, ego)
    contacts = _first_contacts(ego, traffic, names)
    off = wheels_off(town.ground, torch.cat([poses[:, :2, 3], yaw[:, None]], -1))

    def on_road(points: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
        return town.ground.label_at(points) == DRIVEABLE

    astray = ~on_road(corners(ego).reshape(-1, 2)).reshape(-1, 4).all(1)
    for frame, _ in contacts:
        astray[frame] |= simulator is not None and _between_lanes(simulator, ego[frame])
    progress = _driven(way, drive)
    share = ego_progress(progress, expected)

    def scores(first: int, last: int) -> Scores:
        part = slice(first, last + 1)
        others = Traffic(traffic.footprints[:, part], traffic.present[:, part], traffic.speed[:, part], traffic.agent)
        mine, speed, path = ego[part], drive.speed[part].double(), drive.path[part]
        return Scores(
            no_collision(mine, speed, others, astray[part]),
            driveable_compliance(mine, on_road),
            time_to_collision(mine, speed, others, drive.dt),
            share,
            float(len(path) >= 4 and comfortable(path)),
        )

    end, width = len(drive) - 1, round(WINDOW / drive.dt)
    windows = tuple(scores(first, min(first + width, end)) for first in range(0, end, width))
    collisions = tuple((frame * drive.dt, name) for frame, name in contacts)
    return Episode(drive.path, drive.speed, collisions, off, progress, expected, wished, scores(0, end), windows)


def _traffic_near(town: Town, drive: Drive, ego: Float[Tensor, "t 5"]) -> tuple[Traffic, list[str]]:
    """Everybody who ever comes near the ego, and their names."""
    boxes, velocity, there = others_of(town, drive)
    names = [user.id for user in drive.users] + [f"standing.{i}" for i in range(len(town.standing))]
    kinds = [user.kind for user in (*drive.users, *town.standing)]
    agent = torch.tensor([OCC3D_CLASSES.index(kind) in MOVERS for kind in kinds], dtype=torch.bool)
    near = (((boxes[..., :2] - ego[:, :2]).norm(dim=-1) < _NEAR) & there).any(1)
    speed = velocity[near].norm(dim=-1)
    return Traffic(boxes[near], there[near], speed, agent[near]), [
        name for name, is_near in zip(names, near.tolist(), strict=True) if is_near
    ]


def _first_contacts(ego: Float[Tensor, "t 5"], traffic: Traffic, names: Sequence[str]) -> list[tuple[int, str]]:
    """(frame, name) of the first contact with each, in the order of time."""
    found = []
    for name, boxes, there in zip(names, traffic.footprints, traffic.present, strict=True):
        touching = overlap(ego, boxes) & there
        if touching.any():
            found.append((int(touching.to(torch.uint8).argmax()), name))
    return sorted(found)


def _between_lanes(simulator: Simulator, ego: Float[Tensor, " 5"]) -> bool:
    """Whether the ego is on no lane, or reaches into the one beside its own; on a junction there are none."""
    x, y, yaw, _, width = ego.tolist()
    place = simulator.paths.place(x, y, yaw)
    if place is None:
        return True
    return place.connection is None and abs(place.aside) + width / 2 > place.lane.width / 2


def _driven(way: Way, drive: Drive) -> float:
    """Metres along the route, sought near the last, so that a route that crosses itself is not cut short."""
    along = 0.0
    first = None
    for x, y in drive.world_from_ego[:, :2, 3].tolist():
        along = way.locate(x, y, after=max(0.0, along - 5), before=along + 10)[0]
        first = along if first is None else first
    return along - (first or 0.0)


def _doing(states: Sequence[State]) -> Action:
    """What the ego has done in the last step."""
    before, now = states[-2].ego, states[-1].ego
    way = max((before.speed + now.speed) / 2 * STEP, 0.05)
    turned = math.remainder(now.yaw - before.yaw, math.tau)
    return Action((now.speed - before.speed) / STEP, max(-0.2, min(0.2, turned / way)))


def boxes_of(state: State) -> dict[str, tuple[int, tuple[float, float, float], tuple[float, float, float]]]:
    """(label, place and heading, size) of everybody who moves."""
    users = state.users
    poses = users.world_from_user.double()
    # The box is tilted with the ground, on which its footprint lies.
    places = poses[:, :2, 3] - users.extents[:, 2:].double() / 2 * poses[:, :2, 2]
    yaws = yaw_from_rotmat(poses[:, :3, :3])
    rows = zip(users.ids, users.kinds, places.tolist(), yaws.tolist(), users.extents.tolist(), strict=True)
    return {
        name: (OCC3D_CLASSES.index(kind), (x, y, yaw), (length, width, height))
        for name, kind, (x, y), yaw, (length, width, height) in rows
    }


def _into(ego: Ego, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
    """Places of the town in the ego's frame."""
    c, s = math.cos(ego.yaw), math.sin(ego.yaw)
    x, y = xy[..., 0] - ego.x, xy[..., 1] - ego.y
    return torch.stack([c * x + s * y, c * y - s * x], -1)


def planar(ego: Ego, poses: Float[Tensor, "t 3"]) -> Float[Tensor, "t 3"]:
    """Poses of the town in the ego's frame."""
    yaw = torch.remainder(poses[:, 2:] - ego.yaw + math.pi, math.tau) - math.pi
    return torch.cat([_into(ego, poses[:, :2].double()), yaw.double()], -1)
