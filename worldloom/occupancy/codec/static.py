"""The codes of the static world in the stream: which cells have any, and their digits."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from worldloom.occupancy.codec.entropy import Coder, Counts, frequencies
from worldloom.occupancy.codec.prior import CodePrior, PlanePrior, coarse_context, phase_of
from worldloom.occupancy.codec.world import CELL
from worldloom.occupancy.static_tokenizer import StaticCodes, StaticTokenizer

TILE = 64  # coarse cells on a side that go through the network at once
_MARGIN = 4  # cells around a tile that are decoded with it, and left out


class Digits(NamedTuple):
    """Levels of each channel, from 0; zeros where a cell has none."""

    coarse: Int64[np.ndarray, "c h w"]
    fine: Int64[np.ndarray, "d h2 w2"] | None


class Masks(NamedTuple):
    """Cells in which anything was observed."""

    coarse: Bool[np.ndarray, "h w"]
    fine: Bool[np.ndarray, "h2 w2"]


def code_mask(coder: Coder, mask: Bool[np.ndarray, "h w"] | None, within: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """A mask, cell by cell, by the four neighbours that have gone before and the edges of `within`; False outside."""
    h, w = within.shape
    models = [Counts(2) for _ in range(64)]
    edges = np.pad(within, ((0, 1), (0, 1)))
    said = np.zeros((h + 1, w + 2), np.int64)  # a border behind, and on both sides
    for i in range(h):
        for j in range(w):
            if within[i, j]:
                behind = said[i]
                context = said[i + 1, j] + 2 * behind[j + 1] + 4 * behind[j] + 8 * behind[j + 2]
                context += 16 * edges[i + 1, j] + 32 * edges[i, j + 1]
                said[i + 1, j + 1] = models[context].code(coder, None if mask is None else int(mask[i, j]))
    return said[1:, 1:-1].astype(np.bool_)


def code_digits(
    coder: Coder, digits: Int64[np.ndarray, "c h w"] | None, mask: Bool[np.ndarray, "h w"], levels: tuple[int, ...],
    prior: PlanePrior | None, context: Float[Tensor, "1 d h w"],
) -> Int64[np.ndarray, "c h w"]:  # fmt: skip
    """The digits of the cells of `mask`; under frequencies so far where there is no prior.

    Args:
        levels: of the channels that are said; the others are 0.
    """
    if prior is None:
        return _by_counts(coder, digits, mask, levels)
    h, w = mask.shape
    has, phases = torch.from_numpy(mask), phase_of(h, w)
    said = torch.zeros(1, len(prior.levels), h, w, dtype=torch.int64)
    for phase in range(4):
        cells = has & (phases == phase)
        if not bool(cells.any()):
            continue
        with torch.no_grad():
            known = has & (phases < phase)
            features = prior.features(said, known[None], has[None], context, exact=True)
        for channel in range(len(levels)):
            rows = frequencies(prior.steps(features, channel, said, cells))
            wanted = None if digits is None else digits[channel][cells.numpy()]
            said[0, channel][cells] = torch.from_numpy(coder.many(wanted, rows).astype(np.int64))
    return said[0, : len(levels)].numpy()


def _by_counts(
    coder: Coder, digits: Int64[np.ndarray, "c h w"] | None, mask: Bool[np.ndarray, "h w"], levels: tuple[int, ...]
) -> Int64[np.ndarray, "c h w"]:
    channels = len(levels)
    said = np.zeros((channels, *mask.shape), np.int64)
    models = [Counts(n) for n in levels]
    for i, j in np.argwhere(mask).tolist():
        for channel, model in enumerate(models):
            said[channel, i, j] = model.code(coder, None if digits is None else int(digits[channel, i, j]))
    return said


def code_static(
    coder: Coder, digits: Digits | None, masks: Masks, levels: tuple[tuple[int, ...], tuple[int, ...]], keep: int,
    fine: bool, prior: CodePrior | None,
) -> Digits:  # fmt: skip
    """Digits of both planes; `keep` channels of the coarse one, and the fine one only if asked for."""
    nothing = torch.zeros(1, 0, *masks.coarse.shape)
    with coder.part("static_coarse"):
        coarse = code_digits(
            coder, None if digits is None else digits.coarse[:keep], masks.coarse, levels[0][:keep],
            prior and prior.coarse, nothing,
        )  # fmt: skip
    full = np.zeros((len(levels[0]), *masks.coarse.shape), np.int64)
    full[:keep] = coarse
    if not fine:
        return Digits(full, None)
    context = coarse_context(torch.from_numpy(full)[None], torch.from_numpy(masks.coarse)[None], levels[0])
    with coder.part("static_fine"):
        said = code_digits(
            coder, None if digits is None else digits.fine, masks.fine, levels[1], prior and prior.fine, context
        )
    return Digits(full, said)


def digits_of(codes: Float[Tensor, "c h w"], levels: tuple[int, ...]) -> Int64[np.ndarray, "c h w"]:
    """Levels of an FSQ's codes, from 0."""
    half = torch.tensor([n // 2 for n in levels], dtype=torch.float64)[:, None, None]
    return (codes.double() * half + half).round().long().numpy()


def static_codes(
    digits: Digits, masks: Masks, levels: tuple[tuple[int, ...], tuple[int, ...]], keep: int
) -> StaticCodes:
    """The codes that digits stand for, zero where there are none, in a batch of one."""
    planes = []
    for plane, mask, of in zip(digits, masks, levels, strict=True):
        if plane is None:
            planes.append(None)
            continue
        half = torch.tensor([n // 2 for n in of], dtype=torch.float64)[:, None, None]
        codes = (torch.from_numpy(plane) - half) / half * torch.from_numpy(mask)
        planes.append(codes.float()[None])
    coarse, fine = planes
    assert coarse is not None
    coarse[:, keep:] = 0
    return StaticCodes(coarse, fine)


def tiles(cells: tuple[int, int]) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Windows of a plane of coarse cells: (with margin, the part of that which is kept), to be gone through in turn."""
    windows = []
    for i in range(0, cells[0], TILE):
        for j in range(0, cells[1], TILE):
            around, kept = [], []
            for start, size in zip((i, j), cells, strict=True):
                low, high = max(0, start - _MARGIN), min(size, start + TILE + _MARGIN)
                around.append(slice(low, high))
                kept.append(slice(start - low, min(start + TILE, size) - low))
            windows.append(((around[0], around[1]), (kept[0], kept[1])))
    return windows


def scaled(window: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    """A window of cells as one of columns, or of finer cells."""
    a, b = (slice(s.start * factor, s.stop * factor) for s in window)
    return a, b


@torch.no_grad()
def encode_static(model: StaticTokenizer, symbols: Tensor, keep: int) -> Digits:
    """Digits of a volume, tile by tile."""
    config = model.config
    h, w = symbols.shape[0] // CELL, symbols.shape[1] // CELL
    coarse = np.zeros((len(config.coarse), h, w), np.int64)
    fine = np.zeros((len(config.fine), 2 * h, 2 * w), np.int64)
    for around, kept in tiles((h, w)):
        codes = model.encode(symbols[scaled(around, CELL)][None], torch.tensor([keep]))
        assert codes.coarse is not None
        assert codes.fine is not None
        place = tuple(slice(a.start + k.start, a.start + k.stop) for a, k in zip(around, kept, strict=True))
        place = (place[0], place[1])
        coarse[:, *place] = digits_of(codes.coarse[0], config.coarse)[:, *kept]
        fine[:, *scaled(place, 2)] = digits_of(codes.fine[0], config.fine)[:, *scaled(kept, 2)]
    return Digits(coarse, fine)
