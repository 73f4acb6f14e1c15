"""Depth of each of some photos, and how sure it is: what stereo, a prior or a network says."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.camera import Camera


@dataclass(frozen=True)
class PhotoDepth:
    """Depth at the resolution of `cameras`, which may be below that of the photos."""

    cameras: Camera  # batch (v,)
    depth: Float[Tensor, "v h w"]  # z in the camera frame; meaningless where far
    confidence: Float[Tensor, "v h w"]  # [0, 1]; 0: a guess that nothing confirms
    far: Bool[Tensor, "v h w"]  # too far for parallax to tell from infinity: sky, or nothing known

    def __len__(self) -> int:
        return len(self.depth)

    def __getitem__(self, index: list[int]) -> "PhotoDepth":
        at = torch.tensor(index, dtype=torch.long)
        return PhotoDepth(self.cameras[at], self.depth[at], self.confidence[at], self.far[at])
