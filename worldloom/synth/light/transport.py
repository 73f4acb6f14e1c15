"""Light on its way: what reaches given surface points from sun, sky, lamps and other surfaces, by path tracing.

Arrays are numpy's, one row for each coordinate: the work runs on the caster's threads, chunk by chunk in the cache,
where torch would start threads of its own inside each. Chunks draw from generators of their own, so that the result
does not depend on the number of threads.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float32

from worldloom.synth.cast import FAR, Caster
from worldloom.synth.light.columns import add_at, columns, dot, picked, rows
from worldloom.synth.light.guide import Guide, learnt_guide
from worldloom.synth.light.lights import LUMINANCE, Emitters, SkyTable, emitters, sky_table

SUN_RADIUS = 0.00465  # radians
CHALK = 0.6  # dielectrics rougher than this reflect as chalk: their faint broad gloss is left out
_GUIDED = 0.6  # share of diffuse bounces that follow the guide, where there is one
_ENDURANCE = 0.75  # of paths, in proportion to what they carry
_LESSONS, _TRIES, _LESSON = 12000, 16, 1024  # places that teach it, paths from each, places at a time
_ENCLOSED = 0.7  # share of first bounces that meet a surface, from which on it pays
_CLOSE = 1.0  # sizes of a place: nearer to where they started paths do not end at known light
_EVEN_SKY = 12.0  # skies of less contrast need no rays of their own
_BRIGHTEST = 30.0  # what one path may bring beyond its first surface; a few fireflies are not worth their truth
_LAMP_RAYS = 2  # from each point
_CANDIDATES = (4, 2)  # spots that compete for a ray from a point, and from a place on the way
_SUN, _LAMPS, _SKY = range(3)


@dataclass(frozen=True)
class Points:
    """Surface points where light is asked for, relative to the caster's centre."""

    position: Float32[np.ndarray, "3 n"]
    normal: Float32[np.ndarray, "3 n"]  # unit, towards the eye
    face_normal: Float32[np.ndarray, "3 n"]
    towards_eye: Float32[np.ndarray, "3 n"]
    albedo: Float32[np.ndarray, "3 n"]
    roughness: Float32[np.ndarray, " n"]
    metallic: Float32[np.ndarray, " n"]

    def __getitem__(self, at: np.ndarray) -> "Points":
        return Points(*(picked(getattr(self, f.name), at) for f in fields(Points)))


@dataclass(frozen=True)
class Light:
    """What the points reflect, in parts: radiance = albedo (1 - metallic) (sun + diffuse) + gloss."""

    sun: Float32[np.ndarray, "3 n"]  # irradiance / pi, straight from the sun
    diffuse: Float32[np.ndarray, "3 n"]  # irradiance / pi, all else
    gloss: Float32[np.ndarray, "3 n"]  # radiance


@dataclass(frozen=True)
class _Rays:
    """Rays to a source."""

    direction: Float32[np.ndarray, "3 n"]
    radiance: Float32[np.ndarray, "3 n"]  # of the sun: irradiance
    density: Float32[np.ndarray, " n"]  # per solid angle, of spots picked once
    inverse_density: Float32[np.ndarray, " n"]  # a fair estimate, whose picks may be better than that
    limit: Float32[np.ndarray, " n"]  # metres to the source


@dataclass(frozen=True)
class _Bounced:
    diffuse: Float32[np.ndarray, "3 n"]
    gloss: Float32[np.ndarray, "3 n"]
    direction: Float32[np.ndarray, "3 p"]  # of each path
    arriving: Float32[np.ndarray, "3 p"]  # cosine times radiance, over the chance of the direction


class Transport:
    """Paths through a caster's world; `gather` is safe to call from several threads."""

    def __init__(self, caster: Caster, max_bounces: int = 4, reuse: bool = False) -> None:
        """
        Args:
            max_bounces: how often light is reflected at most on its way to the eye.
            reuse: paths end at places whose light was learnt (Ward et al. 1988, "A Ray Tracing Solution for Diffuse
                Interreflection"): far less noise, for light that is a little blurred where it is reflected twice.
        """
        self.caster = caster
        self.max_bounces = max_bounces
        self.reuse = reuse
        self.emitters: Emitters = emitters(caster)
        self.sky: SkyTable = sky_table(caster.world.sky)
        sky = caster.world.sky
        self.sun_direction = np.array(sky.towards_sun, np.float32)
        self.sun = np.array(sky.sun, np.float32)
        self.guide: Guide | None = None
        self.soup = soup = caster.soup
        self.colours, self.emission = columns(soup.colour.numpy()), columns(soup.emission.numpy())
        kinds = [_SUN] * bool(self.sun.max() > 0) + [_LAMPS] * bool(len(self.emitters))
        self.kinds = tuple(kinds + [_SKY] * (self.sky.contrast > _EVEN_SKY))

    def learn(self, points: Points, rng: np.random.Generator) -> None:
        """Find out where light comes from, for places like these and for those that they see.

        In the open, where much of the sky is seen from everywhere, paths find light well enough by chance.
        """
        n = points.position.shape[1]
        if not n:
            return
        points = points[np.sort(rng.permutation(n)[: min(_LESSONS, n // 4) // 2 + 1])]
        direction = _hemisphere(points.normal, rng.random((2, points.position.shape[1]), np.float32))
        start = self._lifted(points.position, points.face_normal)
        t, face, _, _ = self.caster.intersected(rows(start), rows(direction))
        hit = np.flatnonzero(face >= 0)
        if len(hit) < _ENCLOSED * len(face):
            return
        normal = self.soup.normal_columns_of(face[hit])
        normal *= np.where(dot(normal, picked(direction, hit)) > 0, np.float32(-1), np.float32(1))
        position = picked(start, hit) + t[hit] * picked(direction, hit)
        colour, ones = picked(self.colours, self.soup.material_numbers_of(face[hit])), np.ones(len(hit), np.float32)
        seen = Points(position, normal, normal, normal, colour, ones, 0 * ones)
        places = Points(
            *(
                np.ascontiguousarray(np.concatenate([getattr(points, f.name), getattr(seen, f.name)], -1))
                for f in fields(Points)
            )
        )
        # All lessons are of chalk: what a mirror sees says nothing to its neighbours.
        places = replace(places, roughness=np.ones_like(places.roughness), metallic=np.zeros_like(places.metallic))
        num = places.position.shape[1]
        directions, worth = np.empty((3, num * _TRIES), np.float32), np.empty(num * _TRIES, np.float32)
        light = np.empty((3, num), np.float32)
        seeds = rng.integers(0, 2**63, -(-num // _LESSON))

        def work(first: int, last: int) -> None:
            own = np.random.Generator(np.random.SFC64(int(seeds[first // _LESSON])))
            part, chalk = places[np.arange(first, last)], np.zeros(last - first, bool)
            # Light that is reused has been reflected once more than a path from here.
            found = self._bounced(part, chalk, _TRIES, own, max(self.max_bounces - 1, 1))
            light[:, first:last] = found.diffuse
            for kind in self.kinds:
                self._lit(kind, part, chalk, _TRIES, light[:, first:last], light[:, :0], own)
            directions[:, first * _TRIES : last * _TRIES] = found.direction
            worth[first * _TRIES : last * _TRIES] = LUMINANCE @ found.arriving

        self.caster.in_chunks(num, work, _LESSON)
        # `_bounced` goes round its points _TRIES times, chunk by chunk.
        owner = np.concatenate(
            [np.tile(np.arange(i, min(i + _LESSON, num)), _TRIES) for i in range(0, num, _LESSON)] or [np.zeros(0, int)]
        )
        size = float(np.clip(np.median(t[hit]) / 5, 0.3, 5.0))
        self.guide = learnt_guide(places.position, places.normal, light, owner, directions, worth, size)

    def gather(self, points: Points, paths: int, rng: np.random.Generator) -> Light:
        """Light reflected by points, by so many paths from each besides the rays to sun, sky and lamps."""
        sun, diffuse, gloss = (np.zeros(points.position.shape, np.float32) for _ in range(3))
        shiny = (points.metallic > 0.05) | (points.roughness < CHALK)
        for kind in self.kinds:
            self._lit(kind, points, shiny, paths, sun if kind == _SUN else diffuse, gloss, rng)
        found = self._bounced(points, shiny, paths, rng, self.max_bounces)
        return Light(sun, diffuse + found.diffuse, gloss + found.gloss)

    def _lit(
        self,
        kind: int,
        points: Points,
        shiny: np.ndarray,
        num_bounced: int,
        diffuse: np.ndarray,
        gloss: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Add light that comes straight from one kind of source, by rays to it."""
        num = _LAMP_RAYS if kind == _LAMPS else 1
        for _ in range(num):
            rays = self._towards(kind, points.position, points.normal, _CANDIDATES[0], rng)
            cosine = dot(points.normal, rays.direction)
            at = np.flatnonzero(
                (cosine > 0) & (dot(points.face_normal, rays.direction) > 0) & (rays.inverse_density > 0)
            )
            start = self._lifted(picked(points.position, at), picked(points.face_normal, at))
            at = at[~self.caster.occluded(rows(start), rows(picked(rays.direction, at)), rays.limit[at])]
            if not len(at):
                continue
            direction, radiance = picked(rays.direction, at), picked(rays.radiance, at)
            factor = cosine[at] * rays.inverse_density[at] / num
            if kind != _SUN:
                factor *= _odds_of(
                    num * rays.density[at], num_bounced * self._bounce_density(points[at], shiny[at], direction)
                )
            add_at(diffuse, at, radiance * (factor / math.pi))
            s = np.flatnonzero(shiny[at])
            if len(s):
                bright = _gloss(points[at[s]], picked(direction, s), widened=kind == _SUN)
                add_at(gloss, at[s], np.minimum(picked(radiance, s) * bright * factor[s], _BRIGHTEST))

    def _towards(
        self,
        kind: int,
        position: Float32[np.ndarray, "3 n"],
        normal: Float32[np.ndarray, "3 n"],
        candidates: int,
        rng: np.random.Generator,
    ) -> "_Rays":
        """Rays to one kind of source."""
        n = position.shape[1]
        if kind == _LAMPS:
            return self._towards_lamp(position, normal, candidates, rng)
        u = rng.random((3, n), np.float32)
        far, one = np.full(n, FAR), np.ones(n, np.float32)
        if kind == _SUN:
            direction = _around(self.sun_direction, u, SUN_RADIUS)
            return _Rays(direction, np.broadcast_to(self.sun[:, None], (3, n)), one, one, far)
        direction = self.sky.sample(u)
        density = self.sky.density(direction)
        return _Rays(direction, self.sky.look(direction), density, 1 / density, far)

    def _towards_lamp(
        self,
        position: Float32[np.ndarray, "3 n"],
        normal: Float32[np.ndarray, "3 n"],
        candidates: int,
        rng: np.random.Generator,
    ) -> "_Rays":
        """One of a few random spots on lamps, picked in proportion to what it would bring were nothing in between.

        Talbot et al. 2005, "Importance Resampling for Global Illumination".
        """
        n = position.shape[1]
        total = np.zeros(n, np.float32)
        direction, radiance = np.zeros((3, n), np.float32), np.zeros((3, n), np.float32)
        density, distance, target = (np.zeros(n, np.float32) for _ in range(3))
        for _ in range(candidates):
            u = rng.random((4, n), np.float32)
            spots, facing, light, per_area = self.emitters.sample(u[:3])
            to = spots - position
            squared = dot(to, to) + np.float32(1e-12)
            far = np.sqrt(squared)
            to /= far
            cosine = np.maximum(-dot(facing, to), 0)
            per_angle = per_area * squared / np.maximum(cosine, np.float32(1e-6))
            here = np.maximum(dot(normal, to), 0)
            # Close to a lamp bounces find it, too, and spots there must not count beyond measure.
            weight = here * (cosine > 1e-4) * (LUMINANCE @ light) / (per_angle + here)
            total += weight
            take = u[3] * total < weight
            for kept, new in (
                (direction, to),
                (radiance, light),
                (density, per_angle),
                (distance, far),
                (target, weight * per_angle),
            ):
                np.copyto(kept, new, where=take)
        inverse = np.where(target > 0, total / (candidates * np.maximum(target, np.float32(1e-30))), 0)
        limit = distance * np.float32(1 - 1e-4) - 2 * self._lift(position)
        return _Rays(direction, radiance, density, inverse.astype(np.float32), limit)

    def _bounced(
        self, points: Points, shiny: np.ndarray, count: int, rng: np.random.Generator, bounces: int
    ) -> "_Bounced":
        """Light over other surfaces and from the sky: `count` paths from each point."""
        n = points.position.shape[1]
        # Neighbouring rays of one stratum point alike, which is kind to the cache.
        u = rng.random((3, count, n), np.float32)
        rows, columns = _strata(count)
        k = np.arange(count, dtype=np.float32)[:, None]
        u[1] = (k // columns + u[1]) / rows
        u[2] = (k % columns + u[2]) / columns
        u = u.reshape(3, -1)
        starts = Points(*(np.tile(getattr(points, f.name), count) for f in fields(Points)))
        direction, cosine, plain = self._onwards(starts.position, starts.normal, u, rng)
        chance = np.zeros(count * n, np.float32)
        s = np.flatnonzero(np.tile(shiny, count))
        unguided = np.maximum(cosine, 0) / np.float32(math.pi)
        density = plain
        if len(s):
            chance[s] = _gloss_chance(starts[s])
            mirror = s[rng.random(len(s), np.float32) < chance[s]]
            direction[:, mirror] = _reflected(starts[mirror], rng.random((2, len(mirror)), np.float32))
            cosine = dot(starts.normal, direction)
            unguided = np.maximum(cosine, 0) / np.float32(math.pi)
            # Points that shine go without the guide: its part of the mixture would be asked for other directions.
            reflected = chance[s] * _reflected_density(starts[s], picked(direction, s))
            unguided[s] = (1 - chance[s]) * unguided[s] + reflected
            density = plain.copy()
            density[s] = unguided[s]
        alive = np.flatnonzero((cosine > 0) & (dot(starts.face_normal, direction) > 0) & (density > 0))
        incoming = self._followed(starts, direction, unguided, alive, count, rng, bounces)
        factor = np.where(density > 0, np.maximum(cosine, 0) / np.maximum(density, np.float32(1e-20)), 0)
        arriving = incoming * factor.astype(np.float32)
        diffuse = arriving.reshape(3, count, n).sum(1) / np.float32(count * math.pi)
        gloss = np.zeros((3, n), np.float32)
        if len(s):
            bright = np.zeros((3, count * n), np.float32)
            bright[:, s] = np.minimum(picked(arriving, s) * _gloss(starts[s], picked(direction, s)), _BRIGHTEST)
            gloss = bright.reshape(3, count, n).sum(1) / np.float32(count)
        return _Bounced(diffuse, gloss, direction, arriving)

    def _onwards(
        self, position: np.ndarray, normal: np.ndarray, u: Float32[np.ndarray, "3 n"], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions for diffuse bounces, their cosines and densities per solid angle."""
        direction = _hemisphere(normal, u[1:])
        if self.guide is None:
            cosine = dot(normal, direction)
            return direction, cosine, np.maximum(cosine, 0) / np.float32(math.pi)
        place = self._place(self.guide, position, normal, rng)
        known = place >= 0
        follow = np.flatnonzero(known & (u[0] < _GUIDED))
        v = np.stack([rng.random(len(follow), np.float32), u[1, follow], u[2, follow]])
        direction[:, follow] = self.guide.sample(place[follow], v)
        cosine = dot(normal, direction)
        density = np.maximum(cosine, 0) / np.float32(math.pi)
        at = np.flatnonzero(known)
        density[at] = (1 - _GUIDED) * density[at] + _GUIDED * self.guide.density(place[at], picked(direction, at))
        return direction, cosine, density

    def _place(self, guide: Guide, position: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the places of points: near the border of two now one, now the other, so that no border shows."""
        return guide.place(position + (rng.random(position.shape, np.float32) - 0.5) * guide.size, normal)

    def _followed(
        self,
        starts: Points,
        direction: Float32[np.ndarray, "3 n"],
        density: Float32[np.ndarray, " n"],
        alive: np.ndarray,
        total: int,
        rng: np.random.Generator,
        bounces: int,
    ) -> Float32[np.ndarray, "3 n"]:
        """Radiance that comes back along the first directions of paths."""
        radiance = np.zeros_like(direction)
        position = self._lifted(picked(starts.position, alive), picked(starts.face_normal, alive))
        direction, density = picked(direction, alive), density[alive]
        through = np.ones_like(direction)
        share = np.float32(total)  # how many bounced paths compete with a ray to a source
        for bounce in range(1, bounces + 1):
            t, face, _, _ = self.caster.intersected(rows(position), rows(direction))
            missed, hit = np.flatnonzero(face < 0), np.flatnonzero(face >= 0)
            sky = self.sky.look(picked(direction, missed))
            if self.sky.contrast > _EVEN_SKY:
                chosen = self.sky.density(picked(direction, missed)) * (1 if bounce == 1 else self._odds)
                sky *= share * density[missed] / (share * density[missed] + chosen)
            add_at(radiance, alive[missed], _bounded(picked(through, missed) * sky, bounce))
            if not len(hit):
                break
            face, alive, through, direction = face[hit], alive[hit], picked(through, hit), picked(direction, hit)
            normal = self.soup.normal_columns_of(face)
            towards = dot(normal, direction)
            if len(self.emitters):
                shining = np.flatnonzero((self.emitters.density_of_face[face] > 0) & (towards < 0))
                if len(shining):
                    cosine = np.maximum(-towards[shining], np.float32(1e-6))
                    per_angle = self.emitters.density_of_face[face[shining]] * t[hit][shining] ** 2 / cosine
                    per_angle *= np.float32(_LAMP_RAYS) if bounce == 1 else self._odds
                    own = share * density[hit][shining]
                    light = picked(self.emission, self.soup.material_numbers_of(face[shining])) * (
                        own / (own + per_angle)
                    )
                    add_at(radiance, alive[shining], _bounded(picked(through, shining) * light, bounce))
            if bounce == bounces:
                break
            position = picked(position, hit) + t[hit] * direction
            normal *= np.where(towards > 0, np.float32(-1), np.float32(1))
            through *= picked(self.colours, self.soup.material_numbers_of(face))
            if self.reuse and self.guide is not None:
                place = self._place(self.guide, position, normal, rng)
                # What is close is seen too well for light that is known in the mean of a cube.
                known = (place >= 0) & self.guide.sure[place] & ((bounce > 1) | (t[hit] > _CLOSE * self.guide.size))
                at, on = np.flatnonzero(known), np.flatnonzero(~known)
                add_at(radiance, alive[at], _bounded(picked(through, at) * picked(self.guide.light, place[at]), bounce))
                alive, position, normal, through = (
                    alive[on],
                    picked(position, on),
                    picked(normal, on),
                    picked(through, on),
                )
                if not len(on):
                    break
            position = self._lifted(position, normal)
            if self.kinds:
                self._lit_on_the_way(position, normal, through, alive, radiance, rng)
            # Roulette: dim paths end early, and those that go on stand for them.
            keep = np.clip(_ENDURANCE * through.max(0), 0.1, 0.95)
            on = np.flatnonzero(rng.random(len(keep), np.float32) < keep)
            alive, position, normal = alive[on], picked(position, on), picked(normal, on)
            through = picked(through, on) / keep[on]
            if not len(on):
                break
            direction, cosine, mixed = self._onwards(position, normal, rng.random((3, len(on)), np.float32), rng)
            density = np.maximum(cosine, 0) / np.float32(math.pi)
            through *= density / np.maximum(mixed, np.float32(1e-20))
            share = np.float32(1)
        return radiance

    @property
    def _odds(self) -> np.float32:
        """How likely a later surface asks a given kind of source."""
        return np.float32(1 / len(self.kinds)) if self.kinds else np.float32(0)

    def _lit_on_the_way(
        self,
        position: Float32[np.ndarray, "3 n"],
        normal: Float32[np.ndarray, "3 n"],
        through: Float32[np.ndarray, "3 n"],
        alive: np.ndarray,
        radiance: Float32[np.ndarray, "3 p"],
        rng: np.random.Generator,
    ) -> None:
        """Add light straight from one source, picked for each path, at diffuse surfaces that paths have come to."""
        choice = rng.integers(0, len(self.kinds), position.shape[1], dtype=np.uint8)
        for i, kind in enumerate(self.kinds):
            at = np.flatnonzero(choice == i)
            rays = self._towards(kind, picked(position, at), picked(normal, at), _CANDIDATES[1], rng)
            cosine = dot(picked(normal, at), rays.direction)
            some = np.flatnonzero((cosine > 0) & (rays.inverse_density > 0))
            start, direction = picked(position, at[some]), picked(rays.direction, some)
            some = some[~self.caster.occluded(rows(start), rows(direction), rays.limit[some])]
            factor = cosine[some] * rays.inverse_density[some] / np.float32(math.pi * self._odds)
            if kind != _SUN:
                factor *= _odds_of(self._odds * rays.density[some], cosine[some] / np.float32(math.pi))
            at = at[some]
            add_at(
                radiance, alive[at], np.minimum(picked(through, at) * picked(rays.radiance, some) * factor, _BRIGHTEST)
            )

    def _bounce_density(self, points: Points, shiny: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Per solid angle, of unguided bounces towards given directions."""
        density = np.maximum(dot(points.normal, direction), 0) / np.float32(math.pi)
        s = np.flatnonzero(shiny)
        if len(s):
            chance = _gloss_chance(points[s])
            density[s] = (1 - chance) * density[s] + chance * _reflected_density(points[s], picked(direction, s))
        return density

    def _lift(self, position: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, " n"]:
        """How far a ray starts above its surface, so that float32 does not put it below."""
        return np.float32(1e-4) + np.float32(2e-6) * np.abs(position).max(0)

    def _lifted(self, position: np.ndarray, normal: np.ndarray) -> np.ndarray:
        return position + self._lift(position) * normal


def _bounded(radiance: Float32[np.ndarray, "3 n"], bounce: int) -> Float32[np.ndarray, "3 n"]:
    return radiance if bounce == 1 else np.minimum(radiance, np.float32(_BRIGHTEST))


def _odds_of(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Weight of one of two ways to find the same light (Veach's balance heuristic)."""
    return own / (own + other + np.float32(1e-30))


def _strata(count: int) -> tuple[int, int]:
    """Rows and columns whose product is `count`, as square as can be."""
    rows = max(r for r in range(1, math.isqrt(count) + 1) if count % r == 0)
    return rows, count // rows


def _frame(axis: Float32[np.ndarray, "3 n"]) -> tuple[Float32[np.ndarray, "3 n"], Float32[np.ndarray, "3 n"]]:
    """Two unit vectors across each unit axis (Duff et al. 2017)."""
    x, y, z = axis
    sign = np.where(z >= 0, np.float32(1), np.float32(-1))
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x]), np.stack([b, sign + y * y * a, -y])


def _hemisphere(normal: Float32[np.ndarray, "3 n"], u: Float32[np.ndarray, "2 n"]) -> Float32[np.ndarray, "3 n"]:
    """Directions about the normals with density cosine / pi (Malley)."""
    radius, angle = np.sqrt(u[0]), np.float32(2 * math.pi) * u[1]
    across, along = _frame(normal)
    return (radius * np.cos(angle)) * across + (radius * np.sin(angle)) * along + np.sqrt(1 - u[0]) * normal


def _around(axis: Float32[np.ndarray, "3"], u: Float32[np.ndarray, "3 n"], radius: float) -> Float32[np.ndarray, "3 n"]:
    """Directions spread evenly over a small disc about an axis."""
    across, along = _frame(axis[:, None])
    r, angle = np.float32(radius) * np.sqrt(u[0]), np.float32(2 * math.pi) * u[1]
    direction = axis[:, None] + (r * np.cos(angle)) * across + (r * np.sin(angle)) * along
    return direction / np.sqrt(dot(direction, direction))


def _alpha(points: Points) -> Float32[np.ndarray, " n"]:
    return np.maximum(points.roughness**2, np.float32(3e-3))


def _fresnel(points: Points, cosine: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "3 n"]:
    """Schlick 1994, from 4 % of a dielectric or the colour of a metal at normal incidence."""
    straight = np.float32(0.04) * (1 - points.metallic) + points.albedo * points.metallic
    return straight + (1 - straight) * np.clip(1 - cosine, 0, 1) ** 5


def _peak(points: Points, half: Float32[np.ndarray, "3 n"], alpha: Float32[np.ndarray, " n"]) -> np.ndarray:
    """D of GGX, Walter et al. 2007, Eq. 33. The sine comes from a cross product, as 1 - cos^2 has no digits left."""
    a, b = points.normal, half
    cross = np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
    sine = dot(cross, cross)
    above = dot(a, b) > 0
    return above * alpha**2 / (np.float32(math.pi) * (np.maximum(1 - sine, 0) * alpha**2 + sine) ** 2)


def _gloss(points: Points, direction: Float32[np.ndarray, "3 n"], widened: bool = False) -> Float32[np.ndarray, "3 n"]:
    """The metal-roughness BRDF without its diffuse part: D V F with Smith's height-correlated V (Heitz 2014)."""
    alpha = _alpha(points)
    if widened:  # by the sun's disc, which one direction stands for
        alpha = np.sqrt(alpha**2 + np.float32(SUN_RADIUS**2 / 4))
    half = points.towards_eye + direction
    half /= np.sqrt(dot(half, half)) + np.float32(1e-12)
    nl = np.maximum(dot(points.normal, direction), np.float32(1e-3))
    nv = np.maximum(dot(points.normal, points.towards_eye), np.float32(1e-3))
    a2 = alpha**2
    visible = 0.5 / (nl * np.sqrt(nv * nv * (1 - a2) + a2) + nv * np.sqrt(nl * nl * (1 - a2) + a2))
    return _fresnel(points, dot(half, direction)) * (_peak(points, half, alpha) * visible).astype(np.float32)


def _gloss_chance(points: Points) -> Float32[np.ndarray, " n"]:
    """How often a bounce follows the gloss: its share of what is reflected."""
    nv = np.maximum(dot(points.normal, points.towards_eye), 0)
    gloss = LUMINANCE @ _fresnel(points, nv)
    diffuse = (LUMINANCE @ points.albedo) * (1 - points.metallic)
    return np.clip(gloss / (gloss + diffuse + np.float32(1e-6)), 0.1, 0.95).astype(np.float32)


def _reflected(points: Points, u: Float32[np.ndarray, "2 n"]) -> Float32[np.ndarray, "3 n"]:
    """Mirror directions about GGX's visible normals (Dupuy and Benyoub 2023, by spherical caps)."""
    alpha = _alpha(points)
    across, along = _frame(points.normal)
    v = np.stack([dot(points.towards_eye, axis) for axis in (across, along, points.normal)])
    v[2] = np.maximum(v[2], np.float32(1e-3))
    bent = np.stack([alpha * v[0], alpha * v[1], v[2]])
    bent /= np.sqrt(dot(bent, bent))
    z = (1 - u[0]) * (1 + bent[2]) - bent[2]
    radius, angle = np.sqrt(np.maximum(1 - z * z, 0)), np.float32(2 * math.pi) * u[1]
    half = bent + np.stack([radius * np.cos(angle), radius * np.sin(angle), z])
    half = np.stack([alpha * half[0], alpha * half[1], np.maximum(half[2], np.float32(1e-6))])
    half = half[0] * across + half[1] * along + half[2] * points.normal
    half /= np.sqrt(dot(half, half))
    return 2 * dot(half, points.towards_eye) * half - points.towards_eye


def _reflected_density(points: Points, direction: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, " n"]:
    """Per solid angle, of what `_reflected` draws: G1 D / (4 n.v)."""
    alpha = _alpha(points)
    half = points.towards_eye + direction
    half /= np.sqrt(dot(half, half)) + np.float32(1e-12)
    nv = np.maximum(dot(points.normal, points.towards_eye), np.float32(1e-3))
    return (_peak(points, half, alpha) / (2 * (nv + np.sqrt(alpha**2 + (1 - alpha**2) * nv * nv)))).astype(np.float32)
