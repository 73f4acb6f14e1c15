"""A furnished living room, and its panorama with exact truth.

One floor plan: the seed chooses the colours, the sun, the books, the pictures, the leaves and where small things stand.
"""

import math
import random
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Panorama, compose
from worldloom.geometry.equirect import directions
from worldloom.geometry.io.images import srgb_from_linear
from worldloom.synth.first.cast import World
from worldloom.synth.first.furniture import OPENING, SIZE, furnish
from worldloom.synth.first.light import Daylight, Lighting, Opening


@dataclass(frozen=True)
class Room:
    """A room in world coordinates, with the light that falls into it and a place to stand."""

    world: World
    daylight: Daylight
    opening: Opening
    world_from_pano: Float[Tensor, "4 4"]
    seed: int


def make_room(seed: int) -> Room:
    """A living room of 6 x 5 x 2.8 m with an open window, seen from eye height (1.6 m)."""
    dice = random.Random(seed)
    things = furnish(dice, seed)
    azimuth, elevation = math.radians(-16 + dice.uniform(-4, 4)), math.radians(36 + dice.uniform(-3, 3))
    sun = (math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation))
    stand = torch.tensor([-0.95 + dice.uniform(-0.1, 0.1), -0.45 + dice.uniform(-0.1, 0.1), 1.6])
    return Room(World(tuple(things)), Daylight(sun), OPENING, compose(torch.eye(3), stand), seed)


@dataclass(frozen=True)
class Quality:
    """How much light is gathered; the truth of distances is exact at any quality."""

    oversample: int = 2  # rays a pixel, in each direction
    num_rays: int = 4  # from each hit to the opening, to sunlit spots and over the hemisphere
    probe_spacing: float = 0.45  # metres between the probes that keep reflected light


STANDARD = Quality()


def render_panorama_truth(
    room: Room, height: int, quality: Quality = STANDARD
) -> tuple[Panorama, Float[Tensor, "3 h w"]]:
    """The panorama and its surface normals in world axes, which are the panorama's (zero where sky).

    Colour is averaged over the rays of a pixel. Distance, sky and normals belong to the ray through its centre. What
    stands beyond the open window is far, not sky; sky is where no surface is.

    Raises:
        InputError: if the height is below 2.
    """
    if height < 2:
        raise InputError(f"panorama height must be at least 2, got {height}")
    eye = room.world_from_pano[:3, 3]
    rays = directions(height).flatten(0, 1)
    origins = eye.expand_as(rays).contiguous()
    hits = room.world.cast(origins, rays)
    normals = room.world.normals(origins, rays, hits)
    lighting = Lighting(room.world, room.daylight, room.opening, SIZE, quality.probe_spacing, room.seed)
    oversample = quality.oversample
    # All rays of a pixel are neighbours, so that a batch is a whole number of pixels.
    fine = directions(height * oversample).reshape(height, oversample, 2 * height, oversample, 3)
    pixels = fine.transpose(1, 2).flatten(0, 1).flatten(1, 2)
    colours = []
    for i, batch in enumerate(pixels.split(max(1, (1 << 16) // oversample**2))):
        generator = torch.Generator().manual_seed(1_000_003 * room.seed + i)
        rays = batch.flatten(0, 1)
        light = lighting.shade(eye.expand_as(rays).contiguous(), rays, oversample**2, quality.num_rays, generator)
        colours.append(develop(light).unflatten(0, batch.shape[:2]).mean(1))
    sky = ~hits.found
    panorama = Panorama(
        rgb=torch.cat(colours).T.unflatten(1, (height, -1)).contiguous(),
        distance=torch.where(sky, 0.0, hits.distance).unflatten(0, (height, -1)),
        sky=sky.unflatten(0, (height, -1)),
        world_from_pano=room.world_from_pano,
    )
    return panorama, normals.T.unflatten(1, (height, -1))


def develop(radiance: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Linear radiance to sRGB in [0, 1]: exposure, a shoulder for highlights (as Reinhard 2002, Eq. 4), gamma."""
    exposed = 1.9 * radiance.clamp(min=0)
    toned = (exposed * (1 + exposed / 2.4**2) / (1 + 0.55 * exposed)).clamp(0, 1)
    return srgb_from_linear(toned)
