"""The static world as a model knows it, on one lattice of the world that grows where the ego goes."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import FREE, Occupancy, VoxelGrid
from worldloom.geometry.rigid import invert
from worldloom.occupancy.static_world import box_around, fuse_clip, lattice_grid


@dataclass(frozen=True)
class StaticMap:
    """Labels of what does not move. Nothing is ever changed in place, so that maps can be shared by futures."""

    labels: UInt8[Tensor, "x y z"]
    observed: Bool[Tensor, "x y z"]  # somebody looked
    known: Bool[Tensor, "x y z"]  # observed, or filled in by the model
    grid: VoxelGrid
    world_from_grid: Float[Tensor, "4 4"]

    @staticmethod
    def of(clip: Occupancy) -> "StaticMap":
        """All that the frames of a clip observed, on the lattice of its last frame."""
        world_from_grid = clip.world_from_ego[-1].double()
        grid = lattice_grid(clip.grid, *box_around(clip.grid, invert(world_from_grid) @ clip.world_from_ego.double()))
        fused = fuse_clip(clip, world_from_grid, grid)
        observed = fused.observed()
        return StaticMap(fused.labels, observed, observed, grid, world_from_grid)

    def over(self, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> "StaticMap":
        """The map grown to hold a box of its own frame too."""
        mine = torch.tensor(self.grid.origin, dtype=torch.float64)
        end = mine + self.grid.voxel_size * torch.tensor(self.grid.shape, dtype=torch.float64)
        grid = lattice_grid(self.grid, torch.minimum(mine, low), torch.maximum(end, high))
        place = self.place_of(self.grid, grid)

        def grown(values: Tensor, fill: int) -> Tensor:
            out = values.new_full(grid.shape, fill)
            out[place] = values
            return out

        return replace(
            self,
            labels=grown(self.labels, FREE),
            observed=grown(self.observed, 0),
            known=grown(self.known, 0),
            grid=grid,
        )

    @staticmethod
    def place_of(part: VoxelGrid, whole: VoxelGrid) -> tuple[slice, slice, slice]:
        """Where a grid lies in another one of the same lattice that holds it."""
        first = [round((a - b) / whole.voxel_size) for a, b in zip(part.origin, whole.origin, strict=True)]
        if min(first) < 0 or any(f + n > m for f, n, m in zip(first, part.shape, whole.shape, strict=True)):
            raise ValueError(f"expected a grid within {whole}, got {part}")
        x, y, z = (slice(f, f + n) for f, n in zip(first, part.shape, strict=True))
        return x, y, z

    def filled(self, part: VoxelGrid, labels: UInt8[Tensor, "x y z"], valid: Bool[Tensor, "x y z"]) -> "StaticMap":
        """The map with the valid labels of a part of it put where nothing was known."""
        place = self.place_of(part, self.grid)
        everywhere, known = self.labels.clone(), self.known.clone()
        everywhere[place] = torch.where(valid & ~known[place], labels, everywhere[place])
        known[place] |= valid
        return replace(self, labels=everywhere, known=known)
