"""The tab in which past occupancy and a path become futures, side by side."""

import functools
import re
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from worldloom.apps.drive import LOG, MAX_SPEED, past_and_truth
from worldloom.apps.page import compare, files, shown
from worldloom.apps.page.archives import unpack
from worldloom.apps.page.job_controls import QUIET, JobControls
from worldloom.apps.page.jobs import Job
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import Piece
from worldloom.apps.page.walk_pane import WalkPane
from worldloom.apps.page.work import DRAWN, drawn_path, drive_work
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_GRID, Occupancy, manoeuvre_path
from worldloom.geometry.manoeuvres import MANOEUVRES
from worldloom.render import render_bev

STAGES = ("forecast", "pictures")
SAMPLE = "the sample street"
ALL = "all"  # futures at once
MAP_PIXELS = 480
MOST_FUTURES, MOST_FRAMES, MOST_PAST = 8, 16, 8
_SIDE = OCC3D_GRID.shape[0] * OCC3D_GRID.voxel_size  # metres of the map
_POINT = re.compile(r"(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)")
_EMPTY = "Choose where to drive, and the futures stand here side by side."


class DriveTab:
    """See the module. `on_server` is the page's switch for browsers without a GPU."""

    def __init__(self, services: Services, on_server: Any) -> None:
        self._services = services
        self._piece = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=290):
                clip = gr.Dropdown([SAMPLE, *services.clips], value=SAMPLE, label="Clip", elem_id="clip")
                upload = gr.File(
                    label="or yours: .npz, or a .zip with gts/", file_types=[".npz", ".zip"], elem_id="upload"
                )
                picture = gr.Image(
                    None, label="From above: click where to drive", interactive=False, elem_id="map", height=300,
                    buttons=[], type="numpy",
                )  # fmt: skip
                path = gr.Radio(
                    [("as the clip drove", LOG), *((name, name) for name in MANOEUVRES), ("through the points", DRAWN)],
                    value="straight", label="Path", elem_id="path",
                )  # fmt: skip
                with gr.Row():
                    points = gr.Textbox(
                        "", label="Points: metres ahead, left; …", placeholder="10, 0; 20, 3", elem_id="points", scale=3
                    )
                    clear = gr.Button("Clear", scale=1, min_width=70)
                speed = gr.Slider(0.5, 20, 5, step=0.5, label="Speed, m/s")
                horizon = gr.Slider(1, MOST_FRAMES, 6, step=1, label="Frames to come, two a second", elem_id="horizon")
                futures = gr.Slider(1, MOST_FUTURES, 3, step=1, label="Futures", elem_id="futures")
                with gr.Accordion("More", open=False):
                    past = gr.Slider(1, MOST_PAST, 4, step=1, label="Frames that are given")
                    seed = gr.Number(0, label="Seed", precision=0)
                self.controls = JobControls(services, "drive", "Forecast", lambda job: STAGES)
            with gr.Column(scale=3):
                futures_view = gr.HTML(shown.empty(_EMPTY), elem_id="futures-view")
                about = gr.HTML("", elem_id="drive-files")
                with gr.Row(visible=False) as solid:
                    which = gr.Dropdown([], label="Walk through", scale=3, elem_id="which-future")
                    enter = gr.Button("Show in 3-D", scale=1, elem_id="enter")
                self._pane = WalkPane(services, on_server, "drive-view")
        self._map_inputs = [clip, upload, past, path, points, speed, horizon]
        self._map_outputs = [picture, self.controls.status]
        for part in self._map_inputs:
            part.change(self._draw_map, self._map_inputs, self._map_outputs, trigger_mode="always_last", **QUIET)
        picture.select(self._add_point, points, [points, path], **QUIET)
        clear.click(lambda: "", None, points, **QUIET)
        self.controls.connect(
            self._submit,
            [clip, upload, past, path, points, speed, horizon, futures, seed],
            self._shown,
            self._pane.inputs,
            [futures_view, about, solid, which, *self._pane.outputs, self._piece],
        )
        enter.click(self._enter, [self._piece, which, *self._pane.inputs], self._pane.outputs, **QUIET)

    def map_after(self, event: Any) -> None:
        """Draw the map after an event."""
        event.then(self._draw_map, self._map_inputs, self._map_outputs, **QUIET)

    def _clip(self, name: str, upload: str | None) -> Path:
        from worldloom.synth.samples import sample_clip_path

        if upload:
            return Path(upload)
        if name != SAMPLE and name not in self._services.clips:
            raise InputError("expected one of the clips that are offered, got another")
        return sample_clip_path() if name == SAMPLE else self._services.clips[name]

    def _draw_map(
        self, clip: str, upload: str | None, past: int, path: str, points: str, speed: float, horizon: int
    ) -> tuple:
        try:
            source = self._clip(clip, upload)
            now = _present(str(source), source.stat().st_mtime_ns, int(past))
            marks = points_from_text(points)
            return map_picture(now, _line(now, path, marks, speed, int(horizon)), marks if path == DRAWN else []), ""
        except (InputError, OSError) as error:
            return None, shown.error(error)

    def _add_point(self, points: str, event: gr.SelectData) -> tuple[str, str]:
        column, row = event.index
        ahead, left = place_on_map(column, row)
        marks = [*points_from_text(points), (ahead, left)]
        return "; ".join(f"{x:.1f}, {y:.1f}" for x, y in marks), DRAWN

    def _submit(
        self,
        visitor: str,
        clip: str,
        upload: str | None,
        past: int,
        path: str,
        points: str,
        speed: float,
        horizon: int,
        futures: int,
        seed: float | None,
    ) -> Job:
        source = self._clip(clip, upload)
        _check_numbers(past, speed, horizon, futures)
        if path not in (LOG, *MANOEUVRES, DRAWN):
            raise InputError("expected a path that is offered, got another")
        marks = points_from_text(points)
        if path == DRAWN:
            drawn_path(marks, speed)
        with self._services.visitors.making(visitor, "drive", source.stem if upload else clip) as piece:
            if upload:
                source = self._services.visitors.keep_upload(piece, source)
            asked = {
                "clip": str(source), "path": path, "points": marks, "speed": float(speed), "past": int(past),
                "horizon": int(horizon), "futures": int(futures), "seed": int(seed or 0),
            }  # fmt: skip
            return self._services.jobs.submit(visitor, piece.folder, drive_work, asked)

    def _shown(self, piece: Piece, walk: str | None, on_server: bool) -> tuple:
        """Status, futures, links, the row of the 3-D view with its choices, the view, and the piece's name."""
        if (piece.folder / compare.PAGE).is_file():
            futures = shown.frame(f"{files.PREFIX}/{piece.name}/{compare.PAGE}", "Futures side by side")
        else:  # made on the command line
            futures = shown.film(piece, "birdseye.mp4")
        names = _futures_of(piece)
        choices = [(f"future {i + 1}", name) for i, name in enumerate(names)]
        about = shown.film(piece, "perspective.mp4") + shown.links(piece)
        if len(names) > 1:
            choices.insert(0, ("all side by side", ALL))
        which = gr.update(choices=choices, value=choices[0][1] if choices else None)
        return "", futures, about, gr.update(visible=bool(names)), which, *self._pane.closed(walk), piece.name

    def _enter(self, name: str | None, which: str | None, walk: str | None, on_server: bool) -> tuple:
        piece = None if name is None else self._services.visitors.find(name)
        try:
            names = [] if piece is None else _futures_of(piece)
            chosen = names if which == ALL else [name for name in names if name == which]
            if piece is None or not chosen:
                raise InputError("expected a future to walk through, got none")
            return self._pane.opened(piece.result, walk, on_server, chosen)
        except InputError as error:
            return shown.error(error), None


def points_from_text(text: str) -> list[tuple[float, float]]:
    """`10, 0; 20, 3` -> points (ahead, left) in metres.

    Raises:
        InputError: something else.
    """
    parts = [part.strip() for part in (text or "").split(";") if part.strip()]
    found = [_POINT.fullmatch(part) for part in parts]
    if None in found:
        wrong = parts[found.index(None)]
        raise InputError(f"expected points such as 10, 0; 20, 3 (metres ahead, left), got {wrong[:40]!r}")
    return [(float(match[1]), float(match[2])) for match in found if match]


def place_on_map(column: float, row: float) -> tuple[float, float]:
    """Metres (ahead, left) of a pixel of the map."""
    x, y, _ = OCC3D_GRID.origin
    return x + _SIDE * (1 - (row + 0.5) / MAP_PIXELS), y + _SIDE * (1 - (column + 0.5) / MAP_PIXELS)


def map_picture(
    now: Occupancy, line: torch.Tensor | None, marks: list[tuple[float, float]]
) -> UInt8[np.ndarray, "h w 3"]:
    """The present from above, ahead is up, with a line to drive and points."""
    size = (MAP_PIXELS, MAP_PIXELS)
    picture = render_bev(now.labels[0], now.grid, size, path=line, observed=now.observed[0])
    image = Image.fromarray((picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    draw = ImageDraw.Draw(image)
    x, y, _ = OCC3D_GRID.origin
    for ahead, left in marks:
        column, row = MAP_PIXELS * (1 - (left - y) / _SIDE), MAP_PIXELS * (1 - (ahead - x) / _SIDE)
        draw.ellipse((column - 5, row - 5, column + 5, row + 5), fill=(28, 92, 190), outline=(255, 255, 255), width=2)
    return np.asarray(image)


@functools.lru_cache(maxsize=8)
def _present(clip: str, modified: int, num_past: int) -> Occupancy:
    """The last frame of the past of a clip; `modified` tells one version of a file from another."""
    with tempfile.TemporaryDirectory() as folder:
        past, _ = past_and_truth(unpack(Path(clip), Path(folder) / "clip"), num_past, 1)
        return past[-1:]


def _line(
    now: Occupancy, path: str, marks: list[tuple[float, float]], speed: float, horizon: int
) -> torch.Tensor | None:
    if path in MANOEUVRES:
        return manoeuvre_path(path, speed, horizon, now.dt).world_from_ego[:, :2, 3]
    if path == DRAWN and marks:
        seconds = drawn_path(marks, speed)
        last = round(horizon * now.dt / seconds.dt) + 1
        return seconds.world_from_ego[:last, :2, 3]
    return None


def _check_numbers(past: float, speed: float, horizon: float, futures: float) -> None:
    for name, value, least, most in (
        ("frames that are given", past, 1, MOST_PAST), ("a speed", speed, 0, MAX_SPEED),
        ("frames to come", horizon, 1, MOST_FRAMES), ("futures", futures, 1, MOST_FUTURES),
    ):  # fmt: skip
        if value is None or not least <= value <= most:
            raise InputError(f"expected {name} of {least} to {most:g}, got {value}")


def _futures_of(piece: Piece) -> list[str]:
    return sorted(path.name for path in piece.result.glob("future*.npz"))
