"""The tab in which a panorama becomes a scene to walk in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from worldloom.apps.export import FORMATS
from worldloom.apps.page import files, shown
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import Piece
from worldloom.apps.page.work import EXPORTED, QUALITIES, export_work, scene_work
from worldloom.errors import InputError
from worldloom.recon.scene_distance import EMBEDDED, FLOOR
from worldloom.synth.samples import sample_panorama_path

STAGES = ("distance", "path", "splats", "files", "preview", "check")
_EMPTY = "Make a scene, and walk in it here. Without a picture of yours, it is the sample room."
_DISTANCES = [
    ("assumed: level ground, a sphere, a rule for the sky", FLOOR),
    ("learned from procedural worlds", EMBEDDED),
]
_TYPES = [".png", ".jpg", ".jpeg", ".webp", ".exr", ".hdr"]


class SceneTab:
    """See the module. `on_server` is the page's switch for browsers without a GPU."""

    def __init__(self, services: Services, on_server: Any) -> None:
        self._services = services
        self.job = gr.State(None)
        self._piece = gr.State(None)
        self._export_job = gr.State(None)
        self._walk = gr.State(None, delete_callback=services.walks.close)
        with gr.Row():
            with gr.Column(scale=1, min_width=290):
                panorama = gr.File(
                    label="Panorama, 2:1 (empty: the sample room)", file_types=_TYPES, elem_id="panorama"
                )
                quality = gr.Radio(
                    list(QUALITIES), value="Full", label="Quality", elem_id="quality",
                    info="Draft: a quarter of the splats and fewer paths, in a third of the time",
                )  # fmt: skip
                with gr.Accordion("More", open=False):
                    depth = gr.Radio(_DISTANCES, value=FLOOR, label="Distance")
                    height = gr.Number(None, label="Camera height, m (empty: 1.6 is assumed)", elem_id="camera-height")
                with gr.Row():
                    self._start = gr.Button("Make the scene", variant="primary", elem_id="make-scene")
                    self._cancel = gr.Button("Cancel", interactive=False, elem_id="cancel-scene")
                self.status = gr.HTML("", elem_id="scene-status")
            with gr.Column(scale=3):
                self._view = gr.HTML(shown.empty(_EMPTY), elem_id="view")
                self._about = gr.HTML("", elem_id="scene-files")
                with gr.Accordion("Export for other programs", open=False, visible=False) as self._exports:
                    formats = gr.CheckboxGroup([(words, name) for name, words in FORMATS.items()], label="Formats")
                    with gr.Row():
                        export = gr.Button("Export", elem_id="export")
                        stop_export = gr.Button("Cancel", interactive=False)
                    exported = gr.HTML("", elem_id="exported")
        self._outputs = [
            self.status, self._view, self._about, self._exports, self._piece, self._walk, self._start, self._cancel,
        ]  # fmt: skip
        self._inputs = [self.job, self._walk, on_server]
        asked = self._start.click(
            self._submit, [panorama, quality, depth, height], [self.job, self.status, self._start, self._cancel],
            api_visibility="private", show_progress="hidden",
        )  # fmt: skip
        self.watch_after(asked)
        self._cancel.click(self._stop, self.job, None, queue=False, api_visibility="private", show_progress="hidden")
        submitted = export.click(
            self._submit_export, [self._piece, formats], [self._export_job, exported, export, stop_export],
            api_visibility="private", show_progress="hidden",
        )  # fmt: skip
        submitted.then(
            self._watch_export, [self._export_job], [exported, export, stop_export],
            api_visibility="private", show_progress="hidden", concurrency_limit=None,
        )  # fmt: skip
        stop_export.click(
            self._stop, self._export_job, None, queue=False, api_visibility="private", show_progress="hidden"
        )
        on_server.change(self._switch, [self._walk, on_server], None, queue=False, api_visibility="private")

    def watch_after(self, event: Any) -> None:
        """Show the job's progress, and then its result, after an event that has set `job`."""
        event.then(
            self._watch,
            self._inputs,
            self._outputs,
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=None,
        )

    def show_after(self, event: Any, piece: Any, on_server: Any) -> None:
        """Show a finished scene, whose name is in the state `piece`, after an event."""
        event.then(
            self._show_named,
            [piece, self._walk, on_server],
            self._outputs,
            api_visibility="private",
            show_progress="hidden",
        )

    def _submit(
        self, panorama: str | None, quality: str, depth: str, height: float | None, request: gr.Request
    ) -> tuple:
        piece = None
        try:
            visitor = self._services.visitor(request)
            source = Path(panorama) if panorama else sample_panorama_path()
            if quality not in QUALITIES or depth not in (FLOOR, EMBEDDED):
                raise InputError(f"expected a quality of {', '.join(QUALITIES)} and a distance that is offered")
            piece = self._services.visitors.new_piece(visitor, "scene", source.stem)
            kept = self._services.visitors.keep_upload(piece, source)
            asked = {"panorama": str(kept), "quality": quality, "depth_model": depth, "camera_height": height or None}
            job = self._services.jobs.submit(visitor, piece.folder, scene_work, asked)
        except (InputError, OSError) as error:
            if piece is not None:
                self._services.visitors.remove(piece)
            return None, shown.error(error), gr.update(), gr.update()
        return job.name, "", gr.update(interactive=False), gr.update(interactive=True)

    async def _watch(
        self, name: str | None, walk: str | None, on_server: bool, request: gr.Request
    ) -> AsyncIterator[tuple]:
        services = self._services
        keep = gr.update()
        job = None if name is None else services.jobs.find(services.visitor(request), name)
        if job is None:
            yield (keep,) * len(self._outputs)
            return
        said = ""
        started = (gr.update(interactive=False), gr.update(interactive=True))
        async for said in services.watched(job, STAGES):
            yield (said, keep, keep, keep, keep, keep, *started)
        over = (gr.update(interactive=True), gr.update(interactive=False))
        piece = services.visitors.find(job.folder.name)
        if job.state != "done" or piece is None:
            yield (said, keep, keep, keep, keep, keep, *over)
            return
        yield (said, *await asyncio.to_thread(self._shown, piece, walk, on_server), *over)

    def _show_named(self, name: str | None, walk: str | None, on_server: bool, request: gr.Request) -> tuple:
        keep = gr.update()
        piece = None if name is None else self._services.visitors.find(name)
        if piece is None or piece.kind != "scene":
            return (keep,) * len(self._outputs)
        try:
            return ("", *self._shown(piece, walk, on_server), keep, keep)
        except InputError as error:
            return (shown.error(error), keep, keep, keep, keep, keep, keep, keep)

    def _shown(self, piece: Piece, walk: str | None, on_server: bool) -> tuple:
        """View, links, exports, piece and walk."""
        self._services.walks.close(walk)
        opened = self._services.walks.open(piece.result, on_server)
        about = shown.film(piece, "preview.mp4") + shown.links(piece)
        return shown.walk_frame(opened), about, gr.update(visible=True), piece.name, opened

    def _submit_export(self, name: str | None, formats: list[str], request: gr.Request) -> tuple:
        try:
            visitor = self._services.visitor(request)
            piece = None if name is None else self._services.visitors.find(name)
            if piece is None:
                raise InputError("expected a finished scene to export, got none")
            if not formats:
                raise InputError("expected a format or more to export, got none")
            # In a folder of the visitor's own, whoever made the scene.
            mine = self._services.visitors.new_piece(visitor, "export", piece.title)
            asked = {"world": str(piece.result), "formats": list(formats)}
            job = self._services.jobs.submit(visitor, mine.folder, export_work, asked)
        except (InputError, OSError) as error:
            return None, shown.error(error), gr.update(), gr.update()
        return job.name, "", gr.update(interactive=False), gr.update(interactive=True)

    async def _watch_export(self, name: str | None, request: gr.Request) -> AsyncIterator[tuple]:
        services = self._services
        job = None if name is None else services.jobs.find(services.visitor(request), name)
        if job is None:
            yield gr.update(), gr.update(), gr.update()
            return
        said = ""
        async for said in services.watched(job, tuple(job.request["formats"])):
            yield said, gr.update(interactive=False), gr.update(interactive=True)
        if job.state == "done":
            address = f"{files.PREFIX}/{job.folder.name}/{EXPORTED}"
            said = f'<a href="{address}" download>{EXPORTED}</a>: {", ".join(job.request["formats"])}'
        yield said, gr.update(interactive=True), gr.update(interactive=False)

    def _stop(self, name: str | None, request: gr.Request) -> None:
        job = None if name is None else self._services.jobs.find(self._services.visitor(request), name)
        if job is not None:
            self._services.jobs.cancel(job)

    def _switch(self, walk: str | None, on_server: bool) -> None:
        viewer = self._services.walks.find(walk)
        if viewer is not None:
            viewer.server_render = on_server
