"""Whole buildings: four fronts, a roof and what stands on it."""

import math
from dataclasses import replace
from itertools import pairwise
from random import Random

import numpy as np

from worldloom.synth.outdoors.assembly import Assembly, frame_at, within
from worldloom.synth.outdoors.building_styles import BUILDING_STYLES, Style, building_style
from worldloom.synth.outdoors.facade_textures import windows_from_afar
from worldloom.synth.outdoors.facades import (
    balconies,
    bays,
    cornice,
    door,
    downpipe,
    dress_windows,
    pierce,
    rectangles,
    shopfront,
    windows,
)
from worldloom.synth.outdoors.roofs import roof
from worldloom.synth.world import Material, Thing

__all__ = ["BUILDING_STYLES", "building_height", "dress_front", "make_building"]


def make_building(
    seed: int,
    width: float | int,
    depth: float | int,
    storeys: int,
    style: str,
    detail: str = "full",
    shops: bool = False,
    party_walls: bool = False,
    passage: float | int = 0.0,
    foundation: float | int = 0.5,
) -> Thing:
    """A building with its origin on the ground at the middle of the footprint and its front towards +x.

    The walls keep to the footprint of `depth` along x and `width` along y. Sills, cornices, eaves and balconies reach
    out of it, up to 1.6 m and, but for steps and sills, above 2.2 m.

    Args:
        width, depth: footprint in metres.
        storeys: floors below the roof.
        style: one of BUILDING_STYLES.
        detail: "full" has windows that lie deep in the wall; "coarse" stays below 300 triangles.
        shops: the ground floor of the front is shops.
        party_walls: both sides are blind, as in a closed row.
        passage: width of a way through the middle of the ground floor; 0 for none.
        foundation: how far the walls go below the ground, for slopes.
    Raises:
        ValueError: unknown style or detail, fewer than one storey, or a footprint below 2.5 m.
    """
    if detail not in ("full", "coarse"):
        raise ValueError(f'detail must be "full" or "coarse", got {detail!r}')
    if storeys < 1 or min(width, depth) < 2.5:
        raise ValueError(f"a building needs a storey and 2.5 m each way, got {storeys}, {width} m x {depth} m")
    looks, assembly = building_style(style, seed), Assembly()
    random = Random(f"building {seed}")
    if passage:
        looks = _with_taller_ground(looks)
    size, height = (float(depth), float(width)), building_height(looks, storeys)
    wide = (width, depth, width, depth)
    for side in range(4):
        assembly.frame = _side(side, float(width), float(depth))
        if detail == "coarse":
            wall = windows_from_afar(
                seed, looks.wall.colour, looks.far_glass, looks.bay, looks.storey, 0.88 if looks.curtain_wall else 0.45
            )
            _coarse_side(
                assembly, wall, float(wide[side]), height, float(passage) if side % 2 == 0 else 0.0, foundation
            )
        elif side % 2 and party_walls:
            assembly.quads(looks.wall, rectangles(0.0, wide[side], -float(foundation), height))
        else:
            dress_front(
                assembly,
                looks,
                random,
                float(wide[side]),
                storeys,
                main=side == 0,
                shops=shops and side == 0,
                passage=float(passage) if side % 2 == 0 else 0.0,
                through=float(depth) if side == 0 else 0.0,
                foundation=float(foundation),
            )
    assembly.frame = np.eye(4)[:3]
    roof(assembly, looks, random, size, height, detail == "full", party_walls)
    return Thing(f"building_{style}", "building", assembly.parts())


def building_height(style: Style, storeys: int) -> float:
    """Height of the eaves."""
    return style.ground_storey + (storeys - 1) * style.storey + (0.25 if style.roof != "flat" else 0.0)


def dress_front(
    assembly: Assembly,
    style: Style,
    random: Random,
    width: float | int,
    storeys: int,
    main: bool,
    shops: bool = False,
    passage: float | int = 0.0,
    through: float | int = 0.0,
    foundation: float | int = 0.5,
    ground_floor: bool = True,
    crowned: bool = True,
) -> None:
    """One side of a building in the frame of the moment, with windows in bays; the `main` one also has doors."""
    height = building_height(style, storeys)
    if ground_floor:
        _ground_floor(assembly, style, random, width, main, shops, passage, through, foundation)
    upper = bays(0.0, width, style.bay)
    floors = [style.ground_storey + k * style.storey for k in range(storeys)]
    floors[-1] = height
    plain = not main and random.random() < 0.25
    for k in range(storeys - 1):
        low, high = floors[k], floors[k + 1]
        _storey(assembly, style, random, upper, width, low, high, main, plain)
    if main and style.bands:
        for z in floors[:-1]:
            assembly.boxes(style.trim, (-0.02, 0.0, z - 0.12), (0.09, width, z + 0.06))
    if main and style.timbers and storeys > 1:
        _timbers(assembly, style, upper, width, floors)
    if main and crowned and style.cornice > 0:
        cornice(assembly, style.trim, width, height, style.cornice)
    if main and width > 5:
        downpipe(assembly, style.iron, 0.3, 0.0, height - 0.4)


def _storey(
    assembly: Assembly,
    style: Style,
    random: Random,
    edges: np.ndarray,
    width: float | int,
    low: float | int,
    high: float | int,
    main: bool,
    plain: bool,
) -> None:
    blind = np.array([not main and (plain or random.random() < 0.3) for _ in edges], dtype=bool)
    assembly.quads(style.wall, rectangles(edges[blind, 0], edges[blind, 1], low, high))
    if not len(edges):
        assembly.quads(style.wall, rectangles(0.0, width, low, high))
    edges = edges[~blind]
    if not len(edges):
        return
    with_balcony = np.array([main and random.random() < style.balconies for _ in edges], dtype=bool)
    for chosen, sill in ((~with_balcony, style.sill), (with_balcony, 0.08)):
        if not chosen.any():
            continue
        panels, holes = _holes(style, edges[chosen], low, high, sill)
        pierce(assembly, style.wall, panels, holes, style.reveal, style.arch, style.trim if style.surround else None)
        windows(assembly, style, random, holes, style.arch, None if main else (2, 1))
        if main and not style.curtain_wall:
            dress_windows(assembly, style, random, holes, style.arch)
        if sill < 0.1:
            balconies(assembly, style, random, holes)


def _holes(
    style: Style, edges: np.ndarray, low: float | int, high: float | int, sill: float | int
) -> tuple[np.ndarray, np.ndarray]:
    count = len(edges)
    panels = np.concatenate([edges, np.tile([[low, high]], (count, 1))], 1)
    if style.curtain_wall:
        margins = np.tile([[0.06, -0.06]], (count, 1))
        return panels, np.concatenate([edges + margins, np.tile([[low + 0.5, high - 0.05]], (count, 1))], 1)
    middle = edges.mean(axis=1, keepdims=True)
    wide = np.minimum(style.window[0], 0.8 * np.diff(edges, axis=1))
    top = min(low + style.sill + style.window[1] - style.arch, high - 0.3 - style.arch)
    tall = np.tile([[low + sill, max(top, low + sill + 0.4)]], (count, 1))
    return panels, np.concatenate([middle - wide / 2, middle + wide / 2, tall], 1)


def _ground_floor(
    assembly: Assembly,
    style: Style,
    random: Random,
    width: float | int,
    main: bool,
    shops: bool,
    passage: float | int,
    through: float | int,
    foundation: float | int,
) -> None:
    high = style.ground_storey
    stretches = [(0.0, width)]
    if passage > 0:
        half = passage / 2
        panel = np.array([[width / 2 - half - 0.4, width / 2 + half + 0.4, -foundation, high]])
        rise = min(half, 1.2)
        hole = np.array([[width / 2 - half, width / 2 + half, -foundation, high - 0.35 - rise]])
        pierce(assembly, style.base, panel, hole, through, rise)
        stretches = [(0.0, float(panel[0, 0])), (float(panel[0, 1]), width)]
    for u0, u1 in stretches:
        edges = bays(u0, u1, 4.2 if shops else style.bay)
        if not len(edges):
            assembly.quads(style.base, rectangles(u0, u1, -foundation, high))
            continue
        entrance = random.randrange(len(edges)) if main else -1
        for k, (a, b) in enumerate(edges.tolist()):
            if shops and (k != entrance or len(edges) == 1) and b - a > 2.6:
                shopfront(assembly, style, random, (a, b, -foundation, high), random.randrange(1 << 20))
            elif k == entrance:
                wide = min(random.choice((1.1, 1.3, 1.9)), 0.7 * (b - a))
                hole = [(a + b - wide) / 2, (a + b + wide) / 2, 0.05, min(2.6, high - 0.5)]
                rise = min(wide / 2, high - 0.25 - hole[3]) if style.arch > 0 else 0.0
                panel = np.array([[a, b, -foundation, high]])
                pierce(assembly, style.base, panel, np.array([hole]), style.reveal, rise, style.trim)
                door(assembly, style, random, hole, rise)
            else:
                panels, holes = _holes(style, np.array([[a, b]]), 0.0, high, max(style.sill, 0.7))
                panels[:, 2] = -foundation
                if not main and random.random() < 0.5:
                    assembly.quads(style.base, rectangles(a, b, -foundation, high))
                    continue
                pierce(assembly, style.base, panels, holes, style.reveal, style.arch)
                windows(assembly, style, random, holes, style.arch, None if main else (2, 1))
                if main and not style.curtain_wall:
                    dress_windows(assembly, style, random, holes, style.arch)
    if main and not shops:
        # A plinth, broken where doors and passages are, would cut them: it is low enough to be a kerb.
        for u0, u1 in stretches:
            assembly.boxes(style.trim, (-0.02, u0, -foundation), (0.05, u1, 0.04))


def _timbers(assembly: Assembly, style: Style, edges: np.ndarray, width: float | int, floors: list[float]) -> None:
    """Posts between bays, rails at floors, and braces: half-timbering, 5 cm proud of the plaster."""
    low, high = floors[0], floors[-1]
    for u in [0.0, *edges[1:, 0].tolist(), width - 0.18]:
        assembly.boxes(style.trim, (-0.02, u, low), (0.05, u + 0.18, high))
    for z in floors:
        assembly.boxes(style.trim, (-0.02, 0.0, z - 0.1), (0.06, width, z + 0.1))
    thick = 0.13
    for k, (a, b) in enumerate(edges.tolist()):
        for z0, z1 in pairwise(floors):
            run = 0.22 * (b - a)
            for start, end in ((a, run), (b, -run)) if k % 2 == 0 else ():
                line = np.array([[start, z0 + 0.1], [start + thick, z0 + 0.1], [start + end + thick, z1 - 0.1]])
                corners = [*line.tolist(), [start + end, z1 - 0.1]]
                assembly.quads(style.trim, [[(0.045, u, z) for u, z in corners]])


def _coarse_side(
    assembly: Assembly,
    wall: Material,
    width: float | int,
    height: float | int,
    passage: float | int,
    foundation: float | int,
) -> None:
    low = -float(foundation)
    if passage == 0:
        assembly.quads(wall, rectangles(0.0, width, low, height))
        return
    hole = np.array([[width / 2 - passage / 2, width / 2 + passage / 2, low, 3.4]])
    pierce(assembly, wall, np.array([[0.0, width, low, height]]), hole, 0.5)


def _side(side: int, width: float | int, depth: float | int) -> np.ndarray:
    """Frame of the front, left, back or right wall, whose origin is the wall's lower corner on its left hand."""
    yaw = side * math.pi / 2
    reach, half = ((depth, width), (width, depth))[side % 2]
    return within(frame_at((0.0, 0.0, 0.0), yaw), frame_at((reach / 2, -half / 2, 0.0)))


def _with_taller_ground(style: Style) -> Style:
    return replace(style, ground_storey=max(style.ground_storey, 4.6))
