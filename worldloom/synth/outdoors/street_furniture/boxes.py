"""Bins, hydrants, letter boxes and cabinets. Bins can be pushed away, so they are clutter."""

import math
from functools import lru_cache
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.facade_textures import lettering, painted
from worldloom.synth.outdoors.street_furniture.posts import iron
from worldloom.synth.shapes import lathe, tube
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Material, Thing

_DARK = Material("mouth", (0.01, 0.01, 0.01))


@lru_cache(maxsize=16)
def make_bin(seed: int) -> Thing:
    """A litter bin."""
    random, assembly = Random(f"bin {seed}"), Assembly()
    body = painted(seed, srgb(random.choice(("#2f4a36", "#3a3d40", "#5a4a3a", "#8a5a2a"))), "bin")
    if random.random() < 0.5:
        profile = [(0, 0), (0.22, 0), (0.27, 0.75), (0.29, 0.78), (0.25, 0.8), (0.22, 0.7), (0, 0.7)]
        assembly.part(lathe(profile, body, 14, smooth=False))
    else:
        assembly.boxes(body, (-0.24, -0.24, 0.05), (0.24, 0.24, 0.95))
        assembly.boxes(iron(seed), [(-0.28, -0.28, 0.95), (-0.2, -0.2, 0.0)], [(0.28, 0.28, 1.05), (0.2, 0.2, 0.05)])
        assembly.boxes(_DARK, (0.235, -0.15, 0.7), (0.245, 0.15, 0.85))
    return Thing("bin", "clutter", assembly.parts())


@lru_cache(maxsize=16)
def make_wheeled_bin(seed: int) -> Thing:
    """A household's bin, with its lid towards +x and two wheels behind."""
    assembly = Assembly()
    colour = srgb(("#3a3d40", "#2f4a36", "#27476b", "#6a4a2a")[seed % 4])
    body, lid = painted(seed, colour, "bin", 0.5), painted(seed + 1, toned(colour, 1.3), "lid", 0.45)
    low, high = ((-0.19, 0.2, 0.22), (-0.27, 0.3, 0.29)), (0.06, 0.98)
    # Four walls that lean outwards, corner by corner.
    rings = np.array(
        [[(x0, -y, z), (x1, -y, z), (x1, y, z), (x0, y, z)] for (x0, x1, y), z in zip(low, high, strict=True)]
    )
    after = np.roll(np.arange(4), -1)
    assembly.quads(body, np.stack([rings[0], rings[0][after], rings[1][after], rings[1]], 1))
    assembly.quads(body, rings[0][::-1])
    assembly.boxes(lid, [(-0.3, -0.31, 0.98), (-0.36, -0.24, 0.92)], [(0.33, 0.31, 1.04), (-0.3, 0.24, 0.97)])
    for y in (-0.24, 0.24):
        assembly.part(tube([(-0.24, y - 0.03, 0.1), (-0.24, y + 0.03, 0.1)], 0.1, _DARK, 12))
    return Thing("bin", "clutter", assembly.parts())


@lru_cache(maxsize=16)
def make_hydrant(seed: int) -> Thing:
    """A fire hydrant."""
    assembly = Assembly()
    red = painted(seed, srgb(Random(f"hydrant {seed}").choice(("#a82a20", "#c9a02a", "#b8b8b4"))), "hydrant")
    foot = [(0, -0.05), (0.16, -0.05), (0.16, 0.05), (0.1, 0.08), (0.1, 0.55), (0.14, 0.58), (0.12, 0.68), (0.04, 0.76)]
    assembly.part(lathe([*foot, (0.03, 0.82), (0, 0.82)], red, 12))
    for turn in (0.0, math.pi / 2, -math.pi / 2):
        assembly.part(tube([(0, 0, 0.42), (0.2 * math.cos(turn), 0.2 * math.sin(turn), 0.42)], 0.06, red, 8))
    return Thing("hydrant", "street_furniture", assembly.parts())


@lru_cache(maxsize=8)
def make_letter_box(seed: int) -> Thing:
    """A letter box on a foot, with its slot towards +x."""
    colour = srgb(("#c9a02a", "#a82a20", "#27476b")[seed % 3])
    assembly, paint = Assembly(), painted(seed, colour, "letter_box", 0.4)
    assembly.boxes(iron(seed), (-0.12, -0.15, -0.05), (0.12, 0.15, 0.55))
    assembly.boxes(paint, (-0.2, -0.25, 0.55), (0.2, 0.25, 1.25))
    # The top is a bow over y.
    turn = np.linspace(0, math.pi, 9)
    bow = np.stack([0.25 * np.cos(turn), 1.25 + 0.14 * np.sin(turn)], -1)
    ends = [np.insert(bow, 0, x, axis=1) for x in (-0.2, 0.2)]
    assembly.quads(paint, np.stack([ends[0][:-1], ends[1][:-1], ends[1][1:], ends[0][1:]], 1))
    fan = np.array([[0, k, k + 1] for k in range(1, len(bow) - 1)])
    assembly.triangles(paint, ends[1], fan)
    assembly.triangles(paint, ends[0], fan[:, ::-1])
    assembly.boxes(_DARK, (0.195, -0.16, 1.12), (0.205, 0.16, 1.15))
    return Thing("letter_box", "street_furniture", assembly.parts())


@lru_cache(maxsize=8)
def make_cabinet(seed: int) -> Thing:
    """A switch cabinet with two doors towards +x."""
    assembly, grey = Assembly(), painted(seed, (0.33, 0.34, 0.32), "cabinet", 0.6)
    assembly.boxes(painted(seed, (0.3, 0.29, 0.27), "plinth", 0.9), (-0.17, -0.53, -0.1), (0.17, 0.53, 0.12))
    assembly.boxes(grey, [(-0.2, -0.55, 0.12), (-0.23, -0.58, 1.25)], [(0.2, 0.55, 1.25), (0.23, 0.58, 1.31)])
    assembly.boxes(grey, [(0.2, -0.53, 0.15), (0.2, 0.01, 0.15)], [(0.215, -0.01, 1.22), (0.215, 0.53, 1.22)])
    vents = 0.95 + 0.05 * np.arange(4)
    assembly.boxes(
        _DARK,
        [(0.21, y, z) for y in (-0.4, 0.14) for z in vents],
        [(0.22, y + 0.26, z + 0.02) for y in (-0.4, 0.14) for z in vents],
    )
    assembly.boxes(
        lettering(seed, (0.6, 0.5, 0.1), (0.05, 0.05, 0.05), 0.16, 0.63), (0.214, 0.2, 0.55), (0.218, 0.36, 0.71)
    )
    return Thing("cabinet", "street_furniture", assembly.parts())
