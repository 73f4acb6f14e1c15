"""What indoor things are made of: woods, cloths, metals, stones and paints, drawn by chance from what people like."""

import random
from dataclasses import dataclass

from worldloom.synth.textures import (
    Number,
    between,
    brushed,
    carpet,
    concrete,
    foliage,
    herringbone,
    leather,
    marble,
    mottled,
    planks,
    srgb,
    tartan,
    terrazzo,
    textured,
    tiles,
    toned,
    wallpaper,
    weave,
    wood,
)
from worldloom.synth.world import Colour, Material

_SPECIES = (  # light, dark
    ("#e2c08e", "#a97a47"),  # oak
    ("#ead3ac", "#c49a66"),  # birch
    ("#c99565", "#7b4a28"),  # cherry
    ("#8d6244", "#4a2e1c"),  # walnut
    ("#5b4030", "#2b1b12"),  # wenge
    ("#dcc9ae", "#9f8868"),  # bleached ash
    ("#d9a566", "#9c6630"),  # pine
    ("#a5947f", "#6a5b4b"),  # weathered
    ("#8a4b32", "#47211a"),  # mahogany
)
_PAINTS = (
    ("#f3efe6", "#ece4d4", "#e9e9e6", "#f5f1ea", "#e4ddd0", "#f0e9dc"),  # whites, which most walls are
    ("#c9d2c4", "#b7c6cf", "#e3cdbb", "#d9c9a8", "#cfc4d1", "#bfc9b0", "#dfd2d0", "#c7b9a5"),  # pale
    ("#56736b", "#3f5870", "#a3654c", "#7d3f3f", "#31404a", "#8a7a45", "#5d4a66", "#2f5a50", "#c08a3e", "#943f5a"),
)
_CLOTHS = (
    *("#c9bda8", "#8f8a80", "#5b6470", "#2f3a48", "#a8452f", "#c8842c", "#4e6b58", "#7a4f63", "#e3dccd", "#3f6f86"),
    *("#b56a4a", "#6d7f4a", "#d3a9a0", "#40352f", "#a39b52", "#1f2a30", "#86a0ad", "#c7b08c"),
)
_METALS = (  # colour, roughness
    ("#c9c9c6", 0.28),  # steel
    ("#2b2b2c", 0.5),  # black lacquer
    ("#c8a45a", 0.25),  # brass
    ("#b87a55", 0.3),  # copper
    ("#8d9196", 0.4),  # zinc
    ("#e3e3e1", 0.15),  # chrome
)
_BRIGHT = ("#c8342c", "#e8a520", "#2a6db0", "#2f8a4c", "#e06a2b", "#7b4aa0", "#e9e4d8", "#23282d", "#5fb0b7", "#d96c8f")


@dataclass(frozen=True)
class Taste:
    """The materials that return throughout one room, so that its furniture belongs together."""

    wood: Material
    frame: Material  # of doors, shelves and cabinets: another wood, or paint
    metal: Material
    cloth: Material
    second_cloth: Material
    accent: Material
    white: Material
    dark: Material


def draw_taste(dice: random.Random) -> Taste:
    """A taste: two woods that fit, a metal, cloths and an accent."""
    timber = timber_finish(dice)
    frame = timber if dice.random() < 0.4 else lacquer(dice)
    return Taste(
        wood=timber,
        frame=frame,
        metal=metal_finish(dice),
        cloth=cloth_finish(dice),
        second_cloth=cloth_finish(dice),
        accent=cloth_finish(dice),
        white=painted(srgb(dice.choice(("#f1eee7", "#f4f3f0", "#e9e4da"))), dice, "white paint", 0.45),
        dark=painted(srgb(dice.choice(("#26282b", "#33302d", "#2d3a40"))), dice, "dark plastic", 0.4),
    )


def number(dice: random.Random) -> int:
    """A seed for a pattern."""
    return dice.randrange(1 << 20)


def timber_finish(dice: random.Random, along: int = 1) -> Material:
    """Waxed or oiled wood with its grain along an axis of its thing."""
    light, dark = (srgb(text) for text in dice.choice(_SPECIES))
    return textured("wood", wood(light, dark, number(dice), along), roughness=dice.uniform(0.3, 0.6))


def painted(colour: Colour, dice: random.Random, name: str = "paint", roughness: Number = 0.6) -> Material:
    """Paint, plastic or lacquer of one colour."""
    # The pattern's mean is the colour itself, so that there is nothing to measure.
    return Material(name, colour, mottled(colour, number(dice), 0.06, dice.uniform(0.4, 1.2), 0.03), float(roughness))


def lacquer(dice: random.Random) -> Material:
    """Painted furniture: mostly white or grey, now and then bold."""
    text = dice.choice(("#efece5", "#e6e3dc", "#f4f2ee", "#b9b7b0", "#2c2f33", dice.choice(_PAINTS[1] + _PAINTS[2])))
    return painted(srgb(text), dice, "lacquer", dice.uniform(0.2, 0.5))


def bright(dice: random.Random, roughness: Number = 0.4) -> Material:
    """Plastic, card or enamel of a colour that catches the eye."""
    return painted(srgb(dice.choice(_BRIGHT)), dice, "plastic", roughness)


def metal_finish(dice: random.Random, along: int = 2) -> Material:
    """Steel, brass, lacquered iron."""
    text, roughness = dice.choice(_METALS)
    return textured("metal", brushed(srgb(text), number(dice), along), roughness=roughness, metallic=1.0)


def chrome(dice: random.Random) -> Material:
    """Fittings of bathrooms and kitchens."""
    return textured("chrome", brushed(srgb("#dcdcda"), number(dice), 2, 0.04), roughness=0.08, metallic=1.0)


def iron(dice: random.Random, rust: Number = 0.0) -> Material:
    """Painted or rusty steel of halls and machines."""
    colour = srgb(dice.choice(("#4f5a5c", "#7d8285", "#2f4a5c", "#6b6f4a", "#8a3b2e", "#3a3d40")))
    return textured("iron", brushed(colour, number(dice), 2, 0.15, rust), roughness=0.55, metallic=0.6)


def ceramic(dice: random.Random, text: str | None = None) -> Material:
    """Glazed china."""
    colour = srgb(text or dice.choice(("#f4f4f1", "#efece4", "#3f5f77", "#8c9a86", "#b5643f", "#2d2f33", "#d3b26b")))
    return textured("ceramic", mottled(colour, number(dice), 0.03, 0.5, 0.01), roughness=0.12)


def cloth_finish(dice: random.Random) -> Material:
    """Furniture cloth: plain, striped, checked, or hide."""
    colour = srgb(dice.choice(_CLOTHS))
    style, seed = dice.random(), number(dice)
    if style < 0.6:
        return textured("cloth", weave(toned(colour, 1.15), toned(colour, 0.7), seed), roughness=0.95)
    if style < 0.75:
        other = between(colour, srgb("#e8e0d0"), 0.6)
        return textured("cloth", weave(colour, other, seed, stripe=dice.uniform(0.012, 0.04)), roughness=0.95)
    if style < 0.85:
        first, second = srgb(dice.choice(_CLOTHS)), srgb(dice.choice(_CLOTHS))
        return textured("cloth", tartan(colour, first, second, seed, dice.uniform(0.08, 0.2)), roughness=0.95)
    hide = srgb(dice.choice(("#6b3f26", "#2b211d", "#8c5a35", "#c9b79c", "#4a2a22", "#3d4a44")))
    return textured("leather", leather(hide, seed), roughness=0.4)


def linen(dice: random.Random) -> Material:
    """Bedding, curtains, towels."""
    colour = srgb(dice.choice((*_CLOTHS, "#f1ece2", "#e9e4da", "#dfe4e6", "#f4f1ea")))
    stripe = dice.uniform(0.02, 0.08) if dice.random() < 0.3 else 0.0
    return textured("linen", weave(toned(colour, 1.1), toned(colour, 0.8), number(dice), 0.003, stripe), roughness=0.95)


def leafage(dice: random.Random) -> Material:
    """The leaves of a plant."""
    one, two = dice.choice(
        (("#7c9c4c", "#2f4f22"), ("#5d8a55", "#234a2c"), ("#93a860", "#4c6a2f"), ("#6f8f78", "#2f4f45"))
    )
    return textured("leaf", foliage(srgb(one), srgb(two), number(dice), 0.08), (0.5, 0.5, 0.5), roughness=0.5)


def lit(colour: Colour, power: Number) -> Material:
    """A surface that shines."""
    r, g, b = (power * c for c in colour)
    return Material("light", toned(colour, 0.85), roughness=0.7, emission=(r, g, b))


def warm_light(dice: random.Random, power: Number) -> Material:
    """The shade or tube of a lamp that is on, from warm to neutral white."""
    return lit(between((1.0, 0.72, 0.42), (1.0, 0.95, 0.9), dice.random()), power)


def floor_finish(dice: random.Random, use: str) -> Material:
    """A floor that fits what a room is for."""
    seed = number(dice)
    wet, plain = use in ("kitchen", "bathroom"), use in ("office", "corridor", "lecture", "library")
    raw = use in ("factory", "stairwell", "garage", "market")
    style = dice.random()
    if raw or (plain and style < 0.1):
        colour = srgb(dice.choice(("#a8a49c", "#8f8d88", "#b9b2a6")))
        panel = (dice.uniform(2, 5), dice.uniform(2, 5)) if dice.random() < 0.7 else None
        return textured("concrete", concrete(colour, seed, panel), (6, 6, 1), roughness=dice.uniform(0.3, 0.8), axis=2)
    if (wet and style < 0.75) or (not wet and style > 0.9) or (use in ("museum", "corridor") and style < 0.4):
        return stone_floor(dice, wet)
    if (plain and style < 0.6) or (use == "bedroom" and style < 0.25):
        one, two = (srgb(dice.choice(_CLOTHS)) for _ in range(2))
        tile = 0.5 if plain and dice.random() < 0.7 else 0.0
        return textured("carpet", carpet(one, between(one, two, 0.35), seed, tile), (6, 6, 1), roughness=1.0, axis=2)
    light, dark = (srgb(text) for text in dice.choice(_SPECIES))
    if dice.random() < 0.3:
        pattern = herringbone(light, dark, seed, dice.uniform(0.06, 0.12), dice.choice((4, 5, 6)))
    else:
        pattern = planks(
            light, dark, seed, dice.uniform(0.9, 2.4), dice.uniform(0.07, 0.24), dice.uniform(0.002, 0.005)
        )
    return textured("floor boards", pattern, (6, 6, 1), roughness=dice.uniform(0.15, 0.5), axis=2)


def stone_floor(dice: random.Random, small: bool) -> Material:
    """Tiles, marble slabs, terrazzo."""
    seed = number(dice)
    pairs = (("#e9e4da", "#d6cfc2"), ("#b5aca0", "#a2998c"), ("#54585b", "#45494c"), ("#b5664a", "#9c5038"))
    one, two = (srgb(text) for text in dice.choice(pairs))
    style = dice.random()
    if style < 0.25:
        chips = [srgb(dice.choice(_CLOTHS)) for _ in range(4)]
        return textured("terrazzo", terrazzo(one, chips, seed, dice.uniform(0.015, 0.04)), roughness=0.15, axis=2)
    if style < 0.45:
        other = srgb(dice.choice(("#26282a", "#5c4a3e", "#4a5c55", "#6a7480")))
        side = dice.uniform(0.15, 0.4)
        pattern = tiles(one, other, seed, (side, side), checker=True, rough=0.2)
        return textured("tiles", pattern, (6, 6, 1), roughness=0.2, axis=2)
    if style < 0.6 and not small:
        return textured("marble", marble(one, toned(two, 0.45), seed, 2.0), (6, 6, 1), roughness=0.08, axis=2)
    side = dice.uniform(0.1, 0.35) if small else dice.uniform(0.3, 0.9)
    long = side * dice.choice((1, 1, 2))
    pattern = tiles(one, two, seed, (long, side), bond=dice.choice((0, 0.5)), rough=dice.uniform(0.05, 0.3))
    return textured("tiles", pattern, (6, 6, 1), roughness=dice.uniform(0.1, 0.5), axis=2)


def wall_finish(dice: random.Random, use: str, bold: bool = False) -> Material:
    """Walls that fit what a room is for; bold ones are the one wall that is different."""
    seed, style = number(dice), dice.random()
    if use == "bathroom" or (use == "kitchen" and style < 0.12):
        return wall_tiles(dice)
    if (use in ("factory", "loft", "stairwell") and style < 0.65) or (bold and style < 0.15) or style < 0.03:
        return brick_wall(dice)
    if (use in ("factory", "museum", "lecture", "stairwell", "garage") and style < 0.85) or style < 0.06:
        colour = srgb(dice.choice(("#b5b1a8", "#a39f98", "#c5c0b6")))
        return textured("concrete", concrete(colour, seed), (6, 6, 6), roughness=0.8, axis=1)
    if use in ("living", "bedroom", "studio", "corridor") and style < (0.5 if bold else 0.24):
        ground = srgb(dice.choice(_PAINTS[1] if bold or dice.random() < 0.5 else _PAINTS[0]))
        figure = between(ground, srgb(dice.choice(_PAINTS[2])), dice.uniform(0.25, 0.8))
        pattern = wallpaper(ground, figure, seed, dice.uniform(0.15, 0.6), dice.randrange(4))
        return textured("wallpaper", pattern, (6, 6, 6), roughness=0.85, axis=1)
    if bold and style < 0.62:
        light, dark = (srgb(text) for text in dice.choice(_SPECIES))
        pattern = planks(light, dark, seed, dice.uniform(1.5, 3), dice.uniform(0.09, 0.2), 0.004)
        return textured("panelling", pattern, (6, 6, 6), roughness=0.5, axis=1)
    tone = 2 if bold else (0 if dice.random() < 0.62 else 1 if dice.random() < 0.75 else 2)
    strength = dice.uniform(0.04, 0.16)
    pattern = mottled(srgb(dice.choice(_PAINTS[tone])), seed, strength, dice.uniform(0.5, 1.6), 0.05)
    return textured("wall paint", pattern, (6, 6, 6), roughness=0.85)


def wall_tiles(dice: random.Random) -> Material:
    """Glazed tiles of bathrooms and kitchens."""
    one = srgb(dice.choice(("#f0efe9", "#dfe6e4", "#b9cdd0", "#9fb4a4", "#e6d9c6", "#5f7d8c", "#3f5a52", "#d9a89a")))
    width = dice.uniform(0.08, 0.3)
    size = (width, width * dice.choice((0.5, 0.5, 1, 2)))
    pattern = tiles(
        one, toned(one, 0.82), number(dice), size, srgb("#d9d7d0"), 0.003, bond=dice.choice((0, 0.5)), rough=0.08
    )
    return textured("wall tiles", pattern, (4, 4, 4), roughness=0.12, axis=1)


def brick_wall(dice: random.Random) -> Material:
    """Bare or whitewashed bricks."""
    one, two, joint = dice.choice(
        (
            ("#a55a42", "#7d3a2c", "#b8b0a4"),
            ("#b87a5a", "#98583f", "#cfc8ba"),
            ("#e8e4dc", "#d9d3c8", "#c9c3b8"),
            ("#6f4a3f", "#4f332c", "#7d766c"),
        )
    )
    pattern = tiles(srgb(one), srgb(two), number(dice), (0.25, 0.075), srgb(joint), 0.008, bond=0.5, rough=0.35)
    return textured("brick", pattern, (4, 4, 4), roughness=0.9, axis=1)


def ceiling_finish(dice: random.Random, use: str) -> Material:
    """Plaster, panels, boards or bare concrete overhead."""
    seed, style = number(dice), dice.random()
    if use in ("factory", "garage", "stairwell") or (use in ("loft", "museum") and style < 0.5):
        return textured("concrete", concrete(srgb("#b5b2aa"), seed, (2.5, 0.6)), (6, 6, 6), roughness=0.85, axis=2)
    if use in ("office", "lecture", "corridor", "market") and style < 0.6:
        pattern = tiles(srgb("#ecebe6"), srgb("#e2e1db"), seed, (0.6, 0.6), srgb("#b5b5b2"), 0.006, rough=0.08)
        return textured("ceiling panels", pattern, (6, 6, 6), roughness=0.9, axis=2)
    if (use in ("attic", "gym", "loft", "library") and style < 0.6) or style < 0.06:
        light, dark = (srgb(text) for text in dice.choice(_SPECIES))
        return textured("ceiling boards", planks(light, dark, seed, 3.0, 0.12, 0.004), (6, 6, 6), roughness=0.6, axis=2)
    return textured(
        "ceiling plaster", mottled(srgb(dice.choice(_PAINTS[0])), seed, 0.05, 1.5), (6, 6, 6), roughness=0.9
    )


def stone(dice: random.Random, names: tuple[str, ...] = ("marble", "granite", "slate")) -> Material:
    """Worktops, plinths, sculptures."""
    seed, kind = number(dice), dice.choice(names)
    if kind == "marble":
        one, two = dice.choice(
            (("#efece5", "#77726c"), ("#2f3130", "#b9b4a8"), ("#cdbba0", "#7a5c42"), ("#5f7066", "#dfe0d8"))
        )
        return textured("marble", marble(srgb(one), srgb(two), seed, dice.uniform(0.4, 1.0)), roughness=0.15)
    if kind == "granite":
        chips = [
            srgb(text) for text in dice.choice((("#2c2c2e", "#8d8a86", "#5b5856"), ("#c9c2b8", "#8c7a6c", "#3b3835")))
        ]
        return textured("granite", terrazzo(srgb("#77736e"), chips, seed, 0.008), roughness=0.2)
    return textured(
        "slate", mottled(srgb(dice.choice(("#3c4145", "#8f897d", "#55504a"))), seed, 0.3, 0.5), roughness=0.6
    )
