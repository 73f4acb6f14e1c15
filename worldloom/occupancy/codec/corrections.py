"""Which voxels of the decoded static world are wrong, and what they are instead.

The decoder says how likely each symbol is in each voxel. Voxels are asked in the order of P(seen) P(wrong), the most
likely mistakes first; an answer is a flag, and after a flag the true symbol. Encoder and decoder stop at a number that
the stream holds, so that a budget can be spent to the end.

Both sides must find the same order and the same frequencies. The network is run in float64 for this, and what
it says is rounded to sixteenths of a nat and to halves of a log-odds: two machines differ in the last of 53 bits, which
hardly ever is across the edge of a step. A checksum of the rounded numbers goes with the stream, so that where it is,
decoding ends with a message instead of noise.
"""

import zlib
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.occupancy.codec.entropy import LOGIT_STEPS, Coder, frequencies, plain
from worldloom.occupancy.static_tokenizer import UNKNOWN, StaticLogits

_BINS = 32  # of log-odds, from -8 to 8
_CHECK = 1 << 16


class Guess(NamedTuple):
    """What the decoder says of each voxel, rounded."""

    below: UInt8[np.ndarray, "x y z k"]  # -log P of each symbol of STATIC and free, in LOGIT_STEPS
    doubt: UInt8[np.ndarray, "x y z"]  # bin of the log-odds of P(seen) P(wrong); 0 is never asked

    def symbols_at(self, places: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
        """The likeliest symbol of flat places; the first of several."""
        return self.below.reshape(-1, self.below.shape[-1])[places].argmin(-1).astype(np.uint8)


class Corrections(NamedTuple):
    """Voxels that are something else."""

    places: Int64[np.ndarray, " n"]  # flat
    symbols: Int64[np.ndarray, " n"]


def round_guess(logits: StaticLogits) -> Guess:
    """Round what the network says of one volume, in float64."""
    occupied, semantic = logits.occupied[0].double(), logits.semantic[0].double()
    each = torch.empty(len(semantic) + 1, *occupied.shape, dtype=torch.float64)
    torch.sub(semantic, semantic.logsumexp(0), out=each[:-1])
    each[:-1] += F.logsigmoid(occupied)
    each[-1] = F.logsigmoid(-occupied)
    wrong = (1 - each.amax(0).exp()).clamp(1e-9, 1) * logits.seen[0].double().sigmoid()
    bins = (2 * (wrong / (1 - wrong).clamp(min=1e-9)).log() + _BINS // 2).round().clamp(0, _BINS - 1)
    below = each.mul_(-LOGIT_STEPS).round_().clamp_(0, 255)
    return Guess(
        below.to(torch.uint8).permute(2, 3, 1, 0).contiguous().numpy(),
        bins.to(torch.uint8).permute(1, 2, 0).contiguous().numpy(),
    )


def order_of(guess: Guess) -> Int64[np.ndarray, " n"]:
    """Flat places in the order in which they are asked."""
    doubt = guess.doubt.reshape(-1)
    asked = np.flatnonzero(doubt)
    return asked[np.argsort(-doubt[asked].astype(np.int16), kind="stable")]


def code_corrections(
    coder: Coder, guess: Guess, symbols: UInt8[np.ndarray, "x y z"] | None, count: int | None
) -> Corrections:
    """Ask the first `count` voxels.

    Args:
        symbols: the truth, with UNKNOWN where nobody looked: that is never wrong.
    Raises:
        InputError: the stream was made from other rounded numbers.
    """
    order = order_of(guess)
    told = plain(coder, count, len(order) + 1)
    if not told:
        return Corrections(np.zeros(0, np.int64), np.zeros(0, np.int64))
    mine = zlib.crc32(guess.below.tobytes(), zlib.crc32(guess.doubt.tobytes())) % _CHECK
    if plain(coder, mine, _CHECK) != mine:
        raise InputError("expected a stream whose network said the same on this machine, got one where it did not")
    order = order[:told]
    doubt = guess.doubt.reshape(-1)[order]
    said = guess.symbols_at(order)
    true = None if symbols is None else symbols.reshape(-1)[order]
    wrong = None if true is None else (true != said) & (true != UNKNOWN)
    flags = np.zeros(told, np.bool_)
    for value in range(_BINS - 1, 0, -1):
        first, last = np.searchsorted(-doubt.astype(np.int16), [-value, -value + 1]).tolist()
        if first == last:
            continue
        asked = None if wrong is None else wrong[first:last]
        ones = plain(coder, None if asked is None else int(asked.sum()), last - first + 1)
        row = np.array([[last - first - ones + 1, ones + 1]], np.int64)
        flags[first:last] = coder.many(
            None if asked is None else asked.astype(np.int64), np.repeat(row, last - first, 0)
        )
    places = order[flags]
    below = guess.below.reshape(-1, guess.below.shape[-1])[places].astype(np.int64)
    steps = -np.minimum(below, 10 * LOGIT_STEPS)
    steps[np.arange(len(places)), said[flags]] = -16 * LOGIT_STEPS  # it is anything but that
    wanted = None if true is None else true[flags].astype(np.int64)
    return Corrections(places, coder.many(wanted, frequencies(steps)).astype(np.int64))


def without_classes(logits: StaticLogits, numbers: list[int]) -> StaticLogits:
    """What the network says of all but some classes, which others say: P(occupied) loses their part."""
    if not numbers:
        return logits
    share = logits.semantic.softmax(1)[:, numbers].sum(1).clamp(max=1 - 1e-6)
    rest = torch.log1p(-share)
    # log-odds of p (1 - s): log p + log(1 - s) - log(1 - p (1 - s))
    log_p = F.logsigmoid(logits.occupied) + rest
    occupied = log_p - torch.log(-torch.expm1(log_p.clamp(max=-1e-9)))
    semantic = logits.semantic.clone()
    semantic[:, numbers] = -1e4
    return StaticLogits(occupied, semantic, logits.seen)
