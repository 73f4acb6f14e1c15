"""Open land: meadows, dunes, rocky hills, forest edges, vineyards, orchards, lakes and snow, out to far hills."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from random import Random

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.buildings import make_building
from worldloom.synth.outdoors.facade_textures import boards, sheet_metal
from worldloom.synth.outdoors.ground_textures import earthy, grassy, rock, rocky, sandy, snowy, water
from worldloom.synth.outdoors.ground_zones import Terrain, grid_lines
from worldloom.synth.outdoors.plants import make_bush, make_flowers, make_grass, make_tree, make_vine_row
from worldloom.synth.outdoors.site import Site
from worldloom.synth.outdoors.street_furniture.fences import make_fence
from worldloom.synth.outdoors.street_furniture.pavement import make_bench
from worldloom.synth.outdoors.street_furniture.posts import make_utility_pole, make_wire
from worldloom.synth.outdoors.street_furniture.signs import make_sign
from worldloom.synth.outdoors.street_furniture.yards import make_hay_bale
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, make_road_user
from worldloom.synth.shapes import ellipsoid, height_field
from worldloom.synth.skies.sky import random_sky
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import SEMANTICS, Colour, Material, Part, Thing, World

LANDS = ("meadow", "dunes", "rocks", "forest", "vineyard", "orchard", "lake", "snow")
_REACH = 900.0


def make_field(seed: int) -> World:
    """A landscape with its plants, rocks, fences and paths; eyes stand on the ground."""
    random = Random(f"field {seed}")
    land = random.choice(LANDS)
    path = _Path(random)
    level = _water_level(random, land)
    terrain = _terrain(random, seed, land, path, level)
    site = Site(terrain)
    site.things.append(_ground(random, seed, land, terrain, path, level))
    if level is not None:
        site.things.append(_lake(seed, level))
    dry = partial(_is_dry, terrain, path, level)
    _landmarks(site, random, land, dry)
    _PLANTING[land](site, random, seed, dry)
    if land not in ("dunes", "rocks") or random.random() < 0.3:
        _fences(site, random, dry)
    _carpet(site, random, seed, land, dry)
    candidates = []
    for k in range(300):
        x, y = random.gauss(0, 3 if k < 30 else 16), random.gauss(0, 3 if k < 30 else 16)
        if level is None or terrain(np.array([[x, y]]))[0] > level + 0.1:
            candidates.append((x, y, random.uniform(2.5, 6.0) if k % 8 == 7 else random.uniform(1.35, 1.8)))
    exposure = 0.85 if land == "snow" else 1.0 if land == "dunes" else 1.35
    return World("field", seed, tuple(site.things), random_sky(random), site.stands(candidates, 8, 0.45), exposure)


class _Path:
    """A track that winds past the middle: the distance of places from it."""

    def __init__(self, random: Random) -> None:
        self.turn, self.wave = random.uniform(-math.pi, math.pi), random.uniform(25, 70)
        self.swing, self.phase = random.uniform(2, 12), random.uniform(0, 6)
        self.offset = random.uniform(2.5, 6) * random.choice((-1, 1))
        self.half = random.choice((0.0, 0.6, 1.3, 1.7))
        self.ruts = self.half > 1.0

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed metres from the middle of the track, roughly."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        along, across = c * x + s * y, -s * x + c * y
        middle = self.offset + self.swing * (np.sin(along / self.wave + self.phase) - math.sin(self.phase))
        slope = self.swing / self.wave * np.cos(along / self.wave + self.phase)
        return (across - middle) / np.sqrt(1 + slope**2)


def _water_level(random: Random, land: str) -> float | None:
    return -1.2 if land == "lake" else -1.6 if land in ("meadow", "forest") and random.random() < 0.25 else None


def _terrain(random: Random, seed: int, land: str, path: _Path, level: float | None) -> Terrain:
    lines = grid_lines(28.0, 0.8, _REACH, 1.06)
    x, y = np.meshgrid(lines, lines, indexing="ij")
    flat = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)

    def fractal(wave: float | int, number: int, octaves: int = 4, gain: float | int = 0.5) -> np.ndarray:
        points = torch.from_numpy(flat / wave).float()
        return 2 * noise(points, seed + 31 * number, octaves, gain).double().numpy().reshape(x.shape) - 1

    r = np.hypot(x, y)
    rolling, rough = random.uniform(1.5, 5), random.uniform(0.05, 0.16)
    z = rolling * fractal(70, 1) + rough * fractal(2.5, 2, 3)
    if land == "dunes":
        c, s = math.cos(path.turn), math.sin(path.turn)
        drift = (c * x + s * y) / 45 + 0.8 * fractal(60, 3, 2)
        saw = drift - np.floor(drift)
        z = rolling * 0.6 * fractal(120, 1) + random.uniform(4.5, 9) * np.minimum(saw / 0.72, (1 - saw) / 0.28) * (
            0.6 + 0.5 * fractal(80, 4, 2)
        )
        z += 0.03 * fractal(1.5, 2, 2)
    elif land == "rocks":
        z = 1.6 * z + random.uniform(4, 9) * (1 - np.abs(fractal(45, 3, 5))) ** 2 - 4
        z += random.uniform(0.3, 0.8) * np.abs(fractal(6, 4, 4))
    elif land in ("vineyard", "orchard"):
        c, s = math.cos(path.turn + 1), math.sin(path.turn + 1)
        z = 0.5 * z + random.uniform(0.0, 0.14) * np.clip(c * x + s * y, -150, 150)
    far = np.clip((r - 150) / 600, 0, 1)
    hills = random.choice((0.0, 25.0, 70.0, 150.0, 260.0))
    z += hills * far**1.6 * np.clip(0.45 + fractal(260, 5, 6), 0, None)
    if level is not None:
        cx, cy = 38 * math.cos(path.turn + 2), 38 * math.sin(path.turn + 2)
        basin = np.clip(1.25 - np.hypot(x - cx, y - cy) / random.uniform(30, 60) + 0.3 * fractal(30, 6), 0, 1)
        if land == "lake":
            wide = np.clip(
                ((x - cx) * math.cos(path.turn + 2) + (y - cy) * math.sin(path.turn + 2)) / 60 + 0.4, 0, 1
            ) * np.clip((500 - r) / 60, 0, 1)
            basin = np.maximum(basin, wide)
        basin = basin**2 * (3 - 2 * basin)
        z = np.maximum(z, level + 0.35) * (1 - basin) + basin * (level - 2.5)
    if path.half:
        off = np.abs(path.distance(x, y))
        worn = np.clip(1.6 - off / path.half, 0, 1) * (r < 400)
        z -= 0.09 * worn
    z -= z[np.abs(lines).argmin(), np.abs(lines).argmin()] if level is None else 0.0
    return Terrain(lines, z)


def _ground(random: Random, seed: int, land: str, terrain: Terrain, path: _Path, level: float | None) -> Thing:
    """The land's surface: its colours follow steepness, height and the track, its semantics too."""
    green = toned(srgb(random.choice(("#5f7a34", "#74823c", "#4f6f30", "#8a8a48"))), random.uniform(0.8, 1.15))
    sand = toned(srgb(random.choice(("#d9b98a", "#cfa878", "#e0cba4"))), random.uniform(0.8, 1.05))
    stone: Colour = toned(srgb(random.choice(("#8a8780", "#9a8a76", "#7a6f68"))), random.uniform(0.8, 1.2))
    dirt = toned(srgb(random.choice(("#9a8058", "#8a7050", "#a8967a"))), random.uniform(0.7, 1.0))
    dry = random.uniform(0.1, 0.8)
    bed = level if level is not None else -1e9
    cover = {"dunes": "terrain", "rocks": "rock", "snow": "terrain"}.get(land, "grass")

    def parts(p: Tensor, steep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of track, rock and beach at places."""
        off = torch.from_numpy(path.distance(p[:, 0].double().numpy(), p[:, 1].double().numpy())).float().abs()
        edge = 0.25 * (noise(p * 1.7, seed + 7, 3) - 0.5)
        track = torch.zeros_like(off)
        if path.half:
            track = ((path.half + edge * 2 - off) / 0.25).clamp(0, 1)
            if path.ruts:
                track = track * (1 - ((0.45 + edge - off) / 0.15).clamp(0, 1))
        limit = 0.5 if land == "rocks" else 0.75
        bare = ((steep - limit + 0.5 * (noise(p * 0.4, seed + 8, 4) - 0.5)) / 0.12).clamp(0, 1)
        beach = ((bed + 0.45 + edge - p[:, 2]) / 0.2).clamp(0, 1)
        return track, bare * (land != "dunes"), beach

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        steep = normals[:, :2].norm(dim=1) / normals[:, 2].abs().clamp(min=0.05)
        track, bare, beach = (share[:, None] for share in parts(p, steep))
        match land:
            case "dunes":
                colour = sandy(p, seed, sand)
            case "snow":
                colour = snowy(p, seed)
            case "rocks":
                moss = (5 * (noise(p * 0.25, seed + 9, 4) - 0.42)).clamp(0, 1)[:, None]
                colour = rocky(p, seed, stone) * (1 - moss) + grassy(p, seed, green, dry) * moss
            case "vineyard" | "orchard":
                strip = (6 * (noise(p * 0.6, seed + 9, 3) - 0.5)).clamp(0, 1)[:, None]
                colour = earthy(p, seed, dirt) * strip + grassy(p, seed, green, dry) * (1 - strip)
            case "forest":
                litter = (5 * (noise(p * 0.2, seed + 9, 4) - 0.45)).clamp(0, 1)[:, None]
                colour = earthy(p, seed, (0.12, 0.075, 0.04)) * litter + grassy(p, seed, green, dry) * (1 - litter)
            case _:
                colour = grassy(p, seed, green, dry)
                # Far fields have colours of their own.
                far = ((p[:, :2].norm(dim=1) - 90) / 60).clamp(0, 1)[:, None]
                plot = noise(p * p.new_tensor([0.012, 0.012, 0.0]), seed + 10, 2)[:, None]
                colour = colour * (1 + far * 2.2 * (plot - 0.5) * p.new_tensor([1.3, 0.6, 0.2]))
        colour = colour + (rocky(p, seed + 2, stone) - colour) * bare
        colour = colour + (sandy(p, seed, dirt) - colour) * beach
        trodden = snowy(p, seed + 3) * 0.8 if land == "snow" else earthy(p, seed + 3, dirt)
        return (colour + (trodden - colour) * track).clamp(0.003, 0.95)

    def semantic_at(p: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
        d = 0.4
        xy = p[:, :2].double().numpy()
        dx = terrain(xy + np.array([d, 0])) - terrain(xy - np.array([d, 0]))
        dy = terrain(xy + np.array([0, d])) - terrain(xy - np.array([0, d]))
        steep = torch.from_numpy(np.hypot(dx, dy) / (2 * d)).float()
        track, bare, beach = parts(p.float(), steep)
        ids = torch.full_like(track, SEMANTICS.index(cover)).long()
        ids[bare > 0.5] = SEMANTICS.index("rock")
        ids[(track > 0.5) | (beach > 0.5)] = SEMANTICS.index("terrain")
        return ids

    lines = torch.from_numpy(terrain.lines)
    colour = {"dunes": sand, "snow": (0.8, 0.8, 0.83), "rocks": stone}.get(land, green)
    surface = Material(f"ground_{land}", colour, pattern, 0.95)
    part = height_field(lines.float(), lines.float(), torch.from_numpy(terrain.heights).float(), surface)
    return Thing("ground", cover, (part,), semantic_at=semantic_at)


def _lake(seed: int, level: float | int) -> Thing:
    assembly = Assembly()
    side = _REACH
    assembly.quads(
        water(seed), [[(-side, -side, level), (side, -side, level), (side, side, level), (-side, side, level)]]
    )
    return Thing("water", "water", assembly.parts())


def _is_dry(
    terrain: Terrain, path: _Path, level: float | None, x: float | int, y: float | int, clear: float | int = 0.6
) -> bool:
    """Whether something may stand here: above the water and beside the track."""
    if path.half and abs(float(path.distance(np.array([x]), np.array([y]))[0])) < path.half + clear:
        return False
    return level is None or float(terrain(np.array([[x, y]]))[0]) > level + 0.25


Dry = Callable[..., bool]


def _scatter(
    site: Site,
    random: Random,
    count: int,
    near: float | int,
    far: float | int,
    make: Callable[[int, bool], Thing],
    radius: float | int,
    dry: Dry,
    bunch: float | int = 0.0,
) -> None:
    """Things in a ring, near ones `full`; with `bunch` > 0 in groups of that radius."""
    centre = (0.0, 0.0)
    for k in range(count):
        reach, turn = near + (far - near) * random.random() ** 1.5, random.uniform(-math.pi, math.pi)
        x, y = reach * math.cos(turn), reach * math.sin(turn)
        if bunch:
            if k % 7 == 0:
                centre = (x, y)
            x, y = centre[0] + random.gauss(0, bunch), centre[1] + random.gauss(0, bunch)
        seed = random.randrange(1 << 16)
        if math.hypot(x, y) > near and dry(x, y):
            site.put_if_free(partial(make, seed, math.hypot(x, y) < 30), x, y, random.uniform(-3, 3), radius)


def _trees(
    kinds: tuple[str, ...], low: float | int, high: float | int, autumn: float | int = 0.1
) -> Callable[[int, bool], Thing]:
    def make(seed: int, full: bool) -> Thing:
        random = Random(seed)
        detail = "full" if full else "coarse"
        return make_tree(seed, random.choice(kinds), random.uniform(low, high), detail, autumn)

    return make


def _boulders(colour: Colour, low: float | int, high: float | int) -> Callable[[int, bool], Thing]:
    def make(seed: int, full: bool) -> Thing:
        return make_boulder(seed, Random(seed).uniform(low, high) ** 1.5, colour, 20 if full else 9)

    return make


def make_boulder(seed: int, size: float | int, colour: Colour, sides: int = 20) -> Thing:
    """A rock about `size` across, sunk a third into the ground."""
    rng = np.random.default_rng([seed, 55])
    half = float(size) / 2 * rng.uniform(0.7, 1.2, 3)
    ball = ellipsoid((1, 1, 1), (0, 0, 0), rock(seed, colour), sides, max(5, sides // 2))
    unit = ball.vertices / ball.vertices.norm(dim=1, keepdim=True)
    bumps = 0.55 + 0.9 * noise(unit * 1.3, seed, 4, 0.55)
    flats = 1 - 0.35 * (unit @ torch.from_numpy(rng.normal(0, 0.6, (3, 3))).float()).amax(dim=1).clamp(0, 1)
    shape = unit * (bumps * flats)[:, None] * torch.from_numpy(half).float()
    shape[:, 2] += 0.35 * float(half[2])
    return Thing("boulder", "rock", (Part(shape, ball.faces, ball.material, False),))


def _landmarks(site: Site, random: Random, land: str, dry: Dry) -> None:
    """A barn or house, a line of poles, people on the way."""
    if (land not in ("dunes", "rocks") and random.random() < 0.6) or (land == "dunes" and random.random() < 0.15):
        for _ in range(random.choice((1, 1, 2, 4))):
            reach, turn = random.uniform(22, 90), random.uniform(-math.pi, math.pi)
            x, y = reach * math.cos(turn), reach * math.sin(turn)
            if dry(x, y, 8.0) and site.free(x, y, 9.0):
                house = (
                    _barn(random)
                    if random.random() < 0.5
                    else make_building(
                        random.randrange(1 << 16),
                        random.uniform(8, 13),
                        random.uniform(7, 10),
                        random.choice((1, 2)),
                        "cottage",
                        foundation=3.0,
                    )
                )
                ring = site.surface(
                    np.array([[x + 5 * math.cos(t), y + 5 * math.sin(t)] for t in np.arange(0, 6.2, 0.8).tolist()])
                )
                site.put(house, x, y, turn + math.pi + random.uniform(-0.6, 0.6), 9.0, z=float(ring.mean()))
    if random.random() < 0.3 and land not in ("dunes",):
        turn, off = random.uniform(-math.pi, math.pi), random.uniform(8, 25)
        tops = []
        for s in np.arange(-200, 201, 40.0).tolist():
            x, y = s * math.cos(turn) - off * math.sin(turn), s * math.sin(turn) + off * math.cos(turn)
            if dry(x, y) and site.free(x, y, 0.4):
                site.put(make_utility_pole(1, 9.0), x, y, turn, 0.4)
                tops.append((x - 0.12 * math.cos(turn), y - 0.12 * math.sin(turn), site.level(x, y) + 8.85))
        for a, b in pairwise(tops):
            if math.dist(a, b) < 60:
                for w in (-0.9, 0.9):
                    shift = (-w * math.sin(turn), w * math.cos(turn))
                    site.things.append(
                        make_wire(
                            (a[0] + shift[0], a[1] + shift[1], a[2]), (b[0] + shift[0], b[1] + shift[1], b[2]), 0.9
                        )
                    )
    for _ in range(random.choice((0, 0, 1, 2))):
        x, y = random.uniform(-14, 14), random.uniform(-14, 14)
        if dry(x, y, 0.0):
            person = random.randrange(NUM_VARIANTS["pedestrian"])
            site.put_if_free(
                partial(make_road_user, "pedestrian", person, random.random()), x, y, random.uniform(-3, 3), 0.6
            )
    for make, chance in ((make_bench, 0.4), (partial(make_sign, kind="place"), 0.25)):
        x, y = random.uniform(-10, 10), random.uniform(-10, 10)
        if random.random() < chance and dry(x, y):
            site.put_if_free(partial(make, random.randrange(999)), x, y, random.uniform(-3, 3), 0.9)


def _barn(random: Random) -> Thing:
    """A timber barn with big doors towards +x."""
    assembly, seed = Assembly(), random.randrange(1 << 16)
    wood = boards(seed, srgb(random.choice(("#7a2f26", "#6a5a4a", "#8a7a66", "#5a4a3a"))), 0.2, upright=True)
    trim = boards(seed + 1, srgb(random.choice(("#e0ddd2", "#4a3a2c"))), 0.2)
    tin = sheet_metal(seed + 2, srgb(random.choice(("#7a7f82", "#6a4438", "#5a6a5f"))))
    x, y, h = random.uniform(4, 6), random.uniform(5, 9), random.uniform(3.4, 4.6)
    crest = h + random.uniform(0.5, 0.9) * x
    assembly.boxes(wood, (-x, -y, -3), (x, y, h))
    for sign in (1, -1):
        gable = [(x, sign * y, h), (0, sign * y, crest), (-x, sign * y, h)]
        assembly.triangles(wood, gable, [[0, 1, 2] if sign > 0 else [0, 2, 1]])
        low = h - 0.5 * (crest - h) / x
        corners = np.array(
            [
                [sign * (x + 0.5), -y - 0.4, low],
                [sign * (x + 0.5), y + 0.4, low],
                [0, y + 0.4, crest],
                [0, -y - 0.4, crest],
            ]
        )
        corners = corners[::sign] + np.array([0, 0, 0.12])
        assembly.quads(tin, [corners])
        assembly.quads(trim, [corners[::-1] - np.array([0, 0, 0.1])])
    assembly.boxes(
        trim,
        [(x, -1.9, 0.0), (x, 1.75, 0.0), (x, -1.9, 3.0)],
        [(x + 0.06, -1.75, 3.0), (x + 0.06, 1.9, 3.0), (x + 0.06, 1.9, 3.15)],
    )
    for y0, y1 in ((-1.75, -0.03), (0.03, 1.75)):
        assembly.boxes(wood, (x, y0, 0.0), (x + 0.08, y1, 3.0))
        assembly.boxes(
            trim,
            [(x, y0, 0.3), (x, y0, 1.5), (x, y0, 2.7)],
            [(x + 0.1, y1, 0.45), (x + 0.1, y1, 1.65), (x + 0.1, y1, 2.85)],
        )
    return Thing("barn", "building", assembly.parts())


def _fences(site: Site, random: Random, dry: Dry) -> None:
    """A line of fence or wall across the land."""
    if random.random() < 0.45:
        return
    kind, seed = random.choice(("rail", "rail", "wire", "stones", "pickets")), random.randrange(99)
    turn, off = random.uniform(-math.pi, math.pi), random.uniform(6, 16)
    for s in np.arange(-60, 60, 2.9).tolist():
        x, y = s * math.cos(turn) - off * math.sin(turn), s * math.sin(turn) + off * math.cos(turn)
        if dry(x, y, 1.4) and site.free(x, y, 0.5):
            ahead = site.level(x + 1.45 * math.cos(turn), y + 1.45 * math.sin(turn))
            behind = site.level(x - 1.45 * math.cos(turn), y - 1.45 * math.sin(turn))
            if abs(ahead - behind) < 1.2:
                site.put(
                    make_fence(seed, 2.9, kind, 1.15, round(ahead - behind, 3)),
                    x,
                    y,
                    turn - math.pi / 2,
                    z=(ahead + behind) / 2,
                )
                site.occupy_spot(x, y, 0.7)


def _carpet(site: Site, random: Random, seed: int, land: str, dry: Dry) -> None:
    """Grass, reeds, crops and flowers near the eyes."""
    count, tall, colours = {
        "meadow": (2600, random.uniform(0.15, 0.5), ("#6f8a3c", "#8a8f4a", "#5f7a34")),
        "forest": (1200, 0.3, ("#5f7a34", "#4a6a30")),
        "lake": (2000, 0.4, ("#6f8a3c", "#7a8040")),
        "orchard": (1500, 0.22, ("#6f8a3c", "#5f7a34")),
        "vineyard": (600, 0.2, ("#7a8a44",)),
        "rocks": (700, 0.3, ("#8a8a50", "#6f7a3c")),
        "dunes": (350, 0.6, ("#a8a060", "#8f9050")),
        "snow": (160, 0.35, ("#a8925a",)),
    }[land]
    rng = np.random.default_rng([seed, 9])
    centres = rng.normal(0, 14, (max(6, count // 60), 2))
    spots = centres[rng.integers(len(centres), size=count)] + rng.normal(0, 1.6, (count, 2))
    spots = np.concatenate([spots, rng.uniform(-16, 16, (count // 2, 2))])
    spots = spots[[dry(float(x), float(y), -0.1) for x, y in spots]]
    roots = np.concatenate([spots, site.surface(spots)[:, None]], 1)
    colour = toned(srgb(random.choice(colours)), random.uniform(0.8, 1.2))
    site.things.append(make_grass(seed, roots, tall, colour, 5))
    if land in ("meadow", "forest", "lake", "orchard", "rocks") and random.random() < 0.7:
        site.things.append(make_flowers(seed, roots[:: random.choice((4, 7, 12))], tall * 1.1 + 0.05))


def _meadow(site: Site, random: Random, seed: int, dry: Dry) -> None:
    bales = random.random() < 0.45
    if bales:
        _scatter(site, random, 26, 6, 90, lambda n, _: make_hay_bale(n), 1.0, dry)
    kinds = random.choice((("oak", "round"), ("birch", "spruce"), ("poplar", "round"), ("cypress", "pine")))
    _scatter(site, random, random.randint(2, 6), 8, 40, _trees(kinds, 7, 13), 2.0, dry)
    _scatter(
        site, random, 14, 5, 40, lambda n, full: make_bush(n, 1.6, 1.2, "full" if full else "coarse"), 1.0, dry, 3.0
    )
    _scatter(site, random, random.randint(120, 330), 60, 420, _trees(kinds, 7, 15), 1.5, dry, 12.0)
    _scatter(site, random, random.randint(0, 10), 4, 40, _boulders(srgb("#8a8780"), 0.5, 1.4), 0.8, dry)


def _dunes(site: Site, random: Random, seed: int, dry: Dry) -> None:
    colour = toned(srgb("#b08a64"), random.uniform(0.8, 1.1))
    _scatter(
        site, random, random.randint(4, 30), 5, 120, _boulders(colour, 0.4, 2.0), 1.0, dry, random.choice((0.0, 5.0))
    )
    _scatter(site, random, 22, 4, 60, lambda n, full: make_bush(n, 1.2, 0.6, "full" if full else "coarse"), 0.8, dry)
    if random.random() < 0.5:
        _scatter(site, random, 22, 10, 160, _trees(("palm",), 6, 11), 1.2, dry, 7.0)
    if random.random() < 0.4:
        _scatter(site, random, 6, 8, 70, _trees(("bare",), 3, 5), 1.2, dry)


def _rocks(site: Site, random: Random, seed: int, dry: Dry) -> None:
    colour = toned(srgb(random.choice(("#8a8780", "#9a8a76", "#7a6f68"))), random.uniform(0.8, 1.2))
    _scatter(site, random, 90, 3, 90, _boulders(colour, 0.35, 2.6), 0.9, dry)
    _scatter(site, random, 40, 3, 40, _boulders(colour, 0.25, 0.7), 0.3, dry, 3.0)
    kinds = random.choice((("pine",), ("spruce",), ("cypress", "oak"), ("birch", "bare")))
    _scatter(site, random, random.randint(4, 14), 7, 45, _trees(kinds, 4, 9), 1.2, dry)
    _scatter(site, random, random.randint(60, 260), 45, 350, _trees(kinds, 5, 11), 1.2, dry, 10.0)


def _forest(site: Site, random: Random, seed: int, dry: Dry) -> None:
    kinds = random.choice(
        (("spruce",), ("spruce", "pine"), ("round", "oak", "birch"), ("birch",), ("pine",), ("round", "spruce"))
    )
    turn, edge = random.uniform(-math.pi, math.pi), random.uniform(-4, 9)
    autumn = random.choice((0.0, 0.1, 0.8))
    full, coarse = _trees(kinds, 8, 15, autumn), _trees(kinds, 8, 16, autumn)
    near = 0
    # The nearest are planted first: they alone have leaves.
    for reach in sorted(5 + 280 * random.random() ** 1.7 for _ in range(750)):
        way = random.uniform(-math.pi, math.pi)
        x, y = reach * math.cos(way), reach * math.sin(way)
        inside = x * math.cos(turn) + y * math.sin(turn) + 6 * math.sin(reach / 17) > edge
        if not inside or not dry(x, y, 0.5):
            continue
        n = random.randrange(1 << 16)
        is_near = reach < 32 and near < (60 if kinds == ("spruce",) else 26)
        if site.free(x, y, 1.1):
            near += is_near
            site.put((full if is_near else coarse)(n, is_near), x, y, random.uniform(-3, 3), 1.1)
    _scatter(site, random, 30, 3, 35, lambda n, near_by: make_bush(n, 1.3, 0.9), 0.8, dry)
    _scatter(site, random, 12, 3, 30, _boulders(srgb("#7d7a72"), 0.4, 1.2), 0.7, dry)


def _rows(
    site: Site,
    random: Random,
    dry: Dry,
    spacing: float | int,
    step: float | int,
    make: Callable[[int, bool], Thing],
    reach: float | int,
    *,
    tilted: bool,
) -> None:
    """Things in parallel rows; tilted ones lie along the slope, others stand upright."""
    turn = random.uniform(-math.pi, math.pi)
    c, s = math.cos(turn), math.sin(turn)
    for row in np.arange(-reach + spacing / 2, reach, spacing).tolist():
        for at in np.arange(-reach, reach, step).tolist():
            x, y = c * at - s * row, s * at + c * row
            far = math.hypot(x, y)
            if far < reach and dry(x, y, 1.2) and site.free(x, y, 0.6):
                site.put(
                    make(random.randrange(1 << 16), far < 17),
                    x,
                    y,
                    turn,
                    min(0.6, 0.3 * spacing),
                    tilted=tilted,
                )


def _vineyard(site: Site, random: Random, seed: int, dry: Dry) -> None:
    cache = [make_vine_row(seed + k, 6.0) for k in range(4)]
    _rows(site, random, dry, 2.4, 6.0, lambda n, _: cache[n % 4], 38.0, tilted=True)
    _scatter(site, random, 160, 62, 420, _trees(("cypress", "round", "oak"), 6, 13), 1.5, dry, 11.0)


def _orchard(site: Site, random: Random, seed: int, dry: Dry) -> None:
    kind = random.choice(("orchard", "orchard", "palm", "round"))
    trees = [make_tree(seed + k, kind, 3.6 + 0.25 * k, "full", 0.0) for k in range(6)]
    far = [make_tree(seed + k, kind, 3.6 + 0.25 * k, "coarse", 0.0) for k in range(6)]
    _rows(
        site,
        random,
        dry,
        random.uniform(4.5, 6),
        random.uniform(4, 5.5),
        lambda n, full: (trees if full else far)[n % 6],
        75.0,
        tilted=False,
    )
    _scatter(site, random, 120, 95, 420, _trees(("poplar", "round", "oak"), 7, 13), 1.5, dry, 11.0)


def _lakeside(site: Site, random: Random, seed: int, dry: Dry) -> None:
    kinds = random.choice((("birch", "round"), ("spruce", "birch"), ("poplar", "oak"), ("pine",)))
    _scatter(site, random, random.randint(5, 14), 6, 42, _trees(kinds, 6, 13), 1.6, dry)
    _scatter(site, random, 22, 4, 45, lambda n, full: make_bush(n, 1.7, 1.3, "full" if full else "coarse"), 1.0, dry)
    _scatter(site, random, 14, 4, 50, _boulders(srgb("#8a8780"), 0.4, 1.5), 0.8, dry)
    _scatter(site, random, 320, 55, 500, _trees(kinds, 7, 14), 1.5, dry, 12.0)


def _snow(site: Site, random: Random, seed: int, dry: Dry) -> None:
    kinds = random.choice((("spruce",), ("bare", "spruce"), ("bare",)))
    _scatter(site, random, random.randint(5, 16), 6, 42, _trees(kinds, 6, 13, 0.0), 1.5, dry)
    _scatter(site, random, random.randint(120, 360), 45, 450, _trees(kinds, 7, 14, 0.0), 1.5, dry, 11.0)
    _scatter(site, random, 12, 4, 45, _boulders(srgb("#77767a"), 0.4, 1.6), 0.8, dry)


_PLANTING = {
    "meadow": _meadow,
    "dunes": _dunes,
    "rocks": _rocks,
    "forest": _forest,
    "vineyard": _vineyard,
    "orchard": _orchard,
    "lake": _lakeside,
    "snow": _snow,
}
