"""Procedural patterns as one texture atlas, so that other programs see the worlds in colour.

Every part is cut into at most six charts, one for each direction its faces look to most, and each chart is projected
along that direction. Patterns are functions of space: they are asked at the texels of the chart's plane, which is exact
for flat parts and a projection for round ones.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.geometry.charts import Chart, directions_of, shelve
from worldloom.geometry.io.images import srgb_from_linear
from worldloom.geometry.io.textured import Atlas, Node, TexturedMesh
from worldloom.synth.world import Material, Part, Pattern, World

_DENSEST = 200.0  # texels a metre; finer than any pattern needs
_SIDES = (2, 256)  # smallest and largest side of a chart in texels


@dataclass
class _Painted(Chart):
    """A chart with what is painted on it."""

    material: Material = field(kw_only=True)

    def points(self) -> Float[np.ndarray, "t 3"]:
        """The texels' places in the part's frame, row by row."""
        columns, rows = self.texels
        v, u = np.meshgrid(np.arange(rows) / max(rows - 1, 1), np.arange(columns) / max(columns - 1, 1), indexing="ij")
        points = np.empty((rows * columns, 3))
        points[:, self.axis // 2] = self.vertices[:, self.axis // 2].mean()
        points[:, self.plane] = self.low + np.stack([u.ravel(), v.ravel()], -1) * self.span
        return points


def bake(world: World, side: int = 2048) -> tuple[list[TexturedMesh], list[Node], Atlas]:
    """Meshes, nodes and the atlas of `side` x `side` texels of a world, for `save_textured_glb`.

    Things that share their parts share a mesh.
    """
    numbers: dict[int, int] = {}  # by identity of the tuple of parts
    kinds: list[tuple[Part, ...]] = []
    nodes = []
    for thing in world.things:
        number = numbers.setdefault(id(thing.parts), len(kinds))
        if number == len(kinds):
            kinds.append(thing.parts)
        nodes.append(Node(f"{thing.semantic} {thing.name}", number, thing.world_from_thing))
    charts = [[chart for part in parts for chart in _charts(part)] for parts in kinds]
    _pack([chart for own in charts for chart in own], side)
    atlas = _paint([chart for own in charts for chart in own], side)
    return [_mesh(own, side) for own in charts], nodes, atlas


def _charts(part: Part) -> list[_Painted]:
    vertices, faces = part.vertices.double().numpy(), part.faces.long().numpy()
    axis = directions_of(vertices, faces)
    charts = []
    for i in np.unique(axis):
        used, own = np.unique(faces[axis == i], return_inverse=True)
        charts.append(_Painted(int(i), own.reshape(-1, 3), vertices[used], material=part.material))
    return charts


def _pack(charts: list[_Painted], side: int) -> None:
    """Give every chart a rectangle: as many texels a metre as fit, in shelves from the tallest to the lowest."""
    order = sorted(charts, key=lambda chart: -float(chart.span[1]))
    density = _DENSEST
    while True:
        for chart in charts:
            chart.texels = (_SIDES[0], _SIDES[0])
            if chart.material.pattern is not None:
                u, v = (min(max(math.ceil(float(s) * density), _SIDES[0]), _SIDES[1]) for s in chart.span)
                chart.texels = (u, v)
        if shelve(order, (side, side)) is not None:
            return
        density *= 0.85
        if density < 1e-3:
            raise ValueError(f"{len(charts)} charts do not fit into {side} x {side} texels")


def _paint(charts: list[_Painted], side: int) -> Atlas:
    base, glow = np.zeros((side, side, 3), np.uint8), np.zeros((side, side, 3), np.uint8)
    rough, metal = np.full((side, side), 204, np.uint8), np.zeros((side, side), np.uint8)
    by_material: dict[int, list[_Painted]] = {}
    for chart in charts:
        by_material.setdefault(id(chart.material), []).append(chart)
    for own in by_material.values():
        material = own[0].material
        plain = _eight_bits(torch.tensor([material.colour, material.emission]).clamp(0, 1))
        colours = plain[:1] if material.pattern is None else _colours(material.pattern, own)
        start = 0
        for chart in own:
            (columns, rows), (x, y) = chart.texels, chart.corner
            at = (slice(y, y + rows), slice(x, x + columns))
            if material.pattern is None:
                base[at] = colours
            else:
                base[at] = colours[start : start + columns * rows].reshape(rows, columns, 3)
                start += columns * rows
            glow[at] = plain[1]
            rough[at], metal[at] = round(255 * material.roughness), round(255 * material.metallic)
    return Atlas(*(torch.from_numpy(image) for image in (base, rough, metal, glow)))


def _colours(pattern: Pattern, charts: list[_Painted]) -> UInt8[np.ndarray, "t 3"]:
    """The pattern at the texels of charts, chart by chart."""
    points = torch.from_numpy(np.concatenate([chart.points() for chart in charts])).float()
    axis = np.repeat([chart.axis for chart in charts], [chart.texels[0] * chart.texels[1] for chart in charts])
    normals = torch.cat([torch.eye(3), 0 - torch.eye(3)])[torch.from_numpy(axis // 2 + 3 * (axis % 2))]
    return _eight_bits(pattern(points, normals).clamp(0, 1))


def _eight_bits(linear: Float[Tensor, "t 3"]) -> UInt8[np.ndarray, "t 3"]:
    return (255 * srgb_from_linear(linear)).round().byte().numpy()


def _mesh(charts: list[_Painted], side: int) -> TexturedMesh:
    starts = np.cumsum([0, *(len(chart.vertices) for chart in charts[:-1])])
    return TexturedMesh(
        torch.from_numpy(np.concatenate([chart.vertices for chart in charts])).float(),
        torch.from_numpy(np.concatenate([chart.faces + s for chart, s in zip(charts, starts, strict=True)])),
        torch.from_numpy(np.concatenate([chart.uv((side, side)) for chart in charts])).float(),
    )
