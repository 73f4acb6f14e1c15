"""Rays through a voxel grid, exactly: what a LiDAR would measure of occupancy."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.geometry import FREE, VoxelGrid

_SWEEP = 16  # cells after which rays that are done are left out


def cast_occupancy(
    labels: UInt8[Tensor, "x y z"],
    grid: VoxelGrid,
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    max_range: float = math.inf,
    free: int = FREE,
) -> tuple[Float[Tensor, " n"], UInt8[Tensor, " n"]]:
    """Where rays first meet a voxel that is not free, cell by cell (Amanatides and Woo 1987).

    Args:
        origins, directions: in the grid's frame, metres; directions need no unit length. A ray that begins in a voxel
            that is not free ends there, at 0.
        max_range: metres.
    Returns:
        metres along each ray, inf where it meets nothing, and the label there, `free` where it meets nothing.
    Raises:
        ValueError: labels of another shape than the grid's, or a direction of no length.
    """
    if tuple(labels.shape) != grid.shape:
        raise ValueError(f"labels must have the grid's shape {grid.shape}, got {tuple(labels.shape)}")
    length = directions.norm(dim=1, keepdim=True)
    if not bool((length > 0).all()):
        raise ValueError("directions need a length above 0")
    shape = torch.tensor(grid.shape)
    start = (origins.double() - torch.tensor(grid.origin, dtype=torch.float64)) / grid.voxel_size
    way = (directions / length).double()
    still = way.abs() < 1e-12
    slope = torch.where(still, 1.0, way)
    # Where the ray is inside the box of the grid, in voxels along it.
    ends = torch.stack([-start / slope, (shape - start) / slope])
    outside = (start < 0) | (start >= shape)
    enter = torch.where(still, torch.where(outside, math.inf, -math.inf), ends.amin(0)).amax(1).clamp(min=0)
    leave = torch.where(still, math.inf, ends.amax(0)).amin(1).clamp(max=max_range / grid.voxel_size)
    distance = torch.full((len(start),), math.inf)
    found = torch.full((len(start),), free, dtype=torch.uint8)
    ray = (enter < leave).nonzero()[:, 0]
    start, way, still, slope, at = start[ray], way[ray], still[ray], slope[ray], enter[ray]
    # A ray that enters through a face is in the cell behind it, whatever rounding says.
    cell = torch.minimum((start + (at[:, None] + 1e-9) * way).floor().long().clamp(min=0), shape - 1)
    step = way.sign().long()
    after = torch.where(still, math.inf, (cell + (step > 0) - start) / slope)
    gain = torch.where(still, math.inf, 1 / slope.abs())
    leave, flat = leave[ray], labels.flatten()
    strides = torch.tensor([grid.shape[1] * grid.shape[2], grid.shape[2], 1])
    going = torch.ones(len(ray), dtype=torch.bool)
    while len(ray):
        for _ in range(_SWEEP):
            inside = ((cell >= 0) & (cell < shape)).all(1)
            label = flat[(cell * strides).sum(1).clamp(0, len(flat) - 1)]
            hit = going & inside & (label != free)
            distance[ray[hit]], found[ray[hit]] = (at[hit] * grid.voxel_size).float(), label[hit]
            at, axis = after.min(1)
            going &= ~hit & inside & (at < leave)
            rows = torch.arange(len(ray))
            cell[rows, axis] += step[rows, axis]
            after[rows, axis] += gain[rows, axis]
        ray, cell, step, after, gain, leave, at = (part[going] for part in (ray, cell, step, after, gain, leave, at))
        going = going[going]
    return distance, found
