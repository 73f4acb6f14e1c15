"""All triangles of many things in a few flat tables, and whose each is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32, Shaped
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

    def thing_of(self, face: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        return self.thing[face]

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

    @cached_property
    def shining(self) -> Int[Tensor, " e"]:
        """Faces whose material shines."""
        if not self.materials:
            return torch.zeros(0, dtype=torch.int64)
        return (self.emission > 0).any(-1)[self.material].nonzero()[:, 0]

    @cached_property
    def normal_columns(self) -> Float32[np.ndarray, "3 m"]:
        """Unit normals of the faces, a row for each coordinate."""
        return np.ascontiguousarray(self.planes[:, :3].numpy().T, np.float32)

    @cached_property
    def material_numbers(self) -> Int32[np.ndarray, " m"]:
        return self.material.numpy().astype(np.int32)


class TwoSoups:
    """What stands, then what moves: numbers of faces, things and materials of the second soup follow on.

    The first may have millions of faces and serves many frames, so that its tables are looked up where they lie.
    """

    def __init__(self, first: Soup, second: Soup) -> None:
        self.first, self.second = first, second

    @property
    def num_faces(self) -> int:
        return self.first.num_faces + self.second.num_faces

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        return self.first.things + self.second.things

    @cached_property
    def materials(self) -> tuple[Material, ...]:
        return self.first.materials + self.second.materials

    @cached_property
    def world_from_thing(self) -> Float[Tensor, "t 3 4"]:
        return self._listed("world_from_thing", bool(self.first.things), bool(self.second.things))

    @cached_property
    def thing_from_world(self) -> Float[Tensor, "t 3 4"]:
        return self._listed("thing_from_world", bool(self.first.things), bool(self.second.things))

    @cached_property
    def semantic(self) -> Int[Tensor, " t"]:
        return torch.cat([self.first.semantic, self.second.semantic])

    @cached_property
    def mapped(self) -> Bool[Tensor, " t"]:
        return torch.cat([self.first.mapped, self.second.mapped])

    @cached_property
    def patterned(self) -> Bool[Tensor, " k"]:
        return torch.cat([self.first.patterned, self.second.patterned])

    @cached_property
    def colour(self) -> Float[Tensor, "k 3"]:
        return torch.cat([self.first.colour, self.second.colour])

    @cached_property
    def emission(self) -> Float[Tensor, "k 3"]:
        return torch.cat([self.first.emission, self.second.emission])

    @cached_property
    def roughness(self) -> Float[Tensor, " k"]:
        return torch.cat([self.first.roughness, self.second.roughness])

    @cached_property
    def metallic(self) -> Float[Tensor, " k"]:
        return torch.cat([self.first.metallic, self.second.metallic])

    def planes_of(self, face: Int[Tensor, " n"]) -> Float[Tensor, "n 4"]:
        return self._of(self.first.planes, self.second.planes, face)

    def thing_of(self, face: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        return self._of(self.first.thing, self.second.thing, face, len(self.first.things))

    def material_of(self, face: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        return self._of(self.first.material, self.second.material, face, len(self.first.materials))

    def smooth_of(self, face: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        return self._of(self.first.smooth, self.second.smooth, face)

    def corners_of(self, face: Int[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
        """Vertices of faces: (face, corner, xyz)."""
        return self._at_corners(face, "vertices")

    def corner_normals_of(self, face: Int[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
        """Vertex normals of faces: (face, corner, xyz)."""
        return self._at_corners(face, "vertex_normals")

    def normal_columns_of(self, face: Shaped[np.ndarray, " n"]) -> Float32[np.ndarray, "3 n"]:
        """Unit normals of faces, a row for each coordinate."""
        return self._columns_of(self.first.normal_columns, self.second.normal_columns, face)

    def material_numbers_of(self, face: Shaped[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        return self._columns_of(
            self.first.material_numbers, self.second.material_numbers, face, len(self.first.materials)
        )

    @cached_property
    def shining(self) -> Int[Tensor, " e"]:
        """Faces whose material shines."""
        return torch.cat([self.first.shining, self.second.shining + self.first.num_faces])

    def _listed(self, name: str, *there: bool) -> Tensor:
        pieces = [getattr(soup, name) for soup, some in zip((self.first, self.second), there, strict=True) if some]
        return torch.cat(pieces) if pieces else torch.zeros(0, 3, 4, dtype=torch.float64)

    def _of(self, first: Tensor, second: Tensor, face: Tensor, start: int = 0) -> Tensor:
        """Rows for faces; numbers in the second table count from `start`."""
        m = len(first)
        if not len(second):
            return first[face]
        if not m:
            return second[face] + start if start else second[face]
        later = (face >= m).nonzero()[:, 0]
        result = first[face.clamp(max=m - 1)]
        result[later] = second[face[later] - m] + start if start else second[face[later] - m]
        return result

    def _at_corners(self, face: Tensor, name: str) -> Tensor:
        m = self.first.num_faces
        result = torch.empty(len(face), 3, 3, dtype=getattr(self.first, name).dtype)
        for soup, at, start in (
            (self.first, (face < m).nonzero()[:, 0], 0),
            (self.second, (face >= m).nonzero()[:, 0], m),
        ):
            if len(at):
                result[at] = getattr(soup, name)[soup.faces[face[at] - start].long()]
        return result

    def _columns_of(self, first: np.ndarray, second: np.ndarray, face: np.ndarray, start: int = 0) -> np.ndarray:
        m = first.shape[-1]
        if not second.shape[-1]:
            return first.take(face, -1)
        if not m:
            return second.take(face, -1) + first.dtype.type(start)
        later = np.flatnonzero(face >= m)
        result = first.take(face, -1, mode="clip")
        result[..., later] = second.take(face[later] - m, -1) + first.dtype.type(start)
        return result


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
