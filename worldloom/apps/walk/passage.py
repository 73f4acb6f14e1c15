"""Where the eye of a visitor may go: on foot over the floor and clear of things, or in flight clear of matter."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from worldloom.geometry import VoxelGrid
from worldloom.recon.mesh import SceneVoxels
from worldloom.scenegen.walkable import Walkable

Place = tuple[float, float, float]
HEAD = 0.2  # metres of free air around an eye in flight
# Metres from the eye to what it looks at: viser's mouse turns the camera around that, and so close it turns the head.
ARM = 0.1


def towards(eye: Place, target: Place, distance: float) -> Place:
    """The point at a distance from the eye in the direction of the target."""
    share = distance / max(math.dist(eye, target), 1e-6)
    x, y, z = (e + share * (t - e) for e, t in zip(eye, target, strict=True))
    return x, y, z


@dataclass(frozen=True)
class Footing:
    """Ground to walk on, and how high the eye is over it.

    Args:
        ground: counted from `start`.
        start: where in the scene its middle is.
    """

    ground: Walkable
    start: Place
    eye: float  # metres over the floor

    @property
    def height(self) -> float:
        """Of the eye, in the scene."""
        return self.ground.floor + self.eye

    def at(self, x: float, y: float) -> bool:
        """Whether a body can stand there."""
        return self.ground.at(x - self.start[0], y - self.start[1])

    def nearest(self, x: float, y: float) -> Place:
        """The eye of a body at the place to stand that is nearest."""
        cells = np.argwhere(self.ground.free)
        i, j = self.ground.cell(x - self.start[0], y - self.start[1])
        place = self.ground.place(*cells[np.hypot(cells[:, 0] - i, cells[:, 1] - j).argmin()].tolist())
        return place[0] + self.start[0], place[1] + self.start[1], self.height

    def walked(self, before: Place, wanted: Place) -> Place:
        """How far a body gets from `before` towards `wanted`; along a wall it slides."""
        x, y = before[0] - self.start[0], before[1] - self.start[1]
        if not self.ground.at(x, y):
            return self.nearest(before[0], before[1])
        goal = (wanted[0] - self.start[0], wanted[1] - self.start[1])
        for dx, dy in ((1, 1), (1, 0), (0, 1)):
            ahead = (dx * (goal[0] - x), dy * (goal[1] - y))
            x, y, _ = self.ground.walked(x, y, math.atan2(ahead[1], ahead[0]), math.hypot(*ahead))
        return x + self.start[0], y + self.start[1], self.height


@dataclass(frozen=True)
class Air:
    """Free space to fly in; what lies beyond the grid is free, and what nobody has seen, too."""

    clearance: Float[np.ndarray, "x y z"]  # metres from a voxel's middle to the nearest matter
    grid: VoxelGrid

    @classmethod
    def around(cls, voxels: SceneVoxels) -> "Air":
        occupied = voxels.occupied.numpy()
        size = voxels.grid.voxel_size
        if not occupied.any():
            return cls(np.full(occupied.shape, np.inf, np.float32), voxels.grid)
        away = np.asarray(ndimage.distance_transform_edt(~occupied, sampling=size), np.float32)
        return cls(
            away - np.float32(0.5 * size), voxels.grid
        )  # matter begins half a voxel before the middle of its own

    def free(self, place: Place) -> float:
        """Metres to the nearest matter, to a voxel."""
        cell = [math.floor((p - o) / self.grid.voxel_size) for p, o in zip(place, self.grid.origin, strict=True)]
        if not all(0 <= i < n for i, n in zip(cell, self.grid.shape, strict=True)):
            return math.inf
        return float(self.clearance[cell[0], cell[1], cell[2]])

    def flown(self, before: Place, wanted: Place) -> Place:
        """How far a head gets from `before` towards `wanted`; along a surface it slides. Out of matter, every way is
        free that does not lead deeper."""
        here = list(before)
        for axes in ((0, 1, 2), (0, 1), (2,), (0,), (1,)):
            move = [wanted[a] - here[a] if a in axes else 0.0 for a in range(3)]
            steps = max(1, math.ceil(math.hypot(*move) / (self.grid.voxel_size / 2)))
            for _ in range(steps):
                there = [p + d / steps for p, d in zip(here, move, strict=True)]
                if self.free((there[0], there[1], there[2])) < min(HEAD, self.free((here[0], here[1], here[2]))):
                    break
                here = there
        return here[0], here[1], here[2]
