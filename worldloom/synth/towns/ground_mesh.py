"""The ground of a town as triangles: sloped, with kerbs, painted and paved from its raster."""

from collections.abc import Callable

import numpy as np
import shapely
import torch
from jaxtyping import Float, Int
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from worldloom.synth.noise import hash01, noise
from worldloom.synth.towns.ground import DRIVEABLE, KERB, OTHER_FLAT, PAINTS, SIDEWALK, Ground
from worldloom.synth.world import Colour, Material, Part, Pattern, Thing

_TILE = 4.0  # metres: flat enough for the waves of the relief, whose height is missed by less than 5 mm


def ground_thing(ground: Ground, low: BaseGeometry, seed: int) -> Thing:
    """The ground as one thing: `low` is the area at the height of carriageways, all else is raised by a kerb."""
    road = Material("carriageway", (0.09, 0.09, 0.09), ground_pattern(ground, seed, raised=False), roughness=0.95)
    upper = Material("raised ground", (0.2, 0.2, 0.16), ground_pattern(ground, seed, raised=True), roughness=0.95)
    below, above, walls = _tiles(ground, low)
    kerb = Material("kerb stone", (0.36, 0.35, 0.33), roughness=0.9)
    parts = [
        Part(*_lifted(below, ground, 0.0), road),
        Part(*_lifted(above, ground, KERB), upper),
        Part(*_kerbs(walls, ground), kerb),
    ]
    return Thing(
        "ground", "terrain", tuple(part for part in parts if len(part.faces)), semantic_at=_semantic_at(ground)
    )


def _semantic_at(ground: Ground) -> Callable[[Float[Tensor, "n 3"]], Int[Tensor, " n"]]:
    def semantic_at(points: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
        return ground.label_at(points[:, :2])

    return semantic_at


def _tiles(ground: Ground, low: BaseGeometry) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Triangles (m, 3, 2) at carriageway height and of raised ground, and the kerbs as lines (p, 2)."""
    sheet = ground.sheet
    count = [int(np.ceil(sheet.shape[k] * sheet.cell / _TILE)) for k in (0, 1)]
    x, y = (sheet.origin[k] + _TILE * np.arange(count[k] + 1) for k in (0, 1))
    i, j = (index.ravel() for index in np.meshgrid(np.arange(count[0]), np.arange(count[1]), indexing="ij"))
    boxes = shapely.box(x[i], y[j], x[i + 1], y[j + 1])
    shapely.prepare(low)
    touching = shapely.intersects(low, boxes)
    inside = shapely.contains_properly(low, boxes)
    quads = np.stack([np.stack([x[i + a], y[j + b]], -1) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))], 1)

    def halves(which: np.ndarray) -> np.ndarray:
        return np.concatenate([quads[which][:, [0, 1, 2]], quads[which][:, [0, 2, 3]]])

    below, above = [halves(inside)], [halves(~touching)]
    # Tiles on the border are cut exactly; first into strips, so that each cut looks at few corners only.
    border = np.flatnonzero(touching & ~inside)
    pieces = np.empty(len(border), dtype=object)
    xs, ys = x.tolist(), y.tolist()
    strips = {row: shapely.clip_by_rect(low, xs[row], ys[0], xs[row + 1], ys[-1]) for row in set(i[border].tolist())}
    for k, (row, column) in enumerate(zip(i[border].tolist(), j[border].tolist(), strict=True)):
        pieces[k] = shapely.clip_by_rect(strips[row], xs[row], ys[column], xs[row + 1], ys[column + 1])
    below.append(_triangles(pieces))
    above.append(_triangles(shapely.difference(boxes[border], pieces)))
    walls = [
        shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(shapely.orient_polygons(low)))
    ]
    return below, above, walls


def _triangles(areas: np.ndarray) -> np.ndarray:
    parts = shapely.get_parts(shapely.get_parts(areas))
    parts = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 1e-4)]
    cut = shapely.get_parts(shapely.constrained_delaunay_triangles(parts))
    corners = shapely.get_coordinates(shapely.orient_polygons(cut)).reshape(-1, 4, 2)[:, :3]
    edges = np.diff(corners, axis=1)
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    return corners[area > 1e-6]


def _lifted(triangles: list[np.ndarray], ground: Ground, lift: float) -> tuple[Tensor, Tensor]:
    """Vertices and faces on the relief; corners in the same place are one vertex."""
    corners = np.concatenate(triangles).reshape(-1, 2)
    unique, inverse = np.unique(np.round(corners, 4), axis=0, return_inverse=True)
    xy = torch.from_numpy(unique)
    vertices = torch.cat([xy, (ground.relief.height(xy) + lift)[:, None]], -1).float()
    return vertices, torch.from_numpy(inverse.reshape(-1, 3).astype(np.int32))


def _kerbs(lines: list[np.ndarray], ground: Ground) -> tuple[Tensor, Tensor]:
    """Upright faces along the borders of the low area, seen from its inside; it lies to the left of each line."""
    a = np.concatenate(
        [shapely.get_coordinates(shapely.segmentize(shapely.LineString(line), _TILE))[:-1] for line in lines]
    )
    b = np.concatenate(
        [shapely.get_coordinates(shapely.segmentize(shapely.LineString(line), _TILE))[1:] for line in lines]
    )
    xy = torch.from_numpy(np.stack([a, b, b, a], 1))
    z = ground.relief.height(xy) + torch.tensor([0.0, 0.0, KERB, KERB], dtype=torch.float64)
    vertices = torch.cat([xy, z[..., None]], -1).reshape(-1, 3).float()
    first = 4 * torch.arange(len(a), dtype=torch.int32)[:, None]
    faces = torch.cat([first + torch.tensor([0, 2, 1]), first + torch.tensor([0, 3, 2])]).int()
    return vertices, faces


def ground_pattern(ground: Ground, seed: int, raised: bool) -> Pattern:
    """Asphalt, paving, lawn and earth where the raster says so, with what is painted on them, worn here and there.

    The mesh has exact edges and the raster has not: `raised` says on which side of the kerb the pattern is seen.
    """
    rng = np.random.default_rng((seed, 0x6A55))
    grey = float(rng.uniform(0.05, 0.11))
    asphalt, patched = (grey, grey, grey * 1.04), (grey * 0.62, grey * 0.62, grey * 0.64)
    light = float(rng.uniform(0.24, 0.36))
    stone = (light, 0.97 * light, 0.92 * light)
    bike = ((0.26, 0.07, 0.05), (0.06, 0.2, 0.1), (0.07, 0.12, 0.26))[int(rng.integers(3))]
    colours: dict[str, Colour] = {
        "white": (0.62, 0.62, 0.6),
        "yellow": (0.62, 0.4, 0.05),
        "kerb": (0.38, 0.37, 0.35),
        "bike": bike,
        "dirt": (0.2, 0.13, 0.08),
    }
    size = float(rng.choice([0.4, 0.5, 0.75]))

    def pattern(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        xy = points[:, :2]
        flat = torch.cat([xy, torch.zeros_like(xy[:, :1])], -1).float()
        broad, fine = noise(flat * 0.11, seed, 3), noise(flat * 9.0, seed + 1, 2)
        label = ground.smooth_label_at(xy)

        def colour(rgb: Colour, strength: float = 0.3) -> Float[Tensor, "n 3"]:
            shade = 1 + strength * (2 * broad - 1) + 0.5 * strength * (2 * fine - 1)
            return flat.new_tensor(rgb) * shade[:, None]

        meadow = torch.lerp(
            colour((0.09, 0.15, 0.03)), colour((0.17, 0.17, 0.06)), (2.2 * broad - 0.7).clamp(0, 1)[:, None]
        )
        meadow = meadow * (0.55 + 0.9 * noise(flat * 23.0, seed + 2, 2))[:, None]
        dark = (3 * noise(flat * 0.06, seed + 3, 2) - 1.2).clamp(0, 1)
        road = torch.lerp(colour(asphalt, 0.35), colour(patched, 0.3), dark[:, None])
        slab = torch.floor(flat[:, :2] / size).long()
        joint = ((flat[:, :2] / size) % 1).minimum(1 - (flat[:, :2] / size) % 1).amin(-1) < 0.02
        paved = colour(stone, 0.15) * (0.86 + 0.28 * hash01(slab, seed))[:, None]
        paved = torch.where(joint[:, None], paved * 0.55, paved)
        if not raised:
            seen = {name: colour(colours[name], 0.2) for name in ("white", "yellow", "bike", "dirt")}
            worn = (noise(flat * 2.5, seed + 4, 3) < 0.68).float()
            return _painted(road, seen, ground.paint_shares_at(xy), worn)
        result = torch.where((label == SIDEWALK)[:, None], paved, meadow)
        result = torch.where((label == OTHER_FLAT)[:, None], colour((0.2, 0.19, 0.18), 0.25), result)
        edge = colour(colours["kerb"], 0.2)
        result = torch.where((label == DRIVEABLE)[:, None], edge, result)
        return _painted(result, {"kerb": edge}, ground.paint_shares_at(xy), torch.ones(len(xy)))

    return pattern


def _painted(
    under: Float[Tensor, "n 3"],
    colours: dict[str, Float[Tensor, "n 3"]],
    shares: Float[Tensor, "n k"],
    worn: Float[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Paint over the ground, with sharp edges; lines are `worn` off where that is 0.

    Paint of the other side of the kerb is not seen, and must leave no gap.
    """
    seen = torch.stack([shares[:, PAINTS.index(name)] for name in colours])  # k n
    hidden = shares.sum(-1) - seen.sum(0)
    seen = seen / (1 - hidden).clamp(min=0.05)
    seen = torch.stack(
        [share * worn if name in ("white", "yellow") else share for name, share in zip(colours, seen, strict=True)]
    )
    strength = seen**3 / (seen**3).sum(0).clamp(min=1e-9)
    paint = (strength[..., None] * torch.stack(list(colours.values()))).sum(0)
    return torch.lerp(under, paint, ((seen.sum(0) - 0.2) / 0.6).clamp(0, 1)[:, None]).clamp(0.004, 0.95)
