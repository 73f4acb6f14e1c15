"""`worldloom export`: a splat world in the files of other programs."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.run_folder import MADE_BY, REPORT, Run, open_run
from worldloom.errors import InputError
from worldloom.geometry import Camera, Gaussians, Mesh
from worldloom.geometry.gaussians import solid_points
from worldloom.geometry.io.cameras import load_cameras
from worldloom.geometry.io.clip import save_clip
from worldloom.geometry.io.colmap import save_colmap
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.mesh import save_glb, save_parts_glb
from worldloom.geometry.io.robot import save_mjcf, save_robot_meshes, save_urdf
from worldloom.geometry.io.textured import Atlas, Node, TexturedMesh, save_textured_glb
from worldloom.geometry.io.usd import check_usd, save_usd
from worldloom.geometry.posed_images import PosedImages
from worldloom.recon import mesh as surfaces
from worldloom.render import render

FORMATS = {
    "ply": "scene.ply: splats, exact",
    "spz": "scene.spz: splats, compressed",
    "splat": "scene.splat: splats without view-dependent colour",
    "gltf": "splats.glb: splats as glTF, KHR_gaussian_splatting",
    "glb": "mesh.glb: a textured mesh",
    "collision": "collision.glb, a watertight mesh, and hulls.glb, convex parts",
    "occupancy": "occupancy.npz: voxels that are occupied, free or unknown",
    "usd": "scene.usd: splats and the collider",
    "urdf": "robot/scene.urdf with its meshes",
    "mjcf": "robot/scene.xml for MuJoCo with its meshes",
    "colmap": "colmap/: images, cameras and points to train splats from",
}
SPLATS_ONLY = ("ply", "spz", "splat", "gltf")
DECIMATED = ("glb", "collision", "usd", "urdf", "mjcf")
ROBOT = "robot"
COLLIDER_FACES = 20_000
MAX_POINTS = 100_000  # of a COLMAP model
VOXEL_SIZES = (0.005, 10.0)  # metres
FACES = (100, 10_000_000)
VIEW_SIZE, VIEW_SIZES = 512, (64, 2048)  # pixels
EYES_OF_PANORAMA, EYES = 4, 8


@dataclass(frozen=True)
class ExportResult:
    """A finished export: its folder and what report.json says."""

    folder: Path
    report: dict


def make_export(
    world: Path,
    out: Path,
    formats: Sequence[str],
    *,
    cameras: Path | None = None,
    voxel_size: float = 0.1,
    num_faces: int = surfaces.NUM_FACES,
    view_size: int = VIEW_SIZE,
    force: bool = False,
    resume: bool = False,
) -> ExportResult:
    """A finished scene, or a file of splats, -> OUT with the files of each of `FORMATS` that is asked for.

    Args:
        world: a folder of `worldloom scene`, or a .ply, .spz, .splat or .glb of splats.
        cameras: see `load_cameras`; where they stood is free space. Needed for what is not splats alone, if the world
            is a file.
        voxel_size: metres, of the occupancy and the colliders; coarser where the world is too large for it.
        num_faces: of the textured mesh, about.
        view_size: pixels along the 90 degree views that the world is measured in: how fine surfaces and textures are.
    Raises:
        InputError: before anything is made, if the world or an option cannot be used; see also `open_run`.
        MissingExtra: a library that a format needs is not installed.
    """
    chosen = _check(formats, voxel_size, num_faces, view_size)
    source = _Source.find(world, cameras)
    if source.cameras is None and (needing := [name for name in chosen if name not in SPLATS_ONLY]):
        raise InputError(f"{world} holds splats alone, and {needing[0]} asks where cameras stood; pass --cameras FILE")
    gaussians = load_gaussians(source.splats)
    if not len(gaussians):
        raise InputError(f"{source.splats}: expected at least one Gaussian, got none")
    posed = None if source.cameras is None else load_cameras(source.cameras)
    request = {
        "command": "export",
        "splats_sha256": hashlib.sha256(source.splats.read_bytes()).hexdigest(),
        "cameras_sha256": None if posed is None else _sha256_of(posed.cameras),
        "formats": chosen,
        "voxel_size": voxel_size,
        "num_faces": num_faces,
        "view_size": view_size,
    }
    with open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            _build(run, _World(gaussians, posed, source.centre, voxel_size, num_faces, view_size), chosen)
    return ExportResult(out, json.loads((out / REPORT).read_text()))


def _check(formats: Sequence[str], voxel_size: float, num_faces: int, view_size: int) -> list[str]:
    """The formats in our order, each once."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise InputError(f"expected a format of {', '.join(FORMATS)}, got {unknown[0]!r}")
    if not formats:
        raise InputError(f"expected at least one format of {', '.join(FORMATS)}, got none")
    if not (math.isfinite(voxel_size) and VOXEL_SIZES[0] <= voxel_size <= VOXEL_SIZES[1]):
        raise InputError(f"--voxel-size must be {VOXEL_SIZES[0]} to {VOXEL_SIZES[1]:g} metres, got {voxel_size}")
    if not FACES[0] <= num_faces <= FACES[1]:
        raise InputError(f"--faces must be {FACES[0]} to {FACES[1]:,}, got {num_faces}")
    if not VIEW_SIZES[0] <= view_size <= VIEW_SIZES[1]:
        raise InputError(f"--view-size must be {VIEW_SIZES[0]} to {VIEW_SIZES[1]} pixels, got {view_size}")
    if any(name in DECIMATED for name in formats):
        surfaces.check_decimation()
    if "usd" in formats:
        check_usd()
    return [name for name in FORMATS if name in formats]


@dataclass(frozen=True)
class _Source:
    """Where the parts of a world lie."""

    splats: Path
    cameras: Path | None
    centre: bool  # whether all was seen from the world's origin

    @classmethod
    def find(cls, world: Path, cameras: Path | None) -> "_Source":
        if world.is_file():
            if world.suffix.lower() not in (".ply", ".spz", ".splat", ".glb"):
                raise InputError(f"{world}: expected a file of splats (.ply, .spz, .splat, .glb) or a finished scene")
            return cls(world, cameras, centre=False)
        try:
            report = json.loads((world / REPORT).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{world}: expected a finished scene or a file of splats, got neither") from error
        request = report.get("request", {}) if isinstance(report, dict) and report.get("made_by") == MADE_BY else {}
        if not isinstance(request, dict) or request.get("command") not in ("scene", "recon"):
            raise InputError(f"{world}: expected the folder of a worldloom scene or recon, got another")
        return cls(world / "scene.ply", cameras or world / "cameras.json", centre="panorama_size" in report)


class _World:
    """Splats, and what is made of them when a format first asks for it."""

    def __init__(
        self,
        gaussians: Gaussians,
        posed: PosedImages | None,
        from_centre: bool,
        voxel_size: float,
        num_faces: int,
        view_size: int,
    ) -> None:
        self.gaussians, self.posed = gaussians, posed
        self.voxel_size = voxel_size
        self._from_centre, self._num_faces, self._view_size = from_centre, num_faces, view_size

    @property
    def cameras(self) -> Camera:
        assert self.posed is not None
        return self.posed.cameras

    @cached_property
    def views(self) -> surfaces.DepthViews:
        places = self.cameras.world_from_cam[:, :3, 3].float()
        if self._from_centre:
            places = torch.cat([torch.zeros(1, 3), places])
        else:
            middle = (places - places.mean(0)).norm(dim=-1).argmin()
            places = torch.cat([places[middle, None], places])
        num = EYES_OF_PANORAMA if self._from_centre else EYES
        return surfaces.look_around(self.gaussians, places, self._view_size, num)

    @cached_property
    def eyes(self) -> Float[Tensor, "e 3"]:
        return torch.unique(self.views.cameras.world_from_cam[:, :3, 3], dim=0)

    @cached_property
    def textured(self) -> tuple[TexturedMesh, Atlas]:
        size = surfaces.voxel_size_for(self.views)
        mesh = surfaces.mesh_from_views(self.views, size, self._num_faces)
        if not len(mesh.faces):
            raise InputError("expected splats that show surfaces around the cameras, got a mesh without triangles")
        return surfaces.bake_colours(mesh, self.views, self.gaussians, size)

    @cached_property
    def voxels(self) -> surfaces.SceneVoxels:
        return surfaces.voxels_from_views(self.views, self.voxel_size)

    @cached_property
    def solid(self) -> surfaces.Solid:
        return surfaces.solid_from_voxels(self.voxels, self.eyes)

    @cached_property
    def collider(self) -> Mesh:
        return surfaces.decimate_closed(surfaces.collider_from_solid(self.solid), COLLIDER_FACES)

    @cached_property
    def hulls(self) -> list[Mesh]:
        return surfaces.hulls_from_solid(self.solid)


def _build(run: Run, world: _World, formats: list[str]) -> None:
    for name in formats:
        with run.stage(name) as todo:
            if todo:
                _WRITERS[name](run.folder, world)
    facts: dict[str, object] = {"num_splats": len(world.gaussians)}
    made = vars(world)  # what the formats asked for; after --resume only what the last ones did
    if "textured" in made:
        mesh, atlas = world.textured
        facts["mesh"] = {"triangles": len(mesh.faces), "texels": list(atlas.base_colour.shape[:2])}
    if "voxels" in made:
        voxels = world.voxels
        facts["voxels"] = {
            "size_m": round(voxels.grid.voxel_size, 4),
            "shape": list(voxels.grid.shape),
            "occupied": int(voxels.occupied.sum()),
            "free": int(voxels.free.sum()),
        }
        if voxels.grid.voxel_size > 1.001 * world.voxel_size:
            run.warn(f"voxels are {voxels.grid.voxel_size:.3g} m wide: smaller ones would need too much memory")
    if "collider" in made:
        facts["collider_triangles"] = len(world.collider.faces)
    if "hulls" in made:
        facts["hulls"] = len(world.hulls)
    run.report(facts)


def _save_robot(write: Callable[[Path, int], None], folder: Path, world: _World) -> None:
    robot = folder / ROBOT
    robot.mkdir(exist_ok=True)
    mesh, atlas = world.textured
    save_robot_meshes(robot, mesh, atlas, world.hulls)
    write(robot, len(world.hulls))


def _save_collision(folder: Path, world: _World) -> None:
    save_glb(folder / "collision.glb", world.collider)
    save_parts_glb(folder / "hulls.glb", world.hulls, "hull")


def _save_mesh(folder: Path, world: _World) -> None:
    mesh, atlas = world.textured
    save_textured_glb(folder / "mesh.glb", [mesh], [Node("scene", 0, torch.eye(4))], atlas, unlit=True)


def _save_colmap(folder: Path, world: _World) -> None:
    """Images as PNG under images/ and the model under sparse/0, as trainers of splats expect them."""
    posed = world.posed
    assert posed is not None
    target = folder / "colmap"
    (target / "sparse" / "0").mkdir(parents=True, exist_ok=True)
    (target / "images").mkdir(exist_ok=True)
    names = tuple(f"{i:05d}.png" for i in range(len(posed)))
    for i, name in enumerate(names):
        save_image(target / "images" / name, render(world.gaussians, posed.cameras[i]).rgb.clamp(0, 1))
    save_colmap(
        target / "sparse" / "0", PosedImages(posed.cameras, names, None, *solid_points(world.gaussians, MAX_POINTS))
    )


_WRITERS: dict[str, Callable[[Path, _World], None]] = {
    "ply": lambda folder, world: save_gaussians(folder / "scene.ply", world.gaussians),
    "spz": lambda folder, world: save_gaussians(folder / "scene.spz", world.gaussians),
    "splat": lambda folder, world: save_gaussians(folder / "scene.splat", world.gaussians),
    "gltf": lambda folder, world: save_gaussians(folder / "splats.glb", world.gaussians),
    "glb": _save_mesh,
    "collision": _save_collision,
    "occupancy": lambda folder, world: save_clip(folder / "occupancy.npz", world.voxels.to_occupancy()),
    "usd": lambda folder, world: save_usd(folder / "scene.usd", world.gaussians, world.collider),
    "urdf": lambda folder, world: _save_robot(lambda to, num: save_urdf(to / "scene.urdf", num), folder, world),
    "mjcf": lambda folder, world: _save_robot(lambda to, num: save_mjcf(to / "scene.xml", num), folder, world),
    "colmap": _save_colmap,
}


def _sha256_of(cameras: Camera) -> str:
    numbers = [cameras.world_from_cam.flatten(), cameras.K.flatten(), torch.tensor(cameras.size, dtype=torch.float32)]
    return hashlib.sha256(torch.cat(numbers).float().numpy().tobytes()).hexdigest()
