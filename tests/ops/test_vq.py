"""Vector quantization: nearest codes, moving averages worked out by hand, restarts, determinism."""

import pytest
import torch

from worldloom.ops.quantize import codebook_use
from worldloom.ops.vq import VQ, VQConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vq_at(codes: list[list[float]], **options) -> VQ:
    """A quantizer whose codebook is exactly `codes`, each used once so far."""
    book = torch.tensor(codes)
    vq = VQ(VQConfig(len(book), book.shape[1], **options))
    vq.initialise(book, seeded())
    order = torch.cdist(book, vq.codebook).argmin(1)
    for buffer in (vq.codebook, vq.sums):
        buffer.copy_(buffer[order])
    return vq


def clusters(n: int, size: int, generator: torch.Generator, spread: float = 0.02) -> torch.Tensor:
    centres = torch.randn(size, 4, generator=generator)
    return centres[torch.arange(n) % size] + spread * torch.randn(n, 4, generator=generator)


def test_nearest_code_wins_and_the_loss_pulls_the_latent():
    vq = vq_at([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], commitment=0.5).eval()
    latent = torch.tensor([[[1.9, 0.0], [2.1, 0.0]], [[0.0, 9.0], [1.0, 2.6]]], requires_grad=True)
    out = vq(latent)
    assert out.indices.tolist() == [[0, 1], [2, 2]]
    assert torch.equal(out.codes, vq.codes_from_indices(out.indices))
    distances = torch.tensor([1.9**2, 1.9**2, 5.0**2, 1.0 + 1.4**2])
    torch.testing.assert_close(out.loss, 0.5 * distances.sum() / 8)
    (gradient,) = torch.autograd.grad((3 * out.codes).sum(), latent, retain_graph=True)
    assert torch.equal(gradient, torch.full_like(latent, 3.0))
    (pull,) = torch.autograd.grad(out.loss, latent)
    torch.testing.assert_close(pull, 0.5 * 2 * (latent - out.codes).detach() / 8)


def test_codebook_follows_by_moving_averages():
    vq = vq_at([[0.0], [10.0]], decay=0.9, dead_share=0.0).train()
    vq(torch.tensor([[1.0], [2.0], [3.0], [10.0]]), seeded())
    # counts 0.9 * 1 + 0.1 * (3, 1); sums 0.9 * (0, 10) + 0.1 * (6, 10)
    torch.testing.assert_close(vq.counts, torch.tensor([1.2, 1.0]))
    torch.testing.assert_close(vq.codebook, torch.tensor([[0.6 / 1.2], [10.0]]))


def test_codebook_moves_in_training_only():
    vq = vq_at([[0.0], [10.0]]).eval()
    before = {name: value.clone() for name, value in vq.state_dict().items()}
    vq(torch.randn(50, 1))
    assert all(torch.equal(value, before[name]) for name, value in vq.state_dict().items())
    with pytest.raises(ValueError, match="generator"):
        vq.train()(torch.randn(5, 1))


def test_initialise_finds_clusters():
    generator = seeded(1)
    vq = VQ(VQConfig(16, 4))
    latents = clusters(800, 16, generator)
    vq.initialise(latents, generator)
    out = vq.eval()(latents)
    use = codebook_use(out.indices, 16)
    assert use.used == 1
    assert use.perplexity > 15.5
    assert (out.codes - latents).square().sum(-1).max() < 0.05


def test_dead_codes_restart_at_badly_served_latents():
    vq = vq_at([[0.0], [1.0], [1000.0], [2000.0]], decay=0.5, dead_share=0.1).train()
    generator = seeded()
    latents = torch.cat([torch.zeros(40), torch.ones(40), torch.full((4,), 30.0), torch.full((4,), -30.0)])[:, None]
    for _ in range(30):
        vq(latents, generator)
    assert codebook_use(vq(latents, generator).indices, 4).used == 1
    assert sorted(vq.codebook[:, 0].round().tolist()) == [-30, 0, 1, 30]


def test_same_seed_same_codebook():
    def trained(seed: int) -> torch.Tensor:
        generator = seeded(seed)
        vq = VQ(VQConfig(12, 4, dead_share=0.5)).train()
        data = clusters(300, 20, seeded(5), spread=0.3)
        vq.initialise(data[:100], generator)
        for _ in range(5):
            vq(data, generator)
        return vq.codebook

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))


def test_indices_do_not_depend_on_the_batch():
    vq = vq_at([[0.0, 1.0], [4.0, 0.0], [0.0, 4.0]]).eval()
    latent = torch.randn(7, 2)
    assert torch.equal(vq(latent[2:5]).indices, vq(latent).indices[2:5])


def test_nothing_to_quantize_is_no_error():
    vq = vq_at([[0.0], [10.0]]).train()
    out = vq(torch.zeros(0, 1, requires_grad=True), seeded())
    assert out.codes.shape == (0, 1)
    assert out.loss == 0
    torch.testing.assert_close(vq.codebook, torch.tensor([[0.0], [10.0]]))


def test_wrong_use_is_refused():
    with pytest.raises(RuntimeError, match="initialise"):
        VQ(VQConfig(4, 2))(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="at least 4 latents to start from, got 3"):
        VQ(VQConfig(4, 2)).initialise(torch.zeros(3, 2), seeded())
    equal = VQ(VQConfig(4, 2))
    equal.initialise(torch.ones(9, 2), seeded())
    assert torch.equal(equal.codebook, torch.ones(4, 2))


def test_idle_codes_stay_where_every_latent_is_met_exactly():
    book = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    vq = vq_at(book, decay=0.5).train()
    for _ in range(20):  # counts of the others fall far below their fair share
        assert torch.equal(vq(torch.zeros(8, 2), seeded()).codes, torch.zeros(8, 2))
    assert torch.equal(vq.codebook, torch.tensor(book))
