"""`worldloom recon` end to end on a few small photos: what is in the folder, what the report says, stop and go on."""

import json
import os
import signal
import sys
from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.apps import recon
from worldloom.apps.recon import ReconOptions, make_recon
from worldloom.apps.walk.start_view import start_view_of
from worldloom.errors import InputError
from worldloom.geometry import PosedImages
from worldloom.geometry.io.cameras import load_cameras
from worldloom.geometry.io.depth import load_depth, save_depth
from worldloom.geometry.io.gaussians import load_gaussians
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.nerfstudio import save_nerfstudio
from worldloom.geometry.io.video import save_video
from worldloom.recon import Photos, reconstruct

FEW = ReconOptions(refine_steps=6, long_side=64, hold_out=4)
FILES = {
    *("scene.ply", "scene.spz", "points.ply", "mesh.glb", "cameras.json", "preview.png", "preview.mp4", "report.json"),
    *("colmap", "depth", "normals"),
}


@pytest.fixture(autouse=True, scope="module")
def short_film():
    """The film at its full length is for people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recon, "FILM_SECONDS", 0.5)
        yield


def save_photos(folder, photos: Photos) -> None:
    (folder / "images").mkdir(parents=True)
    names = tuple(f"images/{name}" for name in photos.names)
    for name, rgb in zip(names, photos.rgb, strict=True):
        save_image(folder / name, rgb)
    save_nerfstudio(folder / "transforms.json", PosedImages(photos.cameras, names))


@pytest.fixture(scope="module")
def scene():
    return photographed(cameras_in_a_row(8))


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "room"
    save_photos(path, scene[0])
    return path


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    return make_recon(folder, tmp_path_factory.mktemp("out") / "recon", options=FEW)


def test_everything_is_there(made):
    assert {path.name for path in made.folder.iterdir()} == FILES
    report = made.report
    assert report["num_photos"] == 8
    assert report["held_out"] == ["images/000.png", "images/004.png"]
    assert report["held_out_psnr_db"] > 15
    assert report["refine"]["steps"] == 6
    assert len(report["refine"]["exposure"]) == 6
    assert report["num_splats"] == len(load_gaussians(made.folder / "scene.ply"))
    assert report["warnings"] == []


def test_cameras_and_depth_are_those_of_the_photos(made, scene):
    photos, truth = scene
    for path in (made.folder, made.folder / "colmap"):
        posed = load_cameras(path)
        torch.testing.assert_close(posed.cameras.world_from_cam, photos.cameras.world_from_cam, atol=1e-4, rtol=0)
    error = (load_depth(made.folder / "depth" / "images_002.npz") / truth[2] - 1).abs()
    assert error.nanmedian() < 0.05


def test_it_opens_at_a_photo(made, scene):
    start = start_view_of(made.folder)
    assert start is not None
    cameras = scene[0].cameras
    eyes = cameras.world_from_cam[:, :3, 3]
    assert (eyes - torch.tensor(start.eye)).norm(dim=-1).min() < 1e-5
    assert torch.tensor(start.up)[2] > 0.9
    assert start.fov == pytest.approx(2 * torch.atan(0.5 * 48 / cameras.K[0, 1, 1]).item())
    (made.folder / "report.json").write_text(json.dumps({**made.report, "start_view": {"up": "there"}}))
    with pytest.raises(InputError, match="start_view"):
        start_view_of(made.folder)
    (made.folder / "report.json").write_text(json.dumps(made.report))


def test_poses_in_opengl_axes_are_found_out(scene, tmp_path):
    photos, _ = scene
    turned = photos.cameras.world_from_cam @ torch.diag(torch.tensor([1.0, -1, -1, 1]))
    save_photos(tmp_path / "photos", replace(photos, cameras=replace(photos.cameras, world_from_cam=turned)))
    made = make_recon(tmp_path / "photos", tmp_path / "out", options=replace(FEW, refine_steps=1))
    assert "OpenGL" in made.report["warnings"][0]
    posed = load_cameras(made.folder)
    torch.testing.assert_close(posed.cameras.world_from_cam, photos.cameras.world_from_cam, atol=1e-4, rtol=0)


def test_known_depth_of_another_unit_makes_depth_better(folder, scene, tmp_path):
    photos, truth = scene
    (tmp_path / "depth").mkdir()
    for name, depth in zip(photos.names, truth, strict=True):
        save_depth(tmp_path / "depth" / name.replace("png", "npz"), 3.2808 * depth)
    few = replace(FEW, refine_minutes=0.0, refine_steps=None)
    plain = make_recon(folder, tmp_path / "plain", options=few)
    known = make_recon(folder, tmp_path / "known", depth=tmp_path / "depth", options=few)

    def error(made) -> float:
        found = load_depth(made.folder / "depth" / "images_002.npz")
        return float((found / truth[2] - 1).abs().nan_to_num(1.0).mean())

    assert error(known) < 0.7 * error(plain)
    assert plain.report["refine"]["steps"] == 0


def test_a_run_that_is_stopped_in_refinement_goes_on(folder, tmp_path, monkeypatch):
    method = sys.modules[reconstruct.__module__]
    refine = method.refine

    def stopped(*args, tell, **kwargs):
        def tell_and_stop(now):
            tell(now)
            if now.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

        return refine(*args, tell=tell_and_stop, **kwargs)

    few = replace(FEW, refine_steps=5)
    monkeypatch.setattr(method, "refine", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_recon(folder, tmp_path / "out", options=few)
    assert not (tmp_path / "out").exists()
    steps = []

    def watched(*args, tell, **kwargs):
        def tell_and_note(now):
            tell(now)
            steps.append(now.steps)

        return refine(*args, tell=tell_and_note, **kwargs)

    monkeypatch.setattr(method, "refine", watched)
    made = make_recon(folder, tmp_path / "out", options=few, resume=True)
    assert steps == [4, 5]
    assert made.report["refine"]["steps"] == 5
    monkeypatch.setattr(method, "refine", refine)
    whole = make_recon(folder, tmp_path / "whole", options=few)
    one, two = (load_gaussians(r.folder / "scene.ply") for r in (made, whole))
    assert torch.equal(one.means, two.means)


def test_frames_of_a_video_with_cameras(scene, tmp_path):
    photos, _ = scene
    save_video(tmp_path / "walk.mp4", photos.rgb, 4, crf=5)
    names = tuple(f"frame_{i:06d}.png" for i in range(len(photos)))
    save_nerfstudio(tmp_path / "cameras.json", PosedImages(photos.cameras, names))
    made = make_recon(
        tmp_path / "walk.mp4", tmp_path / "out", cameras=tmp_path / "cameras.json",
        options=replace(FEW, refine_steps=1, num_frames=4),
    )  # fmt: skip
    assert made.report["num_photos"] == 4
    assert made.report["warnings"] == ["4 cameras have no photo in walk.mp4, such as frame_000001.png"]


@pytest.mark.slow
def test_photos_without_cameras_find_them(test_data, tmp_path):
    pytest.importorskip("pycolmap")
    given = load_cameras(test_data / "fox")
    (tmp_path / "images").mkdir()
    for name in given.names:
        (tmp_path / name).write_bytes((test_data / "fox" / name).read_bytes())
    made = make_recon(tmp_path, tmp_path / "out", options=replace(FEW, refine_steps=1, long_side=480))
    posed = load_cameras(made.folder)
    assert len(posed) >= 20
    assert made.report["cameras"] == "found by COLMAP"
    # Distances between cameras are those of the given poses, up to one scale.
    ours = {name.split("_")[-1][:4]: pose for name, pose in zip(posed.names, posed.cameras.world_from_cam, strict=True)}
    theirs = {name[-8:-4]: pose for name, pose in zip(given.names, given.cameras.world_from_cam, strict=True)}
    pairs = [(pose, theirs[number]) for number, pose in ours.items()]
    a, b = (torch.stack(column)[:, :3, 3] for column in zip(*pairs, strict=True))
    ratio = torch.pdist(a) / torch.pdist(b)
    assert ratio.std() / ratio.mean() < 0.1
