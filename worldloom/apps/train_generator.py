"""`worldloom train panorama` and `detail`: the networks that make panoramas of texts and photos."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from torch import nn

from worldloom.apps.train_depth import panorama_data, split_panoramas
from worldloom.errors import InputError, MissingExtra
from worldloom.ops import save_weights
from worldloom.ops.training import Schedule, shortened
from worldloom.ops.training_card import training_card
from worldloom.recon.perceptual_distance import PerceptualDistance
from worldloom.scenegen.completion.detail_network import DetailConfig
from worldloom.scenegen.completion.network import CompletionConfig
from worldloom.scenegen.training.train_completion import CompletionTraining, train_completion
from worldloom.scenegen.training.train_detail import DetailTraining, train_detail

_LIMITS = {
    "panorama": "It sees and makes 128x64 pixels: layout, colours and light of a place, and things as blobs. It has "
    "seen procedural rooms, streets, courtyards and fields alone: no people up close, no writing, no named places.",
    "detail": "It sharpens outlines and draws some texture; it does not know what it draws.",
}
_WHAT = {
    "panorama": "From a photo, words, or any part of a panorama to all of a small panorama.",
    "detail": "From a small panorama to one of four times as many rows.",
}


@dataclass(frozen=True)
class GeneratorPreset:
    """Sizes and schedules."""

    panorama: CompletionConfig
    panorama_training: CompletionTraining
    detail: DetailConfig
    detail_training: DetailTraining


PRESETS = {
    "tiny": GeneratorPreset(
        CompletionConfig(16, 1, 64, 16, 1),
        CompletionTraining(Schedule(6, warm_up=2, log_every=2, check_every=4), batch=2),
        DetailConfig(16, 1, 8, 1),
        DetailTraining(Schedule(6, warm_up=2, log_every=2, check_every=4), batch=1),
    ),
    "small": GeneratorPreset(
        CompletionConfig(),
        CompletionTraining(Schedule(10_000, 8e-4, 200, 0.3, check_every=250, ema=0.998)),
        DetailConfig(),
        DetailTraining(Schedule(2000, 1e-3, 50, 0.3, check_every=250, ema=0.995)),
    ),
    "base": GeneratorPreset(
        CompletionConfig(256, 4, 768, 256, 24),
        CompletionTraining(Schedule(500_000, 2e-4, 5000, 0.3, log_every=500, check_every=5000, ema=0.9999), batch=256),
        DetailConfig(128, 16, 64, 6),
        DetailTraining(Schedule(200_000, 3e-4, 1000, 0.3, log_every=500, check_every=5000, ema=0.9999), batch=16),
    ),
}


def train_generator(
    part: str, data: Path, out: Path, validation: Path | None = None, preset: str = "small", steps: int | None = None
) -> Path:
    """Train `panorama` or `detail` on a folder of panoramas; the folder of its weights, OUT/PART.

    With both, OUT is a generator for `PanoramaGenerator.from_pretrained`. OUT/runs/PART holds the run: the same call
    goes on where an interrupted one stopped.

    Args:
        data: a folder of `worldloom synth panoramas`.
        validation: another one; every tenth world of `data` if not given.
        steps: instead of those of the preset.
    Raises:
        InputError: no panoramas, an unknown preset, a folder of another run.
    """
    if preset not in PRESETS:
        raise InputError(f"expected a preset {', '.join(PRESETS)}, got {preset!r}")
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    chosen = PRESETS[preset]
    learned, checked = split_panoramas(data, validation)
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    run = out / "runs" / part
    config, model, training = _trained(part, chosen, (learned, checked), run, steps, tell)
    argv = ["worldloom", "train", part, "--data", str(data), "--preset", preset, "--out", str(out)]
    for name, value in (("validation", validation), ("steps", steps)):
        argv += [f"--{name}", str(value)] if value else []
    facts = {
        **asdict(config), "parameters": sum(p.numel() for p in model.parameters()), "batch": training.batch,
        "seed": training.schedule.seed,
    }  # fmt: skip
    card = training_card(
        f"worldloom {part}, {preset}", _WHAT[part], panorama_data(learned), shlex.join(argv), run, facts, _LIMITS[part]
    )
    save_weights(out / part, model.bfloat16(), config, card)  # half the size; loaders widen them
    return out / part


def _trained(
    part: str,
    preset: GeneratorPreset,
    files: tuple[Sequence[tuple[Path, int]], Sequence[tuple[Path, int]]],
    run: Path,
    steps: int | None,
    tell: Callable[[str], None],
) -> tuple[CompletionConfig | DetailConfig, nn.Module, CompletionTraining | DetailTraining]:
    learned, checked = files
    if part == "panorama":
        training = replace(preset.panorama_training, schedule=shortened(preset.panorama_training.schedule, steps))
        return preset.panorama, train_completion(learned, checked, run, preset.panorama, training, tell), training
    training = replace(preset.detail_training, schedule=shortened(preset.detail_training.schedule, steps))
    try:
        looks = PerceptualDistance.from_package()
    except MissingExtra as missing:
        tell(f"{missing}; without it pictures come out a little softer")
        looks = None
    return preset.detail, train_detail(learned, checked, run, preset.detail, training, looks, tell), training
