"""Distances between sets of frozen features, under names of our own: their extractor is not the published one."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Kernel = Literal["cubic", "linear"]


@dataclass(frozen=True)
class Projection:
    """The leading principal directions of a set of features, to be fitted on training truth alone."""

    mean: Float[Tensor, " d"]
    directions: Float[Tensor, "d k"]

    def __call__(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Coordinates along the directions, float64."""
        return (features.double() - self.mean) @ self.directions


def fit_projection(features: Float[Tensor, "n d"], size: int) -> Projection:
    """The `size` directions of largest variance; signs are fixed so that equal data give equal directions.

    Raises:
        ValueError: size not in 1..d.
    """
    if not 1 <= size <= features.shape[1]:
        raise ValueError(f"expected 1 to {features.shape[1]} directions, got {size}")
    mean, covariance = _moments(features)
    _, vectors = torch.linalg.eigh(covariance)
    leading = vectors[:, -size:].flip(1)
    largest = leading.gather(0, leading.abs().argmax(0, keepdim=True))
    return Projection(mean, leading * largest.sign())


def f3d_wl(generated: Float[Tensor, "n d"], truth: Float[Tensor, "m d"]) -> float:
    """F3D-wl, the Fréchet distance of two Gaussians fitted to features.

    |mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), square roots by symmetric eigendecomposition in float64.
    Biased in n: compare at equal n only, beside `split_floor`.

    Raises:
        ValueError: fewer than 2 d rows in either (reduce by `fit_projection` first), or different d.
    """
    _check(generated, truth)
    d = truth.shape[1]
    if min(len(generated), len(truth)) < 2 * d:
        raise ValueError(
            f"covariances of {d} features need {2 * d} rows in each set, got {len(generated)} and {len(truth)}; "
            "reduce them by fit_projection"
        )
    (mu1, S1), (mu2, S2) = _moments(generated), _moments(truth)
    values, vectors = torch.linalg.eigh(S1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ S2 @ root).clamp(min=0).sqrt().sum()
    return float((mu1 - mu2).square().sum() + S1.trace() + S2.trace() - 2 * cross)


def mmd_wl(generated: Float[Tensor, "n d"], truth: Float[Tensor, "m d"], kernel: Kernel = "cubic") -> float:
    """MMD-wl, the squared maximum mean discrepancy.

    cubic: unbiased, mean_{i /= j} k(x_i, x_j) + mean_{i /= j} k(y_i, y_j) - 2 mean k(x_i, y_j) with
    k(x, y) = (x y / d + 1)^3. It may be negative. linear: the biased form of COME's code, equal to |mu1 - mu2|^2, which
    does not see spread; for comparison only.

    Raises:
        ValueError: fewer than two rows, or different d.
    """
    _check(generated, truth)
    x, y = generated.double(), truth.double()
    if kernel == "linear":
        return float((x.mean(0) - y.mean(0)).square().sum())
    if min(len(x), len(y)) < 2:
        raise ValueError(f"an unbiased estimate needs two rows in each set, got {len(x)} and {len(y)}")

    def k(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        gram = k(a, a)
        return (gram.sum() - gram.trace()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * k(x, y).mean())


def split_halves(features: Float[Tensor, "n d"], seed: int) -> tuple[Float[Tensor, "h d"], Float[Tensor, "h d"]]:
    """Two disjoint random halves of truth: a distance between them is the floor of that distance at n / 2."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    half = len(features) // 2
    return features[order[:half]], features[order[half : 2 * half]]


@dataclass(frozen=True)
class Consistency:
    """Temporal consistency beside that of truth; a frozen clip scores 1, so that only the gap ranks."""

    generated: float
    truth: float

    @property
    def gap(self) -> float:
        """|TC - TC_truth|."""
        return abs(self.generated - self.truth)


def temporal_consistency(features: Float[Tensor, "*batch t d"]) -> float:
    """TC = mean over t >= 1 of (cos(f_t, f_{t-1}) + cos(f_t, f_0)) / 2; NaN for a single frame."""
    f = F.normalize(features.double(), dim=-1)
    if f.shape[-2] < 2:
        return math.nan
    previous = (f[..., 1:, :] * f[..., :-1, :]).sum(-1)
    first = (f[..., 1:, :] * f[..., :1, :]).sum(-1)
    return ((previous + first) / 2).mean().item()


def _moments(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    x = features.double()
    centred = x - x.mean(0)
    return x.mean(0), centred.mT @ centred / max(len(x) - 1, 1)


def _check(one: Float[Tensor, "n d"], other: Float[Tensor, "m e"]) -> None:
    if one.shape[1] != other.shape[1] or not len(one) or not len(other):
        raise ValueError(f"feature sets need rows of one length, got {tuple(one.shape)} and {tuple(other.shape)}")
    if not (one.isfinite().all() and other.isfinite().all()):
        raise ValueError("features must be finite")
