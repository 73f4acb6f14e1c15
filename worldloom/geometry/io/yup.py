"""The y-up world of glTF and SPZ files, and our z-up world."""

import torch
from jaxtyping import Float
from torch import Tensor


def yup_from_world() -> Float[Tensor, "4 4"]:
    """A quarter turn about x, file (x, y, z) = world (x, z, -y): up stays up, and world +y is away from the viewer."""
    return torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
