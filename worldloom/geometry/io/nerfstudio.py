"""transforms.json of nerfstudio and instant-ngp: OpenGL camera axes (y up, looking along -z)."""

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import safe_join
from worldloom.geometry.io.images import image_size
from worldloom.geometry.io.json_file import load_json, save_json
from worldloom.geometry.io.views import View, numbers, posed_from_views
from worldloom.geometry.posed_images import PosedImages

MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
SUFFIXES = ("", ".png", ".jpg")  # synthetic scenes leave the suffix out


def load_nerfstudio(path: str | Path) -> PosedImages:
    """Posed images of a transforms.json. The world frame stays as it is; scale is often arbitrary.

    Intrinsics are read per frame where a frame has them, else from the top: fl_x, fl_y, cx, cy, w, h, or
    camera_angle_x (radians). A missing centre is the middle; a missing size is read from the first image.

    Raises:
        InputError: for missing or ill-formed keys, fisheye or other camera models, poses that are not rigid, paths
            that leave the folder, or views of different sizes.
    """
    path = Path(path)
    content = load_json(path, dict)
    frames = content.get("frames")
    if not isinstance(frames, list) or not all(isinstance(f, dict) for f in frames):
        raise InputError(f"{path}: expected 'frames' to be an array of objects, got {type(frames).__name__}")
    views: list[View] = []
    for i, frame in enumerate(frames):
        where = f"{path}: frame {i}"
        merged = {**content, **frame}
        model = merged.get("camera_model", "OPENCV")
        if model not in MODELS:
            raise InputError(f"{where}: expected a camera model of {', '.join(MODELS)}, got {model!r}")
        if merged.get("is_fisheye"):
            raise InputError(f"{where}: expected a perspective camera, got is_fisheye")
        world_from_gl = numbers(merged.get("transform_matrix"), (4, 4), f"{where}, transform_matrix")
        name = merged.get("file_path")
        height, width = _size(merged, path.parent, where, views)
        focal_x, focal_y = _focals(merged, width, height, where)
        cx, cy = _number(merged, "cx", where, width / 2), _number(merged, "cy", where, height / 2)
        K = torch.tensor([[focal_x, 0, cx], [0, focal_y, cy], [0, 0, 1]], dtype=torch.float64)
        if _number(merged, "k4", where, 0.0):
            raise InputError(f"{where}: expected distortion by k1, k2, k3, p1, p2, got k4 = {merged['k4']}")
        distortion = [_number(merged, key, where, 0.0) for key in ("k1", "k2", "p1", "p2", "k3")]
        views.append(
            (name, _flip_axes(world_from_gl), K, torch.tensor(distortion, dtype=torch.float64), (height, width))
        )
    return posed_from_views(path, path.parent, views)


def save_nerfstudio(path: str | Path, posed: PosedImages) -> None:
    """Write a transforms.json with intrinsics in every frame; points are left out."""
    height, width = posed.cameras.size
    frames = []
    for i, name in enumerate(posed.names):
        K = posed.cameras.K[i].double()
        frame: dict[str, Any] = {
            "file_path": name,
            "transform_matrix": _flip_axes(posed.cameras.world_from_cam[i].double()).tolist(),
            "fl_x": K[0, 0].item(),
            "fl_y": K[1, 1].item(),
            "cx": K[0, 2].item(),
            "cy": K[1, 2].item(),
            "w": width,
            "h": height,
        }
        if K[0, 1] != 0:
            raise InputError(f"{path}: expected K without skew for transforms.json, got {K[0, 1].item()} in {name!r}")
        if posed.distortion is not None:
            k1, k2, p1, p2, k3 = posed.distortion.coefficients[i].tolist()
            frame |= {"k1": k1, "k2": k2, "k3": k3, "p1": p1, "p2": p2}
        frames.append(frame)
    content = {"camera_model": "OPENCV", "frames": frames}
    save_json(path, content)


def _flip_axes(world_from_cam: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """OpenGL camera axes to OpenCV's and back: y and z change sign."""
    flipped = world_from_cam.clone()
    flipped[:3, 1:3] *= -1
    return flipped


def _number(frame: dict[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = frame.get(key, default)
    return numbers(value, (), f"{where}, {key}").item()


def _focals(frame: dict[str, Any], width: float, height: float, where: str) -> tuple[float, float]:
    if "fl_x" in frame:
        focal_x = _number(frame, "fl_x", where)
    elif "camera_angle_x" in frame:
        focal_x = _focal(frame, "camera_angle_x", width, where)
    else:
        raise InputError(f"{where}: expected fl_x or camera_angle_x, got neither")
    if "fl_y" in frame:
        return focal_x, _number(frame, "fl_y", where)
    if "fl_x" not in frame and "camera_angle_y" in frame:
        return focal_x, _focal(frame, "camera_angle_y", height, where)
    return focal_x, focal_x


def _focal(frame: dict[str, Any], key: str, side: float, where: str) -> float:
    angle = _number(frame, key, where)
    if not 0 < angle < math.pi:
        raise InputError(f"{where}: expected {key} between 0 and pi radians, got {angle}")
    return side / 2 / math.tan(angle / 2)


def _size(frame: dict[str, Any], folder: Path, where: str, views: list[View]) -> tuple[float, float]:
    if "w" in frame or "h" in frame:
        return _number(frame, "h", where), _number(frame, "w", where)
    if views:
        return views[0][4]
    name = frame.get("file_path")
    if not isinstance(name, str):
        raise InputError(f"{where}: expected a file_path, got {name!r}")
    for suffix in SUFFIXES:
        image = safe_join(folder, name + suffix)
        if image.is_file():
            height, width = image_size(image)
            return float(height), float(width)
    raise InputError(f"{where}: expected w and h, or the image {folder / name} to read them from, got neither")
