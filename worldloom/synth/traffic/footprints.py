"""Rectangles on the ground, exactly: whether they overlap, how far apart they are, and when they will meet.

A footprint is (x, y, yaw, length, width), x and y of its middle.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def corners(footprints: Float[Tensor, "n 5"]) -> Float[Tensor, "n 4 2"]:
    """Front left, rear left, rear right, front right."""
    x, y, yaw, length, width = footprints.unbind(-1)
    ahead = torch.stack([yaw.cos(), yaw.sin()], -1) * length[:, None] / 2
    left = torch.stack([-yaw.sin(), yaw.cos()], -1) * width[:, None] / 2
    middle = torch.stack([x, y], -1)
    return torch.stack([middle + ahead + left, middle - ahead + left, middle - ahead - left, middle + ahead - left], 1)


def overlap(one: Float[Tensor, "n 5"], other: Float[Tensor, "n 5"]) -> Bool[Tensor, " n"]:
    """Whether each pair shares an area, by separating axes: they are apart if and only if they are along some side."""
    return separation(one, other) < 0


def separation(one: Float[Tensor, "n 5"], other: Float[Tensor, "n 5"]) -> Float[Tensor, " n"]:
    """Metres between the shadows of each pair on the side along which they are farthest apart.

    Never more than `gap`, and far cheaper; negative where they overlap, by how far one would have to be moved.
    """
    axes = _axes(one, other)
    offset = other[:, None, :2] - one[:, None, :2]
    return ((offset * axes).sum(-1).abs() - _reach(one, axes) - _reach(other, axes)).amax(-1)


def gap(one: Float[Tensor, "n 5"], other: Float[Tensor, "n 5"]) -> Float[Tensor, " n"]:
    """Shortest distance of each pair, 0 where they overlap.

    Where two convex shapes are apart, a corner of one is nearest to a side of the other.
    """
    a, b = corners(one), corners(other)
    nearest = torch.minimum(_to_sides(a, b), _to_sides(b, a))
    return torch.where(overlap(one, other), 0.0, nearest)


def time_to_collision(
    one: Float[Tensor, "n 5"],
    one_velocity: Float[Tensor, "n 2"],
    other: Float[Tensor, "n 5"],
    other_velocity: Float[Tensor, "n 2"],
) -> Float[Tensor, " n"]:
    """Seconds until each pair touches if both keep their velocity and heading: 0 if they overlap, inf if never.

    Along each separating axis the pair overlaps during one interval of time; they touch when all four intervals do.
    """
    axes = _axes(one, other)
    distance = ((other[:, None, :2] - one[:, None, :2]) * axes).sum(-1)
    speed = ((other_velocity - one_velocity)[:, None] * axes).sum(-1)
    reach = _reach(one, axes) + _reach(other, axes)
    still = speed.abs() < 1e-9
    times = torch.stack([-reach - distance, reach - distance]) / torch.where(still, 1.0, speed)
    always = torch.where(distance.abs() < reach, 0.0, math.inf)
    begin = torch.where(still, always, times.amin(0)).amax(-1).clamp(min=0)
    end = torch.where(still, math.inf, times.amax(0)).amin(-1)
    return torch.where(begin < end, begin, math.inf)


def _axes(one: Float[Tensor, "n 5"], other: Float[Tensor, "n 5"]) -> Float[Tensor, "n 4 2"]:
    """The directions of both rectangles' sides."""
    yaw = torch.stack([one[:, 2], other[:, 2]], -1)
    c, s = yaw.cos(), yaw.sin()
    return torch.cat([torch.stack([c, s], -1), torch.stack([-s, c], -1)], 1)


def _reach(footprints: Float[Tensor, "n 5"], axes: Float[Tensor, "n 4 2"]) -> Float[Tensor, "n 4"]:
    """Half of a footprint's shadow on unit axes."""
    yaw, length, width = footprints[:, 2:3], footprints[:, 3:4], footprints[:, 4:5]
    ahead = axes[..., 0] * yaw.cos() + axes[..., 1] * yaw.sin()
    left = axes[..., 1] * yaw.cos() - axes[..., 0] * yaw.sin()
    return ahead.abs() * length / 2 + left.abs() * width / 2


def _to_sides(points: Float[Tensor, "n 4 2"], polygon: Float[Tensor, "n 4 2"]) -> Float[Tensor, " n"]:
    """Shortest distance of any of the points to any side of the polygon."""
    start, side = polygon, polygon.roll(-1, dims=1) - polygon
    along = points[:, :, None] - start[:, None]
    share = ((along * side[:, None]).sum(-1) / (side * side).sum(-1)[:, None]).clamp(0, 1)
    return (along - share[..., None] * side[:, None]).norm(dim=-1).flatten(1).amin(1)
