"""What a clip is worth in bits: reconstruction at three rates, beside lossless packing."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
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
        score: SemanticScore | None = None
        rare: RareScore | None = None
        kbit, seconds = [], []
        for clip in clips[: 1 if quick else None]:
            began = time.process_time()
            stream = tokenizer.encode(clip, budget)
            back = tokenizer.decode(stream)
            seconds.append(time.process_time() - began)
            kbit.append(stream.kbit)
            one, few = score_forecast(back, clip, "observed"), score_rare(back, clip, "observed", SMALL)
            score, rare = one if score is None else score + one, few if rare is None else rare + few
        assert score is not None
        assert rare is not None
        note = f"{len(kbit)} drives of {_FRAMES} frames, {statistics.mean(kbit):.1f} kbit, observed voxels"
        classes = {OCC3D_CLASSES[label]: 100 * rare.iou(label) for label in SMALL}
        pooled = score.pooled()
        rows += [
            Row(f"recon_miou_{name}", 100 * pooled.miou().item(), "%", f">= {miou_goal}", {}, note),
            Row(f"recon_iou_{name}", 100 * pooled.group_iou(range(FREE)).item(), "%", f">= {iou_goal}", {}, note),
            Row(f"recon_vru_min_{name}", 100 * rare.worst(SMALL), "%", f">= {WORST_GOAL}", _told(classes), note),
        ]
        if name == "22k":
            note = f"a clip of {_FRAMES} frames at {budget} kbit"
            rows.append(Row("encode_decode_s", statistics.median(seconds), "s of CPU", "<= 3", {}, note))
    if occsora is not None:
        rows += _occsora_rows(clips[: 1 if quick else None], occsora)
    return [*rows, _lossless_row(clips)]


def _occsora_rows(clips: Sequence[Occupancy], tokenizer: OccSoraTokenizer) -> list[Row]:
    """OccSora's tokenizer, trained on the same kind of towns, on the same clips."""
    score: SemanticScore | None = None
    rare: RareScore | None = None
    kbit = []
    for clip in clips:
        code = tokenizer.encode(clip)
        kbit.append(code.bits / 1000)
        back = replace(clip, labels=tokenizer.decode(code))
        one, few = score_forecast(back, clip, "observed"), score_rare(back, clip, "observed", SMALL)
        score, rare = one if score is None else score + one, few if rare is None else rare + few
    assert score is not None
    assert rare is not None
    note = f"OccSora's tokenizer, narrower; {len(kbit)} drives of {_FRAMES} frames, {statistics.mean(kbit):.1f} kbit"
    classes = {OCC3D_CLASSES[label]: 100 * rare.iou(label) for label in SMALL}
    pooled = score.pooled()
    return [
        Row("occsora_miou", 100 * pooled.miou().item(), "%", "", {}, note),
        Row("occsora_iou", 100 * pooled.group_iou(range(FREE)).item(), "%", "", {}, note),
        Row("occsora_vru_min", 100 * rare.worst(SMALL), "%", "", _told(classes), note),
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
    rows = []
    for budget, name, _, _ in RATES[:2]:
        score: SemanticScore | None = None
        kbit = []
        for file in files:
            labels, _, camera = load_occ3d_frame(file)
            frame = Occupancy(labels[None], camera[None], torch.eye(4)[None], OCC3D_GRID, OCC3D_CLASSES, KEYFRAME_DT)
            stream = tokenizer.encode(frame, budget)
            kbit.append(stream.kbit)
            one = score_forecast(tokenizer.decode(stream), frame, "observed").pooled()
            score = one if score is None else score + one
        assert score is not None
        note = f"{len(files)} recorded label(s), one frame each, {statistics.mean(kbit):.1f} kbit, observed voxels"
        rows += [
            Row(f"genuine_recon_miou_{name}", 100 * score.miou().item(), "%", "", {}, note),
            Row(f"genuine_recon_iou_{name}", 100 * score.group_iou(range(FREE)).item(), "%", "", {}, note),
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
