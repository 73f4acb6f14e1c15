"""`worldloom export`: every format from a small room, opened by libraries of others; bad input is one line."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.recon import truth_room as room
from worldloom.apps import cli
from worldloom.apps.export import FORMATS, make_export
from worldloom.errors import InputError
from worldloom.geometry import Camera, intrinsics
from worldloom.geometry.io import load_cameras, load_clip, load_gaussians, load_glb, save_cameras, save_gaussians
from worldloom.geometry.posed_images import PosedImages

COARSE: dict[str, Any] = {"view_size": 64, "voxel_size": 0.2, "num_faces": 3000}


def path_cameras() -> PosedImages:
    """Three cameras that look along +x, +y and +x, from three places."""
    ahead = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # columns: right, down, forward
    left = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    world_from_cam = torch.eye(4).repeat(3, 1, 1)
    world_from_cam[:, :3, :3] = torch.stack([ahead, left, ahead])
    world_from_cam[:, :3, 3] = room.EYES
    return PosedImages(Camera(world_from_cam, intrinsics(1.4, (24, 32)).repeat(3, 1, 1), (24, 32)), ("a", "b", "c"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `worldloom scene` leaves, as far as an export reads it."""
    folder = tmp_path_factory.mktemp("world") / "scene"
    folder.mkdir()
    save_gaussians(folder / "scene.ply", room.splats(96))
    save_cameras(folder / "cameras.json", path_cameras())
    report = {"made_by": "worldloom", "request": {"command": "scene"}, "panorama_size": "192x96"}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


@pytest.fixture(scope="module")
def exported(scene: Path) -> Path:
    pytest.importorskip("fast_simplification", reason="the extra 'export' is not installed")
    pytest.importorskip("pxr", reason="the extra 'export' is not installed")
    return make_export(scene, scene.parent / "all", list(FORMATS), **COARSE).folder


def test_everything_is_there_and_listed(exported: Path) -> None:
    report = json.loads((exported / "report.json").read_text())
    for name in ("scene.ply", "scene.spz", "scene.splat", "splats.glb", "mesh.glb", "collision.glb", "hulls.glb"):
        assert report["files"][name] > 0
    for name in ("occupancy.npz", "scene.usd", "robot/scene.urdf", "robot/scene.xml", "robot/meshes/visual.png"):
        assert report["files"][name] > 0
    assert report["request"]["formats"] == list(FORMATS)
    assert report["mesh"]["triangles"] <= 3000
    assert report["voxels"]["size_m"] == 0.2
    assert report["hulls"] == sum("hull_" in name for name in report["files"])


def test_splats_are_the_same_in_every_file(exported: Path) -> None:
    first = room.splats(96)
    for name in ("scene.ply", "splats.glb"):
        torch.testing.assert_close(load_gaussians(exported / name).means, first.means, atol=1e-5, rtol=1e-5)


def test_meshes_are_the_room(exported: Path) -> None:
    assert room.to_surface(load_glb(exported / "mesh.glb").vertices).quantile(0.9) < 0.1
    collider = load_glb(exported / "collision.glb").vertices
    for axis in range(3):
        low, high = (float(end) for end in collider[:, axis].aminmax())
        assert -1.6 < low - room.ROOM[0, axis] < 0  # the ground goes on for a few voxels
        assert 0 < high - room.ROOM[1, axis] < 1.6


def test_trimesh_finds_a_watertight_collider_and_convex_hulls(exported: Path) -> None:
    import trimesh

    assert trimesh.load(exported / "collision.glb", force="mesh").is_watertight  # type: ignore[union-attr]
    hulls: Any = trimesh.load(exported / "hulls.glb", force="scene")
    parts = hulls.dump()
    assert len(parts) == json.loads((exported / "report.json").read_text())["hulls"]
    for part in parts:
        assert part.volume == pytest.approx(part.convex_hull.volume, rel=0.02)


def test_occupancy_is_the_room(exported: Path) -> None:
    occupancy = load_clip(exported / "occupancy.npz")
    centres = occupancy.grid.centres()
    free = room.is_free(centres.flatten(0, 2), 0.25).view(occupancy.grid.shape)
    assert occupancy.classes == ("occupied", "free")
    assert ((occupancy.labels[0] == 1) & occupancy.observed[0])[free].float().mean() > 0.97


@pytest.mark.parametrize("name", ["scene.xml", "scene.urdf"])
def test_a_ball_rests_on_the_floor_and_one_on_the_table(exported: Path, name: str) -> None:
    mujoco: Any = pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    spec = mujoco.MjSpec.from_file(str(exported / "robot" / name))
    drops = {"floor": (-0.6, 0.2, -1.6), "table": (1.1, 0.05, -0.8)}
    for i, (x, y, _) in enumerate(drops.values()):
        ball = spec.worldbody.add_body(name=f"ball {i}", pos=[x, y, 0.0])
        ball.add_freejoint()
        # Rolling friction, since a floor of voxels may slope by a millimetre.
        sphere = mujoco.mjtGeom.mjGEOM_SPHERE
        ball.add_geom(type=sphere, size=[0.1, 0, 0], condim=6, friction=[1, 0.05, 0.05])
    model = spec.compile()
    data = mujoco.MjData(model)
    while data.time < 3:
        mujoco.mj_step(model, data)
    for i, (_, _, height) in enumerate(drops.values()):
        assert data.body(f"ball {i}").xpos[2] == pytest.approx(height + 0.1, abs=0.07)  # a third of a voxel


def test_pycolmap_opens_the_model(exported: Path) -> None:
    pycolmap: Any = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    model = pycolmap.Reconstruction(str(exported / "colmap" / "sparse" / "0"))
    assert model.num_images() == 3
    for image in model.images.values():
        i = int(image.name.removesuffix(".png"))
        np.testing.assert_allclose(image.projection_center(), room.EYES[i].numpy(), atol=1e-5)
        assert (exported / "colmap" / "images" / image.name).is_file()
    points = np.array([point.xyz for point in model.points3D.values()])
    assert room.to_surface(torch.from_numpy(points).float()).max() < 0.05
    assert load_cameras(exported / "colmap" / "sparse" / "0").cameras.size == (24, 32)


def test_a_file_of_splats_with_cameras(scene: Path, tmp_path: Path) -> None:
    """No centre is known: the views start from the cameras."""
    cameras = scene / "cameras.json"
    make_export(scene / "scene.ply", tmp_path / "x", ["occupancy"], cameras=cameras, **COARSE)
    occupancy = load_clip(tmp_path / "x" / "occupancy.npz")
    free = room.is_free(occupancy.grid.centres().flatten(0, 2), 0.3).view(occupancy.grid.shape)
    assert ((occupancy.labels[0] == 1) & occupancy.observed[0])[free].float().mean() > 0.9


def test_splats_need_no_cameras_and_resume_finds_them_finished(scene: Path, tmp_path: Path) -> None:
    make_export(scene / "scene.ply", tmp_path / "x", ["spz", "spz", "gltf"])
    result = make_export(scene / "scene.ply", tmp_path / "x", ["gltf", "spz"], resume=True)
    assert sorted(path.name for path in result.folder.iterdir()) == ["report.json", "scene.spz", "splats.glb"]
    assert result.report["num_splats"] == len(room.splats(96))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none", "--format", "ply"), "expected a finished scene or a file of splats, got neither"),
        (("SCENE/cameras.json", "--format", "ply"), "expected a file of splats"),
        (("SCENE/scene.ply", "--format", "glb"), "glb asks where cameras stood; pass --cameras FILE"),
        (("SCENE/scene.ply", "--format", "glb", "--cameras", "none.json"), "no such file"),
        (("SCENE", "--format", "glb", "--voxel-size", "0"), "--voxel-size must be"),
        (("SCENE", "--format", "glb", "--voxel-size", "nan"), "--voxel-size must be"),
        (("SCENE", "--format", "glb", "--faces", "3"), "--faces must be"),
        (("SCENE", "--format", "glb", "--view-size", "100000"), "--view-size must be"),
        (("SCENE", "--format", "fbx"), "fbx"),
        (("SCENE",), "format"),
        (("DRIVE", "--format", "ply"), "expected the folder of a worldloom scene"),
        (("MIST", "--format", "occupancy"), "nothing that can be seen"),
        (("EMPTY", "--format", "ply"), "at least one Gaussian"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, command in (("DRIVE", "drive"), ("MIST", "scene"), ("EMPTY", "scene")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(
            json.dumps({"made_by": "worldloom", "request": {"command": command}})
        )
    splats = room.splats(64)
    splats.opacities[:] = 0.001
    save_gaussians(tmp_path / "MIST" / "scene.ply", splats)
    save_cameras(tmp_path / "MIST" / "cameras.json", path_cameras())
    save_gaussians(tmp_path / "EMPTY" / "scene.ply", splats[:0])
    save_cameras(tmp_path / "EMPTY" / "cameras.json", path_cameras())
    before = sorted(tmp_path.rglob("*"))
    arguments = [word.replace("SCENE", str(scene)) for word in words]
    monkeypatch.setattr(sys, "argv", ["worldloom", "export", *arguments, "--out", "out/x"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_the_formats_of_the_command_are_those_of_the_library() -> None:
    assert [name.value for name in cli.Format] == list(FORMATS)
    with pytest.raises(InputError, match="expected a format of"):
        make_export(Path("x"), Path("y"), ["stl"])
    with pytest.raises(InputError, match="at least one format"):
        make_export(Path("x"), Path("y"), [])
