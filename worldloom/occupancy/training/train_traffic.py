"""Training of the traffic model: all five questions, and the risk of the ego's path, by turns in every batch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.occupancy.metrics.risk import auroc
from worldloom.occupancy.motions import (
    SPEED_UNIT,
    TrafficBatch,
    expected_motions,
    motions_from_poses,
    poses_from_motions,
)
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.traffic_sampler import draw_motions
from worldloom.occupancy.training.traffic_examples import TrafficExamples, concatenated
from worldloom.occupancy.training.traffic_moments import LoggedTown, moments_from_logs
from worldloom.ops.training import Schedule, train
from worldloom.synth.dataset.traffic_log import TrafficLog
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT

# Which share of a batch asks what: (ego's level, others' level), "draw" is any level.
_QUESTIONS = (
    (0.40, "given", "draw"),  # forward
    (0.15, "draw", "unknown"),  # policy
    (0.10, "draw", "given"),  # inverse
    (0.15, "draw", "draw"),  # joint: both at the same level
    (0.10, "unknown", "draw"),  # video
    (0.10, "given", "given"),  # risk of a future that is known
)
CONTEXT_NOISE = 0.15  # metres, and a twentieth of it in radians, at most, on what was seen


@dataclass(frozen=True)
class TrafficTraining:
    """All that decides the training."""

    schedule: Schedule
    batch: int = 16
    log_share: float = 0.65  # of a batch that is drawn from logs of whole towns
    context_noise: float = CONTEXT_NOISE
    motion_weight: float = 1.0  # how much more those who move count (Vista's dynamics loss)
    risk_weight: float = 0.3
    counterfactual: bool = True  # egos of logs also drive ways of their own


def train_traffic(
    files: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    config: TrafficConfig,
    training: TrafficTraining,
    tell: Callable[[str], None] = lambda line: None,
    logs: Sequence[Path] = (),
) -> TrafficNet:
    """Train on files of `TrafficExamples.save`; see `train` for the folder, and for stopping and going on.

    Args:
        logs: files of `TrafficLog.save`; of every batch `log_share` is drawn from them if there are any.
    """
    if not files or not validation:
        raise InputError(f"expected traffic files to train on and to check with, got {len(files)}, {len(validation)}")
    torch.manual_seed(training.schedule.seed)
    model = TrafficNet(config)
    examples = concatenated([TrafficExamples.load(path) for path in files])
    checked = concatenated([TrafficExamples.load(path) for path in validation])
    # Where little happens little is to be learned: moments with somebody who moves are drawn more often.
    moves = (examples.future[:, :, 7, :2] - examples.history[:, :, -1, :2]).norm(dim=-1) > 1.0
    lively = (moves & examples.valid[:, :, 7]).sum(1)
    risky = examples.collision[:, : config.future].any(1) | examples.off_road[:, : config.future].any(1)
    odds = (1.0 + lively.clamp(max=5) + 4.0 * risky).double()
    towns = [LoggedTown(TrafficLog.load(path)) for path in logs]
    num_logged = round(training.log_share * training.batch) if towns else 0

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        batch = _take(examples, torch.multinomial(odds, training.batch - num_logged, generator=dice))
        factual = torch.ones(len(batch.ego), dtype=torch.bool)
        if num_logged:
            more, as_driven = moments_from_logs(towns, num_logged, dice, training.counterfactual)
            batch, factual = concatenated([batch, more]), torch.cat([factual, as_driven])
        return traffic_loss(model, batch, training, dice, factual)

    def check(average: TrafficNet, step: int) -> Mapping[str, float]:
        return validate_traffic(average, checked)

    return train(model, training.schedule, folder, loss_of, check, tell)


def as_batch(examples: TrafficExamples, config: TrafficConfig) -> tuple[TrafficBatch, Tensor, Bool[Tensor, "b m f"]]:
    """The network's view of examples, the true motions, and where these are known; row 0 is the ego."""
    users = int(examples.present[:, :, -1].sum(1).max().clamp(max=config.max_users))
    f = config.future

    def joined(ego: Tensor, others: Tensor) -> Tensor:
        return torch.cat([ego[:, None], others[:, :users]], 1)

    b = len(examples.ego)
    batch = TrafficBatch(
        joined(torch.zeros(b, dtype=torch.uint8), examples.labels),
        joined(torch.tensor(EGO_EXTENT).expand(b, 3), examples.sizes),
        joined(torch.tensor([EGO_CENTRE, 0.0]).expand(b, 2), examples.middles),
        joined(examples.ego, examples.history),
        joined(torch.ones(b, examples.ego.shape[1], dtype=torch.bool), examples.present),
        examples.ground,
    )
    future = joined(examples.ego_future[:, :f], examples.future[:, :, :f])
    valid = joined(examples.ego_valid[:, :f], examples.valid[:, :, :f])
    return batch, motions_from_poses(future, batch.history[:, :, -1:], 1), valid


def traffic_loss(
    model: TrafficNet,
    examples: TrafficExamples,
    training: TrafficTraining,
    dice: torch.Generator,
    factual: Bool[Tensor, " b"] | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The denoising loss of mixed questions, and the risk's cross entropy where the ego's path is given.

    Args:
        factual: False where the others did not drive beside this ego's path: then only its risk is asked, among them
            as they drove.
    """
    batch, truth, valid = as_batch(_mirrored(examples, dice), model.config)
    b, m, f, _ = truth.shape
    question = torch.multinomial(torch.tensor([share for share, _, _ in _QUESTIONS]), b, True, generator=dice)
    if factual is not None:
        question = torch.where(factual, question, len(_QUESTIONS) - 1)
    level = _levels(question, m, f, dice)
    blur = training.context_noise * torch.rand(b, 1, 1, 1, generator=dice)
    wobble = torch.randn(batch.history.shape, generator=dice) * blur * torch.tensor([1.0, 1.0, 0.05])
    history = batch.history + torch.where(batch.present[..., None], wobble, 0)
    history[:, 0] = batch.history[:, 0]  # the ego knows where it was
    history[:, :, -1] = batch.history[:, :, -1]  # the present is the origin of motions
    batch = batch._replace(history=history)
    mean, spread = expected_motions(batch)
    noise = mean + spread * torch.randn(truth.shape, generator=dice)
    noisy = (1 - level[..., None]) * torch.where(valid[..., None], truth, 0) + level[..., None] * noise
    # Where the truth is not known the network is shown nothing but noise, and not asked.
    level = torch.where(valid, level, 1.0)
    noisy = torch.where(valid[..., None], noisy, noise)
    with torch.autocast("cpu", torch.bfloat16):
        guess, risk = model(batch, noisy, level)
    moving = truth[..., :2].norm(dim=-1).clamp(max=1.0)
    weight = valid * (level > 0) * (0.3 + training.motion_weight * moving) / (level**2 + 0.25)
    error = F.smooth_l1_loss(guess / spread, truth / spread, reduction="none").sum(-1)
    total = weight.sum((1, 2)).clamp(min=1e-3)
    drawn = ((error * weight).sum((1, 2)) / total * (weight.sum((1, 2)) > 0)).mean()
    given = (question == 0) | (question == len(_QUESTIONS) - 1)
    true_risk = torch.stack([examples.collision[:, :f], examples.off_road[:, :f]], -1).float()
    asked = (given[:, None] & examples.ego_valid[:, :f])[..., None].expand_as(true_risk)
    bad = F.binary_cross_entropy_with_logits(risk, true_risk, reduction="none")
    risk_loss = (bad * asked).sum() / asked.sum().clamp(min=1)
    metres = (guess - truth)[..., :2].norm(dim=-1) * SPEED_UNIT
    shown = (valid & (level > 0.95))[:, 1:]
    figures = {"drawn": float(drawn.detach()), "risk": float(risk_loss.detach())}
    if bool(shown.any()):
        figures["speed_error_at_1"] = float(metres[:, 1:][shown].mean().detach())
    return drawn + training.risk_weight * risk_loss, figures


def _levels(question: Int[Tensor, " b"], m: int, f: int, dice: torch.Generator) -> Float[Tensor, "b m f"]:
    """Noise levels of each token; a third of the drawn ones rise along the frames, as a roll-out's do."""
    b = len(question)
    one = torch.rand(b, 1, generator=dice)
    one = torch.where(torch.rand(b, 1, generator=dice) < 0.4, 1.0, one).expand(b, f)  # a draw's first step decides
    rising = (one + torch.linspace(-1, 1, f) * torch.rand(b, 1, generator=dice)).clamp(0.02, 1.0)
    drawn = torch.where(torch.rand(b, 1, generator=dice) < 0.33, rising, one.clamp(min=0.02))
    names = [(ego, others) for _, ego, others in _QUESTIONS]
    table = {"given": torch.zeros(b, f), "unknown": torch.ones(b, f), "draw": drawn}
    level = torch.empty(b, m, f)
    for i, number in enumerate(question.tolist()):
        ego, others = names[number]
        level[i, :1], level[i, 1:] = table[ego][i], table[others][i]
    return level


def _mirrored(examples: TrafficExamples, dice: torch.Generator) -> TrafficExamples:
    """The batch, left and right exchanged for a random half of it."""
    flip = torch.rand(len(examples.ego), generator=dice) < 0.5
    sign = torch.where(flip[:, None, None, None], torch.tensor([1.0, -1.0, -1.0]), torch.ones(3))
    return examples._replace(
        history=examples.history * sign,
        ego=examples.ego * sign[:, 0],
        future=examples.future * sign,
        ego_future=examples.ego_future * sign[:, 0],
        middles=examples.middles * sign[:, 0, :, :2],
        ground=torch.where(flip[:, None, None], examples.ground.flip(2), examples.ground),
    )


def _take(examples: TrafficExamples, index: Tensor) -> TrafficExamples:
    return TrafficExamples(*(value[index] for value in examples))


@torch.no_grad()
def validate_traffic(model: TrafficNet, examples: TrafficExamples, steps: int = 2) -> dict[str, float]:
    """Errors in metres at 1, 2 and 3 s of those who move, beside standing still and constant velocity."""
    examples = _take(examples, torch.arange(0, len(examples.ego), max(1, len(examples.ego) // 256)))
    batch, truth, valid = as_batch(examples, model.config)
    dice = torch.Generator().manual_seed(0)
    motions, risk = draw_motions(model, batch, ego=truth[:, 0], steps=steps, generator=dice)
    origin = batch.history[:, :, -1:]
    at, true = poses_from_motions(motions, origin), poses_from_motions(truth, origin)
    before = torch.where(batch.present[:, :, -2:-1, None], batch.history[:, :, -2:-1], origin)
    speed = (origin - before)[..., :2]
    reach = torch.arange(1, truth.shape[2] + 1)[:, None]
    guesses = {"model": at[..., :2], "still": origin[..., :2], "constant": origin[..., :2] + speed * reach}
    moves = valid & ((true - origin)[..., -1:, :2].norm(dim=-1) > 2.0)
    last = model.config.future - 1
    asked = examples.ego_valid[:, last]
    figures = {
        f"{name}_auroc": auroc(risk[asked, last, i], truly[asked, last])
        for i, (name, truly) in enumerate((("collision", examples.collision), ("off_road", examples.off_road)))
    }
    for name, xy in guesses.items():
        away = (xy - true[..., :2]).norm(dim=-1)[:, 1:]
        for seconds in (1, 3):
            frame = 2 * seconds - 1
            figures[f"{name}_{seconds}s"] = float(away[..., frame][moves[:, 1:, frame]].mean())
        if name == "model":
            stays = valid[:, 1:, 5] & ~moves[:, 1:, 5]
            figures["standing_3s"] = float(away[..., 5][stays].mean())
    return {name: value for name, value in figures.items() if not math.isnan(value)}
