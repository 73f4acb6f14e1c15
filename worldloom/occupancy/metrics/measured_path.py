"""The ego's path as the voxels of a clip tell it, frame after frame."""

from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath, path_from_steps
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.metrics.registration import Motion, Reason, Registration, edge_layers, register

MAX_ABSTAINED = 0.2  # share of steps above which a clip carries no headline number


@dataclass(frozen=True)
class MeasuredPath:
    """Motions found by registration, and the poses they compose to.

    A step that could not be measured is filled with the motion of the nearest measured one, the earlier of two, so that
    positions after it exist; `measured` says which are real.
    """

    steps: Float[Tensor, "s 3"]  # (dx, dy, dyaw) in the earlier ego frame, float64
    measured: Bool[Tensor, " s"]
    reasons: tuple[Reason | None, ...]  # why a step was not measured
    dt: float

    @property
    def path(self) -> EgoPath:
        """Poses that begin at the identity."""
        return path_from_steps(torch.eye(4, dtype=torch.float64), self.steps, self.dt)

    @property
    def abstained(self) -> dict[str, float]:
        """Share of all steps that was not measured, by reason."""
        counts = Counter(reason for reason in self.reasons if reason is not None)
        return {reason: count / len(self.reasons) for reason, count in sorted(counts.items())}

    @property
    def headline(self) -> bool:
        """Whether enough was measured to say a number about the whole clip."""
        return bool((~self.measured).double().mean() <= MAX_ABSTAINED)


def measured_path(
    occupancy: Occupancy,
    observed_only: bool = False,
    settings: Registration = Registration(),  # noqa: B008  (frozen)
) -> MeasuredPath:
    """Register every frame with the next; the clip's own `world_from_ego` is not looked at.

    Args:
        occupancy: labels t x y z, t >= 2.
        observed_only: leave out voxels that nobody looked at. The same choice must be made for truth and model.
    Raises:
        ValueError: fewer than two frames, or a batch.
    """
    if occupancy.labels.ndim != 4 or len(occupancy) < 2:
        raise ValueError(f"a measured path needs labels (t, x, y, z) with t >= 2, got {tuple(occupancy.labels.shape)}")
    pairs = zip(occupancy.labels, occupancy.observed, strict=True)
    layers = (
        edge_layers(frame, occupancy.grid, occupancy.dt, seen if observed_only else None) for frame, seen in pairs
    )
    before, motions = next(layers), []
    for after in layers:
        motions.append(register(before, after, settings))
        before = after
    measured = torch.tensor([isinstance(motion, Motion) for motion in motions])
    found = {i: m for i, m in enumerate(motions) if isinstance(m, Motion)}
    steps = torch.zeros(len(motions), 3, dtype=torch.float64)
    for i in range(len(motions)):
        if found:
            motion = found[min(found, key=lambda j: (abs(i - j), j))]
            steps[i] = torch.tensor([motion.dx, motion.dy, motion.dyaw], dtype=torch.float64)
    reasons = tuple(None if isinstance(motion, Motion) else motion.reason for motion in motions)
    return MeasuredPath(steps, measured, reasons, occupancy.dt)
