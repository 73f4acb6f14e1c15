"""One random generator for each sample of a batch, so that a sample does not depend on its neighbours."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def sample_generators(
    seed: int, num_samples: int, device: str | torch.device = "cpu", first: int = 0
) -> list[torch.Generator]:
    """Generators of the samples first … first + num_samples - 1, each made from (seed, i) alone."""
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    states = [np.random.SeedSequence([seed, i]).generate_state(1, np.uint64) for i in range(first, first + num_samples)]
    return [torch.Generator(device).manual_seed(int(state[0])) for state in states]


def batched_randn(generators: list[torch.Generator], shape: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
    """Standard normal noise with one row of `shape` from each generator."""
    return torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators])


def batched_rand(generators: list[torch.Generator], shape: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
    """Uniform noise in [0, 1) with one row of `shape` from each generator."""
    return torch.stack([torch.rand(shape, generator=g, device=g.device) for g in generators])
