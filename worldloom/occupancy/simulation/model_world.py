"""The learned world: a map that is remembered and filled in, and traffic that a network draws a few seconds ahead.

The network draws several frames at once, for an ego path that it is told. What a step needs of it is drawn once, for
where the ego is expected to go, and holds until the ego departs from that, or all its frames are over; then it is drawn
anew from what really happened. So others react to what the ego has done, as on a road, and not to what it is about to
do in this very step; and all that is tried out from one state shares one draw.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import Occupancy
from worldloom.geometry.rigid import compose, invert, rotz
from worldloom.occupancy.motions import DT
from worldloom.occupancy.scene_state import HISTORY, plane_poses
from worldloom.occupancy.simulation.clip_starts import ClipStart
from worldloom.occupancy.simulation.controls import MOMENTS, Trajectory, driven, held
from worldloom.occupancy.simulation.filling import Told, fill_in, forget
from worldloom.occupancy.simulation.route import Route, into
from worldloom.occupancy.simulation.state import DriveState, Leg, Others, in_order
from worldloom.occupancy.simulation.terrain import Terrain
from worldloom.occupancy.simulation.world import After, Beginning
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.tracks import Track
from worldloom.occupancy.world_model import Drawn, WorldModel, WorldState, seen_from
from worldloom.ops.seeds import sample_generators
from worldloom.synth.traffic.ego import MAX_CURVATURE, Action, Ego

_KEPT = 16  # starts that are remembered
_FILLED, _ONWARD = 16, 8  # frames ahead around which the map is filled in, and after that of which it is told
_REMEMBERED = 200.0  # metres from the ego, along the map's axes
_SMALLEST = 0.4  # metres; one voxel
# Share of a shape's points beyond each of its sides. A shape is gathered from frames that lie half a voxel this way and
# that: in towns kept for choosing, cars from the first to the last point are 0.3 m too long and too wide, and so 0.0 m
# and 0.1 m.
_OUTLYING = 0.02
_BESIDE, _ACROSS = 4.0, 0.6  # metres and radians by which an ego that follows its route is off it at most
_RETURN = 12.0  # metres in which most of what it is beside its route is made up for


@dataclass(frozen=True)
class ModelWorldConfig:
    """How closely the network is asked."""

    steps: int = 2  # calls of the network for a draw
    departure: float = 1.5  # metres by which the ego may be away from where it was expected, twice that a second later
    patience: int = 8  # frames of a draw that are used at most
    reach: float = 40.0  # metres around the ego that are filled in; as far as Occ3D's grid
    risk: bool = False  # ask for the risk of where the ego is expected to go, too: one more call

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.departure >= 0 or self.patience < 1 or not 10 <= self.reach <= 80:
            raise InputError(
                "expected steps and patience >= 1, departure >= 0 and reach in [10, 80], got "
                f"{self.steps}, {self.patience}, {self.departure} and {self.reach}"
            )


@dataclass(frozen=True, eq=False)
class Ahead:
    """Frames that are drawn, and how many of them are over."""

    drawn: Drawn
    used: int = 0


@dataclass(frozen=True, eq=False)
class ModelInner:
    """What the model knows at one moment."""

    world: WorldState
    told: Told
    terrain: Terrain
    labels: UInt8[Tensor, " n"]  # of the tracks
    hulls: Float[Tensor, "n 4"]  # middle of each track's shape in its own frame, length and width
    ahead: Ahead | None
    calls: int = 0  # draws so far


class ModelWorld:
    """See the module."""

    def __init__(self, model: WorldModel, config: ModelWorldConfig = ModelWorldConfig()) -> None:
        self.model, self.config = model, config
        self._begun: OrderedDict[int, tuple[ClipStart, ModelInner]] = OrderedDict()

    def begin(self, start: ClipStart, seed: int) -> Beginning[ModelInner]:
        """See `World`. What was seen is taken in once for each start."""
        inner = self._taken_in(start)
        poses = inner.world.world_from_ego
        ego = _ego_of(poses[-1], start.speed)
        return Beginning(ego, _doing(poses), _others_of(inner, ego), start.route, inner)

    def ready(self, state: DriveState[ModelInner], told: Trajectory | None = None) -> DriveState[ModelInner]:
        """See `World`."""
        inner = state.inner
        if inner.ahead is None or inner.ahead.used >= self._frames or self._departed(state, inner.ahead, told):
            path = self._expected(state, told)
            generator = sample_generators(state.seed, 1, first=state.frame)[0]
            drawn = self.model.draw(inner.world, path, generator, steps=self.config.steps, with_risk=self.config.risk)
            inner = replace(inner, ahead=Ahead(drawn), calls=inner.calls + 1)
        here = inner.world.world_from_ego[-1:]
        way = torch.cat([here, here @ _lifted(_along_route(state, _FILLED + _ONWARD))])
        static, filled = self._filled(inner.world.static, inner.told, way)
        if filled is not inner.told:
            static, filled = forget(static, filled, invert(static.world_from_grid) @ here[0].double(), _REMEMBERED)
            inner = replace(inner, world=replace(inner.world, static=static), told=filled, terrain=Terrain.of(static))
        return state if inner is state.inner else replace(state, inner=inner)

    def advance(self, state: DriveState[ModelInner], arc: Action) -> After[ModelInner]:
        """See `World`."""
        inner = state.inner
        assert inner.ahead is not None  # a ready state
        drawn, used = inner.ahead.drawn, inner.ahead.used + 1
        here = inner.world.world_from_ego[-1]
        moments = driven(Ego(0.0, 0.0, 0.0, state.ego.speed), arc)
        world_from_ego = here @ _lifted(torch.tensor([moment[:3] for moment in moments], dtype=torch.float64))
        ego = _ego_of(world_from_ego[-1], moments[-1].speed)
        tracks = tuple(_until(track, len(drawn.world_from_ego) - used) for track in drawn.tracks)
        poses = torch.cat([inner.world.world_from_ego, world_from_ego[-1:]])[-HISTORY:]
        world = replace(inner.world, tracks=tracks, world_from_ego=poses)
        after = replace(inner, world=world, ahead=Ahead(drawn, used))
        others = _others_of(after, ego)
        grid_from_ego = invert(inner.world.static.world_from_grid) @ world_from_ego
        blocked, astray, known = inner.terrain.under(grid_from_ego)
        risk = None if drawn.risk is None else drawn.risk[used - 1].tolist()
        leg = Leg(
            plane_poses(world_from_ego),
            torch.tensor([moment.speed for moment in moments], dtype=torch.float64),
            others.names,
            others.labels,
            _boxes_between(after, others.names),
            blocked,
            astray,
            known,
            None if risk is None else (risk[0], risk[1]),
            used == 1,
        )
        return After(ego, others, leg, after)

    def occupancy(self, state: DriveState[ModelInner]) -> Occupancy:
        """See `World`; `observed` is what the map knows."""
        world = state.inner.world
        return seen_from(world.static, world.tracks, world.world_from_ego[-1:], world.grid)

    def reseeded(self, state: DriveState[ModelInner], seed: int) -> DriveState[ModelInner]:
        """See `World`."""
        return replace(state, seed=seed, inner=replace(state.inner, ahead=None))

    @property
    def _frames(self) -> int:
        return min(self.config.patience, self.model.chunk)

    def _taken_in(self, start: ClipStart) -> ModelInner:
        known = self._begun.get(id(start))
        if known is None:
            world = self.model.observe(start.past)
            here = world.world_from_ego[-1:]
            ego = _ego_of(here[0], start.speed)
            along, aside = start.route.locate(ego, 0.0)
            onward = _on_route(start.route, ego, along, aside, 0.0, _FILLED + _ONWARD)
            static, told = self._filled(world.static, Told(), torch.cat([here, here @ _lifted(onward)]))
            labels = torch.tensor([track.label for track in world.tracks], dtype=torch.uint8)
            hulls = torch.stack([_hull(track) for track in world.tracks]) if world.tracks else torch.zeros(0, 4)
            inner = ModelInner(replace(world, static=static), told, Terrain.of(static), labels, hulls.double(), None)
            # The start itself is kept: its id is not given to another while it is.
            known = self._begun[id(start)] = (start, inner)
            if len(self._begun) > _KEPT:
                self._begun.popitem(last=False)
        self._begun.move_to_end(id(start))
        return known[1]

    def _filled(self, static: StaticMap, told: Told, way: Float[Tensor, "t 4 4"]) -> tuple[StaticMap, Told]:
        return fill_in(self.model, static, told, way[: 1 + _FILLED], self.config.reach, way[1 + _FILLED :])

    def _departed(self, state: DriveState[ModelInner], ahead: Ahead, told: Trajectory | None) -> bool:
        """Whether the ego is, or in a second will be, elsewhere than those thought who move as drawn."""
        expected = ahead.drawn.world_from_ego[max(0, ahead.used - 1) :]
        here = state.inner.world.world_from_ego[-1]
        if told is not None:
            # The next second of what it says it does.
            frames = min(len(told.poses), len(ahead.drawn.world_from_ego) - ahead.used, 2)
            says = here @ _lifted(told.poses[:frames].double())
            drawn = ahead.drawn.world_from_ego[ahead.used : ahead.used + frames]
            return bool(((says - drawn)[:, :2, 3].norm(dim=1) > self.config.departure).any())
        if ahead.used == 0:
            return False
        off = (here - expected[0])[:2, 3]
        frames = min(2, len(expected) - 1)
        ego = state.ego
        mine = frames * DT * ego.speed * torch.tensor([math.cos(ego.yaw), math.sin(ego.yaw)], dtype=torch.float64)
        theirs = (expected[frames] - expected[0])[:2, 3]
        return max(float(off.norm()), float((off + mine - theirs).norm()) / 2) > self.config.departure

    def _expected(self, state: DriveState[ModelInner], told: Trajectory | None) -> EgoPath:
        """Where the others believe that the ego goes: where it says, along its route, or on as it does."""
        frames = self.model.chunk
        if told is not None:
            poses = told.poses.double()[:frames]
            poses = torch.cat([poses, poses[-1:].expand(frames - len(poses), 3)])
        else:
            poses = _along_route(state, frames)
        return EgoPath(state.inner.world.world_from_ego[-1] @ _lifted(poses), DT)


def _along_route(state: DriveState[ModelInner], frames: int) -> Float[Tensor, "f 3"]:
    """Along the route, and back to its middle; on as it does, where it has left the route."""
    turned = math.remainder(state.ego.yaw - state.route.way.at(state.along)[2], math.tau)
    if abs(state.aside) > _BESIDE or abs(turned) > _ACROSS:
        return held(state.ego, state.doing, frames)
    return _on_route(state.route, state.ego, state.along, state.aside, state.doing.acceleration, frames)


def _on_route(
    route: Route, ego: Ego, along: float, aside: float, acceleration: float, frames: int
) -> Float[Tensor, "f 3"]:
    """Poses in the ego's frame along a route, at the speed that one more step of this acceleration leads to."""
    speed = max(0.0, ego.speed + acceleration * DT)
    rows = []
    for frame in range(1, frames + 1):
        made = (ego.speed + speed) / 2 * DT + (frame - 1) * DT * speed
        x, y, yaw = route.way.at(along + made)
        left = aside * math.exp(-made / _RETURN)
        rows.append([x - left * math.sin(yaw), y + left * math.cos(yaw), math.remainder(yaw - ego.yaw, math.tau)])
    table = torch.tensor(rows, dtype=torch.float64)
    return torch.cat([into(ego, table[:, :2]), table[:, 2:]], 1)


def _ego_of(world_from_ego: Float[Tensor, "4 4"], speed: float) -> Ego:
    x, y, yaw = plane_poses(world_from_ego).tolist()
    return Ego(x, y, yaw, speed)


def _doing(world_from_ego: Float[Tensor, "t 4 4"]) -> Action:
    """What the last two poses say of the wheel."""
    if len(world_from_ego) < 2:
        return Action(0.0, 0.0)
    x, y, yaw = plane_poses(invert(world_from_ego[-2]) @ world_from_ego[-1]).tolist()
    return Action(0.0, max(-MAX_CURVATURE, min(MAX_CURVATURE, yaw / max(math.hypot(x, y), 0.5))))


def _lifted(poses: Float[Tensor, "*t 3"]) -> Float[Tensor, "*t 4 4"]:
    return compose(rotz(poses[..., 2]), torch.nn.functional.pad(poses[..., :2], (0, 1)))


def _until(track: Track, left: int) -> Track:
    """A track without its last frames, and of those before them the last HISTORY."""
    end = len(track) - left
    first = max(0, end - HISTORY)
    return replace(track, world_from_object=track.world_from_object[first:end], present=track.present[first:end])


def _hull(track: Track) -> Float[Tensor, " 4"]:
    """The middle and the sides of a track's shape from above."""
    low, high = torch.quantile(track.points[:, :2], torch.tensor([_OUTLYING, 1 - _OUTLYING]), dim=0)
    return torch.cat([(low + high) / 2, (high - low).clamp(min=_SMALLEST)])


def _placed(hulls: Float[Tensor, "n 4"], poses: Float[Tensor, "n *t 3"]) -> Float[Tensor, "n *t 5"]:
    """Boxes of tracks at poses."""
    hulls = hulls.reshape(len(hulls), *(1,) * (poses.ndim - 2), 4).expand(*poses.shape[:-1], 4)
    c, s = poses[..., 2].cos(), poses[..., 2].sin()
    x, y = hulls[..., 0], hulls[..., 1]
    middle = poses[..., :2] + torch.stack([c * x - s * y, s * x + c * y], -1)
    return torch.cat([middle, poses[..., 2:], hulls[..., 2:]], -1)


def _last_poses(inner: ModelInner, count: int) -> Float[Tensor, "n c 3"]:
    """x, y, yaw of the tracks in their last frames, in the world; the first again where there are fewer."""
    rows = []
    for track in inner.world.tracks:
        poses = track.world_from_object[-count:].double()
        rows.append(torch.cat([poses[:1].expand(count - len(poses), 4, 4), poses]))
    return plane_poses(torch.stack(rows)) if rows else torch.zeros(0, count, 3, dtype=torch.float64)


def _others_of(inner: ModelInner, ego: Ego) -> Others:
    poses = _last_poses(inner, 2)
    names = tuple(f"track.{i}" for i in range(len(poses)))
    velocity = (poses[:, 1] - poses[:, 0])[:, :2] / DT
    return in_order(Others(names, inner.labels, _placed(inner.hulls, poses[:, 1]), velocity), ego)


def _boxes_between(inner: ModelInner, names: tuple[str, ...]) -> Float[Tensor, "n s 5"]:
    """Boxes at the MOMENTS between the last two frames."""
    rows = [int(name.split(".")[1]) for name in names]
    poses = _last_poses(inner, 2)[rows]
    share = (torch.arange(1, MOMENTS + 1, dtype=torch.float64) / MOMENTS)[:, None]
    turn = torch.remainder(poses[:, 1, 2] - poses[:, 0, 2] + torch.pi, 2 * torch.pi) - torch.pi
    step = torch.cat([(poses[:, 1] - poses[:, 0])[:, :2], turn[:, None]], 1)
    return _placed(inner.hulls[rows], poses[:, None, 0] + share * step[:, None])
