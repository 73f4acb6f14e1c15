"""Gaussians from outside: values that no renderer could draw."""

import torch
from jaxtyping import Bool
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.gaussians import Gaussians


def check_gaussians(gaussians: Gaussians, what: str, drop_invalid: bool = False) -> Gaussians:
    """Require finite values, positive scales, opacities in [0, 1] and quaternions of some length, or drop the others.

    Raises:
        InputError: with the number of Gaussians that break each rule, unless `drop_invalid`.
    """
    means, quats, scales, opacities, sh = (getattr(gaussians, name) for name in gaussians.__dataclass_fields__)
    broken = {
        "NaN or infinity in means": ~_finite_rows(means),
        "NaN or infinity in colours": ~_finite_rows(sh.flatten(1)),
        "scales that are not positive and finite": ~((scales > 0) & (scales < torch.inf)).all(1),
        "opacities outside 0..1": ~((opacities >= 0) & (opacities <= 1)),
        "quaternions that are zero or not finite": ~((quats.square().sum(1) > 0) & _finite_rows(quats)),
    }
    counts = {problem: int(rows.sum()) for problem, rows in broken.items() if rows.any()}
    if not counts:
        return gaussians
    if drop_invalid:
        return gaussians[~torch.stack(list(broken.values())).any(0)]
    found = ", ".join(f"{count} with {problem}" for problem, count in counts.items())
    raise InputError(f"{what}: expected {len(gaussians)} Gaussians that can be drawn, got {found}")


def _finite_rows(values: Tensor) -> Bool[Tensor, " n"]:
    # A sum is finite only if every term is, and is much cheaper than asking each; finite terms may still overflow.
    if values.sum().isfinite():
        return torch.ones(len(values), dtype=torch.bool, device=values.device)
    return values.isfinite().all(1)
