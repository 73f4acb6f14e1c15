"""Whether two worlds agree on who drives well: policies from the same starts in both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from worldloom.errors import InputError
from worldloom.occupancy.metrics.bootstrap import Interval, bootstrap
from worldloom.occupancy.simulation.policies import MakePolicy, drive
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.town_world import TownStart, TownWorld


@dataclass(frozen=True)
class Comparison:
    """Scores (PDMS) of policies over the same starts in two worlds."""

    model: Mapping[str, tuple[float, ...]]
    truth: Mapping[str, tuple[float, ...]]

    def correlation(self) -> float:
        """Spearman's rank correlation of the policies' mean scores; NaN where one world finds all equal."""
        table = self._table()
        return rank_correlation(table[0].mean(1), table[1].mean(1))

    def interval(self, seed: int = 0) -> Interval:
        """95 % of it, the starts drawn anew: policies share them, and they are what chance decides."""
        table = self._table()
        columns = [table[:, :, i] for i in range(table.shape[2])]

        def statistic(chosen: Sequence[Float[np.ndarray, "two p"]]) -> float:
            model, truth = np.mean(chosen, axis=0)
            return rank_correlation(model, truth)

        return bootstrap(columns, statistic, seed)

    def _table(self) -> Float[np.ndarray, "two p s"]:
        return np.array([[side[name] for name in self.truth] for side in (self.model, self.truth)], np.float64)


def compare_worlds(
    model: Simulation[Any, Any],
    truth: Simulation[Any, Any],
    starts: Sequence[TownStart],
    policies: Mapping[str, MakePolicy],
    seconds: float,
) -> Comparison:
    """Drive every policy from every start in both worlds; the model begins with what sensors saw.

    Raises:
        InputError: no starts or fewer than two policies; or `truth` is not of a `TownWorld`.
    """
    world = truth.world
    if not isinstance(world, TownWorld) or not starts or len(policies) < 2:
        raise InputError(
            f"expected a town's world, starts and at least two policies, got {type(world).__name__}, {len(starts)} and "
            f"{len(policies)}"
        )
    scores: dict[str, dict[str, list[float]]] = {side: {name: [] for name in policies} for side in ("model", "truth")}
    for number, start in enumerate(starts):
        seen = world.as_sensed(start)
        for name, make in policies.items():
            for side, simulation, begin in (("truth", truth, start), ("model", model, seen)):
                end = drive(simulation, begin, make(), seconds, seed=number)
                scores[side][name].append(simulation.metrics(end, seconds)["pdms"])
    return Comparison(*({name: tuple(rows) for name, rows in scores[side].items()} for side in ("model", "truth")))


def rank_correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Spearman's: Pearson's of ranks, equal values sharing their mean rank; NaN where all are equal."""
    ranks = [_ranks(values) for values in (a, b)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(np.stack(ranks))[0, 1])


def _ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
