"""Procedural patterns as one texture atlas, so that other programs see the worlds in colour.

Every part is cut into at most six charts, one for each direction its faces look to most, and each chart is projected
along that direction. Patterns are functions of space: they are asked at the texels of the chart's plane, which is exact
for flat parts and a projection for round ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from worldloom.geometry.io.images import srgb_from_linear
from worldloom.geometry.io.textured import Atlas, Node, TexturedMesh
from worldloom.synth.world import Material, Part, Pattern, World

_DENSEST = 200.0  # texels a metre; finer than any pattern needs
_SIDES = (2, 256)  # smallest and largest side of a chart in texels


@dataclass
class _Chart:
    """Faces of one part that look the same way, and their rectangle in the atlas."""

    material: Material
    axis: int  # 0..5: +x -x +y -y +z -z
    faces: Int[np.ndarray, "m 3"]  # into `vertices`
    vertices: Float[np.ndarray, "n 3"]
    low: Float[np.ndarray, "2"]  # metres, of the rectangle
    span: Float[np.ndarray, "2"]
    texels: tuple[int, int] = (2, 2)  # columns, rows
    corner: tuple[int, int] = (0, 0)

    @property
    def plane(self) -> tuple[int, int]:
        return ((1, 2), (0, 2), (0, 1))[self.axis // 2]

    def uv(self, side: int) -> Float[np.ndarray, "n 2"]:
        """Edges lie on the middles of the outermost texels, so that no neighbour bleeds in."""
        share = (self.vertices[:, self.plane] - self.low) / np.maximum(self.span, 1e-9)
        return (np.array(self.corner) + 0.5 + share * (np.array(self.texels) - 1)) / side

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


def _charts(part: Part) -> list[_Chart]:
    vertices, faces = part.vertices.double().numpy(), part.faces.long().numpy()
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    largest = np.abs(normals).argmax(1)
    axis = 2 * largest + (normals[np.arange(len(normals)), largest] < 0)
    charts = []
    for i in np.unique(axis):
        used, own = np.unique(faces[axis == i], return_inverse=True)
        corners = vertices[used]
        chart = _Chart(part.material, int(i), own.reshape(-1, 3), corners, np.zeros(2), np.zeros(2))
        chart.low = corners[:, chart.plane].min(0)
        chart.span = corners[:, chart.plane].max(0) - chart.low
        charts.append(chart)
    return charts


def _pack(charts: list[_Chart], side: int) -> None:
    """Give every chart a rectangle: as many texels a metre as fit, in shelves from the tallest to the lowest."""
    order = sorted(range(len(charts)), key=lambda i: -float(charts[i].span[1]))
    density = _DENSEST
    while not _shelve([charts[i] for i in order], side, density):
        density *= 0.85
        if density < 1e-3:
            raise ValueError(f"{len(charts)} charts do not fit into {side} x {side} texels")


def _shelve(charts: list[_Chart], side: int, density: float) -> bool:
    x = y = height = 0
    for chart in charts:
        sides = (_SIDES[0], _SIDES[0])
        if chart.material.pattern is not None:
            u, v = (min(max(math.ceil(float(s) * density), _SIDES[0]), _SIDES[1]) for s in chart.span)
            sides = (u, v)
        if x + sides[0] > side:
            x, y, height = 0, y + height, 0
        chart.texels, chart.corner = sides, (x, y)
        x, height = x + sides[0], max(height, sides[1])
        if y + height > side:
            return False
    return True


def _paint(charts: list[_Chart], side: int) -> Atlas:
    base, glow = np.zeros((side, side, 3), np.uint8), np.zeros((side, side, 3), np.uint8)
    rough, metal = np.full((side, side), 204, np.uint8), np.zeros((side, side), np.uint8)
    by_material: dict[int, list[_Chart]] = {}
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


def _colours(pattern: Pattern, charts: list[_Chart]) -> UInt8[np.ndarray, "t 3"]:
    """The pattern at the texels of charts, chart by chart."""
    points = torch.from_numpy(np.concatenate([chart.points() for chart in charts])).float()
    axis = np.repeat([chart.axis for chart in charts], [chart.texels[0] * chart.texels[1] for chart in charts])
    normals = torch.cat([torch.eye(3), 0 - torch.eye(3)])[torch.from_numpy(axis // 2 + 3 * (axis % 2))]
    return _eight_bits(pattern(points, normals).clamp(0, 1))


def _eight_bits(linear: Float[Tensor, "t 3"]) -> UInt8[np.ndarray, "t 3"]:
    return (255 * srgb_from_linear(linear)).round().byte().numpy()


def _mesh(charts: list[_Chart], side: int) -> TexturedMesh:
    starts = np.cumsum([0, *(len(chart.vertices) for chart in charts[:-1])])
    return TexturedMesh(
        torch.from_numpy(np.concatenate([chart.vertices for chart in charts])).float(),
        torch.from_numpy(np.concatenate([chart.faces + s for chart, s in zip(charts, starts, strict=True)])),
        torch.from_numpy(np.concatenate([chart.uv(side) for chart in charts])).float(),
    )
