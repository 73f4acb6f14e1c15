"""Procedural surfaces of buildings and furniture: albedo in linear light as a function of points, in metres.

Every maker returns a `Pattern`. Flat patterns (tiles, wallpaper, ...) look along the dominant axis of the normal, so
that they lie on floors, walls and the sides of boxes alike.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.io.images import linear_from_srgb
from worldloom.synth.noise import cellular, hash01, noise, warp
from worldloom.synth.world import Colour, Material, Pattern

Number = float | int
Flat = Callable[[Float[Tensor, "n 2"]], Float[Tensor, "n 3"]]


def srgb(text: str) -> Colour:
    """Linear colour of a web colour such as "#c8a27a"."""
    r, g, b = linear_from_srgb(torch.tensor([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])).tolist()
    return (r, g, b)


def toned(colour: Colour, factor: Number) -> Colour:
    """The colour made lighter or darker, never beyond what a real surface reflects."""
    r, g, b = (min(0.92, max(0.004, factor * c)) for c in colour)
    return (r, g, b)


def between(one: Colour, two: Colour, share: Number) -> Colour:
    """The mixture of two colours: 0 is the first, 1 the second."""
    r, g, b = (a + share * (b - a) for a, b in zip(one, two, strict=True))
    return (r, g, b)


def textured(
    name: str,
    pattern: Pattern,
    size: tuple[Number, Number, Number] = (2, 2, 2),
    roughness: Number = 0.8,
    metallic: Number = 0.0,
    emission: Colour = (0.0, 0.0, 0.0),
    axis: int | None = None,
) -> Material:
    """A material with a pattern; its colour is the pattern's mean over a box of `size` about the origin.

    Args:
        axis: where the pattern lies on one side only, the axis of that side's normal.
    """
    generator = torch.Generator().manual_seed(5)
    points = (torch.rand(600, 3, generator=generator) - 0.5) * torch.tensor(size, dtype=torch.float32)
    side = torch.arange(600) % 3 if axis is None else torch.full((600,), axis)
    r, g, b = pattern(points, torch.eye(3)[side]).mean(0).tolist()
    return Material(name, (r, g, b), pattern, float(roughness), float(metallic), emission)


def face_uv(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
    """Metres on the surface: (x, y) where it looks up or down, else (x or y, z)."""
    size = normals.abs()
    level = size[:, 2] > 0.7
    across = torch.where(level | (size[:, 1] >= size[:, 0]), points[:, 0], points[:, 1])
    return torch.stack([across, torch.where(level, points[:, 1], points[:, 2])], -1)


def flat(draw: Flat) -> Pattern:
    """A drawing in the plane, laid on every side of a thing."""
    return lambda points, normals: draw(face_uv(points, normals))


def blend(one: Colour, two: Colour, share: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """From the first colour, where the share is 0, to the second, where it is 1."""
    a, b = share.new_tensor(one), share.new_tensor(two)
    return a + (b - a) * share.clamp(0, 1)[:, None]


def paint_over(under: Float[Tensor, "n 3"], where: Bool[Tensor, " n"], colour: Colour) -> Float[Tensor, "n 3"]:
    """One colour where the mask is set."""
    return torch.where(where[:, None], under.new_tensor(colour), under)


def lift(uv: Float[Tensor, "n 2"], z: Number = 0.0) -> Float[Tensor, "n 3"]:
    """Points of the plane as points in space, for noise."""
    return torch.cat([uv, torch.full_like(uv[:, :1], float(z))], -1)


def _to_edge(cells: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Distance to the nearest whole number, in cells."""
    return (cells - cells.round()).abs()


def _bounded(colour: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    return colour.clamp(0, 0.95)


def mottled(colour: Colour, seed: int, strength: Number = 0.1, scale: Number = 1.0, tint: Number = 0.04) -> Pattern:
    """Paint, plaster, plastic, ceramics: large faint clouds, smudges and a fine tooth."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        q = p / float(scale)
        cloud, tooth = noise(q * 1.3, seed, 2), noise(q * 45, seed + 1)
        shade = 1 + float(strength) * (1.3 * (2 * cloud - 1) + 0.5 * (2 * tooth - 1))
        hue = float(tint) * (2 * noise(q * 0.7, seed + 2) - 1)[:, None] * p.new_tensor([1.0, 0.0, -1.0])
        return _bounded(p.new_tensor(colour) * (shade[:, None] + hue))

    return pattern


def wood(light: Colour, dark: Colour, seed: int, along: int = 0, knots: bool = True) -> Pattern:
    """Sawn wood with its grain along an axis: annual rings, fibres, streaks and knots."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return blend(light, dark, _grain(p, seed, along, knots))

    return pattern


def _grain(p: Float[Tensor, "n 3"], seed: int, along: int, knots: bool) -> Float[Tensor, " n"]:
    slow = p.new_tensor([0.35 if axis == along else 5.0 for axis in range(3)])
    fine = p.new_tensor([4.0 if axis == along else 110.0 for axis in range(3)])
    field = noise(p * slow, seed, 2)
    if knots:
        eye = p.new_tensor([1.6 if axis == along else 4.0 for axis in range(3)])
        field = field + 0.5 * (noise(p * eye, seed + 4) - 0.72).clamp(min=0)
    rings = (torch.remainder(14 * field, 1) - 0.35).abs() * 1.2
    return 0.15 + 0.45 * rings + 0.4 * (noise(p * fine, seed + 1) - 0.25) + 0.5 * (field - 0.5)


def planks(
    light: Colour, dark: Colour, seed: int, length: Number = 1.6, width: Number = 0.16, gap: Number = 0.003
) -> Pattern:
    """Floor boards or panelling along the first axis of the surface, staggered row by row, no two alike."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        row = (uv[:, 1] / width).floor()
        column = uv[:, 0] / length + hash01(row.long()[:, None], seed)
        board = torch.stack([column.floor(), row], -1).long()
        edge = torch.minimum(_to_edge(column) * length, _to_edge(uv[:, 1] / width) * width)
        tone, own = hash01(board, seed + 1), hash01(board, seed + 2)
        share = 0.7 * _grain(torch.cat([uv, 40 * own[:, None]], -1), seed, 0, True) + 0.55 * (tone - 0.3)
        wear = 0.9 + 0.2 * noise(lift(uv * 0.8, 3), seed + 3, 2)
        return _bounded(blend(light, dark, share) * (wear * (edge / gap).clamp(0.3, 1))[:, None])

    return flat(draw)


def herringbone(light: Colour, dark: Colour, seed: int, width: Number = 0.09, ratio: int = 5) -> Pattern:
    """Parquet of blocks laid in zigzag, at 45 degrees to the walls."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        s = math.sqrt(0.5) / width
        x, y = (uv[:, 0] + uv[:, 1]) * s, (uv[:, 1] - uv[:, 0]) * s
        i, j = x.floor(), y.floor()
        # A row is `ratio` squares of a lying block, then one square of each of `ratio` upright ones.
        phase = torch.remainder(i - j, 2 * ratio)
        lying = phase < ratio
        start = torch.where(lying, i - phase, i)
        upright = j - (2 * ratio - 1 - phase)
        block = torch.stack([start, torch.where(lying, j, upright), lying.float()], -1).long()
        along = torch.where(lying, x - start, y - upright)
        across = torch.where(lying, y - j, x - i)
        edge = torch.minimum(torch.minimum(along, ratio - along), torch.minimum(across, 1 - across)) * width
        own = hash01(block, seed)
        q = torch.stack([along * width, across * width, 30 * own], -1)
        share = 0.6 * _grain(q, seed + 1, 0, False) + 0.6 * (hash01(block, seed + 2) - 0.25)
        return blend(light, dark, share) * (edge / 0.002).clamp(0.35, 1)[:, None]

    return flat(draw)


def tiles(
    one: Colour,
    two: Colour,
    seed: int,
    size: tuple[Number, Number] = (0.3, 0.3),
    joint: Colour = (0.5, 0.5, 0.48),
    gap: Number = 0.004,
    checker: bool = False,
    bond: Number = 0.0,
    rough: Number = 0.12,
) -> Pattern:
    """Tiles, bricks or slabs of two colours with joints; `bond` shifts every other row by that share of a tile."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        row = (uv[:, 1] / size[1]).floor()
        column = uv[:, 0] / size[0] + torch.remainder(row, 2) * bond
        tile = torch.stack([column.floor(), row], -1).long()
        pick = torch.remainder(tile.sum(1), 2).float() if checker else hash01(tile, seed)
        cloud = noise(torch.cat([uv * 9, 20 * hash01(tile, seed + 1)[:, None]], -1), seed + 2, 3)
        own = 1 + rough * (hash01(tile, seed + 3) - 0.5) + 2.5 * rough * (cloud - 0.5)
        edge = torch.minimum(_to_edge(column) * size[0], _to_edge(uv[:, 1] / size[1]) * size[1])
        edge = edge + gap * 0.5 * (noise(lift(uv * 60), seed + 4) - 0.5)
        grout = uv.new_tensor(joint) * (0.75 + 0.5 * noise(lift(uv * 5), seed + 5, 2))[:, None]
        return _bounded(torch.where((edge < gap)[:, None], grout, blend(one, two, pick) * own[:, None]))

    return flat(draw)


def concrete(colour: Colour, seed: int, panel: tuple[Number, Number] | None = (2.4, 1.2)) -> Pattern:
    """Cast concrete: clouds, pores, water stains that run down, joints and tie holes of the formwork."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        cloud, fine = noise(lift(uv * 1.1), seed, 3), noise(lift(uv * 28), seed + 1, 2)
        run = noise(lift(uv * uv.new_tensor([3.5, 0.35])), seed + 2, 2)
        shade = 0.72 + 0.4 * cloud + 0.16 * fine - 0.5 * (run - 0.62).clamp(min=0)
        near, _, _ = cellular(uv * 16, seed + 3)
        shade = torch.where(near < 0.11, shade * 0.6, shade)
        if panel is not None:
            a, b = uv[:, 0] / panel[0], uv[:, 1] / panel[1]
            shade = shade * (1 + 0.12 * (hash01(torch.stack([a.floor(), b.floor()], -1).long(), seed + 4) - 0.5))
            joint = torch.minimum(_to_edge(a) * panel[0], _to_edge(b) * panel[1]) < 0.006
            hole = (_to_edge(a + 0.25) * panel[0]) ** 2 + (_to_edge(b + 0.5) * panel[1]) ** 2 < 0.018**2
            shade = torch.where(joint | hole, shade * 0.55, shade)
        return _bounded(uv.new_tensor(colour) * shade[:, None])

    return flat(draw)


def marble(ground: Colour, vein: Colour, seed: int, scale: Number = 1.0) -> Pattern:
    """Stone with veins: the zero lines of warped noise, thick and thin."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        q = warp(p * (1.8 / float(scale)), seed, 0.45)
        thick = (1 - (noise(q, seed + 3, 3) - 0.5).abs() * 16).clamp(min=0)
        thin = (1 - (noise(q * 2.7, seed + 4, 2) - 0.5).abs() * 26).clamp(min=0)
        share = 0.55 * thick + 0.35 * thin + 0.35 * (noise(q * 0.6, seed + 5, 2) - 0.35)
        return blend(ground, vein, share)

    return pattern


def terrazzo(ground: Colour, chips: Sequence[Colour], seed: int, size: Number = 0.03) -> Pattern:
    """Chips of stone in cement, polished; also granite, where the chips are small."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        near, _, name = cellular(uv / size, seed)
        colours = uv.new_tensor([*chips, ground])
        pick = colours[(name * len(chips)).long().clamp(max=len(chips) - 1)]
        chip = near < 0.18 + 0.3 * (name * 7.3 % 1)
        base = uv.new_tensor(ground) * (0.85 + 0.3 * noise(lift(uv * 3), seed + 1, 3))[:, None]
        return _bounded(torch.where(chip[:, None], pick, base))

    return flat(draw)


def weave(one: Colour, two: Colour, seed: int, thread: Number = 0.006, stripe: Number = 0.0) -> Pattern:
    """Cloth of two yarns with soft wear; `stripe` > 0 adds woven bands of that width."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        uv = face_uv(p, normals)
        yarn = torch.sin(uv[:, 0] * (math.pi / thread)) * torch.sin(uv[:, 1] * (math.pi / thread))
        share = 0.42 + 0.22 * yarn + 0.7 * (noise(p * 70, seed) - 0.5) + 0.5 * (noise(p * 3, seed + 1, 2) - 0.5)
        if stripe > 0:
            band = torch.remainder(uv[:, 0] / stripe, 4)
            share = share + torch.where(band < 1, 0.55, torch.where((band > 2) & (band < 2.3), 0.3, -0.15))
        return blend(one, two, share)

    return pattern


def tartan(ground: Colour, first: Colour, second: Colour, seed: int, sett: Number = 0.16) -> Pattern:
    """Checked cloth: the same bands across and along, mixed thread by thread."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        def bands(t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
            phase = torch.remainder(t / sett, 1)
            base = paint_over(uv.new_tensor(ground).expand(len(t), 3), (phase > 0.1) & (phase < 0.42), first)
            return paint_over(base, (phase > 0.64) & (phase < 0.72), second)

        over = torch.remainder((uv[:, 0] + uv[:, 1]) / 0.004, 1) < 0.5
        cloth = torch.where(over[:, None], bands(uv[:, 0]), bands(uv[:, 1]))
        return _bounded(cloth * (0.8 + 0.4 * noise(lift(uv * 40), seed, 2))[:, None])

    return flat(draw)


def leather(colour: Colour, seed: int) -> Pattern:
    """Hide: fine creases between cells, lighter where it is worn."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        near, second, _ = cellular(face_uv(p, normals) * 110, seed)
        crease = ((second - near) * 4).clamp(0.55, 1)
        worn = 0.75 + 0.5 * noise(p * 3.5, seed + 1, 3)
        return _bounded(p.new_tensor(colour) * (crease * worn)[:, None])

    return pattern


def carpet(one: Colour, two: Colour, seed: int, tile: Number = 0.0) -> Pattern:
    """Loop pile with trodden paths; `tile` > 0 lays carpet tiles, each turned."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        share = 0.5 + 0.9 * (noise(lift(uv * 130), seed) - 0.5) + 0.8 * (noise(lift(uv * 1.2), seed + 1, 3) - 0.5)
        if tile > 0:
            cell = (uv / tile).floor()
            turned = torch.remainder(cell.sum(1), 2) > 0
            line = torch.remainder(torch.where(turned, uv[:, 0], uv[:, 1]) / 0.035, 1)
            share = share + 0.35 * (line - 0.5) + 0.35 * (hash01(cell.long(), seed + 2) - 0.5)
        return blend(one, two, share)

    return flat(draw)


def wallpaper(ground: Colour, figure: Colour, seed: int, repeat: Number = 0.4, style: int = 0) -> Pattern:
    """Printed paper: 0 stripes, 1 leaves on stems, 2 rosettes in half drop, 3 diamonds."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        u, v = uv[:, 0] / repeat, uv[:, 1] / repeat
        if style == 0:
            phase = torch.remainder(u * 2, 1)
            ink = (phase < 0.5).float() * 0.6 + ((phase > 0.7) & (phase < 0.76)).float()
        elif style == 1:
            sway = 0.12 * torch.sin(2 * math.pi * v)
            s = torch.remainder(u + sway, 1) - 0.5
            t = torch.remainder(v * 4 + (s > 0).float() * 0.5, 1) - 0.5
            leaf = ((s.abs() - 0.16) / 0.13) ** 2 + ((t - 1.8 * (s.abs() - 0.16)) / 0.32) ** 2
            ink = ((leaf < 1) & (leaf > 0.08)).float() + (s.abs() < 0.012).float()
        elif style == 2:
            s = torch.remainder(u, 1) - 0.5
            t = torch.remainder(v + 0.5 * torch.remainder(u.floor(), 2), 1) - 0.5
            radius, angle = (s**2 + t**2).sqrt(), torch.atan2(t, s)
            petal = 0.26 + 0.1 * torch.cos(8 * angle)
            ink = ((radius < petal) & (radius > 0.1)).float() * 0.8 + (radius < 0.06).float()
        else:
            s, t = torch.remainder(u * 2, 1) - 0.5, torch.remainder(v, 1) - 0.5
            ring = s.abs() + t.abs()
            ink = (torch.remainder(ring * 5, 1) < 0.35).float() * (ring < 0.5).float()
        share = ink.clamp(max=1) * (0.75 + 0.4 * noise(lift(uv * 35), seed, 2))
        return _bounded(blend(ground, figure, share) * (0.9 + 0.2 * noise(lift(uv * 1.1), seed + 1, 3))[:, None])

    return flat(draw)


def rug(
    size: tuple[Number, Number], ground: Colour, figure: Colour, accent: Colour, seed: int, style: int = 0
) -> Pattern:
    """A rug about the origin: 0 nested diamonds with borders, 1 stripes, 2 a medallion, 3 islands of colour."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        knot = (p[:, :2] / 0.012).floor() * 0.012 + 0.006  # whole knots, as a loom makes them
        x, y = knot[:, 0], knot[:, 1]
        inset = torch.minimum(size[0] / 2 - x.abs(), size[1] / 2 - y.abs())
        base = p.new_tensor(ground).expand(len(p), 3)
        if style == 0:
            diamond = (torch.remainder(x, 0.4) / 0.4 - 0.5).abs() + (torch.remainder(y, 0.4) / 0.4 - 0.5).abs()
            base = paint_over(base, torch.remainder(diamond * 5, 2) < 0.9, figure)
            base = paint_over(base, diamond < 0.18, accent)
        elif style == 1:
            band = hash01((x / 0.14).floor().long()[:, None], seed)
            base = paint_over(paint_over(base, band < 0.35, figure), band > 0.8, accent)
        elif style == 2:
            r = ((x / size[0]) ** 2 + (y / size[1]) ** 2).sqrt() * 2
            angle = torch.atan2(y / size[1], x / size[0])
            lobe = r * (1 + 0.1 * torch.cos(12 * angle))
            base = paint_over(base, torch.remainder(lobe * 4, 1) < 0.4, figure)
            base = paint_over(base, lobe < 0.2, accent)
        else:
            field = noise(lift(torch.stack([x, y], -1) * 1.6), seed, 1)
            base = paint_over(paint_over(base, field > 0.58, figure), (field - 0.42).abs() < 0.015, accent)
        if style in (0, 2):
            base = paint_over(base, inset < 0.2, ground)
            base = paint_over(base, ((inset > 0.05) & (inset < 0.1)) | ((inset > 0.14) & (inset < 0.16)), accent)
        yarn = hash01((p[:, :2] / 0.012).floor().long(), seed + 1)
        return _bounded(base * (0.7 + 0.3 * yarn + 0.3 * noise(p * 3, seed + 2, 2))[:, None])

    return pattern


def brushed(colour: Colour, seed: int, along: int = 2, strength: Number = 0.12, rust: Number = 0.0) -> Pattern:
    """Metal with lines of its last polish, and patches of rust."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        stretch = p.new_tensor([3.0 if axis == along else 260.0 for axis in range(3)])
        shade = 1 + float(strength) * (noise(p * stretch, seed) + noise(p * 2.5, seed + 1, 2) - 1)
        base = p.new_tensor(colour) * shade[:, None]
        if rust > 0:
            patch = (noise(p * 4, seed + 2, 3) - 1 + rust) * 9
            brown = blend((0.16, 0.06, 0.025), (0.34, 0.13, 0.045), noise(p * 50, seed + 3, 2))
            base = torch.lerp(base, brown, patch.clamp(0, 1)[:, None])
        return _bounded(base)

    return pattern


def foliage(one: Colour, two: Colour, seed: int, cell: Number = 0.05) -> Pattern:
    """Leaves: patches of two greens with dark gaps."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        share = 1.6 * noise(p / float(cell), seed, 3) - 0.3
        gap = (4 * noise(p / float(cell) * 2.3, seed + 1) - 0.9).clamp(0, 1)
        return blend(one, two, share) * (0.4 + 0.6 * gap)[:, None]

    return pattern


def meadow(one: Colour, two: Colour, seed: int) -> Pattern:
    """Lawn and paving seen through a window, from blades to patches of metres."""

    def draw(uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        share = noise(lift(uv * 0.3), seed, 3) + 0.5 * (noise(lift(uv * 14), seed + 1, 2) - 0.5)
        return blend(one, two, share)

    return flat(draw)


def court(boards: Pattern, size: tuple[Number, Number], lines: Sequence[Colour]) -> Pattern:
    """A sports floor about the origin: boards with the lines of two games."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        base = boards(p, normals)
        x, y = p[:, 0], p[:, 1]
        for colour, share, radius in zip(lines, (0.9, 0.62), (0.14, 0.09), strict=False):
            a, b, r = size[0] / 2 * share, size[1] / 2 * share, radius * size[1]
            side = torch.maximum((x.abs() - a), (y.abs() - b)).abs() < 0.025
            middle = (x.abs() < 0.025) & (y.abs() < b)
            circle = ((x**2 + y**2).sqrt() - r).abs() < 0.025
            key = (((x.abs() - a * 0.72) ** 2 + y**2).sqrt() - r).abs() < 0.025
            base = paint_over(base, side | middle | circle | (key & (x.abs() < a)), colour)
        return base

    return pattern
