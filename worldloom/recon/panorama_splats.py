"""A panorama with distance as Gaussian splats: one opaque disc for each patch of the sphere."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.equirect import direction_from_pixel, sample_panorama
from worldloom.geometry.gaussians import Gaussians, sh_from_rgb
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.push_pull import filled_from_around
from worldloom.geometry.rigid import quat_from_rotmat
from worldloom.geometry.transform_gaussians import transform_gaussians

MIN_ROWS = 512  # smaller panoramas are sampled more finely, at most twice: 512 rows make 334k splats
SPREAD = 0.68  # standard deviation of a splat in patches: less leaves a grid of gaps in magnified views, more blurs
OPACITY = 0.99
THICKNESS = 0.05  # of a disc, in its smaller half-axis
MAX_STRETCH = 20.0  # of a disc along the ray, against its width: surfaces seen more edge-on than 3 degrees are cut
STEEP = 3.0  # of log distance by angle: a surface turned 72 degrees away
SKY_FACTOR = 10.0  # radius of the sky shell in largest distances: moving by 1 % of a distance shifts it by 0.1 %
SKY_MARGIN = math.radians(15)  # how far the sky goes on behind what stands before it


@dataclass(frozen=True)
class Patches:
    """Patches of nearly equal area that tile the sphere in rows; u, v are panorama pixels, sizes are radians."""

    u: Float[Tensor, " n"]
    v: Float[Tensor, " n"]
    elevation: Float[Tensor, " n"]
    width: Float[Tensor, " n"]  # of azimuth
    height: float  # of elevation


def equal_area_patches(rows: int, panorama_height: int) -> Patches:
    """`rows` rows of patches, each about as wide as high: a row at elevation e holds round(2 rows cos e), at least 3.

    There are 4 / pi rows^2 of them, where an equirectangular image has 2 rows^2 pixels.
    """
    elevation = math.pi * (0.5 - (torch.arange(rows, dtype=torch.float64) + 0.5) / rows)
    counts = (2 * rows * elevation.cos()).round().long().clamp(min=3)
    row = torch.repeat_interleave(torch.arange(rows), counts)
    first = counts.cumsum(0) - counts
    fraction = (torch.arange(len(row)) - first[row] + 0.5) / counts[row]
    return Patches(
        u=(fraction * 2 * panorama_height).float(),
        v=((row + 0.5) * panorama_height / rows).float(),
        elevation=elevation[row].float(),
        width=(2 * math.pi / counts[row]).float(),
        height=math.pi / rows,
    )


def splats_from_panorama(panorama: Panorama, rows: int | None = None) -> Gaussians:
    """Opaque discs that show the panorama from its centre and its surfaces from nearby.

    Every patch of the sphere becomes the disc that its piece of surface fills: with p = distance * direction, the disc
    spans the tangents dp/da * width and dp/de * height, so its image from the centre is the patch, however the surface
    slants. Slopes come from the flatter of the two sides, so that no disc bridges a jump in distance.

    The sky is a sphere of `SKY_FACTOR` times the largest distance of all else. It goes on for `SKY_MARGIN` behind its
    edges, in colours grown from the visible sky, so that no gap opens when the camera moves.

    Args:
        rows: of patches from pole to pole; as the panorama if None, at least `MIN_ROWS` or twice the panorama's.
    Returns:
        Gaussians of degree 0 in the world frame; about 4 / pi rows^2, and those behind the edges of the sky.
    """
    if panorama.rgb.ndim != 3:
        raise ValueError(f"expected one panorama, got a batch {tuple(panorama.rgb.shape[:-3])}")
    height = panorama.rgb.shape[-2]
    if rows is None:
        rows = max(height, min(MIN_ROWS, 2 * height))
    parts = [discs_of_panorama(panorama, rows, ~panorama.sky)]
    if panorama.sky.any():
        solid = panorama.distance[~panorama.sky]
        radius = SKY_FACTOR * (solid.max().item() if len(solid) else panorama.distance.max().item())
        patches = equal_area_patches(rows, height)
        shell = _Surface(*(torch.full_like(patches.u, value) for value in (radius, 0.0, 0.0)))
        keep = _near(panorama.sky)[_pixels(patches, height)]
        parts.append(_discs(filled_from_around(panorama.rgb, panorama.sky), shell, patches, keep))
    return transform_gaussians(Gaussians.cat(parts), panorama.world_from_pano)


def discs_of_panorama(panorama: Panorama, rows: int, keep: Bool[Tensor, "h w"], slanted: bool = True) -> Gaussians:
    """The discs of `rows` rows of patches, in the panorama's frame, where its pixels are to be kept.

    Args:
        slanted: as their pieces of surface are; otherwise all face the centre.
    """
    height = panorama.rgb.shape[-2]
    patches = equal_area_patches(rows, height)
    pixel = _pixels(patches, height)
    surface = _surface(panorama, patches, pixel)
    if not slanted:
        surface = _Surface(surface.distance, *(torch.zeros_like(surface.distance) for _ in range(2)))
    return _discs(panorama.rgb, surface, patches, keep[pixel])


def _pixels(patches: Patches, height: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Rows and columns of the pixels that the patches' centres are in."""
    return patches.v.long().clamp(max=height - 1), patches.u.long().clamp(max=2 * height - 1)


@dataclass(frozen=True)
class _Surface:
    """Distance at the centre of each patch, and how its logarithm grows with azimuth and elevation."""

    distance: Float[Tensor, " n"]
    by_azimuth: Float[Tensor, " n"]
    by_elevation: Float[Tensor, " n"]


def _surface(panorama: Panorama, patches: Patches, pixel: tuple[Int[Tensor, " n"], Int[Tensor, " n"]]) -> _Surface:
    height = panorama.distance.shape[-2]
    log = panorama.distance.clamp(min=1e-3).log()
    left = log.roll(1, dims=1)  # the pixel of one step more azimuth
    right = log.roll(-1, dims=1)
    # The row beyond a pole is the same row half a turn away.
    tall = torch.cat([log[:1].roll(height, dims=1), log, log[-1:].roll(height, dims=1)])
    step = math.pi / height
    by_azimuth = _flatter((left - log) / step, (log - right) / step)[pixel]
    by_elevation = _flatter((tall[:-2] - log) / step, (log - tall[2:]) / step)[pixel]
    # From the centre of the nearest pixel to the centre of the patch.
    azimuth = (pixel[1] + 0.5 - patches.u) * step
    elevation = (pixel[0] + 0.5 - patches.v) * step
    distance = (log[pixel] + by_azimuth * azimuth + by_elevation * elevation).exp()
    return _Surface(distance, by_azimuth, by_elevation)


def _flatter(a: Tensor, b: Tensor) -> Tensor:
    """The smaller in size of two slopes; none where both are steep and opposed, as on a leaf before the sky."""
    flatter = torch.where(a.abs() < b.abs(), a, b)
    return torch.where((a * b > 0) | (flatter.abs() < STEEP), flatter, 0.0)


def _discs(rgb: Float[Tensor, "3 h w"], surface: _Surface, patches: Patches, keep: Bool[Tensor, " n"]) -> Gaussians:
    u, v, e, width = (x[keep] for x in (patches.u, patches.v, patches.elevation, patches.width))
    distance, by_azimuth, by_elevation = (x[keep] for x in (surface.distance, surface.by_azimuth, surface.by_elevation))
    a = math.pi * (1 - u / rgb.shape[-2])
    ray = direction_from_pixel(u, v, rgb.shape[-2])
    east = torch.stack([-a.sin(), a.cos(), torch.zeros_like(a)], dim=-1)
    north = torch.stack([-e.sin() * a.cos(), -e.sin() * a.sin(), e.cos()], dim=-1)

    # Tangents of p = d(a, e) ray(a, e), as (across the ray, along the ray) over one patch; d ray / d a = cos e east.
    across = e.cos() * width * distance
    up = patches.height * distance
    along_a = (by_azimuth * width * distance).clamp(-MAX_STRETCH * across, MAX_STRETCH * across)
    along_e = (by_elevation * patches.height * distance).clamp(-MAX_STRETCH * up, MAX_STRETCH * up)
    tangent_a = across[:, None] * east + along_a[:, None] * ray
    tangent_e = up[:, None] * north + along_e[:, None] * ray

    # The covariance tangent_a tangent_a^T + tangent_e tangent_e^T has rank 2; turned by `angle`, the pair is its axes.
    aa, ee, ae = (tangent_a**2).sum(-1), (tangent_e**2).sum(-1), (tangent_a * tangent_e).sum(-1)
    angle = 0.5 * torch.atan2(2 * ae, aa - ee)[:, None]
    first = angle.cos() * tangent_a + angle.sin() * tangent_e
    second = angle.cos() * tangent_e - angle.sin() * tangent_a
    size = torch.stack([first.norm(dim=-1), second.norm(dim=-1)], dim=-1) * SPREAD
    first, second = F.normalize(first, dim=-1), F.normalize(second, dim=-1)
    axes = torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)
    colours = sample_panorama(rgb, ray[:, None])[..., 0].T.clamp(0, 1)
    return Gaussians(
        means=distance[:, None] * ray,
        quats=quat_from_rotmat(axes),
        scales=torch.cat([size, THICKNESS * size.min(-1, keepdim=True).values], dim=-1),
        opacities=torch.full_like(distance, OPACITY),
        sh=sh_from_rgb(colours),
    )


def _near(sky: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Pixels within `SKY_MARGIN` of the sky, in rows and in columns widened by 1 / cos(elevation)."""
    height = sky.shape[0]
    reach = round(SKY_MARGIN * height / math.pi)
    tall = F.max_pool2d(sky[None, None].float(), (2 * reach + 1, 1), stride=1, padding=(reach, 0))[0, 0]
    # Away from the poles, where skies end, one and a half times the angle covers it.
    wide = min(3 * reach // 2, height - 1)
    padded = torch.cat([tall[:, -wide:], tall, tall[:, :wide]], dim=1) if wide else tall
    return F.max_pool2d(padded[None], (1, 2 * wide + 1), stride=1)[0] > 0
