"""How far a test on voxels agrees with the same test on boxes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

QUANTISATION = 0.28  # metres: half the diagonal of a 0.4 m cell, what a grid cannot tell apart


@dataclass(frozen=True)
class Agreement:
    """A test against its exact counterpart; NaN where there is nothing to divide by."""

    precision: float
    recall: float
    kappa: float  # Cohen's: 1 agrees always, 0 as often as chance
    n: int


def agreement_of(reported: Bool[Tensor, " n"], exact: Bool[Tensor, " n"]) -> Agreement:
    """kappa = (p_o - p_e) / (1 - p_e), p_e the agreement of two coins with the same shares of heads."""
    n = len(exact)
    if n == 0:
        return Agreement(math.nan, math.nan, math.nan, 0)
    both = int((reported & exact).sum())
    said, true = int(reported.sum()), int(exact.sum())
    observed = float((reported == exact).double().mean())
    chance = (said * true + (n - said) * (n - true)) / n**2
    return Agreement(
        both / said if said else math.nan,
        both / true if true else math.nan,
        (observed - chance) / (1 - chance) if chance < 1 else math.nan,
        n,
    )


def agreement_by(
    reported: Bool[Tensor, " n"], exact: Bool[Tensor, " n"], groups: Sequence[str]
) -> Mapping[str, Agreement]:
    """The same for each group: a class of what was met, or a bin of clearance."""
    names = sorted(set(groups))
    chosen = {name: torch.tensor([group == name for group in groups]) for name in names}
    return {name: agreement_of(reported[mask], exact[mask]) for name, mask in chosen.items()}


def choose_tau(contact: Float[Tensor, " n"], exact: Bool[Tensor, " n"]) -> float:
    """The share of a footprint above which contact counts, by the largest kappa on a calibration split.

    Of equal ones the middle: between the shares that the split has seen. It is frozen after that.

    Raises:
        ValueError: only one outcome in the split, which calibrates nothing.
    """
    if exact.all() or not exact.any():
        raise ValueError("a calibration split needs paths with a contact and paths without")
    values = contact.double().unique()
    candidates = torch.cat([values.new_zeros(1), (values[1:] + values[:-1]) / 2])
    kappas = torch.tensor([agreement_of(contact > tau, exact).kappa for tau in candidates], dtype=torch.float64)
    best = (kappas == kappas.nan_to_num(-1).max()).nonzero().flatten()
    return float(candidates[best[len(best) // 2]])
