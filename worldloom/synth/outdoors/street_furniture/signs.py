"""Traffic signs and name boards. What is on a plate is painted, so that nothing lies on top of it."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.synth.noise import noise
from worldloom.synth.outdoors.assembly import Assembly, frame_at
from worldloom.synth.outdoors.facade_textures import lettering, painted
from worldloom.synth.shapes import cylinder, prism
from worldloom.synth.textures import srgb
from worldloom.synth.world import Colour, Material, Thing

SIGNS = ("stop", "yield", "parking", "speed", "crossing", "roundabout", "name", "place")

_ANYWHERE = ("parking", "speed", "crossing", "name", "place")  # the others belong to junctions

_RED, _BLUE, _WHITE, _BLACK = srgb("#b3221f"), srgb("#1f4a9a"), srgb("#e8e8e4"), srgb("#17181a")
_STEEL = (0.35, 0.36, 0.37)
_GLYPHS = {  # rows from the top
    "S": ("###", "#..", "###", "..#", "###"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "O": ("###", "#.#", "#.#", "#.#", "###"),
    "P": ("###", "#.#", "###", "#..", "#.."),
    "0": ("###", "#.#", "#.#", "#.#", "###"),
    "3": ("###", "..#", ".##", "..#", "###"),
    "5": ("###", "#..", "###", "..#", "###"),
    "walker": ("...##..", "...##..", "..##...", ".####..", "#.##.#.", "..##...", "..#.#..", ".#..#..", "#....#."),
}

Plane = Float[Tensor, " n"]
# What is painted at (right, up) metres from a plate's middle, seen from in front: colours in the order of painting.
Layers = Callable[[Plane, Plane], Sequence[tuple[Colour, Bool[Tensor, " n"]]]]


@lru_cache(maxsize=64)
def make_sign(seed: int, kind: str | None = None) -> Thing:
    """A sign of SIGNS on a post, drawn from those that need no junction if not given.

    Raises:
        ValueError: a kind that is not in SIGNS.
    """
    random, assembly = Random(f"sign {seed}"), Assembly()
    kind = random.choice(_ANYWHERE) if kind is None else kind
    h, limit = random.uniform(2.3, 2.5), random.choice(("30", "50"))
    steel = painted(seed, _STEEL, "post", 0.4, 0.6)
    assembly.part(cylinder(0.035, h + 0.65, (0, 0, -0.3), steel, 8))
    match kind:
        case "stop":
            _plate(assembly, seed, h, 8, 0.4, _RED, lambda u, v: [(_WHITE, _rim(u, v, 8) > 0.34), _text(u, v, "STOP")])
        case "yield":
            _plate(assembly, seed, h, 3, 0.46, _WHITE, lambda u, v: [(_RED, _rim(u, v, 3) > 0.15)], -math.pi / 2)
        case "parking":
            _plate(
                assembly,
                seed,
                h,
                4,
                0.44,
                _BLUE,
                lambda u, v: [(_WHITE, (_rim(u, v, 4) - 0.285).abs() < 0.008), _text(u, v, "P", 0.08)],
            )
        case "speed":
            _plate(
                assembly,
                seed,
                h,
                24,
                0.34,
                _WHITE,
                lambda u, v: [(_RED, u.hypot(v) > 0.26), _text(u, v, limit, 0.05, _BLACK)],
            )
        case "crossing":
            _plate(assembly, seed, h, 4, 0.44, _BLUE, _crossing)
        case "roundabout":
            _plate(assembly, seed, h, 24, 0.34, _BLUE, _circling)
        case "name":
            for yaw, off, up in ((0.0, 0.2, 0.25), (math.pi / 2, -0.2, 0.02)):
                assembly.frame = frame_at((0, 0, h + up), yaw)
                face = lettering(seed + round(100 * up), _BLUE, _WHITE, 0.22, h + up)
                assembly.boxes(face, (-0.015, off - 0.45, -0.11), (0.015, off + 0.45, 0.11))
        case "place":
            face = lettering(seed, srgb(random.choice(("#1f4a9a", "#5a2a24", "#24603a"))), srgb("#e0dcc8"), 0.3, h)
            assembly.frame = frame_at((0, 0, h))
            assembly.boxes(face, (0.036, -0.5, -0.15), (0.05, 0.5, 0.15))
        case _:
            raise ValueError(f"sign must be one of {SIGNS}, got {kind!r}")
    return Thing("sign", "sign", assembly.parts())


def _plate(
    assembly: Assembly,
    seed: int,
    height: float,
    sides: int,
    radius: float,
    ground: Colour,
    layers: Layers,
    first: float | None = None,
) -> None:
    """A regular polygon with its middle at `height`, a corner at the angle `first`, else a side below."""
    turn = (math.pi / sides - math.pi / 2 if first is None else first) + np.arange(sides) * 2 * np.pi / sides
    outline = [(radius * math.cos(a), radius * math.sin(a)) for a in turn.tolist()]

    def pattern(p: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        surface = p.new_tensor(ground).expand(len(p), 3)
        for colour, where in layers(p[:, 1], p[:, 2] - height):
            surface = torch.where(where[:, None], p.new_tensor(colour), surface)
        surface = torch.where((normals[:, 0] > 0.5)[:, None], surface, p.new_tensor(_STEEL))
        return surface * (0.85 + 0.3 * noise(p * 5, seed, 3))[:, None]

    # The outline's x and y become the sign's y and z.
    assembly.frame = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, height]])
    assembly.part(prism(outline, 0.036, 0.048, Material("sign", ground, pattern, 0.4)))


def _rim(u: Plane, v: Plane, sides: int) -> Plane:
    """Distance from the middle, measured across the nearest side of a polygon with a side below or, of 3, above."""
    first = math.pi / 2 if sides == 3 else -math.pi / 2
    turns = [first + 2 * math.pi * k / sides for k in range(sides)]
    return torch.stack([u * math.cos(turn) + v * math.sin(turn) for turn in turns]).amax(0)


def _text(
    u: Plane, v: Plane, text: str, cell: float = 0.032, colour: Colour = _WHITE
) -> tuple[Colour, Bool[Tensor, " n"]]:
    rows = ["".join(_GLYPHS[letter][k] + "." for letter in text)[:-1] for k in range(5)]
    return colour, _bitmap(u, v, rows, cell)


def _bitmap(u: Plane, v: Plane, rows: Sequence[str], cell: float) -> Bool[Tensor, " n"]:
    """Where ink is of a picture of square cells about the middle."""
    ink = torch.tensor([[mark == "#" for mark in row] for row in rows])
    column = (u / cell + len(rows[0]) / 2).floor().long()
    row = (len(rows) / 2 - v / cell).floor().long()
    inside = (column >= 0) & (column < ink.shape[1]) & (row >= 0) & (row < ink.shape[0])
    return inside & ink[row.clamp(0, ink.shape[0] - 1), column.clamp(0, ink.shape[1] - 1)]


def _crossing(u: Plane, v: Plane) -> Sequence[tuple[Colour, Bool[Tensor, " n"]]]:
    triangle = torch.maximum(-v - 0.2, 0.87 * u.abs() + 0.5 * v - 0.13) < 0
    return [(_WHITE, triangle), (_BLACK, _bitmap(u, v + 0.06, _GLYPHS["walker"], 0.024))]


def _circling(u: Plane, v: Plane) -> Sequence[tuple[Colour, Bool[Tensor, " n"]]]:
    """Three arrows around a middle."""
    radius = u.hypot(v)
    third = torch.remainder(torch.atan2(v, u) * 3 / (2 * math.pi), 1.0)
    # Each arrow is a bow whose last part widens and then narrows to its tip.
    half = torch.where(third < 0.55, 0.03, (0.085 * (0.9 - third) / 0.35).clamp(min=0.0))
    return [(_WHITE, ((radius - 0.18).abs() < half) & (third > 0.05))]
