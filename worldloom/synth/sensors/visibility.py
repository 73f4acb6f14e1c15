"""How much of each annotated object the cameras see past everything else."""

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.geometry import apply
from worldloom.synth.cast import Caster
from worldloom.synth.world import Part

NUM_AIMS = 96  # rays at each object; shares are known to a few per cent
_LEVELS = (0.4, 0.6, 0.8)  # nuScenes: below 40 %, up to 60, up to 80, above
_PLASTIC = 1.324717957244746  # x^3 = x + 1: its inverse powers spread points evenly in the plane (Roberts' R2)


def visible_shares(
    caster: Caster, instances: Int[Tensor, " a"], world_from_cams: Float[Tensor, "v 4 4"]
) -> Float[Tensor, " a"]:
    """Share of the directions towards each thing in which it is the first that is met.

    Rays go to points spread evenly over its surface, from the camera that looks most nearly at its middle. A ray that
    ends on another part of the same thing sees it.

    Args:
        instances: numbers of things in the caster's world.
    """
    if not len(instances):
        return torch.zeros(0)
    origins, directions = [], []
    eyes, axes = world_from_cams[:, :3, 3].double(), world_from_cams[:, :3, 2].double()
    for i in instances.tolist():
        thing = caster.world.things[i]
        points = apply(thing.world_from_thing.double(), _aims(thing.parts))
        towards = torch.nn.functional.normalize(points.mean(0) - eyes, dim=-1)
        eye = eyes[(towards * axes).sum(-1).argmax()]
        origins.append(eye.expand_as(points))
        directions.append(points - eye)
    hits = caster.cast(torch.cat(origins), torch.cat(directions))
    met = torch.where(hits.found, caster.soup.thing_of(hits.face.clamp(min=0)), -1).view(len(instances), NUM_AIMS)
    return (met == instances[:, None]).double().mean(-1).float()


def visibility_level(shares: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """nuScenes' levels 1 to 4 of visible shares."""
    return 1 + torch.bucketize(shares, torch.tensor(_LEVELS), right=True)


def _aims(parts: tuple[Part, ...]) -> Float[Tensor, "p 3"]:
    return _cached_aims(_ByIdentity(parts))


class _ByIdentity:
    """Parts as a key: makers hand out the same tuple for the same thing, and tensors do not compare."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts  # kept, so that no other tuple gets its place in memory

    def __hash__(self) -> int:
        return id(self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.parts is other.parts


@cache
def _cached_aims(key: _ByIdentity) -> Float[Tensor, "p 3"]:
    """NUM_AIMS points spread evenly over all triangles, by area."""
    corners = torch.cat([part.vertices.double()[part.faces.long()] for part in key.parts])
    a, b, c = corners.unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1).cumsum(0)
    i = torch.arange(NUM_AIMS, dtype=torch.float64)
    face = torch.searchsorted(area, (i + 0.5) / NUM_AIMS * area[-1]).clamp(max=len(corners) - 1)
    u, v = (0.5 + i / _PLASTIC) % 1, (0.5 + i / _PLASTIC**2) % 1  # of the unit square, to be folded into a triangle
    u, v = torch.where(u + v > 1, 1 - u, u), torch.where(u + v > 1, 1 - v, v)
    return a[face] + u[:, None] * (b - a)[face] + v[:, None] * (c - a)[face]
