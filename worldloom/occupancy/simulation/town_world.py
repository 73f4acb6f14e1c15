"""The true world: a synthetic town whose traffic SUMO moves, with exact boxes and the exact road."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import DRIVEABLE, OCC3D_CLASSES, Occupancy
from worldloom.occupancy.simulation.clip_starts import ClipStart
from worldloom.occupancy.simulation.controls import MOMENTS, Trajectory
from worldloom.occupancy.simulation.route import Route
from worldloom.occupancy.simulation.state import NEAR, DriveState, Leg, Others, footprints, in_order
from worldloom.occupancy.simulation.world import After, Beginning
from worldloom.occupancy.traffic import DT
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.demand import Member
from worldloom.synth.traffic.ego import MAX_CURVATURE, Action, Ego
from worldloom.synth.traffic.footprints import corners
from worldloom.synth.traffic.motion import Box
from worldloom.synth.traffic.simulator import Simulator, Snapshot
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.traffic.way import Way
from worldloom.synth.voxels.gathered import users_at
from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive

EARLIEST, LATEST = 2.0, 600.0  # seconds into a drive at which it may be taken over
_GOOD = 32  # steps over which SUMO's own driver says what way a good one makes
_ROUTE = 800.0  # metres that are planned
_PAST = 5.0  # seconds of the past that a model is shown
_MAX_STARTS = 256  # that are remembered


@dataclass(frozen=True, eq=False)
class TownStart:
    """A moment of the logged drive of a town, at which a driver takes over."""

    town: Town
    seed: int = 0  # of the traffic, and of which of its cars the ego is
    at: float = EARLIEST  # seconds into the logged drive
    density: float = 1.0  # of the traffic; 1 is busy

    def __post_init__(self) -> None:
        if not EARLIEST <= self.at <= LATEST or not 0 < self.density <= 4 or self.seed < 0:
            raise InputError(
                f"expected a moment at {EARLIEST:g} to {LATEST:g} s, a density in (0, 4] and a seed >= 0, got "
                f"{self.at}, {self.density} and {self.seed}"
            )


@dataclass(frozen=True, eq=False)
class TownInner:
    """A moment of the simulator, as what led there."""

    start: TownStart
    snapshot: Snapshot


class TownWorld:
    """See the module. Close it, or use `with`: it runs SUMO.

    One simulator serves all states: those that follow one another cost milliseconds, going back costs what has to be
    repeated since the start.
    """

    def __init__(self) -> None:
        self._simulator: Simulator | None = None
        self._voxelizer: Voxelizer | None = None
        self._begun: dict[tuple[int, int, float, float], tuple[TownStart, Beginning[TownInner]]] = {}

    def __enter__(self) -> "TownWorld":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End SUMO's processes."""
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None

    def begin(self, start: TownStart, seed: int) -> Beginning[TownInner]:
        """See `World`. The traffic's seed is the start's; `seed` draws nothing here.

        Raises:
            InputError: the ego is on no lane at that moment.
        """
        key = (id(start.town), start.seed, start.at, start.density)
        if key not in self._begun:
            simulator = self._of(start.town, start.seed, start.density)
            simulator.reset(start.at)
            way = simulator.way_ahead(_ROUTE)
            simulator.reset(start.at + _GOOD * DT)
            good = simulator.drive(DT, start.at).world_from_ego[:, :2, 3].double()
            simulator.reset(start.at)
            (before, _), (ego, _) = simulator.recent(2, 0.0)
            inner = TownInner(start, simulator.save())
            beginning = Beginning(
                ego, _doing(before, ego), _others(simulator, ego), Route(way, _made(way, good)), inner
            )
            if len(self._begun) >= _MAX_STARTS:
                self._begun.clear()
            self._begun[key] = start, beginning  # the start is kept, so that its town's id is given to no other
        return self._begun[key][1]

    def ready(self, state: DriveState[TownInner], told: Trajectory | None = None) -> DriveState[TownInner]:
        """See `World`: nothing is drawn, and nobody is told."""
        return state

    def advance(self, state: DriveState[TownInner], arc: Action) -> After[TownInner]:
        """See `World`."""
        simulator = self._at(state)
        simulator.step(arc, DT)
        moments = simulator.recent(MOMENTS, NEAR)
        ego = moments[-1][0]
        poses = torch.tensor([at[:3] for at, _ in moments], dtype=torch.float64)
        on_road = simulator.town.ground.label_at(corners(footprints(poses)).reshape(-1, 2)) == DRIVEABLE
        names, labels, boxes = _followed([near for _, near in moments])
        still = _standing(simulator, ego)
        leg = Leg(
            poses,
            torch.tensor([at.speed for at, _ in moments], dtype=torch.float64),
            (*names, *still.names),
            torch.cat([labels, still.labels]),
            torch.cat([boxes, still.boxes[:, None].expand(-1, MOMENTS, 5)]),
            torch.zeros(MOMENTS, dtype=torch.bool),
            ~on_road.reshape(MOMENTS, 4).all(1),
            1.0,
            None,
            False,
        )
        return After(ego, _others(simulator, ego), leg, TownInner(state.inner.start, simulator.save(mark=False)))

    def occupancy(self, state: DriveState[TownInner]) -> Occupancy:
        """See `World`: all that is there, whether a sensor would know of it or not."""
        simulator = self._at(state)
        voxelizer = self._voxels(simulator.town)
        drive = simulator.drive(DT, simulator.state().time)
        pose = drive.world_from_ego[0]
        labels = voxelizer.frame(pose, [user for user, _ in users_at(drive, 0)])[None]
        lift = torch.eye(4, dtype=torch.float64)
        lift[2, 3] = -voxelizer.ground_z
        known = torch.ones_like(labels, dtype=torch.bool)
        return Occupancy(labels, known, (pose.double() @ lift)[None], voxelizer.grid, OCC3D_CLASSES, DT)

    def reseeded(self, state: DriveState[TownInner], seed: int) -> DriveState[TownInner]:
        """See `World`.

        Raises:
            InputError: always: what is true has one future.
        """
        raise InputError("expected a world of a model: what is true has one future")

    def as_sensed(self, start: TownStart) -> ClipStart:
        """The same start for a model: what sensors made of the last seconds, and the same route."""
        route = self.begin(start, 0).route
        simulator = self._of(start.town, start.seed, start.density)
        simulator.reset(start.at)
        seconds = min(_PAST, math.floor(start.at / DT) * DT)
        drive = simulator.drive(DT, round((start.at - seconds) / STEP) * STEP)
        past = voxelize_drive(start.town, drive, self._voxels(start.town)).occupancy
        name = f"town {start.town.seed}, traffic {start.seed}, {start.at:g} s"
        return ClipStart(name, past, route, simulator.recent(1, 0.0)[0][0].speed)

    def _voxels(self, town: Town) -> Voxelizer:
        if self._voxelizer is None or self._voxelizer.town is not town:
            self._voxelizer = Voxelizer(town)
        return self._voxelizer

    def _of(self, town: Town, seed: int, density: float) -> Simulator:
        """The simulator of a town and its traffic, wherever it is."""
        if self._simulator is not None and self._simulator.town is town:
            now = self._simulator.save(mark=False)
            if (now.seed, now.density) == (seed, density):
                return self._simulator
        self.close()
        self._simulator = Simulator(town, seed, density, DT)
        return self._simulator

    def _at(self, state: DriveState[TownInner]) -> Simulator:
        """The simulator, at this state."""
        start, snapshot = state.inner.start, state.inner.snapshot
        simulator = self._of(start.town, start.seed, start.density)
        if simulator.save(mark=False) != snapshot:
            simulator.load(snapshot)
        return simulator


def _others(simulator: Simulator, ego: Ego) -> Others:
    """Everybody near, moving or standing."""
    near = simulator.recent(1, NEAR)[0][1]
    names, labels, boxes = _followed([near])
    velocity = torch.tensor([(box.vx, box.vy) for _, box in near.values()], dtype=torch.float64).reshape(-1, 2)
    still = _standing(simulator, ego)
    return in_order(
        Others(
            (*names, *still.names),
            torch.cat([labels, still.labels]),
            torch.cat([boxes[:, 0], still.boxes]),
            torch.cat([velocity, still.velocity]),
        ),
        ego,
    )


def _followed(
    moments: Sequence[Mapping[str, tuple[Member, Box]]],
) -> tuple[tuple[str, ...], UInt8[Tensor, " n"], Float[Tensor, "n s 5"]]:
    """Names, labels and boxes of those who are near in the last moment; where one was not before, its first box."""
    last = moments[-1]
    rows = []
    for name, now in last.items():
        seen = [moment.get(name) for moment in moments]
        first = next((one for one in seen if one is not None), now)
        rows.append([_box(*(one or first)) for one in seen])
    labels = [OCC3D_CLASSES.index(member.kind) for member, _ in last.values()]
    boxes = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(moments), 5)
    return tuple(last), torch.tensor(labels, dtype=torch.uint8), boxes


def _box(member: Member, box: Box) -> tuple[float, ...]:
    return (box.x, box.y, box.yaw, *member.extent[:2])


def _standing(simulator: Simulator, ego: Ego) -> Others:
    """Parked cars, machines, cones and barriers that are near."""
    near = [
        (name, OCC3D_CLASSES.index(user.kind), box)
        for (name, box), user in zip(simulator.standing.items(), simulator.town.standing, strict=True)
        if math.dist(box[:2], (ego.x, ego.y)) < NEAR
    ]
    return Others(
        tuple(name for name, _, _ in near),
        torch.tensor([label for _, label, _ in near], dtype=torch.uint8),
        torch.tensor([box for _, _, box in near], dtype=torch.float64).reshape(-1, 5),
        torch.zeros(len(near), 2, dtype=torch.float64),
    )


def _made(way: Way, places: Float[Tensor, "t 2"]) -> tuple[float, ...]:
    """Metres along a way that were driven by each of the places after the first."""
    along, rows = 0.0, []
    for x, y in places.tolist():
        along, _ = way.locate(x, y, after=max(0.0, along - 5), before=along + 15)
        rows.append(along)
    return tuple(max(0.0, row - rows[0]) for row in rows[1:])


def _doing(before: Ego, now: Ego) -> Action:
    """What the ego has done in the last step of the simulator."""
    way = max((before.speed + now.speed) / 2 * STEP, 0.05)
    turned = math.remainder(now.yaw - before.yaw, math.tau)
    bend = max(-MAX_CURVATURE, min(MAX_CURVATURE, turned / way))
    return Action((now.speed - before.speed) / STEP, bend)
