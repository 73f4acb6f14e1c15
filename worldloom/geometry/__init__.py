"""The shared nouns, rigid transforms, panoramas and every file format; the only place that knows foreign conventions."""

from worldloom.geometry.camera import Camera, intrinsics, look_at
from worldloom.geometry.ego_path import EgoPath, Trajectory, path_from_steps
from worldloom.geometry.gaussians import Gaussians, sh_from_rgb
from worldloom.geometry.occupancy import FREE, GROUND, MOVERS, OCC3D_CLASSES, OCC3D_GRID, Occupancy, VoxelGrid
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.rigid import apply, compose, invert, quat_from_rotmat, rotmat_from_quat, rotz, yaw_from_rotmat

__all__ = [
    "FREE",
    "GROUND",
    "MOVERS",
    "OCC3D_CLASSES",
    "OCC3D_GRID",
    "Camera",
    "EgoPath",
    "Gaussians",
    "Occupancy",
    "Panorama",
    "Trajectory",
    "VoxelGrid",
    "apply",
    "compose",
    "intrinsics",
    "invert",
    "look_at",
    "path_from_steps",
    "quat_from_rotmat",
    "rotmat_from_quat",
    "rotz",
    "sh_from_rgb",
    "yaw_from_rotmat",
]
