"""What stands about in streets, courts and fields, made to be seen from near by: each seed has its own make and colour.

Each stands on the ground at its origin; what has a front looks towards +x.
"""

import math
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly, frame_at
from worldloom.synth.outdoors.facade_textures import ashlar, boards, lettering, painted, rubble, stripes
from worldloom.synth.outdoors.ground_textures import soil, water
from worldloom.synth.outdoors.plants import foliage_material, make_bush
from worldloom.synth.shapes import Triple, box, cylinder, ellipsoid, lathe, tube
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Material, Thing

_METALS = ("#26302c", "#1d1f22", "#5a5f62", "#3c4a56")
FENCES = ("rail", "picket", "iron", "wire", "wall")


def make_lamp(seed: int, height: float | int = 5.5, arm: float | int = 0.0) -> Thing:
    """A street lamp: a lantern on a turned post, or with `arm` > 0 a mast that reaches out along +x."""
    random, assembly = Random(f"lamp {seed}"), Assembly()
    iron, h = _metal(seed), float(height)
    glass = Material("lamp_glass", (0.75, 0.72, 0.62), None, 0.2)
    if arm:
        assembly.part(lathe([(0, -0.1), (0.11, -0.1), (0.1, 0.9), (0.08, 1.0), (0.05, h), (0, h)], iron, 10))
        path = [(0, 0, h - 0.1), (0.3 * arm, 0, h + 0.25), (float(arm), 0, h + 0.35)]
        assembly.part(tube(path, 0.035, iron, 6))
        assembly.part(box((0.7, 0.26, 0.12), (float(arm) + 0.2, 0, h + 0.36), iron))
        assembly.part(box((0.5, 0.2, 0.03), (float(arm) + 0.2, 0, h + 0.29), glass))
        return Thing("lamp", "pole", assembly.parts())
    foot = [(0, -0.1), (0.17, -0.1), (0.17, 0.1), (0.1, 0.25), (0.08, 0.9), (0.11, 0.95), (0.05, 1.1), (0.04, h - 0.7)]
    assembly.part(lathe([*foot, (0.09, h - 0.65), (0.03, h - 0.6), (0, h - 0.6)], iron, 10))
    assembly.part(cylinder(0.1, 0.42, (0, 0, h - 0.6), glass, 6, top=0.19))
    assembly.part(cylinder(0.24, 0.16, (0, 0, h - 0.18), iron, 6, top=0.05))
    assembly.part(ellipsoid((0.04, 0.04, 0.05), (0, 0, h), iron, 6, 4))
    if random.random() < 0.3:
        assembly.part(tube([(0, -0.35, h - 0.9), (0, 0.35, h - 0.9)], 0.02, iron, 5))
    return Thing("lamp", "pole", assembly.parts())


def make_sign(seed: int) -> Thing:
    """A road sign or a board with a name, on a post."""
    random, assembly = Random(f"sign {seed}"), Assembly()
    post, h = painted(seed, (0.35, 0.36, 0.37), "post", 0.4, 0.6), random.uniform(2.3, 2.9)
    assembly.part(cylinder(0.035, h + 0.1, (0, 0, -0.1), post, 8))
    kind = random.choice(("round", "triangle", "board", "square"))
    red, blue, white = (painted(seed + k, srgb(c), "sign") for k, c in enumerate(("#b3221f", "#1f4a9a", "#e8e8e4")))
    if kind == "board":
        face = lettering(seed, srgb(random.choice(("#1f4a9a", "#5a2a24", "#24603a"))), srgb("#e0dcc8"), 0.3)
        assembly.frame = frame_at((0, 0, h))
        assembly.boxes(face, (0.036, -0.5, -0.15), (0.05, 0.5, 0.15))
        return Thing("sign", "sign", assembly.parts())
    sides, first = {"round": (24, 0.0), "triangle": (3, math.pi / 2), "square": (4, math.pi / 4)}[kind]
    turn = first + np.arange(sides) * 2 * np.pi / sides
    fan = np.array([[0, k, k + 1] for k in range(1, sides - 1)])
    for radius, out, material in ((0.34, 0.04, blue if kind == "square" else red), (0.26, 0.046, white)):
        rim = np.stack([np.full(sides, out), radius * np.cos(turn), h + radius * np.sin(turn)], -1)
        assembly.triangles(material, rim, fan)
        assembly.triangles(post, rim - np.array([0.004, 0, 0]), fan[:, ::-1])
    return Thing("sign", "sign", assembly.parts())


def make_traffic_light(seed: int) -> Thing:
    """A signal on a mast."""
    assembly, mast = Assembly(), painted(seed, (0.05, 0.055, 0.05), "mast", 0.5, 0.4)
    assembly.part(cylinder(0.07, 3.4, (0, 0, -0.1), mast, 10))
    assembly.boxes(mast, (0.08, -0.15, 2.35), (0.3, 0.15, 3.3))
    for k, colour in enumerate(((0.7, 0.06, 0.03), (0.75, 0.42, 0.03), (0.05, 0.6, 0.2))):
        lit = k == seed % 3
        r, g, b = colour if lit else toned(colour, 0.12)
        lens = Material("lens", (r, g, b), None, 0.2, 0.0, (2 * r, 2 * g, 2 * b) if lit else (0.0, 0.0, 0.0))
        assembly.part(ellipsoid((0.04, 0.1, 0.1), (0.3, 0, 3.12 - 0.29 * k), lens, 10, 6))
        assembly.part(box((0.14, 0.24, 0.02), (0.37, 0, 3.25 - 0.29 * k), mast))
    return Thing("traffic_light", "pole", assembly.parts())


def make_bin(seed: int) -> Thing:
    """A litter bin."""
    random, assembly = Random(f"bin {seed}"), Assembly()
    body = painted(seed, srgb(random.choice(("#2f4a36", "#3a3d40", "#5a4a3a", "#8a5a2a"))), "bin")
    if random.random() < 0.5:
        profile = [(0, 0), (0.22, 0), (0.27, 0.75), (0.29, 0.78), (0.25, 0.8), (0.22, 0.7), (0, 0.7)]
        assembly.part(lathe(profile, body, 14, smooth=False))
    else:
        assembly.boxes(body, (-0.24, -0.24, 0.05), (0.24, 0.24, 0.95))
        assembly.boxes(_metal(seed), [(-0.28, -0.28, 0.95), (-0.2, -0.2, 0.0)], [(0.28, 0.28, 1.05), (0.2, 0.2, 0.05)])
        assembly.boxes(Material("mouth", (0.01, 0.01, 0.01)), (0.235, -0.15, 0.7), (0.245, 0.15, 0.85))
    return Thing("bin", "street_furniture", assembly.parts())


def make_bench(seed: int) -> Thing:
    """A slatted bench."""
    assembly, slats, iron = Assembly(), boards(seed, srgb("#8a5f3a"), 0.12), _metal(seed)
    for k in range(4):
        assembly.boxes(slats, (-0.2 + 0.12 * k, -0.8, 0.42), (-0.1 + 0.12 * k, 0.8, 0.46))
    for k in range(3):
        x = -0.26 - 0.03 * k
        assembly.boxes(slats, (x, -0.8, 0.55 + 0.13 * k), (x + 0.03, 0.8, 0.65 + 0.13 * k))
    for y in (-0.65, 0.65):
        assembly.boxes(
            iron,
            [(-0.24, y - 0.03, 0), (0.2, y - 0.03, 0), (-0.3, y - 0.03, 0.38), (-0.34, y - 0.03, 0.46)],
            [(-0.18, y + 0.03, 0.42), (0.26, y + 0.03, 0.42), (0.27, y + 0.03, 0.42), (-0.28, y + 0.03, 0.9)],
        )
    return Thing("bench", "street_furniture", assembly.parts())


def make_bollard(seed: int) -> Thing:
    """A bollard of iron or stone."""
    if Random(f"bollard {seed}").random() < 0.6:
        foot = [(0, -0.1), (0.09, -0.1), (0.09, 0.1), (0.06, 0.15), (0.055, 0.75), (0.075, 0.8), (0.06, 0.9), (0, 0.95)]
        return Thing("bollard", "pole", (lathe(foot, _metal(seed), 10),))
    stone = ashlar(seed, srgb("#a8a090"), (2.0, 2.0))
    return Thing("bollard", "pole", (lathe([(0, -0.1), (0.2, -0.1), (0.16, 0.6), (0.08, 0.75), (0, 0.78)], stone, 10),))


def make_hydrant(seed: int) -> Thing:
    """A fire hydrant."""
    assembly = Assembly()
    red = painted(seed, srgb(Random(f"hydrant {seed}").choice(("#a82a20", "#c9a02a", "#b8b8b4"))), "hydrant")
    foot = [(0, -0.05), (0.16, -0.05), (0.16, 0.05), (0.1, 0.08), (0.1, 0.55), (0.14, 0.58), (0.12, 0.68), (0.04, 0.76)]
    assembly.part(lathe([*foot, (0.03, 0.82), (0, 0.82)], red, 12))
    for turn in (0.0, math.pi / 2, -math.pi / 2):
        assembly.part(tube([(0, 0, 0.42), (0.2 * math.cos(turn), 0.2 * math.sin(turn), 0.42)], 0.06, red, 8))
    return Thing("hydrant", "street_furniture", assembly.parts())


def make_bike_rack(seed: int, hoops: int = 4) -> Thing:
    """Hoops in a row along y, 0.9 m apart."""
    assembly, steel = Assembly(), painted(seed, (0.4, 0.41, 0.42), "steel", 0.3, 0.9)
    for k in range(hoops):
        y = (k - (hoops - 1) / 2) * 0.9
        arch = [(-0.35 * math.cos(a), y, 0.5 + 0.3 * math.sin(a)) for a in np.linspace(0, math.pi, 7).tolist()]
        assembly.part(tube([(-0.35, y, -0.05), *arch, (0.35, y, -0.05)], 0.025, steel, 6))
    return Thing("bike_rack", "street_furniture", assembly.parts())


def make_bus_shelter(seed: int) -> Thing:
    """A glazed shelter, open towards +x, with a bench and a poster."""
    assembly, steel = Assembly(), _metal(seed)
    glass = Material("glass_sky", (0.16, 0.2, 0.22), None, 0.05)
    assembly.boxes(steel, (-0.85, -2.1, 2.4), (0.75, 2.1, 2.5))
    posts = [(-0.75, -2.0), (-0.75, -0.03), (-0.75, 1.94), (0.55, -2.0), (0.55, 1.94)]
    assembly.boxes(steel, [(x, y, -0.05) for x, y in posts], [(x + 0.06, y + 0.06, 2.4) for x, y in posts])
    assembly.boxes(glass, [(-0.73, -1.94, 0.3), (-0.73, 0.05, 0.3)], [(-0.71, -0.05, 2.2), (-0.71, 1.92, 2.2)])
    poster = lettering(seed, srgb(("#c94a3a", "#2a6a8a", "#d8b23a", "#3a6a4a")[seed % 4]), srgb("#f0ead8"), 1.6)
    assembly.frame = frame_at((0, 0, 1.2))
    assembly.boxes(poster, (-0.68, 1.92, -0.8), (0.5, 2.02, 0.8))
    assembly.frame = frame_at((0, 0, 0))
    assembly.boxes(boards(seed, srgb("#9a6a42"), 0.1), (-0.6, -1.5, 0.42), (-0.2, 1.4, 0.48))
    assembly.boxes(steel, [(-0.45, -1.2, -0.02), (-0.45, 1.1, -0.02)], [(-0.38, -1.1, 0.42), (-0.38, 1.2, 0.42)])
    return Thing("bus_shelter", "street_furniture", assembly.parts())


def make_kiosk(seed: int) -> Thing:
    """A news stand with a counter under an awning."""
    random, assembly = Random(f"kiosk {seed}"), Assembly()
    green = painted(seed, srgb(random.choice(("#24503a", "#6a2a26", "#2a4462", "#6a6a5a"))), "kiosk")
    assembly.boxes(green, [(-1.2, -1.5, 0), (-1.2, -1.5, 2.0)], [(1.0, 1.5, 1.0), (1.0, 1.5, 2.5)])
    corners = [(x, y) for x in (-1.2, 0.88) for y in (-1.5, 1.38)]
    assembly.boxes(green, [(x, y, 1.0) for x, y in corners], [(x + 0.12, y + 0.12, 2.0) for x, y in corners])
    assembly.boxes(green, (-1.19, -1.4, 1.0), (-1.1, 1.4, 2.0))
    assembly.boxes(lettering(seed, (0.6, 0.58, 0.5), (0.15, 0.1, 0.1), 0.4), (-0.9, -1.3, 1.0), (0.6, 1.3, 1.12))
    assembly.boxes(green, (-1.4, -1.7, 2.5), (1.2, 1.7, 2.6))
    cloth = stripes(seed, srgb(random.choice(("#a63a2e", "#2f5d4a", "#27476b"))), srgb("#f2ede0"), 0.25)
    _two_sided(assembly, cloth, np.array([[2.0, -1.5, 2.05], [2.0, 1.5, 2.05], [1.0, 1.5, 2.45], [1.0, -1.5, 2.45]]))
    return Thing("kiosk", "street_furniture", assembly.parts())


def make_fence(seed: int, length: float | int, kind: str = "rail", height: float | int = 1.1) -> Thing:
    """A fence along y, centred, of one of FENCES; its feet go half a metre into the ground."""
    random, assembly, half, h = Random(f"fence {seed}"), Assembly(), float(length) / 2, float(height)
    timber = boards(seed, srgb(random.choice(("#8a7a66", "#6a5a48", "#e0ddd2", "#7a6a5a"))), 0.14, upright=True)
    spacing = {"rail": 2.4, "picket": 2.0, "iron": 2.2, "wire": 3.0}.get(kind, 1.0)
    posts = np.linspace(-half, half, max(2, round(2 * half / spacing) + 1))

    def row(
        material: Material, at: np.ndarray, thick: float | int, wide: float | int, low: float | int, high: float | int
    ) -> None:
        start = np.stack([np.full_like(at, -thick / 2), at - wide / 2, np.full_like(at, low)], 1)
        assembly.boxes(material, start, start + np.array([thick, wide, high - low]))

    match kind:
        case "rail":
            row(timber, posts, 0.12, 0.12, -0.5, h)
            for z in (0.4 * h, 0.85 * h):
                assembly.boxes(timber, (0.06, -half, z - 0.06), (0.1, half, z + 0.06))
        case "picket":
            row(timber, posts, 0.1, 0.1, -0.5, h)
            row(timber, np.arange(-half + 0.06, half, 0.17), 0.03, 0.1, 0.06, h)
            for z in (0.25 * h, 0.75 * h):
                assembly.boxes(timber, (-0.06, -half, z - 0.05), (-0.02, half, z + 0.05))
        case "iron":
            iron = _metal(seed)
            row(iron, posts, 0.07, 0.07, -0.5, h + 0.1)
            row(iron, np.arange(-half + 0.07, half, 0.13), 0.022, 0.022, 0.1, h)
            for z in (0.15, h - 0.1):
                assembly.boxes(iron, (-0.02, -half, z - 0.02), (0.02, half, z + 0.02))
        case "wire":
            row(timber, posts, 0.1, 0.1, -0.5, h)
            wire = painted(seed, (0.25, 0.25, 0.25), "wire", 0.4, 0.8)
            for k in range(4):
                z = h * (0.3 + 0.21 * k)
                assembly.boxes(wire, (-0.006, -half, z - 0.006), (0.006, half, z + 0.006))
        case "wall":
            stone = rubble(seed, srgb(random.choice(("#a39a88", "#8f887a", "#b3a284"))), 0.26)
            assembly.boxes(stone, (-0.22, -half, -0.6), (0.22, half, h - 0.1))
            assembly.boxes(stone, (-0.27, -half, h - 0.1), (0.27, half, h))
        case _:
            raise ValueError(f"fence must be one of {FENCES}, got {kind!r}")
    return Thing(f"fence_{kind}", "fence", assembly.parts())


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
        _two_sided(assembly, wood, slope[::sign], 0.04)
    return Thing("well", "street_furniture", assembly.parts())


def make_cafe_table(seed: int, parasol: bool = True) -> Thing:
    """A small round table with two to four chairs and perhaps a parasol."""
    random, assembly, iron = Random(f"table {seed}"), Assembly(), _metal(seed)
    top = painted(seed, srgb(random.choice(("#c9c2b2", "#5a3f2a", "#e0e0da", "#3f5a4a"))), "table")
    assembly.part(lathe([(0, 0.72), (0.38, 0.72), (0.38, 0.75), (0, 0.75)], top, 18, smooth=False))
    assembly.part(lathe([(0, 0), (0.25, 0), (0.24, 0.03), (0.03, 0.06), (0.03, 0.72)], iron, 10))
    seat = boards(seed + 1, srgb(random.choice(("#8a5f3a", "#a83a2a", "#3a5a7a", "#c9b98a"))), 0.08)
    count, turned = random.choice((2, 3, 4)), random.uniform(0, math.pi)
    for k in range(count):
        turn = turned + 2 * math.pi * k / count + random.uniform(-0.15, 0.15)
        far = random.uniform(0.62, 0.8)
        assembly.frame = frame_at((far * math.cos(turn), far * math.sin(turn), 0.0), turn)
        assembly.boxes(seat, [(-0.2, -0.2, 0.43), (0.19, -0.19, 0.6)], [(0.2, 0.2, 0.46), (0.215, 0.19, 0.85)])
        legs = [(x, y) for x in (-0.19, 0.165) for y in (-0.19, 0.165)]
        assembly.boxes(iron, [(x, y, 0) for x, y in legs], [(x + 0.025, y + 0.025, 0.43) for x, y in legs])
        assembly.boxes(iron, [(0.19, -0.19, 0.46), (0.19, 0.17, 0.46)], [(0.21, -0.17, 0.85), (0.21, 0.19, 0.85)])
    assembly.frame = frame_at((0, 0, 0))
    if parasol:
        cloth = stripes(seed, srgb(random.choice(("#a63a2e", "#2f5d4a", "#d8c9a0", "#27476b"))), srgb("#f2ede0"), 0.5)
        assembly.part(cylinder(0.022, 2.4, (0, 0, 0), iron, 6))
        assembly.part(lathe([(1.35, 2.05), (0.03, 2.55)], cloth, 8, smooth=False))
        assembly.part(lathe([(0.03, 2.53), (1.35, 2.03)], cloth, 8, smooth=False))
    return Thing("cafe_table", "table", assembly.parts())


def make_planter(seed: int, size: float | int = 0.7) -> Thing:
    """A bush in a pot or box."""
    random, assembly, s = Random(f"planter {seed}"), Assembly(), float(size)
    clay = painted(seed, srgb(random.choice(("#a85f3f", "#8a8478", "#4a4a46", "#b8b0a0"))), "pot", 0.8)
    if random.random() < 0.5:
        profile = [(0, 0), (0.32 * s, 0), (0.5 * s, 0.75 * s), (0.55 * s, 0.8 * s), (0.45 * s, 0.8 * s), (0, 0.7 * s)]
        assembly.part(lathe(profile, clay, 14, smooth=False))
    else:
        assembly.boxes(clay, (-0.5 * s, -0.5 * s, 0), (0.5 * s, 0.5 * s, 0.75 * s))
        assembly.boxes(soil(seed), (-0.45 * s, -0.45 * s, 0.75 * s), (0.45 * s, 0.45 * s, 0.76 * s))
    assembly.frame = frame_at((0, 0, 0.68 * s))
    for part in make_bush(seed, 1.0 * s, 0.9 * s).parts:
        assembly.part(part)
    return Thing("planter", "bush", assembly.parts())


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


def _metal(seed: int) -> Material:
    return painted(seed, srgb(_METALS[seed % len(_METALS)]), "iron", 0.45, 0.5)


def _two_sided(assembly: Assembly, material: Material, quad: np.ndarray, thick: float | int = 0.012) -> None:
    """A sheet that is seen from above and, a little lower, from below."""
    assembly.quads(material, [quad])
    assembly.quads(material, [quad[::-1] - np.array([0, 0, thick])])
