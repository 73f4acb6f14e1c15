"""Smoothing of path-traced light along surfaces."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """What tells surfaces apart, free of noise."""

    normal: Float[Tensor, "3 h w"]  # unit
    position: Float[Tensor, "3 h w"]  # metres
    found: Bool[Tensor, "h w"]
    roughness: Float[Tensor, "h w"]
    wraps: bool  # the left edge continues the right one


def denoised(
    diffuse: Float[Tensor, "3 h w"],
    gloss: Float[Tensor, "3 h w"],
    variance: Float[Tensor, "h w"],
    features: Features,
    levels: int = 5,
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"]]:
    """Diffuse light and gloss, averaged with what lies on the same surface and differs by no more than the noise.

    An edge-avoiding wavelet transform guided by normals, planes and the variance of the light (Dammertz et al. 2010;
    Schied et al. 2017). Gloss is smoothed the less, the more it is a mirror's.

    Args:
        variance: of the mean of the channels of `diffuse`.
    """
    # Gloss is smoothed along with light, with less and less weight on neighbours as its surface gets smoother.
    image = torch.cat([diffuse, gloss])
    dull = (features.roughness.clamp(0, 1) ** 0.5)[None]
    for k in range(levels):
        image, variance = _level(image, variance, features, dull, 2**k)
    return image[:3], image[3:]


def interpolated(
    diffuse: Float[Tensor, "3 h w"],
    gloss: Float[Tensor, "3 h w"],
    features: Features,
    u: Float[Tensor, " n"],
    v: Float[Tensor, " n"],
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Diffuse light and gloss between the pixels of a picture, from those four around that lie on the same surface.

    Args:
        u: columns of the picture, where pixels have their centres at halves.
        v: rows.
        points: surface points that are seen there, metres.
        normals: theirs.
    """
    height, width = features.found.shape
    i, j = v - 0.5, u - 0.5
    flat = torch.cat([diffuse, gloss]).flatten(1).T
    there, facing, found = features.position.flatten(1).T, features.normal.flatten(1).T, features.found.flatten()
    total, weights = torch.zeros(len(points), 6), torch.zeros(len(points), 1)
    for di in (0, 1):
        for dj in (0, 1):
            row, column = i.floor().long() + di, j.floor().long() + dj
            share = ((1 - (i - row).abs()) * (1 - (j - column).abs())).float()
            column = column % width if features.wraps else column.clamp(0, width - 1)
            at = row.clamp(0, height - 1) * width + column
            # The least weight lets thin things, which no ray of the picture met, take after what is around them.
            alike = same_surface(points, normals, there[at], facing[at], 16) + 1e-4
            weight = ((share + 1e-3) * found[at] * alike)[:, None]
            total += weight * flat[at]
            weights += weight
    light = total / weights.clamp(min=1e-12)
    return light[:, :3], light[:, 3:]


def same_surface(
    points: Float[Tensor, "*#n 3"],
    normals: Float[Tensor, "*#n 3"],
    others: Float[Tensor, "*#n 3"],
    facing: Float[Tensor, "*#n 3"],
    sharpness: int,
) -> Float[Tensor, "*#n"]:
    """How likely points lie on the same surface as others with their own facing: in one plane, with one normal."""
    aside = others - points
    off = (aside * normals).sum(-1).abs() / (0.1 * (aside * aside).sum(-1).sqrt() + 1e-3)
    return (facing * normals).sum(-1).clamp(0, 1) ** sharpness * torch.exp(-off)


def _level(
    image: Float[Tensor, "6 h w"],
    variance: Float[Tensor, "h w"],
    features: Features,
    dull: Float[Tensor, "1 h w"],
    step: int,
) -> tuple[Float[Tensor, "6 h w"], Float[Tensor, "h w"]]:
    height, width = variance.shape
    rows = torch.arange(height)
    columns = torch.arange(width)
    brightness = image[:3].mean(0)
    if step == 1:
        # A pixel as noisy as the first ones are would turn away from all neighbours when bright, and darken the whole.
        brightness = _blurred(brightness, features.wraps)
    deviation = 4 * _blurred(variance, features.wraps).clamp(min=0).sqrt() + 1e-4
    total_weight = torch.full_like(variance, 0.25)
    total = 0.25 * image
    gloss_weight = total_weight.clone()
    total_variance = 0.0625 * variance
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            if not di and not dj:
                continue
            i, j = rows + di * step, columns + dj * step
            inside = (i >= 0) & (i < height)
            across = torch.ones_like(j, dtype=torch.bool) if features.wraps else (j >= 0) & (j < width)
            i, j = i.clamp(0, height - 1), j % width if features.wraps else j.clamp(0, width - 1)

            def there(values: Tensor, i: Tensor = i, j: Tensor = j) -> Tensor:
                return values.index_select(-2, i).index_select(-1, j)

            aside = there(features.position) - features.position
            reach = (aside * aside).sum(0).sqrt()
            off = (aside * features.normal).sum(0).abs() / (0.1 * reach + 1e-3)
            same = (there(features.normal) * features.normal).sum(0).clamp(0, 1) ** 64
            unlike = (there(brightness) - brightness).abs() / deviation
            weight = (0.25 if not di or not dj else 0.125) * 0.5 * same * torch.exp(-off - unlike)
            weight = weight * there(features.found) * inside[:, None] * across
            value = there(image)
            total_weight += weight
            gloss_weight += weight * dull[0]
            total[:3] += weight * value[:3]
            total[3:] += weight * dull * value[3:]
            total_variance += weight**2 * there(variance)
    return torch.cat([total[:3] / total_weight, total[3:] / gloss_weight]), total_variance / total_weight**2


def _blurred(image: Float[Tensor, "h w"], wraps: bool) -> Float[Tensor, "h w"]:
    wide = torch.nn.functional.pad(image[None, None], (1, 1, 0, 0), mode="circular" if wraps else "replicate")
    padded = torch.nn.functional.pad(wide, (0, 0, 1, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 3, 1)[0, 0]


def spread_of(brightness: Float[Tensor, "h w"], features: Features) -> Float[Tensor, "h w"]:
    """Variance of light as its neighbours show it, of which only those that are lit surfaces count."""
    known = features.found.float()
    share = _blurred(known, features.wraps).clamp(min=1e-6)
    mean = _blurred(brightness * known, features.wraps) / share
    return (_blurred(brightness**2 * known, features.wraps) / share - mean**2).clamp(min=0)
