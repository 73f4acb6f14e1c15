"""Training of the baselines' tokenizers on driving clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.occupancy import OCC3D_CLASSES, Occupancy
from worldloom.occupancy.baselines.clip_windows import LabelCrop, draw_crop, long_enough
from worldloom.occupancy.baselines.occsora_tokenizer import OccSoraTokenizer, OccSoraTokenizerConfig
from worldloom.occupancy.baselines.occworld_tokenizer import OccWorldTokenizer, OccWorldTokenizerConfig
from worldloom.occupancy.baselines.vq_tokenizer import VQTokenizer
from worldloom.occupancy.class_planes import asked_voxels, reconstruction_loss
from worldloom.occupancy.metrics import SMALL, SemanticScore, score_forecast
from worldloom.occupancy.training.class_weights import class_weights
from worldloom.ops import codebook_use
from worldloom.ops.training import Schedule, train

T = TypeVar("T", bound=VQTokenizer)


@dataclass(frozen=True)
class TokenizerTraining:
    """All that decides the training."""

    schedule: Schedule  # let its average forget within some hundred steps (ema = 0.99): codes move, and some jump
    frames: int = 32  # of a window
    columns: int = 128  # along both sides of a crop; published: all 200
    crops: int = 1  # in a step
    continuous: int = 300  # steps before the codebook is filled and used
    masked: bool = True  # the loss is taken where somebody looked; published: everywhere
    class_weights: bool = False  # (f_max / f_c)^(1/3); published: none
    loss_voxels: int = 1 << 18  # at most, drawn at random


def train_occsora_tokenizer(
    files: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: OccSoraTokenizerConfig,
    training: TokenizerTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> OccSoraTokenizer:
    """Train on clips of at least `training.frames`; see `train` for the folder, and for stopping and going on."""
    torch.manual_seed(training.schedule.seed)
    model = OccSoraTokenizer(config).to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
    return _train(model, files, validation, folder, training, tell)


def train_occworld_tokenizer(
    files: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: OccWorldTokenizerConfig,
    training: TokenizerTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> OccWorldTokenizer:
    """Train on single frames or windows of clips; see `train` for the folder, and for stopping and going on."""
    torch.manual_seed(training.schedule.seed)
    model = OccWorldTokenizer(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return _train(model, files, validation, folder, training, tell)


def _train(
    model: T,
    files: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    training: TokenizerTraining,
    tell: Callable[[str], None],
) -> T:
    if not files or not validation:
        raise InputError(f"expected clips to train on and to check with, got {len(files)}, {len(validation)}")
    files, validation = long_enough(files, training.frames), long_enough(validation, training.frames)
    weights = class_weights(_label_counts(files)) if training.class_weights else None

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(2**62, (1,), generator=dice)))
        if step == training.continuous:
            _fill_codebook(model, files, training, draw, dice)
        crops = [draw_crop(files, training.frames, training.columns, draw) for _ in range(training.crops)]
        return tokenizer_loss(model, _stacked(crops), training, dice, weights)

    def check(average: VQTokenizer, step: int) -> Mapping[str, float]:
        clips = [load_clip(path)[: training.frames] for path in validation]
        return validate_tokenizer(average, clips) if step > training.continuous else {}

    return train(model, training.schedule, folder, loss_of, check, tell)


def tokenizer_loss(
    model: VQTokenizer,
    crop: LabelCrop,
    training: TokenizerTraining,
    dice: torch.Generator,
    weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """10 CE + 1 Lovász + 1 VQ of a batch of crops."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.latents(crop.labels)
        quantized = model.quantize(latents, dice)
        planes = model.reconstruct(quantized.codes)
    voxels = asked_voxels(crop.observed, training.masked, training.loss_voxels, dice)
    return reconstruction_loss(
        model.planes.scores(planes, voxels), crop.labels.flatten()[voxels], quantized.loss, weights
    )


@torch.no_grad()
def _fill_codebook(
    model: VQTokenizer,
    files: Sequence[Path],
    training: TokenizerTraining,
    draw: Random,
    dice: torch.Generator,
) -> None:
    """Set the codes to centres of latents; gather some thirty for each code, or what 64 draws give."""
    latents: list[Tensor] = []
    wanted = 32 * model.quantizer.config.size
    while sum(map(len, latents)) < wanted and len(latents) < 64:
        crop = _stacked([draw_crop(files, training.frames, training.columns, draw)])
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(model.latents(crop.labels).flatten(0, -2))
    buffer = torch.cat(latents)
    model.quantizer.initialise(buffer[torch.randperm(len(buffer), generator=dice)[:wanted]], dice)


@torch.no_grad()
def validate_tokenizer(model: VQTokenizer, clips: Sequence[Occupancy]) -> dict[str, float]:
    """mIoU, IoU and the worst of the small classes in percent where somebody looked, bits a clip, codes in use."""
    score: SemanticScore | None = None
    codes = []
    for clip in clips:
        codes.append(model.encode(clip))
        guess = Occupancy(model.decode(codes[-1]), clip.observed, clip.world_from_ego, clip.grid, clip.classes, clip.dt)
        one = score_forecast(guess, clip).pooled()
        score = one if score is None else score + one
    assert score is not None
    small = score.iou()[0, list(SMALL)]
    use = codebook_use(torch.cat([code.indices.flatten() for code in codes]), model.quantizer.config.size)
    figures = {
        "miou": 100 * score.miou().item(), "iou": 100 * score.group_iou().item(),
        "kbit": sum(code.bits for code in codes) / len(codes) / 1000, "perplexity": use.perplexity,
    }  # fmt: skip
    if not bool(small.isnan().all()):
        figures["worst_small"] = 100 * small[~small.isnan()].min().item()
    return figures


def _label_counts(files: Sequence[Path], most: int = 40) -> Tensor:
    """Observed voxels of each class in some of the clips."""
    counts = torch.ones(len(OCC3D_CLASSES))
    for path in files[:: max(1, len(files) // most)]:
        clip = load_clip(path)
        counts += torch.bincount(clip.labels[clip.observed].long(), minlength=len(counts))
    return counts


def _stacked(crops: Sequence[LabelCrop]) -> LabelCrop:
    return LabelCrop(*map(torch.stack, zip(*crops, strict=True)))
