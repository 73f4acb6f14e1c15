import numpy as np
import pytest
import torch

from worldloom.occupancy.codec.entropy import Reader, Writer
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig, PlanePrior, coarse_context, phase_of
from worldloom.occupancy.codec.static import Masks, code_static

LEVELS = (8, 5, 5)


@pytest.fixture(scope="module")
def prior() -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(CodePriorConfig(LEVELS, (5, 5), 16, 2))


def _by_integers(plane: PlanePrior, digits: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """The last pass's features, worked out in 64-bit integers, with sums in another order."""

    def conv(layer: torch.nn.Conv2d, x: np.ndarray) -> np.ndarray:
        weight = np.clip((layer.weight.detach().double() * 1024).round().numpy(), -8192, 8192).astype(np.int64)
        assert layer.bias is not None
        bias = np.clip((layer.bias.detach().double() * 1024).round().numpy(), -8192, 8192).astype(np.int64) * 256
        pad = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        out = np.zeros((len(weight), *x.shape[1:]), np.int64) + bias[:, None, None]
        for i in reversed(range(3)):
            for j in reversed(range(3)):
                patch = pad[:, i : i + x.shape[1], j : j + x.shape[2]]
                out += np.einsum("oc,chw->ohw", weight[:, :, i, j], patch)
        half, rest = np.divmod(np.maximum(out, 0), 1024)  # in 2^-18; round half to even, as torch does
        up = (rest > 512) | ((rest == 512) & (half % 2 == 1))
        return np.minimum(half + up, 16 * 256)

    half = np.array([n // 2 for n in plane.levels])[:, None, None]
    values = np.rint((digits[0].numpy() - half) / half * 256).astype(np.int64) * known.numpy()
    x = np.concatenate([values, known[None].numpy() * 256, mask[None].numpy() * 256]).astype(np.int64)
    x = conv(plane.stem, x)
    for layer in plane.body:
        assert isinstance(layer, torch.nn.Conv2d)
        x = np.minimum(x + conv(layer, x), 16 * 256)
    return x


def test_features_are_exact_sums(prior: CodePrior) -> None:
    torch.manual_seed(1)
    digits = torch.stack([torch.randint(n, (1, 9, 11)) for n in LEVELS], 1)
    mask = torch.rand(9, 11) < 0.8
    known = mask & (phase_of(9, 11) < 3)
    features = prior.coarse.features(digits, known[None], mask[None], torch.zeros(1, 0, 9, 11), exact=True)
    assert ((features[0] * 256).numpy() == _by_integers(prior.coarse, digits, known, mask)).all()
    near = prior.coarse.features(digits, known[None], mask[None], torch.zeros(1, 0, 9, 11))
    assert torch.allclose(near[0], features[0].float(), atol=0.05)


def test_a_pass_sees_only_the_passes_before(prior: CodePrior) -> None:
    """Changing the digits of a cell changes no frequencies of its own pass, and of none before it."""
    digits = torch.stack([torch.randint(n, (1, 8, 8)) for n in LEVELS], 1)
    other = digits.clone()
    other[0, :, 3, 3] = (digits[0, :, 3, 3] + 1) % torch.tensor(LEVELS)  # of the second pass
    mask = torch.ones(8, 8, dtype=torch.bool)
    for phase, same in ((0, True), (1, True), (2, False)):
        known = phase_of(8, 8) < phase
        one, two = (
            prior.coarse.features(d, known[None], mask[None], torch.zeros(1, 0, 8, 8), exact=True)
            for d in (digits, other)
        )
        assert torch.equal(one, two) is same


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("keep", "fine"), [(3, True), (2, False)])
def test_digits_come_back(prior: CodePrior, learned: bool, keep: int, fine: bool) -> None:
    rng = np.random.default_rng(0)
    masks = Masks(rng.random((7, 10)) < 0.7, np.zeros((14, 20), np.bool_))
    within = masks.coarse.repeat(2, 0).repeat(2, 1)
    masks = Masks(masks.coarse, within & (rng.random(within.shape) < 0.8))
    coarse = np.stack([rng.integers(0, n, (7, 10)) for n in LEVELS]) * masks.coarse
    detail = np.stack([rng.integers(0, 5, (14, 20)) for _ in range(2)]) * masks.fine
    levels, net = (LEVELS, (5, 5)), prior if learned else None
    writer = Writer()
    from worldloom.occupancy.codec.static import Digits

    code_static(writer, Digits(coarse, detail), masks, levels, keep, fine, net)
    data, bits = writer.finish()
    back = code_static(Reader(data), None, masks, levels, keep, fine, net)
    assert (back.coarse[:keep] == coarse[:keep]).all()
    assert not back.coarse[keep:].any()
    if fine:
        assert back.fine is not None
        assert (back.fine == detail).all()
    else:
        assert back.fine is None
        assert "static_fine" not in bits


def test_context_is_the_cell_above() -> None:
    digits = torch.tensor([[[[0, 7]]]])
    context = coarse_context(digits, torch.tensor([[[True, False]]]), (8,))
    assert context[0, 0].tolist() == [[-1.0, -1.0, 0.0, 0.0]] * 2
    assert context[0, 1].tolist() == [[1.0, 1.0, 0.0, 0.0]] * 2
