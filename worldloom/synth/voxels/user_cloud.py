"""Road users as clouds of points: their surfaces, and as much of their insides as labels made from LiDAR show."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES
from worldloom.ops.voxel_rays import mark_points
from worldloom.synth.road_users.catalogue import PHASES, STANDING, make_road_user
from worldloom.synth.soup import soup_from_things
from worldloom.synth.voxels.surface_points import surface_points
from worldloom.synth.voxels.voxel_priority import RANK_OF_LABEL

SOLID = ("car", "bus", "truck", "trailer", "construction_vehicle")
_SPACING = 0.12  # metres; finer than for what stands: hands and handlebars are thin
_CELL = 0.2  # metres, for finding insides
# Beams enter through windows and the labels' surfaces are filled up: in genuine labels cars are solid, and the sides
# of a bus two to three voxels thick.
_FILLED_DEPTH = 0.6


class PlacedUser(NamedTuple):
    """A road user at one time."""

    kind: str  # as `make_road_user` takes it
    variant: int
    phase: float
    world_from_user: Float[Tensor, "4 4"]  # origin on the ground under the middle of the box, x forward


class UserCloud(NamedTuple):
    """Points in the user's own frame."""

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]  # outward; inside, those of the nearest surface
    rank: int

    def towards(self, eyes: Float[Tensor, "k 3"], max_range: float) -> Bool[Tensor, " n"]:
        """Points whose side is turned to at least one of the eyes, which are given in the user's frame."""
        seen = torch.zeros(len(self.points), dtype=torch.bool)
        offset = (self.normals * self.points).sum(1)
        for eye in eyes.float():
            if float(eye.norm()) < max_range:
                seen |= self.normals @ eye > offset
        return seen

    def mark(
        self,
        ranks: UInt8[Tensor, "x y z"],
        hit: UInt8[Tensor, "x y z"],
        voxel_from_user: Float[Tensor, "4 4"],
        seen: Bool[Tensor, " n"] | None = None,
    ) -> None:
        """Put the points, or those seen, into a frame's grid. Only what is seen was hit."""
        points = self.points if seen is None else self.points[seen]
        values = torch.full((len(points),), self.rank, dtype=torch.uint8)
        flags = torch.full((len(points),), seen is not None)
        mark_points(ranks, points, values, voxel_from_user[:3], flagged=(hit, flags))


def user_cloud(kind: str, variant: int, phase: float | int) -> UserCloud:
    """The points of a road user; those of equal shapes are one object."""
    return _cloud(kind, variant, pose_of(kind, phase))


def pose_of(kind: str, phase: float | int) -> float:
    """The phase of which `make_road_user` makes the same shape as of `phase`."""
    if kind == "pedestrian" and phase < 0:
        return STANDING
    return round(max(phase, 0.0) * PHASES) % PHASES / PHASES if kind in ("pedestrian", "bicycle") else 0.0


@lru_cache(maxsize=1024)
def _cloud(kind: str, variant: int, phase: float) -> UserCloud:
    soup = soup_from_things((make_road_user(kind, variant, phase),))
    points, face = surface_points(soup.vertices, soup.faces, _SPACING)
    normals = soup.planes[face, :3]
    # One point for each small cube and side of it that the surface looks to.
    where = np.floor(points.numpy() / (_SPACING / 2)).astype(np.int64) + (1 << 12)
    side = normals.abs().argmax(1).numpy() * 2 + (normals.numpy().sum(1) > 0)
    _, first = np.unique(((where[:, 0] << 26) + (where[:, 1] << 13) + where[:, 2]) * 6 + side, return_index=True)
    points, normals = points[first], normals[first]
    if kind in SOLID:
        inner, inner_normals = _inside(points, normals)
        points, normals = torch.cat([points, inner]), torch.cat([normals, inner_normals])
    rank = int(RANK_OF_LABEL[OCC3D_CLASSES.index(kind)])
    return UserCloud(points.float(), normals.float(), rank)


def _inside(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
    """Points inside a closed surface and at most _FILLED_DEPTH below it, and normals of the surface nearest to each."""
    low = points.amin(0).numpy() - 2 * _CELL
    where = np.floor((points.numpy() - low) / _CELL).astype(np.int64)
    shell = np.zeros(tuple(where.max(0) + 3), bool)
    shell[tuple(where.T)] = True
    total = np.zeros((*shell.shape, 3))
    np.add.at(total, tuple(where.T), normals.numpy())
    inner = ndimage.binary_fill_holes(shell) & ~shell
    found: Any = ndimage.distance_transform_edt(~shell, sampling=_CELL, return_indices=True)
    depth, nearest = found
    at = np.argwhere(inner & (depth <= _FILLED_DEPTH))
    normal = total[tuple(nearest[:, at[:, 0], at[:, 1], at[:, 2]])]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return torch.from_numpy(low + (at + 0.5) * _CELL), torch.from_numpy(normal)
