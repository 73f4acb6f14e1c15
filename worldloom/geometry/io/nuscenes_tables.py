"""nuScenes tables as files: what was recorded and annotated becomes 13 tables that the official devkit opens."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.rigid import quat_from_rotmat

VERSION = "v1.0-synth"  # the devkit takes any folder; its predefined splits look for endings such as "mini"
TABLES = (
    *("category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene"),
    *("sample", "sample_data", "sample_annotation", "map"),
)
# In the order of nuScenes-lidarseg, whose label files hold the place in this list.
CATEGORIES = (
    *("noise", "animal", "human.pedestrian.adult", "human.pedestrian.child", "human.pedestrian.construction_worker"),
    *("human.pedestrian.personal_mobility", "human.pedestrian.police_officer", "human.pedestrian.stroller"),
    *("human.pedestrian.wheelchair", "movable_object.barrier", "movable_object.debris"),
    *("movable_object.pushable_pullable", "movable_object.trafficcone", "static_object.bicycle_rack"),
    *("vehicle.bicycle", "vehicle.bus.bendy", "vehicle.bus.rigid", "vehicle.car", "vehicle.construction"),
    *("vehicle.emergency.ambulance", "vehicle.emergency.police", "vehicle.motorcycle", "vehicle.trailer"),
    *("vehicle.truck", "flat.driveable_surface", "flat.other", "flat.sidewalk", "flat.terrain", "static.manmade"),
    *("static.other", "static.vegetation", "vehicle.ego"),
)
ATTRIBUTES = {
    "vehicle.moving": "The vehicle moves.",
    "vehicle.stopped": "The vehicle stands, with a driver who means to go on.",
    "vehicle.parked": "The vehicle stands and does not mean to move.",
    "cycle.with_rider": "Somebody rides the bicycle or motorcycle.",
    "cycle.without_rider": "Nobody rides the bicycle or motorcycle.",
    "pedestrian.sitting_lying_down": "The person sits or lies.",
    "pedestrian.standing": "The person stands.",
    "pedestrian.moving": "The person moves.",
}
VISIBILITY = {1: "v0-40", 2: "v40-60", 3: "v60-80", 4: "v80-100"}  # per cent of the object that the cameras see

Rows = dict[str, list[dict[str, Any]]]  # by table
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True)
class SensorMount:
    """A sensor where it is bolted to the car. A camera has K (pixels) and a size (height, width), a LiDAR neither."""

    channel: str  # such as LIDAR_TOP or CAM_FRONT
    ego_from_sensor: Float[Tensor, "4 4"]
    K: Float[Tensor, "3 3"] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if (self.K is None) != (self.size is None):
            raise ValueError(f"{self.channel}: a camera has both K and size, a LiDAR neither")

    @property
    def modality(self) -> str:
        return "lidar" if self.K is None else "camera"


@dataclass(frozen=True)
class Recording:
    """One file of one sensor, and where the ego was at that instant."""

    channel: str
    filename: str  # below the data root
    timestamp_us: int
    world_from_ego: Float[Tensor, "4 4"]
    frame: int  # the key frame it belongs to; a sweep between two belongs to the later one
    is_keyframe: bool = True


@dataclass(frozen=True)
class Track:
    """One annotated road user or object; the sequences have one entry per key frame and count where it is present."""

    name: str  # unique in its scene
    category: str  # one of CATEGORIES
    trajectory: Trajectory  # its label is not stored: the category says it
    attributes: tuple[str, ...]  # one of ATTRIBUTES, or "" for none
    visibility: Int[Tensor, " t"]  # keys of VISIBILITY
    num_lidar_points: Int[Tensor, " t"]


@dataclass(frozen=True)
class RecordedScene:
    """One scene: its key frames, what its sensors wrote and what was annotated."""

    name: str  # such as scene-0001
    description: str
    location: str  # the town; scenes of one location share a map and a log
    date: str  # YYYY-MM-DD
    vehicle: str
    timestamps_us: tuple[int, ...]  # of the key frames, rising
    mounts: tuple[SensorMount, ...]
    recordings: tuple[Recording, ...]  # each channel in order of time
    tracks: tuple[Track, ...]


def nuscenes_token(*path: str | int) -> str:
    """32 hex digits made from what the record is, so that the same data set has the same tokens."""
    return hashlib.sha256("/".join(map(str, path)).encode()).hexdigest()[:32]


def sample_tokens(scene_name: str, count: int) -> list[str]:
    """Tokens of a scene's key frames."""
    return [nuscenes_token("sample", scene_name, frame) for frame in range(count)]


def sample_data_token(scene_name: str, channel: str, timestamp_us: int) -> str:
    """Token of one recording, which is that of its ego pose too."""
    return nuscenes_token("sample_data", scene_name, channel, timestamp_us)


def scene_rows(scene: RecordedScene) -> Rows:
    """The rows of one scene in all tables but those that every data set shares (category, attribute, visibility, map).

    Boxes become centre, (width, length, height) and a quaternion w, x, y, z, all in float64. Frames where a track is
    not present have no row. A track that is never present has no instance.

    Raises:
        InputError: names that are not plain, times that do not rise, unknown categories or attributes, a recording
            without a mount, or sequences of other lengths than the scene's.
    """
    _check(scene)
    log = nuscenes_token("log", scene.location)
    samples = sample_tokens(scene.name, len(scene.timestamps_us))
    scene_token = nuscenes_token("scene", scene.name)
    rows: Rows = {
        "log": [
            {"token": log, "logfile": f"{scene.vehicle}-{scene.location}", "vehicle": scene.vehicle}
            | {"date_captured": scene.date, "location": scene.location}
        ],
        "scene": [
            {"token": scene_token, "log_token": log, "nbr_samples": len(samples), "first_sample_token": samples[0]}
            | {"last_sample_token": samples[-1], "name": scene.name, "description": scene.description}
        ],
        "sample": [
            {"token": token, "timestamp": time, "scene_token": scene_token} | links
            for token, time, links in zip(samples, scene.timestamps_us, _links(samples), strict=True)
        ],
        "sensor": [
            {"token": nuscenes_token("sensor", m.channel), "channel": m.channel, "modality": m.modality}
            for m in scene.mounts
        ],
        "calibrated_sensor": [
            {"token": _calibrated(scene, m.channel), "sensor_token": nuscenes_token("sensor", m.channel)}
            | pose_record(m.ego_from_sensor)
            | {"camera_intrinsic": [] if m.K is None else m.K.double().tolist()}
            for m in scene.mounts
        ],
        **{name: [] for name in ("ego_pose", "sample_data", "instance", "sample_annotation")},
    }
    for mount in scene.mounts:
        _add_recordings(rows, scene, mount, samples)
    for track in scene.tracks:
        _add_track(rows, scene, track, samples)
    return rows


def save_nuscenes(
    dataroot: str | Path,
    scenes: Sequence[Rows],
    maps: Mapping[str, str],
    splits: Mapping[str, Sequence[str]],
    version: str = VERSION,
) -> Path:
    """Write the tables and `splits.json` to `<dataroot>/<version>/`; returns that folder.

    The same rows in the same order give the same bytes. `scene.json` is written last: a folder without it is no data
    set to `load_nuscenes`. An `ego_pose` is the rear axle on the ground; labels in `gts/` that have the road in their
    lowest layer are in a frame above it along its z, by 0.75 m in those that towns write.

    Args:
        scenes: what `scene_rows` returned. Records that scenes share (a log, a calibrated sensor) must be equal. A
            table `lidarseg` may be among the rows.
        maps: for each location, the mask of its drivable surface below the data root: a PNG with 0.1 m a pixel, 255
            where drivable, whose pixel in row i and column j shows the ground at (0.1 j, 0.1 (height - i)).
        splits: scene names of each split.
    Raises:
        InputError: no scene, a scene twice, two that start at the same time, a location without a map or whose mask is
            not there, splits that name other scenes, or two different records of one token.
    """
    dataroot = Path(dataroot)
    if not _PLAIN.fullmatch(version):
        raise InputError(f"expected a plain name for a version folder, got {version!r}")
    merged = {name: _merged(name, scenes) for name in (*TABLES, "lidarseg")}
    names = [scene["name"] for scene in merged["scene"]]
    if len(set(names)) != len(scenes) or not names:
        raise InputError(f"expected scenes of different names, at least one, got {len(scenes)} with {len(set(names))}")
    starts = [rows["sample"][0]["timestamp"] for rows in scenes]
    if len(set(starts)) != len(starts):  # the devkit's list_scenes cannot sort them
        raise InputError(f"expected scenes that start at different times, got {len(starts)} at {len(set(starts))}")
    if strangers := sorted(set(itertools.chain(*splits.values())) - set(names)):
        raise InputError(f"expected splits of the scenes that are written, got {strangers[0]!r} in them")
    merged |= _shared_rows(dataroot, merged["log"], maps)
    folder = safe_join(dataroot, version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scene.json").unlink(missing_ok=True)
    if not merged["lidarseg"]:
        del merged["lidarseg"]
        (folder / "lidarseg.json").unlink(missing_ok=True)
    with atomic_path(folder / "splits.json") as temporary:
        temporary.write_text(json.dumps({name: list(split) for name, split in splits.items()}, indent=1) + "\n")
    for name in [name for name in merged if name != "scene"] + ["scene"]:
        _save_rows(folder / f"{name}.json", merged[name])
    return folder


def pose_record(b_from_a: Float[Tensor, "4 4"]) -> dict[str, list[float]]:
    """A pose as nuScenes writes it: translation and a quaternion w, x, y, z, in float64."""
    b_from_a = b_from_a.double().cpu()
    return {"translation": b_from_a[:3, 3].tolist(), "rotation": quat_from_rotmat(b_from_a[:3, :3]).tolist()}


def _check(scene: RecordedScene) -> None:
    for name in (scene.name, scene.location, scene.vehicle, *(mount.channel for mount in scene.mounts)):
        if not _PLAIN.fullmatch(name):
            raise InputError(f"expected a plain name (letters, digits, . _ + -), got {name[:60]!r}")
    times = scene.timestamps_us
    if not times or any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise InputError(f"{scene.name}: expected rising times of key frames, got {list(times[:4])} …")
    channels = [mount.channel for mount in scene.mounts]
    if len(set(channels)) != len(channels):
        raise InputError(f"{scene.name}: expected one mount for each channel, got {channels}")
    for r in scene.recordings:
        if r.channel not in channels or not 0 <= r.frame < len(times):
            raise InputError(f"{scene.name}: expected recordings of {channels}, got {r.channel} at frame {r.frame}")
        safe_join("/", r.filename)
    names = [track.name for track in scene.tracks]
    if len(set(names)) != len(names):
        raise InputError(f"{scene.name}: expected tracks of different names, got {len(names)} with {len(set(names))}")
    for track in scene.tracks:
        lengths = {len(track.attributes), *(len(x) for x in (track.trajectory.present, track.visibility))}
        lengths |= {len(track.num_lidar_points), len(track.trajectory.world_from_actor)}
        if lengths != {len(times)}:
            raise InputError(f"track {track.name}: expected {len(times)} frames throughout, got {sorted(lengths)}")
        if track.category not in CATEGORIES or not {*track.attributes} <= {"", *ATTRIBUTES}:
            raise InputError(
                f"track {track.name}: expected words of nuScenes, got {track.category}, {track.attributes}"
            )
        if not {*track.visibility[track.trajectory.present].tolist()} <= {*VISIBILITY}:
            raise InputError(f"track {track.name}: expected visibility 1..4 where present")


def _links(tokens: Sequence[str]) -> list[dict[str, str]]:
    padded = ["", *tokens, ""]
    return [{"prev": padded[i], "next": padded[i + 2]} for i in range(len(tokens))]


def _calibrated(scene: RecordedScene, channel: str) -> str:
    return nuscenes_token("calibrated_sensor", scene.location, channel)


def _add_recordings(rows: Rows, scene: RecordedScene, mount: SensorMount, samples: list[str]) -> None:
    recordings = [r for r in scene.recordings if r.channel == mount.channel]
    tokens = [sample_data_token(scene.name, r.channel, r.timestamp_us) for r in recordings]
    if any(later.timestamp_us <= earlier.timestamp_us for earlier, later in itertools.pairwise(recordings)):
        raise InputError(f"{scene.name}: expected rising times of {mount.channel}")
    height, width = mount.size or (0, 0)
    for r, token, links in zip(recordings, tokens, _links(tokens), strict=True):
        rows["ego_pose"].append({"token": token, "timestamp": r.timestamp_us, **pose_record(r.world_from_ego)})
        rows["sample_data"].append(
            {"token": token, "sample_token": samples[r.frame], "ego_pose_token": token}
            | {"calibrated_sensor_token": _calibrated(scene, r.channel), "timestamp": r.timestamp_us}
            | {"fileformat": "pcd" if mount.modality == "lidar" else "jpg", "is_key_frame": r.is_keyframe}
            | {"height": height, "width": width, "filename": r.filename, **links}
        )


def _add_track(rows: Rows, scene: RecordedScene, track: Track, samples: list[str]) -> None:
    frames = track.trajectory.present.nonzero()[:, 0].tolist()
    if not frames:
        return
    instance = nuscenes_token("instance", scene.name, track.name)
    tokens = [nuscenes_token("sample_annotation", scene.name, track.name, frame) for frame in frames]
    rows["instance"].append(
        {"token": instance, "category_token": nuscenes_token("category", track.category)}
        | {"nbr_annotations": len(frames), "first_annotation_token": tokens[0], "last_annotation_token": tokens[-1]}
    )
    length, width, height = (float(side) for side in track.trajectory.extent)
    for frame, token, links in zip(frames, tokens, _links(tokens), strict=True):
        attribute = track.attributes[frame]
        rows["sample_annotation"].append(
            {"token": token, "sample_token": samples[frame], "instance_token": instance}
            | {"visibility_token": str(int(track.visibility[frame]))}
            | {"attribute_tokens": [nuscenes_token("attribute", attribute)] if attribute else []}
            | pose_record(track.trajectory.world_from_actor[frame])
            | {"size": [width, length, height], **links}
            | {"num_lidar_pts": int(track.num_lidar_points[frame]), "num_radar_pts": 0}
        )


def _merged(table: str, scenes: Iterable[Rows]) -> list[dict[str, Any]]:
    """Rows of all scenes in their order; a record that several scenes share stands once."""
    by_token: dict[str, dict[str, Any]] = {}
    for rows in scenes:
        for record in rows.get(table, []):
            if by_token.setdefault(record["token"], record) != record:
                raise InputError(f"{table}: expected one record for token {record['token']!r}, got two that differ")
    return list(by_token.values())


def _shared_rows(dataroot: Path, logs: list[dict[str, Any]], maps: Mapping[str, str]) -> Rows:
    """Categories, attributes and visibilities of nuScenes, and one map for each location."""
    rows: Rows = {
        "category": [
            {"token": nuscenes_token("category", name), "name": name, "description": "", "index": i}
            for i, name in enumerate(CATEGORIES)
        ],
        "attribute": [
            {"token": nuscenes_token("attribute", name), "name": name, "description": text}
            for name, text in ATTRIBUTES.items()
        ],
        "visibility": [
            {"token": str(token), "level": level, "description": f"visibility of whole object is {level[1:]} %"}
            for token, level in VISIBILITY.items()
        ],
        "map": [],
    }
    for location in dict.fromkeys(log["location"] for log in logs):
        if location not in maps:
            raise InputError(f"expected a map for each location, got none for {location!r}")
        if not safe_join(dataroot, maps[location]).is_file():
            raise InputError(f"{dataroot / maps[location]}: expected the mask of {location!r}, got no such file")
        tokens = [log["token"] for log in logs if log["location"] == location]
        rows["map"].append(
            {"token": nuscenes_token("map", location), "category": "semantic_prior"}
            | {"filename": maps[location], "log_tokens": tokens}
        )
    return rows


def _save_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One record a line: as small as JSON gets while a person can still look something up in it."""
    with atomic_path(path) as temporary:
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        temporary.write_text(f"[\n{lines}\n]\n" if rows else "[]\n")
