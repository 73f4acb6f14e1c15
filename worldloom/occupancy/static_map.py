"""The static world as a model knows it, on one lattice of the world that grows where the ego goes."""

import math
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
    settled: Bool[Tensor, "x y"]  # columns in which the model has said all that it will say
    grid: VoxelGrid
    world_from_grid: Float[Tensor, "4 4"]

    @staticmethod
    def of(clip: Occupancy) -> "StaticMap":
        """All that the frames of a clip observed, on the lattice of its last frame."""
        world_from_grid = clip.world_from_ego[-1].double()
        grid = lattice_grid(clip.grid, *box_around(clip.grid, invert(world_from_grid) @ clip.world_from_ego.double()))
        fused = fuse_clip(clip, world_from_grid, grid)
        observed = fused.observed()
        nowhere = torch.zeros(grid.shape[:2], dtype=torch.bool)
        return StaticMap(fused.labels, observed, observed, nowhere, grid, world_from_grid)

    def over(self, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> "StaticMap":
        """The map grown to hold a box of its own frame too."""
        mine = torch.tensor(self.grid.origin, dtype=torch.float64)
        end = mine + self.grid.voxel_size * torch.tensor(self.grid.shape, dtype=torch.float64)
        grid = lattice_grid(self.grid, torch.minimum(mine, low), torch.maximum(end, high))
        place = self.place_of(self.grid, grid)

        def grown(values: Tensor, fill: int) -> Tensor:
            out = values.new_full(grid.shape[: values.ndim], fill)
            out[place[: values.ndim]] = values
            return out

        return replace(
            self,
            labels=grown(self.labels, FREE),
            observed=grown(self.observed, 0),
            known=grown(self.known, 0),
            settled=grown(self.settled, 0),
            grid=grid,
        )

    def within(self, low: Float[Tensor, " 2"], high: Float[Tensor, " 2"]) -> "StaticMap":
        """The columns of the map that touch a rectangle of its own frame, at least one; the rest is forgotten."""
        size, origin, shape = self.grid.voxel_size, list(self.grid.origin), list(self.grid.shape)
        place = []
        for axis, (least, most) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            first = min(max(0, math.floor((least - origin[axis]) / size)), shape[axis] - 1)
            end = max(first + 1, min(shape[axis], math.ceil((most - origin[axis]) / size)))
            place.append(slice(first, end))
            origin[axis], shape[axis] = origin[axis] + first * size, end - first
        part = tuple(place)
        return replace(
            self,
            labels=self.labels[part].clone(),
            observed=self.observed[part].clone(),
            known=self.known[part].clone(),
            settled=self.settled[part].clone(),
            grid=replace(self.grid, origin=tuple(origin), shape=tuple(shape)),
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
        """The map with the valid labels of a part of it put where nothing was known and nothing is settled."""
        place = self.place_of(part, self.grid)
        everywhere, known = self.labels.clone(), self.known.clone()
        new = valid & ~known[place] & ~self.settled[place[:2]][..., None]
        everywhere[place] = torch.where(new, labels, everywhere[place])
        known[place] |= new
        return replace(self, labels=everywhere, known=known)

    def settled_along(self, grid_from_ego: Float[Tensor, "t 4 4"], reach: float) -> "StaticMap":
        """The map with all columns settled that are within `reach` metres of a pose, or beside and behind the last.

        A model that is asked again and again about places that it has left would add a little every time.
        """
        origin, size = torch.tensor(self.grid.origin[:2], dtype=torch.float64), self.grid.voxel_size
        sides = zip(self.grid.shape[:2], origin, strict=True)
        x, y = ((torch.arange(n, dtype=torch.float64) + 0.5) * size + start for n, start in sides)
        places = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1)
        ways = grid_from_ego[:, :2, 3]
        near = torch.cdist(places.flatten(0, 1), ways).amin(1).unflatten(0, places.shape[:2])
        ahead = ((places - ways[-1]) * grid_from_ego[-1, :2, 0]).sum(-1)
        return replace(self, settled=self.settled | (near < reach) | ((ahead < 0) & (near < 2 * reach)))
