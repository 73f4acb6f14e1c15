"""Training of the baselines' generators on codes, and forecasts of whole baselines against the truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import MOVERS, Occupancy
from worldloom.occupancy.baselines.codes import (
    SoraWindows,
    WorldClip,
    draw_window,
    load_occsora_codes,
    load_occworld_codes,
)
from worldloom.occupancy.baselines.occsora import OccSoraDiT, OccSoraDiTConfig, add_noise
from worldloom.occupancy.baselines.occworld import HISTORY, OccWorldAR, OccWorldARConfig, occworld_loss
from worldloom.occupancy.metrics import SemanticScore, score_forecast
from worldloom.ops.training import Schedule, train


@dataclass(frozen=True)
class OccSoraTraining:
    """All that decides the training of the transformer."""

    schedule: Schedule
    batch: int = 2
    past_share: float = 0.8  # of the windows whose first slot is given
    every_window: bool = True  # released: only the first one of a clip, and none of clips that do not fill it


@dataclass(frozen=True)
class OccWorldTraining:
    """All that decides the training of the transformer."""

    schedule: Schedule
    batch: int = 1
    frames: int = 11  # 5 in and 6 out


def train_occsora(
    codes: Sequence[Path],
    validation: Sequence[Path],
    codebook: Float[Tensor, "k c"],
    folder: Path,
    config: OccSoraDiTConfig,
    training: OccSoraTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> OccSoraDiT:
    """Train on files of `write_occsora_codes`; see `train` for the folder, and for stopping and going on.

    Args:
        codebook: of the tokenizer that made the codes: `tokenizer.quantizer.codebook`.
    """
    if not codes or not validation:
        raise InputError(f"expected codes to train on and to check with, got {len(codes)}, {len(validation)}")
    torch.manual_seed(training.schedule.seed)
    model = OccSoraDiT(config)
    windows, checked = load_occsora_codes(codes), load_occsora_codes(validation)
    full = windows.slots == config.slots
    kept = torch.ones_like(full) if training.every_window else full & windows.first
    windows = SoraWindows(*(part[kept] for part in windows))
    if not len(windows.slots):
        raise InputError(f"expected windows of {config.frames} frames that begin a clip, got none")
    model.set_scale(codebook[windows.indices[windows.slots == windows.slots.max()].flatten()])

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        chosen = torch.randint(len(windows.slots), (training.batch,), generator=dice)
        batch = SoraWindows(*(part[chosen] for part in windows))
        given = torch.rand(training.batch, generator=dice) < (training.past_share if config.past else 0.0)
        dropped = torch.rand(training.batch, generator=dice) < config.path_dropout
        loss = occsora_loss(model, batch, codebook, given, dropped, dice)
        return loss, {}

    def check(average: OccSoraDiT, step: int) -> Mapping[str, float]:
        return validate_occsora(average, checked, codebook)

    return train(model, training.schedule, folder, loss_of, check, tell)


def occsora_loss(
    model: OccSoraDiT,
    windows: SoraWindows,
    codebook: Float[Tensor, "k c"],
    given: Tensor,
    dropped: Tensor,
    dice: torch.Generator,
    level: Tensor | None = None,
) -> Float[Tensor, ""]:
    """Mean squared error of the answer, over slots that are true and not given; any level of noise if none is set."""
    clean = model.normalise(codebook[windows.indices])
    level = torch.rand(len(clean), generator=dice) if level is None else level
    noise = torch.randn(clean.shape, generator=dice)
    slot = torch.arange(clean.shape[1])
    true = slot < windows.slots[:, None]
    noisy, target = add_noise(model.config, clean, noise, level)
    noisy = torch.where(true[..., None, None, None], noisy, noise)
    past = model.normalise(codebook[windows.past])
    noisy[:, 0] = torch.where(given[:, None, None, None], past, noisy[:, 0])
    with torch.autocast("cpu", torch.bfloat16):
        answer = model(noisy, level, windows.steps, given, dropped)
    asked = true & ~(given[:, None] & (slot == 0))
    return ((answer - target).square().mean((2, 3, 4)) * asked).sum() / asked.sum().clamp(min=1)


@torch.no_grad()
def validate_occsora(model: OccSoraDiT, windows: SoraWindows, codebook: Float[Tensor, "k c"]) -> dict[str, float]:
    """Errors with the path, without it, and with that of another window: equal ones mean that it is not heard."""
    chosen = torch.arange(0, len(windows.slots), max(1, len(windows.slots) // 16))
    windows = SoraWindows(*(part[chosen] for part in windows))
    sums = {"with_path": 0.0, "without_path": 0.0, "wrong_path": 0.0}
    wrong = windows.steps.roll(1, 0)
    for i in range(len(chosen)):
        one = SoraWindows(*(part[i : i + 1] for part in windows))
        level = torch.tensor([(0.2, 0.4, 0.6, 0.8)[i % 4]])
        given = torch.tensor([model.config.past])
        for name, window, dropped in (
            ("with_path", one, False), ("without_path", one, True),
            ("wrong_path", one._replace(steps=wrong[i : i + 1]), False),
        ):  # fmt: skip
            dice = torch.Generator().manual_seed(i)
            sums[name] += occsora_loss(model, window, codebook, given, torch.tensor([dropped]), dice, level).item()
    return {name: value / len(chosen) for name, value in sums.items()}


def train_occworld(
    codes: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: OccWorldARConfig,
    training: OccWorldTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> OccWorldAR:
    """Train on files of `write_occworld_codes`; see `train` for the folder, and for stopping and going on."""
    if training.frames - 1 > config.frames:
        raise InputError(f"expected windows of at most {config.frames + 1} frames, got {training.frames}")
    clips, checked = (
        [clip for clip in load_occworld_codes(files) if clip.indices.shape[1] >= training.frames]
        for files in (codes, validation)
    )
    if not clips or not checked:
        raise InputError(f"expected clips of {training.frames} frames or more, got {len(clips)} and {len(checked)}")
    torch.manual_seed(training.schedule.seed)
    model = OccWorldAR(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        draw = Random(int(torch.randint(2**62, (1,), generator=dice)))
        drawn = [draw_window(clips, training.frames, draw) for _ in range(training.batch)]
        return occworld_loss(model, *map(torch.stack, zip(*drawn, strict=True)))

    def check(average: OccWorldAR, step: int) -> Mapping[str, float]:
        return validate_occworld(average, checked, training.frames)

    return train(model, training.schedule, folder, loss_of, check, tell)


@torch.no_grad()
def validate_occworld(model: OccWorldAR, clips: Sequence[WorldClip], frames: int) -> dict[str, float]:
    """Cross entropy and share of right codes of the next frame, beside the share that copying the last one gets."""
    figures = {"next_cross": 0.0, "next_right": 0.0, "copied_right": 0.0}
    draw = Random(7)
    drawn = [draw_window([clip], frames, draw) for clip in clips[:16]]
    for window in drawn:
        _, parts = occworld_loss(model, window.indices[None], window.steps[None])
        copied = (window.indices[1:] == window.indices[:-1]).float().mean().item()
        for name, value in zip(figures, (parts["cross"], parts["right"], copied), strict=True):
            figures[name] += value / len(drawn)
    return figures


def forecast_scores(
    forecast: Callable[[Occupancy, EgoPath], Occupancy],
    clips: Sequence[Occupancy],
    history: int = HISTORY,
    horizon: int = 6,
    stride: int = 12,
) -> dict[str, float]:
    """mIoU, IoU and IoU of movers in percent at 1, 2 and 3 s, where somebody looked, pooled over windows."""
    score: SemanticScore | None = None
    for clip in clips:
        for start in range(0, len(clip) - history - horizon + 1, stride):
            past, truth = clip[start : start + history], clip[start + history : start + history + horizon]
            one = score_forecast(forecast(past, EgoPath(truth.world_from_ego, clip.dt)), truth)
            score = one if score is None else score + one
    if score is None:
        raise InputError(f"expected clips of at least {history + horizon} frames, got none among {len(clips)}")
    figures = {}
    for seconds in (1, 2, 3):
        frame = score.frame_at(float(seconds))
        if frame is None:
            continue
        figures[f"miou_{seconds}s"] = 100 * score.miou()[frame].item()
        figures[f"iou_{seconds}s"] = 100 * score.group_iou()[frame].item()
        figures[f"movers_{seconds}s"] = 100 * score.group_iou(MOVERS)[frame].item()
    return figures
