"""`worldloom train occsora-tokenizer`: the published tokenizer that ours is compared with, on the same clips."""

import hashlib
import shlex
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from worldloom.apps.train import split_clips
from worldloom.errors import InputError
from worldloom.occupancy.baselines import OccSoraTokenizerConfig
from worldloom.occupancy.baselines.train_tokenizer import TokenizerTraining, train_occsora_tokenizer
from worldloom.occupancy.data.clips import Clip
from worldloom.ops import save_weights
from worldloom.ops.training import Schedule, shortened
from worldloom.ops.training_card import training_card

# The average forgets within some hundred steps, because codes move; gradients are clipped as OccSora's are.
SCHEDULE = Schedule(5500, 1e-3, 200, clip_norm=35.0, ema=0.99, check_every=500)
_CHECKED = 3  # logged drives to validate with
_LIMITS = "A baseline: narrower than the published network, and trained on procedural towns alone."


def train_occsora(data: Path, out: Path, validation: Path | None = None, steps: int | None = None) -> Path:
    """Train OccSora's tokenizer on a folder of `worldloom synth clips`; the folder of its weights.

    OUT/runs/occsora-tokenizer holds the run: the same call goes on where an interrupted one stopped.

    Args:
        validation: another folder; every tenth town of `data` if not given.
        steps: instead of SCHEDULE's.
    Raises:
        InputError: no clips, clips that are no files of towns, a folder of another run.
    """
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    clips, checked = split_clips(data, validation)
    files, logged = _files(clips, data), _files([clip for clip in checked if not clip.manoeuvre], validation or data)
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    config, training = OccSoraTokenizerConfig(), TokenizerTraining(shortened(SCHEDULE, steps))
    run = out / "runs" / "occsora-tokenizer"
    model = train_occsora_tokenizer(files, logged[:_CHECKED], run, config, training, tell)
    argv = ["worldloom", "train", "occsora-tokenizer", "--data", str(data), "--out", str(out)]
    argv += ["--validation", str(validation)] if validation else []
    argv += ["--steps", str(steps)] if steps else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    card = training_card(
        "worldloom occsora-tokenizer",
        "OccSora's 4D tokenizer (Wang et al. 2024), written anew and narrower: 32 frames become 22.5 kbit.",
        f"{len(files)} clips, sha256 {digest.hexdigest()[:16]}",
        shlex.join(argv),
        run,
        {**asdict(config), "parameters": sum(p.numel() for p in model.parameters()), "seed": training.schedule.seed},
        _LIMITS,
    )
    save_weights(out / "occsora-tokenizer", model.bfloat16(), config, card)  # half the size; loaders widen them
    return out / "occsora-tokenizer"


def _files(clips: list[Clip], folder: Path) -> list[Path]:
    """Their files.

    Raises:
        InputError: clips that are no files of their own.
    """
    if any(clip.path is None for clip in clips):
        raise InputError(f"{folder}: expected clips of `worldloom synth clips`, got recordings")
    return [clip.path for clip in clips if clip.path is not None]
