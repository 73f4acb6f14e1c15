"""How often paths see each piece of a surface, and which paths together see the most of it."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.geometry import Camera
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.sight import faces
from worldloom.scenegen.surface import Patches

ENOUGH = 2  # views of a patch from which its place follows


def count_views(space: FreeSpace, patches: Patches, cameras: Camera) -> Int[Tensor, " n"]:
    """In how many cameras (t,) each patch is seen: from its front and not edge-on, in the picture, and not hidden."""
    seen = faces(cameras.world_from_cam[:, :3, 3], patches) & in_picture(cameras, patches.points)
    view, patch = seen.nonzero(as_tuple=True)
    free = space.sees(cameras.world_from_cam[view, :3, 3], patches.points[patch])
    return torch.bincount(patch[free], minlength=len(patches))


def in_picture(cameras: Camera, points: Float[Tensor, "n 3"]) -> Bool[Tensor, "t n"]:
    """Whether each point projects into the picture of each camera."""
    height, width = cameras.size
    cam_from_world = cameras.cam_from_world
    local = torch.einsum("tij,nj->tni", cam_from_world[:, :3, :3], points) + cam_from_world[:, None, :3, 3]
    u, v, z = torch.einsum("tij,tnj->tni", cameras.K, local).unbind(-1)
    return (z > 1e-3) & (u > 0) & (v > 0) & (u < width * z) & (v < height * z)


def coverage(counts: Int[Tensor, " n"], areas: Float[Tensor, " n"]) -> float:
    """Share of the area seen `ENOUGH` times; NaN where there is no area."""
    total = areas.sum().item()
    return (areas * (counts >= ENOUGH)).sum().item() / total if total > 0 else float("nan")


def choose(
    counts: Sequence[Int[Tensor, " n"]],
    areas: Float[Tensor, " n"],
    num_frames: Sequence[int],
    budget: int,
    seen: Int[Tensor, " n"] | None = None,
) -> list[int]:
    """Numbers of the paths to take, best first, as many as fit in a budget of frames.

    Each is the one that adds most, per frame, to the sum over patches of area * min(times seen, ENOUGH). That sum is
    monotone and submodular, so the greedy choice is within a constant factor of the best (Nemhauser et al. 1978).

    Args:
        seen: how often each patch has been seen already.
    """
    so_far = torch.zeros(len(areas), dtype=torch.int64) if seen is None else seen
    chosen: list[int] = []
    left = [i for i in range(len(counts)) if num_frames[i] <= budget]
    while left:
        gains = [
            (areas * ((so_far + counts[i]).clamp(max=ENOUGH) - so_far.clamp(max=ENOUGH))).sum().item() / num_frames[i]
            for i in left
        ]
        best = max(range(len(left)), key=lambda k: gains[k])
        chosen.append(left[best])
        so_far = so_far + counts[left[best]]
        budget -= num_frames[left[best]]
        left = [i for i in left if i != left[best] and num_frames[i] <= budget]
    return chosen
