"""What courts, gardens and fields hold: fountains, wells, washing, bales, ivy, heaps and sheds."""

from functools import lru_cache
from random import Random

import numpy as np
import torch

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.facade_textures import ashlar, boards, brick, painted, roof_tiles, rubble, stripes, stucco
from worldloom.synth.outdoors.ground_textures import grass, soil, water
from worldloom.synth.outdoors.plants import foliage_material
from worldloom.synth.outdoors.roofs import sheet
from worldloom.synth.shapes import Triple, height_field, lathe, tube
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Material, Part, Thing


def make_fountain(seed: int, radius: float | int = 1.8) -> Thing:
    """A basin with water, and a bowl on a stem."""
    assembly, stone = Assembly(), ashlar(seed, srgb(("#b8b0a0", "#cfc4ac", "#9a968c")[seed % 3]), (0.8, 0.5))
    r = float(radius)
    rim = [(0, -0.15), (r + 0.15, -0.15), (r + 0.15, 0.1), (r, 0.14), (r, 0.5), (r + 0.08, 0.55), (r + 0.08, 0.64)]
    sides = 8 if seed % 2 else 24
    assembly.part(lathe([*rim, (r - 0.22, 0.64), (r - 0.22, 0.2), (0, 0.2)], stone, sides, smooth=False))
    assembly.part(lathe([(r - 0.2, 0.46), (0, 0.46)], water(seed, (0.05, 0.1, 0.1)), sides))
    k = r / 1.8
    stem = [(0.3, 0.2), (0.18, 0.6), (0.15, 1.2), (0.25, 1.35), (0.8, 1.6), (0.85, 1.7), (0.75, 1.7), (0.1, 1.55)]
    shaft = [(k * a, k * b if b > 0.2 else b) for a, b in stem]
    assembly.part(lathe([*shaft, (0.1 * k, 2.0 * k), (0, 2.1 * k)], stone, 16))
    return Thing("fountain", "street_furniture", assembly.parts())


def make_well(seed: int) -> Thing:
    """A stone well with a windlass under a small roof."""
    assembly, stone, wood = Assembly(), rubble(seed, srgb("#9a917f"), 0.24), boards(seed, srgb("#6a4f38"), 0.15)
    ring = [(0, -0.15), (0.85, -0.15), (0.85, 0.85), (0.92, 0.87), (0.92, 0.98), (0.58, 0.98), (0.58, 0.2), (0, 0.2)]
    assembly.part(lathe(ring, stone, 16, smooth=False))
    assembly.part(lathe([(0.6, 0.45), (0, 0.45)], water(seed), 16))
    assembly.boxes(wood, [(-0.06, -0.8, 0.8), (-0.06, 0.68, 0.8)], [(0.06, -0.68, 2.1), (0.06, 0.8, 2.1)])
    assembly.part(tube([(0, -0.8, 1.6), (0, 0.8, 1.6)], 0.08, wood, 8))
    for sign in (1, -1):
        slope = np.array([[sign * 0.75, -1.0, 1.85], [sign * 0.75, 1.0, 1.85], [0, 1.0, 2.4], [0, -1.0, 2.4]])
        sheet(assembly, wood, slope[::sign], wood, 0.04)
    return Thing("well", "street_furniture", assembly.parts())


def make_washing(seed: int, start: Triple, end: Triple) -> Thing:
    """A line of washing between two places of the world."""
    random, assembly = Random(f"washing {seed}"), Assembly()
    a, b = np.array(start, dtype=float), np.array(end, dtype=float)
    span = float(np.linalg.norm(b - a))
    across = np.cross(b - a, [0, 0, 1.0]) / span

    def at(t: np.ndarray) -> np.ndarray:
        return a + (b - a) * t[:, None] - np.array([0, 0, 0.12 * span]) * (t * (1 - t))[:, None]

    path = [(float(x), float(y), float(z)) for x, y, z in at(np.linspace(0, 1, 9))]
    assembly.part(tube(path, 0.008, Material("cord", (0.5, 0.48, 0.42)), 4))
    begin = 0.6 / span
    while begin < 1 - 1.6 / span:
        wide, tall = random.choice(((0.9, 1.1), (0.45, 0.6), (0.5, 0.75), (0.3, 0.35), (1.4, 1.0)))
        colour = srgb(random.choice(("#e8e4dc", "#7a8fb0", "#b0473f", "#d8c06a", "#4a5a4a", "#e0b0b0", "#2f3a52")))
        cloth = stripes(random.randrange(99), colour, toned(colour, random.choice((1.0, 0.7, 1.4))), 0.11)
        top = at(np.linspace(begin, begin + wide / span, 5))
        blow = random.uniform(-0.25, 0.25)
        swing = across * (0.06 * np.sin(np.arange(5) * 2.1) + blow)[:, None] * tall
        low = top + swing - np.array([0, 0, tall])
        quads = np.stack([low[:-1], low[1:], top[1:], top[:-1]], 1)
        assembly.quads(cloth, quads)
        assembly.quads(cloth, quads[:, ::-1] - 0.004 * across)
        begin += (wide + random.uniform(0.08, 0.5)) / span
    return Thing("washing", "clutter", assembly.parts())


def make_hay_bale(seed: int) -> Thing:
    """A round bale 1.3 m across that lies with its axis along y."""
    assembly = Assembly()
    assembly.frame = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0.6], [0, 1, 0, 0.62]])
    rim = [(0, 0), (0.6, 0), (0.65, 0.06), (0.66, 0.6), (0.65, 1.14), (0.6, 1.2), (0, 1.2)]
    assembly.part(lathe(rim, boards(seed, srgb("#c2a25a"), 0.05), 20))
    return Thing("hay_bale", "clutter", assembly.parts())


def make_ivy(seed: int, width: float | int, height: float | int) -> Thing:
    """Ivy on a wall that faces +x, from the ground at y = -width / 2 .. width / 2."""
    rng = np.random.default_rng([seed, 77])
    count = int(150 * width * height**0.5)
    y = rng.normal(0, 0.25, count) * width
    z = rng.random(count) ** 1.4 * height * np.exp(-((y / (0.6 * width)) ** 2)) * rng.uniform(0.6, 1.1, count) + 0.05
    at = np.stack([rng.uniform(0.03, 0.12, count), y, z], -1)
    turn = rng.uniform(0, 2 * np.pi, count)
    along = np.stack([rng.normal(0, 0.25, count), np.cos(turn), np.sin(turn)], -1) * 0.13
    side = np.stack([rng.normal(0, 0.25, count), -np.sin(turn), np.cos(turn)], -1) * 0.1
    corners = np.stack([at - along, at + side, at + along, at - side], 1)
    corners[..., 0] = np.maximum(corners[..., 0], 0.01)
    assembly = Assembly()
    assembly.quads(foliage_material(seed, toned(srgb("#3f5f2a"), rng.uniform(0.8, 1.3))), corners[:, ::-1])
    return Thing("ivy", "bush", assembly.parts())


@lru_cache(maxsize=32)
def make_mound(seed: int, radius: float | int, height: float | int, dug: bool = False) -> Thing:
    """A heap: of turf in parks, of earth where it was `dug` up. Steep heaps are rough."""
    r = float(radius)
    lines = torch.linspace(-r, r, 13)
    x, y = torch.meshgrid(lines, lines, indexing="ij")
    level = (1 - (x**2 + y**2) / r**2).clamp(min=0)
    at = torch.stack([x, y, torch.full_like(x, 3.7 * seed)], -1).reshape(-1, 3)
    z = float(height) * level * (0.75 + 0.5 * noise(at * 0.8, seed, 2).view(x.shape)) - 0.12
    part = height_field(lines, lines, z, soil(seed) if dug else grass(seed))
    inside = (z.flatten()[part.faces.long()] > -0.11).any(-1)
    return Thing("mound", "terrain", (Part(part.vertices, part.faces[inside], part.material, True),))


@lru_cache(maxsize=16)
def make_shed(seed: int) -> Thing:
    """A garden shed or a garage that opens towards +x, at most 6 m deep and wide."""
    deep, wide, h = ((2.4, 3.0, 2.1), (5.6, 3.1, 2.4), (3.0, 4.0, 2.3), (6.0, 5.6, 2.5))[seed % 4]
    assembly, x, y = Assembly(), deep / 2, wide / 2
    wall = (
        boards(seed, srgb("#6f5a44"), 0.14, upright=True),
        stucco(seed, srgb("#b8ad98")),
        boards(seed, srgb("#c9c6ba"), 0.14),
        brick(seed, srgb("#86503c")),
    )[seed % 4]
    rise = 0.36 * y
    assembly.boxes(wall, (-x, -y, -0.6), (x, y, h))
    # The boxes' lid is hidden; gables stand on its ends.
    ridge = np.array([[x, -y, h], [x, y, h], [x, 0, h + rise]])
    assembly.triangles(wall, ridge, [[0, 1, 2]])
    assembly.triangles(wall, ridge * [-1, 1, 1], [[0, 2, 1]])
    tiles, edge = (
        roof_tiles(seed, srgb(("#5a5450", "#7a4a38")[seed // 4 % 2])),
        painted(seed, (0.2, 0.17, 0.14), "eaves"),
    )
    for sign in (1, -1):
        eave = sign * (y + 0.3), h + 0.08 - 0.3 * 0.36
        roof = np.array(
            [[x + 0.2, 0, h + rise + 0.08], [-x - 0.2, 0, h + rise + 0.08], [-x - 0.2, *eave], [x + 0.2, *eave]]
        )
        sheet(assembly, tiles, roof[::-sign], edge, 0.07)
    door = painted(seed, srgb(("#4a4038", "#d0ccc0", "#3f5a4a", "#d0ccc0")[seed % 4]), "door")
    assembly.boxes(door, (x, -0.32 * wide, 0.0), (x + 0.04, 0.32 * wide, 0.85 * h))
    return Thing("shed", "building", assembly.parts())
