"""COLMAP models, text and binary: cam_from_world with OpenCV axes; the pixel origin is ours."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.views import View, posed_from_views
from worldloom.geometry.posed_images import PosedImages
from worldloom.geometry.rigid import compose, invert, quat_from_rotmat, rotmat_from_quat

MODELS = {  # name: (id, where each parameter goes)
    "SIMPLE_PINHOLE": (0, ("f", "cx", "cy")),
    "PINHOLE": (1, ("fx", "fy", "cx", "cy")),
    "SIMPLE_RADIAL": (2, ("f", "cx", "cy", "k1")),
    "RADIAL": (3, ("f", "cx", "cy", "k1", "k2")),
    "OPENCV": (4, ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
}
MODEL_NAMES = {number: name for name, (number, _) in MODELS.items()}

Intrinsics = tuple[str, int, int, list[float]]  # model, width, height, parameters
Pose = tuple[list[float], list[float], int, str]  # quaternion wxyz, translation, camera id, image name
Point = tuple[float, float, float, int, int, int]  # x, y, z, r, g, b


def load_colmap(folder: str | Path) -> PosedImages:
    """Posed images of a COLMAP model, sorted by name; with its points, if it has any.

    Binary files are preferred where both kinds are there, as COLMAP does. 2D points and tracks are skipped.

    Raises:
        InputError: for missing, truncated or ill-formed files, counts that the file cannot hold, camera models other
            than SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL and OPENCV, or images of different sizes.
    """
    folder = Path(folder)
    suffix = ".bin" if (folder / "cameras.bin").is_file() else ".txt"
    readers: dict[str, tuple[Callable[..., Any], ...]] = {
        ".bin": (_cameras_from_bytes, _images_from_bytes, _points_from_bytes),
        ".txt": (_cameras_from_text, _images_from_text, _points_from_text),
    }
    read_cameras, read_images, read_points = readers[suffix]
    cameras: dict[int, Intrinsics] = _read(folder / f"cameras{suffix}", read_cameras)
    images: list[Pose] = _read(folder / f"images{suffix}", read_images)
    views: list[View] = []
    for quat, translation, camera_id, name in sorted(images, key=lambda image: image[3]):
        if camera_id not in cameras:
            raise InputError(
                f"{folder}: expected image {name!r} to have a camera of {sorted(cameras)[:8]}, got {camera_id}"
            )
        model, width, height, parameters = cameras[camera_id]
        views.append(
            (
                name,
                _world_from_cam(quat, translation, folder, name),
                *_lens(model, parameters),
                (float(height), float(width)),
            )
        )
        if not all(np.isfinite(parameters)):
            raise InputError(f"{folder}: expected finite camera parameters, got {parameters} of camera {camera_id}")
    posed = posed_from_views(folder, folder, views)
    if not (folder / f"points3D{suffix}").is_file():
        return posed
    points: list[Point] = _read(folder / f"points3D{suffix}", read_points)
    if not points:
        return posed
    table = torch.tensor(points, dtype=torch.float64)
    if not table.isfinite().all():
        raise InputError(f"{folder / f'points3D{suffix}'}: expected finite points, got NaN or infinite ones")
    return replace(posed, points=table[:, :3].float(), point_rgb=table[:, 3:].float() / 255)


def save_colmap(folder: str | Path, posed: PosedImages, binary: bool = True) -> None:
    """Write cameras, images and points3D into `folder`, which is made if its parent exists.

    Images with equal intrinsics share a camera (PINHOLE, or OPENCV with distortion). Points get no tracks.

    Raises:
        InputError: for skew, or a third radial coefficient: these models have neither.
    """
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise InputError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    cameras: dict[tuple[str, tuple[float, ...]], int] = {}
    images: list[Pose] = []
    for i, name in enumerate(posed.names):
        K = posed.cameras.K[i].double()
        distortion = [0.0] * 5 if posed.distortion is None else posed.distortion.coefficients[i].double().tolist()
        if K[0, 1] != 0 or distortion[4] != 0:
            raise InputError(f"{name}: expected no skew and no k3 for COLMAP, got {K[0, 1].item()} and {distortion[4]}")
        pinhole = (K[0, 0].item(), K[1, 1].item(), K[0, 2].item(), K[1, 2].item())
        lens = ("OPENCV", (*pinhole, *distortion[:4])) if any(distortion) else ("PINHOLE", pinhole)
        cam_from_world = invert(posed.cameras.world_from_cam[i].double())
        quat = quat_from_rotmat(cam_from_world[:3, :3]).tolist()
        images.append((quat, cam_from_world[:3, 3].tolist(), cameras.setdefault(lens, len(cameras) + 1), name))
    height, width = posed.cameras.size
    intrinsics = [(model, width, height, list(parameters)) for model, parameters in cameras]
    points: list[Point] = []
    if posed.points is not None and posed.point_rgb is not None:
        rgb = (posed.point_rgb.clamp(0, 1) * 255).round().int().tolist()
        points = [(*xyz, *c) for xyz, c in zip(posed.points.double().tolist(), rgb, strict=True)]
    write = _bytes_from_model if binary else _text_from_model
    suffix = ".bin" if binary else ".txt"
    folder.mkdir(exist_ok=True)
    for stem, data in zip(("cameras", "images", "points3D"), write(intrinsics, images, points), strict=True):
        with atomic_path(folder / f"{stem}{suffix}") as temporary:
            temporary.write_bytes(data)


def _world_from_cam(quat: list[float], translation: list[float], folder: Path, name: str) -> Tensor:
    q, t = torch.tensor(quat, dtype=torch.float64), torch.tensor(translation, dtype=torch.float64)
    if not (q.isfinite().all() and t.isfinite().all() and 0.99 < q.norm() < 1.01):
        raise InputError(
            f"{folder}: expected a unit quaternion and a finite translation, got {quat}, {translation} of {name!r}"
        )
    return invert(compose(rotmat_from_quat(q), t))


def _lens(model: str, parameters: list[float]) -> tuple[Tensor, Tensor]:
    """K and distortion (k1, k2, p1, p2, k3)."""
    p = dict(zip(MODELS[model][1], parameters, strict=True))
    fx, fy = p.get("fx", p.get("f", 0.0)), p.get("fy", p.get("f", 0.0))
    K = torch.tensor([[fx, 0, p["cx"]], [0, fy, p["cy"]], [0, 0, 1]], dtype=torch.float64)
    distortion = [p.get(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3")]
    return K, torch.tensor(distortion, dtype=torch.float64)


def _read(path: Path, parse: Callable[[bytes, Path], Any]) -> Any:
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise InputError(f"{path}: expected a file of a COLMAP model, got {error.strerror}") from error
    except InputError:
        raise
    except (struct.error, ValueError, IndexError) as error:
        raise InputError(f"{path}: expected a whole COLMAP file, got damaged data ({error})") from error


def _count(data: bytes, path: Path, smallest: int) -> int:
    """Number of records at the head of a binary file, each of at least `smallest` bytes."""
    (num,) = struct.unpack_from("<Q", data)
    if num * smallest > len(data) - 8:
        raise InputError(
            f"{path}: expected at most {(len(data) - 8) // smallest} records in {len(data)} bytes, got {num}"
        )
    return num


def _cameras_from_bytes(data: bytes, path: Path) -> dict[int, Intrinsics]:
    cameras, at = {}, 8
    for _ in range(_count(data, path, 24)):
        camera_id, number, width, height = struct.unpack_from("<iiQQ", data, at)
        if number not in MODEL_NAMES:
            raise InputError(f"{path}: expected a camera model of {', '.join(MODELS)}, got number {number}")
        model = MODEL_NAMES[number]
        parameters = struct.unpack_from(f"<{len(MODELS[model][1])}d", data, at + 24)
        cameras[camera_id] = (model, width, height, list(parameters))
        at += 24 + 8 * len(parameters)
    return cameras


def _images_from_bytes(data: bytes, path: Path) -> list[Pose]:
    images, at = [], 8
    for _ in range(_count(data, path, 73)):
        _, *pose, camera_id = struct.unpack_from("<i7di", data, at)
        end = data.index(b"\0", at + 64)
        name = data[at + 64 : end].decode("utf-8")
        (num_points,) = struct.unpack_from("<Q", data, end + 1)
        at = end + 9 + 24 * num_points
        if at > len(data):
            raise InputError(f"{path}: expected {num_points} points of {name!r}, got {len(data) - end - 9} bytes")
        images.append((pose[:4], pose[4:], camera_id, name))
    return images


def _points_from_bytes(data: bytes, path: Path) -> list[Point]:
    points, at = [], 8
    for _ in range(_count(data, path, 51)):
        x, y, z, r, g, b, _, length = struct.unpack_from("<3d3BdQ", data, at + 8)
        at += 51 + 8 * length
        if at > len(data):
            raise InputError(f"{path}: expected a track of {length} images, got the end of the file")
        points.append((x, y, z, r, g, b))
    return points


def _lines(data: bytes) -> Iterator[list[str]]:
    """Words of every line that is neither empty nor a comment."""
    for line in data.decode("utf-8").splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words


def _cameras_from_text(data: bytes, path: Path) -> dict[int, Intrinsics]:
    cameras = {}
    for words in _lines(data):
        if len(words) < 4 or words[1] not in MODELS or len(words) != 4 + len(MODELS[words[1]][1]):
            models = ", ".join(MODELS)
            raise InputError(
                f"{path}: expected 'id model width height parameters' of {models}, got {' '.join(words)[:80]!r}"
            )
        cameras[int(words[0])] = (words[1], int(words[2]), int(words[3]), [float(w) for w in words[4:]])
    return cameras


def _images_from_text(data: bytes, path: Path) -> list[Pose]:
    images = []
    lines = iter(data.decode("utf-8").splitlines())
    for line in lines:
        words = line.strip().split(maxsplit=9)  # the name is the rest of the line
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 10:
            raise InputError(f"{path}: expected 'id qw qx qy qz tx ty tz camera name', got {line[:80]!r}")
        pose = [float(w) for w in words[1:8]]
        images.append((pose[:4], pose[4:], int(words[8]), words[9]))
        next(lines, None)  # the image's 2D points, an empty line where it has none
    return images


def _points_from_text(data: bytes, path: Path) -> list[Point]:
    points = []
    for words in _lines(data):
        if len(words) < 8:
            raise InputError(f"{path}: expected 'id x y z r g b error track', got {' '.join(words)[:80]!r}")
        x, y, z = (float(w) for w in words[1:4])
        r, g, b = (int(w) for w in words[4:7])
        points.append((x, y, z, r, g, b))
    return points


def _bytes_from_model(cameras: list[Intrinsics], images: list[Pose], points: list[Point]) -> tuple[bytes, bytes, bytes]:
    blocks = [struct.pack("<Q", len(cameras))]
    for i, (model, width, height, parameters) in enumerate(cameras, 1):
        blocks.append(struct.pack(f"<iiQQ{len(parameters)}d", i, MODELS[model][0], width, height, *parameters))
    camera_bytes = b"".join(blocks)
    blocks = [struct.pack("<Q", len(images))]
    for i, (quat, translation, camera_id, name) in enumerate(images, 1):
        blocks.append(struct.pack("<i7di", i, *quat, *translation, camera_id) + name.encode() + struct.pack("<xQ", 0))
    image_bytes = b"".join(blocks)
    blocks = [struct.pack("<Q", len(points))]
    blocks.extend(struct.pack("<Q3d3BdQ", i, *point, 0.0, 0) for i, point in enumerate(points, 1))
    return camera_bytes, image_bytes, b"".join(blocks)


def _text_from_model(cameras: list[Intrinsics], images: list[Pose], points: list[Point]) -> tuple[bytes, bytes, bytes]:
    camera_lines = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"]
    for i, (model, width, height, parameters) in enumerate(cameras, 1):
        camera_lines.append(f"{i} {model} {width} {height} {' '.join(map(repr, parameters))}")
    image_lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", "# POINTS2D[] as (X Y POINT3D_ID)"]
    for i, (quat, translation, camera_id, name) in enumerate(images, 1):
        image_lines += [f"{i} {' '.join(map(repr, quat + translation))} {camera_id} {name}", ""]
    point_lines = ["# POINT3D_ID X Y Z R G B ERROR TRACK[] as (IMAGE_ID POINT2D_IDX)"]
    point_lines += [f"{i} {' '.join(map(repr, point))} 0.0" for i, point in enumerate(points, 1)]
    camera_text, image_text, point_text = (
        "\n".join(lines) + "\n" for lines in (camera_lines, image_lines, point_lines)
    )
    return camera_text.encode(), image_text.encode(), point_text.encode()
