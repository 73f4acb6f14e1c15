"""The one call that draws Gaussians, and the choice of who draws them."""

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import version
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera, Gaussians, rotmat_from_quat
from worldloom.ops.backend import Backend
from worldloom.render.raster import Raster
from worldloom.render.rendering import RenderInfo, Rendering

NATIVE_HINT = "reinstall worldloom with a C++17 compiler and without WORLDLOOM_NATIVE=0, or ask for backend='torch'"


def render(
    gaussians: Gaussians,
    camera: Camera,
    *,
    backend: str = "auto",
    antialiased: bool = False,
    background: Float[Tensor, " 3"] | None = None,
    normals: bool = False,
    features: Float[Tensor, "n f"] | None = None,
    near: float = 0.01,
    far: float = 1e10,
) -> Rendering:
    """Draw Gaussians as seen by each camera: front-to-back alpha blending of EWA splats (Kerbl et al. 2023).

    Differentiable in rgb, alpha, depth, normal and features with respect to means, quats, scales, opacities, sh,
    features and the camera's world_from_cam; median depth and K get no gradient. The result equals gsplat's.

    Args:
        camera: one camera or a batch of them; the batch leads every output.
        backend: "torch", "native" (CPU), "gsplat" (CUDA) or "auto": the fastest for the device, see `fastest_backend`.
        antialiased: scale opacity so that splats thinner than a pixel keep their total (Yu et al. 2024, Mip-Splatting).
        background: colour behind everything; None leaves rgb premultiplied by alpha.
        normals: also blend the shortest axes, turned to the camera, in the world frame.
        features: further values for each Gaussian to blend.
        near, far: z range in the camera frame that is drawn, metres.
    Raises:
        InputError: sizes, dtypes or devices that do not fit together, or a K with skew.
        MissingExtra: the backend that was asked for is not installed.
    """
    _check(gaussians, camera, features)
    if backend == "auto":
        backend = fastest_backend(gaussians.means.device, gaussians.means.dtype)
        if backend == "torch":
            _warn_slow(gaussians.means.device.type, gaussians.means.dtype)
    rasterize = _load(backend)
    world_from_cam, K = camera.world_from_cam.reshape(-1, 4, 4), camera.K.reshape(-1, 3, 3)
    rasters = []
    for i in range(prod(camera.batch)):
        extra = [] if features is None else [features]
        if normals:
            extra.insert(0, facing_axes(gaussians, world_from_cam[i, :3, 3]))
        channels = torch.cat(extra, dim=-1) if extra else None
        options = {"antialiased": antialiased, "extra": channels, "near": near, "far": far}
        rasters.append(rasterize(gaussians, world_from_cam[i], K[i], camera.size, **options))
    return _assemble(rasters, camera, backend, background, normals, features is not None)


def facing_axes(gaussians: Gaussians, eye: Float[Tensor, " 3"]) -> Float[Tensor, "n 3"]:
    """The shortest axis of each Gaussian, in the world frame, with the sign that looks towards `eye`."""
    shortest = gaussians.scales.argmin(dim=-1)
    axis = rotmat_from_quat(gaussians.quats)[torch.arange(len(shortest), device=shortest.device), :, shortest]
    away = (axis.detach() * (gaussians.means.detach() - eye.detach())).sum(-1, keepdim=True) > 0
    return torch.where(away, -axis, axis)


def fastest_backend(device: str | torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Which backend `auto` means here: "gsplat" on CUDA, "native" on CPU, "torch" where those cannot run."""
    kind = torch.device(device).type
    if dtype == torch.float32 and kind == "cuda" and importlib.util.find_spec("gsplat"):
        return "gsplat"
    if dtype == torch.float32 and kind == "cpu" and _native_problem() is None:
        return "native"
    return "torch"


def backends() -> list[Backend]:
    """The status of every engine on this machine, for `worldloom doctor`."""
    problem = _native_problem()
    isa = "" if problem else importlib.import_module("worldloom.render._native").isa()
    has_gsplat = importlib.util.find_spec("gsplat") is not None
    if not has_gsplat:
        gsplat = "not installed: pip install 'worldloom[cuda]'"
    else:
        gsplat = f"gsplat {version('gsplat')}" + ("" if torch.cuda.is_available() else ", but torch sees no GPU")
    return [
        Backend("native", problem is None, f"CPU, {isa}" if problem is None else f"{problem}; {NATIVE_HINT}"),
        Backend("torch", True, f"torch {torch.__version__}, any device and dtype"),
        Backend("gsplat", has_gsplat and torch.cuda.is_available(), gsplat),
    ]


def _load(backend: str) -> Callable[..., Raster]:
    if backend == "torch":
        from worldloom.render._torch import rasterize

        return rasterize
    if backend == "native":
        if problem := _native_problem():
            raise MissingExtra(f"the native rasterizer cannot be loaded ({problem}); {NATIVE_HINT}")
        from worldloom.render._cpu import rasterize

        return rasterize
    if backend == "gsplat":
        from worldloom.render._gsplat import rasterize

        return rasterize
    raise InputError(f"backend must be auto, torch, native or gsplat, got {backend!r}")


@functools.cache
def _native_problem() -> str | None:
    try:
        importlib.import_module("worldloom.render._native")
    except ImportError as error:
        return str(error)
    return None


@functools.cache
def _warn_slow(device: str, dtype: torch.dtype) -> None:
    if dtype != torch.float32:
        return  # float64 is asked for by those who check derivatives; the twin is what they want
    engine = {"cpu": "native", "cuda": "gsplat"}.get(device)
    details = {backend.name: backend.detail for backend in backends()}
    reason = details[engine] if engine else f"no fast kernels on {device}"
    warnings.warn(f"drawing Gaussians with the slow torch backend: {reason}", RuntimeWarning, stacklevel=3)


def _check(gaussians: Gaussians, camera: Camera, features: Tensor | None) -> None:
    tensors = {f.name: getattr(gaussians, f.name) for f in fields(gaussians)}
    tensors |= {"world_from_cam": camera.world_from_cam, "K": camera.K}
    if features is not None:
        tensors["features"] = features
        if len(features) != len(gaussians):
            raise InputError(f"features must have one row for each of {len(gaussians)} Gaussians, got {len(features)}")
    kinds = {name: (tensor.device, tensor.dtype) for name, tensor in tensors.items()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} {dtype} on {device}" for name, (device, dtype) in kinds.items())
        raise InputError(f"Gaussians and camera must share one device and float type, got {said}")
    if camera.K[..., 0, 1].any():
        raise InputError(f"cameras must have no skew, got K[0, 1] = {camera.K[..., 0, 1].flatten().tolist()}")


def _assemble(
    rasters: list[Raster], camera: Camera, backend: str, background: Tensor | None, normals: bool, features: bool
) -> Rendering:
    def gather(name: str) -> Tensor:
        images = [getattr(raster, name) for raster in rasters]
        if not camera.batch:
            return images[0]
        if not images:
            raise InputError("need at least one camera, got a batch of none")
        return torch.stack(images).unflatten(0, camera.batch)

    rgb, alpha = gather("rgb"), gather("alpha")
    if background is not None:
        rgb = rgb + (1 - alpha)[..., None, :, :] * background[:, None, None]
    extra = gather("extra") if normals or features else None
    first = 3 if normals else 0

    def read_info() -> RenderInfo:
        infos = [raster.read_info() for raster in rasters]
        if not camera.batch:
            return infos[0]
        columns = {f.name: [getattr(info, f.name) for info in infos] for f in fields(RenderInfo)}
        if any(part is None for part in columns["means2d_grad"]):
            del columns["means2d_grad"]
        return RenderInfo(**{name: torch.stack(parts).unflatten(0, camera.batch) for name, parts in columns.items()})

    return Rendering(
        rgb=rgb,
        alpha=alpha,
        depth=gather("depth"),
        median_depth=gather("median_depth"),
        median_valid=gather("median_valid"),
        normal=extra[..., :3, :, :] if extra is not None and normals else None,
        features=extra[..., first:, :, :] if extra is not None and features else None,
        backend=backend,
        read_info=read_info,
    )
