"""What the processes of jobs do. Each function works in the folder of a piece and takes plain values."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldloom.apps.drive import make_drive
from worldloom.apps.export import make_export
from worldloom.apps.page.archives import pack, unpack
from worldloom.apps.page.compare import write_comparison
from worldloom.apps.page.visitors import RESULT
from worldloom.apps.recon import ReconOptions, make_recon
from worldloom.apps.scene import make_scene
from worldloom.apps.scene_input import SceneInput
from worldloom.errors import InputError
from worldloom.geometry import EgoPath
from worldloom.geometry.drawn_path import path_through
from worldloom.scenegen import FAMILIES

EXPORTED = "worldloom-export.zip"
_DRAWN_SECONDS, _DRAWN_DT = 60.0, 0.1
MOST_MINUTES = 10  # of refinement
PHOTO_SIZES = (320, 480, 640)  # pixels along the longer side of a photo
DRAWN = "drawn"  # a path through points that somebody set on the map


@dataclass(frozen=True)
class Quality:
    """How much work a scene is worth."""

    rows: int  # of a panorama, at most
    made_up_rows: int  # of one that has to be made first
    families: tuple[str, ...]


QUALITIES = {
    "Draft": Quality(512, 384, ("wander",)),
    "Full": Quality(1024, 768, tuple(FAMILIES)),
}


def scene_work(folder: Path, request: Mapping[str, Any]) -> None:
    """picture (path), fov, text, quality, camera_height (metres), depth_model, each or None -> a scene."""
    quality = QUALITIES[request["quality"]]
    picture = request["picture"]
    source = SceneInput(None if picture is None else Path(picture), request["fov"], text=request["text"])
    make_scene(
        source,
        folder / RESULT,
        camera_height=request["camera_height"],
        depth_model=request["depth_model"],
        families=quality.families,
        rows=quality.rows if source.is_panorama else quality.made_up_rows,
    )


def photos_work(folder: Path, request: Mapping[str, Any]) -> None:
    """photos (a folder, or a video), minutes, size -> a scene."""
    options = ReconOptions(refine_minutes=request["minutes"], long_side=request["size"])
    make_recon(Path(request["photos"]), folder / RESULT, options=options)


def drive_work(folder: Path, request: Mapping[str, Any]) -> None:
    """clip (path), path, points, speed, past, horizon, futures, seed -> a drive, and its futures side by side."""
    inside = folder / ".clip"
    try:
        clip = unpack(Path(request["clip"]), inside)
        drawn = request["path"] == DRAWN
        result = make_drive(
            clip,
            folder / RESULT,
            path=drawn_path(request["points"], request["speed"]) if drawn else request["path"],
            speed=request["speed"],
            num_past=request["past"],
            horizon=request["horizon"],
            num_futures=request["futures"],
            seed=request["seed"],
        )
        write_comparison(folder, clip, result.report)
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def drawn_path(points: list[tuple[float, float]], speed: float) -> EgoPath:
    """The path through points (metres ahead and to the left of the present pose), for a minute, finely.

    Raises:
        InputError: no points, or what `path_through` does not take.
    """
    if not points:
        raise InputError("expected points for a drawn path, got none: click the map, or choose a manoeuvre")
    return path_through(points, speed, round(_DRAWN_SECONDS / _DRAWN_DT), _DRAWN_DT)


def export_work(folder: Path, request: Mapping[str, Any]) -> None:
    """world (path), formats -> EXPORTED with their files."""
    made = make_export(Path(request["world"]), folder / RESULT, request["formats"]).folder
    pack(made, folder / EXPORTED, "worldloom-export")
    shutil.rmtree(made)
