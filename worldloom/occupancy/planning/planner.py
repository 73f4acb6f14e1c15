"""Choosing an ego path inside a model: candidates are driven, imagined and judged; good ones say where to look next.

The cost of a path is summed over its steps, not taken at the last one (in the two-rooms task of EB-JEPA that makes 97
of 100 starts succeed instead of 89), and has three parts: how far the path falls behind the route, how likely and how
soon it ends badly, and what the passengers feel.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import compose, rotz
from worldloom.occupancy.danger import ego_boxes, separations, user_boxes, with_middles
from worldloom.occupancy.planning.candidates import Flights, Limits, Line, Start, fly
from worldloom.occupancy.planning.imaginer import Imaginer
from worldloom.occupancy.planning.room import Room
from worldloom.occupancy.traffic import DT
from worldloom.occupancy.world_model import Imagined
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT
from worldloom.synth.traffic.footprints import corners
from worldloom.synth.traffic.sumo import STEP

State = TypeVar("State")
_STRIDE = round(DT / STEP)
_MOVES = 0.5  # m/s; who is slower stands
METHODS = ("cem", "mppi", "shooting")


@dataclass(frozen=True)
class Weights:
    """What a path costs. Each is multiplied by a mean over the path's steps."""

    behind: float = 12.0  # share of the wished way that is not driven yet
    hit: float = 150.0  # the ego has overlapped somebody by then; or the probability of it
    near: float = 80.0  # squared share of the margin that is undercut
    headway: float = 15.0  # somebody is within `headway_seconds` ahead
    left_road: float = 80.0  # a corner has been off the road by then; or the probability of it
    edge: float = 15.0  # squared share of the margin to the edge that is undercut
    aside: float = 0.4  # squared metres beside the route
    fast: float = 0.5  # squared m/s over the wished speed
    comfort: float = 1.0  # squared shares of what a passenger bears


@dataclass(frozen=True)
class PlannerConfig:
    """How hard to look."""

    method: str = "cem"  # of METHODS; "shooting" draws all at once, for comparison
    horizon: int = 8  # frames of DT seconds; what the world model draws at once
    knots: int = 5
    samples: int = 64  # in each iteration
    iterations: int = 4
    elites: int = 8  # of the cross-entropy method
    inertia: float = 0.15  # share of the mean and deviation before that is kept (V-JEPA 2-AC)
    temperature: float = 0.5  # of MPPI, in units of cost
    spread: tuple[float, float] = (1.5, 0.6)  # deviation of knots at first: m/s², metres aside
    most_aside: float = 2.0  # metres
    branches: int | None = None  # paths that the imaginer is asked about; the others take the answer of the nearest
    margin: float = 0.4  # metres to others and to the edge of the road
    doubt: float = 0.3  # m/s by which the margin to those who move grows: nobody moves quite as imagined
    headway_seconds: float = 1.0  # the driving score looks 0.9 s ahead
    limits: Limits = field(default_factory=Limits)
    weights: Weights = field(default_factory=Weights)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.horizon < 1 or self.knots < 2 or self.iterations < 1 or not 2 <= self.elites <= self.samples:
            raise ValueError(
                f"expected horizon and iterations >= 1, knots >= 2 and 2 to `samples` elites, got {self.horizon}, "
                f"{self.iterations}, {self.knots} and {self.elites} of {self.samples}"
            )
        if self.branches is not None and self.branches < 1:
            raise ValueError(f"expected at least one branch, got {self.branches}")


class Goal(NamedTuple):
    """Where to go."""

    line: Line  # the route, in the ego's present frame
    speed: float  # m/s, where nothing speaks against it


@dataclass(frozen=True)
class Plan:
    """The cheapest path that was found, and what was looked at last."""

    path: EgoPath  # poses DT apart, the present one first
    cost: float
    actions: Float[Tensor, "s 2"]  # acceleration and curvature, each for STEP seconds
    knots: Float[Tensor, "m 2"]  # for the next plan to begin with
    candidates: Float[Tensor, "k f 3"]  # x, y, yaw in the ego's present frame
    costs: Float[Tensor, " k"]


def plan(
    imaginer: Imaginer[State],
    state: State,
    goal: Goal,
    start: Start,
    room: Room | None = None,
    previous: Plan | None = None,
    elapsed: float = DT,
    generator: torch.Generator | None = None,
    config: PlannerConfig = PlannerConfig(),
    world_from_ego: Float[Tensor, "4 4"] | None = None,
) -> Plan:
    """The path to drive now.

    Args:
        imaginer: a model of the world; `state` is the present as it knows it.
        start: the ego's speed and what it does, so that the path goes on smoothly.
        room: where the road ends; anywhere is road without it.
        previous: the plan of `elapsed` seconds ago, with which the search begins.
        world_from_ego: where `path` shall begin; the identity if not given.
    Raises:
        ValueError: the imaginer's answer is not finite.
    """
    generator = generator or torch.Generator().manual_seed(0)
    steps = config.horizon * _STRIDE
    mean = _first_guess(goal, start, config) if previous is None else _later(previous.knots, elapsed, config)
    spread = torch.tensor(config.spread).expand(config.knots, 2)
    iterations = 1 if config.method == "shooting" else config.iterations
    count = config.samples * config.iterations if config.method == "shooting" else config.samples
    best: tuple[float, Flights, int, Tensor] | None = None
    flights, costs = None, torch.zeros(0)
    for iteration in range(iterations):
        noise = torch.randn(count, config.knots, 2, generator=generator)
        knots = torch.cat(
            [mean[None], *([_always(goal, start, config)] if iteration == 0 else []), mean + spread * noise]
        )
        knots = _clamped(knots, config)
        flights = fly(goal.line, start, knots, steps, config.limits)
        costs = _costs(imaginer, state, flights, goal, room, generator, config, start)
        lowest = int(costs.argmin())
        if best is None or float(costs[lowest]) < best[0]:
            best = float(costs[lowest]), flights, lowest, knots[lowest]
        mean, spread = _refitted(mean, spread, knots, costs, config)
    assert best is not None
    assert flights is not None
    cost, among, chosen, knots = best
    poses = among.poses[chosen, _STRIDE - 1 :: _STRIDE]
    here = torch.eye(4, dtype=torch.float64) if world_from_ego is None else world_from_ego.double()
    ego_from_later = compose(rotz(poses[:, 2].double()), F.pad(poses[:, :2].double(), (0, 1)))
    path = EgoPath(torch.cat([here[None], here @ ego_from_later]), DT)
    return Plan(path, cost, among.actions[chosen], knots, flights.poses[:, _STRIDE - 1 :: _STRIDE], costs)


def path_costs(
    imagined: Imagined,
    flights: Flights,
    goal: Goal,
    room: Room | None,
    start: Start,
    config: PlannerConfig = PlannerConfig(),
) -> Float[Tensor, " k"]:
    """What K driven candidates cost among K imagined futures."""
    w, margin = config.weights, config.margin
    poses, users = _halved(flights, imagined)
    ego = ego_boxes(poses)
    boxes = user_boxes(users, imagined.sizes[:, None], imagined.middles[:, None])
    others = ~_yielding(boxes[0, :, 0]) if boxes.shape[1] else torch.zeros(0, dtype=torch.bool)
    boxes = boxes[:, others]
    apart = separations(ego, boxes)
    moving = (boxes[:, :, 1:2, :2] - boxes[:, :, :1, :2]).norm(dim=-1) > _MOVES * DT / 2
    seconds = (torch.arange(poses.shape[1]) + 1) * DT / 2
    undercut = (1 - (apart - config.doubt * seconds * moving) / margin).clamp(0, 1)
    speed = torch.cat([torch.full((len(poses), 1), start.speed), flights.speed], 1)
    at_halves = speed[:, ((torch.arange(poses.shape[1]) + 1) * _STRIDE / 2).round().long()]
    # Who stands is not at fault, and shall not flee: others stop for it more often than a model believes.
    drives = at_halves > 0.05
    reach = ego.clone()
    ahead = at_halves * config.headway_seconds
    reach[..., 0] += ego[..., 2].cos() * ahead / 2
    reach[..., 1] += ego[..., 2].sin() * ahead / 2
    reach[..., 3] += ahead
    short = (separations(reach, boxes) < 0).any(1)
    cost = w.hit * _by_then((apart < 0).any(1) & drives).mean(1)
    if boxes.shape[1]:
        cost = cost + w.near * (undercut.amax(1).square() * drives).mean(1)
    cost = cost + w.headway * (short & drives).float().mean(1)
    risk = imagined.risk.cummax(1).values.mean(1)
    cost = cost + w.hit * risk[:, 0] + w.left_road * risk[:, 1]
    if room is not None:
        edge = room.at(corners(ego.flatten(0, 1))).amin(-1).unflatten(0, ego.shape[:2])
        cost = cost + w.left_road * _by_then(edge < 0).mean(1)
        cost = cost + w.edge * (1 - edge / margin).clamp(0, 2).square().mean(1)
    return cost + _driving_costs(flights, goal, start, config)


def _driving_costs(flights: Flights, goal: Goal, start: Start, config: PlannerConfig) -> Float[Tensor, " k"]:
    """Progress and comfort."""
    w, limits = config.weights, config.limits
    steps = flights.speed.shape[1]
    wished = max(goal.speed, 0.1) * STEP * (torch.arange(steps) + 1)
    began = goal.line.nearest(torch.zeros(2))
    behind = (1 - (flights.station - began) / wished).clamp(0, 2)
    fast = (flights.speed - goal.speed).clamp(min=0).square()
    a, bend = flights.actions.unbind(-1)
    first = torch.tensor([start.acceleration, start.curvature]).expand(len(a), 1, 2)
    jerk = torch.cat([first, flights.actions], 1)[..., 0].diff(dim=1) / STEP
    turn = torch.cat([first, flights.actions], 1)[..., 1].diff(dim=1) / STEP * flights.speed
    felt = (
        0.3 * (a / limits.braking).square()
        + 0.5 * (flights.speed.square() * bend / limits.sideways).square()
        + 0.3 * (jerk / limits.jerk).square()
        + 5.0 * (jerk.abs() / limits.jerk - 1).clamp(min=0)
        + 0.3 * (turn / limits.yaw_acceleration).square()
    )
    return (
        w.behind * behind.mean(1)
        + w.fast * fast.mean(1)
        + w.aside * flights.aside.square().mean(1)
        + w.comfort * felt.mean(1)
    )


def _costs(
    imaginer: Imaginer[State],
    state: State,
    flights: Flights,
    goal: Goal,
    room: Room | None,
    generator: torch.Generator,
    config: PlannerConfig,
    start: Start,
) -> Float[Tensor, " k"]:
    paths = flights.poses[:, _STRIDE - 1 :: _STRIDE]
    asked, answer = _representatives(paths, config.branches)
    imagined = imaginer.imagine(state, paths[asked], generator)
    if not bool(imagined.users.isfinite().all() and imagined.risk.isfinite().all()):
        raise ValueError("expected finite futures and risks from the imaginer, got NaN or infinity")
    spread = imagined._replace(users=imagined.users[answer], risk=imagined.risk[answer])
    return path_costs(spread, flights, goal, room, start, config)


def _representatives(paths: Float[Tensor, "k f 3"], count: int | None) -> tuple[Tensor, Tensor]:
    """Which paths to ask about, each the farthest from those before it, and for each path the nearest of them."""
    k = len(paths)
    if count is None or count >= k:
        return torch.arange(k), torch.arange(k)
    xy = paths[..., :2].flatten(1)
    chosen, away = [0], (xy - xy[0]).norm(dim=1)
    nearest = torch.zeros(k, dtype=torch.long)
    for number in range(1, count):
        chosen.append(int(away.argmax()))
        distance = (xy - xy[chosen[-1]]).norm(dim=1)
        nearest = torch.where(distance < away, number, nearest)
        away = torch.minimum(away, distance)
    return torch.tensor(chosen), nearest


def _refitted(
    mean: Tensor, spread: Tensor, knots: Float[Tensor, "k m 2"], costs: Float[Tensor, " k"], config: PlannerConfig
) -> tuple[Tensor, Tensor]:
    """Where to draw next: about the elites (CEM), or about the mean by exp(-cost / temperature) (MPPI)."""
    if config.method == "mppi":
        share = torch.softmax(-(costs - costs.min()) / config.temperature, 0)
        # The deviation shrinks on its own: the weighted one is that of a handful of samples.
        return (share[:, None, None] * knots).sum(0), spread * 0.7
    elites = knots[costs.argsort()[: config.elites]]
    keep = config.inertia
    deviation = elites.std(0, unbiased=False).clamp(min=0.05)
    return (1 - keep) * elites.mean(0) + keep * mean, (1 - keep) * deviation + keep * spread


def _first_guess(goal: Goal, start: Start, config: PlannerConfig) -> Float[Tensor, "m 2"]:
    """To the wished speed within the horizon, on the route."""
    knots = torch.zeros(config.knots, 2)
    knots[:, 0] = (goal.speed - start.speed) / (config.horizon * DT)
    return _clamped(knots, config)


def _always(goal: Goal, start: Start, config: PlannerConfig) -> Float[Tensor, "q m 2"]:
    """What is worth a look whatever the last plan was: on the route at once, keeping the speed, and braking."""
    still, firm = torch.zeros(config.knots, 2), torch.zeros(config.knots, 2)
    firm[:, 0] = -config.limits.braking
    return torch.stack([_first_guess(goal, start, config), still, 0.5 * firm, firm])


def _later(knots: Float[Tensor, "m 2"], elapsed: float, config: PlannerConfig) -> Float[Tensor, "m 2"]:
    """The same plan some seconds later; its end is kept."""
    m = len(knots)
    at = (torch.arange(m) + elapsed / (config.horizon * DT) * (m - 1)).clamp(max=m - 1)
    i = at.floor().long().clamp(max=m - 2)
    return knots[i] + (at - i)[:, None] * (knots[i + 1] - knots[i])


def _clamped(knots: Float[Tensor, "*k m 2"], config: PlannerConfig) -> Float[Tensor, "*k m 2"]:
    a = knots[..., 0].clamp(-config.limits.braking, config.limits.acceleration)
    return torch.stack([a, knots[..., 1].clamp(-config.most_aside, config.most_aside)], -1)


def _halved(flights: Flights, imagined: Imagined) -> tuple[Float[Tensor, "k g 3"], Float[Tensor, "k n g 3"]]:
    """Poses of the ego and the users twice per frame; the users' present is drawn back from their first two frames."""
    users = imagined.users
    earlier = 2 * users[:, :, :1] - users[:, :, 1:2] if users.shape[2] > 1 else users[:, :, :1]
    both = with_middles(users, earlier)
    at = ((torch.arange(both.shape[2]) + 1) * _STRIDE / 2).round().long() - 1
    return flights.poses[:, at], both


def _yielding(boxes: Float[Tensor, "n 5"]) -> Bool[Tensor, " n"]:
    """Who is behind the ego, heading where it heads: it is theirs to keep away, and no plan shall flee from them."""
    tail = EGO_CENTRE - EGO_EXTENT[0] / 2
    behind = boxes[:, 0] + boxes[:, 3] / 2 < tail
    return behind & (boxes[:, 1].abs() < 2.0) & (boxes[:, 2].cos() > 0.5)


def _by_then(now: Bool[Tensor, "k g"]) -> Float[Tensor, "k g"]:
    """Whether it has happened by each moment."""
    return now.float().cummax(1).values
