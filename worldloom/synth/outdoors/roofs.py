"""Roofs of rectangular buildings, with dormers, chimneys, gutters and what gathers on flat ones."""

import math
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly, frame_at, within
from worldloom.synth.outdoors.building_styles import Style
from worldloom.synth.outdoors.facades import bays, pierce, windows
from worldloom.synth.shapes import cylinder
from worldloom.synth.world import Material

_THICK = 0.16


def roof(
    assembly: Assembly,
    style: Style,
    random: Random,
    size: tuple[float, float],
    height: float | int,
    full: bool = True,
    party_walls: bool = False,
) -> None:
    """A roof in the style's manner over the rectangle `size` (x, y) about the origin, whose eaves are at `height`."""
    frame = assembly.frame
    eave = 0.0 if party_walls else 0.35
    match style.roof:
        case "flat":
            _flat(assembly, style, random, size, height, full)
        case "gable":
            _gable(assembly, style, size, height, eave)
            _on_slopes(assembly, style, random, size, height, full)
        case "front_gable":
            assembly.frame = within(frame, frame_at((0, 0, 0), math.pi / 2))
            _gable(assembly, style, (size[1], size[0]), height, 0.3)
            _on_slopes(assembly, style, random, (size[1], size[0]), height, full, dormers=False)
        case "hip":
            _hip(assembly, style, size, height)
            _on_slopes(assembly, style, random, size, height, full, dormers=False)
        case "mansard":
            _mansard(assembly, style, random, size, height, full, party_walls)
        case other:
            raise ValueError(f"unknown roof {other!r}")
    assembly.frame = frame


def sheet(
    assembly: Assembly, material: Material, corners: np.ndarray, under: Material, thick: float | int = _THICK
) -> None:
    """A sloping sheet (k corners, counter-clockwise from above, in one plane): top, soffit and edges."""
    low = corners - np.array([0, 0, thick])
    fan = np.array([[0, k, k + 1] for k in range(1, len(corners) - 1)])
    assembly.triangles(material, corners, fan)
    assembly.triangles(under, low, fan[:, ::-1])
    after = np.roll(np.arange(len(corners)), -1)
    assembly.quads(under, np.stack([low, low[after], corners[after], corners], 1))


def _gable(
    assembly: Assembly, style: Style, size: tuple[float, float], height: float | int, overhang: float | int
) -> None:
    """Ridge along y."""
    x, y = size[0] / 2, size[1] / 2
    top = height + style.pitch * x
    for sign in (1, -1):
        ex, ey = sign * (x + 0.4), y + overhang
        low = height - 0.4 * style.pitch + _THICK
        corners = np.array([[ex, -ey, low], [ex, ey, low], [0, ey, top + _THICK], [0, -ey, top + _THICK]])
        sheet(assembly, style.roof_cover, corners if sign > 0 else corners[::-1], style.trim)
        gable = np.array([[x, sign * y, height], [0, sign * y, top], [-x, sign * y, height]])
        assembly.triangles(style.wall, gable, [[0, 1, 2] if sign > 0 else [0, 2, 1]])
        gutter = sorted((ex, ex + sign * 0.11))
        assembly.boxes(style.iron, (gutter[0], -ey, low - 0.14), (gutter[1], ey, low - 0.03))
    ridge = [(-0.12, -y - overhang, top + _THICK - 0.08), (0.12, y + overhang, top + _THICK + 0.05)]
    assembly.boxes(style.roof_cover, *ridge)


def _hip(assembly: Assembly, style: Style, size: tuple[float, float], height: float | int) -> None:
    x, y = size[0] / 2 + 0.45, size[1] / 2 + 0.45
    run = min(x, y)
    top, low = height + style.pitch * (run - 0.45), height - 0.45 * style.pitch
    rx, ry = x - run, y - run
    base = np.array([[x, -y, low], [x, y, low], [-x, y, low], [-x, -y, low]])
    ridge = np.array([[rx, -ry, top], [rx, ry, top], [-rx, ry, top], [-rx, -ry, top]])
    lift = np.array([0, 0, _THICK])
    for k in range(4):
        after = (k + 1) % 4
        corners = [base[k], base[after], ridge[after]]
        if np.linalg.norm(ridge[after] - ridge[k]) > 1e-6:
            corners.append(ridge[k])
        sheet(assembly, style.roof_cover, np.array(corners) + lift, style.trim)
    for sign in (1, -1):
        edge = sorted((sign * x, sign * (x + 0.11)))
        assembly.boxes(style.iron, (edge[0], -y, low), (edge[1], y, low + 0.11))


def _mansard(
    assembly: Assembly,
    style: Style,
    random: Random,
    size: tuple[float, float],
    height: float | int,
    full: bool,
    party_walls: bool,
) -> None:
    """A steep slope with dormers below a flat one; party walls stand up at the sides."""
    x, y, tall, run = size[0] / 2, size[1] / 2, 2.6, min(0.9, 0.2 * min(size))
    side = 0.0 if party_walls else run
    low = np.array([[x, -y], [x, y], [-x, y], [-x, -y]])
    mid = np.array([[x - run, -y + side], [x - run, y - side], [-x + run, y - side], [-x + run, -y + side]])
    crest = 0.22 * (x - run)
    z0, z1 = np.full((4, 1), height), np.full((4, 1), height + tall)
    base, knee = np.concatenate([low, z0], 1), np.concatenate([mid, z1], 1)
    for k in range(4):
        after = (k + 1) % 4
        cover = style.wall if party_walls and k % 2 else style.roof_cover
        assembly.quads(cover, [[base[k], base[after], knee[after], knee[k]]])
    ridge = np.array([[0, -y + side, height + tall + crest], [0, y - side, height + tall + crest]])
    assembly.quads(style.roof_cover, [[knee[0], knee[1], ridge[1], ridge[0]], [knee[2], knee[3], ridge[0], ridge[1]]])
    assembly.triangles(style.wall, [knee[1], knee[2], ridge[1], knee[3], knee[0], ridge[0]], [[0, 1, 2], [3, 4, 5]])
    assembly.boxes(style.iron, (x - 0.02, -y, height), (x + 0.12, y, height + 0.12))
    if full:
        frame = assembly.frame
        for yaw in (0.0, math.pi):
            assembly.frame = within(frame, frame_at((0, 0, 0), yaw))
            for u0, u1 in bays(-y + 0.4, y - 0.4, style.bay).tolist():
                _dormer(assembly, style, random, (u0 + u1) / 2, x - 0.15, height + 0.35, 1.75, x - run - 0.4)
        assembly.frame = frame
        _chimneys(assembly, style, random, size, height + tall, crest)


def _dormer(
    assembly: Assembly,
    style: Style,
    random: Random,
    u: float | int,
    front: float | int,
    low: float | int,
    tall: float | int,
    back: float | int,
) -> None:
    """A window in the roof that looks towards +x, with cheeks and a small gable."""
    half = 0.62
    frame = assembly.frame
    assembly.frame = within(frame, frame_at((front, u - half, 0.0)))
    panel = np.array([[0.0, 2 * half, low, low + tall]])
    hole = np.array([[0.16, 2 * half - 0.16, low + 0.2, low + tall - 0.12]])
    pierce(assembly, style.trim, panel, hole, style.reveal)
    windows(assembly, style, random, hole)
    assembly.frame = frame
    x0, x1, top = back, front, low + tall
    left, right = u - half, u + half
    assembly.quads(
        style.roof_cover,
        [
            [(x0, left, low), (x1, left, low), (x1, left, top), (x0, left, top)],
            [(x1, right, low), (x0, right, low), (x0, right, top), (x1, right, top)],
        ],
    )
    peak, out = top + 0.42, x1 + 0.15
    for sign in (1, -1):
        edge = u + sign * (half + 0.12)
        corners = np.array([[out, edge, top], [x0 - 0.3, edge, top], [x0 - 0.3, u, peak], [out, u, peak]])
        sheet(assembly, style.roof_cover, corners if sign > 0 else corners[::-1], style.trim, 0.06)
    assembly.triangles(style.trim, [(x1, left, top), (x1, right, top), (x1, u, peak - 0.05)], [[0, 1, 2]])


def _on_slopes(
    assembly: Assembly,
    style: Style,
    random: Random,
    size: tuple[float, float],
    height: float | int,
    full: bool,
    dormers: bool = True,
) -> None:
    if not full:
        return
    x, y = size[0] / 2, size[1] / 2
    run = style.pitch * x
    if dormers and run > 2.6 and random.random() < 0.6:
        frame = assembly.frame
        for yaw in (0.0, math.pi):
            assembly.frame = within(frame, frame_at((0, 0, 0), yaw))
            for u0, u1 in bays(-y + 1.0, y - 1.0, 1.5 * style.bay).tolist():
                _dormer(
                    assembly,
                    style,
                    random,
                    (u0 + u1) / 2,
                    0.78 * x,
                    height + 0.24 * run,
                    1.45,
                    0.78 * x - 1.6 / style.pitch,
                )
        assembly.frame = frame
    _chimneys(assembly, style, random, size, height, run)


def _chimneys(
    assembly: Assembly, style: Style, random: Random, size: tuple[float, float], height: float | int, crest: float | int
) -> None:
    for _ in range(random.choice((0, 1, 1, 2))):
        at = random.uniform(-0.4, 0.4) * size[1]
        off = random.uniform(-0.15, 0.15) * size[0]
        wide, top = random.choice((0.6, 0.9, 1.6)), height + crest + random.uniform(0.5, 1.1)
        assembly.boxes(style.wall, (off - 0.3, at - wide / 2, height + 0.3 * crest), (off + 0.3, at + wide / 2, top))
        assembly.boxes(
            style.trim, (off - 0.36, at - wide / 2 - 0.06, top), (off + 0.36, at + wide / 2 + 0.06, top + 0.1)
        )
        for k in range(max(1, round(wide / 0.45))):
            pot = (off, at - wide / 2 + 0.3 + 0.42 * k, top + 0.1)
            assembly.part(cylinder(0.12, 0.4, pot, style.roof_cover, sides=8, top=0.09))


def _flat(
    assembly: Assembly, style: Style, random: Random, size: tuple[float, float], height: float | int, full: bool
) -> None:
    x, y, rail = size[0] / 2, size[1] / 2, random.choice((0.45, 0.7, 1.0))
    t = 0.25
    assembly.quads(style.roof_cover, [[(x, -y, height), (x, y, height), (-x, y, height), (-x, -y, height)]])
    low = [
        (-x, -y, height - 0.01),
        (-x, y - t, height - 0.01),
        (-x, -y + t, height - 0.01),
        (x - t, -y + t, height - 0.01),
    ]
    high = [
        (x, -y + t, height + rail),
        (x, y, height + rail),
        (-x + t, y - t, height + rail),
        (x, y - t, height + rail),
    ]
    assembly.boxes(style.wall, low, high)
    cap = np.array([0, 0, 0.08])
    assembly.boxes(
        style.trim,
        np.array(low) * [1, 1, 0] + [-0.05, -0.05, height + rail],
        np.array(high) + np.array([0.05, 0.05, 0]) + cap,
    )
    if not full:
        return
    if min(size) > 7:
        ax, ay = random.uniform(-0.2, 0.2) * size[0], random.uniform(-0.25, 0.25) * size[1]
        assembly.boxes(style.base, (ax - 1.5, ay - 1.8, height), (ax + 1.5, ay + 1.8, height + 2.6))
        assembly.boxes(style.trim, (ax - 1.7, ay - 2.0, height + 2.6), (ax + 1.7, ay + 2.0, height + 2.75))
    for _ in range(random.randrange(5)):
        ax, ay = random.uniform(-0.35, 0.35) * size[0], random.uniform(-0.4, 0.4) * size[1]
        assembly.boxes(style.frame, (ax - 0.5, ay - 0.4, height + 0.15), (ax + 0.5, ay + 0.4, height + 1.0))
    if random.random() < 0.25 and min(size) > 8:
        spot = (-0.3 * size[0], 0.3 * size[1], height + 1.6)
        for dx in (-0.8, 0.8):
            for dy in (-0.8, 0.8):
                assembly.boxes(
                    style.iron,
                    (spot[0] + dx - 0.06, spot[1] + dy - 0.06, height),
                    (spot[0] + dx + 0.06, spot[1] + dy + 0.06, spot[2]),
                )
        assembly.part(cylinder(1.3, 2.2, spot, style.door, sides=14))
        assembly.part(cylinder(1.4, 0.8, (spot[0], spot[1], spot[2] + 2.2), style.roof_cover, sides=14, top=0))
