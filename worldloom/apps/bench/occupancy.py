"""The driving half on towns that no network has seen: forecasts beside their floors, codes beside lossless ones."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from worldloom.apps.bench.result import Row
from worldloom.errors import InputError
from worldloom.geometry import MOVERS, EgoPath, Occupancy
from worldloom.occupancy.data.protocols import PROTOCOLS, windows
from worldloom.occupancy.data.splits import TOWN_SPLITS
from worldloom.occupancy.forecast import copy_last, copy_warp
from worldloom.occupancy.metrics import SemanticScore, lossless_bits, score_forecast
from worldloom.occupancy.metrics.following import follow
from worldloom.occupancy.metrics.measured_path import measured_path
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.dataset.clips import load_driving_clip
from worldloom.synth.dataset.training_clips import write_clips

GAIN = 5.0  # points of mIoU that a model must be above the warp
_WINDOW_STRIDE = 6  # frames; windows of one drive are alike


def run(quick: bool) -> list[Row]:
    """Forecasts at 1, 2 and 3 s, following, speed, and the lossless floor of codes."""
    with tempfile.TemporaryDirectory() as folder:
        clips = test_clips(Path(folder), num_towns=1 if quick else 4, num_scenes=1 if quick else 2)
    model = _model()
    return [*_forecast_rows(clips, model, quick), *_following_rows(clips, model, quick), _lossless_row(clips)]


def test_clips(folder: Path, num_towns: int, num_scenes: int) -> list[Occupancy]:
    """Drives through the first test towns."""
    towns = TOWN_SPLITS["test"][:num_towns]
    for _ in write_clips(towns, folder, num_scenes, num_alternatives=0):
        pass
    return [load_driving_clip(path).occupancy for path in sorted(folder.rglob("scene-*.npz"))]


def _model() -> WorldModel | None:
    """The embedded model; None where the package has no weights yet, and only floors are printed."""
    try:
        return WorldModel.from_pretrained("small")
    except InputError:
        return None


def _forecast_rows(clips: list[Occupancy], model: WorldModel | None, quick: bool) -> list[Row]:
    protocol = replace(PROTOCOLS["ours"], stride=12 if quick else _WINDOW_STRIDE)
    cut = windows([len(clip) for clip in clips], protocol)
    scores: dict[str, SemanticScore] = {}
    seconds, frames = [], 0
    for number, start in cut:
        past = clips[number][start : start + protocol.history]
        truth = clips[number][start + protocol.history : start + protocol.history + protocol.horizon]
        path = EgoPath(truth.world_from_ego, truth.dt)
        answers = {"copy": copy_last(past, path), "copy + ego-warp": copy_warp(past, path)}
        if model is not None:
            began = time.process_time()
            answers["model"] = model.generate(past, path, seed=number).occupancy[0]
            seconds.append(time.process_time() - began)
            frames += len(truth)
        for name, answer in answers.items():
            score = score_forecast(answer, truth, protocol.score_mask)
            scores[name] = scores[name] + score if name in scores else score
    rows = []
    for horizon in (1, 2, 3):
        miou = {name: 100 * float(score.miou()[2 * horizon - 1]) for name, score in scores.items()}
        goal = f">= {miou['copy + ego-warp'] + GAIN:.4g}"
        rows.append(_row(f"forecast_miou_{horizon}s", miou, "%", goal, str(cut)))
    movers = {name: 100 * float(score.group_iou(MOVERS)[5]) for name, score in scores.items()}
    rows.append(_row("dynamic_iou_3s", movers, "%", f">= {2 * movers['copy + ego-warp']:.4g}", str(cut)))
    if seconds:
        rows.append(
            Row("frames_per_s", frames / sum(seconds), "1/s of CPU", ">= 10", {}, "one future, voxels drawn; 2 steps")
        )
    return rows


def _row(metric: str, values: Mapping[str, float], unit: str, goal: str, note: str) -> Row:
    """The model's value beside the floors; without a model the best floor is the value and there is no goal."""
    floors = {name: value for name, value in values.items() if name != "model"}
    if "model" in values:
        return Row(metric, values["model"], unit, goal, floors, note)
    return Row(metric, floors.pop("copy + ego-warp"), unit, "", floors, f"no weights: copy + ego-warp; {note}")


def _following_rows(clips: list[Occupancy], model: WorldModel | None, quick: bool) -> list[Row]:
    """ADE over 8 s between the commanded path and the one that registration finds in the voxels."""
    floor, ours = [], []
    for clip in clips[: 1 if quick else None]:
        past, truth = clip[:5], clip[5:21]
        path = EgoPath(truth.world_from_ego, truth.dt)
        start = path.world_from_ego[:1].double().inverse()
        commanded = EgoPath(start @ path.world_from_ego.double(), path.dt)
        found = measured_path(truth)
        if not found.headline:
            continue
        floor.append(follow(found.path, commanded).ade)
        if model is not None:
            ours.append(follow(measured_path(model.generate(past, path).occupancy[0]).path, commanded).ade)
    if not floor:
        return []
    base, note = statistics.mean(floor), f"{len(floor)} drives of 8 s; registration of all labels"
    rows = [Row("follow_floor_8s", base, "m", "", {}, f"the truth, by the same registration; {note}")]
    if ours:
        rows.insert(0, Row("follow_ade_8s", statistics.mean(ours), "m", f"<= {2 * base:.4g}", {"truth": base}, note))
    return rows


def _lossless_row(clips: list[Occupancy]) -> Row:
    """xz of 32 frames as they are: what a lossy code has to undercut."""
    kbit = [
        lossless_bits(torch.where(clip.observed[:32], clip.labels[:32], torch.tensor(17, dtype=torch.uint8))) / 1000
        for clip in clips
    ]
    return Row(
        "lossless_kbit", statistics.mean(kbit), "kbit", "", {}, f"xz, observed labels of 32 frames, {len(kbit)} drives"
    )
