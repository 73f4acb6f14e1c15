"""The network of columns: shapes, what codes and memory may be left out, and that it can learn a world by heart."""

import pytest
import torch

from worldloom.geometry import FREE
from worldloom.geometry.occupancy import STATIC
from worldloom.occupancy.static_tokenizer import (
    NUM_LAYERS,
    UNKNOWN,
    StaticCodes,
    StaticTokenizer,
    StaticTokenizerConfig,
    static_loss,
    symbols_of,
)

TINY = StaticTokenizerConfig(widths=(8, 16, 16, 16), decoder_blocks=1)


def random_world(seed: int = 0, b: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    choice = torch.randint(0, len(STATIC), (b, 4, 5, NUM_LAYERS), generator=dice)
    labels = torch.tensor(STATIC)[choice].to(torch.uint8).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[..., 12:] = FREE
    observed = torch.rand(labels.shape, generator=dice) < 0.5
    return labels, observed


@torch.no_grad()
def test_shapes_and_codes() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(TINY)
    labels, observed = random_world()
    codes = net.encode(symbols_of(labels, observed))
    assert codes.coarse is not None
    assert codes.fine is not None
    assert codes.coarse.shape == (2, 5, 4, 5)
    assert codes.fine.shape == (2, 4, 8, 10)
    digits = codes.coarse * torch.tensor([4, 4, 4, 2, 2.0])[None, :, None, None]  # 8 levels: -4 … 3; 5 levels: -2 … 2
    assert torch.allclose(digits, digits.round(), atol=1e-5)
    logits = net.decode(codes)
    assert logits.occupied.shape == (2, NUM_LAYERS, 32, 40)
    assert logits.labels().shape == labels.shape
    assert set(logits.labels().unique().tolist()) <= {*STATIC, FREE}


@torch.no_grad()
def test_nothing_is_said_where_nothing_was_seen() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(TINY)
    labels, observed = random_world()
    observed[:, :8] = False
    codes = net.encode(symbols_of(labels, observed))
    assert codes.coarse is not None
    assert codes.fine is not None
    assert not bool(codes.coarse[:, :, 0].any())
    assert not bool(codes.fine[:, :, :2].any())
    assert bool(codes.coarse[:, :, 1:].any())


@torch.no_grad()
def test_unobserved_labels_do_not_leak() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(TINY)
    labels, observed = random_world()
    other = torch.where(observed, labels, torch.tensor(15, dtype=torch.uint8))
    a, b = (net.encode(symbols_of(x, observed)) for x in (labels, other))
    assert torch.equal(torch.as_tensor(a.coarse), torch.as_tensor(b.coarse))
    assert int(symbols_of(labels, observed)[~observed].unique()) == UNKNOWN


@torch.no_grad()
def test_kept_channels_decide_alone() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(TINY)
    symbols = symbols_of(*random_world())
    codes = net.encode(symbols, torch.tensor([2, 5]))
    assert codes.coarse is not None
    assert not bool(codes.coarse[0, 2:].any())
    assert bool(codes.coarse[1, 2:].any())


@torch.no_grad()
def test_codes_or_memory_must_be_there() -> None:
    net = StaticTokenizer(TINY)
    memory = net.remember(symbols_of(*random_world()))
    assert net.decode(StaticCodes(), memory).occupied.shape[0] == 2
    with pytest.raises(ValueError, match="needs coarse codes or a memory"):
        net.decode(StaticCodes())


@torch.no_grad()
def test_the_way_ahead_is_read() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(TINY)
    symbols = symbols_of(*random_world())
    path = torch.zeros(2, 32, 40)
    without, zeros = net.remember(symbols), net.remember(symbols, path)
    path[:, 10] = 1
    assert torch.equal(without[3], zeros[3])
    assert not torch.equal(without[3], net.remember(symbols, path)[3])


def test_it_learns_a_world_by_heart() -> None:
    torch.manual_seed(0)
    net = StaticTokenizer(StaticTokenizerConfig(widths=(16, 16, 24, 32), decoder_blocks=1))
    labels, observed = (part[:, :16, :24] for part in random_world(b=1))
    symbols, weight = symbols_of(labels, observed), torch.ones(labels.shape)
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    for _ in range(80):
        loss, _ = static_loss(net.decode(net.encode(symbols)), labels, observed, weight, torch.ones(len(STATIC)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = net.decode(net.encode(symbols)).labels()
    assert (made == labels)[observed].float().mean() > 0.9


def test_only_observed_voxels_are_learned_from() -> None:
    net = StaticTokenizer(TINY)
    labels, observed = random_world()
    logits = net.decode(net.encode(symbols_of(labels, observed)))
    other = torch.where(observed, labels, torch.tensor(16, dtype=torch.uint8))
    weight, classes = torch.ones(labels.shape), torch.ones(len(STATIC))
    a, b = (static_loss(logits, x, observed, weight, classes)[0] for x in (labels, other))
    assert torch.equal(a, b)
