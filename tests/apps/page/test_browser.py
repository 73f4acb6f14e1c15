"""The page in a real headless Chromium: upload, make, walk, look; forecast, compare; cancel; several visitors."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
from PIL import Image

from tests.apps.page.running_app import Served
from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy, PosedImages
from worldloom.geometry.io import load_camera_paths, load_video, save_clip, save_image
from worldloom.geometry.io.nerfstudio import save_nerfstudio

SCREENSHOTS = Path(__file__).parents[3] / "out" / "screenshots"
PATIENCE = 120_000  # milliseconds: for machines that do other things, too

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Visitor:
    """A browser with cookies of its own. What it asks of others than this machine is noted."""

    def __init__(self, browser: Any, app: Served, **options: Any) -> None:
        self.app, self.outside = app, []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.on("request", self._note)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)

    def _note(self, request: Any) -> None:
        if urlparse(request.url).hostname not in ("127.0.0.1", None):
            self.outside.append(request.url)

    def open(self, path: str = "/") -> Any:
        """Load the page and wait until it has found out about WebGL and whatever the link asks for."""
        self.page.goto(self.app.address + path)
        self.page.locator("#on-server input:checked").wait_for()  # this browser draws WebGL in software
        return self.page

    def close(self) -> None:
        self.context.close()
        assert not self.outside, f"the page asked the outside for {self.outside[:3]}"


@pytest.fixture
def visitor(browser: Any, app: Served) -> Iterator[Visitor]:
    someone = Visitor(browser, app)
    yield someone
    someone.close()


@pytest.fixture(scope="module")
def made(browser: Any, app: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Upload a panorama, make its scene, and see it; returns the link to it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    someone = Visitor(browser, app)
    page = someone.open()
    folder = tmp_path_factory.mktemp("upload")
    page.locator("#panorama input[type=file]").set_input_files(stripes(folder / "stripes.png"))
    page.get_by_text("stripes").first.wait_for()
    page.get_by_role("radio", name="Draft").check()
    page.get_by_role("button", name="More").click()
    page.get_by_role("radio", name="assumed").check()  # no network knows how far stripes are
    page.locator("#start-scene").click()
    page.locator("#scene-status li, #view iframe").first.wait_for()
    page.screenshot(path=SCREENSHOTS / "progress.png")
    page.locator("#view iframe").wait_for()
    settled(page)
    page.screenshot(path=SCREENSHOTS / "scene.png")
    link = page.locator("#scene-files a").first.get_attribute("href")
    page.get_by_role("tab", name="Worlds").click()
    page.locator("#worlds article").wait_for()
    assert "stripes" in page.locator("#worlds article").inner_text()
    page.screenshot(path=SCREENSHOTS / "worlds.png")
    someone.close()
    assert re.fullmatch(r"/\?open=scene-[\w-]{22}", link)
    return link


def view(page: Any, frame: str = "#view iframe") -> np.ndarray:
    """The lower left of the 3-D view, where neither the panel nor a notice covers it."""
    picture = Image.open(io.BytesIO(page.locator(frame).screenshot())).convert("RGB")
    width, height = picture.size
    return np.asarray(picture.crop((width // 20, height // 2, width * 6 // 10, height * 19 // 20))).astype(float)


def settled(
    page: Any,
    unlike: np.ndarray | None = None,
    frame: str = "#view iframe",
    share: float = 0.05,
    like: np.ndarray | None = None,
) -> np.ndarray:
    """The view when it is not flat, stands still (splats fade in) and, if asked, a share of it is not what it was.

    Or is `like` another one: a busy machine may show the views in between for a while.
    """
    now = view(page, frame)
    for _ in range(PATIENCE // 400):
        page.wait_for_timeout(300)
        before, now = now, view(page, frame)
        changed = unlike is None or (np.abs(now - unlike).max(-1) > 30).mean() > share
        there = like is None or np.abs(now - like).mean() < 12
        if np.abs(now - before).mean() < 0.5 and changed and there and now.std() > 8:
            return now
    page.screenshot(path=SCREENSHOTS / "failed.png")
    raise AssertionError(f"the view is not as awaited (deviation {now.std():.1f}); see {SCREENSHOTS}/failed.png")


def choose(panel: Any, label: str, option: str) -> None:
    """An entry of a list in viser's panel, by the keyboard."""
    box = panel.get_by_label(label, exact=True).first
    box.click()
    box.fill(option)
    box.press("ArrowDown")
    box.press("Enter")


def stripes(path: Path) -> Path:
    rows, columns = np.mgrid[0:128, 0:256]
    colours = np.stack([columns, 255 - columns, 2 * rows], -1)
    picture = colours * ((columns // 16 + rows // 16) % 2 * 0.6 + 0.4)[..., None]
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    return path


def little_clip(path: Path) -> Path:
    """Six frames: bands across the road, so that whoever drives over them sees the ground change, and a car."""
    labels = torch.full((6, *OCC3D_GRID.shape), 17, dtype=torch.uint8)
    labels[:, :, 80:120, 0] = torch.where(torch.arange(200) // 16 % 2 == 0, 11, 13).to(torch.uint8)[:, None]
    labels[:, :, 60:70, 0:8] = 15
    for frame in range(6):
        labels[frame, 120 + 4 * frame : 130 + 4 * frame, 104:109, 1:5] = 4
    poses = torch.eye(4).repeat(6, 1, 1)
    save_clip(path, Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, OCC3D_GRID, OCC3D_CLASSES, 0.5))
    return path


def test_a_walk_changes_the_picture_and_a_wall_ends_it(visitor: Visitor, made: str) -> None:
    page = visitor.open(made)
    panel = page.frame_locator("#view iframe")
    panel.get_by_text("Planned paths").wait_for()
    turned = turn(page)
    page.keyboard.down("w")
    page.wait_for_timeout(1500)
    page.keyboard.up("w")
    walked = settled(page, unlike=turned)
    back = panel.get_by_role("button", name="Back to the start")
    back.click()
    start = settled(page, unlike=walked)
    turned = turn(page)
    back.click()
    settled(page, unlike=turned, like=start)


def turn(page: Any) -> np.ndarray:
    """Drag to look elsewhere; the view from there."""
    before = settled(page)
    box = page.locator("#view iframe").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] - 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + box["height"] - 60, steps=5)
    page.mouse.up()
    return settled(page, unlike=before)


def test_layers_differ_and_both_renderers_show_the_same(visitor: Visitor, made: str) -> None:
    page = visitor.open(made)
    panel = page.frame_locator("#view iframe")
    panel.get_by_text("Planned paths").wait_for()
    server = settled(page)
    before = server
    for layer in ("Depth", "Normals", "Voxels"):
        choose(panel, "Show", layer)
        before = settled(page, unlike=before)
        page.screenshot(path=SCREENSHOTS / f"layer_{layer.lower()}.png")
    choose(panel, "Show", "Splats")
    settled(page, unlike=before)
    page.get_by_label("Render on the server").uncheck()
    panel.locator("input[type=checkbox]:not(:checked)").first.wait_for(state="attached")
    page.wait_for_timeout(1500)  # the server's picture stands until the browser's own comes
    assert np.abs(settled(page) - server).mean() < 40, "both renderers must show the same view"


def test_a_screenshot_and_a_film_are_handed_over(visitor: Visitor, made: str, tmp_path: Path) -> None:
    page = visitor.open(made)
    panel = page.frame_locator("#view iframe")
    panel.get_by_text("Planned paths").wait_for()
    settled(page)
    with page.expect_download() as taken:
        panel.get_by_role("button", name="Screenshot").click()
    picture = np.asarray(Image.open(taken.value.path()).convert("RGB"))
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 8
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    panel.get_by_role("button", name="Record a film").click()
    panel.get_by_text("Recording. Walk!").wait_for()
    page.keyboard.down("a")
    page.wait_for_timeout(1000)
    page.keyboard.up("a")
    panel.get_by_role("button", name="Stop and make the film").click()
    panel.get_by_text("walk.mp4 has").wait_for()
    for _ in range(100):
        if len(downloads) == 2:
            break
        page.wait_for_timeout(100)
    files = {download.suggested_filename: tmp_path / download.suggested_filename for download in downloads}
    for download in downloads:
        download.save_as(files[download.suggested_filename])
    film = load_video(files["walk.mp4"], max_frames=1000)
    assert len(film) > 5
    assert film.std() > 0.02
    (path,) = load_camera_paths(files["walk_path.json"])
    places = path.cameras.world_from_cam[:, :3, 3]
    assert (places[-1] - places[0]).norm() > 0.1, "it was a walk"


def test_photos_become_a_scene_to_walk_in(visitor: Visitor, tmp_path: Path) -> None:
    photos, _ = photographed(cameras_in_a_row(4, (96, 128)))
    names = tuple(f"images/{name}" for name in photos.names)
    save_nerfstudio(tmp_path / "transforms.json", PosedImages(photos.cameras, names))
    for name, rgb in zip(photos.names, photos.rgb, strict=True):
        save_image(tmp_path / name, rgb)
    page = visitor.open()
    page.get_by_role("tab", name="Reconstruct").click()
    page.locator("#photos input[type=file]").set_input_files(sorted(tmp_path.iterdir()))
    page.get_by_text("transforms").first.wait_for()
    page.locator("#minutes input[type=number]").fill("0")
    page.locator("#minutes input[type=number]").press("Tab")
    page.locator("#start-reconstruction").click()
    page.locator("#photos-view iframe").wait_for()
    settled(page, frame="#photos-view iframe")
    page.screenshot(path=SCREENSHOTS / "photos.png", full_page=True)
    link = page.locator("#photos-files a").first.get_attribute("href")
    assert re.fullmatch(r"/\?open=reconstruction-[\w-]{22}", link)
    page = visitor.open(link)
    page.locator("#photos-view iframe").wait_for()
    assert page.get_by_role("tab", name="Reconstruct").get_attribute("aria-selected") == "true"


def test_a_clip_becomes_futures_side_by_side(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.open()
    page.get_by_role("tab", name="Drive").click()
    page.locator("#map img").wait_for()
    sample = page.locator("#map img").get_attribute("src")
    page.locator("#upload input[type=file]").set_input_files(little_clip(tmp_path / "clip.npz"))
    page.wait_for_function("old => document.querySelector('#map img')?.src !== old", arg=sample)
    page.locator("#map img").scroll_into_view_if_needed()
    box = page.locator("#map img").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.36)
    page.wait_for_function("() => /\\d, /.test(document.querySelector('#points textarea, #points input').value)")
    assert page.get_by_role("radio", name="through the points").is_checked()
    page.locator("#futures input[type=number]").fill("2")
    page.locator("#horizon input[type=number]").fill("2")
    page.locator("#horizon input[type=number]").press("Tab")
    page.locator("#start-drive").click()
    futures = page.frame_locator("#futures-view iframe")
    futures.locator("body[data-ready=yes]").wait_for()
    names = futures.locator("figcaption").all_inner_texts()
    assert names == ["what came", "future 1", "future 2"]
    pictures = futures.locator("#grid img")
    first = pictures.nth(1).get_attribute("src")
    slider = futures.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    assert pictures.nth(1).get_attribute("src") != first
    assert "+0.5 s" in futures.locator("#when").inner_text()
    for i in range(3):
        assert pictures.nth(i).evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    assert futures.locator("svg").count() >= 2, "risk and uncertainty"
    page.locator("#futures-view").scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "drive.png", full_page=True)
    with page.expect_download() as taken:
        page.locator("#drive-files").get_by_text("all as .zip").click()
    names = zipfile.ZipFile(taken.value.path()).namelist()
    assert {"worldloom-drive/compare.html", "worldloom-drive/result/future-01.npz"} <= set(names)
    assert not [name for name in names if "/." in name], "nothing that is hidden"
    page.locator("#enter").click()
    page.locator("#drive-view iframe").wait_for()
    page.locator("#drive-view iframe").scroll_into_view_if_needed()
    before = settled(page, frame="#drive-view iframe")
    frame = page.frame_locator("#drive-view iframe").get_by_role("slider").first
    frame.focus()
    for _ in range(2):
        frame.press("ArrowRight")
    settled(page, unlike=before, frame="#drive-view iframe", share=0.0005)  # the street stands, a far car moves


def test_a_job_that_is_cancelled_leaves_nothing(visitor: Visitor, app: Served) -> None:
    page = visitor.open()
    before = app.pieces()
    page.locator("#start-scene").click()
    page.locator("#scene-status [role=status]").wait_for()
    page.reload()  # the job goes on, and the page finds it again
    page.locator("#scene-status [role=status]").wait_for()
    page.locator("#cancel-scene").click()
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    page.wait_for_function("() => !document.querySelector('#start-scene').disabled")
    assert app.pieces() == before


def test_a_text_becomes_a_world_to_walk_in(visitor: Visitor, app: Served) -> None:
    page = visitor.open()
    before = app.pieces()
    page.locator("#scene-text textarea").fill("qwertz")
    page.locator("#start-scene").click()
    page.locator("#scene-status [role=alert]").wait_for()
    said = page.locator("#scene-status [role=alert]").inner_text()
    assert "nothing of the text is understood, got 'qwertz'" in said
    assert app.pieces() == before
    page.locator("#scene-text textarea").fill("a room with red walls")
    page.get_by_role("radio", name="Draft").check()
    page.locator("#start-scene").click()
    page.locator("#view iframe").wait_for()
    shown = settled(page)
    page.screenshot(path=SCREENSHOTS / "text.png")
    red, _, blue = shown.reshape(-1, shown.shape[-1]).mean(0)[:3]
    assert red > blue + 10
    page.get_by_role("tab", name="Worlds").click()
    page.locator("#worlds article").first.wait_for()
    assert "a room with red walls" in page.locator("#worlds").inner_text()


def test_a_bad_file_is_one_readable_line(visitor: Visitor, app: Served, tmp_path: Path) -> None:
    page = visitor.open()
    before = app.pieces()
    (tmp_path / "words.png").write_text("not a picture")
    page.locator("#panorama input[type=file]").set_input_files(tmp_path / "words.png")
    page.get_by_text("words").first.wait_for()
    page.locator("#start-scene").click()
    page.locator("#scene-status [role=alert]").wait_for()
    said = page.locator("#scene-status [role=alert]").inner_text()
    assert "words.png" in said
    assert "\n" not in said
    assert "Traceback" not in said
    assert str(app.runs) not in said, "the server's folders are nobody's business"
    assert app.pieces() == before


def test_visitors_do_not_see_each_other_but_by_link(browser: Any, app: Served, made: str) -> None:
    other = Visitor(browser, app)
    page = other.open()
    page.get_by_role("tab", name="Worlds").click()
    page.get_by_text("Nothing is finished yet").wait_for()
    name = made.split("=")[1]
    assert page.request.get(f"{app.address}/files/{name}/result/report.json").ok
    for guess in (
        f"/files/{name[:-1]}x/result/report.json",
        "/files/",
        "/files/scene-0000000000000000000000/title.json",
    ):
        assert page.request.get(app.address + guess).status == 404
    other.open("/?open=scene-0000000000000000000000")
    page.get_by_text("a link to none").wait_for()
    other.close()


def test_a_phone_shows_everything_in_one_column(browser: Any, app: Served, made: str) -> None:
    phone = Visitor(
        browser, app, viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    page = phone.open(made)
    page.locator("#view iframe").wait_for()
    page.locator("#view iframe").scroll_into_view_if_needed()
    settled(page)
    page.screenshot(path=SCREENSHOTS / "phone.png")
    wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} pixels stick out"
    assert page.locator("#view iframe").bounding_box()["width"] > 300
    phone.close()


def test_the_keyboard_reaches_what_the_mouse_does(visitor: Visitor) -> None:
    page = visitor.open()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.closest('[id]')?.id ?? ''"))
        if "start-scene" in reached:
            break
    assert "start-scene" in reached
