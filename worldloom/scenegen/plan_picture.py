"""A plan seen from above: walkable ground, what is seen how often, and the paths."""

import math

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from worldloom.geometry import apply, invert
from worldloom.render.caption import Rgb, legend
from worldloom.scenegen.coverage import ENOUGH
from worldloom.scenegen.plan import Plan

PAPER: Rgb = (0.97, 0.97, 0.96)
FREE: Rgb = (0.90, 0.91, 0.93)
WALKABLE: Rgb = (0.84, 0.92, 0.84)
SEEN: Rgb = (0.45, 0.68, 0.50)
ONCE: Rgb = (0.93, 0.68, 0.20)
NEVER: Rgb = (0.82, 0.20, 0.18)
FRONTIER: Rgb = (0.66, 0.45, 0.80)
PATHS: dict[str, Rgb] = {
    "user": (0.05, 0.05, 0.05),
    "regular": (0.12, 0.36, 0.75),
    "surround": (0.85, 0.35, 0.05),
    "reconstruct": (0.50, 0.16, 0.60),
    "wander": (0.00, 0.50, 0.55),
    "aerial": (0.45, 0.32, 0.15),
    "turn": (0.12, 0.36, 0.75),
}
LEVEL = 0.8  # of a normal's way up
CEILING = 0.8  # metres above the eye; what is higher is left out

_LEGEND = 200  # pixels
_FINE = 3  # the picture is drawn so much larger and shrunk


def plan_picture(plan: Plan, height: int = 720) -> Float[Tensor, "3 h w"]:
    """The plan from above, in the panorama's frame: ahead is up, left is left; `height` pixels high.

    Surface patches below `CEILING` are dots coloured by how many frames see them, but for ground seen twice; so are
    those of the frontier that no frame looks through. A tick on a path points where its camera looks.
    """
    place, seen = plan.place, plan.coverage
    grid = place.space.grid
    rows, columns = grid.shape[:2]
    scale = _FINE * height / (rows * grid.voxel_size)
    size = (_FINE * height, max(1, round(columns * grid.voxel_size * scale)))
    top, left = grid.origin[0] + rows * grid.voxel_size, grid.origin[1] + columns * grid.voxel_size

    def pixels(points: Tensor) -> list[tuple[float, float]]:
        return [((left - y) * scale, (top - x) * scale) for x, y in points[:, :2].tolist()]

    image = Image.fromarray(_areas(plan)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    low = seen.patches.points[:, 2] < CEILING
    shown = torch.arange(len(seen.patches)) < seen.num_shown
    for colour, which in (
        (FRONTIER, ~shown & (seen.total == 0)),
        (SEEN, shown & (seen.total >= ENOUGH) & ~_on_ground(plan)),
        (ONCE, shown & (seen.total > 0) & (seen.total < ENOUGH)),
        (NEVER, shown & (seen.total == 0)),
    ):
        radii = (0.4 * scale * seen.patches.areas[which & low].sqrt()).clamp(1.0, 0.2 * scale).tolist()
        _dots(draw, pixels(seen.patches.points[which & low]), radii, colour)
    pano_from_world = invert(place.panorama.world_from_pano)
    for path in plan.paths:
        colour = _bytes(PATHS[path.family])
        poses = pano_from_world @ path.cameras.world_from_cam
        way = path.motion.points if path.motion is not None else path.cameras.world_from_cam[:, :3, 3]
        draw.line(pixels(apply(pano_from_world, way)), fill=colour, width=2 * _FINE, joint="curve")
        ends = poses[:, :3, 3] + 0.3 * poses[:, :3, 2]
        for eye, end in list(zip(pixels(poses[:, :3, 3]), pixels(ends), strict=True))[::4]:
            draw.line([eye, end], fill=colour, width=_FINE)
    _dots(draw, pixels(torch.zeros(1, 3)), [0.12 * scale], (0.0, 0.0, 0.0))
    _scale_bar(draw, size, scale)
    small = image.resize((max(1, size[1] // _FINE), height), Image.Resampling.LANCZOS)
    families = [name for name in PATHS if any(path.family == name for path in plan.paths)]
    names = ["walkable", "free", "seen twice", "seen once", "not seen", "unknown behind", *families]
    colours = [WALKABLE, FREE, SEEN, ONCE, NEVER, FRONTIER, *(PATHS[name] for name in families)]
    key = legend(names, colours, (height, _LEGEND), PAPER)
    return torch.cat([rearrange(torch.from_numpy(np.array(small)).float() / 255, "h w c -> c h w"), key], dim=2)


def _areas(plan: Plan) -> np.ndarray:
    """Free and walkable columns, a pixel each, ahead up and left to the left; uint8 h w 3."""
    place = plan.place
    grid = place.space.grid
    level = min(max(int(-grid.origin[2] / grid.voxel_size), 0), grid.shape[2] - 1)
    picture = np.empty((*grid.shape[:2], 3), np.uint8)
    picture[:] = _bytes(PAPER)
    picture[place.space.free[..., level]] = _bytes(FREE)
    picture[place.ground.walkable] = _bytes(WALKABLE)
    return np.ascontiguousarray(picture[::-1, ::-1])


def _on_ground(plan: Plan) -> Bool[Tensor, " n"]:
    """Which patches are level and under a walker's knees: dots there would hide the walkable ground."""
    patches, ground = plan.coverage.patches, plan.place.ground
    if ground.start is None:
        return torch.zeros(len(patches), dtype=torch.bool)
    knee = float(np.nanmax(ground.height)) + plan.place.agent.step
    return (patches.normals[:, 2] > LEVEL) & (patches.points[:, 2] < knee)


def _dots(draw: ImageDraw.ImageDraw, places: list[tuple[float, float]], radii: list[float], colour: Rgb) -> None:
    for (x, y), radius in zip(places, radii, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_bytes(colour))


def _scale_bar(draw: ImageDraw.ImageDraw, size: tuple[int, int], scale: float) -> None:
    metres = 10 ** math.floor(math.log10(max(size[1] / scale / 3, 1e-3)))
    edge, ink = 12 * _FINE, (30, 30, 35)
    y, font = size[0] - edge, ImageFont.load_default(12 * _FINE)
    draw.line([(edge, y), (edge + metres * scale, y)], fill=ink, width=2 * _FINE)
    draw.text((edge, y - 3 * _FINE), f"{metres:g} m", font=font, fill=ink, anchor="lb")


def _bytes(colour: Rgb) -> tuple[int, int, int]:
    red, green, blue = (round(255 * c) for c in colour)
    return red, green, blue
