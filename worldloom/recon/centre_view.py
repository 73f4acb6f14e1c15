"""What a splat scene shows from the centre of its panorama: how close it is to the panorama, and made closer."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import cubemap_cameras, panorama_from_cubemap, sample_panorama, tangent_views
from worldloom.geometry.gaussians import SH_C0, Gaussians, sh_from_rgb
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.rigid import apply, invert
from worldloom.render import render

HIDDEN = 1.5  # a splat this many times farther than the surface in its direction is not seen from the centre


def centre_psnr(panorama: Panorama, gaussians: Gaussians, magnification: float = 2.0) -> float:
    """PSNR in dB of the six 90° views from the centre against the panorama sampled bilinearly there.

    Args:
        magnification: view pixels for each panorama pixel, in the middle of a view. At 1 the blur that every rasterizer
            adds against aliasing counts in full; at 2 the views can hold all that the panorama holds.
    """
    cameras, truth = _centre(panorama, magnification)
    shown = render(gaussians, cameras).rgb.clamp(0, 1)
    mse = (shown - truth).square().mean().item()
    return -10 * math.log10(max(mse, 1e-10))


def match_centre_colours(
    panorama: Panorama, gaussians: Gaussians, num_rounds: int = 2, backdrop: Gaussians | None = None
) -> Gaussians:
    """The same splats with colours sharpened until the view from the centre matches the panorama.

    Overlapping splats blur. Each round adds to every visible splat the error in its direction,
    c <- c + (panorama - view(c)), the iteration of Van Cittert (1931); the colours stay in [0, 1].
    Only for degree 0: the colour is the same from everywhere.

    Args:
        backdrop: what else is drawn; it keeps its colours, and is not in the answer.
    """
    if gaussians.sh_degree != 0:
        raise ValueError(f"expected splats of degree 0, got {gaussians.sh_degree}")
    cameras, truth = _centre(panorama, magnification=2.0)
    local = apply(invert(panorama.world_from_pano), gaussians.means)[:, None]
    distance = sample_panorama(panorama.distance[None], local, "nearest")[0, :, 0]
    is_sky = sample_panorama(panorama.sky[None], local, "nearest")[0, :, 0]
    visible = is_sky | (local[:, 0].norm(dim=-1) < HIDDEN * distance)
    colours = 0.5 + SH_C0 * gaussians.sh[:, 0]
    for _ in range(num_rounds):
        front = replace(gaussians, sh=sh_from_rgb(colours))
        error = truth - render(front if backdrop is None else Gaussians.cat([front, backdrop]), cameras).rgb
        error = panorama_from_cubemap(error, 2 * panorama.rgb.shape[-2])
        step = sample_panorama(error, F.normalize(local, dim=-1))[..., 0].T
        colours = torch.where(visible[:, None], (colours + step).clamp(0, 1), colours)
    return replace(gaussians, sh=sh_from_rgb(colours))


def _centre(panorama: Panorama, magnification: float) -> tuple[Camera, Float[Tensor, "6 3 s s"]]:
    """The six cube-map cameras in the world, and what the panorama shows there."""
    # Pixel density in the middle of a face is size / 2 per radian, the panorama's is height / pi.
    cameras = cubemap_cameras(max(2, round(magnification * 2 * panorama.rgb.shape[-2] / math.pi)))
    truth = tangent_views(panorama.rgb, cameras)
    return replace(cameras, world_from_cam=panorama.world_from_pano @ cameras.world_from_cam), truth
