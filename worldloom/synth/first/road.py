"""A curved street as a coordinate system: s metres along the centre line, d metres to its left."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES, compose, rotz

STEP = 0.5  # metres between the points of the centre line
START, END = -70.0, 220.0
LANE = 3.5
LANES = (-1.5 * LANE, -0.5 * LANE, 0.5 * LANE, 1.5 * LANE)  # right-hand traffic: negative d drives towards larger s
PARKING = 8.05  # |d| of the middle of the parking lanes
KERB = 9.2
SIDEWALK_END = 12.6
CROSS_HALF = 5.0  # half the width of the cross street
DRIVEABLE, OTHER_FLAT, SIDEWALK, TERRAIN = (
    OCC3D_CLASSES.index(n) for n in ("driveable_surface", "other_flat", "sidewalk", "terrain")
)


@dataclass(frozen=True)
class Road:
    """A street that bends once, and a straight cross street at `crossing`."""

    points: Float[Tensor, "m 2"]  # centre line, STEP apart, from s = START
    yaw: Float[Tensor, " m"]
    crossing: float  # s of the cross street
    crosswalk: float  # s of the pedestrian crossing
    driveways: tuple[tuple[float, int], ...]  # (s, side)
    park: int  # the side (+1 left, -1 right) that is a park beyond the crossing

    def pose(
        self, s: Float[Tensor, " t"], d: Float[Tensor, " t"], z: float, turn: Float[Tensor, " t"]
    ) -> Float[Tensor, "t 4 4"]:
        """world_from_x of things at (s, d), z above the ground, headed `turn` to the left of the road."""
        position = ((s - START) / STEP).clamp(0, len(self.points) - 1.001)
        i = position.floor().long()
        f = (position - i)[:, None]
        xy = self.points[i] * (1 - f) + self.points[i + 1] * f
        yaw = self.yaw[i] * (1 - f[:, 0]) + self.yaw[i + 1] * f[:, 0]
        left = torch.stack([-yaw.sin(), yaw.cos()], -1)
        xyz = torch.cat([xy + d[:, None] * left, torch.full_like(xy[:, :1], z)], -1)
        return compose(rotz(yaw + turn), xyz)

    def pose_at(self, s: float, d: float, z: float = 0.0, turn: float = 0.0) -> Float[Tensor, "4 4"]:
        """`pose` of one thing that stands still."""
        return self.pose(torch.tensor([s]), torch.tensor([d]), z, torch.tensor([turn]))[0]

    def locate(self, xy: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """(s, d) of world points by the nearest point of the centre line."""
        nearest = torch.cat([torch.cdist(part, self.points).argmin(1) for part in xy.split(4096)])
        offset, yaw = xy - self.points[nearest], self.yaw[nearest]
        along = offset[:, 0] * yaw.cos() + offset[:, 1] * yaw.sin()
        return START + STEP * nearest + along, offset[:, 1] * yaw.cos() - offset[:, 0] * yaw.sin()

    def ground(self, xy: Float[Tensor, "n 2"]) -> UInt8[Tensor, " n"]:
        """Class of the ground at world points."""
        s, d = self.locate(xy)
        cross = self.pose_at(self.crossing, 0.0)
        u = (xy - cross[:2, 3]) @ cross[:2, 0]  # metres from the middle of the cross street
        side = d.abs()
        label = torch.full(s.shape, TERRAIN, dtype=torch.uint8)
        label[side < SIDEWALK_END] = SIDEWALK
        label[u.abs() < CROSS_HALF + 3] = SIDEWALK
        for at, where in self.driveways:
            label[((s - at).abs() < 2.2) & (side > KERB) & (side < 26) & (d * where > 0)] = OTHER_FLAT
        label[side < KERB] = DRIVEABLE
        label[u.abs() < CROSS_HALF] = DRIVEABLE
        for begin, end in ((-60.0, self.crosswalk - 16), (self.crosswalk - 3.4, self.crosswalk - 1.6)):
            label[(side < 0.45) & (s > begin) & (s < end)] = OTHER_FLAT  # the median, and the refuge at the crossing
        return label


def make_road(bend: float, crossing: float, driveways: tuple[tuple[float, int], ...], park: int) -> Road:
    """A road that turns by `bend` radians to the left between s = 25 and s = 95, with a smooth onset."""
    s = torch.arange(START, END + STEP, STEP, dtype=torch.float64)
    f = ((s - 25) / 70).clamp(0, 1)
    yaw = bend * (f - torch.sin(2 * math.pi * f) / (2 * math.pi))  # curvature rises and falls as 1 - cos
    middle = (yaw[1:] + yaw[:-1]) / 2
    steps = STEP * torch.stack([middle.cos(), middle.sin()], -1)
    points = torch.cat([steps.new_zeros(1, 2), steps.cumsum(0)])
    points = points - points[round(-START / STEP)]
    return Road(points.float(), yaw.float(), crossing, crossing - 11, driveways, park)
