"""A room of 4 x 3 x 2.6 m with a table in it, and what exact depth cameras and splats show of it."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Gaussians, Panorama
from worldloom.geometry.equirect import directions, rays
from worldloom.recon import splats_from_panorama
from worldloom.recon.mesh.depth_views import DepthViews, cameras_around

ROOM = torch.tensor([[-2.0, -1.5, -1.6], [2.0, 1.5, 1.0]])
TABLE = torch.tensor([[0.7, -0.4, -1.6], [1.5, 0.5, -0.8]])
EYES = torch.tensor([[0.0, 0, 0], [-1.2, 0.6, 0.1], [0.3, -0.9, -0.2]])


def colour(points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Of a surface at world points: no two places look the same."""
    return ((points - ROOM[0]) / (ROOM[1] - ROOM[0])).clamp(0, 1)


def cast(eye: Float[Tensor, " 3"], directions: Float[Tensor, "*n 3"]) -> tuple[Tensor, Tensor]:
    """Multiples of the directions at which they meet the first surface, and its normal, away from the eye."""
    inverse = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    out = ((ROOM[:, None] - eye).view(2, *[1] * (directions.ndim - 1), 3) * inverse).amax(0)
    far, wall = out.min(-1)
    sides = (TABLE[:, None] - eye).view(2, *[1] * (directions.ndim - 1), 3) * inverse
    (enter, face), leave = sides.amin(0).max(-1), sides.amax(0).amin(-1)
    hit = (enter < leave) & (enter > 0) & (enter < far)
    axis = torch.where(hit, face, wall)
    sign = torch.gather(directions, -1, axis[..., None]).sign()
    return torch.where(hit, enter, far), torch.nn.functional.one_hot(axis, 3) * sign


def truth_views(size: int = 80, eyes: Float[Tensor, "e 3"] = EYES) -> DepthViews:
    cameras = cameras_around(eyes, size)
    depth, plane, rgb = [], [], []
    for i in range(cameras.batch[0]):
        eye = cameras.world_from_cam[i, :3, 3]
        world = rays(cameras[i]) @ cameras.world_from_cam[i, :3, :3].mT
        z, normal = cast(eye, world)
        depth.append(z)
        plane.append((normal / (normal * world * z[..., None]).sum(-1, keepdim=True)).permute(2, 0, 1))
        rgb.append(colour(eye + world * z[..., None]).permute(2, 0, 1))
    valid = torch.ones(len(depth), size, size, dtype=torch.bool)
    return DepthViews(cameras, torch.stack(depth), torch.stack(plane), valid, ~valid, torch.stack(rgb), 10.0)


def splats(rows: int = 128) -> Gaussians:
    """What a panorama of the room's middle shows; behind the table there is nothing."""
    eye = EYES[0]
    looks = directions(rows)
    distance, _ = cast(eye, looks)
    rgb = colour(eye + looks * distance[..., None]).permute(2, 0, 1)
    return splats_from_panorama(Panorama(rgb, distance, torch.zeros_like(distance, dtype=torch.bool), torch.eye(4)))


def to_surface(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Metres from points to the nearest surface of room or table."""
    walls = (points - ROOM[:, None]).abs().amin(0).amin(-1)
    outside = torch.maximum(TABLE[0] - points, points - TABLE[1])
    table = outside.clamp(min=0).norm(dim=-1) + outside.amax(-1).clamp(max=0).abs()
    return torch.minimum(walls, table)


def is_free(points: Float[Tensor, "n 3"], margin: float) -> Tensor:
    """Points in the room that keep a margin from its walls and from the table."""
    inside = ((points > ROOM[0] + margin) & (points < ROOM[1] - margin)).all(-1)
    return inside & ~((points > TABLE[0] - margin) & (points < TABLE[1] + margin)).all(-1)
