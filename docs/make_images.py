"""Make the README's pictures: `python docs/make_images.py`, or some: `python docs/make_images.py worlds town`.

Parts are samples, photos, texts, films, worlds, town, statistics, cost, agreement and page; the page needs a chromium
on the PATH, cost and agreement the published benchmarks of the driving half and of the apps.
"""

import json
import re
import shutil
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image

from worldloom.apps.bench.recon import photographed_world
from worldloom.apps.bench.scene.texts import TEXTS
from worldloom.apps.bench.town_statistics import town_statistics
from worldloom.apps.drive import make_drive
from worldloom.apps.page import serve
from worldloom.apps.scene import make_scene
from worldloom.apps.synth import make_worlds, town_preview
from worldloom.geometry import EgoPath, Occupancy, PosedImages, compose
from worldloom.geometry.io import load_image, save_image
from worldloom.geometry.io.photo_set import PhotoSet
from worldloom.occupancy import WorldModel
from worldloom.occupancy.data.splits import TOWN_SPLITS
from worldloom.recon import ReconstructConfig, RefineConfig, TakenPhotos, reconstruct
from worldloom.recon.distance_picture import ramp_pictures
from worldloom.render import render
from worldloom.render.caption import caption, contact_sheet
from worldloom.render.drive_film import view_from_above, views_from_behind
from worldloom.scenegen.described_world import find_world, panorama_of_world
from worldloom.scenegen.words import read_words
from worldloom.synth.dataset.observe import Sensors
from worldloom.synth.dataset.scenes import merge_scenes, plan_scenes, write_scene
from worldloom.synth.samples import sample_clip_path, sample_panorama_path
from worldloom.synth.scene_files import SceneOptions
from worldloom.synth.towns import make_town
from worldloom.synth.traffic import drive_town
from worldloom.synth.voxels import voxelize_drive
from worldloom.synth.voxels.occupancy_statistics import GENUINE_LABEL, statistics_picture

IMAGES = Path(__file__).parent / "images"
_PAST, _AHEAD, _PANEL = 5, 12, 400  # frames, frames, pixels
_TAG = (0.1, 0.12, 0.15)
_AXES = {"horizon": "frames to come", "futures": "futures of 16 frames", "grid": "voxels on a side"}
_PHOTOGRAPHED = 300011  # a street of the test split
_ASIDE = (0.0, -0.35, 0.6)  # metres that the new view is right of, below and ahead of the photo
_LOOKED_AT = 2  # test towns that were looked at while the planner was built
BROWSER = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist --no-sandbox"


def main(parts: list[str]) -> None:
    """Make the named parts, or all."""
    makers = {"samples": _samples, "films": _films, "worlds": _worlds, "town": _town, "statistics": _statistics}
    makers |= {"photos": _photos, "texts": _texts, "cost": _cost, "agreement": _agreement, "page": _page}
    IMAGES.mkdir(exist_ok=True)
    for part in parts or makers:
        with tempfile.TemporaryDirectory() as folder:
            makers[part](Path(folder))


def _samples(folder: Path) -> None:
    """What the bundled panorama and clip become."""
    scene = make_scene(sample_panorama_path(), folder / "scene").folder
    drive = make_drive(sample_clip_path(), folder / "drive", path="log").folder
    _shrink(sample_panorama_path(), "panorama.jpg", 1024)
    _shrink(scene / "preview.png", "scene.jpg", 1024)
    _shrink(drive / "preview.png", "drive.jpg", 1400)


def _photos(_: Path) -> None:
    """A photo of a street, and what ten such photos become."""
    photos = photographed_world(_PHOTOGRAPHED, (360, 480))[0]
    given = PhotoSet(photos.names, photos.rgb, photos.cameras.size)
    taken = TakenPhotos(given, PosedImages(photos.cameras, photos.names))
    gaussians = reconstruct(taken, ReconstructConfig(refine=RefineConfig(steps=1000), hold_out=0)).gaussians
    camera, photo = photos.cameras[len(photos) // 2], photos.rgb[len(photos) // 2]
    seen = render(gaussians, camera)
    depth = ramp_pictures(seen.median_depth[None], ~seen.median_valid[None], 0.03)[0]
    aside = compose(torch.eye(3), torch.tensor(_ASIDE))
    new = render(gaussians, replace(camera, world_from_cam=camera.world_from_cam @ aside)).rgb.clamp(0, 1)
    told = {"one of ten photos": photo, "their depth": depth, "splats, from where nobody stood": new}
    sheet = contact_sheet([caption(picture, words, _TAG) for words, picture in told.items()], columns=3)
    save_image(IMAGES / "photos.jpg", sheet)


def _texts(_: Path) -> None:
    """Panoramas of worlds that were made of texts."""
    pictures = []
    for text in TEXTS[:6]:
        found = find_world(read_words(text)[0])
        pictures.append(caption(panorama_of_world(found, 256).rgb, text, _TAG))
    save_image(IMAGES / "texts.jpg", contact_sheet(pictures, columns=2))


def _films(_: Path) -> None:
    """Six seconds in three towns that no network has seen: what came, and what the model drew along the same path."""
    model = WorldModel.from_pretrained("small")
    for seed in TOWN_SPLITS["test"][_LOOKED_AT:][:3]:
        town = make_town(seed)
        clip, _ = voxelize_drive(town, drive_town(town, 0.5 * (_PAST + _AHEAD - 1), seed))
        past, truth = clip[:_PAST], clip[_PAST:]
        drawn = model.generate(past, EgoPath(truth.world_from_ego, truth.dt)).occupancy[0]
        futures = [_joined(past, truth), _joined(past, drawn)]
        frames = []
        for i in range(_PAST - 1, _PAST + _AHEAD):
            behind = [views_from_behind(one, _PAST, i, (_PANEL * 9 // 16, _PANEL))[0] for one in futures]
            above = [view_from_above(one, _PAST, i, _PANEL) for one in futures]
            behind = [caption(behind[0], "what came", _TAG), caption(behind[1], "model", _TAG)]
            sheet = torch.cat([torch.cat(behind, 2), torch.cat(above, 2)], 1)
            frames.append(Image.fromarray((sheet * 255).round().byte().permute(1, 2, 0).numpy()))
        name = IMAGES / f"town_{seed}.webp"
        frames[0].save(name, save_all=True, append_images=frames[1:], duration=500, loop=0, quality=72, method=6)


def _joined(past: Occupancy, future: Occupancy) -> Occupancy:
    return replace(
        past,
        labels=torch.cat([past.labels, future.labels]),
        observed=torch.cat([past.observed, future.observed]),
        world_from_ego=torch.cat([past.world_from_ego.double(), future.world_from_ego.double()]),
    )


def _worlds(folder: Path) -> None:
    """One picture of each kind of world, by traced light."""
    options = SceneOptions(panorama_height=320, num_panoramas=1, num_views=0, samples=32, mesh=False)
    pictures = []
    for kind, seed in (("room", 103), ("street", 101), ("courtyard", 102), ("field", 100)):
        made = make_worlds(kind, folder / kind, seed=seed, options=options).folder
        pictures.append(load_image(next(made.glob("*/panoramas/000.png"))))
    save_image(folder / "worlds.png", contact_sheet(pictures, columns=2))
    _shrink(folder / "worlds.png", "worlds.jpg", 1280)


def _town(folder: Path) -> None:
    """The middle of a few seconds in a town: the front camera, the voxels, and the map."""
    (spec,) = plan_scenes(seed=7, minutes=1 / 3, sensors=Sensors(lidar=False, picture_width=800))
    spec = replace(spec, seconds=2.0)
    write_scene(folder, lambda share, doing: None, spec)
    merge_scenes(folder, [spec])
    save_image(folder / "town.png", town_preview(folder, [spec.name], height=360))
    _shrink(folder / "town.png", "town.jpg", 1400)


def _statistics(_: Path) -> None:
    """Figures of towns' labels as bars, beside those of a genuine label."""
    statistics_picture(GENUINE_LABEL, town_statistics()).save(IMAGES / "statistics.png", optimize=True)


def _cost(_: Path) -> None:
    """How the CPU time of a forecast grows, as the published benchmark has it."""
    rows = _published("occupancy")
    grown = {name.removeprefix("cost_by_"): row for name, row in rows.items() if name.startswith("cost_by_")}
    figure, panels = plt.subplots(1, len(grown), figsize=(11, 3), layout="constrained")
    for panel, (what, row) in zip(panels, grown.items(), strict=True):
        seconds = {**row["baseline"], row["note"].partition(";")[0]: row["value"]}  # the largest is in the note
        sizes = [float(re.findall(r"[0-9]+", name)[0]) for name in seconds]
        panel.plot(sizes, list(seconds.values()), "o-")
        panel.set(xlim=(0, None), ylim=(0, None), xticks=sizes, xlabel=_AXES[what], ylabel="s of CPU")
        panel.grid(alpha=0.3)
    figure.savefig(IMAGES / "cost.png", dpi=110)


def _agreement(_: Path) -> None:
    """Each policy's mean score in the model over its mean score in truth, as the published benchmark has them."""
    rows = _published("apps")
    truth, model = rows["policy_pdms_truth"]["baseline"], rows["policy_pdms_model"]["baseline"]
    found = rows["policy_correlation"]
    low, high = found["baseline"]["95 % low"], found["baseline"]["95 % high"]
    figure, panel = plt.subplots(figsize=(7, 5.2), layout="constrained")
    panel.plot([0, 100], [0, 100], color="0.8", linewidth=1)
    panel.scatter(truth.values(), model.values(), color="#1c5cbe", s=22)
    # From, to and height of what stands there: at first the points.
    taken = [(truth[name] - 1.2, truth[name] + 1.2, model[name]) for name in truth]
    for name in sorted(truth, key=lambda name: (-truth[name], model[name])):
        x, y, wide = truth[name], model[name], 1.05 * len(name)
        steps = sorted(range(-8, 9), key=abs)
        places = [(x + side, y + 2.5 * step) for step in steps for side in (1.5, -1.5 - wide)]
        left, height = next(place for place in places if _is_free(place, wide, taken))
        taken.append((left, left + wide, height))
        line = {"arrowstyle": "-", "color": "0.75", "linewidth": 0.6} if abs(height - y) > 1 else None
        panel.annotate(name, (x, y), (left, height), fontsize=7.5, va="center", color="0.25", arrowprops=line)
    panel.set(xlabel="mean driving score in the true simulator, %", ylabel="in the learned model, %", aspect="equal")
    panel.set(xlim=(0, 105), ylim=(0, max(85, *model.values())))
    panel.set_title(f"correlation {found['value']:.2f} [{low:.2f}, {high:.2f}]", fontsize=10, loc="left")
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGES / "agreement.png", dpi=110)


def _is_free(place: tuple[float, float], wide: float, taken: list[tuple[float, float, float]]) -> bool:
    left, height = place
    return not any(left < end and begin < left + wide and abs(height - y) < 2.4 for begin, end, y in taken)


def _published(benchmark: str) -> dict[str, dict]:
    """Rows of a published run by their metric."""
    path = IMAGES.parents[1] / "benchmarks" / "results" / f"{benchmark}.json"
    return {row["metric"]: row for row in json.loads(path.read_text())["rows"]}


def _shrink(source: Path, name: str, width: int) -> None:
    picture = Image.fromarray((load_image(source) * 255).round().byte().permute(1, 2, 0).numpy())
    picture.thumbnail((width, width))
    picture.save(IMAGES / name, quality=84)


def _page(folder: Path) -> None:
    """The page with a scene to walk in, and with futures side by side; the server draws."""
    from playwright.sync_api import sync_playwright

    scene = make_scene(sample_panorama_path(), folder / "scene").folder
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = serve(host="127.0.0.1", port=port, runs=folder / "runs", show=scene, block=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER.split())
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(600_000)
        page.goto(served.address)
        view = page.frame_locator("#view iframe")
        view.get_by_text("Planned paths").wait_for()
        view.locator(".mantine-Notification-closeButton").first.evaluate("button => button.click()")
        page.wait_for_timeout(8_000)  # the view turns sharp
        page.screenshot(path=IMAGES / "app_scene.jpg", type="jpeg", quality=88)
        page.get_by_role("tab", name="Drive").click()
        page.get_by_role("radio", name="as the clip drove").check()
        page.locator("#start-drive").click()
        futures = page.frame_locator("#futures-view iframe")
        futures.locator("body[data-ready=yes]").wait_for()
        futures.get_by_role("slider").fill("4")
        page.wait_for_timeout(2_000)
        page.screenshot(path=IMAGES / "app_drive.jpg", type="jpeg", quality=88)
        browser.close()
    served.close()


if __name__ == "__main__":
    main(sys.argv[1:])
