"""The colours of a scene painted onto its mesh: charts, and for each texel the view that shows it best."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.charts import Chart, directions_of, shelve
from worldloom.geometry.gaussians import SH_C0, Gaussians
from worldloom.geometry.io.textured import Atlas, TexturedMesh
from worldloom.geometry.mesh import Mesh
from worldloom.geometry.rigid import apply
from worldloom.recon.mesh.depth_views import DepthViews

MAX_SIDE = 4096  # texels
MIN_SIDE = 256
MAX_CHART = 1024  # texels along a chart's side
GUTTER = 1  # texels around a chart that no other may use
TOLERANCE = 3.0  # voxels between a face and what a view sees there, for the view to show the face
CHOICES = 3  # views that are tried for each texel
_AT_ONCE = 1 << 21  # texels


def bake_colours(
    mesh: Mesh, views: DepthViews, gaussians: Gaussians, voxel_size: float, max_side: int = MAX_SIDE
) -> tuple[TexturedMesh, Atlas]:
    """The mesh cut into charts, and an atlas with what the views show of it.

    A texel is as wide as a pixel of the nearest view, or wider where the atlas would exceed `max_side`. Each face is
    painted by the view that shows it largest and least slanted; where something stands before it in that view, by the
    second or third best. What no view shows takes the colour of the nearest splat.

    Args:
        voxel_size: of the volume that the mesh came from: how far it may be from what the views see.
    """
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    charts, members = _charts(vertices, faces)
    size = _pack(charts, views, max_side)
    texel, face, points = _raster(charts, members, vertices, faces, size)
    colour = _paint(torch.from_numpy(points).float(), face, mesh, views, gaussians, voxel_size)
    image, known = np.zeros((size[0] * size[1], 3), np.uint8), np.zeros(size[0] * size[1], bool)
    image[texel], known[texel] = (255 * colour).round().byte().numpy(), True
    # Texels beside charts repeat the nearest one, for whoever interpolates or shrinks the image.
    rows, columns = np.asarray(
        distance_transform_edt(~known.reshape(size), return_distances=False, return_indices=True)
    )
    image = image.reshape(*size, 3)[rows, columns]
    starts = np.cumsum([0, *(len(chart.vertices) for chart in charts[:-1])])
    textured = TexturedMesh(
        torch.from_numpy(np.concatenate([chart.vertices for chart in charts])).float(),
        torch.from_numpy(np.concatenate([chart.faces + start for chart, start in zip(charts, starts, strict=True)])),
        torch.from_numpy(np.concatenate([chart.uv(size) for chart in charts])).float(),
    )
    return textured, Atlas.plain(torch.from_numpy(image))


def _charts(
    vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"]
) -> tuple[list[Chart], list[Int[np.ndarray, " _"]]]:
    """Charts of faces that look the same way and hang together, and the numbers of their faces."""
    axis = directions_of(vertices, faces)
    label = _connected(faces, axis)
    order = np.argsort(label, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    charts = []
    for own in members:
        used, local = np.unique(faces[own], return_inverse=True)
        charts.append(Chart(int(axis[own[0]]), local.reshape(-1, 3), vertices[used]))
    return charts, members


def _connected(faces: Int[np.ndarray, "m 3"], kind: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """A number for each set of faces of one kind that are joined by edges."""
    start, end = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    face = np.repeat(np.arange(len(faces)), 3)
    edge = (np.minimum(start, end) * (faces.max(initial=0) + 1) + np.maximum(start, end)) * 6 + kind[face]
    order = np.argsort(edge, kind="stable")
    same = edge[order][1:] == edge[order][:-1]
    a, b = face[order][:-1][same], face[order][1:][same]
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(faces), len(faces)))
    return connected_components(graph, directed=False)[1]


def _pack(charts: list[Chart], views: DepthViews, max_side: int) -> tuple[int, int]:
    """Give every chart its texels and its place; returns the (height, width) of the atlas."""
    eyes = KDTree(torch.unique(views.cameras.world_from_cam[:, :3, 3], dim=0).numpy())
    pixel = np.array([max(eyes.query(chart.vertices)[0].min(), 0.1) for chart in charts])  # metres
    pixel /= views.cameras.K[0, 0, 0].item()
    rows_wanted = np.array([chart.span[1] for chart in charts]) / pixel
    order = [charts[i] for i in np.argsort(-rows_wanted, kind="stable")]
    width, coarser = MIN_SIDE, 1.0
    while True:
        largest = min(MAX_CHART, width - 2 * GUTTER)
        for chart, size in zip(charts, pixel, strict=True):
            columns, rows = (min(math.ceil(span / (size * coarser)) + 2, largest) for span in chart.span)
            chart.texels = (columns + 2 * GUTTER, rows + 2 * GUTTER)
        height = shelve(order, (width, width))
        if height is not None:
            break
        if 2 * width <= max_side:
            width *= 2
        else:
            coarser *= 1.1
    for chart in charts:
        chart.corner = (chart.corner[0] + GUTTER, chart.corner[1] + GUTTER)
        chart.texels = (chart.texels[0] - 2 * GUTTER, chart.texels[1] - 2 * GUTTER)
    return height, width


def _raster(
    charts: list[Chart],
    members: list[Int[np.ndarray, " _"]],
    vertices: Float[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "m 3"],
    size: tuple[int, int],
) -> tuple[Int[np.ndarray, " t"], Int[np.ndarray, " t"], Float[np.ndarray, "t 3"]]:
    """Texels that lie in faces, row by row: their numbers, the numbers of the faces, and their places in the world."""
    place = np.concatenate([chart.place()[chart.faces] for chart in charts])  # m 3 2
    number = np.concatenate(members)
    low = np.maximum(np.ceil(place.min(1) - 0.5 - 1e-6), 0).astype(np.int64)
    high = np.floor(place.max(1) - 0.5 + 1e-6).astype(np.int64)
    spans = np.maximum(high - low + 1, 0)
    counts = spans.prod(1)
    texels, owners, places = [], [], []
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, (ends[first - 1] if first else 0) + _AT_ONCE)))
        which = np.repeat(np.arange(first, last), counts[first:last])
        before = ends[first:last] - counts[first:last] - (ends[first] - counts[first])
        within = np.arange(len(which)) - np.repeat(before, counts[first:last])
        column = low[which, 0] + within % spans[which, 0]
        row = low[which, 1] + within // spans[which, 0]
        weights = _barycentric(place[which], np.stack([column, row], -1) + 0.5)
        inside = weights.min(1) > -1e-6
        which, weights = number[which[inside]], weights[inside]
        texels.append(row[inside] * size[1] + column[inside])
        owners.append(which)
        places.append((vertices[faces[which]] * weights[..., None]).sum(1))
        first = last
    return np.concatenate(texels), np.concatenate(owners), np.concatenate(places)


def _barycentric(corners: Float[np.ndarray, "t 3 2"], points: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "t 3"]:
    """Weights of the corners; those of triangles without area are negative."""
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k].T for k in range(3))
    px, py = points.T
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    flat = np.abs(area) < 1e-12
    area = np.where(flat, 1, area)
    second = ((px - ax) * (cy - ay) - (cx - ax) * (py - ay)) / area
    third = ((bx - ax) * (py - ay) - (px - ax) * (by - ay)) / area
    weights = np.stack([1 - second - third, second, third], -1)
    weights[flat] = -1
    return weights


def _paint(
    points: Float[Tensor, "t 3"],
    face: Int[np.ndarray, " t"],
    mesh: Mesh,
    views: DepthViews,
    gaussians: Gaussians,
    voxel_size: float,
) -> Float[Tensor, "t 3"]:
    best = _best_views(mesh, views, voxel_size)[torch.from_numpy(face)]
    colour = torch.zeros(len(points), 3)
    open_ = torch.ones(len(points), dtype=torch.bool)
    for choice in range(best.shape[1]):
        for i in range(len(views)):
            at = (open_ & (best[:, choice] == i)).nonzero()[:, 0]
            if len(at):
                seen, pixel = _seen(points[at], views, i, voxel_size)
                height, width = views.cameras.size
                grid = pixel[seen] / torch.tensor([width, height]) * 2 - 1
                sampled = torch.nn.functional.grid_sample(
                    views.rgb[i][None], grid[None, None], padding_mode="border", align_corners=False
                )
                colour[at[seen]] = sampled[0, :, 0].T
                open_[at[seen]] = False
    rest = open_.nonzero()[:, 0]
    if len(rest):
        _, nearest = KDTree(gaussians.means.numpy()).query(points[rest].numpy())
        colour[rest] = (0.5 + SH_C0 * gaussians.sh[torch.from_numpy(nearest), 0]).clamp(0, 1)
    return colour


def _best_views(mesh: Mesh, views: DepthViews, voxel_size: float) -> Int[Tensor, "m c"]:
    """For each face the views that show its middle, the best first; -1 where there are no more."""
    corners = mesh.vertices[mesh.faces]
    middle = corners.mean(1)
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = torch.nn.functional.normalize(normal, dim=-1, eps=1e-12)
    scores = []
    for i in range(len(views)):
        seen, _ = _seen(middle, views, i, voxel_size)
        towards = views.cameras.world_from_cam[i, :3, 3] - middle
        distance = towards.norm(dim=-1).clamp(min=1e-3)
        cosine = (normal * towards).sum(-1) / distance
        # A view that does not show the middle may show a part, but only after those that do.
        scores.append(cosine.clamp(min=1e-3) / distance.square() * torch.where(seen, 1.0, 1e-6))
    order = torch.stack(scores, -1).argsort(dim=-1, descending=True, stable=True)
    return order[:, :CHOICES]


def _seen(
    points: Float[Tensor, "n 3"], views: DepthViews, i: int, voxel_size: float
) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n 2"]]:
    """Whether view i shows the surface at each point, and (u, v) where it would."""
    camera = views.cameras[i]
    height, width = camera.size
    local = apply(camera.cam_from_world, points)
    uvz = local @ camera.K.T
    pixel = uvz[:, :2] / uvz[:, 2:].clamp(min=1e-6)
    inside = (uvz[:, 2] > 1e-3) & ((pixel >= 0) & (pixel < torch.tensor([width, height]))).all(-1)
    column, row = torch.where(inside[:, None], pixel, 0).long().unbind(-1)
    plane = views.plane[i][:, row, column].T
    off = (1 - (plane * (points - camera.world_from_cam[:3, 3])).sum(-1)).abs() / plane.norm(dim=-1).clamp(min=1e-9)
    near = (local[:, 2] - views.depth[i, row, column]).abs() < 4 * TOLERANCE * voxel_size
    return inside & views.valid[i, row, column] & (off < TOLERANCE * voxel_size) & near, pixel
