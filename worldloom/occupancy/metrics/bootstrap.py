"""How sure a number is: intervals resampled over scenes, never over frames, which are not independent."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

Scene = TypeVar("Scene")


class Interval(NamedTuple):
    """The middle 95 % of a bootstrap distribution."""

    low: float
    high: float


def bootstrap(
    scenes: Sequence[Scene],
    statistic: Callable[[Sequence[Scene]], float],
    seed: int,
    num_resamples: int = 1000,
) -> Interval:
    """95 % percentile interval of a statistic of scenes, drawn with replacement (Efron 1979).

    Args:
        scenes: what the statistic pools: counts of each scene, not its frames.
        statistic: of a list of scenes as long as the given one; NaN results are left out.
    Returns:
        NaN limits for fewer than two scenes: one scene says nothing about others.
    Raises:
        ValueError: no scene at all.
    """
    if not scenes:
        raise ValueError("a number over no scene is no number")
    if len(scenes) < 2:
        return Interval(math.nan, math.nan)
    draw = np.random.default_rng(seed)
    picks = draw.integers(0, len(scenes), (num_resamples, len(scenes)))
    values = np.array([statistic([scenes[i] for i in pick]) for pick in picks.tolist()], dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))
