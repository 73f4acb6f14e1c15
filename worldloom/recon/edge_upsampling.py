"""Maps made larger along the edges of a picture."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_COLOUR = 0.06  # difference of display colours that halves about a neighbour's say
_NEAR = 0.75  # coarse pixels: spread of a neighbour's say over the picture
_ONE_SURFACE = 0.08  # difference of values, as of log distance, within one surface


def upsample_along_edges(
    coarse: Float[Tensor, "c h w"], rgb: Float[Tensor, "3 h2 w2"], one_surface: float | None = _ONE_SURFACE
) -> Float[Tensor, "c h2 w2"]:
    """A panorama's maps at the size of its picture; columns wrap around.

    Each fine pixel listens to the 3 x 3 coarse pixels around it, the more the nearer they are and the more alike their
    mean colours (joint bilateral upsampling, Kopf et al. 2007). The weighted median decides which surface it is on, and
    only values of that surface are averaged, so that edges stay steps: nothing floats between near and far. Where the
    values bend little there is no edge, however steep they are: a slanted wall is interpolated, not cut into stairs.

    Args:
        one_surface: how much the values of one surface bend from pixel to pixel; None where colours alone
            decide, as for probabilities, which may be anything in between.
    """
    height, width = coarse.shape[-2:]
    fine_height, fine_width = rgb.shape[-2:]
    if fine_height % height or fine_height // height * width != fine_width:
        raise ValueError(
            f"expected a picture whose size is a multiple of {height}x{width}, got {fine_height}x{fine_width}"
        )
    step = fine_height // height
    if step == 1:
        return coarse.clone()
    colours = F.avg_pool2d(rgb[None], step)[0]
    stacked = torch.cat([coarse, colours])
    stacked = torch.cat([stacked[..., -1:], stacked, stacked[..., :1]], -1)
    stacked = torch.cat([stacked[:, :1], stacked, stacked[:, -1:]], 1)
    place = (torch.arange(step) + 0.5) / step - 0.5  # of fine pixels within a coarse one
    values, weights = [], []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            neighbour = stacked[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width]
            neighbour = neighbour.repeat_interleave(step, 1).repeat_interleave(step, 2)
            off = ((place - i) ** 2)[:, None] + (place - j) ** 2
            near = torch.exp(-off / (2 * _NEAR**2)).repeat(height, width)
            alike = torch.exp(-(neighbour[len(coarse) :] - rgb).abs().mean(0) / _COLOUR)
            values.append(neighbour[: len(coarse)])
            weights.append(near * (alike + 1e-3))
    value, weight = torch.stack(values), torch.stack(weights)[:, None].expand(9, len(coarse), -1, -1)
    if one_surface is None:
        return (weight * value).sum(0) / weight.sum(0)
    stepped = surface_mean(value, weight, one_surface)
    wide = torch.cat([coarse[..., -2:], coarse, coarse[..., :2]], -1)
    bent = (_bend(wide) / one_surface).clamp(max=1)
    smooth, bent = (_bilinear(x, step)[..., 2 * step : -2 * step] for x in (wide, bent))
    return torch.lerp(smooth, stepped, bent)


def _bend(values: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """The largest |second difference| within a pixel of each, in any of four directions; ends count as going on."""
    x = F.pad(values[None], (1, 1, 1, 1), mode="replicate")[0]
    middle = x[:, 1:-1, 1:-1]
    pairs = ((x[:, 1:-1, :-2], x[:, 1:-1, 2:]), (x[:, :-2, 1:-1], x[:, 2:, 1:-1]))
    pairs += ((x[:, :-2, :-2], x[:, 2:, 2:]), (x[:, :-2, 2:], x[:, 2:, :-2]))
    bends = torch.stack([(one + two - 2 * middle).abs() for one, two in pairs]).amax(0)
    bends[:, 0], bends[:, -1] = bends[:, 1], bends[:, -2]
    return F.max_pool2d(bends[None], 3, 1, 1)[0]


def _bilinear(values: Float[Tensor, "c h w"], step: int) -> Float[Tensor, "c h2 w2"]:
    return F.interpolate(values[None], scale_factor=step, mode="bilinear", align_corners=False)[0]


def surface_mean(
    values: Float[Tensor, "k c h w"], weights: Float[Tensor, "k c h w"], one_surface: float
) -> Float[Tensor, "c h w"]:
    """Of several opinions about each pixel: the mean of those near their weighted median, never between two surfaces.

    Args:
        weights: not all zero for any pixel.
        one_surface: how much opinions about one surface differ.
    """
    ordered, order = values.sort(dim=0)
    cumulative = weights.gather(0, order).cumsum(0)
    first = (cumulative < 0.5 * cumulative[-1:]).sum(0, keepdim=True).clamp(max=len(values) - 1)
    weights = weights * torch.exp(-(((values - ordered.gather(0, first)) / one_surface) ** 2))
    return (weights * values).sum(0) / weights.sum(0)


def resize_along_edges(
    maps: Float[Tensor, "c h w"], rgb: Float[Tensor, "3 h2 w2"], one_surface: float | None = _ONE_SURFACE
) -> Float[Tensor, "c h2 w2"]:
    """`upsample_along_edges` to a picture of any size, by way of the nearest multiple of the maps' own."""
    rows, height = maps.shape[1], rgb.shape[1]
    step = max(1, round(height / rows))
    if rows * step == height:
        return upsample_along_edges(maps, rgb, one_surface)
    between = F.interpolate(rgb[None], (rows * step, 2 * rows * step), mode="bilinear", antialias=True)[0]
    grown = upsample_along_edges(maps, between, one_surface)
    return F.interpolate(grown[None], rgb.shape[1:], mode="nearest-exact")[0]
