"""Fronts of buildings with real depth: walls with holes, what fills the holes, and what sticks out.

A front is built in its own frame: `out` (away from the wall), u (to the right, seen from outside) and z. The wall's
face lies at out = 0; openings go inwards.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly
from worldloom.synth.outdoors.building_styles import Style
from worldloom.synth.outdoors.facade_textures import lettering, stripes
from worldloom.synth.textures import srgb
from worldloom.synth.world import Material

_SEGMENTS = 10  # of an arch

Numbers = float | int | list[float] | np.ndarray  # one number or one for each quad


def bays(start: float | int, end: float | int, wide: float | int) -> np.ndarray:
    """Edges (n, 2) of bays of about `wide` that fill a stretch; none where it is too short for half a bay."""
    count = round((end - start) / wide)
    if count < 1:
        return np.zeros((0, 2))
    edges = np.linspace(start, end, count + 1)
    return np.stack([edges[:-1], edges[1:]], -1)


def rectangles(u0: Numbers, u1: Numbers, z0: Numbers, z1: Numbers, out: float | int = 0.0) -> np.ndarray:
    """Quads (n, 4, 3) that face outwards."""
    u0, u1, z0, z1 = (np.asarray(a, dtype=float) for a in np.broadcast_arrays(u0, u1, z0, z1))
    face = np.full_like(u0, out)
    return np.stack([np.stack([face, u, z], -1) for u, z in ((u0, z0), (u1, z0), (u1, z1), (u0, z1))], axis=-2).reshape(
        -1, 4, 3
    )


def pierce(
    assembly: Assembly,
    wall: Material,
    panels: np.ndarray,
    holes: np.ndarray,
    depth: float | int,
    rise: float | int = 0.0,
    reveal: Material | None = None,
) -> None:
    """Panels of wall (n, 4) = (u0, u1, z0, z1), each with one hole (n, 4) = (left, right, sill, spring) in it.

    Above the spring line the hole is an arch of height `rise`. The reveals go `depth` inwards; the hole stays open.
    """
    (u0, u1, z0, z1), (a, b, c, d) = panels.T, holes.T
    pieces = [rectangles(u0, u1, z0, c), rectangles(u0, a, c, d), rectangles(b, u1, c, d)]
    x, y = _arch(holes, rise)
    if rise > 0:
        top = np.broadcast_to(z1[:, None], x[:, 1:].shape)
        strips = [(x[:, :-1], y[:, :-1]), (x[:, 1:], y[:, 1:]), (x[:, 1:], top), (x[:, :-1], top)]
        over = np.stack([np.stack([np.zeros_like(u), u, z], -1) for u, z in strips], -2)
        pieces += [rectangles(u0, a, d, z1), rectangles(b, u1, d, z1), over.reshape(-1, 4, 3)]
    else:
        pieces.append(rectangles(u0, u1, d, z1))
    assembly.quads(wall, np.concatenate(pieces))
    # Counter-clockwise about the hole, seen from outside: the reveals face into the hole.
    outline_u = np.concatenate([a[:, None], b[:, None], x[:, ::-1]], axis=1)
    outline_z = np.concatenate([c[:, None], c[:, None], y[:, ::-1]], axis=1)
    near = np.stack([np.zeros_like(outline_u), outline_u, outline_z], -1)
    far = near - np.array([depth, 0, 0])
    after = np.roll(np.arange(near.shape[1]), -1)
    assembly.quads(reveal or wall, np.stack([near, near[:, after], far[:, after], far], -2))


def fill(assembly: Assembly, material: Material, holes: np.ndarray, out: float | int, rise: float | int = 0.0) -> None:
    """A flat sheet in each hole."""
    a, b, c, d = holes.T
    assembly.quads(material, rectangles(a, b, c, d, out))
    if rise > 0:
        x, y = _arch(holes, rise)
        low = np.broadcast_to(d[:, None], x[:, 1:].shape)
        corners = [(x[:, :-1], low), (x[:, 1:], low), (x[:, 1:], y[:, 1:]), (x[:, :-1], y[:, :-1])]
        assembly.quads(material, np.stack([np.stack([np.full_like(u, out), u, z], -1) for u, z in corners], -2))


def windows(
    assembly: Assembly,
    style: Style,
    random: Random,
    holes: np.ndarray,
    rise: float | int = 0.0,
    bars: tuple[int, int] | None = None,
) -> None:
    """Panes of several looks in their frames, behind the reveals that `pierce` left."""
    inside = -style.reveal
    look = np.array([random.choices(range(len(style.panes)), (5, 3, 2, 4))[0] for _ in range(len(holes))])
    for k, pane in enumerate(style.panes):
        if (look == k).any():
            fill(assembly, pane, holes[look == k], inside, rise)
    a, b, c, d = (column[:, None] for column in holes.T)
    t, near = style.bar, inside + 0.07
    columns, rows = bars or style.bars
    low, high = [], []

    def bar(u0: np.ndarray, u1: np.ndarray, z0: np.ndarray, z1: np.ndarray, face: float | int = near) -> None:
        low.append(np.concatenate([np.full_like(u0, inside), u0, z0], 1))
        high.append(np.concatenate([np.full_like(u0, face), u1, z1], 1))

    bar(a, a + t, c, d)
    bar(b - t, b, c, d)
    bar(a, b, c, c + t)
    if rise == 0:
        bar(a, b, d - t, d)
    for k in range(1, columns):
        at = a + (b - a) * k / columns
        crown = rise * math.sqrt(max(0.0, 1 - (2 * k / columns - 1) ** 2))
        bar(at - t / 2, at + t / 2, c, d + crown * 0.98, near - 0.01)
    for k in range(1, rows + (rise > 0)):
        at = c + (d - c) * k / rows
        bar(a, b, at - t / 2, at + t / 2, near - 0.015)
    assembly.boxes(style.frame, np.concatenate(low), np.concatenate(high))


def dress_windows(assembly: Assembly, style: Style, random: Random, holes: np.ndarray, rise: float | int = 0.0) -> None:
    """Sills, surrounds or lintels, and shutters: what windows wear on the outside."""
    a, b, c, d = (column[:, None] for column in holes.T)

    def boxes(
        material: Material, out: float | int, u0: np.ndarray, u1: np.ndarray, z0: np.ndarray, z1: np.ndarray
    ) -> None:
        back = np.full_like(u0, -0.02)
        assembly.boxes(material, np.concatenate([back, u0, z0], 1), np.concatenate([np.full_like(u0, out), u1, z1], 1))

    boxes(style.trim, 0.1, a - 0.08, b + 0.08, c - 0.09, c)
    if style.surround > 0:
        s = style.surround
        boxes(style.trim, 0.045, a - s, a, c, d)
        boxes(style.trim, 0.045, b, b + s, c, d)
        if rise == 0:
            boxes(style.trim, 0.06, a - s, b + s, d, d + 1.4 * s)
            if style.hood:
                boxes(style.trim, 0.18, a - 1.6 * s, b + 1.6 * s, d + 1.4 * s, d + 1.4 * s + 0.1)
    if style.shutters is not None:
        kept = np.array([random.random() < 0.85 for _ in range(len(holes))])
        a, b, c, d = a[kept], b[kept], c[kept], d[kept]
        leaf = 0.5 * (b - a)
        for u0, u1 in ((a - leaf - 0.02, a - 0.02), (b + 0.02, b + leaf + 0.02)):
            boxes(style.shutters, 0.05, u0, u1, c + 0.02, d - 0.01)


def balconies(assembly: Assembly, style: Style, random: Random, holes: np.ndarray, reach: float | int = 1.05) -> None:
    """A slab with a railing before each hole, whose sill is the balcony's floor."""
    solid = random.random() < style.solid_balconies
    for a, b, c, _ in holes:
        u0, u1, top = a - 0.35, b + 0.35, c + 1.0
        assembly.boxes(style.trim, (-0.02, u0, c - 0.16), (reach, u1, c))
        if solid:
            wall = style.shutters or style.base
            assembly.boxes(wall, (reach - 0.06, u0, c), (reach, u1, top))
            for u in (u0, u1 - 0.06):
                assembly.boxes(wall, (0.0, u, c), (reach - 0.06, u + 0.06, top))
            continue
        assembly.boxes(style.iron, (reach - 0.05, u0, top - 0.04), (reach, u1, top))
        posts = np.linspace(u0, u1 - 0.02, max(3, round((u1 - u0) / 0.13)))[:, None]
        ones = np.ones_like(posts)
        assembly.boxes(
            style.iron,
            np.concatenate([(reach - 0.035) * ones, posts, c * ones], 1),
            np.concatenate([(reach - 0.015) * ones, posts + 0.02, (top - 0.04) * ones], 1),
        )
        for u in (u0, u1 - 0.03):
            assembly.boxes(style.iron, (0.0, u, top - 0.04), (reach, u + 0.03, top))
            across = np.linspace(0.1, reach - 0.15, 6)[:, None]
            same = np.ones_like(across)
            assembly.boxes(
                style.iron,
                np.concatenate([across, u * same, c * same], 1),
                np.concatenate([across + 0.02, (u + 0.02) * same, (top - 0.04) * same], 1),
            )


def door(assembly: Assembly, style: Style, random: Random, hole: Sequence[float], rise: float | int = 0.0) -> None:
    """A panelled door in a hole, with a fanlight under an arch, a handle and a step."""
    a, b, c, d = hole
    inside = -style.reveal
    fill(assembly, style.panes[0], np.array([hole]), inside, rise)
    top = d if rise > 0 else d - 0.35 * (d > 2.4)
    leaf = style.door
    assembly.boxes(leaf, (inside, a, c), (inside + 0.05, b, top))
    assembly.boxes(style.frame, (inside, a, top - 0.03), (inside + 0.09, b, top + 0.05))
    leaves = 2 if b - a > 1.5 else 1
    for k in range(leaves):
        u0, u1 = a + (b - a) * k / leaves, a + (b - a) * (k + 1) / leaves
        for z0, z1 in ((c + 0.15, c + 0.85), (c + 1.05, top - 0.18)):
            assembly.boxes(leaf, (inside + 0.05, u0 + 0.14, z0), (inside + 0.075, u1 - 0.14, z1))
        handle = u1 - 0.1 if k == 0 else u0 + 0.1
        assembly.boxes(
            style.brass, (inside + 0.05, handle - 0.015, c + 0.95), (inside + 0.12, handle + 0.015, c + 1.08)
        )
    assembly.boxes(style.trim, (-style.reveal, a - 0.1, c - 0.4), (0.32, b + 0.1, c + 0.02))
    if random.random() < 0.4 and rise == 0:
        assembly.boxes(style.trim, (-0.02, a - 0.35, d + 0.1), (0.8, b + 0.35, d + 0.22))


def shopfront(assembly: Assembly, style: Style, random: Random, panel: Sequence[float], seed: int) -> None:
    """Display windows on a stall riser, a recessed glass door, a sign above, and perhaps an awning."""
    u0, u1, z0, z1 = panel
    sign_low, sign_high = z1 - 0.95, z1 - 0.3
    way = 1.15
    left_door = random.random() < 0.5
    door_at = u0 + 0.3 if left_door else u1 - 0.3 - way
    display = (door_at + way + 0.1, u1 - 0.3) if left_door else (u0 + 0.3, door_at - 0.1)
    split = door_at + way + 0.05 if left_door else door_at - 0.05
    door_panel = (u0, split) if left_door else (split, u1)
    show_panel = (split, u1) if left_door else (u0, split)
    accent = style.shop_colours[random.randrange(len(style.shop_colours))]
    pierce(
        assembly,
        accent,
        np.array([[*show_panel, z0, z1]]),
        np.array([[*display, 0.5, sign_low - 0.1]]),
        style.reveal,
        reveal=style.frame,
    )
    windows(
        assembly,
        style,
        random,
        np.array([[*display, 0.5, sign_low - 0.1]]),
        bars=(max(1, round((display[1] - display[0]) / 1.5)), 1),
    )
    doorway = np.array([[door_at, door_at + way, 0.0, sign_low - 0.1]])
    pierce(assembly, accent, np.array([[*door_panel, z0, z1]]), doorway, 0.75, reveal=style.frame)
    assembly.quads(style.panes[0], rectangles(*doorway.T, out=-0.75))
    for u in (door_at, door_at + way - 0.07):
        assembly.boxes(style.frame, (-0.75, u, 0.0), (-0.69, u + 0.07, sign_low - 0.1))
    assembly.boxes(style.frame, (-0.75, door_at, 2.1), (-0.69, door_at + way, 2.18))
    assembly.boxes(style.brass, (-0.75, door_at + 0.15, 0.8), (-0.66, door_at + 0.19, 1.4))
    assembly.boxes(style.trim, (-0.75, door_at, -0.3), (0.0, door_at + way, 0.02))
    ground, ink = random.choice(_SIGNS)
    board = lettering(seed, srgb(ground), srgb(ink), sign_high - sign_low, (sign_low + sign_high) / 2)
    assembly.boxes(board, (0.0, u0 + 0.15, sign_low), (0.14, u1 - 0.15, sign_high))
    assembly.boxes(style.trim, (0.0, u0 + 0.05, sign_high), (0.26, u1 - 0.05, sign_high + 0.1))
    if random.random() < 0.55:
        cloth = stripes(
            seed, srgb(random.choice(_CLOTHS)), srgb(random.choice(("#f2ede0", "#e8e2d0", "#d8cfb8"))), 0.28
        )
        awning(assembly, cloth, style.iron, u0 + 0.2, u1 - 0.2, sign_low - 0.02, random.uniform(1.0, 1.5))


def awning(
    assembly: Assembly,
    cloth: Material,
    iron: Material,
    u0: float | int,
    u1: float | int,
    top: float | int,
    reach: float | int,
) -> None:
    """A sloping cloth with a valance, seen from both sides, on two arms."""
    drop = 0.42 * reach
    line = [(0.02, top), (reach, top - drop), (reach + 0.01, top - drop - 0.2)]
    for (x0, z0), (x1, z1) in pairwise(line):
        upper = np.array([[x1, u0, z1], [x1, u1, z1], [x0, u1, z0], [x0, u0, z0]])
        assembly.quads(cloth, upper)
        assembly.quads(cloth, upper[::-1] - np.array([0, 0, 0.012]))
    for u in (u0 + 0.05, u1 - 0.08):
        assembly.boxes(iron, (0.0, u, top - drop - 0.05), (reach, u + 0.03, top - drop - 0.02))


def cornice(assembly: Assembly, material: Material, width: float | int, z: float | int, size: float | int) -> None:
    """A moulding in three steps whose top is at z, with brackets below a large one."""
    for reach, low, high in ((0.35, 1.0, 0.7), (0.65, 0.7, 0.4), (1.0, 0.4, 0.0)):
        assembly.boxes(material, (-0.02, -0.02, z - size * low), (size * reach, width + 0.02, z - size * high))
    if size > 0.4:
        at = np.arange(0.3, width - 0.2, 0.65)[:, None]
        ones = np.ones_like(at)
        assembly.boxes(
            material,
            np.concatenate([0 * ones, at, (z - size * 1.5) * ones], 1),
            np.concatenate([size * 0.6 * ones, at + 0.16, (z - size * 0.9) * ones], 1),
        )


def downpipe(assembly: Assembly, material: Material, u: float | int, z0: float | int, z1: float | int) -> None:
    """A rain pipe with its clamps."""
    assembly.boxes(material, (0.02, u - 0.045, z0), (0.11, u + 0.045, z1))
    clamps = np.arange(z0 + 1.2, z1, 2.4)[:, None]
    ones = np.ones_like(clamps)
    assembly.boxes(
        material,
        np.concatenate([0 * ones, (u - 0.065) * ones, clamps], 1),
        np.concatenate([0.125 * ones, (u + 0.065) * ones, clamps + 0.05], 1),
    )


def _arch(holes: np.ndarray, rise: float | int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, k) of the upper edge of each hole, from left to right."""
    a, b, _, d = (column[:, None] for column in holes.T)
    if rise == 0:
        return np.concatenate([a, b], 1), np.concatenate([d, d], 1)
    angle = np.linspace(0, math.pi, _SEGMENTS + 1)[None]
    return (a + b) / 2 - (b - a) / 2 * np.cos(angle), d + rise * np.sin(angle)


_SIGNS = (
    ("#1f3a2e", "#e8d9a8"),
    ("#7a1f22", "#f2e6cf"),
    ("#f0ead8", "#2b2b2b"),
    ("#22314f", "#dfe7ef"),
    ("#d8a23a", "#33261a"),
    ("#3b3b3b", "#e2b23c"),
    ("#e6e1d6", "#a2352b"),
)
_CLOTHS = ("#a63a2e", "#2f5d4a", "#27476b", "#c98f2f", "#6d2e3d", "#4d4d4d", "#3f7a86")
