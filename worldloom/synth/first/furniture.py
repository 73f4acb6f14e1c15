"""What a living room is built and furnished from: the floor's middle at the origin, the window at +x."""

import math
import random

import torch

from worldloom.geometry import compose
from worldloom.synth.first.light import Opening
from worldloom.synth.first.solids import Box, Ellipsoid, Frustum, Material, Solid, Thing, Triple, move, put, turned
from worldloom.synth.first.textures import book, cloth, foliage, painting, plaster, rug, srgb, tiles, wood

SIZE = (6.0, 5.0, 2.8)  # x, y, z of the inside; the floor is z = 0 and the middle of it the world's origin
OPENING = Opening(x=3.0, y=(-1.25, 1.15), z=(0.62, 2.4))
PALETTES = (  # accent wall, sofa, cushions, rug ground, rug figure, rug accent, armchair, door
    ("#56736b", "#c9bda8", "#c8842c", "#e6d9c0", "#a8452f", "#27424f", "#b8652f", "#7f9a94"),
    ("#3f5870", "#cfc6ba", "#b5523b", "#e2d8c8", "#3c5f78", "#8c3b2e", "#c79a3f", "#8fa0ae"),
    ("#a3654c", "#b9b6a6", "#3f6660", "#eadfca", "#7c4a3a", "#2f4d48", "#48685f", "#b98a74"),
)


def furnish(dice: random.Random, seed: int) -> list[Thing]:
    """Everything in the room, the room itself and the garden outside."""
    accent, sofa_colour, cushion, ground, figure, trim, chair_colour, door_colour = PALETTES[seed % len(PALETTES)]
    oak = wood(srgb("#c9a477"), srgb("#8a5d38"), seed)
    table_oak = Material(srgb("#a97c50"), oak, gloss=0.02)
    walnut = Material(srgb("#6d4a33"), wood(srgb("#7d573c"), srgb("#4a2f20"), seed + 1), gloss=0.02)
    white = Material(srgb("#eeeae2"))
    brass = Material(srgb("#b08d4c"), gloss=0.25)
    return [
        *shell(accent, white, seed),
        *outside(dice, seed),
        curtain(-1.55, Material(srgb("#ded3bf"), cloth(srgb("#e6dcca"), srgb("#cfc2ab"), seed))),
        curtain(1.45, Material(srgb("#ded3bf"), cloth(srgb("#e6dcca"), srgb("#cfc2ab"), seed))),
        Thing("curtain rail", (put(Frustum(0.012, 0.012, 3.9), (2.86, -0.05, 2.52), brass, roll=math.pi / 2),)),
        sofa(
            dice,
            Material(srgb(sofa_colour), cloth(srgb(sofa_colour), darker(srgb(sofa_colour), 0.72), seed)),
            cushion,
            trim,
        ),
        Thing(
            "rug",
            (
                put(
                    Box((2.9, 2.0, 0.012)),
                    (0.75, 0.75, 0.006),
                    Material(srgb(ground), rug((2.9, 2.0), srgb(ground), srgb(figure), srgb(trim), seed)),
                ),
            ),
        ),
        *coffee_table(dice, table_oak, walnut),
        armchair(
            Material(srgb(chair_colour), cloth(srgb(chair_colour), darker(srgb(chair_colour), 0.65), seed + 2)), walnut
        ),
        *shelf(dice, walnut),
        *dining(dice, table_oak, walnut, brass),
        floor_lamp(brass),
        plant((2.35, -2.02, 0.0), 1.55, dice, seed),
        plant((2.88, 0.82, 0.62), 0.42, dice, seed),
        *pictures(walnut, seed),
        door(white, Material(srgb(door_colour), gloss=0.03), brass),
        clock((-2.25, -2.49, 1.75), walnut, brass),
        basket((-2.62, -2.15, 0.0), seed),
        sideboard(dice, walnut, brass),
    ]


def darker(colour: Triple, factor: float) -> Triple:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def shell(accent: str, white: Material, seed: int) -> list[Thing]:
    x, y, z, o, wall = SIZE[0] / 2, SIZE[1] / 2, SIZE[2], OPENING, 0.24
    paint = Material(srgb("#ece5d8"), plaster(srgb("#ece5d8"), seed))
    colour = Material(srgb(accent), plaster(srgb(accent), seed + 1))
    floor = Material(srgb("#b48d62"), wood(srgb("#cfa97b"), srgb("#7f5733"), seed, plank=(1.5, 0.16)), gloss=0.035)
    ceiling = Material(srgb("#f3f0ea"), plaster(srgb("#f3f0ea"), seed + 2, 0.03))

    def slab(low: Triple, high: Triple, material: Material) -> Solid:
        size = tuple(b - a for a, b in zip(low, high, strict=True))
        centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
        return put(Box((size[0], size[1], size[2])), (centre[0], centre[1], centre[2]), material)

    outer = x + wall
    window_wall = (
        slab((x, -y, 0), (outer, o.y[0], z), paint),
        slab((x, o.y[1], 0), (outer, y, z), paint),
        slab((x, o.y[0], 0), (outer, o.y[1], o.z[0]), paint),
        slab((x, o.y[0], o.z[1]), (outer, o.y[1], z), paint),
    )
    bar, mid = 0.05, (o.y[0] + o.y[1]) / 2
    bars = [
        slab((x + 0.1, c - bar / 2, o.z[0]), (x + 0.16, c + bar / 2, o.z[1]), white)
        for c in (o.y[0] + bar / 2, mid, o.y[1] - bar / 2)
    ]
    bars += [
        slab((x + 0.1, o.y[0], c - bar / 2), (x + 0.16, o.y[1], c + bar / 2), white)
        for c in (o.z[0] + bar / 2, 1.86, o.z[1] - bar / 2)
    ]
    sill = slab((x - 0.2, o.y[0] - 0.08, o.z[0] - 0.035), (x + 0.1, o.y[1] + 0.08, o.z[0]), white)
    skirts = [
        slab((-x, y - 0.014, 0), (x, y, 0.09), white),
        slab((-x, -y, 0), (x, -y + 0.014, 0.09), white),
        slab((x - 0.014, -y, 0), (x, y, 0.09), white),
        slab((-x, -y, 0), (-x + 0.014, -2.0, 0.09), white),
        slab((-x, -0.95, 0), (-x + 0.014, y, 0.09), white),
    ]
    cove = [slab((-x, s * y - 0.03, z - 0.06), (x, s * y + 0.03, z), white) for s in (-1, 1)]
    cove += [slab((s * x - 0.03, -y, z - 0.06), (s * x + 0.03, y, z), white) for s in (-1, 1)]
    ribs = [slab((2.88, -0.8 + 0.08 * i, 0.12), (2.97, -0.74 + 0.08 * i, 0.52), white) for i in range(20)]
    return [
        Thing("floor", (slab((-x, -y, -0.2), (outer, y, 0), floor),)),
        Thing("ceiling", (slab((-x - wall, -y - wall, z), (outer, y + wall, z + 0.2), ceiling),)),
        Thing("wall", (slab((-x, y, 0), (outer, y + wall, z), colour),)),
        Thing("wall", (slab((-x, -y - wall, 0), (outer, -y, z), paint),)),
        Thing("wall", (slab((-x - wall, -y - wall, 0), (-x, y + wall, z), paint),)),
        Thing("wall", window_wall),
        Thing("window frame", (*bars, sill)),
        Thing("skirting board", tuple(skirts)),
        Thing("coving", tuple(cove)),
        Thing(
            "radiator",
            (
                *ribs,
                slab((2.9, -0.82, 0.15), (2.95, 0.82, 0.2), white),
                slab((2.9, -0.82, 0.45), (2.95, 0.82, 0.5), white),
            ),
        ),
    ]


def outside(dice: random.Random, seed: int) -> list[Thing]:
    """A garden: lawn, hedge, trees, and hills that close the horizon."""
    grass = Material(srgb("#7d9a4e"), foliage(srgb("#93ad5b"), srgb("#688a42"), seed, 0.8))
    leaves = Material(srgb("#56793c"), foliage(srgb("#7c9c4c"), srgb("#4a6b35"), seed, 0.45))
    bark = Material(srgb("#6b5848"))
    lawn = put(Box((120, 160, 0.4)), (63.5, 0, -0.8), grass)
    hedge = tuple(
        put(Ellipsoid((0.9, 1.2, 0.75)), (14 + dice.uniform(-0.4, 0.4), -16 + 1.3 * i, -0.3), leaves) for i in range(25)
    )
    hills = [
        Thing(
            "hill",
            (put(Ellipsoid((30, 55 + 12 * i, 7 + 2.5 * i)), (105 + 8 * i, -70 + 48 * i, -3), Material(srgb(c))),),
        )
        for i, c in enumerate(("#8fa99a", "#86a294", "#97b0a6", "#8ba79b"))
    ]
    trees = []
    for x, y, height in ((17, -6.5, 5.0), (24, 5.5, 7.0), (20, 12, 5.5), (30, -15, 8.0), (11.5, 4.2, 2.4)):
        crown = tuple(
            put(
                Ellipsoid((r := height * dice.uniform(0.17, 0.26), r, r * 0.85)),
                (
                    x + dice.gauss(0, 0.14) * height,
                    y + dice.gauss(0, 0.14) * height,
                    height * dice.uniform(0.52, 0.95) - 0.6,
                ),
                leaves,
            )
            for _ in range(11)
        )
        trunk = put(Frustum(height * 0.035, height * 0.02, height * 0.7), (x, y, height * 0.35 - 0.6), bark)
        trees.append(Thing("tree", (trunk, *crown)))
    return [Thing("lawn", (lawn,)), Thing("hedge", hedge), *trees, *hills]


def curtain(y: float, material: Material) -> Thing:
    """Folds of a curtain: round columns that overlap and lean in and out."""
    folds = tuple(
        put(Frustum(0.05, 0.038, 2.46), (2.87 + 0.022 * (-1) ** i, y - 0.28 + 0.062 * i, 1.26), material)
        for i in range(10)
    )
    return Thing("curtain", folds)


def sofa(dice: random.Random, fabric: Material, cushion: str, trim: str) -> Thing:
    y = 2.0  # the middle of its depth; the back stands near the wall at +y
    leg = Material(srgb("#4a3020"))
    solids = [
        put(Box((2.1, 0.86, 0.22)), (0.75, y - 0.02, 0.25), fabric),
        put(Box((2.1, 0.2, 0.5)), (0.75, y + 0.34, 0.55), fabric, roll=-0.12),
        put(Frustum(0.1, 0.1, 2.1), (0.75, y + 0.37, 0.8), fabric, pitch=math.pi / 2),
    ]
    for side in (-1, 1):
        x = 0.75 + side * 1.13
        solids += [
            put(Box((0.2, 0.88, 0.46)), (x, y - 0.02, 0.37), fabric),
            put(Frustum(0.1, 0.1, 0.88), (x, y - 0.02, 0.6), fabric, roll=math.pi / 2),
            *(put(Frustum(0.018, 0.028, 0.15), (x, y + dy, 0.075), leg) for dy in (-0.38, 0.34)),
        ]
    for i in range(3):
        x = 0.75 + (i - 1) * 0.7
        solids += [
            put(Box((0.68, 0.72, 0.12)), (x, y - 0.1, 0.42), fabric),
            put(Frustum(0.06, 0.06, 0.66), (x, y - 0.45, 0.42), fabric, pitch=math.pi / 2),
            put(Ellipsoid((0.35, 0.13, 0.26)), (x, y + 0.2, 0.68), fabric, roll=-0.2),
        ]
    for x, colour in ((0.0, cushion), (0.3, trim), (1.5, cushion)):
        yarn = Material(srgb(colour), cloth(srgb(colour), darker(srgb(colour), 0.7), 5))
        solids.append(
            put(Ellipsoid((0.23, 0.08, 0.22)), (x, y + 0.02, 0.68), yarn, yaw=dice.uniform(-0.3, 0.3), roll=-0.35)
        )
    return Thing("sofa", tuple(solids))


def coffee_table(dice: random.Random, top: Material, leg: Material) -> list[Thing]:
    cx, cy, height = 0.85, 0.75, 0.4
    legs = tuple(
        put(
            Frustum(0.016, 0.026, height),
            (cx + 0.42 * a, cy + 0.22 * b, height / 2),
            leg,
            roll=0.12 * b,
            pitch=-0.12 * a,
        )
        for a in (-1, 1)
        for b in (-1, 1)
    )
    table = Thing("coffee table", (put(Box((1.1, 0.62, 0.035)), (cx, cy, height), top), *legs))
    z = height + 0.0175
    bowl = Material(srgb("#e8e2d6"), gloss=0.04)
    fruit = tuple(
        put(
            Ellipsoid((0.037, 0.037, 0.035)),
            (cx + 0.25 + 0.05 * math.cos(k * 2.1), cy + 0.05 * math.sin(k * 2.1), z + 0.085),
            Material(srgb(c)),
        )
        for k, c in enumerate(("#d9822b", "#c7362f", "#9cb13c"))
    )
    dish = Thing("fruit bowl", (put(Frustum(0.06, 0.13, 0.07), (cx + 0.25, cy, z + 0.035), bowl), *fruit))
    books = tuple(
        put(
            Box((0.27 - 0.03 * i, 0.2 - 0.02 * i, 0.028)),
            (cx - 0.25, cy + 0.04, z + 0.014 + 0.028 * i),
            Material(srgb(c)),
            yaw=dice.uniform(-0.3, 0.3),
        )
        for i, c in enumerate(("#2f5d73", "#d8cfbd", "#b3482f"))
    )
    mug = Thing(
        "mug",
        (put(Frustum(0.036, 0.04, 0.09), (cx - 0.02, cy - 0.16, z + 0.045), Material(srgb("#3d6a63"), gloss=0.04)),),
    )
    return [table, dish, Thing("books", books), mug]


def armchair(fabric: Material, leg: Material) -> Thing:
    parts = [
        put(Box((0.62, 0.62, 0.16)), (0, 0, 0.38), fabric),
        put(Ellipsoid((0.3, 0.3, 0.08)), (0.02, 0, 0.46), fabric),
        put(Box((0.14, 0.66, 0.56)), (-0.33, 0, 0.7), fabric, pitch=-0.2),
        put(Frustum(0.07, 0.07, 0.66), (-0.388, 0, 0.97), fabric, roll=math.pi / 2),
    ]
    for side in (-1, 1):
        parts += [
            put(Box((0.62, 0.09, 0.2)), (0, side * 0.34, 0.52), fabric),
            put(Frustum(0.05, 0.05, 0.62), (0, side * 0.34, 0.62), fabric, pitch=math.pi / 2),
        ]
    parts += [
        put(Frustum(0.016, 0.025, 0.32), (0.26 * a, 0.26 * b, 0.16), leg, roll=0.12 * b, pitch=-0.12 * a)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return move(Thing("armchair", tuple(parts)), compose(turned(2.55), torch.tensor([1.75, -1.35, 0.0])))


def shelf(dice: random.Random, timber: Material) -> list[Thing]:
    """A bookcase on the right wall, with books, a vase and a globe in it."""
    x0, width, depth, height, y = -1.45, 2.0, 0.3, 2.1, -2.5
    boards = [
        put(Box((width, depth, 0.028)), (x0 + width / 2, y + depth / 2, 0.06 + i * (height - 0.06) / 5), timber)
        for i in range(6)
    ]
    boards += [
        put(Box((0.028, depth, height)), (x0 + width * k, y + depth / 2, height / 2), timber) for k in (0, 0.5, 1)
    ]
    boards.append(put(Box((width, 0.012, height)), (x0 + width / 2, y + 0.006, height / 2), timber))
    things = [Thing("bookcase", tuple(boards))]
    covers = (
        "#7b2d26",
        "#2e4a62",
        "#d9cbb0",
        "#3f5b45",
        "#b98b3e",
        "#54384f",
        "#c76b4a",
        "#23282f",
        "#8fa39a",
        "#e4ded0",
        "#a33b3b",
        "#4f7083",
    )
    for level in range(5):
        for half in range(2):
            floor = 0.06 + level * (height - 0.06) / 5 + 0.014
            x, end = x0 + half * width / 2 + 0.03, x0 + (half + 1) * width / 2 - 0.03
            middle = (x + end) / 2
            if (level, half) == (3, 1):
                clay = Material(srgb("#c9a98a"), gloss=0.03)
                things.append(
                    Thing(
                        "vase",
                        (
                            put(Ellipsoid((0.1, 0.1, 0.12)), (middle - 0.2, y + 0.16, floor + 0.11), clay),
                            put(Frustum(0.03, 0.05, 0.1), (middle - 0.2, y + 0.16, floor + 0.26), clay),
                        ),
                    )
                )
                globe = Material(srgb("#4d7d96"), foliage(srgb("#c9b27a"), srgb("#3f7593"), 4, 0.09))
                things.append(
                    Thing(
                        "globe",
                        (
                            put(Ellipsoid((0.12, 0.12, 0.12)), (middle + 0.2, y + 0.16, floor + 0.17), globe),
                            put(Frustum(0.09, 0.02, 0.06), (middle + 0.2, y + 0.16, floor + 0.03), timber),
                        ),
                    )
                )
                continue
            row, end = [], end - dice.choice((0.0, 0.1, 0.25))
            while x < end - 0.06:
                thick, tall, deep = dice.uniform(0.018, 0.05), dice.uniform(0.2, 0.32), dice.uniform(0.15, 0.21)
                cover, kind = srgb(dice.choice(covers)), dice.randrange(1000)
                foil = srgb("#d9b76a") if sum(cover) < 1.2 else srgb("#4a3526")
                lean = 0.16 if x + 2.5 * thick > end else 0.0
                row.append(
                    put(
                        Box((thick, deep, tall)),
                        (x + thick / 2 + lean * tall / 2, y + 0.05 + deep / 2, floor + tall / 2),
                        Material(cover, book(cover, foil, tall, kind)),
                        pitch=-lean,
                    )
                )
                x += thick + 0.002
            things.append(Thing("books", tuple(row)))
    return things


def dining(dice: random.Random, top: Material, timber: Material, brass: Material) -> list[Thing]:
    cx, cy, height = -2.0, 1.2, 0.75
    table = [
        put(Frustum(0.56, 0.56, 0.035), (cx, cy, height), top),
        put(Frustum(0.22, 0.05, 0.1), (cx, cy, 0.05), timber),
        put(Frustum(0.05, 0.05, height), (cx, cy, height / 2), timber),
    ]
    things = [Thing("dining table", tuple(table))]
    for angle in (-0.5, 1.2, 3.5):
        yaw = angle + dice.uniform(-0.15, 0.15)
        parts = [
            put(Box((0.42, 0.42, 0.035)), (0, 0, 0.45), timber),
            put(Box((0.025, 0.4, 0.12)), (0.205, 0, 0.86), timber, pitch=0.1),
        ]
        parts += [put(Box((0.03, 0.03, 0.45)), (0.18 * a, 0.18 * b, 0.225), timber) for a in (-1, 1) for b in (-1, 1)]
        parts += [put(Box((0.026, 0.026, 0.48)), (0.2, 0.18 * b, 0.68), timber) for b in (-1, 1)]
        parts += [put(Frustum(0.008, 0.008, 0.36), (0.2, 0.07 * k, 0.64), timber) for k in (-1, 0, 1)]
        seat = torch.tensor([cx + 0.72 * math.cos(yaw), cy + 0.72 * math.sin(yaw), 0.0])
        things.append(move(Thing("chair", tuple(parts)), compose(turned(yaw), seat)))
    shade = Material(srgb("#e9c98f"), glow=0.6)
    things.append(
        Thing(
            "pendant lamp",
            (
                put(Frustum(0.26, 0.07, 0.24), (cx, cy, 1.72), Material(srgb("#2f4a47"), gloss=0.06)),
                put(Ellipsoid((0.06, 0.06, 0.06)), (cx, cy, 1.6), shade),
                put(Frustum(0.006, 0.006, 0.98), (cx, cy, 2.31), brass),
            ),
        )
    )
    glass = Material(srgb("#dfe8e4"), gloss=0.06)
    stems = tuple(
        put(
            Frustum(0.004, 0.004, 0.3),
            (cx + 0.02 * k, cy + 0.02 * (k % 2), height + 0.3),
            Material(srgb("#5d7f3b")),
            roll=0.16 * (k - 1),
            pitch=0.2 * (k - 1),
        )
        for k in range(3)
    )
    blooms = tuple(
        put(
            Ellipsoid((0.045, 0.045, 0.035)),
            (cx + 0.05 * (k - 1), cy - 0.03 * (k - 1), height + 0.44),
            Material(srgb(c)),
        )
        for k, c in enumerate(("#e07a5f", "#f2cc8f", "#e5989b"))
    )
    return [*things, Thing("vase", (put(Frustum(0.05, 0.035, 0.2), (cx, cy, height + 0.117), glass), *stems, *blooms))]


def floor_lamp(brass: Material) -> Thing:
    x, y = 2.45, 2.1
    shade = Material(srgb("#f2dfb8"), glow=0.55)
    return Thing(
        "floor lamp",
        (
            put(Frustum(0.15, 0.15, 0.025), (x, y, 0.0125), brass),
            put(Frustum(0.012, 0.012, 1.45), (x, y, 0.74), brass),
            put(Frustum(0.24, 0.16, 0.3), (x, y, 1.55), shade),
        ),
    )


def plant(foot: Triple, height: float, dice: random.Random, seed: int) -> Thing:
    """A pot with long leaves that arch outwards in rising rings."""
    x, y, z = foot
    pot_height = 0.24 * height
    pot = Material(srgb("#c47b52") if seed % 2 else srgb("#e3ddd2"), gloss=0.02)
    solids = [
        put(Frustum(0.1 * height, 0.14 * height, pot_height), (x, y, z + pot_height / 2), pot),
        put(Frustum(0.12 * height, 0.12 * height, 0.01), (x, y, z + pot_height + 0.006), Material(srgb("#3b2a1e"))),
    ]
    for i in range(34):
        angle = i * 2.399963 + dice.uniform(-0.2, 0.2)  # the golden angle, as leaves grow
        rise = i / 33
        tilt, length = 0.15 + 1.05 * rise, height * (0.36 - 0.1 * rise) * dice.uniform(0.85, 1.1)
        green = srgb(dice.choice(("#4f7a3a", "#3f6b35", "#66904a", "#577f3d")))
        reach = 0.5 * length * math.cos(tilt) + 0.02 * height
        up = z + pot_height + height * 0.52 * rise + 0.5 * length * math.sin(tilt)
        solids.append(
            put(
                Ellipsoid((length / 2, 0.075 * height * (1.1 - 0.4 * rise), 0.004)),
                (x + reach * math.cos(angle), y + reach * math.sin(angle), up),
                Material(green, gloss=0.015),
                yaw=angle,
                pitch=-tilt,
                roll=dice.uniform(-0.5, 0.5),
            )
        )
    solids.append(
        put(
            Frustum(0.018 * height, 0.01 * height, 0.6 * height),
            (x, y, z + pot_height + 0.3 * height),
            Material(srgb("#6b5138")),
        )
    )
    return Thing("plant", tuple(solids))


def pictures(frame: Material, seed: int) -> list[Thing]:
    things = []
    for i, (x, width, height) in enumerate(((0.05, 0.62, 0.8), (0.85, 0.62, 0.8), (1.6, 0.5, 0.65))):
        canvas = Material((0.5, 0.42, 0.36), painting((width, height), seed + i))
        solids = (
            put(Box((0.03, width + 0.05, height + 0.05)), (x, 2.485, 1.68), frame, yaw=-math.pi / 2),
            put(Box((0.036, width, height)), (x, 2.485, 1.68), canvas, yaw=-math.pi / 2),
        )
        things.append(Thing("picture", solids))
    canvas = Material((0.5, 0.42, 0.36), painting((1.1, 0.7), seed + 4))
    things.append(
        Thing(
            "picture",
            (
                put(Box((0.03, 1.16, 0.76)), (-2.985, 0.55, 1.6), frame),
                put(Box((0.036, 1.1, 0.7)), (-2.985, 0.55, 1.6), canvas),
            ),
        )
    )
    return things


def door(white: Material, leaf_paint: Material, brass: Material) -> Thing:
    x, y = -3.0, -1.475
    leaf = [put(Box((0.06, 0.9, 2.05)), (x, y, 1.025), leaf_paint)]
    leaf += [put(Box((0.09, 0.08, 2.13)), (x, y + s * 0.485, 1.065), white) for s in (-1, 1)]
    leaf.append(put(Box((0.09, 1.05, 0.08)), (x, y, 2.09), white))
    leaf += [
        put(Box((0.075, 0.32, h)), (x, y + s * 0.21, c), leaf_paint)
        for s in (-1, 1)
        for c, h in ((0.5, 0.7), (1.45, 0.95))
    ]
    leaf += [
        put(Frustum(0.011, 0.011, 0.12), (x + 0.085, y + 0.33, 1.02), brass, roll=math.pi / 2),
        put(Frustum(0.011, 0.011, 0.06), (x + 0.06, y + 0.38, 1.02), brass, pitch=math.pi / 2),
    ]
    return Thing("door", tuple(leaf))


def clock(centre: Triple, frame: Material, brass: Material) -> Thing:
    """A wall clock that faces +y and says ten past ten."""
    x, y, z = centre
    dark = Material(srgb("#2b2622"))
    solids = [
        put(Frustum(0.19, 0.19, 0.03), (x, y, z), frame, roll=math.pi / 2),
        put(Frustum(0.165, 0.165, 0.034), (x, y, z), Material(srgb("#f4efe2")), roll=math.pi / 2),
    ]
    for angle, length, width in ((math.radians(150), 0.09, 0.014), (math.radians(30), 0.135, 0.01)):
        # From the front, +x is to the left: angles run counter-clockwise from the right, which is -x.
        middle = (x - math.cos(angle) * length / 2, y + 0.02, z + math.sin(angle) * length / 2)
        solids.append(put(Box((length, 0.006, width)), middle, dark, pitch=angle))
    for hour in range(12):
        a = hour * math.pi / 6
        mark = (x + 0.145 * math.cos(a), y + 0.018, z + 0.145 * math.sin(a))
        solids.append(put(Ellipsoid((0.008, 0.004, 0.008)), mark, brass))
    return Thing("clock", tuple(solids))


def basket(foot: Triple, seed: int) -> Thing:
    """A wicker basket with rolled blankets."""
    x, y, z = foot
    wicker = Material(srgb("#b08a58"), cloth(srgb("#c9a26c"), srgb("#7d5c36"), seed, 0.03))
    rolls = [
        put(
            Frustum(0.06, 0.06, 0.3),
            (x + dx, y + dy, z + 0.4),
            Material(srgb(c), cloth(srgb(c), darker(srgb(c), 0.7), 3)),
            pitch=t,
        )
        for dx, dy, c, t in (
            (-0.06, 0.04, "#b5533b", 0.15),
            (0.07, 0.05, "#e4d8c0", -0.2),
            (0.01, -0.07, "#56736b", 0.05),
        )
    ]
    return Thing("basket", (put(Frustum(0.17, 0.21, 0.36), (x, y, z + 0.18), wicker), *rolls))


def sideboard(dice: random.Random, timber: Material, brass: Material) -> Thing:
    """A low cabinet right of the bookcase, tiled on top, with a record player's worth of clutter."""
    x, y = 1.25, -2.26
    solids = [
        put(Box((1.2, 0.44, 0.5)), (x, y, 0.4), timber),
        put(
            Box((1.22, 0.46, 0.02)),
            (x, y, 0.66),
            Material((0.5, 0.5, 0.48), tiles(srgb("#efe9dc"), srgb("#5c7d86"), 0.11)),
        ),
    ]
    solids += [
        put(Frustum(0.015, 0.022, 0.15), (x + 0.5 * a, y + 0.16 * b, 0.075), brass) for a in (-1, 1) for b in (-1, 1)
    ]
    solids += [put(Box((0.38, 0.02, 0.42)), (x + 0.395 * k, y + 0.22, 0.4), timber) for k in (-1, 0, 1)]
    solids += [put(Ellipsoid((0.014, 0.014, 0.014)), (x + 0.395 * k, y + 0.24, 0.5), brass) for k in (-1, 0, 1)]
    solids += [
        put(
            Frustum(0.02, 0.02, 0.12 + 0.06 * k),
            (x - 0.42 + 0.09 * k, y + dice.uniform(-0.05, 0.05), 0.73 + 0.03 * k),
            Material(srgb("#efe6d2"), glow=0.05),
        )
        for k in range(3)
    ]
    return Thing("sideboard", tuple(solids))
