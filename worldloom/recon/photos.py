"""Photos with their cameras, as every method here takes them: undistorted, of one size."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import rays
from worldloom.geometry.posed_images import PosedImages


@dataclass(frozen=True)
class Photos:
    """Pictures of pinhole cameras with batch (v,)."""

    cameras: Camera
    rgb: Float[Tensor, "v 3 h w"]  # display values, [0, 1]
    valid: Bool[Tensor, "v h w"]  # False where undistortion found nothing in the photo
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        v, h, w = len(self.names), *self.cameras.size
        if self.cameras.batch != (v,) or self.rgb.shape != (v, 3, h, w) or self.valid.shape != (v, h, w):
            raise ValueError(
                f"expected {v} pictures of {h}x{w}, got cameras {self.cameras.batch}, rgb {tuple(self.rgb.shape)} and "
                f"valid {tuple(self.valid.shape)}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: list[int]) -> "Photos":
        names = tuple(self.names[i] for i in index)
        at = torch.tensor(index, dtype=torch.long)
        return Photos(self.cameras[at], self.rgb[at], self.valid[at], names)

    def resized(self, long_side: int) -> "Photos":
        """The same with at most `long_side` pixels along the longer side: each pixel the mean of the area it covers."""
        height, width = self.cameras.size
        share = min(1.0, long_side / max(height, width))
        if share == 1.0:
            return self
        size = (max(1, round(share * height)), max(1, round(share * width)))
        rgb = _area_means(self.rgb, size).clamp(0, 1)
        valid = _area_means(self.valid[:, None].float(), size)[:, 0] > 0.99
        return Photos(scaled(self.cameras, size), rgb, valid, self.names)


def _area_means(images: Float[Tensor, "v c h w"], size: tuple[int, int]) -> Float[Tensor, "v c h2 w2"]:
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def scaled(cameras: Camera, size: tuple[int, int]) -> Camera:
    """The same views in pictures of another (height, width)."""
    stretch = cameras.K.new_tensor([size[1] / cameras.size[1], size[0] / cameras.size[0], 1.0])
    return replace(cameras, K=stretch[:, None] * cameras.K, size=size)


def undistorted(posed: PosedImages, rgb: Float[Tensor, "v 3 h w"]) -> Photos:
    """Photos as pinhole cameras of the same K would have taken them; what lies beyond the photo's edge is not valid."""
    straight, inside = straightened(posed, rgb)
    return Photos(posed.cameras, straight, inside, posed.names)


def straightened(
    posed: PosedImages, images: Float[Tensor, "v c h w"], mode: Literal["bilinear", "nearest"] = "bilinear"
) -> tuple[Float[Tensor, "v c h w"], Bool[Tensor, "v h w"]]:
    """Images without lens distortion, and which of their pixels the distorted ones hold."""
    height, width = posed.cameras.size
    if len(images) != len(posed) or images.shape[2:] != (height, width):
        raise ValueError(f"expected {len(posed)} images of {height}x{width}, got {tuple(images.shape)}")
    if posed.distortion is None:
        return images, torch.ones(len(posed), height, width, dtype=torch.bool)
    ideal = rays(posed.cameras).flatten(1, 2)
    bent = posed.distortion.distort(ideal[..., :2])
    K = posed.cameras.K
    y = bent[..., 1] * K[:, 1, 1, None] + K[:, 1, 2, None]
    x = bent[..., 0] * K[:, 0, 0, None] + K[:, 0, 1, None] * bent[..., 1] + K[:, 0, 2, None]
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], -1).unflatten(1, (height, width))
    # A polynomial that fits a lens folds back far from its centre; what it maps into the picture from there is wrong.
    inside = (grid.abs() <= 1).all(-1) & _before_the_fold(posed, ideal).unflatten(1, (height, width))
    return F.grid_sample(images, grid, mode, "border", align_corners=False), inside


def _before_the_fold(posed: PosedImages, ideal: Float[Tensor, "v n 3"]) -> Bool[Tensor, "v n"]:
    """Rays nearer to the axis than where the radial polynomial stops growing."""
    assert posed.distortion is not None
    k1, k2, _, _, k3 = posed.distortion.coefficients.unbind(-1)
    radius = ideal[..., :2].norm(dim=-1)
    reach = torch.linspace(0, float(radius.max()) + 1e-6, 512)
    square = reach.square()
    slope = 1 + square * (3 * k1[:, None] + square * (5 * k2[:, None] + square * 7 * k3[:, None]))
    limit = torch.where(slope <= 0, reach, math.inf).amin(1)
    return radius < limit[:, None]
