"""Training pictures: a view lit by path tracing."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.synth.cast import Caster, Surface
from worldloom.synth.light.columns import columns
from worldloom.synth.light.denoise import Features, denoised
from worldloom.synth.light.transport import Points, Transport
from worldloom.synth.views import PanoramaView, View, rays_through

TILE = 16  # pixels; rays of neighbours go to neighbouring places
CHUNK = 4096  # points whose paths are followed at a time


def path_trace(
    caster: Caster, view: View, spp: int = 32, seed: int = 0, max_bounces: int = 4, denoise: bool = True
) -> Float[Tensor, "3 h w"]:
    """Radiance of a view; `develop` makes a picture of it.

    Sun, sky and emissive parts light metal-rough surfaces: diffuse and GGX where the eye looks, and diffuse in their
    mean colours wherever light comes from after that. The same seed gives the same bits, whatever the number of
    threads.

    Args:
        spp: paths for each pixel. From 4 on, several share one of the 2 or 4 points that a pixel looks at.
        max_bounces: how often light is reflected at most on its way to the eye.
        denoise: smooth diffuse light along surfaces, without touching textures, edges or the sun's shadows.
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
    light = lit(Transport(caster, max_bounces), first, spp // looks, seed)
    albedo = first.surface.albedo * (1 - first.surface.metallic[:, None])
    rest = torch.where(first.found[:, None], first.surface.emission, first.sky)

    def picture(values: Tensor) -> Tensor:
        """Means over the looks of each pixel, row by row."""
        mean = values.unflatten(0, (-1, looks)).mean(1)
        flat = torch.empty_like(mean)
        flat[order] = mean
        return flat.T.reshape(-1, height, width)

    weight = picture(first.found[:, None].float())
    share = weight.clamp(min=1 / looks)
    diffuse, gloss = picture(light.diffuse) / share, picture(light.gloss)
    if denoise:
        brightness = light.diffuse.mean(-1, keepdim=True).unflatten(0, (-1, looks))
        spread = brightness.var(1, correction=0) / max(looks - 1, 1) if looks > 1 else brightness[:, 0] ** 2
        variance = torch.empty_like(spread)
        variance[order] = spread
        features = Features(
            torch.nn.functional.normalize(picture(first.surface.normal), dim=0),
            picture(first.surface.points) / share,
            weight[0] > 0,
            picture(first.surface.roughness[:, None])[0] / share[0],
            wraps=isinstance(view, PanoramaView),
        )
        diffuse, gloss = denoised(diffuse, gloss, variance.reshape(height, width), features)
    return picture(albedo) * diffuse + picture(albedo * light.sun) + gloss + picture(rest)


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
