"""The mesh of a splat scene: fused, freed of specks, decimated."""

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worldloom.geometry.mesh import Mesh
from worldloom.recon.mesh.decimate import decimate
from worldloom.recon.mesh.depth_views import DepthViews
from worldloom.recon.mesh.surface_nets import surface_nets
from worldloom.recon.mesh.tsdf import fuse

SPECK = 50  # triangles; a piece that hangs together by fewer is noise
NUM_FACES = 100_000


def mesh_from_views(views: DepthViews, voxel_size: float, num_faces: int | None = NUM_FACES) -> Mesh:
    """The surfaces that the views see, open where nobody looked. No colours; see `bake_colours`.

    Args:
        voxel_size: metres. Coarser where the memory of `fuse` would not do.
        num_faces: at most about so many triangles; None leaves all.
    """
    mesh = without_specks(surface_nets(fuse(views, voxel_size)))
    return mesh if num_faces is None else decimate(mesh, num_faces)


def without_specks(mesh: Mesh, fewest: int = SPECK) -> Mesh:
    """Without the pieces that have fewer than `fewest` triangles."""
    a, b, c = mesh.faces.numpy().T
    num = len(mesh.vertices)
    links = (np.concatenate([a, a]), np.concatenate([b, c]))
    graph = coo_array((np.ones(2 * len(a), np.int8), links), shape=(num, num))
    piece = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
    large = piece[mesh.faces[:, 0]].bincount(minlength=int(piece.max()) + 1 if num else 0) >= fewest
    kept = mesh.faces[large[piece[mesh.faces[:, 0]]]]
    used = torch.zeros(num, dtype=torch.bool)
    used[kept.flatten()] = True
    return Mesh(mesh.vertices[used], (used.cumsum(0) - 1)[kept])
