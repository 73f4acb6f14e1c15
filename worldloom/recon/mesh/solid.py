"""Solid matter on a grid of voxels: what physics collides with, also where nobody has looked."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from worldloom.geometry.mesh import Mesh
from worldloom.geometry.occupancy import VoxelGrid
from worldloom.recon.mesh.surface_nets import surface_nets
from worldloom.recon.mesh.tsdf import SIDE
from worldloom.recon.mesh.voxels import SceneVoxels, blocked, full_volume

GROUND = 2  # voxels of ground under the lowest floor
FURNITURE = 3.0  # metres; what is narrower stands on a floor and is none
_PAD = SIDE  # voxels on every side: room for the ground, and for free air around all
_FLATTEST = 0.1  # voxels, at least, from a voxel's centre to the surface beside it


@dataclass(frozen=True)
class Solid:
    """Matter on a grid in the world frame. No two voxels touch along an edge or at a corner alone."""

    matter: Bool[Tensor, "x y z"]
    signed: Float[Tensor, "x y z"]  # truncated distance in voxels, positive before surfaces; 0 where unknown
    grid: VoxelGrid


def solid_from_voxels(voxels: SceneVoxels, eyes: Float[Tensor, "e 3"]) -> Solid:
    """Matter is what is occupied, and of the unknown: a second voxel behind every surface, and the ground.

    The other unknown voxels are passable: the shadow that a chair casts on the wall behind it is no obstacle. The
    ground goes on under furniture and into the shadows at the height of the floor around, so that nothing falls out of
    the world where nobody has looked. A floor is the lowest surface of a column below the eyes that was seen from
    above; what is narrower than `FURNITURE` is opened away.

    Args:
        eyes: world points in free space, from which the voxels were seen.
    """
    pad = (_PAD,) * 6
    occupied, free = (torch.nn.functional.pad(mask, pad) for mask in (voxels.occupied, voxels.free))
    size = voxels.grid.voxel_size
    x, y, z = (o - _PAD * size for o in voxels.grid.origin)
    grid = VoxelGrid((x, y, z), size, (occupied.shape[0], occupied.shape[1], occupied.shape[2]))
    unknown = ~occupied & ~free
    behind = torch.from_numpy(ndimage.binary_dilation(occupied.numpy())) & unknown
    eye_level = int((eyes[:, 2].max().item() - z) / size)
    floor = floor_level(occupied, free, eye_level, round(FURNITURE / size))
    level = torch.arange(grid.shape[2])
    below = unknown & (level <= floor[..., None]) & (level > floor.min() - GROUND)
    inside = torch.zeros_like(occupied)
    inside[1:-1, 1:-1, 1:-1] = True
    matter = well_composed((occupied | behind | below) & inside)
    # Floors lie in the middle of their voxels, and so does the ground that goes on from them.
    signed = torch.nn.functional.pad(voxels.signed, pad)
    ground = below & (level == floor[..., None])
    signed = torch.where(ground, -_FLATTEST, signed)
    signed[..., 1:] = torch.where(ground[..., :-1] & ~matter[..., 1:], 1.0, signed[..., 1:])
    return Solid(matter, signed, grid)


def floor_level(
    occupied: Bool[Tensor, "x y z"], free: Bool[Tensor, "x y z"], eye_level: int, furniture: int
) -> Int[Tensor, "x y"]:
    """Number of the highest voxel of the floor in each column; the lowest voxel that is occupied where there is none.

    Args:
        eye_level: number of the voxel layer of the highest eye: no floor lies above.
        furniture: voxels; what is narrower than this does not raise the floor.
    """
    top = occupied[..., :-1] & free[..., 1:]
    top[..., eye_level:] = False
    known = top.any(-1).numpy()
    if not known.any():
        lowest = occupied.any(0).any(0).nonzero()
        return torch.full(top.shape[:2], int(lowest[0]) if len(lowest) else 0)
    height = np.where(known, top.int().argmax(-1).numpy(), np.iinfo(np.int32).max).astype(np.int32)
    low = ndimage.minimum_filter(height, size=furniture, mode="nearest")
    low[low == np.iinfo(np.int32).max] = -1
    opened = ndimage.maximum_filter(low, size=furniture, mode="nearest")
    opened = np.minimum(opened, height)
    nearest = np.asarray(ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True))
    return torch.from_numpy(np.where(known, opened, opened[tuple(nearest)])).long()


def well_composed(matter: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """Matter with a few voxels more, so that none touch along an edge or at a corner alone; nor does what is free.

    The surface of such a set is a manifold (Latecki 1997). The outermost layer must be free, and stays so.
    """
    filled = matter.clone()
    changed = True
    while changed:
        before = int(filled.sum())
        for axis in range(3):
            a, b = ((axis + 1) % 3, (axis + 2) % 3)
            for flip in (False, True):
                _fill_across_edges(filled, a, b, flip)
        _fill_across_corners(filled)
        changed = int(filled.sum()) != before
    return filled


def _fill_across_edges(matter: Bool[Tensor, "x y z"], a: int, b: int, flip: bool) -> None:
    """Where of four voxels around an edge two opposite ones are matter and the others are not, one more becomes so."""
    low = [matter.narrow(a, 0, matter.shape[a] - 1), matter.narrow(a, 1, matter.shape[a] - 1)]
    first, second = low if not flip else low[::-1]
    near = [part.narrow(b, 0, part.shape[b] - 1) for part in (first, second)]
    far = [part.narrow(b, 1, part.shape[b] - 1) for part in (first, second)]
    crossed = near[0] & far[1] & ~near[1] & ~far[0]
    near[1] |= crossed


def _fill_across_corners(matter: Bool[Tensor, "x y z"]) -> None:
    """Where of eight voxels around a corner only two opposite ones are matter, or only two are not, one joins them."""
    corners = {
        (i, j, k): matter[i : matter.shape[0] - 1 + i, j : matter.shape[1] - 1 + j, k : matter.shape[2] - 1 + k]
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    }
    for (i, j, k), corner in corners.items():
        if i:
            continue
        opposite = corners[1 - i, 1 - j, 1 - k]
        others = [c for place, c in corners.items() if place not in ((i, j, k), (1 - i, 1 - j, 1 - k))]
        some, all_ = torch.zeros_like(corner), torch.ones_like(corner)
        for other in others:
            some = some | other
            all_ = all_ & other
        alone = corner & opposite & ~some
        hollow = ~corner & ~opposite & all_
        corners[1, j, k] |= alone
        corner |= hollow


def signed_matter(solid: Solid) -> Float[Tensor, "x y z"]:
    """Voxels from each voxel's centre to the surface of matter: negative in matter, at least `_FLATTEST` in size, and
    half a voxel where the distance is not known."""
    # The centre of a voxel of matter may lie before the surface in it, which then is at the centre as nearly as can be.
    magnitude = torch.where(solid.matter, -solid.signed, solid.signed.abs()).clamp(_FLATTEST, 1)
    magnitude = torch.where(solid.signed == 0, 0.5, magnitude)
    return torch.where(solid.matter, -magnitude, magnitude)


def collider_from_solid(solid: Solid) -> Mesh:
    """The surface of matter: watertight, a manifold, counter-clockwise from outside; to a fraction of a voxel where the
    distance to the surface is known."""
    size = solid.grid.voxel_size
    x, y, z = (n // SIDE for n in solid.grid.shape)
    volume = full_volume(torch.tensor(solid.grid.origin), size, (x, y, z))
    volume.distance.copy_(blocked(signed_matter(solid)))
    # Only what is beside the surface needs to be looked at.
    around = ndimage.generate_binary_structure(3, 3)
    matter = solid.matter.numpy()
    beside = ndimage.binary_dilation(matter, around) & np.logical_not(ndimage.binary_erosion(matter, around))
    volume.weight.copy_(blocked(torch.from_numpy(beside).float()))
    return surface_nets(volume, steepest=torch.inf)
