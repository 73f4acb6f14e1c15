"""The shared nouns, rigid transforms, panoramas and every file format; the one place that knows foreign conventions."""

from worldloom.geometry.camera import Camera, intrinsics, look_at
from worldloom.geometry.camera_path import CameraPath
from worldloom.geometry.ego_path import EgoPath, Trajectory, path_from_steps
from worldloom.geometry.equirect import (
    cubemap_cameras,
    cubemap_from_panorama,
    depth_from_distance,
    direction_from_pixel,
    directions,
    distance_from_depth,
    panorama_from_cubemap,
    pixel_from_direction,
    rays,
    sample_panorama,
    solid_angles,
    tangent_cameras,
    tangent_views,
)
from worldloom.geometry.fisheye import Fisheye, fisheye_rays
from worldloom.geometry.gaussians import Gaussians, sh_from_rgb
from worldloom.geometry.interpolate import interpolate_poses, resample_cameras, resample_path
from worldloom.geometry.manoeuvres import manoeuvre_path
from worldloom.geometry.mesh import Mesh
from worldloom.geometry.navmesh import Agent, NavMesh
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.geometry.occupancy import (
    FREE,
    GROUND,
    MOVERS,
    OCC3D_CLASSES,
    OCC3D_GRID,
    STATIC,
    Occupancy,
    VoxelGrid,
    among,
)
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.posed_images import Distortion, PosedImages
from worldloom.geometry.rigid import apply, compose, invert, quat_from_rotmat, rotmat_from_quat, rotz, yaw_from_rotmat
from worldloom.geometry.transform_gaussians import sh_rotation, transform_gaussians
from worldloom.geometry.warp_occupancy import warp_labels, warp_observed

__all__ = [
    "FREE",
    "GROUND",
    "MOVERS",
    "OCC3D_CLASSES",
    "OCC3D_COLOURS",
    "OCC3D_GRID",
    "STATIC",
    "Agent",
    "Camera",
    "CameraPath",
    "Distortion",
    "EgoPath",
    "Fisheye",
    "Gaussians",
    "Mesh",
    "NavMesh",
    "Occupancy",
    "Panorama",
    "PosedImages",
    "Trajectory",
    "VoxelGrid",
    "among",
    "apply",
    "compose",
    "cubemap_cameras",
    "cubemap_from_panorama",
    "depth_from_distance",
    "direction_from_pixel",
    "directions",
    "distance_from_depth",
    "fisheye_rays",
    "interpolate_poses",
    "intrinsics",
    "invert",
    "look_at",
    "manoeuvre_path",
    "panorama_from_cubemap",
    "path_from_steps",
    "pixel_from_direction",
    "quat_from_rotmat",
    "rays",
    "resample_cameras",
    "resample_path",
    "rotmat_from_quat",
    "rotz",
    "sample_panorama",
    "sh_from_rgb",
    "sh_rotation",
    "solid_angles",
    "tangent_cameras",
    "tangent_views",
    "transform_gaussians",
    "warp_labels",
    "warp_observed",
    "yaw_from_rotmat",
]
