"""Whether the static world of two frames is one world: compared voxel by voxel at the same place."""

from collections.abc import Iterable
from dataclasses import dataclass

from worldloom.geometry.occupancy import MOVERS, STATIC, Occupancy, among
from worldloom.geometry.rigid import invert
from worldloom.geometry.warp_occupancy import warp_observed


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
    moved = invert(poses[later]) @ poses[first]
    before, seen_first = warp_observed(occupancy.labels[first], occupancy.observed[first], moved, occupancy.grid)
    now, seen_later = occupancy.labels[later], occupancy.observed[later]
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
