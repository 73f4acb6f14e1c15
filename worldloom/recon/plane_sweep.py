"""Depth of posed photos by plane-sweep stereo: what planes before a camera make the other photos agree with it?"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import rays
from worldloom.geometry.io.images import LUMINANCE
from worldloom.geometry.rigid import apply, invert
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photos import Photos
from worldloom.recon.view_selection import GRID, best_sources, guessed_depths, source_scores

NOISE = 2e-5  # variance of grey below which a patch has no texture: that of a 1 % error in brightness, and JPEG's
OUTSIDE = 0.55  # cost of a plane that a source does not see: a little more than no correlation at all
EDGE = 0.03  # step in grey at which a jump in depth costs half
AT_ONCE = 1 << 22  # warped pixels


@dataclass(frozen=True)
class SweepConfig:
    """How planes are swept. Lengths are pixels of the photos as swept."""

    long_side: int = 240  # of the photos as swept
    first_side: int = 96  # of a first sweep that finds the range of depths
    num_sources: int = 4
    window: int = 7  # of the correlation
    step: float = 1.0  # that the most distant source moves from plane to plane
    most_planes: int = 160
    bend: float = 0.015  # cost of a change by one plane between neighbours
    jump: float = 0.12  # cost of any larger change, where the picture has no edge
    tolerance: float = 1.0  # of a point's way into another photo by one depth and back by the other's

    def __post_init__(self) -> None:
        if not (16 <= self.first_side <= self.long_side and self.num_sources >= 1 and self.window % 2 == 1):
            raise InputError(
                f"expected 16 <= first_side <= long_side, a source and an odd window, got {self.first_side}, "
                f"{self.long_side}, {self.num_sources}, {self.window}"
            )


def plane_sweep(
    photos: Photos, config: SweepConfig | None = None, tell: Callable[[float], None] = lambda share: None
) -> PhotoDepth:
    """Depth and its confidence for every photo, from photos and cameras alone.

    For planes z = 1 / q of the camera, evenly spaced in inverse depth q from infinity on, the best sources (by overlap
    and angle) are warped by the plane's homography and compared by zero-mean normalised cross-correlation in small
    windows; the mean of the better half of the sources counts, so that a thing hidden from some does no harm. Costs are
    aggregated along eight directions (semi-global matching, Hirschmueller 2008), the best plane is refined by a
    parabola, and a depth is confident where other photos' depths lead back to it. A first sweep at low resolution finds
    how near things are and which photos see the same.

    Args:
        tell: is told the share that is done.
    Raises:
        InputError: fewer than two photos, or no pair of photos that sees the same from two places.
    """
    config = config or SweepConfig()
    if len(photos) < 2:
        raise InputError(f"expected at least two photos to tell depth from, got {len(photos)}")
    small = photos.resized(config.first_side)
    sources = best_sources(source_scores(small.cameras, guessed_depths(small.cameras)), config.num_sources)
    if not any(map(len, sources)):
        raise InputError(
            "expected photos that see the same things from different places, got cameras that all stand in one place "
            "or look apart"
        )
    large = photos.resized(config.long_side)
    work = len(photos) * (small.rgb[0].numel() + large.rgb[0].numel())

    def first_share(i: int) -> None:
        tell((i + 1) * small.rgb[0].numel() / work)

    def second_share(i: int) -> None:
        tell((len(photos) * small.rgb[0].numel() + (i + 1) * large.rgb[0].numel()) / work)

    nearest = [_nearest_by_shift(small.cameras, i, some) for i, some in enumerate(sources)]
    first = _sweep(small, sources, nearest, config, first_share)
    sources = _sources_by_depth(first, config.num_sources, sources)
    nearest = _nearest_by_depth(first, nearest)
    return _sweep(large, sources, nearest, config, second_share)


def agreement(photos: Photos, long_side: int = 96) -> float:
    """How well photos agree with their cameras: mean correlation at the best plane of each pixel, weighted by texture.

    About 0.4 and less for wrong cameras, for chance finds some plane; higher the better they fit. NaN where no two
    photos see the same.
    """
    small = photos.resized(long_side)
    config = SweepConfig(long_side=long_side, first_side=min(long_side, 96), num_sources=2, most_planes=64)
    sources = best_sources(source_scores(small.cameras, guessed_depths(small.cameras)), 2)
    grey = _grey(small)
    found, weight = [], []
    for i, some in enumerate(sources):
        if len(some):
            volume, _ = _costs(small, grey, i, some, _nearest_by_shift(small.cameras, i, some), config)
            texture = _box(grey[i, None, None] ** 2, 5) - _box(grey[i, None, None], 5) ** 2
            seen = volume.amin(0) < OUTSIDE
            found.append((1 - 2 * volume.amin(0))[seen])
            weight.append(texture[0, 0].clamp(min=0).sqrt()[seen])
    if not found:
        return math.nan
    return float((torch.cat(found) * torch.cat(weight)).sum() / torch.cat(weight).sum().clamp(min=1e-9))


def _sweep(
    photos: Photos,
    sources: list[Int[Tensor, " s"]],
    nearest: list[float],
    config: SweepConfig,
    tell: Callable[[int], None],
) -> PhotoDepth:
    grey = _grey(photos)
    depths, correlations, far = [], [], []
    for i, some in enumerate(sources):
        if len(some):
            volume, inverse = _costs(photos, grey, i, some, nearest[i], config)
            total = _aggregated(volume, grey[i], config)
            plane = total.argmin(0)
            q = _between_planes(total, plane) * (inverse[1] - inverse[0])
            cost = volume.gather(0, plane[None])[0]
            depths.append(1 / q.clamp(min=float(inverse[1]) / 2))
            far.append(plane == 0)
            correlations.append((1 - 2 * cost).clamp(0, 1) * photos.valid[i])
        else:
            depths.append(torch.ones_like(grey[i]))
            far.append(torch.ones_like(photos.valid[i]))
            correlations.append(torch.zeros_like(grey[i]))
        tell(i)
    depth, is_far = torch.stack(depths), torch.stack(far)
    agree = torch.stack(
        [_share_that_agrees(photos.cameras, depth, is_far, i, some, config) for i, some in enumerate(sources)]
    )
    return PhotoDepth(photos.cameras, depth, torch.stack(correlations) * agree, is_far)


def _grey(photos: Photos) -> Float[Tensor, "v h w"]:
    return torch.einsum("vchw,c->vhw", photos.rgb, photos.rgb.new_tensor(LUMINANCE))


def _box(values: Float[Tensor, "n 1 h w"], window: int) -> Float[Tensor, "n 1 h w"]:
    """Mean over a window, of what lies in the picture. Sums of shifted pictures, five times as fast as pooling."""
    half = window // 2
    for axis in (2, 3):
        size = values.shape[axis]
        margin = (0, 0, half, half) if axis == 2 else (half, half, 0, 0)
        wide = F.pad(values, margin)
        values = wide.narrow(axis, 0, size).clone()
        for shift in range(1, window):
            values += wide.narrow(axis, shift, size)
        at = torch.arange(size)
        inside = (at + half).clamp(max=size - 1) - (at - half).clamp(min=0) + 1
        values /= inside.view(-1, 1) if axis == 2 else inside
    return values


def _warp_of_planes(camera: Camera, source: Camera) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, " 3"]]:
    """(a, b): the point of a pixel at inverse depth q projects to a + q b in the source, homogeneous."""
    source_from_cam = invert(source.world_from_cam) @ camera.world_from_cam
    return rays(camera) @ (source.K @ source_from_cam[:3, :3]).mT, source.K @ source_from_cam[:3, 3]


def _largest_shift(camera: Camera, source: Camera, nearest: float) -> float:
    """Pixels that a source's image of the picture's points moves, at most of most, from infinity to depth `nearest`.

    Only what stays before the source and near its picture counts.
    """
    a, b = _warp_of_planes(camera, source)
    near = a + b / nearest
    height, width = source.size
    ok = (a[..., 2] > 0.1) & (near[..., 2] > 0.1)
    start, end = a[..., :2] / a[..., 2:], near[..., :2] / near[..., 2:]
    middle = end.new_tensor([width / 2, height / 2])
    ok &= ((end - middle).abs() < end.new_tensor([width, height])).all(-1)
    shift = (end - start).norm(dim=-1)[ok]
    return float(shift.quantile(0.9)) if len(shift) else 0.0


def _nearest_by_shift(cameras: Camera, i: int, sources: Int[Tensor, " s"]) -> float:
    """The depth that the widest of a photo's sources shows a whole picture's width aside from infinity's place."""
    if not len(sources):
        return 1.0
    apart = (cameras.world_from_cam[sources, :3, 3] - cameras.world_from_cam[i, :3, 3]).norm(dim=-1).max()
    return max(1e-6, float(apart * cameras.K[i, 0, 0]) / max(cameras.size))


def _nearest_by_depth(first: PhotoDepth, before: list[float]) -> list[float]:
    """A little nearer than the nearest per cent of what a photo is sure about; of all photos where it is not."""
    sure = (first.confidence > 0.3) & ~first.far
    everywhere = first.depth[sure]
    fallback = 0.8 * _low(everywhere) if len(everywhere) > 50 else None
    return [
        0.8 * _low(some) if len(some := first.depth[i][sure[i]]) > 50 else (fallback or before[i])
        for i in range(len(first))
    ]


def _low(values: Float[Tensor, " n"]) -> float:
    return float(values.sort().values[len(values) // 100])


def _sources_by_depth(first: PhotoDepth, num: int, before: list[Int[Tensor, " s"]]) -> list[Int[Tensor, " s"]]:
    """Sources chosen again, now that it is known where things are."""
    sure = torch.where((first.confidence > 0.1) & ~first.far, first.depth, torch.nan)
    coarse = F.interpolate(sure[:, None], (GRID, GRID), mode="nearest-exact")
    known = coarse.isfinite().flatten(1).sum(1) >= GRID
    found = best_sources(source_scores(first.cameras, coarse), num)
    return [new if ok and len(new) else old for new, old, ok in zip(found, before, known.tolist(), strict=True)]


def _costs(
    photos: Photos,
    grey: Float[Tensor, "v h w"],
    i: int,
    sources: Int[Tensor, " s"],
    nearest: float,
    config: SweepConfig,
) -> tuple[Float[Tensor, "d h w"], Float[Tensor, " d"]]:
    """(1 - correlation) / 2 of every pixel at every plane, and the planes' inverse depths."""
    cameras = photos.cameras
    height, width = cameras.size
    shift = max(_largest_shift(cameras[i], cameras[j], nearest) for j in sources.tolist())
    num = min(max(8, math.ceil(shift / config.step) + 1), config.most_planes)
    inverse = torch.linspace(0, 1 / nearest, num)
    own = grey[i, None, None]
    mean = _box(own, config.window)
    variance = _box(own * own, config.window) - mean * mean
    costs = torch.full((len(sources), num, height, width), OUTSIDE)
    for s, j in enumerate(sources.tolist()):
        a, b = _warp_of_planes(cameras[i], cameras[j])
        for some in torch.arange(num).split(max(1, AT_ONCE // (height * width))):
            at = a + inverse[some, None, None, None] * b
            z = at[..., 2].clamp(min=1e-6)
            x, y = at[..., 0] / z, at[..., 1] / z
            grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], -1).clamp(-4, 4)
            inside = (at[..., 2] > 1e-6) & (x > 0) & (x < width) & (y > 0) & (y < height)
            # One picture and a tall grid: grid_sample would copy a picture for each plane.
            there = F.grid_sample(
                grey[j, None, None], grid.flatten(0, 1)[None], "bilinear", "border", align_corners=False
            )
            there = there.view(len(some), 1, height, width)
            other = _box(there, config.window)
            spread = _box(there * there, config.window) - other * other
            together = _box(there * own, config.window) - other * mean
            correlation = together / ((variance + NOISE) * (spread.clamp(min=0) + NOISE)).sqrt()
            costs[s, some] = torch.where(inside, (0.5 - 0.5 * correlation[:, 0]).clamp(0, 1), OUTSIDE)
    better = -(-len(sources) // 2)
    return costs.topk(better, dim=0, largest=False).values.mean(0), inverse


def _aggregated(
    volume: Float[Tensor, "d h w"], grey: Float[Tensor, "h w"], config: SweepConfig
) -> Float[Tensor, "d h w"]:
    """Semi-global matching: the sum over eight directions of the cheapest path that ends in a pixel and plane."""
    costs = volume.permute(1, 2, 0).contiguous()
    total = torch.zeros_like(costs)
    for flip in (False, True):
        for across in (False, True):
            turned, picture = (costs.transpose(0, 1), grey.T) if across else (costs, grey)
            turned, picture = (turned.flip(0), picture.flip(0)) if flip else (turned, picture)
            for lean in (0, 1, -1) if not across else (0,):
                paths = _paths(turned, picture, lean, config)
                paths = paths.flip(0) if flip else paths
                total += paths.transpose(0, 1) if across else paths
    return total.permute(2, 0, 1)


def _paths(costs: Float[Tensor, "h w d"], grey: Float[Tensor, "h w"], lean: int, config: SweepConfig) -> Tensor:
    """Cheapest paths from the first row down, each row `lean` columns aside of the one before.

    L(p, d) = C(p, d) + min(L(p', d), L(p', d +- 1) + bend, min L(p') + jump) - min L(p').
    """
    found = torch.empty_like(costs, memory_format=torch.contiguous_format)
    before = found[0] = costs[0]
    grey = grey.contiguous()
    for row in range(1, len(costs)):
        old = grey[row - 1]
        if lean:
            before, old = before.roll(lean, 0), old.roll(lean, 0)
            edge = 0 if lean > 0 else -1
            before[edge], old[edge] = costs[row - 1, edge], grey[row - 1, edge]  # a path begins
        best = before.amin(1, keepdim=True)
        jump = config.jump / (1 + (grey[row] - old).abs() / EDGE)
        smooth = torch.minimum(before, best + jump.clamp(min=config.bend)[:, None])
        torch.minimum(smooth[:, 1:], before[:, :-1] + config.bend, out=smooth[:, 1:])
        torch.minimum(smooth[:, :-1], before[:, 1:] + config.bend, out=smooth[:, :-1])
        before = costs[row] + (smooth - best)
        found[row] = before
    return found


def _between_planes(total: Float[Tensor, "d h w"], plane: Int[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The lowest point of the parabola through the best plane and its neighbours."""
    last = len(total) - 1
    middle = plane.clamp(1, last - 1)
    low, best, high = (total.gather(0, (middle + step)[None])[0] for step in (-1, 0, 1))
    offset = (low - high) / (2 * (low + high - 2 * best).clamp(min=1e-6))
    return torch.where(middle == plane, plane + offset.clamp(-0.5, 0.5), plane.float())


def _share_that_agrees(
    cameras: Camera,
    depth: Float[Tensor, "v h w"],
    far: Bool[Tensor, "v h w"],
    i: int,
    sources: Int[Tensor, " s"],
    config: SweepConfig,
) -> Float[Tensor, "h w"]:
    """Of the sources that see a pixel's point, the share whose own depth leads back to the pixel."""
    height, width = cameras.size
    agree = depth.new_zeros(height, width)
    seen = depth.new_zeros(height, width)
    local = rays(cameras[i]) * depth[i][..., None]
    points = apply(cameras.world_from_cam[i], local.reshape(-1, 3))
    home = local[..., :2].reshape(-1, 2) / local[..., 2:].reshape(-1, 1)
    focal = cameras.K[i, 0, 0]
    for j in sources.tolist():
        there = apply(invert(cameras.world_from_cam[j]), points)
        z = there[:, 2].clamp(min=1e-9)
        pixel = there @ cameras.K[j].mT
        u, v = pixel[:, 0] / z, pixel[:, 1] / z
        inside = (there[:, 2] > 1e-6) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        at = (v.long().clamp(0, height - 1), u.long().clamp(0, width - 1))
        theirs = depth[j][at]
        # Along the line of sight through the point itself, for the pixel's middle lies up to half a pixel aside.
        back = apply(invert(cameras.world_from_cam[i]), apply(cameras.world_from_cam[j], there * (theirs / z)[:, None]))
        off = (back[:, :2] / back[:, 2:].clamp(min=1e-9) - home).norm(dim=-1) * focal
        same = inside & ~far[j][at] & (off < config.tolerance) & ((theirs / z - 1).abs() < 0.1)
        agree += same.view(height, width)
        seen += inside.view(height, width)
    return torch.where(far[i], 0, agree / seen.clamp(min=1))
