"""The distance of a panorama by whatever method is asked for, and what can be said about it."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.panorama import Panorama
from worldloom.recon.depth_networks import open_depth_network
from worldloom.recon.network_distance import distance_by_network
from worldloom.recon.panorama_depth import FARTHEST, PanoramaDepth, PanoramaEstimate, depth_weights
from worldloom.recon.panorama_distance import assume_distance

FLOOR = "floor"  # the method that has learned nothing
EMBEDDED = "small"


@dataclass(frozen=True)
class SceneDistance:
    """A panorama with distances in metres, and how they came about."""

    panorama: Panorama
    method: str  # one line for people
    floor_found: bool  # whether the picture's floor, and not an assumption about it, sets the scale
    facts: dict[str, object]


def distance_of_panorama(
    rgb: Float[Tensor, "3 h w"], camera_height: float = 1.6, model: str | Path = EMBEDDED
) -> SceneDistance:
    """Distance and sky of an upright panorama of display values in [0, 1].

    Args:
        camera_height: metres over the ground; it alone sets the scale.
        model: FLOOR; a name or folder of our weights; an .onnx file or a folder of `transformers` with a depth network
            of perspective pictures, whose views then stand on the floor that the embedded weights find.
    Raises:
        InputError: no such model, one that cannot be used, or a picture that is no panorama.
    """
    if str(model) == FLOOR:
        panorama = assume_distance(rgb, camera_height)
        method = "ground plane, sphere and sky rule; no learning. Distances are assumed, not measured"
        return SceneDistance(panorama, method, False, {"depth_model": FLOOR})
    if not (math.isfinite(camera_height) and camera_height > 0):
        raise InputError(f"camera_height must be positive metres, got {camera_height}")
    if _is_foreign(model):
        network = open_depth_network(model)
        estimate, reading = distance_by_network(rgb, network, PanoramaDepth.from_pretrained(EMBEDDED).estimate(rgb))
        facts = {
            "depth_model": Path(model).name, "depth_kind": reading.kind, "depth_input": reading.input_range,
            "depth_floor_correlation": round(reading.floor_correlation, 3), "depth_views": reading.num_views,
            "depth_views_used": reading.num_used, "depth_view_spread": round(reading.spread, 4),
        }  # fmt: skip
        method = f"the given depth network on {reading.num_used} views; floor, sky and the rest by our network"
        return _result(rgb, camera_height, estimate, method, facts)
    try:
        weights = depth_weights(model)
    except InputError as error:
        raise InputError(f"{error}; or {FLOOR}, an .onnx file, a folder of transformers") from None
    estimate = PanoramaDepth.from_pretrained(weights).estimate(rgb)
    method = "learned from procedural worlds: layout, not survey. Distances are estimated, not measured"
    return _result(rgb, camera_height, estimate, method, {"depth_model": Path(model).name})


def _is_foreign(model: str | Path) -> bool:
    """Whether this is somebody's network of perspective pictures, by its files."""
    path = Path(model).expanduser()
    ours = (path / "depth").is_dir() or ((path / "model.safetensors").is_file() and _is_ours(path))
    return path.suffix == ".onnx" or (not ours and (path / "config.json").is_file())


def _is_ours(path: Path) -> bool:
    """Our config.json names its class beside its fields."""
    try:
        with (path / "config.json").open(encoding="utf-8") as file:
            return '"config": "PanoramaDepthConfig"' in file.read(1 << 12)
    except (OSError, ValueError):
        return False


def _result(
    rgb: Tensor, camera_height: float, estimate: PanoramaEstimate, method: str, facts: dict[str, object]
) -> SceneDistance:
    distance = torch.where(estimate.sky, FARTHEST, estimate.distance())  # a scene has its sky behind everything
    panorama = Panorama(rgb, camera_height * distance, estimate.sky, torch.eye(4))
    facts = {**facts, "place": estimate.place, "floor_share": round(estimate.floor_share, 4)}
    return SceneDistance(panorama, method, estimate.anchored, facts)
