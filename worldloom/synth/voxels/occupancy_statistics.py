"""What labels look like in numbers, so that made ones can be held against genuine ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_COLOURS, OCC3D_GRID, VoxelGrid

RING = 5.0  # metres; the width of the rings of `radial`
NUM_RINGS = 8


@dataclass(frozen=True)
class OccupancyStatistics:
    """Figures of one frame."""

    occupied: int  # voxels that are not free
    classes: Float[Tensor, " c"]  # voxels of each class but free
    heights: Float[Tensor, " z"]  # occupied voxels of each layer, from below
    radial: Float[Tensor, " r"]  # occupied voxels per column, in rings of 5 m around the origin
    mask_lidar: float  # share of all voxels
    mask_camera: float
    free_known: int  # free voxels in the LiDAR's mask
    occupied_known: float  # share of occupied voxels in the LiDAR's mask
    components: Float[Tensor, " c"]  # connected pieces (26 neighbours) of each class
    component_size: Float[Tensor, " c"]  # median size of those with at least 8 voxels; NaN where there are none


# Genuine figures. First one label of Occ3D-nuScenes, of a road between woods (the label that the CVPR 2023 challenge on
# occupancy prediction gives as its example): counts only, nothing that the label could be made from again.
GENUINE_LABEL = OccupancyStatistics(
    occupied=39_092,
    classes=torch.tensor(
        [169.0, 82, 0, 974, 1_749, 0, 83, 0, 0, 0, 0, 8_433, 0, 2_610, 1_007, 5_286, 18_699],
    ),
    heights=torch.tensor(
        [11546.0, 2762, 1443, 1590, 1851, 1912, 2032, 2234, 2310, 2294, 2096, 1861, 1579, 1397, 1187, 998],
    ),
    radial=torch.tensor([1.8781, 2.3673, 1.4918, 1.2804, 1.0416, 1.0692, 0.9951, 0.7541]),
    mask_lidar=0.088439,
    mask_camera=0.067742,
    free_known=20_491,
    occupied_known=0.923718,
    components=torch.tensor([8.0, 2, 0, 7, 6, 0, 1, 0, 0, 0, 0, 60, 0, 43, 17, 159, 325]),
    component_size=torch.tensor(
        [20, 41, math.nan, 479.5, 269, math.nan, 83, *[math.nan] * 4, 56, math.nan, 14, 43, 32, 16.5],
    ),
)
# Then the average frame of the whole training split of Occ3D-nuScenes, 28,130 labels: the voxels of each class as they
# are counted in the published configurations of SuperOcc (with those that are free they make up 28,130 full grids).
_TRAINING_COUNTS = (
    *(2_082_349, 3_012_970, 234_046, 5_385_402, 34_146_494, 2_044_124, 325_765, 3_330_253, 543_815, 5_785_079),
    *(13_521_112, 198_278_651, 4_895_895, 56_540_471, 66_504_617, 227_803_562, 252_374_615),
)
TRAINING_AVERAGE = torch.tensor(_TRAINING_COUNTS) / 28_130


def occupancy_statistics(
    labels: UInt8[Tensor, "x y z"],
    mask_lidar: Bool[Tensor, "x y z"],
    mask_camera: Bool[Tensor, "x y z"],
    grid: VoxelGrid = OCC3D_GRID,
) -> OccupancyStatistics:
    """Figures of one frame with its masks.

    Raises:
        InputError: if labels or masks do not have the grid's shape.
    """
    shapes = [tuple(t.shape) for t in (labels, mask_lidar, mask_camera)]
    if any(shape != grid.shape for shape in shapes):
        raise InputError(f"expected labels and masks of shape {grid.shape}, got {shapes}")
    occupied = labels != FREE
    x, y = grid.centres()[:, :, 0, :2].unbind(-1)
    ring = (torch.hypot(x, y) / RING).long()
    columns = occupied.sum(-1).float()
    radial = torch.stack([columns[ring == r].mean() for r in range(NUM_RINGS)])
    components, size = zip(*(_pieces(labels == c) for c in range(FREE)), strict=True)
    total = int(occupied.sum())
    return OccupancyStatistics(
        total,
        torch.bincount(labels.flatten().long(), minlength=FREE + 1)[:FREE].float(),
        occupied.sum((0, 1)).float(),
        radial,
        float(mask_lidar.float().mean()),
        float(mask_camera.float().mean()),
        int((mask_lidar & ~occupied).sum()),
        float((mask_lidar & occupied).sum()) / max(total, 1),
        torch.tensor(components).float(),
        torch.tensor(size).float(),
    )


def statistics_table(
    reference: OccupancyStatistics,
    frames: Sequence[OccupancyStatistics],
    average: Float[Tensor, " c"] | None = None,
) -> str:
    """Markdown: each figure of the reference beside the mean and the range of those of frames.

    Args:
        average: voxels of each class but free in the average frame of a data set, for a column of their own.
    Raises:
        InputError: without frames.
    """
    if not frames:
        raise InputError("expected at least one frame to compare, got none")
    averages = {} if average is None else dict(zip(OCC3D_CLASSES, average.tolist(), strict=False))
    averages |= {} if average is None else {"occupied voxels": float(average.sum())}
    titles = ["figure", "reference", *(["data set"] if averages else []), "mean", "range"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, value, values in _rows(reference, frames):
        cells = [name, _short(value)] + ([_short(averages.get(name, math.nan))] if averages else [])
        known = [v for v in values if v == v]
        mean = sum(known) / len(known) if known else math.nan
        cells += [_short(mean), f"{_short(min(known))} … {_short(max(known))}" if known else "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def statistics_picture(reference: OccupancyStatistics, frames: Sequence[OccupancyStatistics]) -> Image.Image:
    """Bars: the reference in grey, the mean of frames in colour, their range as a line.

    Raises:
        InputError: without frames.
    """
    if not frames:
        raise InputError("expected at least one frame to compare, got none")
    rows = _rows(reference, frames)
    panels = {"voxels": rows[: 1 + FREE], "masks": rows[1 + FREE : 5 + FREE]}
    rest = rows[5 + FREE :]
    panels["layers"] = [row for row in rest if row[0].startswith("layer")]
    panels["rings"] = [row for row in rest if row[0].startswith("ring")]
    panels["pieces"] = [row for row in rest if row[0].startswith("pieces")]
    bar, gap, left, width = 11, 26, 190, 560
    # Two columns: voxels and masks on the left, the rest on the right.
    columns = [["voxels", "masks", "rings"], ["layers", "pieces"]]
    height = max(sum(len(panels[name]) * 2 * bar + 2 * gap for name in column) for column in columns)
    image = Image.new("RGB", (2 * width, height), "white")
    draw = ImageDraw.Draw(image)
    for column, names in enumerate(columns):
        top, start = gap // 2, column * width
        for name in names:
            draw.text((start + 8, top), f"{name}: grey = reference, colour = mean and range of frames", "black")
            top += gap
            known = [v for _, value, values in panels[name] for v in (value, *values) if v == v]
            longest = max([*known, 1e-9])
            scale = (width - left - 60) / longest
            for label, value, values in panels[name]:
                here = [v for v in values if v == v] or [0.0]
                mean = sum(here) / len(here)
                x = start + left
                draw.text((start + 8, top + 4), label, "black")
                draw.rectangle(
                    (x, top + 1, x + max(value, 0.0) * scale if value == value else x, top + bar - 2), "#999"
                )
                draw.rectangle((x, top + bar, x + mean * scale, top + 2 * bar - 4), _colour(label))
                middle = top + 1.5 * bar - 2
                draw.line((x + min(here) * scale, middle, x + max(here) * scale, middle), "black", 1)
                top += 2 * bar
            top += gap
    return image


def _rows(
    reference: OccupancyStatistics, frames: Sequence[OccupancyStatistics]
) -> list[tuple[str, float, list[float]]]:
    """(name, reference, frames) of every figure."""
    both = [reference, *frames]

    def row(name: str, values: list[float]) -> tuple[str, float, list[float]]:
        return name, values[0], values[1:]

    rows = [row("occupied voxels", [float(s.occupied) for s in both])]
    rows += [row(name, [float(s.classes[c]) for s in both]) for c, name in enumerate(OCC3D_CLASSES[:FREE])]
    rows.append(row("mask_lidar, share", [s.mask_lidar for s in both]))
    rows.append(row("mask_camera, share", [s.mask_camera for s in both]))
    rows.append(row("free known, share", [s.free_known / 640_000 for s in both]))
    rows.append(row("occupied known / 10", [s.occupied_known / 10 for s in both]))
    rows += [row(f"layer {z}", [float(s.heights[z]) for s in both]) for z in range(len(reference.heights))]
    rows += [
        row(f"ring {r * RING:.0f}-{(r + 1) * RING:.0f} m, voxels per column", [float(s.radial[r]) for s in both])
        for r in range(NUM_RINGS)
    ]
    rows += [
        row(f"pieces of {name}", [float(s.components[c]) for s in both]) for c, name in enumerate(OCC3D_CLASSES[:FREE])
    ]
    rows += [
        row(f"median piece of {name}", [float(s.component_size[c]) for s in both])
        for c, name in enumerate(OCC3D_CLASSES[:FREE])
    ]
    return rows


def _pieces(mask: Bool[Tensor, "x y z"]) -> tuple[int, float]:
    """How many connected pieces there are, and the median size of those that are not crumbs."""
    numbered, count = ndimage.label(mask.numpy(), np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
    sizes = np.bincount(numbered.ravel())[1:]
    large = sizes[sizes >= 8]
    return int(count), float(np.median(large)) if len(large) else float("nan")


def _short(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"


def _colour(label: str) -> tuple[int, int, int]:
    for number, name in enumerate(OCC3D_CLASSES[:FREE]):
        if label.endswith(name):
            r, g, b = (OCC3D_COLOURS[number] * 255).int().tolist()
            return r, g, b
    return 70, 110, 200
