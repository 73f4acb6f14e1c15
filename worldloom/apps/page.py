"""The web page: two tabs, Scene and Drive, with the viewer embedded."""

import html
import json
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from worldloom.apps.run_folder import REPORT
from worldloom.apps.viewer import Viewer
from worldloom.errors import InputError, MissingExtra, require

INTRO = """# worldloom
**Scene**: a 360° panorama becomes a world you can walk through. **Drive**: past occupancy and an ego path become
the future."""


def build_page(runs: Path, host: str, show: Path | None):
    """The Gradio page. Each visitor has a viewer of their own, closed when they leave.

    Args:
        runs: folder that gets one result folder for each job.
        host: address on which the viewers listen.
        show: a finished result to show at first.
    """
    import gradio as gr

    from worldloom.apps.drive import make_drive
    from worldloom.apps.scene import make_scene
    from worldloom.synth.samples import sample_clip_path, sample_panorama_path

    def run(job: Callable[[Path], object], kind: str, viewer: Viewer | None, on_server: bool, request) -> tuple:
        out = runs / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        try:
            job(out)
        except (InputError, MissingExtra) as error:
            raise gr.Error(str(error), duration=None) from error
        return look(out, viewer, on_server, request)

    def look(folder: Path, viewer: Viewer | None, on_server: bool, request) -> tuple:
        if viewer is not None:
            viewer.stop()
        viewer = Viewer(host, on_server)
        try:
            viewer.show_result(folder)
        except InputError as error:
            viewer.stop()
            raise gr.Error(str(error), duration=None) from error
        files = [str(path) for path in sorted(folder.iterdir()) if path.is_file()]
        film = folder / "preview.mp4"  # of a scene; a driving future has two, and the one from above says most
        film = film if film.is_file() else folder / "birdseye.mp4"
        return viewer, _frame(viewer, request), str(film), json.loads((folder / REPORT).read_text()), files

    with gr.Blocks(title="worldloom", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown(INTRO)
        viewer = gr.State(None, delete_callback=lambda old: old.stop() if old is not None else None)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                on_server = gr.Checkbox(False, label="Render on the server", info="for browsers without a GPU")
                with gr.Tab("Scene"):
                    panorama = gr.File(
                        label="Panorama, 2:1 (empty: the sample room)",
                        file_types=[".png", ".jpg", ".jpeg", ".webp", ".exr", ".hdr"],
                    )
                    height = gr.Number(1.6, label="Camera height (m)", minimum=0.1, maximum=100)
                    make = gr.Button("Make the scene", variant="primary", elem_id="make-scene")
                with gr.Tab("Drive"):
                    clip = gr.File(label="Clip or labels, .npz (empty: the sample street)", file_types=[".npz"])
                    path = gr.Radio(["log", "straight", "left", "right", "stop"], value="straight", label="Ego path")
                    speed = gr.Slider(0, 15, 5, step=0.5, label="Speed (m/s)")
                    horizon = gr.Slider(1, 16, 6, step=1, label="Future frames")
                    forecast = gr.Button("Forecast", variant="primary", elem_id="forecast")
            with gr.Column(scale=3):
                frame = gr.HTML(_placeholder(), label="View", elem_id="view")
                video = gr.Video(label="Preview", autoplay=True, loop=True, height=360)
                report = gr.JSON(label="Report: what was made, how, and its scores", open=False)
                files = gr.Files(label="Files", interactive=False)  # last: on a phone the columns stand in one
        outputs = [viewer, frame, video, report, files]

        def scene(panorama, height, viewer, on_server, request: gr.Request):
            source = Path(panorama) if panorama else sample_panorama_path()
            return run(lambda out: make_scene(source, out, camera_height=height), "scene", viewer, on_server, request)

        def drive(clip, path, speed, horizon, viewer, on_server, request: gr.Request):
            source = Path(clip) if clip else sample_clip_path()
            return run(
                lambda out: make_drive(source, out, path=path, speed=speed, horizon=int(horizon)),
                "drive",
                viewer,
                on_server,
                request,
            )

        def switch(viewer, on_server):
            if viewer is not None:
                viewer.server_render = on_server

        on_server.change(switch, [viewer, on_server], None)
        make.click(scene, [panorama, height, viewer, on_server], outputs, concurrency_limit=1)
        forecast.click(drive, [clip, path, speed, horizon, viewer, on_server], outputs, concurrency_limit=1)
        if show is not None:

            def first(viewer, on_server, request: gr.Request):
                return look(show, viewer, on_server, request)

            page.load(first, [viewer, on_server], outputs)
    return page


def serve(*, host: str, port: int, runs: Path, show: Path | None = None, block: bool = True):
    """Serve the page until interrupted (`block`), or return the running Gradio page.

    Raises:
        MissingExtra: gradio or viser is not installed.
        InputError: `runs` cannot be written, `show` is not a result, or the page cannot be served at `host` and `port`.
    """
    require("gradio", "apps", "the web page")
    require("viser", "apps", "the viewer")
    if show is not None and not ((show / "scene.ply").is_file() or (show / "future.npz").is_file()):
        raise InputError(f"expected a result of worldloom scene or drive (scene.ply or future.npz), got {show}")
    _check_free(host, port)
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"results folder {runs} cannot be made: {error.strerror}") from error
    import gradio as gr

    page = build_page(runs, host, show)
    # System fonts: nothing is fetched from outside, so the page works offline and tells nobody.
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    allowed = [str(runs.resolve()), *([str(show.resolve())] if show else [])]
    print(f"worldloom: http://{host}:{port}  (Ctrl-C ends it; results go to {runs})", flush=True)
    page.queue().launch(
        server_name=host,
        server_port=port,
        theme=theme,
        allowed_paths=allowed,
        max_file_size="200mb",
        quiet=True,
        show_error=True,
        share=False,
        prevent_thread_lock=not block,
    )
    return page


def _check_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError(f"--port must be 1 to 65535, got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a page just closed is no page
        try:
            probe.bind((host, port))
        except OSError as error:  # another page is there, a name that nobody knows, a port for root only
            raise InputError(f"no page can be served at {host}:{port}: {error.strerror}; try another --port") from error


def _frame(viewer: Viewer, request) -> str:
    """The viewer in an iframe, under the host name that the visitor used for this page."""
    name = (request.headers.get("host") or "127.0.0.1").rsplit(":", 1)[0]
    address = html.escape(f"http://{name}:{viewer.port}/?hideViserLogo", quote=True)
    return (
        f'<iframe src="{address}" title="3D view" style="width:100%;height:62vh;border:0;border-radius:12px"></iframe>'
    )


def _placeholder() -> str:
    return (
        '<div style="height:62vh;display:grid;place-items:center;border-radius:12px;background:#dbe3ec;color:#445">'
        "Make a scene or a forecast, and it appears here.</div>"
    )
