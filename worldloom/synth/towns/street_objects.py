"""Small things of streets and yards: lamps, signs, signals, bollards, benches, shelters, bins, fences, hedges, mounds.

Each stands about its origin on the ground; what has a front looks along +x. Equal arguments give the same object.
"""

import math
from functools import lru_cache

import numpy as np
import torch

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.plants import foliage_material
from worldloom.synth.shapes import box, cylinder, ellipsoid, height_field, joined, moved, slab, tube, turned
from worldloom.synth.textures import concrete, mottled
from worldloom.synth.world import Colour, Material, Part, Thing

_STEEL = Material("galvanised steel", (0.36, 0.37, 0.38), roughness=0.45, metallic=0.8)
_DARK = Material("dark paint", (0.04, 0.045, 0.05), roughness=0.5)
_GREEN = Material("green paint", (0.03, 0.09, 0.05), roughness=0.5)
_LAMP = Material("lamp glass", (0.8, 0.8, 0.75), roughness=0.2)
_GLASS = Material("shelter glass", (0.3, 0.36, 0.37), roughness=0.1)
_WOOD = Material("bench wood", (0.3, 0.17, 0.08), mottled((0.3, 0.17, 0.08), 7, 0.3, 0.2), roughness=0.7)
_WHITE = Material("sign white", (0.75, 0.75, 0.73), roughness=0.4)
_RED = Material("sign red", (0.55, 0.02, 0.02), roughness=0.4)
_BLUE = Material("sign blue", (0.02, 0.09, 0.4), roughness=0.4)
_YELLOW = Material("sign yellow", (0.75, 0.5, 0.03), roughness=0.4)
_RED_LIGHT = Material("red light", (0.4, 0.02, 0.02), roughness=0.3, emission=(1.6, 0.06, 0.04))
_DULL_AMBER = Material("amber lens", (0.12, 0.06, 0.0), roughness=0.3)
_DULL_GREEN = Material("green lens", (0.0, 0.07, 0.03), roughness=0.3)
_PLASTER = Material("yard wall", (0.5, 0.46, 0.4), concrete((0.5, 0.46, 0.4), 3), roughness=0.9)
_BRICKS = Material("yard bricks", (0.3, 0.14, 0.09), mottled((0.3, 0.14, 0.09), 9, 0.4, 0.15), roughness=0.9)
_STONE = Material("block", (0.42, 0.41, 0.38), concrete((0.42, 0.41, 0.38), 5, None), roughness=0.9)
_BARE_WOOD = Material("fence wood", (0.27, 0.2, 0.13), mottled((0.27, 0.2, 0.13), 11, 0.4, 0.25), roughness=0.9)
_WHITE_WOOD = Material("fence paint", (0.65, 0.65, 0.62), mottled((0.65, 0.65, 0.62), 12, 0.15, 0.3), roughness=0.8)
_TURF = Material("turf", (0.12, 0.17, 0.04), mottled((0.12, 0.17, 0.04), 13, 0.5, 0.6, 0.15), roughness=1.0)
_EARTH = Material("dug earth", (0.19, 0.12, 0.07), mottled((0.19, 0.12, 0.07), 14, 0.5, 0.4), roughness=1.0)

FENCES = ("pickets", "boards", "wire", "wall", "bricks", "hedge", "tall_hedge")


@lru_cache(maxsize=64)
def lamp_post(height: float, arm: float) -> Thing:
    """A street lamp that reaches out along +x."""
    top = height - 0.15
    bend = [(0.0, 0.0, -0.3), (0.0, 0.0, 0.75 * height), (0.12 * arm, 0.0, 0.93 * height), (arm, 0.0, top)]
    parts = [
        tube(bend, [0.1, 0.07, 0.05, 0.045], _STEEL, 8),
        cylinder(0.14, 0.9, (0, 0, -0.1), _STEEL, 8),
        box((0.75, 0.26, 0.11), (arm + 0.25, 0, top), _DARK),
        box((0.55, 0.2, 0.03), (arm + 0.28, 0, top - 0.07), _LAMP),
    ]
    return Thing("lamp post", "manmade", tuple(parts))


@lru_cache(maxsize=16)
def sign(kind: str) -> Thing:
    """A traffic sign on its pole: "stop", "yield", "parking", "speed", "crossing", "roundabout" or "name"."""
    pole = cylinder(0.035, 2.9, (0, 0, -0.3), _STEEL, 8)
    face = 0.05
    if kind == "name":
        plates = [box((0.03, 0.9, 0.22), (0, 0.2, 2.45), _BLUE), box((0.9, 0.03, 0.22), (0.2, 0, 2.2), _BLUE)]
        return Thing("street name", "manmade", (pole, joined(plates)))
    if kind in ("parking", "roundabout"):
        plates = [
            box((0.02, 0.62, 0.62), (face, 0, 2.3), _BLUE),
            box((0.01, 0.14, 0.36), (face + 0.02, 0, 2.3), _WHITE),
        ]
    elif kind == "crossing":
        plates = [box((0.02, 0.6, 0.6), (face, 0, 2.3), _YELLOW), box((0.01, 0.1, 0.34), (face + 0.02, 0, 2.3), _DARK)]
    elif kind == "yield":
        plates = [_disc(3, 0.46, face, _RED, -math.pi / 2), _disc(3, 0.28, face + 0.02, _WHITE, -math.pi / 2)]
    elif kind == "stop":
        plates = [_disc(8, 0.4, face, _RED, math.pi / 8), box((0.01, 0.5, 0.12), (face + 0.03, 0, 2.3), _WHITE)]
    else:
        plates = [_disc(14, 0.34, face, _RED, 0.0), _disc(14, 0.26, face + 0.02, _WHITE, 0.0)]
    return Thing(f"{kind} sign", "manmade", (pole, *plates))


def _disc(sides: int, radius: float, x: float, material: Material, turn: float) -> Part:
    """A flat regular polygon that looks along +x, centred 2.3 m up."""
    angle = turn + 2 * math.pi * np.arange(sides) / sides
    rim = np.stack([np.full(sides, x), radius * np.cos(angle), 2.3 + radius * np.sin(angle)], -1)
    vertices = np.concatenate([rim, rim - [0.015, 0, 0]])
    fan = [[0, k, k + 1] for k in range(1, sides - 1)]
    back = [[sides, sides + k + 1, sides + k] for k in range(1, sides - 1)]
    faces = torch.tensor(fan + back, dtype=torch.int32)
    return Part(torch.from_numpy(vertices.astype(np.float32)), faces, material)


@lru_cache(maxsize=16)
def traffic_signal(reach: float) -> Thing:
    """A signal whose lenses look along +x, with a second head on a mast arm over the road, to -y, where `reach` > 0."""
    parts = [cylinder(0.08, 3.4 if not reach else 6.0, (0, 0, -0.3), _DARK, 8), *_head((0.14, 0.0, 2.9))]
    if reach:
        parts += [tube([(0, 0, 5.6), (0, -reach, 5.75)], [0.07, 0.04], _DARK, 6), *_head((0.14, 0.3 - reach, 5.65))]
    return Thing("traffic signal", "manmade", tuple(parts))


def _head(at: tuple[float, float, float]) -> list[Part]:
    x, y, z = at
    lenses = [(0.3, _RED_LIGHT), (0.0, _DULL_AMBER), (-0.3, _DULL_GREEN)]
    glass = [ellipsoid((0.03, 0.1, 0.1), (x + 0.12, y, z + up), material, 8, 4) for up, material in lenses]
    return [box((0.22, 0.34, 1.0), at, _DARK), *glass]


@lru_cache(maxsize=4)
def bollard(stone: bool) -> Thing:
    """A post that keeps cars off the sidewalk."""
    parts = [cylinder(0.2, 0.65, (0, 0, -0.1), _STONE, 10)] if stone else [cylinder(0.07, 1.1, (0, 0, -0.1), _DARK, 8)]
    return Thing("bollard", "manmade", tuple(parts))


@lru_cache(maxsize=4)
def hydrant() -> Thing:
    """A fire hydrant."""
    parts = [cylinder(0.12, 0.65, (0, 0, 0), _RED, 8), ellipsoid((0.13, 0.13, 0.12), (0, 0, 0.65), _RED, 8, 5)]
    return Thing("hydrant", "others", (joined([*parts, cylinder(0.06, 0.4, (0.0, 0.0, 0.3), _RED, 6)]),))


@lru_cache(maxsize=4)
def bench() -> Thing:
    """A bench that looks along +x."""
    seat = [slab((-0.2 + 0.14 * k, -0.8, 0.42), (-0.1 + 0.14 * k, 0.8, 0.46), _WOOD) for k in range(3)]
    back = [slab((-0.3, -0.8, 0.55 + 0.16 * k), (-0.26, 0.8, 0.67 + 0.16 * k), _WOOD) for k in range(2)]
    legs = [slab((-0.3, y - 0.03, 0), (0.2, y + 0.03, 0.42), _DARK) for y in (-0.65, 0.65)]
    posts = [slab((-0.32, y - 0.03, 0), (-0.28, y + 0.03, 0.88), _DARK) for y in (-0.65, 0.65)]
    return Thing("bench", "manmade", (joined(seat + back), joined(legs + posts)))


@lru_cache(maxsize=4)
def bus_shelter() -> Thing:
    """A glazed shelter, open along +x, with its bench."""
    posts = [slab((x, y, 0), (x + 0.07, y + 0.07, 2.45), _DARK) for x in (-0.65, 0.5) for y in (-2.0, 1.93)]
    roof = slab((-0.75, -2.1, 2.45), (0.75, 2.1, 2.57), _STEEL)
    panes = [slab((-0.64, -1.93, 0.2), (-0.61, 1.93, 2.2), _GLASS), slab((-0.6, -1.99, 0.2), (0.2, -1.96, 2.2), _GLASS)]
    return Thing(
        "bus shelter",
        "manmade",
        (joined([*posts]), roof, joined(panes), slab((-0.5, -1.5, 0.42), (-0.1, 1.0, 0.48), _WOOD)),
    )


@lru_cache(maxsize=8)
def litter_bin(kind: int) -> Thing:
    """A litter bin (0), a wheeled bin (1) or a container (2)."""
    if kind == 0:
        parts = [cylinder(0.24, 0.85, (0, 0, 0), _GREEN, 10), cylinder(0.26, 0.06, (0, 0, 0.85), _DARK, 10)]
    elif kind == 1:
        parts = [box((0.7, 0.58, 0.95), (0, 0, 0.55), _DARK), box((0.76, 0.62, 0.08), (0, 0, 1.06), _GREEN)]
    else:
        parts = [box((1.1, 1.9, 1.05), (0, 0, 0.68), _GREEN), box((1.2, 2.0, 0.12), (0, 0, 1.25), _DARK)]
    return Thing("bin", "others", tuple(parts))


@lru_cache(maxsize=8)
def street_box(kind: int) -> Thing:
    """A letter box (0), a switch cabinet (1), a newsstand or kiosk (2) or a planter (3)."""
    if kind == 0:
        parts = [box((0.45, 0.5, 1.25), (0, 0, 0.625), _RED if kind % 2 else _BLUE)]
    elif kind == 1:
        parts = [box((0.4, 1.1, 1.3), (0, 0, 0.65), _STONE)]
    elif kind == 2:
        parts = [box((1.8, 2.4, 2.3), (0, 0, 1.15), _GREEN), box((2.5, 2.8, 0.15), (0.2, 0, 2.38), _DARK)]
    else:
        parts = [box((0.9, 1.6, 0.6), (0, 0, 0.3), _STONE), ellipsoid((0.5, 0.8, 0.45), (0, 0, 0.7), _leaves(1), 8, 5)]
    return Thing(
        ("letter box", "cabinet", "kiosk", "planter")[kind], "vegetation" if kind == 3 else "others", tuple(parts)
    )


@lru_cache(maxsize=8)
def advertising_column() -> Thing:
    """A round column for posters."""
    return Thing(
        "column",
        "manmade",
        (cylinder(0.6, 2.9, (0, 0, -0.1), _STONE, 14), ellipsoid((0.68, 0.68, 0.3), (0, 0, 2.85), _GREEN, 12, 5)),
    )


@lru_cache(maxsize=256)
def fence(kind: str, length: float, variant: int = 0) -> Thing:
    """A piece along x, centred, of one of FENCES; feet go 0.4 m into the ground, for slopes."""
    half = length / 2
    if kind == "pickets":
        posts = [box((0.09, 0.03, 1.3), (x, 0, 0.35), _WHITE_WOOD) for x in np.arange(-half + 0.1, half, 0.2)]
        rails = [box((length, 0.05, 0.08), (0, -0.04, z), _WHITE_WOOD) for z in (0.3, 0.8)]
        return Thing("picket fence", "manmade", (joined([*posts, *rails]),))
    if kind == "boards":
        height = 1.6 + 0.1 * variant
        posts = [box((0.1, 0.1, height + 0.5), (x, 0, height / 2 - 0.2), _BARE_WOOD) for x in (-half, half)]
        return Thing(
            "board fence",
            "manmade",
            (joined([box((length, 0.04, height), (0, 0, height / 2 + 0.03), _BARE_WOOD), *posts]),),
        )
    if kind == "wire":
        bars = [
            box((0.05, 0.05, 1.9), (x, 0, 0.6), _STEEL) for x in np.linspace(-half, half, max(2, round(length / 2)) + 1)
        ]
        wires = [box((length, 0.03, 0.03), (0, 0, z), _STEEL) for z in (0.15, 0.45, 0.75, 1.05, 1.35, 1.5)]
        return Thing("wire fence", "manmade", (joined([*bars, *wires]),))
    if kind in ("wall", "bricks"):
        height, material = (1.9 + 0.1 * variant, _PLASTER) if kind == "wall" else (0.9 + 0.15 * variant, _BRICKS)
        coping = box((length, 0.36, 0.08), (0, 0, height + 0.04), _STONE)
        return Thing(
            "yard wall", "manmade", (box((length, 0.26, height + 0.4), (0, 0, height / 2 - 0.2), material), coping)
        )
    height = 1.0 + 0.12 * variant if kind == "hedge" else 1.8 + 0.15 * variant
    body = box((length + 0.1, 0.75, height + 0.3), (0, 0, height / 2 - 0.15), _leaves(variant))
    crown = [
        ellipsoid((0.7, 0.42, 0.16), (x, 0, height), _leaves(variant), 8, 4) for x in np.arange(-half + 0.5, half, 1.0)
    ]
    return Thing("hedge", "vegetation", (joined([body, *crown]),))


@lru_cache(maxsize=8)
def _leaves(variant: int) -> Material:
    colours: tuple[Colour, ...] = ((0.04, 0.08, 0.018), (0.055, 0.09, 0.025), (0.035, 0.07, 0.02), (0.08, 0.09, 0.03))
    return foliage_material(40 + variant, colours[variant % 4])


@lru_cache(maxsize=32)
def mound(radius: float, height: float, dug: bool, variant: int) -> Thing:
    """A heap: of turf in parks, of earth where it was dug up. Steep heaps are rough."""
    lines = torch.linspace(-radius, radius, 13)
    x, y = torch.meshgrid(lines, lines, indexing="ij")
    level = (1 - (x**2 + y**2) / radius**2).clamp(min=0)
    rough = noise(torch.stack([x, y, torch.full_like(x, 3.7 * variant)], -1).reshape(-1, 3) * 0.8, variant, 2).view(
        x.shape
    )
    z = height * level * (0.75 + 0.5 * rough) - 0.12
    part = height_field(lines, lines, z, _EARTH if dug else _TURF)
    inside = (z.flatten()[part.faces.long()] > -0.11).any(-1)
    return Thing("mound", "terrain", (Part(part.vertices, part.faces[inside], part.material, True),))


@lru_cache(maxsize=4)
def shed(variant: int) -> Thing:
    """A garden shed or garage that opens along +x."""
    w, d, h = ((2.4, 3.0, 2.1), (5.6, 3.1, 2.4), (3.0, 4.0, 2.3), (6.0, 5.6, 2.5))[variant % 4]
    wall = (_BARE_WOOD, _PLASTER, _WHITE_WOOD, _BRICKS)[variant % 4]
    roof = [
        moved(box((w + 0.4, d / 2 + 0.35, 0.08), (0, 0, 0), _DARK), turned(roll=s * 0.35), (0, -s * d / 4, h + 0.25))
        for s in (-1, 1)
    ]
    door = box((0.06, d * 0.6, h * 0.85), (w / 2, 0, h * 0.42), _WHITE_WOOD if variant % 2 else _DARK)
    return Thing("shed", "manmade", (box((w, d, h + 0.6), (0, 0, h / 2 - 0.3), wall), joined(roof), door))
