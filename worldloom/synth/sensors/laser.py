"""What a LiDAR on a driving car gathers of the world around it, sweep after sweep."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES, rotz
from worldloom.synth.cast import Caster
from worldloom.synth.occ3d_labels import labels_on
from worldloom.synth.sensors.rig import Rig

VEGETATION = OCC3D_CLASSES.index("vegetation")


@dataclass(frozen=True)
class Returns:
    """Which beams come back, and how exactly."""

    half_range: float = 55.0  # metres from which every other beam comes back; from near, all do
    max_range: float = 70.0  # metres beyond which none does
    noise: float = 0.03  # standard deviation of the range, metres
    foliage: float = 0.6  # mean way that beams go on behind the first leaves of a crown, metres


def sweep_poses(world_from_ego: Float[Tensor, "t 4 4"], spacing: float) -> Float[Tensor, "s 4 4"]:
    """The poses of a path at which the car has driven `spacing` metres since the one before; the first and the last."""
    kept = [0]
    place = world_from_ego[:, :3, 3].double()
    for i in range(1, len(place)):
        if float((place[i] - place[kept[-1]]).norm()) >= spacing:
            kept.append(i)
    if kept[-1] != len(place) - 1:
        kept.append(len(place) - 1)
    return world_from_ego[kept]


def lidar_eyes(world_from_ego: Float[Tensor, "t 4 4"], rig: Rig) -> Float[Tensor, "t 3"]:
    """Where the LiDAR is in the world, float64."""
    return (world_from_ego.double() @ rig.ego_from_lidar.double())[:, :3, 3]


def laser_points(
    caster: Caster, world_from_ego: Float[Tensor, "t 4 4"], rig: Rig, seed: int, model: Returns
) -> tuple[Float[Tensor, "n 3"], UInt8[Tensor, " n"]]:
    """Where the beams of t sweeps end in the world, and the Occ3D labels there.

    A beam that ends at range r comes back with probability 1 / (1 + (r / half_range)^4); its range is noisy. Into
    foliage it goes deeper than the first leaves, by an exponentially distributed way that ends within the crown.
    """
    generator = torch.Generator().manual_seed(seed)
    beams = rig.beams()
    points, labels = [], []
    for pose in world_from_ego.double():
        world_from_lidar = pose @ rig.ego_from_lidar.double()
        # Each turn starts anywhere, so that sweeps from one place fill each other's gaps.
        turn = 2 * torch.pi / rig.num_azimuths * torch.rand((), generator=generator, dtype=torch.float64)
        directions = beams @ (world_from_lidar[:3, :3] @ rotz(turn)).T
        origins = world_from_lidar[:3, 3].expand_as(directions).contiguous()
        hits = caster.cast(origins, directions)
        luck = torch.rand(len(beams), generator=generator, dtype=torch.float64)
        noise = model.noise * torch.randn(len(beams), generator=generator, dtype=torch.float64)
        r = hits.distance.double()
        back = hits.found & (r < model.max_range) & (luck < 1 / (1 + (r / model.half_range) ** 4))
        at = back.nonzero()[:, 0]
        directions, ends = directions[at], origins[at] + directions[at] * r[at, None]
        label = labels_on(caster.soup, hits.face[at], ends)
        deeper = model.foliage * -torch.rand(len(beams), generator=generator, dtype=torch.float64).log()[at]
        leaves = (label == VEGETATION).nonzero()[:, 0]
        ends[leaves] += directions[leaves] * _room(caster, ends[leaves], directions[leaves], deeper[leaves])[:, None]
        labels.append(label)
        points.append(ends + directions * noise[at, None])
    return torch.cat(points), torch.cat(labels)


def _room(
    caster: Caster, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], way: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """How far of `way` one can go behind the surface of a crown before one leaves it; 0 where nothing of it follows."""
    hits = caster.cast(points + 0.02 * directions, directions)
    found = hits.found.nonzero()[:, 0]
    label = labels_on(caster.soup, hits.face[found], points[found])
    room = torch.zeros(len(points), dtype=torch.float64)
    room[found] = torch.where(label == VEGETATION, hits.distance[found].double(), 0.0)
    return torch.minimum(room, way)
