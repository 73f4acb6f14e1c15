"""A picture of a world with every answer a learner may be asked for."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.synth.cast import Caster, Surface
from worldloom.synth.exposure import develop
from worldloom.synth.views import PanoramaView, View, forward, pixel_centres, rays_through
from worldloom.synth.world import SKY


@dataclass(frozen=True)
class Truth:
    """What one view sees. All but rgb belongs to the one ray through the middle of each pixel."""

    rgb: Float[Tensor, "3 h w"]  # [0, 1], for the screen
    distance: Float[Tensor, "h w"]  # metres along the ray; 0 where sky
    depth: Float[Tensor, "h w"] | None  # z in the camera's frame, below 0 behind a fisheye; None of panoramas
    normal: Float[Tensor, "3 h w"]  # unit, world frame, towards the eye; of smooth parts as shaded; 0 where sky
    albedo: Float[Tensor, "3 h w"]  # linear, [0, 1]
    roughness: Float[Tensor, "h w"]
    metallic: Float[Tensor, "h w"]
    instance: Int[Tensor, "h w"]  # number of the thing in its world; -1 where sky
    semantic: Int[Tensor, "h w"]  # number in SEMANTICS
    sky: Bool[Tensor, "h w"]  # nothing but sky; also false where a fisheye lens shows nothing


def render_truth(caster: Caster, view: View, seed: int = 0, num_ambient: int = 4) -> Truth:
    """Truth of a view, lit by the sun with its shadow, by as much sky as is seen, and by lamps."""
    u, v = pixel_centres(view)
    origins, directions = rays_through(view, u, v)
    shown = (directions != 0).any(-1)
    safe = torch.where(shown[:, None], directions, directions.new_tensor([0, 0, 1]))
    hits = caster.cast(origins, safe)
    surface = caster.surface(origins, safe, hits)
    found = hits.found & shown
    radiance = caster.world.sky.radiance(safe.float())
    radiance[found] = _shade(caster, surface, found, seed, num_ambient)[found]
    radiance[~shown] = 0
    height, width = view.size

    def image(values: Tensor, empty: float | int = 0) -> Tensor:
        values = torch.where(shown.view(-1, *(1,) * (values.ndim - 1)), values, empty)
        return values.T.reshape(-1, height, width) if values.ndim == 2 else values.reshape(height, width)

    distance = hits.distance
    depth = None if isinstance(view, PanoramaView) else (image(distance * (directions @ forward(view)))).float()
    return Truth(
        develop(image(radiance), caster.world.exposure),
        image(distance).float(),
        depth,
        image(surface.normal),
        image(surface.albedo),
        image(surface.roughness),
        image(surface.metallic),
        image(surface.instance, -1),
        image(surface.semantic, SKY),
        image(shown & ~hits.found, False),
    )


def _shade(caster: Caster, surface: Surface, found: Tensor, seed: int, num_ambient: int) -> Float[Tensor, "n 3"]:
    """Radiance of diffuse surfaces."""
    sky = caster.world.sky
    points = surface.points + 1e-3 * surface.face_normal
    normal = torch.where(found[:, None], surface.normal, points.new_tensor([0, 0, 1]))
    sun = points.new_tensor(sky.towards_sun)
    facing = (normal @ sun).clamp(min=0)
    at = ((facing > 0) & found & (surface.face_normal @ sun > 0)).nonzero()[:, 0]
    lit = torch.zeros_like(facing)
    lit[at] = facing[at] * ~caster.blocked(points[at], sun.expand(len(at), 3), torch.inf)
    radiance = lit[:, None] * points.new_tensor(sky.sun) / math.pi
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_ambient):
        ball = torch.nn.functional.normalize(torch.randn(points.shape, generator=generator), dim=-1)
        directions = normal + 0.999 * ball
        directions = torch.nn.functional.normalize(directions, dim=-1)
        free = ~caster.blocked(points, directions, torch.inf)
        near = ~caster.blocked(points, directions, 1.5)
        light = torch.where(free[:, None], sky.radiance(directions), 0.15 * near[:, None] + 0.05)
        radiance += light / num_ambient
    return surface.albedo * radiance + surface.emission
