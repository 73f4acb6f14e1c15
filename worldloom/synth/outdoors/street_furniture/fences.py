"""Fences, walls and clipped hedges, piece by piece."""

from functools import lru_cache
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.facade_textures import ashlar, boards, brick, painted, rubble, stucco
from worldloom.synth.outdoors.plants import foliage_material
from worldloom.synth.outdoors.street_furniture.posts import iron
from worldloom.synth.shapes import ellipsoid
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material, Thing

# Heights in metres, where none is given: the lowest, and how much each make is higher than the one before.
_HEIGHTS = {
    "rail": (1.1, 0.0),
    "pickets": (1.0, 0.0),
    "iron": (1.2, 0.1),
    "wire": (1.5, 0.0),
    "boards": (1.65, 0.1),
    "stones": (1.1, 0.0),
    "wall": (1.95, 0.1),
    "bricks": (0.95, 0.15),
    "hedge": (1.0, 0.12),
    "tall_hedge": (1.8, 0.15),
}
FENCES = tuple(_HEIGHTS)


@lru_cache(maxsize=128)
def make_fence(
    seed: int, length: float | int, kind: str = "rail", height: float | int | None = None, rise: float | int = 0.0
) -> Thing:
    """A piece of one of FENCES along y, centred; its feet go half a metre into the ground, for slopes.

    Pieces set end to end make one fence: posts stand within them, not where they meet. On a slope the end at +y
    lies `rise` metres above the other, and posts stay upright.

    Raises:
        ValueError: a kind that is not in FENCES.
    """
    if kind not in FENCES:
        raise ValueError(f"fence must be one of {FENCES}, got {kind!r}")
    random, assembly, half = Random(f"fence {seed}"), Assembly(), float(length) / 2
    assembly.frame[2, 1] = rise / (2 * half)
    low, step = _HEIGHTS[kind]
    h = low + step * (seed % 3) if height is None else float(height)
    timber = boards(seed, srgb(random.choice(("#8a7a66", "#6a5a48", "#e0ddd2", "#7a6a5a"))), 0.14, upright=True)

    def row(
        material: Material, apart: float, thick: float, wide: float, bottom: float, top: float, x: float = 0.0
    ) -> None:
        """Uprights about `apart` metres apart, none at the very ends."""
        count = max(1, round(2 * half / apart))
        at = (np.arange(count) + 0.5) * (2 * half / count) - half
        start = np.stack([np.full_like(at, x - thick / 2), at - wide / 2, np.full_like(at, bottom)], 1)
        assembly.boxes(material, start, start + np.array([thick, wide, top - bottom]))

    def bars(material: Material, levels: tuple[float, ...], x: float, thick: float, wide: float) -> None:
        for z in levels:
            assembly.boxes(material, (x - thick / 2, -half, z - wide / 2), (x + thick / 2, half, z + wide / 2))

    match kind:
        case "rail":
            row(timber, 1.5, 0.12, 0.12, -0.5, h)
            bars(timber, (0.4 * h, 0.85 * h), 0.08, 0.04, 0.12)
        case "pickets":
            row(timber, 1.6, 0.1, 0.1, -0.5, h - 0.08, -0.085)
            row(timber, 0.17, 0.03, 0.1, 0.06, h, 0.015)
            bars(timber, (0.25 * h, 0.75 * h), -0.02, 0.04, 0.1)
        case "iron":
            metal = iron(seed)
            row(metal, 1.6, 0.07, 0.07, -0.5, h + 0.1)
            row(metal, 0.13, 0.022, 0.022, 0.1, h)
            bars(metal, (0.15, h - 0.1), 0.0, 0.04, 0.04)
        case "wire":
            row(painted(seed, (0.3, 0.31, 0.32), "post", 0.5, 0.5), 2.0, 0.06, 0.06, -0.5, h)
            levels = np.linspace(0.12, h - 0.04, max(4, round(h / 0.27))).tolist()
            bars(painted(seed, (0.25, 0.25, 0.25), "wire", 0.4, 0.8), tuple(levels), 0.035, 0.016, 0.016)
        case "boards":
            row(timber, 2.0, 0.1, 0.1, -0.5, h - 0.1, -0.07)
            assembly.boxes(timber, (-0.02, -half, 0.04), (0.02, half, h))
        case "stones":
            stone = rubble(seed, srgb(random.choice(("#a39a88", "#8f887a", "#b3a284"))), 0.26)
            assembly.boxes(stone, (-0.22, -half, -0.6), (0.22, half, h - 0.1))
            assembly.boxes(stone, (-0.27, -half, h - 0.1), (0.27, half, h))
        case "wall" | "bricks":
            face = (
                stucco(seed, srgb(random.choice(("#b8ad98", "#a8a49a", "#c2b090"))))
                if kind == "wall"
                else brick(seed, srgb(random.choice(("#8a4a36", "#7a4234", "#9a6a4a"))))
            )
            assembly.boxes(face, (-0.13, -half, -0.5), (0.13, half, h - 0.08))
            assembly.boxes(ashlar(seed, srgb("#a09a8e"), (0.9, 0.3)), (-0.18, -half, h - 0.08), (0.18, half, h))
        case _:
            _clip(assembly, seed, half, h)
            return Thing("hedge", "bush", assembly.parts())
    return Thing(f"fence_{kind}", "fence", assembly.parts())


def _clip(assembly: Assembly, seed: int, half: float, h: float) -> None:
    """A hedge as solids, for the many that are never seen from near by."""
    colour = srgb(("#3a4a22", "#434f26", "#35442a", "#4f5028")[seed % 4])
    leaves = foliage_material(40 + seed, colour)
    assembly.boxes(leaves, (-0.375, -half, -0.3), (0.375, half, h))
    count = max(1, round(2 * half))
    for y in (np.arange(count) + 0.5) * (2 * half / count) - half:
        assembly.part(ellipsoid((0.42, 0.7, 0.16), (0, float(y), h), leaves, 8, 4))
