"""Rays against a world: the first hit of each, and what the surface there is like.

Embree finds the triangle; everything a picture's truth depends on (distance, normal, colour) is then worked out here.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.synth.soup import Soup, TwoSoups, soup_from_things
from worldloom.synth.world import SEMANTICS, SKY, Material, Thing, World

CHUNK = 1 << 16  # rays at a time: few enough to stay in the cache, many enough to hide Python
FAR = np.float32(1e37)  # what Embree calls infinity


@dataclass(frozen=True)
class Hits:
    """First hits of n rays."""

    distance: Float[Tensor, " n"]  # metres along the unit direction; 0 where nothing was hit
    face: Int[Tensor, " n"]  # number of the triangle; -1 where nothing was hit
    barycentric: Float[Tensor, "n 2"]  # weights of the triangle's second and third vertex

    @property
    def found(self) -> Bool[Tensor, " n"]:
        return self.face >= 0


@dataclass(frozen=True)
class Surface:
    """What the surface is like at each of n hits; zeros, instance -1 and semantic SKY where nothing was hit."""

    points: Float[Tensor, "n 3"]  # world
    normal: Float[Tensor, "n 3"]  # unit, world, on the ray's side; interpolated between vertices where parts are smooth
    face_normal: Float[Tensor, "n 3"]  # unit, world, on the ray's side; the triangle's own
    albedo: Float[Tensor, "n 3"]  # linear, [0, 1]
    roughness: Float[Tensor, " n"]
    metallic: Float[Tensor, " n"]
    emission: Float[Tensor, "n 3"]  # radiance; 0 from behind
    instance: Int[Tensor, " n"]  # number of the thing in its world
    semantic: Int[Tensor, " n"]  # number in SEMANTICS


class Caster:
    """A world made ready for rays.

    Answers depend on the world alone: not on `num_threads`, not on which rays are asked together.
    """

    def __init__(self, world: World, num_threads: int | None = None) -> None:
        """`num_threads`: how many rays are followed at a time; by default as many as torch uses."""
        if num_threads is not None and num_threads < 1:
            raise InputError(f"expected num_threads of at least 1, got {num_threads}")
        self.world = world
        self.num_threads = num_threads or torch.get_num_threads()
        soup = soup_from_things(world.things)
        self.centre = _centre(soup)
        self._static = _Scene(soup, self.centre)
        self._moving = _Scene(soup_from_things(()), self.centre)

    def with_moving(self, things: Sequence[Thing]) -> "Caster":
        """The same world with more things in it, whose instance ids follow on; what stands is not built again."""
        caster = object.__new__(Caster)
        caster.world = replace(self.world, things=self.world.things + tuple(things))
        caster.num_threads, caster.centre, caster._static = self.num_threads, self.centre, self._static
        caster._moving = _Scene(soup_from_things(things), self.centre)
        return caster

    def cast(self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> Hits:
        """The nearest surface in front of each origin, from either side. Distances are exact to float64's rounding.

        Args:
            directions: of any length but zero; distances count metres.
        Raises:
            InputError: if a ray is not finite or has no direction.
        """
        o, d = _checked(origins, directions)
        distance, face = np.empty(len(o), d.dtype), np.empty(len(o), np.int64)
        barycentric = np.empty((len(o), 2), np.float32)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            self._nearest(o[part], d[part], (distance[part], face[part], barycentric[part]))

        self.in_chunks(len(o), work)
        return Hits(torch.from_numpy(distance), torch.from_numpy(face), torch.from_numpy(barycentric))

    def blocked(
        self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], limit: Float[Tensor, " n"] | float | int
    ) -> Bool[Tensor, " n"]:
        """Whether anything stands nearer than `limit` metres along each ray (inf: anywhere).

        Args:
            directions: of any length but zero.
        Raises:
            InputError: if a ray is not finite or has no direction, or a limit is NaN.
        """
        o, d = _checked(origins, directions)
        limits = torch.as_tensor(limit, dtype=torch.float32).expand(len(o)).numpy()
        if np.isnan(limits).any():
            raise InputError("expected limits in metres, got NaN")
        result = np.empty(len(o), bool)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            length = np.linalg.norm(d[part], axis=-1, keepdims=True)
            result[part] = self.occluded(
                (o[part] - self.centre).astype(np.float32), (d[part] / length).astype(np.float32), limits[part]
            )

        self.in_chunks(len(o), work)
        return torch.from_numpy(result)

    def surface(
        self,
        origins: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        hits: Hits,
        textures: bool | Literal["ground"] = True,
    ) -> Surface:
        """Points, normals and materials at the hits of these rays; without textures albedo is a material's mean.

        "ground" has the textures of things that are many at once, such as the ground with its paint, and no others.

        Raises:
            InputError: if a pattern or a `semantic_at` answers with another shape, or an id that is not in SEMANTICS.
        """
        n = len(hits.face)
        at = hits.found.nonzero()[:, 0]
        face = hits.face[at]
        soup = self.soup
        unit = torch.nn.functional.normalize(directions[at].float(), dim=-1)
        far = origins[at].double() + hits.distance[at, None].double() * _unit(directions[at].double())
        face_normal = soup.planes_of(face)[:, :3].float()
        behind = (face_normal * unit).sum(-1, keepdim=True) > 0
        face_normal = torch.where(behind, -face_normal, face_normal)
        normal = self._shading_normal(face, hits.barycentric[at], face_normal, unit)
        thing, material = soup.thing_of(face), soup.material_of(face)
        albedo = soup.colour[material]
        textured = soup.patterned
        if textures == "ground":
            textured = torch.zeros_like(soup.patterned)
            textured[material[soup.mapped[thing]]] = True
            textured &= soup.patterned
        for number, which in _groups(material, textured) if textures else ():
            pattern = soup.materials[number].pattern
            assert pattern is not None
            albedo[which] = _painted(pattern, soup, soup.materials[number], thing[which], far[which], face[which])
        semantic = soup.semantic[thing]
        for number, which in _groups(thing, soup.mapped):
            semantic[which] = _mapped(soup.things[number], far[which].float())

        def spread(values: Tensor, empty: float | int = 0) -> Tensor:
            if len(at) == n:
                return values
            full = values.new_full((n, *values.shape[1:]), empty)
            full[at] = values
            return full

        return Surface(
            points=spread(far.float()),
            normal=spread(normal),
            face_normal=spread(face_normal),
            albedo=spread(albedo),
            roughness=spread(soup.roughness[material]),
            metallic=spread(soup.metallic[material]),
            emission=spread(soup.emission[material] * ~behind),
            instance=spread(thing, -1),
            semantic=spread(semantic, SKY),
        )

    @cached_property
    def soup(self) -> TwoSoups:
        """All triangles with their materials: those that stand, then those that move."""
        return TwoSoups(self._static.soup, self._moving.soup)

    def in_chunks(self, num: int, work: Callable[[int, int], None], size: int = CHUNK) -> None:
        """Call work(start, stop) for the pieces of range(num), on as many threads as the caster has."""
        pieces = [(start, min(start + size, num)) for start in range(0, num, size)]
        if min(len(pieces), self.num_threads) < 2:
            for piece in pieces:
                work(*piece)
            return
        self._static.commit()
        self._moving.commit()
        with ThreadPoolExecutor(self.num_threads) as pool:
            for done in [pool.submit(work, *piece) for piece in pieces]:
                done.result()

    def intersected(
        self, origins: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Distance (FAR: none), triangle (-1), and barycentric u, v of float32 rays (n, 3) relative to `centre`."""
        t, face, u, v = self._static.intersected(origins, directions, None)
        if self._moving.soup.num_faces:
            t2, face2, u2, v2 = self._moving.intersected(origins, directions, t)
            nearer = face2 >= 0
            face2 = face2 + self._static.soup.num_faces
            t, face = np.where(nearer, t2, t), np.where(nearer, face2, face)
            u, v = np.where(nearer, u2, u), np.where(nearer, v2, v)
        return t, face, u, v

    def occluded(self, origins: np.ndarray, directions: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """Whether float32 rays (n, 3) relative to `centre` meet anything nearer than their limits."""
        result = self._static.occluded(origins, directions, limits)
        if self._moving.soup.num_faces:
            result |= self._moving.occluded(origins, directions, limits)
        return result

    def _nearest(self, o: np.ndarray, d: np.ndarray, out: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Fill in distances, faces and barycentrics; distances are those to the planes of triangles in float64.

        Coordinates are taken one by one: loops over rows of three are several times as slow.
        """
        distance, face, barycentric = out
        origin = [o[:, k].astype(np.float64) for k in range(3)]
        unit = [d[:, k].astype(np.float64) for k in range(3)]
        length = np.sqrt(_sum_of_products(unit, unit))
        origins, directions = np.empty((len(o), 3), np.float32), np.empty((len(o), 3), np.float32)
        farthest = np.zeros(len(o))
        for k in range(3):
            relative = origin[k] - self.centre[k]
            origins[:, k] = relative
            np.maximum(farthest, np.abs(relative, out=relative), out=farthest)
            unit[k] /= length
            directions[:, k] = unit[k]
        t, face[:], u, v = self.intersected(origins, directions)
        barycentric[:, 0], barycentric[:, 1] = u, v
        missed = np.flatnonzero(face < 0)
        if len(missed) == len(face):
            distance[:], barycentric[:] = 0, 0
            return
        plane = self.soup.planes_of(torch.from_numpy(face).clamp(min=0) if len(missed) else torch.from_numpy(face))
        *normal, offset = plane.numpy().T
        towards = _sum_of_products(normal, unit)
        # A ray along its triangle says little about where it meets the plane; then Embree's answer bounds ours.
        towards[np.abs(towards) < 1e-12] = 1e-12
        exact = offset - _sum_of_products(normal, origin)
        exact /= towards
        farthest += t
        slack = np.multiply(farthest, 1e-5, out=farthest)
        slack += 1e-5
        np.minimum(np.maximum(exact, t - slack, out=exact), t + slack, out=exact)
        distance[:] = np.maximum(exact, 0, out=exact)
        distance[missed], barycentric[missed] = 0, 0

    def _shading_normal(
        self,
        face: Int[Tensor, " n"],
        barycentric: Float[Tensor, "n 2"],
        face_normal: Float[Tensor, "n 3"],
        unit: Float[Tensor, "n 3"],
    ) -> Float[Tensor, "n 3"]:
        """Normals on the ray's side; those of smooth parts are interpolated."""
        soup = self.soup
        at = soup.smooth_of(face).nonzero()[:, 0]
        if not len(at):
            return face_normal
        corners = soup.corner_normals_of(face[at])
        u, v = barycentric[at].unbind(-1)
        weights = torch.stack([1 - u - v, u, v], -1)
        normal = torch.nn.functional.normalize((weights[..., None] * corners).sum(1), dim=-1)
        normal = torch.where((normal * face_normal[at]).sum(-1, keepdim=True) < 0, -normal, normal)
        # Near a silhouette an interpolated normal can look away from the eye; it is turned until it just does not.
        away = (normal * unit[at]).sum(-1, keepdim=True).clamp(min=0)
        result = face_normal.clone()
        result[at] = torch.nn.functional.normalize(normal - 1.001 * away * unit[at], dim=-1)
        return result


class _Scene:
    """Triangles in Embree."""

    def __init__(self, soup: Soup, centre: np.ndarray) -> None:
        rtcore = require("embreex.rtcore", "synth", "casting rays into worlds")
        rtcore_scene = require("embreex.rtcore_scene", "synth", "casting rays into worlds")
        meshes = require("embreex.mesh_construction", "synth", "casting rays into worlds")
        self.soup = soup
        self._device = rtcore.EmbreeDevice()
        self._scene: Any = rtcore_scene.EmbreeScene(self._device)
        self._committed = False
        if soup.num_faces:
            vertices = (soup.vertices.numpy() - centre).astype(np.float32)
            # One mesh for all parts: thousands of small ones are slower to build and to traverse.
            meshes.TriangleMesh(self._scene, vertices, soup.faces.numpy())

    def commit(self) -> None:
        """Build the tree now, before several threads ask for it at once."""
        if not self._committed:
            self._scene.run(np.zeros((1, 3), np.float32), np.array([[0, 0, 1]], np.float32), query="OCCLUDED")
            self._committed = True

    def intersected(
        self, origins: np.ndarray, directions: np.ndarray, limits: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        found = self._scene.run(origins, directions, query="INTERSECT", output=1, dists=limits)
        return found["tfar"], found["primID"], found["u"], found["v"]

    def occluded(self, origins: np.ndarray, directions: np.ndarray, limits: np.ndarray) -> np.ndarray:
        return self._scene.run(origins, directions, query="OCCLUDED", dists=limits) >= 0


def _centre(soup: Soup) -> np.ndarray:
    """The middle of the box about all triangles: float32 is finest about its origin."""
    if not soup.num_faces:
        return np.zeros(3)
    vertices = soup.vertices.numpy()
    return (vertices.min(0) + vertices.max(0)) / 2


def _checked(origins: Tensor, directions: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if len(origins) != len(directions):
        raise InputError(f"expected one direction per origin, got {len(origins)} origins, {len(directions)} directions")
    if len(directions) and not (_finite(origins) and _finite(directions) and not _any_zero(directions)):
        raise InputError("expected finite rays with directions other than zero, got NaN, infinity or a zero direction")
    return origins.numpy(), directions.numpy()


def _finite(rays: Float[Tensor, "n 3"]) -> bool:
    low, high = torch.aminmax(rays)  # in one pass; NaN spreads
    return math.isfinite(low) and math.isfinite(high)


def _any_zero(directions: Float[Tensor, "n 3"]) -> bool:
    x, y, z = directions.unbind(-1)
    return bool(((x == 0) & (y == 0) & (z == 0)).any())


def _sum_of_products(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Of columns; not by einsum, whose rounding depends on where in the array a row lies."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    return directions / directions.norm(dim=-1, keepdim=True)


def _groups(numbers: Int[Tensor, " n"], wanted: Tensor) -> list[tuple[int, Int[Tensor, " m"]]]:
    """For each wanted number that occurs, where; in ascending order of the numbers."""
    at = wanted[numbers].nonzero()[:, 0]
    order = at[torch.argsort(numbers[at], stable=True)]
    ids, counts = torch.unique_consecutive(numbers[order], return_counts=True)
    return list(zip(ids.tolist(), order.split(counts.tolist()), strict=True))


def _painted(
    pattern: Callable[..., Tensor],
    soup: TwoSoups,
    material: Material,
    thing: Int[Tensor, " n"],
    points: Float[Tensor, "n 3"],
    face: Int[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """The pattern's albedo at world points, asked in the frames of their things."""
    thing_from_world = soup.thing_from_world[thing]  # n 3 4, float64
    local = (thing_from_world[:, :, :3] @ points[..., None])[..., 0] + thing_from_world[:, :, 3]
    rotation = soup.world_from_thing[thing][:, :, :3]
    normals = torch.nn.functional.normalize((rotation.mT @ soup.planes_of(face)[:, :3, None])[..., 0], dim=-1)
    # To the micrometre: on a face that lies in a border between two cells of the pattern, noise would pick the cell.
    albedo = pattern((local * 1e6).round().div(1e6).float(), normals.float())
    if albedo.shape != points.shape:
        raise InputError(
            f"expected the pattern of {material.name!r} to give {tuple(points.shape)}, got {tuple(albedo.shape)}"
        )
    return albedo.float().clamp(0, 1)


def _mapped(thing: Thing, points: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    assert thing.semantic_at is not None
    ids = thing.semantic_at(points)
    if ids.shape != points.shape[:1] or int(ids.min()) < 0 or int(ids.max()) >= len(SEMANTICS):
        raise InputError(
            f"expected semantic_at of {thing.name!r} to give {len(points)} ids below {len(SEMANTICS)}, "
            f"got {tuple(ids.shape)} from {int(ids.min())} to {int(ids.max())}"
        )
    return ids.long()
