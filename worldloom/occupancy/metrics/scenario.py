"""What one made future is worth, without anybody to compare it with: risk, driving score, physics and realism."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.metrics.objects import find_objects
from worldloom.occupancy.metrics.physics import PhysicsScore, physics_score, score_physics
from worldloom.occupancy.metrics.planning import (
    GridSafety,
    at_ten_hertz,
    comfortable,
    ego_progress,
    judge_on_grids,
    pdms_occ,
)
from worldloom.occupancy.metrics.realism import movement
from worldloom.occupancy.metrics.truth_reference import truth_reference

_DIGITS = 6


@dataclass(frozen=True)
class ScenarioScores:
    """Scores of the first future, and how many of all of them collide."""

    risk: Float[Tensor, "t 2"] | None  # the model's own: collided, left the road, by each frame; None: it has none
    safety: GridSafety
    progress: float  # EP against keeping the speed of the present; 1 where that is 5 m or less
    comfort: float
    pdms_occ: float | None  # None: abstained, because too little of the road is known
    physics: float  # P = 1 - V / V_shuffled, with towns' truth in another order as V_shuffled
    violations: PhysicsScore
    realism: float  # NaN without road users
    realism_parts: dict[str, float]
    collided_share: float  # of all futures, by their grids
    num_futures: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with six digits; what is not known, or endless, becomes null."""
        safety, rates = self.safety, {rule: self.violations.rate(rule) for rule in self.violations.chances}
        risk = None
        if self.risk is not None:
            collision, off_road = self.risk.double().T.tolist()
            risk = {
                "collision": _rounded(max(collision)),
                "off_road": _rounded(max(off_road)),
                "collision_by_frame": [_rounded(p) for p in collision],
                "off_road_by_frame": [_rounded(p) for p in off_road],
            }
        return {
            "risk": risk,
            "grid": {
                "collided": safety.collided,
                "contact": _rounded(float(safety.contact.max())),
                "min_ttc_s": _rounded(safety.min_ttc),
                "no_collision": safety.no_collision,
                "ttc": safety.ttc,
                "driveable": safety.driveable,
                "driveable_tolerant": safety.driveable_tolerant,
                "known": _rounded(safety.known),
                "progress": _rounded(self.progress),
                "comfort": self.comfort,
                "pdms_occ": None if self.pdms_occ is None else _rounded(self.pdms_occ),
                "collided_share": _rounded(self.collided_share),
                "num_futures": self.num_futures,
            },
            "physics": {
                "score": _rounded(self.physics),
                "violations_per_100": {rule: _rounded(rate) for rule, rate in rates.items()},
                "movers": self.violations.movers,
                "mover_voxels": self.violations.mover_voxels,
            },
            "realism": {
                "score": _rounded(self.realism),
                "parts": {name: _rounded(part) for name, part in self.realism_parts.items()},
            },
        }


def score_scenario(
    past: Occupancy, futures: Sequence[Occupancy], risk: Float[Tensor, "k t 2"] | None = None
) -> ScenarioScores:
    """Judge futures of a past.

    Physics and realism look at the present frame too, so that a jump between what was seen and what was made counts.

    Args:
        past: what was seen; its last frame is the present.
        futures: at least one, each on the grid of `past`.
        risk: the model's own probabilities of having collided and of having left the road; their mean counts.
    Raises:
        ValueError: no future.
    """
    if not futures:
        raise ValueError("need at least one future to score")
    first, reference = futures[0], truth_reference()
    judged = [judge_on_grids(future, future.world_from_ego) for future in futures]
    path = EgoPath(torch.cat([past.world_from_ego[-1:].double(), first.world_from_ego.double()]), past.dt)
    progress, comfort = _progress(past, path), float(comfortable(at_ten_hertz(path)))
    seam = from_now(past, first)
    objects = find_objects(seam)
    violations = score_physics(seam, reference.tolerances, objects=objects)
    realism, parts = reference.surprise.realism(movement(objects, seam.dt))
    return ScenarioScores(
        None if risk is None else risk.mean(0),
        judged[0],
        progress,
        comfort,
        pdms_occ(judged[0], progress, comfort),
        physics_score(violations, reference.shuffled),
        violations,
        realism,
        parts,
        sum(safety.collided for safety in judged) / len(judged),
        len(judged),
    )


def from_now(past: Occupancy, future: Occupancy) -> Occupancy:
    """The present frame and the future as one clip."""
    return replace(
        future,
        labels=torch.cat([past.labels[-1:], future.labels]),
        observed=torch.cat([past.observed[-1:], future.observed]),
        world_from_ego=torch.cat([past.world_from_ego[-1:].double(), future.world_from_ego.double()]),
    )


def _progress(past: Occupancy, path: EgoPath) -> float:
    """EP: metres driven over those that the speed of the present would make."""
    ways = path.world_from_ego[:, :2, 3].diff(dim=0).norm(dim=-1)
    if len(past) < 2:
        return 1.0
    step = float((past.world_from_ego[-1] - past.world_from_ego[-2]).double()[:2, 3].norm())
    return ego_progress(float(ways.sum()), step * len(ways))


def _rounded(value: float) -> float | None:
    return round(value, _DIGITS) if math.isfinite(value) else None
