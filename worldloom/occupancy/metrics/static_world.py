"""Whether the static world of two frames is one world: compared voxel by voxel at the same place."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from worldloom.geometry.occupancy import MOVERS, Occupancy
from worldloom.geometry.rigid import invert
from worldloom.geometry.warp_occupancy import warp_labels
from worldloom.occupancy.metrics.groups import STATIC, among

_SEEN = 128  # label and observation travel through one warp


@dataclass(frozen=True)
class StaticAgreement:
    """Counts over voxels that two frames both observed and in which neither has a road user."""

    both: int  # static in both
    same: int  # of them, of the same class
    either: int  # static in at least one
    cells: int  # compared, free ones too: an empty world agrees on nothing

    def __add__(self, other: "StaticAgreement") -> "StaticAgreement":
        """Pooled over pairs of frames."""
        pairs = zip(self.astuple(), other.astuple(), strict=True)
        return StaticAgreement(*(a + b for a, b in pairs))

    def astuple(self) -> tuple[int, int, int, int]:
        """both, same, either, cells."""
        return self.both, self.same, self.either, self.cells

    @property
    def iou(self) -> float:
        """Of static against not; NaN where nothing static was there to compare."""
        return self.both / self.either if self.either else float("nan")

    @property
    def class_iou(self) -> float:
        """As `iou`, where another class is another thing."""
        return self.same / self.either if self.either else float("nan")

    @property
    def flip_rate(self) -> float:
        """1 - iou: the static flip rate."""
        return 1 - self.iou


def compare_static(occupancy: Occupancy, first: int, later: int) -> StaticAgreement:
    """Compare two frames of a clip where the world says they are, in the grid of the later one."""
    poses = occupancy.world_from_ego.double()
    there, inside = _moved(occupancy, first, invert(poses[later]) @ poses[first])
    seen_first, seen_later = (there >= _SEEN) & inside, occupancy.observed[later]
    before, now = there % _SEEN, occupancy.labels[later]
    counted = seen_first & seen_later & ~among(before, MOVERS) & ~among(now, MOVERS)
    static_before, static_now = among(before, STATIC) & counted, among(now, STATIC) & counted
    both = static_before & static_now
    return StaticAgreement(
        int(both.sum()),
        int((both & (before == now)).sum()),
        int((static_before | static_now).sum()),
        int(counted.sum()),
    )


def flips(occupancy: Occupancy) -> StaticAgreement:
    """Every frame with the next, pooled: `flip_rate` of it is the static flip rate."""
    return pooled(compare_static(occupancy, i, i + 1) for i in range(len(occupancy) - 1))


def pooled(parts: Iterable[StaticAgreement]) -> StaticAgreement:
    """All counts together."""
    return sum(parts, StaticAgreement(0, 0, 0, 0))


def _moved(occupancy: Occupancy, frame: int, dst_from_src: Tensor) -> tuple[Tensor, Bool[Tensor, "x y z"]]:
    codes = occupancy.labels[frame] + _SEEN * occupancy.observed[frame].to(torch.uint8)
    return warp_labels(codes, dst_from_src, occupancy.grid)
