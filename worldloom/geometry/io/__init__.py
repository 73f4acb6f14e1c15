"""Reading and writing every file format; foreign conventions stop here."""

from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.io.camera_paths import load_camera_paths, save_camera_paths
from worldloom.geometry.io.cameras import load_cameras, save_cameras
from worldloom.geometry.io.clip import load_clip, save_clip
from worldloom.geometry.io.colmap import load_colmap, save_colmap
from worldloom.geometry.io.ego_path import load_ego_path, save_ego_path
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.images import image_size, load_hdr, load_image, save_hdr, save_image, tonemap
from worldloom.geometry.io.mesh import load_glb, save_glb
from worldloom.geometry.io.navmesh import load_navmesh, save_navmesh
from worldloom.geometry.io.nerfstudio import load_nerfstudio, save_nerfstudio
from worldloom.geometry.io.nuscenes import load_nuscenes
from worldloom.geometry.io.occ3d import load_occ3d_frame, load_occ3d_scene, save_occ3d_scene
from worldloom.geometry.io.video import load_video, save_video

__all__ = [
    "atomic_path",
    "image_size",
    "load_camera_paths",
    "load_cameras",
    "load_clip",
    "load_colmap",
    "load_ego_path",
    "load_gaussians",
    "load_glb",
    "load_hdr",
    "load_image",
    "load_navmesh",
    "load_nerfstudio",
    "load_nuscenes",
    "load_occ3d_frame",
    "load_occ3d_scene",
    "load_video",
    "safe_join",
    "save_camera_paths",
    "save_cameras",
    "save_clip",
    "save_colmap",
    "save_ego_path",
    "save_gaussians",
    "save_glb",
    "save_hdr",
    "save_image",
    "save_navmesh",
    "save_nerfstudio",
    "save_occ3d_scene",
    "save_video",
    "tonemap",
]
