"""`worldloom scene`: a panorama, a photo or a text becomes a splat scene to walk through."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from worldloom.apps.run_folder import REPORT, Run, open_run
from worldloom.apps.scene_input import GENERATED_ROWS, MAX_ROWS, MIN_ROWS, Given, SceneInput, shrunk
from worldloom.errors import InputError
from worldloom.geometry import Camera, CameraPath, Gaussians, Panorama
from worldloom.geometry.equirect import solid_angles
from worldloom.geometry.io.camera_paths import load_camera_paths, save_camera_paths
from worldloom.geometry.io.cameras import load_cameras, save_cameras
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.images import load_image, save_image
from worldloom.geometry.io.json_file import save_json
from worldloom.geometry.io.navmesh import save_navmesh
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.io.video import save_video
from worldloom.geometry.posed_images import PosedImages
from worldloom.geometry.rigid import compose, rotz
from worldloom.recon.centre_view import centre_psnr
from worldloom.recon.distance_picture import distance_picture
from worldloom.recon.panorama_backdrop import scene_splats
from worldloom.recon.scene_distance import EMBEDDED, SceneDistance, distance_of_panorama
from worldloom.render import render
from worldloom.render.caption import contact_sheet
from worldloom.scenegen import FAMILIES, Plan, ScenePath, plan_paths
from worldloom.scenegen.plan_picture import plan_picture
from worldloom.scenegen.plan_report import plan_report

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".exr", ".hdr")  # suffixes of panoramas
MAX_CAMERA_HEIGHT = 1000.0  # metres
MAX_FRAMES, FPS = 240, 24.0  # of the preview film
_COLUMNS = (TextColumn("  {task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
VIEW_SIZE, VIEW_FOV = (360, 640), math.radians(80)


@dataclass(frozen=True)
class SceneResult:
    """A finished scene: its folder and what report.json says."""

    folder: Path
    report: dict


def make_scene(
    source: Path | SceneInput,
    out: Path,
    *,
    camera_height: float | None = None,
    depth_model: str | None = None,
    paths: Path | None = None,
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    rows: int | None = None,
    force: bool = False,
    resume: bool = False,
) -> SceneResult:
    """A panorama, photo or text -> OUT with scene.ply, .spz and .splat, paths, navmesh, pictures and report.json.

    The scale comes from `camera_height` alone, 1.6 m if none is told; that of a procedural world is its own.

    Args:
        source: a panorama's file, or what else a scene can be made from.
        depth_model: that of `distance_of_panorama`, EMBEDDED if not given; not to be given where the distance is known.
        paths: a file of camera paths or posed images (`load_camera_paths`); the film is along the first of them.
        families: of the paths to plan, names in `FAMILIES`; may be empty if there are `paths`.
        seed: of what is made up, and of the paths.
        rows: of the panorama as it is used, at most, and `MAX_ROWS` if not given; splats go with its square. What is
            made up has so many, and `GENERATED_ROWS` if not given.
    Raises:
        InputError: before anything is made, if the panorama or an option cannot be used; see also `open_run`. Later
            on, with nothing left behind, if the given paths lead through walls.
    """
    told_height = camera_height is not None
    scale = "metric" if told_height else "assumed"
    camera_height = 1.6 if camera_height is None else camera_height
    if not (math.isfinite(camera_height) and 0 < camera_height <= MAX_CAMERA_HEIGHT):
        raise InputError(f"--camera-height must be in (0, {MAX_CAMERA_HEIGHT:g}] metres, got {camera_height}")
    if unknown := [name for name in families if name not in FAMILIES]:
        raise InputError(f"--families must be some of {', '.join(FAMILIES)}, or none, got {', '.join(unknown)}")
    if not families and paths is None:
        raise InputError(f"--families none needs --paths; without, choose some of {', '.join(FAMILIES)}")
    if rows is not None and not MIN_ROWS <= rows <= MAX_ROWS:
        raise InputError(f"--rows must be {MIN_ROWS} to {MAX_ROWS}, got {rows}")
    given_paths = () if paths is None else load_camera_paths(paths)
    source = SceneInput(source) if isinstance(source, Path) else source
    if source.is_world and (told_height or depth_model is not None):
        raise InputError("a procedural world has its own scale and distances; leave out --camera-height, --depth-model")
    depth_model = EMBEDDED if depth_model is None else depth_model
    make = source.check()
    used_rows = rows or (MAX_ROWS if source.is_panorama else GENERATED_ROWS)
    request = {
        "command": "scene",
        **source.request(),
        "camera_height": None if source.is_world else camera_height,
        "scale": "exact" if source.is_world else scale,
        "depth_model": None if source.is_world else depth_model,
        "paths_sha256": None if paths is None else _fingerprint(given_paths),
        "families": list(families),
        "seed": seed,
        "rows": used_rows,
    }

    def given(run: Run) -> Given:
        if source.is_panorama:
            return make(used_rows, seed, lambda share: None)
        return _made_up(run, lambda progress: make(used_rows, seed, progress))

    def find(one: Given) -> SceneDistance:
        if one.exact is not None:
            return SceneDistance(one.exact, "exact, of the procedural world", True, {"depth_model": "exact"})
        return distance_of_panorama(one.rgb, camera_height, depth_model)

    def plan(panorama: Panorama) -> Plan:
        return _planned(panorama, given_paths, families, seed)

    def scale_of(found: SceneDistance) -> str:
        if source.is_world:
            return "metric: of a procedural world"
        return _scale_in_words(scale, camera_height, found.floor_found)

    with open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            _build(run, given(run), used_rows, find, plan, scale_of)
    return SceneResult(out, json.loads((out / REPORT).read_text()))


def _build(
    run: Run,
    given: Given,
    rows: int,
    find: Callable[[Given], SceneDistance],
    planned: Callable[[Panorama], Plan],
    scale_of: Callable[[SceneDistance], str],
) -> None:
    folder = run.folder
    rgb = given.rgb
    size = f"{rgb.shape[2]}x{rgb.shape[1]}"
    if rgb.shape[1] > rows:
        given = replace(given, rgb=shrunk(rgb, rows))
        rgb = given.rgb
        asked = "the most that this method works at" if rows == MAX_ROWS else "as asked for"
        run.warn(f"the panorama is {size}; it is used at {2 * rows}x{rows}, {asked}")

    with run.stage("distance") as todo:
        found = find(given)
        panorama = found.panorama
        if todo:
            save_image(folder / "panorama.png", panorama.rgb)
            save_image(folder / "distance.png", distance_picture(panorama))
    with run.stage("path") as todo:
        if todo:
            _save_plan(run, planned(panorama))
    coverage = json.loads((folder / "coverage.json").read_text())
    film = load_cameras(folder / "cameras.json").cameras
    with run.stage("splats") as todo:
        if todo:
            gaussians = scene_splats(panorama)
            save_gaussians(folder / "scene.ply", gaussians)
    # All that follows is made from the file: what is checked and shown is what the user gets, also after --resume.
    gaussians = load_gaussians(folder / "scene.ply")
    with run.stage("files") as todo:
        if todo:
            save_gaussians(folder / "scene.spz", gaussians)
            save_gaussians(folder / "scene.splat", gaussians)
    with run.stage("preview") as todo:
        if todo:
            sheet = []
            save_video(folder / "preview.mp4", _frames(gaussians, film, sheet), FPS)
            save_image(folder / "preview.png", contact_sheet(sheet, columns=3, gap=0))
    with run.stage("check"):
        psnr = {name: round(centre_psnr(panorama, gaussians, m), 2) for name, m in (("same", 1.0), ("double", 2.0))}

    sky_share = (panorama.sky * solid_angles(rgb.shape[1])).sum().item() / (4 * math.pi)
    run.report(
        {
            "method": found.method,
            "scale": scale_of(found),
            **given.facts,
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
            "film": {"path": coverage["film"], "num_frames": len(film), "seconds": round(len(film) / FPS, 2)},
            "num_paths": len(coverage["paths"]),
            "num_paths_dropped": len(coverage["dropped"]),
            "least_clearance_m": min(path["clearance_m"] for path in coverage["paths"]),
            "seen_twice": coverage["seen"],
            "walkable_m2": coverage["walkable_m2"],
        }
    )


def _made_up(run: Run, make: Callable[[Callable[[float], None]], Given]) -> Given:
    """What is not given, made in a stage of its own and read from its files, so that a resumed run has the same."""
    picture, distance, about = (run.folder / name for name in ("panorama.png", "exact_distance.npz", "input.json"))
    with run.stage("panorama", quiet=True) as todo:
        if todo:
            with Progress(*_COLUMNS, console=run.console, transient=True) as bar:
                task = bar.add_task("panorama", total=1.0)
                made = make(lambda share: bar.update(task, completed=share))
            save_image(picture, made.rgb)
            if made.exact is not None:
                arrays = {"distance": made.exact.distance.numpy(), "sky": made.exact.sky.numpy()}
                save_npz(distance, arrays)
            save_json(about, {"facts": made.facts, "notes": made.notes})
    told = json.loads(about.read_text())
    for note in told["notes"]:
        run.warn(note)
    rgb = load_image(picture)
    if not distance.is_file():
        return Given(rgb, told["facts"])
    arrays = load_npz(distance, {"distance": "float32 h w", "sky": "bool h w"}, max_bytes=1 << 28)
    exact = Panorama(rgb, torch.from_numpy(arrays["distance"]), torch.from_numpy(arrays["sky"]), torch.eye(4))
    return Given(rgb, told["facts"], exact=exact)


def _scale_in_words(scale: str, camera_height: float, floor_found: bool) -> str:
    """Whether lengths are metres: only where the camera's height was told and the floor under it was found."""
    if scale == "assumed":
        return f"assumed: the camera is taken to be {camera_height:g} m over the ground"
    if floor_found:
        return f"metric: the floor was found, and the camera is {camera_height:g} m over it, as told"
    return (
        f"assumed: the camera is {camera_height:g} m over the ground, as told, but where the ground is was not measured"
    )


def _planned(panorama: Panorama, given: Sequence[CameraPath], families: Sequence[str], seed: int) -> Plan:
    return plan_paths(panorama, families, user=given, seed=seed, size=VIEW_SIZE, fov=VIEW_FOV)


def _save_plan(run: Run, plan: Plan) -> None:
    """paths.json, cameras.json (of the film), navmesh.json, coverage.json and coverage.png."""
    path = _film_path(plan)
    film = _at_film_size(_film(path))
    names = tuple(f"frame_{i:04d}" for i in range(len(film)))
    save_cameras(run.folder / "cameras.json", PosedImages(film, names))
    save_camera_paths(run.folder / "paths.json", [p.as_camera_path for p in plan.paths])
    save_navmesh(run.folder / "navmesh.json", plan.navmesh)
    save_json(run.folder / "coverage.json", {"film": path.name, **plan_report(plan)})
    save_image(run.folder / "coverage.png", plan_picture(plan))
    for note in plan.notes:
        run.warn(note)
    if path.note:
        run.warn(f"the film's path {path.name}: {path.note}")


def _film(path: ScenePath) -> Camera:
    """The user's path as it is; else a look around from where the path begins, and then along it."""
    if path.family == "user":
        return path.film(FPS, MAX_FRAMES)
    walk = path.film(FPS, MAX_FRAMES - MAX_FRAMES // 2)
    along = torch.linspace(0, 1, MAX_FRAMES // 2, dtype=torch.float64)
    turn = rotz(2 * math.pi * along.square() * (3 - 2 * along)).to(walk.world_from_cam)
    start = walk.world_from_cam[0]
    around = compose(turn @ start[:3, :3], start[:3, 3].expand(len(turn), 3))
    return Camera(
        torch.cat([around, walk.world_from_cam]), torch.cat([walk.K[:1].expand(len(turn), 3, 3), walk.K]), walk.size
    )


def _film_path(plan: Plan) -> ScenePath:
    """The user's first, else a walk through the place, else the longest."""
    for family in ("user", "wander"):
        if found := [path for path in (*plan.paths, *plan.spare) if path.family == family]:
            return found[0]
    return max(plan.paths, key=lambda path: path.length)


def _at_film_size(cameras: Camera) -> Camera:
    """The same views no larger than `VIEW_SIZE`, in even numbers of pixels."""
    height, width = cameras.size
    scale = min(1.0, VIEW_SIZE[0] / height, VIEW_SIZE[1] / width)
    size = (max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2)))
    stretch = torch.tensor([size[1] / width, size[0] / height, 1.0])
    return replace(cameras, K=stretch[:, None] * cameras.K, size=size)


def _fingerprint(paths: Sequence[CameraPath]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(json.dumps([path.name, path.cameras.size]).encode())
        for values in (path.cameras.world_from_cam, path.cameras.K, path.times):
            digest.update(b"" if values is None else values.numpy().tobytes())
    return digest.hexdigest()


def _frames(gaussians: Gaussians, cameras: Camera, sheet: list[Tensor]) -> Iterator[Float[Tensor, "3 h w"]]:
    """Frames along the path; up to six of them, evenly spaced, are also put in `sheet`."""
    chosen = {i * (len(cameras) - 1) // 5 for i in range(6)}
    for i in range(len(cameras)):
        frame = render(gaussians, cameras[i]).rgb.clamp(0, 1)
        if i in chosen:
            sheet.append(frame)
        yield frame
