"""A flight through the places where photos were taken."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Camera, interpolate_poses
from worldloom.recon.photos import scaled

WAYPOINTS = 12


def film_between(cameras: Camera, num_frames: int) -> Camera:
    """A flight through some of the cameras, from neighbour to neighbour, in pictures of even size; batch (t,)."""
    poses = cameras.world_from_cam
    order = _by_neighbours(poses)
    some = [order[i] for i in torch.linspace(0, len(order) - 1, min(WAYPOINTS, len(order))).round().long().tolist()]
    knots = torch.arange(len(some), dtype=torch.float64)
    times = torch.linspace(0, len(some) - 1, num_frames, dtype=torch.float64)
    between = interpolate_poses(poses[some], knots, times)
    height, width = (max(2, side // 2 * 2) for side in cameras.size)
    even = scaled(cameras[some[0]], (height, width))
    return Camera(between, even.K.expand(num_frames, 3, 3).clone(), (height, width))


def _by_neighbours(poses: Float[Tensor, "v 4 4"]) -> list[int]:
    """From the first camera on always to the nearest that is left, in place and direction."""
    places = torch.cat([poses[:, :3, 3], poses[:, :3, 3].std(0).norm() * poses[:, :3, 2]], 1)
    order, left = [0], set(range(1, len(poses)))
    while left:
        nearest = min(left, key=lambda i: float((places[i] - places[order[-1]]).norm()))
        order.append(nearest)
        left.remove(nearest)
    return order
