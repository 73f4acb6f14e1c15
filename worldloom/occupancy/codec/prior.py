"""What codes of the static world are likely, given codes around them: a small network whose sums are exact.

A plane's cells are coded in four passes, each a quarter of them; a pass sees all cells of those before. Within a cell
the channels follow each other. The network is run in fixed point: inputs and activations are multiples of 2^-8,
weights of 2^-10, and all are bounded, so that every sum fits the 53 bits of a float64 and is exact in whatever order it
is made. Encoder and decoder thus find the same frequencies on any machine, with any number of threads. (Ballé et al.
2019 do the same with integers.)
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.occupancy.codec.entropy import LOGIT_STEPS

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))  # cells of each pass, in every square of two by two
_ACTIVATION, _WEIGHT = 2.0**8, 2.0**10
_LARGEST, _HEAVIEST = 16.0, 8.0  # 2^(4+8) * 2^(3+10) * 9 * 128 < 2^36


@dataclass(frozen=True)
class CodePriorConfig:
    """The size of the networks of both planes."""

    coarse: tuple[int, ...] = (8, 8, 8, 5, 5)  # levels, as the static tokenizer's
    fine: tuple[int, ...] = (5, 5, 5, 5)
    width: int = 64
    layers: int = 3  # of 3 x 3, after the first


class PlanePrior(nn.Module):
    """Logits of a plane's digits."""

    def __init__(self, levels: tuple[int, ...], num_context: int, width: int, layers: int) -> None:
        super().__init__()
        self.levels = levels
        count = len(levels)
        self.stem = nn.Conv2d(count + 2 + num_context, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.said = nn.ModuleList(nn.Conv2d(width + sum(levels[:i]), width, 1) for i in range(count))
        self.heads = nn.ModuleList(nn.Conv2d(width, n, 1) for n in levels)

    def features(
        self, digits: Int64[Tensor, "b c h w"], known: Bool[Tensor, "b h w"], mask: Bool[Tensor, "b h w"],
        context: Float[Tensor, "b d h w"], exact: bool = False,
    ) -> Float[Tensor, "b e h w"]:  # fmt: skip
        """What the cells around say.

        Args:
            known: cells whose digits may be looked at.
            mask: cells that have digits at all.
            context: codes of a coarser plane, in multiples of 2^-8.
        """
        values = codes_of(digits, self.levels) * known[:, None]
        x = torch.cat([values, known[:, None].to(values), mask[:, None].to(values), context.to(values)], 1)
        x = _conv(self.stem, x, exact, True)
        for layer in self.body:
            assert isinstance(layer, nn.Conv2d)
            x = x + _conv(layer, x, exact, True) if not exact else _bounded(x + _conv(layer, x, exact, True))
        return x

    def logits(
        self, features: Float[Tensor, "b e h w"], channel: int, digits: Int64[Tensor, "b c h w"], exact: bool = False
    ) -> Float[Tensor, "b n h w"]:
        """Of one channel, given the channels before it in the same cells."""
        before = [F.one_hot(digits[:, i], n).permute(0, 3, 1, 2) for i, n in enumerate(self.levels[:channel])]
        x = torch.cat([features, *(part.to(features) for part in before)], 1)
        said, head = self.said[channel], self.heads[channel]
        assert isinstance(said, nn.Conv2d)
        assert isinstance(head, nn.Conv2d)
        return _conv(head, _conv(said, x, exact, True), exact, False)

    @torch.no_grad()
    def steps(
        self, features: Float[Tensor, "1 e h w"], channel: int, digits: Int64[Tensor, "1 c h w"],
        cells: Bool[Tensor, "h w"],
    ) -> Int64[np.ndarray, "n k"]:  # fmt: skip
        """Exact logits of some cells, in LOGIT_STEPS."""
        columns = cells.reshape(-1).nonzero()[:, 0]
        picked = features.flatten(2)[:, :, columns, None]
        logits = self.logits(picked, channel, digits.flatten(2)[:, :, columns, None], exact=True)
        return rearrange((logits * LOGIT_STEPS).round().long(), "1 k n 1 -> n k").numpy()


class CodePrior(nn.Module):
    """Priors of the coarse plane, and of the fine one given the coarse."""

    def __init__(self, config: CodePriorConfig) -> None:
        super().__init__()
        self.config = config
        self.coarse = PlanePrior(config.coarse, 0, config.width, config.layers)
        self.fine = PlanePrior(config.fine, len(config.coarse) + 1, config.width, config.layers)


def codes_of(digits: Int64[Tensor, "b c h w"], levels: tuple[int, ...]) -> Float[Tensor, "b c h w"]:
    """The codes in [-1, 1] of an FSQ's digits, in multiples of 2^-8."""
    half = torch.tensor([n // 2 for n in levels], dtype=torch.float64)[:, None, None]
    return ((digits - half) / half * _ACTIVATION).round() / _ACTIVATION


def coarse_context(
    digits: Int64[Tensor, "b c h w"], mask: Bool[Tensor, "b h w"], levels: tuple[int, ...]
) -> Float[Tensor, "b d h2 w2"]:
    """Coarse codes and their mask, for each fine cell."""
    both = torch.cat([codes_of(digits, levels) * mask[:, None], mask[:, None].double()], 1)
    return both.repeat_interleave(2, 2).repeat_interleave(2, 3)


def phase_of(h: int, w: int) -> Int64[Tensor, "h w"]:
    """The pass in which each cell is coded."""
    table = torch.zeros(2, 2, dtype=torch.int64)
    for number, (row, column) in enumerate(PHASES):
        table[row, column] = number
    return table[torch.arange(h)[:, None] % 2, torch.arange(w)[None] % 2]


def _bounded(x: Tensor) -> Tensor:
    return ((x * _ACTIVATION).round() / _ACTIVATION).clamp(-_LARGEST, _LARGEST)


def _conv(layer: nn.Conv2d, x: Tensor, exact: bool, rectify: bool) -> Tensor:
    if not exact:
        x = layer(x.to(layer.weight.dtype))
        return F.relu(x) if rectify else x
    assert layer.bias is not None
    weight, bias = (
        ((p.detach().double() * _WEIGHT).round() / _WEIGHT).clamp(-_HEAVIEST, _HEAVIEST)
        for p in (layer.weight, layer.bias)
    )
    padding = layer.padding if isinstance(layer.padding, str) else (int(layer.padding[0]), int(layer.padding[1]))
    x = F.conv2d(x.double(), weight, bias, padding=padding)
    return _bounded(F.relu(x) if rectify else x)
