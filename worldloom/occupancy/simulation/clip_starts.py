"""Where a drive in the learned world begins: in a frame of a recorded clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from worldloom.errors import InputError
from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.occupancy import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.occupancy.scene_state import HISTORY
from worldloom.occupancy.simulation.route import Route, route_through
from worldloom.occupancy.static_world import MAX_FRAMES
from worldloom.occupancy.traffic import DT
from worldloom.synth.samples import sample_clip_path

_LEAST_AFTER = 4  # frames of a clip that follow a start: they are the route
_MOVED = 0.5  # metres; a shorter way says nothing of where a route leads


@dataclass(frozen=True, eq=False)
class ClipStart:
    """A start in the last frame of what was seen."""

    name: str
    past: Occupancy  # at 2 Hz in Occ3D's grid
    route: Route
    speed: float  # m/s, in the last frame


def clip_start(clip: Occupancy, frame: int, name: str = "clip") -> ClipStart:
    """A start in a recorded drive, whose route is what was driven after it, and straight on.

    Raises:
        InputError: a clip of another grid, other classes or another time step; a frame that is not in it, or the first
            one, which has no speed.
    """
    if clip.grid != OCC3D_GRID or clip.classes != OCC3D_CLASSES or abs(clip.dt - DT) > 0.05 * DT:
        raise InputError(
            f"expected a clip of Occ3D's grid and classes with {DT:g} s between frames, got a grid {clip.grid.shape}, "
            f"{len(clip.classes)} classes, {clip.dt:g} s"
        )
    if not 1 <= frame < len(clip):
        raise InputError(f"expected a frame of 1 to {len(clip) - 1} to start in, got {frame}")
    places = clip.world_from_ego[:, :2, 3].double()
    speed = float((places[frame] - places[frame - 1]).norm()) / clip.dt
    onward = places[frame:]
    if len(onward) < 2 or float((onward[-1] - onward[0]).norm()) < _MOVED:
        ahead = clip.world_from_ego[frame, :2, 0].double()
        onward = torch.stack([places[frame], places[frame] + max(speed, 1.0) * DT * ahead])
    return ClipStart(name, clip[max(0, frame + 1 - MAX_FRAMES) : frame + 1], route_through(onward), speed)


def starts_of(clips: str | Path | Sequence[str | Path | ClipStart] | None) -> list[ClipStart]:
    """All starts of clips: each frame that has enough before and after it.

    Args:
        clips: a file that `save_clip` or `worldloom synth clips` wrote, a folder of them, several of both, or starts;
            None is the bundled sample.
    Raises:
        InputError: a file that is no clip, a folder without any, or clips that are too short.
    """
    if clips is None:
        clips = [sample_clip_path()]
    starts: list[ClipStart] = []
    for clip in [clips] if isinstance(clips, str | Path) else clips:
        if isinstance(clip, ClipStart):
            starts.append(clip)
            continue
        path = Path(clip)
        for file in sorted(path.rglob("*.npz")) if path.is_dir() else [path]:
            recorded = load_clip(file)
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            frames = range(HISTORY - 1, len(recorded) - _LEAST_AFTER)
            starts += [clip_start(recorded, frame, f"{name}:{frame}") for frame in frames]
    if not starts:
        raise InputError(f"expected clips of {HISTORY + _LEAST_AFTER} frames or more, got none")
    return starts
