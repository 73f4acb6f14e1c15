"""Procedural surface patterns: albedo in linear light as a function of points in a solid's own frame."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.io.images import linear_from_srgb
from worldloom.synth.first.solids import Pattern

Colour = tuple[float, float, float]
_LATTICE = 64  # the noise repeats after so many cells


def srgb(text: str) -> Colour:
    """Linear colour of a web colour such as "#c8a27a"."""
    r, g, b = linear_from_srgb(torch.tensor([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])).tolist()
    return (r, g, b)


class Noise:
    """Smooth value noise in [0, 1]: random values on an integer lattice, blended by 3f^2 - 2f^3."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.values = torch.rand(_LATTICE, _LATTICE, _LATTICE, generator=generator).flatten()

    def at(self, cells: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """The value of each whole cell, without blending."""
        i = torch.remainder(cells.floor().long(), _LATTICE)
        return self.values[(i[:, 0] * _LATTICE + i[:, 1]) * _LATTICE + i[:, 2]]

    def __call__(self, points: Float[Tensor, "n 3"], octaves: int = 1) -> Float[Tensor, " n"]:
        total, weight = torch.zeros_like(points[:, 0]), 0.0
        for octave in range(octaves):
            scaled = points * 2.0**octave + 17.3 * octave
            low = scaled.floor()
            f = scaled - low
            f = f * f * (3 - 2 * f)
            value = torch.zeros_like(total)
            for corner in range(8):
                offset = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
                blend = torch.where(offset.bool(), f, 1 - f).prod(-1)
                value = value + blend * self.at(low + offset)
            total, weight = total + 0.5**octave * value, weight + 0.5**octave
        return total / weight


def _blend(one: Colour, two: Colour, share: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    a, b = share.new_tensor(one), share.new_tensor(two)
    return a + (b - a) * share[:, None]


def wood(light: Colour, dark: Colour, seed: int, along: int = 0, plank: tuple[float, float] | None = None) -> Pattern:
    """Grain along an axis; with `plank` = (length, width) also floor boards along x, staggered row by row."""
    noise = Noise(seed)

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        board = torch.zeros_like(p)
        seam = torch.ones_like(p[:, 0])
        if plank is not None:
            row = (p[:, 1] / plank[1]).floor()
            shift = noise.at(torch.stack([row, row * 0, row * 0 + 7], -1))
            column = p[:, 0] / plank[0] + shift
            board = torch.stack([column.floor(), row, row * 0], -1)
            edge = torch.minimum(_to_edge(column) * plank[0], _to_edge(p[:, 1] / plank[1]) * plank[1])
            seam = (edge / 0.003).clamp(0.25, 1)
        stretch = p.new_tensor([2.5 if axis == along else 38.0 for axis in range(3)])
        tone = noise.at(board + 3)
        grain = noise(p * stretch + board * 9.1, octaves=3)
        rings = 0.5 + 0.5 * torch.sin(18 * (grain + 0.6 * noise(p * stretch * 0.18 + board * 5.3)))
        share = (0.45 * grain + 0.3 * rings + 0.5 * tone - 0.15).clamp(0, 1)
        return _blend(light, dark, share) * seam[:, None]

    return pattern


def _to_edge(cells: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Distance to the nearest whole number, in cells."""
    return (cells - cells.round()).abs()


def plaster(colour: Colour, seed: int, strength: float = 0.07) -> Pattern:
    """Painted plaster: faint large clouds and a fine roller texture."""
    noise = Noise(seed)

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        shade = 0.5 * noise(p * 1.7, octaves=2) + 0.5 * noise(p * 55, octaves=2)
        return p.new_tensor(colour) * (1 + strength * (2 * shade - 1))[:, None]

    return pattern


def cloth(one: Colour, two: Colour, seed: int, thread: float = 0.012) -> Pattern:
    """A plain weave of two yarns, seen from any side."""
    noise = Noise(seed)

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        q = p / thread
        weave = torch.sin(math.pi * q[:, 0]) * torch.sin(math.pi * q[:, 1]) + torch.sin(math.pi * q[:, 2])
        share = 0.5 + 0.15 * weave + 0.5 * (noise(p * 30, octaves=2) - 0.5)
        return _blend(one, two, share.clamp(0, 1))

    return pattern


def rug(size: tuple[float, float], ground: Colour, figure: Colour, accent: Colour, seed: int) -> Pattern:
    """A woven rug: borders, and rows of nested diamonds."""
    noise = Noise(seed)

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        knot = (p[:, :2] / 0.012).floor() * 0.012 + 0.006  # whole knots, as a loom makes them
        x, y = knot[:, 0], knot[:, 1]
        inset = torch.minimum(size[0] / 2 - x.abs(), size[1] / 2 - y.abs())
        cell = 0.4
        diamond = (torch.remainder(x, cell) / cell - 0.5).abs() + (torch.remainder(y, cell) / cell - 0.5).abs()
        ring = torch.remainder(diamond * 5, 2) < 0.9
        colour = torch.where(ring[:, None], p.new_tensor(figure), p.new_tensor(ground))
        colour = torch.where((diamond < 0.18)[:, None], p.new_tensor(accent), colour)
        colour = torch.where((inset < 0.2)[:, None], p.new_tensor(ground), colour)
        stripe = ((inset > 0.05) & (inset < 0.1)) | ((inset > 0.14) & (inset < 0.16))
        colour = torch.where(stripe[:, None], p.new_tensor(accent), colour)
        yarn = noise.at(torch.cat([p[:, :2] / 0.012, p[:, 2:] * 0], -1)) * 0.5 + noise(p * 4) * 0.5
        return colour * (0.75 + 0.5 * yarn)[:, None]

    return pattern


def tiles(one: Colour, two: Colour, side: float, axes: tuple[int, int] = (0, 1)) -> Pattern:
    """A checkerboard with light joints."""

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = p[:, axes[0]] / side, p[:, axes[1]] / side
        colour = _blend(one, two, torch.remainder(u.floor() + v.floor(), 2))
        joint = torch.minimum(_to_edge(u), _to_edge(v)) * side < 0.003
        return torch.where(joint[:, None], torch.full_like(p, 0.55), colour)

    return pattern


def book(cover: Colour, foil: Colour, height: float, seed: int) -> Pattern:
    """A book that stands along z: cloth cover, foil bands and a title block on the spine."""
    noise = Noise(seed % 7)
    bands = 0.28 + 0.12 * ((seed * 37) % 11) / 11

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        level = p[:, 2] / height
        lines = ((level.abs() - bands).abs() < 0.012) | ((level.abs() - bands - 0.05).abs() < 0.005)
        letters = (level.abs() < 0.17) & (
            noise.at(torch.stack([p[:, 2] / 0.009 + seed, p[:, 2] * 0, p[:, 2] * 0], -1)) > 0.45
        )
        title = letters & (p[:, 0].abs() < 0.008) if seed % 3 else letters & (level > 0)
        colour = p.new_tensor(cover) * (0.8 + 0.4 * noise(p * 90, octaves=2))[:, None]
        return torch.where((lines | title)[:, None], p.new_tensor(foil), colour)

    return pattern


def painting(size: tuple[float, float], seed: int) -> Pattern:
    """A landscape in flat colours on the y-z face: sun, sky, and ranges of hills that darken towards us."""
    noise = Noise(seed)
    skies = (("#f3d9b1", "#e8955f"), ("#d9e6e4", "#7fa8b5"), ("#f2e3d0", "#c9828a"))
    hills = (("#8d6a73", "#2f3a4a"), ("#9bb3a3", "#24443f"), ("#b4846c", "#41303c"))
    sky = tuple(srgb(c) for c in skies[seed % 3])
    hill = tuple(srgb(c) for c in hills[seed % 3])

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = p[:, 1] / size[0], p[:, 2] / size[1]  # -0.5 to 0.5
        colour = _blend(sky[1], sky[0], (0.6 - v).clamp(0, 1))
        disc = ((u - 0.16) * size[0]) ** 2 + ((v - 0.17) * size[1]) ** 2 < (0.11 * size[1]) ** 2
        colour = torch.where(disc[:, None], p.new_tensor(srgb("#fbf0d5")), colour)
        for i in range(4):
            ridge = (
                0.1
                - 0.14 * i
                + 0.22 * (noise(torch.stack([u * (4 + i) + 9 * i, u * 0 + i, u * 0], -1), octaves=3) - 0.5)
            )
            colour = torch.where((v < ridge)[:, None], _blend(hill[0], hill[1], torch.full_like(u, i / 3)), colour)
        mat = (u.abs() > 0.5 - 0.05 / size[0]) | (v.abs() > 0.5 - 0.05 / size[1])
        return torch.where(mat[:, None], torch.full_like(p, 0.85), colour) * (0.94 + 0.12 * noise(p * 160))[:, None]

    return pattern


def foliage(one: Colour, two: Colour, seed: int, cell: float) -> Pattern:
    """Leaves seen from afar: patches of two greens with dark gaps."""
    noise = Noise(seed)

    def pattern(p: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        share = noise(p / cell, octaves=3)
        return (
            _blend(one, two, (1.8 * share - 0.4).clamp(0, 1))
            * (0.35 + 0.65 * (4 * noise(p / cell * 2.3 + 5) - 0.9).clamp(0, 1))[:, None]
        )

    return pattern
