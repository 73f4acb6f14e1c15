"""Materials of the ground: roads, paving, and what grows or lies between them."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import cellular, hash01, noise, warp
from worldloom.synth.textures import blend
from worldloom.synth.world import Colour, Material


def asphalt(seed: int, tone: float | int = 1.0, wear: float | int = 1.0) -> Material:
    """Grit of the aggregate, cracks, tar seams, oil and patches of other ages."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return _asphalt(p, seed, tone, wear)

    grey = 0.075 * float(tone)
    return Material("asphalt", (grey, grey, grey), pattern, 0.92)


def road_paint(seed: int, colour: Colour = (0.62, 0.62, 0.58), wear: float | int = 1.0) -> Material:
    """Paint that has worn through to the asphalt here and there."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        left = (6 * (noise(p * 3.1, seed, 5, 0.75) - 0.36 * wear)).clamp(0, 1)[:, None]
        dirt = (0.75 + 0.4 * noise(p * 0.9, seed + 1, 3))[:, None]
        return _asphalt(p, seed, 1.0, wear) * (1 - left) + p.new_tensor(colour) * dirt * left

    return Material("paint", colour, pattern, 0.7)


def paving(seed: int, colour: Colour, size: tuple[float, float] = (0.6, 0.4), yaw: float | int = 0.0) -> Material:
    """Slabs in bond, some newer than others, with dark joints, gum and stains."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = _rotated(p, yaw)
        row = (v / size[1]).floor()
        across = u / size[0] + 0.5 * torch.remainder(row, 2)
        cell = torch.stack([across.floor(), row], -1).long()
        joint = torch.minimum(_to_edge(across) * size[0], _to_edge(v / size[1]) * size[1])
        shade = (0.82 + 0.3 * hash01(cell, seed)) * (0.8 + 0.4 * noise(p * 13, seed, 4, 0.7))
        shade = shade * (0.75 + 0.5 * noise(p * 0.5, seed + 1, 4))
        gum = 0.8 + 0.2 * (noise(p * 16, seed + 2) < 0.86)
        return p.new_tensor(colour) * (shade * gum * (0.55 + 0.45 * (joint / 0.012).clamp(0, 1)))[:, None]

    return Material("paving", colour, pattern, 0.85)


def cobbles(seed: int, colour: Colour, stone: float | int = 0.14) -> Material:
    """Worn setts in wavering rows, moss in the joints."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        q = warp(p * 0.8, seed, 0.12)[:, :2] / 0.8
        near, second, name = cellular(q / stone, seed)
        round_top = (1.15 - 0.7 * near).clamp(0.4, 1.2)
        shade = (0.65 + 0.6 * name) * round_top * (0.8 + 0.4 * noise(p * 30, seed, 2))
        shade = shade * (0.7 + 0.6 * noise(p * 0.4, seed + 1, 4))
        moss = noise(p * 0.7, seed + 2, 3)[:, None]
        joint = blend((0.05, 0.045, 0.04), (0.06, 0.075, 0.03), (3 * moss[:, 0] - 1).clamp(0, 1))
        share = ((second - near) / 0.16).clamp(0, 1)[:, None]
        return joint + (p.new_tensor(colour) * shade[:, None] - joint) * share

    return Material("cobbles", colour, pattern, 0.85)


def grass(seed: int, colour: Colour = (0.11, 0.17, 0.045), dry: float | int = 0.35) -> Material:
    """A sward: blades, clumps, dry and bare patches."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return grassy(p, seed, colour, dry)

    return Material("grass", colour, pattern, 0.95)


def gravel(seed: int, colour: Colour = (0.36, 0.33, 0.28), stone: float | int = 0.035) -> Material:
    """Pebbles of several tones."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        near, _, name = cellular(p[:, :2] / stone, seed)
        shade = (0.5 + 0.9 * name) * (1.1 - 0.6 * near) * (0.7 + 0.6 * noise(p * 0.6, seed, 4))
        return p.new_tensor(colour) * shade[:, None]

    return Material("gravel", colour, pattern, 0.95)


def soil(seed: int, colour: Colour = (0.13, 0.09, 0.06)) -> Material:
    """Bare earth with clods and straw."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return earthy(p, seed, colour)

    return Material("soil", colour, pattern, 0.95)


def water(seed: int, colour: Colour = (0.03, 0.055, 0.055)) -> Material:
    """Still water, darker and lighter in lanes of wind."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        lanes = noise(p * p.new_tensor([0.05, 0.3, 1.0]), seed, 4)
        ripple = noise(p * p.new_tensor([1.2, 4.0, 1.0]), seed + 1, 3)
        sky = (1.6 * lanes + 0.9 * ripple - 0.75).clamp(0, 1)
        return blend(colour, (0.2, 0.27, 0.33), sky)

    return Material("water", colour, pattern, 0.04)


def grassy(p: Float[Tensor, "n 3"], seed: int, colour: Colour, dry: float | int = 0.35) -> Float[Tensor, "n 3"]:
    """Colours of a sward at points."""
    blades = noise(p * p.new_tensor([55.0, 55.0, 15.0]), seed, 2)
    clumps = noise(p * 2.7, seed + 1, 4, 0.7)
    fields = noise(p * 0.11, seed + 2, 4)
    shade = (0.35 + 0.75 * blades) * (0.45 + 1.1 * clumps)
    base = blend(colour, (0.30, 0.26, 0.11), (2.2 * (fields + 0.5 * clumps) - 2.3 + 1.6 * dry).clamp(0, 1))
    bare = (8 * (noise(p * 0.8, seed + 3, 5, 0.65) - 0.72)).clamp(0, 1)[:, None]
    return base * shade[:, None] * (1 - bare) + earthy(p, seed, (0.17, 0.125, 0.08)) * bare


def earthy(p: Float[Tensor, "n 3"], seed: int, colour: Colour) -> Float[Tensor, "n 3"]:
    """Colours of bare earth at points."""
    shade = (0.45 + 0.6 * noise(p * 17, seed + 5, 4, 0.7)) * (0.6 + 0.8 * noise(p * 0.9, seed + 6, 4))
    return p.new_tensor(colour) * 1.25 * shade[:, None]


def sandy(p: Float[Tensor, "n 3"], seed: int, colour: Colour) -> Float[Tensor, "n 3"]:
    """Colours of sand: ripples across the wind, darker hollows."""
    q = warp(p * 0.35, seed, 0.9) / 0.35
    ripple = torch.sin(2 * torch.pi * (q[:, 0] + 0.35 * q[:, 1]) / 0.16)
    wide = noise(p * 0.05, seed + 2, 4)
    shade = 0.86 + 0.07 * ripple + 0.18 * (noise(p * 40, seed, 2) - 0.5) + 0.35 * (wide - 0.5)
    return p.new_tensor(colour) * shade[:, None]


def snowy(p: Float[Tensor, "n 3"], seed: int) -> Float[Tensor, "n 3"]:
    """Colours of snow: faint drifts and sparkle."""
    shade = 0.74 + 0.16 * noise(p * 0.35, seed, 5) + 0.08 * (noise(p * 21, seed + 1, 3) - 0.5)
    return p.new_tensor((0.97, 0.99, 1.03)) * shade[:, None]


def rocky(p: Float[Tensor, "n 3"], seed: int, colour: Colour) -> Float[Tensor, "n 3"]:
    """Colours of rock: bedding, cracks and lichen."""
    q = warp(p * 0.25, seed, 0.6)
    beds = noise(q * p.new_tensor([0.6, 0.6, 9.0]), seed, 3)
    cracks = (18 * (noise(p * 1.3, seed + 1, 4, 0.6) - 0.5).abs()).clamp(0.35, 1)
    shade = (0.5 + 0.6 * beds + 0.4 * noise(p * 12, seed + 2, 4, 0.7)) * cracks
    lichen = (7 * (noise(p * 2.2, seed + 3, 5, 0.65) - 0.62)).clamp(0, 0.8)[:, None]
    return p.new_tensor(colour) * shade[:, None] * (1 - lichen) + p.new_tensor((0.2, 0.2, 0.11)) * lichen


def rock(seed: int, colour: Colour) -> Material:
    """Rock of boulders and outcrops."""

    def pattern(p: Float[Tensor, "n 3"], _: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return rocky(p, seed, colour)

    return Material("rock", colour, pattern, 0.95)


def _asphalt(p: Float[Tensor, "n 3"], seed: int, tone: float | int, wear: float | int) -> Float[Tensor, "n 3"]:
    grit = 0.6 + 0.8 * noise(p * 70, seed, 2, 0.8)
    age = 0.7 + 0.6 * noise(p * 0.23, seed + 1, 4)
    cell = (p[:, :2] / p.new_tensor([7.3, 2.9]) + 0.37).floor().long()
    patch = torch.where(hash01(cell, seed + 2) > 0.86, 0.62 + 0.3 * hash01(cell, seed + 3), torch.ones_like(age))
    bent = warp(p * 0.7, seed + 4, 0.5)
    near, second, _ = cellular(bent[:, :2] / 1.9, seed + 5)
    cracked = noise(p * 0.09, seed + 6, 3) > 0.62 - 0.1 * wear
    crack = torch.where(((second - near) < 0.022) & cracked, 0.4, 1.0)
    oil = 1 - 0.55 * (5 * (noise(p * 0.9, seed + 7, 3) - 0.72)).clamp(0, 1)
    return p.new_tensor((0.088, 0.087, 0.085)) * tone * (grit * age * patch * crack * oil)[:, None]


def _rotated(p: Float[Tensor, "n 3"], yaw: float | int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    c, s = torch.cos(torch.tensor(yaw)), torch.sin(torch.tensor(yaw))
    return p[:, 0] * c + p[:, 1] * s, -p[:, 0] * s + p[:, 1] * c


def _to_edge(cells: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return (cells - cells.round()).abs()
