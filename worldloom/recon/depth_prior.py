"""Depth that the user knows, brought to the scale of the cameras and joined with what stereo finds."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.recon.align_depth import FEWEST, TOLERANCE, Alignment, align
from worldloom.recon.depth_splats import SURE
from worldloom.recon.photo_depth import PhotoDepth

ENOUGH = 0.5  # share of the sure pixels that an alignment must explain
EXACT = 0.01  # median relative error below which a prior is better than stereo everywhere
FILL = 0.4  # confidence of a prior that explains all, where stereo is not sure


@dataclass(frozen=True)
class Joined:
    """Depth with a prior in it, and how the prior fitted."""

    depth: PhotoDepth
    alignments: tuple[Alignment | None, ...]  # of each photo; None where there was no prior or it did not fit
    common: bool  # one scale did for most photos


def join_prior(found: PhotoDepth, prior: Float[Tensor, "v h w"]) -> Joined:
    """Depth where stereo is sure, and the prior's elsewhere; an exact prior's everywhere.

    First one scale is tried for all photos, as of a depth camera or a metric network. A photo where that does not
    explain what stereo is sure about gets its own scale and offset in inverse depth.

    Args:
        prior: at the size of `found`; NaN where unknown, in any unit.
    Raises:
        InputError: another shape, or a prior that fits none of the photos.
    """
    if prior.shape != found.depth.shape:
        raise InputError(f"expected depths {tuple(found.depth.shape)}, got {tuple(prior.shape)}")
    sure = (found.confidence > SURE) & ~found.far
    given = prior.isfinite() & (prior > 0)
    if not bool(given.any()):
        raise InputError("expected depths above 0, got none")
    one = _try(prior, found.depth, sure & given, offset=False)
    fits = []
    for i in range(len(found)):
        known = prior[i], found.depth[i], (sure & given)[i]
        if not bool(given[i].any()):
            fits.append(None)
        elif one is not None and _holds(one, *known):
            fits.append(one)
        else:
            fits.append(_try(*known, offset=True))
    if not any(fits):
        raise InputError("expected depths that fit the photos up to scale and offset, got none that do")
    depth, confidence, far = found.depth.clone(), found.confidence.clone(), found.far.clone()
    for i, fit in enumerate(fits):
        if fit is not None:
            aligned = fit(prior[i])
            use = given[i] & aligned.isfinite() & (~sure[i] if fit.residual > EXACT else torch.ones_like(sure[i]))
            trust = fit.inliers if fit.residual <= EXACT else FILL * fit.inliers
            depth[i] = torch.where(use, aligned, depth[i])
            confidence[i] = torch.where(use, confidence[i].clamp(min=trust), confidence[i])
            far[i] &= ~use
    joined = replace(found, depth=depth, confidence=confidence, far=far)
    return Joined(joined, tuple(fits), one is not None)


def _try(prior: Tensor, known: Tensor, valid: Tensor, offset: bool) -> Alignment | None:
    if int(valid.sum()) < FEWEST:
        return None
    found = align(prior, known, valid, offset=offset)
    return found if found.inliers >= ENOUGH else None


def _holds(one: Alignment, prior: Tensor, known: Tensor, valid: Tensor) -> bool:
    """Whether the scale of all photos explains this one, too; there is no saying where stereo is hardly sure."""
    if int(valid.sum()) < FEWEST:
        return True
    return float(((known[valid] / one(prior[valid]) - 1).abs() < TOLERANCE).float().mean()) >= ENOUGH
