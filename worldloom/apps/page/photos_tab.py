"""The tab in which photos of a place, or a video, become a scene to walk in."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from worldloom.apps.page import shown
from worldloom.apps.page.job_controls import JobControls
from worldloom.apps.page.jobs import Job
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import Piece
from worldloom.apps.page.walk_pane import WalkPane
from worldloom.apps.page.work import MOST_MINUTES, PHOTO_SIZES, photos_work
from worldloom.errors import InputError
from worldloom.geometry.io.photo_set import SUFFIXES, VIDEOS

STAGES = ("cameras", "stereo", "splats", "refine", "files", "views", "mesh", "preview", "check")
MOST_FILES = 300
_CAMERAS = (".json", ".txt", ".bin")
_EMPTY = "Photos of one place from many sides, or a video of a walk around it, become a world here."


class PhotosTab:
    """See the module. `on_server` is the page's switch for browsers without a GPU."""

    def __init__(self, services: Services, on_server: Any) -> None:
        self._services = services
        with gr.Row():
            with gr.Column(scale=1, min_width=290):
                files = gr.File(
                    label="Photos of one size, with their cameras if you know them; or one video",
                    file_count="multiple",
                    file_types=[*SUFFIXES, *VIDEOS, *_CAMERAS],
                    elem_id="photos",
                )
                gr.Markdown(
                    "Cameras: `transforms.json`, `cameras.json` or COLMAP's `cameras`, `images` and `points3D`. "
                    "Without them they are found from the photos."
                )
                minutes = gr.Slider(0, MOST_MINUTES, 2, step=0.5, label="Minutes of refinement", elem_id="minutes")
                size = gr.Radio(list(PHOTO_SIZES), value=PHOTO_SIZES[1], label="Pixels along a photo's longer side")
                self.controls = JobControls(services, "reconstruction", "Reconstruct", lambda job: STAGES)
            with gr.Column(scale=3):
                self._pane = WalkPane(services, on_server, "photos-view", _EMPTY)
                about = gr.HTML("", elem_id="photos-files")
        self.controls.connect(
            self._submit, [files, minutes, size], self._shown, self._pane.inputs, [*self._pane.outputs, about]
        )

    def _submit(self, visitor: str, files: Sequence[str] | None, minutes: float, size: int) -> Job:
        sources = [Path(file) for file in files or ()]
        _check(sources, minutes, size)
        with self._services.visitors.making(visitor, "reconstruction", _title(sources)) as piece:
            kept = [self._services.visitors.keep_upload(piece, source) for source in sources]
            photos = kept[0] if _is_video(kept[0]) else kept[0].parent
            asked = {"photos": str(photos), "minutes": float(minutes), "size": int(size)}
            return self._services.jobs.submit(visitor, piece.folder, photos_work, asked)

    def _shown(self, piece: Piece, walk: str | None, on_server: bool) -> tuple:
        view = self._pane.opened(piece.result, walk, on_server)
        return "", *view, shown.film(piece, "preview.mp4") + shown.picture(piece, shown.PREVIEW) + shown.links(piece)


def _check(sources: Sequence[Path], minutes: float | int, size: int) -> None:
    """
    Raises:
        InputError: what was uploaded, or a number, is not what is asked for.
    """
    if not 0 <= minutes <= MOST_MINUTES or size not in PHOTO_SIZES:
        raise InputError(f"expected 0 to {MOST_MINUTES} minutes and a size that is offered, got {minutes} and {size}")
    videos = sum(map(_is_video, sources))
    photos = sum(source.suffix.lower() in SUFFIXES for source in sources)
    if videos > 1 or (videos and len(sources) > 1):
        raise InputError(f"expected one video alone, or photos, got {len(sources)} files with {videos} videos")
    if not videos and photos < 2:
        raise InputError(f"expected two photos or more, or a video, got {photos} photos")
    if len(sources) > MOST_FILES:
        raise InputError(f"expected at most {MOST_FILES} files, got {len(sources)}")
    twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if twice:
        raise InputError(f"expected files of different names, got {twice[0]} twice")


def _is_video(source: Path) -> bool:
    return source.suffix.lower() in VIDEOS


def _title(sources: Sequence[Path]) -> str:
    return sources[0].stem if len(sources) == 1 else f"{len(sources)} files with {sources[0].name}"
