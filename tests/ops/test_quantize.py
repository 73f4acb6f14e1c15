"""Use of a codebook in closed form."""

import math

import pytest
import torch

from worldloom.ops.quantize import codebook_use


def test_use_by_hand():
    use = codebook_use(torch.tensor([[0, 0], [1, 2]]), 8)
    assert use.used == 3 / 8
    assert use.bits == pytest.approx(1.5)
    assert use.perplexity == pytest.approx(2**1.5)
    even = codebook_use(torch.arange(512).repeat(3), 512)
    assert (even.used, even.perplexity, even.bits) == pytest.approx((1, 512, 9))
    one = codebook_use(torch.full((4,), 3), 512)
    assert (one.perplexity, one.bits) == (1, 0)
    assert math.copysign(1, one.bits) > 0


def test_wrong_indices_are_refused():
    with pytest.raises(ValueError, match="below the codebook size 4, got 4"):
        codebook_use(torch.tensor([4]), 4)
    with pytest.raises(ValueError, match="at least one"):
        codebook_use(torch.zeros(0, dtype=torch.int64), 4)
