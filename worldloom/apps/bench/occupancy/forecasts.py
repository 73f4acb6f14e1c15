"""What comes in the next seconds: the model beside copies of the past."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from worldloom.apps.bench.occupancy.likeness import TRUTH, likeness_rows
from worldloom.apps.bench.result import Row
from worldloom.geometry import MOVERS, EgoPath, Occupancy
from worldloom.occupancy.data.protocols import PROTOCOLS, windows
from worldloom.occupancy.feature_net import FeatureNet
from worldloom.occupancy.forecast import copy_last, copy_warp
from worldloom.occupancy.metrics import SemanticScore, score_forecast
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.dataset.clips import DrivingClip

GAIN = 5.0  # points of mIoU that a model must be above the warp
_WINDOW_STRIDE = 6  # frames; windows of one drive are alike


Forecast = Callable[[Occupancy, EgoPath], Occupancy]


def forecast_rows(
    drives: Sequence[DrivingClip], model: WorldModel | None, peers: Mapping[str, Forecast], quick: bool
) -> list[Row]:
    """mIoU at 1, 2 and 3 s along the true path, the movers' IoU at 3 s, and how like the truth they are as a set.

    Args:
        peers: published systems by name, whose forecasts are scored beside the model's.
    """
    clips = [drive.occupancy for drive in drives]
    protocol = replace(PROTOCOLS["ours"], stride=12 if quick else _WINDOW_STRIDE)
    cut = windows([len(clip) for clip in clips], protocol)
    scores: dict[str, SemanticScore] = {}
    features: dict[str, list[Tensor]] = {}
    net = FeatureNet.from_pretrained("small")
    for number, start in cut:
        past = clips[number][start : start + protocol.history]
        truth = clips[number][start + protocol.history : start + protocol.history + protocol.horizon]
        path = EgoPath(truth.world_from_ego, truth.dt)
        answers: dict[str, Occupancy] = {"copy": copy_last(past, path), "copy + ego-warp": copy_warp(past, path)}
        answers |= {name: forecast(past, path) for name, forecast in peers.items()}
        if model is not None:
            answers["model"] = model.generate(past, path).occupancy[0]
        for name, answer in answers.items():
            score = score_forecast(answer, truth, protocol.score_mask)
            scores[name] = scores[name] + score if name in scores else score
        for name, answer in {TRUTH: truth, **answers}.items():  # each as far as the truth was seen
            features.setdefault(name, []).append(net.features(replace(answer, observed=truth.observed)))
    rows = []
    for horizon in (1, 2, 3):
        miou = {name: 100 * float(score.miou()[2 * horizon - 1]) for name, score in scores.items()}
        goal = f">= {miou['copy + ego-warp'] + GAIN:.4g}"
        rows.append(_row(f"forecast_miou_{horizon}s", miou, "%", goal, str(cut)))
    movers = {name: 100 * float(score.group_iou(MOVERS)[5]) for name, score in scores.items()}
    rows.append(_row("dynamic_iou_3s", movers, "%", f">= {2 * movers['copy + ego-warp']:.4g}", str(cut)))
    sets = {name: torch.stack(windows) for name, windows in features.items()}
    return rows + likeness_rows(sets, f"{len(cut)} windows of {protocol.horizon} frames")


def _row(metric: str, values: Mapping[str, float], unit: str, goal: str, note: str) -> Row:
    """The model's value beside the floors; without a model the best floor is the value and there is no goal."""
    floors = {name: value for name, value in values.items() if name != "model"}
    if "model" in values:
        return Row(metric, values["model"], unit, goal, floors, note)
    return Row(metric, floors.pop("copy + ego-warp"), unit, "", floors, f"no weights: copy + ego-warp; {note}")
