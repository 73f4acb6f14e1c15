"""Making the bundled samples again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from worldloom.geometry.io import atomic_path, save_clip, save_image
from worldloom.geometry.io.npz import save_npz
from worldloom.synth.cast import Caster
from worldloom.synth.light.exposure import develop
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.rooms import make_room
from worldloom.synth.towns import make_town
from worldloom.synth.traffic import drive_town
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView
from worldloom.synth.voxels import voxelize_drive

ROOM_SEED = 10
TOWN_SEED, DRIVE_SEED = 7, 2


def write_room(folder: Path, height: int = 1024, samples: int = 64, seed: int = ROOM_SEED) -> None:
    """Write `room.jpg`, lit by path tracing, and `room_truth.npz`."""
    world = make_room(seed)
    caster = Caster(world)
    view = PanoramaView(world.stands[0], height)
    truth = render_truth(caster, view, paths=1)
    radiance = path_trace(caster, view, samples)
    rgb = develop(radiance, metered_exposure(caster))
    save_image(folder / "room.jpg", rgb)
    arrays = {"distance": truth.distance.numpy().astype(np.float16), "sky": truth.sky.numpy()}
    with atomic_path(folder / "room_truth.npz") as temporary:
        save_npz(temporary, arrays)


def write_street(folder: Path, num_frames: int = 20, town_seed: int = TOWN_SEED, drive_seed: int = DRIVE_SEED) -> None:
    """Write `street.npz`: a drive through a town, as the labels of a real data set would know it."""
    town = make_town(town_seed)
    drive = drive_town(town, 0.5 * (num_frames - 1), drive_seed)
    occupancy, _ = voxelize_drive(town, drive)
    save_clip(folder / "street.npz", replace(occupancy, world_from_ego=occupancy.world_from_ego.float()))
