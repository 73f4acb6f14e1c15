"""A picture of a world with every answer a learner may be asked for."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.errors import InputError
from worldloom.synth.cast import Caster
from worldloom.synth.light.denoise import Features, denoised, interpolated, spread_of
from worldloom.synth.light.exposure import develop
from worldloom.synth.light.pathtrace import Look, lit, look, tiled
from worldloom.synth.light.transport import Transport
from worldloom.synth.views import PanoramaView, View, forward, pixel_centres
from worldloom.synth.world import SKY

_PATHS = 3 << 19  # of a picture
_MANY = 1 << 18  # pixels of a picture from which on light is gathered once for each four of them


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


def render_truth(
    caster: Caster,
    view: View,
    seed: int = 0,
    paths: int | None = None,
    supersample: int = 1,
    shared_light: bool | None = None,
    radiance: Float[Tensor, "3 h w"] | None = None,
    reuse: bool = True,
) -> Truth:
    """Truth of a view, with a quickly lit picture: `path_trace` makes a better one.

    The sun and its shadows are exact. All other light, occluded by what is around as it is, comes from a few paths for
    each pixel (or for each four pixels of a large picture) that are smoothed along surfaces. The same seed gives the
    same bits, whatever the number of threads.

    Args:
        radiance: of the picture, where `path_trace` has made it already; then no light is gathered here.
        paths: for each point where light is gathered; by default 8 to 12 of a large picture, up to 32 of a small one.
        shared_light: gather light once for each four pixels; by default in large pictures only.
        supersample: rgb alone is the mean over so many x so many rays for each pixel; 1 is the ray in the middle.
        reuse: paths in rooms end where light is known already, as for `path_trace`.
    Raises:
        InputError: if paths or supersample is below 1, or the view is a batch of cameras.
    """
    if (paths is not None and paths < 1) or supersample < 1:
        raise InputError(f"expected paths and supersample of at least 1, got {paths} and {supersample}")
    height, width = view.size
    first = look(caster, view, *pixel_centres(view))
    surface = first.surface

    def image(values: Tensor, empty: float | int = 0) -> Tensor:
        shown = first.shown.view(-1, *(1,) * (values.ndim - 1))
        values = values if bool(first.shown.all()) else torch.where(shown, values, empty)
        return values.T.reshape(-1, height, width) if values.ndim == 2 else values.reshape(height, width)

    if radiance is None:
        shared = height * width > _MANY if shared_light is None else shared_light
        diffuse, gloss = _gathered(caster, view, first, paths, seed, 2 if shared else 1, reuse)
        if supersample == 1:
            radiance = image(_shaded(caster, first, diffuse, gloss))
        else:
            offsets = (torch.arange(supersample, dtype=torch.float64) + 0.5) / supersample - 0.5
            u, v = pixel_centres(view)
            radiance = torch.zeros(3, height, width)
            for du in offsets.tolist():
                for dv in offsets.tolist():
                    radiance += image(_shaded(caster, look(caster, view, u + du, v + dv), diffuse, gloss))
            radiance /= supersample**2
    distance = image(first.distance)
    depth = None if isinstance(view, PanoramaView) else distance * image(first.directions @ forward(view))
    return Truth(
        develop(radiance, caster.world.exposure),
        distance.float(),
        None if depth is None else depth.float(),
        image(surface.normal),
        image(surface.albedo),
        image(surface.roughness),
        image(surface.metallic),
        image(surface.instance, -1),
        image(surface.semantic, SKY),
        image(first.shown & ~first.found, False),
    )


def _shaded(
    caster: Caster, seen: Look, diffuse: Float[Tensor, "n 3"], gloss: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Radiance of what is seen, with the sun's shadows of its own."""
    sky, surface = caster.world.sky, seen.surface
    sun = surface.points.new_tensor(sky.towards_sun)
    cosine = surface.normal @ sun
    at = ((cosine > 0) & seen.found & (surface.face_normal @ sun > 0)).nonzero()[:, 0]
    lift = 1e-4 + 2e-6 * (surface.points[at] - torch.from_numpy(caster.centre).float()).abs().amax(-1, keepdim=True)
    start = surface.points[at] + lift * surface.face_normal[at]
    at = at[~caster.blocked(start, sun.expand_as(start), torch.inf)] if max(sky.sun) > 0 else at[:0]
    light = diffuse.clone()
    light[at] += cosine[at, None] * sun.new_tensor(sky.sun) / math.pi
    reflected = surface.albedo * (1 - surface.metallic[:, None]) * light + gloss + surface.emission
    return torch.where(seen.found[:, None], reflected, seen.sky)


def _gathered(
    caster: Caster, view: View, first: Look, paths: int | None, seed: int, step: int, reuse: bool
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Diffuse light other than the sun's own, and gloss, for every pixel."""
    height, width = view.size
    rows, columns = -(-height // step), -(-width // step)
    paths = paths or min(max(_PATHS // (rows * columns), 8), 32)
    order = tiled(rows, columns)
    u, v = (order % columns + 0.5) * step, torch.div(order, columns, rounding_mode="floor").add(0.5) * step
    coarse = look(caster, view, u.double(), v.double(), textures=False)
    light = lit(Transport(caster, reuse=reuse), coarse, paths, seed)

    def picture(values: Tensor) -> Tensor:
        flat = torch.empty_like(values)
        flat[order] = values
        return flat.T.reshape(-1, rows, columns) if flat.ndim == 2 else flat.reshape(rows, columns)

    features = Features(
        picture(coarse.surface.normal),
        picture(coarse.surface.points),
        picture(coarse.found),
        picture(coarse.surface.roughness),
        wraps=isinstance(view, PanoramaView),
    )
    diffuse, gloss = picture(light.diffuse), picture(light.gloss)
    # Of so few paths the spread says little; that of neighbours stands for it.
    diffuse, gloss = denoised(diffuse, gloss, spread_of(diffuse.mean(0), features), features)
    if step == 1:
        return diffuse.flatten(1).T, gloss.flatten(1).T
    u, v = pixel_centres(view)
    return interpolated(diffuse, gloss, features, u / step, v / step, first.surface.points, first.surface.normal)
