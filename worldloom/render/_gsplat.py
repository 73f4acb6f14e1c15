"""gsplat on CUDA behind our nouns. The only file that knows `viewmats`."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.geometry import Gaussians
from worldloom.geometry.rigid import invert
from worldloom.render import _torch
from worldloom.render.raster import Raster
from worldloom.render.rendering import RenderInfo


def rasterize(
    gaussians: Gaussians,
    world_from_cam: Float[Tensor, "4 4"],
    K: Float[Tensor, "3 3"],
    size: tuple[int, int],
    *,
    antialiased: bool,
    extra: Float[Tensor, "n e"] | None,
    near: float,
    far: float,
) -> Raster:
    """Draw Gaussians into one camera with gsplat's CUDA kernels; same result as the torch twin.

    gsplat blends no median depth, so the twin's blending finds it from gsplat's own projected splats.
    """
    gsplat = require("gsplat", "cuda", "rendering on CUDA")
    if gaussians.means.device.type != "cuda":
        raise InputError(f"backend 'gsplat' draws on CUDA only, got Gaussians on {gaussians.means.device}")
    height, width = size
    scene = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities)
    camera = {"viewmats": invert(world_from_cam)[None], "Ks": K[None], "width": width, "height": height}
    options = {
        "near_plane": near,
        "far_plane": far,
        "packed": False,
        "tile_size": _torch.TILE,
        "rasterize_mode": "antialiased" if antialiased else "classic",
    }
    images, alpha, meta = gsplat.rasterization(
        *scene, gaussians.sh, **camera, **options, sh_degree=gaussians.sh_degree, render_mode="RGB+ED"
    )
    channels = None
    if extra is not None:
        channels = gsplat.rasterization(*scene, extra, **camera, **options, render_mode="RGB")[0][0].permute(2, 0, 1)
    means2d: Tensor = meta["means2d"]
    radii: Tensor = meta["radii"][0]
    with torch.no_grad():
        median, valid = median_depth(meta, radii, size)
    grad = None
    if means2d.requires_grad:
        grad = torch.zeros_like(means2d[0])
        every = torch.arange(len(grad), device=grad.device)
        means2d.register_hook(lambda g: _torch.add_rows(grad, every, None if g is None else g[0]))

    def read_info() -> RenderInfo:
        visible = (radii > 0).all(-1)
        points = torch.where(visible[:, None], means2d[0].detach(), 0)
        return RenderInfo(points, radii.int(), visible, meta["tiles_per_gauss"][0].int(), grad)

    return Raster(
        rgb=images[0, ..., :3].permute(2, 0, 1),
        alpha=alpha[0, ..., 0],
        depth=images[0, ..., 3],
        median_depth=median,
        median_valid=valid,
        extra=channels,
        read_info=read_info,
    )


def median_depth(meta: dict, radii: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Median depth and its mask by the twin's blending, from the splats that gsplat projected."""
    ids = (radii > 0).all(-1).nonzero()[:, 0]
    depths = meta["depths"][0]
    ids = ids[depths[ids].argsort(stable=True)]
    splats = _torch.Projected(
        means2d=meta["means2d"][0, ids].detach(),
        conics=meta["conics"][0, ids],
        depths=depths[ids],
        opacities=meta["opacities"][0, ids],
        radii=radii[ids].to(depths.dtype),
        det=torch.ones_like(depths[ids]),
    )
    _, transmittance, median = _torch.blend(splats, depths[ids, None], *_torch.tile_box(splats, size), size)
    return median, transmittance < 0.5
