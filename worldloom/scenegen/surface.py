"""The surface that a panorama shows, as patches, and the edges behind which it shows nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.geometry import Panorama, directions
from worldloom.scenegen.free_space import REACH

# A quad seen more edge-on than this, or than so many pixels, bridges a jump in distance; see `Quads.torn`.
GRAZING, GRAZING_PIXELS = math.radians(2.5), 2.0
SHEET_STEP = 0.5  # metres between the patches of a frontier along its ray


@dataclass(frozen=True)
class Quads:
    """Quads between the directions of neighbouring pixels of an upright panorama, h - 1 rows of w."""

    centre: Float[Tensor, "h1 w 3"]
    normal: Float[Tensor, "h1 w 3"]  # unit, towards the panorama; zero where not solid
    area: Float[Tensor, "h1 w"]  # square metres
    solid: Bool[Tensor, "h1 w"]  # none of the four pixels is sky
    # The surface does not go on between the four pixels: the quad is as steep to the ray as hardly any surface is, and
    # hides what lies behind its nearer side. At 144 rows or more, ground at camera height c is cut off at
    # c / tan(2.5 deg) = 23 c.
    torn: Bool[Tensor, "h1 w"]
    near: Float[Tensor, "h1 w"]  # least and greatest distance of the four pixels
    far: Float[Tensor, "h1 w"]


def quads(panorama: Panorama, rows: int | None = None) -> Quads:
    """The panorama's surface at no more than `rows` rows of pixels; what lies between them is left out."""
    distance, sky = panorama.distance, panorama.sky
    step = 1 if rows is None else max(1, distance.shape[0] // rows)
    first = step // 2
    rays = directions(distance.shape[0])[first::step, first::step]
    distance, sky = distance[first::step, first::step], sky[first::step, first::step]
    corners = rays * distance[..., None]

    def four(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        right = values.roll(-1, dims=1)
        return values[:-1], right[:-1], right[1:], values[1:]

    a, b, c, d = four(corners)
    normal = torch.linalg.cross(d - b, c - a)  # right and down as seen from within: towards the eye
    doubled = normal.norm(dim=-1)
    normal = torch.nn.functional.normalize(normal, dim=-1)
    centre = (a + b + c + d) / 4
    distances = torch.stack(four(distance))
    solid = ~torch.stack(four(sky)).any(0)
    ray = torch.nn.functional.normalize(torch.stack(four(rays)).sum(0), dim=-1)
    facing = -(normal * ray).sum(-1)
    torn = solid & (facing < math.sin(max(GRAZING, GRAZING_PIXELS * math.pi / distance.shape[0])))
    normal = torch.where(solid[..., None], normal, 0)
    return Quads(centre, normal, doubled / 2, solid, torn, distances.amin(0), distances.amax(0))


@dataclass(frozen=True)
class Patches:
    """Pieces of a surface that views may see, each from the side of its normal only."""

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    areas: Float[Tensor, " n"]  # square metres

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Tensor) -> "Patches":
        return Patches(self.points[index], self.normals[index], self.areas[index])

    @staticmethod
    def cat(parts: Sequence["Patches"]) -> "Patches":
        """All patches, one after the other."""
        return Patches(*(torch.cat([getattr(p, name) for p in parts]) for name in ("points", "normals", "areas")))


def shown_patches(shape: Quads) -> Patches:
    """What the panorama shows within `REACH`: each quad that is not torn."""
    kept = shape.solid & ~shape.torn & (shape.far < REACH)
    return Patches(shape.centre[kept], shape.normal[kept], shape.area[kept])


def frontier_patches(shape: Quads) -> tuple[Patches, Int[Tensor, " n"]]:
    """The border between free and unknown space that no surface fills, and for each patch its quad's number.

    A torn quad hides what lies behind its near side. The sheet from there along the ray to its far side, or to `REACH`,
    is where a view from beside the panorama can look behind. The sheet's normal points to the free side, that of the
    far pixels. The panorama sees all sheets edge-on, which is to say not at all.
    """
    row, column = (shape.torn & (shape.near < REACH)).nonzero(as_tuple=True)
    near, far = shape.near[row, column], shape.far[row, column].clamp(max=REACH)
    ray = torch.nn.functional.normalize(shape.centre[row, column], dim=-1)
    # A torn quad's normal is all but across the ray and looks from its far side's free space to the near side's edge.
    normal = shape.normal[row, column]
    normal = torch.nn.functional.normalize(normal - (normal * ray).sum(-1, keepdim=True) * ray, dim=-1)
    count = ((far - near) / SHEET_STEP).ceil().long().clamp(min=1)
    which = torch.repeat_interleave(torch.arange(len(count)), count)
    number = torch.arange(len(which)) - (count.cumsum(0) - count)[which]
    length = (far - near)[which] / count[which]
    along = near[which] + (number + 0.5) * length
    width = math.pi / (shape.torn.shape[0] + 1) * along
    quad = row * shape.torn.shape[1] + column
    return Patches(ray[which] * along[:, None], normal[which], length * width), quad[which]
