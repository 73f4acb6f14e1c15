"""What is annotated in a drive: everybody on the road, and what stands beside it, as boxes over the key frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES, Trajectory
from worldloom.geometry.io.nuscenes_tables import Track
from worldloom.synth.road_users.catalogue import RIDERLESS, nuscenes_category
from worldloom.synth.towns.town import StandingUser, Town
from worldloom.synth.traffic.drive import RANGE, Drive

MOVING = 0.2  # m/s; slower is standing
_WHEELED = ("car", "bus", "truck", "trailer", "construction_vehicle")


@dataclass(frozen=True)
class Boxed:
    """One annotated object over the key frames of a drive, in the town's frame."""

    name: str  # unique in the drive
    kind: str
    variant: int
    trajectory: Trajectory  # of the box; present where the object is within RANGE of the ego
    speed: Float[Tensor, " t"] | None  # None: it stands there for good
    number: int  # in the drive's users, or in what stands in the town


def boxed_things(town: Town, drive: Drive) -> tuple[Boxed, ...]:
    """Everything that is annotated: the drive's users in their order, then what stands in the town."""
    boxed = [
        Boxed(
            user.id,
            user.kind,
            user.variant,
            _near(user.trajectory, drive.world_from_ego),
            user.velocity.norm(dim=-1),
            i,
        )
        for i, user in enumerate(drive.users)
    ]
    boxed += [_standing(i, user, drive) for i, user in enumerate(town.standing)]
    return tuple(box for box in boxed if box.trajectory.present.any())


def tracks_of(
    boxed: Sequence[Boxed],
    global_from_town: Float[Tensor, "4 4"],
    visibility: Int[Tensor, "a t"],
    num_lidar_points: Int[Tensor, "a t"],
) -> tuple[Track, ...]:
    """The boxes as nuScenes annotates them, with their categories and attributes."""
    return tuple(
        Track(
            box.name,
            nuscenes_category(box.kind, box.variant),
            replace(box.trajectory, world_from_actor=global_from_town @ box.trajectory.world_from_actor.double()),
            tuple(attribute(box, frame) for frame in range(len(box.trajectory.present))),
            visibility[i],
            num_lidar_points[i],
        )
        for i, box in enumerate(boxed)
    )


def attribute(box: Boxed, frame: int) -> str:
    """nuScenes' word for what it does at a key frame; "" where it has none."""
    moves = box.speed is not None and float(box.speed[frame]) > MOVING
    if box.kind in _WHEELED:
        return "vehicle.moving" if moves else "vehicle.parked" if box.speed is None else "vehicle.stopped"
    if box.kind in RIDERLESS:
        return "cycle.without_rider" if box.variant in RIDERLESS[box.kind] else "cycle.with_rider"
    if box.kind == "pedestrian":
        return "pedestrian.moving" if moves else "pedestrian.standing"
    return ""


def _standing(number: int, user: StandingUser, drive: Drive) -> Boxed:
    world_from_box = user.world_from_user.double().clone()
    world_from_box[:3, 3] += world_from_box[:3, 2] * user.extent[2] / 2
    trajectory = Trajectory(
        world_from_box.expand(len(drive), 4, 4),
        torch.ones(len(drive), dtype=torch.bool),
        OCC3D_CLASSES.index(user.kind),
        user.extent,
        drive.dt,
    )
    near = _near(trajectory, drive.world_from_ego)
    return Boxed(f"standing-{number}", user.kind, user.variant, near, None, number)


def _near(trajectory: Trajectory, world_from_ego: Float[Tensor, "t 4 4"]) -> Trajectory:
    """The trajectory, present only where its box is within RANGE of the ego."""
    away = trajectory.world_from_actor[:, :2, 3].double() - world_from_ego[:, :2, 3].double()
    near: Bool[Tensor, " t"] = away.norm(dim=-1) <= RANGE
    return replace(trajectory, present=trajectory.present & near)
