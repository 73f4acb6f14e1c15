"""Which way is up in a world of photos."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.camera import Camera


def up_of(cameras: Camera) -> Float[Tensor, " 3"]:
    """The direction that cameras with batch (v,) hold upright, unit length.

    People hold a camera level and pitch it: its x axis is horizontal. Up is across all of them (the direction that
    their x axes have least of), on the side of the pictures' top; where the x axes tell no plane, the mean of the tops.
    """
    right, top = cameras.world_from_cam[:, :3, 0].double(), -cameras.world_from_cam[:, :3, 1].double()
    mean = F.normalize(top.sum(0), dim=0)
    values, axes = torch.linalg.eigh(right.T @ right)
    across = axes[:, 0] * torch.sign(axes[:, 0] @ mean)
    # A plane is told where the x axes spread in it, and up is not far from the tops.
    told = values[1] > 0.05 * values.sum() and across @ mean > 0.8
    return (across if told else mean).float()


def upright(cameras: Camera) -> Float[Tensor, "3 3"]:
    """The rotation that turns up to +z."""
    up = up_of(cameras)
    forward = cameras.world_from_cam[0, :3, 2]
    x = F.normalize(forward - (forward @ up) * up, dim=0)
    if not bool(x.isfinite().all()) or float(x.norm()) < 0.5:
        x = F.normalize(torch.linalg.cross(up, up.roll(1)), dim=0)
    return torch.stack([x, torch.linalg.cross(up, x), up])
