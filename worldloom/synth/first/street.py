"""A street with traffic as an occupancy clip, with the exact boxes of everyone in it.

The ego drives along the right lane, changes to the left one before a work zone, follows a bend and slows down for
people who cross. The seed chooses the bend, buildings, trees, parked cars, speeds and starting places.
"""

import math
import random
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import (
    FREE,
    OCC3D_CLASSES,
    OCC3D_GRID,
    EgoPath,
    Occupancy,
    Trajectory,
    VoxelGrid,
    apply,
    compose,
    invert,
)
from worldloom.synth.first.lots import lots
from worldloom.synth.first.road import Road, make_road
from worldloom.synth.first.road_users import footprint
from worldloom.synth.first.solids import Thing
from worldloom.synth.first.traffic import ego_drive, poses, traffic

# Where two things share a voxel the later one here keeps it: small before large, road users before where they stand.
_PRIORITY = (
    *(
        "free",
        "driveable_surface",
        "other_flat",
        "sidewalk",
        "terrain",
        "vegetation",
        "manmade",
        "others",
        "truck",
        "trailer",
        "bus",
    ),
    *("construction_vehicle", "car", "barrier", "traffic_cone", "motorcycle", "bicycle", "pedestrian"),
)
_RANK_OF = torch.tensor([_PRIORITY.index(name) for name in OCC3D_CLASSES])
_LABEL_OF = torch.tensor([OCC3D_CLASSES.index(name) for name in _PRIORITY], dtype=torch.uint8)
SENSOR_HEIGHT = 1.84  # metres above the ground, where a LiDAR sits on a car's roof


@dataclass(frozen=True)
class Street:
    """A clip and what it was made from. The world's ground is z = 0."""

    occupancy: Occupancy
    path: EgoPath
    actors: list[Trajectory]


def make_street(
    seed: int, num_frames: int = 20, dt: float = 0.5, grid: VoxelGrid = OCC3D_GRID, ground_z: float = -0.7
) -> Street:
    """A drive of `num_frames` frames, `dt` seconds apart.

    A voxel has a thing's class if the thing reaches into it. Buildings are shells, as sensors know them.

    Args:
        ground_z: height of the ground in the ego frame. With -0.7 the road fills the lowest layer of the Occ3D grid,
            where genuine Occ3D labels have it.
    Raises:
        InputError: for fewer than one frame, or a dt that is not positive.
    """
    if num_frames < 1 or not dt > 0:
        raise InputError(f"a street needs num_frames >= 1 and dt > 0, got {num_frames} and {dt}")
    dice = random.Random(seed)
    park = dice.choice((-1, 1))
    driveways = tuple((dice.uniform(-30, 70), side) for side in (-1, 1))
    road = make_road(dice.uniform(0.35, 0.6), 108 + dice.uniform(-3, 3), driveways, park)
    times = dt * torch.arange(num_frames)
    world_from_ego = poses(road, ego_drive(dice), times, -ground_z)
    static, static_rank = _points(lots(road, dice))
    actors, moving = [], []
    for name, thing, drive in traffic(road, dice):
        points, rank = _points([(name, thing, torch.eye(4))])
        base = poses(road, drive, times, 0.0)
        moving.append((points, rank, base))
        if name not in ("traffic_cone", "barrier"):
            centre, size = footprint(thing)
            box = base @ compose(torch.eye(3), torch.tensor(centre))
            inside = _inside(apply(invert(world_from_ego), box[:, None, :3, 3])[:, 0], grid)
            actors.append(Trajectory(box, inside, OCC3D_CLASSES.index(name), size, dt))
    labels, observed = [], []
    for frame in range(num_frames):
        ego_from_world = invert(world_from_ego[frame])
        rank = _ground(road, world_from_ego[frame], grid, ground_z)
        _mark(rank, apply(ego_from_world, static), static_rank, grid)
        for points, own, base in moving:
            _mark(rank, apply(ego_from_world @ base[frame], points), own, grid)
        labels.append(_LABEL_OF[rank].unflatten(0, grid.shape))
        observed.append(line_of_sight(labels[-1] != FREE, grid, (0.0, 0.0, ground_z + SENSOR_HEIGHT)))
    occupancy = Occupancy(torch.stack(labels), torch.stack(observed), world_from_ego, grid, OCC3D_CLASSES, dt)
    return Street(occupancy, EgoPath(world_from_ego, dt), actors)


def line_of_sight(
    occupied: Bool[Tensor, "x y z"],
    grid: VoxelGrid,
    sensor: tuple[float, float, float],
    elevations_deg: tuple[float, float] = (-32.0, 16.0),
) -> Bool[Tensor, "x y z"]:
    """Voxels that a LiDAR at `sensor` knows after many sweeps: those a beam crossed, and the one where it ended.

    One beam is aimed at the centre of every occupied voxel within the sensor's range of elevations, and followed in
    steps of at most a third of a voxel to the first occupied one. Free space is known only where a beam came back
    through it: the open sky stays unknown, as in labels made from real scans.
    """
    start = torch.tensor([(c - o) / grid.voxel_size for c, o in zip(sensor, grid.origin, strict=True)])  # in voxels
    ray = occupied.nonzero() + 0.5 - start
    steepness = torch.atan2(ray[:, 2], ray[:, :2].norm(dim=-1)).rad2deg()
    ray = ray[(steepness >= elevations_deg[0]) & (steepness <= elevations_deg[1])]
    order = ray.norm(dim=-1).argsort(stable=True)
    flat, seen = occupied.flatten(), torch.zeros(occupied.numel(), dtype=torch.bool)
    for i in order.split(4096) if len(order) else ():
        num_steps = max(1, int(3 * ray[i[-1]].norm())) + 1
        share = torch.arange(1, num_steps + 1)[:, None] / num_steps
        x, y, z = ((start[axis] + share * ray[i, axis]).int() for axis in range(3))  # one row per step
        voxel = (x * grid.shape[1] + y) * grid.shape[2] + z
        ended = flat[voxel].byte().argmax(0)
        seen[voxel[torch.arange(num_steps)[:, None] <= ended]] = True
    return seen.unflatten(0, grid.shape)


def _points(
    things: list[tuple[str, Thing, Float[Tensor, "4 4"]]], spacing: float = 0.2
) -> tuple[Float[Tensor, "n 3"], Int[Tensor, " n"]]:
    """Points that fill things evenly, closer together than voxels, with the rank of their class."""
    points, ranks = [], []
    for name, thing, world_from_thing in things:
        for solid in thing.solids:
            axes = [
                (torch.arange(n) + 0.5) / n * 2 * half - half
                for half in solid.shape.half
                for n in (max(1, math.ceil(2 * half / spacing)),)
            ]
            inner = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)
            inner = inner[solid.shape.contains(inner.T)]
            points.append(apply(world_from_thing @ solid.world_from_solid, inner))
            ranks.append(torch.full((len(inner),), _PRIORITY.index(name)))
    return torch.cat(points), torch.cat(ranks)


def _inside(points: Float[Tensor, "*batch 3"], grid: VoxelGrid) -> Bool[Tensor, "*batch"]:
    cell = (points - points.new_tensor(grid.origin)) / grid.voxel_size
    return ((cell >= 0) & (cell < cell.new_tensor(grid.shape))).all(-1)


def _voxel(points: Float[Tensor, "*batch 3"], grid: VoxelGrid) -> Int[Tensor, "*batch"]:
    """Flat number of the voxel around each point; meaningless outside the grid."""
    x, y, z = ((points - points.new_tensor(grid.origin)) / grid.voxel_size).long().unbind(-1)
    return (x * grid.shape[1] + y) * grid.shape[2] + z


def _mark(rank: Int[Tensor, " m"], points: Float[Tensor, "n 3"], own: Int[Tensor, " n"], grid: VoxelGrid) -> None:
    """Raise the rank of the voxels that the points lie in, in place; the order of the points does not matter."""
    inside = _inside(points, grid)
    rank.scatter_reduce_(0, _voxel(points[inside], grid), own[inside], "amax")


def _ground(road: Road, world_from_ego: Float[Tensor, "4 4"], grid: VoxelGrid, ground_z: float) -> Int[Tensor, " m"]:
    """Ranks of an empty world: one layer of ground."""
    layer = math.floor((ground_z - grid.origin[2]) / grid.voxel_size)
    columns = grid.centres()[:, :, 0].clone()
    columns[..., 2] = ground_z
    world = apply(world_from_ego, columns.flatten(0, 1))
    rank = torch.zeros(grid.shape, dtype=torch.int64)
    if 0 <= layer < grid.shape[2]:
        rank[:, :, layer] = _RANK_OF[road.ground(world[:, :2]).long()].unflatten(0, grid.shape[:2])
    return rank.flatten()
