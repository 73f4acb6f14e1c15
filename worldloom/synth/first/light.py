"""Daylight in a room: sun and sky through an opening, one gathered bounce, the rest from a grid of probes.

Radiance in a room changes slowly once it has been reflected, so everything after the first bounce is kept on a coarse
grid of ambient cubes (irradiance for the six axis directions; McTaggart, "Half-Life 2 / Valve Source Shading", 2004).
What the eye sees is gathered exactly: a shadow ray to the sun, stratified rays to the opening, stratified rays over the
hemisphere. Noise falls with supersampling alone; nothing is blurred.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.synth.first.cast import Hits, World

NEAR = 0.7  # metres; reflected light from farther away varies too slowly to be worth a ray
NUDGE = 1e-4  # metres; lifts secondary rays off the surface they start from


@dataclass(frozen=True)
class Opening:
    """A rectangle in the plane x = const through which daylight enters, seen from smaller x."""

    x: float
    y: tuple[float, float]
    z: tuple[float, float]

    @property
    def area(self) -> float:
        return (self.y[1] - self.y[0]) * (self.z[1] - self.z[0])


@dataclass(frozen=True)
class Daylight:
    """Where light comes from, in units where 1 is a white wall as bright as the picture can show."""

    towards_sun: tuple[float, float, float]  # unit
    sun: tuple[float, float, float] = (7.5, 6.6, 5.3)  # irradiance on a surface that faces it
    window: tuple[float, float, float] = (5.6, 6.2, 7.0)  # radiance of the opening as the room feels it
    sun_radius: float = 0.006  # radians, a little more than the real 0.0047

    def sky(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Radiance of the sky as the picture shows it: exposed for the view outside, as photographers blend it."""
        up = directions[:, 2:].clamp(0, 1) ** 0.55
        zenith, horizon = directions.new_tensor([0.16, 0.36, 0.86]), directions.new_tensor([0.80, 0.90, 1.0])
        towards = (directions @ directions.new_tensor(self.towards_sun)).clamp(0, 1)[:, None]
        return horizon + (zenith - horizon) * up + 0.35 * towards**24


@dataclass(frozen=True)
class Strata:
    """Points of the unit square for n receivers, such that the receivers of one pixel fill the square together.

    Neighbours in `number` continue one R2 sequence (Roberts 2018). `shift` moves it, so no pattern shows.
    """

    number: Int[Tensor, " n"]
    shift: Float[Tensor, "2 n"]

    def __call__(self, num_rays: int, i: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """The i-th of `num_rays` points for each receiver."""
        index = self.number.double() * num_rays + i + 0.5
        return (index * 0.7548776662466927 + self.shift[0]).float() % 1, (
            index * 0.5698402909980532 + self.shift[1]
        ).float() % 1


class Lighting:
    """A world with its daylight, ready to shade."""

    def __init__(
        self,
        world: World,
        daylight: Daylight,
        opening: Opening,
        room: tuple[float, float, float],
        probe_spacing: float,
        seed: int,
    ) -> None:
        self.world, self.daylight, self.opening = world, daylight, opening
        self.colours = torch.tensor([s.material.colour for s in world.solids])
        self.glow = torch.tensor([s.material.glow for s in world.solids])
        self.gloss = torch.tensor([s.material.gloss for s in world.solids])
        self.size = room  # the room spans +-x / 2, +-y / 2 and 0..z
        self.cells = tuple(max(2, round(side / probe_spacing)) for side in room)
        generator = torch.Generator().manual_seed(seed)
        self.spots = sun_spots(world, daylight, opening, generator)
        straight = self._probe_straight()
        self.bounced = torch.zeros_like(straight)
        self.probes = straight
        for _ in range(4):  # each pass adds a bounce
            self.bounced = self._probe_bounced(generator)
            self.probes = straight + self.bounced

    def shade(
        self,
        origins: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        group: int,
        num_rays: int,
        generator: torch.Generator,
    ) -> Float[Tensor, "n 3"]:
        """Linear radiance along camera rays, of which each `group` in a row belongs to one pixel.

        Each hit sends `num_rays` to the opening, as many to sunlit spots and as many over the hemisphere.
        """
        hits = self.world.cast(origins, directions)
        radiance = self.daylight.sky(directions)
        at = hits.found.nonzero()[:, 0]
        if not len(at):
            return radiance
        points, normals, solid = _surface(self.world, origins, directions, hits, at)
        albedo = _albedo(self.world, hits, origins, directions)[at]
        pixel = torch.div(at, group, rounding_mode="floor")
        strata = Strata(at % group, torch.rand(2, len(origins), generator=generator)[:, pixel])
        light = self._sunlight(points, normals, *strata(1, 0)) + self._from_opening(points, normals, strata, num_rays)
        light += self._from_spots(points, normals, strata, num_rays)
        far = self._from_probes(self.bounced, points, normals) / math.pi
        gathered = torch.zeros_like(points)
        for i in range(num_rays):
            around = _hemisphere(normals, *strata(num_rays, i))
            gathered += self._bounced(points, around, far) / num_rays
        outdoors = (points[:, 0] > self.opening.x + 0.3)[:, None]
        light = torch.where(
            outdoors,  # open sky on all sides
            light + points.new_tensor([1.3, 1.5, 1.7]) * (0.65 + 0.35 * normals[:, 2:]),
            light + math.pi * gathered,
        )
        shown = albedo * light / math.pi + self.glow[solid, None] * self.colours[solid]
        shiny = (self.gloss[solid] > 0).nonzero()[:, 0]
        if len(shiny):
            d, n = directions[at][shiny], normals[shiny]
            cosine = -(d * n).sum(-1, keepdim=True)
            mirrored = torch.nn.functional.normalize(
                d + 2 * cosine * n + 0.03 * torch.randn(len(shiny), 3, generator=generator), dim=-1
            )
            gloss = self.gloss[solid][shiny, None]
            fresnel = gloss + (1 - gloss) * (1 - cosine.clamp(0, 1)) ** 5 * 0.35  # Schlick, softened as by roughness
            shown[shiny] += fresnel * (self._mirrored(points[shiny], mirrored) - shown[shiny])
        radiance[at] = shown
        return radiance

    def _bounced(
        self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], far: Float[Tensor, "n 3"] | None = None
    ) -> Float[Tensor, "n 3"]:
        """Reflected light of the room that reaches `points`; with `far`, rays longer than NEAR bring that instead."""
        hits = self.world.cast(points, directions, torch.inf if far is None else NEAR)
        radiance = torch.zeros_like(points) if far is None else torch.where(hits.found[:, None], 0.0, far)
        at = (hits.found & ((points + hits.distance[:, None] * directions)[:, 0] < self.opening.x + 0.25)).nonzero()[
            :, 0
        ]
        if len(at):
            surface, normals, solid = _surface(self.world, points, directions, hits, at)
            light = self._from_probes(self.probes, surface, normals) / math.pi
            # Ledges at the opening are far brighter than all else; a few rays that find them would show as sparks.
            radiance[at] = self.colours[solid] * (light + self.glow[solid, None]).clamp(max=1)
        return radiance

    def _mirrored(self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Radiance that a glossy surface shows: the room, its sunlit spots, and the bright sky."""
        hits = self.world.cast(points, directions)
        radiance = 2 * self.daylight.sky(directions)
        at = hits.found.nonzero()[:, 0]
        surface, normals, solid = _surface(self.world, points, directions, hits, at)
        half = torch.full_like(surface[:, 0], 0.5)
        light = self._from_probes(self.probes, surface, normals) + self._sunlight(surface, normals, half, half)
        radiance[at] = self.colours[solid] * (light / math.pi + self.glow[solid, None])
        return radiance

    def _sunlight(
        self,
        points: Float[Tensor, "n 3"],
        normals: Float[Tensor, "n 3"],
        u: Float[Tensor, " n"],
        v: Float[Tensor, " n"],
    ) -> Float[Tensor, "n 3"]:
        """Irradiance straight from the sun; (u, v) pick the point of its disc."""
        sun = points.new_tensor(self.daylight.towards_sun)
        spread = (
            self.daylight.sun_radius
            * u.sqrt()[:, None]
            * torch.stack([torch.cos(2 * math.pi * v), torch.sin(2 * math.pi * v)], -1)
        )
        side = torch.nn.functional.normalize(torch.linalg.cross(sun, sun.new_tensor([0, 0, 1])), dim=-1)
        to_sun = sun + spread[:, :1] * side + spread[:, 1:] * torch.linalg.cross(side, sun)
        cosine = (to_sun * normals).sum(-1)
        reach = (self.opening.x - points[:, 0]) / to_sun[:, 0]
        through = points + reach[:, None] * to_sun  # only what looks through the opening can be lit
        lit = (reach < 0) | _within(through[:, 1], self.opening.y) & _within(through[:, 2], self.opening.z)
        at = (lit & (cosine > 0)).nonzero()[:, 0]
        light = torch.zeros_like(points)
        far = torch.full_like(cosine[at], torch.inf)
        free = ~self.world.blocked(points[at], to_sun[at], far)
        light[at] = points.new_tensor(self.daylight.sun) * (cosine[at] * free)[:, None]
        return light

    def _from_opening(
        self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], strata: Strata, num_rays: int
    ) -> Float[Tensor, "n 3"]:
        """Irradiance from the opening, by rays to points spread over it."""
        o = self.opening
        total = torch.zeros_like(points[:, 0])
        for i in range(num_rays):
            u, v = strata(num_rays, i)
            y, z = o.y[0] + (o.y[1] - o.y[0]) * u, o.z[0] + (o.z[1] - o.z[0]) * v
            to = torch.stack([o.x - points[:, 0], y - points[:, 1], z - points[:, 2]], -1)
            distance = to.norm(dim=-1)
            to = to / distance[:, None]
            weight = (
                (to * normals).sum(-1).clamp(min=0)
                * to[:, 0].clamp(min=0)
                / distance.clamp(min=0.05) ** 2
                * (0.45 + 0.55 * (to[:, 2] > 0))
            )
            at = (weight > 0).nonzero()[:, 0]
            free = ~self.world.blocked(points[at], to[at], distance[at])
            total[at] += weight[at] * free * o.area / num_rays
        return total[:, None] * points.new_tensor(self.daylight.window)

    def _from_probes(
        self, probes: Float[Tensor, "x y z 6 3"], points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "n 3"]:
        """Irradiance by trilinear interpolation. A cube's faces weigh by the squared normal; probes behind, little."""
        cells = points.new_tensor(self.cells)
        low = points.new_tensor([-self.size[0] / 2, -self.size[1] / 2, 0])
        position = ((points - low) / points.new_tensor(self.size) * cells - 0.5).clamp(min=0)
        position = torch.minimum(position, cells - 1.001)
        base = position.floor().long()
        f = position - base
        face = torch.arange(3) * 2 + (normals < 0)
        squared = normals**2
        light, total = torch.zeros_like(points), torch.zeros_like(points[:, :1])
        for corner in range(8):
            offset = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
            x, y, z = (base + offset).unbind(-1)
            ahead = ((offset - f) * normals).sum(-1, keepdim=True) / ((offset - f) ** 2).sum(-1, keepdim=True).clamp(
                min=1e-6
            ).sqrt()
            blend = torch.where(offset.bool(), f, 1 - f).prod(-1, keepdim=True) * (0.02 + (ahead + 1) ** 2)
            light += blend * sum(squared[:, axis, None] * probes[x, y, z, face[:, axis]] for axis in range(3))
            total += blend
        return light / total

    def _from_spots(
        self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], strata: Strata, num_rays: int
    ) -> Float[Tensor, "n 3"]:
        """Irradiance from the sunlit spots, by rays to `num_rays` of them."""
        spots, facing, power = self.spots
        total = torch.zeros_like(points)
        if not len(spots):
            return total
        for k in range(num_rays):
            i = (strata(num_rays, k)[0] * len(spots)).long().clamp(max=len(spots) - 1)
            to = spots[i] - points
            distance = to.norm(dim=-1)
            to = to / distance[:, None]
            weight = (
                (to * normals).sum(-1).clamp(min=0)
                * (-to * facing[i]).sum(-1).clamp(min=0)
                / distance.clamp(min=0.35) ** 2
            )
            at = (weight > 0).nonzero()[:, 0]
            free = ~self.world.blocked(points[at], to[at], distance[at] - 2 * NUDGE)
            total[at] += power[i[at]] * (weight[at] * free * (len(spots) / (math.pi * num_rays)))[:, None]
        return total

    def _probe_centres(self) -> Float[Tensor, "p 3"]:
        axes = [(torch.arange(n) + 0.5) / n * side for n, side in zip(self.cells, self.size, strict=True)]
        centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)
        return centres - centres.new_tensor([self.size[0] / 2, self.size[1] / 2, 0])

    def _probe_straight(self) -> Float[Tensor, "x y z 6 3"]:
        """Irradiance of the six faces of every probe from the opening and the sunlit spots."""
        centres = self._probe_centres()
        strata = Strata(torch.arange(len(centres)), torch.zeros(2, len(centres)))
        faces = []
        for face in range(6):
            normal = torch.zeros_like(centres)
            normal[:, face // 2] = 1 - 2 * (face % 2)
            faces.append(self._from_opening(centres, normal, strata, 8) + self._from_spots(centres, normal, strata, 32))
        return torch.stack(faces, 1).unflatten(0, self.cells)

    def _probe_bounced(self, generator: torch.Generator, num_rays: int = 192) -> Float[Tensor, "x y z 6 3"]:
        """Irradiance from rays over the sphere, with the probes of the pass before as the bounce."""
        centres = self._probe_centres()
        directions = torch.nn.functional.normalize(torch.randn(len(centres), num_rays, 3, generator=generator), dim=-1)
        points = centres[:, None].expand_as(directions).flatten(0, 1)
        radiance = self._bounced(points, directions.flatten(0, 1)).unflatten(0, (-1, num_rays))
        towards = torch.stack([directions, -directions], -1).clamp(min=0).flatten(-2)  # +x -x +y -y +z -z
        return (torch.einsum("prf,prc->pfc", towards, radiance) * (4 * math.pi / num_rays)).unflatten(0, self.cells)


def sun_spots(
    world: World, daylight: Daylight, opening: Opening, generator: torch.Generator, rows: int = 24
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
    """Points, normals and reflected power of what the sun hits first: small lamps that stand for its bounce."""
    o, sun = opening, torch.tensor(daylight.towards_sun)
    u, v = torch.meshgrid(torch.arange(rows * 1.0), torch.arange(rows * 1.0), indexing="ij")
    jitter = torch.rand(2, rows, rows, generator=generator)
    y = o.y[0] + (o.y[1] - o.y[0]) * (u + jitter[0]) / rows
    z = o.z[0] + (o.z[1] - o.z[0]) * (v + jitter[1]) / rows
    outside = torch.stack([torch.full_like(y, o.x), y, z], -1).flatten(0, 1) + 0.6 * sun
    inwards = -sun.expand_as(outside).contiguous()
    hits = world.cast(outside, inwards)
    at = (hits.found & ((outside + hits.distance[:, None] * inwards)[:, 0] < o.x)).nonzero()[:, 0]
    points, normals, _ = _surface(world, outside, inwards, hits, at)
    power = _albedo(world, hits, outside, inwards)[at] * sun.new_tensor(daylight.sun) * (sun[0] * o.area / rows**2)
    return points, normals, power


def _surface(
    world: World, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"], hits: Hits, at: Int[Tensor, " m"]
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"], Int[Tensor, " m"]]:
    """Points, lifted off a little, normals and solids of the hits numbered `at`."""
    normals = world.normals(origins, directions, hits)[at]
    return (origins + hits.distance[:, None] * directions)[at] + NUDGE * normals, normals, hits.solid[at]


def _albedo(
    world: World, hits: Hits, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Albedo at every hit, with its pattern."""
    albedo = torch.tensor([solid.material.colour for solid in world.solids])[hits.solid.clamp(min=0)]
    for _, solid, at in world.by_solid(hits):
        if solid.material.pattern is not None:
            points = (origins[at] + hits.distance[at, None] * directions[at]).T
            albedo[at] = solid.material.pattern(solid.inward(points).T)
    return albedo.clamp(0, 0.95)


def _within(value: Float[Tensor, " n"], span: tuple[float, float]) -> Tensor:
    return (value > span[0]) & (value < span[1])


def _hemisphere(normals: Float[Tensor, "n 3"], u: Float[Tensor, " n"], v: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Directions around the normals with density cosine / pi (Malley's method)."""
    radius, angle = u.sqrt(), 2 * math.pi * v
    helper = torch.where(normals[:, :1].abs() > 0.7, normals.new_tensor([0, 1, 0]), normals.new_tensor([1, 0, 0]))
    tangent = torch.nn.functional.normalize(torch.linalg.cross(normals, helper), dim=-1)
    bitangent = torch.linalg.cross(normals, tangent)
    flat = radius[:, None] * (torch.cos(angle)[:, None] * tangent + torch.sin(angle)[:, None] * bitangent)
    return flat + (1 - u).clamp(min=0).sqrt()[:, None] * normals
