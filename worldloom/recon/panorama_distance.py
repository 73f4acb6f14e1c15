"""Distance of a panorama without learning: a ground plane, a sphere and a sky rule. The floor of later methods."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from worldloom.geometry.equirect import directions, solid_angles
from worldloom.geometry.panorama import Panorama

OUTDOOR_RADIUS = 12.5  # of the sphere, in camera heights: 20 m at 1.6 m
INDOOR_RADIUS = 3.0  # 4.8 m at 1.6 m
SHARPNESS = 8  # of the bend from ground to sphere; the ground is flat to 0.1 % out to 0.56 of the radius

CAP_ELEVATION = math.radians(70)  # the cap round the zenith that decides whether there is a sky
BLUE = 0.03  # how much more blue than red makes the cap a sky
BLOWN_OUT = 0.9  # or how bright its darkest channel is: an overcast sky burnt to white
SMOOTH = 0.05  # largest step between neighbouring pixels inside a sky


def assume_distance(rgb: Float[Tensor, "3 h w"], camera_height: float = 1.6) -> Panorama:
    """A panorama with assumed distances: flat ground under the camera, a sphere round it, sky where `find_sky` says so.

    With g = camera_height / sin(-elevation) the distance of the ground plane (none above the horizon), R the radius and
    p the sharpness, distance = (g^-p + R^-p)^(-1/p): a smooth minimum, without a crease and without a jump. R is
    `OUTDOOR_RADIUS` camera heights where there is a sky, else `INDOOR_RADIUS`. Sky pixels hold R too.

    What it assumes, and so where it is wrong: the camera is level and its height is known (this alone sets the scale);
    the ground is level; nothing stands on it. Furniture, people and walls nearer than R are painted on the ground and
    bulge when the camera moves; walls and ceilings are round and at the wrong distance. A stage set, not a survey.

    Args:
        rgb: display values in [0, 1].
        camera_height: metres over the ground.
    Returns:
        A panorama in its own frame (world_from_pano = identity).
    """
    height = rgb.shape[-2]
    if rgb.shape[-1] != 2 * height:
        raise ValueError(f"panorama must be 1:2 (height:width), got {height}x{rgb.shape[-1]}")
    if not (math.isfinite(camera_height) and camera_height > 0):
        raise ValueError(f"camera_height must be positive metres, got {camera_height}")
    sky = find_sky(rgb)
    radius = camera_height * (OUTDOOR_RADIUS if sky.any() else INDOOR_RADIUS)
    down = -directions(height)[..., 2].double()
    radius_per_ground = down.clamp(min=0) * (radius / camera_height)  # R / g; 0 above the horizon
    distance = radius * (1 + radius_per_ground**SHARPNESS) ** (-1 / SHARPNESS)
    return Panorama(rgb, distance.float(), sky, torch.eye(4))


def find_sky(rgb: Float[Tensor, "3 h w"]) -> Bool[Tensor, "h w"]:
    """Where a panorama shows sky, by colour, smoothness and connection to the zenith; all False where there is none.

    There is a sky if the cap above `CAP_ELEVATION` is bluish in the median, or burnt to white, and is mostly smooth.
    The sky is then what joins the zenith over smooth pixels above the horizon that are bluish or at least as bright as
    the cap, and every island inside it (the sun, clouds, a bird). It must be a quarter of the upper half.

    Known errors: a grey overcast sky is not found, nor one that a roof or a crown hides at the zenith; a bluish or
    burnt-out smooth ceiling is taken for sky; so are smooth bright or bluish walls that touch the sky without an edge.
    """
    height = rgb.shape[-2]
    upper = max(1, height // 2)
    image = rgb[:, :upper].double().numpy()
    red, green, blue = image
    darkest, brightness = image.min(0), image.mean(0)
    smooth = _largest_step(image) < SMOOTH
    bluish = (blue >= red) & (blue >= green - 0.02)

    cap = slice(0, max(1, round(height * (0.5 - CAP_ELEVATION / math.pi))))
    weight = solid_angles(height)[:upper].double().numpy()
    is_blue = _median(blue[cap] - red[cap], weight[cap]) > BLUE
    is_blown_out = _median(darkest[cap], weight[cap]) > BLOWN_OUT
    none = torch.zeros(rgb.shape[-2:], dtype=torch.bool)
    if not (is_blue or is_blown_out):
        return none

    bright = brightness >= _median(brightness[cap], weight[cap])
    sky = _joined_to_top(smooth & (bluish | bright))
    sky = ~_joined_to_bottom(~sky)
    if (sky * weight)[cap].sum() < 0.7 * weight[cap].sum() or (sky * weight).sum() < 0.25 * weight.sum():
        return none
    none[:upper] = torch.from_numpy(sky)
    return none


def _largest_step(image: np.ndarray) -> np.ndarray:
    """Largest difference in any channel to any of the four neighbours; columns wrap."""
    across = np.abs(image - np.roll(image, 1, axis=2)).max(0)
    down = np.abs(np.diff(image, axis=1)).max(0)
    step = np.maximum(across, np.roll(across, -1, axis=1))
    step[1:] = np.maximum(step[1:], down)
    step[:-1] = np.maximum(step[:-1], down)
    return step


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    order = values.ravel().argsort()
    cumulative = weight.ravel()[order].cumsum()
    return float(values.ravel()[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def _joined_to_top(mask: np.ndarray) -> np.ndarray:
    """The part of `mask` that is connected to its top row; columns wrap."""
    # Three copies side by side: whatever crosses the seam is whole in the middle one.
    thrice = np.concatenate([mask, mask, mask], axis=1)
    labels = np.empty(thrice.shape, np.int32)
    ndimage.label(thrice, output=labels)
    top = np.unique(labels[0])
    width = mask.shape[1]
    return np.isin(labels, top[top > 0])[:, width : 2 * width]


def _joined_to_bottom(mask: np.ndarray) -> np.ndarray:
    return _joined_to_top(mask[::-1])[::-1]
