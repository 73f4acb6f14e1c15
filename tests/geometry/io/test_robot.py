"""Worlds for robot simulators: MuJoCo loads both files, and a ball comes to rest where the floor is."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Mesh
from worldloom.geometry.io.robot import save_mjcf, save_robot_meshes, save_urdf
from worldloom.geometry.io.textured import Atlas, TexturedMesh

FLOOR = 0.3  # metres
RADIUS = 0.1


def box(low: list[float], high: list[float]) -> Mesh:
    import trimesh

    solid: Any = trimesh.creation.box(bounds=[low, high])
    return Mesh(torch.tensor(solid.vertices).float(), torch.tensor(solid.faces).long())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A floor at 0.3 m with a wall at x = 1; to look at, a floor of two triangles, red where x and y are small."""
    hulls = [box([-2, -2, 0], [2, 2, FLOOR]), box([1, -2, 0], [1.2, 2, 2])]
    corners = torch.tensor([[-2, -2, FLOOR], [2, -2, FLOOR], [2, 2, FLOOR], [-2, 2, FLOOR]])
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    colours = torch.zeros(8, 8, 3, dtype=torch.uint8)
    colours[:4, :4, 0] = 255
    visual = TexturedMesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), uv)
    save_robot_meshes(tmp_path, visual, Atlas.plain(colours), hulls)
    save_urdf(tmp_path / "scene.urdf", len(hulls))
    save_mjcf(tmp_path / "scene.xml", len(hulls))
    return tmp_path


@pytest.mark.parametrize("name", ["scene.xml", "scene.urdf"])
def test_mujoco_lets_a_ball_rest_on_the_floor(folder: Path, name: str) -> None:
    mujoco: Any = pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    spec = mujoco.MjSpec.from_file(str(folder / name))
    ball = spec.worldbody.add_body(name="ball", pos=[0.3, -0.5, 1.0])
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0, 0])
    model = spec.compile()
    data = mujoco.MjData(model)
    while data.time < 2:
        mujoco.mj_step(model, data)
    assert data.body("ball").xpos[2] == pytest.approx(FLOOR + RADIUS, abs=0.005)
    assert np.abs(data.body("ball").cvel).max() < 0.01
    np.testing.assert_allclose(data.body("ball").xpos[:2], [0.3, -0.5], atol=0.01)
    # A ray along +x meets the wall at x = 1, above the floor.
    geom = np.zeros(1, np.int32)
    far = mujoco.mj_ray(model, data, [0.0, 0.5, 1.0], [1.0, 0, 0], None, 1, -1, geom)
    assert far == pytest.approx(1.0, abs=1e-3)


def test_another_reader_sees_the_floor_with_its_colours(folder: Path) -> None:
    import trimesh

    mesh: Any = trimesh.load(folder / "meshes" / "visual.obj", force="mesh", process=False)
    assert np.allclose(mesh.vertices[:, 2], FLOOR)  # our axes: z is up in the file
    colours = np.asarray(mesh.visual.to_color().vertex_colors)
    at = np.array([np.abs(mesh.vertices[:, :2] - corner).sum(1).argmin() for corner in ([-2, -2], [2, -2], [2, 2])])
    assert colours[at, 0].tolist() == [255, 0, 0]


def test_every_file_that_is_named_is_there(folder: Path) -> None:
    urdf = (folder / "scene.urdf").read_text()
    named = re.findall(r'filename="(.*?)"', urdf)
    assert len(named) == 3
    assert [name for name in named if not (folder / name).is_file()] == []
    named = re.findall(r'file="(.*?)"', (folder / "scene.xml").read_text())
    assert len(named) == 4
    assert [name for name in named if not (folder / "meshes" / name).is_file()] == []


def test_what_cannot_be_written(tmp_path: Path) -> None:
    floor = box([0, 0, 0], [1, 1, 1])
    visual = TexturedMesh(floor.vertices, floor.faces, floor.vertices[:, :2])
    atlas = Atlas.plain(torch.zeros(4, 4, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="does not exist"):
        save_robot_meshes(tmp_path / "none", visual, atlas, [floor])
    for hulls in ([], [Mesh(floor.vertices / 0, floor.faces)]):
        with pytest.raises(InputError, match="expected a mesh and hulls"):
            save_robot_meshes(tmp_path, visual, atlas, hulls)
    assert not list(tmp_path.iterdir())
