"""`worldloom drive`: past occupancy and an ego path become the future."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from worldloom.apps.run_folder import REPORT, open_run
from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, EgoPath, Occupancy, resample_path
from worldloom.geometry.io import (
    load_clip,
    load_ego_path,
    load_occ3d_scene,
    save_clip,
    save_ego_path,
    save_image,
    save_occ3d_scene,
    save_video,
)
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import save_npz
from worldloom.geometry.manoeuvres import MANOEUVRES, manoeuvre_path
from worldloom.occupancy.forecast import copy_last, copy_warp
from worldloom.occupancy.future_path import FuturePath, first_off_log, lay_path
from worldloom.occupancy.metrics import follow, measured_path, score_forecast
from worldloom.occupancy.metrics.semantic import Mask
from worldloom.occupancy.world_model import WorldModel
from worldloom.ops import weights_path
from worldloom.render.drive_film import birdseye_film, drive_sheet, perspective_film

LOG = "log"  # the path that the clip itself drove
NAMED = (LOG, *MANOEUVRES)
MAX_HORIZON = 256  # frames: two minutes at 2 Hz
PICTURES_PER_FRAME = 4  # of the perspective film: 8 in a second, where frames come at 2 Hz
MAX_SPEED = 60.0  # m/s
COPY_WARP = "copy-warp"
MODES = ("forward", "policy", "joint", "video")
MAX_FUTURES = 64
RISK = "risk.json"
FOLLOWED = "followed.json"


@dataclass(frozen=True)
class DriveResult:
    """Where the future lies, and what report.json says."""

    folder: Path
    report: dict


@dataclass(frozen=True)
class _Asked:
    """What makes the future, and how."""

    model: str
    num_futures: int
    seed: int
    mode: str
    steps: int
    guidance: float


@dataclass(frozen=True)
class _Job:
    """What is asked for, checked: nothing about it can turn out to be bad input later."""

    past: Occupancy
    truth: Occupancy | None  # frames after the past, as many as there are, at most the horizon
    future: FuturePath
    poses_known: bool


def make_drive(
    clip: Path,
    out: Path,
    *,
    scene: str | None = None,
    path: str | EgoPath = "straight",
    speed: float = 5.0,
    num_past: int = 4,
    horizon: int = 6,
    model: str | None = None,
    num_futures: int = 1,
    seed: int = 0,
    mode: str = "forward",
    steps: int = 2,
    guidance: float = 1.0,
    force: bool = False,
    resume: bool = False,
) -> DriveResult:
    """Forecast occupancy along an ego path, and draw it.

    Writes the future as an Occ3D folder (`gts/`, `annotations.json`) and as a clip (`future.npz`), `ego_path.json` (the
    present and the future poses), `birdseye.mp4`, `perspective.mp4`, `preview.png` and `report.json`. Of several
    futures the first is drawn; the others are `future-01.npz` and so on, in `gts/` too, and `uncertainty.npz` says
    where they differ.

    Args:
        clip: an Occ3D data set (a folder with `gts/`), a scene folder in one, one labels.npz, or a clip file. One frame
            alone is the past and has no truth.
        scene: which one of a data set; the first by name if not given.
        path: "log" (as the clip itself drove), "straight", "left", "right", "stop", or a file of ego poses, laid on the
            clip by the rule of `lay_path`; or a path itself, whose first pose is the present and the origin of its
            frame.
        speed: of a named manoeuvre, m/s.
        num_past: frames of the clip that are given; those after them are the truth.
        horizon: future frames to make.
        model: weights of the world model, a name or a folder; COPY_WARP keeps the static world in place and lets
            nobody move. The embedded weights if not given, or COPY_WARP where there are none.
        num_futures, seed, mode, steps, guidance: of `WorldModel.generate`; a mode that draws the ego's path takes no
            notice of `path`.
    Raises:
        InputError: before anything is made.
    """
    clip, others = _scene_of(clip, scene)
    job = _check(clip, path, speed, num_past, horizon)
    asked = _Asked(model or best_model(), num_futures, seed, mode, steps, float(guidance))
    _check_asked(asked)
    request = {
        "command": "drive",
        "clip": _fingerprint(clip),
        "path": path
        if isinstance(path, str) and path in NAMED
        else hashlib.sha256(job.future.ego_path.world_from_ego.numpy().tobytes()).hexdigest(),
        "speed": speed if isinstance(path, str) and path in MANOEUVRES else None,
        "num_past": len(job.past),
        "horizon": horizon,
        "model": asdict(asked),
    }
    with open_run(out, request, force=force, resume=resume) as run:
        if run.already_finished:
            return DriveResult(run.folder, json.loads((run.folder / REPORT).read_text()))
        if others:
            run.warn(f"this is {clip.name}; the data set has {others} more scenes, to be had with --scene")
        if not job.poses_known:
            run.warn("the clip has no poses (no annotations.json), so only its last past frame is used")
        with run.stage("forecast") as todo:
            if todo:
                name = f"{clip.resolve().stem.removesuffix('-future')}-future"
                _forecast(job, asked, run.folder, name)
        future = load_clip(run.folder / "future.npz")
        with run.stage("pictures") as todo:
            if todo:
                _draw(job, future, run.folder)
        metrics, reason = _metrics(job, asked, future)
        run.report(
            {
                "method": asked.model,
                **_told(run.folder / RISK),
                "path": {
                    "command": _name_of(path),
                    "laid": job.future.laid,
                    "metres": round(_length(job), 3),
                    **_told(run.folder / FOLLOWED),
                },
                "past": _summary(job.past),
                "future": _summary(future),
                "metrics": metrics,
                "metrics_reason": reason,
            }
        )
    return DriveResult(out, json.loads((out / REPORT).read_text()))


def past_and_truth(
    clip: Path, num_past: int = 4, horizon: int = 6, scene: str | None = None
) -> tuple[Occupancy, Occupancy | None]:
    """What `make_drive` forecasts from, and what came then; None where that is not known.

    Raises:
        InputError: as `make_drive`.
    """
    job = _check(_scene_of(clip, scene)[0], "stop", 0.0, num_past, horizon)
    return job.past, job.truth


def _scene_of(clip: Path, scene: str | None) -> tuple[Path, int]:
    """The scene's folder where `clip` is a data set, and how many others there are if none was named."""
    root = clip if clip.resolve().name == "gts" else clip / "gts"
    if not root.is_dir():
        if scene is not None:
            raise InputError(f"{clip}: expected a data set with gts/{scene} for --scene, got no gts folder")
        return clip, 0
    names = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    if not names:
        raise InputError(f"{root}: expected folders of scenes, got none")
    if scene is None:
        return root / names[0], len(names) - 1
    if scene not in names:
        shown = names if len(names) <= 7 else [*names[:3], "…", *names[-3:]]
        raise InputError(f"{root}: expected --scene to be one of {', '.join(shown)}, got {scene!r}")
    return root / scene, 0


def _name_of(path: str | EgoPath) -> str:
    if isinstance(path, EgoPath):
        return "drawn"
    return path if path in NAMED else Path(path).name


def _check(clip: Path, path: str | EgoPath, speed: float, num_past: int, horizon: int) -> _Job:
    if not 1 <= horizon <= MAX_HORIZON:
        raise InputError(f"expected a horizon of 1 to {MAX_HORIZON} frames, got {horizon}")
    if num_past < 1:
        raise InputError(f"expected at least 1 past frame, got {num_past}")
    if not 0 <= speed <= MAX_SPEED:
        raise InputError(f"expected a speed of 0 to {MAX_SPEED:g} m/s, got {speed}")
    if isinstance(path, str) and path not in NAMED and not _exists(path):
        raise InputError(f"expected a path {', '.join(NAMED)} or a file of ego poses, got {path!r}")
    occupancy = load_occ3d_scene(clip, mask="lidar")  # observed: somebody looked, with whatever sensor
    if occupancy.grid != OCC3D_GRID or occupancy.classes != OCC3D_CLASSES:
        raise InputError(
            f"{clip}: expected the grid and classes of Occ3D, {OCC3D_GRID.shape} voxels of {OCC3D_GRID.voxel_size} m "
            f"from {OCC3D_GRID.origin} in {len(OCC3D_CLASSES)} classes, got {occupancy.grid.shape} of "
            f"{occupancy.grid.voxel_size} m from {occupancy.grid.origin} in {len(occupancy.classes)} classes"
        )
    if len(occupancy) == 1:
        num_past = 1
    if num_past > len(occupancy):
        raise InputError(f"{clip}: expected at most {len(occupancy)} past frames, which is all it has, got {num_past}")
    poses_known = clip.is_file() or len(occupancy) == 1 or _has_annotations(clip)
    past, rest = occupancy[:num_past], occupancy[num_past : num_past + horizon]
    if not poses_known:
        past = past[-1:]
    if isinstance(path, EgoPath):
        future = _from_present(path, past, horizon)
    elif path == LOG:
        if not poses_known or len(rest) < horizon:
            raise InputError(
                f"{clip}: expected {num_past + horizon} frames with poses for the path {LOG!r} ({num_past} past and "
                f"{horizon} to come), got {len(occupancy)} {'with' if poses_known else 'without'} poses"
            )
        future = FuturePath(EgoPath(rest.world_from_ego, rest.dt), "as the clip itself drove")
    elif path in MANOEUVRES:
        command = manoeuvre_path(path, speed, horizon, past.dt, past.world_from_ego[-1])
        future = FuturePath(command[1:], "starts at the last observed pose")
    else:
        future = lay_path(load_ego_path(path, past.dt), past, horizon)
    return _Job(past, rest if poses_known and len(rest) else None, future, poses_known)


def _from_present(path: EgoPath, past: Occupancy, horizon: int) -> FuturePath:
    """The path's motions from the last pose of the past on."""
    path = resample_path(path, past.dt)
    if len(path) <= horizon:
        raise InputError(f"expected a path of at least {horizon + 1} poses {past.dt:g} s apart, got {len(path)}")
    poses = past.world_from_ego[-1].double() @ path.world_from_ego[1 : horizon + 1].double()
    return FuturePath(EgoPath(poses.to(past.world_from_ego), past.dt), "starts at the last observed pose")


def best_model() -> str:
    """The embedded weights, where the package has them."""
    try:
        weights_path("worldloom.occupancy", "small", "traffic")
    except InputError:
        return COPY_WARP
    return "small"


def _check_asked(asked: _Asked) -> None:
    if not 1 <= asked.num_futures <= MAX_FUTURES:
        raise InputError(f"expected 1 to {MAX_FUTURES} futures, got {asked.num_futures}")
    if asked.mode not in MODES:
        raise InputError(f"expected a mode {', '.join(MODES)}, got {asked.mode!r}")
    if not 1 <= asked.steps <= 64:
        raise InputError(f"expected 1 to 64 steps, got {asked.steps}")
    if not 0 <= asked.guidance <= 20:
        raise InputError(f"expected a guidance of 0 to 20, got {asked.guidance:g}")
    if asked.model == COPY_WARP and (asked.num_futures > 1 or asked.mode != "forward"):
        raise InputError(
            f"{COPY_WARP} makes one future along a given path, got {asked.num_futures} futures in mode {asked.mode}"
        )


def _forecast(job: _Job, asked: _Asked, folder: Path, name: str) -> None:
    """Make and write the futures, and what the model says of their risk."""
    if asked.model == COPY_WARP:
        futures: tuple[Occupancy, ...] = (copy_warp(job.past, job.future.ego_path),)
    else:
        model = WorldModel.from_pretrained(asked.model)
        ego_path = job.future.ego_path if asked.mode == "forward" else None
        made = model.generate(
            job.past, ego_path, asked.num_futures, asked.seed, asked.mode, asked.steps, asked.guidance,
            len(job.future.ego_path),
        )  # fmt: skip
        futures, uncertainty = made.occupancy, made.uncertainty()
        mean = made.risk.mean(0)
        facts = {
            "risk": {
                "collision_by_frame": [round(p, 4) for p in mean[:, 0].tolist()],
                "off_road_by_frame": [round(p, 4) for p in mean[:, 1].tolist()],
            },
            "uncertainty_by_frame": [round(u, 5) for u in uncertainty.mean((1, 2)).tolist()],
        }
        with atomic_path(folder / RISK) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n")
        if asked.num_futures > 1:
            with atomic_path(folder / "uncertainty.npz") as temporary:
                save_npz(temporary, {"uncertainty": uncertainty.numpy()})
    for i, future in enumerate(futures):
        number = f"-{i:02d}" if i else ""
        save_clip(folder / f"future{number}.npz", future)
        save_occ3d_scene(folder, name + number, future)
    poses = torch.cat([job.past.world_from_ego[-1:].double(), futures[0].world_from_ego.double()])
    save_ego_path(folder / "ego_path.json", EgoPath(poses, futures[0].dt))


def _draw(job: _Job, future: Occupancy, folder: Path) -> None:
    clip = replace(
        job.past,
        labels=torch.cat([job.past.labels, future.labels]),
        observed=torch.cat([job.past.observed, future.observed]),
        world_from_ego=torch.cat([job.past.world_from_ego.double(), future.world_from_ego.double()]),
    )
    clip = replace(clip, labels=torch.where(clip.observed, clip.labels, FREE))  # what the forecast saw of the past
    num_past, fps = len(job.past), 1 / clip.dt
    recovered = _recovered(clip[num_past - 1 :], folder)
    save_video(folder / "birdseye.mp4", birdseye_film(clip, num_past, recovered=recovered), fps)
    film = perspective_film(clip, num_past, per_step=PICTURES_PER_FRAME)
    save_video(folder / "perspective.mp4", film, PICTURES_PER_FRAME * fps)
    save_image(folder / "preview.png", drive_sheet(clip, num_past, recovered=recovered))


def _recovered(future: Occupancy, folder: Path) -> EgoPath | None:
    """The path that the voxels from now on tell, where they tell enough of it, and in FOLLOWED how it fits."""
    found = measured_path(future)
    share = round(float(found.measured.double().mean()), 4)
    world_from_now = future.world_from_ego[0].double()
    path = EgoPath(world_from_now @ found.path.world_from_ego, future.dt) if found.headline else None
    fits = None if path is None else follow(path, EgoPath(future.world_from_ego.double(), future.dt))
    facts = {"recovered": {"steps_measured": share, "ade_metres": None if fits is None else round(fits.ade, 3)}}
    with atomic_path(folder / FOLLOWED) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    return path


def _told(path: Path) -> dict:
    """What an earlier stage wrote down, if it did."""
    return json.loads(path.read_text()) if path.exists() else {}


def _metrics(job: _Job, asked: _Asked, future: Occupancy) -> tuple[dict | None, str]:
    """Scores of the method and of the floors, or why there are none."""
    if asked.mode != "forward":
        return None, f"in mode {asked.mode} the model drives, and the log does not say what it would have seen"
    if job.truth is None:
        return None, "the clip has no frames with poses after the past, so the future is not known"
    off = first_off_log(job.future.ego_path, job.truth)
    if off is not None:
        frame, metres = off
        return None, (
            f"the commanded path leaves the logged one at future frame {frame + 1} ({metres:.2f} m apart there), "
            "and the log does not say what would have been seen"
        )
    n, dt = len(job.truth), job.truth.dt
    # Published forecasts take every label for known, before and after; ours take only what was observed.
    trusting = replace(job.past, observed=torch.ones_like(job.past.observed))
    path = job.future.ego_path[:n]
    forecasts: dict[Mask, dict[str, Occupancy]] = {
        "observed": {"copy_warp": copy_warp(job.past, path), "copy_last": copy_last(job.past, path)},
        "none": {"copy_warp": copy_warp(trusting, path), "copy_last": copy_last(trusting, path)},
    }
    if asked.model != COPY_WARP:
        forecasts["observed"] = {"model": future[:n], **forecasts["observed"]}
    scores = {
        mask: {name: score_forecast(replace(f, dt=dt), job.truth, mask).to_json() for name, f in by_name.items()}
        for mask, by_name in forecasts.items()
    }
    return {
        "frames": n,
        "future_ego_motion": "given",
        "observed": {"input": "observed voxels of the past", **scores["observed"]},
        "published": {"input": "all labels of the past", **scores["none"]},
    }, ""


def _summary(occupancy: Occupancy) -> dict:
    occupied, observed = (occupancy.labels != FREE).flatten(1), occupancy.observed.flatten(1)
    return {
        "frames": len(occupancy),
        "dt": occupancy.dt,
        "occupied_voxels": occupied.sum(1).tolist(),
        "observed_share": [round(share, 4) for share in observed.double().mean(1).tolist()],
    }


def _length(job: _Job) -> float:
    poses = torch.cat([job.past.world_from_ego[-1:].double(), job.future.ego_path.world_from_ego.double()])
    return poses[:, :3, 3].diff(dim=0).norm(dim=1).sum().item()


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name too long for the file system, for one
        return False


def _has_annotations(scene: Path) -> bool:
    scene = scene.resolve()
    return any((folder / "annotations.json").is_file() for folder in (scene, scene.parent.parent))


def _fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of what a scene folder holds."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.glob("**/labels.npz")):
            digest.update(f"{file.relative_to(path)}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        for file in (path / "annotations.json", path.resolve().parent.parent / "annotations.json"):
            if file.is_file():
                digest.update(file.read_bytes())
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()
