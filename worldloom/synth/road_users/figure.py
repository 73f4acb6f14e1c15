"""The human figure: a skeleton posed by where hands and feet are, and clothes on it."""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from worldloom.synth.road_users.coachwork import loft, reflector
from worldloom.synth.shapes import Number, Triple, box, ellipsoid, lathe, moved, tube, turned
from worldloom.synth.world import Colour, Material, Part

HIGH_VIS = reflector("vest", (0.75, 0.8, 0.05), 0.7)
BAND = reflector("band", (0.75, 0.76, 0.78), 0.4)


@cache
def cloth(colour: Colour) -> Material:
    """Fabric; the same colour gives the same material."""
    return Material("cloth", colour, roughness=0.9)


@cache
def skin(colour: Colour) -> Material:
    """Skin of a person."""
    return Material("skin", colour, roughness=0.6)


@dataclass(frozen=True)
class Build:
    """One person and their clothes; lengths follow from the height (Drillis and Contini's shares)."""

    height: float
    girth: float = 1.0  # 1 is slim
    face: Colour = (0.55, 0.36, 0.26)
    hair: Colour = (0.05, 0.035, 0.025)
    top: Colour = (0.2, 0.25, 0.4)
    trousers: Colour = (0.06, 0.07, 0.12)
    shoes: Colour = (0.04, 0.04, 0.04)
    garment: str = "trousers"  # or "skirt", "coat", "shorts"
    head: str = "hair"  # or "long hair", "helmet", "cap"
    helmet: Colour = (0.8, 0.8, 0.78)
    high_vis: bool = False

    @property
    def leg(self) -> float:
        return 0.245 * self.height  # each of thigh and shin

    @property
    def ankle(self) -> float:
        return 0.039 * self.height  # above the sole

    @property
    def shoulder(self) -> float:
        return 0.288 * self.height  # above the hips, along the spine


@dataclass(frozen=True)
class Pose:
    """Where a body is, metres, x forward; elbows and knees follow. Pairs are (left, right)."""

    hips: Triple
    lean: Number  # of the spine, forward, radians
    ankles: tuple[Triple, Triple]
    toes: tuple[Number, Number]  # pitch of the soles, positive with the toes down
    hands: tuple[Triple, Triple]
    knees_out: Number = 0.0  # how much knees point aside
    elbows_out: Number = 0.15


def two_bones(start: np.ndarray, end: np.ndarray, first: float, second: float, towards: np.ndarray) -> np.ndarray:
    """The joint between two bones from start to end that bends `towards`, by the law of cosines.

    Where the end is out of reach, the joint lies on the straight line.
    """
    line = end - start
    distance = float(np.linalg.norm(line))
    along = line / distance
    reach = min(max(distance, abs(first - second) + 1e-6), first + second - 1e-6)
    ahead = (reach**2 + first**2 - second**2) / (2 * reach)
    aside = towards - (towards @ along) * along
    aside /= np.linalg.norm(aside)
    return start + ahead * along + math.sqrt(max(first**2 - ahead**2, 0.0)) * aside


def figure(build: Build, pose: Pose) -> list[Part]:
    """A dressed person in a pose."""
    h, g = build.height, build.girth
    hips = np.array(pose.hips, dtype=float)
    spine = np.array([math.sin(pose.lean), 0, math.cos(pose.lean)])
    chest = np.array([math.cos(pose.lean), 0, -math.sin(pose.lean)])
    left = np.array([0.0, 1, 0])
    neck = hips + build.shoulder * spine
    top = HIGH_VIS if build.high_vis else cloth(build.top)
    sleeves, legs = cloth(build.top), cloth(build.trousers)
    parts = _torso(hips, chest, left, spine, h, g, top, legs)
    if build.high_vis:
        parts += [_belt(hips, chest, left, spine, h, g, share) for share in (0.1, 0.2)]
    parts += _head(build, neck, pose.lean)
    for side, ankle, toe, hand in zip((1, -1), pose.ankles, pose.toes, pose.hands, strict=True):
        hip = hips + side * 0.05 * h * left - 0.01 * h * spine
        foot = np.array(ankle, dtype=float)
        knee = two_bones(hip, foot, build.leg, build.leg, np.array([1.0, side * pose.knees_out, 0.1]))
        bare = build.garment in ("skirt", "shorts")
        radii = np.array([0.052, 0.046, 0.033, 0.024]) * h * math.sqrt(g)
        thigh, shin = 0.5 * (hip + knee), foot
        parts.append(tube(_points(hip, thigh, knee), radii[:3].tolist(), legs, 7))
        parts.append(
            tube(
                _points(knee, 0.6 * knee + 0.4 * shin, shin),
                [radii[2], 0.9 * radii[2], radii[3]],
                skin(build.face) if bare else legs,
                7,
            )
        )
        parts.append(_shoe(build, foot, toe))
        shoulder = neck + side * (0.098 * h * math.sqrt(g)) * left - 0.015 * h * spine
        wrist = np.array(hand, dtype=float)
        elbow = two_bones(shoulder, wrist, 0.172 * h, 0.157 * h, np.array([-0.5, side * pose.elbows_out, -0.8]))
        reach = elbow + (wrist - elbow) * min(1.0, 0.157 * h / max(float(np.linalg.norm(wrist - elbow)), 1e-6))
        parts.append(tube(_points(shoulder, elbow, reach), [0.029 * h * g, 0.025 * h * g, 0.018 * h], sleeves, 6))
        palm = reach + 0.035 * h * (reach - elbow) / max(float(np.linalg.norm(reach - elbow)), 1e-6)
        parts.append(_ball((0.024 * h, 0.018 * h, 0.026 * h), _triple(palm), skin(build.face), 6, 4))
    if build.garment in ("skirt", "coat"):
        parts.append(_skirt(build, pose, hips))
    return parts


@cache
def _unit_ball(material: Material, sides: int, rings: int) -> Part:
    return ellipsoid((1, 1, 1), (0, 0, 0), material, sides, rings)


def _ball(half: Triple, centre: Triple, material: Material, sides: int, rings: int) -> Part:
    """`ellipsoid`, from a ball that is kept: figures are made by the hundred."""
    ball = _unit_ball(material, sides, rings)
    scale, shift = (torch.tensor(values, dtype=torch.float32) for values in (half, centre))
    return replace(ball, vertices=ball.vertices * scale + shift)


def _torso(
    hips: np.ndarray,
    chest: np.ndarray,
    left: np.ndarray,
    spine: np.ndarray,
    h: float,
    g: float,
    top: Material,
    legs: Material,
) -> list[Part]:
    """Shirt and seat, as ellipses along the spine: (height above the hips, half depth, half width) in body heights."""
    seat = [(-0.06, 0.05, 0.072), (-0.02, 0.058, 0.09), (0.03, 0.056, 0.086)]
    shirt = [
        *((-0.005, 0.061, 0.093), (0.1, 0.056, 0.082), (0.22, 0.064, 0.1)),
        *((0.275, 0.055, 0.108), (0.305, 0.03, 0.05)),
    ]
    return [
        loft([_ellipse(hips + s * h * spine, chest * a * h * g, left * b * h * g) for s, a, b in rows], material, True)
        for rows, material in ((seat, legs), (shirt, top))
    ]


def _belt(
    hips: np.ndarray, chest: np.ndarray, left: np.ndarray, spine: np.ndarray, h: float, g: float, share: float
) -> Part:
    wide = 1.06 * h * g
    return loft(
        [
            _ellipse(hips + s * h * spine, chest * 0.062 * wide, left * 0.094 * wide)
            for s in (share - 0.014, share + 0.014)
        ],
        BAND,
        True,
    )


def _ellipse(centre: np.ndarray, a: np.ndarray, b: np.ndarray, sides: int = 10) -> np.ndarray:
    angle = 2 * math.pi * np.arange(sides) / sides
    return centre + np.cos(angle)[:, None] * a + np.sin(angle)[:, None] * b


def _head(build: Build, neck: np.ndarray, lean: float) -> list[Part]:
    h = build.height
    # Who leans still looks ahead.
    up = np.array([math.sin(0.6 * lean), 0, math.cos(0.6 * lean)])
    centre = neck + 0.112 * h * up
    # Children's heads are large.
    size = 0.5 * (0.13 * h + 0.23) / 2
    x, y, z = centre
    parts = [
        tube(_points(neck - 0.01 * h * up, centre), 0.03 * h, skin(build.face), 6),
        _ball((0.78 * size, 0.64 * size, size), _triple(centre), skin(build.face), 10, 7),
        _ball((0.12 * size, 0.1 * size, 0.2 * size), (x + 0.78 * size, y, z - 0.1 * size), skin(build.face), 4, 3),
    ]
    cover = cloth(build.hair)
    if build.head == "helmet":
        shell = Material("helmet", build.helmet, roughness=0.25)
        parts.append(_ball((size, 0.85 * size, 0.8 * size), (x - 0.02 * size, y, z + 0.38 * size), shell, 10, 6))
    else:
        parts.append(
            _ball((0.82 * size, 0.72 * size, 0.85 * size), (x - 0.16 * size, y, z + 0.27 * size), cover, 10, 6)
        )
    if build.head == "long hair":
        parts.append(_ball((0.35 * size, 0.68 * size, 0.95 * size), (x - 0.5 * size, y, z - 0.35 * size), cover, 8, 5))
    if build.head == "cap":
        peak = cloth(build.top)
        parts.append(_ball((0.84 * size, 0.74 * size, 0.6 * size), (x - 0.1 * size, y, z + 0.5 * size), peak, 10, 5))
        parts.append(box((0.6 * size, 1.0 * size, 0.08 * size), (x + 0.85 * size, y, z + 0.42 * size), peak))
    return parts


def _shoe(build: Build, ankle: np.ndarray, pitch: float) -> Part:
    """A shoe whose sole is level at pitch 0, turned about the ankle."""
    h = build.height
    sole, heel, toe = -build.ankle, -0.045 * h, 0.105 * h
    rows = [(heel, 0.022, 0.05), (0.0, 0.026, 0.055), (0.06 * h, 0.03, 0.035), (toe, 0.018, 0.015)]
    rings = [
        np.array([(x, w * h, sole), (x, 0.8 * w * h, sole + t * h), (x, -0.8 * w * h, sole + t * h), (x, -w * h, sole)])
        for x, w, t in rows
    ]
    return moved(loft(rings, cloth(build.shoes)), turned(pitch=pitch), _triple(ankle))


def _skirt(build: Build, pose: Pose, hips: np.ndarray) -> Part:
    """A cone of cloth that the stride widens."""
    h, g = build.height, build.girth
    hem = 0.27 * h if build.garment == "skirt" else 0.2 * h
    stride = abs(pose.ankles[0][0] - pose.ankles[1][0])
    long, wide = 0.085 * h + 0.27 * stride, 0.1 * h
    waist = 0.1 * h if build.garment == "coat" else 0.06 * h
    rows = [
        (hem, long, wide),
        (0.6 * hips[2], 0.5 * (long + 0.07 * h), wide),
        (hips[2], 0.075 * h, 0.098 * h),
        (hips[2] + waist, 0.062 * h, 0.088 * h),
    ]
    material = cloth(build.top if build.garment == "coat" else build.trousers)
    x = float(hips[0])
    rings = [_ellipse(np.array([x, hips[1], z]), np.array([a * g, 0, 0]), np.array([0, b * g, 0])) for z, a, b in rows]
    return loft(rings, material, True)


def _points(*points: np.ndarray) -> list[Triple]:
    return [_triple(p) for p in points]


def _triple(point: np.ndarray) -> Triple:
    x, y, z = (float(value) for value in point)
    return x, y, z


def umbrella(hand: Triple, top: float, colour: Colour) -> list[Part]:
    """An open umbrella over a hand."""
    x, y, z = hand
    canopy = lathe([(0.0, -0.02), (0.5, -0.22), (0.52, -0.21), (0.3, -0.06), (0.0, 0.0)], cloth(colour), 10, False)
    return [
        moved(canopy, turned(), (x, y, top)),
        tube([(x, y, z - 0.12), (x, y, top)], 0.012, cloth((0.05, 0.05, 0.05)), 5),
    ]
