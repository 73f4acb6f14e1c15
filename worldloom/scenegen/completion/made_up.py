"""A whole panorama from a photo, from words, or from both."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.push_pull import filled_from_around
from worldloom.scenegen.completion.panorama_generator import MADE_ROWS, PanoramaGenerator, joined
from worldloom.scenegen.completion.photo_view import PhotoView, panorama_of_photo
from worldloom.scenegen.words import Words

_COLUMNS = 8  # of a panorama whose colours are filled in


def made_up(
    generator: PanoramaGenerator | None,
    photo: Float[Tensor, "3 h w"] | None,
    view: PhotoView | None,
    words: Words,
    rows: int,
    seed: int,
    progress: Callable[[float], None],
) -> Float[Tensor, "3 h2 w2"]:
    """Made up at the rows that the network knows, and joined with the photo at those that are asked for.

    Without a generator it is filled in from around the photo.

    Args:
        photo, view: both or none; without them all of it is made up.
    Raises:
        ValueError: neither a generator nor a photo.
    """
    if generator is None:
        if photo is None or view is None:
            raise ValueError("expected a generator, a photo with its view, or both, got neither")
        return _filled(*panorama_of_photo(photo, view, rows))
    rgb = torch.zeros(3, MADE_ROWS, 2 * MADE_ROWS)
    known = torch.zeros(MADE_ROWS, 2 * MADE_ROWS, dtype=torch.bool)
    if photo is not None and view is not None:
        rgb, known = panorama_of_photo(photo, view, MADE_ROWS)
    made = generator.complete(rgb, known, words, seed, progress=progress)
    if rows == MADE_ROWS:
        return made
    made = F.interpolate(made[None], (rows, 2 * rows), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    if photo is None or view is None:
        return made
    return joined(*panorama_of_photo(photo, view, rows), made)


def _filled(rgb: Float[Tensor, "3 h w"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Colours from around, from beside rather than from above: what is as high looks more alike."""
    rows, columns = known.shape
    weight = F.adaptive_avg_pool2d(known[None].float(), (rows, _COLUMNS))
    narrow = F.adaptive_avg_pool2d((rgb * known)[None], (rows, _COLUMNS))[0] / weight.clamp(min=1e-6)
    # Halved time and again, rows must still part at the horizon: else sky and ground are mixed where neither is known.
    above = ((1 << (rows - 1).bit_length()) - rows) // 2
    below = (1 << (rows - 1).bit_length()) - rows - above
    seen = F.pad(weight[0] > 0, (0, 0, above, below))
    narrow = filled_from_around(F.pad(narrow * (weight > 0), (0, 0, above, below)), seen)[:, above : above + rows]
    beside = torch.cat([narrow[..., -1:], narrow, narrow[..., :1]], -1)
    wide = -(-columns // _COLUMNS)  # that many columns each, at least
    made = F.interpolate(beside[None], (rows, beside.shape[-1] * wide), mode="bilinear", align_corners=False)
    made = F.interpolate(made[..., wide:-wide], (rows, columns), mode="bilinear", align_corners=False)
    return joined(rgb, known, made[0])
