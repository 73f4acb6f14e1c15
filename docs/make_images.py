"""Make the README's pictures from the bundled samples: `python docs/make_images.py`. Needs a chromium for the page."""

import shutil
import socket
import tempfile
import threading
from pathlib import Path

from PIL import Image

from worldloom.apps.drive import make_drive
from worldloom.apps.page import serve
from worldloom.apps.scene import make_scene
from worldloom.apps.synth import make_towns, make_worlds
from worldloom.geometry.io import load_image, save_image
from worldloom.render.caption import contact_sheet
from worldloom.synth.samples import sample_clip_path, sample_panorama_path
from worldloom.synth.scene_files import SceneOptions

IMAGES = Path(__file__).parent / "images"
BROWSER = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist --no-sandbox"


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(sample_panorama_path(), Path(folder) / "scene").folder
        drive = make_drive(sample_clip_path(), Path(folder) / "drive", path="log").folder
        _shrink(sample_panorama_path(), "panorama.jpg", 1024)
        _shrink(scene / "preview.png", "scene.jpg", 1024)
        _shrink(drive / "preview.png", "drive.jpg", 1400)
        _worlds(Path(folder))
        _photograph_page(scene)


def _worlds(folder: Path) -> None:
    """One picture of each kind of world, and a scene of a town."""
    options = SceneOptions(panorama_height=384, num_panoramas=1, num_views=0, samples=32)
    pictures = []
    for kind, seed in (("room", 103), ("street", 101), ("courtyard", 102), ("field", 100)):
        made = make_worlds(kind, folder / kind, seed=seed, options=options).folder
        pictures.append(load_image(next(made.glob("*/panoramas/000.png"))))
    save_image(folder / "worlds.png", contact_sheet(pictures, columns=2))
    _shrink(folder / "worlds.png", "worlds.jpg", 1400)
    _shrink(make_towns(folder / "town", seed=7, minutes=0.3).folder / "preview.png", "town.jpg", 1400)


def _shrink(source: Path, name: str, width: int) -> None:
    picture = Image.fromarray((load_image(source) * 255).round().byte().permute(1, 2, 0).numpy())
    picture.thumbnail((width, width))
    picture.save(IMAGES / name, quality=88)


def _photograph_page(scene: Path) -> None:
    """The page with the scene in its viewer, rendered by the server."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"host": "127.0.0.1", "port": port, "runs": scene.parent / "runs", "show": scene, "block": False}
    server = threading.Thread(target=lambda: serve(**options), daemon=True)
    server.start()
    server.join()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER.split())
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{port}")
        page.get_by_label("Render on the server").check()
        page.locator("#view iframe").wait_for(timeout=60_000)
        page.wait_for_timeout(8_000)
        page.frame_locator("#view iframe").locator(".mantine-Notification-closeButton").click()  # about software WebGL
        page.wait_for_timeout(2_000)
        page.screenshot(path=IMAGES / "app.jpg", type="jpeg", quality=88, timeout=120_000)
        browser.close()


if __name__ == "__main__":
    main()
