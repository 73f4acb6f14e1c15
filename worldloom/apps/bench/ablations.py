"""What each part of the driving half is worth: the same without it, trained for the same few steps."""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from worldloom.apps.bench.result import Row
from worldloom.apps.train import PRESETS, logs_beside, prepared
from worldloom.errors import InputError
from worldloom.geometry import MOVERS, EgoPath, Occupancy
from worldloom.occupancy.data.clips import Clip, open_clips
from worldloom.occupancy.data.protocols import PROTOCOLS, windows
from worldloom.occupancy.metrics import SemanticScore, score_forecast
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.traffic import TrafficConfig
from worldloom.occupancy.training.static_examples import load_static_scene
from worldloom.occupancy.training.traffic_examples import TrafficExamples, concatenated
from worldloom.occupancy.training.train_features import train_features, validate_features
from worldloom.occupancy.training.train_static import StaticTraining, train_static, validate_static
from worldloom.occupancy.training.train_traffic import TrafficTraining, train_traffic, validate_traffic
from worldloom.occupancy.world_model import WorldModel
from worldloom.ops.training import shortened

ALL = "all of it"
_TRAFFIC_STEPS, _STATIC_STEPS, _FRAME_STEPS = 400, 300, 400
_SEEDS = 3

# Of the traffic network: its size and its training.
_TRAFFIC: dict[str, Callable[[TrafficConfig, TrafficTraining], tuple[TrafficConfig, TrafficTraining]]] = {
    ALL: lambda config, training: (config, training),
    "path as one vector": lambda config, training: (replace(config, path_by_frame=False), training),
    "no context noise": lambda config, training: (config, replace(training, context_noise=0.0)),
    "no counterfactual drives": lambda config, training: (config, replace(training, counterfactual=False)),
}
_STATIC: dict[str, bool] = {ALL: True, "no class weights": False}


def run(quick: bool, data: Path | None = None) -> list[Row]:
    """Rows of what can be left out without training; with towns also of what has to be trained without it.

    Args:
        data: a folder with `train` and `val`, of `worldloom synth clips` both. DATA/ablations gets the runs, and the
            same call goes on where an interrupted one stopped.
    """
    if data is None:
        raise InputError("expected --data TOWNS, a folder with train and val of `worldloom synth clips`")
    learned, checked = list(open_clips(data / "train")), list(open_clips(data / "val"))
    logged = [clip for clip in checked if not clip.manoeuvre]
    rows = forecast_rows([clip.load() for clip in logged[: 1 if quick else None]])
    out, console = data / "ablations", Console(stderr=True)
    traffic, static = (
        [
            prepared(clips, out / "examples" / name, console, kind)
            for clips, name in ((learned, "train"), (checked, "val"))
        ]
        for kind in ("traffic", "static")
    )
    logs = logs_beside(data / "train", [])
    towns = f"{len({clip.name.partition('/')[0] for clip in learned})} towns"
    runs = out / ("quick" if quick else "runs")
    rows += _traffic_rows(learned, traffic, logs, runs, 2 if quick else _TRAFFIC_STEPS, 1 if quick else _SEEDS, towns)
    rows += _static_rows(static, runs, 2 if quick else _STATIC_STEPS, towns)
    return rows + _wavelet_rows(learned, logged, runs, 2 if quick else _FRAME_STEPS, towns)


def forecast_rows(clips: Sequence[Occupancy]) -> list[Row]:
    """Forecasts at 3 s by the package's weights, whole and with parts of the model left out."""
    model, protocol = WorldModel.from_pretrained("small"), PROTOCOLS["ours"]
    scores: dict[str, SemanticScore] = {}
    for number, start in windows([len(clip) for clip in clips], replace(protocol, stride=6)):
        past = clips[number][start : start + protocol.history]
        truth = clips[number][start + protocol.history : start + protocol.history + protocol.horizon]
        for name, answer in _without(model, past, EgoPath(truth.world_from_ego, truth.dt)).items():
            score = score_forecast(answer, truth, protocol.score_mask)
            scores[name] = scores[name] + score if name in scores else score
    note = f"{len(clips)} drives of towns kept for choosing; weights of the package, nothing trained anew"
    miou = {name: 100 * float(score.miou()[5]) for name, score in scores.items()}
    movers = {name: 100 * float(score.group_iou(MOVERS)[5]) for name, score in scores.items()}
    return [_row("ablation_forecast_miou_3s", miou, "%", note), _row("ablation_dynamic_iou_3s", movers, "%", note)]


def _without(model: WorldModel, past: Occupancy, path: EgoPath) -> dict[str, Occupancy]:
    """Forecasts of the whole model, and of what is left of it."""
    state, frames = model.observe(past), len(path)

    def forecast(of: Occupancy, along: EgoPath) -> Occupancy:
        return model.generate(of, along).occupancy[0]

    # As if the ego had not moved: voxels of all frames in one frame, which is the ego's.
    unmoved = replace(past, world_from_ego=past.world_from_ego[-1:].expand_as(past.world_from_ego))
    there = EgoPath(past.world_from_ego[-1:].to(path.world_from_ego).expand(frames, 4, 4), path.dt)
    parts = {
        "no dynamic stream": replace(state, tracks=()),
        "no memory": replace(state, static=StaticMap.of(past[-1:])),
    }
    answers = {ALL: forecast(past, path)}
    for name, part in parts.items():
        answers[name] = model.generate_from(part, path, frames=frames).occupancy[0]
    answers["no anchoring in the world"] = replace(forecast(unmoved, there), world_from_ego=path.world_from_ego)
    return answers


def _traffic_rows(
    clips: Sequence[Clip], made: Sequence[list[Path]], logs: Sequence[Path], out: Path, steps: int, seeds: int,
    towns: str,
) -> list[Row]:  # fmt: skip
    files, tests = made
    preset = PRESETS["small"]
    driven = {clip.name for clip in clips if not clip.manoeuvre}
    examples = concatenated([TrafficExamples.load(path) for path in tests])
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in _TRAFFIC}
    for seed in range(seeds):
        for name, change in _TRAFFIC.items():
            schedule = replace(shortened(preset.traffic_training.schedule, steps), seed=seed)
            config, training = change(preset.traffic, replace(preset.traffic_training, schedule=schedule))
            shown = files if training.counterfactual else [path for path in files if _name(path) in driven]
            run = out / f"traffic-{name.replace(' ', '-')}-{seed}"
            net = train_traffic(shown, tests, run, config, training, _tell(run.name), logs)
            found[name].append(validate_traffic(net, examples))
    note = f"{seeds} seeds of {steps} steps each on {towns}; judged on towns kept for choosing; standard deviations: "
    rows = []
    for metric, figure, unit in (
        ("ablation_error_3s", "model_3s", "m"),
        ("ablation_collision_auroc", "collision_auroc", ""),
        ("ablation_off_road_auroc", "off_road_auroc", ""),
    ):
        if not all(figure in one for each in found.values() for one in each):
            continue  # nobody collides, or leaves the road, in these towns
        values = {name: [one[figure] for one in each] for name, each in found.items()}
        spread = ", ".join(f"{name} {statistics.pstdev(each):.2g}" for name, each in values.items())
        means = {name: statistics.fmean(each) for name, each in values.items()}
        rows.append(_row(metric, means, unit, note + spread))
    return rows


def _static_rows(made: Sequence[list[Path]], out: Path, steps: int, towns: str) -> list[Row]:
    files, tests = made
    preset = PRESETS["small"]
    scenes = [load_static_scene(path) for path in tests]
    found = {}
    for name, weighted in _STATIC.items():
        schedule = shortened(preset.static_training.schedule, steps)
        training: StaticTraining = replace(preset.static_training, schedule=schedule, class_weights=weighted)
        run = out / f"static-{name.replace(' ', '-')}"
        net = train_static(files, tests, run, preset.static, training, _tell(run.name))
        found[name] = validate_static(net, scenes, training.columns)
    note = f"one seed of {steps} steps on {towns}; crops of towns kept for choosing"
    return [
        _row(f"ablation_static_{figure}", {name: one[figure] for name, one in found.items()}, "%", note)
        for figure in ("fine_miou", "complete_miou", "complete_iou")
        if all(math.isfinite(one[figure]) for one in found.values())
    ]


def _wavelet_rows(learned: list[Clip], checked: list[Clip], out: Path, steps: int, towns: str) -> list[Row]:
    """Frames packed and unpacked by the feature net, as it is and with wavelets outermost: codes of one size."""
    preset = PRESETS["small"]
    schedule = shortened(preset.features_training.schedule, steps)
    found = {}
    for name, wavelet in ((ALL, False), ("Haar wavelets outermost", True)):
        run = out / f"frames-{name.replace(' ', '-')}"
        training = replace(preset.features_training, schedule=schedule)
        net = train_features(
            learned, checked, run, replace(preset.features, wavelet=wavelet), training, _tell(run.name)
        )
        found[name] = validate_features(net, checked)["val_miou"]
    return [_row("ablation_frame_miou", found, "%", f"one seed of {steps} steps on {towns}; towns kept for choosing")]


def _row(metric: str, values: Mapping[str, float], unit: str, note: str) -> Row:
    return Row(metric, values[ALL], unit, baseline={k: v for k, v in values.items() if k != ALL}, note=note)


def _name(path: Path) -> str:
    """Of the clip that an example was made of."""
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


def _tell(run: str) -> Callable[[str], None]:
    return lambda line: print(f"{run}  {line}", file=sys.stderr)
