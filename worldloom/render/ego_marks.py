"""The ego car and its path as splats, to be drawn together with a world."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.geometry import GROUND, Gaussians, VoxelGrid, sh_from_rgb
from worldloom.render.occupancy import gaussians_from_occupancy

Rgb = tuple[float, float, float]
EGO_COLOUR: Rgb = (1.0, 1.0, 1.0)
PATH_COLOUR: Rgb = (1.0, 0.62, 0.0)
BODY = VoxelGrid((-0.95, -0.9, 0.0), 0.3, (15, 6, 5))  # 4.5 x 1.8 x 1.5 m; the origin of the ego frame is the rear axle
BEADS = 4  # of a path, in each metre


def ground_height(labels: UInt8[Tensor, "*batch x y z"], grid: VoxelGrid) -> float:
    """Top of the ground in the ego frame, metres: the middle value over all ground voxels; 0 where there are none.

    It is measured, not known: Occ3D's labels have the road in their lowest layer, 0.6 m below the nominal ground.
    """
    layers = torch.isin(labels, torch.tensor(GROUND, dtype=labels.dtype)).flatten(0, -2).sum(0)
    if layers.sum() == 0:
        return 0.0
    middle = int((layers.cumsum(0) >= (layers.sum() + 1) // 2).nonzero()[0])
    return grid.origin[2] + (middle + 1) * grid.voxel_size


def ego_splats(ground: float) -> Gaussians:
    """A car of the ego's size, with a cabin, in its own frame; it stands on `ground` (metres)."""
    body = VoxelGrid((*BODY.origin[:2], ground), BODY.voxel_size, BODY.shape)
    labels = torch.ones(body.shape, dtype=torch.uint8)
    labels[2:11, :, 3:] = 0
    labels[:, :, :3] = 0
    return gaussians_from_occupancy(labels, body, colours=torch.tensor([EGO_COLOUR]), free=1)


def path_splats(world_from_ego: Float[Tensor, "t 4 4"], ground: float, colour: Rgb = PATH_COLOUR) -> Gaussians:
    """A ribbon of flat beads through the ego poses, `ground` above the origins of their frames."""
    on_ground = world_from_ego @ world_from_ego.new_tensor([0, 0, ground + 0.08, 1])
    points = [on_ground[:1, :3]]
    for start, end in zip(on_ground[:-1, :3], on_ground[1:, :3], strict=True):
        num = max(1, round((end - start).norm().item() * BEADS))
        points.append(torch.lerp(start, end, (torch.arange(1, num + 1) / num).to(start)[:, None]))
    means = torch.cat(points)
    n = len(means)
    return Gaussians(
        means,
        means.new_tensor([1.0, 0, 0, 0]).expand(n, 4).clone(),
        means.new_tensor([0.16, 0.16, 0.03]).expand(n, 3).clone(),
        means.new_full((n,), 0.95),
        sh_from_rgb(means.new_tensor(colour).expand(n, 3)),
    )
