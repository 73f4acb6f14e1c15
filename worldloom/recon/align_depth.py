"""Depth that somebody knows up to scale, or up to scale and offset of its inverse, brought to the scale of another."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.errors import InputError

TOLERANCE = 0.05  # relative error in inverse depth of a pixel that an alignment explains
FEWEST = 20  # pixels to align by
MAX_PIXELS = 20_000  # more say no more


@dataclass(frozen=True)
class Alignment:
    """1 / depth = scale / given + offset."""

    scale: float
    offset: float
    inliers: float  # share of the pixels it was fitted to that it explains
    residual: float  # median relative error among the inliers

    def __call__(self, depth: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The depth aligned; what it puts at infinity or behind the camera becomes infinite."""
        inverse = self.scale / depth + self.offset
        return torch.where(inverse > 0, 1 / inverse.clamp(min=1e-12), torch.inf)


def align(
    depth: Float[Tensor, "*batch"],
    known: Float[Tensor, "*batch"],
    valid: Bool[Tensor, "*batch"] | None = None,
    *,
    offset: bool = True,
    tolerance: float = TOLERANCE,
    rounds: int = 256,
    seed: int = 0,
) -> Alignment:
    """Scale and offset in inverse depth that bring `depth` to `known`, by RANSAC (Fischler and Bolles 1981).

    Each round fits a pair of pixels (one, without offset) and counts the pixels whose relative error in inverse depth
    is below `tolerance`; the best round is refined by least squares over its inliers, twice. Networks of relative depth
    need the offset; depth cameras do not.

    Raises:
        InputError: shapes differ, or fewer than 20 pixels are finite, positive and valid in both.
    """
    if depth.shape != known.shape or (valid is not None and valid.shape != depth.shape):
        raise InputError(f"expected depths of one shape to align, got {tuple(depth.shape)} and {tuple(known.shape)}")
    use = depth.isfinite() & known.isfinite() & (depth > 0) & (known > 0)
    use = use if valid is None else use & valid
    if int(use.sum()) < FEWEST:
        raise InputError(f"expected at least {FEWEST} pixels with both depths to align by, got {int(use.sum())}")
    x, y = 1 / depth[use].double(), 1 / known[use].double()
    dice = torch.Generator().manual_seed(seed)
    if len(x) > MAX_PIXELS:
        some = torch.randperm(len(x), generator=dice)[:MAX_PIXELS]
        x, y = x[some], y[some]
    first, second = torch.randint(len(x), (2, rounds), generator=dice)
    if offset:
        run = x[second] - x[first]
        apart = run.abs() > 1e-6 * x.abs().median()
        scales = torch.where(apart, (y[second] - y[first]) / torch.where(apart, run, 1), 0)
        offsets = y[first] - scales * x[first]
        # Also without an offset, for where all lies at one depth no pair tells one.
        scales = torch.cat([scales, y[first] / x[first]])
        offsets = torch.cat([offsets, torch.zeros(rounds, dtype=x.dtype)])
    else:
        scales, offsets = y[first] / x[first], torch.zeros(rounds, dtype=x.dtype)
    votes = torch.stack(
        [
            ((s * x + o - y).abs() < tolerance * y).sum() if s > 0 else torch.tensor(0)
            for s, o in zip(scales, offsets, strict=True)
        ]
    )
    best = int(votes.argmax())
    scale, shift = float(scales[best]), float(offsets[best])
    for _ in range(2):
        near = (scale * x + shift - y).abs() < tolerance * y
        if int(near.sum()) < 2:
            break
        # Relative errors count: a row is divided by what it should give.
        rows = torch.stack([x[near], torch.ones_like(x[near])], 1)[:, : 1 + offset] / y[near, None]
        found = torch.linalg.lstsq(rows, torch.ones(len(rows), 1, dtype=x.dtype)).solution[:, 0].tolist()
        if found[0] <= 0:
            break
        scale, shift = found[0], found[1] if offset else 0.0
    error = (scale * x + shift - y).abs() / y
    near = error < tolerance
    return Alignment(
        scale, shift, float(near.double().mean()), float(error[near].median()) if bool(near.any()) else torch.inf
    )
