"""Scenarios side by side as moving maps: sixteen on a sheet."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.batch.export.scene import ExportScene
from worldloom.geometry.io.video import save_video
from worldloom.render.caption import caption, contact_sheet
from worldloom.render.drive_film import FUTURE_COLOUR, PAST_COLOUR, view_from_above

COLUMNS, ROWS = 4, 4
_PIXELS = 240  # of one map
_HOLD = 2  # pictures of the last frame before the film begins again


def export_video(folder: Path, scenes: Iterator[ExportScene]) -> int:
    """Write `sheet-000.mp4` and so on; returns how many scenarios they show."""
    count = 0
    for number in itertools.count():
        some = list(itertools.islice(scenes, COLUMNS * ROWS))
        if not some:
            return count
        fps = 1 / some[0].clip.dt
        save_video(folder / f"sheet-{number:03d}.mp4", sheet_film(some), fps)
        count += len(some)
    return count


def sheet_film(scenes: Sequence[ExportScene]) -> Iterator[Float[Tensor, "3 h w"]]:
    """The sheet at each moment; who has ended stands still."""
    columns = min(COLUMNS, len(scenes))
    for frame in range(max(len(scene.clip) for scene in scenes) + _HOLD):
        yield contact_sheet([_tile(scene, min(frame, len(scene.clip) - 1)) for scene in scenes], columns)


def _tile(scene: ExportScene, frame: int) -> Float[Tensor, "3 h w"]:
    """A map with a line below that says which scenario it is."""
    picture = view_from_above(scene.clip, 1, frame, _PIXELS)
    line = torch.ones(3, 2 * 16, _PIXELS)
    colour = PAST_COLOUR if frame == 0 else FUTURE_COLOUR
    words = scene.result.spec.title
    first, _, rest = words.partition(", ")
    return torch.cat([picture, caption(line[:, :16], first, colour, 0), caption(line[:, 16:], rest, colour, 0)], 1)
