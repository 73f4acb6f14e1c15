"""`worldloom train occsora` and `occworld`: the published systems that ours is compared with, on the same clips."""

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from worldloom.apps.train import split_clips
from worldloom.errors import InputError
from worldloom.occupancy.baselines import (
    OccSoraDiTConfig,
    OccSoraTokenizerConfig,
    OccWorldARConfig,
    OccWorldTokenizerConfig,
)
from worldloom.occupancy.baselines.codes import write_occsora_codes, write_occworld_codes
from worldloom.occupancy.baselines.train_generators import (
    OccSoraTraining,
    OccWorldTraining,
    train_occsora,
    train_occworld,
)
from worldloom.occupancy.baselines.train_tokenizer import (
    TokenizerTraining,
    train_occsora_tokenizer,
    train_occworld_tokenizer,
)
from worldloom.occupancy.baselines.vq_tokenizer import VQTokenizer
from worldloom.occupancy.data.clips import Clip
from worldloom.ops import save_weights
from worldloom.ops.training import Schedule, shortened
from worldloom.ops.training_card import training_card

_CHECKED = 3  # logged drives to validate tokenizers with
_LIMITS = "A baseline: narrower than the published network, and trained on procedural towns alone."


@dataclass(frozen=True)
class Peer:
    """The sizes and schedules of a published system: its tokenizer, and what goes on with its codes."""

    what: str
    tokenizer: Any
    tokenizer_training: TokenizerTraining
    train_tokenizer: Callable[..., VQTokenizer]
    write_codes: Callable[..., list[Path]]
    generator: Any
    generator_training: Any
    train_generator: Callable[..., nn.Module]
    part: str  # the generator's folder


def _train_dit(tokenizer: VQTokenizer, codes: list[Path], checks: list[Path], *rest: Any) -> nn.Module:
    return train_occsora(codes, checks, tokenizer.quantizer.codebook, *rest)


def _train_transformer(_: VQTokenizer, codes: list[Path], checks: list[Path], *rest: Any) -> nn.Module:
    return train_occworld(codes, checks, *rest)


# The tokenizers' averages forget within some hundred steps, because codes move; OccSora clips gradients at 35.
PEERS = {
    "occsora": Peer(
        "OccSora (Wang et al. 2024), written anew and narrower: 32 frames become 22.5 kbit, drawn by a transformer.",
        OccSoraTokenizerConfig(),
        TokenizerTraining(Schedule(5500, 1e-3, 200, clip_norm=35.0, ema=0.99, check_every=500)),
        train_occsora_tokenizer,
        write_occsora_codes,
        OccSoraDiTConfig(),
        OccSoraTraining(Schedule(4000, 5e-4, check_every=500)),
        _train_dit,
        "dit",
    ),
    "occworld": Peer(
        "OccWorld (Zheng et al. 2024), written anew and narrower: frames of 22.5 kbit each, said one after another.",
        OccWorldTokenizerConfig(),
        TokenizerTraining(Schedule(3000, 1e-3, 200, ema=0.99, check_every=500), frames=2),
        train_occworld_tokenizer,
        write_occworld_codes,
        OccWorldARConfig(),
        OccWorldTraining(Schedule(4000, 5e-4, check_every=500)),
        _train_transformer,
        "transformer",
    ),
}


def train_peer(name: str, data: Path, out: Path, validation: Path | None = None, steps: int | None = None) -> Path:
    """Train one of PEERS on a folder of `worldloom synth clips`: first its tokenizer, then its generator.

    OUT/NAME is what `OccSora.load` and `OccWorld.load` take. OUT/runs and OUT/codes hold the runs, and what the
    tokenizer made of the clips: the same call goes on where an interrupted one stopped.

    Args:
        validation: another folder; every tenth town of `data` if not given.
        steps: of each of the two networks, instead of the schedules'.
    Returns:
        OUT/NAME.
    Raises:
        InputError: no clips, clips that are no files of towns, a folder of another run.
    """
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    peer = PEERS[name]
    clips, checked = split_clips(data, validation)
    root = validation or data
    files, tested = _files(clips, data), _files([clip for clip in checked if not clip.manoeuvre], root)
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    argv = ["worldloom", "train", name, "--data", str(data), "--out", str(out)]
    argv += ["--validation", str(validation)] if validation else []
    argv += ["--steps", str(steps)] if steps else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    seen = f"{len(files)} clips, sha256 {digest.hexdigest()[:16]}"

    def save(part: str, model: nn.Module, config: Any, schedule: Schedule) -> None:
        facts = {**asdict(config), "parameters": sum(p.numel() for p in model.parameters()), "seed": schedule.seed}
        card = training_card(f"worldloom {name}, {part}", peer.what, seen, shlex.join(argv), run / part, facts, _LIMITS)
        save_weights(out / name / part, model.bfloat16(), config, card)  # half the size; loaders widen them

    run = out / "runs" / name
    training = replace(peer.tokenizer_training, schedule=shortened(peer.tokenizer_training.schedule, steps))
    tokenizer = peer.train_tokenizer(files, tested[:_CHECKED], run / "tokenizer", peer.tokenizer, training, tell)
    save("tokenizer", tokenizer, peer.tokenizer, training.schedule)
    tokenizer.float()  # of the rounded weights, as whoever loads them has them
    codes, checks = (
        peer.write_codes(tokenizer, placed, below, out / "codes" / name / part, tell=tell)
        for part, placed, below in (("learned", files, data), ("tested", tested, root))
    )
    own = replace(peer.generator_training, schedule=shortened(peer.generator_training.schedule, steps))
    generator = peer.train_generator(tokenizer, codes, checks, run / peer.part, peer.generator, own, tell)
    save(peer.part, generator, peer.generator, own.schedule)
    return out / name


def _files(clips: list[Clip], folder: Path) -> list[Path]:
    """Their files.

    Raises:
        InputError: clips that are no files of their own.
    """
    if any(clip.path is None for clip in clips):
        raise InputError(f"{folder}: expected clips of `worldloom synth clips`, got recordings")
    return [clip.path for clip in clips if clip.path is not None]
