"""Posed images in every format: one door for reading, and our own JSON."""

from pathlib import Path
from typing import Any

from worldloom.errors import InputError
from worldloom.geometry.io.colmap import load_colmap
from worldloom.geometry.io.json_file import load_json, save_json
from worldloom.geometry.io.nerfstudio import load_nerfstudio
from worldloom.geometry.io.views import numbers, posed_from_views
from worldloom.geometry.posed_images import PosedImages

FORMAT, VERSION = "worldloom-cameras", 1


def load_cameras(path: str | Path) -> PosedImages:
    """Posed images of a file or folder; the content decides the format.

    A folder holds a COLMAP model (itself, or in sparse/0 or sparse), transforms.json (nerfstudio, instant-ngp) or
    cameras.json (ours). A file is one of the two JSON formats.

    Raises:
        InputError: if nothing of the kind is there, or it is damaged, unsafe or of a camera model we do not have.
    """
    path = Path(path)
    if path.is_dir():
        for folder in (path, path / "sparse" / "0", path / "sparse"):
            if (folder / "cameras.bin").is_file() or (folder / "cameras.txt").is_file():
                return load_colmap(folder)
        for name in ("cameras.json", "transforms.json"):
            if (path / name).is_file():
                return load_cameras(path / name)
        raise InputError(f"{path}: expected a COLMAP model, transforms.json or cameras.json in the folder, got none")
    if not path.is_file():
        raise InputError(f"{path}: expected cameras, but there is no such file")
    content = load_json(path, dict)
    if "frames" in content:
        return load_nerfstudio(path)
    if content.get("format") != FORMAT:
        keys = ", ".join(map(repr, list(content)[:8]))
        raise InputError(
            f"{path}: expected 'frames' (nerfstudio) or 'format': '{FORMAT}', got the keys {keys or 'none'}"
        )
    return _posed_from_json(path, content)


def save_cameras(path: str | Path, posed: PosedImages) -> None:
    """Write our own JSON: world_from_cam and K row by row in the conventions of this package; points are left out.

    Float32 values return exactly.
    """
    path = Path(path)
    cameras = []
    for i, name in enumerate(posed.names):
        entry: dict[str, Any] = {
            "name": name,
            "world_from_cam": posed.cameras.world_from_cam[i].tolist(),
            "K": posed.cameras.K[i].tolist(),
        }
        if posed.distortion is not None:
            entry["distortion"] = posed.distortion.coefficients[i].tolist()
        cameras.append(entry)
    height, width = posed.cameras.size
    content = {"format": FORMAT, "version": VERSION, "size": [height, width], "cameras": cameras}
    save_json(path, content)


def _posed_from_json(path: Path, content: dict[str, Any]) -> PosedImages:
    if content.get("version") != VERSION:
        raise InputError(f"{path}: expected version {VERSION} of {FORMAT}, got {content.get('version')!r}")
    height, width = numbers(content.get("size"), (2,), f"{path}: size").tolist()
    entries = content.get("cameras")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{path}: expected 'cameras' to be an array of objects, got {type(entries).__name__}")
    views = []
    for i, entry in enumerate(entries):
        where = f"{path}: camera {i}"
        K = numbers(entry.get("K"), (3, 3), f"{where}, K")
        world_from_cam = numbers(entry.get("world_from_cam"), (4, 4), f"{where}, world_from_cam")
        distortion = numbers(entry.get("distortion", [0.0] * 5), (5,), f"{where}, distortion")
        views.append((entry.get("name"), world_from_cam, K, distortion, (height, width)))
    return posed_from_views(path, path.parent, views)
