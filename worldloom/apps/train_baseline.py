"""`worldloom train occsora` and `occworld`: the published systems that ours is compared with, on the same clips."""

import hashlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

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
    tokenizer: OccSoraTokenizerConfig | OccWorldTokenizerConfig
    tokenizer_training: TokenizerTraining
    generator: OccSoraDiTConfig | OccWorldARConfig
    generator_training: OccSoraTraining | OccWorldTraining


# The tokenizers' averages forget within some hundred steps, because codes move; OccSora clips gradients at 35.
PEERS = {
    "occsora": Peer(
        "OccSora (Wang et al. 2024), written anew and narrower: 32 frames become 22.5 kbit, drawn by a transformer.",
        OccSoraTokenizerConfig(),
        TokenizerTraining(Schedule(5500, 1e-3, 200, clip_norm=35.0, ema=0.99, check_every=500)),
        OccSoraDiTConfig(),
        OccSoraTraining(Schedule(4000, 5e-4, check_every=500)),
    ),
    "occworld": Peer(
        "OccWorld (Zheng et al. 2024), written anew and narrower: frames of 22.5 kbit each, said one after another.",
        OccWorldTokenizerConfig(),
        TokenizerTraining(Schedule(3000, 1e-3, 200, ema=0.99, check_every=500), frames=2),
        OccWorldARConfig(),
        OccWorldTraining(Schedule(4000, 5e-4, check_every=500)),
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
        card = training_card(
            f"worldloom {name}, {part}", peer.what, seen, shlex.join(argv), _run(out, name, part), facts, _LIMITS
        )
        save_weights(out / name / part, model.bfloat16(), config, card)  # half the size; loaders widen them

    make = _occsora if name == "occsora" else _occworld
    make(peer, (files, data), (tested, root), out, steps, tell, save)
    return out / name


_Placed = tuple[Sequence[Path], Path]  # files, and the folder below which they are
_Tell = Callable[[str], None]
_Save = Callable[[str, nn.Module, Any, Schedule], None]


def _occsora(
    peer: Peer, learned: _Placed, tested: _Placed, out: Path, steps: int | None, tell: _Tell, save: _Save
) -> None:
    assert isinstance(peer.tokenizer, OccSoraTokenizerConfig)
    assert isinstance(peer.generator, OccSoraDiTConfig)
    assert isinstance(peer.generator_training, OccSoraTraining)
    training = _shorter(peer.tokenizer_training, steps)
    run = _run(out, "occsora", "tokenizer")
    tokenizer = train_occsora_tokenizer(learned[0], tested[0][:_CHECKED], run, peer.tokenizer, training, tell)
    save("tokenizer", tokenizer, peer.tokenizer, training.schedule)
    tokenizer.float()
    codes, checks = (
        write_occsora_codes(tokenizer, *placed, out / "codes" / "occsora" / part, tell=tell)
        for part, placed in (("learned", learned), ("tested", tested))
    )
    codebook, own = tokenizer.quantizer.codebook, _shorter(peer.generator_training, steps)
    dit = train_occsora(codes, checks, codebook, _run(out, "occsora", "dit"), peer.generator, own, tell)
    save("dit", dit, peer.generator, own.schedule)


def _occworld(
    peer: Peer, learned: _Placed, tested: _Placed, out: Path, steps: int | None, tell: _Tell, save: _Save
) -> None:
    assert isinstance(peer.tokenizer, OccWorldTokenizerConfig)
    assert isinstance(peer.generator, OccWorldARConfig)
    assert isinstance(peer.generator_training, OccWorldTraining)
    training = _shorter(peer.tokenizer_training, steps)
    run = _run(out, "occworld", "tokenizer")
    tokenizer = train_occworld_tokenizer(learned[0], tested[0][:_CHECKED], run, peer.tokenizer, training, tell)
    save("tokenizer", tokenizer, peer.tokenizer, training.schedule)
    tokenizer.float()
    codes, checks = (
        write_occworld_codes(tokenizer, *placed, out / "codes" / "occworld" / part, tell)
        for part, placed in (("learned", learned), ("tested", tested))
    )
    own = _shorter(peer.generator_training, steps)
    transformer = train_occworld(codes, checks, _run(out, "occworld", "transformer"), peer.generator, own, tell)
    save("transformer", transformer, peer.generator, own.schedule)


def _run(out: Path, name: str, part: str) -> Path:
    return out / "runs" / name / part


T = TypeVar("T", TokenizerTraining, OccSoraTraining, OccWorldTraining)


def _shorter(training: T, steps: int | None) -> T:
    return replace(training, schedule=shortened(training.schedule, steps))


def _files(clips: list[Clip], folder: Path) -> list[Path]:
    """Their files.

    Raises:
        InputError: clips that are no files of their own.
    """
    if any(clip.path is None for clip in clips):
        raise InputError(f"{folder}: expected clips of `worldloom synth clips`, got recordings")
    return [clip.path for clip in clips if clip.path is not None]
