"""What road users look like: of the places around a track those that were solid more often than empty.

The voxels that frames show of a user lie on lattices that slide under it, and its poses err: their union is fatter than
the user by most of a voxel. Here every frame also says what was empty, and the body's lattice is finer than theirs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.occupancy import Occupancy, VoxelGrid
from worldloom.geometry.rigid import apply, invert
from worldloom.occupancy.tracks import Track

CELL = 0.2  # metres; half of Occ3D's voxel
_LATEST = 3.0  # votes of the last sighting; the others have one: it is the nearest to what comes
_LEAN = -0.25  # balance of votes from which a cell is solid; a frame shows the edges of a body now and then only


def with_bodies(tracks: Sequence[Track], clip: Occupancy) -> tuple[Track, ...]:
    """Tracks of a clip (over the same t frames) with the cells that each of them fills."""
    return tuple(replace(track, body=_body(track, clip)) for track in tracks)


def draw_tracks(
    labels: UInt8[Tensor, "x y z"],
    grid: VoxelGrid,
    grid_from_objects: Float[Tensor, "n 4 4"],
    tracks: Sequence[Track],
) -> UInt8[Tensor, "x y z"]:
    """Labels with road users put into them: voxels whose middle is in a cell of the body.

    A track without a body is drawn by its points, as if each were the middle of a voxel.
    """
    out = labels.clone()
    drawn = out.numpy()
    origin, shape = np.array(grid.origin), np.array(grid.shape)
    for track, grid_from_object in zip(tracks, grid_from_objects.double().numpy(), strict=True):
        middles = (track.points if track.body is None else track.body).double().numpy()
        if not len(middles):
            continue
        turn, place = grid_from_object[:3, :3], grid_from_object[:3, 3]
        placed = (middles @ turn.T + place - origin) / grid.voxel_size
        low = np.maximum(np.floor(placed.min(0) - 1).astype(np.int64), 0)
        high = np.minimum(np.floor(placed.max(0) + 2).astype(np.int64), shape)
        if not (low < high).all():
            continue
        cells = np.moveaxis(np.indices(high - low), 0, -1) + low
        asked = ((cells + 0.5) * grid.voxel_size + origin - place) @ turn  # the inverse motion
        if track.body is None:
            reach = 1.02 * grid.voxel_size / 2
            inside = np.isfinite(KDTree(middles).query(asked, p=np.inf, distance_upper_bound=reach)[0])
        else:
            inside = _among_cells(asked, middles)
        x, y, z = cells[inside].T
        drawn[x, y, z] = track.label
    return out


def _among_cells(points: Float64[np.ndarray, "*n 3"], middles: Float64[np.ndarray, "m 3"]) -> Bool[np.ndarray, "*n"]:
    """Whether points lie in cells of these middles."""
    cells = np.floor(middles / CELL).astype(np.int64)
    first = cells.min(0)
    filled = np.zeros(cells.max(0) - first + 1, np.bool_)
    filled[tuple((cells - first).T)] = True
    at = np.floor(points / CELL).astype(np.int64) - first
    there = ((at >= 0) & (at < filled.shape)).all(-1)
    return filled[tuple(np.moveaxis(np.where(there[..., None], at, 0), -1, 0))] & there


def _body(track: Track, clip: Occupancy) -> Float[Tensor, "m 3"]:
    """Middles of the cells that a user fills, in its own frame."""
    cells = _cells_around(track.points)
    middles = ((cells + 0.5) * CELL).double()
    solid, empty = torch.zeros(len(cells)), torch.zeros(len(cells))
    seen = track.present.nonzero()[:, 0].tolist()
    counts = []
    origin, size = torch.tensor(clip.grid.origin, dtype=torch.float64), torch.tensor(clip.grid.shape)
    for i in seen:
        ego_from_object = invert(clip.world_from_ego[i].double()) @ track.world_from_object[i].double()
        at = ((apply(ego_from_object, middles) - origin) / clip.grid.voxel_size).floor().long()
        inside = ((at >= 0) & (at < size)).all(1)
        x, y, z = at[inside].T
        known = clip.observed[i][x, y, z]
        here = known & (clip.labels[i][x, y, z] == track.label)
        votes = _LATEST if i == seen[-1] else 1.0
        solid[inside] += votes * here
        empty[inside] += votes * (known & ~here)
        counts.append(int(here.sum()))
    share = (solid - empty) / (solid + empty).clamp(min=1)
    keep = share > _LEAN
    # Who is thinner than a voxel fills no place more often than not: it stays as large as it was last seen.
    least = min(max(counts[-1], 1), len(cells))
    if int(keep.sum()) < least:
        keep[share.topk(least).indices] = True
    return middles[keep].float()


def _cells_around(points: Float[Tensor, "n 3"]) -> Float[Tensor, "m 3"]:
    """Cells within a voxel of points."""
    offsets = torch.arange(-1, 2)
    around = torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij"), -1).flatten(0, 2)
    cells = (points / CELL).floor().long()[:, None] + around
    return cells.flatten(0, 1).unique(dim=0).float()
