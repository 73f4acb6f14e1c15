"""The textured mesh of what photos see."""

import math

from worldloom.geometry.camera import Camera
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.io.textured import Atlas, TexturedMesh
from worldloom.recon.mesh.decimate import check_decimation
from worldloom.recon.mesh.depth_views import depth_views, sky_radius
from worldloom.recon.mesh.surface import mesh_from_views
from worldloom.recon.mesh.texture import bake_colours

DETAIL = 2.0  # width of a voxel in pixels of a photo


def mesh_from_photos(gaussians: Gaussians, cameras: Camera) -> tuple[TexturedMesh, Atlas] | None:
    """The surfaces that cameras with batch (v,) see, in their colours; None where nothing hangs together.

    Raises:
        MissingExtra: what thins meshes out is not installed.
    """
    check_decimation()  # before the work
    centre = cameras.world_from_cam[:, :3, 3].mean(0)
    shell = sky_radius(gaussians, centre)
    away = (gaussians.means - centre).norm(dim=-1)
    solid = away[away < (shell or math.inf)]
    views = depth_views(gaussians, cameras, 2 * float(solid.quantile(0.9)))
    if not bool(views.valid.any()):
        return None
    size = DETAIL * float(views.depth[views.valid].median()) / float(cameras.K[0, 0, 0])
    mesh = mesh_from_views(views, size)
    return bake_colours(mesh, views, gaussians, size) if len(mesh.faces) else None
