"""The server of the page: one port for the page, its viewers and its files."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldloom.apps.free_port import check_free
from worldloom.errors import InputError, require

KEEP_HOURS = 24.0
AUTH_VARIABLE = "WORLDLOOM_AUTH"
_SWEEP_SECONDS = 600.0
_START_SECONDS = 60.0


@dataclass
class Page:
    """A page that is being served."""

    address: str
    services: Any
    _server: Any
    _thread: threading.Thread
    _stopped: threading.Event

    def close(self) -> None:
        """End the server, all jobs and all viewers."""
        self._stopped.set()
        self.services.jobs.close()
        self.services.walks.close_all()
        # Browsers that are still listening are cut off after a moment; uvicorn would tell of each with a traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server.should_exit = True
        self._thread.join(10)

    def wait(self) -> None:
        """Until the server ends, or Ctrl-C."""
        try:
            # Not `join`: one that Ctrl-C interrupts takes the thread for ended (Python 3.11).
            while self._thread.is_alive() and not self._stopped.wait(0.5):
                pass
        finally:
            self.close()


def serve(
    *,
    host: str,
    port: int,
    runs: Path,
    show: Path | None = None,
    auth: str | None = None,
    clips: Sequence[Path] = (),
    keep_hours: float = KEEP_HOURS,
    block: bool = True,
) -> Page:
    """Serve the page until interrupted (`block`), or return it.

    Args:
        runs: folder with a folder for each visitor.
        show: a finished result to show at first, to everybody.
        auth: "user:password" that everybody has to tell; the environment variable WORLDLOOM_AUTH if not given.
        clips: files of clips, scene folders or data sets (with gts/) that the Drive tab offers.
        keep_hours: how long a result is kept that nobody opens; 0: for ever.
    Raises:
        MissingExtra: gradio or viser is not installed.
        InputError: `runs` cannot be written, `show` or a clip is none, or the page cannot be served at `host` and
            `port`.
    """
    require("gradio", "apps", "the web page")
    require("viser", "apps", "the viewer")
    if show is not None and not ((show / "scene.ply").is_file() or (show / "future.npz").is_file()):
        raise InputError(
            f"expected a result of worldloom scene, recon or drive (a folder with scene.ply or future.npz), got {show}"
        )
    secret = _secret(auth if auth is not None else os.environ.get(AUTH_VARIABLE))
    offered = _offered(clips)
    if not 0 <= keep_hours <= 1e6:
        raise InputError(f"--keep-hours must be 0 or more, got {keep_hours:g}")
    check_free(host, port, "page")
    try:
        runs.mkdir(parents=True, exist_ok=True)
        (runs / ".uploads").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"results folder {runs} cannot be made: {error.strerror}") from error
    page = _start(host, port, runs.resolve(), show, secret, offered, keep_hours * 3600)
    kept = f"each is kept for {keep_hours:g} h after it was last opened" if keep_hours else "all are kept"
    print(f"worldloom: {page.address}  (Ctrl-C ends it; results go to {runs}, {kept})", flush=True)
    if host not in ("127.0.0.1", "localhost", "::1") and secret is None:
        print(
            "worldloom: whoever reaches this address can use it; --auth USER:PASSWORD asks for a password", flush=True
        )
    if block:
        page.wait()
    return page


def _start(
    host: str,
    port: int,
    runs: Path,
    show: Path | None,
    auth: tuple[str, str] | None,
    clips: dict[str, Path],
    keep: float,
) -> Page:
    os.environ["GRADIO_TEMP_DIR"] = str(runs / ".uploads")  # it is read when components are made
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from worldloom.apps.page import files, walks
    from worldloom.apps.page.blocks import build_blocks
    from worldloom.apps.page.gate import UPLOAD_BYTES, Gate
    from worldloom.apps.page.jobs import Job, Jobs
    from worldloom.apps.page.services import Services
    from worldloom.apps.page.shown import CSS
    from worldloom.apps.page.visitors import Visitors

    visitors = Visitors(runs, show)

    def finish(job: Job, state: str) -> None:
        """Nothing is left of what failed, and no upload of what is done."""
        piece = visitors.find(job.folder.name)
        if piece is not None and state != "done":
            visitors.remove(piece)
        elif piece is not None:
            visitors.forget_upload(piece)

    services = Services(visitors, Jobs(finish), walks.Walks(), clips)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    files.add_routes(app, visitors, services.jobs)
    walks.add_routes(app, services.walks)
    # System fonts: nothing is fetched from outside, so the page works offline and tells nobody.
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    blocks = build_blocks(services, show is not None)
    gr.mount_gradio_app(
        app, blocks, "/", server_name=host, server_port=port, theme=theme, css=CSS, footer_links=[], run_history=False,
        show_error=True, max_file_size=UPLOAD_BYTES, ssr_mode=False, mcp_server=False,
        blocked_paths=[str(runs / ".key")],
    )  # fmt: skip
    config = uvicorn.Config(
        Gate(app, visitors, auth), host=host, port=port, log_level="error", ws_max_size=1 << 26,
        ws_per_message_deflate=False, lifespan="on", timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise InputError(f"no page can be served at {host}:{port}; try another --port")
        time.sleep(0.02)
    stopped = threading.Event()

    def sweep() -> None:
        while True:
            with suppress(OSError):
                if keep:
                    visitors.sweep(keep, services.jobs.busy())
            if stopped.wait(_SWEEP_SECONDS):
                return

    threading.Thread(target=sweep, daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    return Page(f"http://{shown}:{port}", services, server, thread, stopped)


def _secret(auth: str | None) -> tuple[str, str] | None:
    if not auth:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise InputError("expected --auth as USER:PASSWORD, got something else")
    return user, password


def _offered(clips: Sequence[Path]) -> dict[str, Path]:
    """The clips by name; of a data set, each of its scenes."""
    found: dict[str, Path] = {}
    for clip in clips:
        if not clip.exists():
            raise InputError(f"--clips {clip}: expected a clip file, a scene folder or a data set, got nothing there")
        scenes = (
            sorted(path for path in (clip / "gts").iterdir() if path.is_dir()) if (clip / "gts").is_dir() else [clip]
        )
        for scene in scenes:
            name = scene.stem if scene.stem not in found else f"{scene.stem} ({len(found)})"
            found[name] = scene.resolve()
    return found
