"""Which manoeuvre a path is, and how often the generated world makes the commanded one."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.rigid import invert

Manoeuvre = Literal["straight", "left", "right", "brake", "accelerate", "stop"]
MANOEUVRES: tuple[Manoeuvre, ...] = ("straight", "left", "right", "brake", "accelerate", "stop")
SIDEWAYS = 2.0  # metres of final lateral offset from which a path of nuScenes counts as left or right (VAD)


@dataclass(frozen=True)
class Thresholds:
    """Where one manoeuvre ends and another begins."""

    standing: float = 0.5  # m/s; a path that ends slower has stopped
    turn_deg: float = 12.0  # heading gained
    change: float = 0.25  # of the speed at the start that is lost or won, and at least:
    least: float = 1.0  # m/s


def manoeuvre_of(path: EgoPath, thresholds: Thresholds = Thresholds()) -> Manoeuvre:
    """The label of a path: stop before turn before change of speed. Speeds are of the first and last fifth of steps."""
    steps = path.steps().double()
    if steps.ndim != 2 or len(steps) < 1:
        raise ValueError(f"a manoeuvre is a path (t, 4, 4) with t >= 2, got {tuple(path.world_from_ego.shape)}")
    speed = steps[:, :2].norm(dim=-1) / path.dt
    ends = max(1, len(steps) // 5)
    first, last = speed[:ends].mean().item(), speed[-ends:].mean().item()
    turned = math.degrees(steps[:, 2].sum().item())
    if last < thresholds.standing:
        return "stop"
    if abs(turned) > thresholds.turn_deg:
        return "left" if turned > 0 else "right"
    if abs(last - first) > max(thresholds.least, thresholds.change * first):
        return "accelerate" if last > first else "brake"
    return "straight"


def nuscenes_command(path: EgoPath) -> Literal["left", "right", "straight"]:
    """The command that is derived from logs of nuScenes: where the path ends, 2 m or more to a side."""
    start_from_end = invert(path.world_from_ego[0].double()) @ path.world_from_ego[-1].double()
    offset = start_from_end[1, 3].item()
    if abs(offset) < SIDEWAYS:
        return "straight"
    return "left" if offset > 0 else "right"


@dataclass(frozen=True)
class ManoeuvreScore:
    """Counts of commanded against executed manoeuvres."""

    confusion: Int64[Tensor, "commanded executed"]

    @property
    def accuracy(self) -> float:
        """Share executed as commanded; NaN without any."""
        total = int(self.confusion.sum())
        return int(self.confusion.trace()) / total if total else math.nan

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        return 1 / len(MANOEUVRES)


def score_manoeuvres(pairs: Iterable[tuple[Manoeuvre, Manoeuvre]]) -> ManoeuvreScore:
    """Count (commanded, executed) labels."""
    confusion = torch.zeros(len(MANOEUVRES), len(MANOEUVRES), dtype=torch.int64)
    for commanded, executed in pairs:
        confusion[MANOEUVRES.index(commanded), MANOEUVRES.index(executed)] += 1
    return ManoeuvreScore(confusion)
