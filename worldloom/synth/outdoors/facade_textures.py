"""Materials of building fronts and roofs. Their patterns follow walls of any direction."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import cellular, hash01, noise
from worldloom.synth.textures import toned
from worldloom.synth.world import Colour, Material


def wall_coordinates(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Metres to the right and upwards along a surface, seen from outside; level surfaces get x and y.

    Sloping surfaces are measured along their slope, so that tiles of a roof keep their length.
    """
    level = normals[:, :2].norm(dim=1) < 0.05
    right = torch.stack([-normals[:, 1], normals[:, 0]], -1)
    right = right / right.norm(dim=1, keepdim=True).clamp(min=1e-6)
    rise = normals[:, :2].norm(dim=1).clamp(min=0.05)
    u = torch.where(level, points[:, 0], (points[:, :2] * right).sum(-1))
    v = torch.where(level, points[:, 1], points[:, 2] / rise)
    return u, v


def brick(seed: int, colour: Colour, mortar: Colour = (0.30, 0.28, 0.25), course: float | int = 0.075) -> Material:
    """Bricks in running bond: each of its own tone, soot in clouds, and streaks below ledges."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        row = (v / course).floor()
        across = u / (3.2 * course) + 0.5 * torch.remainder(row, 2)
        cell = torch.stack([across.floor(), row], -1).long()
        tone = hash01(cell, seed)
        rare = (hash01(cell, seed + 1) > 0.93).float()
        joint = torch.minimum(_to_edge(across) * 3.2 * course, _to_edge(v / course) * course) < 0.006
        shade = 0.72 + 0.45 * tone - 0.3 * rare
        rough = 0.86 + 0.28 * noise(p * 40, seed, 2)
        bricks = p.new_tensor(colour) * (shade * rough)[:, None]
        bricks[:, 0] *= 0.93 + 0.14 * hash01(cell, seed + 2)
        grout = 0.5 * (p.new_tensor(mortar) + p.new_tensor(colour)) * rough[:, None]
        surface = torch.where(joint[:, None], grout, bricks)
        return surface * _weather(p, seed)[:, None]

    return Material("brick", colour, pattern, 0.9)


def stucco(seed: int, colour: Colour, stain: float | int = 0.35) -> Material:
    """Rendered wall: clouds of fading, rain streaks, some patches where the render has gone."""
    bare = toned((0.33, 0.27, 0.22), 1.0)

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        fine = 0.93 + 0.14 * noise(p * 18, seed, 3)
        surface = p.new_tensor(colour) * (fine * _weather(p, seed, stain))[:, None]
        patch = ((noise(p * p.new_tensor([0.35, 0.35, 0.5]), seed + 5, 5, 0.6) - 0.73) / 0.02).clamp(0, 1)
        return surface + (p.new_tensor(bare) * fine[:, None] - surface) * patch[:, None]

    return Material("stucco", colour, pattern, 0.92)


def ashlar(seed: int, colour: Colour, size: tuple[float | int, float | int] = (0.75, 0.36)) -> Material:
    """Dressed blocks with thin joints, each of its own tone."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        row = (v / size[1]).floor()
        across = u / size[0] + hash01(row[:, None].long(), seed + 9)
        cell = torch.stack([across.floor(), row], -1).long()
        joint = torch.minimum(_to_edge(across) * size[0], _to_edge(v / size[1]) * size[1])
        shade = (0.82 + 0.3 * hash01(cell, seed)) * (0.85 + 0.3 * noise(p * 9, seed, 3))
        shade = shade * (0.55 + 0.45 * (joint / 0.012).clamp(0, 1)) * _weather(p, seed)
        return p.new_tensor(colour) * shade[:, None]

    return Material("ashlar", colour, pattern, 0.85)


def rubble(seed: int, colour: Colour, stone: float | int = 0.32) -> Material:
    """Field stones of many sizes in mortar: old walls, wells, barns."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        near, second, name = cellular(torch.stack([u / (1.5 * stone), v / stone], -1), seed)
        shade = (0.6 + 0.7 * name) * (0.8 + 0.4 * noise(p * 14, seed, 3))
        joint = ((second - near) / 0.12).clamp(0, 1)
        stones = p.new_tensor(colour) * shade[:, None]
        mortar = p.new_tensor((0.36, 0.33, 0.28)) * (0.8 + 0.3 * noise(p * 25, seed + 1, 2))[:, None]
        return (mortar + (stones - mortar) * joint[:, None]) * _weather(p, seed)[:, None]

    return Material("rubble", colour, pattern, 0.95)


def concrete(seed: int, colour: Colour = (0.42, 0.41, 0.39), panel: tuple[float, float] = (3.0, 2.8)) -> Material:
    """Cast panels: joints, formwork tone from panel to panel, dark streaks of rain."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        cell = torch.stack([(u / panel[0]).floor(), (v / panel[1]).floor()], -1).long()
        joint = torch.minimum(_to_edge(u / panel[0]) * panel[0], _to_edge(v / panel[1]) * panel[1])
        shade = (0.9 + 0.2 * hash01(cell, seed)) * (0.84 + 0.32 * noise(p * 6, seed, 4))
        shade = shade * (0.5 + 0.5 * (joint / 0.015).clamp(0, 1)) * _weather(p, seed, 0.6)
        return p.new_tensor(colour) * shade[:, None]

    return Material("concrete", colour, pattern, 0.9)


def boards(seed: int, colour: Colour, width: float | int = 0.18, upright: bool = False) -> Material:
    """Weatherboarding: shadow lines, grain along the boards, boards of differing age."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        across, along = (u, v) if upright else (v, u)
        row = (across / width).floor()
        grain = noise(torch.stack([along * 1.5, across * 45, row * 3.7], -1), seed, 3)
        shade = (0.8 + 0.35 * hash01(row[:, None].long(), seed)) * (0.75 + 0.5 * grain)
        gap = torch.remainder(across / width, 1)
        shade = shade * (0.35 + 0.65 * (gap / 0.08).clamp(0, 1)) * _weather(p, seed)
        return p.new_tensor(colour) * shade[:, None]

    return Material("boards", colour, pattern, 0.8)


def roof_tiles(seed: int, colour: Colour, size: tuple[float, float] = (0.22, 0.3)) -> Material:
    """Tiles in courses, with lichen."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        row = (v / size[1]).floor()
        across = u / size[0] + 0.5 * torch.remainder(row, 2)
        cell = torch.stack([across.floor(), row], -1).long()
        bulge = 0.65 + 0.5 * (1 - (2 * torch.remainder(across, 1) - 1) ** 2)
        lip = (torch.remainder(v / size[1], 1) / 0.15).clamp(0.35, 1)
        shade = (0.7 + 0.5 * hash01(cell, seed)) * bulge * lip * (0.8 + 0.4 * noise(p * 0.8, seed, 3))
        surface = p.new_tensor(colour) * shade[:, None]
        lichen = ((noise(p * 1.3, seed + 3, 5, 0.65) - 0.58) / 0.1).clamp(0, 0.6)
        return surface + (p.new_tensor((0.2, 0.21, 0.13)) - surface) * lichen[:, None]

    return Material("roof_tiles", colour, pattern, 0.85)


def sheet_metal(seed: int, colour: Colour, seam: float | int = 0.6, roughness: float | int = 0.45) -> Material:
    """Standing-seam or corrugated metal, with rust where it is old."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        line = (_to_edge(u / seam) * seam / 0.03).clamp(0.55, 1)
        shade = line * (0.85 + 0.3 * noise(torch.stack([u * 3, v * 0.4, u * 0], -1), seed, 3))
        rust = ((noise(p * p.new_tensor([1.2, 1.2, 0.4]), seed + 4, 5, 0.65) - 0.62) / 0.1).clamp(0, 0.7)
        surface = p.new_tensor(colour) * shade[:, None]
        return surface + (p.new_tensor((0.2, 0.08, 0.03)) * shade[:, None] - surface) * rust[:, None]

    return Material("sheet_metal", colour, pattern, roughness)


def painted(
    seed: int, colour: Colour, name: str = "paint", roughness: float | int = 0.5, metallic: float | int = 0.0
) -> Material:
    """Painted or bare metal and wood of small things: faint wear."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return p.new_tensor(colour) * (0.78 + 0.44 * noise(p * 7, seed, 4, 0.6))[:, None]

    return Material(name, colour, pattern, roughness, metallic)


def panes(seed: int) -> tuple[Material, ...]:
    """Window glass as seen from outside: dark rooms, net curtains, blinds, and panes that hold the sky."""

    def dark(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        shade = 0.5 + 0.9 * noise(p * 0.9, seed, 3)
        return p.new_tensor((0.035, 0.042, 0.05)) * shade[:, None]

    def curtain(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, _ = wall_coordinates(p, normals)
        fold = 0.75 + 0.25 * torch.sin(u * 55 + 3 * noise(p * 2, seed, 2))
        return p.new_tensor((0.42, 0.40, 0.36)) * (fold * (0.6 + 0.5 * noise(p * 1.1, seed, 2)))[:, None]

    def blind(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        _, v = wall_coordinates(p, normals)
        slat = 0.55 + 0.45 * torch.remainder(v / 0.05, 1)
        return p.new_tensor((0.34, 0.33, 0.29)) * (slat * (0.7 + 0.4 * noise(p * 0.7, seed + 1, 2)))[:, None]

    def sky(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        streak = (3 * noise(p * p.new_tensor([0.8, 0.8, 0.5]), seed + 2, 3) - 0.9).clamp(0, 1)
        low, high = p.new_tensor((0.05, 0.07, 0.09)), p.new_tensor((0.22, 0.29, 0.38))
        return low + (high - low) * streak[:, None]

    return (
        Material("glass_dark", (0.035, 0.042, 0.05), dark, 0.08),
        Material("glass_curtain", (0.35, 0.33, 0.3), curtain, 0.25),
        Material("glass_blind", (0.28, 0.27, 0.24), blind, 0.25),
        Material("glass_sky", (0.12, 0.16, 0.2), sky, 0.06),
    )


def windows_from_afar(
    seed: int, wall: Colour, glass: Colour, bay: float | int, storey: float | int, share: float | int
) -> Material:
    """A wall with its windows painted on, for buildings that are only seen from afar."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        cell = torch.stack([(u / bay).floor(), (v / storey).floor()], -1).long()
        inside = ((torch.remainder(u / bay, 1) - 0.5).abs() < share / 2) & (
            (torch.remainder(v / storey, 1) - 0.55).abs() < 0.28
        )
        inside &= normals[:, 2].abs() < 0.5
        tone = 0.4 + 1.6 * hash01(cell, seed) ** 2
        surface = p.new_tensor(wall) * (_weather(p, seed, 0.3) * (0.9 + 0.2 * noise(p * 2, seed, 3)))[:, None]
        return torch.where(inside[:, None], p.new_tensor(glass) * tone[:, None], surface)

    return Material("far_wall", wall, pattern, 0.85)


def lettering(seed: int, ground: Colour, letters: Colour, height: float | int, middle: float | int = 0.0) -> Material:
    """A sign of made-up words: upright strokes in the middle band of a board `height` high about the level `middle`."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = wall_coordinates(p, normals)
        v = v - middle
        letter = (u / (0.5 * height)).floor()
        word = hash01((letter / 7).floor().long()[:, None], seed) < 0.75
        gap = torch.remainder(u / (0.5 * height), 1) < 0.22
        pixel = torch.stack([(u / (0.125 * height)).floor(), (v / (0.11 * height)).floor(), letter], -1).long()
        ink = (hash01(pixel, seed + 1) < 0.55) & (v.abs() < 0.27 * height) & ~gap & word
        shade = (0.85 + 0.3 * noise(p * 5, seed, 3))[:, None]
        return torch.where(ink[:, None], p.new_tensor(letters), p.new_tensor(ground)) * shade

    return Material("sign", ground, pattern, 0.5)


def stripes(seed: int, one: Colour, two: Colour, width: float | int) -> Material:
    """Awning cloth."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, _ = wall_coordinates(p, normals)
        first = torch.remainder((u / width).floor(), 2) < 0.5
        shade = (0.8 + 0.35 * noise(p * 4, seed, 4))[:, None]
        return torch.where(first[:, None], p.new_tensor(one), p.new_tensor(two)) * shade

    return Material("cloth", toned(one, 0.7), pattern, 0.9)


def _weather(p: Float[Tensor, "n 3"], seed: int, strength: float | int = 0.4) -> Float[Tensor, " n"]:
    """What years leave on a wall: large clouds, and streaks that run down."""
    clouds = noise(p * 0.33, seed + 11, 3)
    streaks = noise(p * p.new_tensor([2.3, 2.3, 0.17]), seed + 12, 3)
    return 1 - strength * (0.9 - 0.8 * clouds - 0.6 * streaks).clamp(-0.3, 1)


def _to_edge(cells: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Distance to the nearest whole number, in cells."""
    return (cells - cells.round()).abs()
