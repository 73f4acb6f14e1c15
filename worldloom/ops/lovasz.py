"""Lovász-softmax: a loss whose minimum is that of the mean IoU itself (Berman, Triki & Blaschko 2018)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def lovasz_softmax(probabilities: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean over the classes present in `labels` of the Lovász extension of the Jaccard loss; 0 without any voxel.

    For class c with errors m_i = 1 - p_i(c) where i is of class c and p_i(c) elsewhere (Eq. 8), the extension is
    sum_k m_(k) (D_k - D_(k-1)), errors falling, where D_k = 1 - IoU if exactly the k greatest errors were mistakes
    (Eq. 9). On probabilities of 0 and 1 it is 1 - IoU.
    """
    losses, columns = [], probabilities.unbind(1)  # their gradients are then put together once, not class by class
    for c in labels.unique().tolist():
        inside = labels == c
        missed, wrong = 1 - columns[c][inside], columns[c][~inside]
        # Once all of the class has come, D_k stays 1: lesser errors elsewhere add exactly nothing, and need no sorting.
        wrong = wrong[wrong.detach() >= missed.detach().min()]
        errors = torch.cat([missed, wrong])
        true = torch.arange(len(errors), device=errors.device) < len(missed)
        errors, order = errors.sort(descending=True, stable=True)
        losses.append(errors @ _jaccard_steps(true[order]).to(errors.dtype))
    return torch.stack(losses).mean() if losses else probabilities.sum() * 0


def _jaccard_steps(true: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """D_k - D_(k-1) for voxels in the order of their errors."""
    total = true.sum()
    left = total - true.cumsum(0)  # counted in whole numbers: float32 would lose units above 2^24
    union = total + (~true).cumsum(0)
    loss = 1 - left.double() / union.double()
    return loss.diff(prepend=loss.new_zeros(1))
