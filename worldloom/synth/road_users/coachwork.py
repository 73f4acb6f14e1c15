"""What vehicles are built of: lofted shells with wheel arches, panes, wheels, lamps and their materials."""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from worldloom.synth.shapes import Number, Triple, box, joined, lathe, moved, triangulate, turned
from worldloom.synth.world import Colour, Material, Part

_REFLECTOR = "reflector, "


def reflector(name: str, colour: Colour, roughness: float = 0.4) -> Material:
    """A surface that sends light back to where it came from: number plates, tapes, vests."""
    return Material(_REFLECTOR + name, colour, roughness=roughness)


def is_reflector(material: Material) -> bool:
    """Whether `reflector` made it."""
    return material.name.startswith(_REFLECTOR)


TYRE = Material("tyre", (0.02, 0.02, 0.021), roughness=0.9)
RIM = Material("rim", (0.55, 0.56, 0.58), roughness=0.35, metallic=0.8)
GLASS = Material("glass", (0.04, 0.047, 0.053), roughness=0.06)
TRIM = Material("trim", (0.03, 0.03, 0.032), roughness=0.7)
CHROME = Material("chrome", (0.65, 0.66, 0.68), roughness=0.2, metallic=1.0)
STEEL = Material("steel", (0.32, 0.33, 0.35), roughness=0.5, metallic=0.6)
CHASSIS = Material("chassis", (0.05, 0.05, 0.055), roughness=0.8)
HEADLAMP = Material("headlamp", (0.85, 0.87, 0.9), roughness=0.1)
TAIL_LAMP = reflector("tail lamp", (0.55, 0.02, 0.02), 0.15)
INDICATOR = Material("indicator", (0.85, 0.35, 0.03), roughness=0.2)
PLATE = reflector("number plate", (0.8, 0.8, 0.75), 0.4)


@cache
def paint(colour: Colour, roughness: Number = 0.3) -> Material:
    """Body paint; the same colour gives the same material."""
    return Material("paint", colour, roughness=float(roughness))


def loft(rings: Sequence[np.ndarray], material: Material, smooth: bool = False) -> Part:
    """A closed skin over rings (k, 3) that follow one another; each runs counter-clockwise about the way ahead.

    The ends are closed by lids with vertices of their own, so that their rims stay sharp.
    """
    stack = np.stack(rings)
    m, k, _ = stack.shape
    i, j = np.meshgrid(np.arange(m - 1), np.arange(k), indexing="ij")
    a, b = i * k + j, i * k + (j + 1) % k
    c, d = a + k, b + k
    faces = [np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)]
    vertices = [stack.reshape(-1, 3)]
    along = stack[-1].mean(0) - stack[0].mean(0)
    axis = int(np.abs(along).argmax())
    # Seen along the way ahead, the other two axes in right-handed order.
    plane = [(axis + 1) % 3, (axis + 2) % 3]
    for ring, start, ahead in ((stack[0], m * k, False), (stack[-1], m * k + k, True)):
        flat = ring[:, plane] if along[axis] > 0 else ring[:, plane[::-1]]
        lid = triangulate(flat)
        faces.append(start + (lid if ahead else lid[:, ::-1]))
        vertices.append(ring)
    return part_of(np.concatenate(vertices), np.concatenate(faces), material, smooth)


def part_of(vertices: np.ndarray, faces: np.ndarray, material: Material, smooth: bool = False) -> Part:
    """A part of plain arrays."""
    return Part(
        torch.from_numpy(np.asarray(vertices, dtype=np.float32)),
        torch.from_numpy(np.asarray(faces, dtype=np.int32)),
        material,
        smooth,
    )


def shell(
    ends: tuple[Number, Number],
    half_width: Callable[[float], float],
    bottom: Callable[[float], float],
    top: Callable[[float], float],
    material: Material,
    stations: Sequence[Number] = (),
    axles: Sequence[Number] = (),
    arch: tuple[Number, Number] = (0.0, 0.0),
    tumble: Number = 0.88,
) -> Part:
    """A body along x whose width, bottom and top change, with round wheel arches cut from its lower edge.

    Args:
        ends: x of the tail and of the nose.
        half_width, bottom, top: by x.
        stations: where its outline bends.
        axles: x of the wheels.
        arch: radius of the arches and height of their centres.
        tumble: width of the top edge as a share of the greatest width.
    """
    tail, nose = float(ends[0]), float(ends[1])
    radius, centre = arch
    where = {tail, nose, *(float(x) for x in stations)}
    for axle in axles:
        where |= {float(axle + radius * math.cos(math.pi * i / 8)) for i in range(9)}
    places = sorted(x for x in where if tail <= x <= nose)
    rings = []
    for x in places:
        low = bottom(x)
        for axle in axles:
            if abs(x - axle) < radius * 0.9999:
                low = max(low, centre + math.sqrt(radius**2 - (x - axle) ** 2))
        high, half = top(x), half_width(x)
        low = min(low, high - 0.06)
        waist = low + 0.45 * (high - low)
        shoulder = low + 0.85 * (high - low)
        side = [(0.965 * half, low), (half, waist), (0.97 * half, shoulder), (tumble * half, high)]
        rings.append(np.array([(x, y, z) for y, z in side] + [(x, -y, z) for y, z in reversed(side)]))
    return loft(rings, material)


def chamfered(low: Triple, high: Triple, bevel: Number, material: Material) -> Part:
    """The box between two corners with its edges cut off at 45 degrees."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    bevel = min(bevel, 0.24 * min(x1 - x0, y1 - y0, z1 - z0))  # thin plates keep some face

    def ring(x: Number, inset: Number) -> np.ndarray:
        a, b, c, d, e = y0 + inset, y1 - inset, z0 + inset, z1 - inset, bevel
        outline = [(b, c + e), (b, d - e), (b - e, d), (a + e, d), (a, d - e), (a, c + e), (a + e, c), (b - e, c)]
        return np.array([(x, y, z) for y, z in outline], dtype=float)

    return loft([ring(x0, bevel), ring(x0 + bevel, 0), ring(x1 - bevel, 0), ring(x1, bevel)], material)


def pane(
    corners: np.ndarray, u: tuple[Number, Number], v: tuple[Number, Number], material: Material, lift: Number = 0.012
) -> Part:
    """A window or board on a face: the stretch u x v of a quad (4, 3), counter-clockwise from outside, lifted off it.

    u runs from corner 0 to 1, v from corner 0 to 3.
    """
    p, q, r, s = np.asarray(corners, dtype=float)
    normal = np.cross(q - p + r - s, s - p + r - q)
    normal /= np.linalg.norm(normal)

    def at(a: Number, b: Number) -> np.ndarray:
        return (1 - b) * ((1 - a) * p + a * q) + b * ((1 - a) * s + a * r)

    quad = np.stack([at(u[0], v[0]), at(u[1], v[0]), at(u[1], v[1]), at(u[0], v[1])])
    foot = quad - 0.5 * lift * normal
    quad = quad + lift * normal
    i = np.arange(4)
    j = (i + 1) % 4
    faces = [[[0, 1, 2], [0, 2, 3]], np.stack([4 + i, 4 + j, j], -1), np.stack([4 + i, j, i], -1)]
    return part_of(np.concatenate([quad, foot]), np.concatenate(faces), material)


def side_quad(x0: Number, x1: Number, y: Number, z0: Number, z1: Number) -> np.ndarray:
    """The upright face at y, seen from outside (left of the vehicle if y > 0); u runs from front to rear on both."""
    front, rear = max(x0, x1), min(x0, x1)
    quad = np.array([(front, y, z0), (rear, y, z0), (rear, y, z1), (front, y, z1)], dtype=float)
    return quad if y > 0 else quad[[1, 0, 3, 2]]


def end_quad(x: Number, y0: Number, y1: Number, z0: Number, z1: Number, front: bool) -> np.ndarray:
    """The face across the vehicle at x, seen from ahead (front) or from behind."""
    a, b = (min(y0, y1), max(y0, y1)) if front else (max(y0, y1), min(y0, y1))
    return np.array([(x, a, z0), (x, b, z0), (x, b, z1), (x, a, z1)], dtype=float)


def wheel(x: Number, y: Number, radius: Number, width: Number, rim: Material = RIM, sides: int = 16) -> list[Part]:
    """A wheel on the ground whose outer face is at y; y > 0 is the left side of the vehicle."""
    r, w = float(radius), float(width)
    tyre = lathe(
        [(0, 0), (0.92 * r, 0), (r, 0.14 * w), (r, 0.86 * w), (0.92 * r, w), (0.64 * r, 0.82 * w)],
        TYRE,
        sides,
        smooth=False,
    )
    disc = lathe([(0.645 * r, 0.8 * w), (0.56 * r, 0.88 * w), (0.2 * r, 0.8 * w), (0, 0.84 * w)], rim, sides, False)
    hub = lathe([(0.17 * r, 0.8 * w), (0.15 * r, 0.93 * w), (0, 0.93 * w)], TRIM, 8, False)
    side = 1.0 if y > 0 else -1.0
    facing = turned(roll=-side * math.pi / 2)
    return [moved(part, facing, (x, y - side * w, r)) for part in (tyre, disc, hub)]


def axle_wheels(
    axles: Sequence[Number], half_track: Number, radius: Number, width: Number, rim: Material = RIM
) -> list[Part]:
    """Wheels left and right at every x of `axles`, their outer faces `half_track` from the middle."""
    return [part for x in axles for side in (1, -1) for part in wheel(x, side * half_track, radius, width, rim)]


def mirrored(parts: Sequence[Part]) -> list[Part]:
    """Parts of the left side, and their images on the right."""
    flip = torch.tensor([1.0, -1.0, 1.0])
    images = [Part(p.vertices * flip, p.faces.flip(1), p.material, p.smooth) for p in parts]
    return [*parts, *images]


def by_material(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The same triangles in as few parts as there are materials and shadings."""
    groups: dict[tuple[int, bool], list[Part]] = {}
    for part in parts:
        groups.setdefault((id(part.material), part.smooth), []).append(part)
    return tuple(joined(group, smooth=smooth) for (_, smooth), group in groups.items())


def bounds(parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
    """Lowest and highest coordinates of all vertices."""
    vertices = torch.cat([part.vertices for part in parts])
    return vertices.amin(0), vertices.amax(0)


def bar(start: Triple, end: Triple, thickness: tuple[Number, Number], material: Material) -> Part:
    """A beam of rectangular section (across y, across the rest) between two points of one x-z plane."""
    a, b = np.array(start, dtype=float), np.array(end, dtype=float)
    dx, _, dz = b - a
    length = math.hypot(dx, dz)
    middle = tuple(((a + b) / 2).tolist())
    beam = box((length, thickness[0], thickness[1]), (0, 0, 0), material)
    return moved(beam, turned(pitch=-math.atan2(dz, dx)), middle)
