"""Where clips come from: files of synthetic towns, nuScenes with Occ3D labels, and the info pickles of OccWorld.

A `Clip` knows its name and length, and reads its frames when asked. Frames are in their ego frames, in the world of
their source; `anchored` brings the world to the ego's pose in one frame.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.io.atomic import safe_join
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.npz import load_npz
from worldloom.geometry.io.nuscenes import KEYFRAME_DT, NuScenesScene, load_nuscenes
from worldloom.geometry.io.occ3d import load_occ3d_frame, load_occ3d_index
from worldloom.geometry.io.occworld import load_info_pickle
from worldloom.geometry.occupancy import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.geometry.rigid import compose, invert, rotz
from worldloom.occupancy.data.splits import TOWN_SPLITS, split_of_town
from worldloom.synth.dataset.clips import DrivingClip, load_driving_clip

Mask = Literal["camera", "lidar", "none"]  # what becomes `observed`; "none" takes every voxel for observed

_TOWN = re.compile(r"town-(\d+)")
_SPLIT_NAMES = {"train": ("train", "synth_train"), "val": ("val", "synth_val")}


@dataclass(frozen=True)
class Clip:
    """One drive, read when it is asked for."""

    name: str
    num_frames: int
    split: str | None
    mask: Mask
    read: Callable[[int, int], Occupancy] = field(repr=False)  # frames first … last - 1
    read_users: Callable[[], tuple[Trajectory, ...]] | None = field(default=None, repr=False)
    manoeuvre: str = ""  # of a counterfactual drive; "" is what was driven
    branch_frame: int = -1  # the last frame that a counterfactual shares with the logged drive
    path: Path | None = None  # where all of it is one file
    commands: tuple[str, ...] | None = None  # right, left or straight, where the source says it
    files: tuple[Path, ...] = field(default=(), repr=False)  # labels of each frame, where each is a file of its own
    world_from_ego: Float64[Tensor, "t 4 4"] | None = field(default=None, repr=False)  # where known without reading

    def __len__(self) -> int:
        return self.num_frames

    def load(self, first: int = 0, last: int | None = None) -> Occupancy:
        """The frames first … last - 1; all if not given.

        Raises:
            InputError: files that are damaged or missing.
            ValueError: frames that the clip does not have.
        """
        last = self.num_frames if last is None else last
        if not 0 <= first < last <= self.num_frames:
            raise ValueError(f"{self.name}: expected frames within 0..{self.num_frames}, got {first}..{last}")
        return self.read(first, last)

    def users(self) -> tuple[Trajectory, ...] | None:
        """Exact boxes of the other road users over all frames, in the clip's world; None where there are none."""
        return None if self.read_users is None else self.read_users()


class Pair(NamedTuple):
    """The same world under two drives, which part after `branch_frame`."""

    logged: Clip
    alternative: Clip


def open_clips(
    path: str | Path, split: str | None = None, mask: Mask = "camera", folder: str | Path | None = None
) -> tuple[Clip, ...]:
    """Clips of whatever lies at `path`: towns' clips, a nuScenes + Occ3D folder, or an info pickle.

    Args:
        folder: of an info pickle: where `gts` is; beside the pickle if not given.
    Raises:
        InputError: nothing of the kind is there, or the split has no clip.
    """
    path = Path(path)
    if path.is_file():
        return open_infos(path, folder or path.parent, mask)
    if (path / "gts").is_dir():
        return open_nuscenes(path, split, mask)
    if next(path.rglob("town-*/scene-*.npz"), None) is not None:
        return open_towns(path, split, mask)
    raise InputError(
        f"{path}: expected town-*/scene-*.npz, a folder with gts/, or an info pickle, got "
        f"{'a folder without them' if path.is_dir() else 'no such file'}"
    )


def open_towns(folder: str | Path, split: str | None = None, mask: Mask = "camera") -> tuple[Clip, ...]:
    """Clips of `write_clips`, anywhere below a folder, in order of town and scene.

    Args:
        split: train, val or test: towns whose seeds are in TOWN_SPLITS; all towns if not given.
    Raises:
        InputError: no clip, an unknown split, or a town twice.
    """
    folder = Path(folder)
    if split is not None and split not in TOWN_SPLITS:
        raise InputError(f"expected split {', '.join(TOWN_SPLITS)}, got {split!r}")
    files: dict[tuple[int, str], Path] = {}
    for file in sorted(folder.rglob("town-*/scene-*.npz")):
        match = _TOWN.fullmatch(file.parent.name)
        if match is None:
            continue
        seed = int(match[1])
        if split is not None and split_of_town(seed) != split:
            continue
        if (seed, file.stem) in files:
            raise InputError(f"{folder}: expected each town once, got {files[seed, file.stem]} and {file}")
        files[seed, file.stem] = file
    if not files:
        raise InputError(f"{folder}: expected town-*/scene-*.npz{f' of split {split}' if split else ''}, got none")
    facts = functools.cache(_town_facts)
    return tuple(_town_clip(file, seed, mask, facts(file.parent)) for (seed, _), file in sorted(files.items()))


def open_nuscenes(
    folder: str | Path,
    split: str | None = None,
    mask: Mask = "camera",
    version: str | None = None,
    scenes: Iterable[str] | None = None,
) -> tuple[Clip, ...]:
    """Scenes of a nuScenes folder with Occ3D labels in `gts/`, or of a folder made by `worldloom synth town`.

    Order and poses of frames are those of `annotations.json`, or of the tables where there is none. Poses are float64:
    world coordinates reach kilometres. Boxes come from the tables, where they are there.

    Args:
        split: train or val, as `annotations.json` or `splits.json` has them; all scenes if not given.
        version: of the tables, where there are several.
        scenes: names; all of the split if not given.
    Raises:
        InputError: no labels, an unknown split or scene, or frames without labels (`check_data` lists them all).
    """
    folder = Path(folder)
    if not (folder / "gts").is_dir():
        raise InputError(f"{folder}: expected a folder gts with Occ3D labels, got none")
    tables = functools.cache(lambda: {scene.name: scene for scene in load_nuscenes(folder, version)})
    annotations = next((p for p in (folder / "annotations.json", folder / "gts/annotations.json") if p.is_file()), None)
    has_tables = next(folder.glob("*/scene.json"), None) is not None
    splits: Mapping[str, Sequence[str]] = {}
    frames: dict[str, tuple[Sequence[str], Float64[np.ndarray, "t 4 4"], Sequence[int]]]
    if annotations is not None:
        index, splits = load_occ3d_index(annotations)
        frames = {name: (one.tokens, one.world_from_ego, one.timestamps_us.tolist()) for name, one in index.items()}
    elif has_tables:
        frames = {name: _frames_of(scene) for name, scene in tables().items()}
        splits = _splits_of_tables(folder)
    else:
        raise InputError(f"{folder}: expected annotations.json or nuScenes tables beside gts, got neither")
    wanted = _wanted(folder, list(frames), splits, split, scenes)
    in_split = {name: key for key, names in splits.items() for name in names}
    clips = []
    for name in wanted:
        tokens, poses, times = frames[name]
        users = functools.partial(_users_of, tables, name) if has_tables else None
        clips.append(_occ3d_clip(folder, name, tokens, poses, _dt(times), in_split.get(name), mask, users))
    return tuple(clips)


def open_infos(pickle: str | Path, folder: str | Path, mask: Mask = "none") -> tuple[Clip, ...]:
    """Scenes of an info pickle of OccWorld or OccSora, with the labels in FOLDER/gts.

    Raises:
        InputError: the pickle holds anything but plain data, or labels are missing.
    """
    clips = []
    for scene in load_info_pickle(pickle):
        clip = _occ3d_clip(Path(folder), scene.name, scene.tokens, scene.world_from_ego.numpy(), scene.dt, None, mask)
        clips.append(replace(clip, commands=scene.commands))
    return tuple(clips)


def counterfactual_pairs(clips: Sequence[Clip]) -> tuple[Pair, ...]:
    """Each alternative drive of a town with the drive that it parts from, where both are among the clips."""
    logged = {clip.name: clip for clip in clips if not clip.manoeuvre}
    pairs = []
    for clip in clips:
        name = clip.name.removesuffix(f"-{clip.manoeuvre}")
        if clip.manoeuvre and name in logged:
            pairs.append(Pair(logged[name], clip))
    return tuple(pairs)


def anchored(clip: Occupancy, frame: int = -1) -> Occupancy:
    """The clip with the ego's pose in one frame as its world: small numbers, so that float32 holds them."""
    poses = clip.world_from_ego.double()
    return replace(clip, world_from_ego=(invert(poses[frame]) @ poses).float())


def _town_facts(folder: Path) -> dict[str, Any]:
    """What `clips.json` says of a town's clips; nothing where the town is not finished."""
    path = folder / "clips.json"
    if not path.is_file():
        return {}
    facts = load_json(path, dict).get("clips")
    if not isinstance(facts, dict):
        raise InputError(f"{path}: expected clips by name, got {type(facts).__name__}")
    return facts


def _town_clip(file: Path, seed: int, mask: Mask, facts: dict[str, Any]) -> Clip:
    known = facts.get(file.name)
    keys = ("frames", "manoeuvre", "branch_frame")
    if isinstance(known, dict) and [type(known.get(key)) for key in keys] == [int, str, int] and known["frames"] > 0:
        frames, manoeuvre, branch = (known[key] for key in keys)
    else:  # a town in the making: three small arrays of the file say the same
        small = load_npz(file, {"ego_speed": "float32 t", "manoeuvre": "str", "branch_frame": "int64"})
        frames, manoeuvre, branch = len(small["ego_speed"]), small["manoeuvre"].item(), small["branch_frame"].item()
    return Clip(
        f"{file.parent.name}/{file.stem}",
        frames,
        split_of_town(seed),
        mask,
        functools.partial(_read_town, file, frames, mask),
        lambda: _boxes_of(load_driving_clip(file)),
        manoeuvre,
        branch,
        file,
    )


def _read_town(file: Path, frames: int, mask: Mask, first: int, last: int) -> Occupancy:
    clip = load_driving_clip(file)
    occupancy = clip.occupancy
    if len(occupancy) != frames:
        raise InputError(f"{file}: expected {frames} frames as clips.json has it, got {len(occupancy)}")
    if mask == "lidar":
        occupancy = replace(occupancy, observed=clip.mask_lidar)
    elif mask == "none":
        occupancy = replace(occupancy, observed=torch.ones_like(occupancy.observed))
    return occupancy[first:last]


def _boxes_of(clip: DrivingClip) -> tuple[Trajectory, ...]:
    tracks, dt = clip.tracks, clip.occupancy.dt
    poses = compose(rotz(tracks.yaws), tracks.centres)
    return tuple(
        Trajectory(poses[i], tracks.present[i], int(tracks.labels[i]), _extent(tracks.extents[i]), dt)
        for i in range(len(tracks.ids))
    )


def _extent(sizes: Tensor) -> tuple[float, float, float]:
    length, width, height = sizes.tolist()
    return length, width, height


def _frames_of(scene: NuScenesScene) -> tuple[list[str], Float64[np.ndarray, "t 4 4"], list[int]]:
    poses = torch.stack([frame.world_from_ego for frame in scene.keyframes]).numpy()
    return [f.token for f in scene.keyframes], poses, [f.timestamp_us for f in scene.keyframes]


def _users_of(tables: Callable[[], dict[str, NuScenesScene]], name: str) -> tuple[Trajectory, ...]:
    scenes = tables()
    if name not in scenes:
        raise InputError(f"{name}: expected boxes in the tables, got no such scene")
    return tuple(actor.trajectory for actor in scenes[name].actors)


def _splits_of_tables(folder: Path) -> dict[str, list[str]]:
    """Splits of `<version>/splits.json`, as custom nuScenes data sets have it; none where there is no such file."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/splits.json")):
        content = load_json(path, dict)
        for split, names in _SPLIT_NAMES.items():
            for name in names:
                listed = content.get(name, [])
                if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
                    raise InputError(f"{path}: expected a list of scenes in {name}, got {type(listed).__name__}")
                found.setdefault(split, []).extend(listed)
    return found


def _wanted(
    folder: Path,
    known: list[str],
    splits: Mapping[str, Sequence[str]],
    split: str | None,
    scenes: Iterable[str] | None,
) -> list[str]:
    if split is not None and not splits.get(split):
        have = ", ".join(name for name, names in splits.items() if names) or "none"
        raise InputError(f"{folder}: expected scenes of split {split!r}, got splits {have}")
    chosen = [name for name in known if split is None or name in set(splits[split])]
    if scenes is not None:
        names = list(scenes)
        if missing := [name for name in names if name not in chosen]:
            raise InputError(f"{folder}: expected scenes of this data set, got {missing[0]!r}")
        chosen = names
    if not chosen:
        raise InputError(f"{folder}: expected at least one scene, got none")
    return chosen


def _dt(timestamps_us: Sequence[int]) -> float:
    return float(np.median(np.diff(timestamps_us))) / 1e6 if len(timestamps_us) > 1 else KEYFRAME_DT


def _occ3d_clip(
    folder: Path,
    name: str,
    tokens: Sequence[str],
    world_from_ego: Float64[np.ndarray, "t 4 4"],
    dt: float,
    split: str | None,
    mask: Mask,
    users: Callable[[], tuple[Trajectory, ...]] | None = None,
) -> Clip:
    scene = safe_join(folder / "gts", name)
    files = [safe_join(scene, f"{token}/labels.npz") for token in tokens]
    if missing := [file for file in files if not file.is_file()]:
        raise InputError(
            f"{folder}: expected labels of all {len(files)} frames of {name}, got {len(missing)} without, such as "
            f"{missing[0].relative_to(folder)}"
        )
    poses = torch.from_numpy(np.ascontiguousarray(world_from_ego, np.float64))

    def read(first: int, last: int) -> Occupancy:
        labels = torch.empty(last - first, *OCC3D_GRID.shape, dtype=torch.uint8)
        observed = torch.ones_like(labels, dtype=torch.bool)
        for i, file in enumerate(files[first:last]):
            labels[i], lidar, camera = load_occ3d_frame(file)
            if mask != "none":
                observed[i] = camera if mask == "camera" else lidar
        return Occupancy(labels, observed, poses[first:last], OCC3D_GRID, OCC3D_CLASSES, dt)

    return Clip(name, len(files), split, mask, read, users, files=tuple(files), world_from_ego=poses)
