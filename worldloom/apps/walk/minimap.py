"""The scene from above, with its planned paths and where one is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from worldloom.apps.walk.world import World
from worldloom.geometry import CameraPath, Gaussians
from worldloom.geometry.gaussians import SH_C0

PIXELS = 280
MARGIN = 0.5  # metres around what is to be seen
_LEAST = 4.0  # metres across, at least
_REACH = 15.0  # metres around the start that are of interest where there is no path so far
_HEADROOM = 0.3  # metres over the eye; what is higher, such as a ceiling, would hide all
_PAPER, _PATH, _SELF = (244, 244, 242), (28, 92, 190), (214, 48, 49)


@dataclass(frozen=True)
class Minimap:
    """A square picture of `span` metres; the scene's x is up and its y to the left."""

    picture: Image.Image
    top: float  # x at the upper edge, metres
    left: float  # y at the left edge
    span: float

    @classmethod
    def of(cls, world: World) -> "Minimap":
        """What lies below the eye, in its colours, and the paths over it."""
        points = [np.array([world.eye[:2]])]
        points += [path.cameras.world_from_cam[:, :2, 3].numpy() for path in world.paths]
        if world.footing is not None:
            ground = world.footing.ground
            near = [ground.place(*cell) for cell in np.argwhere(ground.free).tolist()]
            points.append(np.array(near) + np.array(world.eye[:2]))
        where = np.concatenate(points)
        where = where[np.abs(where - np.array(world.eye[:2])).max(1) < _REACH]
        low, high = where.min(0) - MARGIN, where.max(0) + MARGIN
        span = max(float((high - low).max()), _LEAST)
        middle = (low + high) / 2
        empty = cls(Image.new("RGB", (PIXELS, PIXELS), _PAPER), middle[0] + span / 2, middle[1] + span / 2, span)
        return empty._painted(world.gaussians, world.eye[2] + _HEADROOM)._with_paths(world.paths)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Column and row of a place, pixels."""
        return (self.left - y) / self.span * PIXELS, (self.top - x) / self.span * PIXELS

    def with_visitor(self, x: float, y: float, yaw: float) -> UInt8[np.ndarray, "h w 3"]:
        """The map with an arrow; whoever is off the map stands at its edge."""
        image = self.picture.copy()
        column, row = (min(max(p, 8.0), PIXELS - 8.0) for p in self.at(x, y))
        ahead, side = (-math.sin(yaw), -math.cos(yaw)), (math.cos(yaw), -math.sin(yaw))  # in (column, row)
        tip = (column + 11 * ahead[0], row + 11 * ahead[1])
        tails = [(column - 7 * ahead[0] + s * 6 * side[0], row - 7 * ahead[1] + s * 6 * side[1]) for s in (-1, 1)]
        ImageDraw.Draw(image).polygon([tip, tails[0], (column, row), tails[1]], fill=_SELF, outline=(255, 255, 255))
        return np.asarray(image)

    def _painted(self, gaussians: Gaussians, ceiling: float) -> "Minimap":
        """The highest splats below the ceiling, at half the resolution, so that few gaps stay between them."""
        means, cells = gaussians.means, PIXELS // 2
        column = ((self.left - means[:, 1]) / self.span * cells).floor().long()
        row = ((self.top - means[:, 0]) / self.span * cells).floor().long()
        inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
        chosen = inside & (means[:, 2] < ceiling) & (gaussians.opacities > 0.3)
        chosen = chosen.nonzero()[:, 0][means[chosen, 2].argsort()]
        colours = (0.5 + SH_C0 * gaussians.sh[chosen, 0]).clamp(0, 1)
        pixels = np.empty((cells, cells, 3), np.uint8)
        pixels[:] = _PAPER
        # Of several values for one pixel numpy keeps the last, which here is the highest.
        lightened = (255 * (0.25 + 0.75 * colours)).to(torch.uint8).numpy()
        pixels[row[chosen].numpy(), column[chosen].numpy()] = lightened
        image = Image.fromarray(pixels).resize((PIXELS, PIXELS), Image.Resampling.NEAREST)
        return Minimap(image, self.top, self.left, self.span)

    def _with_paths(self, paths: Sequence[CameraPath]) -> "Minimap":
        image = self.picture.copy()
        draw = ImageDraw.Draw(image)
        for path in paths:
            places = [self.at(x, y) for x, y in path.cameras.world_from_cam[:, :2, 3].tolist()]
            if len(places) > 1:
                draw.line(places, fill=(255, 255, 255), width=4, joint="curve")
                draw.line(places, fill=_PATH, width=2, joint="curve")
        return Minimap(image, self.top, self.left, self.span)
