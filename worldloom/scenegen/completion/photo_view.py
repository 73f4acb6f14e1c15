"""A photo as the part of a panorama that it shows."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions

LEAST_FOV, MOST_FOV = math.radians(10), math.radians(150)


@dataclass(frozen=True)
class PhotoView:
    """A pinhole camera in the middle of a panorama, looking at the middle of its picture."""

    fov: float  # radians from the left edge to the right one
    size: tuple[int, int]  # pixels: height, width
    pitch: float = 0.0  # radians upward
    roll: float = 0.0  # radians, clockwise as the camera sees itself

    def __post_init__(self) -> None:
        if not LEAST_FOV <= self.fov <= MOST_FOV:
            low, high = (round(math.degrees(x)) for x in (LEAST_FOV, MOST_FOV))
            raise InputError(f"field of view must be {low} to {high} degrees, got {math.degrees(self.fov):g}")
        if not (abs(self.pitch) < math.pi / 2 and math.isfinite(self.roll)):
            raise InputError(f"pitch must be within 90 degrees, got {math.degrees(self.pitch):g}")

    def project(self, height: int) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]]:
        """Where each pixel of a panorama lies in the photo, from -1 to 1 right and down; and whether it does."""
        forward, left, up = directions(height).unbind(-1)
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        forward, up = cos * forward + sin * up, cos * up - sin * forward
        right, down = -left, -up
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        right, down = cos * right + sin * down, cos * down - sin * right
        reach = math.tan(self.fov / 2)
        points = (
            torch.stack([right, down * self.size[1] / self.size[0]], -1) / (reach * forward.clamp(min=1e-6))[..., None]
        )
        return points, (forward > 0) & (points.abs() <= 1).all(-1)


def shown_by(photo: PhotoView, height: int) -> Bool[Tensor, "h w"]:
    """Which pixels of a panorama a photo shows."""
    return photo.project(height)[1]


def panorama_of_photo(
    rgb: Float[Tensor, "3 h w"], photo: PhotoView, height: int
) -> tuple[Float[Tensor, "3 h2 w2"], Bool[Tensor, "h2 w2"]]:
    """A panorama with the photo in its middle and black elsewhere, and which of its pixels the photo shows.

    Args:
        rgb: the photo, of `photo.size`.
        height: rows of the panorama.
    """
    if tuple(rgb.shape[-2:]) != photo.size:
        raise InputError(f"expected a photo of {photo.size}, got {tuple(rgb.shape[-2:])}")
    # A photo of more pixels than the panorama has for it is blurred first, as nothing may flicker that was even.
    across = 2 * height * photo.fov / (2 * math.pi)
    factor = photo.size[1] / across
    if factor > 1:
        size = tuple(max(1, round(n / factor)) for n in photo.size)
        rgb = F.interpolate(rgb[None], size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)
    points, known = photo.project(height)
    drawn = F.grid_sample(rgb[None], points[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    return drawn * known, known
