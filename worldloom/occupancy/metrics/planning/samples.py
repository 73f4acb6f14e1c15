"""Many futures of one past: how likely contact is, how near the best is, and how likely what happened was."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def collision_probability(collided: Bool[Tensor, "*batch k"]) -> Float[Tensor, "*batch"]:
    """Share of K futures with a contact; print K beside it."""
    return collided.double().mean(-1)


def min_ade(futures: Float[Tensor, "k t 2"], truth: Float[Tensor, "t 2"]) -> float:
    """minADE_K: the mean distance of the best of K; it falls with K, so K is printed beside it."""
    return (futures.double() - truth.double()).norm(dim=-1).mean(-1).min().item()


def histogram_log_likelihood(
    samples: Float[Tensor, "k n"], truth: Float[Tensor, " n"], low: float, high: float, bins: int = 20
) -> float:
    """Mean log-likelihood of truth's features under histograms of K samples each (as WOSAC's), with one added count.

    Values outside low..high fall into the outer bins.

    Raises:
        ValueError: no sample, or low not below high.
    """
    if len(samples) < 1 or not low < high:
        raise ValueError(f"a histogram needs a sample and low < high, got {len(samples)}, {low:g} and {high:g}")

    def cell(x: Tensor) -> Tensor:
        return ((x.double() - low) / (high - low) * bins).floor().clamp(0, bins - 1).long()

    counts = torch.nn.functional.one_hot(cell(samples), bins).sum(0).double() + 1 / bins
    p = counts / counts.sum(-1, keepdim=True)
    likelihood = p.gather(-1, cell(truth)[:, None])
    return likelihood.log().mean().item() if len(truth) else math.nan
