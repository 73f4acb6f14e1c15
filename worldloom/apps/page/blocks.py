"""The page: its tabs, and what happens when it is loaded."""

import gradio as gr

from worldloom.apps.page import shown
from worldloom.apps.page.drive_tab import DriveTab
from worldloom.apps.page.job_controls import QUIET, JobControls
from worldloom.apps.page.photos_tab import PhotosTab
from worldloom.apps.page.scene_tab import SceneTab
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import SHOWN, kind_of
from worldloom.apps.page.worlds_tab import WorldsTab
from worldloom.errors import InputError

_INTRO = """# worldloom
**Scene**: a 360° panorama, a photo or a text becomes a world you can walk through. **Reconstruct**: so do many photos
of one place, or a video.
**Drive**: past occupancy and an ego path become the futures."""
# Whether the browser draws WebGL on the processor; then the server draws faster.
_SOFTWARE_WEBGL = """() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return [true];
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  const lost = gl.getExtension("WEBGL_lose_context");
  if (lost) lost.loseContext();
  return [/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name)];
}"""


def build_blocks(services: Services, shown_first: bool) -> gr.Blocks:
    """The page; `shown_first`: there is a piece SHOWN to begin with."""

    all_controls: dict[str, JobControls] = {}

    def arrive(on_server: bool, request: gr.Request) -> tuple:
        """Which piece a link asks for, jobs that are still under way, and the tab to show."""
        asked = dict(request.query_params).get("open") or (SHOWN if shown_first else None)
        piece = services.visitors.find(str(asked)) if asked else None
        said = "" if piece or not asked else shown.error("expected a result that is still kept, got a link to none")
        try:
            jobs = services.jobs.unfinished(services.visitor(request))
        except InputError as error:
            jobs, said = [], shown.error(error)
        mine = {kind_of(job.folder.name): job.name for job in jobs}
        tab = piece.kind if piece else next((kind for kind in all_controls if kind in mine), None)
        return (
            on_server, piece.name if piece else None, *(mine.get(kind) for kind in all_controls),
            # Whoever has chosen a tab meanwhile stays there.
            gr.update(selected=tab) if tab else gr.update(), gr.update(value=said, visible=bool(said)),
        )  # fmt: skip

    with gr.Blocks(title="worldloom", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        gr.Markdown(_INTRO)
        notice = gr.HTML("", visible=False, elem_id="notice")
        on_server = gr.Checkbox(
            False, label="Render on the server", elem_id="on-server",
            info="For browsers without a GPU; found out when the page is loaded",
        )  # fmt: skip
        opened = gr.State(None)
        with gr.Tabs(selected="scene") as tabs:
            with gr.Tab("Scene", id="scene"):
                scene = SceneTab(services, on_server)
            with gr.Tab("Reconstruct", id="reconstruction"):
                photos = PhotosTab(services, on_server)
            with gr.Tab("Drive", id="drive"):
                drive = DriveTab(services, on_server)
            with gr.Tab("Worlds", id="worlds") as tab:
                WorldsTab(services, tab)
        all_controls |= {"scene": scene.controls, "reconstruction": photos.controls, "drive": drive.controls}
        jobs = [controls.job for controls in all_controls.values()]
        loaded = page.load(arrive, on_server, [on_server, opened, *jobs, tabs, notice], js=_SOFTWARE_WEBGL, **QUIET)
        drive.map_after(loaded)
        for controls in all_controls.values():
            controls.show_after(loaded, opened)
            controls.watch_after(loaded)
    return page
