"""The page: how soon it is there, how soon one walks, and how fast the server draws for those who walk."""

import io
import math
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from worldloom.apps.bench.result import Row, cpu_seconds
from worldloom.errors import MissingExtra, require
from worldloom.geometry import look_at, quat_from_rotmat
from worldloom.synth.samples import sample_panorama_path

_SIZE = (360, 640)  # pixels of the pictures that are counted
_SECONDS = 1000 * 600  # milliseconds that a scene may take
_FLAGS = (
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist --no-sandbox "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def page_rows(quick: bool) -> list[Row]:
    """Rows of the page in a browser on this machine, and of the pictures that a viewer is sent."""
    require("gradio", "apps", "the benchmark of the page")
    require("viser", "apps", "the benchmark of the page")
    from worldloom.apps.scene import make_scene

    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(sample_panorama_path(), Path(folder) / "scene", families=("wander",)).folder
        rows = [_fps_row(scene, 20 if quick else 120)]
    try:
        rows += _browser_rows(quick)
    except MissingExtra as error:
        print(f"left out: {error}")
    return rows


def _fps_row(scene: Path, frames: int) -> Row:
    """Draw, encode and hand over pictures for a camera that turns, as a stream does for one that moves."""
    from worldloom.apps.walk import stream
    from worldloom.apps.walk.viewer import Viewer
    from worldloom.apps.walk.world import World

    viewer = Viewer(server_render=True)
    try:
        world = World.open(scene)
        viewer.show_scene(world.gaussians)
        client = _Client()
        seconds, cpu = [], []
        turning = stream.Stream(client, viewer.picture)
        try:
            for i in range(frames + 3):
                client.turn(0.02 * i)
                wall, used = time.perf_counter(), cpu_seconds()
                turning.send(_SIZE[0], stream.MOVING_QUALITY)
                if i >= 3:
                    seconds.append(time.perf_counter() - wall)
                    cpu.append(cpu_seconds() - used)
        finally:
            turning.stop()
    finally:
        viewer.stop()
    note = (
        f"{_SIZE[1]}x{_SIZE[0]}, drawn and encoded, {len(world.gaussians)} splats of a room, a camera that turns "
        f"by 1.1 degrees each picture; median of {frames}; {statistics.median(client.sent) / 1000:.0f} kB each"
    )
    baseline = {"per CPU second": 1 / statistics.median(cpu)}
    return Row("viewer_fps", 1 / statistics.median(seconds), "1/s", ">= 20", baseline, note)


class _Client:
    """What a stream needs of a viser client: a camera at the origin that looks level, and a place for pictures."""

    def __init__(self) -> None:
        self.sent: list[int] = []  # bytes of each picture
        self.scene = self
        self.camera: Any = SimpleNamespace(
            wxyz=np.zeros(4), position=np.zeros(3), fov=1.3, aspect=_SIZE[1] / _SIZE[0], image_height=_SIZE[0],
            on_update=lambda call: call,
        )  # fmt: skip

    def turn(self, yaw: float) -> None:
        """Look along `yaw` from +x, z up."""
        pose = look_at(torch.zeros(3), torch.tensor([math.cos(yaw), math.sin(yaw), 0.0]))
        self.camera.wxyz = quat_from_rotmat(pose[:3, :3]).numpy()

    def set_background_image(self, image: np.ndarray, format: str, jpeg_quality: int) -> None:
        """Encoded as viser does it."""
        file = io.BytesIO()
        Image.fromarray(image).save(file, format, quality=jpeg_quality)
        self.sent.append(len(file.getvalue()))


def _browser_rows(quick: bool) -> list[Row]:
    """From an empty browser to the page, and from the button to a scene one can walk in."""
    api = require("playwright.sync_api", "test", "the benchmark of the page in a browser")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise MissingExtra("the benchmark of the page in a browser needs chromium on the PATH")
    from worldloom.apps.page import serve

    with tempfile.TemporaryDirectory() as folder, api.sync_playwright() as playwright:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        page = serve(host="127.0.0.1", port=port, runs=Path(folder) / "runs", block=False)
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS.split())
        try:
            paints = []
            for _ in range(1 if quick else 3):
                context = browser.new_context()
                tab = context.new_page()
                start = time.perf_counter()
                tab.goto(page.address)
                tab.locator("#start-scene").wait_for()
                paints.append(time.perf_counter() - start)
                tab.locator("#on-server input:checked").wait_for()
                context.close()
            tab = browser.new_page()
            tab.goto(page.address)
            tab.locator("#on-server input:checked").wait_for()
            if quick:
                tab.get_by_role("radio", name="Draft").check()
            start = time.perf_counter()
            tab.locator("#start-scene").click()
            tab.frame_locator("#view iframe").get_by_text("Back to the start").wait_for(timeout=_SECONDS)
            walk = time.perf_counter() - start
        finally:
            browser.close()
            page.close()
    quality = "draft" if quick else "full"
    return [
        Row(
            "app_first_paint_s", statistics.median(paints), "s", "<= 5", {"slowest": max(paints)},
            "from the address to the button, an empty cache, Chromium on this machine with software WebGL",
        ),
        Row(
            "app_scene_to_walk_s", walk, "s", "", {},
            f"from the button to the viewer's controls, the sample room at {quality} quality, with film and files",
        ),
    ]  # fmt: skip
