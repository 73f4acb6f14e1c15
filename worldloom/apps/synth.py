"""`worldloom synth`: procedural worlds with exact truth, as folders of pictures or as a driving data set."""

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from rich import progress as bars
from torch import Tensor

from worldloom.apps.run_folder import REPORT, Run, open_run
from worldloom.apps.termination import Terminated, terminable
from worldloom.errors import InputError, require
from worldloom.geometry import Panorama
from worldloom.geometry.io.images import load_image, save_image
from worldloom.geometry.io.nuscenes import load_nuscenes
from worldloom.geometry.io.occ3d import load_occ3d_scene
from worldloom.recon.distance_picture import distance_picture
from worldloom.render import chase_camera, render_bev, render_occupancy
from worldloom.render.caption import caption, contact_sheet
from worldloom.synth.generate import Job, Progress, generate
from worldloom.synth.scene_files import MAKERS, STANDARD, WORLD_FILE, SceneOptions, world_name, write_world
from worldloom.synth.truth import Truth
from worldloom.synth.truth_file import load_truth
from worldloom.synth.world import SEMANTICS

MAX_WORLDS = 1_000_000
MAX_SEED = 1_000_000_000
_DARK = (0.10, 0.12, 0.15)


@dataclass(frozen=True)
class SynthResult:
    """A finished run: its folder and what report.json says."""

    folder: Path
    report: dict


def make_worlds(
    kind: str,
    out: Path,
    *,
    seed: int = 0,
    num_worlds: int = 1,
    options: SceneOptions = STANDARD,
    num_workers: int | None = None,
    force: bool = False,
    resume: bool = False,
) -> SynthResult:
    """Worlds of seeds seed, seed + 1, … -> OUT/<kind>-<seed>/ each, a preview.png of all, and report.json.

    Raises:
        InputError: an unknown kind, a count or seed that cannot be; see also `open_run`.
        MissingExtra: the ray caster is not installed.
    """
    if kind not in MAKERS:
        raise InputError(f"expected a world of {', '.join(MAKERS)}, got {kind!r}")
    check_seed(seed)
    if not 1 <= num_worlds <= MAX_WORLDS:
        raise InputError(f"expected --num-worlds from 1 to {MAX_WORLDS}, got {num_worlds}")
    workers = check_workers(num_workers)
    for module in ("embreex", "shapely"):
        require(module, "synth", "making worlds")
    request = {"command": "synth", "kind": kind, "seed": seed, "num_worlds": num_worlds, "options": asdict(options)}
    with terminable(), open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            names = [world_name(kind, s) for s in range(seed, seed + num_worlds)]
            jobs = [
                Job(name, write_world, f"{name}/{WORLD_FILE}", {"kind": kind, "seed": s, "options": options})
                for name, s in zip(names, range(seed, seed + num_worlds), strict=True)
            ]
            do_all(run, jobs, workers, f"{kind}s")
            if options.num_panoramas + options.num_views:
                with run.stage("preview") as todo:
                    if todo:
                        save_image(run.folder / "preview.png", _preview(run.folder, names))
            facts = {name: _facts(run.folder / name) for name in names}
            if few := [name for name in names if facts[name]["panoramas"] < options.num_panoramas]:
                others = f" and {len(few) - 1} more worlds have too few" if len(few) > 1 else ""
                run.warn(
                    f"asked for {options.num_panoramas} panoramas of each world; "
                    f"{few[0]} has places for {facts[few[0]]['panoramas']}{others}"
                )
            run.report({"worlds": facts})
    return SynthResult(out, json.loads((out / REPORT).read_text()))


def check_seed(seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"expected --seed from 0 to {MAX_SEED}, got {seed}")


def check_workers(num_workers: int | None) -> int:
    """The number of worker processes; by default one for each core, at most four gigabytes of memory for each."""
    if num_workers is None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(1, min(len(os.sched_getaffinity(0)), memory // (4 << 30)))
    if not 1 <= num_workers <= 1024:
        raise InputError(f"expected --num-workers from 1 to 1024, got {num_workers}")
    return num_workers


def do_all(run: Run, jobs: Sequence[Job], num_workers: int, what: str) -> None:
    """Do the jobs in the run's folder, with a bar; what is finished is kept for --resume."""
    with run.stage("plan"):
        pass  # from here on there is something to keep
    with run.stage(what, quiet=True) as todo:
        if not todo:
            return
        columns = (
            bars.TextColumn("  {task.description:<12}"),
            bars.BarColumn(),
            bars.TextColumn("{task.percentage:>3.0f} %"),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("left"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[doing]}"),
        )
        shares = {job.name: float((run.folder / job.done).exists()) for job in jobs}
        with bars.Progress(*columns, console=run.console) as bar:
            task = bar.add_task(what, total=len(jobs), doing="")
            bar.update(task, completed=sum(shares.values()))
            for now in _unforeseen(generate(jobs, run.folder, num_workers)):
                shares[now.job.name] = now.share
                done = sum(shares.values())
                bar.update(task, completed=done, doing=f"{now.job.name}: {now.doing}" if now.doing else "")
                if now.share == 1 and not run.console.is_terminal:  # a log shows no bar until the end
                    ready = sum(share == 1 for share in shares.values())
                    run.console.print(f"  {now.job.name} is made, {ready} of {len(jobs)}", highlight=False)


@contextmanager
def collecting() -> Iterator[None]:
    """For commands that add to a folder: say how to go on where one is stopped."""
    with terminable():
        try:
            yield
        except (KeyboardInterrupt, Terminated, OSError):
            print("stopped; what is finished is kept, the same command goes on", file=sys.stderr)
            raise


def _unforeseen(steps: Iterator[Progress]) -> Iterator[Progress]:
    """The same; bad input that only a job finds was checked too late: no reason to throw the others' work away."""
    try:
        yield from steps
    except InputError as error:
        raise RuntimeError(str(error)) from error


def _facts(folder: Path) -> dict:
    content = json.loads((folder / WORLD_FILE).read_text())
    return {
        "things": len(content["things"]),
        "triangles": content["num_triangles"],
        "panoramas": len(content["panoramas"]),
    }


def _preview(folder: Path, names: Sequence[str], most: int = 20, height: int = 192) -> Float[Tensor, "3 h w"]:
    """One row for each world: its first picture, how far things are, how they face, and what they are."""
    rows = []
    for name in names[:most]:
        truth = load_truth(min((folder / name).glob("*/*.npz")))
        for i, picture in enumerate(truth_pictures(truth)):
            small = torch.nn.functional.interpolate(picture[None], (height, 2 * height), mode="area")[0]
            rows.append(caption(small, name, _DARK, border=0) if i == 0 else small)
    return contact_sheet(rows, columns=4)


def truth_pictures(truth: Truth) -> list[Float[Tensor, "3 h w"]]:
    """Colour, distance, normals and semantics of a view, each 3 h w for people."""
    panorama = Panorama(truth.rgb, truth.distance, truth.sky, torch.eye(4))
    golden = torch.arange(len(SEMANTICS)) * (math.sqrt(5) - 1) / 2
    angle = 2 * math.pi * golden[None] + torch.tensor([0.0, 2.1, 4.2])[:, None]
    palette = 0.55 + 0.4 * torch.cos(angle)
    semantic = palette[:, truth.semantic]
    normal = torch.where(truth.sky, 1.0, 0.5 + 0.5 * truth.normal)
    return [truth.rgb, distance_picture(panorama), normal, torch.where(truth.sky, 1.0, semantic)]


def make_towns(
    out: Path,
    *,
    seed: int = 0,
    minutes: float = 2.0,
    lidar: bool = True,
    picture_width: int | None = 400,
    num_workers: int | None = None,
    force: bool = False,
    resume: bool = False,
) -> SynthResult:
    """Drives through towns -> OUT as a nuScenes data set with Occ3D labels, a preview.png, and report.json.

    Args:
        minutes: of driving, rounded up to whole scenes of 20 s: 2 minutes are 6 scenes.
        lidar: also sweeps, with a label for each point.
        picture_width: pixels of the six cameras' pictures; None leaves the cameras out.
    Raises:
        InputError: a number that cannot be; see also `open_run`.
        MissingExtra: SUMO or the ray caster is not installed.
    """
    from worldloom.synth.dataset.observe import Sensors
    from worldloom.synth.dataset.scenes import merge_scenes, plan_scenes, write_scene

    check_seed(seed)
    if picture_width is not None and not 16 <= picture_width <= 1600:
        raise InputError(f"expected --camera-width from 16 to 1600 pixels, got {picture_width}")
    workers = check_workers(num_workers)
    for module in ("embreex", "shapely", "sumo", "libsumo"):
        require(module, "traffic", "making towns")
    specs = plan_scenes(seed, minutes, Sensors(lidar, picture_width))
    request = {"command": "synth", "kind": "town", "scenes": [asdict(spec) for spec in specs]}
    with terminable(), open_run(out, request, force=force, resume=resume) as run:
        if not run.already_finished:
            jobs = [Job(spec.name, write_scene, spec.done, {"spec": spec}) for spec in specs]
            do_all(run, jobs, workers, "scenes")
            with run.stage("tables") as todo:
                if todo:
                    version = merge_scenes(run.folder, specs).name
                    require_whole(run.folder, version)
            names = [spec.name for spec in specs]
            with run.stage("preview") as todo:
                if todo:
                    save_image(run.folder / "preview.png", town_preview(run.folder, names))
            shutil.rmtree(run.folder / ".tables", ignore_errors=True)
            scenes = {
                spec.name: {"town": spec.town_seed, "split": spec.split, "seconds": spec.seconds} for spec in specs
            }
            run.report({"scenes": scenes})
    return SynthResult(out, json.loads((out / REPORT).read_text()))


def require_whole(folder: Path, version: str) -> None:
    """Read the tables back: what is handed over has been opened once."""
    load_nuscenes(folder, version)


def town_preview(folder: Path, names: Sequence[str], most: int = 12, height: int = 270) -> Float[Tensor, "3 h w"]:
    """One row for each scene at half-time: the front camera, the voxels from behind, and from above."""
    rows = []
    gap = torch.ones(3, height, 6)
    for name in names[:most]:
        clip = load_occ3d_scene(folder / "gts" / name)
        frame = len(clip) // 2
        # Pictures are in the order of time, like frames.
        fronts = sorted((folder / "samples" / "CAM_FRONT").glob(f"{name}*"))
        size = (height, 16 * height // 9)
        row = []
        if len(fronts) == len(clip):
            front = torch.nn.functional.interpolate(load_image(fronts[frame])[None], size, mode="area")[0]
            row += [caption(front, name, _DARK, border=0), gap]
        camera = chase_camera(clip.world_from_ego[frame].float(), size)
        behind = render_occupancy(clip, frame, camera).rgb
        row += [behind if row else caption(behind, name, _DARK, border=0), gap]
        row.append(render_bev(clip.labels[frame], clip.grid, (height, height)))
        rows.append(torch.cat(row, 2))
    return contact_sheet(rows, columns=1)
