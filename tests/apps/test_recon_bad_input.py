"""Every kind of bad input to `worldloom recon`: one line that says what was expected and what came, nothing left."""

import errno
import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch

from tests.apps.test_recon import FEW, save_photos
from tests.apps.test_scene_bad_input import tree
from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.apps import cli, recon
from worldloom.errors import InputError, MissingExtra
from worldloom.geometry.io.gaussians import load_gaussians
from worldloom.geometry.io.images import load_image, save_image


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "room"
    save_photos(folder, photographed(cameras_in_a_row(4))[0])
    return folder


@pytest.fixture
def photos(good, tmp_path):
    return shutil.copytree(good, tmp_path / "photos")


def no_such_folder(photos):
    return [str(photos / "nowhere")]


def no_photos(photos):
    shutil.rmtree(photos / "images")
    return []


def a_text_file(photos):
    (photos / "words.txt").write_text("no photos")
    return [str(photos / "words.txt")]


def a_broken_video(photos):
    (photos / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200))
    return [str(photos / "film.mp4")]


def one_photo(photos):
    (photos / "transforms.json").unlink()
    for i in (1, 2, 3):
        (photos / "images" / f"{i:03d}.png").unlink()
    return []


def one_photo_with_a_camera(photos):
    _edit(photos, lambda content: content["frames"].__delitem__(slice(1, None)))
    return []


def different_sizes(photos):
    save_image(photos / "images" / "001.png", load_image(photos / "images" / "001.png")[:, :-2])
    return []


def a_broken_photo(photos):
    path = photos / "images" / "002.png"
    path.write_bytes(path.read_bytes()[:300])
    return []


def a_photo_that_is_none(photos):
    (photos / "images" / "002.png").write_text("not a picture")
    return []


def an_empty_photo(photos):
    (photos / "images" / "003.png").write_bytes(b"")
    return []


def other_names(photos):
    _edit(photos, lambda content: [f.update(file_path=f"other/{i}.png") for i, f in enumerate(content["frames"])])
    return []


def another_aspect(photos):
    _edit(photos, lambda content: [f.update(w=48, h=64) for f in content["frames"]])
    return []


def nan_pose(photos):
    _edit(photos, lambda content: content["frames"][1]["transform_matrix"][0].__setitem__(3, float("nan")))
    return []


def squeezed_pose(photos):
    _edit(photos, lambda content: content["frames"][1]["transform_matrix"][0].__setitem__(0, 5.0))
    return []


def cameras_that_leave_the_folder(photos):
    _edit(photos, lambda content: content["frames"][0].update(file_path="../../etc/passwd"))
    return []


def one_place(photos):
    def edit(content):
        for frame in content["frames"]:
            frame["transform_matrix"] = content["frames"][0]["transform_matrix"]

    _edit(photos, edit)
    return []


def no_cameras_file(photos):
    return ["--cameras", str(photos / "none.json")]


def cameras_are_text(photos):
    (photos / "words.json").write_text("left of the table")
    return ["--cameras", str(photos / "words.json")]


def _edit(photos, change):
    path = photos / "transforms.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _priors(photos, save):
    folder = photos.parent / "depth"
    folder.mkdir()
    for i in range(4):
        save(folder / f"{i:03d}", i)
    return ["--depth", str(folder)]


def no_depth_folder(photos):
    return ["--depth", str(photos / "nothing")]


def depth_of_other_names(photos):
    return _priors(photos, lambda path, i: np.save(path.with_name(f"x{i}.npy"), np.ones((48, 64))))


def depth_of_unknown_keys(photos):
    return _priors(photos, lambda path, i: np.savez(f"{path}.npz", detph=np.ones((48, 64))))


def depth_without_depth(photos):
    return _priors(photos, lambda path, i: np.savez(f"{path}.npz", valid=np.ones((48, 64), bool)))


def depth_of_wrong_rank(photos):
    return _priors(photos, lambda path, i: np.savez(f"{path}.npz", depth=np.ones((48, 64, 3))))


def depth_of_whole_numbers(photos):
    return _priors(photos, lambda path, i: np.save(f"{path}.npy", np.ones((48, 64), np.uint8)))


def depth_of_objects(photos):
    return _priors(photos, lambda path, i: np.save(f"{path}.npy", np.array([[{}]], object), allow_pickle=True))


def depth_of_nothing(photos):
    return _priors(photos, lambda path, i: np.save(f"{path}.npy", np.full((48, 64), np.nan)))


def depth_that_lies_about_its_size(photos):
    def save(path, i):
        with open(f"{path}.npy", "wb") as file:
            head = {"descr": "<f8", "fortran_order": False, "shape": (99_999, 99_999)}
            np.lib.format.write_array_header_1_0(file, head)

    return _priors(photos, save)


def option(*words):
    def options(photos):
        return list(words)

    options.__name__ = "_".join(words).strip("-").replace("-", "_")
    return options


TABLE = {
    no_such_folder: r"nowhere: expected a folder of photos or a video",
    no_photos: r"expected photos \(\.jpg, .*\) in the folder or in its images/, got none",
    a_text_file: r"words\.txt: expected a folder of photos or a video",
    a_broken_video: r"film\.mp4: expected a",
    one_photo: r"expected at least two photos, got 1",
    one_photo_with_a_camera: r"expected cameras of the photos in .*, but 1 of 4 photos",
    different_sizes: r"expected photos of one size, got 64x48 in images/000\.png and 64x46 in images/001\.png",
    a_broken_photo: r"002\.png: expected a whole PNG image, got damaged data",
    a_photo_that_is_none: r"002\.png: expected a PNG, JPEG, .*, got a file that begins with",
    an_empty_photo: r"003\.png: expected an image, got an empty file",
    other_names: r"expected cameras of the photos in .*, but 0 of 4 photos .*; the cameras are called such as other/0",
    another_aspect: r"expected photos shaped as their cameras, 48x64, got 64x48",
    nan_pose: r"transforms\.json: frame 1, transform_matrix: expected 4 x 4 finite numbers",
    squeezed_pose: r"transforms\.json: image 1: expected a rigid 4x4 pose",
    cameras_that_leave_the_folder: r"expected a relative path inside",
    no_cameras_file: r"none\.json: expected cameras, but there is no such file",
    cameras_are_text: r"words\.json: expected an object as JSON",
    no_depth_folder: r"nothing: expected a folder of depth images, got nothing",
    depth_of_other_names: r"expected depth images named as the photos, such as 000\.npz, got none",
    depth_of_unknown_keys: r"000\.npz: expected depth or disparity, and maybe valid, got an unknown key 'detph'",
    depth_without_depth: r"000\.npz: expected an array 'depth' or 'disparity', got valid",
    depth_of_wrong_rank: r"000\.npz: expected 'depth' to be float16\|float32\|float64 h w, got float64 48 64 3",
    depth_of_whole_numbers: r"000\.npy: expected depth of shape \(h, w\), floats, got uint8",
    depth_of_objects: r"000\.npy: expected a \.npy array, got",
    depth_of_nothing: r"000\.npy: expected depths above 0, got none",
    depth_that_lies_about_its_size: r"000\.npy: expected a \.npy array, got",
    option("--refine-minutes", "-1"): r"--refine-minutes must be 0 to 10000, got -1",
    option("--refine-minutes", "nan"): r"--refine-minutes must be 0 to 10000, got nan",
    option("--refine-steps", "0"): r"--refine-steps must be at least 1, got 0",
    option("--size", "9"): r"--size must be 64 to 2048 pixels, got 9",
    option("--hold-out", "1"): r"--hold-out must be 0, or 2 and more, got 1",
    option("--frames", "1"): r"--frames must be 2 to 300, got 1",
}


@pytest.mark.parametrize(("make", "message"), TABLE.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_bad_input(make, message, photos, tmp_path, monkeypatch, capfd):
    given = make(photos)
    source = [] if given and not given[0].startswith("--") else [str(photos)]
    before = tree(tmp_path)
    monkeypatch.setattr(sys, "argv", ["worldloom", "recon", *source, *given, "--out", str(tmp_path / "a" / "out")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("worldloom: error: ")
    assert re.search(message, err), err
    assert tree(tmp_path) == before


def test_cameras_in_one_place_leave_nothing(photos, tmp_path):
    one_place(photos)
    before = tree(tmp_path)
    with pytest.raises(InputError, match="stand in one place"):
        recon.make_recon(photos, tmp_path / "out", options=FEW)
    assert tree(tmp_path) == before


def test_depth_of_another_shape_and_of_noise(photos, tmp_path):
    dice = np.random.default_rng(0)
    (tmp_path / "depth").mkdir()
    for shape, message in (((48, 48), "expected depth shaped as its photo, 64x48"), ((48, 64), "fit the photos")):
        for i in range(4):
            np.save(tmp_path / "depth" / f"{i:03d}.npy", 0.1 + 1000 * dice.random(shape) ** 8)
        with pytest.raises(InputError, match=message):
            recon.make_recon(photos, tmp_path / "out", depth=tmp_path / "depth", options=FEW)
        assert not (tmp_path / "out").exists()


def test_photos_without_cameras_name_what_is_missing(photos, tmp_path, monkeypatch):
    (photos / "transforms.json").unlink()
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(MissingExtra, match=r"pip install 'worldloom\[colmap\]'"):
        recon.make_recon(photos, tmp_path / "out", options=FEW)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_and_the_run_goes_on(photos, tmp_path, monkeypatch):
    save = recon.save_points

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "points.ply")

    few = recon.ReconOptions(refine_minutes=0.0, long_side=64)
    monkeypatch.setattr(recon, "save_points", full)
    with pytest.raises(OSError, match="No space left"):
        recon.make_recon(photos, tmp_path / "out", options=few)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(recon, "save_points", save)
    made = recon.make_recon(photos, tmp_path / "out", options=few, resume=True)
    assert (made.folder / "points.ply").stat().st_size > 1000
    with pytest.raises(InputError, match="exists; pass --force"):
        recon.make_recon(photos, tmp_path / "out", options=few)
    with pytest.raises(InputError, match="another request"):
        recon.make_recon(photos, tmp_path / "out", options=recon.ReconOptions(refine_steps=1), resume=True)
    assert torch.isfinite(load_gaussians(made.folder / "scene.ply").means).all()
