"""What bathrooms have: bath, shower, basin, toilet, towels and washing machine."""

import math
import random

from worldloom.synth.rooms.finishes import Taste, ceramic, chrome, linen
from worldloom.synth.rooms.furnishings.soft import bent_sheet, cushion, vessel
from worldloom.synth.rooms.furnishings.storage import cabinet
from worldloom.synth.rooms.furnishings.wall_things import mirror
from worldloom.synth.shapes import box, cylinder, ellipsoid, joined, lathe, moved, placed, slab, tube, turned
from worldloom.synth.world import Material, Part, Thing

Group = tuple[Thing, ...]


def _white(dice: random.Random) -> Material:
    return ceramic(dice, "#f2f2ef")


def bath(dice: random.Random, taste: Taste) -> Thing:
    """A bath built in along the wall, or free on feet; its long side lies along y."""
    w, long, h = dice.uniform(0.7, 0.8), dice.uniform(1.5, 1.75), dice.uniform(0.52, 0.6)
    china, steel = _white(dice), chrome(dice)
    if dice.random() < 0.35:
        scaled = vessel([(0.3, 0.02), (0.42, 0.2), (0.48, 0.5), (0.5, h)], 0.03, china, 32)
        stretch = scaled.vertices.clone()
        stretch[:, 0] *= w
        stretch[:, 1] *= long
        tub = Part(stretch, scaled.faces, china, True)
        pipe = tube(
            [(-w / 2 - 0.05, 0, 0), (-w / 2 - 0.05, 0, 0.85), (-w / 2 + 0.12, 0, 0.88), (-w / 2 + 0.14, 0, 0.8)],
            0.014,
            steel,
        )
        return Thing("bath", "plumbing", (tub, pipe))
    t, x, y = 0.07, w / 2, long / 2
    rim = [slab((-x, -y, h - 0.04), (-x + t, y, h), china), slab((x - t, -y, h - 0.04), (x, y, h), china)]
    rim += [
        slab((-x + t, s * y - (t if s > 0 else 0), h - 0.04), (x - t, s * y + (t if s < 0 else 0), h), china)
        for s in (-1, 1)
    ]
    inside = [slab((-x + t, -y + t, 0.14), (x - t, y - t, 0.16), china)]
    inside += [
        slab((s * (x - t) - 0.012, -y + t, 0.16), (s * (x - t) + 0.012, y - t, h - 0.04), china) for s in (-1, 1)
    ]
    inside += [
        slab((-x + t, s * (y - t) - 0.012, 0.16), (x - t, s * (y - t) + 0.012, h - 0.04), china) for s in (-1, 1)
    ]
    apron = [
        slab((x - 0.03, -y, 0), (x - 0.012, y, h - 0.04), china),
        slab((-x, -y, 0), (x - 0.03, -y + 0.018, h - 0.04), china),
        slab((-x, y - 0.018, 0), (x - 0.03, y, h - 0.04), china),
    ]
    tap = tube(
        [(-x + 0.035, 0.0, h), (-x + 0.035, 0.0, h + 0.1), (-x + 0.16, 0.0, h + 0.1), (-x + 0.17, 0.0, h + 0.06)],
        0.016,
        steel,
    )
    return Thing("bath", "plumbing", (joined([*rim, *inside]), joined(apron), tap))


def toilet(dice: random.Random, taste: Taste) -> Thing:
    """A toilet with its cistern at the wall."""
    china = _white(dice)
    bowl = lathe(
        [(0, 0), (0.12, 0), (0.1, 0.12), (0.16, 0.3), (0.19, 0.39), (0.14, 0.39), (0.1, 0.28), (0, 0.24)], china, 24
    )
    v = bowl.vertices.clone()
    v[:, 0] *= 1.3
    seat = lathe([(0.12, 0.4), (0.195, 0.4), (0.195, 0.42), (0.12, 0.42), (0.12, 0.4)], taste.white, 24)
    s = seat.vertices.clone()
    s[:, 0] *= 1.3
    parts = [
        Part(v, bowl.faces, china, True),
        Part(s, seat.faces, taste.white),
        cushion((0.3, 0.2, 0.36), (-0.22, 0, 0.19), china, 0.3),
    ]
    if dice.random() < 0.7:
        parts.append(cushion((0.18, 0.4, 0.36), (-0.3, 0, 0.62), china, 0.16))
        lid = moved(
            cushion((0.025, 0.38, 0.42), (0, 0, 0.21), taste.white, 0.35), turned(pitch=-0.12), (-0.18, 0, 0.43)
        )
        parts.append(lid)
    else:
        parts.append(slab((-0.4, -0.3, 0), (-0.28, 0.3, 1.1), china))
    return Thing("toilet", "plumbing", tuple(parts))


def wash_place(dice: random.Random, taste: Taste) -> Group:
    """A basin on a cabinet or pedestal, with its tap and a mirror above."""
    china, steel, w = _white(dice), chrome(dice), dice.uniform(0.5, 1.1)
    things: list[Thing] = []
    if dice.random() < 0.65:
        unit = cabinet(dice, taste, (0.46, w, 0.78), "wash stand")
        things.append(placed(unit, (0, 0, 0)))
        top = 0.78
        basin = vessel([(0.1, top), (0.17, top + 0.04), (0.2, top + 0.13)], 0.015, china, 28)
        tap_z = top
    else:
        top = 0.85
        foot = lathe([(0, 0), (0.12, 0), (0.08, 0.1), (0.07, 0.6), (0.1, 0.72), (0, 0.72)], china, 20)
        basin = vessel([(0.08, 0.7), (0.2, 0.76), (0.24, top)], 0.02, china, 28)
        shelf = cushion((0.16, 0.5, 0.05), (-0.15, 0, top - 0.02), china, 0.25)
        things.append(Thing("pedestal", "plumbing", (foot, shelf)))
        tap_z = top
    tap = tube(
        [(-0.2, 0, tap_z), (-0.2, 0, tap_z + 0.2), (-0.12, 0, tap_z + 0.24), (-0.07, 0, tap_z + 0.2)], 0.013, steel
    )
    things.append(Thing("basin", "plumbing", (basin, tap)))
    things.append(
        placed(mirror(dice, taste, (dice.uniform(0.45, max(0.5, w)), dice.uniform(0.6, 0.9))), (-0.228, 0, 1.6))
    )
    soap = cylinder(0.03, 0.15, (0, 0, 0), dice.choice((taste.dark, taste.white, taste.metal)), 14)
    if w > 0.75 and len(things[0].parts) > 2 and things[0].name == "wash stand":
        things.append(
            placed(
                Thing(
                    "soap",
                    "clutter",
                    (soap, tube([(0, 0, 0.15), (0, 0, 0.19), (0.04, 0, 0.19)], 0.006, taste.metal, 6)),
                ),
                (-0.05, 0.3, 0.78),
            )
        )
    return tuple(things)


def shower(dice: random.Random, taste: Taste) -> Thing:
    """A tray in a corner with a frame, a rail and a curtain or a half-drawn screen."""
    s, steel = dice.uniform(0.8, 1.0), chrome(dice)
    china = _white(dice)
    h, x = 2.0, s / 2
    parts: list[Part] = [slab((-x, -x, 0), (x, x, 0.06), china), cylinder(0.04, 0.004, (0, 0, 0.06), steel)]
    riser = [
        tube([(-x + 0.03, 0, 0.9), (-x + 0.03, 0, 2.08), (-x + 0.25, 0, 2.12), (-x + 0.27, 0, 2.05)], 0.011, steel)
    ]
    riser += [
        cylinder(0.1, 0.012, (-x + 0.27, 0, 2.03), steel, 24),
        box((0.05, 0.22, 0.04), (-x + 0.03, 0, 1.05), steel),
    ]
    parts.append(joined(riser, True))
    rail = [tube([(x - 0.02, -x, h), (x - 0.02, x, h)], 0.011, steel)]
    rail.append(tube([(-x, x - 0.02, h), (x - 0.02, x - 0.02, h)], 0.011, steel))
    parts.append(joined(rail, True))
    folds = [(x - 0.02 + 0.03 * math.sin(0.9 * k), -x + 0.02 + 0.014 * k * s) for k in range(45)]
    parts.append(bent_sheet(folds, 0.1, h - 0.01, 0.004, linen(dice)))
    return Thing("shower", "plumbing", tuple(parts))


def towel_rail(dice: random.Random, taste: Taste) -> Thing:
    """A heated rail with a towel, to hang."""
    w, h = dice.uniform(0.4, 0.6), dice.uniform(0.7, 1.3)
    metal = chrome(dice) if dice.random() < 0.6 else taste.white
    bars = [cylinder(0.014, h, (0.06, s * w / 2, 0), metal, 10) for s in (-1, 1)]
    n = round(h / 0.07)
    bars += [
        tube([(0.06, -w / 2, 0.04 + (h - 0.08) * k / n), (0.06, w / 2, 0.04 + (h - 0.08) * k / n)], 0.009, metal, 8)
        for k in range(n + 1)
    ]
    bars += [tube([(0.0, s * w / 2, z), (0.06, s * w / 2, z)], 0.01, metal, 6) for s in (-1, 1) for z in (0.1, h - 0.1)]
    towel = cushion((0.05, 0.7 * w, 0.5), (0.075, dice.uniform(-0.05, 0.05), h - 0.27), linen(dice), 0.2)
    return Thing("towel rail", "plumbing", (joined(bars, True), towel))


def washing_machine(dice: random.Random, taste: Taste) -> Thing:
    """A washing machine or drier with its porthole."""
    white = taste.white
    black = Material("glass", (0.015, 0.015, 0.018), None, 0.05)
    ring = [
        (0.302, 0.17 * math.cos(2 * math.pi * k / 28), 0.45 + 0.17 * math.sin(2 * math.pi * k / 28)) for k in range(29)
    ]
    port = moved(ellipsoid((0.15, 0.15, 0.045), (0, 0, 0), black, 24, 10), turned(pitch=math.pi / 2), (0.3, 0, 0.45))
    panel = slab((0.3, -0.28, 0.73), (0.306, 0.28, 0.83), taste.dark)
    return Thing(
        "washing machine",
        "appliance",
        (
            slab((-0.3, -0.3, 0), (0.3, 0.3, 0.85), white),
            tube(ring, 0.02, taste.metal),
            port,
            panel,
            tube([(0.3, 0.15, 0.78), (0.33, 0.15, 0.78)], 0.028, taste.metal, 14),
        ),
    )
