"""GLB meshes: axes, colours, round trips."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Mesh
from worldloom.geometry.io import load_glb, save_glb


def three_axes() -> Mesh:
    """A tetrahedron with arms of 1, 2 and 3 m along x, y and z."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colours = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    return Mesh(vertices, faces, colours)


def volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    a, b, c = vertices[faces].unbind(1)
    return ((torch.linalg.cross(a, b) * c).sum(1).sum() / 6).item()


def test_round_trip_with_colours(tmp_path: Path):
    save_glb(tmp_path / "x.glb", three_axes())
    back = load_glb(tmp_path / "x.glb")
    assert torch.equal(back.vertices, three_axes().vertices)
    assert torch.equal(back.faces, three_axes().faces)
    torch.testing.assert_close(back.colours, three_axes().colours, atol=0, rtol=0)
    # Six times the volume of the corner is 1 x 2 x 3; positive, so no side was turned inside out.
    assert volume(back.vertices, back.faces) == pytest.approx(1.0)


def test_the_file_is_y_up(tmp_path: Path):
    save_glb(tmp_path / "x.glb", three_axes())
    data = (tmp_path / "x.glb").read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    tree = json.loads(data[20 : 20 + length])
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    start = 20 + length + 8 + view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    positions = np.frombuffer(data, "<f4", 3 * accessor["count"], start).reshape(-1, 3)
    # 1 m ahead stays x, 2 m to the left is away from the viewer (-z), 3 m up is y.
    np.testing.assert_array_equal(positions, [[0, 0, 0], [1, 0, 0], [0, 0, -2], [0, 3, 0]])


def test_without_colours_and_with_several_parts(tmp_path: Path):
    import trimesh

    mesh = three_axes()
    save_glb(tmp_path / "x.glb", Mesh(mesh.vertices, mesh.faces))
    assert load_glb(tmp_path / "x.glb").colours is None
    # A foreign file: two parts, one of them moved by its node 5 m up (y of the file).
    scene: Any = trimesh.Scene()
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box)
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((0, 5, 0)))
    (tmp_path / "y.glb").write_bytes(bytes(scene.export(file_type="glb")))
    both = load_glb(tmp_path / "y.glb")
    assert len(both.faces) == 24
    assert both.vertices[:, 2].max().item() == pytest.approx(5.5)
    assert volume(both.vertices, both.faces) == pytest.approx(2.0, abs=1e-5)


def test_same_mesh_same_bytes(tmp_path: Path):
    for name in ("x.glb", "y.glb"):
        save_glb(tmp_path / name, three_axes())
    assert (tmp_path / "x.glb").read_bytes() == (tmp_path / "y.glb").read_bytes()


@pytest.mark.parametrize("data", [b"", b"glTF", b"glTF" + struct.pack("<II", 2, 12), b"{}", bytes(100)])
def test_what_is_no_glb(tmp_path: Path, data: bytes):
    (tmp_path / "x.glb").write_bytes(data)
    with pytest.raises(InputError, match="expected") as caught:
        load_glb(tmp_path / "x.glb")
    assert "\n" not in str(caught.value)


def test_a_file_cannot_make_us_open_others(tmp_path: Path):
    (tmp_path / "secret.bin").write_bytes(np.zeros((3, 3), "<f4").tobytes())
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "secret.bin", "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    data = b"glTF" + struct.pack("<III", 2, 20 + len(text), len(text)) + b"JSON" + text
    (tmp_path / "x.glb").write_bytes(data)
    with pytest.raises(InputError, match="expected"):
        load_glb(tmp_path / "x.glb")


def test_what_cannot_be_a_mesh(tmp_path: Path):
    mesh = three_axes()
    with pytest.raises(ValueError, match=r"4 vertices, got 1\.\.4"):
        Mesh(mesh.vertices, mesh.faces + 1)
    with pytest.raises(InputError, match="at least one triangle"):
        save_glb(tmp_path / "x.glb", Mesh(mesh.vertices, mesh.faces[:0]))
    with pytest.raises(InputError, match="finite"):
        save_glb(tmp_path / "x.glb", Mesh(mesh.vertices / 0, mesh.faces))
    with pytest.raises(InputError, match="No such file"):
        load_glb(tmp_path / "none.glb")
