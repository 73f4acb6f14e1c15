"""Drawing futures of traffic: a few steps from noise, any part given."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.occupancy.motions import TrafficBatch, expected_motions
from worldloom.occupancy.traffic import SceneFeatures, TrafficNet


class Sampled(NamedTuple):
    """Motions, and what the network has to be shown to tell their risk."""

    motions: Float[Tensor, "b m f 3"]
    shown: Float[Tensor, "b m f 3"]
    level: Float[Tensor, "b m f"]
    features: SceneFeatures


def draw_motions(
    model: TrafficNet,
    batch: TrafficBatch,
    ego: Float[Tensor, "b f 3"] | None = None,
    others: Float[Tensor, "b n f 3"] | None = None,
    mode: str = "forward",
    steps: int = 4,
    generator: torch.Generator | None = None,
    guidance: float = 1.0,
) -> tuple[Float[Tensor, "b m f 3"], Float[Tensor, "b f risks"]]:
    """Motions of the ego (row 0) and the others, and the logits of the risks of the ego's path; see `sample_motions`.

    The risks cost one more call of the network.
    """
    drawn = sample_motions(model, batch, ego, others, mode, steps, generator, guidance)
    with torch.no_grad():
        _, risk = model(batch, drawn.shown, drawn.level, drawn.features)
    return drawn.motions, risk


@torch.no_grad()
def sample_motions(
    model: TrafficNet,
    batch: TrafficBatch,
    ego: Float[Tensor, "b f 3"] | None = None,
    others: Float[Tensor, "b n f 3"] | None = None,
    mode: str = "forward",
    steps: int = 4,
    generator: torch.Generator | None = None,
    guidance: float = 1.0,
) -> Sampled:
    """Motions of the ego (row 0) and the others.

    Straight paths from noise to data, walked in equal steps of the level (rectified flow, Liu et al. 2023). Without a
    generator no future is drawn: what comes is the network's mean of all, which one call tells.

    Args:
        ego: its motions, given in modes forward and free otherwise.
        others: their motions, given in mode inverse.
        mode: forward, policy, inverse, joint or video (see the module `traffic`).
        guidance: on all channels; 1 is none. The unconditional half is mode video's.
    """
    known = {"forward": (0, 1), "policy": (1, 2), "inverse": (1, 0), "joint": (1, 1), "video": (2, 1)}
    if mode not in known:
        raise ValueError(f"expected mode {', '.join(known)}, got {mode!r}")
    ego_kind, others_kind = known[mode]
    b, m, f = *batch.labels.shape, model.config.future
    mean, spread = expected_motions(batch)
    deviate = torch.zeros(b, m, f, 3) if generator is None else torch.randn(b, m, f, 3, generator=generator)
    noise = mean + spread * deviate
    x = noise.clone()
    if ego_kind == 0:
        if ego is None:
            raise ValueError("mode forward needs the ego's motions")
        x[:, 0] = ego
    if others_kind == 0:
        if others is None:
            raise ValueError("mode inverse needs the others' motions")
        x[:, 1:] = others
    kinds = torch.tensor([ego_kind] + [others_kind] * (m - 1))[None, :, None].expand(b, m, f)
    times = torch.linspace(1, 0, 2 if generator is None else steps + 1).tolist()
    clean, features = x, model.features(batch)
    for now, then in pairwise(times):
        level = torch.where(kinds == 0, 0.0, torch.where(kinds == 1, now, 1.0))
        guided = guidance if mode == "forward" else 1.0
        clean = _denoised(model, batch, x, level, noise, guided, features)
        moved = clean + (then / now) * (x - clean)
        x = torch.where((kinds == 1)[..., None], moved, x)
    level = torch.where(kinds == 2, 1.0, torch.zeros_like(kinds, dtype=torch.float32))
    return Sampled(torch.where((kinds == 2)[..., None], clean, x), x, level, features)


def _denoised(
    model: TrafficNet,
    batch: TrafficBatch,
    x: Tensor,
    level: Tensor,
    noise: Tensor,
    guidance: float,
    features: SceneFeatures,
) -> Float[Tensor, "b m f 3"]:
    guess, _ = model(batch, x, level, features)
    if guidance == 1.0:
        return guess
    blind_x, blind_level = x.clone(), level.clone()
    blind_x[:, 0], blind_level[:, 0] = noise[:, 0], 1.0
    blind, _ = model(batch, blind_x, blind_level, features)
    return blind + guidance * (guess - blind)
