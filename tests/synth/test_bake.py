"""A baked world, opened by another program's reader, shows the pattern where it belongs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from worldloom.errors import InputError
from worldloom.geometry import compose
from worldloom.geometry.io.images import srgb_from_linear
from worldloom.geometry.io.textured import save_textured_glb
from worldloom.synth.bake import bake
from worldloom.synth.shapes import box, ellipsoid, turned
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Part, Thing, World


def ramp(points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """Red grows with x, green with z; blue tells the sides whose normal is +y from the others."""
    blue = (normals[:, 1] > 0.5).float()
    return torch.stack([points[:, 0] / 4 + 0.5, points[:, 2] / 4 + 0.5, blue], -1)


RAMP = Material("ramp", (0.5, 0.5, 0.5), ramp, roughness=0.25, metallic=1.0)
RED = Material("red", (0.8, 0.0, 0.0), roughness=1.0, emission=(1.0, 0.0, 0.0))


def world() -> World:
    parts = (box((4, 2, 4), (0, 0, 0), RAMP),)
    moved = compose(turned(yaw=0.5), torch.tensor([10.0, 0, 2]))
    things = (
        Thing("crate", "clutter", parts),
        Thing("crate", "clutter", parts, moved),
        Thing("ball", "clutter", (ellipsoid((1, 1, 1), (0, 5, 0), RED),)),
    )
    return World("room", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    save_textured_glb(tmp_path / "a.glb", *bake(world(), side=256))
    save_textured_glb(tmp_path / "b.glb", *bake(world(), side=256))
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    return trimesh.load(tmp_path / "a.glb", force="scene", process=False)


def colour_at(mesh: Any, point: list[float], normal: list[float], texture: str) -> np.ndarray:
    """The texel that a viewer would show where the surface passes through `point`."""
    facing = np.flatnonzero(mesh.face_normals @ np.array(normal) > 0.9)
    best = None
    for f in facing:
        corners = mesh.triangles[f]
        weights = trimesh.triangles.points_to_barycentric(corners[None], np.array([point]))[0]
        if weights.min() > -1e-6 and np.abs(weights @ corners - point).max() < 1e-4:
            best = weights @ mesh.visual.uv[mesh.faces[f]]
    assert best is not None
    image = np.asarray(getattr(mesh.visual.material, texture))
    height, width = image.shape[:2]
    return image[int((1 - best[1]) * height), int(best[0] * width)]


def test_colours_are_where_the_pattern_puts_them(opened: Any) -> None:
    assert len(opened.graph.nodes_geometry) == 3
    assert len(opened.geometry) == 2  # the crates share a mesh
    crate = opened.geometry["mesh 0"]
    # File axes: world +z is file +y, world +y is file -z.
    low = colour_at(crate, [-1.9, -1.5, -1.0], [0, 0, -1], "baseColorTexture")
    high = colour_at(crate, [1.9, 1.5, -1.0], [0, 0, -1], "baseColorTexture")
    other = colour_at(crate, [1.9, 1.5, 1.0], [0, 0, 1], "baseColorTexture")
    linear = [0.5 - 1.9 / 4, 0.5 + 1.9 / 4]
    srgb = [255 * (12.92 * v if v < 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055) for v in linear]
    assert abs(low[0] - srgb[0]) < 12
    assert abs(high[0] - srgb[1]) < 4
    assert low[1] < high[1]
    assert (low[2], high[2], other[2]) == (255, 255, 0)
    packed = colour_at(crate, [1.9, 1.5, -1.0], [0, 0, -1], "metallicRoughnessTexture")
    assert abs(int(packed[1]) - 64) <= 1
    assert packed[2] == 255


def test_texels_lie_under_the_points_they_were_asked_for() -> None:
    """Corners of charts fall on middles of texels that hold the pattern's colour there: not half a texel off."""

    def steep(points: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return points / torch.tensor([0.06, 0.04, 0.05]) + 0.5

    crate = Thing("crate", "clutter", (box((0.06, 0.04, 0.05), (0, 0, 0), Material("steep", (0.5, 0.5, 0.5), steep)),))
    lone = World("room", 0, (crate,), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))
    (mesh,), _, atlas = bake(lone, side=256)
    at = mesh.uv * 256 - 0.5
    torch.testing.assert_close(at, at.round(), atol=1e-4, rtol=0)
    column, row = at.round().long().unbind(-1)
    seen = atlas.base_colour[row, column].float() / 255
    # A box's corners are the corners of the cube of colours, but for the side that charts lie in the middle of.
    torch.testing.assert_close(
        seen, srgb_from_linear(steep(mesh.vertices, mesh.vertices).clamp(0, 1)), atol=2e-3, rtol=0
    )
    other = atlas.base_colour[row.flip(0), column.flip(0)].float() / 255
    assert (other - seen).abs().max() == 1


def test_all_meshes_share_one_material(tmp_path: Path) -> None:
    save_textured_glb(tmp_path / "a.glb", *bake(world(), side=256))
    data = (tmp_path / "a.glb").read_bytes()
    content = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert (len(content["meshes"]), len(content["materials"]), len(content["images"])) == (2, 1, 3)


def test_nodes_stand_where_things_stand(opened: Any) -> None:
    names = sorted(opened.graph.nodes_geometry)
    assert names == ["00000 clutter crate", "00001 clutter crate", "00002 clutter ball"]
    matrix, _ = opened.graph[names[1]]
    corner = (matrix @ [2.0, 2.0, -1.0, 1.0])[:3]  # in file axes: world (2, 1, 2) of the crate's frame
    expected = torch.tensor([10.0, 0, 2]) + turned(yaw=0.5) @ torch.tensor([2.0, 1, 2])
    np.testing.assert_allclose([corner[0], -corner[2], corner[1]], expected.numpy(), atol=1e-5)
    assert np.asarray(opened.geometry["mesh 1"].visual.material.emissiveTexture).max() == 255
    assert opened.geometry["mesh 1"].volume > 0


def test_a_large_world_fits_by_lower_density() -> None:
    parts = [(box((50, 50, 50), (0, 0, 0), Material(f"{i}", (0.5, 0.5, 0.5), ramp)),) for i in range(40)]
    things = tuple(Thing("block", "building", own) for own in parts)
    _, nodes, atlas = bake(World("field", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)), side=512)
    assert len(nodes) == 40
    assert atlas.base_colour.shape == (512, 512, 3)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    meshes, nodes, atlas = bake(world(), side=256)
    with pytest.raises(InputError, match="at least one node"):
        save_textured_glb(tmp_path / "x.glb", meshes, [], atlas)
    meshes[0].vertices[0, 0] = float("nan")
    with pytest.raises(InputError, match="finite"):
        save_textured_glb(tmp_path / "x.glb", meshes, nodes, atlas)
    assert not list(tmp_path.iterdir())


def test_flat_part(tmp_path: Path) -> None:
    """A sheet without thickness has one chart."""
    sheet = Part(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]), RAMP)
    lone = World("room", 0, (Thing("sheet", "clutter", (sheet,)),), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))
    save_textured_glb(tmp_path / "sheet.glb", *bake(lone, side=256))
    loaded: Any = trimesh.load(tmp_path / "sheet.glb", force="mesh")
    assert len(loaded.faces) == 1
