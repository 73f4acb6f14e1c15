"""Every kind of bad input to `worldloom scene`: one line that says what was expected and what came, and no trace."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

from worldloom.apps import cli
from worldloom.geometry.io.images import EXIF_ORIENTATION, save_hdr, save_image

COMMAND = [sys.executable, "-m", "worldloom.apps.cli", "scene"]
CTRL_C_AT_THE_FILES = """
import os, signal
from worldloom.apps import cli, scene

save = scene.save_gaussians

def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    save(*arguments)

scene.save_gaussians = interrupted
cli.main()
"""


def good_image(height=64):
    column = torch.linspace(0.2, 0.8, 2 * height).expand(height, -1)
    row = torch.linspace(0.9, 0.1, height)[:, None].expand(-1, 2 * height)
    return torch.stack([row, column, 1 - row])


def good(folder):
    save_image(folder / "good.png", good_image())
    return folder / "good.png"


def missing(folder):
    return folder / "nowhere.png"


def a_folder(folder):
    (folder / "folder.png").mkdir()
    return folder / "folder.png"


def empty(folder):
    (folder / "empty.jpg").touch()
    return folder / "empty.jpg"


def text(folder):
    (folder / "text.jpg").write_text("This is not a picture. " * 100)
    return folder / "text.jpg"


def _cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def truncated_png(folder):
    return _cut(good(folder), 0.5)


def truncated_jpg(folder):
    save_image(folder / "cut.jpg", good_image())
    return _cut(folder / "cut.jpg", 0.5)


def truncated_webp(folder):
    save_image(folder / "cut.webp", good_image())
    return _cut(folder / "cut.webp", 0.5)


def truncated_exr(folder):
    save_hdr(folder / "cut.exr", good_image())
    return _cut(folder / "cut.exr", 0.5)


def truncated_hdr(folder):
    save_hdr(folder / "cut.hdr", good_image())
    return _cut(folder / "cut.hdr", 0.5)


def only_a_png_header(folder):
    (folder / "head.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder / "head.png"


def _exr_with(folder, value):
    pixels = np.full((64, 128, 3), 0.5, dtype=np.float32)
    pixels[3, 4, 1] = value
    path = folder / "light.exr"
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"RGB": pixels}) as file:
        file.write(str(path))
    return path


def nan_exr(folder):
    return _exr_with(folder, np.nan)


def inf_exr(folder):
    return _exr_with(folder, np.inf)


def _image(folder, width, height, mode="RGB"):
    Image.new(mode, (width, height)).save(folder / "image.png")
    return folder / "image.png"


def square(folder):
    return _image(folder, 128, 128)


def one_by_two(folder):
    return _image(folder, 1, 2)


def two_by_one(folder):
    return _image(folder, 2, 1)


def photo(folder):
    return _image(folder, 1920, 1080)


def _by_a_camera(folder, size, orientation=1):
    image = Image.new("RGB", size)
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    exif.get_ifd(0x8769)[0xA405] = 28  # mm, as on 35 mm film
    image.save(folder / "camera.jpg", exif=exif)
    return folder / "camera.jpg"


def photo_of_a_camera(folder):
    return _by_a_camera(folder, (300, 200))


def photo_of_a_camera_held_upright(folder):
    return _by_a_camera(folder, (200, 300))


def photo_that_is_stored_lying(folder):
    return _by_a_camera(folder, (300, 200), orientation=6)


def nearly(folder):
    return _image(folder, 257, 128)


def huge(folder):
    return _image(folder, 20_000, 10_000, "L")


PANORAMAS = {
    missing: r"nowhere\.png: expected an image file, but there is none",
    a_folder: r"folder\.png: expected an image file, got a folder",
    empty: r"empty\.jpg: expected an image, got an empty file",
    text: r"text\.jpg: expected a PNG, JPEG, .*, got a file that begins with b'This is",
    truncated_png: r"good\.png: expected a whole PNG image, got damaged data",
    truncated_jpg: r"cut\.jpg: expected a whole JPEG image, got damaged data",
    truncated_webp: r"cut\.webp: expected .*, got",
    truncated_exr: r"cut\.exr: expected .*, got",
    truncated_hdr: r"cut\.hdr: expected .*, got",
    only_a_png_header: r"head\.png: expected a whole PNG image, got damaged data",
    nan_exr: r"light\.exr: expected finite values, got 1 NaN or infinite",
    inf_exr: r"light\.exr: expected finite values, got 1 NaN or infinite",
    square: r"panorama must be 2:1, got 128x128",
    one_by_two: r"panorama must be 2:1, got 1x2",
    two_by_one: r"panorama must be at least 64x32, got 2x1",
    photo: r"panorama must be 2:1, got 1920x1080; pass --fov DEGREES to use it as a photo",
    photo_of_a_camera: r"got 300x200; pass --fov 65, as its camera wrote, to use it as a photo",
    photo_of_a_camera_held_upright: r"got 200x300; pass --fov 46, as its camera wrote,",
    photo_that_is_stored_lying: r"got 200x300; pass --fov 46, as its camera wrote,",
    nearly: r"panorama must be 2:1, got 257x128",
    huge: r"image\.png: expected at most 50000000 pixels, got 20000x10000",
}


def out_exists(folder):
    (folder / "out").mkdir()
    return [str(folder / "out")]


def out_is_a_file(folder):
    (folder / "out").write_text("mine")
    return [str(folder / "out")]


def out_is_a_file_and_force(folder):
    (folder / "out").write_text("mine")
    return [str(folder / "out"), "--force"]


def out_is_a_foreign_folder(folder):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("years of work")
    return [str(folder / "out")]


def out_is_a_foreign_folder_and_force(folder):
    return [*out_is_a_foreign_folder(folder), "--force"]


def out_is_a_broken_link(folder):
    (folder / "out").symlink_to(folder / "gone")
    return [str(folder / "out")]


def out_under_a_file(folder):
    (folder / "file").write_text("mine")
    return [str(folder / "file" / "out")]


def out_where_nobody_may_write(folder):
    return ["/proc/out"]


def out_with_a_long_name(folder):
    return [str(folder / ("x" * 300))]


def height(value):
    def option(folder):
        return [str(folder / "out"), f"--camera-height={value}"]

    option.__name__ = f"height_{value}"
    return option


def families(value):
    def option(folder):
        return [str(folder / "out"), f"--families={value}"]

    option.__name__ = f"families_{value}"
    return option


def no_families_and_no_paths(folder):
    return [str(folder / "out"), "--families=none"]


def paths(name, content):
    """A file of paths; content as text, or camera centres along x with a rotation."""

    def option(folder):
        if content is not None:
            (folder / "paths.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return [str(folder / "out"), f"--paths={folder / 'paths.json'}", "--families=none"]

    option.__name__ = f"paths_{name}"
    return option


UPRIGHT = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
OPENGL = [[0, 0, -1], [-1, 0, 0], [0, 1, 0]]


def path_file(centres, rotation, **changes):
    poses = [[[*row, x if i == 0 else 0] for i, row in enumerate(rotation)] + [[0, 0, 0, 1]] for x in centres]
    K = [[[40, 0, 32], [0, 40, 24], [0, 0, 1]] for _ in centres]
    entry = {"name": "mine", "size": [48, 64], "world_from_cam": poses, "K": K, **changes}
    return {"format": "worldloom-paths", "version": 1, "paths": [entry]}


OPTIONS = {
    families("regular,flying"): r"--families must be some of regular, surround, .*, or none, got flying",
    families(""): r"--families must be some of regular, surround",
    no_families_and_no_paths: r"--families none needs --paths; without, choose some of regular",
    paths("missing", None): r"paths\.json: expected cameras, but there is no such file",
    paths("text", "ahead, then left"): r"paths\.json: expected an object as JSON",
    paths("list", "[1, 2]"): r"paths\.json: expected ",
    paths("future", path_file([0], UPRIGHT) | {"version": 9}): r"expected version 1 of worldloom-paths, got 9",
    paths("empty", path_file([], UPRIGHT)): r"paths\.json.*expected",
    paths("nan", path_file([0, math.nan], UPRIGHT)): r"paths\.json.*expected",
    paths("times", path_file([0, 0.5], UPRIGHT, times=[1, 0])): r"expected finite times that rise, got \[1\.0, 0\.0\]",
    paths("few", path_file([0, 0.5], UPRIGHT, K=[])): r"as many matrices in world_from_cam as in K",
    out_exists: r"out exists; pass --force to replace it or choose another --out",
    out_is_a_file: r"output must be a folder that does not exist yet, got a file",
    out_is_a_file_and_force: r"output must be a folder that does not exist yet, got a file",
    out_is_a_foreign_folder: r"out exists and is not a worldloom result .*; choose another --out",
    out_is_a_foreign_folder_and_force: r"is not a worldloom result .* so --force will not delete it",
    out_is_a_broken_link: r"output must be a folder that does not exist yet, got a",
    out_under_a_file: r"cannot be written: .*file is not a folder",
    out_where_nobody_may_write: r"cannot be written: ",
    out_with_a_long_name: r"cannot be written: File name too long",
    height("0"): r"--camera-height must be in \(0, 1000\] metres, got 0\.0",
    height("-1.6"): r"--camera-height must be in \(0, 1000\] metres, got -1\.6",
    height("nan"): r"--camera-height must be in \(0, 1000\] metres, got nan",
    height("inf"): r"--camera-height must be in \(0, 1000\] metres, got inf",
    height("1e9"): r"--camera-height must be in \(0, 1000\] metres, got 1000000000",
}

# Found out only where the panorama's distances are known.
LATE = {
    paths("walls", path_file([0, 500], UPRIGHT)): r"path 'mine': expected a way through .* got one that leaves it at",
    paths("opengl", path_file([0, 0.1], OPENGL)): r"path 'mine': .* most of them upside down: OpenGL axes",
}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path under `folder` with its content, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def check_refusal(arguments, message, folder, monkeypatch, capfd):
    before = tree(folder)
    monkeypatch.setattr(sys, "argv", ["worldloom", "scene", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("worldloom: error: ")
    assert re.search(message, err), err
    assert tree(folder) == before


@pytest.mark.parametrize(("make", "message"), PANORAMAS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_bad_panoramas(make, message, tmp_path, monkeypatch, capfd):
    check_refusal([str(make(tmp_path)), "--out", str(tmp_path / "a" / "out")], message, tmp_path, monkeypatch, capfd)


INPUTS = {
    "nothing": ([], r"expected a panorama, a photo with --fov, or --text, got none of them"),
    "fov_alone": (["--fov", "70"], r"--fov is a photo's, but there is no photo"),
    "text_and_panorama": (["good.png", "--text", "a street"], r"used as a panorama, which leaves nothing to --text"),
    "generator_and_panorama": (
        ["good.png", "--generator", "fill"],
        r"used as a panorama, which leaves nothing to --gen",
    ),
    "pitch_alone": (["--text", "a street", "--pitch", "5"], r"--pitch is a photo's; pass --fov with it"),
    "pitch_and_panorama": (["good.png", "--pitch", "5"], r"--pitch is a photo's; pass --fov with it"),
    "strange_text": (["--text", "qwertz"], r"nothing of the text is understood, got 'qwertz'; it may speak of room"),
    "empty_text": (["--text", " "], r"expected a text of 1 to 2000 characters, got 0"),
    "endless_text": (["--text", "room " * 1000], r"expected a text of 1 to 2000 characters, got 4999"),
    "wide_fov": (["good.png", "--fov", "200"], r"field of view must be 10 to 150 degrees, got 200"),
    "no_fov": (["good.png", "--fov", "nan"], r"field of view must be 10 to 150 degrees, got nan"),
    "steep": (["good.png", "--fov", "70", "--pitch", "95"], r"pitch must be within 90 degrees, got 95"),
    "procedural_photo": (["good.png", "--fov", "70", "--generator", "procedural"], r"makes worlds from a text alone"),
    "fill_with_words": (["good.png", "--fov", "70", "--text", "a street"], r"--generator fill knows no words"),
    "fill_of_nothing": (["--text", "a street", "--generator", "fill"], r"--generator fill knows no words"),
    "no_generator": (["--text", "a street", "--generator", "nowhere"], r"nowhere"),
    "tiny_photo": (["tiny.png", "--fov", "70"], r"photo must be at least 32 pixels to a side, got 8x8"),
    "world_with_height": (["--text", "a street", "--camera-height", "2"], r"a procedural world has its own scale"),
    "world_with_depth": (["--text", "a street", "--depth-model", "small"], r"a procedural world has its own scale"),
    "no_depth_model": (
        ["good.png", "--depth-model", ""],
        r"no weights called '': .* one of: small; or floor, an .onnx",
    ),
    "many_rows": (["--text", "a street", "--rows", "5000"], r"--rows must be 32 to 1024, got 5000"),
}


@pytest.mark.parametrize(("arguments", "message"), INPUTS.values(), ids=INPUTS)
def test_bad_inputs(arguments, message, tmp_path, monkeypatch, capfd):
    good(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    monkeypatch.chdir(tmp_path)
    check_refusal([*arguments, "--out", "out"], message, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize(("make", "message"), OPTIONS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_bad_options(make, message, tmp_path, monkeypatch, capfd):
    arguments = make(tmp_path)
    check_refusal([str(good(tmp_path)), "--out", *arguments], message, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize(("make", "message"), LATE.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_paths_that_do_not_fit_the_panorama(make, message, tmp_path, monkeypatch, capfd):
    arguments = make(tmp_path)
    picture, before = good(tmp_path), tree(tmp_path)
    monkeypatch.setattr(sys, "argv", ["worldloom", "scene", str(picture), "--out", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert re.search(f"^worldloom: error: {message}", last), last
    assert tree(tmp_path) == before


def test_the_real_command_refuses_in_one_line(tmp_path):
    before = tree(tmp_path)
    done = subprocess.run(
        [*COMMAND, "nowhere.jpg", "--out", "out"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "worldloom: error: nowhere.jpg: expected an image file, but there is none\n"
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_ctrl_c_in_the_middle_leaves_no_result_and_resume_makes_the_same(tmp_path):
    save_image(tmp_path / "good.png", good_image(128))
    subprocess.run([*COMMAND, "good.png", "--out", "whole"], cwd=tmp_path, capture_output=True, check=True, timeout=500)

    stopped = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT_THE_FILES, "scene", "good.png", "--out", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert stopped.returncode == 130
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in stopped.stderr

    done = subprocess.run(
        [*COMMAND, "good.png", "--out", "out", "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "kept from the interrupted run" in done.stderr
    whole, resumed = tree(tmp_path / "whole"), tree(tmp_path / "out")
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if whole[name] != resumed[name]] == ["report.json"]  # it holds the seconds
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
