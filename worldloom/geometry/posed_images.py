"""Images with known cameras."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.camera import Camera


@dataclass(frozen=True)
class Distortion:
    """Lens distortion of each view, OpenCV's model and order: k1, k2, p1, p2, k3.

    With (x, y) = undistorted ray at z = 1 and r^2 = x^2 + y^2, the pixel shows (x', y'):
    x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y (1 + k1 r^2 + k2 r^4 + k3 r^6) + p1 (r^2 + 2 y^2) + 2 p2 x y
    """

    coefficients: Float[Tensor, "v 5"]

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 2 or self.coefficients.shape[1] != 5:
            raise ValueError(f"distortion needs (v, 5) coefficients, got {tuple(self.coefficients.shape)}")

    def distort(self, rays: Float[Tensor, "v n 2"]) -> Float[Tensor, "v n 2"]:
        """Where rays (x, y) at z = 1 appear, also at z = 1; multiply by K to get pixels."""
        k1, k2, p1, p2, k3 = self.coefficients[:, None, :].unbind(-1)
        x, y = rays.unbind(-1)
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return torch.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            dim=-1,
        )


@dataclass(frozen=True)
class PosedImages:
    """Names of images with their cameras; all images have one size."""

    cameras: Camera  # batch (v,)
    names: tuple[str, ...]  # paths inside the image folder, with /
    distortion: Distortion | None = None  # None: pinhole. Otherwise the images are not yet undistorted
    points: Float[Tensor, "n 3"] | None = None  # world points that came with the cameras
    point_rgb: Float[Tensor, "n 3"] | None = None  # their colours, [0, 1]

    def __post_init__(self) -> None:
        if self.cameras.batch != (len(self.names),):
            raise ValueError(f"expected one camera per name, got {self.cameras.batch} for {len(self.names)} names")
        if self.distortion is not None and len(self.distortion.coefficients) != len(self.names):
            raise ValueError(f"expected distortion of {len(self.names)} views, got {len(self.distortion.coefficients)}")
        if (self.points is None) != (self.point_rgb is None):
            raise ValueError("points and point_rgb are given together or not at all")
        if self.points is not None and self.point_rgb is not None and self.points.shape != self.point_rgb.shape:
            raise ValueError(f"points {tuple(self.points.shape)} and point_rgb {tuple(self.point_rgb.shape)} differ")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: slice | list[int]) -> "PosedImages":
        names = self.names[index] if isinstance(index, slice) else tuple(self.names[i] for i in index)
        at = index if isinstance(index, slice) else torch.tensor(index, dtype=torch.long)
        distortion = None if self.distortion is None else Distortion(self.distortion.coefficients[at])
        return PosedImages(self.cameras[at], names, distortion, self.points, self.point_rgb)
