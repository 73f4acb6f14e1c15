"""Convex solids with exact ray intersections, and things put together from them.

Inside this file points and directions are `3 n`, one row per axis: the rows are contiguous, which is what a CPU likes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry import compose

Number = float | int  # shape checkers read a bare `float` literally
Triple = tuple[Number, Number, Number]
Spans = tuple[Float[Tensor, " n"], Float[Tensor, " n"]]  # where a line enters and leaves; enter > leave where it misses


@dataclass(frozen=True)
class Box:
    """A box of full size (x, y, z) about the origin."""

    size: Triple

    @property
    def half(self) -> Triple:
        return (self.size[0] / 2, self.size[1] / 2, self.size[2] / 2)

    def spans(self, origin: Float[Tensor, "3 n"], direction: Float[Tensor, "3 n"]) -> Spans:
        """Slab by slab: the line is inside where it is inside all three."""
        enter, leave = _slab(origin[0], direction[0], self.half[0])
        for axis in (1, 2):
            near, far = _slab(origin[axis], direction[axis], self.half[axis])
            enter, leave = torch.maximum(enter, near), torch.minimum(leave, far)
        return enter, leave

    def normal(self, point: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        """Outward normal of the face nearest to each point."""
        depth = point.abs() - point.new_tensor(self.half)[:, None]
        face = torch.nn.functional.one_hot(depth.argmax(0), 3).T.to(point)
        return torch.where(point < 0, -face, face)

    def contains(self, point: Float[Tensor, "3 n"]) -> Bool[Tensor, " n"]:
        return (point.abs() <= point.new_tensor(self.half)[:, None]).all(0)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with semi-axes (x, y, z) about the origin; equal ones make a sphere."""

    half: Triple

    def spans(self, origin: Float[Tensor, "3 n"], direction: Float[Tensor, "3 n"]) -> Spans:
        """Roots about the point of closest approach, which keeps the digits that b^2 - ac would cancel."""
        scale = 1 / origin.new_tensor(self.half)[:, None]
        o, d = origin * scale, direction * scale
        a = (d * d).sum(0)
        closest = -(o * d).sum(0) / a
        p = o + closest * d
        inside = 1 - (p * p).sum(0)
        reach = (inside.clamp(min=0) / a).sqrt()
        missed = inside < 0
        return (closest - reach).masked_fill(missed, math.inf), (closest + reach).masked_fill(missed, -math.inf)

    def normal(self, point: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        return torch.nn.functional.normalize(point / point.new_tensor(self.half)[:, None] ** 2, dim=0)

    def contains(self, point: Float[Tensor, "3 n"]) -> Bool[Tensor, " n"]:
        return ((point / point.new_tensor(self.half)[:, None]) ** 2).sum(0) <= 1


@dataclass(frozen=True)
class Frustum:
    """A round tower along z about the origin: a cylinder where the two radii are equal, a cone where the top is 0."""

    bottom: Number  # radius
    top: Number  # radius
    height: Number

    @property
    def half(self) -> Triple:
        radius = max(self.bottom, self.top)
        return (radius, radius, self.height / 2)

    def radius(self, z: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return self.bottom + (self.top - self.bottom) * (z / self.height + 0.5)

    def spans(self, origin: Float[Tensor, "3 n"], direction: Float[Tensor, "3 n"]) -> Spans:
        """Inside the slab |z| <= height / 2 and inside x^2 + y^2 = radius(z)^2, a quadratic in the distance."""
        slope = (self.top - self.bottom) / self.height
        o_r, d_r = self.radius(origin[2]), slope * direction[2]
        a = direction[0] ** 2 + direction[1] ** 2 - d_r**2
        a = torch.where(a.abs() < 1e-9, torch.full_like(a, 1e-9), a)  # along the mantle: one root moves far away
        b = origin[0] * direction[0] + origin[1] * direction[1] - o_r * d_r
        c = origin[0] ** 2 + origin[1] ** 2 - o_r**2
        discriminant = b * b - a * c
        root = discriminant.clamp(min=0).sqrt() / a.abs()
        middle, missed, steep = -b / a, discriminant < 0, a < 0
        near, far = (middle - root).masked_fill(missed, math.inf), (middle + root).masked_fill(missed, -math.inf)
        # A line steeper than the mantle is inside beyond one of its roots: on the side where the radius grows.
        grows = d_r > 0
        enter, leave = _slab(origin[2], direction[2], self.height / 2)
        near, far = (
            torch.where(steep, torch.where(grows, middle + root, -torch.inf), near),
            torch.where(steep, torch.where(grows, torch.inf, middle - root), far),
        )
        return torch.maximum(enter, near), torch.minimum(leave, far)

    def normal(self, point: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        """Outward normal of the mantle or of a lid, whichever is nearer."""
        slope = (self.top - self.bottom) / self.height
        rho = point[:2].norm(dim=0).clamp(min=1e-12)
        mantle = torch.stack([point[0] / rho, point[1] / rho, torch.full_like(rho, -slope)]) / math.hypot(1, slope)
        lid = torch.stack([torch.zeros_like(rho), torch.zeros_like(rho), point[2].sign()])
        on_lid = point[2].abs() - self.height / 2 > (rho - self.radius(point[2])) / math.hypot(1, slope)
        return torch.where(on_lid, lid, mantle)

    def contains(self, point: Float[Tensor, "3 n"]) -> Bool[Tensor, " n"]:
        return (point[2].abs() <= self.height / 2) & (point[:2].norm(dim=0) <= self.radius(point[2]))


def _slab(origin: Float[Tensor, " n"], direction: Float[Tensor, " n"], half: float) -> Spans:
    """Where a line is within |coordinate| <= half. A line along the slab divides by zero: +-inf is the right answer."""
    inverse = 1 / direction
    one, two = (-half - origin) * inverse, (half - origin) * inverse
    return torch.minimum(one, two), torch.maximum(one, two)


Shape = Box | Ellipsoid | Frustum
Pattern = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]


@dataclass(frozen=True)
class Material:
    """How a surface looks: diffuse `colour` in linear light, a `pattern` of it, gloss and glow."""

    colour: Triple  # mean albedo; what far bounces see
    pattern: Pattern | None = None  # albedo at points of the solid's frame; None is flat colour
    gloss: float = 0.0  # mirror reflectance at normal incidence, 0.04 is varnish
    glow: float = 0.0  # emitted radiance over `colour`


@dataclass(frozen=True)
class Solid:
    """One shape, placed."""

    shape: Shape
    world_from_solid: Float[Tensor, "4 4"]
    material: Material

    def bounds(self) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
        """Corners of an axis-aligned box around it."""
        reach = self.world_from_solid[:3, :3].abs() @ torch.tensor(self.shape.half)
        return self.world_from_solid[:3, 3] - reach, self.world_from_solid[:3, 3] + reach

    def contains(self, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Which world points lie in the solid, its surface included."""
        return self.shape.contains(self.inward(points.T))

    def inward(self, points: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        """World points in the solid's frame."""
        return self.turn(points - self.world_from_solid[:3, 3].to(points)[:, None])

    def turn(self, directions: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
        """World directions in the solid's frame."""
        return self.world_from_solid[:3, :3].T.to(directions) @ directions


@dataclass(frozen=True)
class Thing:
    """One object made of solids: a table, a car. Its number in a list of things is its instance id."""

    name: str
    solids: tuple[Solid, ...]


def turned(yaw: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0) -> Float[Tensor, "3 3"]:
    """Rotation Rz(yaw) Ry(pitch) Rx(roll); positive pitch lowers the x axis."""
    cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (math.cos, math.sin))
    return torch.tensor(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def put(
    shape: Shape,
    centre: Triple,
    material: Material,
    yaw: Number = 0.0,
    pitch: Number = 0.0,
    roll: Number = 0.0,
) -> Solid:
    """`shape` with its centre at `centre`, turned by roll, then pitch, then yaw."""
    return Solid(shape, compose(turned(yaw, pitch, roll), torch.tensor(centre, dtype=torch.float32)), material)


def move(thing: Thing, world_from_thing: Float[Tensor, "4 4"], name: str | None = None) -> Thing:
    """A thing built about its own origin, set into the world."""
    solids = tuple(Solid(s.shape, world_from_thing @ s.world_from_solid, s.material) for s in thing.solids)
    return Thing(name or thing.name, solids)
