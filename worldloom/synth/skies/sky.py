"""The light of the world outside: a sky seen in every direction, and the sun."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.skies.clouds import Clouds
from worldloom.synth.skies.daylight import Daylight
from worldloom.synth.skies.sky_panorama import SkyPanorama, load_sky_panorama


@dataclass(frozen=True)
class Sky:
    """A clear to overcast sky, in units where a sunlit white wall is about 1.

    Made by hand it is a gradient from horizon to zenith; `clear_sky`, `overcast_sky`, `random_sky` and `sky_from_file`
    make more natural ones.
    """

    towards_sun: tuple[float, float, float]  # unit vector
    sun: tuple[float, float, float] = (3.0, 2.8, 2.5)  # irradiance on a surface that faces the sun; 0 when overcast
    zenith: tuple[float, float, float] = (0.25, 0.45, 0.9)  # radiance
    horizon: tuple[float, float, float] = (0.85, 0.92, 1.0)
    daylight: Daylight | None = None  # in place of the gradient
    panorama: SkyPanorama | None = None  # in place of both
    clouds: Clouds | None = None

    def radiance(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Radiance from unit directions, without the sun's disc."""
        sky = self._cloudless(directions)
        if self.clouds is None:
            return sky
        # The mean sky, from a ring that begins below the sun: it turns with the sky.
        azimuth = math.atan2(self.towards_sun[1], self.towards_sun[0]) + math.pi * (torch.arange(6) + 0.5) / 3
        ring = torch.stack([0.8 * azimuth.cos(), 0.8 * azimuth.sin(), torch.full((6,), 0.6)], -1)
        ambient = self._cloudless(ring.to(directions)).mean(0)
        # The sky's own `sun` may already be dimmed by a cloud before it; the others see all of it.
        sun = self.daylight.sun if self.daylight else self.sun
        return self.clouds.over(sky, directions, self.towards_sun, sun, ambient)

    def turned(self, yaw: float) -> "Sky":
        """The same sky turned about the vertical, to the left."""
        x, y, z = self.towards_sun
        c, s = math.cos(yaw), math.sin(yaw)
        towards = (c * x - s * y, s * x + c * y, z)
        return replace(
            self,
            towards_sun=towards,
            daylight=self.daylight and replace(self.daylight, towards_sun=towards),
            panorama=self.panorama and replace(self.panorama, towards_sun=towards, yaw=self.panorama.yaw + yaw),
            clouds=self.clouds and replace(self.clouds, yaw=self.clouds.yaw + yaw),
        )

    def _cloudless(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        if self.panorama is not None:
            return self.panorama.radiance(directions)
        if self.daylight is not None:
            return self.daylight.radiance(directions)
        up = directions[:, 2:].clamp(0, 1) ** 0.5
        return directions.new_tensor(self.horizon) * (1 - up) + directions.new_tensor(self.zenith) * up


def clear_sky(elevation: float, azimuth: float, turbidity: float = 3.0, clouds: Clouds | None = None) -> Sky:
    """Daylight with the sun at these angles (radians), and clouds that may stand before it."""
    towards = _towards(elevation, azimuth)
    daylight = Daylight(towards, turbidity)
    sun = daylight.sun
    if clouds is not None:
        hidden = float(clouds.thickness(torch.tensor([towards]))[0])
        red, green, blue = (value * (1 - hidden) ** 2 for value in sun)
        sun = (red, green, blue)
    return Sky(towards, sun, daylight=daylight, clouds=clouds)


def overcast_sky(brightness: float = 0.55, azimuth: float = 0.0, seed: int = 0) -> Sky:
    """A closed layer of cloud: L = L_z (1 + 2 sin e) / 3, the CIE's standard overcast sky, with some unevenness.

    Args:
        brightness: radiance of the zenith.
        azimuth: of the sun that is not seen.
        seed: of the layer's folds.
    """
    grey = (0.97 * brightness, 1.0 * brightness, 1.05 * brightness)
    red, green, blue = (value * 0.38 for value in grey)
    # Clouds over a sky as grey as they are only show their folds.
    return Sky(_towards(0.8, azimuth), (0.0, 0.0, 0.0), grey, (red, green, blue), clouds=Clouds(0.5, seed, 2.5))


def random_sky(random: Random) -> Sky:
    """A day: clear, hazy, with heaps of cloud, with the sun low, or overcast."""
    kind = random.choices(("clear", "hazy", "clouds", "low", "overcast"), (3, 2, 5, 2, 2))[0]
    azimuth, seed = random.uniform(-math.pi, math.pi), random.randrange(1 << 20)
    high = math.radians(random.uniform(20, 65))
    match kind:
        case "clear":
            return clear_sky(high, azimuth, random.uniform(2.0, 3.5))
        case "hazy":
            clouds = Clouds(random.uniform(0.2, 0.6), seed, random.uniform(1.5, 3.0))
            return clear_sky(high, azimuth, random.uniform(4.5, 7.0), clouds)
        case "clouds":
            clouds = Clouds(random.uniform(0.2, 0.7), seed, random.uniform(0.6, 1.6))
            return clear_sky(high, azimuth, random.uniform(2.2, 4.0), clouds)
        case "low":
            clouds = Clouds(random.uniform(0.0, 0.5), seed, random.uniform(0.8, 2.0))
            return clear_sky(math.radians(random.uniform(6, 16)), azimuth, random.uniform(2.2, 4.0), clouds)
        case _:
            return overcast_sky(random.uniform(0.4, 0.8), azimuth, seed)


def sky_from_file(path: str | Path, yaw: float = 0.0, irradiance: float | None = 3.5) -> Sky:
    """The sky of a high-dynamic-range panorama, turned to the left by `yaw`; see `load_sky_panorama`.

    Raises:
        InputError: if the file is no Radiance or OpenEXR panorama of 1:2.
    """
    panorama = load_sky_panorama(path, irradiance)
    return Sky(panorama.towards_sun, panorama.sun, panorama=panorama).turned(yaw)


def _towards(elevation: float, azimuth: float) -> tuple[float, float, float]:
    flat = math.cos(elevation)
    return flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)
