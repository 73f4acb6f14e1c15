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

_AT_ONCE = 1 << 16  # vertices placed together


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
    numbers: dict[int, int] = {}  # id of a material -> its number
    materials: list[Material] = []
    shapes: dict[int, _Shape] = {}  # id of the parts -> what all things made of them share
    placed: dict[int, list[int]] = {}  # id of the parts -> numbers of those things
    for i, thing in enumerate(things):
        key = id(thing.parts)
        if key not in shapes:
            shapes[key] = _shape(thing, numbers, materials)
        placed.setdefault(key, []).append(i)
    ours = [shapes[id(thing.parts)] for thing in things]
    vertex_starts = np.cumsum([0, *(len(shape.vertices) for shape in ours)])
    face_starts = np.cumsum([0, *(len(shape.faces) for shape in ours)])
    vertices, normals = np.empty((vertex_starts[-1], 3)), np.zeros((vertex_starts[-1], 3), np.float32)
    for key, members in placed.items():
        shape, n = shapes[key], len(shapes[key].vertices)
        step = max(1, _AT_ONCE // max(n, 1))
        for first in range(0, len(members), step):
            some = members[first : first + step]
            points = _placed(shape.vertices, [things[i].world_from_thing for i in some])
            bent = _vertex_normals(points, shape.smooth_faces) if len(shape.smooth_faces) else None
            for k, i in enumerate(some):
                vertices[vertex_starts[i] : vertex_starts[i] + n] = points[k]
                if bent is not None:
                    normals[vertex_starts[i] : vertex_starts[i] + n] = bent[k]
    if not np.isfinite(vertices).all():
        bad = int(np.flatnonzero(~np.isfinite(vertices).all(1))[0])
        name = things[int(np.searchsorted(vertex_starts, bad, side="right")) - 1].name
        raise InputError(f"expected finite vertices and pose in {name!r}, got NaN or infinity")

    def joined(name: str, dtype: type, *rest: int) -> np.ndarray:
        return np.concatenate([np.zeros((0, *rest), dtype), *(getattr(shape, name) for shape in ours)])

    counts = np.diff(face_starts)
    triangles = joined("faces", np.int32, 3)
    triangles += np.repeat(vertex_starts[:-1], counts)[:, None].astype(np.int32)
    corners, faces = torch.from_numpy(vertices), torch.from_numpy(triangles)
    return Soup(
        tuple(things),
        tuple(materials),
        corners,
        torch.from_numpy(normals),
        faces,
        _planes(corners, faces),
        torch.from_numpy(np.repeat(np.arange(len(things)), counts)),
        torch.from_numpy(joined("material", np.int64)),
        torch.from_numpy(joined("smooth", np.bool_)),
    )


@dataclass(frozen=True)
class _Shape:
    """All parts of a thing as one mesh, in the thing's frame."""

    vertices: np.ndarray  # n 3, float64
    faces: np.ndarray  # m 3, int32
    material: np.ndarray  # m, int64
    smooth: np.ndarray  # m, bool
    smooth_faces: Int[Tensor, "s 3"]


def _shape(thing: Thing, numbers: dict[int, int], materials: list[Material]) -> _Shape:
    """The shape of a thing; materials that are new get the next numbers."""
    parts = [part for part in thing.parts if len(part.faces)]
    vertices, faces, look, start = [np.zeros((0, 3))], [np.zeros((0, 3), np.int32)], [], 0
    for part in parts:
        triangles = part.faces.numpy()
        low, high, n = int(triangles.min()), int(triangles.max()), len(part.vertices)
        if low < 0 or high >= n:
            raise InputError(f"expected faces of {thing.name!r} to name {n} vertices, got {low}..{high}")
        number = numbers.setdefault(id(part.material), len(materials))
        if number == len(materials):
            materials.append(part.material)
        vertices.append(part.vertices.numpy())
        faces.append(triangles + start)
        look.append(number)
        start += n
    counts = np.array([len(part.faces) for part in parts], np.int64)
    triangles = np.concatenate(faces).astype(np.int32)
    smooth = np.repeat(np.array([part.smooth for part in parts], bool), counts)
    return _Shape(
        np.concatenate(vertices).astype(np.float64),
        triangles,
        np.repeat(np.array(look, np.int64), counts),
        smooth,
        torch.from_numpy(triangles[smooth].astype(np.int64)),
    )


def _placed(vertices: np.ndarray, world_from_thing: Sequence[Tensor]) -> np.ndarray:
    """Vertices (t, n, 3) in the world; summed by hand, as products of matrices round by how many there are."""
    poses = torch.stack(list(world_from_thing)).double().numpy()[:, None]  # t 1 4 4
    x, y, z = vertices.T[:, :, None]  # n 1
    return x * poses[..., :3, 0] + y * poses[..., :3, 1] + z * poses[..., :3, 2] + poses[..., :3, 3]


def _vertex_normals(points: np.ndarray, faces: Int[Tensor, "m 3"]) -> np.ndarray:
    """Mean of the faces around each vertex (t, n, 3), weighted by their areas."""
    there = torch.from_numpy(points)
    a, b, c = (there.index_select(1, corner) for corner in faces.unbind(1))
    doubled = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(there)
    for corner in faces.unbind(1):
        total.index_add_(1, corner, doubled)
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-300).numpy()


def _planes(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"]) -> Float[Tensor, "m 4"]:
    a, b, c = vertices[faces.long()].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-300)
    return torch.cat([normal, (normal * a).sum(-1, keepdim=True)], dim=-1)
