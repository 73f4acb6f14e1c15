"""Trees of several habits, bushes, hedges, grass and flowers, standing on the ground at their origin."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.shapes import cylinder, ellipsoid, lathe, tube
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Colour, Material, Thing

TREE_KINDS = ("round", "oak", "poplar", "birch", "orchard", "spruce", "pine", "cypress", "palm", "bare")

_GREENS = {
    "round": ("#4d6b2a", "#5b7a34", "#3f5f2a", "#7a8a34"),
    "oak": ("#4a5f2a", "#56662e", "#3d5228"),
    "poplar": ("#5d7a38", "#6d8640"),
    "birch": ("#7d9440", "#8fa04a", "#6d8a3c"),
    "orchard": ("#4f7032", "#6a8444", "#5c7a3a"),
    "spruce": ("#2c4630", "#34503a", "#3d5a4c"),
    "pine": ("#3a5634", "#46603a"),
    "cypress": ("#2f4a2c", "#3a5432"),
    "palm": ("#4f7a36", "#6b8a44"),
}
_UP = np.array([0.0, 0.0, 1.0])
_AUTUMN = ("#b5792a", "#a8482a", "#c9a03a", "#8a5a2c")


def foliage_material(seed: int, colour: Colour) -> Material:
    """Leaves: light and dark clumps, and each leaf a little different."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        clump, leaf = noise(p * 0.9, seed, 2), noise(p * 11, seed + 1, 2)
        tone = p.new_tensor(colour) * (0.45 + 0.6 * clump + 0.6 * leaf)[:, None]
        warmth = (0.35 * (noise(p * 2.3, seed + 2) - 0.4))[:, None]
        return (tone * (1 + warmth * p.new_tensor((1.0, 0.35, -0.4)))).clamp(0.003, 0.9)

    return Material("leaves", colour, pattern, 0.7)


def bark(seed: int, colour: Colour, birch: bool = False) -> Material:
    """Furrowed bark; of a birch white with dark dashes."""

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        if birch:
            dash = noise(p * p.new_tensor([5.0, 5.0, 22.0]), seed, 2)
            share = ((dash - 0.62) / 0.05).clamp(0, 1)[:, None]
            white = p.new_tensor((0.62, 0.6, 0.55)) * (0.85 + 0.3 * noise(p * 6, seed + 1, 2))[:, None]
            return white * (1 - share) + 0.04 * share
        furrow = noise(p * p.new_tensor([28.0, 28.0, 3.5]), seed, 3)
        moss = ((noise(p * 1.5, seed + 3, 3) - 0.6) / 0.1).clamp(0, 0.6)[:, None]
        wood = p.new_tensor(colour) * (0.35 + 1.2 * furrow)[:, None]
        return wood + (p.new_tensor((0.08, 0.1, 0.04)) - wood) * moss

    return Material("bark", colour, pattern, 0.95)


def make_tree(seed: int, kind: str, height: float | int, detail: str = "full", autumn: float | int = 0.1) -> Thing:
    """A tree of TREE_KINDS whose trunk comes out of the ground at the origin.

    Args:
        height: metres, to the top of the crown.
        detail: "full" has single leaves or leaf clusters, "coarse" stays below 300 triangles.
        autumn: chance of a leaf tree's being yellow or red.
    Raises:
        ValueError: unknown kind or detail, or a height that is not positive.
    """
    if kind not in TREE_KINDS or detail not in ("full", "coarse") or not height > 0:
        raise ValueError(
            f"expected a kind of {TREE_KINDS}, a height above 0 and full or coarse, got {kind!r}, {height}, {detail!r}"
        )
    rng = np.random.default_rng([seed, TREE_KINDS.index(kind)])
    assembly, tall = Assembly(), float(height)
    colours = _AUTUMN if kind in _LEAFY and rng.random() < autumn else _GREENS.get(kind, _AUTUMN)
    green = toned(srgb(colours[rng.integers(len(colours))]), rng.uniform(1.0, 1.4))
    # Solids show no gaps and no shade between leaves, so they start darker.
    leaves = foliage_material(seed, green if detail == "full" else toned(green, 0.65))
    wood = bark(seed, toned(srgb("#6a5a4a"), rng.uniform(0.6, 1.2)), birch=kind == "birch")
    if detail == "coarse":
        _coarse(assembly, rng, kind, tall, wood, leaves)
    elif kind == "spruce":
        _spruce(assembly, rng, tall, wood, leaves)
    elif kind == "palm":
        _palm(assembly, rng, tall, wood, leaves)
    elif kind == "cypress":
        _trunk(assembly, wood, [(0, 0, -0.2), (0, 0, 0.9 * tall)], [0.02 * tall, 0.004 * tall])
        level = rng.random(2600) ** 0.8
        radius = 0.11 * tall * np.sin(np.pi * (0.06 + 0.94 * level) ** 0.7) ** 0.8 * rng.uniform(0.75, 1.05, 2600)
        turn = rng.uniform(0, 2 * np.pi, 2600)
        at = np.stack([radius * np.cos(turn), radius * np.sin(turn), tall * (0.04 + 0.95 * level)], -1)
        _cards(assembly, leaves, rng, at, np.tile([[0, 0, 1.0]], (2600, 1)) + 0.5 * _outward(at), 0.05 * tall, 0.35)
    else:
        _leaf_tree(assembly, rng, kind, tall, wood, leaves)
    parts = assembly.parts()
    top = max(float(part.vertices[:, 2].max()) for part in parts)
    parts = tuple(replace(part, vertices=part.vertices * (tall / top)) for part in parts)
    return Thing(f"tree_{kind}", "tree", parts)


def make_bush(seed: int, width: float | int, height: float | int, detail: str = "full") -> Thing:
    """A bush of a few overlapping clumps."""
    rng = np.random.default_rng([seed, 101])
    assembly = Assembly()
    colours = ("#4d6b2a", "#3f5f2a", "#5f7a44", "#6f7f3a", "#5a4a3a", "#7a3a34")
    colour = toned(srgb(colours[rng.choice(6, p=(0.25, 0.25, 0.2, 0.2, 0.05, 0.05))]), rng.uniform(0.8, 1.2))
    leaves, inner = foliage_material(seed, colour), foliage_material(seed + 1, toned(colour, 0.35))
    for k in range(rng.integers(2, 5)):
        half = np.array([width, width, 2 * height]) * rng.uniform(0.22, 0.36, 3) * (1 if k else 1.25)
        centre = np.array([*(rng.uniform(-0.2, 0.2, 2) * width * (k > 0)), 0.75 * half[2]])
        shown = leaves if detail == "coarse" else inner
        assembly.part(ellipsoid(_triple(half * 0.85), _triple(centre), shown, 8, 5))
        if detail == "full":
            count = 260
            ball = _sphere(rng, count)
            at = centre + half * ball * rng.uniform(0.85, 1.1, (count, 1))
            _cards(assembly, leaves, rng, at[at[:, 2] > 0.05], ball[at[:, 2] > 0.05], 0.16 * width**0.5, 0.6)
    if detail == "full" and rng.random() < 0.3:
        bloom = _petals(seed, rng)
        ball = _sphere(rng, 60)
        at = ball * [0.45 * width, 0.45 * width, 0.4 * height] + [0, 0, 0.55 * height]
        _cards(assembly, bloom, rng, at, ball, 0.12, 0.9)
    return Thing("bush", "bush", assembly.parts())


def make_hedge(seed: int, length: float | int, width: float | int, height: float | int) -> Thing:
    """A clipped hedge along x, centred on the origin."""
    rng = np.random.default_rng([seed, 102])
    assembly = Assembly()
    colour = toned(srgb(("#3f5f2a", "#4a6430", "#36522e")[rng.integers(3)]), rng.uniform(0.8, 1.2))
    leaves, inner = foliage_material(seed, colour), foliage_material(seed + 1, toned(colour, 0.5))
    half = np.array([length, width, height]) / 2
    assembly.boxes(
        inner, [-half[0] + 0.05, -half[1] + 0.05, -0.1], [half[0] - 0.05, half[1] - 0.05, 2 * half[2] - 0.05]
    )
    areas = np.array([half[1] * half[2]] * 2 + [half[0] * half[2]] * 2 + [half[0] * half[1]])
    count = int(min(6000, 4 * areas.sum() * 38))
    face = rng.choice(5, count, p=areas / areas.sum())
    at = rng.uniform(-1, 1, (count, 3))
    axis, sign = np.array([0, 0, 1, 1, 2])[face], np.array([-1, 1, -1, 1, 1])[face]
    at[np.arange(count), axis] = sign
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = sign
    at = at * half + [0, 0, half[2]] + rng.normal(0, 0.03, (count, 3))
    at[:, 2] = np.maximum(at[:, 2], 0.06)
    _cards(assembly, leaves, rng, at, normals, 0.13, 0.6)
    return Thing("hedge", "bush", assembly.parts())


def make_grass(
    seed: int, roots: np.ndarray, height: float | int, colour: Colour, blades: int = 7, name: str = "grass"
) -> Thing:
    """Tufts of blades that grow from `roots` (n, 3) in the world."""
    rng = np.random.default_rng([seed, 103])
    assembly = Assembly()
    count = len(roots) * blades
    foot = np.repeat(roots, blades, axis=0) + rng.normal(0, 0.05, (count, 3)) * [1, 1, 0] - [0, 0, 0.02]
    turn, lean = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.1, 0.7, count)
    tall = float(height) * rng.uniform(0.5, 1.2, count)
    ahead = np.stack([np.cos(turn), np.sin(turn), np.zeros(count)], -1)
    side = np.stack([-np.sin(turn), np.cos(turn), np.zeros(count)], -1) * (0.012 + 0.014 * float(height))
    middle = foot + ahead * (0.35 * lean * tall)[:, None] + np.array([0, 0, 1.0]) * (0.6 * tall)[:, None]
    tip = foot + ahead * (lean * tall)[:, None] + np.array([0, 0, 1.0]) * tall[:, None]
    vertices = np.stack([foot - side, foot + side, middle + 0.7 * side, middle - 0.7 * side, tip], 1)
    faces = 5 * np.arange(count)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3], [3, 2, 4]])
    assembly.triangles(foliage_material(seed, colour), vertices.reshape(-1, 3), faces.reshape(-1, 3))
    return Thing(name, "grass", assembly.parts())


def make_flowers(seed: int, roots: np.ndarray, height: float | int) -> Thing:
    """Flowers on stems that grow from `roots` (n, 3) in the world, in two colours."""
    rng = np.random.default_rng([seed, 104])
    assembly = Assembly()
    count = len(roots)
    tall = float(height) * rng.uniform(0.6, 1.2, count)
    head = roots + np.stack([rng.normal(0, 0.05, count), rng.normal(0, 0.05, count), tall], -1)
    side = np.array([0.006, 0.006, 0])
    stem = np.stack([roots - side, roots + side, head], 1)
    assembly.triangles(
        foliage_material(seed, srgb("#5a7a3a")), stem.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)
    )
    for k in range(2):
        mine = head[k::2]
        petal = _petals(seed + k, rng)
        for _ in range(2):
            _cards(assembly, petal, rng, mine, np.tile([[0, 0, 1.0]], (len(mine), 1)), 0.1, 0.9)
    return Thing("flowers", "grass", assembly.parts())


def make_vine_row(seed: int, length: float | int) -> Thing:
    """A row of vines along x on posts and wires, centred on the origin."""
    rng = np.random.default_rng([seed, 105])
    assembly = Assembly()
    wood = bark(seed, srgb("#6a5a4a"))
    half = float(length) / 2
    for x in np.arange(-half, half + 0.1, 5.0):
        assembly.boxes(wood, (x - 0.04, -0.04, -0.4), (x + 0.04, 0.04, 1.75))
    for x in np.arange(-half + 0.6, half, 1.25):
        bend = rng.uniform(-0.1, 0.1, 2)
        path = [(x, 0, -0.1), (x + bend[0], bend[1], 0.4), (x + bend[1], 0, 0.8)]
        assembly.part(tube(path, [0.05, 0.035, 0.03], wood, 5))
    count = int(70 * length)
    at = np.stack([rng.uniform(-half, half, count), rng.normal(0, 0.17, count), rng.uniform(0.55, 1.8, count)], -1)
    facing = at * [0, 3.0, 0] + rng.normal(0, 0.5, (count, 3)) + [0, 0, 0.4]
    colours = ("#5f7a34", "#6f8a3c", "#a8843a", "#8a4a34")
    colour = srgb(colours[rng.choice(4, p=(0.4, 0.4, 0.12, 0.08))])
    _cards(assembly, foliage_material(seed, colour), rng, at, facing, 0.17, 0.9)
    return Thing("vines", "bush", assembly.parts())


_LEAFY = ("round", "oak", "poplar", "birch", "orchard")


def _leaf_tree(
    assembly: Assembly, rng: np.random.Generator, kind: str, tall: float | int, wood: Material, leaves: Material
) -> None:
    """A trunk, limbs that leave it on the way up, twigs on the limbs, and clusters of leaves about the twigs."""
    # start of the crown, crown's radius (both per height), steepness of limbs, limbs, size of a leaf cluster
    first, wide, steep, limbs, leaf = {
        "round": (0.28, 0.30, 0.9, 9, 0.30),
        "oak": (0.22, 0.46, 0.45, 10, 0.34),
        "poplar": (0.12, 0.13, 2.6, 16, 0.28),
        "birch": (0.3, 0.22, 1.1, 10, 0.22),
        "orchard": (0.3, 0.4, 0.7, 7, 0.2),
        "pine": (0.55, 0.34, 0.5, 9, 0.34),
        "bare": (0.25, 0.34, 1.0, 11, 0.0),
    }[kind]
    lean = rng.uniform(-0.05, 0.05, 2) * tall
    radius = tall * (0.022 if kind in ("birch", "poplar", "pine") else 0.03)
    levels = np.linspace(0, 1, 6)
    wobble = rng.normal(0, 0.012 * tall, (6, 2)) * (levels > 0)[:, None]
    top = 0.88 * tall
    spine = np.concatenate([lean * levels[:, None] ** 2 + wobble, top * levels[:, None]], 1)
    flare = [(0, 0, -0.25), *spine[1:].tolist()]
    _trunk(assembly, wood, flare, (radius * np.array([1.35, 0.9, 0.75, 0.55, 0.32, 0.1])).tolist(), 9)
    clusters, outward = [], []
    for k in range(limbs):
        share = first + (0.86 - first) * (k + rng.uniform(0, 0.6)) / limbs
        base = np.array([np.interp(share * tall, spine[:, 2], spine[:, a]) for a in range(3)])
        turn = 2.4 * k + rng.uniform(-0.4, 0.4)
        # The crown is widest a third of the way up it.
        level = (share - first) / (1 - first)
        reach = tall * wide * (0.55 + 0.9 * level - 1.15 * level**2) * 1.35 * rng.uniform(0.75, 1.15)
        rise = min(reach * steep * rng.uniform(0.6, 1.2), 0.97 * tall - base[2])
        ahead = np.array([math.cos(turn), math.sin(turn), 0])
        limb = np.stack([base + ahead * reach * t + np.array([0, 0, rise * t**1.4]) for t in (0, 0.3, 0.65, 1.0)])
        limb[1:3] += rng.normal(0, 0.05 * reach, (2, 3))
        thick = radius * (0.55 - 0.35 * level)
        _trunk(assembly, wood, limb.tolist(), [thick, 0.75 * thick, 0.5 * thick, 0.2 * thick], 6)
        for t in np.linspace(0.35, 1.0, 5 if kind == "bare" else 4):
            start = np.array([np.interp(t, (0, 0.3, 0.65, 1.0), limb[:, a]) for a in range(3)])
            twist = turn + rng.uniform(-1.3, 1.3)
            span = reach * rng.uniform(0.25, 0.5) + 0.03 * tall
            tip = start + span * np.array([math.cos(twist), math.sin(twist), rng.uniform(0.0, 0.9)])
            _trunk(
                assembly,
                wood,
                [start.tolist(), ((start + tip) / 2 + rng.normal(0, 0.05 * span, 3)).tolist(), tip.tolist()],
                [0.3 * thick, 0.2 * thick, 0.06 * thick],
                4,
            )
            clusters += [tip, (start + tip) / 2]
            outward += [ahead, ahead]
            if kind == "bare":
                for _ in range(3):
                    middle = start + (tip - start) * rng.uniform(0.3, 0.9)
                    end = middle + 0.5 * span * (rng.normal(0, 0.5, 3) + _UP / 2)
                    _trunk(assembly, wood, [middle.tolist(), end.tolist()], [0.12 * thick, 0.03 * thick], 3)
    if kind == "bare":
        return
    clusters.append(spine[-1] + [0, 0, 0.04 * tall])
    centres = np.array(clusters)
    count = int(np.clip(420 * tall, 2400, 4600))
    spread = tall * wide * (0.30 if kind != "poplar" else 0.5)
    flat = 0.45 if kind == "pine" else 0.75
    at = centres[rng.integers(len(centres), size=count)] + np.clip(
        rng.normal(0, 0.6, (count, 3)), -1.0, 1.0
    ) * spread * [1, 1, flat]
    at = at[at[:, 2] > 0.55 * first * tall]
    crown = np.array([*spine[3, :2], tall * (0.5 + first / 2)])
    out = at - crown
    size = 1.55 * leaf * (tall / 9) ** 0.6
    _cards(assembly, leaves, rng, at, _outward(out) + _UP / 2, size, 0.28 if kind == "pine" else 0.62)
    if kind == "orchard":
        fruit = Material("fruit", srgb(("#b5382a", "#d8a02a", "#c96a2a")[rng.integers(3)]), None, 0.4)
        for spot in at[rng.integers(len(at), size=26)]:
            assembly.part(ellipsoid((0.06, 0.06, 0.06), _triple(spot), fruit, 6, 4))


def _spruce(assembly: Assembly, rng: np.random.Generator, tall: float | int, wood: Material, leaves: Material) -> None:
    _trunk(
        assembly,
        wood,
        [(0, 0, -0.25), (0, 0, 0.5 * tall), (0, 0, 0.97 * tall)],
        [0.022 * tall, 0.012 * tall, 0.002 * tall],
        8,
    )
    whorls = int(np.clip(tall / 0.42, 12, 34))
    at, along, size = [], [], []
    for k in range(whorls):
        share = k / whorls
        z = tall * (0.08 + 0.9 * share)
        reach = 0.24 * tall * (1 - share) ** 0.85 * rng.uniform(0.85, 1.1) + 0.12
        for turn in np.arange(rng.uniform(0, 6.3), 9 + rng.uniform(0, 6.3), 2 * np.pi / 9)[:9]:
            droop = -0.25 + 0.5 * share
            ahead = np.array([math.cos(turn), math.sin(turn), droop])
            for part in (0.22, 0.45, 0.68, 0.88):
                at.append(np.array([0, 0, z]) + ahead * reach * part + rng.normal(0, 0.02 * tall, 3) * 0.4)
                along.append(ahead + rng.normal(0, 0.35, 3))
                size.append(0.42 * reach * (1.15 - 0.5 * part) + 0.1)
    ahead, extent = np.array(along), np.array(size)
    for tilt in (0.0, 1.1):
        _blades(assembly, leaves, rng, np.array(at), ahead, extent, 0.42, tilt)


def _palm(assembly: Assembly, rng: np.random.Generator, tall: float | int, wood: Material, leaves: Material) -> None:
    lean = rng.uniform(-0.12, 0.12, 2) * tall
    trunk_top = 0.78 * tall
    path = [(*(lean * t**1.6), trunk_top * t - 0.2 * (t == 0)) for t in np.linspace(0, 1, 8)]
    _trunk(assembly, wood, path, [(0.1 + 0.008 * tall) * (1.25 - 0.5 * t) for t in np.linspace(0, 1, 8)], 10)
    top = np.array(path[-1])
    fronds = int(rng.integers(14, 20))
    for k in range(fronds):
        turn, rise = 2.4 * k + rng.uniform(-0.2, 0.2), rng.uniform(-0.15, 1.1)
        reach = 0.34 * tall * rng.uniform(0.85, 1.1)
        t = np.linspace(0, 1, 15)[:, None]
        ahead = np.array([[math.cos(turn), math.sin(turn), 0]])
        rib = top + ahead * reach * t + np.array([[0, 0, 1.0]]) * reach * (rise * t - (0.75 + 0.3 * rise) * t**2)
        _trunk(assembly, leaves, rib[::3].tolist(), [0.03, 0.025, 0.02, 0.015, 0.006], 4)
        across = np.array([[-math.sin(turn), math.cos(turn), 0]])
        for sign in (-1, 1):
            long = reach * 0.34 * np.sin(np.pi * (0.12 + 0.85 * t)) ** 0.7
            tips = rib + (sign * across + 0.55 * ahead + [[0, 0, -0.55]]) * long
            wide = 0.5 * np.gradient(rib, axis=0)
            quad = np.stack([rib - wide * 0.8, rib + wide * 0.8, tips], 1)[1:]
            assembly.triangles(leaves, quad.reshape(-1, 3), np.arange(3 * len(quad)).reshape(-1, 3))


def _coarse(
    assembly: Assembly, rng: np.random.Generator, kind: str, tall: float | int, wood: Material, leaves: Material
) -> None:
    """Solids instead of leaves."""
    if kind == "spruce":
        assembly.part(cylinder(0.02 * tall, 0.2 * tall, (0, 0, -0.1), wood, 6))
        for k in range(5):
            low, wide = tall * (0.1 + 0.17 * k), tall * 0.23 * (1 - 0.17 * k)
            assembly.part(cylinder(wide, 0.3 * tall, (0, 0, low), leaves, 9, top=0))
    elif kind == "cypress":
        assembly.part(
            lathe(
                [(0, 0), (0.09 * tall, 0.1 * tall), (0.11 * tall, 0.4 * tall), (0.07 * tall, 0.75 * tall), (0, tall)],
                leaves,
                9,
            )
        )
    elif kind == "palm":
        assembly.part(cylinder(0.1 + 0.008 * tall, 0.8 * tall, (0, 0, -0.1), wood, 6, top=0.08 + 0.004 * tall))
        top, down = np.array([0, 0, 0.79 * tall]), np.array([0, 0, tall])
        for k in range(16):  # fronds, each a roof of four planes along a rib that rises and hangs over
            ahead = np.array([math.cos(2.4 * k), math.sin(2.4 * k), 0])
            rise = 0.16 - 0.014 * k
            middle, end = top + ahead * 0.17 * tall + rise * down, top + ahead * 0.31 * tall + (rise - 0.16) * down
            aside = np.array([-ahead[1], ahead[0], 0]) * 0.07 * tall - 0.05 * down
            flank = np.array([aside, aside * [-1, -1, 1]])
            corners = [top, middle, end, *(middle + flank)]
            assembly.triangles(leaves, corners, [[0, 3, 1], [1, 3, 2], [0, 1, 4], [1, 2, 4]])
    else:
        first, wide = {"oak": (0.25, 0.42), "poplar": (0.1, 0.13), "pine": (0.6, 0.3)}.get(kind, (0.28, 0.34))
        assembly.part(cylinder(0.03 * tall, (first + 0.3) * tall, (0, 0, -0.1), wood, 6, top=0.012 * tall))
        middle, half = tall * (1 + first) / 2, tall * (1 - first) / 2
        if kind == "bare":
            for k in range(9):
                ahead = np.array([math.cos(2.4 * k), math.sin(2.4 * k), 1.2])
                start = np.array([0, 0, tall * (first + 0.03 * k)])
                path = [_triple(start), _triple(start + 0.3 * tall * ahead * rng.uniform(0.7, 1.1))]
                assembly.part(tube(path, [0.012 * tall, 0.002 * tall], wood, 4))
            return
        # Clumps with gaps between them, all through the crown: light and laser beams come some way into it.
        clumps = 11
        for k in range(clumps):
            level = 2 * (k + 0.5) / clumps - 1  # from the crown's foot to its top
            reach = math.sqrt(1 - level**2) * rng.uniform(0.35, 0.68) * wide * tall
            size = wide * tall * rng.uniform(0.44, 0.6)
            turn = 2.4 * k + rng.uniform(-0.3, 0.3)
            centre = (reach * math.cos(turn), reach * math.sin(turn), middle + 0.85 * level * half)
            assembly.part(ellipsoid((size, size, max(0.7 * size, 0.24 * half)), centre, leaves, 5, 3))


def _cards(
    assembly: Assembly,
    material: Material,
    rng: np.random.Generator,
    at: np.ndarray,
    facing: np.ndarray,
    size: float | int,
    wide: float | int,
) -> None:
    """Leaves as kites folded along their middle, about `size` long, that face roughly along `facing`."""
    count = len(at)
    normal = _outward(facing + rng.normal(0, 0.55, (count, 3)))
    along = _outward(np.cross(normal, rng.normal(0, 1, (count, 3))))
    _kites(assembly, material, at, along, normal, size * rng.uniform(0.6, 1.25, count), wide)


def _blades(
    assembly: Assembly,
    material: Material,
    rng: np.random.Generator,
    at: np.ndarray,
    along: np.ndarray,
    size: np.ndarray,
    wide: float | int,
    tilt: float | int,
) -> None:
    """Kites that point along given directions, turned about them by `tilt`."""
    along = _outward(along)
    level = _outward(np.cross(along, np.tile([[0, 0, 1.0]], (len(at), 1))) + 1e-9)
    upright = np.cross(level, along)
    turn = tilt + rng.normal(0, 0.3, (len(at), 1))
    _kites(assembly, material, at, along, upright * np.cos(turn) + level * np.sin(turn), size, wide)


def _kites(
    assembly: Assembly,
    material: Material,
    at: np.ndarray,
    along: np.ndarray,
    normal: np.ndarray,
    size: np.ndarray,
    wide: float | int,
) -> None:
    long, side = along * size[:, None], np.cross(normal, along) * (0.5 * wide * size)[:, None]
    fold = normal * (0.12 * wide * size)[:, None]
    corners = np.stack([at - 0.5 * long, at + side + fold, at + 0.5 * long, at - side + fold], 1)
    faces = 4 * np.arange(len(at))[:, None, None] + np.array([[0, 2, 1], [0, 3, 2]])
    assembly.triangles(material, corners.reshape(-1, 3), faces.reshape(-1, 3))


def _trunk(assembly: Assembly, material: Material, path: list, radius: list[float], sides: int = 8) -> None:
    assembly.part(tube([_triple(np.asarray(point)) for point in path], radius, material, sides))


def _petals(seed: int, rng: np.random.Generator) -> Material:
    colours = ("#d8c23a", "#e6e2da", "#b53a3a", "#9a6ac0", "#d87a9a", "#4a5ab0", "#d8742a")
    return foliage_material(seed, toned(srgb(colours[rng.integers(len(colours))]), 1.0))


def _sphere(rng: np.random.Generator, count: int) -> np.ndarray:
    return _outward(rng.normal(0, 1, (count, 3)))


def _outward(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
