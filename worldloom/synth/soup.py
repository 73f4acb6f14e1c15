"""All triangles of many things in a few flat tables, and whose each is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.errors import InputError
from worldloom.synth.world import SEMANTICS, Material, Thing


@dataclass(frozen=True)
class Soup:
    """Triangles in the world's frame; each face knows its thing and its material by number."""

    things: tuple[Thing, ...]
    materials: tuple[Material, ...]
    vertices: Float[Tensor, "n 3"]  # float64
    vertex_normals: Float[Tensor, "n 3"]  # unit, float32; zero in parts that are not smooth
    faces: Int[Tensor, "m 3"]  # int32
    planes: Float[Tensor, "m 4"]  # unit normal n of counter-clockwise corners and offset n . p, float64
    thing: Int[Tensor, " m"]
    material: Int[Tensor, " m"]
    smooth: Bool[Tensor, " m"]

    @property
    def num_faces(self) -> int:
        return len(self.faces)

    @cached_property
    def world_from_thing(self) -> Float[Tensor, "t 3 4"]:
        return torch.stack([thing.world_from_thing[:3].double() for thing in self.things])

    @cached_property
    def thing_from_world(self) -> Float[Tensor, "t 3 4"]:
        matrices = torch.stack([thing.world_from_thing.double() for thing in self.things])
        return torch.linalg.inv(matrices)[:, :3].contiguous()

    @cached_property
    def semantic(self) -> Int[Tensor, " t"]:
        return torch.tensor([SEMANTICS.index(thing.semantic) for thing in self.things], dtype=torch.int64)

    @cached_property
    def mapped(self) -> Bool[Tensor, " t"]:
        """Which things say what is where."""
        return torch.tensor([thing.semantic_at is not None for thing in self.things], dtype=torch.bool)

    @cached_property
    def patterned(self) -> Bool[Tensor, " k"]:
        """Which materials differ from place to place."""
        return torch.tensor([material.pattern is not None for material in self.materials], dtype=torch.bool)

    @cached_property
    def colour(self) -> Float[Tensor, "k 3"]:
        return torch.tensor([material.colour for material in self.materials], dtype=torch.float32).reshape(-1, 3)

    @cached_property
    def emission(self) -> Float[Tensor, "k 3"]:
        return torch.tensor([material.emission for material in self.materials], dtype=torch.float32).reshape(-1, 3)

    @cached_property
    def roughness(self) -> Float[Tensor, " k"]:
        return torch.tensor([material.roughness for material in self.materials], dtype=torch.float32)

    @cached_property
    def metallic(self) -> Float[Tensor, " k"]:
        return torch.tensor([material.metallic for material in self.materials], dtype=torch.float32)

    def followed_by(self, other: "Soup") -> "Soup":
        """These triangles, then those of another soup with its things and materials numbered on."""
        if not other.things:
            return self
        if not self.things:
            return other
        joined = Soup(
            self.things + other.things,
            self.materials + other.materials,
            torch.cat([self.vertices, other.vertices]),
            torch.cat([self.vertex_normals, other.vertex_normals]),
            torch.cat([self.faces, other.faces + len(self.vertices)]),
            torch.cat([self.planes, other.planes]),
            torch.cat([self.thing, other.thing + len(self.things)]),
            torch.cat([self.material, other.material + len(self.materials)]),
            torch.cat([self.smooth, other.smooth]),
        )
        # What stands is known already, and followed by others in every frame: only what follows is worked out.
        for name in ("planes", "world_from_thing", "thing_from_world"):
            joined.__dict__[name] = torch.cat([getattr(self, name), getattr(other, name)])
        return joined


def soup_from_things(things: Sequence[Thing]) -> Soup:
    """The triangles of things in their order.

    Raises:
        InputError: if a thing's vertices or pose are not finite, or its faces name vertices that are not there.
    """
    vertices, normals, faces, owner, look, smooth = [], [], [], [], [], []
    numbers: dict[int, int] = {}  # id of a material -> its number
    materials: list[Material] = []
    start = 0
    for i, thing in enumerate(things):
        rotation, shift = thing.world_from_thing[:3, :3].double(), thing.world_from_thing[:3, 3].double()
        for part in thing.parts:
            if not len(part.faces):
                continue
            points = part.vertices.double() @ rotation.T + shift
            if not bool(torch.isfinite(points).all()):
                raise InputError(f"expected finite vertices and pose in {thing.name!r}, got NaN or infinity")
            low, high = int(part.faces.min()), int(part.faces.max())
            if low < 0 or high >= len(points):
                raise InputError(f"expected faces of {thing.name!r} to name {len(points)} vertices, got {low}..{high}")
            number = numbers.setdefault(id(part.material), len(materials))
            if number == len(materials):
                materials.append(part.material)
            m = len(part.faces)
            vertices.append(points.numpy())
            normals.append(_vertex_normals(points, part.faces.long()) if part.smooth else np.zeros((len(points), 3)))
            faces.append(part.faces.numpy() + start)
            owner.append(np.full(m, i))
            look.append(np.full(m, number))
            smooth.append(np.full(m, part.smooth))
            start += len(points)

    def table(pieces: list[np.ndarray], dtype: type, *shape: int) -> Tensor:
        return torch.from_numpy(np.concatenate([np.zeros((0, *shape)), *pieces]).astype(dtype))

    corners, triangles = table(vertices, np.float64, 3), table(faces, np.int32, 3)
    return Soup(
        tuple(things),
        tuple(materials),
        corners,
        table(normals, np.float32, 3),
        triangles,
        _planes(corners, triangles),
        table(owner, np.int64),
        table(look, np.int64),
        table(smooth, np.bool_),
    )


def _vertex_normals(points: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"]) -> np.ndarray:
    """Mean of the faces around each vertex, weighted by their areas."""
    a, b, c = points[faces].unbind(1)
    doubled = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points).index_add_(0, faces.flatten(), doubled.repeat_interleave(3, 0))
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-300).numpy()


def _planes(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"]) -> Float[Tensor, "m 4"]:
    a, b, c = vertices[faces.long()].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-300)
    return torch.cat([normal, (normal * a).sum(-1, keepdim=True)], dim=-1)
