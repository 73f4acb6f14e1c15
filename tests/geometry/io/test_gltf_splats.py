"""Splats as glTF: axes, round trips, what another reader sees, hostile files."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Gaussians
from worldloom.geometry.io import load_gaussians, save_gaussians
from worldloom.geometry.io.glb import glb_bytes, read_glb
from worldloom.geometry.io.images import linear_from_srgb

PREFIX = "KHR_gaussian_splatting"


def some(num: int = 5, degree: int = 3) -> Gaussians:
    generator = torch.Generator().manual_seed(num)
    quats = torch.nn.functional.normalize(torch.randn(num, 4, generator=generator), dim=1)
    scales = torch.rand(num, 3, generator=generator) + 0.01
    sh = 0.3 * torch.randn(num, (degree + 1) ** 2, 3, generator=generator)
    return Gaussians(torch.randn(num, 3, generator=generator), quats, scales, torch.rand(num, generator=generator), sh)


def same(a: Gaussians, b: Gaussians) -> None:
    torch.testing.assert_close(a.means, b.means, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close((a.quats * b.quats).sum(1).abs(), torch.ones(len(a.quats)), atol=1e-5, rtol=0)
    for name in ("scales", "opacities", "sh"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip(tmp_path: Path, degree: int) -> None:
    save_gaussians(tmp_path / "x.glb", some(degree=degree))
    same(load_gaussians(tmp_path / "x.glb"), some(degree=degree))


def test_the_file_is_y_up_with_values_as_the_extension_has_them(tmp_path: Path) -> None:
    """A splat at (1, 2, 3) m, long along our z, which is y in the file; red, seen at half its opacity."""
    splat = Gaussians(
        means=torch.tensor([[1.0, 2, 3]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.tensor([[0.1, 0.2, 0.5]]),
        opacities=torch.tensor([0.5]),
        sh=torch.tensor([[[1.0, -2, -2]]]),
    )
    save_gaussians(tmp_path / "x.glb", splat)
    glb = read_glb(tmp_path / "x.glb")
    (primitive,) = glb.tree["meshes"][0]["primitives"]
    assert glb.tree["extensionsUsed"] == [PREFIX]
    assert primitive["mode"] == 0
    assert primitive["extensions"][PREFIX]["kernel"] == "ellipse"
    assert primitive["extensions"][PREFIX]["colorSpace"] == "srgb_rec709_display"

    def column(name: str) -> list[float]:
        return glb.array(primitive["attributes"][name])[0].tolist()

    assert column("POSITION") == pytest.approx([1, 3, -2])
    assert column(f"{PREFIX}:SCALE") == pytest.approx([0.1, 0.2, 0.5])
    # A quarter turn about x, as x y z w: what was z of the splat is y of the file.
    assert column(f"{PREFIX}:ROTATION") == pytest.approx([-(0.5**0.5), 0, 0, 0.5**0.5])
    assert column(f"{PREFIX}:OPACITY") == pytest.approx([0.5])
    assert column(f"{PREFIX}:SH_DEGREE_0_COEF_0") == pytest.approx([1, -2, -2])
    red = linear_from_srgb(torch.tensor([0.5 + 0.28209479])).item()
    assert column("COLOR_0") == pytest.approx([red, 0, 0, 0.5], abs=1e-5)


def test_trimesh_sees_the_points(tmp_path: Path) -> None:
    import trimesh

    save_gaussians(tmp_path / "x.glb", some(50))
    scene: Any = trimesh.load(tmp_path / "x.glb", force="scene")
    (cloud,) = scene.dump()
    world = torch.tensor(cloud.vertices).float()[:, [0, 2, 1]] * torch.tensor([1, -1, 1])
    torch.testing.assert_close(world, some(50).means)


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    save_gaussians(path, some())
    glb = read_glb(path)
    edit(glb.tree)
    path.write_bytes(glb_bytes(glb.tree, bytes(glb.block)))
    return path


def test_nodes_move_turn_and_scale(tmp_path: Path) -> None:
    """Twice as large, then 10 m up (y of the file), by a parent and a child."""

    def edit(tree: dict[str, Any]) -> None:
        tree["nodes"] = [{"children": [1], "translation": [0, 10, 0]}, {"mesh": 0, "scale": [2, 2, 2]}]

    moved = load_gaussians(edited(tmp_path / "x.glb", edit))
    torch.testing.assert_close(moved.means, 2 * some().means + torch.tensor([0, 0, 10.0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved.scales, 2 * some().scales, atol=1e-5, rtol=1e-5)


def attributes(tree: dict[str, Any]) -> dict[str, int]:
    return tree["meshes"][0]["primitives"][0]["attributes"]


def extension(tree: dict[str, Any]) -> dict[str, Any]:
    return tree["meshes"][0]["primitives"][0]["extensions"][PREFIX]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda tree: attributes(tree).pop(f"{PREFIX}:SCALE"), "with KHR_gaussian_splatting:SCALE"),
        (lambda tree: attributes(tree).update({f"{PREFIX}:SCALE": 2}), "expected 3 numbers"),
        (lambda tree: tree["accessors"][3].update(count=4), "properties of 5 splats"),
        (lambda tree: tree["accessors"][3].update(count=10**9), "at most"),
        (lambda tree: tree["accessors"][3].update(count=6), "bytes for accessor 3"),
        (lambda tree: tree["accessors"][3].update(sparse={"count": 1}), "sparse"),
        (lambda tree: tree["bufferViews"][0].update(byteOffset=10**6), "bufferView 0"),
        (lambda tree: tree["buffers"][0].update(uri="other.bin"), "inside the file"),
        (lambda tree: tree.update(nodes=[{"mesh": 0, "children": [1]}, {}, {"children": [1]}]), "node 1 again"),
        (lambda tree: tree["nodes"][0].update(scale=[1, 2, 3]), "scale evenly"),
        (lambda tree: tree["nodes"][0].update(rotation=["x"]), "node 0"),
        (lambda tree: tree.update(scene=3), "scenes"),
        (lambda tree: extension(tree).update(kernel="cube"), "kernel"),
        (lambda tree: extension(tree).update(colorSpace="aces"), "colours in"),
        (
            lambda tree: extension(tree).update(extensions={"KHR_gaussian_splatting_compression_spz": {}}),
            "plain splats",
        ),
        (lambda tree: tree["meshes"][0]["primitives"][0].pop("extensions"), "without"),
        (lambda tree: tree.update(meshes=7), "array of objects"),
        (lambda tree: tree["nodes"][0].update(mesh="all"), "whole number"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_gaussians(edited(tmp_path / "x.glb", edit))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"glTF", b"glTF" + struct.pack("<II", 2, 12) + bytes(8), bytes(100)])
def test_what_is_no_glb(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.glb").write_bytes(data)
    with pytest.raises(InputError, match="expected"):
        load_gaussians(tmp_path / "x.glb")


def test_a_chunk_longer_than_the_file(tmp_path: Path) -> None:
    save_gaussians(tmp_path / "x.glb", some())
    data = (tmp_path / "x.glb").read_bytes()
    assert json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])["asset"]["version"] == "2.0"
    (tmp_path / "x.glb").write_bytes(data[:-4])
    with pytest.raises(InputError, match="chunk"):
        load_gaussians(tmp_path / "x.glb")
    (tmp_path / "x.glb").unlink()
    with pytest.raises(InputError, match="at least one"):
        save_gaussians(tmp_path / "x.glb", some()[:0])
    assert not list(tmp_path.iterdir())
