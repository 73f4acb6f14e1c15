"""Whether a model knows what is dangerous: ranking, calibration, and success that it only imagines."""

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


def auroc(score: Float[Tensor, " n"], event: Bool[Tensor, " n"]) -> float:
    """Chance that an event scores above a non-event, ties half (Mann-Whitney U); NaN where one of both is absent."""
    positive, negative = int(event.sum()), int((~event).sum())
    if not positive or not negative:
        return math.nan
    _, place, counts = score.double().unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[place].double()  # equal scores share their mean rank
    return ((ranks[event].sum() - positive * (positive + 1) / 2) / (positive * negative)).item()


def expected_calibration_error(probability: Float[Tensor, " n"], event: Bool[Tensor, " n"], bins: int = 15) -> float:
    """ECE = sum_b n_b / n |mean probability - share of events| over bins of equal mass; NaN on nothing.

    Equal probabilities may fall into two bins, which equal masses need; their order there is that of the input.
    """
    if len(probability) == 0:
        return math.nan
    order = probability.double().argsort(stable=True)
    p, y = probability.double()[order], event.double()[order]
    parts = zip(p.tensor_split(bins), y.tensor_split(bins), strict=True)
    return sum(abs(a.mean() - b.mean()).item() * len(a) for a, b in parts if len(a)) / len(p)


@dataclass(frozen=True)
class RiskScore:
    """What a model reports on paths whose true outcome is known; NaN where there is nothing to divide by."""

    base_rate: float  # share of paths with a true contact: what all else is stated beside
    hallucinated: float  # P(model reports none | contact): success that it only imagines
    false_alarm: float  # P(model reports one | none)
    auroc: float
    ece: float
    num_paths: int


def score_risk(probability: Float[Tensor, " n"], contact: Bool[Tensor, " n"], threshold: float = 0.5) -> RiskScore:
    """Score reports of contact; a report is a probability of at least `threshold`.

    The collision head and footprint overlap in the generated grid are two models: score both, print both.

    Raises:
        ValueError: probabilities outside [0, 1], or NaN.
    """
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities of contact must lie in [0, 1]")
    reported = probability >= threshold
    return RiskScore(
        _share(contact),
        _share(~reported[contact]),
        _share(reported[~contact]),
        auroc(probability, contact),
        expected_calibration_error(probability, contact),
        len(contact),
    )


def wrong_path_honesty(reported: Bool[Tensor, " n"], wrong: Bool[Tensor, " n"]) -> float:
    """Share of wrong paths (contact or off-road in the true world) that the model reports; NaN without any."""
    return _share(reported[wrong])


def _share(of: Bool[Tensor, " n"]) -> float:
    return of.double().mean().item() if len(of) else math.nan
