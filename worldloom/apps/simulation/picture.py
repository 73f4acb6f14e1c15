"""A drive as a picture: from behind the ego, and from above with its route."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Gaussians, transform_gaussians
from worldloom.occupancy.simulation.sensors import Look
from worldloom.render import chase_camera, gaussians_from_occupancy, render, render_bev
from worldloom.render.ego_marks import ego_splats
from worldloom.render.occupancy import SKY


def drive_picture(look: Look, height: int = 360) -> Float[Tensor, "3 h w"]:
    """Both views side by side, 16:9 and 1:1."""
    size = (height, 16 * height // 9 // 2 * 2)
    behind = render(world_splats(look), chase_camera(torch.eye(4), size), background=torch.tensor(SKY)).rgb
    voxels = look.occupancy
    above = render_bev(voxels.labels[0], voxels.grid, (height, height), path=look.route, observed=voxels.observed[0])
    return torch.cat([behind.clamp(0, 1), above.clamp(0, 1)], 2)


def world_splats(look: Look) -> Gaussians:
    """The voxels and the ego as splats, in the frame of the voxels."""
    voxels = look.occupancy
    around = gaussians_from_occupancy(voxels.labels[0], voxels.grid, detail=2)
    return Gaussians.cat([around, transform_gaussians(ego_splats(look.ground), torch.eye(4))])
