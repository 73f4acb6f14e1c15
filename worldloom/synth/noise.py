"""Noise that textures and relief are made of: pure functions of points and a seed, the same on every machine."""

import math
from functools import cache, lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

_PERIOD = 64  # smooth noise repeats after so many cells, along axes that differ from octave to octave
_MIX = (73_856_093, 19_349_663, 83_492_791)  # primes of Teschner et al. 2003, "Optimized Spatial Hashing"
_MASK = (1 << 31) - 1


def noise(points: Float[Tensor, "n 3"], seed: int, octaves: int = 1, gain: float | int = 0.5) -> Float[Tensor, " n"]:
    """Smooth value noise in [0, 1] about 0.5 with cells of length 1; each octave is twice as fine and `gain` as strong.

    Random values on a cubic lattice, blended by 3f^2 - 2f^3. Octaves are turned against each other, which hides the
    lattice.
    """
    total, weight = points.new_zeros(len(points)), 0.0
    for octave in range(octaves):
        total += float(gain) ** octave * _lattice_noise(points, seed, octave)
        weight += float(gain) ** octave
    return total / weight


def warp(points: Float[Tensor, "n 3"], seed: int, amount: float | int) -> Float[Tensor, "n 3"]:
    """Points pushed about smoothly by up to `amount`, for veins, wavy grain and uneven edges."""
    shift = torch.stack([_lattice_noise(points, seed + axis, axis) for axis in range(3)], -1)
    return points + float(amount) * (2 * shift - 1)


def hash01(cells: Int[Tensor, "n k"], seed: int) -> Float[Tensor, " n"]:
    """A random number in [0, 1) for each whole cell of a lattice with one to three axes."""
    h = torch.full_like(cells[:, 0], _scramble(seed), dtype=torch.int64)
    for axis in range(cells.shape[1]):
        h = (h ^ cells[:, axis].long() * _MIX[axis]) & _MASK
        h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & _MASK
    h = ((h ^ (h >> 12)) * 0x297A2D39) & _MASK
    return ((h ^ (h >> 15)) & 0xFFFFFF).float() / (1 << 24)


def cellular(
    points: Float[Tensor, "n k"], seed: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Worley's cellular noise in the plane or in space, with one feature point in each cell of length 1.

    Worley 1996, "A Cellular Texture Basis Function". Feature points keep to the middle 80 % of their cells.

    Returns:
        distance to the nearest feature point, to the second nearest, and a random number in [0, 1) of the nearest.
    """
    low = points.floor().long()
    near = points.new_full((len(points),), math.inf)
    second, name = near.clone(), points.new_zeros(len(points))
    axes = points.shape[1]
    for neighbour in torch.cartesian_prod(*[torch.arange(-1, 2)] * axes):
        cell = low + neighbour
        where = [hash01(cell, seed + 101 * (axis + 1)) for axis in range(axes)]
        squared = sum((cell[:, a] + (0.1 + 0.8 * where[a]) - points[:, a]) ** 2 for a in range(axes))
        assert isinstance(squared, Tensor)
        second = torch.minimum(second, torch.maximum(near, squared))
        # The fraction of a scaled coordinate is as good as another hash.
        name = torch.where(squared < near, (where[0] * 257) % 1, name)
        near = torch.minimum(near, squared)
    return near.sqrt(), second.sqrt(), name


def _lattice_noise(points: Float[Tensor, "n 3"], seed: int, octave: int) -> Float[Tensor, " n"]:
    # In place wherever it goes: fresh memory for every step would cost more than the arithmetic.
    at = (points @ _turn(octave).to(points)).add_(_shift(seed, octave).to(points))
    low = at.floor()
    f = at.sub_(low)
    smooth = f * f
    smooth *= f.mul_(-2).add_(3)
    low -= torch.floor(low / _PERIOD).mul_(_PERIOD)
    # The lattice's values lie at -1, ..., 1 (align_corners): value i at i / (_PERIOD / 2) - 1.
    grid = low.add_(smooth).mul_(2 / _PERIOD).sub_(1).view(1, -1, 1, 1, 3)
    return grid_sample(_lattice().to(points), grid, mode="bilinear", align_corners=True, padding_mode="border").view(-1)


@cache
def _lattice() -> Float[Tensor, "1 1 z y x"]:
    values = torch.rand(_PERIOD, _PERIOD, _PERIOD, generator=torch.Generator().manual_seed(20_011))
    for axis in range(3):
        values = torch.cat([values, values.narrow(axis, 0, 1)], axis)  # so that the last cell leads to the first
    return values[None, None]


@cache
def _turn(octave: int) -> Float[Tensor, "3 3"]:
    """A rotation for each octave, times its scale; the coarsest keeps the axes."""
    a, b = 0.9 * octave, 0.5 * octave
    about_z = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = torch.tensor([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    return about_z @ about_x * 2.0**octave


@lru_cache(maxsize=1 << 14)
def _shift(seed: int, octave: int) -> Float[Tensor, "3"]:
    return torch.tensor([_scramble(3 * seed + 7919 * octave + axis) % 4096 / 64 for axis in range(3)])


def _scramble(number: int) -> int:
    h = (number * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return (h ^ (h >> 16)) & _MASK
