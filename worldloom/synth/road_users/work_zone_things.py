"""Traffic cones, barriers and boards: what closes a lane. Barriers are thin along x and wide along y (nuScenes)."""

import numpy as np

from worldloom.synth.road_users.coachwork import STEEL, TRIM, chamfered, end_quad, loft, pane, reflector
from worldloom.synth.road_users.figure import BAND
from worldloom.synth.shapes import Number, box, lathe, moved, slab, turned
from worldloom.synth.world import Material, Part

ORANGE = Material("cone", (0.8, 0.2, 0.02), roughness=0.6)
RUBBER = Material("rubber foot", (0.04, 0.04, 0.04), roughness=0.9)
RED = reflector("red", (0.65, 0.03, 0.03), 0.4)
WHITE = reflector("white", (0.82, 0.82, 0.8), 0.4)
CONCRETE = Material("concrete", (0.5, 0.49, 0.46), roughness=0.95)
WARNING_LAMP = Material("warning lamp", (0.9, 0.55, 0.03), roughness=0.2, emission=(0.6, 0.3, 0.0))

NUM_CONES, NUM_BARRIERS = 3, 6


def traffic_cone(variant: int) -> list[Part]:
    """0: a tall cone with two bands, 1: a slim post on a heavy foot, 2: a small cone."""
    if variant == 1:
        foot = chamfered((-0.21, -0.21, 0), (0.21, 0.21, 0.07), 0.02, RUBBER)
        shaft = [(0.0, 0.06, 0.36), (0.36, 0.06, 0.16), (0.52, 0.055, 0.16), (0.68, 0.055, 0.16), (0.84, 0.05, 0.22)]
        sticks = [
            lathe([(0, z), (r, z), (r, z + h), (0, z + h)], ORANGE if i % 2 == 0 else BAND, 10, False)
            for i, (z, r, h) in enumerate(shaft)
        ]
        return [foot, *sticks]
    height, width = (1.0, 0.41) if variant == 0 else (0.72, 0.36)
    foot = chamfered(
        (-width / 2, -width / 2, 0), (width / 2, width / 2, 0.05), 0.015, RUBBER if variant == 0 else ORANGE
    )
    base, tip = 0.4 * width, 0.028

    def band(low: Number, high: Number, material: Material) -> Part:
        r0, r1 = (base + (tip - base) * z for z in (low, high))
        z0, z1 = (0.05 + (height - 0.05) * z for z in (low, high))
        return lathe([(0, z0), (r0, z0), (r1, z1), (0, z1)], material, 14, False)

    cuts = [(0, 0.34, ORANGE), (0.34, 0.52, BAND), (0.52, 0.66, ORANGE), (0.66, 0.8, BAND), (0.8, 1.0, ORANGE)]
    return [foot, *(band(*cut) for cut in cuts)]


def barrier(variant: int) -> list[Part]:
    """0: concrete wall, 1, 2: plastic walls red and white, 3: striped fence, 4: mesh fence, 5: warning board."""
    if variant in (0, 1, 2):
        material = (
            CONCRETE,
            Material("plastic, red", (0.65, 0.05, 0.04), roughness=0.5),
            Material("plastic, white", (0.78, 0.78, 0.76), roughness=0.5),
        )[variant]
        return _jersey(2.5 if variant == 0 else 2.0, material, variant)
    return (_striped_fence, _mesh_fence, _board)[variant - 3]()


def _jersey(width: float, material: Material, variant: int) -> list[Part]:
    """The profile of a New Jersey wall, swept along y."""
    half = [(0.29, 0.0), (0.29, 0.09), (0.16, 0.3), (0.095, 0.86), (0.08, 0.9)]
    profile = [(-x, z) for x, z in half] + [(x, z) for x, z in reversed(half)]
    rings = [np.array([(x, y, z) for x, z in profile]) for y in (-width / 2, width / 2)]
    parts = [loft(rings, material)]
    if variant:
        parts += [slab((-0.13, y - 0.14, 0.86), (0.13, y + 0.14, 0.98), material) for y in (-0.5, 0.5)]
        parts += [box((0.23, 0.3, 0.12), (0, y, 0.62), WHITE if variant == 1 else RED) for y in (-0.55, 0.55)]
    else:
        parts += [box((0.24, 0.1, 0.1), (0, y, 0.78), WHITE) for y in (-0.9, 0.0, 0.9)]
    return parts


def _striped_fence() -> list[Part]:
    """Two boards striped in red and white between feet."""
    parts = [*(chamfered((-0.3, y - 0.1, 0), (0.3, y + 0.1, 0.1), 0.03, RUBBER) for y in (-0.9, 0.9))]
    parts += [slab((-0.025, y - 0.025, 0.05), (0.025, y + 0.025, 1.0), STEEL) for y in (-0.9, 0.9)]
    for low, high in ((0.75, 1.0), (0.22, 0.34)):
        for i in range(8):
            y = -1.0 + 0.25 * i
            parts.append(slab((-0.03, y, low), (0.03, y + 0.25, high), RED if i % 2 else WHITE))
    parts += [lathe([(0, 1.0), (0.07, 1.0), (0.09, 1.1), (0.05, 1.18), (0, 1.18)], WARNING_LAMP, 8)]
    parts[-1] = moved(parts[-1], turned(), (0, -0.9, 0))
    return parts


def _mesh_fence() -> list[Part]:
    """A crowd barrier: bars in a frame on flat feet."""
    parts = [slab((-0.25, y - 0.03, 0), (0.25, y + 0.03, 0.04), STEEL) for y in (-0.95, 0.95)]
    parts += [slab((-0.02, -1.15, z - 0.02), (0.02, 1.15, z + 0.02), STEEL) for z in (0.2, 1.08)]
    parts += [slab((-0.02, y - 0.02, 0.03), (0.02, y + 0.02, 1.1), STEEL) for y in (-1.13, 1.13, -0.95, 0.95)]
    parts += [
        slab((-0.008, y - 0.008, 0.2), (0.008, y + 0.008, 1.08), STEEL) for y in np.linspace(-1.05, 1.05, 17).tolist()
    ]
    return parts


def _board() -> list[Part]:
    """A board on legs with lamps on top; chevrons on both faces point to -y, the left of those who meet its front."""
    parts: list[Part] = [slab((-0.3, y - 0.05, 0), (0.3, y + 0.05, 0.06), RUBBER) for y in (-0.6, 0.6)]
    parts += [slab((-0.03, y - 0.03, 0.05), (0.03, y + 0.03, 0.6), STEEL) for y in (-0.6, 0.6)]
    parts.append(slab((-0.02, -0.75, 0.45), (0.02, 0.75, 1.45), WHITE))
    for front in (True, False):
        face = end_quad(0.02 if front else -0.02, -0.75, 0.75, 0.45, 1.45, front=front)
        for i in range(3):
            u = 0.08 + 0.3 * i
            for low, high in ((0.1, 0.5), (0.9, 0.5)):
                corners = [(u, low), (u + 0.14, low), (u + 0.28, high), (u + 0.14, high)]
                if front:
                    corners = [(1 - a, b) for a, b in corners]
                if (high < low) != front:
                    corners = corners[::-1]
                quad = np.stack(
                    [
                        (1 - b) * ((1 - a) * face[0] + a * face[1]) + b * ((1 - a) * face[3] + a * face[2])
                        for a, b in corners
                    ]
                )
                parts.append(pane(quad, (0, 1), (0, 1), RED, 0.01))
    parts += [box((0.12, 0.16, 0.16), (0, y, 1.53), TRIM) for y in (-0.6, 0.6)]
    parts += [box((0.14, 0.11, 0.11), (0, y, 1.53), WARNING_LAMP) for y in (-0.6, 0.6)]
    return parts
