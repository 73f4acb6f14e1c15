"""`worldloom drive --mode inverse`: which path the ego took, told from the labels of a clip alone."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from worldloom.apps.run_folder import REPORT, open_run
from worldloom.errors import InputError
from worldloom.geometry import EgoPath, Occupancy
from worldloom.geometry.io import load_ego_path, save_ego_path, save_image, save_video
from worldloom.geometry.io.atomic import atomic_path
from worldloom.occupancy.metrics import follow, measured_path
from worldloom.render.drive_film import birdseye_film, drive_sheet

MEASURED = "measured.json"


def read_path(
    clip: Path, occupancy: Occupancy, poses_known: bool, fingerprint: str, out: Path, *, force: bool, resume: bool
) -> tuple[Path, dict]:
    """Label a clip with the ego's actions, by registration of each frame with the next.

    Its poses, where it has any, are not looked at; the report says how far from them the path is. Writes
    `ego_path.json` (from the first pose of the clip, or the origin), `birdseye.mp4`, `preview.png` and `report.json`
    with speed and turn of each step, and which steps could not be measured, and why.

    Args:
        fingerprint: of the clip, so that a resumed run is of the same one.
    Returns:
        the folder, and what report.json says.
    Raises:
        InputError: fewer than two frames, or frames between which nothing can be measured.
    """
    if len(occupancy) < 2:
        raise InputError(f"{clip}: expected at least 2 frames to tell a path from, got {len(occupancy)}")
    with open_run(out, {"command": "inverse", "clip": fingerprint}, force=force, resume=resume) as run:
        if run.already_finished:
            return run.folder, json.loads((run.folder / REPORT).read_text())
        with run.stage("path") as todo:
            if todo:
                _measure(clip, occupancy, poses_known, run.folder)
        path = load_ego_path(run.folder / "ego_path.json", occupancy.dt)
        # Drawn into the clip as it was driven; of a clip without poses, along the path that was found.
        shown = occupancy if poses_known else replace(occupancy, world_from_ego=path.world_from_ego)
        recovered = path if poses_known else None
        with run.stage("pictures") as todo:
            if todo:
                film = birdseye_film(shown, len(shown), recovered=recovered)
                save_video(run.folder / "birdseye.mp4", film, 1 / shown.dt)
                save_image(run.folder / "preview.png", drive_sheet(shown, len(shown), recovered=recovered))
        run.report(json.loads((run.folder / MEASURED).read_text()))
    return out, json.loads((out / REPORT).read_text())


def _measure(clip: Path, occupancy: Occupancy, poses_known: bool, folder: Path) -> None:
    found = measured_path(occupancy)
    if not bool(found.measured.any()):
        reasons = ", ".join(found.abstained)
        raise InputError(
            f"{clip}: expected frames that can be laid on each other, got none of {len(found.steps)}: {reasons}"
        )
    start = occupancy.world_from_ego[0].double() if poses_known else torch.eye(4, dtype=torch.float64)
    path = EgoPath(start @ found.path.world_from_ego, occupancy.dt)
    save_ego_path(folder / "ego_path.json", path)
    speed, turn = found.steps[:, :2].norm(dim=-1) / found.dt, found.steps[:, 2] / found.dt
    fits = follow(path, EgoPath(occupancy.world_from_ego.double(), occupancy.dt)) if poses_known else None
    facts = {
        "method": "registration of each frame with the next",
        "steps_measured": round(float(found.measured.double().mean()), 4),
        "abstained": {reason: round(share, 4) for reason, share in found.abstained.items()},
        "speed_by_step": [round(value, 3) for value in speed.tolist()],
        "turn_by_step": [round(value, 4) for value in turn.tolist()],
        "ade_metres": None if fits is None else round(fits.ade, 3),
        "ade_reason": "" if poses_known else "the clip has no poses to compare with",
    }
    with atomic_path(folder / MEASURED) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
