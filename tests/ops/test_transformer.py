"""Attention and adaLN-Zero blocks against their formulas, written out."""

import math
from typing import TypeVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from worldloom.ops.rotary import grid_positions, rotary_angles, rotate
from worldloom.ops.transformer import (
    MLP,
    Attention,
    Block,
    BlockConfig,
    FinalLayer,
    Modulation,
    SpaceTimeBlock,
    causal_mask,
)

Module = TypeVar("Module", bound=nn.Module)


def wake(module: Module, seed: int = 0) -> Module:
    """Random numbers in every parameter, so that zero-initialised gates do not hide what is behind them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(parameter.shape[-1], 4) ** 0.5)
    return module


def naive_attention(attention: Attention, x, angles=None, mask=None):
    """One sequence (l d), head by head, query by query."""
    width, c = x.shape[-1], attention.head_width
    q, kv = attention.query(x), attention.key_value(x)
    k, v = kv[:, :width], kv[:, width:]
    heads = []
    for h in range(width // c):
        part = slice(h * c, (h + 1) * c)
        qh, kh = attention.query_norm(q[:, part]), attention.key_norm(k[:, part])
        if angles is not None:
            qh, kh = rotate(qh, angles), rotate(kh, angles)
        scores = qh @ kh.T / math.sqrt(c)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        heads.append(scores.softmax(-1) @ v[:, part])
    return attention.out(torch.cat(heads, dim=-1))


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attention_is_its_formula(batch, qk_norm):
    attention = wake(Attention(24, 8, qk_norm=qk_norm))
    x = torch.randn(*batch, 5, 24)
    angles = rotary_angles(grid_positions(5), 8)
    masks = torch.rand(*batch, 5, 5) < 0.5
    masks = masks | torch.eye(5, dtype=torch.bool)
    for mask in (None, causal_mask(torch.arange(5)), masks):
        out = attention(x, angles, mask).reshape(-1, 5, 24)
        each = (mask.expand(*batch, 5, 5) if mask is not None else masks | True).reshape(-1, 5, 5)
        for item, m, o in zip(x.reshape(-1, 5, 24), each, out, strict=True):
            torch.testing.assert_close(o, naive_attention(attention, item, angles, m), atol=1e-5, rtol=1e-5)


def test_attention_without_positions_is_permutation_equivariant():
    attention = wake(Attention(16, 8))
    x, order = torch.randn(2, 7, 16), torch.randperm(7)
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], atol=1e-5, rtol=1e-5)
    angles = rotary_angles(grid_positions(7), 8)
    assert not torch.allclose(attention(x[:, order], angles), attention(x, angles)[:, order], atol=1e-3)


def test_attention_looks_at_the_context():
    attention = wake(Attention(16, 8, context_width=6))
    x, context = torch.randn(2, 3, 16), torch.randn(2, 9, 6)
    keep = torch.zeros(3, 9, dtype=torch.bool)
    keep[:, 4] = True
    # Allowed to see one context token only, every query returns its value.
    value = attention.key_value(context)[:, 4:5, 16:]
    torch.testing.assert_close(attention(x, mask=keep, context=context), attention.out(value).expand(2, 3, 16))


def test_block_is_its_formula():
    block = wake(Block(BlockConfig(16, 8, cond_width=5)))
    x, cond = torch.randn(3, 4, 16), torch.randn(3, 1, 5)
    shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(cond)
    norm = lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-6).sqrt()  # noqa: E731
    expected = x + gate1 * block.attention(norm(x) * (1 + scale1) + shift1)
    expected = expected + gate2 * block.mlp(norm(expected) * (1 + scale2) + shift2)
    torch.testing.assert_close(block(x, cond), expected)


@pytest.mark.parametrize("cond_width", [0, 6])
def test_a_new_block_hands_through_and_a_new_final_layer_says_zero(cond_width):
    config = BlockConfig(16, 8, cond_width=cond_width, context_width=4)
    x, cond = torch.randn(2, 5, 16), torch.randn(2, 5, 6) if cond_width else None
    assert torch.equal(Block(config)(x, cond, context=torch.randn(2, 3, 4)), x)
    assert torch.equal(FinalLayer(16, 3, cond_width)(x, cond), torch.zeros(2, 5, 3))


def test_final_layer_hears_the_condition():
    final = wake(FinalLayer(16, 3, 6))
    x = torch.randn(2, 5, 16)
    one, other = final(x, torch.randn(2, 1, 6)), final(x, torch.randn(2, 1, 6))
    assert (one - other).abs().min() > 1e-5


def test_condition_per_frame_equals_the_same_per_token_and_stays_in_its_frame():
    block = wake(SpaceTimeBlock(BlockConfig(16, 8, cond_width=6)))
    x, cond = torch.randn(2, 4, 3, 16), torch.randn(2, 4, 1, 6)
    out = block(x, cond)
    torch.testing.assert_close(out, block(x, cond.expand(2, 4, 3, 6)), atol=1e-5, rtol=1e-5)
    # A changed condition of frame 2 reaches frames 2 and 3 only, if time is causal.
    changed = cond.clone()
    changed[:, 2] += 1
    mask = causal_mask(torch.arange(4))
    difference = (block(x, changed, time_mask=mask) - block(x, cond, time_mask=mask)).abs().amax(dim=(0, 2, 3))
    assert difference[:2].tolist() == [0, 0]
    assert (difference[2:] > 1e-3).all()
    assert difference[2] > difference[3]


def test_space_time_block_looks_along_each_axis():
    """One block sees the row and the column of a token, and through them everything; each half only its own axis."""
    block = wake(SpaceTimeBlock(BlockConfig(16, 8)))
    x = torch.randn(1, 4, 3, 16)
    changed = x.clone()
    changed[0, 1, 2, 0] += 1  # one channel: the norm would take away a shift of all
    moved = (block(changed) - block(x)).abs().sum(-1)[0] > 1e-4
    assert moved.all()
    space = (block.space(changed) - block.space(x)).abs().sum(-1)[0] > 1e-4
    assert space.nonzero()[:, 0].unique().tolist() == [1]
    angles = rotary_angles(grid_positions(4), 8)
    causal = block(changed, time_angles=angles, time_mask=causal_mask(torch.arange(4))) - block(
        x, time_angles=angles, time_mask=causal_mask(torch.arange(4))
    )
    assert causal[0, 0].abs().max() == 0


def test_results_do_not_depend_on_the_batch():
    block = wake(SpaceTimeBlock(BlockConfig(16, 8, cond_width=6)))
    x, cond = torch.randn(5, 4, 3, 16), torch.randn(5, 4, 1, 6)
    torch.testing.assert_close(block(x, cond)[3:4], block(x[3:4], cond[3:4]), atol=1e-5, rtol=1e-5)


def test_causal_mask_by_hand():
    expected = [[True, True, False], [True, True, False], [True, True, True]]
    assert causal_mask(torch.tensor([0, 0, 1])).tolist() == expected


def test_mlp_kinds_have_equal_size():
    sizes = [sum(p.numel() for p in MLP(96, kind).parameters()) for kind in ("swiglu", "gelu")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    mlp = wake(MLP(8, "swiglu"))
    x = torch.randn(3, 8)
    value, gate = F.linear(x, mlp.expand.weight, mlp.expand.bias).chunk(2, dim=-1)
    torch.testing.assert_close(mlp(x), mlp.contract(value * gate * torch.sigmoid(gate)))


@pytest.mark.parametrize("mlp", ["swiglu", "gelu"])
def test_gradients(mlp):
    block = wake(Block(BlockConfig(4, 2, cond_width=2, context_width=1, mlp=mlp, mlp_ratio=1.0))).double()
    inputs = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((1, 2, 4), (1, 1, 2), (1, 2, 1))
    ]
    mask = causal_mask(torch.arange(2))
    assert torch.autograd.gradcheck(lambda x, cond, context: block(x, cond, None, mask, context), inputs)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="multiple of an even head width"):
        BlockConfig(20, 8)
    x = torch.randn(1, 2, 8)
    with pytest.raises(ValueError, match="a condition is needed"):
        Modulation(8, 3, 2)(None)
    with pytest.raises(ValueError, match="cond_width is 0"):
        Block(BlockConfig(8, 4))(x, torch.randn(1, 1, 3))
    with pytest.raises(ValueError, match="context_width is 0"):
        Block(BlockConfig(8, 4))(x, context=x)


def test_a_block_overfits_a_toy_task():
    """One block learns by heart to say the token before; all its parameters take part."""
    torch.manual_seed(0)
    block, final = Block(BlockConfig(32, 16)), FinalLayer(32, 32)
    parameters = [*block.parameters(), *final.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2, foreach=True)
    angles = rotary_angles(grid_positions(6), 16)
    x, loss = torch.randn(4, 6, 32), torch.tensor(torch.inf)
    for _ in range(40):
        loss = (final(block(x, angles=angles))[:, 1:] - x[:, :-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in parameters)
