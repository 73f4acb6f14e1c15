"""The same world under other actions of the ego: from one moment on, everything else only reacts."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.errors import InputError
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import Drive, stride_of
from worldloom.synth.traffic.ego import EGO_EXTENT, EGO_FRONT, MAX_BRAKING, Action
from worldloom.synth.traffic.lane_paths import Place
from worldloom.synth.traffic.pilots import Follow, Pilot, brake, pursue, smooth, speed_up, tailgate
from worldloom.synth.traffic.simulator import Simulator, Snapshot, State
from worldloom.synth.traffic.sumo import STEP, SumoError
from worldloom.synth.traffic.way import Way

MANOEUVRES = (
    *("keep", "change_left", "change_right", "turn_left", "turn_right", "brake", "accelerate", "cut_in"),
    *("near_miss", "hit_parked", "hit_moving", "leave_road"),
)
NEAR = (0.3, 1.0)  # metres of a near miss
_AHEAD = 200.0  # metres of way that are planned


@dataclass(frozen=True)
class Counterfactual:
    """What would have happened, and what is true about it."""

    manoeuvre: str  # one of MANOEUVRES
    drive: Drive
    branch_frame: int  # the last frame that is the same in all
    collided_with: str | None  # id of the first user that was hit, "standing.7" for one that stands
    collision_time: float | None  # seconds after the traffic's beginning
    collision_frame: int | None  # the first frame at or after that time
    off_road_frame: int | None  # the first frame at or after a wheel left the driveable surface
    min_gap: float  # metres to the nearest user after the branch; 0 if there was a collision
    nearest: str  # who that was


def counterfactuals(
    town: Town,
    seed: int = 0,
    at: float | int | None = None,
    seconds: float | int = 8.0,
    history: float | int = 2.0,
    manoeuvres: Sequence[str] = MANOEUVRES,
    dt: float | int = 0.5,
    density: float | int = 1.0,
) -> tuple[Counterfactual, ...]:
    """The drive of `drive_town(town, seed=seed)`, re-simulated from one moment on under other actions.

    Everything up to the branch is bit-identical in all of them and in the logged drive. After a collision the ego
    brakes to a stand. Manoeuvres that are impossible at that moment, such as a change to a lane that does not exist,
    are left out, as are, with a warning, attempts of which SUMO dies; each that is returned has been seen to happen.

    Args:
        at: seconds into the drive; chosen if not given, so that the ego drives among others.
        seconds: how long each goes on after the branch.
        history: seconds before the branch that the drives begin with.
    Raises:
        InputError: an unknown manoeuvre, or times that are not positive or not multiples of dt.
        MissingExtra: SUMO is not installed.
    """
    with Simulator(town, seed, density) as simulator:
        return tuple(branches(simulator, at, seconds, history, manoeuvres, dt))


def branches(
    simulator: Simulator,
    at: float | int | None = None,
    seconds: float | int = 8.0,
    history: float | int = 2.0,
    manoeuvres: Sequence[str] = MANOEUVRES,
    dt: float | int = 0.5,
) -> Iterator[Counterfactual]:
    """As `counterfactuals`, one after the other, in a simulator that is there already and is left wherever it ends.

    There are none where `at` is not given and the ego is on no lane that leads on.
    """
    for name in manoeuvres:
        if name not in MANOEUVRES:
            raise InputError(f"manoeuvre must be one of {', '.join(MANOEUVRES)}, got {name!r}")
    every = stride_of(dt)
    for value in (seconds, history, *(() if at is None else (at,))):
        if not 0 <= value < math.inf or round(value / STEP) % every or abs(round(value / STEP) * STEP - value) > 1e-6:
            raise InputError(f"expected times that are not negative and multiples of dt = {dt} s, got {value}")
    if seconds <= 0 or (at is not None and at < history):
        raise InputError(f"expected seconds > 0 and a branch at >= history = {history} s, got {seconds} and {at}")
    moment = float(at) if at is not None else _lively(simulator, float(history), every * STEP)
    if moment is None:
        return
    branch = _Branch(simulator, moment, round(seconds / STEP), float(history), float(dt))
    for name in manoeuvres:
        one = _happened(branch, name)
        if one is not None:
            yield one


@dataclass(frozen=True)
class _Flight:
    """A pilot's states after the branch, ten a second, up to the end or the collision's aftermath."""

    states: tuple[State, ...]
    result: Counterfactual


class _Branch:
    """The moment from which all set out."""

    def __init__(self, simulator: Simulator, at: float, steps: int, history: float, dt: float) -> None:
        self.simulator, self.at, self.steps, self.history, self.dt = simulator, at, steps, history, dt
        self.state = simulator.reset(at)
        self.snapshot: Snapshot = simulator.save()
        ego = self.state.ego
        self.place: Place | None = simulator.paths.place(ego.x, ego.y, ego.yaw)
        self.way: Way = simulator.way_ahead(_AHEAD)
        self.speed = max(ego.speed, 4.0)

    def fly(self, manoeuvre: str, pilot: Pilot, in_vain: Callable[[str], bool] = lambda hit: False) -> _Flight | None:
        """What happens under a pilot; None, early, where whoever is hit makes the attempt in vain.

        SUMO is not proof against every way of driving. Where it dies, the attempt is in vain too, with a warning.
        """
        try:
            return self._fly(manoeuvre, pilot, in_vain)
        except SumoError as error:
            warnings.warn(f"an attempt at {manoeuvre} is left out: {error}", RuntimeWarning, stacklevel=2)
            self.simulator.load(self.snapshot)  # in a new process
            self.simulator.save()
            return None

    def _fly(self, manoeuvre: str, pilot: Pilot, in_vain: Callable[[str], bool]) -> _Flight | None:
        state = self.simulator.load(self.snapshot)
        states: list[State] = []
        hit: tuple[str, float] | None = None
        left_at: float | None = None
        nearest, min_gap = "", math.inf
        for _ in range(self.steps):
            state = self.simulator.step(pilot(state) if hit is None else Action(-MAX_BRAKING, 0.0), STEP)
            states.append(state)
            if state.min_gap < min_gap:
                min_gap, nearest = state.min_gap, state.nearest
            if hit is None and state.collisions:
                hit = state.collisions[0], state.time
                if in_vain(hit[0]):
                    return None
            if left_at is None and state.off_road:
                left_at = state.time
        drive = self.simulator.drive(self.dt, self.at - self.history)
        result = Counterfactual(
            manoeuvre,
            drive,
            round(self.history / self.dt),
            None if hit is None else hit[0],
            None if hit is None else hit[1],
            None if hit is None else self._frame(hit[1]),
            None if left_at is None else self._frame(left_at),
            min_gap,
            nearest,
        )
        return _Flight(tuple(states), result)

    def _frame(self, time: float) -> int:
        return math.ceil((time - self.at + self.history) / self.dt - 1e-6)


def _lively(simulator: Simulator, history: float, dt: float) -> float | None:
    """A moment between 4 and 14 s at which the ego drives on a lane, if possible beside another and near others."""
    best, found = -math.inf, None
    stride = dt * max(1, round(0.5 / dt))
    for time in np.arange(math.ceil(max(4.0, history) / stride), 14.0 / stride + 0.5) * stride:
        state = simulator.reset(round(float(time), 6))
        place = simulator.paths.place(state.ego.x, state.ego.y, state.ego.yaw)
        if place is None:
            continue
        if place.connection is not None or state.ego.speed < 3:
            if found is None:  # better than nothing
                found = round(float(time), 6)
            continue
        room = place.lane.length - place.along
        lanes = sum(simulator.paths.beside(place.lane, left) is not None for left in (True, False))
        score = (
            lanes
            + max(0.0, 2 - abs(room - 28.0) / 14)
            + min(state.ego.speed, 9.0) / 9
            - 0.05 * min(state.min_gap, 20.0)
        )
        if score > best:
            best, found = score, round(float(time), 6)
    return found


def _happened(branch: _Branch, name: str) -> Counterfactual | None:
    """The first attempt at a manoeuvre that succeeds; None if none does."""
    attempts = {
        "keep": _keep,
        "change_left": _change,
        "change_right": _change,
        "turn_left": _turn,
        "turn_right": _turn,
        "brake": _brake,
        "accelerate": _accelerate,
        "cut_in": _cut_in,
        "near_miss": _near_miss,
        "hit_parked": _hit_parked,
        "hit_moving": _hit_moving,
        "leave_road": _leave_road,
    }
    return next(attempts[name](branch, name), None)


def _keep(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    flight = branch.fly(name, Follow(branch.way, branch.speed))
    if flight is not None:
        yield flight.result


def _brake(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    flight = branch.fly(name, brake(branch.way, 7.0))
    if flight is not None and (
        flight.states[-1].ego.speed < 0.1 or len(flight.states) * STEP * 7 < branch.state.ego.speed
    ):
        yield flight.result


def _accelerate(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    flight = branch.fly(name, speed_up(branch.way, branch.speed + 6, 2.5))
    if flight is not None and max(state.ego.speed for state in flight.states) > branch.state.ego.speed + 0.5:
        yield flight.result


def _beside(branch: _Branch, left: bool) -> tuple[Way, float] | None:
    """The way on the next lane, from beside the ego, and how far to the left of it the ego is."""
    place = branch.place
    if place is None or place.connection is not None:
        return None
    lane = branch.simulator.paths.beside(place.lane, left)
    if lane is None:
        return None
    way = branch.simulator.paths.way(Place(lane, None, min(place.along, lane.length - 1), 0.0), _AHEAD)
    if way is None:
        return None
    ego = branch.state.ego
    return way, way.locate(ego.x, ego.y, before=20.0)[1]


def _eased(way: Way, aside: float, start: float, length: float) -> Way:
    """A way that is entered from `aside` metres to its left, over a length."""
    return way.shifted(aside * (1 - smooth((way.lengths - start) / length)))


def _change(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    beside = _beside(branch, name.endswith("left"))
    if beside is None:
        return
    way, aside = beside
    flight = branch.fly(name, Follow(_eased(way, aside, 1.0, max(14.0, 2.8 * branch.speed)), branch.speed))
    # On the other lane for a while: junctions may follow.
    if flight is not None and any(abs(way.locate(state.ego.x, state.ego.y)[1]) < 0.5 for state in flight.states):
        yield flight.result


def _turn(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    if branch.place is None:
        return
    way = branch.simulator.paths.way(branch.place, _AHEAD, turn="l" if name.endswith("left") else "r")
    if way is None:
        return
    flight = branch.fly(name, Follow(way, branch.speed))
    if flight is None:
        return
    yaws = np.unwrap([branch.state.ego.yaw, *(state.ego.yaw for state in flight.states)])
    turned = float(yaws[-1] - yaws[0])
    if (turned if name.endswith("left") else -turned) > 0.7:
        yield flight.result


def _cut_in(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    for left in (True, False):
        beside = _beside(branch, left)
        if beside is None:
            continue
        way, aside = beside
        users = branch.state.users
        for i, other in enumerate(users.ids):
            if users.kinds[i] == "pedestrian":
                continue
            x, y = users.world_from_user[i, :2, 3].tolist()
            s, d = way.locate(x, y, before=30.0)
            # Its nose is between twelve metres behind the ego's tail and three metres before its nose.
            nose = s + float(users.extents[i, 0]) / 2
            if abs(d) > 1.2 or not -13 < nose < EGO_FRONT + 3:
                continue
            flight = branch.fly(name, _cutting_in(branch, other, way, aside), lambda hit: True)
            if flight is not None and _is_ahead(flight.states, other, way):
                yield flight.result


def _cutting_in(branch: _Branch, other: str, way: Way, aside: float) -> Pilot:
    """Past the other until its nose is behind the tail, then over."""
    straight = Follow(branch.way, branch.speed + 8, yields=False)
    over: list[Follow] = []

    def act(state: State) -> Action:
        if over:
            return over[0](state)
        action = straight(state)
        i = state.users.ids.index(other)
        s, _ = way.locate(*state.users.world_from_user[i, :2, 3].tolist())
        along, _ = way.locate(state.ego.x, state.ego.y)
        tail = along + EGO_FRONT - EGO_EXTENT[0]
        if tail - (s + float(state.users.extents[i, 0]) / 2) > 0.8:
            follow = Follow(
                _eased(way, aside, along, max(9.0, 1.3 * state.ego.speed)),
                max(4.0, state.ego.speed - 1.0),
                yields=False,
            )
            over.append(follow)
        return Action(3.5, action.curvature)

    return act


def _is_ahead(states: Sequence[State], other: str, way: Way) -> bool:
    """Whether the ego is at some time on the way, at most ten metres before the other's nose."""
    for state in states:
        along, d = way.locate(state.ego.x, state.ego.y)
        i = state.users.ids.index(other)
        s, aside = way.locate(*state.users.world_from_user[i, :2, 3].tolist())
        gap = along + EGO_FRONT - EGO_EXTENT[0] - s - float(state.users.extents[i, 0]) / 2
        if abs(d) < 0.6 and abs(aside) < 1.5 and 0 < gap < 10:
            return True
    return False


def _standing_ahead(branch: _Branch, reach: float) -> list[tuple[float, float, float, str]]:
    """(along, aside, half width as seen from the way, id) of standing users near the way, nearest first."""
    out = []
    ego = branch.state.ego
    for name, (x, y, yaw, length, width) in branch.simulator.standing.items():
        if math.dist((x, y), (ego.x, ego.y)) > reach + 10:
            continue
        s, d = branch.way.locate(x, y, before=reach + 5)
        if 10 < s < reach and 1.0 < abs(d) < 7:
            off = yaw - branch.way.at(s)[2]
            out.append((s, d, (abs(math.cos(off)) * width + abs(math.sin(off)) * length) / 2, name))
    return sorted(out)


def _detour(way: Way, along: float, aside: float, lead: float, stay: float) -> Way:
    """A way that is `aside` metres to the left of another at one place, and back on it later."""
    there = smooth((way.lengths - (along - stay - lead)) / lead)
    back = smooth((way.lengths - (along + stay)) / lead)
    return way.shifted(aside * (there - back))


def _near_miss(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    middle = sum(NEAR) / 2
    for s, d, half, other in _standing_ahead(branch, 50.0)[:4]:
        wished = middle
        for _ in range(4):
            aside = d - math.copysign(half + EGO_EXTENT[1] / 2 + wished, d)
            lead = min(18.0, max(8.0, s - 6.0))
            pilot = Follow(_detour(branch.way, s, aside, lead, 4.0), branch.speed, yields=False)
            flight = branch.fly(name, pilot, lambda hit, other=other: hit != other)
            if flight is None or flight.result.nearest != other:
                break
            if NEAR[0] <= flight.result.min_gap <= NEAR[1]:
                yield flight.result
            wished += middle - flight.result.min_gap
    for distance in (0.7, 0.9, 0.5):
        flight = branch.fly(name, tailgate(branch.way, distance), lambda hit: True)
        if flight is not None and NEAR[0] <= flight.result.min_gap <= NEAR[1]:
            yield flight.result


def _hit_parked(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    places = {other: box[:2] for other, box in branch.simulator.standing.items()}
    for other in _easiest(branch, places)[:8]:
        flight = branch.fly(name, pursue(other, places[other]), lambda hit: not hit.startswith("standing."))
        if flight is not None and flight.result.collided_with is not None:
            yield flight.result


def _hit_moving(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    users = branch.state.users
    places = {other: tuple(users.world_from_user[i, :2, 3].tolist()) for i, other in enumerate(users.ids)}
    for other in _easiest(branch, places)[:8]:
        flight = branch.fly(name, pursue(other), lambda hit: hit.startswith("standing."))
        if flight is not None and flight.result.collided_with is not None:
            yield flight.result


def _easiest(branch: _Branch, places: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Those most easily driven into first: near, ahead, and not within the turning circle."""
    ego = branch.state.ego
    cost = {}
    for name, (x, y) in places.items():
        forward = (x - ego.x) * math.cos(ego.yaw) + (y - ego.y) * math.sin(ego.yaw)
        left = (y - ego.y) * math.cos(ego.yaw) - (x - ego.x) * math.sin(ego.yaw)
        bend = 2 * abs(left) / max(forward**2 + left**2, 1e-6)
        cost[name] = math.hypot(forward, left) + 300 * max(0.0, bend - 0.06) + (60 if forward < 6 else 0)
    return sorted(cost, key=lambda name: (cost[name], name))


def _leave_road(branch: _Branch, name: str) -> Iterator[Counterfactual]:
    for aside in (-7.0, -9.0, 9.0, -12.0, 13.0):
        length = max(12.0, 2.0 * branch.speed)
        way = branch.way.shifted(aside * smooth((branch.way.lengths - 2.0) / length))
        follow = Follow(way, branch.speed, yields=False)

        def act(state: State, follow: Follow = follow) -> Action:
            return Action(-5.0, 0.0) if state.off_road else follow(state)

        flight = branch.fly(name, act, lambda hit: True)
        if flight is not None and flight.result.off_road_frame is not None:
            yield flight.result
