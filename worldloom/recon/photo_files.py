"""Photos as they lie on disk, with the cameras and the depth that somebody knows of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import PosedImages
from worldloom.geometry.io.cameras import load_cameras
from worldloom.geometry.io.depth import SUFFIXES, load_depth
from worldloom.geometry.io.photo_set import (
    VIDEOS,
    PhotoSet,
    load_photo_set,
    load_video_set,
    matched_photos,
    photo_names,
)
from worldloom.recon.photos import scaled

LONG_SIDE = 640  # pixels of the photos as used
NUM_FRAMES = 60  # of a video
ASPECT = 0.01  # by which a photo's aspect may differ from its camera's


@dataclass(frozen=True)
class TakenPhotos:
    """Photos as a lens took them, and their cameras if they are known; in the same order, at the same size."""

    photos: PhotoSet
    posed: PosedImages | None = None
    notes: tuple[str, ...] = ()  # what was left out, in words


def load_photos(
    images: Path, cameras: Path | None = None, *, long_side: int = LONG_SIDE, num_frames: int = NUM_FRAMES
) -> TakenPhotos:
    """The photos of a folder, or frames of a video, that have cameras; or all, if there are no cameras at all.

    Args:
        images: a folder of photos of one size, or a video.
        cameras: see `load_cameras`; those in the folder of photos, or in the one around it, if not given.
        long_side: pixels; larger photos are shrunk.
        num_frames: to take from a video, about.
    Raises:
        InputError: neither of the two, fewer than two photos, or cameras of other photos.
    """
    if images.is_file() and images.suffix.lower() in VIDEOS:
        frames = load_video_set(images, num_frames, long_side)
        posed = None if cameras is None else load_cameras(cameras)
        return _matched(frames, posed, images)
    if not images.is_dir():
        raise InputError(f"{images}: expected a folder of photos or a video ({', '.join(VIDEOS)}), got neither")
    names = photo_names(images)
    posed = load_cameras(cameras) if cameras is not None else _cameras_beside(images)
    notes: list[str] = []
    if posed is not None:
        found = matched_photos(names, posed.names)
        if len(found) < 2:
            raise InputError(
                f"expected cameras of the photos in {images}, but {len(found)} of {len(names)} photos "
                f"(such as {names[0]}) has one; the cameras are called such as {posed.names[0]}"
            )
        if without := sorted(set(names) - set(found.values())):
            notes.append(f"{len(without)} photos have no camera and are left out, such as {without[0]}")
        names = sorted(found.values())
    return _matched(load_photo_set(images, names, long_side), posed, images, notes)


def _matched(photos: PhotoSet, posed: PosedImages | None, images: Path, notes: Sequence[str] = ()) -> TakenPhotos:
    """The cameras in the order of the photos, at their size; photos without a camera are left out."""
    if len(photos.names) < 2:
        raise InputError(f"{images}: expected at least two photos, got {len(photos.names)}")
    if posed is None:
        return TakenPhotos(photos)
    found = matched_photos(list(photos.names), posed.names)
    if len(found) < 2:
        raise InputError(
            f"expected cameras of the frames of {images}, such as {photos.names[0]}, got such as {posed.names[0]}"
        )
    camera_of = {photo: posed.names.index(name) for name, photo in found.items()}
    kept = [i for i, name in enumerate(photos.names) if name in camera_of]
    if missing := [name for name in posed.names if name not in found]:
        notes = [*notes, f"{len(missing)} cameras have no photo in {images.name}, such as {missing[0]}"]
    names = tuple(photos.names[i] for i in kept)
    told, full = posed.cameras.size, photos.full_size
    if abs(told[1] * full[0] / (told[0] * full[1]) - 1) > ASPECT:
        raise InputError(f"expected photos shaped as their cameras, {told[1]}x{told[0]}, got {full[1]}x{full[0]}")
    ours = posed[[camera_of[name] for name in names]]
    ours = replace(ours, names=names, cameras=scaled(ours.cameras, (photos.rgb.shape[2], photos.rgb.shape[3])))
    return TakenPhotos(replace(photos, names=names, rgb=photos.rgb[torch.tensor(kept)]), ours, tuple(notes))


def _cameras_beside(images: Path) -> PosedImages | None:
    """Cameras in the folder of photos, or in the one around it."""
    for folder in (images, images.parent):
        for place in ("transforms.json", "cameras.json"):
            if (folder / place).is_file():
                return load_cameras(folder / place)
        for place in (folder, folder / "sparse" / "0", folder / "sparse"):
            if (place / "cameras.bin").is_file() or (place / "cameras.txt").is_file():
                return load_cameras(place)
    return None


def load_prior(folder: Path, photos: PhotoSet) -> Float[Tensor, "v h w"]:
    """Depth that is known of photos as a lens took them, at their size: NaN where unknown, in the files' own unit.

    Args:
        folder: with a depth image (`load_depth`) for some or all of the photos, named as they.
    Raises:
        InputError: no folder, no depth image of any of the photos, or one that cannot be used or has another shape.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder of depth images, got {'a file' if folder.exists() else 'nothing'}"
        )
    height, width = size = (photos.rgb.shape[2], photos.rgb.shape[3])
    prior = torch.full((len(photos.names), height, width), torch.nan)
    for i, name in enumerate(photos.names):
        path = _depth_of(folder, name)
        if path is not None:
            image = load_depth(path)
            if abs(image.shape[1] * height / (image.shape[0] * width) - 1) > ASPECT:
                raise InputError(
                    f"{path}: expected depth shaped as its photo, {width}x{height}, "
                    f"got {image.shape[1]}x{image.shape[0]}"
                )
            prior[i] = torch.nn.functional.interpolate(image[None, None], size, mode="nearest-exact")[0, 0]
    if not bool(prior.isfinite().any()):
        raise InputError(
            f"{folder}: expected depth images named as the photos, such as {Path(photos.names[0]).stem}.npz, got none"
        )
    return prior


def _depth_of(folder: Path, name: str) -> Path | None:
    """The depth image of a photo: in the same subfolder, or without any."""
    for stem in (Path(name).with_suffix(""), Path(Path(name).stem)):
        for suffix in SUFFIXES:
            if (path := folder / f"{stem}{suffix}").is_file():
                return path
    return None


def fingerprint(taken: TakenPhotos, prior: Float[Tensor, "v h w"] | None = None) -> dict[str, object]:
    """What is given, as JSON: the same for the same photos, cameras and depth, and different for others."""
    return {
        "names": list(taken.photos.names),
        "photos_sha256": _sha256(taken.photos.rgb),
        "cameras_sha256": None if taken.posed is None else _sha256_of_cameras(taken.posed),
        "depth_sha256": None if prior is None else _sha256(prior),
    }


def _sha256_of_cameras(posed: PosedImages) -> str:
    values = [posed.cameras.world_from_cam.flatten(), posed.cameras.K.flatten()]
    if posed.distortion is not None:
        values.append(posed.distortion.coefficients.flatten())
    return _sha256(torch.cat(values))


def _sha256(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()
