"""All that the LiDAR of one drive has met: what stands, and the sides of those who move."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from worldloom.geometry import GROUND, apply, invert
from worldloom.synth.cast import Caster
from worldloom.synth.road_users.catalogue import road_user_extent
from worldloom.synth.sensors.laser import Returns, laser_points, lidar_eyes, sweep_poses
from worldloom.synth.sensors.rig import Rig
from worldloom.synth.towns.ground import Ground
from worldloom.synth.traffic.drive import Drive
from worldloom.synth.voxels.static_layer import Cloud, StaticLayer, clouds_by_tile, joined_clouds
from worldloom.synth.voxels.user_cloud import PlacedUser, pose_of, user_cloud
from worldloom.synth.voxels.voxel_priority import RANK_OF_LABEL


@dataclass(frozen=True)
class Gathering:
    """How the points of a drive are gathered."""

    spacing: float = 2.0  # metres driven between two sweeps; a car that stands gathers nothing new
    returns: Returns = field(default_factory=Returns)
    cell: float = 0.2  # metres; of the points in a world-anchored cube of this size one is kept
    # Between the rings that beams draw on the ground, labels are filled up this far, metres; the masks are not.
    filled: float = 0.8
    lingering: int = 2  # frames for which a user is labelled before and after a beam reaches it


class GatheredDrive:
    """Points of what stands, and who was seen when and from which sides."""

    def __init__(
        self,
        caster: Caster,
        ground: Ground,
        drive: Drive,
        standing: Sequence[PlacedUser],
        rig: Rig,
        gathering: Gathering = Gathering(),
    ) -> None:
        """`caster` holds the town and its standing users."""
        self._gathering, self._drive, self._standing = gathering, drive, standing
        poses = sweep_poses(drive.fine.world_from_ego, gathering.spacing)
        self._eyes = lidar_eyes(poses, rig)
        points, labels = laser_points(caster, poses, rig, drive.seed, gathering.returns)
        flat = torch.isin(labels, torch.tensor(GROUND, dtype=torch.uint8))
        things = Cloud(
            points[~flat].float(), RANK_OF_LABEL[labels[~flat].long()], torch.ones(int((~flat).sum())).bool()
        )
        tiles = clouds_by_tile(
            joined_clouds((things, _filled_ground(ground, points[flat], gathering.filled))), gathering.cell
        )
        empty = joined_clouds(())
        self.static = StaticLayer(lambda tile: tiles.get(tile, empty))
        self._frame_eyes = lidar_eyes(drive.world_from_ego, rig)
        self._find_users(caster)

    def eyes_near(self, frame: int, reach: float, spacing: float) -> Float[Tensor, "k 3"]:
        """Places of the LiDAR along the drive, about `spacing` apart, at most `reach` from where it is at the frame."""
        here = self._frame_eyes[frame]
        every = max(1, round(spacing / self._gathering.spacing))
        others = self._eyes[::every]
        others = others[(others - here).norm(dim=1) <= reach]
        return torch.cat([here[None], others])

    def users(self, frame: int, near: Callable[[PlacedUser], bool]) -> Iterator[tuple[PlacedUser, Bool[Tensor, " n"]]]:
        """Who of those `near` is in the labels of a frame, and which points of its cloud some beam could reach."""
        here = self._frame_eyes[frame]
        close = (self._standing_places - here).norm(dim=1) < self._gathering.returns.max_range
        for number in (close & self._standing_seen.any(0)).nonzero()[:, 0].tolist():
            user = self._standing[number]
            if not near(user):
                continue
            if ("standing", number, None) not in self._sides_seen:
                eyes = self._eyes[self._standing_seen[:, number]]
                self._sides_seen["standing", number, None] = self._sides(user, user.world_from_user[None], eyes)
            yield user, self._sides_seen["standing", number, None]
        first, last = max(frame - self._gathering.lingering, 0), frame + self._gathering.lingering + 1
        lingering = self._seen[first:last].any(0).tolist()
        for user, number in self._there[frame]:
            if not lingering[number] or not near(user):
                continue
            key = ("moving", number, pose_of(user.kind, user.phase))
            if key not in self._sides_seen:
                frames = self._seen[:, number].nonzero()[:, 0]
                body = self._drive.users[number]
                world_from_user = body.trajectory.world_from_actor[frames].double()  # a copy: indexed by a tensor
                world_from_user[:, :3, 3] -= world_from_user[:, :3, 2] * body.extent[2] / 2
                self._sides_seen[key] = self._sides(user, world_from_user, self._frame_eyes[frames])
            yield user, self._sides_seen[key]

    def _sides(
        self, user: PlacedUser, world_from_user: Float[Tensor, "j 4 4"], eyes: Float[Tensor, "k 3"]
    ) -> Bool[Tensor, " n"]:
        """Points of a user, at one place or one for each eye, that are turned to some eye; a dozen eyes are enough."""
        user_from_world = invert(world_from_user.double()).expand(len(eyes), 4, 4)
        own = apply(user_from_world, eyes[:, None])[:, 0]
        cloud = user_cloud(user.kind, user.variant, user.phase)
        return cloud.towards(own[:: max(1, len(own) // 12)], self._gathering.returns.max_range)

    def _find_users(self, caster: Caster) -> None:
        """Which eyes have a clear line to which users: standing ones from all sweeps, moving ones at their frames."""
        self._sides_seen: dict[tuple[str, int, float | None], Tensor] = {}
        reach = self._gathering.returns.max_range
        t, drive = len(self._drive), self._drive
        self._there = [users_at(drive, frame) for frame in range(t)]
        self._seen = torch.zeros(t, len(drive.users), dtype=torch.bool)
        eyes, crowns, radii, where = [], [], [], []
        for frame in range(t):
            for user, number in self._there[frame]:
                eyes.append(self._frame_eyes[frame])
                crowns.append(_crown(user))
                radii.append(_radius(user))
                where.append((frame, number))
        if where:
            clear = _clear(caster, torch.stack(eyes), torch.stack(crowns), torch.tensor(radii), reach)
            frames, numbers = torch.tensor(where).unbind(1)
            self._seen[frames, numbers] = clear
        places = [user.world_from_user[:3, 3].double() for user in self._standing]
        self._standing_places = torch.stack(places) if places else torch.zeros(0, 3, dtype=torch.float64)
        self._standing_seen = torch.zeros(len(self._eyes), len(self._standing), dtype=torch.bool)
        for number, user in enumerate(self._standing):
            crown = _crown(user).expand_as(self._eyes)
            radius = torch.full((len(self._eyes),), _radius(user))
            self._standing_seen[:, number] = _clear(caster, self._eyes, crown, radius, reach)


def users_at(drive: Drive, frame: int) -> list[tuple[PlacedUser, int]]:
    """Those of a drive who are there at a frame, with their numbers."""
    placed = []
    for number, user in enumerate(drive.users):
        if bool(user.trajectory.present[frame]):
            # The drive's own pose stays as it is, whatever its precision.
            world_from_user = user.trajectory.world_from_actor[frame].double().clone()
            world_from_user[:3, 3] -= world_from_user[:3, 2] * user.extent[2] / 2
            placed.append((PlacedUser(user.kind, user.variant, float(user.phase[frame]), world_from_user), number))
    return placed


def _filled_ground(ground: Ground, points: Float[Tensor, "n 3"], reach: float) -> Cloud:
    """The cells of the ground's raster within `reach` of points on it; those with a point in them were hit."""
    if not len(points):
        return joined_clouds(())
    cell = ground.sheet.cell
    origin = np.floor(points[:, :2].numpy().min(0) / cell) * cell - reach - cell
    where = np.floor((points[:, :2].numpy() - origin) / cell).astype(np.int64)
    size = where.max(0) + 2 + int(reach / cell)
    hit = np.zeros(tuple(size), bool)
    hit[where[:, 0], where[:, 1]] = True
    distance = np.asarray(ndimage.distance_transform_edt(~hit, sampling=cell))
    at = np.argwhere(distance <= reach)
    xy = torch.from_numpy(origin + (at + 0.5) * cell)
    raised = torch.cat([xy, ground.height(xy)[:, None]], 1).float()
    return Cloud(raised, RANK_OF_LABEL[ground.label_at(xy)], torch.from_numpy(hit[at[:, 0], at[:, 1]]))


def _crown(user: PlacedUser) -> Float[Tensor, " 3"]:
    """A point of the user in the world that is hard to hide: in its middle, at four fifths of its height."""
    top = torch.tensor([[0.0, 0.0, 0.8 * road_user_extent(user.kind, user.variant)[2]]], dtype=torch.float64)
    return apply(user.world_from_user.double(), top)[0]


def _radius(user: PlacedUser) -> float:
    """How far before its middle a user may itself stop a beam."""
    length, width, _ = road_user_extent(user.kind, user.variant)
    return 0.5 * math.hypot(length, width) + 0.2


def _clear(caster: Caster, eyes: Tensor, targets: Tensor, radii: Tensor, reach: float) -> Bool[Tensor, " n"]:
    """Whether nothing that stands comes between eyes and targets, the last `radii` metres left out."""
    away = targets - eyes
    distance = away.norm(dim=1)
    near = (distance < reach) & (distance > 0.1)
    clear = torch.zeros(len(eyes), dtype=torch.bool)
    if bool(near.any()):
        limit = (distance - radii).clamp(min=0.0)[near].float()
        clear[near] = ~caster.blocked(eyes[near], (away / distance[:, None])[near], limit)
    return clear
