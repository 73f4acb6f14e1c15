"""The torch twin: all looks take a step at once, by the very arithmetic of csrc/voxel_rays.cpp."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor


def look_from_each(
    blocked: Bool[Tensor, "x y z"],
    eyes: Float[Tensor, "k 3"],
    cells: Sequence[Int64[Tensor, " _"]],
    crossed: Bool[Tensor, "x y z"] | None,
    pierce: int,
) -> list[Bool[Tensor, " _"]]:
    """As `worldloom.ops.voxel_rays.look_from_each`."""
    return [_look(blocked, eye, some, crossed, pierce) for eye, some in zip(eyes, cells, strict=True)]


def _look(
    blocked: Bool[Tensor, "x y z"],
    eye: Float[Tensor, " 3"],
    cells: Int64[Tensor, " n"],
    crossed: Bool[Tensor, "x y z"] | None,
    pierce: int,
) -> Bool[Tensor, " n"]:
    """What one eye sees."""
    wall = blocked.flatten()
    size = torch.tensor(blocked.shape)
    stride = torch.tensor([blocked.shape[1] * blocked.shape[2], blocked.shape[2], 1])
    target, goal = _aim(wall, size, stride, eye, cells)
    border = ((goal < 0) | (goal >= size)).any(1)
    end = (goal * stride).sum(1)
    before = (end != cells) & ~border  # looks at a face, which end in the free voxel before it
    seen = border.clone()
    row = (~border).nonzero()[:, 0]

    goal, along = goal[row], target[row] - eye
    toward = torch.where(along != 0, torch.minimum((0.0 - eye) / along, (size.double() - eye) / along), 0.0)
    enter = toward.amax(1, keepdim=True).clamp(min=0.0)
    at = torch.where(enter > 0, eye + enter * along, eye).floor().long()
    at = torch.where(enter > 0, at.clamp(min=0).minimum(size - 1), at)
    left = (goal - at).abs()
    step = torch.where(goal > at, 1, -1)
    delta = step.double() / along
    upcoming = torch.where(left > 0, ((at + (step > 0)).double() - eye) / along, torch.inf)
    total, cell, step = left.sum(1), (at * stride).sum(1), step * stride
    own, rest = enter[:, 0] <= 0, torch.full_like(total, pierce)
    trails: list[tuple[Tensor, Tensor]] = []  # rows and the free cells in which they were
    first = True
    while len(row):
        seen[row[total == 0]] = True
        solid = wall[cell] & ~(own & first)
        rest = rest - solid.long()
        walking = (total > 0) & (rest >= 0)
        if crossed is not None:
            clear = walking & ~wall[cell]
            trails.append((row[clear], cell[clear]))
        x, y, z = upcoming.unbind(1)
        axis = torch.where(x <= y, torch.where(x <= z, 0, 2), torch.where(y <= z, 1, 2))[:, None]
        cell = cell + step.gather(1, axis)[:, 0]
        left = left.scatter_add(1, axis, torch.full_like(axis, -1))
        later = torch.where(left.gather(1, axis) > 0, upcoming.gather(1, axis) + delta.gather(1, axis), torch.inf)
        upcoming = upcoming.scatter(1, axis, later)
        total = total - 1
        arrived = walking & (total == 0)
        seen[row[arrived]] = True
        keep = walking & ~arrived
        row, cell, step, delta, left, upcoming, total, own, rest = (
            state[keep] for state in (row, cell, step, delta, left, upcoming, total, own, rest)
        )
        first = False
    if crossed is not None:
        for ray, cell in trails:
            crossed.view(-1)[cell[seen[ray]]] = True
        crossed.view(-1)[end[before & seen]] = True
    return seen


def _aim(
    wall: Bool[Tensor, " m"],
    size: Int64[Tensor, " 3"],
    stride: Int64[Tensor, " 3"],
    eye: Float[Tensor, " 3"],
    cells: Int64[Tensor, " n"],
) -> tuple[Float[Tensor, "n 3"], Int64[Tensor, "n 3"]]:
    """Points to look at, and the voxels in which the looks end."""
    goal = cells[:, None] // stride % size
    target = goal.double() + 0.5
    away = eye - target
    side = torch.where(away > 0, 1, -1)
    beside = goal + side
    inside = (beside >= 0) & (beside < size)
    covered = inside & wall[torch.where(inside, cells[:, None] + side * stride, 0)]
    distance = torch.where(covered | (away.abs() <= 0.5), -1.0, away.abs())
    most, best = distance.max(1)  # ties go to the first axis, as in the kernel
    best = torch.where(distance == most[:, None], torch.arange(3), 3).amin(1, keepdim=True)
    shift = torch.zeros_like(goal).scatter(1, best, side.gather(1, best)) * (wall[cells] & (most > 0))[:, None]
    return target + 0.5 * shift, goal + shift


def mark_points(
    best: UInt8[Tensor, "x y z"],
    points: Float[Tensor, "n 3"],
    values: UInt8[Tensor, " n"],
    voxel_from_points: Float[Tensor, "3 4"],
    flagged: tuple[UInt8[Tensor, "x y z"], Bool[Tensor, " n"]] | None,
) -> None:
    """As `worldloom.ops.voxel_rays.mark_points`."""
    px, py, pz = points.double().unbind(1)
    at = torch.stack([((row[0] * px + row[1] * py) + row[2] * pz) + row[3] for row in voxel_from_points], 1)
    inside = ((at >= 0) & (at < torch.tensor(best.shape))).all(1)
    x, y, z = at[inside].long().unbind(1)
    cell = (x * best.shape[1] + y) * best.shape[2] + z
    best.view(-1).scatter_reduce_(0, cell, values[inside], "amax")
    if flagged is not None:
        grid, flags = flagged
        grid.view(-1)[cell[flags[inside]]] = 1
