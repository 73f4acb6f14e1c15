"""Splats and a collider as one OpenUSD stage, for simulators that draw the first and collide with the second.

OpenUSD has Gaussians as `ParticleField3DGaussianSplat` from release 26.03 on: values are activated (linear scales,
opacities of 0 to 1), quaternions have their real part first, and the coefficients of one particle follow each other.
"""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from worldloom.errors import InputError, MissingExtra, require
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.gaussian_check import check_gaussians
from worldloom.geometry.mesh import Mesh

EXTENT = 3.0  # standard deviations of a splat inside the extent of all


def check_usd() -> None:
    """Raises MissingExtra where OpenUSD is not installed, or is older than 26.03."""
    if not hasattr(_pxr("UsdVol"), "ParticleField3DGaussianSplat"):
        raise MissingExtra("writing splats needs OpenUSD 26.03 or later; pip install -U 'worldloom[export]'")


def save_usd(path: str | Path, gaussians: Gaussians, collider: Mesh | None = None) -> None:
    """Write /World/Splats and, if there is a collider, /World/Collider: metres, z up, .usd, .usdc (binary) or .usda.

    The collider is a static triangle mesh that physics uses as it is, of purpose "guide": engines collide with it and
    viewers do not draw it.

    Raises:
        MissingExtra: OpenUSD is not installed, or older than 26.03.
        InputError: another suffix, no Gaussians, values that cannot be drawn, or a collider that is not finite.
    """
    path = Path(path)
    if path.suffix.lower() not in (".usd", ".usda", ".usdc"):
        raise InputError(f"{path}: expected a file ending in .usd, .usdc, .usda, got {path.suffix or 'no suffix'!r}")
    check_usd()
    Gf, Usd, UsdGeom, UsdPhysics, UsdVol, Vt = (
        _pxr(name) for name in ("Gf", "Usd", "UsdGeom", "UsdPhysics", "UsdVol", "Vt")
    )
    gaussians = check_gaussians(gaussians.to("cpu"), f"saving {path}")
    if not len(gaussians):
        raise InputError(f"saving {path}: expected at least one Gaussian, got none")
    if collider is not None and not (len(collider.faces) and bool(collider.vertices.isfinite().all())):
        raise InputError(f"saving {path}: expected a collider of finite vertices and at least one triangle")

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/World").GetPrim())
    splats = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/World/Splats")
    quats = torch.nn.functional.normalize(gaussians.quats, dim=1)
    splats.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(_numbers(gaussians.means)))
    # Quatf arrays hold the imaginary part first in memory, and the real part first in text.
    splats.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(_numbers(quats.roll(-1, dims=1))))
    splats.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(_numbers(gaussians.scales)))
    splats.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(_numbers(gaussians.opacities)))
    splats.CreateRadianceSphericalHarmonicsDegreeAttr(gaussians.sh_degree)
    splats.CreateRadianceSphericalHarmonicsCoefficientsAttr(
        Vt.Vec3fArray.FromNumpy(_numbers(gaussians.sh.flatten(0, 1)))
    )
    reach = EXTENT * gaussians.scales.amax(1, keepdim=True)
    low, high = (gaussians.means - reach).amin(0), (gaussians.means + reach).amax(0)
    splats.CreateExtentAttr([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])
    if collider is not None:
        mesh = UsdGeom.Mesh.Define(stage, "/World/Collider")
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(_numbers(collider.vertices)))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(_numbers(collider.faces.flatten()).astype(np.int32)))
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(collider.faces), 3))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        low, high = collider.vertices.amin(0), collider.vertices.amax(0)
        mesh.CreateExtentAttr([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])
        mesh.CreatePurposeAttr(UsdGeom.Tokens.guide)
        UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
        UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim()).CreateApproximationAttr(UsdPhysics.Tokens.none)
    with atomic_path(path) as temporary:
        if not stage.GetRootLayer().Export(str(temporary)):
            raise OSError(f"OpenUSD could not write {path}")


def _pxr(name: str) -> ModuleType:
    return require(f"pxr.{name}", "export", "writing USD")


def _numbers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().contiguous().numpy()
