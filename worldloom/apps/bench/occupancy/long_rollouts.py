"""What becomes of a world in 64 seconds: places seen again, classes that fade, and when the lead is gone.

The ego drives a logged way out and, backwards, home again, twice: so it comes back to every place with the same view.
"""

from collections.abc import Sequence

import torch

from worldloom.apps.bench.result import Row
from worldloom.geometry import EgoPath, Occupancy
from worldloom.occupancy.forecast import copy_warp
from worldloom.occupancy.metrics import (
    STATIC,
    SemanticScore,
    class_volume_ratio,
    half_life,
    revisit_agreement,
    revisits,
    score_forecast,
)
from worldloom.occupancy.world_model import WorldModel, joined
from worldloom.synth.dataset.clips import DrivingClip

_PAST = 5
_FRAMES = 128
_LEG = 32  # frames of the way out
_FAR = 25.0  # metres; shorter ways have no place that is left and seen again
_COUNTED = 500  # voxels of a class below which its share says nothing


def rollout_rows(logged: Sequence[DrivingClip], model: WorldModel, quick: bool) -> list[Row]:
    """Agreement of revisited places, the worst class volume, and the half-life of the forecast's lead."""
    clips = [clip.occupancy for clip in logged if len(clip.occupancy) >= _PAST + _LEG]
    return [*_revisit_rows(clips[: 1 if quick else 3], model), _half_life_row(clips[: 1 if quick else 8], model)]


def _revisit_rows(clips: Sequence[Occupancy], model: WorldModel) -> list[Row]:
    with_memory, without, ratios, pairs = [], [], [], 0
    for clip in clips:
        path = _there_and_back(clip)
        met = revisits(path.world_from_ego, _FAR)
        if not met:
            continue
        pairs += len(met)
        future = model.generate(clip[:_PAST], path).occupancy[0]
        with_memory.append(revisit_agreement(future, met).iou)
        without.append(revisit_agreement(_forgetful(model, clip[:_PAST], path), met).iou)
        lap = 2 * _LEG
        first, last = future[:lap], future[lap:]
        counts = torch.bincount(first.labels.flatten().int(), minlength=len(first.classes))
        many = [label for label in STATIC if int(counts[label]) > _COUNTED * lap]
        ratios.append((class_volume_ratio(last, first).nanmean(0)[many] - 1).abs().max())
    if not with_memory:
        return []
    note = f"{len(with_memory)} ways out and home twice, {_FRAMES} frames, {pairs} revisits"
    agreed = 100 * sum(with_memory) / len(with_memory)
    forgot = {"same model without memory": 100 * sum(without) / len(without)}
    worst = 100 * float(torch.stack(ratios).max())
    return [
        Row(f"revisit_iou_{_FRAMES}", agreed, "%", ">= 95", forgot, note),
        Row(
            "class_volume_drift", worst, "%", "<= 20", {}, f"the worst large static class, second lap to first; {note}"
        ),
    ]


def _there_and_back(clip: Occupancy) -> EgoPath:
    out = clip.world_from_ego[_PAST : _PAST + _LEG]
    lap = torch.cat([out, out.flip(0)])
    return EgoPath(torch.cat([lap] * (_FRAMES // len(lap))), clip.dt)


def _forgetful(model: WorldModel, past: Occupancy, path: EgoPath) -> Occupancy:
    """A roll-out that knows no more than its own last frames."""
    parts = [past]
    generator = torch.Generator().manual_seed(0)
    for first in range(0, len(path), model.chunk):
        state = model.observe(joined(parts)[-_PAST:])
        parts.append(model.step(state, path[first : first + model.chunk], generator)[1].occupancy)
    return joined(parts)[len(past) :]


def _half_life_row(clips: Sequence[Occupancy], model: WorldModel) -> Row:
    """The first frame at which half of the lead over copy + ego-warp is gone."""
    scores: list[SemanticScore] = []
    for answer in (model.generate, copy_warp):
        total: SemanticScore | None = None
        for clip in clips:
            past, truth = clip[:_PAST], clip[_PAST : _PAST + _LEG]
            made = answer(past, EgoPath(truth.world_from_ego, truth.dt))
            score = score_forecast(made if isinstance(made, Occupancy) else made.occupancy[0], truth, "observed")
            total = score if total is None else total + score
        assert total is not None
        scores.append(total)
    life = half_life(scores[0].miou(), scores[1].miou())
    note = f"{life} of {_LEG} frames; {len(clips)} drives; copy + ego-warp is the floor"
    return Row("miou_half_life", life.frame or (0 if life.state == "below floor" else _LEG), "frames", "", {}, note)
