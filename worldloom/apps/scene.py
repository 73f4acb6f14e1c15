"""`worldloom scene`: a panorama becomes a splat scene to walk through."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.run_folder import REPORT, Run, open_run
from worldloom.errors import InputError
from worldloom.geometry import Camera, Gaussians
from worldloom.geometry.equirect import solid_angles
from worldloom.geometry.io.cameras import save_cameras
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.images import load_image, save_image
from worldloom.geometry.io.video import save_video
from worldloom.geometry.posed_images import PosedImages
from worldloom.recon.centre_view import centre_psnr, match_centre_colours
from worldloom.recon.distance_picture import distance_picture
from worldloom.recon.panorama_splats import splats_from_panorama
from worldloom.recon.scene_distance import FLOOR, distance_of_panorama
from worldloom.render import render
from worldloom.render.caption import contact_sheet
from worldloom.scenegen.paths import plan_path

MAX_PIXELS = 50_000_000  # of the input, 10000x5000: decoding takes 4 GB at most
MAX_ROWS = 1024  # of the panorama as used: 1.3 million splats
MIN_ROWS = 32
MAX_CAMERA_HEIGHT = 1000.0  # metres
NUM_VIEWS, FPS = 120, 24
VIEW_SIZE, VIEW_FOV = (360, 640), math.radians(80)


@dataclass(frozen=True)
class SceneResult:
    """A finished scene: its folder and what report.json says."""

    folder: Path
    report: dict


def make_scene(
    panorama: Path,
    out: Path,
    *,
    camera_height: float | None = None,
    depth_model: str = FLOOR,
    seed: int = 0,
    force: bool = False,
    resume: bool = False,
) -> SceneResult:
    """Panorama file -> OUT with scene.ply, .spz and .splat, cameras.json, pictures, preview.mp4 and report.json.

    The scale comes from `camera_height` alone, 1.6 m if none is told; `depth_model` is that of `distance_of_panorama`.

    Raises:
        InputError: before anything is made, if the panorama or an option cannot be used; see also `open_run`.
    """
    scale = "assumed" if camera_height is None else "metric"
    camera_height = 1.6 if camera_height is None else camera_height
    if not (math.isfinite(camera_height) and 0 < camera_height <= MAX_CAMERA_HEIGHT):
        raise InputError(f"--camera-height must be in (0, {MAX_CAMERA_HEIGHT:g}] metres, got {camera_height}")
    rgb = _load_panorama(panorama)
    request = {
        "command": "scene", "panorama_sha256": _sha256(panorama), "camera_height": camera_height, "scale": scale,
        "depth_model": depth_model, "seed": seed,
    }  # fmt: skip
    with open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            _build(run, rgb, camera_height, scale, depth_model, seed)
    return SceneResult(out, json.loads((out / REPORT).read_text()))


def _build(
    run: Run, rgb: Float[Tensor, "3 h w"], camera_height: float, scale: str, depth_model: str, seed: int
) -> None:
    folder = run.folder
    size = f"{rgb.shape[2]}x{rgb.shape[1]}"
    if rgb.shape[1] > MAX_ROWS:
        rgb = _shrunk(rgb)
        run.warn(f"the panorama is {size}; it is used at {2 * MAX_ROWS}x{MAX_ROWS}, the most that this method works at")

    with run.stage("distance") as todo:
        found = distance_of_panorama(rgb, camera_height, depth_model)
        panorama = found.panorama
        if todo:
            save_image(folder / "panorama.png", panorama.rgb)
            save_image(folder / "distance.png", distance_picture(panorama))
    with run.stage("splats") as todo:
        if todo:
            gaussians = match_centre_colours(panorama, splats_from_panorama(panorama))
            save_gaussians(folder / "scene.ply", gaussians)
    # All that follows is made from the file: what is checked and shown is what the user gets, also after --resume.
    gaussians = load_gaussians(folder / "scene.ply")
    with run.stage("files") as todo:
        if todo:
            save_gaussians(folder / "scene.spz", gaussians)
            save_gaussians(folder / "scene.splat", gaussians)
    with run.stage("path") as todo:
        path = plan_path(panorama, NUM_VIEWS, seed, size=VIEW_SIZE, fov=VIEW_FOV)
        if path.note:
            run.warn(path.note)
        if todo:
            names = tuple(f"frame_{i:04d}" for i in range(len(path.cameras)))
            save_cameras(folder / "cameras.json", PosedImages(path.cameras, names))
    with run.stage("preview") as todo:
        if todo:
            sheet = []
            save_video(folder / "preview.mp4", _frames(gaussians, path.cameras, sheet), FPS)
            save_image(folder / "preview.png", contact_sheet(sheet, columns=3, gap=0))
    with run.stage("check"):
        psnr = {name: round(centre_psnr(panorama, gaussians, m), 2) for name, m in (("same", 1.0), ("double", 2.0))}

    sky_share = (panorama.sky * solid_angles(rgb.shape[1])).sum().item() / (4 * math.pi)
    run.report(
        {
            "method": found.method,
            "scale": _scale_in_words(scale, camera_height, found.floor_found),
            **found.facts,
            "panorama_size": size,
            "used_size": f"{rgb.shape[2]}x{rgb.shape[1]}",
            "num_splats": len(gaussians),
            "centre_psnr_db": psnr["double"],
            "centre_psnr_db_same_density": psnr["same"],
            "centre_psnr_protocol": "six 90 degree views from the centre against the panorama sampled bilinearly, at "
            "two view pixels (same_density: one) for each panorama pixel",
            "sky_share": round(sky_share, 4),
            "farthest_m": round(panorama.distance.max().item(), 3),
            "num_views": len(path.cameras),
            "path_length_m": round(path.length, 3),
            "path_clearance_m": round(path.clearance, 3),
        }
    )


def _scale_in_words(scale: str, camera_height: float, floor_found: bool) -> str:
    """Whether lengths are metres: only where the camera's height was told and the floor under it was found."""
    if scale == "assumed":
        return f"assumed: the camera is taken to be {camera_height:g} m over the ground"
    if floor_found:
        return f"metric: the floor was found, and the camera is {camera_height:g} m over it, as told"
    return (
        f"assumed: the camera is {camera_height:g} m over the ground, as told, but where the ground is was not measured"
    )


def _load_panorama(path: Path) -> Float[Tensor, "3 h w"]:
    rgb = load_image(path, max_pixels=MAX_PIXELS)
    height, width = rgb.shape[1:]
    if width != 2 * height:
        raise InputError(f"panorama must be 2:1, got {width}x{height}: {path}")
    if height < MIN_ROWS:
        raise InputError(f"panorama must be at least {2 * MIN_ROWS}x{MIN_ROWS}, got {width}x{height}: {path}")
    return rgb


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shrunk(rgb: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h2 w2"]:
    """At `MAX_ROWS` rows, each pixel the mean of the area it covers."""
    return torch.nn.functional.interpolate(
        rgb[None], (MAX_ROWS, 2 * MAX_ROWS), mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)


def _frames(gaussians: Gaussians, cameras: Camera, sheet: list[Tensor]) -> Iterator[Float[Tensor, "3 h w"]]:
    """Frames along the path; six of them, evenly spaced, are also put in `sheet`."""
    chosen = {i * len(cameras) // 6 for i in range(6)}  # the path is a loop: its end is its beginning
    for i in range(len(cameras)):
        frame = render(gaussians, cameras[i]).rgb.clamp(0, 1)
        if i in chosen:
            sheet.append(frame)
        yield frame
