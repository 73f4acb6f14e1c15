"""One turn of a spinning LiDAR in a world: points with intensity, class and instance."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from worldloom.geometry import compose
from worldloom.synth.cast import Caster, Surface
from worldloom.synth.occ3d_labels import LABEL_OF_SEMANTIC
from worldloom.synth.road_users.coachwork import TRIM, is_reflector, mirrored
from worldloom.synth.road_users.vehicles import CarBody, car
from worldloom.synth.sensors.rig import Rig
from worldloom.synth.shapes import slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import SEMANTICS, Thing, World

OWN = -2  # instance of returns from the car that carries the sensor
_LEAVES = tuple(SEMANTICS.index(name) for name in ("vegetation", "terrain", "tree", "bush", "grass"))


@dataclass(frozen=True)
class LidarModel:
    """How strongly surfaces answer a beam."""

    max_range: float = 100.0  # metres; nothing comes back from beyond
    min_range: float = 1.0
    noise: float = 0.02  # standard deviation of the range, metres
    # Half of the beams come back when reflectance * cos(incidence) / range^2 is this: white walls from 100 m and
    # beyond, asphalt, grazed, from some 30 m.
    faintest: float = 1e-5
    speckle: float = 0.35  # standard deviation of the logarithm of intensity
    own_car: bool = False  # keep the returns from the roof and bonnet below; they shadow the lowest rings either way


@dataclass(frozen=True)
class Sweep:
    """Returns of one turn, firing by firing and ring by ring."""

    points: Float[Tensor, "n 5"]  # x, y, z in the LiDAR's frame (metres), intensity in [0, 255], ring
    labels: UInt8[Tensor, " n"]  # Occ3D class
    instance: Int[Tensor, " n"]  # number of the thing in the caster's world; OWN is the car itself

    def __len__(self) -> int:
        return len(self.points)


def lidar_sweep(
    caster: Caster, world_from_ego: Float[Tensor, "4 4"], rig: Rig, seed: int, model: LidarModel | None = None
) -> Sweep:
    """One sweep of the rig's LiDAR.

    Whether a beam comes back is drawn with p = 1 / (1 + (faintest / s)^1.5), where s = reflectance * cos(incidence) /
    range^2 is the power of the echo of a matt surface. Glass lets most beams through, retroreflectors answer from any
    angle. Intensity is reflectance in percent up to 100, and above for retroreflectors, as Velodyne's sensors report
    it. All beams leave at one moment: the car does not move within a sweep.

    Args:
        caster: world without the car that carries the sensor.
        world_from_ego: pose of that car.
        seed: of noise, drop-out and the angle at which the turn starts.
    """
    model = model or LidarModel()
    generator = torch.Generator().manual_seed(seed)
    directions = _turned(rig.beams(), generator, rig.num_azimuths)
    world_from_lidar = world_from_ego.double() @ rig.ego_from_lidar.double()
    origins = world_from_lidar[:3, 3].expand_as(directions)
    world_directions = directions @ world_from_lidar[:3, :3].T
    hits = caster.cast(origins, world_directions)
    # Paint on the road shows in a sweep; what textures do to walls and leaves is lost among its speckle.
    surface = caster.surface(origins, world_directions, hits, textures="ground")
    distance = hits.distance.double()
    cosine = (surface.face_normal.double() * world_directions).sum(-1).abs()
    reflector = torch.zeros_like(hits.found)
    if caster.soup.num_faces:
        kinds = torch.tensor([is_reflector(material) for material in caster.soup.materials])
        reflector = kinds[caster.soup.material_of(hits.face.clamp(min=0))] & hits.found
    reflectance = _reflectance(surface, cosine, reflector)
    shadow, own = _own_car_shadow(rig, directions)
    back = hits.found & ~shadow & (distance > model.min_range) & (distance < model.max_range)
    back &= _comes_back(reflectance, torch.where(reflector, 1.0, cosine), distance, model, generator)
    speckle = torch.exp(model.speckle * torch.randn(len(back), generator=generator, dtype=torch.float64))
    percent = 100 * reflectance * speckle
    intensity = torch.where(reflector, (100 + 1.55 * percent).clamp(max=255), percent.clamp(max=100))
    noise = model.noise * torch.randn(len(back), generator=generator, dtype=torch.float64)
    labels = LABEL_OF_SEMANTIC[surface.semantic.long()]
    instance = surface.instance.clone()
    if model.own_car:
        mine = shadow & (torch.rand(len(back), generator=generator, dtype=torch.float64) < 0.9)
        distance = torch.where(mine, own, distance)
        intensity = torch.where(mine, 12 * speckle, intensity)
        labels, instance = torch.where(mine, 0, labels), torch.where(mine, OWN, instance)
        back |= mine
    ring = torch.arange(len(back)) % len(rig.elevations)
    points = torch.cat([directions * (distance + noise)[:, None], intensity.round()[:, None], ring[:, None]], -1)
    return Sweep(points[back].float(), labels[back].to(torch.uint8), instance[back])


def _turned(beams: Float[Tensor, "b 3"], generator: torch.Generator, num_azimuths: int) -> Float[Tensor, "b 3"]:
    """Beams of a turn that starts anywhere within one step, so that sweeps of a standing car differ."""
    angle = 2 * math.pi / num_azimuths * torch.rand((), generator=generator, dtype=torch.float64)
    c, s = angle.cos(), angle.sin()
    x, y, z = beams.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y, z], -1)


def _reflectance(surface: Surface, cosine: Float[Tensor, " n"], reflector: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Share of the beam sent back by a surface, about 905 nm."""
    result = surface.albedo.double().mean(-1)
    # Leaves are bright in the near infrared.
    leaves = torch.isin(surface.semantic, torch.tensor(_LEAVES))
    result = torch.where(leaves, (2.5 * result).clamp(max=0.7), result)
    # Polished surfaces throw the beam elsewhere, except back along their normal; what is left is dust.
    polished = (surface.roughness < 0.25).double() * (1 - surface.roughness.double() / 0.25)
    gleam = torch.exp(-(((1 - cosine) / 0.004).clamp(max=50)))
    result = result * (1 - 0.9 * polished) + polished * (0.004 + 0.6 * gleam)
    return torch.where(reflector, result.clamp(0.3, 1), result).clamp(0, 1)


def _comes_back(
    reflectance: Float[Tensor, " n"],
    cosine: Float[Tensor, " n"],
    distance: Float[Tensor, " n"],
    model: LidarModel,
    generator: torch.Generator,
) -> Bool[Tensor, " n"]:
    power = reflectance * cosine / distance.clamp(min=0.1) ** 2
    chance = 1 / (1 + (model.faintest / power.clamp(min=1e-12)) ** 1.5)
    return torch.rand(len(chance), generator=generator, dtype=torch.float64) < chance


def _own_car_shadow(rig: Rig, directions: Float[Tensor, "b 3"]) -> tuple[Bool[Tensor, " b"], Float[Tensor, " b"]]:
    """Which beams end on the car that carries the sensor, and at what distance."""
    origins = rig.ego_from_lidar[:3, 3].double().expand_as(directions)
    hits = _own_car().cast(origins, directions @ rig.ego_from_lidar[:3, :3].double().T)
    return hits.found, hits.distance.double()


@cache
def _own_car() -> Caster:
    """The carrying car in its own ego frame (rear axle at the origin): a small hatchback with rails along its roof."""
    body = CarBody(4.08, 1.73, 1.51, (0.3, 0.49), (0.83, 0.96), 0.95, axles=(0.2, 0.84), roof=0.62)
    shift = body.length * (body.axles[1] - 0.5)
    rails = mirrored([slab((0.1 - shift, 0.5, 1.4), (1.4 - shift, 0.53, 1.522), TRIM)])
    parts = (*car(body, (0.7, 0.7, 0.7)), *rails)
    thing = Thing("own car", "car", parts, compose(torch.eye(3), torch.tensor([shift, 0, 0])))
    return Caster(World("town", 0, (thing,), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)), num_threads=1)
