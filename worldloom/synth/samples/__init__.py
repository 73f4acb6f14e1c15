"""The two samples that ship with the package: a room's panorama and a drive through a street.

Both were made by `python -m worldloom.synth.samples OUT`; the same machine makes the same bytes again.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def sample_panorama_path() -> Path:
    """A furnished room as a panorama: 8-bit sRGB, taken 1.6 m above the floor."""
    return _FOLDER / "room.jpg"


def sample_panorama_truth_path() -> Path:
    """What is exactly there in the room's panorama: `distance` (float16 metres, h w) and `sky` (bool, h w)."""
    return _FOLDER / "room_truth.npz"


def sample_clip_path() -> Path:
    """Twenty frames (10 s) of a street in the Occ3D grid, as `geometry.io.load_clip` reads them."""
    return _FOLDER / "street.npz"
