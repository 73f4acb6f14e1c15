"""Occupancy from above: the highest voxel of each column in its class colour, x (ahead) up and y (left) to the left."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry import FREE, VoxelGrid
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS

EMPTY = (0.95, 0.955, 0.965)  # columns without a voxel
# Relief: how light changes per voxel of rise towards the light (ahead and to the left), and its bounds.
RELIEF, DARKEST, BRIGHTEST = 0.09, 0.62, 1.12
LOW, HIGH = 0.86, 1.0  # light at the bottom and at the top of the grid
EGO_BOX = (-1.0, 3.1, -0.95, 0.95)  # rear, front, right, left of the ego's origin at its rear axle, metres
EGO_COLOUR, OUTLINE = (1.0, 1.0, 1.0), (0.1, 0.1, 0.12)
RECOVERED_COLOUR = (1.0, 0.9, 0.0)


def render_bev(
    labels: UInt8[Tensor, "x y z"],
    grid: VoxelGrid,
    size: tuple[int, int] | None = None,
    *,
    path: Float[Tensor, "l 2"] | None = None,
    recovered: Float[Tensor, "m 2"] | None = None,
    ego: bool = True,
    observed: Bool[Tensor, "x y z"] | None = None,
    colours: Float[Tensor, "classes 3"] = OCC3D_COLOURS,
    free: int = FREE,
) -> Float[Tensor, "3 h w"]:
    """One frame as a map, lit from ahead and left so that heights read.

    Args:
        size: (height, width) in pixels; four pixels for each voxel if not given. The grid fills the image.
        path: points (x, y) in the ego frame to draw as a line, metres: where the ego is to drive.
        recovered: another line within it: where the world has moved as if it had driven.
        ego: draw the ego vehicle at the origin.
        observed: columns of which nothing was observed are dimmed.
    """
    if tuple(labels.shape) != grid.shape:
        raise ValueError(f"labels must have the grid's shape {grid.shape}, got {tuple(labels.shape)}")
    height, width = size or (4 * grid.shape[0], 4 * grid.shape[1])
    columns = _column_colours(labels, colours.to(labels.device), free)
    if observed is not None:
        columns = torch.where(observed.any(-1)[..., None], columns, 0.75 * columns + 0.1)
    # Metres at pixel centres: x falls down the rows, y falls along the columns.
    extent = [n * grid.voxel_size for n in grid.shape[:2]]
    x = grid.origin[0] + extent[0] * (1 - (torch.arange(height, device=labels.device) + 0.5) / height)
    y = grid.origin[1] + extent[1] * (1 - (torch.arange(width, device=labels.device) + 0.5) / width)
    i = ((x - grid.origin[0]) / grid.voxel_size).long().clamp(0, grid.shape[0] - 1)
    j = ((y - grid.origin[1]) / grid.voxel_size).long().clamp(0, grid.shape[1] - 1)
    image = columns[i][:, j].permute(2, 0, 1)
    places = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1)
    pixel = max(extent[0] / height, extent[1] / width)
    if path is not None and len(path) > 1:
        gap = _distance_to_line(places, path.to(places), reach=0.45 + pixel)
        image = _paint(image, gap - 0.45, EGO_COLOUR, pixel)
        image = _paint(image, gap - 0.25, OUTLINE, pixel)
    if recovered is not None and len(recovered) > 1:
        image = _paint(
            image, _distance_to_line(places, recovered.to(places), 0.2 + pixel) - 0.2, RECOVERED_COLOUR, pixel
        )
    if ego:
        rear, front, right, left = EGO_BOX
        image = _paint(image, _distance_to_box(places, (rear, front, right, left)) - 0.2, OUTLINE, pixel)
        image = _paint(image, _distance_to_box(places, (rear, front, right, left)), EGO_COLOUR, pixel)
        image = _paint(
            image, _distance_to_box(places, (1.0, 1.7, right + 0.2, left - 0.2)), OUTLINE, pixel
        )  # windscreen
    return image


def _column_colours(
    labels: UInt8[Tensor, "x y z"], colours: Float[Tensor, "classes 3"], free: int
) -> Float[Tensor, "x y 3"]:
    """Colour of the highest voxel that is not free, by height and relief; EMPTY where there is none."""
    occupied = labels != free
    if occupied.any() and int(labels[occupied].max()) >= len(colours):
        raise ValueError(f"need a colour for label {int(labels[occupied].max())}, got {len(colours)} colours")
    depth = labels.shape[2]
    top = (occupied * torch.arange(1, depth + 1, device=labels.device)).amax(-1)  # 0: empty
    label = labels.gather(2, (top - 1).clamp(min=0)[..., None])[..., 0]
    rise = torch.nn.functional.pad(top[None, None].float(), (1, 1, 1, 1), mode="replicate")[0, 0]
    # A face that looks ahead and left is bright: the column in front of it (greater x, greater y) is lower.
    slope = rise[:-2, 1:-1] - rise[2:, 1:-1] + rise[1:-1, :-2] - rise[1:-1, 2:]
    light = LOW + (HIGH - LOW) * top / depth
    light = (light * (1 + RELIEF * slope)).clamp(DARKEST, BRIGHTEST)
    shaded = (colours[label.clamp(max=len(colours) - 1).long()] * light[..., None]).clamp(0, 1)
    return torch.where((top > 0)[..., None], shaded, shaded.new_tensor(EMPTY))


def _paint(
    image: Float[Tensor, "3 h w"], distance: Float[Tensor, "h w"], colour: tuple[float, float, float], pixel: float
) -> Float[Tensor, "3 h w"]:
    """Cover where the signed distance is negative, with an edge one pixel wide."""
    cover = (0.5 - distance / pixel).clamp(0, 1)
    return image + cover * (image.new_tensor(colour)[:, None, None] - image)


def _distance_to_line(
    places: Float[Tensor, "h w 2"], points: Float[Tensor, "l 2"], reach: float
) -> Float[Tensor, "h w"]:
    """Metres to the nearest point of a polyline, infinite beyond `reach`."""
    nearest = places.new_full(places.shape[:2], torch.inf)
    for start, end in pairwise(points):
        low, high = torch.minimum(start, end) - reach, torch.maximum(start, end) + reach
        rows = ((places[:, 0, 0] > low[0]) & (places[:, 0, 0] < high[0])).nonzero()[:, 0]
        columns = ((places[0, :, 1] > low[1]) & (places[0, :, 1] < high[1])).nonzero()[:, 0]
        if len(rows) and len(columns):
            window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
            along, offset = end - start, places[window] - start
            share = (offset @ along / (along @ along).clamp(min=1e-12)).clamp(0, 1)
            nearest[window] = torch.minimum(nearest[window], (offset - share[..., None] * along).norm(dim=-1))
    return nearest


def _distance_to_box(places: Float[Tensor, "h w 2"], box: tuple[float, float, float, float]) -> Float[Tensor, "h w"]:
    """Signed metres to an axis-aligned box (x low, x high, y low, y high); negative inside."""
    low, high = places.new_tensor([box[0], box[2]]), places.new_tensor([box[1], box[3]])
    out = (places - (low + high) / 2).abs() - (high - low) / 2
    return out.clamp(min=0).norm(dim=-1) + out.amax(-1).clamp(max=0)
