"""Exact photos of the truth room, its surfaces painted with a pattern that stereo can hold on to."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tests.recon.truth_room import cast
from worldloom.geometry import Camera, intrinsics, look_at
from worldloom.geometry.equirect import rays
from worldloom.recon import Photos

SIZE = (48, 64)


def pattern(points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Waves of several lengths across each other: smooth, and nowhere the same."""
    dice = torch.Generator().manual_seed(5)
    directions = torch.nn.functional.normalize(torch.randn(12, 3, generator=dice), dim=-1)
    lengths = torch.logspace(math.log10(0.4), math.log10(2.0), 12)
    phases = 6.3 * torch.rand(12, 3, generator=dice)
    waves = ((points @ (6.28 * directions / lengths[:, None]).T)[..., None] + phases).sin()
    return (0.5 + 0.14 * waves.sum(-2)).clamp(0, 1)


def cameras_in_a_row(num: int = 5, size: tuple[int, int] = SIZE) -> Camera:
    """Side by side, 0.25 m apart, looking at the wall with the table before it."""
    eyes = torch.stack([torch.tensor([-1.3, -0.5 + 0.25 * i, 0.05 * (i % 2)]) for i in range(num)])
    ahead = torch.tensor([1.5, 0.0, -0.6]).expand(num, 3)
    K = intrinsics(math.radians(70), size).expand(num, 3, 3).clone()
    return Camera(look_at(eyes, ahead), K, size)


def photographed(cameras: Camera) -> tuple[Photos, Float[Tensor, "v h w"]]:
    """Photos, each pixel the mean of nine rays, and the exact depth in the middle of each pixel."""
    height, width = cameras.size
    fine = Camera(cameras.world_from_cam, cameras.K * torch.tensor([3.0, 3.0, 1.0])[:, None], (3 * height, 3 * width))
    rgb, depth = [], []
    for i in range(len(cameras)):
        eye = fine.world_from_cam[i, :3, 3]
        world = rays(fine[i]) @ fine.world_from_cam[i, :3, :3].mT
        z, _ = cast(eye, world)
        colours = pattern(eye + world * z[..., None]).permute(2, 0, 1)
        rgb.append(torch.nn.functional.avg_pool2d(colours, 3))
        depth.append(z[1::3, 1::3])
    valid = torch.ones(len(cameras), height, width, dtype=torch.bool)
    return Photos(cameras, torch.stack(rgb), valid, tuple(f"{i:03d}.png" for i in range(len(cameras)))), torch.stack(
        depth
    )
