"""From splats to surfaces: depth views, a mesh with its texture, voxels, and what physics collides with."""

from worldloom.recon.mesh.decimate import check_decimation, decimate, decimate_closed
from worldloom.recon.mesh.depth_views import DepthViews, depth_views, look_around, sky_radius, voxel_size_for
from worldloom.recon.mesh.hulls import hulls_from_solid
from worldloom.recon.mesh.photo_mesh import mesh_from_photos
from worldloom.recon.mesh.solid import Solid, collider_from_solid, solid_from_voxels
from worldloom.recon.mesh.surface import NUM_FACES, mesh_from_views
from worldloom.recon.mesh.surface_nets import surface_nets
from worldloom.recon.mesh.texture import bake_colours
from worldloom.recon.mesh.tsdf import TsdfVolume, fuse
from worldloom.recon.mesh.voxels import SceneVoxels, voxels_from_views

__all__ = [
    "NUM_FACES",
    "DepthViews",
    "SceneVoxels",
    "Solid",
    "TsdfVolume",
    "bake_colours",
    "check_decimation",
    "collider_from_solid",
    "decimate",
    "decimate_closed",
    "depth_views",
    "fuse",
    "hulls_from_solid",
    "look_around",
    "mesh_from_photos",
    "mesh_from_views",
    "sky_radius",
    "solid_from_voxels",
    "surface_nets",
    "voxel_size_for",
    "voxels_from_views",
]
