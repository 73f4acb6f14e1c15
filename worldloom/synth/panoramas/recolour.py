"""The same world in other colours, so that distance cannot be read from colour alone."""

import random
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.world import Colour, Material, Pattern, Thing, World

_PLAIN = 0.25  # share of changed materials that lose their pattern
_METAL = 0.5
_LIT = 0.5  # emission above which a material is a lamp; those keep their light


def recoloured(world: World, dice: random.Random, share: float) -> World:
    """The world with this share of its materials in random colours, some without their pattern.

    A material changes wherever it is used. Geometry, semantics and lamps stay.
    """
    changed: dict[int, Material] = {}

    def of(material: Material) -> Material:
        if id(material) not in changed:
            changes = max(material.emission) <= _LIT and dice.random() < share
            changed[id(material)] = _other(material, dice) if changes else material
        return changed[id(material)]

    things: list[Thing] = []
    for thing in world.things:
        parts = tuple(replace(part, material=of(part.material)) for part in thing.parts)
        things.append(replace(thing, parts=parts))
    return replace(world, things=tuple(things))


def tinted(world: World, semantic: str, colour: Colour) -> World:
    """The world with all things of a kind in a colour; patterns stay as patterns, lamps and mirrors as they are.

    Args:
        colour: mean albedo, linear RGB.
    """
    changed: dict[int, Material] = {}

    def of(material: Material) -> Material:
        if max(material.emission) > _LIT or material.metallic > _METAL:
            return material
        return changed.setdefault(id(material), _with_colour(material, colour))

    things = [
        replace(thing, parts=tuple(replace(part, material=of(part.material)) for part in thing.parts))
        if thing.semantic == semantic
        else thing
        for thing in world.things
    ]
    return replace(world, things=tuple(things))


def _other(material: Material, dice: random.Random) -> Material:
    """White to black, mostly of little saturation, as painted and built things are."""
    value = dice.choice((dice.uniform(0.6, 0.9), dice.uniform(0.1, 0.6), dice.uniform(0.02, 0.15)))
    saturation = dice.random() ** 2 * 0.8
    hue = [dice.random() for _ in range(3)]
    top = max(hue)
    red, green, blue = (value * (1 - saturation + saturation * channel / top) for channel in hue)
    colour = (red, green, blue)
    plain = material.pattern is not None and dice.random() <= _PLAIN
    return _with_colour(replace(material, pattern=None) if plain else material, colour)


def _with_colour(material: Material, colour: Colour) -> Material:
    pattern = None
    if material.pattern is not None:
        pattern = _tinted(
            material.pattern, [new / max(old, 0.02) for new, old in zip(colour, material.colour, strict=True)]
        )
    return replace(material, colour=colour, pattern=pattern)


def _tinted(pattern: Pattern, gains: list[float]) -> Pattern:
    def tinted(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return (pattern(points, normals) * torch.tensor(gains)).clamp(0, 0.95)

    return tinted
