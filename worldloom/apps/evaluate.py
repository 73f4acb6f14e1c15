"""`worldloom evaluate`: forecasts of a data set under a published protocol, beside the floors."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from worldloom.apps.drive import COPY_WARP, best_model
from worldloom.apps.run_folder import Run, open_run
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, EgoPath, Occupancy
from worldloom.geometry.io import save_image
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.occupancy import FREE
from worldloom.occupancy.data.clips import Clip, Mask, open_clips
from worldloom.occupancy.data.protocols import PROTOCOLS, Protocol, each_window, windows
from worldloom.occupancy.forecast import copy_last, copy_warp, steady_path
from worldloom.occupancy.metrics.semantic import REPORTED_SECONDS, Absent, SemanticScore, score_forecast
from worldloom.occupancy.world_model import WorldModel
from worldloom.render.caption import caption, contact_sheet
from worldloom.render.drive_film import FUTURE_COLOUR, PAST_COLOUR, view_from_above

COUNTS = (
    "counts"  # one file of counts for each clip: what an interrupted run has, and what runs on parts can be pooled of
)
_PANEL = 360  # pixels
_Forecast = Callable[[Occupancy, EgoPath | None], Occupancy]  # past, the ego's future if it is told


def evaluate(
    data: Path,
    out: Path,
    *,
    protocol: str = "ours",
    model: str | None = None,
    infos: Path | None = None,
    split: str | None = None,
    scenes: Sequence[str] = (),
    mask: str | None = None,
    absent: str | None = None,
    classes: Sequence[str] = (),
    stride: int | None = None,
    force: bool = False,
    resume: bool = False,
) -> Path:
    """Score a model's forecasts of all windows of a data set's logged drives.

    Writes `report.json` (scores of every method, per horizon and class, and the protocol in words), `forecasts.png`
    (the first window) and `counts/`, voxel counts per clip. An interrupted run goes on after the last finished clip.

    Args:
        data: clips of towns, or a nuScenes folder with Occ3D labels in `gts/`.
        protocol: of PROTOCOLS.
        model: weights of the world model, a name or a folder, or COPY_WARP; the embedded ones if not given.
        infos: OccWorld's or OccSora's info pickle, whose scenes are taken; labels are those in DATA.
        split: train or val (and test, of towns); all scenes if not given.
        scenes: names; all if none.
        mask, absent, classes, stride: instead of the protocol's; the report says so.
    Raises:
        InputError: before anything is forecast.
    """
    chosen = _protocol(protocol, mask, absent, classes, stride)
    clips = [clip for clip in open_clips(infos or data, split, chosen.mask, data) if not clip.manoeuvre]
    if missing := sorted({*scenes} - {clip.name for clip in clips}):
        raise InputError(f"{data}: expected scenes of this data set, got {missing[0]!r}")
    clips = [clip for clip in clips if not scenes or clip.name in scenes]
    cut = windows([len(clip) for clip in clips], chosen)
    name = model or best_model()
    forecasts = _forecasts(name, chosen)
    request = {
        "command": "evaluate",
        "data": str(data.resolve()),
        "clips": [[clip.name, len(clip)] for clip in clips],
        "protocol": str(chosen),
        "model": name,
    }
    with open_run(out, request, force=force, resume=resume) as run:
        if run.already_finished:
            return out
        (run.folder / COUNTS).mkdir(exist_ok=True)
        firsts = itertools.accumulate((len(chosen.starts(len(clip))) for clip in clips), initial=0)
        total: dict[str, SemanticScore] = {}
        for number, (clip, first) in enumerate(zip(clips, firsts, strict=False)):
            if number in cut.too_short:
                run.warn(f"{clip.name}: {len(clip)} frames are fewer than the {chosen.span} of a window")
                continue
            file = run.folder / COUNTS / f"{number:04d}.npz"
            with run.stage(clip.name) as todo:
                if todo:
                    scores = _scored(clip, chosen, forecasts, first, run)
                    with atomic_path(file) as temporary:
                        counts = {method: score.confusion.numpy() for method, score in scores.items()}
                        save_npz(temporary, {"dt": np.array(next(iter(scores.values())).dt), **counts})
            for method, score in _counted(file, forecasts, chosen, len(clip)).items():
                total[method] = total[method] + score if method in total else score
        results = {method: score.to_json(chosen.absent, chosen.classes) for method, score in total.items()}
        _print(results, str(cut), run.console)
        run.report({"protocol": str(cut), "ego": _ego_line(chosen), "scores": results})
    return out


def _protocol(name: str, mask: str | None, absent: str | None, classes: Sequence[str], stride: int | None) -> Protocol:
    if name not in PROTOCOLS:
        raise InputError(f"expected a protocol {', '.join(PROTOCOLS)}, got {name!r}")
    changes: dict = {}
    for key, value, kind in (("mask", mask, Mask), ("absent", absent, Absent)):
        if value is not None:
            if value not in get_args(kind):
                raise InputError(f"expected {key} {', '.join(get_args(kind))}, got {value!r}")
            changes[key] = value
    known = OCC3D_CLASSES[:FREE]
    if wrong := [one for one in classes if one not in known]:
        raise InputError(f"expected classes of {', '.join(known)}, got {wrong[0]!r}")
    if classes:
        changes["classes"] = tuple(known.index(one) for one in classes)
    if stride is not None:
        changes["stride"] = stride
    protocol = replace(PROTOCOLS[name], **changes)
    return protocol if protocol == PROTOCOLS[name] else replace(protocol, name=f"{name}, changed")


def _ego_line(protocol: Protocol) -> str:
    if protocol.future_ego == "gt":
        return "the ego's true future poses are given to every method"
    return "no method is told the ego's future: the model draws it, floors go on as in the last step"


def _forecasts(model: str, protocol: Protocol) -> dict[str, _Forecast]:
    """What is scored. Where the ego's future is not told, its path is None."""

    def told(past: Occupancy, path: EgoPath | None) -> EgoPath:
        return steady_path(past, protocol.horizon) if path is None else path

    methods: dict[str, _Forecast] = {}
    if model != COPY_WARP:
        network = WorldModel.from_pretrained(model)

        def generate(past: Occupancy, path: EgoPath | None) -> Occupancy:
            mode = "policy" if path is None else "forward"
            return network.generate(past, path, mode=mode, horizon=protocol.horizon).occupancy[0]

        methods["model"] = generate
    methods["copy_warp"] = lambda past, path: copy_warp(past, told(past, path))
    methods["copy_last"] = lambda past, path: copy_last(past, told(past, path))
    return methods


def _scored(
    clip: Clip, protocol: Protocol, forecasts: dict[str, _Forecast], first: int, run: Run
) -> dict[str, SemanticScore]:
    """Counts of all windows of a clip, of which the first is number `first` of all."""
    scores: dict[str, SemanticScore] = {}
    for number, (_, past, truth) in enumerate(each_window([clip], protocol), start=first):
        path = EgoPath(truth.world_from_ego, truth.dt) if protocol.future_ego == "gt" else None
        answers = {name: forecast(past, path) for name, forecast in forecasts.items()}
        for name, answer in answers.items():
            score = score_forecast(replace(answer, dt=truth.dt), truth, protocol.score_mask)
            scores[name] = scores[name] + score if name in scores else score
        if number == 0:
            save_image(run.folder / "forecasts.png", _sheet(past, {"truth": truth, **answers}))
    return scores


def _counted(file: Path, methods: Iterable[str], protocol: Protocol, num_frames: int) -> dict[str, SemanticScore]:
    """The counts that a stage has left of a clip."""
    counts = load_npz(file, {"dt": "float64", **dict.fromkeys(methods, "int64 t c c")})
    dt, many = float(counts["dt"]), len(protocol.starts(num_frames))
    return {
        method: SemanticScore(torch.from_numpy(counts[method]), OCC3D_CLASSES, dt, protocol.score_mask, many)
        for method in methods
    }


def _sheet(past: Occupancy, futures: dict[str, Occupancy]) -> torch.Tensor:
    """A row for each future: the present, and the last frame of each second."""
    per_second = max(1, round(1 / past.dt))
    pictures = []
    for name, future in futures.items():
        both = replace(
            past,
            labels=torch.cat([past.labels, future.labels]),
            observed=torch.cat([past.observed, future.observed]),
            world_from_ego=torch.cat([past.world_from_ego.double(), future.world_from_ego.double()]),
        )
        shown = range(per_second - 1, len(future), per_second)
        moments = [len(past) - 1, *(len(past) + i for i in shown)]
        for moment in moments:
            picture = view_from_above(both, len(past), moment, _PANEL)
            now = moment < len(past)
            ahead = (moment - len(past) + 1) * past.dt
            pictures.append(
                caption(
                    picture, f"{name}, {'now' if now else f'+{ahead:.1f} s'}", PAST_COLOUR if now else FUTURE_COLOUR
                )
            )
    return contact_sheet(pictures, len(pictures) // len(futures))


def _print(results: dict[str, dict], title: str, console: Console) -> None:
    table = Table(title=title)
    table.add_column("method")
    for column in [f"{name} {seconds:g} s" for name in ("mIoU", "IoU") for seconds in REPORTED_SECONDS]:
        table.add_column(column, justify="right")
    for method, result in results.items():
        cells = [result[name][f"{seconds:g}s"] for name in ("miou", "iou") for seconds in REPORTED_SECONDS]
        table.add_row(method, *("–" if cell is None else f"{cell:.2f}" for cell in cells))
    console.print(table)
