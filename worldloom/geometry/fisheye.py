"""The fisheye camera."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.rigid import invert

_STEPS = 12  # of Newton's method; it doubles its digits with each


@dataclass(frozen=True)
class Fisheye:
    """Fisheye cameras in OpenCV axes (x right, y down, z forward), equidistant up to a polynomial.

    A ray at angle theta from the axis appears at radius r = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 +
    k4 theta^8) from it, in units of the focal length: (u, v) = K (r cos phi, r sin phi, 1). Kannala and Brandt 2006, as
    in cv2.fisheye. All coefficients zero is the equidistant lens. Unlike a pinhole it may see behind itself.
    """

    world_from_cam: Float[Tensor, "*batch 4 4"]
    K: Float[Tensor, "*batch 3 3"]  # pixels; the centre of the top-left pixel is (0.5, 0.5)
    distortion: Float[Tensor, "*batch 4"]  # k1, k2, k3, k4
    size: tuple[int, int]  # (height, width)
    max_angle: float = math.radians(95)  # from the axis; what lies beyond is not seen

    def __post_init__(self) -> None:
        if (
            self.world_from_cam.shape[-2:] != (4, 4)
            or self.K.shape[-2:] != (3, 3)
            or self.distortion.shape[-1:] != (4,)
        ):
            raise ValueError(
                f"fisheye needs world_from_cam (*, 4, 4), K (*, 3, 3) and distortion (*, 4), got "
                f"{tuple(self.world_from_cam.shape)}, {tuple(self.K.shape)} and {tuple(self.distortion.shape)}"
            )
        if not self.world_from_cam.shape[:-2] == self.K.shape[:-2] == self.distortion.shape[:-1]:
            raise ValueError(
                f"world_from_cam, K and distortion differ in batch: {tuple(self.world_from_cam.shape)}, "
                f"{tuple(self.K.shape)}, {tuple(self.distortion.shape)}"
            )
        if min(self.size) < 1:
            raise ValueError(f"fisheye size must be (height, width) of at least 1, got {self.size}")
        if not 0 < self.max_angle <= math.pi:
            raise ValueError(f"fisheye max_angle must be in (0, pi], got {self.max_angle}")
        theta = torch.linspace(0, self.max_angle, 256, dtype=torch.float64)
        if not bool((self._slope(theta.expand(*self.batch, 256)) > 0).all()):
            raise ValueError(
                f"fisheye radius must grow with the angle up to max_angle {self.max_angle:.4g}, "
                f"got k = {self.distortion.tolist()}"
            )

    @property
    def cam_from_world(self) -> Float[Tensor, "*batch 4 4"]:
        return invert(self.world_from_cam)

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.K.shape[:-2])

    def __len__(self) -> int:
        return self.K.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> "Fisheye":
        return replace(
            self,
            world_from_cam=self.world_from_cam[index],
            K=self.K[index],
            distortion=self.distortion[index],
        )

    def to(self, device: str | torch.device) -> "Fisheye":
        return replace(
            self,
            world_from_cam=self.world_from_cam.to(device),
            K=self.K.to(device),
            distortion=self.distortion.to(device),
        )

    def project(self, points: Float[Tensor, "*batch n 3"]) -> Float[Tensor, "*batch n 2"]:
        """Pixels (u, v) of points in the camera's frame; NaN beyond `max_angle` and at the camera itself."""
        x, y, z = points.unbind(-1)
        across = torch.hypot(x, y)
        theta = torch.atan2(across, z)
        # Towards the axis r / across tends to 1 / z, whatever the azimuth.
        scale = self._radius(theta) / across.clamp(min=torch.finfo(points.dtype).tiny)
        seen = (theta <= self.max_angle) & ((across > 0) | (z > 0))
        K = self.K.to(points)
        fx, fy, skew, cx, cy = (K[..., i, j, None] for i, j in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2)))
        uv = torch.stack([fx * x * scale + skew * y * scale + cx, fy * y * scale + cy], dim=-1)
        return torch.where(seen[..., None], uv, torch.nan)

    def directions(self, uv: Float[Tensor, "*batch n 2"]) -> Float[Tensor, "*batch n 3"]:
        """Unit directions in the camera's frame through pixels (u, v); zero where the lens shows nothing."""
        K = self.K.to(uv)
        fx, fy, skew, cx, cy = (K[..., i, j, None] for i, j in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2)))
        y = (uv[..., 1] - cy) / fy
        x = (uv[..., 0] - cx - skew * y) / fx
        radius = torch.hypot(x, y)
        limit = uv.new_full((), self.max_angle)
        edge = self._radius(limit.expand(*self.batch, 1))
        theta = self._angle(torch.minimum(radius, edge))
        sine = theta.sin() / radius.clamp(min=torch.finfo(uv.dtype).tiny)
        direction = torch.stack([x * sine, y * sine, theta.cos()], dim=-1)
        return torch.where((radius <= edge)[..., None], direction, 0)

    def _radius(self, theta: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        k1, k2, k3, k4 = self.distortion.to(theta)[..., None, :].unbind(-1)
        t2 = theta * theta
        return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))

    def _slope(self, theta: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        k1, k2, k3, k4 = self.distortion.to(theta)[..., None, :].unbind(-1)
        t2 = theta * theta
        return 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))

    def _angle(self, radius: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """The angle in [0, max_angle] with that radius, by Newton's method held inside a shrinking bracket."""
        low, high = torch.zeros_like(radius), torch.full_like(radius, self.max_angle)
        theta = radius.clamp(max=self.max_angle)
        for _ in range(_STEPS):
            error = self._radius(theta) - radius
            low, high = torch.where(error <= 0, theta, low), torch.where(error >= 0, theta, high)
            step = theta - error / self._slope(theta)
            theta = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
        return theta


def fisheye_rays(fisheye: Fisheye) -> tuple[Float[Tensor, "*batch h w 3"], Bool[Tensor, "*batch h w"]]:
    """Camera-frame unit ray through the centre of every pixel, and which pixels the lens fills."""
    height, width = fisheye.size
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    uv = torch.stack([u, v], -1).to(fisheye.K).flatten(0, 1)
    directions = fisheye.directions(uv.expand(*fisheye.batch, -1, 2)).unflatten(-2, (height, width))
    return directions, directions.abs().sum(-1) > 0
