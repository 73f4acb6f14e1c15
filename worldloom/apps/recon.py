"""`worldloom recon`: photos of a place become a splat scene."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from torch import Tensor
from torch.nn import functional as F

from worldloom.apps.run_folder import REPORT, Run, open_run
from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera, Gaussians, PosedImages, interpolate_poses
from worldloom.geometry.gaussians import solid_points
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.cameras import load_cameras, save_cameras
from worldloom.geometry.io.colmap import save_colmap
from worldloom.geometry.io.depth import SUFFIXES, load_depth, save_depth
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.npz import load_npz
from worldloom.geometry.io.photo_set import (
    VIDEOS,
    PhotoSet,
    load_photo_set,
    load_video_set,
    matched_photos,
    photo_names,
)
from worldloom.geometry.io.point_cloud import save_points
from worldloom.geometry.io.textured import Node, save_textured_glb
from worldloom.geometry.io.video import save_video
from worldloom.recon import mesh as surfaces
from worldloom.recon.camera_axes import best_reading
from worldloom.recon.depth_prior import join_prior
from worldloom.recon.depth_splats import at_size, splats_from_depth
from worldloom.recon.distance_picture import ramp_picture
from worldloom.recon.image_metrics import exposure_matched, psnr, ssim
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photos import Photos, scaled, straightened, undistorted
from worldloom.recon.plane_sweep import plane_sweep
from worldloom.recon.refine import CHECKPOINT, Progress, RefineConfig, refine
from worldloom.recon.structure_from_motion import cameras_by_colmap
from worldloom.recon.world_up import up_of
from worldloom.render import render
from worldloom.render.caption import contact_sheet

LONG_SIDE, LONG_SIDES = 640, (64, 2048)  # pixels of the photos as used
MAX_MINUTES = 10_000.0
NUM_FRAMES, MAX_FRAMES = 60, 300  # of a video
FPS, FILM_SECONDS = 24.0, 8.0
WAYPOINTS = 12  # of the film
SHOWN = 4  # photos in the preview
SURE = 0.3  # confidence of a depth
MAX_POINTS = 200_000
MESH_DETAIL = 2.0  # width of a voxel in pixels of a photo
ASPECT = 0.01  # by which a photo's aspect may differ from its camera's
INITIAL, REFINED, STEREO, CAMERAS = ".initial.ply", ".refined.json", ".stereo.npz", ".cameras.json"
EARLY = "preview_early.png"


@dataclass(frozen=True)
class ReconResult:
    """A finished reconstruction: its folder and what report.json says."""

    folder: Path
    report: dict


@dataclass(frozen=True)
class ReconOptions:
    """What is asked for, beside the photos."""

    refine_minutes: float | None = 5.0  # 0: no refinement; None: by steps
    refine_steps: int | None = None
    long_side: int = LONG_SIDE
    hold_out: int = 8  # every so manieth photo is kept for measuring; 0: none
    num_frames: int = NUM_FRAMES
    seed: int = 0

    def __post_init__(self) -> None:
        minutes, steps = self.refine_minutes, self.refine_steps
        if minutes is not None and not (math.isfinite(minutes) and 0 <= minutes <= MAX_MINUTES):
            raise InputError(f"--refine-minutes must be 0 to {MAX_MINUTES:g}, got {minutes}")
        if steps is not None and steps < 1:
            raise InputError(f"--refine-steps must be at least 1, got {steps}")
        if not LONG_SIDES[0] <= self.long_side <= LONG_SIDES[1]:
            raise InputError(f"--size must be {LONG_SIDES[0]} to {LONG_SIDES[1]} pixels, got {self.long_side}")
        if self.hold_out < 0 or self.hold_out == 1:
            raise InputError(f"--hold-out must be 0, or 2 and more, got {self.hold_out}")
        if not 2 <= self.num_frames <= MAX_FRAMES:
            raise InputError(f"--frames must be 2 to {MAX_FRAMES}, got {self.num_frames}")

    @property
    def refine(self) -> RefineConfig | None:
        if self.refine_steps is not None:
            return RefineConfig(steps=self.refine_steps, seed=self.seed)
        return RefineConfig(minutes=self.refine_minutes, seed=self.seed) if self.refine_minutes else None


def make_recon(
    images: Path,
    out: Path,
    *,
    cameras: Path | None = None,
    depth: Path | None = None,
    options: ReconOptions | None = None,
    force: bool = False,
    resume: bool = False,
) -> ReconResult:
    """Photos or a video -> OUT with splats, mesh, points, cameras, depth and normals, pictures and report.json.

    Args:
        images: a folder of photos of one size, or a video.
        cameras: see `load_cameras`; found beside the photos if not given; by structure from motion where there are
            none.
        depth: a folder with a depth image (`load_depth`) for some or all of the photos, of any scale.
    Raises:
        InputError: input or options that cannot be used; see also `open_run`.
        MissingExtra: photos come without cameras, and pycolmap is not installed.
    """
    options = options or ReconOptions()
    taken = take_photos(images, cameras, options)
    priors = None if depth is None else _prior_files(depth, taken.photos.names)
    request = {
        "command": "recon",
        "photos_sha256": _sha256(taken.photos.rgb),
        "names": list(taken.photos.names),
        "cameras_sha256": None if taken.posed is None else _fingerprint(taken.posed),
        "depth_sha256": None if priors is None else _sha256_of_files(priors),
        **asdict(options),
    }
    with open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            for note in taken.notes:
                run.warn(note)
            _build(run, taken, priors or {}, options)
    return ReconResult(out, json.loads((out / REPORT).read_text()))


@dataclass(frozen=True)
class TakenPhotos:
    """Photos as read, and their cameras if they are known; in the same order, at the same size."""

    photos: PhotoSet
    posed: PosedImages | None
    notes: tuple[str, ...]


def take_photos(images: Path, cameras: Path | None, options: ReconOptions) -> TakenPhotos:
    """The photos of a folder or video that have cameras, or all, if there are no cameras at all.

    Raises:
        InputError: neither of the two, fewer than two photos, or cameras of other photos.
    """
    if images.is_file() and images.suffix.lower() in VIDEOS:
        frames = load_video_set(images, options.num_frames, options.long_side)
        posed = None if cameras is None else load_cameras(cameras)
        return _matched(frames, posed, images)
    if not images.is_dir():
        raise InputError(f"{images}: expected a folder of photos or a video ({', '.join(VIDEOS)}), got neither")
    names = photo_names(images)
    posed = load_cameras(cameras) if cameras is not None else _cameras_beside(images)
    notes: list[str] = []
    if posed is not None:
        found = matched_photos(names, posed.names)
        if len(found) < 2:
            raise InputError(
                f"expected cameras of the photos in {images}, but {len(found)} of {len(names)} photos "
                f"(such as {names[0]}) has one; the cameras are called such as {posed.names[0]}"
            )
        if without := sorted(set(names) - set(found.values())):
            notes.append(f"{len(without)} photos have no camera and are left out, such as {without[0]}")
        names = sorted(found.values())
    return _matched(load_photo_set(images, names, options.long_side), posed, images, notes)


def _matched(photos: PhotoSet, posed: PosedImages | None, images: Path, notes: Sequence[str] = ()) -> TakenPhotos:
    """The cameras in the order of the photos, at their size; photos without a camera are left out."""
    if len(photos.names) < 2:
        raise InputError(f"{images}: expected at least two photos, got {len(photos.names)}")
    if posed is None:
        return TakenPhotos(photos, None, ())
    found = matched_photos(list(photos.names), posed.names)
    if len(found) < 2:
        raise InputError(
            f"expected cameras of the frames of {images}, such as {photos.names[0]}, got such as {posed.names[0]}"
        )
    camera_of = {photo: posed.names.index(name) for name, photo in found.items()}
    kept = [i for i, name in enumerate(photos.names) if name in camera_of]
    if missing := [name for name in posed.names if name not in found]:
        notes = [*notes, f"{len(missing)} cameras have no photo in {images.name}, such as {missing[0]}"]
    names = tuple(photos.names[i] for i in kept)
    at = torch.tensor([camera_of[name] for name in names])
    size = (photos.rgb.shape[2], photos.rgb.shape[3])
    told, full = posed.cameras.size, photos.full_size
    if abs(told[1] * full[0] / (told[0] * full[1]) - 1) > ASPECT:
        raise InputError(f"expected photos shaped as their cameras, {told[1]}x{told[0]}, got {full[1]}x{full[0]}")
    distortion = None if posed.distortion is None else replace(
        posed.distortion, coefficients=posed.distortion.coefficients[at]
    )  # fmt: skip
    ours = PosedImages(scaled(posed.cameras[at], size), names, distortion, posed.points, posed.point_rgb)
    return TakenPhotos(replace(photos, names=names, rgb=photos.rgb[torch.tensor(kept)]), ours, tuple(notes))


def _cameras_beside(images: Path) -> PosedImages | None:
    """Cameras in the folder of photos, or in the one around it."""
    for folder in (images, images.parent):
        for place in ("transforms.json", "cameras.json"):
            if (folder / place).is_file():
                return load_cameras(folder / place)
        for place in (folder, folder / "sparse" / "0", folder / "sparse"):
            if (place / "cameras.bin").is_file() or (place / "cameras.txt").is_file():
                return load_cameras(place)
    return None


def _prior_files(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The depth image of each photo that has one."""
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder of depth images, got {'a file' if folder.exists() else 'nothing'}"
        )
    found = {}
    for name in names:
        for stem in (Path(name).with_suffix(""), Path(Path(name).stem)):
            for suffix in SUFFIXES:
                path = folder / f"{stem}{suffix}"
                if name not in found and path.is_file():
                    load_depth(path)  # so that what cannot be used is told before anything is made
                    found[name] = path
    if not found:
        raise InputError(
            f"{folder}: expected depth images named as the photos, such as {Path(names[0]).stem}.npz, got none"
        )
    return found


def _build(run: Run, taken: TakenPhotos, priors: dict[str, Path], options: ReconOptions) -> None:
    folder = run.folder
    posed, all_photos = _cameras(run, taken)
    held = held_out(len(all_photos), options.hold_out)
    used = [i for i in range(len(all_photos)) if i not in held]
    photos = all_photos[used]

    with run.stage("stereo", quiet=True) as todo:
        if todo:
            with _bar(run, "stereo") as (bar, task):
                depth = plane_sweep(photos, tell=lambda share: bar.update(task, completed=share))
            if priors:
                depth = _with_priors(run, depth, posed, used, priors)
            _save_stereo(folder / STEREO, depth)
    depth = _load_stereo(folder / STEREO, photos)
    with run.stage("splats") as todo:
        if todo:
            save_gaussians(folder / INITIAL, splats_from_depth(photos, depth))
            _save_pairs(folder / EARLY, load_gaussians(folder / INITIAL), photos)
    with run.stage("refine", quiet=True) as todo:
        if todo:
            _refine(run, photos, depth, options)
    gaussians = load_gaussians(folder / "scene.ply")
    with run.stage("files") as todo:
        if todo:
            _save_files(folder, gaussians, all_photos)
    with run.stage("views") as todo:
        if todo:
            _save_views(folder, gaussians, all_photos)
    with run.stage("mesh") as todo:
        if todo:
            _save_mesh(run, gaussians, photos)
    with run.stage("preview") as todo:
        if todo:
            shown = [all_photos[[i]] for i in (held or used)[:SHOWN]]
            _save_pairs(folder / "preview.png", gaussians, *shown)
            save_video(folder / "preview.mp4", _frames(gaussians, film_between(photos.cameras)), FPS)
    with run.stage("check"):
        by_part = {"train": scores(gaussians, photos), "held_out": scores(gaussians, all_photos[held])}
    refined = json.loads((folder / REFINED).read_text())
    (folder / EARLY).unlink(missing_ok=True)
    run.report(
        {
            "num_photos": len(all_photos),
            "held_out": [all_photos.names[i] for i in held],
            "photo_size": list(taken.photos.full_size),
            "used_size": list(all_photos.cameras.size),
            "cameras": "given" if taken.posed is not None else "found by COLMAP",
            "scale": "as the cameras'" if taken.posed is not None else "arbitrary: photos alone tell none",
            "num_splats": len(gaussians),
            "sure_share": round(float((depth.confidence > SURE).float().mean()), 4),
            **{f"{of}_{name}": value for of, some in by_part.items() for name, value in some.items()},
            "psnr_protocol": "whole undistorted pixels, 8-bit photos at used_size; _exposed: with gain and offset of "
            "each colour fitted to the photo",
            "refine": refined,
            "start_view": start_view(photos, depth),
        }
    )
    # Last: until the report is written, a run that stops goes on from them.
    for name in (INITIAL, REFINED, STEREO, CAMERAS, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


def _cameras(run: Run, taken: TakenPhotos) -> tuple[PosedImages, Photos]:
    """Cameras at the photos' size, and the photos straight; both without what found no place."""
    path = run.folder / CAMERAS
    with run.stage("cameras") as todo:
        if todo:
            posed = taken.posed if taken.posed is not None else _found_cameras(run, taken.photos)
            if taken.posed is not None:
                reading = best_reading(undistorted(posed, taken.photos.rgb))
                if reading.name:
                    run.warn(f"the photos agree with their cameras only if {reading.name}; they are taken so")
                posed = replace(posed, cameras=reading.cameras)
            save_cameras(path, posed)
    posed = load_cameras(path)
    at = [taken.photos.names.index(name) for name in posed.names]
    return posed, undistorted(posed, taken.photos.rgb[torch.tensor(at)])


def _found_cameras(run: Run, photos: PhotoSet) -> PosedImages:
    with tempfile.TemporaryDirectory() as temporary:
        # Written anew: upright, of one size, and no file that somebody else wrote reaches another decoder.
        names = [f"{i:05d}.png" for i in range(len(photos.names))]
        for name, rgb in zip(names, photos.rgb, strict=True):
            save_image(Path(temporary) / name, rgb)
        posed = cameras_by_colmap(Path(temporary), names)
    if len(posed) < len(names):
        run.warn(f"{len(names) - len(posed)} of {len(names)} photos found no place among the others and are left out")
    return replace(posed, names=tuple(photos.names[int(Path(name).stem)] for name in posed.names))


def held_out(num: int, every: int) -> list[int]:
    """Every so manieth photo from the first on, if enough are left to learn from."""
    return list(range(0, num, every)) if every and num >= max(8, every) else []


def _with_priors(
    run: Run, depth: PhotoDepth, posed: PosedImages, used: Sequence[int], priors: dict[str, Path]
) -> PhotoDepth:
    height, width = posed.cameras.size
    given = torch.full((len(used), height, width), torch.nan)
    part = PosedImages(
        posed.cameras[torch.tensor(used)], tuple(posed.names[i] for i in used),
        None if posed.distortion is None
        else replace(posed.distortion, coefficients=posed.distortion.coefficients[torch.tensor(used)]),
    )  # fmt: skip
    for i, name in enumerate(part.names):
        if name in priors:
            image = load_depth(priors[name])
            if abs(image.shape[1] * height / (image.shape[0] * width) - 1) > ASPECT:
                raise InputError(
                    f"{priors[name]}: expected depth shaped as its photo, {width}x{height}, "
                    f"got {image.shape[1]}x{image.shape[0]}"
                )
            given[i] = at_size(image[None], part.cameras[:1], (height, width))[0][0]
    straight, inside = straightened(part, given[:, None], "nearest")
    straight = torch.where(inside, straight[:, 0], torch.nan)
    joined = join_prior(depth, at_size(straight, part.cameras, depth.cameras.size)[0])
    if unfit := [n for n, a in zip(part.names, joined.alignments, strict=True) if a is None and n in priors]:
        run.warn(f"the depth of {len(unfit)} photos fits no scale and is left out, such as that of {unfit[0]}")
    return joined.depth


def _save_stereo(path: Path, depth: PhotoDepth) -> None:
    save_depth(path, depth.depth.flatten(0, 1), confidence=depth.confidence.flatten(0, 1), far=depth.far.flatten(0, 1))


def _load_stereo(path: Path, photos: Photos) -> PhotoDepth:
    found = load_npz(path, {"depth": "float32 h w", "confidence": "float32 h w", "far": "bool h w"})
    values = {name: torch.from_numpy(array).unflatten(0, (len(photos), -1)) for name, array in found.items()}
    size = (values["depth"].shape[1], values["depth"].shape[2])
    return PhotoDepth(scaled(photos.cameras, size), values["depth"], values["confidence"], values["far"])


def _refine(run: Run, photos: Photos, depth: PhotoDepth, options: ReconOptions) -> None:
    folder = run.folder
    start = load_gaussians(folder / INITIAL)
    config = options.refine
    if config is None:
        save_gaussians(folder / "scene.ply", start)
        _write_json(folder / REFINED, {"steps": 0, "seconds": 0.0})
        return
    looked = 0.0
    with _bar(run, "refine") as (bar, task):

        def tell(now: Progress) -> None:
            nonlocal looked
            bar.update(task, completed=now.share, description=f"refine {now.num_splats} splats, {now.psnr:.1f} dB")
            if now.share >= looked + 0.1:
                looked = now.share
                _save_pairs(folder / EARLY, now.gaussians(), photos)

        done = refine(start, photos, config, depth=depth, folder=folder, tell=tell)
    save_gaussians(folder / "scene.ply", done.gaussians)
    exposure = {
        name: {"gain": gain, "offset": offset}
        for name, gain, offset in zip(photos.names, done.gain.tolist(), done.offset.tolist(), strict=True)
    }
    _write_json(folder / REFINED, {"steps": done.steps, "seconds": round(done.seconds, 1), "exposure": exposure})


@contextmanager
def _bar(run: Run, name: str) -> Iterator[tuple[Bar, TaskID]]:
    columns = (TextColumn("  {task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Bar(*columns, TimeElapsedColumn(), console=run.console, transient=True) as bar:
        yield bar, bar.add_task(name, total=1.0)


def _save_files(folder: Path, gaussians: Gaussians, photos: Photos) -> None:
    """Splats for viewers, points, and the photos straight with their cameras, as trainers of splats expect them."""
    save_gaussians(folder / "scene.spz", gaussians)
    xyz, rgb = solid_points(gaussians, MAX_POINTS)
    save_points(folder / "points.ply", xyz, rgb)
    images = folder / "colmap" / "images"
    images.mkdir(parents=True, exist_ok=True)
    (folder / "colmap" / "sparse").mkdir(exist_ok=True)
    names = tuple(f"{stem}.jpg" for stem in _stems(photos))
    for name, picture in zip(names, photos.rgb, strict=True):
        save_image(images / name, picture)
    save_colmap(folder / "colmap" / "sparse" / "0", PosedImages(photos.cameras, names, None, xyz, rgb))
    save_cameras(folder / "cameras.json", PosedImages(photos.cameras, tuple(f"colmap/images/{n}" for n in names)))


def _stems(photos: Photos) -> list[str]:
    """A plain file name for each photo: its own, with the folders in it."""
    return [Path(name).with_suffix("").as_posix().replace("/", "_") for name in photos.names]


def _save_views(folder: Path, gaussians: Gaussians, photos: Photos) -> None:
    """What the splats say of each photo's depth and normals, as arrays and as pictures."""
    for part in ("depth", "normals"):
        (folder / part).mkdir(exist_ok=True)
    for i, stem in enumerate(_stems(photos)):
        drawn = render(gaussians, photos.cameras[i], normals=True)
        assert drawn.normal is not None
        valid = drawn.median_valid
        depth = torch.where(valid, drawn.median_depth, torch.nan)
        normal = F.normalize(drawn.normal, dim=0)
        save_depth(folder / "depth" / f"{stem}.npz", depth, valid=valid)
        save_image(folder / "depth" / f"{stem}.png", ramp_picture(drawn.median_depth, ~valid))
        save_image(folder / "normals" / f"{stem}.png", torch.where(valid, 0.5 + 0.5 * normal, 0.0))


def _save_mesh(run: Run, gaussians: Gaussians, photos: Photos) -> None:
    try:
        surfaces.check_decimation()
    except MissingExtra as error:
        run.warn(f"no mesh.glb: {error}")
        return
    centre = photos.cameras.world_from_cam[:, :3, 3].mean(0)
    shell = surfaces.sky_radius(gaussians, centre)
    away = (gaussians.means - centre).norm(dim=-1)
    solid = away[away < (shell or math.inf)]
    views = surfaces.depth_views(gaussians, photos.cameras, 2 * float(solid.quantile(0.9)))
    size = MESH_DETAIL * float(views.depth[views.valid].median()) / float(photos.cameras.K[0, 0, 0])
    mesh = surfaces.mesh_from_views(views, size) if bool(views.valid.any()) else None
    if mesh is None or not len(mesh.faces):
        run.warn("no mesh.glb: the photos show no surface that hangs together")
        return
    textured, atlas = surfaces.bake_colours(mesh, views, gaussians, size)
    save_textured_glb(run.folder / "mesh.glb", [textured], [Node("scene", 0, torch.eye(4))], atlas, unlit=True)


def _save_pairs(path: Path, gaussians: Gaussians, *some: Photos) -> None:
    """Photos above, what the splats show from there below."""
    if len(some) == 1:
        (photos,) = some
        some = tuple(photos[[i]] for i in torch.linspace(0, len(photos) - 1, SHOWN).round().long().tolist())
    drawn = [render(gaussians, photo.cameras[0]).rgb.clamp(0, 1) for photo in some]
    save_image(path, contact_sheet([*(photo.rgb[0] for photo in some), *drawn], columns=len(some), gap=4))


def scores(gaussians: Gaussians, photos: Photos) -> dict[str, float]:
    """Means over photos; nothing of none."""
    found: dict[str, list[float]] = {}
    for i in range(len(photos)):
        drawn, photo, valid = render(gaussians, photos.cameras[i]).rgb.clamp(0, 1), photos.rgb[i], photos.valid[i]
        exposed = psnr(exposure_matched(drawn, photo, valid), photo, valid)
        for name, value in (
            ("psnr_db", psnr(drawn, photo, valid)), ("psnr_exposed_db", exposed), ("ssim", ssim(drawn, photo, valid)),
        ):  # fmt: skip
            found.setdefault(name, []).append(value)
    return {name: round(sum(values) / len(values), 4) for name, values in found.items()}


def start_view(photos: Photos, depth: PhotoDepth) -> dict[str, object]:
    """Where to open the scene: at the photo of which most is sure. Field of view in radians, vertical."""
    best = int(depth.confidence.flatten(1).mean(1).argmax())
    camera = photos.cameras[best]
    sure = depth.confidence[best] > SURE
    ahead = depth.depth[best][sure].median() if bool(sure.any()) else depth.depth[best].median()
    return {
        "photo": photos.names[best],
        "world_from_cam": camera.world_from_cam.tolist(),
        "fov_vertical": 2 * math.atan(0.5 * camera.size[0] / float(camera.K[1, 1])),
        "distance": float(ahead),
        "up": up_of(photos.cameras).tolist(),
    }


def film_between(cameras: Camera) -> Camera:
    """A flight through some of the cameras, from neighbour to neighbour, and a picture of even size."""
    poses = cameras.world_from_cam
    order = _by_neighbours(poses)
    some = [order[i] for i in torch.linspace(0, len(order) - 1, min(WAYPOINTS, len(order))).round().long().tolist()]
    num = round(FPS * FILM_SECONDS)
    knots = torch.arange(len(some), dtype=torch.float64)
    times = torch.linspace(0, len(some) - 1, num, dtype=torch.float64)
    between = interpolate_poses(poses[some], knots, times)
    height, width = (max(2, side // 2 * 2) for side in cameras.size)
    even = scaled(cameras[some[0]], (height, width))
    return Camera(between, even.K.expand(num, 3, 3).clone(), (height, width))


def _by_neighbours(poses: Float[Tensor, "v 4 4"]) -> list[int]:
    """From the first camera on always to the nearest that is left, in place and direction."""
    places = torch.cat([poses[:, :3, 3], poses[:, :3, 3].std(0).norm() * poses[:, :3, 2]], 1)
    order, left = [0], set(range(1, len(poses)))
    while left:
        nearest = min(left, key=lambda i: float((places[i] - places[order[-1]]).norm()))
        order.append(nearest)
        left.remove(nearest)
    return order


def _frames(gaussians: Gaussians, cameras: Camera) -> Iterator[Float[Tensor, "3 h w"]]:
    for i in range(len(cameras)):
        yield render(gaussians, cameras[i]).rgb.clamp(0, 1)


def _write_json(path: Path, content: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _sha256(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def _fingerprint(posed: PosedImages) -> str:
    values = [posed.cameras.world_from_cam.flatten(), posed.cameras.K.flatten()]
    if posed.distortion is not None:
        values.append(posed.distortion.coefficients.flatten())
    return _sha256(torch.cat(values))


def _sha256_of_files(files: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
