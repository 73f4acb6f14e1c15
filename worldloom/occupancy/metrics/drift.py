"""What long roll-outs lose: curves over the horizon, when half of the skill is gone, and places seen again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.geometry.occupancy import Occupancy
from worldloom.geometry.rigid import yaw_from_rotmat
from worldloom.occupancy.metrics.bits import code_entropy
from worldloom.occupancy.metrics.static_world import StaticAgreement, compare_static, pooled


@dataclass(frozen=True)
class HalfLife:
    """The first future frame at which half of the lead over the floor is gone."""

    state: Literal["reached", "censored", "below floor"]
    frame: int | None  # counted from 1; None unless reached
    horizon: int  # frames that were looked at

    def __str__(self) -> str:
        """As tables show it: a horizon that was too short gives a bound, not a value."""
        return {"reached": str(self.frame), "censored": f"> {self.horizon}", "below floor": "below floor"}[self.state]


def half_life(curve: Float[Tensor, " t"], floor: Float[Tensor, " t"]) -> HalfLife:
    """Smallest h with (m(h) - floor(h)) / (m(1) - floor(1)) <= 1/2; the floor is copy + ego-warp.

    Frames where either is NaN are passed over; a curve whose first frame is NaN has no lead and counts as below.

    Raises:
        ValueError: no frame.
    """
    if len(curve) == 0:
        raise ValueError("a half-life needs at least one frame")
    lead = curve.double() - floor.double()
    if not lead[0] > 0:
        return HalfLife("below floor", None, len(curve))
    gone = (lead / lead[0] <= 0.5).nonzero().flatten()
    if len(gone) == 0:
        return HalfLife("censored", None, len(curve))
    return HalfLife("reached", int(gone[0]) + 1, len(curve))


def slope(curve: Float[Tensor, " t"], train_horizon: int) -> float:
    """Least-squares slope per frame from the training horizon to four times that; NaN with fewer than two values."""
    h = torch.arange(1, len(curve) + 1, dtype=torch.float64)
    chosen = (h >= train_horizon) & (h <= 4 * train_horizon) & curve.isfinite()
    if int(chosen.sum()) < 2:
        return math.nan
    x, y = h[chosen] - h[chosen].mean(), curve[chosen].double() - curve[chosen].double().mean()
    return ((x * y).sum() / (x * x).sum()).item()


def area(curve: Float[Tensor, " t"]) -> float:
    """Mean height of the curve by the trapezoid rule: area over length, so that horizons compare. NaN if any is."""
    return torch.trapezoid(curve.double()).item() / (len(curve) - 1) if len(curve) > 1 else float(curve.mean())


def class_volume_ratio(future: Occupancy, reference: Occupancy) -> Float[Tensor, "t c"]:
    """V_c(h) / V_c(0): voxels of each class but free in each future frame over their mean number in the reference.

    NaN where the reference has none of the class.
    """
    volume, base = _volumes(future), _volumes(reference).mean(0)
    return (volume / base).masked_fill(base == 0, math.nan)


def token_entropy(indices: Int[Tensor, "t *tokens"], num_codes: int) -> Float[Tensor, " t"]:
    """Bits a token of the codes in each frame: a collapsing roll-out repeats a few."""
    return torch.tensor(
        [code_entropy(torch.bincount(frame.flatten().long(), minlength=num_codes)) for frame in indices],
        dtype=torch.float64,
    )


def revisits(
    world_from_ego: Float[Tensor, "t 4 4"],
    away: float = 25.0,
    near: float = 4.0,
    turn_deg: float = 45.0,
) -> list[tuple[int, int]]:
    """Pairs (first, return) of frames at one place, with the ego farther than `away` metres in between.

    Each returning frame is paired with the nearest earlier one within `near` metres that looks the same way, within
    `turn_deg`; what cameras saw on the way in says little about the way out.
    """
    position = world_from_ego[:, :2, 3].double()
    yaw = yaw_from_rotmat(world_from_ego[:, :3, :3].double())
    distance = torch.cdist(position, position)
    pairs = []
    for later in range(len(position)):
        best, least = None, near
        for first in range(later - 1):
            turned = abs(math.remainder((yaw[later] - yaw[first]).item(), math.tau))
            left = bool(distance[first, first:later].max() > away)
            if left and math.degrees(turned) <= turn_deg and distance[first, later].item() <= least:
                best, least = first, distance[first, later].item()
        if best is not None:
            pairs.append((best, later))
    return pairs


def revisit_agreement(occupancy: Occupancy, pairs: Sequence[tuple[int, int]]) -> StaticAgreement:
    """Static voxels at the first and the returning visit, on cells observed in both, pooled over pairs.

    `iou` of it is the revisit IoU; `cells` belongs beside it, and truth's own value at the same voxels is its floor.
    """
    return pooled(compare_static(occupancy, first, later) for first, later in pairs)


def _volumes(occupancy: Occupancy) -> Float[Tensor, "t c"]:
    c = len(occupancy.classes)
    counts: list[Tensor] = [torch.bincount(frame.flatten().int(), minlength=c)[: c - 1] for frame in occupancy.labels]
    return torch.stack(counts).double()
