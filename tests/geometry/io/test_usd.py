"""Splats and colliders as USD, as Pixar's and NVIDIA's own libraries see them."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from tests.geometry.io.test_gltf_splats import some
from worldloom.errors import InputError
from worldloom.geometry import Mesh
from worldloom.geometry.io import save_gaussians
from worldloom.geometry.io.usd import save_usd

pytest.importorskip("pxr", reason="the extra 'export' is not installed")

CORNER = Mesh(
    torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]),
    torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


def pxr(name: str) -> ModuleType:
    return importlib.import_module(f"pxr.{name}")


def opened(path: Path) -> Any:
    return pxr("Usd").Stage.Open(str(path))


def splats_of(stage: Any) -> dict[str, np.ndarray]:
    (prim,) = (p for p in stage.Traverse() if p.IsA(pxr("UsdVol").ParticleField3DGaussianSplat))
    splats = pxr("UsdVol").ParticleField3DGaussianSplat(prim)
    quats = splats.GetOrientationsAttr().Get()
    return {
        "means": np.array(splats.GetPositionsAttr().Get()),
        "quats": np.array([[q.GetReal(), *q.GetImaginary()] for q in quats]),
        "scales": np.array(splats.GetScalesAttr().Get()),
        "opacities": np.array(splats.GetOpacitiesAttr().Get()),
        "sh": np.array(splats.GetRadianceSphericalHarmonicsCoefficientsAttr().Get()).reshape(len(quats), -1, 3),
        "degree": np.array(splats.GetRadianceSphericalHarmonicsDegreeAttr().Get()),
    }


@pytest.mark.parametrize("suffix", [".usd", ".usda", ".usdc"])
def test_openusd_reads_what_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    save_usd(path, some(), CORNER)
    stage = opened(path)
    assert pxr("UsdGeom").GetStageUpAxis(stage) == "Z"
    assert pxr("UsdGeom").GetStageMetersPerUnit(stage) == 1
    assert str(stage.GetDefaultPrim().GetPath()) == "/World"
    found = splats_of(stage)
    assert found["degree"] == 3
    for name in ("means", "quats", "scales", "opacities", "sh"):
        np.testing.assert_allclose(found[name], getattr(some(), name).numpy(), atol=1e-6)
    prim = stage.GetPrimAtPath("/World/Collider")
    mesh = pxr("UsdGeom").Mesh(prim)
    np.testing.assert_array_equal(mesh.GetPointsAttr().Get(), CORNER.vertices.numpy())
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), CORNER.faces.numpy())
    assert list(mesh.GetFaceVertexCountsAttr().Get()) == [3, 3, 3, 3]
    assert prim.HasAPI(pxr("UsdPhysics").CollisionAPI)
    assert pxr("UsdPhysics").MeshCollisionAPI(prim).GetApproximationAttr().Get() == "none"
    assert mesh.GetPurposeAttr().Get() == "guide"
    low, high = np.array(stage.GetPrimAtPath("/World/Splats").GetAttribute("extent").Get())
    assert (found["means"] >= low).all()
    assert (found["means"] <= high).all()


def test_a_converter_of_others_makes_the_same_of_our_ply(tmp_path: Path) -> None:
    converter = pytest.importorskip("usd_convert_gsplat", reason="usd-convert-gsplat is not installed")
    save_gaussians(tmp_path / "x.ply", some())
    converter.convertPlyUSD(str(tmp_path / "x.ply"), str(tmp_path / "theirs.usda"))
    save_usd(tmp_path / "ours.usda", some())
    ours, theirs = splats_of(opened(tmp_path / "ours.usda")), splats_of(opened(tmp_path / "theirs.usda"))
    for name in ("means", "scales", "opacities", "sh", "degree"):
        np.testing.assert_allclose(theirs[name], ours[name], atol=2e-3)
    np.testing.assert_allclose(np.abs((theirs["quats"] * ours["quats"]).sum(1)), 1, atol=2e-3)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for path, splats, collider, message in (
        ("x.usdz", some(), None, "ending in"),
        ("x.usd", some()[:0], None, "at least one"),
        ("x.usd", some(), Mesh(CORNER.vertices / 0, CORNER.faces), "finite"),
        ("none/x.usd", some(), None, "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            save_usd(tmp_path / path, splats, collider)
    assert not list(tmp_path.iterdir())
