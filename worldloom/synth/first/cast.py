"""Rays against things: the exact first hit, its normal and whose it is."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.synth.first.solids import Box, Solid, Thing

CHUNK = 1 << 15  # rays at a time: their working set stays in the second-level cache


@dataclass(frozen=True)
class Hits:
    """First hits of n rays."""

    distance: Float[Tensor, " n"]  # metres along the unit direction; inf where nothing was hit
    solid: Int[Tensor, " n"]  # number of the solid over all things in order; -1 where nothing was hit
    instance: Int[Tensor, " n"]  # number of the thing; -1 where nothing was hit

    @property
    def found(self) -> Bool[Tensor, " n"]:
        return self.solid >= 0


class World:
    """Things made ready for casting: each is first tried by the box around it."""

    def __init__(self, things: tuple[Thing, ...]) -> None:
        self.things = things
        self.solids = tuple(solid for thing in things for solid in thing.solids)
        self.instances = torch.tensor([i for i, thing in enumerate(things) for _ in thing.solids])
        self._bounds = [_around(thing.solids) for thing in things]

    def cast(self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], limit: float = torch.inf) -> Hits:
        """The nearest surface in front of each origin and nearer than `limit`, in the dtype of the rays.

        From inside a solid, that is its far side.
        """
        distance, solid = self._sweep(origins, directions, torch.full_like(origins[:, 0], limit), any_hit=False)
        found = solid >= 0
        return Hits(
            distance.masked_fill(~found, torch.inf), solid, torch.where(found, self.instances[solid.clamp(min=0)], -1)
        )

    def blocked(
        self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], limit: Float[Tensor, " n"]
    ) -> Bool[Tensor, " n"]:
        """Whether anything stands nearer than `limit` along each ray."""
        return self._sweep(origins, directions, limit.clone(), any_hit=True)[1] >= 0

    def normals(
        self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], hits: Hits
    ) -> Float[Tensor, "n 3"]:
        """Unit surface normals at the hits, turned towards the ray's origin; zero where nothing was hit."""
        normals = torch.zeros_like(directions)
        for i, solid, at in self.by_solid(hits):
            del i
            point = solid.inward((origins[at] + hits.distance[at, None] * directions[at]).T)
            normals[at] = (solid.world_from_solid[:3, :3].to(point) @ solid.shape.normal(point)).T
        return torch.where((normals * directions).sum(-1, keepdim=True) > 0, -normals, normals)

    def by_solid(self, hits: Hits) -> list[tuple[int, Solid, Int[Tensor, " m"]]]:
        """The hit solids, each with the numbers of its rays."""
        order = torch.argsort(hits.solid, stable=True)
        ids, counts = torch.unique_consecutive(hits.solid[order], return_counts=True)
        parts = order.split(counts.tolist())
        return [(i, self.solids[i], at) for i, at in zip(ids.tolist(), parts, strict=True) if i >= 0]

    def _sweep(
        self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], best: Float[Tensor, " n"], any_hit: bool
    ) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
        solid = torch.full(best.shape, -1, dtype=torch.int64)
        for start in range(0, len(origins), CHUNK):
            part = slice(start, start + CHUNK)
            self._sweep_chunk(
                origins[part].T.contiguous(), directions[part].T.contiguous(), best[part], solid[part], any_hit
            )
        return best, solid

    def _sweep_chunk(
        self,
        origin: Float[Tensor, "3 n"],
        direction: Float[Tensor, "3 n"],
        best: Float[Tensor, " n"],
        solid: Int[Tensor, " n"],
        any_hit: bool,
    ) -> None:
        """Bring `best` and `solid` up to date, in place."""
        number = 0
        for thing, (centre, bound) in zip(self.things, self._bounds, strict=True):
            enter, leave = bound.spans(origin - centre.to(origin)[:, None], direction)
            at = ((enter <= leave) & (leave > 0) & (enter < best)).nonzero()[:, 0]
            if len(at):
                o, d, nearest, whose = origin[:, at], direction[:, at], best[at], solid[at]
                for i, part in enumerate(thing.solids, start=number):
                    enter, leave = part.shape.spans(part.inward(o), part.turn(d))
                    distance = torch.where(enter > 0, enter, leave)
                    nearer = (enter <= leave) & (distance > 0) & (distance < nearest)
                    nearest = torch.where(nearer, distance, nearest)
                    whose = torch.where(nearer, i, whose)
                # One obstacle is enough for a shadow: such a ray need not meet the things that follow.
                best[at] = torch.where(whose >= 0, -torch.inf, nearest) if any_hit else nearest
                solid[at] = whose
            number += len(thing.solids)


def _around(solids: tuple[Solid, ...]) -> tuple[Float[Tensor, "3"], Box]:
    """Centre and size of the axis-aligned box around all of them, a hair larger so that faces in it are kept."""
    corners = [solid.bounds() for solid in solids]
    low = torch.stack([c[0] for c in corners]).amin(0)
    high = torch.stack([c[1] for c in corners]).amax(0)
    x, y, z = ((high - low) * (1 + 1e-5) + 1e-5).tolist()
    return (low + high) / 2, Box((x, y, z))
