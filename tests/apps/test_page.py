"""The page in a real headless Chromium: upload, make, look around; forecast, move through time."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
from PIL import Image

from worldloom.apps import drive
from worldloom.apps.drive import make_drive
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.io import save_clip

SCREENSHOTS = Path(__file__).parents[2] / "out" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [  # software WebGL, and a browser that talks to nobody
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("the browser test must run in CI: install chromium")
        pytest.skip("no chromium on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The app in a process of its own, as a person starts it; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "worldloom.apps.cli", "app", "--port", str(port), "--runs", str(folder / "runs")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, *options], stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(120):
                if server.poll() is not None:
                    pytest.fail(f"the app stopped: {(folder / 'log').read_text()}")
                try:
                    urllib.request.urlopen(address, timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield address
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.fixture
def page(browser, address: str):
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(90_000)
    outside: list[str] = []
    page.on("request", lambda r: outside.append(r.url) if urlparse(r.url).hostname not in ("127.0.0.1", None) else None)
    page.goto(address)
    yield page
    context.close()
    assert not outside, f"the page asked the outside for {outside[:3]}"


def view(page) -> np.ndarray:
    """The lower left of the 3-D view, where neither the panel nor a notice covers it."""
    picture = Image.open(io.BytesIO(page.locator("#view iframe").screenshot())).convert("RGB")
    width, height = picture.size
    return np.asarray(picture.crop((width // 20, height // 2, width * 6 // 10, height * 19 // 20))).astype(float)


def wait_for_picture(page, different_from: np.ndarray | None = None) -> np.ndarray:
    """Poll until the view is not flat, has settled (splats fade in) and, if asked, is not what it was."""
    now = view(page)
    for _ in range(60):
        page.wait_for_timeout(500)
        before, now = now, view(page)
        settled = np.abs(now - before).mean() < 0.5
        changed = different_from is None or np.abs(now - different_from).mean() > 2
        if settled and changed and now.std() > 8:
            return now
    page.screenshot(path=SCREENSHOTS / "failed.png")
    raise AssertionError(f"the view stayed flat or unchanged (deviation {now.std():.1f}); see {SCREENSHOTS}/failed.png")


def striped_panorama(path: Path) -> Path:
    rows, columns = np.mgrid[0:128, 0:256]
    picture = (
        np.stack([columns, 255 - columns, 2 * rows], -1) * ((columns // 16 + rows // 16) % 2 * 0.6 + 0.4)[..., None]
    )
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    return path


def little_clip(path: Path) -> Path:
    labels = torch.full((6, *OCC3D_GRID.shape), 17, dtype=torch.uint8)
    # Bands across the road: whoever drives over them sees the ground change, whatever the forecast.
    labels[:, :, 80:120, 0] = torch.where(torch.arange(200) // 16 % 2 == 0, 11, 13).to(torch.uint8)[:, None]
    labels[:, :, 60:70, 0:8] = 15
    for frame in range(6):
        labels[frame, 120 + 4 * frame : 130 + 4 * frame, 104:109, 1:5] = 4
    poses = torch.eye(4).repeat(6, 1, 1)
    save_clip(path, Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, OCC3D_GRID, OCC3D_CLASSES, 0.5))
    return path


def test_a_panorama_becomes_a_view_that_follows_the_mouse(page, tmp_path: Path) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.locator("input[type=file]").first.set_input_files(striped_panorama(tmp_path / "stripes.png"))
    page.get_by_text("stripes").first.wait_for()
    page.locator("#make-scene").click()
    page.locator("#view iframe").wait_for()
    before = wait_for_picture(page)
    page.screenshot(path=SCREENSHOTS / "scene.png")
    # From here the server renders: the same view, and a mouse that is followed at once on any machine.
    page.get_by_label("Render on the server").check()
    page.wait_for_timeout(2000)  # the browser's own picture stands until the first from the server comes
    assert np.abs(wait_for_picture(page) - before).mean() < 40, "both renderers must show the same view"
    before = wait_for_picture(page)
    box = page.locator("#view iframe").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3 + 150, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    wait_for_picture(page, different_from=before)


def test_a_clip_becomes_a_future_with_a_time_slider_rendered_by_the_server(page, tmp_path: Path) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.get_by_label("Render on the server").check()
    page.get_by_role("tab", name="Drive").click()
    page.locator("input[type=file]").last.set_input_files(little_clip(tmp_path / "clip.npz"))
    page.get_by_text("clip").first.wait_for()
    page.locator("#forecast").click()
    page.locator("#view iframe").wait_for()
    before = wait_for_picture(page)
    page.screenshot(path=SCREENSHOTS / "drive.png")
    frame = page.frame_locator("#view iframe")
    slider = frame.get_by_role("slider").first
    slider.focus()
    for _ in range(8):
        slider.press("ArrowRight")
    wait_for_picture(page, different_from=before)


def test_a_bad_file_is_one_readable_line(page, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("not a picture")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "words.png")
    page.get_by_text("words").first.wait_for()
    page.locator("#make-scene").click()
    toast = page.locator(".toast-body, [data-testid=toast-body]").first
    toast.wait_for()
    assert "words.png" in toast.inner_text()
    assert "Traceback" not in toast.inner_text()


def test_a_finished_result_is_shown_at_once_with_its_report(
    browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "PICTURES_PER_FRAME", 1)  # nobody watches this film
    result = make_drive(little_clip(tmp_path / "clip.npz"), tmp_path / "drive", path="log", num_past=3, horizon=2)
    (tmp_path / "app").mkdir()
    with served(tmp_path / "app", "--show", str(result.folder)) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(90_000)
        page.goto(address)
        page.locator("#view iframe").wait_for()
        page.get_by_text("copy_warp").first.wait_for()
        wait_for_picture(page)
        page.close()
