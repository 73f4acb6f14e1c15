"""Training of the network that completes panoramas, read from top to bottom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.ops import flow
from worldloom.ops.training import Schedule, train
from worldloom.scenegen.completion.network import (
    ROWS,
    CompletionConfig,
    CompletionNetwork,
    Known,
    to_signal,
    word_numbers,
)
from worldloom.scenegen.completion.panorama_generator import known_small
from worldloom.scenegen.training.masks import random_known
from worldloom.scenegen.training.pictures import draw_panorama
from worldloom.scenegen.words import Words, words_of


@dataclass(frozen=True)
class CompletionTraining:
    """How long and on what batches to train."""

    schedule: Schedule
    batch: int = 24
    wordless: float = 0.2  # share of examples without a description
    word: float = 0.75  # of words that are said where there is one
    known_weight: float = 0.2  # of pixels that are known anyway
    from_nothing: float = 0.3  # share of examples of nothing but noise, where the layout is decided
    lean: float = 2.0  # times of the others are drawn as Beta(lean, 1): more at much noise
    detail: float = 0.1  # errors of the picture at time t weigh 1 / (t^2 + detail)


def train_completion(
    files: Sequence[tuple[Path, int]],
    checked: Sequence[tuple[Path, int]],
    folder: Path,
    config: CompletionConfig,
    training: CompletionTraining,
    tell: Callable[[str], None] = lambda line: None,
) -> CompletionNetwork:
    """Train on panoramas; see `ops.training.train` for stopping and going on.

    Args:
        files, checked: of `panoramas_of`, to learn from and to validate with.
    """
    with torch.random.fork_rng():
        torch.manual_seed(training.schedule.seed)
        model = CompletionNetwork(config).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def loss_of(step: int, dice: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        batch = draw_batch(files, training, Random(int(torch.randint(1 << 60, (1,), generator=dice))))
        return completion_loss(model, batch, training, dice), {}

    def check(average: CompletionNetwork, step: int) -> Mapping[str, float]:
        dice = torch.Generator().manual_seed(0)
        batches = [
            draw_batch(checked[i : i + training.batch], training, Random(i))
            for i in range(0, len(checked), training.batch)
        ]
        with torch.no_grad():
            losses = [completion_loss(average, batch, training, dice) for batch in batches for _ in range(4)]
        return {"val_loss": float(torch.stack(losses).mean())}

    return train(model, training.schedule, folder, loss_of, check, tell)


@dataclass(frozen=True)
class Batch:
    """Small panoramas, what is known of them, and what is said."""

    rgb: Float[Tensor, "b 3 h w"]
    known: Known
    words: Sequence[Words]


def draw_batch(files: Sequence[tuple[Path, int]], training: CompletionTraining, dice: Random) -> Batch:
    """Random panoramas, each with a random part known and some of its description."""
    rgb, known, words = [], [], []
    for _ in range(training.batch):
        panorama, picture = draw_panorama(files, dice)
        rgb.append(shrunk(picture))
        known.append(random_known(ROWS, dice))
        wordless = dice.random() < training.wordless
        words.append(Words() if wordless else _some_of(words_of(panorama), training.word, dice))
    pictures, masks = torch.stack(rgb), torch.stack(known)
    return Batch(pictures, known_small(pictures, masks), words)


def completion_loss(
    model: CompletionNetwork, batch: Batch, training: CompletionTraining, dice: torch.Generator
) -> Float[Tensor, ""]:
    """Squared error of the picture; less where a pixel is known, and where much noise leaves much open."""
    signal = to_signal(batch.rgb)
    noise = torch.randn(signal.shape, generator=dice)
    t = flow.beta_times((len(noise),), dice, training.lean)
    t = torch.where(torch.rand(t.shape, generator=dice) < training.from_nothing, 1.0, t)
    noisy = flow.interpolate(signal, noise, t)
    with torch.autocast("cpu", torch.bfloat16):
        picture = model(noisy, t, batch.known, word_numbers(batch.words))
    error = (picture - signal).square() / (t.square() + training.detail)[:, None, None, None]
    weight = torch.lerp(torch.ones_like(batch.known.share), torch.tensor(training.known_weight), batch.known.share)
    return (weight * error).mean() / weight.mean()


def shrunk(rgb: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h2 w2"]:
    """At the rows of the network."""
    return F.avg_pool2d(rgb[None], rgb.shape[-2] // ROWS)[0]


def _some_of(words: Words, share: float, dice: Random) -> Words:
    def kept(word: str | None) -> str | None:
        return word if dice.random() < share else None

    things = [(name, kept(colour)) for name, colour in words.things if dice.random() < share]
    dice.shuffle(things)
    return replace(words, kind=kept(words.kind), size=kept(words.size), light=kept(words.light), things=tuple(things))
