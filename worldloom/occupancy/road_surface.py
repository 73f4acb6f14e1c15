"""The road that the frames of a clip show, from above and in one frame: where one can drive."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, Occupancy
from worldloom.geometry.outline import outlines
from worldloom.geometry.rigid import apply, compose, invert, rotz, yaw_from_rotmat

_MARGIN = 2.0  # metres around all frames


@dataclass(frozen=True)
class RoadSurface:
    """Cells of a flat grid that lies in the world, turned as the first frame's ego."""

    mask: Bool[Tensor, "x y"]
    cell: float  # metres
    origin: tuple[float, float]  # corner of cell (0, 0) in the grid's frame
    world_from_grid: Float[Tensor, "4 4"]

    def at(self, places: Float[Tensor, "*n 2"]) -> Bool[Tensor, "*n"]:
        """Whether places of the world are road."""
        flat = torch.nn.functional.pad(places.double().reshape(-1, 2), (0, 1))
        inside = apply(invert(self.world_from_grid), flat)[:, :2] - torch.tensor(self.origin, dtype=torch.float64)
        cells = (inside / self.cell).floor().long()
        limits = torch.tensor(self.mask.shape)
        known = ((cells >= 0) & (cells < limits)).all(1)
        found = torch.zeros(len(flat), dtype=torch.bool)
        x, y = cells[known].T
        found[known] = self.mask[x, y]
        return found.reshape(places.shape[:-1])

    def edges(self, least: int = 8) -> list[Float[np.ndarray, "_ 2"]]:
        """Closed lines around the road in the world, those around fewer than `least` cells left out."""
        lines = []
        for loop in outlines(self.mask.numpy()):
            x, y = loop.T.astype(float)
            if abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 < least:
                continue
            points = torch.from_numpy(loop.astype(float)) * self.cell + torch.tensor(self.origin, dtype=torch.float64)
            world = apply(self.world_from_grid, torch.nn.functional.pad(points, (0, 1)))
            lines.append(world[:, :2].numpy())
        return lines


def road_surface(clip: Occupancy) -> RoadSurface:
    """All columns in which any frame of a clip t x y z has road."""
    size = clip.grid.voxel_size
    poses = clip.world_from_ego.double()
    yaw = yaw_from_rotmat(poses[0, :3, :3])
    flat = poses[0, :3, 3] * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    world_from_grid = compose(rotz(yaw), flat)
    reach = max(abs(low) + n * size for low, n in zip(clip.grid.origin[:2], clip.grid.shape[:2], strict=True)) / 2**0.5
    middles = apply(invert(world_from_grid), poses[:, :3, 3])[:, :2]
    low = ((middles.amin(0) - reach - _MARGIN) / size).floor()
    count = (((middles.amax(0) + reach + _MARGIN) / size).ceil() - low).long().tolist()
    axes = [(low[i] + torch.arange(count[i]) + 0.5) * size for i in range(2)]
    centres = torch.nn.functional.pad(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2), (0, 1))
    places = apply(world_from_grid, centres.double())
    mask = torch.zeros(len(places), dtype=torch.bool)
    for labels, pose in zip(clip.labels, poses, strict=True):
        road = (labels == DRIVEABLE).any(2)
        # A frame is tilted with its ego; at its own height a place is where the ego's plane is.
        level = places.clone()
        level[:, 2] = pose[2, 3]
        at = apply(invert(pose), level)[:, :2] - torch.tensor(clip.grid.origin[:2], dtype=torch.float64)
        cells = (at / size).floor().long()
        inside = ((cells >= 0) & (cells < torch.tensor(road.shape))).all(1)
        x, y = cells[inside].T
        mask[inside] |= road[x, y]
    x0, y0 = (low * size).tolist()
    return RoadSurface(mask.reshape(count), size, (x0, y0), world_from_grid)
