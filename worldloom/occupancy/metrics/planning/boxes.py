"""Collisions, time to them, and the way driven, on exact boxes (the rules of nuPlan and NAVSIM)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.synth.traffic.footprints import corners, overlap

STOPPED = 0.05  # m/s
TTC_SECONDS = (0.0, 0.3, 0.6, 0.9)
TTC_LEAST_SPEED = 0.005  # m/s
AHEAD = math.radians(30)  # either side of the ego's nose: what "ahead" means to a front
BEHIND = math.radians(150)
Contains = Callable[[Float[Tensor, "n 2"]], Bool[Tensor, " n"]]


@dataclass(frozen=True)
class Traffic:
    """Others over the frames of a plan, replayed: they do not react."""

    footprints: Float[Tensor, "a t 5"]  # x, y, yaw, length, width
    present: Bool[Tensor, "a t"]
    speed: Float[Tensor, "a t"]  # m/s
    agent: Bool[Tensor, " a"]  # a vehicle, pedestrian or bicycle; False: a static object


def no_collision(
    ego: Float[Tensor, "t 5"],
    ego_speed: Float[Tensor, " t"],
    traffic: Traffic,
    astray: Bool[Tensor, " t"] | None = None,
) -> float:
    """NC: 1 without a collision of the ego's fault, 0.5 with static objects only, 0 with agents.

    The first contact with each is judged. At fault: the other stands still, or meets the moving ego's front bumper, or
    its side while the ego is `astray` (in several lanes, or off the driveable area). Not at fault: the ego stands
    still, or is struck from behind.
    """
    worst = 1.0
    for footprints, present, speed, agent in zip(
        traffic.footprints, traffic.present, traffic.speed, traffic.agent.tolist(), strict=True
    ):
        touching = overlap(ego, footprints) & present
        if not touching.any():
            continue
        frame = int(touching.to(torch.uint8).argmax())
        lost = astray is not None and bool(astray[frame])
        if _at_fault(ego[frame], float(ego_speed[frame]), footprints[frame], float(speed[frame]), lost):
            worst = min(worst, 0.0 if agent else 0.5)
    return worst


def driveable_compliance(ego: Float[Tensor, "t 5"], contains: Contains, tolerance: float = 0.0) -> float:
    """DAC: 0 if any corner of the ego is ever off the driveable area, else 1.

    Args:
        contains: whether points of the ground are driveable.
        tolerance: metres that a corner may be off (nuPlan 0.3, NAVSIM 0): the footprint is smaller by it.
    """
    shrunk = torch.cat([ego[:, :3], (ego[:, 3:] - 2 * tolerance).clamp(min=0)], dim=1)
    return float(contains(corners(shrunk).reshape(-1, 2)).all())


def time_to_collision(
    ego: Float[Tensor, "t 5"],
    ego_speed: Float[Tensor, " t"],
    traffic: Traffic,
    dt: float,
    seconds: tuple[float, ...] = TTC_SECONDS,
) -> float:
    """TTC: 0 if the ego, carried on by speed times d, meets the logged box of someone ahead at t + d, else 1.

    Raises:
        ValueError: a d is no multiple of dt.
    """
    for d in seconds:
        steps = round(d / dt)
        if abs(steps * dt - d) > 1e-6:
            raise ValueError(f"times to collision must be multiples of dt = {dt:g} s, got {d:g} s")
        n = len(ego) - steps
        if n < 1:
            continue
        here, speed = ego[:n], ego_speed[:n]
        carried = here.clone()
        carried[:, 0] += here[:, 2].cos() * speed * d
        carried[:, 1] += here[:, 2].sin() * speed * d
        for footprints, present in zip(traffic.footprints[:, steps:], traffic.present[:, steps:], strict=True):
            front = _bearing(here, footprints).abs() < AHEAD
            if (overlap(carried, footprints) & present & front & (speed >= TTC_LEAST_SPEED)).any():
                return 0.0
    return 1.0


def driving_direction(xy: Float[Tensor, "t 2"], oncoming: Bool[Tensor, " t"], dt: float) -> float:
    """DDC from the most way driven within a second in oncoming lanes: 1 below 2 m, 0.5 below 6 m, else 0."""
    driven = xy.diff(dim=0).norm(dim=-1) * oncoming[1:]
    window = max(1, round(1 / dt))
    sums = torch.cat([driven.new_zeros(1), driven.cumsum(0)])
    most = max(float(sums[min(i + window, len(driven))] - sums[i]) for i in range(len(driven))) if len(driven) else 0.0
    return 1.0 if most < 2 else 0.5 if most < 6 else 0.0


def lane_keeping(offset: Float[Tensor, " t"], in_junction: Bool[Tensor, " t"], dt: float) -> float:
    """LK: 0 if the ego is more than 0.5 m off its centreline for 2 s on end, junctions apart."""
    run = 0
    for off in ((offset.abs() > 0.5) & ~in_junction).tolist():
        run = run + 1 if off else 0
        if run * dt >= 2 - 1e-9:
            return 0.0
    return 1.0


def progress_along(xy: Float[Tensor, "t 2"], centreline: Float[Tensor, "n 2"]) -> float:
    """Metres gained along a polyline from the first to the last position, each at its nearest point."""
    start, side = centreline[:-1].double(), centreline.double().diff(dim=0)
    length = side.norm(dim=-1)
    begin = torch.cat([length.new_zeros(1), length.cumsum(0)[:-1]])
    stations = []
    for point in (xy[0].double(), xy[-1].double()):
        share = (((point - start) * side).sum(-1) / length.square()).clamp(0, 1)
        nearest = (start + share[:, None] * side - point).norm(dim=-1).argmin()
        stations.append((begin + share * length)[nearest])
    return float(stations[1] - stations[0])


def _at_fault(ego: Tensor, ego_speed: float, other: Tensor, other_speed: float, astray: bool) -> bool:
    if ego_speed <= STOPPED:
        return False
    if other_speed <= STOPPED:
        return True
    if float(_bearing(ego[None], other[None]).abs()) > BEHIND:
        return False
    # The front bumper is a thin rectangle at the nose.
    bumper = ego.clone()
    bumper[0] += ego[2].cos() * (ego[3] / 2 - 0.05)
    bumper[1] += ego[2].sin() * (ego[3] / 2 - 0.05)
    bumper[3] = 0.1
    return bool(overlap(bumper[None], other[None])) or astray


def _bearing(ego: Float[Tensor, "t 5"], other: Float[Tensor, "t 5"]) -> Float[Tensor, " t"]:
    """Direction to the other's middle in the ego's frame, radians."""
    offset = other[:, :2] - ego[:, :2]
    return torch.remainder(torch.atan2(offset[:, 1], offset[:, 0]) - ego[:, 2] + math.pi, math.tau) - math.pi
