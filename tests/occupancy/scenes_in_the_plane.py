"""Scenes as the traffic network sees them, made for tests."""

import math

import torch

from worldloom.occupancy.motions import TrafficBatch
from worldloom.occupancy.scene_state import HISTORY, PICTURE


def random_batch(b: int = 2, m: int = 4, seed: int = 0) -> TrafficBatch:
    dice = torch.Generator().manual_seed(seed)
    return TrafficBatch(
        torch.full((b, m), 4, dtype=torch.uint8),
        torch.rand(b, m, 3, generator=dice) * 4,
        torch.zeros(b, m, 2),
        torch.randn(b, m, HISTORY, 3, generator=dice) * torch.tensor([10, 10, 0.5]),
        torch.ones(b, m, HISTORY, dtype=torch.bool),
        torch.randint(0, 7, (b, PICTURE, PICTURE), generator=dice, dtype=torch.uint8),
    )


def walking(speed: float) -> TrafficBatch:
    """The ego stands; one user comes from behind a corner at an angle of 90 degrees; another is there only now."""
    batch = random_batch(1, 3)
    history = torch.zeros(1, 3, HISTORY, 3)
    history[0, 1, :, 1] = 4.0 + 0.5 * speed * torch.arange(1 - HISTORY, 1)
    history[0, 1, :, 2] = math.pi / 2
    history[0, 2] = 9.0
    present = torch.ones(1, 3, HISTORY, dtype=torch.bool)
    present[0, 2, :-1] = False
    return batch._replace(history=history, present=present)
