"""The torch twin of the rasterizer: the same equations, any device, any float type, derivatives by autograd."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from worldloom.geometry import Gaussians, apply, rotmat_from_quat
from worldloom.geometry.harmonics import sh_basis
from worldloom.geometry.rigid import invert
from worldloom.render.raster import Raster
from worldloom.render.rendering import RenderInfo

TILE = 16
DILATION = 0.3  # square pixels added to the 2-D covariance, so that no splat falls between pixels
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
# (tile, splat, pixel) values of one batch. A dozen arrays of this size live at once: about 100 MB in float32.
BATCH_VALUES = 2**21


@dataclass(frozen=True)
class Projected:
    """Gaussians on the image plane, in pixels. conics is the inverse covariance (xx, xy, yy)."""

    means2d: Float[Tensor, "n 2"]
    conics: Float[Tensor, "n 3"]
    depths: Float[Tensor, " n"]
    opacities: Float[Tensor, " n"]
    radii: Float[Tensor, "n 2"]
    det: Float[Tensor, " n"]

    def __getitem__(self, index: Tensor) -> "Projected":
        return Projected(*(getattr(self, f.name)[index] for f in fields(self)))


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
    """Draw Gaussians into one camera, front to back.

    alpha_i = min(0.999, opacity_i exp(-sigma_i)), sigma_i = d^T Sigma'^-1 d / 2, T_i = prod_{j<i} (1 - alpha_j)
    image = sum_i T_i alpha_i value_i                                  (Kerbl et al. 2023, Eq. 2 and 3)
    Splats with alpha < 1/255 are left out; a pixel ends before the splat that would take T to 1e-4 or less.
    """
    with torch.no_grad():
        every = project(gaussians, world_from_cam, K, size, antialiased)
        keep = visible_mask(every, size, near, far)
        ids = keep.nonzero()[:, 0]
        ids = ids[every.depths[ids].argsort(stable=True)]
    front = project(gaussians[ids], world_from_cam, K, size, antialiased)
    away = torch.nn.functional.normalize(gaussians.means[ids] - world_from_cam[:3, 3], dim=-1)
    sh = gaussians.sh[ids]
    colour = (einsum(sh_basis(away, sh.shape[1]), sh, "n k, n k c -> n c") + 0.5).clamp(min=0)
    values = [colour, front.depths[:, None]] + ([] if extra is None else [extra[ids]])
    low, high = tile_box(front, size)
    images, transmittance, median = blend(front, torch.cat(values, dim=-1), low, high, size)
    alpha = 1 - transmittance
    grad = None
    if front.means2d.requires_grad:
        grad = torch.zeros_like(every.means2d)
        front.means2d.register_hook(lambda g: add_rows(grad, ids, g))

    def read_info() -> RenderInfo:
        scatter = torch.zeros_like(every.means2d).index_copy(0, ids, front.means2d.detach())
        tiles = torch.zeros_like(keep, dtype=torch.int32)
        tiles[ids] = (high - low).prod(-1).int()
        return RenderInfo(scatter, torch.where(keep[:, None], every.radii, 0).int(), keep, tiles, grad)

    return Raster(
        rgb=images[:3],
        alpha=alpha,
        depth=images[3] / alpha.clamp(min=1e-10),
        median_depth=median,
        median_valid=transmittance.detach() < 0.5,
        extra=None if extra is None else images[4:],
        read_info=read_info,
    )


def add_rows(total: Tensor, ids: Tensor, rows: Tensor | None) -> None:
    """A gradient hook that keeps a sum and changes nothing; autograd says None for a gradient of zero."""
    if rows is not None:
        total.index_add_(0, ids, rows)


def project(
    gaussians: Gaussians,
    world_from_cam: Float[Tensor, "4 4"],
    K: Float[Tensor, "3 3"],
    size: tuple[int, int],
    antialiased: bool,
) -> Projected:
    """EWA projection: Sigma' = J W Sigma W^T J^T + 0.3 I (Zwicker et al. 2002; Kerbl et al. 2023, Eq. 5).

    J is taken where the ray still lies within 1.3 times the half field of view, else it grows without bound.
    `antialiased` scales opacity by sqrt(det before / det after dilation), so that thin splats keep their total.
    """
    height, width = size
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    cam_from_world = invert(world_from_cam)
    mean = apply(cam_from_world, gaussians.means)
    x, y, z = mean.unbind(-1)
    axes = cam_from_world[:3, :3] @ rotmat_from_quat(gaussians.quats) * gaussians.scales[:, None, :]
    tan_x, tan_y = 0.5 * width / fx, 0.5 * height / fy
    u = torch.minimum(torch.maximum(x / z, -(cx / fx + 0.3 * tan_x)), (width - cx) / fx + 0.3 * tan_x)
    v = torch.minimum(torch.maximum(y / z, -(cy / fy + 0.3 * tan_y)), (height - cy) / fy + 0.3 * tan_y)
    row_x = (fx / z)[:, None] * (axes[:, 0] - u[:, None] * axes[:, 2])
    row_y = (fy / z)[:, None] * (axes[:, 1] - v[:, None] * axes[:, 2])
    xx, xy, yy = (row_x * row_x).sum(-1), (row_x * row_y).sum(-1), (row_y * row_y).sum(-1)
    # The determinant as the squared length of a cross product (Lagrange): no cancellation for needles.
    det_before = torch.linalg.cross(row_x, row_y).square().sum(-1)
    det = det_before + DILATION * (xx + yy) + DILATION**2
    xx, yy = xx + DILATION, yy + DILATION
    opacity = gaussians.opacities
    if antialiased:
        # The tiny floor keeps the slope of the root finite where a needle has no area left.
        opacity = opacity * (det_before / det).clamp(min=1e-20).sqrt()
    reach = (2 * (255 * opacity).clamp(min=1).log()).sqrt().clamp(max=3.33)
    return Projected(
        means2d=torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1),
        conics=torch.stack([yy, -xy, xx], dim=-1) / det[:, None],
        depths=z,
        opacities=opacity,
        radii=torch.stack([(reach * xx.sqrt()).ceil(), (reach * yy.sqrt()).ceil()], dim=-1).detach(),
        det=det,
    )


def visible_mask(splats: Projected, size: tuple[int, int], near: float, far: float) -> Bool[Tensor, " n"]:
    """Which splats can touch a pixel. Every comparison is written so that NaN fails it."""
    height, width = size
    box = splats.means2d, splats.radii
    inside = (box[0] + box[1] > 0).all(-1) & (box[0] - box[1] < box[0].new_tensor([width, height])).all(-1)
    in_range = (splats.depths >= near) & (splats.depths <= far)
    return (
        inside & in_range & (splats.opacities >= MIN_ALPHA) & (splats.det > 0) & torch.isfinite(splats.conics).all(-1)
    )


def tile_box(splats: Projected, size: tuple[int, int]) -> tuple[Int[Tensor, "n 2"], Int[Tensor, "n 2"]]:
    """First and one-past-last tile (column, row) of each splat's box."""
    height, width = size
    tiles = torch.tensor([-(-width // TILE), -(-height // TILE)], device=splats.radii.device)
    means2d = splats.means2d.detach()
    zero = torch.zeros_like(tiles)
    # Clamped before the cast: a box can be wider than an integer.
    low = ((means2d - splats.radii) / TILE).floor().clamp(min=zero, max=tiles).long()
    high = ((means2d + splats.radii) / TILE).ceil().clamp(min=zero, max=tiles).long()
    return low, high


def blend(
    splats: Projected,
    values: Float[Tensor, "n c"],
    low: Int[Tensor, "n 2"],
    high: Int[Tensor, "n 2"],
    size: tuple[int, int],
    draw_tiles: Callable[..., Tensor] | None = None,
) -> tuple[Float[Tensor, "c h w"], Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Images of `values`, transmittance and median depth, from splats in depth order.

    Tiles with lists of similar length are blended together, each batch recomputed in the backward pass, so that memory
    stays bounded whatever the scene. `draw_tiles` may stand in for `blend_tiles`, with the same arguments and shapes.
    """
    draw = draw_tiles or blend_tiles
    height, width = size
    columns, rows = -(-width // TILE), -(-height // TILE)
    device = values.device
    span = high - low
    counts = span.prod(-1)
    owner = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
    local = torch.arange(len(owner), device=device) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    tile = (low[owner, 1] + local // span[owner, 0]) * columns + low[owner, 0] + local % span[owner, 0]
    order = tile.argsort(stable=True)  # stable: each tile's list stays in depth order
    owner = owner[order]
    length = torch.bincount(tile, minlength=rows * columns)
    start = length.cumsum(0) - length
    by_length = length.argsort(descending=True)
    lengths = length[by_length].tolist()

    corner = torch.stack([by_length % columns, by_length // columns], dim=-1) * TILE
    within = torch.arange(TILE * TILE, device=device)
    offset = torch.stack([within % TILE, within // TILE], dim=-1) + 0.5
    parts: list[Tensor] = []
    first = 0
    while first < len(lengths):
        longest = lengths[first]
        last = min(len(lengths), first + max(1, BATCH_VALUES // (max(longest, 1) * TILE * TILE)))
        if longest == 0:
            last = len(lengths)
            empty = values.new_zeros(last - first, TILE * TILE, values.shape[1] + 2)
            empty[..., -2] = 1
            if len(values) == 0:
                empty = empty + values.sum()  # 0, but backward() has somewhere to go
            parts.append(empty)
            break
        slot = torch.arange(longest, device=device)
        used = slot < length[by_length[first:last], None]
        index = owner[(start[by_length[first:last], None] + slot).clamp(max=len(owner) - 1)]
        pixels = (corner[first:last, None] + offset).to(values.dtype)
        inputs = (splats.means2d, splats.conics, splats.opacities, splats.depths.detach(), values, index, used, pixels)
        if torch.is_grad_enabled() and values.requires_grad:
            parts.append(checkpoint(draw, *inputs, use_reentrant=False, preserve_rng_state=False))  # pyright: ignore[reportArgumentType]
        else:
            parts.append(draw(*inputs))
        first = last
    tiles = torch.cat(parts)[by_length.argsort()]
    whole = tiles.view(rows, columns, TILE, TILE, -1).permute(4, 0, 2, 1, 3).reshape(-1, rows * TILE, columns * TILE)
    whole = whole[:, :height, :width]
    return whole[:-2], whole[-2], whole[-1].detach()


def blend_tiles(
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    depths: Float[Tensor, " n"],
    values: Float[Tensor, "n c"],
    index: Int[Tensor, "b l"],
    used: Bool[Tensor, "b l"],
    pixels: Float[Tensor, "b p 2"],
) -> Float[Tensor, "b p d"]:
    """Blend the listed splats into each tile's pixels; d = the c values, transmittance, median depth."""
    delta = pixels[:, None, :, :] - means2d[index][:, :, None, :]  # b l p 2
    dx, dy = delta.unbind(-1)
    xx, xy, yy = conics[index][:, :, None, :].unbind(-1)
    sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    # sigma is never negative, but for needles a rounded one may be.
    alpha = (opacities[index][:, :, None] * torch.exp(-sigma.clamp(min=0))).clamp(max=MAX_ALPHA)
    alpha = torch.where(used[:, :, None] & (alpha >= MIN_ALPHA), alpha, 0)
    # The product only falls, so the splats before the end are exactly those that leave more than the least.
    alpha = torch.where((1 - alpha.detach()).cumprod(dim=1) > MIN_TRANSMITTANCE, alpha, 0)
    after = (1 - alpha).cumprod(dim=1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=1)
    blended = einsum(before * alpha, values[index], "b l p, b l c -> b p c")
    crossed = after < 0.5
    first = crossed.to(torch.uint8).argmax(dim=1)
    median = torch.where(crossed.any(1), depths[index].gather(1, first), 0)
    return torch.cat([blended, after[:, -1, :, None], median[..., None]], dim=-1)
