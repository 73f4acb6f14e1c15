"""Which other photos can tell depth in a photo: they look at the same things from a little aside."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import rays
from worldloom.geometry.rigid import apply

BEST_ANGLE = 0.17  # radians between the two lines of sight: less tells depth badly, more looks different
TOO_NARROW, TOO_WIDE = 0.06, 0.25  # widths of the falls on both sides of it
MIN_ANGLE = 0.005  # below it a pair says nothing
GRID = 12  # sample points along each side of a photo


def source_scores(cameras: Camera, depth: Float[Tensor, "v d g g"]) -> Float[Tensor, "v v"]:
    """How much photo j helps photo i: mean over points before i of how well j sees them; 0 on the diagonal.

    A point counts with exp(-(angle - BEST_ANGLE)^2 / (2 width^2)) of the angle between the lines of sight (as
    MVSNet's view selection, Yao et al. 2018), if it is before camera j and inside its picture.

    Args:
        depth: z at a grid of points of each photo (see `grid_rays`), d candidates each; NaN where unknown.
    """
    num, candidates = depth.shape[:2]
    height, width = cameras.size
    local = grid_rays(cameras)[:, None] * depth[..., None]
    eyes = cameras.world_from_cam[:, :3, 3]
    scores = depth.new_zeros(num, num)
    for i in range(num):
        points = apply(cameras.world_from_cam[i], local[i].reshape(-1, 3))
        ahead = apply(cameras.cam_from_world, points.expand(num, -1, -1))
        pixels = torch.einsum("vij,vnj->vni", cameras.K, ahead)
        z = ahead[..., 2]
        u, v = (pixels[..., axis] / z.clamp(min=1e-9) for axis in (0, 1))
        seen = (z > 1e-9) & (u > 0) & (u < width) & (v > 0) & (v < height)
        to_i = torch.nn.functional.normalize(points - eyes[i], dim=-1)
        to_j = torch.nn.functional.normalize(points - eyes[:, None], dim=-1)
        angle = torch.atan2(torch.linalg.cross(to_i.expand_as(to_j), to_j).norm(dim=-1), (to_i * to_j).sum(-1))
        fall = torch.where(angle < BEST_ANGLE, TOO_NARROW, TOO_WIDE)
        good = torch.exp(-((angle - BEST_ANGLE) ** 2) / (2 * fall**2)) * seen * (angle > MIN_ANGLE)
        known = points.isfinite().all(-1).float()
        scores[i] = torch.where(known > 0, good, 0).sum(1) / known.sum().clamp(min=1) * candidates
        scores[i, i] = 0
    return scores


def grid_rays(cameras: Camera) -> Float[Tensor, "v g g 3"]:
    """Rays (z = 1) through a regular grid of points of each photo."""
    height, width = cameras.size
    coarse = Camera(
        cameras.world_from_cam,
        cameras.K * cameras.K.new_tensor([GRID / width, GRID / height, 1.0])[:, None],
        (GRID, GRID),
    )
    return rays(coarse)


def guessed_depths(cameras: Camera, num: int = 8) -> Float[Tensor, "v d g g"]:
    """Depths to try where nothing is known: those at which neighbouring cameras are 0.7 to 20 degrees apart."""
    eyes = cameras.world_from_cam[:, :3, 3]
    apart = torch.cdist(eyes, eyes)
    apart.fill_diagonal_(torch.inf)
    nearest = apart.amin(1).clamp(max=apart[apart.isfinite()].max()) if len(eyes) > 1 else apart.new_ones(1)
    typical = nearest.median().clamp(min=1e-9)
    depths = typical * torch.logspace(0.45, 1.9, num)
    return depths[None, :, None, None].expand(len(eyes), num, GRID, GRID).clone()


def best_sources(scores: Float[Tensor, "v v"], num: int) -> list[Int[Tensor, " s"]]:
    """Up to `num` sources of each photo, the best first; those of no help are left out."""
    best = scores.topk(min(num, scores.shape[1]), dim=1)
    return [at[value > 1e-3] for value, at in zip(best.values, best.indices, strict=True)]
