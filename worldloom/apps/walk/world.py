"""A scene to walk in: its splats, where to begin, its paths, and what is measured of it when it is asked for."""

import math
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.walk.passage import ARM, Air, Footing, Place, towards
from worldloom.apps.walk.start_view import StartView, start_view_of
from worldloom.errors import InputError
from worldloom.geometry import Camera, CameraPath, Gaussians, intrinsics, look_at
from worldloom.geometry.io import load_camera_paths, load_gaussians
from worldloom.geometry.io.textured import Node, save_textured_glb
from worldloom.recon import mesh as surfaces
from worldloom.render import gaussians_from_occupancy, render
from worldloom.scenegen.walkable import walkable

EYE = 1.5  # metres over the floor, where nothing tells how high the eye was
EYES = (0.5, 3.0)  # metres over the floor that an eye on foot may have
_VIEW_SIZE = 256  # pixels of the views that surfaces are measured in
_VOXELS_ACROSS = 160  # of the longest side, about
_FINEST = 0.1  # metres
_FACES = 40_000  # of the mesh, about
_AIM = 15  # pixels of the little picture by which a click finds what it hit
_SHADES = 64  # heights of voxels that are told apart
# From low to high, each lighter than the one before.
_HEIGHTS = ((0.16, 0.20, 0.38), (0.13, 0.44, 0.55), (0.30, 0.67, 0.50), (0.73, 0.82, 0.36), (0.99, 0.93, 0.60))


@dataclass(frozen=True)
class World:
    """Splats, and where a visit begins."""

    gaussians: Gaussians
    start: StartView = field(default_factory=StartView)
    paths: tuple[CameraPath, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> "World":
        """What a finished run left in `folder`: scene.ply, and if they are there paths and where to look from.

        Raises:
            InputError: there is no scene.ply, or a file of it is damaged.
        """
        if not (folder / "scene.ply").is_file():
            raise InputError(f"{folder}: expected a finished scene with scene.ply, got none")
        gaussians = load_gaussians(folder / "scene.ply")
        if not len(gaussians):
            raise InputError(f"{folder / 'scene.ply'}: expected at least one Gaussian, got none")
        return cls(gaussians, start_view_of(folder) or StartView(), _paths(folder))

    @property
    def eye(self) -> Place:
        """Where a visit begins."""
        return self.start.eye

    @property
    def first_target(self) -> Place:
        """What the first view turns about: the head's own place on foot, and in flight what is to be seen."""
        return self.start.target if self.footing is None else towards(self.eye, self.start.target, ARM)

    @cached_property
    def footing(self) -> Footing | None:
        """The ground around the start; None where there is none to walk on."""
        if not self.start.upright:
            return None
        try:
            ground = walkable(self.gaussians, self.eye)
        except InputError:
            return None
        eye = self.eye[2] - ground.floor
        return Footing(ground, self.eye, eye if EYES[0] <= eye <= EYES[1] else EYE)

    @cached_property
    def air(self) -> Air:
        """Takes seconds."""
        return Air.around(self._voxels)

    def hit(self, origin: Place, direction: Place) -> Place | None:
        """What a ray from an eye meets first in the splats, world metres; None if nothing."""
        eye, ahead = torch.tensor(origin, dtype=torch.float32), torch.tensor(direction, dtype=torch.float32)
        pose = look_at(eye, eye + ahead)
        size = (_AIM, _AIM)
        with torch.no_grad():
            seen = render(self.gaussians, Camera(pose, intrinsics(math.radians(2), size), size))
        middle = _AIM // 2
        if not seen.median_valid[middle, middle]:
            return None
        x, y, z = (eye + seen.median_depth[middle, middle] * pose[:3, 2]).tolist()
        return x, y, z

    @cached_property
    def voxel_splats(self) -> Gaussians:
        """The occupied voxels, coloured by height. Takes seconds."""
        occupied = self._voxels.occupied
        levels = occupied.shape[2]
        layers = torch.arange(levels) * _SHADES // max(1, levels)
        labels = torch.where(occupied, layers, _SHADES).to(torch.uint8)
        return gaussians_from_occupancy(labels, self._voxels.grid, colours=_ramp(_SHADES), free=_SHADES)

    @cached_property
    def mesh(self) -> bytes:
        """The textured surface as a binary glTF, y up. Takes many seconds.

        Raises:
            InputError: the splats show no surface.
            MissingExtra: what thins out meshes is not installed.
        """
        surfaces.check_decimation()
        size = surfaces.voxel_size_for(self._views)
        mesh = surfaces.mesh_from_views(self._views, size, _FACES)
        if not len(mesh.faces):
            raise InputError("expected splats that show surfaces around the start, got a mesh without triangles")
        textured, atlas = surfaces.bake_colours(mesh, self._views, self.gaussians, size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mesh.glb"
            save_textured_glb(path, [textured], [Node("scene", 0, torch.eye(4))], atlas, unlit=True)
            return path.read_bytes()

    @cached_property
    def _views(self) -> surfaces.DepthViews:
        places = [torch.tensor([self.eye]), *(path.cameras.world_from_cam[:, :3, 3].float() for path in self.paths)]
        with torch.no_grad():
            return surfaces.look_around(self.gaussians, torch.cat(places), _VIEW_SIZE)

    @cached_property
    def _voxels(self) -> surfaces.SceneVoxels:
        return surfaces.voxels_from_views(self._views, max(_FINEST, 2 * self._views.max_depth / _VOXELS_ACROSS))


def _paths(folder: Path) -> tuple[CameraPath, ...]:
    if (folder / "paths.json").is_file():
        return load_camera_paths(folder / "paths.json")
    if (folder / "cameras.json").is_file():
        return load_camera_paths(folder / "cameras.json")
    return ()


def _ramp(num: int) -> Float[Tensor, "n 3"]:
    knots = torch.tensor(_HEIGHTS)
    at = torch.linspace(0, len(knots) - 1, num)
    index = at.long().clamp(max=len(knots) - 2)
    return torch.lerp(knots[index], knots[index + 1], (at - index)[:, None])
