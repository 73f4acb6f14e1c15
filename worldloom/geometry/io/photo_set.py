"""A folder of photos, or a video, as pictures of one size with names."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.io.images import image_size, load_image
from worldloom.geometry.io.video import num_frames, video_frames

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
MAX_PHOTOS = 1000
MAX_PIXELS = 100_000_000  # of one photo


@dataclass(frozen=True)
class PhotoSet:
    """Pictures, all of one size, and what they are called."""

    names: tuple[str, ...]  # paths inside the folder, with /
    rgb: Float[Tensor, "v 3 h w"]  # [0, 1]
    full_size: tuple[int, int]  # (height, width) before they were shrunk


def photo_names(folder: Path) -> list[str]:
    """Photos in the folder or in its subfolder `images`, whichever has more; sorted.

    Raises:
        InputError: there are none, or more than MAX_PHOTOS.
    """
    parts = [part for part in (folder, folder / "images") if part.is_dir()]
    # A picture or two beside images/, such as a preview, are no photos of the place.
    found = max(map(_photos_in, parts), key=len, default=[])
    if not found:
        raise InputError(f"{folder}: expected photos ({', '.join(SUFFIXES)}) in the folder or in its images/, got none")
    if len(found) > MAX_PHOTOS:
        raise InputError(f"{found[0].parent}: expected at most {MAX_PHOTOS} photos, got {len(found)}")
    return [path.relative_to(folder).as_posix() for path in found]


def _photos_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def load_photo_set(folder: Path, names: list[str], long_side: int) -> PhotoSet:
    """The named photos, each shrunk to at most `long_side` pixels along its longer side.

    Raises:
        InputError: a photo is damaged or too large, or two differ in size.
    """
    sizes = {name: image_size(folder / name, MAX_PIXELS) for name in names}
    first = names[0]
    for name, size in sizes.items():
        if size != sizes[first]:
            (h, w), (height, width) = sizes[first], size
            raise InputError(f"expected photos of one size, got {w}x{h} in {first} and {width}x{height} in {name}")
    pictures = [_shrunk(load_image(folder / name, MAX_PIXELS), long_side) for name in names]
    return PhotoSet(tuple(names), torch.stack(pictures), sizes[first])


def load_video_set(path: Path, num: int, long_side: int) -> PhotoSet:
    """About `num` frames of a video, evenly spaced, as photos named frame_000000.png by their number.

    Raises:
        InputError: as `load_video`.
    """
    every = max(1, num_frames(path) // num)
    pictures, size = [], (0, 0)
    for frame in islice(video_frames(path, every), num):
        size = (frame.shape[0], frame.shape[1])
        pictures.append(_shrunk(frame.permute(2, 0, 1).float() / 255, long_side))
    names = tuple(f"frame_{i * every:06d}.png" for i in range(len(pictures)))
    return PhotoSet(names, torch.stack(pictures), size)


def _shrunk(rgb: Float[Tensor, "3 h w"], long_side: int) -> Float[Tensor, "3 h2 w2"]:
    share = long_side / max(rgb.shape[1:])
    if share >= 1:
        return rgb
    size = [max(1, round(share * side)) for side in rgb.shape[1:]]
    return F.interpolate(rgb[None], size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def matched_photos(names: list[str], wanted: tuple[str, ...]) -> dict[str, str]:
    """Which photo each camera's name means: the same path, else the same file name, else the same without suffix."""
    keys: tuple[Callable[[str], str], ...] = (str, lambda name: Path(name).name, lambda name: Path(name).stem)
    found: dict[str, str] = {}
    for key in keys:
        table: dict[str, list[str]] = {}
        for name in names:
            table.setdefault(key(name), []).append(name)
        for name in wanted:
            here = table.get(key(name), [])
            # A name that several photos could have means none of them.
            if name not in found and len(here) == 1 and here[0] not in found.values():
                found[name] = here[0]
    return found
