"""How much each class counts in a loss."""

from jaxtyping import Float
from torch import Tensor


def class_weights(counts: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """(f_max / f_c)^(1/3), as DynamicCity weighs classes (Bian et al. 2025), at most 10; counts are above 0."""
    return (counts.max() / counts).pow(1 / 3).clamp(max=10.0)
