"""Training pictures: a view lit by path tracing."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from worldloom.errors import InputError
from worldloom.synth.cast import Caster, Surface
from worldloom.synth.light.columns import columns
from worldloom.synth.light.denoise import Features, denoised, interpolated, same_surface
from worldloom.synth.light.transport import Points, Transport
from worldloom.synth.views import PanoramaView, View, rays_through

TILE = 16  # pixels; rays of neighbours go to neighbouring places
CHUNK = 4096  # points whose paths are followed at a time


def path_trace(
    caster: Caster,
    view: View,
    spp: int = 32,
    seed: int = 0,
    max_bounces: int = 4,
    denoise: bool = True,
    reuse: bool = True,
) -> Float[Tensor, "3 h w"]:
    """Radiance of a view; `develop` makes a picture of it.

    Sun, sky and emissive parts light metal-rough surfaces: diffuse and GGX where the eye looks, and diffuse in their
    mean colours wherever light comes from after that. The same seed gives the same bits, whatever the number of
    threads.

    Args:
        spp: paths for each pixel. From 4 on, several share one of the 2 or 4 points that a pixel looks at.
        max_bounces: how often light is reflected at most on its way to the eye.
        denoise: smooth diffuse light along surfaces, without touching textures, edges or the sun's shadows.
        reuse: paths in rooms end where the light was learnt; see `Transport`.
    Raises:
        InputError: if spp or max_bounces is below 1, or the view is a batch of cameras.
    """
    if spp < 1 or max_bounces < 1:
        raise InputError(f"expected spp and max_bounces of at least 1, got {spp} and {max_bounces}")
    looks = 4 if spp >= 16 and spp % 4 == 0 else 2 if spp >= 4 and spp % 2 == 0 else 1
    height, width = view.size
    order = tiled(height, width)
    rng = np.random.default_rng([seed, 0])
    u, v = jittered(order, width, looks, rng)
    first = look(caster, view, u, v)
    light = lit(Transport(caster, max_bounces, reuse), first, spp // looks, seed)
    diffuse, gloss = light.diffuse, light.gloss
    if denoise:
        wraps = isinstance(view, PanoramaView)
        diffuse, gloss = _smooth(diffuse, gloss, first, u, v, order, (height, width), wraps)
    albedo = first.surface.albedo * (1 - first.surface.metallic[:, None])
    radiance = albedo * (diffuse + light.sun) + gloss + torch.where(first.found[:, None], first.surface.emission, 0)
    return _picture(
        torch.where(first.found[:, None], radiance, first.sky).unflatten(0, (-1, looks)).mean(1), order, height
    )


def _picture(values: Shaped[Tensor, "n *k"], order: Tensor, height: int) -> Shaped[Tensor, "*k h w"]:
    """Values of pixels in this order, row by row."""
    flat = torch.empty_like(values)
    flat[order] = values
    return flat.movedim(0, -1).unflatten(-1, (height, -1))


def _smooth(
    diffuse: Float[Tensor, "n 3"],
    gloss: Float[Tensor, "n 3"],
    first: "Look",
    u: Float[Tensor, " n"],
    v: Float[Tensor, " n"],
    order: Tensor,
    size: tuple[int, int],
    wraps: bool,
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Light at every look, smoothed along surfaces.

    One look stands for each pixel, with those of the others that lie on its surface: a mean over an edge would belong
    to no surface at all, and be smoothed with nothing. All looks take from the smoothed pixels around them.
    """
    height, looks = size[0], len(u) // len(order)
    surface = first.surface
    points, normals = surface.points.unflatten(0, (-1, looks)), surface.normal.unflatten(0, (-1, looks))
    found = first.found.unflatten(0, (-1, looks)).float()
    alike = torch.stack(
        [
            same_surface(points[:, i, None], normals[:, i, None], points, normals, 64) * found * found[:, i, None]
            for i in range(looks)
        ],
        1,
    )
    chosen = alike.sum(-1).argmax(1)
    pixel = torch.arange(len(order))
    weight = alike[pixel, chosen]
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)

    def mean(values: Tensor) -> Tensor:
        return (values.unflatten(0, (-1, looks)) * weight[..., None]).sum(1)

    light = mean(diffuse)
    brightness = diffuse.mean(-1, keepdim=True)
    # Of n equal looks the mean strays by var / (n - 1) of theirs; one look alone may be anything.
    crowd = (weight**2).sum(-1, keepdim=True)
    middle = light.mean(-1, keepdim=True)
    spread = (mean(brightness**2) - middle**2).clamp(min=0) * crowd / (1 - crowd).clamp(min=1e-3)
    spread = torch.where(crowd > 0.9, middle**2, spread)
    at = pixel * looks + chosen
    features = Features(
        _picture(surface.normal[at], order, height),
        _picture(surface.points[at], order, height),
        _picture(first.found[at], order, height),
        _picture(surface.roughness[at], order, height),
        wraps,
    )
    smooth, shine = denoised(
        _picture(light, order, height),
        _picture(mean(gloss), order, height),
        _picture(spread[:, 0], order, height),
        features,
    )
    smooth, shine = interpolated(smooth, shine, features, u, v, surface.points, surface.normal)
    mirror = (1 - surface.roughness.clamp(0, 1)[:, None]) ** 4  # of what it shows, no neighbour knows
    return smooth, shine + mirror * (gloss - shine)


@dataclass(frozen=True)
class Look:
    """What the eye meets at points of the picture."""

    directions: Float[Tensor, "n 3"]
    surface: Surface
    found: Bool[Tensor, " n"]
    shown: Bool[Tensor, " n"]  # False where a fisheye lens shows nothing
    distance: Float[Tensor, " n"]
    sky: Float[Tensor, "n 3"]  # radiance where nothing was found


@dataclass(frozen=True)
class Shine:
    """`transport.Light` as tensors, rows for points."""

    sun: Float[Tensor, "n 3"]
    diffuse: Float[Tensor, "n 3"]
    gloss: Float[Tensor, "n 3"]


def look(caster: Caster, view: View, u: Float[Tensor, " n"], v: Float[Tensor, " n"], textures: bool = True) -> Look:
    """Cast the rays through points of the picture; without textures surfaces have their mean colours."""
    origins, directions = rays_through(view, u, v)
    shown = (directions != 0).any(-1)
    directions = torch.where(shown[:, None], directions, directions.new_tensor([0, 0, 1]))
    hits = caster.cast(origins, directions)
    surface = caster.surface(origins, directions, hits, textures)
    found = hits.found & shown
    sky = torch.zeros(len(u), 3)
    open_ = (~hits.found & shown).nonzero()[:, 0]
    sky[open_] = caster.world.sky.radiance(directions[open_].float())
    return Look(directions, surface, found, shown, hits.distance, sky)


def lit(transport: Transport, first: Look, paths: int, seed: int) -> Shine:
    """Light reflected by the surfaces that were looked at, by so many paths from each."""
    n = len(first.found)
    result = torch.zeros(3, n, 3)
    out = result.numpy()
    surface, found = first.surface, first.found.numpy()
    centre = torch.from_numpy(transport.caster.centre)
    towards_eye = -first.directions.float()
    position = (surface.points.double() - centre).float()

    def points(at: np.ndarray) -> Points:
        def some(values: Tensor) -> np.ndarray:
            return columns(values.numpy()[at])

        return Points(
            position=some(position),
            normal=some(surface.normal),
            face_normal=some(surface.face_normal),
            towards_eye=some(towards_eye),
            albedo=some(surface.albedo),
            roughness=surface.roughness.numpy()[at],
            metallic=surface.metallic.numpy()[at],
        )

    transport.learn(points(np.flatnonzero(found)), np.random.default_rng([seed, 2]))

    def work(start: int, stop: int) -> None:
        part = np.arange(start, stop)
        at = part[found[part]]
        if not len(at):
            return
        rng = np.random.Generator(np.random.SFC64([seed, 1, start // CHUNK]))
        light = transport.gather(points(at), paths, rng)
        out[0, at], out[1, at], out[2, at] = light.sun.T, light.diffuse.T, light.gloss.T

    transport.caster.in_chunks(n, work, CHUNK)
    return Shine(*result.unbind(0))


def tiled(height: int, width: int) -> Tensor:
    """Numbers of the pixels, tile by tile."""
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    tile = (i // TILE) * math.ceil(width / TILE) + j // TILE
    return torch.argsort(tile.flatten(), stable=True)


def jittered(
    order: Tensor, width: int, looks: int, rng: np.random.Generator
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Points (u, v) of the picture: `looks` in each pixel, each in its own part of it."""
    columns = 2 if looks > 1 else 1
    rows = looks // columns
    k = torch.arange(looks)
    jitter = torch.from_numpy(rng.random((2, len(order), looks)))
    u = (order % width)[:, None] + ((k % columns) + jitter[0]) / columns
    v = (order // width)[:, None] + ((k // columns) + jitter[1]) / rows
    return u.flatten(), v.flatten()
