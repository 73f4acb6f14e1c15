"""Making the bundled samples again."""

from pathlib import Path

import numpy as np

from worldloom.geometry.io import atomic_path, save_clip, save_image
from worldloom.geometry.io.npz import save_npz
from worldloom.synth.first.room import STANDARD, Quality, make_room, render_panorama_truth
from worldloom.synth.first.street import make_street

ROOM_SEED, STREET_SEED = 0, 0


def write_room(folder: Path, height: int = 1024, quality: Quality = STANDARD) -> None:
    """Write `room.jpg` and `room_truth.npz`."""
    panorama, _ = render_panorama_truth(make_room(ROOM_SEED), height, quality)
    save_image(folder / "room.jpg", panorama.rgb)
    arrays = {"distance": panorama.distance.numpy().astype(np.float16), "sky": panorama.sky.numpy()}
    with atomic_path(folder / "room_truth.npz") as temporary:
        save_npz(temporary, arrays)


def write_street(folder: Path, num_frames: int = 20) -> None:
    """Write `street.npz`."""
    save_clip(folder / "street.npz", make_street(STREET_SEED, num_frames).occupancy)
