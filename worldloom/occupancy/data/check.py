"""What a folder of data has, and exactly what it lacks."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import safe_join
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.nuscenes import load_nuscenes
from worldloom.geometry.io.occ3d import load_occ3d_frame, load_occ3d_index
from worldloom.geometry.io.occworld import load_info_pickle
from worldloom.occupancy.data.splits import TOWN_SPLITS, split_of_town

TABLES = (
    *("category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene"),
    *("sample", "sample_data", "sample_annotation", "map"),
)
_NEEDED = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "sample_annotation")
_NEEDED = (*_NEEDED, "instance", "category")
_MAX_OFFSET_ERROR = 1.0  # metres; offsets in another frame are off by several times that


@dataclass(frozen=True)
class DataReport:
    """Lines for a reader: what is there, and what is not."""

    kind: Literal["towns", "nuscenes", "infos", "nothing"]
    has: tuple[str, ...]
    lacks: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.lacks

    def __str__(self) -> str:
        return "\n".join([*(f"has    {line}" for line in self.has), *(f"lacks  {line}" for line in self.lacks)])


def check_data(folder: str | Path, pickle: str | Path | None = None, read_labels: int = 3) -> DataReport:
    """Look through a folder as `open_clips` would, and go on where that would stop.

    Args:
        pickle: an info pickle whose labels are in FOLDER/gts.
        read_labels: how many files of labels are opened, from the first, the middle and the last scenes; of the others
            it is only seen that they are there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return DataReport("nothing", (), (f"{folder}: no such folder",))
    if pickle is not None:
        return _check_infos(folder, Path(pickle), read_labels)
    if next(folder.rglob("town-*/scene-*.npz"), None) is not None:
        return _check_towns(folder)
    return _check_nuscenes(folder, read_labels)


def _check_towns(folder: Path) -> DataReport:
    has: list[str] = []
    lacks: list[str] = []
    splits: dict[str, int] = dict.fromkeys(TOWN_SPLITS, 0)
    for town in sorted({file.parent for file in folder.rglob("town-*/scene-*.npz")}):
        number = town.name.removeprefix("town-")
        split = split_of_town(int(number)) if number.isdigit() else None
        files = {file.name for file in town.glob("scene-*.npz")}
        if split is None:
            spans = ", ".join(f"{name} {seeds[0]}-{seeds[-1]}" for name, seeds in TOWN_SPLITS.items())
            lacks.append(f"{town.name}: a seed of a split ({spans})")
        else:
            splits[split] += len(files)
        if not (town / "clips.json").is_file():
            lacks.append(f"{town / 'clips.json'}: the town is not finished")
            continue
        try:
            content = load_json(town / "clips.json", dict)
            listed = content.get("clips")
            seed = content["town"]["town_seed"] if isinstance(content.get("town"), dict) else None
        except (InputError, KeyError) as error:
            lacks.append(f"a readable {town / 'clips.json'} ({error})")
            continue
        if number.isdigit() and seed is not None and seed != int(number):
            lacks.append(f"{town}: its own clips (clips.json is of seed {seed})")
        lacks.extend(f"{town / name}" for name in sorted(set(listed if isinstance(listed, dict) else ()) - files))
    has.extend(f"{count} clips for {split}" for split, count in splits.items() if count)
    return DataReport("towns", tuple(has), tuple(lacks))


def _check_nuscenes(folder: Path, read_labels: int) -> DataReport:
    has, lacks = [], []
    frames: dict[str, list[str]] = {}
    annotations = next((p for p in (folder / "annotations.json", folder / "gts/annotations.json") if p.is_file()), None)
    if annotations is not None:
        try:
            index, splits = load_occ3d_index(annotations)
            frames = {name: list(scene.tokens) for name, scene in index.items()}
            counts = ", ".join(f"{len(names)} of {split}" for split, names in splits.items())
            has.append(f"{annotations.name}: {len(frames)} scenes, {counts}")
            lost = {name for names in splits.values() for name in names} - set(frames)
            lacks.extend(f"frames of {name} in {annotations.name}" for name in sorted(lost))
        except InputError as error:
            lacks.append(f"a readable {annotations.name} ({error})")
    else:
        lacks.append("annotations.json (Occ3D): without it only scenes by name, no train and val")
    frames = _check_tables(folder, frames, has, lacks)
    if (folder / "gts").is_dir():
        _check_labels(folder, frames, read_labels, has, lacks)
    else:
        lacks.append("gts/<scene>/<sample token>/labels.npz: the labels of Occ3D-nuScenes")
    kind = "nuscenes" if frames or (folder / "gts").is_dir() else "nothing"
    return DataReport(kind, tuple(has), tuple(lacks))


def _check_tables(folder: Path, frames: dict[str, list[str]], has: list[str], lacks: list[str]) -> dict[str, list[str]]:
    """Frames as the tables have them, where nothing else has said it."""
    versions = sorted({file.parent.name for name in TABLES for file in folder.glob(f"*/{name}.json")})
    if not versions:
        lacks.append("<version>/*.json: the tables of nuScenes, such as v1.0-trainval (for boxes and cameras)")
    for version in versions:
        missing = [name for name in _NEEDED if not (folder / version / f"{name}.json").is_file()]
        if missing:
            lacks.extend(f"{version}/{name}.json" for name in missing)
            continue
        try:
            scenes = load_nuscenes(folder, version)
        except InputError as error:
            lacks.append(f"readable tables of {version} ({error})")
            continue
        has.append(f"{version}: {len(scenes)} scenes, {sum(len(scene.keyframes) for scene in scenes)} key frames")
        tokens = {scene.name: [frame.token for frame in scene.keyframes] for scene in scenes}
        for name, known in frames.items():
            if name in tokens and set(known) != set(tokens[name]):
                lacks.append(f"{version}: the frames of {name} that annotations.json has")
        frames = frames or tokens
    return frames


def _check_infos(folder: Path, pickle: Path, read_labels: int) -> DataReport:
    has, lacks = [], []
    try:
        scenes = load_info_pickle(pickle)
    except InputError as error:
        return DataReport("infos", (), (f"a readable pickle ({error})",))
    has.append(f"{pickle.name}: {len(scenes)} scenes, {sum(len(scene.tokens) for scene in scenes)} frames")
    for scene in scenes:
        if (error := scene.offset_error()) > _MAX_OFFSET_ERROR:
            lacks.append(
                f"{scene.name}: offsets in the LiDAR's frame (x right, y forward); they miss the poses by {error:.1f} m"
            )
    _check_labels(folder, {scene.name: list(scene.tokens) for scene in scenes}, read_labels, has, lacks)
    return DataReport("infos", tuple(has), tuple(lacks))


def _check_labels(
    folder: Path, frames: dict[str, list[str]], read_labels: int, has: list[str], lacks: list[str]
) -> None:
    gts, found = folder / "gts", []
    if not frames:
        frames = {scene.name: sorted(p.parent.name for p in scene.glob("*/labels.npz")) for scene in _folders(gts)}
        lacks.append("poses and order of the frames (annotations.json or tables)")
    for name, tokens in frames.items():
        try:
            files = [safe_join(gts, f"{name}/{token}/labels.npz") for token in tokens]
        except InputError as error:
            lacks.append(f"a plain name ({error})")
            continue
        missing = [file for file in files if not file.is_file()]
        found.extend(file for file in files if file.is_file())
        if len(missing) == len(files):
            lacks.append(f"gts/{name}: labels of all {len(files)} frames")
        else:
            lacks.extend(str(file.relative_to(folder)) for file in missing)
    has.append(f"gts: labels of {len(found)} frames")
    extra = sorted({scene.name for scene in _folders(gts)} - set(frames))
    if extra:
        lacks.append(f"poses of {len(extra)} scene(s) in gts, such as {extra[0]}")
    step = max(1, (len(found) - 1) // max(1, read_labels - 1)) if found else 1
    for file in found[::step][:read_labels]:
        try:
            load_occ3d_frame(file)
        except InputError as error:
            lacks.append(f"readable labels ({error})")


def _folders(gts: Path) -> Iterable[Path]:
    return sorted(path for path in gts.iterdir() if path.is_dir()) if gts.is_dir() else ()
