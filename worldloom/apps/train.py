"""`worldloom train`: the driving half's networks from clips of towns, stoppable at any time."""

import hashlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from torch import nn

from worldloom.errors import InputError
from worldloom.occupancy.static_tokenizer import StaticTokenizerConfig
from worldloom.occupancy.traffic import TrafficConfig
from worldloom.occupancy.training.card import training_card
from worldloom.occupancy.training.loop import Schedule
from worldloom.occupancy.training.prepare import prepare_clip
from worldloom.occupancy.training.train_static import StaticTraining, train_static
from worldloom.occupancy.training.train_traffic import TrafficTraining, train_traffic
from worldloom.ops import save_weights

WEIGHTS = "weights"
_LIMITS = (
    "Trained on procedural towns alone; on recordings of real streets it has not been measured. "
    "It completes what it has not seen by what is usual there, and does not know what is."
)


@dataclass(frozen=True)
class Preset:
    """Sizes and schedules of both networks."""

    static: StaticTokenizerConfig
    static_training: StaticTraining
    traffic: TrafficConfig
    traffic_training: TrafficTraining


PRESETS = {
    "small": Preset(
        StaticTokenizerConfig(),
        StaticTraining(Schedule(12000, learning_rate=8e-4, check_every=1000, ema=0.999), crops=2),
        TrafficConfig(blocks=4, max_users=24),
        TrafficTraining(Schedule(12000, learning_rate=5e-4, check_every=1000, ema=0.999), batch=8),
    ),
    "base": Preset(
        StaticTokenizerConfig((128, 256, 512, 768), encoder_blocks=2, decoder_blocks=3),
        StaticTraining(Schedule(200000, learning_rate=3e-4, check_every=5000, warm_up=2000, ema=0.9999), crops=4),
        TrafficConfig(512, 12, 64, map_width=256),
        TrafficTraining(Schedule(300000, learning_rate=3e-4, check_every=5000, warm_up=2000, ema=0.9999), batch=32),
    ),
}


def train_part(
    part: str, data: Path, out: Path, validation: Path | None = None, preset: str = "small", steps: int | None = None
) -> Path:
    """Train "tokenizer" or "worldmodel" on a folder of driving clips; the folder of the weights.

    OUT/examples holds what was prepared of the clips, OUT/checkpoint.pt and OUT/log.jsonl the run, OUT/weights the
    result. The same call goes on where an interrupted one stopped.

    Args:
        data: a folder of `worldloom synth clips`.
        validation: another one; every tenth town of `data` if not given.
        steps: instead of those of the preset.
    Raises:
        InputError: no clips, an unknown preset, a folder of another run.
    """
    if preset not in PRESETS:
        raise InputError(f"expected a preset {', '.join(PRESETS)}, got {preset!r}")
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    clips = _clips_of(data)
    towns = sorted({clip.parent for clip in clips})
    if validation is None:
        if len(towns) < 2:
            raise InputError(f"{data}: expected clips of at least 2 towns (some to check with), got {len(towns)}")
        held = set(towns[9::10] or towns[-1:])
        checked = [clip for clip in clips if clip.parent in held]
        clips = [clip for clip in clips if clip.parent not in held]
    else:
        checked = _clips_of(validation)
    console = Console(stderr=True)
    learned = _prepared(clips, data, out / "examples" / "train", console)
    tested = _prepared(checked, validation or data, out / "examples" / "check", console)
    chosen = PRESETS[preset]

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    model, config, schedule = _trained(part, chosen, learned, tested, out, steps, tell)
    argv = ["worldloom", "train", part, "--data", str(data), "--preset", preset, "--out", str(out)]
    argv += ["--validation", str(validation)] if validation else []
    argv += ["--steps", str(steps)] if steps else []
    digest = hashlib.sha256()
    for file in learned:
        digest.update(file.read_bytes())
    card = training_card(
        f"worldloom {part}, {preset}", _WHAT[part], f"{len(clips)} clips, sha256 {digest.hexdigest()[:16]}",
        shlex.join(argv), out, {**asdict(config), "parameters": _size(model), "seed": schedule.seed}, _LIMITS,
    )  # fmt: skip
    save_weights(out / WEIGHTS, model, config, card)
    return out / WEIGHTS


_WHAT = {
    "tokenizer": "Packs the static world around a drive into a few codes, and completes what was not seen of it.",
    "worldmodel": "Draws how the ego and other road users move on, and says how likely the ego's path ends badly.",
}


def _trained(
    part: str,
    preset: Preset,
    learned: list[Path],
    tested: list[Path],
    out: Path,
    steps: int | None,
    tell: Callable[[str], None],
) -> tuple[nn.Module, StaticTokenizerConfig | TrafficConfig, Schedule]:
    def ending(files: list[Path], kind: str) -> list[Path]:
        return [file for file in files if file.name.endswith(f".{kind}.npz")]

    if part == "tokenizer":
        training = preset.static_training
        training = StaticTraining(_shortened(training.schedule, steps), training.crops, training.columns)
        model = train_static(
            ending(learned, "static"), ending(tested, "static"), out, preset.static, training, tell
        )  # fmt: skip
        return model, preset.static, training.schedule
    if part == "worldmodel":
        wanted = preset.traffic_training
        schedule = _shortened(wanted.schedule, steps)
        training = TrafficTraining(
            schedule, wanted.batch, wanted.context_noise, wanted.motion_weight, wanted.risk_weight
        )
        model = train_traffic(
            ending(learned, "traffic"), ending(tested, "traffic"), out, preset.traffic, training, tell
        )
        return model, preset.traffic, schedule
    raise InputError(f"expected tokenizer or worldmodel to train, got {part!r}")


def _clips_of(folder: Path) -> list[Path]:
    clips = sorted(folder.rglob("scene-*.npz")) if folder.is_dir() else []
    if not clips:
        raise InputError(f"{folder}: expected a folder of driving clips (worldloom synth clips), got none")
    return clips


def _prepared(clips: list[Path], root: Path, out: Path, console: Console) -> list[Path]:
    """Examples of each clip, made once."""
    columns = (bars.TextColumn("  examples"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(clips))
        for clip in clips:
            prepare_clip(clip, out / clip.relative_to(root).with_suffix(""))
            bar.advance(task)
    return sorted(out.rglob("*.npz"))


def _shortened(schedule: Schedule, steps: int | None) -> Schedule:
    if steps is None:
        return schedule
    fields = asdict(schedule) | {"steps": steps, "warm_up": min(schedule.warm_up, max(1, steps // 5))}
    return Schedule(**fields)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def make_clips(out: Path, *, seeds: str, scenes: int, alternatives: int, num_workers: int | None) -> None:
    """Driving clips of the towns of seeds "first:end" below OUT; what is there already is not made again.

    Raises:
        InputError: seeds or numbers that cannot be.
    """
    from worldloom.apps.synth import check_workers
    from worldloom.synth.dataset.training_clips import write_clips

    first, colon, end = seeds.partition(":")
    if not (first.isdigit() and (end.isdigit() or not colon)):
        raise InputError(f"expected --seeds as FIRST:END or one number, got {seeds!r}")
    towns = range(int(first), int(end) if colon else int(first) + 1)
    if not towns:
        raise InputError(f"expected --seeds FIRST:END with FIRST before END, got {seeds!r}")
    made = write_clips(towns, out, scenes, alternatives, num_workers=check_workers(num_workers))
    for number, path in enumerate(made):
        print(f"{path.parent.name} is made, {number + 1} of {len(towns)}", file=sys.stderr)
