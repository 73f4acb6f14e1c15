"""How far estimated cameras are from true ones, in whatever world and unit each of them is."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.rigid import compose, invert


def pair_errors(world_from_cam: Float[Tensor, "v 4 4"], truth: Float[Tensor, "v 4 4"]) -> Float[Tensor, " p"]:
    """Degrees, for each pair of cameras: the larger of the errors of their relative rotation and of its direction.

    Neither the world nor its unit matters. Cameras that were not found may be NaN: their pairs have infinite errors.
    """
    first, second = torch.triu_indices(len(truth), len(truth), 1).unbind()
    one, other = (invert(poses[first].double()) @ poses[second].double() for poses in (world_from_cam, truth))
    turn = one[:, :3, :3].mT @ other[:, :3, :3]
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    directions = (torch.nn.functional.normalize(pose[:, :3, 3], dim=-1) for pose in (one, other))
    along = torch.stack(tuple(directions)).prod(0).sum(-1)
    error = torch.maximum(*(angle.clamp(-1, 1).acos() for angle in (cosine, along))).rad2deg()
    return torch.where(error.isnan(), torch.inf, error)


def pose_auc(errors: Float[Tensor, " p"], threshold: float) -> float:
    """Area under the share of errors up to each angle, from 0 to `threshold` degrees, divided by it: exact."""
    return float((threshold - errors.double()).clamp(min=0).mean() / threshold)


@dataclass(frozen=True)
class Similarity:
    """x -> scale R x + t."""

    scale: float
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, " 3"]

    def poses(self, world_from_cam: Float[Tensor, "*v 4 4"]) -> Float[Tensor, "*v 4 4"]:
        """Cameras in the other world."""
        poses = world_from_cam.to(self.rotation)
        centres = self.scale * poses[..., :3, 3] @ self.rotation.mT + self.translation
        return compose(self.rotation @ poses[..., :3, :3], centres).to(world_from_cam)


def align_cameras(world_from_cam: Float[Tensor, "v 4 4"], truth: Float[Tensor, "v 4 4"]) -> Similarity:
    """The similarity that brings cameras to true ones with the least squares, after Umeyama (1991).

    Centres of cameras in a row leave a turn about it open, so the rotation is that of the cameras' axes: the mean of
    what each of them tells (Markley et al. 2007, by singular values). Scale and place are of the centres.

    Raises:
        ValueError: fewer than two cameras, or all in one place.
    """
    if len(truth) < 2:
        raise ValueError(f"expected at least two cameras to align, got {len(truth)}")
    mine, true = world_from_cam.double(), truth.double()
    u, _, vh = torch.linalg.svd((true[:, :3, :3] @ mine[:, :3, :3].mT).mean(0))
    flip = torch.ones(3, dtype=torch.float64)
    flip[2] = torch.linalg.det(u @ vh).sign()
    rotation = u * flip @ vh
    middle, goal = mine[:, :3, 3].mean(0), true[:, :3, 3].mean(0)
    away, want = (mine[:, :3, 3] - middle) @ rotation.mT, true[:, :3, 3] - goal
    spread = float(away.square().sum())
    if not spread > 0:
        raise ValueError("expected cameras in different places to align, got all in one")
    scale = max(float((away * want).sum()) / spread, math.ulp(1.0))
    return Similarity(scale, rotation, goal - scale * rotation @ middle)
