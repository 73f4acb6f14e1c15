"""Forecasts that learn nothing: the floors that a model has to beat.

Both take the past and the ego poses of the future, and return the future in the grid of each of those poses.
`copy_last` repeats what was last seen. `copy_warp` keeps the static world in place and moves the ego through it.

Only what was observed counts: a label where nobody looked is not used. A past with `observed` all True is one that
trusts every label, as published forecasts do.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import FREE, GROUND, MOVERS, OCC3D_CLASSES, Occupancy, VoxelGrid, among
from worldloom.geometry.rigid import invert
from worldloom.geometry.warp_occupancy import warp_observed
from worldloom.occupancy.static_world import box_around, lattice_grid

VACATED_REACH = 3.0  # metres; half the width of a bus and its shadow: how far ground is continued under a road user


@dataclass(frozen=True)
class StaticWorld:
    """What a clip says about the things that do not move, in one grid fixed to the world."""

    labels: UInt8[Tensor, "x y z"]  # no movers; free where nothing is known
    observed: Bool[Tensor, "x y z"]  # True: somebody looked
    grid: VoxelGrid
    world_from_grid: Float[Tensor, "4 4"]


def steady_path(past: Occupancy, horizon: int) -> EgoPath:
    """The ego goes on as in its last step: the floor for forecasts that are not told its way.

    Args:
        past: of two frames or more; with one the ego stands.
    """
    poses = past.world_from_ego.double()
    step = invert(poses[-2]) @ poses[-1] if len(poses) > 1 else torch.eye(4, dtype=torch.float64)
    ahead = [poses[-1]]
    for _ in range(horizon):
        ahead.append(ahead[-1] @ step)
    return EgoPath(torch.stack(ahead[1:]), past.dt)


def copy_last(past: Occupancy, ego_path: EgoPath) -> Occupancy:
    """What the last frame observed, again and again, as if the world were tied to the car.

    Args:
        past: labels t x y z, t >= 1.
        ego_path: the poses of the future frames, in the world of `past`.
    Returns:
        one frame for each pose of `ego_path`.
    """
    _check(past, ego_path)
    observed = past.observed[-1:].repeat(len(ego_path), 1, 1, 1)
    labels = torch.where(observed, past.labels[-1:], FREE)
    return replace(past, labels=labels, observed=observed, world_from_ego=ego_path.world_from_ego)


def copy_warp(past: Occupancy, ego_path: EgoPath) -> Occupancy:
    """The static world of all past frames, seen from each future pose; road users stay where they were last seen.

    A road user is what the last frame shows of the classes MOVERS. The future's `observed` is what the memory knows:
    places that nobody saw are free and not observed.

    Args:
        past: labels t x y z, t >= 1, with the classes of Occ3D.
        ego_path: the poses of the future frames, in the world of `past`. Their heights and tilts count.
    Returns:
        one frame for each pose of `ego_path`.
    """
    _check(past, ego_path)
    world = fuse_static(past, ego_path)
    last = past[-1:]
    seen_movers = last.observed & among(last.labels, MOVERS)
    movers = torch.where(seen_movers, last.labels, FREE)[0]
    labels = past.labels.new_empty(len(ego_path), *past.grid.shape)
    observed = torch.empty_like(labels, dtype=torch.bool)
    for i, ego_from_world in enumerate(invert(ego_path.world_from_ego.double())):
        ego_from_grid = ego_from_world @ world.world_from_grid
        ego_from_last = ego_from_world @ last.world_from_ego[0].double()
        static_labels, static_observed = warp_observed(
            world.labels, world.observed, ego_from_grid, world.grid, past.grid
        )
        moving_labels, moving_observed = warp_observed(movers, seen_movers[0], ego_from_last, past.grid)
        labels[i] = torch.where(moving_labels != FREE, moving_labels, static_labels)
        observed[i] = static_observed | moving_observed
    return replace(past, labels=labels, observed=observed, world_from_ego=ego_path.world_from_ego)


def fuse_static(past: Occupancy, ego_path: EgoPath) -> StaticWorld:
    """Everything static that the past frames saw, in one grid: the last ego frame's, as large as the future can see.

    What was observed later overrules what was observed earlier. Where a road user stood and the ground below was never
    seen, the ground nearby is continued, as a guess: it stays unobserved.
    """
    world_from_grid = past.world_from_ego[-1].double()
    grid_from_world = invert(world_from_grid)
    grid = _memory_grid(past, grid_from_world @ past.world_from_ego.double(), ego_path, grid_from_world)
    labels = past.labels.new_full(grid.shape, FREE)
    observed = torch.zeros(grid.shape, dtype=torch.bool)
    visited = torch.zeros(grid.shape[:2], dtype=torch.bool)  # columns in which a road user was seen
    for frame_labels, frame_observed, world_from_ego in zip(
        past.labels, past.observed, past.world_from_ego.double(), strict=True
    ):
        now, looked = warp_observed(frame_labels, frame_observed, grid_from_world @ world_from_ego, past.grid, grid)
        mover = looked & among(now, MOVERS)
        static = looked & ~mover
        labels = torch.where(static, now, labels)
        observed |= static
        visited |= mover.any(dim=2)
    return StaticWorld(_continue_ground(labels, observed, visited, grid), observed, grid, world_from_grid)


def _memory_grid(
    past: Occupancy,
    anchor_from_past: Float[Tensor, "t 4 4"],
    ego_path: EgoPath,
    anchor_from_world: Float[Tensor, "4 4"],
) -> VoxelGrid:
    """Whole voxels of the anchor's grid around what the past saw, cut to what the future looks at."""
    past_low, past_high = box_around(past.grid, anchor_from_past)
    future_low, future_high = box_around(past.grid, anchor_from_world @ ego_path.world_from_ego.double())
    low, high = torch.maximum(past_low, future_low), torch.minimum(past_high, future_high)
    if not (low < high).all():  # the path begins where nothing was ever seen; any grid will do
        return past.grid
    return lattice_grid(past.grid, low, high)


def _continue_ground(
    labels: UInt8[Tensor, "x y z"], observed: Bool[Tensor, "x y z"], visited: Bool[Tensor, "x y"], grid: VoxelGrid
) -> UInt8[Tensor, "x y z"]:
    """Ground class and height of the nearest ground, where a road user hid the ground and nobody has seen it since."""
    ground = among(labels, GROUND)
    has_ground = ground.any(dim=2)
    bare = visited & ~has_ground
    if not bare.any() or not has_ground.any():
        return labels
    bare_columns, ground_columns = bare.nonzero(), has_ground.nonzero()
    distance, nearest = KDTree(ground_columns.numpy()).query(bare_columns.numpy())
    near = torch.from_numpy(distance) * grid.voxel_size <= VACATED_REACH
    (x, y), source = bare_columns[near].T, ground_columns[torch.from_numpy(nearest)[near]]
    source_x, source_y = source.T
    z = ground.to(torch.uint8).argmax(dim=2)[source_x, source_y]  # the lowest ground of the column
    guess = torch.where(observed[x, y, z] | (labels[x, y, z] != FREE), labels[x, y, z], labels[source_x, source_y, z])
    continued = labels.clone()
    continued[x, y, z] = guess
    return continued


def _check(past: Occupancy, ego_path: EgoPath) -> None:
    if past.labels.ndim != 4 or len(past) < 1:
        raise ValueError(f"past must be labels (t, x, y, z) with t >= 1, got {tuple(past.labels.shape)}")
    if ego_path.world_from_ego.ndim != 3 or len(ego_path) < 1:
        raise ValueError(f"ego_path must be (t, 4, 4) with t >= 1, got {tuple(ego_path.world_from_ego.shape)}")
    if past.classes != OCC3D_CLASSES:
        raise ValueError(f"past must have the {len(OCC3D_CLASSES)} classes of Occ3D, got {past.classes}")
    if not math.isclose(past.dt, ego_path.dt, rel_tol=0.05):
        raise ValueError(f"past and ego_path must share dt, got {past.dt:g} s and {ego_path.dt:g} s")
