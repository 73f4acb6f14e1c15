"""Whether forecasts look like the truth as a set, by features of our own network: see `occupancy/feature_net.py`."""

import sys
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.bench.result import Row
from worldloom.occupancy.metrics import f3d_wl, mmd_wl, split_halves, temporal_consistency

TRUTH = "truth"
_OURS, _FLOOR = "model", "copy + ego-warp"

Features = Float[Tensor, "w t d"]  # of frames of windows


def likeness_rows(features: Mapping[str, Features], note: str) -> list[Row]:
    """F3D-wl, MMD-wl and the gap in temporal consistency.

    The Fréchet distance is biased by the number of frames. So all, with the truth's own floor, are distances of half of
    the windows to the true frames of the other half, the mean of both ways.

    Args:
        features: those of TRUTH, and of each method; the value is the model's, or the copy's where there is none.
    """
    truth = features[TRUTH]
    windows, frames, size = truth.shape
    fewest = 2 * (windows // 2) * frames
    if fewest < 2 * 2 * size:
        needed = f"expected {4 * size} true frames or more in halves of windows"
        print(f"no rows of f3d_wl: {needed}, got {fewest}", file=sys.stderr)
        return []
    note = f"{note}; our own feature net, d = {size}, N = {fewest // 2}; one half to the other half's truth"
    gaps = {name: abs(temporal_consistency(made) - temporal_consistency(truth)) for name, made in features.items()}
    said = f"consistency of truth {temporal_consistency(truth):.4f}; {note.partition(';')[0]}"
    return [
        _row("f3d_wl", {name: _across(f3d_wl, made, truth) for name, made in features.items()}, note),
        _row("mmd_wl", {name: _across(mmd_wl, made, truth) for name, made in features.items()}, note),
        _row("consistency_gap", {name: gap for name, gap in gaps.items() if name != TRUTH}, said),
    ]


def _across(distance: Callable[[Tensor, Tensor], float], made: Features, truth: Features) -> float:
    halves = [part[:, 0].long() for part in split_halves(torch.arange(len(truth)).float()[:, None], seed=0)]
    both = ((made[ones].flatten(0, 1), truth[others].flatten(0, 1)) for ones, others in (halves, halves[::-1]))
    return sum(distance(*pair) for pair in both) / 2


def _row(metric: str, values: Mapping[str, float], note: str) -> Row:
    ours = _OURS if _OURS in values else _FLOOR
    return Row(metric, values[ours], "", baseline={k: v for k, v in values.items() if k != ours}, note=note)
