"""The tab in which a panorama, a photo or a text becomes a scene to walk in."""

from pathlib import Path
from typing import Any

import gradio as gr

from worldloom.apps.export import FORMATS
from worldloom.apps.page import files, shown
from worldloom.apps.page.job_controls import JobControls
from worldloom.apps.page.jobs import Job
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import Piece
from worldloom.apps.page.walk_pane import WalkPane
from worldloom.apps.page.work import EXPORTED, QUALITIES, export_work, scene_work
from worldloom.apps.scene import PICTURES
from worldloom.apps.scene_input import SceneInput
from worldloom.errors import InputError
from worldloom.recon.scene_distance import EMBEDDED, FLOOR
from worldloom.scenegen.words import PROMPT_LIMIT
from worldloom.synth.samples import sample_panorama_path

STAGES = ("distance", "path", "splats", "files", "preview", "check")
MADE_UP_STAGES = ("panorama", *STAGES)
_EMPTY = "Make a scene, and walk in it here. Without a picture of yours, it is the sample room."
_DISTANCES = [
    ("learned from procedural worlds", EMBEDDED),
    ("assumed: level ground, a sphere, a rule for the sky", FLOOR),
]


class SceneTab:
    """See the module. `on_server` is the page's switch for browsers without a GPU."""

    def __init__(self, services: Services, on_server: Any) -> None:
        self._services = services
        self._piece = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=290):
                panorama = gr.File(
                    label="Panorama, 2:1, or a photo (empty: the sample room)",
                    file_types=list(PICTURES),
                    elem_id="panorama",
                )
                text = gr.Textbox(
                    label="Or a text", placeholder="a bedroom with blue walls and a red rug", elem_id="scene-text",
                    info="A place to make, if there is no picture", max_length=PROMPT_LIMIT,
                )  # fmt: skip
                fov = gr.Number(0, label="Degrees across the photo (0: a panorama)", elem_id="photo-fov")
                quality = gr.Radio(
                    list(QUALITIES), value="Full", label="Quality", elem_id="quality",
                    info="Draft: a quarter of the splats and fewer paths, in a third of the time",
                )  # fmt: skip
                with gr.Accordion("More", open=False):
                    depth = gr.Radio(_DISTANCES, value=EMBEDDED, label="Distance")
                    height = gr.Number(None, label="Camera height, m (empty: 1.6 is assumed)", elem_id="camera-height")
                self.controls = JobControls(services, "scene", "Make the scene", _stages)
            with gr.Column(scale=3):
                self._pane = WalkPane(services, on_server, "view", _EMPTY)
                about = gr.HTML("", elem_id="scene-files")
                with gr.Accordion("Export for other programs", open=False, visible=False) as exports:
                    formats = gr.CheckboxGroup([(words, name) for name, words in FORMATS.items()], label="Formats")
                    export = JobControls(services, "export", "Export", lambda job: job.request["formats"])
        self.controls.connect(
            self._submit,
            [panorama, text, fov, quality, depth, height],
            self._shown,
            self._pane.inputs,
            [*self._pane.outputs, about, exports, self._piece],
        )
        export.connect(self._submit_export, [self._piece, formats], _exported, [], [])

    def _submit(
        self,
        visitor: str,
        panorama: str | None,
        text: str,
        fov: float | None,
        quality: str,
        depth: str | None,
        height: float | None,
    ) -> Job:
        text, fov = text.strip(), fov or None
        file = Path(panorama) if panorama else None if text else sample_panorama_path()
        if quality not in QUALITIES or depth not in (FLOOR, EMBEDDED):
            raise InputError(f"expected a quality of {', '.join(QUALITIES)} and a distance that is offered")
        source = SceneInput(file, fov, text=text or None)
        source.check()  # while whoever asks is still looking
        with self._services.visitors.making(visitor, "scene", text[:60] if file is None else file.stem) as piece:
            kept = None if file is None else str(self._services.visitors.keep_upload(piece, file))
            world = source.is_world  # which knows its distances and its scale
            asked = {
                "picture": kept, "fov": fov, "text": text or None, "quality": quality,
                "depth_model": None if world else depth, "camera_height": None if world else height or None,
            }  # fmt: skip
            return self._services.jobs.submit(visitor, piece.folder, scene_work, asked)

    def _shown(self, piece: Piece, walk: str | None, on_server: bool) -> tuple:
        view = self._pane.opened(piece.result, walk, on_server)
        about = shown.film(piece, "preview.mp4") + shown.links(piece)
        return "", *view, about, gr.update(visible=True), piece.name

    def _submit_export(self, visitor: str, name: str | None, formats: list[str]) -> Job:
        piece = None if name is None else self._services.visitors.find(name)
        if piece is None:
            raise InputError("expected a finished scene to export, got none")
        if not formats:
            raise InputError("expected a format or more to export, got none")
        # In a folder of the visitor's own, whoever made the scene.
        with self._services.visitors.making(visitor, "export", piece.title) as mine:
            asked = {"world": str(piece.result), "formats": list(formats)}
            return self._services.jobs.submit(visitor, mine.folder, export_work, asked)


def _stages(job: Job) -> tuple[str, ...]:
    """A panorama is there already."""
    return STAGES if job.request["text"] is None and job.request["fov"] is None else MADE_UP_STAGES


def _exported(piece: Piece) -> tuple[str]:
    """A link to the archive."""
    return (f'<a href="{files.PREFIX}/{piece.name}/{EXPORTED}" download>{EXPORTED}</a>: {piece.title}',)
