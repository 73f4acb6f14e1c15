"""Solid voxels as boxes: convex parts for engines that collide with nothing else."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from worldloom.recon.mesh.solid import Solid

SHIFT = 0.4  # voxels, at most, by which a face follows the surface; a box of one voxel keeps a fifth of it


@dataclass(frozen=True)
class Boxes:
    """Axis-aligned boxes in the world frame, metres."""

    low: Float[Tensor, "b 3"]
    high: Float[Tensor, "b 3"]

    def __len__(self) -> int:
        return len(self.low)


def boxes_from_solid(solid: Solid) -> Boxes:
    """Boxes that together are the matter; their faces follow the surface to a fraction of a voxel where it is known.

    From the first voxel that is not yet covered a box grows along x, y and z, as far as there is matter, in the order
    that covers most; again and again. Voxels may be covered twice, and those that nothing can reach not at all.
    """
    matter = solid.matter.numpy()
    extents = cover(matter)
    shift = np.stack([_shifts(solid, extents, axis) for axis in range(3)], axis=-1)  # b, side, axis
    size = solid.grid.voxel_size
    corners = torch.from_numpy(np.array(solid.grid.origin) + (extents + shift) * size).float()
    return Boxes(corners[:, 0], corners[:, 1])


def cover(matter: Bool[np.ndarray, "x y z"]) -> Int[np.ndarray, "b 2 3"]:
    """Boxes of voxels, (first, last + 1), that cover all matter that is not buried, and nothing that is not matter."""
    todo = matter & ~ndimage.binary_erosion(matter, ndimage.generate_binary_structure(3, 3), border_value=1)
    runs = [_runs(matter, axis) for axis in range(3)]
    boxes = []
    for place in np.argwhere(todo):
        start = (int(place[0]), int(place[1]), int(place[2]))
        if not todo[start]:
            continue
        candidates = [_grown(runs, start, order) for order in itertools.permutations(range(3))]
        best = max(candidates, key=lambda box: int(todo[box].sum()))
        todo[best] = False
        boxes.append([[side.start for side in best], [side.stop for side in best]])
    return np.array(boxes, np.int64).reshape(-1, 2, 3)


Box = tuple[slice, slice, slice]


def _runs(matter: Bool[np.ndarray, "x y z"], axis: int) -> Int[np.ndarray, "x y z"]:
    """How many voxels of matter follow each other from each voxel on, upwards along an axis."""
    lines = np.moveaxis(matter, axis, 0)
    runs = np.zeros(lines.shape, np.int16)
    count = np.zeros(lines.shape[1:], np.int16)
    for i in range(len(lines) - 1, -1, -1):
        count = np.where(lines[i], count + 1, 0)
        runs[i] = count
    return np.moveaxis(runs, 0, axis)


def _grown(runs: list[np.ndarray], start: tuple[int, int, int], order: tuple[int, ...]) -> Box:
    """The box that grows from a voxel along the axes in turn, each time as far as all its lines allow."""
    box = [slice(i, i + 1) for i in start]
    for axis in order:
        length = int(runs[axis][tuple(box)].min())
        box[axis] = slice(start[axis], start[axis] + length)
    return box[0], box[1], box[2]


def _shifts(solid: Solid, extents: Int[np.ndarray, "b 2 3"], axis: int) -> Float[np.ndarray, "b 2"]:
    """Voxels by which the two faces of each box across an axis move: the mean distance of the surface from there.

    A voxel's centre lies half a voxel inside of the face. Where the surface is `signed` before it, the face belongs
    that much less half a voxel farther out; where nothing is known it stays.
    """
    signed, matter = solid.signed.numpy(), solid.matter.numpy()
    shifts = np.zeros((len(extents), 2))
    for i, (start, end) in enumerate(extents):
        for side, layer, outside in ((0, start[axis], start[axis] - 1), (1, end[axis] - 1, end[axis])):
            box = [slice(a, b) for a, b in zip(start, end, strict=True)]
            box[axis] = slice(layer, layer + 1)
            inner = signed[tuple(box)]
            box[axis] = slice(outside, outside + 1)
            facing = ~matter[tuple(box)] & (inner != 0) & (np.abs(inner) <= 1)
            if facing.any():
                outward = np.clip(-inner[facing].mean() - 0.5, -SHIFT, SHIFT)
                shifts[i, side] = outward if side else -outward
    return shifts
