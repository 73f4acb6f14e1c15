"""Voxel grids and semantic occupancy."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

OCC3D_CLASSES = (
    *("others", "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "traffic_cone"),
    *("trailer", "truck", "driveable_surface", "other_flat", "sidewalk", "terrain", "manmade", "vegetation", "free"),
)
FREE = 17
MOVERS = (2, 3, 4, 5, 6, 7, 9, 10)  # bicycle … truck: classes that move by themselves
GROUND = (11, 12, 13, 14)
STANDING = (0, 1, 8, 15, 16)  # others, barrier, traffic_cone, manmade, vegetation: obstacles that stay
DRIVEABLE = 11
STATIC = tuple(i for i in range(len(OCC3D_CLASSES) - 1) if i not in MOVERS)  # all that neither moves nor is free


def among(labels: UInt8[Tensor, "*shape"], classes: Collection[int]) -> Bool[Tensor, "*shape"]:
    """Whether each label is one of the classes."""
    table = torch.zeros(256, dtype=torch.bool, device=labels.device)
    table[sorted(classes)] = True
    return table[labels.int()]


@dataclass(frozen=True)
class VoxelGrid:
    """An axis-aligned grid in the ego frame; voxel i has its centre at origin + (i + 0.5) * voxel_size."""

    origin: tuple[float, float, float]  # minimum corner, metres
    voxel_size: float
    shape: tuple[int, int, int]  # (x, y, z)

    def __post_init__(self) -> None:
        if not self.voxel_size > 0 or min(self.shape) < 1:
            raise ValueError(
                f"grid needs voxel_size > 0 and a shape of at least 1, got {self.voxel_size}, {self.shape}"
            )

    def centres(self) -> Float[Tensor, "x y z 3"]:
        """Centre of every voxel, metres."""
        axes = [o + (torch.arange(n) + 0.5) * self.voxel_size for o, n in zip(self.origin, self.shape, strict=True)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


OCC3D_GRID = VoxelGrid(origin=(-40.0, -40.0, -1.0), voxel_size=0.4, shape=(200, 200, 16))


@dataclass(frozen=True)
class Occupancy:
    """Semantic occupancy over time, each frame in its own ego frame. The last class is free."""

    labels: UInt8[Tensor, "*batch t x y z"]
    observed: Bool[Tensor, "*batch t x y z"]  # False: nobody looked
    world_from_ego: Float[Tensor, "*batch t 4 4"]
    grid: VoxelGrid
    classes: tuple[str, ...]
    dt: float  # seconds between frames

    def __post_init__(self) -> None:
        shape = tuple(self.labels.shape)
        if shape[-3:] != self.grid.shape or len(shape) < 4:
            raise ValueError(f"labels must be (*, t, {', '.join(map(str, self.grid.shape))}), got {shape}")
        if tuple(self.observed.shape) != shape or tuple(self.world_from_ego.shape) != (*shape[:-3], 4, 4):
            raise ValueError(
                f"observed must be {shape} and world_from_ego {(*shape[:-3], 4, 4)}, "
                f"got {tuple(self.observed.shape)} and {tuple(self.world_from_ego.shape)}"
            )
        if not self.dt > 0:
            raise ValueError(f"dt must be positive seconds, got {self.dt}")

    def __len__(self) -> int:
        return self.labels.shape[0]

    def __getitem__(self, index: int | slice) -> "Occupancy":
        """Along the leading axis: frames of a clip (by slice, so that t stays), or samples of a batch."""
        if isinstance(index, int) and self.labels.ndim == 4:
            raise IndexError(f"a frame of a clip is a clip: take [{index}:{index + 1}]")
        return replace(
            self, labels=self.labels[index], observed=self.observed[index], world_from_ego=self.world_from_ego[index]
        )
