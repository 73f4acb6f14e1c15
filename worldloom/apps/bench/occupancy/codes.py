"""What a clip is worth in bits: reconstruction at three rates, beside lossless packing."""

import functools
import math
import operator
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from worldloom.apps.bench.result import Row
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.io.nuscenes import KEYFRAME_DT
from worldloom.geometry.io.occ3d import load_occ3d_frame
from worldloom.occupancy.baselines import OccSoraTokenizer
from worldloom.occupancy.metrics import SMALL, SemanticScore, lossless_bits, score_forecast
from worldloom.occupancy.metrics.rare import RareScore, score_rare
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.synth.dataset.clips import DrivingClip

RATES = ((22.5, "22k", 60, 62), (90.0, "90k", 75, 72), (360.0, "360k", 85, 88))  # kbit, name, goals of mIoU and IoU
WORST_GOAL = 60
_FRAMES = 32


def code_rows(
    drives: Sequence[DrivingClip], tokenizer: Tokenizer | None, occsora: OccSoraTokenizer | None, quick: bool
) -> list[Row]:
    """Reconstruction of 32 frames at each rate, its time, OccSora's tokenizer, and the bits of a lossless packer."""
    clips = [drive.occupancy[:_FRAMES] for drive in drives]
    if tokenizer is None:
        return [_lossless_row(clips)]
    rows = []
    for budget, name, miou_goal, iou_goal in RATES:
        coded = _coded(clips[: 1 if quick else None], _at(tokenizer, budget))
        floor, times = {}, {}
        if name == "22k":
            plain = _coded(clips[: 1 if quick else None], _at(tokenizer, budget, corrected=False))
            floor = {f"without corrections, {plain.kbit:.1f} kbit": 100 * plain.score.miou().item()}
            times = {"without corrections": plain.seconds}
        note = f"{coded.num_clips} drives of {_FRAMES} frames, {coded.kbit:.1f} kbit, observed voxels"
        classes = {OCC3D_CLASSES[label]: 100 * coded.rare.iou(label) for label in SMALL}
        iou = 100 * coded.score.group_iou(range(FREE)).item()
        rows += [
            Row(f"recon_miou_{name}", 100 * coded.score.miou().item(), "%", f">= {miou_goal}", floor, note),
            Row(f"recon_iou_{name}", iou, "%", f">= {iou_goal}", {}, note),
            Row(f"recon_vru_min_{name}", 100 * coded.rare.worst(SMALL), "%", f">= {WORST_GOAL}", _told(classes), note),
        ]
        if name == "22k":
            note = f"a clip of {_FRAMES} frames at {budget} kbit"
            rows.append(Row("encode_decode_s", coded.seconds, "s of CPU", "<= 3", times, note))
    if occsora is not None:
        rows += _occsora_rows(clips[: 1 if quick else None], occsora)
    return [*rows, _lossless_row(clips)]


@dataclass(frozen=True)
class _Coded:
    """What becomes of clips that are written and read again."""

    score: SemanticScore  # of all frames
    rare: RareScore
    kbit: float  # mean
    seconds: float  # of CPU, median
    num_clips: int


def _coded(clips: Sequence[Occupancy], code: Callable[[Occupancy], tuple[Occupancy, float]]) -> _Coded:
    """
    Args:
        code: of a clip, what is read again, and how many kbit were written.
    """
    scores, rare, kbit, seconds = [], [], [], []
    for clip in clips:
        began = time.process_time()
        back, size = code(clip)
        seconds.append(time.process_time() - began)
        kbit.append(size)
        scores.append(score_forecast(back, clip, "observed"))
        rare.append(score_rare(back, clip, "observed", SMALL))
    total, few = functools.reduce(operator.add, scores), functools.reduce(operator.add, rare)
    return _Coded(total.pooled(), few, statistics.mean(kbit), statistics.median(seconds), len(clips))


def _at(tokenizer: Tokenizer, budget: float, corrected: bool = True) -> Callable[[Occupancy], tuple[Occupancy, float]]:
    def code(clip: Occupancy) -> tuple[Occupancy, float]:
        stream = tokenizer.encode(clip, budget, corrected)
        return tokenizer.decode(stream), stream.kbit

    return code


def _occsora_rows(clips: Sequence[Occupancy], tokenizer: OccSoraTokenizer) -> list[Row]:
    """OccSora's tokenizer, trained on the same kind of towns, on the same clips."""

    def code(clip: Occupancy) -> tuple[Occupancy, float]:
        found = tokenizer.encode(clip)
        return replace(clip, labels=tokenizer.decode(found)), found.bits / 1000

    coded = _coded(clips, code)
    note = f"OccSora's tokenizer, narrower; {coded.num_clips} drives of {_FRAMES} frames, {coded.kbit:.1f} kbit"
    classes = {OCC3D_CLASSES[label]: 100 * coded.rare.iou(label) for label in SMALL}
    return [
        Row("occsora_miou", 100 * coded.score.miou().item(), "%", "", {}, note),
        Row("occsora_iou", 100 * coded.score.group_iou(range(FREE)).item(), "%", "", {}, note),
        Row("occsora_vru_min", 100 * coded.rare.worst(SMALL), "%", "", _told(classes), note),
    ]


def genuine_rows(tokenizer: Tokenizer, folder: Path | None) -> list[Row]:
    """The codec on recorded Occ3D labels, each a clip of one frame; nothing where there are none.

    The weights have seen synthetic towns alone, so this is how far they carry.

    Args:
        folder: a nuScenes folder with `gts/`.
    """
    files = [] if folder is None else sorted(folder.glob("gts/*/*/labels.npz"))
    if not files:
        return []
    frames = []
    for file in files:
        labels, _, camera = load_occ3d_frame(file)
        eye = torch.eye(4)[None]
        frames.append(Occupancy(labels[None], camera[None], eye, OCC3D_GRID, OCC3D_CLASSES, KEYFRAME_DT))
    rows = []
    for budget, name, _, _ in RATES[:2]:
        coded = _coded(frames, _at(tokenizer, budget))
        note = f"{len(files)} recorded label(s), one frame each, {coded.kbit:.1f} kbit, observed voxels"
        rows += [
            Row(f"genuine_recon_miou_{name}", 100 * coded.score.miou().item(), "%", "", {}, note),
            Row(f"genuine_recon_iou_{name}", 100 * coded.score.group_iou(range(FREE)).item(), "%", "", {}, note),
        ]
    return rows


def _told(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _lossless_row(clips: Sequence[Occupancy]) -> Row:
    """xz of 32 frames as they are: what a lossy code has to undercut."""
    free = torch.tensor(FREE, dtype=torch.uint8)
    kbit = [lossless_bits(torch.where(clip.observed, clip.labels, free)) / 1000 for clip in clips]
    note = f"xz, observed labels of {_FRAMES} frames, {len(kbit)} drives"
    return Row("lossless_kbit", statistics.mean(kbit), "kbit", "", {}, note)
