"""One logged drive through a town as a clip, from seeds alone."""

import hashlib
from functools import lru_cache

from worldloom.synth.dataset.annotate import boxed_things
from worldloom.synth.dataset.clips import DrivingClip, tracks_from_boxes
from worldloom.synth.dataset.scenes import KEYFRAME_SECONDS, TOWN_SIZE, every
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.drive import Drive, drive_town
from worldloom.synth.traffic.risk import risk_of
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive


def town_drive(
    town_seed: int,
    number: int = 0,
    seconds: float | int = 20.0,
    density: float | int = 1.0,
    town_size: float | int = TOWN_SIZE,
) -> DrivingClip:
    """The drive of that number through the town of that seed; the town of the last call is kept.

    Args:
        seconds: how long it is.
        density: of the traffic; 1 is busy.
    Raises:
        InputError: numbers that cannot be.
        MissingExtra: SUMO or the ray caster is not installed.
    """
    voxelizer = _voxelizer(town_seed, float(town_size))
    fine = drive_town(voxelizer.town, seconds, drive_seed(town_seed, number), STEP, density)
    return clip_of(voxelizer, fine)


def drive_seed(town_seed: int, number: int) -> int:
    """The seed of a drive's traffic."""
    return int(hashlib.sha256(f"{town_seed}/clips/{number}".encode()).hexdigest()[:7], 16)


def clip_of(voxelizer: Voxelizer, fine: Drive, manoeuvre: str = "", branch_frame: int = -1) -> DrivingClip:
    """A drive at every step of the simulation as a clip at 2 Hz."""
    stride = round(KEYFRAME_SECONDS / fine.dt)
    drive = every(fine, stride)
    occupancy, mask_lidar = voxelize_drive(voxelizer.town, drive, voxelizer)
    velocities = {user.id: user.velocity for user in drive.users}
    tracks = tracks_from_boxes(boxed_things(voxelizer.town, drive), velocities, len(drive))
    risk = risk_of(voxelizer.town, fine).every(stride)
    return DrivingClip(occupancy, mask_lidar, fine.fine, drive.speed, tracks, risk, manoeuvre, branch_frame)


@lru_cache(maxsize=1)
def _voxelizer(town_seed: int, size: float) -> Voxelizer:
    return Voxelizer(make_town(town_seed, size=size))
