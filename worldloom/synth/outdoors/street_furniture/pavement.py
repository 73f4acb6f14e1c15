"""What people use on pavements: benches, shelters, racks, stalls, tables, planters and columns for posters."""

import math
from functools import lru_cache
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import hash01, noise
from worldloom.synth.outdoors.assembly import Assembly, frame_at
from worldloom.synth.outdoors.facade_textures import boards, lettering, painted, stripes
from worldloom.synth.outdoors.ground_textures import soil
from worldloom.synth.outdoors.plants import make_bush
from worldloom.synth.outdoors.roofs import sheet
from worldloom.synth.outdoors.street_furniture.posts import iron
from worldloom.synth.shapes import cylinder, ellipsoid, lathe, tube
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Thing


@lru_cache(maxsize=16)
def make_bench(seed: int) -> Thing:
    """A slatted bench."""
    wood = srgb(("#8a5f3a", "#6a4a34", "#9a7a52")[seed % 3])
    assembly, slats, metal = Assembly(), boards(seed, wood, 0.12), iron(seed)
    for k in range(4):
        assembly.boxes(slats, (-0.2 + 0.12 * k, -0.8, 0.42), (-0.1 + 0.12 * k, 0.8, 0.46))
    for k in range(3):
        x = -0.26 - 0.03 * k
        assembly.boxes(slats, (x, -0.8, 0.55 + 0.13 * k), (x + 0.03, 0.8, 0.65 + 0.13 * k))
    for y in (-0.65, 0.65):
        assembly.boxes(
            metal,
            [(-0.24, y - 0.03, 0), (0.2, y - 0.03, 0), (-0.3, y - 0.03, 0.38), (-0.34, y - 0.03, 0.46)],
            [(-0.18, y + 0.03, 0.38), (0.26, y + 0.03, 0.38), (0.27, y + 0.03, 0.42), (-0.28, y + 0.03, 0.9)],
        )
    return Thing("bench", "street_furniture", assembly.parts())


@lru_cache(maxsize=8)
def make_bike_rack(seed: int, hoops: int = 4) -> Thing:
    """Hoops in a row along y, 0.9 m apart."""
    assembly, steel = Assembly(), painted(seed, (0.4, 0.41, 0.42), "steel", 0.3, 0.9)
    for k in range(hoops):
        y = (k - (hoops - 1) / 2) * 0.9
        arch = [(-0.35 * math.cos(a), y, 0.5 + 0.3 * math.sin(a)) for a in np.linspace(0, math.pi, 7).tolist()]
        assembly.part(tube([(-0.35, y, -0.05), *arch, (0.35, y, -0.05)], 0.025, steel, 6))
    return Thing("bike_rack", "street_furniture", assembly.parts())


@lru_cache(maxsize=8)
def make_bus_shelter(seed: int) -> Thing:
    """A glazed shelter, open towards +x, with a bench and a poster."""
    assembly, steel = Assembly(), iron(seed)
    glass = Material("glass_sky", (0.16, 0.2, 0.22), None, 0.05)
    assembly.boxes(steel, (-0.85, -2.1, 2.4), (0.75, 2.1, 2.5))
    posts = [(-0.75, -2.0), (-0.75, -0.03), (-0.75, 1.94), (0.55, -2.0), (0.55, 1.94)]
    assembly.boxes(steel, [(x, y, -0.05) for x, y in posts], [(x + 0.06, y + 0.06, 2.4) for x, y in posts])
    assembly.boxes(glass, [(-0.73, -1.94, 0.3), (-0.73, 0.05, 0.3)], [(-0.71, -0.05, 2.2), (-0.71, 1.92, 2.2)])
    poster = lettering(seed, srgb(("#c94a3a", "#2a6a8a", "#d8b23a", "#3a6a4a")[seed % 4]), srgb("#f0ead8"), 1.6, 1.2)
    assembly.boxes(poster, (-0.68, 1.92, 0.4), (0.5, 2.02, 2.0))
    assembly.boxes(boards(seed, srgb("#9a6a42"), 0.1), (-0.6, -1.5, 0.42), (-0.2, 1.4, 0.48))
    assembly.boxes(steel, [(-0.45, -1.2, -0.02), (-0.45, 1.1, -0.02)], [(-0.38, -1.1, 0.42), (-0.38, 1.2, 0.42)])
    return Thing("bus_shelter", "street_furniture", assembly.parts())


@lru_cache(maxsize=8)
def make_kiosk(seed: int) -> Thing:
    """A news stand with a counter under an awning."""
    random, assembly = Random(f"kiosk {seed}"), Assembly()
    green = painted(seed, srgb(random.choice(("#24503a", "#6a2a26", "#2a4462", "#6a6a5a"))), "kiosk")
    assembly.boxes(green, [(-1.2, -1.5, 0), (-1.2, -1.5, 2.0)], [(1.0, 1.5, 1.0), (1.0, 1.5, 2.5)])
    corners = [(x, y) for x in (-1.2, 0.88) for y in (-1.5, 1.38)]
    assembly.boxes(green, [(x, y, 1.0) for x, y in corners], [(x + 0.12, y + 0.12, 2.0) for x, y in corners])
    assembly.boxes(green, (-1.19, -1.4, 1.0), (-1.1, 1.4, 2.0))
    assembly.boxes(lettering(seed, (0.6, 0.58, 0.5), (0.15, 0.1, 0.1), 0.12, 1.06), (-0.9, -1.3, 1.0), (0.6, 1.3, 1.12))
    assembly.boxes(green, (-1.4, -1.7, 2.5), (1.2, 1.7, 2.6))
    cloth = stripes(seed, srgb(random.choice(("#a63a2e", "#2f5d4a", "#27476b"))), srgb("#f2ede0"), 0.25)
    awning = np.array([[2.0, -1.5, 2.05], [2.0, 1.5, 2.05], [1.0, 1.5, 2.45], [1.0, -1.5, 2.45]])
    sheet(assembly, cloth, awning, cloth, 0.02)
    return Thing("kiosk", "street_furniture", assembly.parts())


@lru_cache(maxsize=32)
def make_cafe_table(seed: int, parasol: bool = True) -> Thing:
    """A small round table with two to four chairs and perhaps a parasol."""
    random, assembly, metal = Random(f"table {seed}"), Assembly(), iron(seed)
    top = painted(seed, srgb(random.choice(("#c9c2b2", "#5a3f2a", "#e0e0da", "#3f5a4a"))), "table")
    assembly.part(lathe([(0, 0.72), (0.38, 0.72), (0.38, 0.75), (0, 0.75)], top, 18, smooth=False))
    assembly.part(lathe([(0, 0), (0.25, 0), (0.24, 0.03), (0.03, 0.06), (0.03, 0.72)], metal, 10))
    seat = boards(seed + 1, srgb(random.choice(("#8a5f3a", "#a83a2a", "#3a5a7a", "#c9b98a"))), 0.08)
    count, turned = random.choice((2, 3, 4)), random.uniform(0, math.pi)
    for k in range(count):
        turn = turned + 2 * math.pi * k / count + random.uniform(-0.15, 0.15)
        far = random.uniform(0.62, 0.8)
        assembly.frame = frame_at((far * math.cos(turn), far * math.sin(turn), 0.0), turn)
        assembly.boxes(seat, [(-0.2, -0.2, 0.43), (0.19, -0.19, 0.6)], [(0.2, 0.2, 0.46), (0.215, 0.19, 0.85)])
        legs = [(x, y) for x in (-0.19, 0.165) for y in (-0.19, 0.165)]
        assembly.boxes(metal, [(x, y, 0) for x, y in legs], [(x + 0.025, y + 0.025, 0.43) for x, y in legs])
        assembly.boxes(metal, [(0.19, -0.19, 0.46), (0.19, 0.17, 0.46)], [(0.21, -0.17, 0.85), (0.21, 0.19, 0.85)])
    assembly.frame = frame_at((0, 0, 0))
    if parasol:
        cloth = stripes(seed, srgb(random.choice(("#a63a2e", "#2f5d4a", "#d8c9a0", "#27476b"))), srgb("#f2ede0"), 0.5)
        assembly.part(cylinder(0.022, 2.4, (0, 0, 0), metal, 6))
        assembly.part(lathe([(1.35, 2.05), (0.03, 2.55)], cloth, 8, smooth=False))
        assembly.part(lathe([(0.03, 2.53), (1.35, 2.03)], cloth, 8, smooth=False))
    return Thing("cafe_table", "table", assembly.parts())


@lru_cache(maxsize=32)
def make_planter(seed: int, size: float | int = 0.7, detail: str = "full") -> Thing:
    """A bush in a pot or box; `detail` is that of the bush."""
    random, assembly, s = Random(f"planter {seed}"), Assembly(), float(size)
    clay = painted(seed, srgb(random.choice(("#a85f3f", "#8a8478", "#4a4a46", "#b8b0a0"))), "pot", 0.8)
    if random.random() < 0.5:
        profile = [(0, 0), (0.32 * s, 0), (0.5 * s, 0.75 * s), (0.55 * s, 0.8 * s), (0.45 * s, 0.8 * s), (0, 0.7 * s)]
        assembly.part(lathe(profile, clay, 14, smooth=False))
    else:
        assembly.boxes(clay, (-0.5 * s, -0.5 * s, 0), (0.5 * s, 0.5 * s, 0.75 * s))
        assembly.boxes(soil(seed), (-0.45 * s, -0.45 * s, 0.75 * s), (0.45 * s, 0.45 * s, 0.76 * s))
    assembly.frame = frame_at((0, 0, 0.68 * s))
    for part in make_bush(seed, 1.0 * s, 0.9 * s, detail).parts:
        assembly.part(part)
    return Thing("planter", "bush", assembly.parts())


@lru_cache(maxsize=8)
def make_advertising_column(seed: int) -> Thing:
    """A round column for posters, under a cap."""
    paper = ((0.5, 0.12, 0.08), (0.08, 0.2, 0.4), (0.6, 0.45, 0.1), (0.55, 0.53, 0.48), (0.1, 0.3, 0.18))

    def posters(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        u, v = torch.atan2(p[:, 1], p[:, 0]) * (6 / (2 * math.pi)), (p[:, 2] - 0.4) / 1.1
        cell = torch.stack([u.floor(), v.floor()], -1).long()
        ground = p.new_tensor(paper)[(hash01(cell, seed) * len(paper)).long().clamp(max=len(paper) - 1)]
        line = torch.stack([(u * 9).floor(), (v * 13).floor()], -1).long()
        middle = torch.minimum(torch.remainder(u, 1), 1 - torch.remainder(u, 1)) > 0.15
        ink = (hash01(line, seed + 1) < 0.45) & (torch.remainder(v * 13, 1) < 0.6) & middle
        surface = torch.where(ink[:, None], 0.15 * ground + 0.4 * (1 - ground) ** 4, ground)
        bare = (torch.remainder(u, 1) < 0.05) | (torch.remainder(v, 1) < 0.05) | (v < 0) | (v > 2)
        surface = torch.where(bare[:, None], p.new_tensor((0.34, 0.33, 0.3)), surface)
        return surface * (0.85 + 0.3 * noise(p * 6, seed, 3))[:, None]

    assembly, cap = Assembly(), painted(seed, srgb("#2f4a36"), "cap", 0.5, 0.2)
    assembly.part(cylinder(0.6, 2.9, (0, 0, -0.1), Material("posters", (0.35, 0.3, 0.25), posters, 0.8), 20))
    assembly.part(lathe([(0, 2.7), (0.68, 2.7), (0.7, 2.8), (0.5, 3.0), (0.12, 3.2), (0, 3.22)], cap, 20))
    assembly.part(ellipsoid((0.07, 0.07, 0.1), (0, 0, 3.25), cap, 8, 5))
    return Thing("advertising_column", "street_furniture", assembly.parts())
