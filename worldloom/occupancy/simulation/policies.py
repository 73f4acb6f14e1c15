"""Drivers that look at a `View` and act: followers of the route, of many tempers. To compare, and to beat."""

import math
import random
from collections.abc import Callable
from typing import Any

import torch

from worldloom.occupancy.motions import DT
from worldloom.occupancy.planning.candidates import Line
from worldloom.occupancy.planning.imaginer import ConstantVelocity
from worldloom.occupancy.planning.planner import Goal, Plan, PlannerConfig, plan
from worldloom.occupancy.scene_state import SceneState
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.state import DriveState
from worldloom.occupancy.simulation.view import View
from worldloom.synth.traffic.ego import EGO_EXTENT, EGO_FRONT, Action
from worldloom.synth.traffic.sumo import STEP

Policy = Callable[[View], Action]
MakePolicy = Callable[[], Policy]  # a fresh driver for each drive
_SIDEWAYS = 2.5  # m/s² in a bend
_COMFORT = 2.0  # m/s² of braking that followers plan with
_STANDSTILL = 2.0  # metres behind a leader that stands
_STRONGEST = 2.5  # m/s² of acceleration
_HEIGHT = 1.5  # metres, of everybody: no plan asks for it


def drive(
    simulation: Simulation[Any, Any], start: Any, policy: Policy, seconds: float, seed: int = 0
) -> DriveState[Any]:
    """Drive for so long, or until the ego meets somebody while it moves; the last state."""
    state = simulation.start(start, seed)
    for _ in range(round(seconds / DT)):
        state = simulation.step(state, policy(simulation.view(state)))
        if state.contacts:
            break
    return state


def usual_policies() -> dict[str, MakePolicy]:
    """Twenty drivers, from patient to mad: what a world has to tell apart."""
    return {
        "stands": lambda: pedals(-4.0),
        "patient": lambda: follow(5.0, headway=2.0),
        "calm": lambda: follow(8.0, headway=1.6),
        "usual": lambda: follow(10.0),
        "brisk": lambda: follow(13.0, headway=0.8),
        "hasty": lambda: follow(16.0, headway=0.4),
        "blind, slow": lambda: follow(5.0, yields=False),
        "blind": lambda: follow(9.0, yields=False),
        "blind, fast": lambda: follow(14.0, yields=False),
        "blind, fast in bends": lambda: follow(14.0, yields=False, slows_in_bends=False),
        "full throttle": lambda: pedals(3.0),
        "left of its lane": lambda: follow(9.0, aside=1.5),
        "right of its lane": lambda: follow(9.0, aside=-1.5),
        "weaving": lambda: weaving(9.0, 2.0, 4.0),
        "straight on": lambda: straight(8.0),
        "erratic": lambda: erratic(8.0, seed=0),
        "planner, 2 s": lambda: planned(10.0, horizon=4),
        "planner, 4 s": lambda: planned(10.0, horizon=8),
        "planner, fast": lambda: planned(14.0, horizon=8),
        "as recorded": as_recorded,
    }


def follow(
    speed: float, yields: bool = True, headway: float = 1.2, aside: float = 0.0, slows_in_bends: bool = True
) -> Policy:
    """Along the route at a wished speed (m/s).

    Args:
        yields: brake for who is ahead, by the intelligent driver model (Treiber et al. 2000).
        headway: seconds behind a leader.
        aside: metres to the left of the route.
        slows_in_bends: brake for bends in good time.
    """

    def policy(view: View) -> Action:
        wished = min(speed, _bend_speed(view) if slows_in_bends else math.inf)
        a = _STRONGEST * (1 - (view.speed / max(wished, 0.1)) ** 4)
        if yields:
            a = min(a, _yielding(view, headway))
        return Action(max(a, -6.0 if yields else -3.0), steer(view, aside))

    return policy


def pedals(acceleration: float, aside: float = 0.0) -> Policy:
    """Along the route with one and the same pedal, for nobody and no bend."""
    return lambda view: Action(acceleration, steer(view, aside))


def straight(speed: float) -> Policy:
    """Straight ahead, wherever the route goes."""
    return lambda view: Action(max(-3.0, min(2.0, (speed - view.speed) / DT)), 0.0)


def weaving(speed: float, width: float, period: float) -> Policy:
    """From side to side of the route, for nobody."""
    steps = 0
    keep = follow(speed, yields=False)

    def policy(view: View) -> Action:
        nonlocal steps
        steps += 1
        aside = width * math.sin(math.tau * steps * DT / period)
        return Action(keep(view).acceleration, steer(view, aside))

    return policy


def erratic(speed: float, seed: int, most: float = 3.0) -> Policy:
    """Along the route with pedals that are drawn anew every step."""
    dice = random.Random(seed)

    def policy(view: View) -> Action:
        return Action(dice.uniform(-most, most) + 0.5 * (speed - view.speed), steer(view))

    return policy


def as_recorded() -> Policy:
    """Along the route by the timetable of who drove it, whoever is in the way now."""
    return lambda view: Action((view.due / DT - view.speed) / DT, steer(view))


def planned(speed: float, horizon: int, seed: int = 0) -> Policy:
    """Plans anew every step, by the cross-entropy method, among boxes that keep their velocities.

    Args:
        horizon: frames of DT seconds that are looked ahead.
    """
    config = PlannerConfig(horizon=horizon, samples=32, iterations=2)
    generator = torch.Generator().manual_seed(seed)
    last: Plan | None = None

    def policy(view: View) -> Action:
        nonlocal last
        goal = Goal(view.line, speed)
        last = plan(ConstantVelocity(), _scene(view), goal, view.start, None, last, DT, generator, config)
        return Action(*last.actions[: round(DT / STEP)].mean(0).tolist())

    return policy


def _scene(view: View) -> SceneState:
    """What a planner sees of a view: where everybody is, and was a step ago."""
    n = len(view.boxes)
    before = torch.cat([view.boxes[:, :2] - DT * view.velocity, view.boxes[:, 2:3]], 1)
    return SceneState(
        view.labels,
        torch.cat([view.boxes[:, 3:], torch.full((n, 1), _HEIGHT)], 1).float(),
        torch.zeros(n, 2),
        torch.stack([before, view.boxes[:, :3]], 1).float(),
        torch.ones(n, 2, dtype=torch.bool),
        torch.zeros(2, 3),
        torch.zeros(0, 0, dtype=torch.uint8),
    )


def steer(view: View, aside: float = 0.0) -> float:
    """Curvature of the arc through a point ahead of the route (pure pursuit, Coulter 1992): k = 2 y / d².

    The point is as far ahead as half a second's step needs to end well.
    """
    point, along = view.line.at(torch.tensor(_station(view.line) + max(4.0, 0.9 * view.speed)))
    x = float(point[0] - aside * along[1])
    y = float(point[1] + aside * along[0])
    return 2 * y / max(x**2 + y**2, 1.0)


def _station(line: Line) -> float:
    """Where on the line the ego is."""
    return line.nearest(torch.zeros(2))


def _bend_speed(view: View) -> float:
    """The speed from which a comfortable braking reaches each bend ahead slowly enough."""
    ahead = torch.arange(0.0, max(6.0, view.speed**2 / 3) + 2.0, 2.0)
    _, along = view.line.at(_station(view.line) + ahead)
    heading = torch.atan2(along[:, 1], along[:, 0])
    turn = torch.remainder(heading.diff() + torch.pi, 2 * torch.pi) - torch.pi
    bends = (turn.abs() / 2.0).clamp(min=1e-3)
    return float((_SIDEWAYS / bends + 2 * _COMFORT * ahead[:-1]).sqrt().min())


def _yielding(view: View, headway: float) -> float:
    """The acceleration that whoever is on the route ahead leaves."""
    least = math.inf
    for gap, along_speed in _ahead(view):
        approach = view.speed - along_speed
        wanted = _STANDSTILL + max(
            0.0, view.speed * headway + view.speed * approach / (2 * math.sqrt(_STRONGEST * _COMFORT))
        )
        least = min(least, _STRONGEST * (1 - (wanted / max(gap, 0.1)) ** 2))
    return least


def _ahead(view: View) -> list[tuple[float, float]]:
    """(gap to the bumper, speed along the route) of those whose boxes reach into the ego's lane ahead."""
    line, mine = view.line, _station(view.line)
    out = []
    for (x, y, yaw, length, width), (vx, vy) in zip(view.boxes.tolist(), view.velocity.tolist(), strict=True):
        if not (-5 < x < 45 and abs(y) < 40):
            continue
        station = line.nearest(torch.tensor([x, y], dtype=torch.float32))
        point, along = line.at(torch.tensor(station))
        c, s = along.tolist()
        across = c * (y - float(point[1])) - s * (x - float(point[0]))
        forward, sideways = math.cos(yaw) * c + math.sin(yaw) * s, math.sin(yaw) * c - math.cos(yaw) * s
        half_along = (abs(forward) * length + abs(sideways) * width) / 2
        half_across = (abs(sideways) * length + abs(forward) * width) / 2
        gap = station - half_along - mine - EGO_FRONT
        if -3 < gap < 45 and abs(across) < half_across + EGO_EXTENT[1] / 2 + 0.2 and station > mine:
            out.append((max(gap, 0.05), vx * c + vy * s))
    return out
