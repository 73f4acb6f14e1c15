"""The zero surface of a signed distance as triangles: one vertex in each cell that it crosses (Gibson 1998)."""

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from worldloom.geometry.mesh import Mesh
from worldloom.recon.mesh.tsdf import SIDE, TsdfVolume

STEEPEST = 1.7  # voxels of distance over one voxel of way
_CORNERS = torch.cartesian_prod(*[torch.arange(2)] * 3)  # of a cell, z fastest: number 4 x + 2 y + z


def surface_nets(volume: TsdfVolume, steepest: float = STEEPEST) -> Mesh:
    """Triangles of the surface, counter-clockwise as seen from the free side; no colours.

    A cell lies between the centres of 2 x 2 x 2 voxels. Where all eight were seen and their signs differ, it gets a
    vertex: the mean of the points at which its edges are crossed. Each crossed edge joins the vertices of the four
    cells around it. A surface therefore ends where observation ends, and no hole is closed.

    Distances cannot change faster than the way between two points (times 1 / cos where they were taken along a slanted
    ray). Beside a silhouette they seem to: free on one side, just behind the surface on the other. Such an edge is no
    crossing, and no sheet grows from silhouettes into the depth.

    Args:
        steepest: an edge over which the distance changes by this many voxels or more is no crossing. Infinity closes
            all; if then every voxel was seen and the outermost are free, and no two voxels behind the surface touch
            along an edge or at a corner alone, the surface is a watertight manifold.
    """
    block, voxel = ((volume.weight > 0) & (volume.distance.abs() < steepest)).nonzero(as_tuple=True)
    place = volume.places[block] * SIDE + _in_block(voxel)
    value, weight = _values(volume, place[:, None] + _CORNERS)
    seen = (weight > 0).all(1)
    mixed = seen & (value < 0).any(1) & (value >= 0).any(1)
    place, value = place[mixed], value[mixed]

    total, count = torch.zeros(len(place), 3), torch.zeros(len(place), 1)
    for a, b in _edges():
        da, db = value[:, a], value[:, b]
        crossed = ((da < 0) != (db < 0)) & ((da - db).abs() < steepest)
        share = torch.where(crossed, da / torch.where(crossed, da - db, 1), 0)[:, None]
        point = _CORNERS[a] + share * (_CORNERS[b] - _CORNERS[a])
        total += torch.where(crossed[:, None], point, 0)
        count += crossed[:, None]
    there = count[:, 0] > 0
    place, value = place[there], value[there]
    vertices = volume.origin + (place + 0.5 + total[there] / count[there]) * volume.voxel_size

    keys = _key(place)
    order = keys.argsort()
    keys = keys[order]
    quads = [_quads(axis, place, value, keys, order, steepest) for axis in range(3)]
    return _compact(vertices, _triangles(vertices, torch.cat(quads)))


def _edges() -> list[tuple[int, int]]:
    """The twelve edges of a cell as pairs of corners, the lower one first."""
    return [(a, b) for a in range(8) for b in range(8) if b > a and (a ^ b).bit_count() == 1]


def _in_block(voxel: Int[Tensor, " n"]) -> Int[Tensor, "n 3"]:
    return torch.stack([voxel // SIDE**2, voxel // SIDE % SIDE, voxel % SIDE], -1)


def _values(volume: TsdfVolume, place: Int[Tensor, "n 8 3"]) -> tuple[Float[Tensor, "n 8"], Float[Tensor, "n 8"]]:
    """Distance and weight at voxels given by their places in the whole volume; 0 where there is no block."""
    shape = torch.tensor(volume.table.shape)
    block = place // SIDE
    inside = (block < shape).all(-1)
    number = volume.table[tuple(torch.minimum(block, shape - 1).unbind(-1))].long()
    known = inside & (number >= 0)
    number = torch.where(known, number, 0)
    voxel = place - block * SIDE
    voxel = (voxel[..., 0] * SIDE + voxel[..., 1]) * SIDE + voxel[..., 2]
    return volume.distance[number, voxel], torch.where(known, volume.weight[number, voxel], 0)


def _key(place: Int[Tensor, "n 3"]) -> Int64[Tensor, " n"]:
    return ((place[:, 0] << 21) + place[:, 1] << 21) + place[:, 2]


def _quads(
    axis: int,
    place: Int[Tensor, "n 3"],
    value: Float[Tensor, "n 8"],
    keys: Int[Tensor, " n"],
    order: Int[Tensor, " n"],
    steepest: float,
) -> Int64[Tensor, "q 4"]:
    """The four cells around each crossed edge that runs along an axis, in turn about it.

    An edge belongs to the cell at whose lowest corner it starts; the others lie before it along the other two axes.
    """
    end = 4 >> axis
    first, last = value[:, 0], value[:, end]
    crossed = ((first < 0) != (last < 0)) & ((first - last).abs() < steepest)
    start, rising = place[crossed], (first < 0)[crossed]
    b, c = (torch.eye(3, dtype=torch.long)[(axis + k) % 3] for k in (1, 2))
    around = torch.stack([start, start - b, start - b - c, start - c], 1)
    wanted = _key(around.flatten(0, 1))
    at = torch.searchsorted(keys, wanted).clamp(max=max(len(keys) - 1, 0))
    found = (keys[at] == wanted).view(-1, 4).all(1)
    cells = order[at].view(-1, 4)
    # From behind to free along the axis, this turn is counter-clockwise as seen from the free side.
    return torch.where(rising[:, None], cells, cells.flip(1))[found]


def _triangles(vertices: Float[Tensor, "n 3"], quads: Int64[Tensor, "q 4"]) -> Int64[Tensor, "m 3"]:
    """Two triangles of each quad, cut along the shorter diagonal."""
    a, b, c, d = vertices[quads].unbind(1)
    by_ac = ((a - c).norm(dim=-1) <= (b - d).norm(dim=-1))[:, None, None]
    split = torch.where(by_ac, quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[1, 2, 3], [1, 3, 0]]])
    return split.flatten(0, 1)


def _compact(vertices: Float[Tensor, "n 3"], faces: Int64[Tensor, "m 3"]) -> Mesh:
    used = torch.zeros(len(vertices), dtype=torch.bool)
    used[faces.flatten()] = True
    number = used.cumsum(0) - 1
    return Mesh(vertices[used], number[faces])
