"""Whether a world knows who drives well: policies from the same starts in it and in truth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from worldloom.errors import InputError
from worldloom.occupancy.metrics.bootstrap import Interval, bootstrap
from worldloom.occupancy.simulation.policies import MakePolicy, drive
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.town_world import TownStart, TownWorld

SCORES = ("pdms", "no_collision", "driveable", "ttc", "progress_share", "comfort")  # of `Simulation.metrics`


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of p policies from the same s starts in two worlds."""

    policies: tuple[str, ...]
    scores: Mapping[str, Float[np.ndarray, "2 p s"]]  # each of SCORES in the model (0) and in truth (1)

    @staticmethod
    def joined(parts: Sequence["Comparison"]) -> "Comparison":
        """The same policies from more starts."""
        first = parts[0]
        assert all(part.policies == first.policies for part in parts)
        return Comparison(
            first.policies, {score: np.concatenate([part.scores[score] for part in parts], 2) for score in SCORES}
        )

    def means(self, score: str = "pdms") -> Float[np.ndarray, "2 p"]:
        """Of each policy, over the starts."""
        return self.scores[score].mean(2)

    def correlation(self, score: str = "pdms", ranks: bool = False) -> float:
        """Of the policies' mean scores in both worlds: Pearson's, or Spearman's; NaN where one world finds all equal.

        Spearman's is Pearson's of ranks, equal values sharing their mean rank.
        """
        return _correlation(self.means(score), ranks)

    def interval(self, score: str = "pdms", ranks: bool = False, seed: int = 0) -> Interval:
        """95 % of `correlation`, the starts drawn anew: policies share them, and they are what chance decides."""
        columns = list(np.moveaxis(self.scores[score], 2, 0))
        return bootstrap(columns, lambda chosen: _correlation(np.mean(chosen, axis=0), ranks), seed)

    def interval_over_policies(self, score: str = "pdms", ranks: bool = False, seed: int = 0) -> Interval:
        """95 % of `correlation`, the policies drawn anew: how much hangs on which ones were compared."""
        rows = list(self.means(score).T)
        return bootstrap(rows, lambda chosen: _correlation(np.stack(chosen, 1), ranks), seed)


def compare_worlds(
    models: Mapping[str, Simulation[Any, Any]],
    truth: Simulation[Any, Any],
    starts: Sequence[TownStart],
    policies: Mapping[str, MakePolicy],
    seconds: float,
) -> dict[str, Comparison]:
    """Drive every policy from every start in truth and in each model; those begin with what sensors saw.

    Raises:
        InputError: no models, no starts or fewer than two policies; or `truth` is not of a `TownWorld`.
    """
    world = truth.world
    if not isinstance(world, TownWorld) or not models or not starts or len(policies) < 2:
        raise InputError(
            "expected a town's world, models, starts and at least two policies, got "
            f"{type(world).__name__}, {len(models)}, {len(starts)} and {len(policies)}"
        )
    table = {name: np.zeros((len(SCORES), 2, len(policies), len(starts))) for name in models}
    for number, start in enumerate(starts):
        seen = world.as_sensed(start)
        for row, make in enumerate(policies.values()):
            true = _scores(truth, start, make, seconds, number)
            for name, model in models.items():
                table[name][:, 0, row, number] = _scores(model, seen, make, seconds, number)
                table[name][:, 1, row, number] = true
    return {name: Comparison(tuple(policies), dict(zip(SCORES, values, strict=True))) for name, values in table.items()}


def _scores(simulation: Simulation[Any, Any], start: Any, make: MakePolicy, seconds: float, seed: int) -> list[float]:
    metrics = simulation.metrics(drive(simulation, start, make(), seconds, seed), seconds)
    return [metrics[score] for score in SCORES]


def _correlation(means: Float[np.ndarray, "2 p"], ranks: bool) -> float:
    rows = rankdata(means, axis=1) if ranks else means
    return math.nan if (np.ptp(rows, axis=1) < 1e-9).any() else float(np.corrcoef(rows)[0, 1])
