"""Solid matter as convex hulls: fewer parts than boxes, and smooth where surfaces are slanted or round."""

import itertools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.spatial import ConvexHull

from worldloom.geometry.mesh import Mesh
from worldloom.recon.mesh.solid import Solid, signed_matter

TILE = 32  # voxels; no hull is wider
INTRUSION = 1.5  # voxels that a hull may reach into what is not matter
_SAMPLE = 4096  # places at which a hull is tried first
_AT_ONCE = 1 << 14  # places times planes of a hull that are looked at in one go, in hundreds


def hulls_from_solid(solid: Solid, intrusion: float = INTRUSION) -> list[Mesh]:
    """Convex meshes that together hold the middles of all voxels of matter that are not buried.

    The whole is cut in two, and its parts again, until the hull of each part reaches at most `intrusion` voxels into
    what is not matter. A cut goes where the cross-section of matter changes most from one layer to the next, as between
    a floor and the wall on it. Faces follow the surface of matter, each part along its own axes, so that the wall
    does not raise the floor at its foot. Where parts meet off the surface there may be slits of up to half a voxel,
    through which a ray can pass and hardly a body.
    """
    matter = solid.matter.numpy()
    around = ndimage.generate_binary_structure(3, 3)
    exposed = matter & np.logical_not(ndimage.binary_erosion(matter, around, border_value=1))
    away = np.asarray(ndimage.distance_transform_edt(~matter))
    faces = _face_places(solid)
    hulls: list[Mesh] = []
    starts = itertools.product(*(range(0, n, TILE) for n in matter.shape))
    todo: list[Box] = [(slice(x, x + TILE), slice(y, y + TILE), slice(z, z + TILE)) for x, y, z in starts]
    while todo:
        box = _tight(exposed, todo.pop())
        if box is None:
            continue
        mesh = _hull(exposed, away, faces, box, intrusion)
        if mesh is None:
            todo.extend(_cut(matter, exposed, box))
        else:
            size, origin = solid.grid.voxel_size, np.array(solid.grid.origin)
            vertices = torch.from_numpy(origin + mesh[0] * size).float()
            hulls.append(Mesh(vertices, torch.from_numpy(mesh[1])))
    return hulls


Box = tuple[slice, slice, slice]


def _face_places(solid: Solid) -> Float[np.ndarray, "6 x y z"]:
    """How far outside of a voxel's face the surface lies, in voxels; NaN where no surface is before it. The faces are
    those towards -x, +x, -y, +y, -z and +z; what is beyond the grid is no matter."""
    value = signed_matter(solid).numpy()
    places = np.full((6, *value.shape), np.nan, np.float32)
    for axis in range(3):
        lines, found = np.moveaxis(value, axis, 0), np.moveaxis(places, axis + 1, 1)
        for side, own, other in ((0, lines[1:], lines[:-1]), (1, lines[:-1], lines[1:])):
            target = found[2 * axis + side, 1:] if side == 0 else found[2 * axis + side, :-1]
            facing = (own < 0) & (other > 0)
            target[facing] = own[facing] / (own[facing] - other[facing]) - 0.5
    return places


def _tight(exposed: Bool[np.ndarray, "x y z"], box: Box) -> Box | None:
    found = ndimage.find_objects(exposed[box].astype(np.uint8))
    if not found or found[0] is None:
        return None
    x, y, z = (slice(b.start + f.start, b.start + f.stop) for b, f in zip(box, found[0], strict=True))
    return x, y, z


def _hull(
    exposed: Bool[np.ndarray, "x y z"],
    away: Float[np.ndarray, "x y z"],
    faces: Float[np.ndarray, "6 x y z"],
    box: Box,
    intrusion: float,
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]] | None:
    """Hull of the exposed voxels of a box, or None where it reaches too far into what is not matter."""
    start = np.array([side.start for side in box])
    points = _points(exposed[box], faces[:, *box]) + start
    hull = ConvexHull(points, qhull_options="QJ Pp")
    clear = np.argwhere(away[box] > intrusion) + start + 0.5
    if len(clear) > _SAMPLE and _holds_any(hull, clear[:: len(clear) // _SAMPLE]):
        return None
    if _holds_any(hull, clear):
        return None
    number = np.full(len(points), -1)
    number[hull.vertices] = np.arange(len(hull.vertices))
    triangles = number[hull.simplices]
    # Qhull leaves the order of corners open; its planes say where outside is.
    a, b, c = (points[hull.simplices[:, k]] for k in range(3))
    turned = (np.cross(b - a, c - a) * hull.equations[:, :3]).sum(1) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    return points[hull.vertices], triangles.astype(np.int64)


def _points(part: Bool[np.ndarray, "x y z"], faces: Float[np.ndarray, "6 x y z"]) -> Float[np.ndarray, "n 3"]:
    """Places, in voxels, that a part's hull is drawn around.

    Corners of voxels that are on the surface, moved along each axis by what the part's own faces there say; and the
    middles of voxels, so that what is buried has no say in where the surface is. Where the surface is before the
    outermost layer of the part, no corner reaches beyond it: under a wall a floor is as high as beside it.
    """
    total, count = (np.zeros((*(n + 1 for n in part.shape), 3)) for _ in range(2))
    for direction in range(6):
        axis, side = divmod(direction, 2)
        place = np.argwhere(part & np.isfinite(faces[direction]))
        shift = faces[(direction, *place.T)] * (1 if side else -1)
        for offset in itertools.product((0, 1), repeat=3):
            if offset[axis] == side:
                at = tuple((place + offset).T)
                np.add.at(total[..., axis], at, shift)
                np.add.at(count[..., axis], at, 1)
    corners = np.argwhere(count.any(-1))
    at = tuple(corners.T)
    points = np.concatenate([corners + total[at] / np.maximum(count[at], 1), np.argwhere(part) + 0.5])
    for direction in range(6):
        axis, side = divmod(direction, 2)
        layer = (-1 if side else 0,)
        outermost = np.moveaxis(np.where(part, faces[direction], np.nan), axis, 0)[layer]
        if np.isfinite(outermost).any():
            reach = np.nanmax(outermost)
            bound = (-np.inf, part.shape[axis] + reach) if side else (-reach, np.inf)
            points[:, axis] = np.clip(points[:, axis], *bound)
    return points


def _holds_any(hull: ConvexHull, places: Float[np.ndarray, "n 3"]) -> bool:
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        if (some @ hull.equations[:, :3].T + hull.equations[:, 3]).max(1).min(initial=1) < 0:
            return True
    return False


def _cut(matter: Bool[np.ndarray, "x y z"], exposed: Bool[np.ndarray, "x y z"], box: Box) -> list[Box]:
    """Two boxes, cut where the area of matter jumps most, and of equal jumps nearest to the middle."""
    inside = matter[box]
    best = (-1.0, 0, 0)
    for axis in range(3):
        length = inside.shape[axis]
        if length < 2:
            continue
        other = tuple(k for k in range(3) if k != axis)
        area = inside.sum(other).astype(float)
        jump = np.abs(np.diff(area)) / inside[tuple(slice(0, 1) if k == axis else slice(None) for k in range(3))].size
        middle = 1 - np.abs(np.arange(1, length) / length - 0.5)
        score = jump + 0.2 * middle * length / max(inside.shape)
        i = int(score.argmax())
        best = max(best, (float(score[i]), axis, box[axis].start + i + 1))
    _, axis, at = best
    low, high = list(box), list(box)
    low[axis], high[axis] = slice(box[axis].start, at), slice(at, box[axis].stop)
    return [(low[0], low[1], low[2]), (high[0], high[1], high[2])]
