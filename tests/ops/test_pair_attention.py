"""Attention with features of pairs against its formula, written out."""

import math

import pytest
import torch

from worldloom.ops.pair_attention import PairAttention, PairBlock


@torch.no_grad()
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_pair_attention_is_its_formula(batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    m, width, e, c = 5, 16, 6, 8
    attention = PairAttention(width, e, c)
    x, pairs = torch.randn(*batch, m, width), torch.randn(*batch, m, m, e)
    mask = (torch.rand(*batch, m, m) < 0.6) | torch.eye(m, dtype=torch.bool)
    got = attention(x, pairs, mask).reshape(-1, m, width)
    flat = zip(x.reshape(-1, m, width), pairs.reshape(-1, m, m, e), mask.reshape(-1, m, m), strict=True)
    for number, (x1, pairs1, mask1) in enumerate(flat):
        q, k, v = attention.query_key_value(x1).split(width, -1)
        bias = attention.bias(pairs1)
        for i in range(m):
            values, related = [], []
            for h in range(width // c):
                part = slice(h * c, (h + 1) * c)
                scores = torch.tensor(
                    [float(q[i, part] @ k[j, part]) / math.sqrt(c) + float(bias[i, j, h]) for j in range(m)]
                )
                weights = scores.masked_fill(~mask1[i], -torch.inf).softmax(0)
                values.append(weights @ v[:, part])
                related.append(weights @ pairs1[i])
            want = attention.out(torch.cat(values) + attention.value_of_pair(torch.cat(related)))
            assert torch.allclose(got[number, i], want, atol=1e-5)


def test_a_width_that_has_no_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the head width, got 40 and 32"):
        PairAttention(40, 4)


def test_a_block_adds_to_what_it_gets() -> None:
    torch.manual_seed(0)
    block = PairBlock(32, 4)
    x = torch.randn(3, 32)
    for module in (block.attention.out, block.mlp.contract):
        torch.nn.init.zeros_(module.weight)
        torch.nn.init.zeros_(module.bias)
    assert torch.equal(block(x, torch.randn(3, 3, 4), torch.ones(3, 3, dtype=torch.bool)), x)
