"""What lies behind the surfaces of a panorama, as far as its surroundings tell: a coarse layer that nobody sees until
they walk, and that then stands in for what the panorama does not show.

Where distance jumps, the farther surface goes on behind the nearer one, in distance and in colour, by push-pull from
its visible side. Everywhere else a coarse copy of the surface itself lies close behind it, so that no crack is black;
the farther from the jump, the more of this copy: what is well before an edge, the ground say, hides nothing there.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.push_pull import filled_from_around
from worldloom.geometry.transform_gaussians import transform_gaussians
from worldloom.recon.centre_view import match_centre_colours
from worldloom.recon.panorama_splats import discs_of_panorama, splats_from_panorama

_ROWS = 128  # of the layer, from pole to pole; those of the panorama, if it has fewer
_JUMP = 0.3  # of log distance, over two pixels
_STEEPER = 2.0  # times the slopes on both sides: level ground grows steeply towards the horizon, and is no jump
_REACH = math.radians(30)  # how far a surface goes on behind the edge of another, ever less of it
_BAND = math.radians(6)  # of the farther surface, along the edge: what it goes on from
_BEHIND = 1.15  # times the distance, where nothing is known of what is hidden
_MOST_ACROSS = 0.7  # of log distance
_COARSER = 4  # times, of a second layer that closes what gaps the first one leaves


def scene_splats(panorama: Panorama) -> Gaussians:
    """The splats of a panorama that match it from its centre, and then the layer behind them."""
    backdrop = backdrop_from_panorama(panorama)
    front = match_centre_colours(panorama, splats_from_panorama(panorama), num_rounds=3, backdrop=backdrop)
    return Gaussians.cat([front, backdrop])


def backdrop_from_panorama(panorama: Panorama) -> Gaussians:
    """The layer as splats in the world frame; none where the sky is."""
    if panorama.rgb.ndim != 3:
        raise ValueError(f"expected one panorama, got a batch {tuple(panorama.rgb.shape[:-3])}")
    height = panorama.rgb.shape[-2]
    rows = min(_ROWS, height)
    # Behind all that a pixel of the layer covers, and nothing before the sky.
    sky = _farthest(F.adaptive_max_pool2d(panorama.sky[None].float(), (rows, 2 * rows))[0]) > 0
    log = F.adaptive_max_pool2d(panorama.distance[None].clamp(min=1e-3).log(), (rows, 2 * rows))[0]
    rgb = F.adaptive_avg_pool2d(panorama.rgb[None], (rows, 2 * rows))[0]

    hides, beyond = _sides(log, sky)
    own = log + math.log(_BEHIND) + _across(log)
    behind = torch.maximum(filled_from_around(log[None], beyond)[0], own)
    log = torch.lerp(own, behind, hides)
    rgb = torch.lerp(rgb, filled_from_around(rgb, beyond), hides)
    layers = [_discs(log, rgb, sky, slanted=True)]
    if rows == _ROWS:  # wider discs would reach before what they stand behind
        log, *rgb, open_air = F.avg_pool2d(torch.cat([log[None], rgb, sky[None].float()]), _COARSER).unbind()
        log = _farthest(log) + math.log(_BEHIND)
        layers.append(_discs(log, torch.stack(rgb), _farthest(open_air) > 0, slanted=False))
    return transform_gaussians(Gaussians.cat(layers), panorama.world_from_pano)


def _discs(
    log: Float[Tensor, "h w"], rgb: Float[Tensor, "3 h w"], sky: Bool[Tensor, "h w"], slanted: bool
) -> Gaussians:
    return discs_of_panorama(Panorama(rgb, log.exp(), sky, torch.eye(4)), len(log), ~sky, slanted)


def _across(log: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """How log distance grows over a pixel: a disc, sorted by its middle, must not veil what it stands behind."""
    sides = torch.stack([(log - _shifted(log, by, axis)).abs() for axis in (0, 1) for by in (-1, 1)])
    return torch.minimum(sides[:2].amin(0).maximum(sides[2:].amin(0)), torch.tensor(_MOST_ACROSS))


def _farthest(log: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Of each pixel and its neighbours."""
    padded = torch.cat([log[:, -1:], log, log[:, :1]], 1)
    return F.max_pool2d(padded[None], 3, 1, (1, 0))[0]


def _sides(log: Float[Tensor, "h w"], sky: Bool[Tensor, "h w"]) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Near the jumps of log distance: what hides something, and what goes on behind it. None of it is sky.

    What hides fades from 1 at the edge to 0 at _REACH.
    """
    rows, columns = log.shape
    around = torch.arange(-columns // 2, columns + columns // 2) % columns  # so that the seam is no border
    jump, level = _jumps(log, sky)
    if not bool(jump.any()):
        return torch.zeros_like(log), jump
    far = ~jump[:, around].numpy()
    nearest, apart = np.empty((2, *far.shape), np.int32), np.empty(far.shape)
    distance_transform_edt(far, return_indices=True, distances=apart, indices=nearest)
    middle = slice(columns // 2, columns // 2 + columns)
    away = torch.from_numpy(apart[:, middle]).to(log) * math.pi / rows
    here = level[:, around][nearest[0], nearest[1]][:, middle]
    near = (1 - away / _REACH).clamp(min=0)
    hides = torch.where(~sky & (log < here), near.square() * (3 - 2 * near), 0.0)
    return hides, ~sky & (log >= here) & (away < _BAND)


def _jumps(log: Float[Tensor, "h w"], sky: Bool[Tensor, "h w"]) -> tuple[Bool[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Pixels between whose neighbours, along rows or columns, distance jumps; and log distance half-way."""
    found, level = torch.zeros_like(sky), torch.zeros_like(log)
    for axis in (0, 1):
        before, after = (_shifted(log, by, axis) for by in (-1, 1))
        step = (after - before).abs()
        beside = torch.maximum((before - _shifted(log, -3, axis)).abs(), (_shifted(log, 3, axis) - after).abs())
        solid = ~(sky | _shifted(sky, -1, axis) | _shifted(sky, 1, axis))
        jump = solid & (step > _JUMP) & (step > _STEEPER * beside)
        level = torch.where(jump, (before + after) / 2, level)
        found |= jump
    return found, level


def _shifted(image: Tensor, by: int, axis: int) -> Tensor:
    """The pixel `by` farther along an axis; columns wrap, rows end."""
    if axis == 1:
        return image.roll(-by, 1)
    at = (torch.arange(len(image)) + by).clamp(0, len(image) - 1)
    return image[at]
