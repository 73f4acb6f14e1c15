"""Where a scenario's past comes from: opened, checked against the hash in the spec, and kept for the next scenario."""

import fcntl
import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from worldloom.apps.batch.identity import code_version
from worldloom.apps.batch.spec import ClipSource, Occ3dSource, ScenarioSpec, Source, TownSource, digest
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.io.clip import load_clip
from worldloom.occupancy.data.clips import Clip, open_nuscenes
from worldloom.synth.samples import sample_clip_path

SAMPLE = "sample:"
_SAMPLES = {"street": sample_clip_path}


@dataclass(frozen=True)
class Seen:
    """What a scenario is given, and what truly came after it."""

    past: Occupancy
    truth: Occupancy | None  # as many frames of the horizon as there are; None where there are none


def open_past(spec: ScenarioSpec, cache: Path) -> Seen:
    """The frames that a scenario looks at, poses in the world of the source.

    Args:
        cache: folder for towns' drives.
    Raises:
        InputError: the source is gone, is another one than was planned with, or has too few frames.
        MissingExtra: a town, where SUMO is not installed.
    """
    first, last = spec.now - spec.past + 1, spec.now + 1
    frames = _frames(spec.source, first, last + spec.horizon, cache)
    if len(frames) < spec.past:
        raise InputError(f"{spec.title}: expected frames up to {spec.now}, got a clip of {source_frames(spec.source)}")
    if frames.grid != OCC3D_GRID or frames.classes != OCC3D_CLASSES:
        raise InputError(f"{spec.title}: expected the grid and classes of Occ3D, got {frames.grid.shape} of "
                         f"{frames.grid.voxel_size:g} m in {len(frames.classes)} classes")  # fmt: skip
    truth = frames[spec.past :]
    return Seen(frames[: spec.past], truth if len(truth) else None)


def clip_path(path: str) -> Path:
    """The file of a clip source; "sample:street" is one that ships with the package.

    Raises:
        InputError: no such sample.
    """
    if not path.startswith(SAMPLE):
        return Path(path)
    name = path.removeprefix(SAMPLE)
    if name not in _SAMPLES:
        raise InputError(f"expected a sample {', '.join(_SAMPLES)}, got {name[:40]!r}")
    return _SAMPLES[name]()


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: expected a clip file, got {error.strerror}") from error


def frames_hash(clip: Clip, first: int, last: int) -> str:
    """SHA-256 of the labels' files and the poses of some frames of a scene.

    Raises:
        InputError: a file cannot be read.
    """
    assert clip.world_from_ego is not None
    whole = hashlib.sha256()
    for file in clip.files[first:last]:
        whole.update(file_hash(file).encode())
    whole.update(clip.world_from_ego[first:last].numpy().tobytes())
    return whole.hexdigest()


@functools.lru_cache(maxsize=2)
def occ3d_scenes(root: str, mask: str = "lidar") -> dict[str, Clip]:
    """All scenes of a data set by name; its index is read once in each process.

    Raises:
        InputError: not such a folder.
    """
    return {clip.name: clip for clip in open_nuscenes(root, mask=mask)}  # pyright: ignore[reportArgumentType]


def source_frames(source: Source) -> int:
    """How many frames a source has; a town is not made for that.

    Raises:
        InputError: the source is gone, or another one.
    """
    if isinstance(source, TownSource):
        return round(source.seconds / 0.5) + 1
    if isinstance(source, Occ3dSource):
        return len(occ3d_scenes(source.root, source.mask)[source.scene])
    return len(_clip_file(source))


def _frames(source: Source, first: int, last: int, cache: Path) -> Occupancy:
    if isinstance(source, ClipSource):
        return _clip_file(source)[first:last]
    if isinstance(source, TownSource):
        return _town(source, cache)[first:last]
    scenes = occ3d_scenes(source.root, source.mask)
    if source.scene not in scenes:
        raise InputError(f"{source.root}: expected a scene {source.scene[:80]!r}, got none of that name")
    clip = scenes[source.scene]
    last = min(last, len(clip))
    if not first < last or frames_hash(clip, first, last) != source.sha256:
        raise InputError(f"{source.root}: expected {source.scene} as it was planned with, got other labels or poses")
    return clip.load(first, last)


@functools.lru_cache(maxsize=2)
def _clip_file(source: ClipSource) -> Occupancy:
    path = clip_path(source.path)
    if file_hash(path) != source.sha256:
        raise InputError(f"{source.path}: expected the clip that was planned with, got another one of that name")
    return _exact(load_clip(path))


@functools.lru_cache(maxsize=2)
def _town(source: TownSource, cache: Path) -> Occupancy:
    """The drive from the cache, made at first; who makes it first makes it for all."""
    from worldloom.synth.dataset.clips import save_driving_clip
    from worldloom.synth.dataset.town_drive import town_drive

    cache.mkdir(parents=True, exist_ok=True)
    name = f"town-{source.town}-{source.drive}-{digest([vars(source), code_version()])[:12]}"
    path = cache / f"{name}.npz"
    if not path.exists():
        with _locked(cache / f".{name}.lock"):
            if not path.exists():
                save_driving_clip(path, town_drive(source.town, source.drive, source.seconds, source.density))
    return _exact(load_clip(path))


def _exact(clip: Occupancy) -> Occupancy:
    return replace(clip, world_from_ego=clip.world_from_ego.double())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
