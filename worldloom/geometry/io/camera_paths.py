"""Camera paths as JSON of our own; and any file of posed images, read as one path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from worldloom.errors import InputError
from worldloom.geometry.camera_path import CameraPath
from worldloom.geometry.io.cameras import load_cameras
from worldloom.geometry.io.json_file import load_json, save_json
from worldloom.geometry.io.views import View, numbers, posed_from_views

FORMAT, VERSION = "worldloom-paths", 1
MAX_BYTES = 64 << 20  # of a file of paths; 64 MB hold a hundred thousand cameras
MAX_PATHS = 1000
MAX_CAMERAS = 10_000  # of a path


def load_camera_paths(path: str | Path) -> tuple[CameraPath, ...]:
    """Paths of a file that `save_camera_paths` wrote; or one path out of posed images in any format we read.

    Posed images (`load_cameras`: ours, nerfstudio, COLMAP) become a path in the order of the file, without times, that
    is named after the file. Lens distortion is left out.

    Raises:
        InputError: if nothing of the kind is there, or it is damaged, too large, without cameras, or holds numbers that
            are not finite or poses that are not rigid.
    """
    path = Path(path)
    if path.is_file():
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: expected camera paths of at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        content = load_json(path, dict)
        if content.get("format") == FORMAT:
            return _paths_from_json(path, content)
    posed = load_cameras(path)
    if len(posed.names) > MAX_CAMERAS:
        raise InputError(f"{path}: expected a path of at most {MAX_CAMERAS} cameras, got {len(posed.names)}")
    return (CameraPath(path.stem or "path", posed.cameras),)


def save_camera_paths(path: str | Path, paths: Sequence[CameraPath]) -> None:
    """Write world_from_cam and K row by row in the conventions of this package; float32 values return exactly.

    {"format": "worldloom-paths", "version": 1, "paths": [{"name", "size": [height, width], "times": [seconds, ...],
    "world_from_cam": [4x4, ...], "K": [3x3, ...]}, ...]}; a path without times has none.

    Raises:
        InputError: for no paths, or names that are not unique.
    """
    names = [p.name for p in paths]
    if not names or len(set(names)) != len(names):
        raise InputError(f"saving {path}: expected paths, each with a name of its own, got {names[:8]}")
    entries: list[dict[str, Any]] = []
    for p in paths:
        entry: dict[str, Any] = {"name": p.name, "size": list(p.cameras.size)}
        if p.times is not None:
            entry["times"] = p.times.tolist()
        entry["world_from_cam"] = p.cameras.world_from_cam.tolist()
        entry["K"] = p.cameras.K.tolist()
        entries.append(entry)
    content = {"format": FORMAT, "version": VERSION, "paths": entries}
    save_json(path, content)


def _paths_from_json(path: Path, content: dict[str, Any]) -> tuple[CameraPath, ...]:
    if content.get("version") != VERSION:
        raise InputError(f"{path}: expected version {VERSION} of {FORMAT}, got {content.get('version')!r}")
    entries = content.get("paths")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_PATHS:
        got = len(entries) if isinstance(entries, list) else type(entries).__name__
        raise InputError(f"{path}: expected 'paths' to be an array of 1 to {MAX_PATHS}, got {got}")
    paths: list[CameraPath] = []
    for i, entry in enumerate(entries):
        where = f"{path}: path {i}"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise InputError(f"{where}: expected an object with a name, got {str(entry)[:80]}")
        if entry["name"] in {p.name for p in paths}:
            raise InputError(f"{where}: expected every name once, got {entry['name']!r} again")
        height, width = numbers(entry.get("size"), (2,), f"{where}, size").tolist()
        poses, K = entry.get("world_from_cam"), entry.get("K")
        if not isinstance(poses, list) or not isinstance(K, list) or not len(poses) == len(K) <= MAX_CAMERAS:
            raise InputError(
                f"{where}: expected as many matrices in world_from_cam as in K, at most {MAX_CAMERAS}, got "
                f"{len(poses) if isinstance(poses, list) else poses!r:.80} and "
                f"{len(K) if isinstance(K, list) else K!r:.80}"
            )
        views: list[View] = [
            (
                f"frame_{k:06d}",
                numbers(pose, (4, 4), f"{where}, world_from_cam {k}"),
                numbers(matrix, (3, 3), f"{where}, K {k}"),
                torch.zeros(5, dtype=torch.float64),
                (height, width),
            )
            for k, (pose, matrix) in enumerate(zip(poses, K, strict=True))
        ]
        times = entry.get("times")
        if times is not None:
            times = numbers(times, (len(views),), f"{where}, times").float()
        cameras = posed_from_views(path, path.parent, views).cameras
        try:
            paths.append(CameraPath(entry["name"], cameras, times))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return tuple(paths)
