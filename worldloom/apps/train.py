"""`worldloom train`: the driving half's networks from clips of towns or recordings, stoppable at any time."""

import hashlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from torch import nn

from worldloom.errors import InputError
from worldloom.occupancy.codec.prior import CodePriorConfig
from worldloom.occupancy.data.clips import Clip, open_clips
from worldloom.occupancy.feature_net import FeatureNetConfig
from worldloom.occupancy.static_tokenizer import StaticTokenizerConfig
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.occupancy.traffic import TrafficConfig
from worldloom.occupancy.training.prepare import prepare_clip
from worldloom.occupancy.training.train_features import FeatureTraining, train_features
from worldloom.occupancy.training.train_prior import PriorTraining, train_prior
from worldloom.occupancy.training.train_static import StaticTraining, train_static
from worldloom.occupancy.training.train_traffic import TrafficTraining, train_traffic
from worldloom.ops import save_weights, weights_path
from worldloom.ops.training import Schedule, shortened
from worldloom.ops.training_card import training_card
from worldloom.synth.dataset.traffic_log import LOG

_COMPLETED = "It completes what it has not seen by what is usual there, and does not know what is. "
_UNMEASURED = "Trained on {source} alone; on anything else it has not been measured."


@dataclass(frozen=True)
class Preset:
    """Sizes and schedules of all networks."""

    static: StaticTokenizerConfig
    static_training: StaticTraining
    prior: CodePriorConfig
    prior_training: PriorTraining
    traffic: TrafficConfig
    traffic_training: TrafficTraining
    features: FeatureNetConfig
    features_training: FeatureTraining


PRESETS = {
    "small": Preset(
        StaticTokenizerConfig(),
        StaticTraining(Schedule(3600, learning_rate=8e-4, check_every=500, ema=0.998), crops=1),
        CodePriorConfig(),
        PriorTraining(Schedule(2000, learning_rate=2e-3, check_every=500, ema=0.995)),
        TrafficConfig(width=128, blocks=3, max_users=24, map_width=64, context_layers=3),
        TrafficTraining(Schedule(3600, learning_rate=1e-3, cool_down=0.5, check_every=300, ema=0.998)),
        FeatureNetConfig(),
        FeatureTraining(Schedule(1500, learning_rate=2e-3, warm_up=100, check_every=300, ema=0.99)),
    ),
    "base": Preset(
        StaticTokenizerConfig((128, 256, 512, 768), encoder_blocks=2, decoder_blocks=3),
        StaticTraining(Schedule(200000, learning_rate=3e-4, check_every=5000, warm_up=2000, ema=0.9999), crops=4),
        CodePriorConfig(width=256, layers=6),
        PriorTraining(Schedule(50000, check_every=5000, warm_up=1000, ema=0.9999), crops=16),
        TrafficConfig(512, 10, 64, map_width=256, context_layers=8),
        TrafficTraining(Schedule(300000, learning_rate=3e-4, check_every=5000, warm_up=2000, ema=0.9999), batch=32),
        FeatureNetConfig(widths=(64, 128, 256), code_width=64),
        FeatureTraining(Schedule(50000, check_every=5000, warm_up=1000, ema=0.9999), batch=16, columns=200),
    ),
}


@dataclass(frozen=True)
class _Part:
    """One network of the model."""

    folder: str  # of its weights
    examples: str  # the kind of files that it learns from; "" are the clips themselves
    what: str
    limits: str = _COMPLETED


PARTS = {
    "tokenizer": _Part("static", "static", "Packs the static world around a drive, and completes what was not seen."),
    "prior": _Part("prior", "static", "Says which codes of the tokenizer are likely, so that streams get shorter."),
    "worldmodel": _Part(
        "traffic", "traffic", "Draws how the ego and others move on, and says how likely the ego's path ends badly."
    ),
    "feature-net": _Part(
        "features",
        "",
        "Describes frames, so that sets of them can be compared (F3D-wl, MMD-wl).",
        "Distances of other features are other distances: compare those of these very weights only. ",
    ),
}


@dataclass(frozen=True)
class _Material:
    """What a network learns from, and is checked with."""

    clips: list[Clip]
    checked: list[Clip]
    learned: list[Path]  # examples made of the clips
    tested: list[Path]
    logs: list[Path]  # of traffic

    @property
    def files(self) -> list[Path]:
        """All that decides what is learned."""
        if self.learned:
            return [*self.learned, *self.logs]
        return [file for clip in self.clips for file in clip.files or (clip.path,) if file is not None]


def train_part(
    part: str, data: Path, out: Path, validation: Path | None = None, preset: str = "small", steps: int | None = None
) -> Path:
    """Train one of PARTS on a folder of driving clips; the folder of its weights.

    OUT becomes a model that `WorldModel.from_pretrained` and `worldloom drive --model` take once the tokenizer and the
    world model are in it. OUT/examples holds what was prepared of the clips, OUT/runs/PART the run. The same call goes
    on where an interrupted one stopped.

    Args:
        data: a folder of `worldloom synth clips`, or a nuScenes folder with Occ3D labels in `gts/`.
        validation: another one; if not given the split `val` of recordings that have one, else every tenth town.
        steps: instead of those of the preset.
    Raises:
        InputError: no clips, an unknown part or preset, a folder of another run, a prior without its tokenizer.
    """
    if part not in PARTS:
        raise InputError(f"expected {', '.join(PARTS)} to train, got {part!r}")
    if preset not in PRESETS:
        raise InputError(f"expected a preset {', '.join(PRESETS)}, got {preset!r}")
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    if part == "prior":
        weights_path("worldloom.occupancy", out, "static")  # what it is the prior of
    clips, checked = split_clips(data, validation)
    console = Console(stderr=True)
    kind = PARTS[part].examples
    learned, tested = (
        prepared(those, out / "examples" / name, console, kind) if kind else []
        for those, name in ((clips, "train"), (checked, "check"))
    )
    material = _Material(clips, checked, learned, tested, logs_beside(data, checked) if part == "worldmodel" else [])

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    model, config, schedule = _trained(part, PRESETS[preset], material, out, steps, tell)
    argv = ["worldloom", "train", part, "--data", str(data), "--preset", preset, "--out", str(out)]
    argv += ["--validation", str(validation)] if validation else []
    argv += ["--steps", str(steps)] if steps else []
    digest = hashlib.sha256()
    for file in material.files:
        digest.update(file.read_bytes())
    logs = f"{len(material.logs)} logs of traffic, " if part == "worldmodel" else ""
    data_line = f"{len(clips)} clips, {logs}sha256 {digest.hexdigest()[:16]}"
    card = training_card(
        f"worldloom {part}, {preset}",
        PARTS[part].what,
        data_line,
        shlex.join(argv),
        run_folder(out, part),
        {**asdict(config), "parameters": _size(model), "seed": schedule.seed},
        PARTS[part].limits + _UNMEASURED.format(source="recordings" if clips[0].path is None else "procedural towns"),
    )
    save_weights(out / PARTS[part].folder, model.bfloat16(), config, card)  # half the size; loaders widen them
    return out / PARTS[part].folder


def run_folder(out: Path, part: str) -> Path:
    """Where the checkpoint and the log of a part are."""
    return out / "runs" / part


def _trained(
    part: str, preset: Preset, material: _Material, out: Path, steps: int | None, tell: Callable[[str], None]
) -> tuple[nn.Module, StaticTokenizerConfig | CodePriorConfig | TrafficConfig | FeatureNetConfig, Schedule]:
    learned, tested, run = material.learned, material.tested, run_folder(out, part)
    if part == "tokenizer":
        training = replace(preset.static_training, schedule=shortened(preset.static_training.schedule, steps))
        return train_static(learned, tested, run, preset.static, training, tell), preset.static, training.schedule
    if part == "prior":
        training = replace(preset.prior_training, schedule=shortened(preset.prior_training.schedule, steps))
        static = Tokenizer.from_pretrained(out).static
        config = replace(preset.prior, coarse=static.config.coarse, fine=static.config.fine)
        return train_prior(static, learned, tested, run, config, training, tell), config, training.schedule
    if part == "feature-net":
        training = replace(preset.features_training, schedule=shortened(preset.features_training.schedule, steps))
        model = train_features(material.clips, material.checked, run, preset.features, training, tell)
        return model, preset.features, training.schedule
    training = replace(preset.traffic_training, schedule=shortened(preset.traffic_training.schedule, steps))
    model = train_traffic(learned, tested, run, preset.traffic, training, tell, material.logs)
    return model, preset.traffic, training.schedule


def split_clips(data: Path, validation: Path | None) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from, and those to check with: another folder's, the split val, or every tenth town."""
    clips = open_clips(data)
    if validation is not None:
        return list(clips), list(open_clips(validation))
    splits = {clip.split for clip in clips}
    if clips[0].path is None and {"train", "val"} <= splits:  # recordings, whose publisher has split them
        return [c for c in clips if c.split == "train"], [c for c in clips if c.split == "val"]
    places = sorted({_place(clip) for clip in clips})
    if len(places) < 2:
        raise InputError(f"{data}: expected clips of at least 2 towns (some to check with), got {len(places)}")
    held = set(places[9::10] or places[-1:])
    return [clip for clip in clips if _place(clip) not in held], [clip for clip in clips if _place(clip) in held]


def _place(clip: Clip) -> str:
    """The town of a clip; a recorded scene is a place of its own."""
    return clip.name.partition("/")[0]


def logs_beside(data: Path, checked: list[Clip]) -> list[Path]:
    """Logs of traffic below a folder of clips, but for those of towns to check with."""
    held = {clip.path.parent for clip in checked if clip.path is not None}
    return sorted(log for log in data.rglob(LOG) if log.parent not in held)


def prepared(clips: list[Clip], out: Path, console: Console, kind: str) -> list[Path]:
    """Examples of each clip, made once; those of a kind."""
    columns = (bars.TextColumn("  examples"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(clips))
        for clip in clips:
            prepare_clip(clip, out / clip.name)
            bar.advance(task)
    return sorted(out.rglob(f"*.{kind}.npz"))


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def make_clips(
    out: Path, *, seeds: str, scenes: int, alternatives: int, log_seconds: float | int, num_workers: int | None
) -> None:
    """Driving clips of the towns of seeds "first:end" below OUT; what is there already is not made again.

    Raises:
        InputError: seeds or numbers that cannot be; see also `write_clips`.
    """
    from worldloom.apps.synth import check_workers, collecting
    from worldloom.synth.dataset.training_clips import write_clips

    first, colon, end = seeds.partition(":")
    if not (first.isdigit() and (end.isdigit() or not colon)):
        raise InputError(f"expected --seeds as FIRST:END or one number, got {seeds!r}")
    towns = range(int(first), int(end) if colon else int(first) + 1)
    if not towns:
        raise InputError(f"expected --seeds FIRST:END with FIRST before END, got {seeds!r}")
    workers = check_workers(num_workers)
    made = write_clips(towns, out, scenes, alternatives, log_seconds=log_seconds, num_workers=workers)
    with collecting():
        for number, path in enumerate(made):
            print(f"{path.parent.name} is made, {number + 1} of {len(towns)}", file=sys.stderr)
