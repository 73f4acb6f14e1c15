"""Fewer triangles for the same surface."""

from types import ModuleType

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worldloom.errors import require
from worldloom.geometry.mesh import Mesh


def check_decimation() -> ModuleType:
    """The library that decimates.

    Raises:
        MissingExtra: fast-simplification is not installed.
    """
    return require("fast_simplification", "export", "decimating a mesh")


def decimate(mesh: Mesh, num_faces: int) -> Mesh:
    """At most about `num_faces` triangles, by collapsing the edges whose loss is felt least (Garland and Heckbert
    1997). Colours are dropped; a mesh that is small enough comes back as it is.

    Raises:
        MissingExtra: fast-simplification is not installed.
    """
    if len(mesh.faces) <= num_faces:
        return mesh
    vertices, faces = check_decimation().simplify(
        mesh.vertices.numpy(), mesh.faces.numpy().astype(np.int32), target_count=num_faces
    )
    return Mesh(torch.from_numpy(vertices).float(), torch.from_numpy(faces).long())


def decimate_closed(mesh: Mesh, num_faces: int) -> Mesh:
    """As `decimate`, for a watertight mesh, which stays watertight: each edge has exactly two triangles."""
    smaller = decimate(mesh, num_faces)
    return smaller if smaller is mesh else _opened_out(smaller)


def _opened_out(mesh: Mesh) -> Mesh:
    """A closed mesh whose edges all have two triangles, from one where some have four or more.

    Collapsed edges leave pairs of triangles back to back, which are dropped, and sheets that touch along an edge. At
    such an edge each triangle is joined to one that runs along it the other way. Corners of triangles are one vertex
    only if a chain of joints leads around it from one to the other, which lets most sheets go of each other. Where two
    sheets have both ends of the edge in common all the same, each gets an edge of its own with a new vertex in it.
    """
    faces = _without_pairs(mesh.faces.numpy())
    ahead, back = _joints(faces)
    following = _next_corner(len(faces))
    links = np.concatenate([np.stack([ahead, following[back]]), np.stack([following[ahead], back])], axis=1)
    num = 3 * len(faces)
    graph = coo_array((np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(num, num))
    corner = connected_components(graph, directed=False)[1].reshape(-1, 3)
    vertices = np.empty((corner.max(initial=-1) + 1, 3), np.float32)
    vertices[corner] = mesh.vertices.numpy()[faces]
    faces = corner.astype(np.int64)
    while True:
        ahead, back = _joints(faces)
        shared = _shared_edges(faces, ahead)
        if not shared.any():
            return Mesh(torch.from_numpy(vertices), torch.from_numpy(faces))
        vertices, faces = _split(vertices, faces, ahead[shared], back[shared])


def _next_corner(num_faces: int) -> Int[np.ndarray, " h"]:
    """Half-edge h runs from corner h, counted through all triangles, to this one."""
    return np.arange(3 * num_faces).reshape(-1, 3)[:, [1, 2, 0]].ravel()


def _edges(faces: Int[np.ndarray, "m 3"]) -> tuple[Int[np.ndarray, " h"], Bool[np.ndarray, " h"]]:
    """A number for the edge of each half-edge, and whether it runs from the lower to the higher vertex."""
    start, end = faces.ravel(), faces.ravel()[_next_corner(len(faces))]
    low, high = np.minimum(start, end), np.maximum(start, end)
    return low * (faces.max(initial=0) + 1) + high, start < end


def _joints(faces: Int[np.ndarray, "m 3"]) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Half-edges in pairs that run along one edge in opposite directions."""
    edge, forward = _edges(faces)
    order = np.argsort(edge, kind="stable")
    ahead, back = order[forward[order]], order[~forward[order]]
    assert np.array_equal(edge[ahead], edge[back]), "the mesh is not closed"
    return ahead, back


def _shared_edges(faces: Int[np.ndarray, "m 3"], ahead: Int[np.ndarray, " e"]) -> Bool[np.ndarray, " e"]:
    """Joints whose edge has another joint before them."""
    edge = _edges(faces)[0][ahead]
    return np.concatenate([[False], edge[1:] == edge[:-1]])


def _split(
    vertices: Float[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "m 3"],
    ahead: Int[np.ndarray, " e"],
    back: Int[np.ndarray, " e"],
) -> tuple[Float[np.ndarray, "n2 3"], Int[np.ndarray, "m2 3"]]:
    """Both triangles of some joints cut in two by a vertex in the middle of their edge; each triangle once at most."""
    used: set[int] = set()
    chosen = []
    for pair in np.stack([ahead, back], 1).tolist():
        touched = {pair[0] // 3, pair[1] // 3}
        if not touched & used:
            used |= touched
            chosen.append(pair)
    half = np.array(chosen)  # e 2
    middle = len(vertices) + np.arange(len(half))
    face, corner = half // 3, half % 3
    start, end, tip = (faces[face, (corner + k) % 3] for k in range(3))
    added = (vertices[start[:, 0]] + vertices[end[:, 0]]) / 2
    other = np.stack([np.broadcast_to(middle[:, None], end.shape), end, tip], -1).reshape(-1, 3)
    faces = faces.copy()
    faces[face, (corner + 1) % 3] = middle[:, None]
    return np.concatenate([vertices, added]), np.concatenate([faces, other])


def _without_pairs(faces: Int[np.ndarray, "m 3"]) -> Int[np.ndarray, "m2 3"]:
    """Without the triangles that lie back to back with another one of the same three vertices."""
    turned = np.take_along_axis(faces, (faces.argmin(1)[:, None] + np.arange(3)) % 3, axis=1)
    side = np.where(turned[:, 1] < turned[:, 2], 1, -1)
    group = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)[1].ravel()
    surplus = np.bincount(group, side).astype(np.int64)
    spare = side * np.sign(surplus[group]) > 0  # on the side that has more
    order = np.lexsort((~spare, group))
    rank = np.empty(len(faces), np.int64)
    rank[order] = np.arange(len(faces)) - np.searchsorted(group[order], group[order])
    return faces[spare & (rank < np.abs(surplus)[group])]
