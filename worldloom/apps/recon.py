"""`worldloom recon`: photos of a place become a splat scene."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from torch import Tensor
from torch.nn import functional as F

from worldloom.apps.run_folder import REPORT, Run, open_run
from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera, Gaussians, PosedImages
from worldloom.geometry.gaussians import solid_points
from worldloom.geometry.io.cameras import save_cameras
from worldloom.geometry.io.colmap import save_colmap
from worldloom.geometry.io.depth import save_depth
from worldloom.geometry.io.gaussians import save_gaussians
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.point_cloud import save_points
from worldloom.geometry.io.textured import Node, save_textured_glb
from worldloom.geometry.io.video import save_video
from worldloom.recon import mesh
from worldloom.recon.distance_picture import ramp_pictures
from worldloom.recon.film import film_between
from worldloom.recon.photo_files import LONG_SIDE, NUM_FRAMES, fingerprint, load_photos, load_prior
from worldloom.recon.photo_scores import scores, side_by_side
from worldloom.recon.photos import Photos
from worldloom.recon.reconstruct import STEPS, ReconstructConfig, Reconstruction, Step, reconstruct
from worldloom.recon.refine import RefineConfig
from worldloom.recon.start_view import SURE, start_view
from worldloom.render import render

LONG_SIDES = (64, 2048)  # pixels of the photos as used
MAX_MINUTES = 10_000.0
MAX_FRAMES = 300  # of a video
FPS, FILM_SECONDS = 24.0, 8.0
MAX_POINTS = 200_000
DEPTH_TAIL = 0.03  # of depths that the pictures' scale leaves out at each end
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
    def config(self) -> ReconstructConfig:
        refine = None
        if self.refine_steps is not None:
            refine = RefineConfig(steps=self.refine_steps, seed=self.seed)
        elif self.refine_minutes:
            refine = RefineConfig(minutes=self.refine_minutes, seed=self.seed)
        return ReconstructConfig(refine=refine, hold_out=self.hold_out)


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
        images, cameras: see `load_photos`; cameras are found by structure from motion where there are none.
        depth: see `load_prior`.
    Raises:
        InputError: input or options that cannot be used; see also `open_run`.
        MissingExtra: photos come without cameras, and pycolmap is not installed.
    """
    options = options or ReconOptions()
    taken = load_photos(images, cameras, long_side=options.long_side, num_frames=options.num_frames)
    prior = None if depth is None else load_prior(depth, taken.photos)
    request = {"command": "recon", **fingerprint(taken, prior), **asdict(options)}
    with open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            with _as_stages(run) as tell:
                made = reconstruct(taken, options.config, prior=prior, folder=run.folder, tell=tell, warn=run.warn)
            _save_products(run, made)
            facts = {
                "photo_size": list(taken.photos.full_size),
                "used_size": list(made.photos.cameras.size),
                "cameras": "given" if taken.posed is not None else "found by COLMAP",
                "scale": "as the cameras'" if taken.posed is not None else "arbitrary: photos alone tell none",
            }
            _report(run, made, facts)
    return ReconResult(out, json.loads((out / REPORT).read_text()))


@contextmanager
def _as_stages(run: Run) -> Iterator[Callable[[Step], None]]:
    """Shows the steps of the reconstruction as stages of a run, each with a bar, and the splats so far as a picture."""
    columns = (TextColumn("  {task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    shown: _Shown | None = None
    with ExitStack() as stage:

        def tell(step: Step) -> None:
            nonlocal shown
            if shown is None or step.name != shown.name:
                stage.close()
                todo = stage.enter_context(run.stage(step.name, quiet=True))
                # Where nobody watches, a bar would leave empty lines.
                bar = Bar(
                    *columns, TimeElapsedColumn(), console=run.console, transient=True,
                    disable=not run.console.is_terminal,
                )  # fmt: skip
                shown = _Shown(step.name, todo, stage.enter_context(bar), bar.add_task(step.name, total=1.0))
            shown.bar.update(shown.task, completed=step.share, description=f"{step.name} {step.words}".strip())
            if shown.todo and step.picture is not None:
                save_image(run.folder / EARLY, step.picture())

        yield tell


@dataclass(frozen=True)
class _Shown:
    """The step that is shown."""

    name: str
    todo: bool
    bar: Bar
    task: TaskID


def _save_products(run: Run, made: Reconstruction) -> None:
    folder, gaussians = run.folder, made.gaussians
    with run.stage("files") as todo:
        if todo:
            _save_files(folder, gaussians, made.photos)
    with run.stage("views") as todo:
        if todo:
            _save_views(folder, gaussians, made.photos)
    with run.stage("mesh") as todo:
        if todo:
            _save_mesh(run, gaussians, made.learned.cameras)
    with run.stage("preview") as todo:
        if todo:
            save_image(folder / "preview.png", side_by_side(gaussians, made.unseen if made.held else made.learned))
            film = film_between(made.learned.cameras, round(FPS * FILM_SECONDS))
            save_video(folder / "preview.mp4", _frames(gaussians, film), FPS)


def _report(run: Run, made: Reconstruction, facts: dict[str, object]) -> None:
    with run.stage("check"):
        by_part = {"train": scores(made.gaussians, made.learned), "held_out": scores(made.gaussians, made.unseen)}
    refined = made.refined
    exposures = zip(made.learned.names, refined.gain.tolist(), refined.offset.tolist(), strict=True)
    (run.folder / EARLY).unlink(missing_ok=True)
    run.report(
        {
            "num_photos": len(made.photos),
            "held_out": [made.photos.names[i] for i in made.held],
            **facts,
            "num_splats": len(made.gaussians),
            "sure_share": round(float((made.depth.confidence > SURE).float().mean()), 4),
            **{f"{of}_{name}": value for of, some in by_part.items() for name, value in some.items()},
            "psnr_protocol": "whole undistorted pixels, 8-bit photos at used_size; _exposed: with gain and offset of "
            "each colour fitted to the photo",
            "refine": {
                "steps": refined.steps,
                "seconds": round(refined.seconds, 1),
                "exposure": {name: {"gain": gain, "offset": offset} for name, gain, offset in exposures},
            },
            "start_view": start_view(made.learned, made.depth),
        }
    )
    # Last: until the report is written, a run that stops goes on from them.
    for name in STEPS:
        (run.folder / name).unlink(missing_ok=True)


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
    depths, valids = [], []
    for i, stem in enumerate(_stems(photos)):
        drawn = render(gaussians, photos.cameras[i], normals=True)
        assert drawn.normal is not None
        valid = drawn.median_valid
        save_depth(folder / "depth" / f"{stem}.npz", torch.where(valid, drawn.median_depth, torch.nan), valid=valid)
        normal = F.normalize(drawn.normal, dim=0)
        save_image(folder / "normals" / f"{stem}.png", torch.where(valid, 0.5 + 0.5 * normal, 0.0))
        depths.append(drawn.median_depth)
        valids.append(valid)
    # One scale, so that a thing has the same colour in all of them.
    pictures = ramp_pictures(torch.stack(depths), ~torch.stack(valids), DEPTH_TAIL)
    for stem, picture in zip(_stems(photos), pictures, strict=True):
        save_image(folder / "depth" / f"{stem}.png", picture)


def _save_mesh(run: Run, gaussians: Gaussians, cameras: Camera) -> None:
    try:
        made = mesh.mesh_from_photos(gaussians, cameras)
    except MissingExtra as error:
        run.warn(f"no mesh.glb: {error}")
        return
    if made is None:
        run.warn("no mesh.glb: the photos show no surface that hangs together")
        return
    textured, atlas = made
    save_textured_glb(run.folder / "mesh.glb", [textured], [Node("scene", 0, torch.eye(4))], atlas, unlit=True)


def _frames(gaussians: Gaussians, cameras: Camera) -> Iterator[Float[Tensor, "3 h w"]]:
    for i in range(len(cameras)):
        yield render(gaussians, cameras[i]).rgb.clamp(0, 1)
