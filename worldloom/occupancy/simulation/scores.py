"""What a drive is worth, by the rules of NAVSIM on the boxes that the world itself believes in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import compose, rotz
from worldloom.occupancy.metrics.planning import (
    Traffic,
    comfortable,
    ego_progress,
    no_collision,
    pdms,
    time_to_collision,
)
from worldloom.occupancy.simulation.controls import MOMENTS
from worldloom.occupancy.simulation.state import DriveState, Leg, footprints
from worldloom.occupancy.traffic import DT
from worldloom.synth.traffic.footprints import separation

WINDOW = 4.0  # seconds, over which the driving score is defined
_FINE = DT / MOMENTS


@dataclass(frozen=True)
class DriveScore:
    """The parts of PDMS over a drive, each of which must hold throughout, and their product over windows of 4 s."""

    no_collision: float  # NC; things count as static objects
    driveable: float  # DAC; what nobody knows is not held against the ego, see `known`
    ttc: float
    progress: float  # EP: of what a good driver makes in the same time
    comfort: float
    pdms: float  # the mean over windows; those that were not reached because the drive ended count as 0
    known: float  # share of the places under the ego's corners of which anything is known


def score_of(state: DriveState[Any], wished: float | None = None) -> DriveScore:
    """The worth of all that was driven up to a state.

    Args:
        wished: seconds that the drive should have lasted; as long as it did if not given.
    """
    if not state.legs:
        return DriveScore(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    share = ego_progress(state.progress, state.route.expected_after(state.frame))
    width = round(WINDOW / DT)
    windows = [_parts(state.legs[first : first + width], share) for first in range(0, state.frame, width)]
    count = max(len(windows), math.ceil((wished or 0.0) / WINDOW - 1e-6))
    known = sum(leg.known for leg in state.legs) / len(state.legs)
    return DriveScore(*_parts(state.legs, share), sum(pdms(*parts) for parts in windows) / count, known)


def least_gap(leg: Leg) -> float:
    """Metres to the nearest of the others at the end of a step, along the side where they are farthest apart; 0 in a
    contact, inf for nobody."""
    if not len(leg.names):
        return math.inf
    mine = footprints(leg.ego[-1:])
    return max(0.0, float(separation(mine.expand(len(leg.names), 5), leg.boxes[:, -1]).min()))


def _parts(legs: Sequence[Leg], share: float) -> tuple[float, float, float, float, float]:
    ego = torch.cat([leg.ego for leg in legs])
    speed, mine = torch.cat([leg.speed for leg in legs]), footprints(torch.cat([leg.ego for leg in legs]))
    astray = torch.cat([leg.astray for leg in legs])
    traffic = _traffic(legs)
    worst = no_collision(mine, speed, traffic, astray)
    if any("" in leg.contacts() for leg in legs):
        worst = min(worst, 0.5)
    poses = compose(rotz(ego[:, 2]), torch.nn.functional.pad(ego[:, :2], (0, 1)))
    return (
        worst,
        float(not bool(astray.any())),
        time_to_collision(mine, speed, traffic, _FINE),
        share,
        float(comfortable(EgoPath(poses, _FINE))),
    )


def _traffic(legs: Sequence[Leg]) -> Traffic:
    """Everybody of all legs as one table."""
    names = sorted({name for leg in legs for name in leg.names})
    rows = {name: i for i, name in enumerate(names)}
    n, t = len(names), len(legs) * MOMENTS
    boxes = torch.zeros(n, t, 5, dtype=torch.float64)
    present: Bool[Tensor, "n t"] = torch.zeros(n, t, dtype=torch.bool)
    agent = torch.zeros(n, dtype=torch.bool)
    for number, leg in enumerate(legs):
        if leg.names:
            at = torch.tensor([rows[name] for name in leg.names])
            part = slice(number * MOMENTS, (number + 1) * MOMENTS)
            boxes[at, part], present[at, part], agent[at] = leg.boxes, True, leg.agents()
    return Traffic(boxes, present, _speeds(boxes, present), agent)


def _speeds(boxes: Float[Tensor, "n t 5"], present: Bool[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """m/s from one moment to the next; that of the first is the second's."""
    if boxes.shape[1] < 2:
        return torch.zeros(boxes.shape[:2], dtype=torch.float64)
    way = boxes[:, 1:, :2] - boxes[:, :-1, :2]
    speed = way.norm(dim=-1) / _FINE * (present[:, 1:] & present[:, :-1])
    return torch.cat([speed[:, :1], speed], 1)
