"""The two samples that ship with the package: a room's panorama and a drive through a town.

Both were made by `python -m worldloom.synth.samples OUT`.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def sample_panorama_path() -> Path:
    """A furnished room as a panorama, lit by path tracing: 8-bit sRGB."""
    return _FOLDER / "room.jpg"


def sample_panorama_truth_path() -> Path:
    """What is exactly there in the room's panorama: `distance` (float16 metres, h w) and `sky` (bool, h w)."""
    return _FOLDER / "room_truth.npz"


def sample_clip_path() -> Path:
    """Twenty frames (10 s) of a drive through a town in the Occ3D grid, as `geometry.io.load_clip` reads them."""
    return _FOLDER / "street.npz"
