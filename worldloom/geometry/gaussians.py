"""3D Gaussians: a splat scene."""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SH_C0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the constant basis function


@dataclass(frozen=True)
class Gaussians:
    """Activated values: scales are positive metres, opacities in [0, 1], quats (w, x, y, z); k = (degree + 1)^2."""

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    scales: Float[Tensor, "n 3"]
    opacities: Float[Tensor, " n"]
    sh: Float[Tensor, "n k 3"]

    def __post_init__(self) -> None:
        n = len(self.means)
        shapes = {f.name: tuple(getattr(self, f.name).shape) for f in fields(self)}
        k = shapes["sh"][1] if len(shapes["sh"]) == 3 else 0
        expected = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,), "sh": (n, k, 3)}
        if shapes != expected or k not in (1, 4, 9, 16):
            raise ValueError(
                f"Gaussians need means n 3, quats n 4, scales n 3, opacities n, sh n 1|4|9|16 3; got {shapes}"
            )

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index: slice | Bool[Tensor, " n"] | Int[Tensor, " m"]) -> "Gaussians":
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    @property
    def sh_degree(self) -> int:
        return math.isqrt(self.sh.shape[1]) - 1

    def to(self, device: str | torch.device) -> "Gaussians":
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))

    @classmethod
    def cat(cls, parts: list["Gaussians"]) -> "Gaussians":
        """All Gaussians of `parts` in order; they must have one spherical-harmonic degree."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def sh_from_rgb(rgb: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1 3"]:
    """Degree-0 coefficients that show as the colour `rgb` from everywhere: colour = 0.5 + SH_C0 * sh."""
    return ((rgb - 0.5) / SH_C0)[:, None, :]


def solid_points(
    gaussians: Gaussians, most: int, opacity: float = 0.5
) -> tuple[Float[Tensor, "p 3"], Float[Tensor, "p 3"]]:
    """Places and colours in [0, 1] of Gaussians above an opacity, evenly thinned out to at most `most`."""
    solid = (gaussians.opacities > opacity).nonzero()[:, 0]
    some = solid[torch.linspace(0, len(solid) - 1, min(len(solid), most)).round().long()]
    return gaussians.means[some], (0.5 + SH_C0 * gaussians.sh[some, 0]).clamp(0, 1)
