"""Lovász-softmax against its definition, at the corners of its domain, and between them."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from worldloom.ops import lovasz_softmax


def jaccard_loss(mistakes: set[int], inside: set[int]) -> float:
    """Delta of the paper (Eq. 5): mistakes over the union of the class and the mistakes."""
    return len(mistakes) / len(inside | mistakes)


def by_definition(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    losses = []
    for c in labels.unique().tolist():
        inside = {i for i in range(len(labels)) if labels[i] == c}
        errors = [float(1 - p[c]) if i in inside else float(p[c]) for i, p in enumerate(probabilities)]
        order = sorted(range(len(errors)), key=lambda i: -errors[i])
        loss, chosen = 0.0, set()
        for i in order:
            step = -jaccard_loss(chosen, inside)
            chosen = chosen | {i}
            loss += errors[i] * (step + jaccard_loss(chosen, inside))
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(5))
def test_is_its_definition(seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(40, 4, generator=dice, dtype=torch.float64).softmax(1)
    labels = torch.randint(0, 3, (40,), generator=dice)  # class 3 is absent
    assert lovasz_softmax(probabilities, labels).item() == pytest.approx(by_definition(probabilities, labels), 1e-12)


def test_is_one_minus_iou_on_certain_answers() -> None:
    for answer in itertools.product(range(2), repeat=5):
        labels = torch.tensor([0, 0, 1, 1, 1])
        guess = torch.tensor(answer)
        ious = [((guess == c) & (labels == c)).sum() / ((guess == c) | (labels == c)).sum() for c in (0, 1)]
        expected = 1 - torch.stack(ious).mean()
        assert lovasz_softmax(F.one_hot(guess, 2).float(), labels) == pytest.approx(expected.item(), abs=1e-6)


def test_is_convex_and_has_the_gradient_of_its_value() -> None:
    dice = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 3, (12,), generator=dice)
    a, b = torch.rand(2, 12, 3, generator=dice, dtype=torch.float64).unbind()
    middle = lovasz_softmax((a + b) / 2, labels)
    assert middle <= (lovasz_softmax(a, labels) + lovasz_softmax(b, labels)) / 2 + 1e-12
    assert torch.autograd.gradcheck(lambda p: lovasz_softmax(p, labels), a.requires_grad_())


def test_counts_only_classes_that_are_there() -> None:
    probabilities = torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]])
    assert lovasz_softmax(probabilities, torch.tensor([0, 0])) == pytest.approx(0.5)
    assert lovasz_softmax(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0
