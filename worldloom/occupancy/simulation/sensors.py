"""What can be observed of a drive, as arrays: numbers about the near, voxels, pictures, or the ranges of a LiDAR."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.occupancy import OCC3D_GRID, Occupancy
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.state import DriveState
from worldloom.occupancy.simulation.view import View
from worldloom.render.birdseye import render_bev
from worldloom.render.ego_marks import ground_height
from worldloom.render.occupancy import SKY, gaussians_from_occupancy
from worldloom.render.occupancy_rays import cast_occupancy
from worldloom.render.render import render
from worldloom.synth.sensors.rig import nuscenes_like_rig

Array = Shaped[np.ndarray, "..."]
ROUTE_POINTS, ROUTE_SPACING = 12, 4.0  # of the route ahead, metres apart
USERS = 8  # the nearest ones
_FAR, _FAST, _LONG = 50.0, 30.0, 20.0  # what 1 stands for: metres, m/s, metres of a box
_STRONG, _SHARP = 9.0, 0.2  # m/s², 1/m


@dataclass(frozen=True)
class ArraySpec:
    """What an observation is like."""

    shape: tuple[int, ...]
    dtype: str  # uint8 or float32
    low: float
    high: float


class Look:
    """One moment of a drive as sensors share it: voxels are drawn once, and only if somebody asks for them."""

    def __init__(self, simulation: Simulation[Any, Any], state: DriveState[Any]) -> None:
        self._simulation, self._state = simulation, state

    @cached_property
    def view(self) -> View:
        """What a driver is told."""
        return self._simulation.view(self._state)

    @cached_property
    def occupancy(self) -> Occupancy:
        """One frame of voxels."""
        return self._simulation.occupancy(self._state)

    @cached_property
    def ground(self) -> float:
        """Height of the ground in the frame of the voxels, metres."""
        return ground_height(self.occupancy.labels, self.occupancy.grid)

    @cached_property
    def route(self) -> Float[Tensor, "p 2"]:
        """The route ahead in the ego's frame."""
        line = self.view.line
        at, _ = line.at(line.nearest(torch.zeros(2)) + torch.arange(0.0, 60.0, 2.0))
        return at


@runtime_checkable
class Sensor(Protocol):
    """One kind of observation."""

    @property
    def spec(self) -> ArraySpec:
        """What `__call__` returns is like."""
        ...

    def __call__(self, look: Look) -> Array:
        """A new array."""
        ...


@dataclass(frozen=True)
class Numbers:
    """The cheapest: speed, pedal, wheel; the route; and the nearest others; all in the ego's frame, within [-1, 1].

    speed / 30 m/s, acceleration / 9 m/s², curvature / 0.2 1/m; ROUTE_POINTS points of the route (x, y) / 50 m,
    ROUTE_SPACING m apart; USERS times (1 if there is one, x / 50 m, y / 50 m, cos and sin of its heading, velocity over
    the ground (x, y) / 30 m/s, length / 20 m, width / 20 m).
    """

    @property
    def spec(self) -> ArraySpec:
        """See `Sensor`."""
        return ArraySpec((3 + 2 * ROUTE_POINTS + 9 * USERS,), "float32", -1.0, 1.0)

    def __call__(self, look: Look) -> Array:
        """See `Sensor`."""
        view = look.view
        own = torch.tensor([view.speed / _FAST, view.acceleration / _STRONG, view.curvature / _SHARP])
        stations = view.line.nearest(torch.zeros(2)) + ROUTE_SPACING * torch.arange(1, ROUTE_POINTS + 1)
        route, _ = view.line.at(stations)
        users = torch.zeros(USERS, 9)
        boxes, velocity = view.boxes[:USERS].float(), view.velocity[:USERS].float()
        n = len(boxes)
        users[:n, 0] = 1
        users[:n, 1:3] = boxes[:, :2] / _FAR
        users[:n, 3], users[:n, 4] = boxes[:, 2].cos(), boxes[:, 2].sin()
        users[:n, 5:7] = velocity / _FAST
        users[:n, 7:9] = boxes[:, 3:] / _LONG
        return torch.cat([own, (route / _FAR).flatten(), users.flatten()]).clamp(-1, 1).numpy()


@dataclass(frozen=True)
class Voxels:
    """Occ3D labels x y z around the ego; 17 is free."""

    @property
    def spec(self) -> ArraySpec:
        """See `Sensor`."""
        return ArraySpec(OCC3D_GRID.shape, "uint8", 0.0, 17.0)

    def __call__(self, look: Look) -> Array:
        """See `Sensor`."""
        return look.occupancy.labels[0].numpy().copy()


@dataclass(frozen=True)
class Birdseye:
    """A map h w 3, the ego in its middle and driving up, its route as a line."""

    size: int = 96  # pixels

    @property
    def spec(self) -> ArraySpec:
        """See `Sensor`."""
        return ArraySpec((self.size, self.size, 3), "uint8", 0.0, 255.0)

    def __call__(self, look: Look) -> Array:
        """See `Sensor`."""
        voxels = look.occupancy
        return _bytes(render_bev(voxels.labels[0], voxels.grid, (self.size, self.size), path=look.route))


@dataclass(frozen=True)
class Cameras:
    """Pictures v h w 3 of the voxels from cameras like those that made nuScenes, 16:9."""

    channels: tuple[str, ...] = ("CAM_FRONT",)
    width: int = 128  # pixels

    def __post_init__(self) -> None:
        known = nuscenes_like_rig().cameras
        wrong = [channel for channel in self.channels if channel not in known]
        if wrong or not self.channels:
            raise InputError(f"expected cameras of {', '.join(known)}, got {', '.join(wrong) or 'none'}")

    @property
    def spec(self) -> ArraySpec:
        """See `Sensor`."""
        height, width = nuscenes_like_rig().scaled(self.width).cameras[self.channels[0]].size
        return ArraySpec((len(self.channels), height, width, 3), "uint8", 0.0, 255.0)

    def __call__(self, look: Look) -> Array:
        """See `Sensor`."""
        rig, voxels = nuscenes_like_rig().scaled(self.width), look.occupancy
        gaussians = gaussians_from_occupancy(voxels.labels[0], voxels.grid)
        pictures = []
        for channel in self.channels:
            mounted = rig.cameras[channel]
            grid_from_cam = mounted.ego_from_cam.float().clone()
            grid_from_cam[2, 3] += look.ground
            camera = Camera(grid_from_cam, mounted.K.float(), mounted.size)
            pictures.append(_bytes(render(gaussians, camera, background=torch.tensor(SKY)).rgb))
        return np.stack(pictures)


@dataclass(frozen=True)
class Lidar:
    """Ranges r a in metres, the lowest ring first, azimuths from straight ahead to the left; `max_range`: nothing."""

    rings: int = 16
    azimuths: int = 180
    max_range: float = 40.0

    def __post_init__(self) -> None:
        if not 1 <= self.rings <= 128 or not 4 <= self.azimuths <= 4096 or not 1 <= self.max_range <= 200:
            raise InputError(
                "expected 1 to 128 rings, 4 to 4096 azimuths and a range of 1 to 200 m, got "
                f"{self.rings}, {self.azimuths} and {self.max_range}"
            )

    @property
    def spec(self) -> ArraySpec:
        """See `Sensor`."""
        return ArraySpec((self.rings, self.azimuths), "float32", 0.0, self.max_range)

    def __call__(self, look: Look) -> Array:
        """See `Sensor`."""
        voxels, rig = look.occupancy, nuscenes_like_rig()
        low, high = float(rig.elevations[0]), float(rig.elevations[-1])
        elevation = torch.linspace(low, high, self.rings) if self.rings > 1 else torch.zeros(1)
        azimuth = math.tau * torch.arange(self.azimuths) / self.azimuths
        e, a = torch.meshgrid(elevation, azimuth, indexing="ij")
        rays = torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], -1).flatten(0, 1)
        eye = rig.ego_from_lidar[:3, 3].float() + torch.tensor([0.0, 0.0, look.ground])
        distance, _ = cast_occupancy(voxels.labels[0], voxels.grid, eye.expand_as(rays), rays, self.max_range)
        return distance.clamp(max=self.max_range).reshape(self.rings, self.azimuths).numpy()


SENSORS: Mapping[str, Sensor] = {
    "numbers": Numbers(),
    "occupancy": Voxels(),
    "birdseye": Birdseye(),
    "cameras": Cameras(),
    "lidar": Lidar(),
}


def sensors_of(observation: str | Sensor | Sequence[str] | Mapping[str, Sensor]) -> dict[str, Sensor]:
    """Sensors by name, from a name, several of them, a sensor, or sensors by names of one's own.

    Raises:
        InputError: an unknown name, or none.
    """
    if isinstance(observation, Mapping):
        found = dict(observation)
    elif isinstance(observation, str):
        found = {observation: SENSORS.get(observation)}
    elif isinstance(observation, Sequence):
        found = {name: SENSORS.get(name) for name in observation}
    else:
        found = {type(observation).__name__.lower(): observation}
    wrong = [name for name, sensor in found.items() if sensor is None]
    if wrong or not found:
        raise InputError(f"expected observations of {', '.join(SENSORS)}, got {', '.join(wrong) or 'none'}")
    return {name: sensor for name, sensor in found.items() if sensor is not None}


def needed_reach(sensors: Mapping[str, Sensor]) -> float:
    """Metres around the ego in which the world has to be known: those of the grid, if anybody looks at voxels."""
    return 15.0 if all(isinstance(sensor, Numbers) for sensor in sensors.values()) else 40.0


def _bytes(rgb: Float[Tensor, "3 h w"]) -> Array:
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
