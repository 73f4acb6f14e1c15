"""Forward warping: an image with depth, seen from another camera. What the new camera cannot know stays a hole."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.geometry import Camera, apply, invert, rays

# A point lights those of the 2x2 pixels around it of which it covers more than MIN_COVER: at 0 a rounding error beside
# a pixel centre would light the next pixel as well. It hides what lies behind where it covers HIDING or more, so that
# a surface does not grow; a pixel that no point covers so far takes the nearest of those that touch it.
MIN_COVER, HIDING = 1e-3, 0.25
SAME_SURFACE = 0.02  # depths that differ by less than this part belong to one surface


class Warped(NamedTuple):
    """An image from where nobody took it."""

    rgb: Float[Tensor, "*batch c h w"]  # 0 in holes
    depth: Float[Tensor, "*batch h w"]  # z in the new camera's frame, metres; 0 in holes
    mask: Bool[Tensor, "*batch h w"]  # False: a hole


def warp(
    rgb: Float[Tensor, "*batch c h w"],
    depth: Float[Tensor, "*batch h w"],
    src_camera: Camera,
    dst_camera: Camera,
    valid: Bool[Tensor, "*batch h w"] | None = None,
    footprint: Literal["nearest", "bilinear"] = "bilinear",
) -> Warped:
    """Move every pixel to where `dst_camera` sees it; the nearest surface wins.

    Args:
        rgb: colours, or any other channels.
        depth: z in the source camera's frame. Pixels whose depth is not finite and positive are left out.
        src_camera, dst_camera: with the batch of the image; their sizes may differ.
        valid: False leaves a pixel out: sky, or depth that is not to be trusted.
        footprint: "nearest" puts a point into one pixel; "bilinear" spreads it over the four around it, which closes
            the cracks of a magnified surface. Colour is then a weighted mean, within one surface only.
    """
    size, batch = dst_camera.size, depth.shape[:-2]
    if tuple(depth.shape[-2:]) != src_camera.size:
        raise ValueError(f"depth must have the source camera's size {src_camera.size}, got {tuple(depth.shape[-2:])}")
    if not src_camera.batch == dst_camera.batch == tuple(batch):
        raise ValueError(f"batches differ: {src_camera.batch}, {dst_camera.batch} and images {tuple(batch)}")
    usable = depth.isfinite() & (depth > 0)
    usable = usable if valid is None else usable & valid
    points = (rays(src_camera) * torch.where(usable, depth, 1)[..., None]).flatten(-3, -2)
    points = apply(invert(dst_camera.world_from_cam) @ src_camera.world_from_cam, points)
    uvz = points @ dst_camera.K.mT  # (u z, v z, z)
    images = [
        _splat(*parts, size, footprint)
        for parts in zip(
            rgb.reshape(-1, rgb.shape[-3], rgb.shape[-2] * rgb.shape[-1]),
            uvz.reshape(-1, *uvz.shape[-2:]),
            usable.reshape(-1, uvz.shape[-2]),
            strict=True,
        )
    ]
    if not images:
        raise ValueError("need at least one image, got a batch of none")
    colour, z, mask = (torch.stack(part).reshape(*batch, *part[0].shape) for part in zip(*images, strict=True))
    return Warped(colour, z, mask)


def _splat(
    colours: Float[Tensor, "c n"],
    uvz: Float[Tensor, "n 3"],
    usable: Bool[Tensor, " n"],
    size: tuple[int, int],
    footprint: Literal["nearest", "bilinear"],
) -> tuple[Float[Tensor, "c h w"], Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """One image: points into pixels with a z-buffer."""
    kept = (usable & (uvz[:, 2] > 1e-6)).nonzero()[:, 0]
    z = uvz[kept, 2]
    point, pixel, weight = _cover(uvz[kept, :2] / z[:, None], size, footprint)
    empty = z.new_full((size[0] * size[1],), torch.inf)
    z_point = z.detach()[point]
    hiding = weight.detach() >= HIDING
    z_buffer = empty.scatter_reduce(0, pixel[hiding], z_point[hiding], "amin")
    z_buffer = torch.where(z_buffer < torch.inf, z_buffer, empty.scatter_reduce(0, pixel, z_point, "amin"))
    if footprint == "nearest":
        # Of points at exactly the same depth the first in reading order stays, whatever the device's order of writing.
        front = z_point <= z_buffer[pixel]
        first = torch.full_like(z_buffer, len(kept), dtype=torch.int64)
        first = first.scatter_reduce(0, pixel[front], point[front], "amin")
        front &= point == first[pixel]
    else:
        front = (z_point - z_buffer[pixel]).abs() <= SAME_SURFACE * z_buffer[pixel]
    point, pixel, weight = point[front], pixel[front], weight[front]
    values = torch.cat([colours[:, kept][:, point], z[point][None], torch.ones_like(weight)[None]]) * weight
    sums = values.new_zeros(len(values), len(z_buffer)).index_add(1, pixel, values)
    mask = sums[-1] > 0
    means = torch.where(mask, sums[:-1] / torch.where(mask, sums[-1], 1), 0).unflatten(-1, size)
    return means[:-1], means[-1], mask.unflatten(-1, size)


def _cover(
    uv: Float[Tensor, "n 2"], size: tuple[int, int], footprint: Literal["nearest", "bilinear"]
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Pairs of point and pixel, with the share of the point's unit square that lies in the pixel."""
    height, width = size
    inside = ((uv > -1) & (uv < uv.new_tensor([width + 1, height + 1]))).all(-1)
    point = inside.nonzero()[:, 0]
    u, v = uv[point].unbind(-1)
    if footprint == "nearest":
        column, row, weight = u.floor().long(), v.floor().long(), torch.ones_like(u)
    else:
        left, top = (u - 0.5).floor(), (v - 0.5).floor()
        right_share, bottom_share = u - 0.5 - left, v - 0.5 - top
        column = torch.stack([left, left + 1, left, left + 1]).long()
        row = torch.stack([top, top, top + 1, top + 1]).long()
        across = torch.stack([1 - right_share, right_share]).repeat(2, 1)
        down = torch.stack([1 - bottom_share, bottom_share]).repeat_interleave(2, dim=0)
        weight, point = across * down, point.expand(4, -1)
    lit = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (weight > MIN_COVER)
    return point[lit], (row * width + column)[lit], weight[lit]
