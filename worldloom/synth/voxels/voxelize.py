"""Towns and drives as Occ3D labels: complete truth, or what sensors on the drive would have known of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy, VoxelGrid, apply, invert
from worldloom.synth.cast import Caster
from worldloom.synth.road_users.catalogue import make_road_user
from worldloom.synth.sensors.rig import Rig, nuscenes_like_rig
from worldloom.synth.soup import soup_from_things
from worldloom.synth.towns.ground import Ground
from worldloom.synth.towns.town import StandingUser, Town
from worldloom.synth.traffic.drive import Drive
from worldloom.synth.voxels.gathered import GatheredDrive, users_at
from worldloom.synth.voxels.masks import SensorMasks
from worldloom.synth.voxels.static_layer import TILE, Cloud, SoupTiles, StaticLayer, Tile, joined_clouds
from worldloom.synth.voxels.user_cloud import PlacedUser, user_cloud
from worldloom.synth.voxels.voxel_priority import LABEL_OF_RANK, RANK_OF_LABEL
from worldloom.synth.world import Thing

GROUND_SPACING = 0.2  # metres; the cell of a town's ground raster


class VoxelFrame(NamedTuple):
    """One frame and what of it is known."""

    labels: UInt8[Tensor, "x y z"]
    mask_lidar: Bool[Tensor, "x y z"]
    mask_camera: Bool[Tensor, "x y z"]  # part of mask_lidar


class VoxelizedDrive(NamedTuple):
    """A drive as voxels. `occupancy.observed` is the cameras' mask, the one that Occ3D is scored in."""

    occupancy: Occupancy
    mask_lidar: Bool[Tensor, "t x y z"]


class Voxelizer:
    """The complete truth of a town in the ego's grid; what stands is sampled once, where the ego first comes near."""

    def __init__(self, town: Town, grid: VoxelGrid = OCC3D_GRID, ground_z: float = -0.75) -> None:
        """`ground_z` is the height of the ground under the ego in the grid.

        Genuine Occ3D-nuScenes labels have the road in their lowest layer and sidewalks half in the next: so has -0.75.

        Raises:
            InputError: if the ground lies outside the grid.
        """
        low, high = grid.origin[2], grid.origin[2] + grid.voxel_size * grid.shape[2]
        if not low <= ground_z < high:
            raise InputError(f"expected ground_z within the grid's {low:g}..{high:g} m, got {ground_z}")
        self.town, self.grid, self.ground_z = town, grid, ground_z
        self._surfaces: SoupTiles | None = None
        self._caster: Caster | None = None
        self._standing = standing_users(town.standing)
        self.static = StaticLayer(self._tile)

    def frame(self, world_from_ego: Float[Tensor, "4 4"], users: Sequence[PlacedUser] = ()) -> UInt8[Tensor, "x y z"]:
        """Labels of everything that is there, whether anyone sees it or not.

        Args:
            world_from_ego: the ego on the ground, as `Drive.world_from_ego`.
            users: who moves; `users_at` takes them from a drive. Users that stand belong to the town.
        Raises:
            InputError: if the pose is not finite.
        """
        ranks, _ = self.blank()
        voxel_from_world = self.voxel_from_world(world_from_ego)
        self.mark_complete(ranks, voxel_from_world, users)
        return labels_of(ranks)

    def mark_complete(
        self, ranks: UInt8[Tensor, "x y z"], voxel_from_world: Float[Tensor, "4 4"], users: Sequence[PlacedUser]
    ) -> None:
        """Put everything that is there into a frame of ranks."""
        unused = torch.zeros_like(ranks)
        self.static.mark(ranks, unused, voxel_from_world)
        for user in [*self._standing, *users]:
            voxel_from_user = voxel_from_world @ user.world_from_user.double()
            if self.near(voxel_from_user):
                user_cloud(user.kind, user.variant, user.phase).mark(ranks, unused, voxel_from_user)

    def blank(self) -> tuple[UInt8[Tensor, "x y z"], UInt8[Tensor, "x y z"]]:
        """Two empty frames."""
        return torch.zeros(self.grid.shape, dtype=torch.uint8), torch.zeros(self.grid.shape, dtype=torch.uint8)

    def grid_from_world(self, world_from_ego: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """From the world to the frame that the grid is given in, in metres: the ego's, its ground lowered to ground_z.

        Raises:
            InputError: if the pose is not finite.
        """
        if not bool(world_from_ego.isfinite().all()):
            raise InputError("expected a finite world_from_ego, got NaN or infinity")
        grid_from_world = invert(world_from_ego.double())
        grid_from_world[2, 3] += self.ground_z
        return grid_from_world

    def voxel_from_world(self, world_from_ego: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """From the world to voxels."""
        voxel_from_world = self.grid_from_world(world_from_ego)
        voxel_from_world[:3, 3] -= torch.tensor(self.grid.origin, dtype=torch.float64)
        voxel_from_world[:3] /= self.grid.voxel_size
        return voxel_from_world

    def near(self, voxel_from_user: Float[Tensor, "4 4"], reach: float = 12.0) -> bool:
        """Whether something within `reach` metres of a place may touch the grid."""
        margin = reach / self.grid.voxel_size
        return all(
            -margin <= at <= size + margin
            for at, size in zip(voxel_from_user[:3, 3].tolist(), self.grid.shape, strict=True)
        )

    @property
    def standing(self) -> Sequence[PlacedUser]:
        """The town's users that stay where they are."""
        return self._standing

    @property
    def caster(self) -> Caster:
        """The town with its standing users, made ready for rays when first asked for."""
        if self._caster is None:
            world = self.town.world()
            things = (*world.things, *(placed_thing(user) for user in self._standing))
            self._caster = Caster(replace(world, things=things))
        return self._caster

    def _tile(self, tile: Tile) -> Cloud:
        if self._surfaces is None:
            self._surfaces = SoupTiles(soup_from_things(self.town.things))
        return joined_clouds((ground_cloud(self.town.ground, tile), self._surfaces(tile)))


def voxelize_drive(
    town: Town,
    drive: Drive,
    voxelizer: Voxelizer | None = None,
    as_sensed: bool = True,
    rig: Rig | None = None,
) -> VoxelizedDrive:
    """All frames of a drive with their masks.

    Args:
        voxelizer: of the same town, if there is one already; then nothing is sampled twice.
        as_sensed: labels contain what beams of the drive's LiDAR met, before or after, as labels made from real scans
            do: no back sides, no insides of houses, holes far away. Otherwise they are the complete truth, and the
            masks still say what was known.
        rig: the sensors; by default those of `nuscenes_like_rig`.
    Raises:
        InputError: if the voxelizer is of another town.
        MissingExtra: where the ray caster is not installed.
    """
    voxelizer = voxelizer or Voxelizer(town)
    frames = list(voxelized_frames(town, drive, voxelizer, as_sensed, rig))
    lift = torch.eye(4, dtype=drive.world_from_ego.dtype)
    lift[2, 3] = -voxelizer.ground_z
    occupancy = Occupancy(
        torch.stack([frame.labels for frame in frames]),
        torch.stack([frame.mask_camera for frame in frames]),
        drive.world_from_ego @ lift,
        voxelizer.grid,
        OCC3D_CLASSES,
        drive.dt,
    )
    return VoxelizedDrive(occupancy, torch.stack([frame.mask_lidar for frame in frames]))


def voxelized_frames(
    town: Town,
    drive: Drive,
    voxelizer: Voxelizer,
    as_sensed: bool = True,
    rig: Rig | None = None,
) -> Iterator[VoxelFrame]:
    """As `voxelize_drive`, one frame after the other."""
    if voxelizer.town is not town:
        raise InputError("expected a voxelizer of the drive's own town, got one of another town")
    rig = rig or nuscenes_like_rig()
    gathered = GatheredDrive(voxelizer.caster, town.ground, drive, voxelizer.standing, rig)
    masks = SensorMasks(voxelizer.grid, voxelizer.ground_z, rig)
    for frame in range(len(drive)):
        grid_from_world = voxelizer.grid_from_world(drive.world_from_ego[frame])
        voxel_from_world = voxelizer.voxel_from_world(drive.world_from_ego[frame])
        ranks, hit = voxelizer.blank()
        gathered.static.mark(ranks, hit, voxel_from_world)

        def near(user: PlacedUser, voxel_from_world: Tensor = voxel_from_world) -> bool:
            return voxelizer.near(voxel_from_world @ user.world_from_user.double())

        for user, seen in gathered.users(frame, near):
            voxel_from_user = voxel_from_world @ user.world_from_user.double()
            user_cloud(user.kind, user.variant, user.phase).mark(ranks, hit, voxel_from_user, seen)
        if not as_sensed:
            voxelizer.mark_complete(ranks, voxel_from_world, [user for user, _ in users_at(drive, frame)])
        eyes = apply(grid_from_world, gathered.eyes_near(frame, masks.rules.drive, masks.rules.eye_spacing))
        yield VoxelFrame(labels_of(ranks), *masks.of(ranks, hit.view(torch.bool), eyes))


def labels_of(ranks: UInt8[Tensor, "*n"]) -> UInt8[Tensor, "*n"]:
    """Occ3D labels of ranks."""
    return torch.from_numpy(LABEL_OF_RANK.numpy()[ranks.numpy()])


def standing_users(users: Sequence[StandingUser]) -> tuple[PlacedUser, ...]:
    """A town's standing users as placed ones; people among them stand still."""
    return tuple(PlacedUser(user.kind, user.variant, -1.0, user.world_from_user) for user in users)


def placed_thing(user: PlacedUser) -> Thing:
    """The mesh of a user where it is."""
    thing = make_road_user(user.kind, user.variant, user.phase)
    return Thing(thing.name, thing.semantic, thing.parts, user.world_from_user.float())


def ground_cloud(ground: Ground, tile: Tile) -> Cloud:
    """Points of the ground's surface in one tile, with the risers of kerbs."""
    steps = round(TILE / GROUND_SPACING)
    axis = (np.arange(steps) + 0.5) * GROUND_SPACING
    x, y = np.meshgrid(axis + tile[0] * TILE, axis + tile[1] * TILE, indexing="ij")
    xy = torch.from_numpy(np.stack([x, y], -1).reshape(-1, 2))
    points = torch.cat([xy, ground.height(xy)[:, None]], 1).float()
    ranks = RANK_OF_LABEL[ground.label_at(xy)]
    return Cloud(points, ranks, torch.zeros(len(points), dtype=torch.bool))
