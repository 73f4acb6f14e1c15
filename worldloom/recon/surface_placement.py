"""Do splats stand where the world's surfaces are? Asked of frames whose true depth is known."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.rigid import apply
from worldloom.recon.frame_consistency import Frames
from worldloom.render.render import render

SOLID = 0.5  # opacity below which a pixel is a hole
CLEARLY = 1.25  # times the depth, or one part in as many: what is off by more stands elsewhere
NEAR = 0.05  # of a true place's distance from the centre: how near to it something must be shown
CELL = 0.1  # metres: true surface counts once in each such cell, however many frames see it


@dataclass(frozen=True)
class Placement:
    """What splats show along a path, against the truth. Counts and sums, so that several scenes add up."""

    num_pixels: int = 0  # of true surface
    num_holes: int = 0
    opacity: float = 0.0  # of splats where the truth has a surface, summed over pixels
    opacity_before: float = 0.0  # of those nearer than the true depth over CLEARLY
    opacity_behind: float = 0.0  # of those farther than CLEARLY times the true depth
    num_cells: int = 0  # of true surface
    num_covered: int = 0

    def __add__(self, other: "Placement") -> "Placement":
        return Placement(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> dict[str, float]:
        """Shares from 0 to 1; NaN where nothing was asked."""
        return {
            "holes": _share(self.num_holes, self.num_pixels),
            "before": _share(self.opacity_before, self.opacity),
            "behind": _share(self.opacity_behind, self.opacity),
            "coverage": _share(self.num_covered, self.num_cells),
        }


def placement(
    gaussians: Gaussians, truth: Frames, centre: Float[Tensor, "3"], reach: float
) -> tuple[Placement, Frames]:
    """Holes, splats that float before the true surface or lie behind it, and coverage; and the frames that tell.

    Floating and lying behind are asked of each splat by the true depth of the pixel that its middle is seen in, and
    weigh as much as it shows. Holes and coverage keep company with them: no splats, no floaters.

    Args:
        truth: what the same cameras truly see.
        centre: the place that NEAR is counted from: the distance of a surface is as uncertain as it is large.
        reach: metres from `centre` beyond which surfaces do not count for coverage.
    """
    rgb, depth, solid = torch.empty_like(truth.rgb), torch.empty_like(truth.depth), torch.empty_like(truth.solid)
    total = Placement()
    for i in range(len(truth)):
        drawn = render(gaussians, truth.cameras[i], features=_where(gaussians, truth, i))
        assert drawn.features is not None
        rgb[i], depth[i], solid[i] = drawn.rgb.clamp(0, 1), drawn.median_depth, drawn.median_valid
        asked = truth.solid[i]
        opacity = drawn.features[:, asked].double().sum(-1).tolist()
        holes = int((drawn.alpha[asked] < SOLID).sum())
        total = total + Placement(int(asked.sum()), holes, *opacity)
    shown = Frames(truth.cameras, rgb, depth, solid)
    true_places = _one_in_each_cell(_within(truth, centre, reach))
    near = NEAR * (true_places - centre).norm(dim=-1)
    covered = near_any(true_places, _within(shown, centre, (1 + NEAR) * reach), near)
    return total + Placement(num_cells=len(covered), num_covered=int(covered.sum())), shown


def near_any(points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"], near: float | Tensor) -> Tensor:
    """Whether each point has one of the others within `near` metres (one number, or one for each)."""
    if not len(points) or not len(others):
        return torch.zeros(len(points), dtype=torch.bool)
    farthest = float(torch.as_tensor(near).max())
    apart, _ = KDTree(others.numpy()).query(points.numpy(), distance_upper_bound=farthest)
    return torch.from_numpy(apart) < near


def _where(gaussians: Gaussians, truth: Frames, frame: int) -> Float[Tensor, "n 3"]:
    """Of each splat, as 0 or 1: whether a true surface is seen behind or before it, and which of the two, clearly."""
    camera = truth.cameras[frame]
    points = apply(camera.cam_from_world, gaussians.means)
    z = points[:, 2].clamp(min=1e-6)
    u, v = ((points @ camera.K.mT)[:, :2] / z[:, None]).floor().long().unbind(-1)
    height, width = camera.size
    inside = (points[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = u.clamp(0, width - 1), v.clamp(0, height - 1)
    known, depth = inside & truth.solid[frame, v, u], truth.depth[frame, v, u]
    return torch.stack([known, known & (CLEARLY * z < depth), known & (z > CLEARLY * depth)], -1).float()


def _within(frames: Frames, centre: Float[Tensor, "3"], reach: float) -> Float[Tensor, "n 3"]:
    points = frames.points()[frames.solid]
    return points[(points - centre).norm(dim=-1) < reach]


def _one_in_each_cell(points: Float[Tensor, "n 3"]) -> Float[Tensor, "m 3"]:
    _, first = np.unique((points / CELL).floor().long().numpy(), axis=0, return_index=True)
    return points[torch.from_numpy(first)]


def _share(part: float | int, whole: float | int) -> float:
    return part / whole if whole else float("nan")
