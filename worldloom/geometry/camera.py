"""The pinhole camera."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.rigid import compose, invert


@dataclass(frozen=True)
class Camera:
    """Pinhole cameras in OpenCV axes (x right, y down, z forward); a camera path has batch (t,)."""

    world_from_cam: Float[Tensor, "*batch 4 4"]
    K: Float[Tensor, "*batch 3 3"]  # pixels; the centre of the top-left pixel is (0.5, 0.5)
    size: tuple[int, int]  # (height, width)

    def __post_init__(self) -> None:
        if self.world_from_cam.shape[-2:] != (4, 4) or self.K.shape[-2:] != (3, 3):
            raise ValueError(
                f"camera needs world_from_cam (*, 4, 4) and K (*, 3, 3), "
                f"got {tuple(self.world_from_cam.shape)} and {tuple(self.K.shape)}"
            )
        if self.world_from_cam.shape[:-2] != self.K.shape[:-2]:
            raise ValueError(
                f"world_from_cam and K differ in batch: {tuple(self.world_from_cam.shape)}, {tuple(self.K.shape)}"
            )
        if min(self.size) < 1:
            raise ValueError(f"camera size must be (height, width) of at least 1, got {self.size}")

    @property
    def cam_from_world(self) -> Float[Tensor, "*batch 4 4"]:
        return invert(self.world_from_cam)

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.K.shape[:-2])

    def __len__(self) -> int:
        return self.K.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> "Camera":
        return replace(self, world_from_cam=self.world_from_cam[index], K=self.K[index])

    def to(self, device: str | torch.device) -> "Camera":
        return replace(self, world_from_cam=self.world_from_cam.to(device), K=self.K.to(device))


def intrinsics(fov: float, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """K of a centred camera with square pixels and horizontal field of view `fov` (radians)."""
    height, width = size
    focal = 0.5 * width / torch.tan(torch.tensor(fov / 2, dtype=torch.float64)).item()
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)


def look_at(
    eye: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"], up: tuple[float, float, float] = (0, 0, 1)
) -> Float[Tensor, "*batch 4 4"]:
    """world_from_cam of a camera at `eye` that looks at `target`, upright with respect to `up`."""
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.linalg.cross(forward, eye.new_tensor(up).expand_as(forward))
    # Looking straight up or down leaves `right` open; any direction across `up` is as good.
    x, y, z = up
    across = eye.new_tensor([0, -z, y] if abs(x) < max(abs(y), abs(z)) else [z, 0, -x])
    right = torch.where(right.norm(dim=-1, keepdim=True) < 1e-6, across.expand_as(right), right)
    right = torch.nn.functional.normalize(right, dim=-1)
    down = torch.linalg.cross(forward, right)
    return compose(torch.stack([right, down, forward], dim=-1), eye)
