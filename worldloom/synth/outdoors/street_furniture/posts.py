"""What stands on a post: lamps, signals, bollards, utility poles and their wires."""

from functools import lru_cache
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.facade_textures import ashlar, boards, painted
from worldloom.synth.shapes import Triple, box, cylinder, ellipsoid, lathe, tube
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Material, Thing

_METALS = ("#26302c", "#1d1f22", "#5a5f62", "#3c4a56")
_GLASS = Material("lamp_glass", (0.75, 0.72, 0.62), None, 0.2)


def iron(seed: int) -> Material:
    """The painted metal that a street's things share."""
    return painted(seed, srgb(_METALS[seed % len(_METALS)]), "iron", 0.45, 0.5)


@lru_cache(maxsize=32)
def make_lamp(seed: int, height: float | int = 5.5, arm: float | int = 0.0) -> Thing:
    """A street lamp: a lantern on a turned post, or with `arm` > 0 a mast that reaches out along +x."""
    assembly, metal, h, reach = Assembly(), iron(seed), float(height), float(arm)
    if reach:
        assembly.part(lathe([(0, -0.3), (0.14, -0.3), (0.14, 0.75), (0.1, 0.85), (0.09, 1.0)], metal, 10))
        bend = [(0, 0, 0.95), (0, 0, 0.75 * h), (0.12 * reach, 0, 0.93 * h), (0.5 * reach, 0, h - 0.05), (reach, 0, h)]
        assembly.part(tube(bend, [0.09, 0.06, 0.05, 0.045, 0.04], metal, 8))
        assembly.part(box((0.75, 0.26, 0.1), (reach + 0.25, 0, h + 0.02), metal))
        assembly.part(box((0.55, 0.2, 0.03), (reach + 0.28, 0, h - 0.04), _GLASS))
        return Thing("lamp", "pole", assembly.parts())
    foot = [(0, -0.3), (0.17, -0.3), (0.17, 0.1), (0.1, 0.25), (0.08, 0.9), (0.11, 0.95), (0.05, 1.1), (0.04, h - 0.7)]
    assembly.part(lathe([*foot, (0.09, h - 0.65), (0.03, h - 0.6), (0, h - 0.6)], metal, 10))
    assembly.part(cylinder(0.1, 0.42, (0, 0, h - 0.6), _GLASS, 6, top=0.19))
    assembly.part(cylinder(0.24, 0.16, (0, 0, h - 0.18), metal, 6, top=0.05))
    assembly.part(ellipsoid((0.04, 0.04, 0.05), (0, 0, h), metal, 6, 4))
    if Random(f"lamp {seed}").random() < 0.3:
        assembly.part(tube([(0, -0.35, h - 0.9), (0, 0.35, h - 0.9)], 0.02, metal, 5))
    return Thing("lamp", "pole", assembly.parts())


@lru_cache(maxsize=16)
def make_signal(seed: int, reach: float | int = 0.0) -> Thing:
    """A traffic light that looks along +x; where `reach` > 0 another hangs over the road, to -y, on an arm so long.

    `seed` mod 3 says which lens is lit: 0 red, 1 amber, 2 green.
    """
    assembly, mast = Assembly(), painted(seed, (0.05, 0.055, 0.05), "mast", 0.5, 0.4)
    assembly.part(cylinder(0.08, 6.1 if reach else 3.7, (0, 0, -0.3), mast, 10, top=0.07))
    _signal_head(assembly, mast, seed % 3, (0.08, 0.0, 2.35))
    if reach:
        assembly.part(tube([(0, 0, 5.6), (0, -float(reach), 5.75)], [0.07, 0.04], mast, 6))
        _signal_head(assembly, mast, seed % 3, (0.05, 0.3 - float(reach), 5.15))
    return Thing("traffic_light", "pole", assembly.parts())


def _signal_head(assembly: Assembly, mast: Material, lit: int, foot: tuple[float, float, float]) -> None:
    x, y, z = foot
    assembly.boxes(mast, (x, y - 0.15, z), (x + 0.22, y + 0.15, z + 0.95))
    for k, colour in enumerate(((0.7, 0.06, 0.03), (0.75, 0.42, 0.03), (0.05, 0.6, 0.2))):
        r, g, b = colour if k == lit else toned(colour, 0.12)
        lens = Material("lens", (r, g, b), None, 0.2, 0.0, (2 * r, 2 * g, 2 * b) if k == lit else (0.0, 0.0, 0.0))
        assembly.part(ellipsoid((0.04, 0.1, 0.1), (x + 0.22, y, z + 0.77 - 0.29 * k), lens, 10, 6))
        assembly.part(box((0.14, 0.24, 0.02), (x + 0.29, y, z + 0.9 - 0.29 * k), mast))


@lru_cache(maxsize=32)
def make_bollard(seed: int, stone: bool | None = None) -> Thing:
    """A post that keeps cars off, of iron or stone; drawn from the seed if not given."""
    if Random(f"bollard {seed}").random() < 0.4 if stone is None else stone:
        blocks = ashlar(seed, srgb("#a8a090"), (2.0, 2.0))
        profile = [(0, -0.1), (0.2, -0.1), (0.16, 0.6), (0.08, 0.75), (0, 0.78)]
        return Thing("bollard", "pole", (lathe(profile, blocks, 10),))
    foot = [(0, -0.1), (0.09, -0.1), (0.09, 0.1), (0.06, 0.15), (0.055, 0.75), (0.075, 0.8), (0.06, 0.9), (0, 0.95)]
    return Thing("bollard", "pole", (lathe(foot, iron(seed), 10),))


@lru_cache(maxsize=16)
def make_utility_pole(seed: int, height: float | int = 8.0) -> Thing:
    """A timber pole with two cross-arms along y, whose insulators stand at x = -0.12."""
    assembly, wood, h = Assembly(), boards(seed, srgb("#5f5040"), 0.3, upright=True), float(height)
    porcelain = Material("porcelain", (0.5, 0.52, 0.5), None, 0.2)
    assembly.part(cylinder(0.15, h + 0.4, (0, 0, -0.4), wood, 10, top=0.1))
    for z in (h - 0.4, h - 1.2):
        assembly.boxes(wood, (-0.18, -1.0, z - 0.07), (-0.06, 1.0, z + 0.07))
        for y in (-0.9, -0.45, 0.45, 0.9):
            assembly.part(cylinder(0.05, 0.16, (-0.12, y, z + 0.07), porcelain, 6))
    return Thing("utility_pole", "pole", assembly.parts())


def make_wire(start: Triple, end: Triple, sag: float | int, thick: float | int = 0.012) -> Thing:
    """A wire that hangs between two places of the world."""
    a, b = np.array(start, dtype=float), np.array(end, dtype=float)
    t = np.linspace(0, 1, 9)
    line = a + (b - a) * t[:, None] - np.array([0, 0, 4.0 * sag]) * (t * (1 - t))[:, None]
    path = [(float(x), float(y), float(z)) for x, y, z in line]
    return Thing("wire", "pole", (tube(path, thick, Material("wire", (0.02, 0.02, 0.02), None, 0.5), 4),))
